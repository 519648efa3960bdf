"""Times as people type them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucheng.cli.times import local_text, parse_time
from model.errors import SettingsError, UsageError

SHANGHAI = "Asia/Shanghai"


@pytest.mark.parametrize(
    ("given_text", "time_ms"),
    [
        ("2026-11-22T08:00:00Z", 1_795_334_400_000),
        ("2026-11-22T08:00:00.123Z", 1_795_334_400_123),
        ("2026-11-22T16:00:00+08:00", 1_795_334_400_000),
        ("2026-11-22 16:00", 1_795_334_400_000),
        ("2026-11-22T16:00:00", 1_795_334_400_000),
        (" 2026-11-22 16:00:00 ", 1_795_334_400_000),
        ("2026-11-22", 1_795_276_800_000),
        ("1795334400000", 1_795_334_400_000),
        ("0", 0),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_every_form_is_read(given_text: str, time_ms: int) -> None:
    assert parse_time(given_text, SHANGHAI) == time_ms


@pytest.mark.parametrize(
    "given_text",
    [
        "",
        "now",
        "2026",
        "1795334400",
        "2026-13-01",
        "2026-11-22T25:00",
        "20261122",
        "2026-W01",
        "１２",
        "2026-11-22T08:00:00Zx",
        "-5",
        "9" * 400,
    ],
)
def test_anything_else_is_refused_and_the_forms_are_named(given_text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_time(given_text, SHANGHAI)
    assert "epoch milliseconds" in caught.value.mend


@given(st.text(max_size=40))
def test_no_text_makes_it_raise_anything_else(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_time(text, SHANGHAI)


def test_a_zone_that_is_none_names_the_setting() -> None:
    with pytest.raises(SettingsError, match=r"city\.time_zone"):
        parse_time("2026-11-22", "Mars/Base")


@pytest.mark.parametrize("zone", ["../../etc/passwd", "/etc/passwd", "\x00"])
def test_s5_a_zone_is_no_path(zone: str) -> None:
    with pytest.raises(SettingsError):
        parse_time("2026-11-22", zone)


def test_local_text() -> None:
    assert local_text("2026-11-22T08:00:00.123Z", SHANGHAI) == "2026-11-22 16:00:00.123"
