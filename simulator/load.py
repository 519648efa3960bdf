"""A city that lives through MQTT: points, heartbeats and presses, published as time goes on.

Purpose: drive demo, tests and benchmarks with a `City`. Invariants: device time follows the clock times `speed`; everything the city reported is
sent before it ends, unless `stop` is set; what was sent is counted by kind. It gives up when the broker stalls, and holds nothing back otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from model.batch import PointBatch
from model.clock import Clock
from simulator import payloads
from simulator.city import City, FaultMaker
from simulator.city_terminals import CityTerminals
from simulator.playing import Chunk, messages_of
from simulator.publisher import Publisher

DEFAULT_TICK_S = 0.1
DEFAULT_DRAIN_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Driven:
    """What was sent by MQTT: points, messages that held them, heartbeats, alarms; and how many messages were acknowledged."""

    points: int = 0
    messages: int = 0
    beats: int = 0
    alarms: int = 0
    acknowledged: int = 0
    drained: bool = True


def run_city(
    publisher: Publisher,
    city: City,
    *,
    clock: Clock,
    seconds: float,
    speed: float = 1.0,
    faults: FaultMaker | None = None,
    points_per_message: int = 1,
    stop: threading.Event | None = None,
    progress: Callable[[Driven], None] | None = None,
    tick_s: float = DEFAULT_TICK_S,
    drain_timeout_s: float = DEFAULT_DRAIN_TIMEOUT_S,
    terminals: CityTerminals | None = None,
) -> Driven:
    """Publish the city for some seconds.

    Args:
        publisher: where it goes.
        city: its device time begins at `city.now_ms`; give it a `start_ms` of now for a live city, an earlier one to run faster.
        clock: paces.
        seconds: how long, by the clock; endless when infinite.
        speed: device time per clock time.
        faults: puts faults into what is sent.
        points_per_message: rows of one device that may share a message.
        stop: set it to end early.
        progress: called after every tick.
        tick_s: how often the city is asked.
        drain_timeout_s: how long the last acknowledgements may take.
        terminals: of taxis that do not speak MQTT; they count what they send.

    Raises TryAgain when the broker stalls.
    """
    stop = stop or threading.Event()
    driven = Driven()
    began_s, began_ms = clock.monotonic_s(), city.now_ms
    passed_s = 0.0
    while passed_s < seconds and not stop.is_set():
        clock.sleep(tick_s)
        passed_s = min(clock.monotonic_s() - began_s, seconds)
        to_ms = began_ms + int(passed_s * 1000 * speed)
        batch = city.step(to_ms)
        send_points(
            publisher, city, faults.apply(batch) if faults else batch, points_per_message, driven, stop, terminals
        )
        send_buttons(publisher, city, to_ms, driven)
        if progress is not None:
            driven.acknowledged = publisher.acknowledged
            progress(driven)
    if faults:
        send_points(publisher, city, faults.flush(), points_per_message, driven, stop, terminals)
    answered = terminals is None or terminals.drain(drain_timeout_s)
    driven.drained = publisher.drain(drain_timeout_s) and answered
    driven.acknowledged = publisher.acknowledged
    return driven


def send_points(
    publisher: Publisher,
    city: City,
    batch: PointBatch,
    per_message: int,
    driven: Driven,
    stop: threading.Event,
    terminals: CityTerminals | None = None,
) -> None:
    """Publish a batch, each row on its device's topic; those of taxis with terminals go to these."""
    if not len(batch):
        return
    if terminals is not None:
        batch = terminals.take(batch)
    for device, messages in messages_of(Chunk(city.ids, batch.slot, batch), per_message):
        topic = payloads.topic(device, "point")
        for payload, rows in messages:
            if stop.is_set():
                return
            publisher.publish(device, topic, payload)
            driven.points += rows
            driven.messages += 1


def send_buttons(publisher: Publisher, city: City, to_ms: int, driven: Driven) -> None:
    """Publish the buttons' heartbeats (retained, as statuses are) and presses up to a time."""
    beats = city.beats(to_ms)
    for index, time_ms, battery in zip(
        beats.index.tolist(), beats.time_ms.tolist(), beats.battery_pct.tolist(), strict=True
    ):
        device = city.ids[index]
        payload = payloads.status(time_ms, online=True, battery_pct=battery)
        publisher.publish(device, payloads.topic(device, "status"), payload, retain=True)
        driven.beats += 1
    presses = city.presses(to_ms)
    for index, time_ms in zip(presses.index.tolist(), presses.time_ms.tolist(), strict=True):
        device, button = city.ids[index], index - city.movers
        payload = payloads.alarm(
            f"{city.ids[index].replace('/', '-')}-{time_ms}",
            time_ms,
            "one_key",
            lat=float(city.button_lat[button]),
            lon=float(city.button_lon[button]),
        )
        publisher.publish(device, payloads.topic(device, "alarm"), payload)
        driven.alarms += 1
