"""What the panels show, put into a city's stores as the service does: commands that went out, answers, evidence, e-bikes, sightings."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from model.batch import PointBatch
from model.batch_codec import encode
from model.codes import Flag
from model.command import Reply, send
from model.evidence import NewEvidence
from model.seams import NewRecord, Outcome, RecordKind
from tests.web.city import LAT, LON, City

TAXI = "taxi/B0001"
BIKE, QUIET = "ebike/77", "ebike/88"
_FIX = int(Flag.VALID | Flag.VALID_SENT | Flag.ARMED | Flag.ARMED_SENT)


def png(width: int = 96, height: int = 64) -> bytes:
    """A picture: colours that go from dark to light."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(width) for value in (x * 255 // width, y * 255 // height, 120))
        for y in range(height)
    )

    def piece(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", head) + piece(b"IDAT", zlib.compress(rows)) + piece(b"IEND", b"")


def goes_out(city: City, command: str, via: str = "jt808") -> None:
    """The service sends a queued command."""
    store = city.rooms.commands
    queued = store.get(command)
    store.step(queued, send(queued, via, city.rooms.clock.now_ms()))


def answers(city: City, command: str, *, ok: bool = True, detail: str = "") -> None:
    """Its device answers."""
    now_ms = city.rooms.clock.now_ms()
    city.rooms.commands.reply(Reply(command, ok, detail, {}, city.rooms.commands.get(command).device), now_ms)


def photo(city: City, device: str = TAXI, number: int = 1) -> str:
    """A photo that a terminal sent, bound to the device's open alarm; its id."""
    now_ms = city.rooms.clock.now_ms()
    alarm = city.rooms.desk.open_alarm(device, ["sos", "collision"])
    made = NewEvidence(
        device,
        "image",
        "png",
        png(96 + number),
        now_ms - 900,
        now_ms,
        LAT,
        LON,
        1,
        "platform",
        f"jt808:{number}",
        alarm=alarm,
    )
    return city.rooms.evidence.put(made).id


def points(city: City, device: str, times_ms: list[int], **columns: Any) -> None:
    """Points stored and told, as the pipeline does."""
    (slot,) = city.rooms.registry.ensure([device]).tolist()
    values = {
        "slot": slot, "time_ms": np.array(times_ms), "received_ms": times_ms[-1], "lat": LAT, "lon": LON,
        "speed_kmh": 0.0, "acc_m": 12.0, "flags": _FIX, **columns,
    }  # fmt: skip
    batch = PointBatch.of(len(times_ms), values)
    position = city.rooms.points_log.append([NewRecord(RecordKind.POINTS, 1, encode(batch))])
    city.rooms.series.commit(Outcome(position, batch), stored_ms=times_ms[-1])
    city.positions.take(batch)


def sighted(
    city: City, device: str = BIKE, lat: float = LAT + 0.006, lon: float = LON + 0.004, acc_m: float = 36.0
) -> None:
    """A reader sees the tag now."""
    now_ms = city.rooms.clock.now_ms()
    points(city, device, [now_ms], lat=lat, lon=lon, acc_m=acc_m, speed_kmh=np.nan, flags=int(Flag.SIGHTED))


def bikes(city: City) -> None:
    """Two e-bikes, registered; the first reported for half an hour until a minute ago."""
    city.ask("device_add", device=BIKE, name="雅迪 DE2", plate="包A·77", model="ACME T1", owner_ref="O-77")
    city.ask("device_add", device=QUIET, name="爱玛", plate="包A·88")
    now_ms = city.rooms.clock.now_ms()
    times = [now_ms - 1_860_000 + 60_000 * step for step in range(30)]
    steps = np.arange(30)
    points(
        city,
        BIKE,
        times,
        lat=LAT + steps * 0.0002,
        lon=LON + np.sin(steps / 5) * 0.002,
        speed_kmh=14.0,
        battery_pct=np.array(61),
    )
