"""Grants cover what they say and nothing else; purposes and device ids have their forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.device import check_device_id
from model.errors import Refused, UsageError
from model.grant import PURPOSE_NOTE_CHARS, Grant, Purpose


def grant(devices: frozenset[str] | None = frozenset({"taxi/1"})) -> Grant:
    return Grant("officer", "officer", Purpose("case", "A1"), devices, 100, 200)


@pytest.mark.parametrize(
    ("devices", "from_ms", "to_ms"),
    [
        (["taxi/1"], 99, 200),
        (["taxi/1"], 100, 201),
        (["taxi/2"], 100, 200),
        (None, 100, 200),
        (["taxi/1", "taxi/2"], 100, 200),
    ],
    ids=["too early", "too late", "another device", "every device", "one more device"],
)
def test_what_a_grant_does_not_cover_is_refused(devices: list[str] | None, from_ms: int, to_ms: int) -> None:
    with pytest.raises(Refused):
        grant().cover(devices, from_ms, to_ms)


def test_what_it_covers_is_not() -> None:
    grant().cover(["taxi/1"], 100, 200)
    grant(None).cover(None, 150, 160)
    grant(None).cover(["taxi/9"], 150, 160)


def test_a_purpose_is_read_as_it_is_written() -> None:
    assert Purpose.parse("case:A1:stolen bag: red") == Purpose("case", "A1", "stolen bag: red")
    assert Purpose.parse("patrol") == Purpose("patrol")


@pytest.mark.parametrize("text", ["", "curiosity", ":case", "case:" + "x" * (PURPOSE_NOTE_CHARS + 1)])
def test_another_purpose_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Purpose.parse(text)


@given(st.text(max_size=80))
def test_only_safe_names_are_device_ids(text: str) -> None:
    try:
        assert check_device_id("taxi/" + text) == "taxi/" + text
    except UsageError:
        return
    assert text.isascii()
    assert not set(text) & set("/+#:\\ \t\r\n\0,\"'=")
    assert not text.startswith(".")


@pytest.mark.parametrize("device", ["taxi/28249", "ebike/E-1", "gateway/g.1", "button/B_9"])
def test_usual_ids_are_device_ids(device: str) -> None:
    assert check_device_id(device) == device


@pytest.mark.parametrize(
    "device", ["", "taxi", "taxi/", "bus/1", "taxi/../x", "taxi/a b", "taxi/a/b", "TAXI/1", "taxi/1\n"]
)
def test_others_are_not(device: str) -> None:
    with pytest.raises(UsageError, match="kind/name"):
        check_device_id(device)
