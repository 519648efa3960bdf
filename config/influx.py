"""The settings of the time series in InfluxDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from config.base import GIB, KIB, MIB, OptionalPath, Section, setting

_MAX_URL_CHARS = 500


def _server_url(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    host = rest.partition("/")[0]
    if not mark or scheme not in {"http", "https"} or not host or not url.isprintable() or any(c in url for c in " ?#"):
        raise ValueError("is no address of a server; write http://host:8086 or https://host:8086")
    if "@" in host:
        raise ValueError("has a user or password in it; the token alone lets us in (influx.token_file)")
    return url.rstrip("/")


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


ServerUrl = Annotated[str, Field(max_length=_MAX_URL_CHARS), AfterValidator(_server_url)]
OptionalServerUrl = Annotated[ServerUrl | None, BeforeValidator(_empty_is_none)]
BucketName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
OrgName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Influx(Section):
    """Time series in InfluxDB · 时序数据写入 InfluxDB"""

    url: OptionalServerUrl = setting(
        None,
        "the server, http://host:8086 or https://",
        "服务器地址，http://主机:8086 或 https://",
    )
    mode: Literal["off", "store", "mirror"] = setting(
        "off",
        "off: the embedded store alone; store: InfluxDB 2 is the time-series store, written and read; mirror: the embedded store "
        "stays, and points are written there too (InfluxDB 2 or 3 Core), never read",
        "off：只用内置时序存储；store：以 InfluxDB 2 为时序存储，读写均走它；"
        "mirror：仍用内置存储，另向其写入一份（InfluxDB 2 或 3 Core），不读取",
    )
    org: OrgName = setting(
        "city", "organisation on the server (InfluxDB 3 Core: anything)", "服务器上的组织名（InfluxDB 3 Core 可任意）"
    )
    bucket: BucketName = setting(
        "lucheng",
        "bucket of points and numbers; BUCKET_state and BUCKET_hourly lie beside it",
        "点与数值的存储桶；另有 桶名_state 与 桶名_hourly",
    )
    token_file: OptionalPath = setting(None, "file whose first line is the token", "令牌文件，首行为令牌")
    ca_file: OptionalPath = setting(
        None,
        "certificate authority for https:// (PEM); empty: the system's",
        "https:// 所用 CA 证书（PEM）；留空用系统证书",
    )
    gzip: bool = setting(
        True,  # noqa: FBT003 a default
        "compress what is written: a fifth of the bytes for twice our work; not worth it when the server is on this machine",
        "压缩写入内容：字节数约为五分之一，本机开销约为两倍；服务器在本机时可关闭",
    )
    write_timeout_s: float = setting(
        10.0, "seconds a write may take before it is tried again", "单次写入时限（秒），超时重试", ge=0.5, le=600
    )
    query_timeout_s: float = setting(60.0, "seconds a query may take", "单次查询时限（秒）", ge=0.5, le=600)
    retry_min_ms: int = setting(
        200, "first wait before a write is tried again", "首次重试等待（毫秒）", ge=10, le=60_000
    )
    retry_max_ms: int = setting(
        5_000, "longest wait before a write is tried again", "最长重试等待（毫秒）", ge=100, le=600_000
    )
    max_body_bytes: int = setting(
        4 * MIB, "bytes of one write, before compression", "单次写入字节上限（压缩前）", ge=64 * KIB, le=64 * MIB
    )
    max_answer_bytes: int = setting(GIB, "bytes of one query's answer", "单次查询应答字节上限", ge=MIB, le=64 * GIB)
    max_pending_numbers: int = setting(
        200_000,
        "samples of camera health and the like kept in memory while the server is away; the oldest go beyond it",
        "服务器离线时在内存中保留的数值样本上限，超出则丢弃最旧者",
        ge=0,
        le=100_000_000,
    )
    late_days: int = setting(
        30,
        "days by which a point may be late: the server itself keeps points series.retention_days and so many days more by fix "
        "time; what is later is quarantined",
        "点的最大迟到天数：服务器按定位时间保留 series.retention_days 加此天数，更迟的点进入隔离区",
        ge=0,
        le=36_500,
    )
    hourly_days: int = setting(
        730,
        "days hourly values of each device are kept (0: for ever)",
        "每台设备小时汇总的保存天数（0 为永久）",
        ge=0,
        le=36_500,
    )
    mirror_wait_s: float = setting(
        5.0,
        "seconds a commit waits for a mirror that is away; then its points are counted as missed, for `lucheng store copy`",
        "镜像离线时提交最多等待的秒数，之后计为缺失，可用 `lucheng store copy` 补齐",
        ge=0,
        le=3_600,
    )


def across_influx(influx: Influx) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Problems that no single value shows: (keys that disagree, what, mend)."""
    if influx.mode != "off":
        if influx.url is None:
            yield ("influx.mode",), f"is {influx.mode} without a server", "Set influx.url too."
        if influx.token_file is None:
            yield ("influx.mode",), f"is {influx.mode} without a token", "Set influx.token_file too."
    if influx.ca_file is not None and influx.url is not None and not influx.url.startswith("https:"):
        yield ("influx.ca_file",), "is set, but influx.url is not https://", "Use https://, or remove influx.ca_file."


#: Pairs of which the first may not be above the second.
INFLUX_ORDER = (("influx.retry_min_ms", "influx.retry_max_ms"),)
