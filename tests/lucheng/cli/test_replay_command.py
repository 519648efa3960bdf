"""`lucheng replay` in this process and through a service: lines in order, and a terminal that plays."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from analytics.replay.clock import MediaClock
from config.settings import load
from console.api import make_app
from console.client import Client, LocalClient
from console.operations import Caller
from console.server import ApiServer
from lucheng.cli import replay_command
from lucheng.cli.replay_lines import event_lines
from lucheng.cli.replay_playing import FRAMES_PER_S, Frames, Keys, Picture, play
from lucheng.cli.replay_screen import Screen
from lucheng.cli.root import app
from lucheng.cli.times import parse_time
from lucheng.operating import operations_of
from lucheng.rooms import Rooms, open_rooms
from model.batch import PointBatch
from model.batch_codec import encode
from model.clock import FakeClock, SystemClock
from model.codes import Flag
from model.seams import NewRecord, Outcome, RecordKind
from tests.conftest import wait_until

STEP = 100 / 111_195.08
CLI = CliRunner()
#: An hour of yesterday: what is older than a month needs a second person.
START_MS = SystemClock().now_ms() // 86_400_000 * 86_400_000 - 86_400_000
END_MS = START_MS + 3_600_000
WINDOW = ("--from", str(START_MS), "--to", str(END_MS), "--purpose", "test")


def fill(rooms: Rooms) -> None:
    """One taxi stands, drives with a passenger, stands; another drives beside it for five minutes."""
    slots = rooms.registry.ensure(["taxi/1", "taxi/2"]).tolist()
    moves = np.concatenate(([0.0], np.zeros(30), np.ones(60), np.zeros(30)))
    batches = []
    for slot, count in zip(slots, (121, 30), strict=True):
        flags = np.full(count, int(Flag.OCCUPIED_SENT))
        flags[40:70] |= int(Flag.OCCUPIED)
        columns = {"slot": slot, "time_ms": START_MS + 10_000 * np.arange(count), "received_ms": START_MS}
        place = {"lat": 40.65 + np.cumsum(moves)[:count] * STEP, "lon": 109.84, "flags": flags}
        batches.append(PointBatch.of(count, {**columns, **place}))
    batch = PointBatch.concat(batches)
    position = rooms.points_log.append([NewRecord(RecordKind.POINTS, len(batch), encode(batch))])
    rooms.series.commit(Outcome(position, batch), stored_ms=START_MS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the command works on."""
    made = tmp_path / "data"
    monkeypatch.setenv("LUCHENG_DATA", str(made))
    with open_rooms(made, load(), write=True) as rooms:
        fill(rooms)
    return made


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    """A client of it in this process."""
    with open_rooms(folder, load(), write=False) as rooms:
        yield LocalClient(operations_of(rooms), Caller("tester", "cli", "process"))


@pytest.fixture(params=["in process", "through the service"])
def service(request: pytest.FixtureRequest, folder: Path) -> Iterator[None]:
    """The folder with and without a service on it."""
    if request.param == "in process":
        yield
        return
    with open_rooms(folder, load(), write=True) as rooms, ApiServer(make_app(operations_of(rooms)), rooms.socket_path):
        yield


def run(*arguments: str) -> list[str]:
    done = CLI.invoke(app, ["replay", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def lines(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*arguments, *WINDOW, "--json")]


def test_one_json_line_for_each_point_event_and_frame_in_order(service: None) -> None:
    found = lines("taxi/1", "taxi/2", "--step", "60")
    order = [(line["time"], {"point": 0, "frame": 2}.get(line["what"], 1)) for line in found]
    assert order == sorted(order)
    assert [line["what"] for line in found].count("point") == 151
    assert [line["what"] for line in found].count("frame") == 60
    events = [(line["device"], line["what"]) for line in found if line["what"] not in ("point", "frame")]
    assert [what for device, what in events if device == "taxi/1"] == [
        "stop_start", "stop_end", "trip_start", "occupied", "free", "trip_end", "stop_start", "stop_end", "gap_start",
    ]  # fmt: skip
    (trip,) = [line["of"] for line in found if line["what"] == "trip_end"]
    assert trip["distance_m"] == pytest.approx(6_000, abs=1)
    at_five = [line["of"] for line in found if line["what"] == "frame"][4]
    assert (at_five["device"], at_five["interpolated"]) == (["taxi/1", "taxi/2"], [0, 0])
    assert {line["what"] for line in lines("taxi/1")}.isdisjoint({"frame"})


def test_of_all_there_are_frames(service: None) -> None:
    found = lines("--step", "600")
    assert [line["of"]["device"] for line in found] == [["taxi/1", "taxi/2"], ["taxi/1"], ["taxi/1"], [], [], []]
    assert len(lines("--kind", "taxi")) == 60
    shown = run(*WINDOW, "--step", "1200")
    assert len(shown) == 3
    assert shown[0].endswith("2 of 2 with a place")


def test_what_is_no_terminal_gets_lines(folder: Path) -> None:
    shown = run("taxi/1", *WINDOW)
    assert len(shown) == 9
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:15:00  taxi/1  trip ends  6\.00 km", shown[5])


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("taxi/1", "--rate", "3.1"), 2), (("../x",), 2), (("taxi/9",), 3), (("--kind", "ebike"), 2)],
)
def test_what_cannot_be_replayed_is_words(folder: Path, arguments: tuple[str, ...], status: int) -> None:
    done = CLI.invoke(app, ["replay", *arguments, *WINDOW])
    assert done.exit_code in (status, 1), done.output
    assert done.stderr.startswith("lucheng: ")
    assert "Traceback" not in done.output


def begun(client: Client, devices: list[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = client.call(
        "replay", from_ms=START_MS, to_ms=END_MS, devices=devices, points=False, purpose="test"
    )
    return found


class Played:
    """A replay that a fake clock plays, with keys pressed before some pictures."""

    def __init__(self, client: Client, devices: list[str] | None, *, rate: float, keys: dict[int, list[str]]) -> None:
        self.clock = FakeClock()
        self.pictures: list[Picture] = []
        self.seen_s: list[float] = []
        found = begun(client, devices)
        events = event_lines(found["tracks"], found["events"]) if devices else []
        media = MediaClock(START_MS, END_MS, now_s=self.clock.monotonic_s(), rate=rate, playing=True)
        self._keys = keys
        with Frames(client, found["replay"]) as frames:
            times = [parse_time(line["time"], "UTC") for line in events]
            play(self.clock, media, (START_MS, END_MS), frames, events, times, self._pressed, self._show)

    def _pressed(self) -> list[str]:
        return self._keys.get(len(self.pictures), [])

    def _show(self, picture: Picture) -> None:
        self.pictures.append(picture)
        self.seen_s.append(self.clock.monotonic_s())


def test_it_plays_true_to_time_to_the_end(client: Client) -> None:
    played = Played(client, ["taxi/1", "taxi/2"], rate=16.0, keys={})
    assert played.seen_s[-1] == pytest.approx(3_600 / 16)
    assert len(played.pictures) == 3_600 // 16 * FRAMES_PER_S + 1
    for picture, seen_s in zip(played.pictures, played.seen_s, strict=True):
        assert picture.at_ms == pytest.approx(min(START_MS + seen_s * 16_000, END_MS - 1), abs=1)
        # The frame is the last one at or before media time, on a grid of 3.2 s.
        assert 0 <= picture.at_ms - parse_time(picture.frame["time"], "UTC") < 3_200 + 1
        assert all(parse_time(line["time"], "UTC") <= picture.at_ms for line in picture.events)
    assert [line["what"] for line in played.pictures[-1].events][-1] == "gap_start"
    assert played.pictures[0].frame["device"] == ["taxi/1", "taxi/2"]


def test_keys(client: Client) -> None:
    keys = {1: ["space"], 3: ["space", "+", "+"], 5: ["right"], 6: ["left"], 7: ["-"] * 9, 9: ["q"]}
    played = Played(client, None, rate=16.0, keys=keys)
    at = [picture.at_ms - START_MS for picture in played.pictures]
    assert at[:3] == [0, 3_200, 3_200]
    assert [picture.playing for picture in played.pictures[:4]] == [True, False, False, True]
    assert [picture.rate for picture in played.pictures[3:9]] == [64.0] * 4 + [0.25] * 2
    assert at[3:7] == [3_200, 16_000, 328_800, 41_600]
    assert len(played.pictures) == 9


@pytest.mark.parametrize("devices", [["taxi/1", "taxi/2"], None])
def test_the_screen(client: Client, devices: list[str] | None) -> None:
    found = begun(client, devices)
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100, height=60)
    pieces = [piece for track in found["tracks"] or () for piece in track["line"]]
    lines = [(piece["lat"], piece["lon"]) for piece in pieces] if devices else None
    screen = Screen(devices or [], 2, "Asia/Shanghai", lines, console)
    events = event_lines(found["tracks"], found["events"])[:6] if devices else []
    with Frames(client, found["replay"]) as frames:
        frame = frames.at(START_MS + 400_000, 200)
    console.print(screen.page(Picture(START_MS + 400_000, START_MS, END_MS, 16.0, True, frame, events)))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())
    assert "08:06:40 Asia/Shanghai  16x  1 of 2 with a place" in shown
    assert re.search(r"taxi/1 +40\.658993 +109\.840000 +occupied", shown)
    assert ("taxi/2" in shown) == bool(devices)
    assert ("●" in shown) == bool(devices)
    assert ("trip begins" in shown) == bool(devices)
    # The line goes from the bottom to the top, though it is drawn from few points.
    dots = [line for line in shown.splitlines() if any(0x2801 <= ord(letter) <= 0x28FF for letter in line)]
    assert len(dots) == (15 if devices else 1)  # the mark stands on it once
    assert any(0x2801 <= ord(letter) <= 0x28FF for letter in shown)


def test_a_terminal_is_played_to_and_its_mode_given_back(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = begun(client, ["taxi/1"])
    main, other = pty.openpty()
    try:
        before = termios.tcgetattr(other)
        with Keys(other) as keys:
            os.write(main, b"x\x1b[C +\x1b[Dq")
            assert not termios.tcgetattr(other)[3] & termios.ICANON
            pressed: list[str] = []

            def all_came() -> bool:
                pressed.extend(keys())
                return "q" in pressed

            wait_until(all_came, what="the keys")
            assert pressed == ["right", "space", "+", "left", "q"]
            assert keys() == []
        assert termios.tcgetattr(other) == before
    finally:
        os.close(main)
        os.close(other)
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write), Keys(read) as none:
        assert none() == []
    monkeypatch.setattr("lucheng.cli.replay_playing.sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115 closed with the test
    replay_command._play(client, found, "Asia/Shanghai", 64.0, FakeClock())
    assert "taxi/1" in capsys.readouterr().out
