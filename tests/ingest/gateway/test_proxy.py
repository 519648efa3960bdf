"""Whose connection it is, behind a balancer: who may say it, in which form, and what becomes of anything else."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.gateway.proxy import BadPreface, is_within, networks_of, read_preface
from model.errors import SettingsError
from tests.ingest.gateway.conftest import NUMBER, Opener, Phone, position

LOOPBACK = networks_of("127.0.0.0/8, ::1")
MARK_2 = b"\r\n\r\n\x00\r\nQUIT\n"


def version_2(source: str, port: int, *, command: int = 0x21, extra: bytes = b"") -> bytes:
    """A head of version 2."""
    address = ipaddress.ip_address(source)
    family = 0x11 if address.version == 4 else 0x21
    body = address.packed * 2 + struct.pack("!HH", port, 7611) + extra
    return MARK_2 + bytes((command, family)) + struct.pack("!H", len(body)) + body


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 51000 7611\r\n\x7e", "192.0.2.7:51000"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 51000 7611\r\n\x7e", "2001:db8::7:51000"),
        (b"PROXY UNKNOWN\r\n\x7e", ""),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n\x7e", ""),
        (version_2("192.0.2.7", 51_000) + b"\x7e", "192.0.2.7:51000"),
        (version_2("2001:db8::7", 51_000) + b"\x7e", "2001:db8::7:51000"),
        (version_2("192.0.2.7", 51_000, extra=b"\x03\x00\x04abcd") + b"\x7e", "192.0.2.7:51000"),
        (version_2("192.0.2.7", 51_000, command=0x20) + b"\x7e", ""),
    ],
)
def test_a_line_is_read_and_what_follows_is_left(data: bytes, expected: str) -> None:
    found = read_preface(data)
    assert found == (len(data) - 1, expected)
    assert all(read_preface(data[:size]) is None for size in range(len(data) - 1))


@pytest.mark.parametrize(
    "data",
    [
        b"\x7e\x01\x02",
        b"PROXI",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 51000\r\n",
        b"PROXY TCP4 2001:db8::7 10.0.0.1 51000 7611\r\n",
        b"PROXY TCP4 192.0.2.999 10.0.0.1 51000 7611\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 70000 7611\r\n",
        b"PROXY UDP4 192.0.2.7 10.0.0.1 51000 7611\r\n",
        b"PROXY TCP4 192.0.2.\xff 10.0.0.1 51000 7611\r\n",
        b"PROXY " + b"x" * 200,
        MARK_2 + b"\x11\x11\x00\x0c" + bytes(12),
        MARK_2 + b"\x21\x11\x00\x04" + bytes(4),
        MARK_2 + b"\x21\x11\xff\xff" + bytes(20),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(BadPreface):
        read_preface(data)


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", MARK_2, b"PROXY TCP4 ", MARK_2 + b"\x21\x11\x00\x0c"]))
def test_no_bytes_break_it(data: bytes, begin: bytes) -> None:
    try:
        found = read_preface(begin + data)
    except BadPreface:
        return
    assert found is None or 0 < found[0] <= len(begin + data)


def test_networks_know_both_forms_of_an_address() -> None:
    assert is_within("127.0.0.1", LOOPBACK)
    assert is_within("::ffff:127.0.0.1", LOOPBACK)
    assert is_within("::1", LOOPBACK)
    assert not is_within("10.0.0.1", LOOPBACK)
    assert not is_within("nonsense", LOOPBACK)


def behind(port: int, preface: bytes, *, source: str = "127.0.0.1") -> Phone:
    """A terminal whose connection begins with `preface`, from a loopback address."""
    phone = Phone.__new__(Phone)
    sock = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
    phone.__dict__.update(sock=sock, number=NUMBER, version=2013, serial=0, _rest=b"", _got=[])
    from ingest.jt808 import codec

    phone.codec = codec
    sock.sendall(preface)
    return phone


def test_a_balancers_terminal_has_its_own_address(open_house: Opener) -> None:
    house = open_house(balancers=LOOPBACK)
    house.registry.add(NUMBER)
    for preface in (b"PROXY TCP4 192.0.2.7 10.0.0.1 51000 7611\r\n", version_2("192.0.2.8", 51_001)):
        phone = behind(house.gateway.jt_port, preface[:9])
        house.phones.append(phone)
        phone.sock.sendall(preface[9:])  # in two pieces
        phone.authenticate()
        phone.send(phone.frame(0x0200, position()))
        assert phone.general()[1:] == (0x0200, 0)
    assert [one["address"] for one in house.gateway.sessions()] == ["192.0.2.8:51001"]
    assert house.gateway.stats.bad_prefaces == 0


def test_a_balancer_that_says_nothing_is_not_served(open_house: Opener) -> None:
    house = open_house(balancers=LOOPBACK)
    house.registry.add(NUMBER)
    phone = behind(house.gateway.jt_port, b"")
    house.phones.append(phone)
    phone.send(phone.frame(0x0102, f"token-{NUMBER}".encode()))
    assert phone.closed()
    assert house.gateway.stats.bad_prefaces == 1
    assert house.gateway.sessions() == []


def test_nobody_else_may_say_whose_connection_it_is(open_house: Opener) -> None:
    house = open_house(balancers=networks_of("127.0.0.1"))
    house.registry.add(NUMBER)
    spoofer = behind(house.gateway.jt_port, b"PROXY TCP4 192.0.2.7 10.0.0.1 51000 7611\r\n", source="127.0.0.2")
    house.phones.append(spoofer)
    spoofer.authenticate()  # the line is junk in front of its frame
    house.settled(lambda: house.log.reasons, "the line in quarantine")
    (session,) = house.gateway.sessions()
    assert session["address"].startswith("127.0.0.2:")


def test_without_the_setting_a_line_is_junk(open_house: Opener) -> None:
    house = open_house()
    house.registry.add(NUMBER)
    phone = behind(house.gateway.jt_port, b"PROXY TCP4 192.0.2.7 10.0.0.1 51000 7611\r\n")
    house.phones.append(phone)
    phone.authenticate()
    assert next(one["address"] for one in house.gateway.sessions()).startswith("127.0.0.1:")


def test_the_settings_name_the_balancers() -> None:
    from config.gateway import Gateway, across_gateway

    assert not list(across_gateway(Gateway()))
    ((keys, _, _),) = across_gateway(Gateway(proxy_protocol=True))
    assert keys == ("gateway.proxy_protocol",)
    good = Gateway(proxy_protocol=True, proxy_sources=" 10.0.0.5 ,10.1.0.0/24")
    assert good.proxy_sources == "10.0.0.5,10.1.0.0/24"
    assert not list(across_gateway(good))
    with pytest.raises((ValueError, SettingsError)):
        Gateway(proxy_sources="10.0.0.5/8")
