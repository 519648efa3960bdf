"""S11: what may be opened, and what it is pinned to."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.video.address import PinnedAddress, check_address, make_addresses, parse_address, redacted
from model.errors import LuchengError, NotFound, Refused, TryAgain, UsageError

NETWORKS = ("10.0.0.0/8", "fd00::/8")


def answering(*addresses: str) -> Any:
    """A resolver with these addresses for every name."""

    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))
            for ip in addresses
        ]

    return resolve


def check(url: str, *addresses: str, networks: tuple[str, ...] = NETWORKS, files: Path | None = None) -> PinnedAddress:
    resolve = answering(*addresses) if addresses else socket.getaddrinfo
    return check_address(url, allow_networks=networks, files_dir=files, resolve=resolve)


def test_the_url_for_ffmpeg_holds_the_pinned_address_and_no_name() -> None:
    pinned = check("rtsp://op:p%40ss%2F%3A@cam.example:8554/Streaming/101?channel=1&subtype=0", "10.1.2.3", "10.1.2.4")
    assert pinned.url == "rtsp://op:p%40ss%2F%3A@10.1.2.3:8554/Streaming/101?channel=1&subtype=0"
    assert (pinned.host, pinned.ip, pinned.port) == ("cam.example", "10.1.2.3", 8554)
    assert (pinned.user, pinned.password) == ("op", "p@ss/:")
    assert pinned.shown == "rtsp://cam.example:8554/Streaming/101"  # some cameras have their password in the query
    assert "p@ss" not in repr(pinned)
    assert "p%40ss" not in repr(pinned)
    assert "p@ss" not in repr(parse_address("rtsp://op:p%40ss@cam.example/"))
    assert pinned.protocols == "rtp,udp,tcp"


def test_default_ports_and_ipv6() -> None:
    assert check("rtsp://10.0.0.1").url == "rtsp://10.0.0.1:554/"
    assert check("RTSPS://10.0.0.1/a").url == "rtsps://10.0.0.1:322/a"
    assert check("rtsp://[fd00::1]:8554/a").url == "rtsp://[fd00::1]:8554/a"


def test_the_name_is_asked_for_once() -> None:
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1" if len(asked) == 1 else "127.0.0.1", port))]

    make = make_addresses("rtsp://cam/1", allow_networks=NETWORKS, files_dir=None, resolve=resolve)
    assert make().ip == "10.0.0.1"
    assert asked == ["cam"]
    with pytest.raises(Refused):
        make()


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("169.254.169.254",),
        ("0.0.0.0",),
        ("224.0.0.1",),
        ("255.255.255.255",),
        ("8.8.8.8",),
        ("::1",),
        ("::ffff:127.0.0.1",),
        ("::ffff:8.8.8.8",),
        ("64:ff9b::7f00:1",),
        ("2002:7f00:1::",),
        ("fe80::1",),
        ("fe80::1%eth0",),
        ("ff02::1",),
        ("fd00:ec2::254",),
        ("10.0.0.1", "127.0.0.1"),
        ("10.0.0.1", "8.8.8.8"),
    ],
)
def test_every_address_of_the_name_has_to_be_allowed(addresses: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="allow_networks"):
        check("rtsp://cam/1", *addresses)


@pytest.mark.parametrize("ip", ["127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "::1", "64:ff9b::a00:1"])
def test_all_networks_do_not_open_the_special_ones(ip: str) -> None:
    with pytest.raises(Refused):
        check("rtsp://cam/1", ip, networks=("0.0.0.0/0", "::/0"))


def test_a_special_network_counts_where_it_is_named() -> None:
    assert check("rtsp://cam/1", "127.0.0.1", networks=("127.0.0.0/8",)).ip == "127.0.0.1"
    assert check("rtsp://cam/1", "::ffff:10.0.0.9").ip == "10.0.0.9"


@pytest.mark.parametrize("text", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost"])
def test_other_ways_to_write_loopback_are_loopback(text: str) -> None:
    with pytest.raises(LuchengError) as caught:
        check(f"rtsp://{text}/1")
    assert isinstance(caught.value, Refused | TryAgain)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "rtmp://10.0.0.1/",
        "rtsp+http://10.0.0.1/",
        "rtspt://10.0.0.1/",
        "satip://10.0.0.1/",
        "concat:rtsp://10.0.0.1/a|rtsp://10.0.0.1/b",
        "subfile,,start,0,end,0,,:/etc/passwd",
        "crypto:rtsp://10.0.0.1/",
        "async:rtsp://10.0.0.1/",
        "pipe:0",
        "fd:0",
        "unix:/run/x",
        "/etc/passwd",
        "10.0.0.1",
        "rtsp://10.0.0.1/a b",
        "rtsp://10.0.0.1/a\n",
        "\nrtsp://10.0.0.1/a",
        "rtsp://10.0.0.1/a\r\nX: y",
        "rtsp://10.0.0.1/a\0",
        "rtsp://10.0.0.1/%00",
        "rtsp://10.0.0.1/%0d%0aX:y",
        "rtsp://u%0a:p@10.0.0.1/",
        "rtsp://10.0.0.1/%zz",
        "rtsp://10.0.0.1/a|b",
        "rtsp://10.0.0.1/a,b",
        "rtsp://10.0.0.1/a#b",
        "rtsp://10.0.0.1\\@8.8.8.8/",
        "rtsp://10.0.0.1/?tcp",
        "rtsp://10.0.0.1/?udp",
        "rtsp://10.0.0.1/a?b=1&http",
        "rtsp://10.0.0.1/a?listen",
        "rtsp://10.0.0.1/a?listen=1",
        "rtsp://10.0.0.1/a?%6cisten=1",
        "rtsp://10.0.0.1/a?localaddr=10.0.0.2",
        "rtsp://10.0.0.1/é",
        "rtsp:10.0.0.1/a",
        "rtsp://",
        "rtsp:///a",
        "rtsp://10.0.0.1:0/",
        "rtsp://10.0.0.1:65536/",
        "rtsp://10.0.0.1:x/",
        "rtsp://a@b@10.0.0.1/",
        "rtsp://[fd00::1%25eth0]/",
        "rtsp://[10.0.0.1]/",
        "rtsp://-x/",
        "rtsp://a..b/",
        "rtsp://" + "a" * 300 + "/",
        "rtsp://10.0.0.1/" + "a" * 501,
        "rtsp://" + "u" * 130 + ":p@10.0.0.1/",
        "rtsp://10.0.0.1/" + "a" * 2_000,
        "",
    ],
)
def test_what_is_no_address_of_a_camera(url: str) -> None:
    with pytest.raises((Refused, UsageError)) as caught:
        check(url, "10.0.0.1")
    assert caught.value.mend


def test_an_error_does_not_repeat_a_password() -> None:
    for url in ("rtsp://u:geheim 1@10.0.0.1/", "http://u:geheim@10.0.0.1/", "rtsp://u:geheim@8.8.8.8/"):
        with pytest.raises((Refused, UsageError)) as caught:
            check(url)
        assert "geheim" not in str(caught.value)


def test_a_name_that_is_not_known_may_be_known_later() -> None:
    def unknown(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror

    with pytest.raises(TryAgain):
        check_address("rtsp://cam/1", allow_networks=NETWORKS, files_dir=None, resolve=unknown)


class TestFiles:
    def test_a_plain_name_inside_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a (1).mp4").touch()
        pinned = check("file:a (1).mp4", files=tmp_path)
        assert pinned.url == f"file:{tmp_path.resolve()}/a (1).mp4"
        assert (pinned.format, pinned.protocols, pinned.shown) == ("mp4", "file", "file:a (1).mp4")

    @pytest.mark.parametrize(
        "name",
        [
            "../a.mp4",
            "/etc/a.mp4",
            "//a.mp4",
            "sub/a.mp4",
            "..",
            ".a.mp4",
            "",
            "a.m3u8",
            "a.sdp",
            "a.concat",
            "a.ffconcat",
            "a.txt",
            "a.mp4\n",
            "a|b.mp4",
            "a,b.mp4",
            "-a.mp4",
            "a:b.mp4",
            "%2e%2e/a.mp4",
            "x\\a.mp4",
            "a\0.mp4",
        ],
    )
    def test_what_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises((Refused, UsageError)):
            check(f"file:{name}", files=tmp_path)

    def test_no_link_leads_out(self, tmp_path: Path) -> None:
        inside = tmp_path / "in"
        inside.mkdir()
        (tmp_path / "secret.mp4").touch()
        (inside / "a.mp4").symlink_to(tmp_path / "secret.mp4")
        (inside / "list.m3u8").touch()
        (inside / "b.mp4").symlink_to(inside / "list.m3u8")
        for name in ("a.mp4", "b.mp4"):
            with pytest.raises(Refused):
                check(f"file:{name}", files=inside)

    def test_no_folder_and_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match="files_dir"):
            check("file:a.mp4")
        with pytest.raises(NotFound):
            check("file:a.mp4", files=tmp_path)


@given(st.text(st.characters(max_codepoint=300), max_size=80).map(lambda tail: f"rtsp://{tail}"))
def test_whatever_is_written_the_url_leads_to_the_pinned_address(url: str) -> None:
    try:
        pinned = check(url, "10.9.8.7")
    except (Refused, UsageError):
        return
    assert ipaddress.ip_address(pinned.ip) == ipaddress.ip_address("10.9.8.7")
    rest = pinned.url.removeprefix("rtsp://")
    assert rest.partition("/")[0].rpartition("@")[2] == f"10.9.8.7:{pinned.port}"
    assert pinned.url.isascii()
    assert pinned.url.isprintable()
    assert " " not in pinned.url


@given(st.text(max_size=30), st.text(max_size=30))
def test_redacted_leaves_no_credentials(user: str, secret: str) -> None:
    secret = "".join(secret.split()) + "S3CRET"
    user = "".join(user.split())
    assert "S3CRET" not in redacted(f"cannot open rtsp://{user}:{secret}@10.0.0.1/ch1 now")


def test_redacted_leaves_the_rest() -> None:
    assert redacted("open rtsp://u:p@h/1: and rtsps://x@h/2 ok a@b") == "open rtsp://h/1: and rtsps://h/2 ok a@b"
