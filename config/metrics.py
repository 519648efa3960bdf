"""The settings of the metrics for Prometheus."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator

from config.base import IpAddress, Section, setting


def _of_this_machine(text: str) -> str:
    if not ipaddress.ip_address(text).is_loopback:
        raise ValueError("has to be an address of this machine alone, 127.0.0.1 or ::1; a proxy may serve it to others")
    return text


LoopbackAddress = Annotated[IpAddress, AfterValidator(_of_this_machine)]


class Metrics(Section):
    """Metrics for Prometheus over HTTP · Prometheus 指标"""

    listen: LoopbackAddress = setting("127.0.0.1", "address of this machine alone", "监听地址，仅限本机")
    port: int = setting(
        0,
        "TCP port of http://127.0.0.1:PORT/metrics; 0: off (the socket has them all the same)",
        "TCP 端口（/metrics）；0 为关闭，此时仍可经本机套接字读取",
        ge=0,
        le=65_535,
    )
