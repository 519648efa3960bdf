"""`lucheng demo`: a broker, the service, and a city (or a file) that drives through both, shown live.

Invariants: everything is real and embedded: the broker and the service are processes of their own, points go through MQTT,
those of some taxis through the gateway of terminals; at the end what was sent is drained, the counters are shown, and
nothing is left behind, neither a process nor (unless a data folder was named) a file.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from console.live.tokens import TOKEN_NAME
from ingest.files import FileReader, guess_format, open_file
from lucheng.broker import EmbeddedBroker
from lucheng.demo_cameras import DemoCameras
from lucheng.demo_people import demo_people
from lucheng.demo_roads import put_roads
from lucheng.demo_service import LOOPBACK, demo_service, demo_settings, free_port, port_like
from lucheng.demo_story import PRESS_AT_S, SOS_AT_S, Incidents, Story
from lucheng.demo_view import Picture, View
from lucheng.rooms import BROKER_FOLDER
from model.clock import Clock, SystemClock
from model.codes import Flag
from model.errors import Conflict, LuchengError
from simulator.city import City
from simulator.city_terminals import CityTerminals, terminals_of
from simulator.load import Driven, run_city, send_points
from simulator.playing import play
from simulator.publisher import Publisher

if TYPE_CHECKING:
    from config.sections import Settings
    from console.client import RemoteClient

DRAIN_TIMEOUT_S = 30.0
TRACK_EVERY_S = 2.0
#: The city reports once a second, a picture is drawn more often: a rate is taken over this long.
RATE_OVER_S = 3.0
#: How much of the newest track is drawn, device time.
TRACK_WINDOW_MS = 2 * 3_600_000
#: The demo's devices report often, so that there is something to see, and bring some past along.
TAXI_INTERVAL_S = 2.0
BIKE_INTERVAL_S = 10.0
#: Nobody presses by chance: the story does.
PRESSES_PER_DAY = 0.0
FILE_SPEED = 60.0
PAST_MS = 15 * 60_000
PAST_STEP_MS = 60_000
PAST_POINTS_PER_MESSAGE = 50


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `lucheng demo` was asked.

    Attributes:
        seconds: stop after so long; None goes on until Ctrl-C (or the end of the file).
        data_file, file_format, day: play this file in place of the synthetic city; without a format it is
            told by the first line, and a file without dates is taken to be of yesterday.
        speed: times as fast as the data's own time, 0 as fast as it goes; None is 60 for a file, 1 for the city.
        config: settings file of the service too.
        data_dir: keep the data here; None uses a temporary folder that is removed.
        as_json: print the last counters as JSON in place of the live picture.
    """

    seconds: float | None = None
    data_file: Path | None = None
    file_format: str | None = None
    day: date | None = None
    speed: float | None = None
    config: Path | None = None
    data_dir: Path | None = None
    as_json: bool = False


@dataclass(slots=True)
class _Player:
    """The thread that publishes, and what became of it; `points` is known once it has ended."""

    thread: threading.Thread
    stop: threading.Event
    points: int = 0
    failure: list[LuchengError] = field(default_factory=list)


def run(options: DemoOptions, settings: Settings, *, clock: Clock | None = None) -> int:
    """Run the demo; return the exit status: 0 when every point is accounted for."""
    clock = clock or SystemClock()
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    with ExitStack() as stack:
        data_dir = options.data_dir or Path(tempfile.mkdtemp(prefix="lucheng-demo-"))
        if options.data_dir is None:
            stack.callback(shutil.rmtree, data_dir, ignore_errors=True)
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if options.data_file is None:
            put_roads(data_dir, settings.demo.seed)
        broker = EmbeddedBroker(
            data_dir / BROKER_FOLDER,
            program=settings.broker.program,
            anonymous=True,  # on loopback, on a free port, for as long as the demo runs
            max_inflight_messages=settings.broker.max_inflight_messages,
            max_queued_bytes=settings.broker.max_queued_bytes,
            clock=clock,
        )
        stack.enter_context(broker)
        wanted = options.data_file is None and settings.demo.terminals and settings.demo.taxis
        jt_port = free_port() if wanted else 0
        filmed = options.data_file is None and settings.demo.cameras and settings.demo.buttons
        live_port = free_port() if filmed else 0
        web_port = port_like(settings.web.port) if settings.web.port else 0
        given = demo_settings(jt_port, live_port, web_port)
        client = stack.enter_context(demo_service(data_dir, options.config, broker.url, given, clock, stop))
        view = stack.enter_context(View(settings.demo.refresh_ms, live=not options.as_json, program=broker.program))
        if web_port:
            view.tell(demo_people(client, f"http://{LOOPBACK}:{web_port}/").lines())
        incidents = Incidents(clock)
        player = _start_player(options, settings, broker.url, clock, stop, incidents, client, jt_port)
        story = None if options.data_file is not None else Story(client, incidents, clock, player.stop)
        view.page_file = data_dir / TOKEN_NAME if live_port else None
        last = _show(options, client, view, player, clock, stop, story)
        player.stop.set()
        if story is not None:
            story.join(DRAIN_TIMEOUT_S)
        player.thread.join(timeout=DRAIN_TIMEOUT_S)
        last = _drained(client, clock, last, player.points)
        view.show(last)
    if options.as_json:
        sys.stdout.write(json.dumps(last.counters) + "\n")
    else:
        view.summary(last)
    if player.failure:
        raise player.failure[0]
    least = 0 if stop.is_set() else 1  # who stops it at once has nothing to miss
    complete = last.in_flight == 0 and last.counters["received"] >= max(player.points, least)
    return 0 if complete else 1


def _start_player(
    options: DemoOptions,
    settings: Settings,
    broker_url: str,
    clock: Clock,
    stop: threading.Event,
    incidents: Incidents,
    client: RemoteClient,
    jt_port: int,
) -> _Player:
    player = _Player(threading.Thread(), threading.Event())

    def publish() -> None:
        try:
            with Publisher(broker_url, clock=clock) as publisher:
                if options.data_file is not None:
                    speed = FILE_SPEED if options.speed is None else options.speed
                    with _opened(options.data_file, options, settings, clock) as reader:
                        player.points = play(reader, publisher, clock=clock, speed=speed, stop=player.stop).points
                else:
                    player.points = _drive(publisher, settings, options, clock, player.stop, incidents, client, jt_port)
        except LuchengError as error:
            player.failure.append(error)
            stop.set()

    player.thread = threading.Thread(target=publish, name="player", daemon=True)
    player.thread.start()
    return player


def _opened(path: Path, options: DemoOptions, settings: Settings, clock: Clock) -> FileReader:
    """The file, its format and day guessed where they were not given."""
    name = options.file_format or guess_format(path)
    day = options.day
    if day is None and name == "shenzhen":
        today = datetime.fromtimestamp(clock.now_ms() / 1000, ZoneInfo(settings.city.time_zone)).date()
        day = today - timedelta(days=1)
    return open_file(path, name, time_zone=settings.city.time_zone, date=day, clock=clock)


def _drive(
    publisher: Publisher,
    settings: Settings,
    options: DemoOptions,
    clock: Clock,
    stop: threading.Event,
    incidents: Incidents,
    client: RemoteClient,
    jt_port: int,
) -> int:
    """The city's last minutes at once, as devices that come back from a dead zone send them; then live. Points sent."""
    demo = settings.demo
    city = City(
        demo.seed,
        demo.taxis,
        demo.bikes,
        demo.buttons,
        demo.units,
        clock.now_ms() - PAST_MS,
        taxi_interval_s=TAXI_INTERVAL_S,
        bike_interval_s=BIKE_INTERVAL_S,
        unit_interval_s=TAXI_INTERVAL_S,
        presses_per_day=PRESSES_PER_DAY,
    )
    # The first taxi is the one that speeds.
    taxis = terminals_of(city.ids[max(demo.taxis - demo.terminals, 0) : demo.taxis]) if jt_port else []
    for one in taxis:
        with contextlib.suppress(Conflict):  # in a data folder that an earlier demo left
            client.call("device_add", device=one.device, plate=one.plate, phone=one.number, protocol=one.registered_as)
    driven = Driven()
    cameras = demo.cameras if demo.buttons else 0
    with (
        CityTerminals(LOOPBACK, jt_port, taxis, city.ids, clock) as terminals,
        DemoCameras(client, clock, *_first_button(city), cameras) as corner,
    ):
        terminals.come_online()
        # whoever presses does so once the cameras around have something from before
        incidents.add(PRESS_AT_S, "button", lambda city: city.press_button() if corner.filmed() else None)
        incidents.add(SOS_AT_S, "sos", lambda _city: terminals.press_sos())
        incidents.repeat(lambda city: city.press_button())
        while city.now_ms < clock.now_ms() - PAST_STEP_MS and not stop.is_set():
            past = city.step(city.now_ms + PAST_STEP_MS)
            past.flags = past.flags | np.uint16(Flag.BUFFERED)
            send_points(publisher, city, past, PAST_POINTS_PER_MESSAGE, driven, stop, terminals)
        live = run_city(
            publisher,
            city,
            clock=clock,
            seconds=float("inf"),
            speed=options.speed or 1.0,
            stop=stop,
            progress=lambda _driven: incidents.play(city),
            terminals=terminals,
        )
        return driven.points + live.points + terminals.places


def _first_button(city: City) -> tuple[float, float]:
    """Where the button is that will be pressed."""
    return (float(city.button_lat[0]), float(city.button_lon[0])) if city.buttons else (0.0, 0.0)


def _show(
    options: DemoOptions,
    client: RemoteClient,
    view: View,
    player: _Player,
    clock: Clock,
    stop: threading.Event,
    story: Story | None,
) -> Picture:
    """Refresh the picture until the time is over, the file is played, or Ctrl-C."""
    started_s = clock.monotonic_s()
    picture = _look(client, clock, Picture())
    drawn_s = 0.0
    while not stop.is_set() and player.thread.is_alive():
        passed_s = clock.monotonic_s() - started_s
        if options.seconds is not None and passed_s >= options.seconds:
            break
        picture = _look(client, clock, picture)
        if story is not None:
            _tell(story, picture)
            story.watched(bool(picture.live.get("event_streams")))
        if clock.monotonic_s() - drawn_s >= TRACK_EVERY_S:
            _draw(client, picture)
            drawn_s = clock.monotonic_s()
        view.show(picture)
        stop.wait(view.refresh_s)
    return picture


def _tell(story: Story, picture: Picture) -> None:
    """What became of the alarms; the operator begins his shift when the patrol units have been heard of."""
    if not story.started and picture.devices_by_kind.get("unit"):
        story.ready_units()
        story.start()
    picture.lines = list(story.lines)


def _look(client: RemoteClient, clock: Clock, before: Picture) -> Picture:
    status = client.call("status")
    now_s = clock.monotonic_s()
    picture = Picture(
        counters={key: status[key] for key in ("received", "stored", "duplicate", "quarantined", "in_flight")},
        devices=sum(status["devices"].values()),
        devices_by_kind=status["devices"],
        signals=sum(status["signals"].values()),
        lines=before.lines,
        live=status["live"],
        points_per_s=before.points_per_s,
        rated_s=before.rated_s,
        rated_points=before.rated_points,
        track_device=before.track_device,
        track=before.track,
    )
    if now_s - before.rated_s >= RATE_OVER_S:
        points = picture.counters["received"] - before.rated_points
        picture.points_per_s = points / (now_s - before.rated_s) if before.rated_s else 0.0
        picture.rated_s, picture.rated_points = now_s, picture.counters["received"]
    return picture


def _draw(client: RemoteClient, picture: Picture) -> None:
    """The track of the taxi that was heard of last; kept once chosen."""
    with contextlib.suppress(LuchengError):
        if not picture.track_device:
            newest = max(client.call("where", purpose="test"), key=lambda row: str(row["time"]), default=None)
            if newest is None:
                return
            picture.track_device = newest["device"]
        place: list[dict[str, Any]] = client.call("where", devices=[picture.track_device], purpose="test")
        to_ms = View.epoch_ms(place[0]["time"]) + 1
        track = json.loads(
            b"".join(
                client.track(device=picture.track_device, from_ms=to_ms - TRACK_WINDOW_MS, to_ms=to_ms, purpose="test")
            )
        )
        picture.track = [(point["lat"], point["lon"]) for point in track["points"] if point["lat"] is not None]


def _drained(client: RemoteClient, clock: Clock, last: Picture, points: int) -> Picture:
    """Wait until everything that was sent has been received and is accounted for; gives up when nothing comes any more."""
    deadline_s = clock.monotonic_s() + DRAIN_TIMEOUT_S
    while clock.monotonic_s() < deadline_s:
        before, last = last, _look(client, clock, last)
        moved = last.counters["received"] != before.counters["received"]
        if last.in_flight == 0 and last.counters["received"] >= points and not moved:
            return last
        if moved:
            deadline_s = clock.monotonic_s() + DRAIN_TIMEOUT_S
        clock.sleep(0.3)
    return last
