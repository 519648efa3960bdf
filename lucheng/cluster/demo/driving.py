"""What goes through the three machines: the demo's city, and people who press alarm buttons all the time, each press watched to the console.

Invariants: what was sent is known by device, so that the end can hold what is stored against it; a press counts from the moment it is made to the
moment a console hears of it, through whatever happens meanwhile; nothing here ends because a machine does.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lucheng.demo_service import LOOPBACK
from lucheng.demo_story import SOS_AT_S, Incidents
from model.codes import Flag
from model.errors import Conflict, LuchengError, TryAgain
from model.signal import message_signal_id
from simulator import payloads
from simulator.city import City
from simulator.city_terminals import CityTerminals, terminals_of
from simulator.load import Driven, run_city, send_points
from simulator.publisher import Publisher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.sections import Demo
    from console.client import RemoteClient
    from model.clock import Clock

PRESS_EVERY_S = 1.0
TAXI_INTERVAL_S, BIKE_INTERVAL_S = 2.0, 10.0
PAST_MS, PAST_STEP_MS, PAST_POINTS_PER_MESSAGE = 3 * 60_000, 60_000, 50
KEEPALIVE_S = 5
DRAIN_S = 60.0
_POLL_S = 0.5
_RAISED = ("raise", "signal")
_POINT = "/up/point"


class CountingPublisher(Publisher):
    """A publisher that counts the points of each device that it was given, from before it connects.

    Args:
        broker_url: see `Publisher`.
        points: where they are counted.
        clock: for time-outs.
    """

    def __init__(self, broker_url: str, points: Counter[str], *, clock: Clock) -> None:
        super().__init__(broker_url, clock=clock, keepalive_s=KEEPALIVE_S)
        self._points = points

    def publish(self, device: str, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """As `Publisher.publish`."""
        super().publish(device, topic, payload, retain=retain)
        if topic.endswith(_POINT):
            found = json.loads(payload)
            self._points[device] += len(found) if isinstance(found, list) else 1


class Driver:
    """The city, on a thread of its own.

    Args:
        demo: how large it is.
        mqtt_url, jt_port: where it reports.
        client: registers the terminals.
        clock: paces.
    """

    def __init__(self, demo: Demo, mqtt_url: str, jt_port: int, client: RemoteClient, clock: Clock) -> None:
        self._demo, self._mqtt_url, self._jt_port = demo, mqtt_url, jt_port
        self._client, self._clock = client, clock
        self.stop = threading.Event()
        self.incidents = Incidents(clock)
        self.city = City(
            demo.seed,
            demo.taxis,
            demo.bikes,
            demo.buttons,
            demo.units,
            clock.now_ms() - PAST_MS,
            taxi_interval_s=TAXI_INTERVAL_S,
            bike_interval_s=BIKE_INTERVAL_S,
            unit_interval_s=TAXI_INTERVAL_S,
            presses_per_day=0.0,
        )
        #: Points of each device that were given to MQTT; places that terminals sent; whether everything was acknowledged.
        self.sent: Counter[str] = Counter()
        self.places = 0
        self.drained = False
        self.failure: LuchengError | None = None
        self._thread = threading.Thread(target=self._run, name="city", daemon=True)

    @property
    def buttons(self) -> list[tuple[str, float, float]]:
        """Its alarm buttons, and where they are."""
        city = self.city
        places = zip(city.button_lat.tolist(), city.button_lon.tolist(), strict=True)
        return [(city.ids[city.movers + at], lat, lon) for at, (lat, lon) in enumerate(places)]

    def start(self) -> None:
        """Drive until `stop`."""
        self._thread.start()

    def join(self) -> None:
        """Wait until what was sent is acknowledged."""
        self._thread.join(3 * DRAIN_S)

    def _run(self) -> None:
        try:
            with CountingPublisher(self._mqtt_url, self.sent, clock=self._clock) as publisher:
                self._drive(publisher)
        except LuchengError as error:
            self.failure = error

    def _drive(self, publisher: Publisher) -> None:
        city, demo = self.city, self._demo
        taxis = terminals_of(city.ids[max(demo.taxis - demo.terminals, 0) : demo.taxis])
        for one in taxis:
            with contextlib.suppress(Conflict):
                self._client.call(
                    "device_add", device=one.device, plate=one.plate, phone=one.number, protocol=one.registered_as
                )
        with CityTerminals(LOOPBACK, self._jt_port, taxis, city.ids, self._clock) as terminals:
            terminals.come_online()
            self.incidents.add(SOS_AT_S, "sos", lambda _city: terminals.press_sos())
            driven = Driven()
            while city.now_ms < self._clock.now_ms() - PAST_STEP_MS and not self.stop.is_set():
                past = city.step(city.now_ms + PAST_STEP_MS)
                past.flags = past.flags | np.uint16(Flag.BUFFERED)
                send_points(publisher, city, past, PAST_POINTS_PER_MESSAGE, driven, self.stop, terminals)
            while not self.stop.is_set():
                self._live(publisher, terminals)
            self.drained = publisher.drain(DRAIN_S) and terminals.drain(DRAIN_S)
            self.places = terminals.places

    def _live(self, publisher: Publisher, terminals: CityTerminals) -> None:
        """Until the end, or until a terminal finds no gateway: then what it had is gone, as when a driver turns his engine off."""
        try:
            run_city(
                publisher,
                self.city,
                clock=self._clock,
                seconds=float("inf"),
                stop=self.stop,
                progress=lambda _driven: self.incidents.play(self.city),
                terminals=terminals,
                drain_timeout_s=DRAIN_S,
            )
        except TryAgain:
            self.stop.wait(_POLL_S)


@dataclass(slots=True)
class Press:
    """One press: which button, when (monotonic seconds), and when a console heard of it."""

    device: str
    at_s: float
    heard_s: float | None = None

    @property
    def took_s(self) -> float | None:
        """From the button to the console."""
        return None if self.heard_s is None else self.heard_s - self.at_s


class Presser:
    """Presses a button a second, and listens to a console's feed.

    Args:
        mqtt_url: where buttons report. client: of the console that listens. buttons: ids and places. clock: paces and measures.
    """

    def __init__(
        self, mqtt_url: str, client: RemoteClient, buttons: Sequence[tuple[str, float, float]], clock: Clock
    ) -> None:
        self._mqtt_url, self._client, self._clock = mqtt_url, client, clock
        self._buttons = list(buttons)
        self._lock = threading.Lock()
        self.stop = threading.Event()
        self._ended = threading.Event()
        self.presses: dict[str, Press] = {}
        self.drained = False
        self.failure: LuchengError | None = None
        self._thread = threading.Thread(target=self._press, name="presser", daemon=True)
        self._feed = threading.Thread(target=self._listen, name="presser-feed", daemon=True)

    def start(self) -> None:
        """Press until `stop`; listen until `end`."""
        self._feed.start()
        self._thread.start()

    def join(self) -> None:
        """Wait until every press is acknowledged."""
        self._thread.join(2 * DRAIN_S)

    def end(self) -> None:
        """Listen no more."""
        self._ended.set()

    def made(self) -> list[Press]:
        """All of them so far, in their order."""
        with self._lock:
            return list(self.presses.values())

    def unheard(self) -> list[Press]:
        """Those that no console has heard of."""
        return [press for press in self.made() if press.heard_s is None]

    def missed(self) -> list[str]:
        """Signals that the desk does not have, asked of it now. Raises TryAgain."""
        known: set[str] = set()
        before: int | None = None
        while page := self._client.call("signal_list", kind="one_key", before=before, limit=500, purpose="test"):
            known |= {row["id"] for row in page}
            before = min(row["number"] for row in page)
        with self._lock:
            return [signal_id for signal_id in self.presses if signal_id not in known]

    def _press(self) -> None:
        try:
            with Publisher(
                self._mqtt_url, clock=self._clock, client_id="demo-buttons", keepalive_s=KEEPALIVE_S
            ) as publisher:
                number = 0
                while not self.stop.wait(PRESS_EVERY_S):
                    device, lat, lon = self._buttons[number % len(self._buttons)]
                    number += 1
                    name, now_ms = f"{device.replace('/', '-')}-{number}", self._clock.now_ms()
                    with self._lock:
                        self.presses[message_signal_id(device, name)] = Press(device, self._clock.monotonic_s())
                    payload = payloads.alarm(name, now_ms, "one_key", lat=lat, lon=lon)
                    publisher.publish(device, payloads.topic(device, "alarm"), payload)
                self.drained = publisher.drain(DRAIN_S)
        except LuchengError as error:
            self.failure = error

    def _listen(self) -> None:
        after: int | None = None
        while not self._ended.is_set():
            try:
                for event in self._client.watch(after=after, purpose="test", every_line=True):
                    if self._ended.is_set():
                        return
                    if "action" in event:
                        after = event["number"]
                        if event["action"] in _RAISED:
                            self._heard(event["alarm"]["device"])
            except LuchengError:
                self._ended.wait(_POLL_S)

    def _heard(self, device: str) -> None:
        """The oldest press of that button that nobody has heard of."""
        with self._lock:
            for press in self.presses.values():
                if press.device == device and press.heard_s is None:
                    press.heard_s = self._clock.monotonic_s()
                    return
