r"""The line in front of a connection by which a balancer says whose it is: PROXY protocol, versions 1 and 2.

Invariants: nothing is believed that is not whole and well-formed; what follows the line is handed on untouched. Who may say such a
line is for whoever calls: it is an address of somebody's choosing.
Source: The PROXY protocol, versions 1 & 2 (haproxy.org, proxy-protocol.txt), chapters 2.1 and 2.2.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MARK_2 = b"\r\n\r\n\x00\r\nQUIT\n"
_MARK_1 = b"PROXY "
#: Longest line of version 1, with its end.
_MAX_1_BYTES = 107
#: Longest head of version 2 that is taken: addresses, and what balancers say besides.
_MAX_2_BYTES = 2_048
_HEAD_2 = struct.Struct("!12sBBH")
_LOCAL, _PROXIED = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21


class BadPreface(ValueError):
    """What came first is no such line."""


def read_preface(data: bytes) -> tuple[int, str] | None:
    """Length of the line in front of `data`, and the address `host:port` it names; "" where the balancer speaks for itself.

    None: it is not whole yet. Raises BadPreface.
    """
    if data[:6] == _MARK_1[: len(data)]:
        return _version_1(data)
    if data[:12] == _MARK_2[: len(data)]:
        return _version_2(data)
    raise BadPreface("no PROXY line in front")


def networks_of(text: str) -> tuple[Network, ...]:
    """Networks and single addresses, with commas between them. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_within(host: str, networks: Sequence[Network]) -> bool:
    """Whether an address as a socket tells it lies in one of them; an IPv4 address in the form of IPv6 is that IPv4 address."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    plain = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped else found
    return any(plain in network for network in networks)


def _version_1(data: bytes) -> tuple[int, str] | None:
    end = data.find(b"\r\n", 0, _MAX_1_BYTES)
    if end < 0:
        if len(data) >= _MAX_1_BYTES:
            raise BadPreface("a PROXY line without an end")
        return None
    try:
        words = data[:end].decode("ascii").split(" ")
    except UnicodeDecodeError as error:
        raise BadPreface("a PROXY line that is no ASCII") from error
    if words[1] == "UNKNOWN":
        return end + 2, ""
    if len(words) != 6 or words[1] not in {"TCP4", "TCP6"}:
        raise BadPreface("a PROXY line of another form")
    return end + 2, _named(words[2], words[4], 4 if words[1] == "TCP4" else 6)


def _version_2(data: bytes) -> tuple[int, str] | None:
    if len(data) < _HEAD_2.size:
        return None
    _, command, family, length = _HEAD_2.unpack_from(data)
    size_bytes = _HEAD_2.size + length
    if command not in {_LOCAL, _PROXIED} or size_bytes > _MAX_2_BYTES:
        raise BadPreface("a PROXY head of another form")
    if len(data) < size_bytes:
        return None
    if command == _LOCAL or family not in {_TCP4, _TCP6}:
        return size_bytes, ""
    wide = 4 if family == _TCP4 else 16
    if length < 2 * wide + 4:
        raise BadPreface("a PROXY head without its addresses")
    at = _HEAD_2.size
    source = ipaddress.ip_address(data[at : at + wide])
    (port,) = struct.unpack_from("!H", data, at + 2 * wide)
    return size_bytes, f"{source}:{port}"


def _named(host: str, port: str, version: int) -> str:
    try:
        found = ipaddress.ip_address(host)
    except ValueError as error:
        raise BadPreface("a PROXY line with no address in it") from error
    if found.version != version or not port.isdecimal() or len(port) > 5 or not 0 <= int(port) <= 65_535:
        raise BadPreface("a PROXY line with no address in it")
    return f"{found}:{int(port)}"
