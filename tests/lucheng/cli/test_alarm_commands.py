"""`alarm`, `unit` and `ebike` as people type them: in this process and through a service; watching over a restart."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.settings import load
from console.api import make_app
from console.server import ApiServer
from lucheng.cli.alarm_lines import event_line, left_text, mark, table_row, worded
from lucheng.cli.alarm_texts import ACTION_WORDS, SEVERITY_MARKS
from lucheng.operating import operations_of
from lucheng.rooms import Rooms, open_rooms
from model.alarm import Action
from model.signal import Signal
from tests.lucheng.cli.test_commands import Result

TIMEOUT_S = 60
ESCAPE = "\x1b[2J\x07\u202e"
NAME = "button/7"


def take(rooms: Rooms, device: str = NAME, kind: str = "one_key", number: int = 1, note: str = "") -> str:
    """A signal of now; the id of its alarm."""
    now_ms = rooms.clock.now_ms()
    made = Signal(f"{device}-{number}", device, kind, "message", now_ms, now_ms, 40.65, 109.84, 1, False, note, number)
    return rooms.desk.take([made])[-1].alarm.alarm.id


def fill(rooms: Rooms) -> str:
    """A button with an alarm, a unit and an e-bike; the id of the alarm."""
    rooms.registry.ensure([NAME, "unit/1", "ebike/1"])
    return take(rooms, note=f"help{ESCAPE}")


@pytest.fixture(params=["in process", "through the service"])
def alarm(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of an alarm in a data folder, once without and once with a service."""
    monkeypatch.setenv("LUCHENG_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    with open_rooms(tmp_path / "data", load(), write=True) as rooms:
        made = fill(rooms)
        if request.param == "through the service":
            with ApiServer(make_app(operations_of(rooms)), rooms.socket_path):
                yield made
            return
    yield made


def columns(*arguments: str) -> list[dict[str, str]]:
    """A table as it comes through a pipe."""
    head, *rows = Result(*arguments).out.splitlines()
    return [dict(zip(head.split("\t"), row.split("\t"), strict=True)) for row in rows]


def test_one_alarms_life_by_command(alarm: str) -> None:
    (row,) = columns("alarm", "list")
    assert (row["!"], row["kind"], row["work"]) == ("▲A", "one-key alarm button", "new")
    assert row["left"].endswith(" s")
    assert Result("alarm", "ack", alarm).out.startswith(f"{alarm}: acknowledged, version 2 ")
    done = Result("alarm", "dispatch", alarm, "--unit", "unit/1", "--eta", "3", "--json").json()
    assert (done["work"], done["unit"]) == ("dispatched", "unit/1")
    (unit,) = Result("unit", "list", "--json").json()
    assert (unit["state"], unit["alarm"]) == ("on_the_way", alarm)
    assert "unit on scene" in Result("alarm", "arrive", alarm).out
    assert Result("alarm", "resolve", alarm, "--outcome", "test", "--reason", ESCAPE).status == 0
    refused = Result("alarm", "close", alarm)
    assert (refused.status, refused.out) == (1, "")
    assert "Say why" in refused.err
    assert "closed" in Result("alarm", "close", alarm, "--reason", "drill").out
    assert columns("alarm", "list") == []
    assert [row["work"] for row in columns("alarm", "list", "--all")] == ["closed"]
    for shown in (Result("alarm", "show", alarm).out, Result("audit", "list").out):
        assert not set(ESCAPE) & set(shown) - set("[2J")
    found = Result("alarm", "show", alarm, "--json").json()
    assert [step["action"] for step in found["history"]][-1] == "close"
    assert found["signals_kept"][0]["note"].startswith("help")


def test_a_version_that_is_old_ends_with_status_1_and_says_who(alarm: str) -> None:
    me = Result("alarm", "ack", alarm, "--json").json()["owner"]
    late = Result("alarm", "ack", alarm, "--version", "1")
    assert (late.status, late.out) == (1, "")
    assert f"{me} was first" in late.err
    assert Result("alarm", "hand-over", alarm, "--to", "wang", "--json").json()["owner"] == "wang"
    assert Result("alarm", "ack", "X9").status == 1
    assert Result("alarm", "ack", "A%").status == 1


def test_shelving_units_and_figures(alarm: str) -> None:
    assert Result("alarm", "shelve", alarm, "--minutes", "5", "--reason", "works").status == 0
    assert columns("alarm", "list") == []
    assert Result("alarm", "restore", alarm).status == 0
    until = Result("alarm", "shelve", alarm, "--until", "2030-01-01 08:00", "--reason", "works", "--json").json()
    assert until["shelved_until"] == "2030-01-01T00:00:00.000Z"
    assert Result("alarm", "shelve", alarm, "--reason", "works").status == 2
    assert Result("unit", "set", "unit/1", "--level", "2", "--state", "off_duty").out.count("off duty") == 1
    assert [row["level"] for row in columns("unit", "list")] == ["2"]
    assert Result("unit", "set", NAME, "--level", "2").status == 2
    said = Result("alarm", "stats").out
    assert "1 alarms in the last 10 minutes; one operator can take 1 (EEMUA 191)" in said
    assert "▲A 1" in said
    assert Result("alarm", "stats", "--json").json()["flood"] is False


@pytest.mark.usefixtures("alarm")
def test_a_stolen_ebike_by_command() -> None:
    told = Result("ebike", "report", "ebike/1", "--ref", "R-17", "--note", ESCAPE).out
    (row,) = columns("ebike", "case")
    assert (row["device"], row["state"], row["owner_ref"]) == ("ebike/1", "reported by its owner", "R-17")
    assert f"--purpose case:{row['case']}" in told
    assert "stolen" in Result("ebike", "case", row["case"], "--step", "stolen").out
    assert Result("ebike", "hand-over", row["case"], "--to", "nobody").status == 1
    assert Result("ebike", "officers", "--json").json() == []
    assert Result("ebike", "places", row["case"], "--json").json()["points"] == []
    shown = Result("ebike", "case", row["case"]).out
    assert "\x1b" not in shown
    assert Result("ebike", "recover", "ebike/1", "--json").json()["state"] == "recovered"
    assert Result("ebike", "recover", row["case"]).status == 1
    assert Result("ebike", "case", row["case"], "--step", "closed").status == 0
    assert columns("ebike", "case") == []
    assert len(Result("ebike", "case", "--all", "--json").json()) == 1
    assert Result("ebike", "case", "--step", "closed").status == 2


def test_without_a_service_there_is_nothing_to_watch(tmp_path: Path) -> None:
    done = Result("alarm", "watch", "--data", str(tmp_path))
    assert (done.status, done.out) == (75, "")
    assert "lucheng run" in done.err


# -- watching ---------------------------------------------------------------------------------


@contextmanager
def watching(data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`lucheng alarm watch` as a process; killed at the end when it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "lucheng", "alarm", "watch", "--data", str(data), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    ) as process:
        killer = threading.Timer(TIMEOUT_S, process.kill)
        killer.start()
        try:
            yield process
        finally:
            killer.cancel()
            process.kill()


def test_watching_shows_marks_as_shown_goes_on_after_a_restart_and_ends_calmly(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_rooms(data, load(), write=True) as rooms:
        alarm = fill(rooms)
        operations = operations_of(rooms)
        with ApiServer(make_app(operations), rooms.socket_path) as server, watching(data, "--after", "0") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.readline()
            assert " ▲A [" in first
            assert f" raised {alarm} one-key alarm button {NAME}" in first
            assert "shown" in process.stdout.readline()  # its own telling comes back as an event
            server.stop()
            assert "away" in process.stderr.readline()
            second = take(rooms, "button/8", number=2)
            with ApiServer(make_app(operations), rooms.socket_path):
                assert "back" in process.stderr.readline()
                assert second in process.stdout.readline()
                assert "shown" in process.stdout.readline()
                process.send_signal(signal.SIGINT)
                assert process.wait(TIMEOUT_S) == 0
                assert "Traceback" not in process.stderr.read()
        clocks = rooms.desk.stats().clocks_ms["to_show_ms"]
    assert clocks["count"] == 2


def test_watching_as_json_marks_nothing(tmp_path: Path) -> None:
    with open_rooms(tmp_path / "data", load(), write=True) as rooms:
        fill(rooms)
        served = ApiServer(make_app(operations_of(rooms)), rooms.socket_path)
        with served, watching(tmp_path / "data", "--after", "0", "--json") as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith('{"number":1,')
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 0
        assert "to_show_ms" not in rooms.desk.stats().clocks_ms


# -- lines ------------------------------------------------------------------------------------


def test_every_action_and_severity_has_its_words() -> None:
    assert set(ACTION_WORDS) >= {action.value for action in Action} | {"raise", "escalate", "breach", "unit"}
    assert [mark(severity) for severity in (1, 2, 3)] == ["▲A", "◆B", "●C"]
    assert len({text[0] for text in SEVERITY_MARKS.values()}) == len({text[1] for text in SEVERITY_MARKS.values()}) == 3


def test_what_is_written_cannot_drive_the_terminal() -> None:
    alarm = {
        "alarm": "A1",
        "kind": "sos",
        "device": "taxi/1",
        "jurisdiction": "st\x1b[31m",
        "severity": 1,
        "work": "new",
        "remaining_s": -12,
        "owner": "x\ny",
        "unit": "",
        "signals": 1,
        "received": None,
    }
    event = {"time": "T", "action": "close", "by": "li\r\x1b]0;x\x07", "detail": {"reason": ESCAPE}, "alarm": alarm}
    line = event_line(event, lambda time_text: time_text)
    assert line.isprintable()
    assert "[over by 12 s]" in line
    assert left_text({"remaining_s": None}) == ""
    assert table_row(alarm)["!"] == "▲A"
    assert worded({"kind": "not a kind", "work": None}) == {"kind": "not a kind", "work": None}
