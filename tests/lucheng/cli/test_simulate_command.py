"""`lucheng terminal simulate`: what it prints, how a wrong script and a missing gateway are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lucheng.cli.root import app
from lucheng.cli.simulate_command import epilog
from lucheng.cli.simulate_texts import SIMULATE_TEXTS
from simulator.terminal.script import ACTIONS
from simulator.terminal.wire import Protocol
from tests.conftest import free_port
from tests.simulator.terminal.tiny_platform import TOKEN, Platform

CLI = CliRunner()


@pytest.fixture
def there() -> Iterator[Platform]:
    """A platform for JT/T 808."""
    one = Platform(Protocol.JT808)
    yield one
    one.close()


def simulate(port: int, *arguments: str, said: str | None = None) -> tuple[int, str, str]:
    done = CLI.invoke(app, ["terminal", "simulate", "--port", str(port), *arguments], input=said)
    return done.exit_code, done.stdout, done.stderr


def test_a_script_is_played_and_every_message_printed(there: Platform, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    script = tmp_path / "script"
    script.write_text("position 40.66 109.85 30  # here\nsos\nbatch 3 20\n\nheartbeat\nreconnect\nsos off\nposition\n")
    code, out, _ = simulate(there.port, "--script", str(script), "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    up = [row["message"] for row in rows if row["up"]]
    assert code == 0
    assert up == [
        "register", "authenticate", "position", "position", "batch", "heartbeat", "authenticate", "position",
    ]  # fmt: skip
    first = next(row for row in rows if row["message"] == "position")
    assert (first["message_id"], first["values"]["lat"], first["values"]["speed_kmh"]) == ("0x0200", 40.66, 30.0)
    assert [row["values"]["alarm"] for row in rows if row["message"] == "position"] == [0, 1, 0]
    assert bytes.fromhex(first["hex"]) == there.of(0x0200)[0].raw
    assert {"registered", "reply"} == {row["message"] for row in rows if not row["up"]}
    for row in rows:  # whoever reads along cannot speak as this terminal
        assert TOKEN not in str(row["values"])
        assert TOKEN.encode() not in bytes.fromhex(row["hex"])
    told = [row["values"]["token"] for row in rows if row["message"] == "registered"]
    assert told == ["***"]


def test_lines_for_people(there: Platform) -> None:
    code, out, _ = simulate(there.port, "--seconds", "0.2", "--rate", "20")
    lines = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert lines[0][1:4] in ([word, "register", "0x0100"] for word in (SIMULATE_TEXTS["simulate.up"].en, "上行"))
    assert len(there.of(0x0200)) >= 2
    assert "plate=蒙BT1234" in lines[0][5]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fly 3", "no action"),
        ("position here there", "could not convert"),
        ("position 99", "no place"),
        ("position 91 10", "no place"),
        ("sos on", "only `off`"),
        ("photo", "one file or size"),
        ("photo none.jpg", "No such file"),
        ("photo 0x0", "no size"),
        ("batch 0 1", "1 to 1000"),
        ("sleep -1", "less than nothing"),
        ("expect", "number is wanted"),
        ("expect zz", "invalid literal"),
        ("heartbeat 3", "nothing may follow"),
        ("sleep nan", "out of range"),
    ],
)
def test_a_wrong_line_is_told_with_its_number_before_anything_is_sent(there: Platform, line: str, said: str) -> None:
    code, out, errors = simulate(there.port, "--script", "-", said=f"position\n{line}\n")
    assert (code, out) == (1, "")
    assert "Line 2" in errors
    assert said in errors
    assert "Write" in errors or "Use one of" in errors
    assert there.packets == []


def test_what_does_not_come_is_told_with_its_line(there: Platform) -> None:
    code, _, errors = simulate(there.port, "--script", "-", said="expect 8801 0.1\n")
    assert code == 75
    assert "Line 1 (expect)" in errors
    assert "0x8801 did not come" in errors


def test_nothing_listening_is_exit_75() -> None:
    code, _, errors = simulate(free_port(), "--seconds", "1")
    assert code == 75
    assert "Nothing takes the connection" in errors


def test_a_wrong_number_is_refused(there: Platform) -> None:
    code, _, errors = simulate(there.port, "--number", "12a")
    assert code == 1
    assert "no number" in errors


def test_unanswered_messages_are_counted(there: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lucheng.cli.simulate_command.DEFAULT_LAST_ANSWERS_S", 0.0)
    there.mute.add(0x0200)
    code, _, errors = simulate(there.port, "--script", "-", said="position\nposition\n")
    assert code == 0
    assert "2" in errors


def test_every_action_is_in_the_help() -> None:
    shown = epilog()
    assert all(action.usage in shown for action in ACTIONS.values())
    assert CLI.invoke(app, ["terminal", "simulate", "--help"]).exit_code == 0
