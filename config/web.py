"""The settings of the console's server and of accounts."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from config.base import GIB, KIB, MIB, IpAddress, OptionalPath, Section, setting

_ORIGIN = re.compile(r"https?://[a-z0-9.\-\[\]:]+", re.ASCII)


def _origin(text: str) -> str:
    form = "has to look like https://desk.city.local, lower-case, with nothing behind the host and port"
    if not _ORIGIN.fullmatch(text):
        raise ValueError(form)
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(form) from error
    if not named:
        raise ValueError(form)
    return text


Origin = Annotated[str, AfterValidator(_origin)]


class Web(Section):
    """The console in the browser · 控制台网页服务"""

    listen: IpAddress = setting(
        "127.0.0.1",
        "address it listens on; any other than this machine's own needs TLS here or before it",
        "监听地址；非本机地址须启用 TLS（本服务或前置代理）",
    )
    port: int = setting(8_480, "TCP port; 0: off", "TCP 端口；0 为关闭", ge=0, le=65_535)
    origins: Annotated[list[Origin], Field(max_length=32)] = setting(
        [],
        "addresses under which browsers reach it, e.g. https://desk.city.local, besides its own; other names are refused",
        "浏览器访问所用地址（本机地址除外），如 https://desk.city.local；其他名称一律拒绝",
    )
    tls_cert_file: OptionalPath = setting(None, "certificate with its chain (PEM): serve by TLS", "TLS 证书链（PEM）")
    tls_key_file: OptionalPath = setting(None, "its key (PEM)", "TLS 私钥（PEM）")
    max_connections: int = setting(1_024, "connections at a time", "同时连接数上限", ge=8, le=100_000)
    header_timeout_s: float = setting(
        10.0, "how long a connection may take to say its request", "请求头接收时限（秒）", ge=1, le=300
    )
    body_timeout_s: float = setting(60.0, "… and to send its body", "请求体接收时限（秒）", ge=1, le=3_600)
    answer_timeout_s: float = setting(
        60.0, "how long an answer may take to begin", "应答开始时限（秒）", ge=1, le=3_600
    )
    stall_s: float = setting(
        30.0,
        "a reader that takes nothing of an answer for so long is cut off",
        "多久不接收应答即断开（秒）",
        ge=1,
        le=600,
    )
    max_body_bytes: int = setting(MIB, "largest request body", "请求体上限", ge=KIB, le=GIB)
    max_upload_bytes: int = setting(
        64 * MIB, "largest file that is imported through the browser", "网页导入文件上限", ge=KIB, le=4 * GIB
    )


class Accounts(Section):
    """People who sign in · 账号"""

    max_accounts: int = setting(10_000, "accounts at a time", "账号数上限", ge=1, le=100_000)
    max_sessions_per_user: int = setting(
        16,
        "sessions of one account; the oldest ends for one more",
        "单账号会话数上限，超出则结束最早的",
        ge=1,
        le=1_000,
    )
    session_s: int = setting(
        12 * 3_600, "a session ends so long after it began", "会话最长时限（秒）", ge=60, le=31 * 86_400
    )
    idle_s: int = setting(
        3_600,
        "… and so long after its last use; an open page uses it",
        "会话闲置多久后结束（秒）；页面打开即视为使用",
        ge=60,
        le=31 * 86_400,
    )
    min_password_chars: int = setting(12, "shortest password", "密码最短长度", ge=8, le=64)
    password_memory_kib: int = setting(
        65_536, "memory of one argon2id hash, KiB", "单次 argon2id 内存（KiB）", ge=19_456, le=4 * MIB
    )
    password_passes: int = setting(3, "its passes", "argon2id 迭代次数", ge=2, le=100)
    free_failures: int = setting(
        5, "wrong passwords in a row that cost nothing", "允许连续输错密码的次数", ge=1, le=100
    )
    lock_first_s: float = setting(
        2.0,
        "the wait after one more; each further one doubles it",
        "再次输错后的等待，逐次加倍（秒）",
        ge=0.1,
        le=3_600,
    )
    lock_longest_s: float = setting(900.0, "the longest wait", "最长等待（秒）", ge=1, le=86_400)
