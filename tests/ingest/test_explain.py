"""`explain`: frames told field by field, refusals included; never an exception."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.explain import CODECS, explain
from tests.ingest.frames import frames

KEYS = {
    "protocol",
    "message_id",
    "message",
    "number",
    "serial",
    "version",
    "part",
    "checksum_ok",
    "fields",
    "error",
}
TAXI = "7E02000019108000000316 0000 00000E00 80000181 00F857A4 03F88E4E 00AC 6D 100101081347 2D7E"


def test_a_taxis_position() -> None:
    told = explain(TAXI)
    assert (told["protocol"], told["message_id"], told["message"]) == ("jt905", "0x0200", "position")
    assert (told["number"], told["checksum_ok"], told["error"]) == ("108000000316", True, "")
    fields = told["fields"]
    assert (round(fields["lat"], 6), round(fields["lon"], 6)) == (27.125607, 111.03501)
    assert (fields["speed_kmh"], fields["heading_deg"]) == (17.2, 218.0)


def test_a_wrong_checksum_is_told_beside_the_fields() -> None:
    told = explain(TAXI.replace("2D7E", "2E7E"))
    assert told["checksum_ok"] is False
    assert "checksum" in told["error"]
    assert told["fields"]["speed_kmh"] == 17.2


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("", "empty"),
        ("7e0", "not hex"),
        ("hello", "not hex"),
        ("00112233", "No protocol"),
        ("7e7e", ""),
        ("7e0200", ""),
        ("7878", ""),
        ("7e" + "00" * 100_000, ""),
    ],
)
def test_what_is_no_frame_is_refused_in_words(line: str, word: str) -> None:
    told = explain(line)
    assert set(told) == KEYS
    assert told["error"]
    assert word in told["error"]


def test_every_recorded_frame_is_explained_or_refused() -> None:
    """Which of the two, message by message, is what the codecs' own tests say."""
    protocols: Counter[str] = Counter()
    for name, key, protocol in (
        ("jt808-golden", "hex", "jt808"),
        ("jt905", "data", "jt905"),
        ("gt06", "data", "gt06"),
        ("jt808-devices", "data", "jt808"),
    ):
        for one in frames(name):
            told = explain(one[key], protocol)
            assert set(told) == KEYS
            assert bool(told["error"]) or told["fields"] is not None
            json.dumps(told)
            protocols[protocol] += not told["error"]
    assert protocols["jt905"] == 30
    assert protocols["jt808"] >= 69 + 40
    assert protocols["gt06"] > 60


@given(st.binary(max_size=200), st.sampled_from(["auto", *CODECS]))
def test_nothing_raises(data: bytes, protocol: str) -> None:
    told = explain(data.hex(), protocol)
    assert set(told) == KEYS
    json.dumps(told)


@given(st.binary(max_size=60), st.sampled_from([b"\x7e%b\x7e", b"\x78\x78%b\x0d\x0a", b"\x79\x79%b\x0d\x0a"]))
def test_nothing_raises_between_marks(data: bytes, marks: bytes) -> None:
    assert set(explain((marks % data).hex())) == KEYS


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    assert set(explain(text)) == KEYS
