"""The settings of people and devices past one machine, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from config.base import OptionalPath, Section, setting

_MAX_URL_CHARS = 1_000
_EXAMPLE = "postgresql://lucheng@host:5432/lucheng"
#: What may follow the database's name; everything else is ours.
_PARAMETERS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey"})


def _database_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"is no address of a database; write {_EXAMPLE}") from error
    user, at, hosts = parts.netloc.rpartition("@")
    if parts.scheme not in {"postgresql", "postgres"} or not at or not user or not hosts or not url.isprintable():
        raise ValueError(f"is no address of a database; write {_EXAMPLE}")
    if ":" in user:
        raise ValueError("has a password in it; set database.password_file")
    if not parts.path.strip("/") or " " in url or parts.fragment:
        raise ValueError(f"names no database; write {_EXAMPLE}")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _PARAMETERS:
            raise ValueError(f"has the parameter {name[:40]}; only {', '.join(sorted(_PARAMETERS))} may stand there")
    return url


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


DatabaseUrl = Annotated[str, Field(max_length=_MAX_URL_CHARS), AfterValidator(_database_url)]
OptionalDatabaseUrl = Annotated[DatabaseUrl | None, BeforeValidator(_empty_is_none)]
SchemaPrefix = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class Database(Section):
    """People and devices past one machine, on PostgreSQL · 多机部署的人员与设备数据（PostgreSQL）"""

    url: OptionalDatabaseUrl = setting(
        None,
        "registry, desk, audit, commands, accounts, approvals, reports and the index of evidence lie here, "
        "postgresql://user@host:5432/database (several hosts with commas between them, ?sslmode=verify-full); "
        "empty: in SQLite files of the data folder",
        "登记、警情、审计、指令、账号、审批、上报与证据索引所在的 PostgreSQL，postgresql://用户@主机:5432/库名"
        "（可写多个主机，以逗号分隔，可加 ?sslmode=verify-full）；留空则用数据目录内的 SQLite 文件",
    )
    password_file: OptionalPath = setting(None, "file whose first line is the password", "密码文件，首行为密码")
    prefix: SchemaPrefix = setting(
        "lucheng", "what the names of our schemas begin with, for ever", "各模式（schema）名称前缀，启用后不可更改"
    )
    max_connections: int = setting(
        8,
        "connections of one process; of all processes together less than the server's max_connections",
        "单个进程的连接数上限；所有进程之和须小于服务器的 max_connections",
        ge=2,
        le=200,
    )
    connect_timeout_s: float = setting(5.0, "one attempt to reach the server", "单次连接服务器的时限", ge=1.0, le=60.0)
    wait_s: float = setting(
        15.0,
        "how long a call waits for a server that is away, e.g. while it is started again",
        "服务器不可用（如正在重启）时每次调用的等待时限",
        ge=0.5,
        le=300.0,
    )
    resolve_s: float = setting(
        60.0,
        "how long it is asked whether a commit was kept whose answer was lost; then the process ends",
        "提交结果未知时查询其是否已落盘的时限，超时则进程退出",
        ge=1.0,
        le=3_600.0,
    )
    lock_timeout_ms: int = setting(
        5_000,
        "how long a change waits for another process' change of the same store",
        "等待其他进程对同一数据写入完成的时限",
        ge=100,
        le=60_000,
    )
    idle_transaction_ms: int = setting(
        10_000,
        "the server ends a transaction in which nothing was said for so long, so that a process that hangs blocks nobody",
        "事务空闲超过此时限即由服务器终止，以免停滞的进程阻塞他人",
        ge=1_000,
        le=600_000,
    )
    statement_timeout_ms: int = setting(60_000, "longest single statement", "单条语句的时限", ge=1_000, le=3_600_000)


def across_database(database: Database) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Problems that no single value shows: (keys that disagree, what, mend)."""
    if database.password_file is not None and database.url is None:
        yield ("database.password_file",), "is set without a database", "Set database.url too."


#: Pairs of which the first may not be above the second.
DATABASE_ORDER = (("database.connect_timeout_s", "database.resolve_s"),)
