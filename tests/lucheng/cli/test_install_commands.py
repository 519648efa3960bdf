"""Fitting devices by the command line: register, look, press, swap, retire, photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.devices.test_pictures import CANARY, segment, with_segments
from tests.lucheng.in_process import answer, lucheng

IMEI, OTHER = "490154203237518", "356938035643809"


def fails(data: Path, *arguments: str) -> str:
    """What a command that ends badly says."""
    done = lucheng(data, *arguments)
    assert done.returncode
    return done.stderr


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_a_device_from_its_registration_to_its_end(data: Path) -> None:
    place = ("--lat", "40.65", "--lon", "109.84", "--accuracy-m", "5")
    made = answer(data, "device", "register", "button", "--imei", IMEI, "--name", "gate", *place)
    device = made["device"]
    assert (device, made["lat"], made["installation"]["open"]) == (f"button/{IMEI}", 40.65, True)
    found = answer(data, "device", "check", device)
    assert [(step["step"], step["state"]) for step in found["steps"]] == [("report", "missing"), ("button", "missing")]
    assert answer(data, "device", "press", device)["test_until"] is not None
    skipped = answer(data, "device", "finish", device, "--skip", "report", "--skip", "button", "--note", "no power")
    assert skipped["done"]
    changed = answer(data, "device", "change", device, "--plate", "B1", "--version", str(made["version"]))
    assert changed["plate"] == "B1"
    swapped = answer(data, "device", "swap", device, "--new", "button/2", "--imei", OTHER, "--reason", "dead")
    assert (swapped["device"], swapped["name"], swapped["plate"]) == ("button/2", "gate", "B1")
    assert answer(data, "device", "retire", "button/2", "--reason", "sold")["retired"]["reason"] == "sold"
    actions = [row["action"] for row in answer(data, "device", "history", "button/2")]
    assert actions == ["retire", "install", "swap"]
    assert [row["action"] for row in answer(data, "device", "history", device)][:2] == ["retire", "change"]


@pytest.mark.parametrize(("locale", "words"), [("zh_CN.UTF-8", "首次上报"), ("C.UTF-8", "first report")])
def test_the_live_test_is_told_in_the_readers_language(
    data: Path, monkeypatch: pytest.MonkeyPatch, locale: str, words: str
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    device = answer(data, "device", "register", "button", "--imei", IMEI)["device"]
    said = lucheng(data, "device", "check", device).stdout
    assert said.startswith(f"… {words}\t")


def test_what_is_wrong_ends_with_words(data: Path) -> None:
    assert "check digit 8" in fails(data, "device", "register", "button", "--imei", IMEI[:-1] + "9")
    answer(data, "device", "register", "button", "--imei", IMEI)
    assert "somebody else" in fails(data, "device", "retire", f"button/{IMEI}", "--reason", "x", "--version", "0")
    assert "No press" in fails(data, "device", "confirm", f"button/{IMEI}")


def test_a_photo_is_kept_without_where_it_was_taken(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUCHENG_OPERATORS__DEFAULT_ROLE", "supervisor")
    device = answer(data, "device", "register", "button", "--imei", IMEI)["device"]
    taken = tmp_path / "wall.jpg"
    taken.write_bytes(with_segments(segment(0xE1, b"Exif\0\0" + CANARY)))
    kept = answer(data, "device", "photo", "add", device, str(taken))
    assert [row["photo"] for row in answer(data, "device", "photo", "list", device)] == [kept["photo"]]
