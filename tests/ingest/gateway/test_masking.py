"""S17: the token with which a terminal authenticates is in nothing that is kept of a refused frame."""

from __future__ import annotations

import string
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.gateway.masking import shown_frame
from ingest.jt808.codec import write_frames
from model.codes import Reason
from tests.ingest.gateway.conftest import NUMBER
from tests.ingest.gateway.direct import Direct

TOKEN = "q7Zc-mX2_bPeR4tYvW9sLh0K"
#: A piece of it that may be left: the rest has 78 bits and more.
HARMLESS_CHARS = 12
_ALPHABET = string.ascii_letters + string.digits + "-_"


def authentication(token: str, version: int, serial: int = 5) -> bytes:
    """0102 with that token."""
    raw = token.encode()
    body = raw if version < 2019 else bytes((len(raw),)) + raw + b"866496077582164" + b"V1.0".ljust(20, b"\0")
    return write_frames(0x0102, body, number=NUMBER, serial=serial, version=version)[0]


def leaked(kept: bytes, token: str) -> str:
    """The longest piece of the token that can be read, if it is worth anything."""
    text = kept.decode("latin-1")
    pieces = (token[at : at + HARMLESS_CHARS] for at in range(len(token) - HARMLESS_CHARS + 1))
    return next((piece for piece in pieces if piece in text), "")


def nothing_leaked(direct: Direct, token: str) -> None:
    """Neither the quarantine nor a report has it."""
    for one in direct.quarantined:
        assert not leaked(one.raw, token), (one.reason, one.raw)
        assert not leaked(one.detail.encode(), token), one.detail
    for report in direct.events.reports:
        assert not leaked(report.raw + repr(report.fields).encode(), token)


@pytest.mark.parametrize("version", [2013, 2019])
@pytest.mark.parametrize("reason", ["wrong", "unknown", "disabled", "other number", "encrypted", "part", "body"])
def test_a_whole_frame_is_refused_without_its_token(version: int, reason: str) -> None:
    with Direct() as direct:
        wire = direct.wire()
        raw = authentication(TOKEN, version)
        if reason not in ("unknown", "disabled"):
            direct.registry.add(NUMBER)
        if reason == "disabled":
            direct.registry.add(NUMBER, enabled=False)
        if reason == "other number":
            direct.registry.add("13800000002")
            direct.round([(wire, write_frames(0x0002, b"", number="13800000002", serial=1, version=2013)[0])])
        if reason == "encrypted":
            raw = _with_bits(raw, 1 << 10)
        if reason == "part":
            raw = write_frames(0x0102, TOKEN.encode(), number=NUMBER, serial=1, version=version, max_body=20)[0]
        if reason == "body" and version == 2019:
            raw = write_frames(0x0102, b"\\xff" + TOKEN.encode(), number=NUMBER, serial=1, version=version)[0]
        direct.round([(wire, raw)])
        assert len(direct.quarantined) == 1
        kept = direct.quarantined[0].raw
        assert len(kept) == len(raw)
        assert kept[:8] == raw[:8]  # whoever looks into it still sees what message it was
        nothing_leaked(direct, TOKEN)


def _with_bits(raw: bytes, bits: int) -> bytes:
    """The frame with these bits of the second word set and its checksum put right; it has no escapes."""
    plain = bytearray(raw[1:-2])
    plain[2:4] = (int.from_bytes(plain[2:4], "big") | bits).to_bytes(2, "big")
    checksum = 0
    for byte in plain:
        checksum ^= byte
    assert not {0x7D, 0x7E} & {*plain, checksum}
    return b"\x7e" + bytes(plain) + bytes((checksum, 0x7E))


def test_parts_that_never_became_whole_are_masked_too() -> None:
    with Direct(require_auth=False) as direct:
        direct.registry.add(NUMBER)
        wire = direct.wire()
        parts = write_frames(0x0102, TOKEN.encode() * 3, number=NUMBER, serial=1, version=2013, max_body=30)
        direct.round([(wire, b"".join(parts[:-1]))])
        direct.stop()
        assert direct.reasons == [Reason.INCOMPLETE]
        nothing_leaked(direct, TOKEN)


def test_our_own_answer_sent_back_is_masked() -> None:
    with Direct(require_auth=False) as direct:
        direct.registry.add(NUMBER)
        wire = direct.wire()
        direct.round(
            [(wire, write_frames(0x8100, b"\0\1\0" + TOKEN.encode(), number=NUMBER, serial=1, version=2013)[0])]
        )
        assert direct.reasons == [Reason.UNKNOWN_MESSAGE]
        nothing_leaked(direct, TOKEN)


@given(
    token=st.text(_ALPHABET, min_size=24, max_size=24).filter(lambda text: leaked(text.encode(), TOKEN) == ""),
    version=st.sampled_from([2013, 2019]),
    bit=st.integers(0, 8 * 80),
    cut=st.one_of(st.none(), st.tuples(st.integers(0, 80), st.integers(0, 80))),
    serial=st.integers(0, 0xFFFF),
    pieces=st.lists(st.integers(0, 90), max_size=3),
)
@example(token="0000000000Aa" + "0" * 12, version=2013, bit=0, cut=(3, 13), serial=0, pieces=[])
def test_a_damaged_frame_is_refused_without_its_token(
    token: str, version: int, bit: int, cut: tuple[int, int] | None, serial: int, pieces: list[int]
) -> None:
    """One bit flipped anywhere, or a piece lost, however it was read."""
    raw = bytearray(authentication(token, version, serial))
    if cut is None:
        raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    else:
        del raw[min(cut) : max(cut)]
    with Direct() as direct:
        direct.registry.add(NUMBER)
        wire = direct.wire()
        ends = [0, *sorted(min(one, len(raw)) for one in pieces), len(raw)]
        for begin, end in pairwise(ends):
            direct.round([(wire, bytes(raw[begin:end]))])
        direct.round([(wire, write_frames(0x0002, b"", number=NUMBER, serial=1, version=2013)[0])])
        direct.stop()
        for one in direct.quarantined:
            readable = leaked(one.raw, token)
            # Runs of one case alone are left for people to read; a token with two of them is one in a million.
            assert not readable or readable.islower() or not any(c.islower() for c in readable), one
            assert not leaked(one.detail.encode(), token)
        assert direct.events.reports == []


def test_what_is_no_token_stays_readable() -> None:
    http = b"GET /index.html HTTP/1.1\r\nHost: example.org\r\nUser-Agent: curl/8.5.0\r\n\r\n"
    assert shown_frame(http, Reason.BAD_FRAME) == http
    digits = b"\x7e\x02\x00866496077582164 8986060000000000\x00\x7e"
    assert shown_frame(digits, Reason.BAD_CHECKSUM) == digits
    text = write_frames(0x0900, b"MixedCaseTextOfADevice", number=NUMBER, serial=1, version=2013)[0]
    assert shown_frame(text, Reason.BAD_BODY) == text
    assert shown_frame(b"", Reason.BAD_FRAME) == b""
    assert shown_frame(b"\x7e\x01\x02", Reason.BAD_FRAME) == b"\x7e\x01\x02"
