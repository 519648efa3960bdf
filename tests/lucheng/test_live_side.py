"""The live side of a running service: points and a press through a real broker reach the stream; a restart knows the places."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI

from config.settings import load
from console.web.maps import MAP_ROUTES
from lucheng.service import Service
from model.clock import SystemClock
from simulator import payloads
from simulator.publisher import Publisher
from tests.conftest import Mosquitto
from tests.console.web.live_house import Events, People, Serving, ask


@contextmanager
def running(data: Path, url: str) -> Iterator[tuple[Service, int]]:
    """A service in this process with its live side mounted on a free port."""
    service = Service(data, load(None, {"mqtt.url": url, "devices.unknown": "register"}))
    service.open()
    assert service.wait_ready(20)
    people = People()
    people.routes["operator"] += MAP_ROUTES
    app = FastAPI()
    for router in service.live_side.routes(people.visitor):
        app.include_router(router, prefix="/api/v1")
    with Serving(app) as serving:
        yield service, serving.port
    service.close()
    assert service.failure is None


def place(publisher: Publisher, device: str, lat: float, lon: float, seq: int) -> None:
    payload = {"ts": int(time.time() * 1000), "lat": lat, "lon": lon, "spd": 36.0, "seq": seq}
    publisher.publish(device, payloads.topic(device, "point"), json.dumps(payload).encode())


def look(port: int, events: Events) -> None:
    body = {"bbox": [109.8, 40.6, 109.9, 40.7], "zoom": 13}
    assert ask(port, "PUT", f"/api/v1/events/{events.stream}/viewport", body)[0] == 200


def test_from_the_device_to_the_page_and_again_after_a_restart(tmp_path: Path, mosquitto: Mosquitto) -> None:
    data = tmp_path / "data"
    with Publisher(mosquitto.url, clock=SystemClock()) as publisher:
        with running(data, mosquitto.url) as (service, port), Events(port, "wang", {}) as events:
            look(port, events)
            assert events.until("positions")["devices"] == []
            place(publisher, "taxi/1", 40.65, 109.85, 1)
            place(publisher, "ebike/1", 40.65, 109.85, 1)
            first = events.until("positions")["devices"]
            assert [(row[0], row[1:3]) for row in first] == [("taxi/1", [40.65, 109.85])]
            place(publisher, "taxi/1", 40.66, 109.85, 2)
            assert [row[1] for row in events.until("positions")["devices"]] == [40.66]
            payload = payloads.alarm("a-1", int(time.time() * 1000), "one_key")
            publisher.publish("button/1", payloads.topic("button/1", "alarm"), payload)
            _, number, alarm = events.next("alarm")
            assert (number, alarm["alarm"]["device"], alarm["action"]) == (1, "button/1", "raise")
            assert service.live_values()["event_streams"] == 1
            assert service.live_values()["event_views"] == 1
        with running(data, mosquitto.url) as (_, port), Events(port, "wang", {"last_event_id": 0}) as events:
            assert events.next("alarm")[1] == 1
            look(port, events)
            assert [row[:2] for row in events.until("positions")["devices"]] == [["taxi/1", 40.66]]
            assert ask(port, "GET", "/api/v1/map/style")[1]["metadata"]["lucheng:base"] == "none"
