"""Whatever comes in, by MQTT or by file: nothing raises, every row is accounted for, no neighbour is lost, nothing grows.

The whole path in this process: decoder ▸ records ▸ log ▸ pipeline ▸ stores, with real files, in `tmp_path`. Hypothesis
makes the input; `--hypothesis-seed` repeats a run, and a failure prints what made it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.sections import Settings
from config.settings import load
from devices.details import DeviceDetails
from ingest.decode.decoder import Decoder
from ingest.mqtt.messages import Messages
from lucheng.alarm_path import AlarmPath
from lucheng.app import inbound
from lucheng.inbound import Arrival, Inbound
from lucheng.ingesting import DirectSink, FileTotals, ingest_file
from lucheng.limits import decoder_limits
from lucheng.offline import offline_runner
from lucheng.rooms import Rooms, open_rooms
from model.batch import PointBatch
from model.clock import FakeClock
from model.errors import BadInput
from model.grant import Grant, Purpose
from simulator.payloads import RECORD

#: Small, so that a few dozen messages are a flood.
QUARANTINE_ROWS = 8
RAW_BYTES = 64
#: More of them by hand: ANY_INPUT_EXAMPLES=5000.
EXAMPLES = int(os.environ.get("ANY_INPUT_EXAMPLES", "20"))
MEMORY = Path("/dev/shm")
END_MS = 1 << 52
GRANT = Grant("tester", "test", Purpose("test"), None, 0, END_MS)
DEVICES = ("gateway/4", "taxi/1", "ebike/2", "button/3")
GOOD = "taxi/good"
NOW_MS = FakeClock().now_ms()


class Way:
    """The whole path over a data folder, driven by hand on a clock that stands."""

    def __init__(self, folder: Path, unknown: str = "quarantine") -> None:
        self.settings: Settings = load(
            None,
            {
                "series.max_quarantine_rows_per_reason": QUARANTINE_ROWS,
                "limits.quarantine_raw_bytes": RAW_BYTES,
                "devices.unknown": unknown,
            },
        )
        self.clock = FakeClock()
        self.rooms: Rooms = open_rooms(folder, self.settings, write=True, clock=self.clock)
        registry = self.rooms.registry
        for device in (*DEVICES, GOOD, "taxi/off"):
            registry.add(device, DeviceDetails(gateway="gateway/4" if device == "ebike/2" else ""))
        registry.disable("taxi/off")
        self.directory = registry.directory()
        decoder = Decoder(
            self.directory,
            unknown=self.settings.devices.unknown,
            register=self.register,
            limits=decoder_limits(self.settings),
        )
        self.inbound = Inbound(decoder, None, None, self.clock)  # type: ignore[arg-type] # nothing is committed by it
        self.runner = offline_runner(self.rooms)
        self.alarms = AlarmPath(
            self.rooms.alarms_log,
            None,  # type: ignore[arg-type] # its thread is not started
            self.rooms.signals,
            on_fatal=lambda _error: None,
        )
        #: Points the decoder gave out, quarantined ones too.
        self.decoded = 0

    def register(self, devices: Any) -> None:
        self.rooms.registry.ensure(devices)
        self.rooms.registry.refresh(self.directory)

    def feed(self, messages: list[tuple[str | bytes, bytes]], *, retain: bool = False) -> None:
        """Messages as one read of the socket brings them, up to the stores."""
        arrival = Arrival(Messages.of(messages, retain=retain), lambda: None)
        for name, stage in inbound(self.inbound):
            if not name.startswith("log"):
                stage(arrival)
        assert arrival.decoded is not None
        self.decoded += arrival.decoded.rows
        if arrival.points:
            self.rooms.points_log.append(arrival.points)
        if arrival.alarms:
            self.rooms.alarms_log.append(arrival.alarms)
        self.run()

    def run(self) -> None:
        while self.runner.run_once():
            pass
        while self.alarms.run_once():
            pass

    def ingest(self, path: Path, format_name: str, day: date | None) -> FileTotals:
        return ingest_file(
            path,
            format_name,
            sink=DirectSink(self.rooms.points_log, self.runner),
            runner=self.runner,
            slots_of=self.rooms.registry.ensure,
            settings=self.settings,
            clock=self.clock,
            day=day,
        )

    def track(self, device: str) -> PointBatch:
        slot = self.rooms.registry.get(device).slot
        return self.rooms.series.track(GRANT, device, slot, 0, END_MS)

    def check(self) -> None:
        """Everything that has to hold after anything."""
        totals = self.rooms.series.totals()
        received = self.rooms.points_log.received_rows()
        assert received == totals.stored + totals.duplicate + sum(totals.quarantined.values())
        assert totals.position == self.rooms.points_log.last_position()
        stored = sum(len(batch) for batch in self.rooms.series.fleet(GRANT, 0, END_MS))
        assert stored == totals.stored
        kept = self.rooms.series.quarantine_list(GRANT, limit=10_000)
        per_reason = Counter(row.entry.reason for row in kept)
        assert max(per_reason.values(), default=0) <= QUARANTINE_ROWS
        assert set(per_reason) <= set(totals.quarantined)
        for row in kept:
            assert len(self.rooms.series.quarantine_show(GRANT, row.id).entry.raw) <= RAW_BYTES + 1024
        assert self.rooms.series.check() == []


@contextmanager
def way(unknown: str = "quarantine") -> Iterator[Way]:
    """A path over a folder that goes away again; in memory where there is such a folder, for hundreds are made."""
    with tempfile.TemporaryDirectory(prefix="lucheng-any-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        made = Way(Path(folder), unknown)
        try:
            yield made
        finally:
            made.rooms.close()


# -- what may come by MQTT --------------------------------------------------------------------

KEYS = st.sampled_from(
    ["ts", "lat", "lon", "seq", "speed_kmh", "heading_deg", "alt_m", "acc_m", "sat", "battery_pct", "valid", "ignition",
     "occupied", "armed", "buffered", "alarms", "datum", "id", "device", "device_id", "kind", "note", "x", ""]
)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        [0, -1, 90, 180.0000001, 1e308, NOW_MS, NOW_MS + 8 * 3_600_000, -NOW_MS, "sos", "gcj02", "taxi/1"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=3)
)
TIMES = st.integers(NOW_MS - 5_000, NOW_MS + 5_000)
POINTS = st.fixed_dictionaries(
    {"ts": TIMES, "lat": st.floats(-90, 90), "lon": st.floats(-180, 180)},
    optional={
        "seq": st.integers(0, 20),
        "speed_kmh": st.floats(0, 200),
        "heading_deg": st.floats(0, 360),
        "occupied": st.booleans(),
        "buffered": st.booleans(),
        "alarms": st.lists(st.sampled_from(["sos", "one_key", "overspeed", "nothing"]), max_size=3),
    },
)
ALARMS = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b", 7]), "ts": TIMES, "kind": st.sampled_from(["sos", "one_key", "nothing"])},
    optional={"lat": st.floats(-90, 90), "lon": st.floats(-180, 180), "note": st.text(max_size=20)},
)
NEARLY = st.builds(lambda good, wrong: {**good, **wrong}, POINTS | ALARMS, st.dictionaries(KEYS, VALUES, max_size=2))
JSON_BYTES = (POINTS | ALARMS | NEARLY | st.lists(POINTS | NEARLY, max_size=5) | VALUES).map(
    lambda value: json.dumps(value).encode("utf-8", "surrogatepass")
)


@st.composite
def flipped(draw: st.DrawFn) -> bytes:
    """A good payload with some bytes changed, cut out or put in."""
    raw = bytearray(draw(JSON_BYTES))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(raw)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """Records of a gateway, of devices that are and are not its own, and not always a whole number of them."""
    rows = np.zeros(draw(st.integers(0, 4)), RECORD)
    for row in rows:
        row["id"] = draw(st.integers(0, 8) | st.integers(0, 2**32 - 1))
        row["ts"] = draw(TIMES | st.integers(-(2**63), 2**63 - 1))
        row["lat"], row["lon"] = draw(st.integers(-(2**31), 2**31 - 1)), draw(st.integers(-(2**31), 2**31 - 1))
        row["status"] = draw(st.integers(0, 255))
    return bytes(rows.tobytes() + draw(st.just(b"") | st.binary(max_size=3)))


TOPICS: st.SearchStrategy[str | bytes] = st.one_of(
    st.builds(
        "lucheng/v1/{}/up/{}".format,
        st.sampled_from([*DEVICES, "taxi/off", "taxi/nobody", "taxi/..", "car/1"]),
        st.sampled_from(["point", "point", "point", "alarm", "records", "status", "sighting", "x"]),
    ),
    st.binary(max_size=20),
)
PAYLOADS = JSON_BYTES | flipped() | records() | st.binary(max_size=40)
BATCHES = st.lists(st.lists(st.tuples(TOPICS, PAYLOADS), max_size=12), min_size=1, max_size=3)


def good_point(number: int) -> tuple[tuple[str, bytes], tuple[int, int, int]]:
    """A message of the good neighbour, and what it has to be in the track: time, lat, lon in 1e-6°."""
    time_ms, lat, lon = NOW_MS - 1000 + number, 40_650_000 + number, 109_840_000 - number
    payload = json.dumps({"ts": time_ms, "lat": lat / 1e6, "lon": lon / 1e6}).encode()
    return (f"lucheng/v1/{GOOD}/up/point", payload), (time_ms, lat, lon)


def places(points: PointBatch) -> list[tuple[int, int, int]]:
    """Time and place of each point, in 1e-6°."""
    return list(
        zip(
            points.time_ms.tolist(),
            np.rint(points.lat * 1e6).astype(int).tolist(),
            np.rint(points.lon * 1e6).astype(int).tolist(),
            strict=True,
        )
    )


@pytest.mark.parametrize("unknown", ["quarantine", "register"])
@given(batches=BATCHES, where=st.integers(0, 12), retain=st.booleans())
@settings(max_examples=EXAMPLES, deadline=None, print_blob=True)
def test_any_messages(
    unknown: str, batches: list[list[tuple[str | bytes, bytes]]], where: int, *, retain: bool
) -> None:
    with way(unknown) as path:
        expected = []
        for number, batch in enumerate(batches):
            message, place = good_point(number)
            path.feed([*batch[:where], message, *batch[where:]])
            expected.append(place)
        assert path.rooms.points_log.received_rows() == path.decoded
        path.check()
        assert places(path.track(GOOD)) == expected
        stored = path.rooms.series.totals().stored
        signals = path.rooms.signals.count()
        for number, batch in enumerate(batches):  # all of it once more
            message, _ = good_point(number)
            path.feed([*batch[:where], message, *batch[where:]])
        path.feed(batches[0], retain=retain)
        path.check()
        assert places(path.track(GOOD)) == expected
        assert path.rooms.signals.count() == signals
        # A point whose clock was put right by an offset that was found later is another one when it comes again.
        corrected = path.rooms.series.totals().gauges.get("mark.clock_corrected", 0)
        assert path.rooms.series.totals().stored - stored <= corrected


@pytest.mark.parametrize("payload", [b"", b"\xff" * 30, b"[" * 10_000, b'{"ts":1' + b"0" * 5000 + b"}", b"x" * 300_000])
def test_a_flood_of_one_kind_is_counted_whole_and_kept_in_part(payload: bytes) -> None:
    with way() as path:
        for _ in range(20):
            path.feed([("lucheng/v1/taxi/1/up/point", payload)] * 50)
        path.feed([good_point(0)[0]])
        path.check()
        totals = path.rooms.series.totals()
        assert sum(totals.quarantined.values()) == 1000
        assert len(path.rooms.series.quarantine_list(GRANT, limit=10_000)) == QUARANTINE_ROWS
        assert places(path.track(GOOD)) == [good_point(0)[1]]


# -- what may be in a file ----------------------------------------------------------------------

DAY = date(2014, 10, 22)
#: By format: header, a good line, its device and what it has to be in the track, and the day to give.
FORMATS: dict[str, tuple[bytes, bytes, str, tuple[int, int, int], date | None]] = {
    "cabspotting": (
        b"ts_utc,cab_id,lat,lon,occupied\n", b"1212130800,good,37.75134,-122.39488,1\n",
        GOOD, (1_212_130_800_000, 37_751_340, -122_394_880), None,
    ),
    "tdrive": (
        b"TaxiID,TimeStamp,Longitude,Latitude\n", b"good,2008-02-03 00:00:32,116.69171,39.85184\n",
        GOOD, (1_201_968_032_000, 39_851_840, 116_691_710), None,
    ),
    "shenzhen": (
        b"", b"good, 00:00:00, 113.796684, 22.682667, 0, 30\n",
        GOOD, (1_413_907_200_000, 22_682_667, 113_796_684), DAY,
    ),
    "csv": (
        b"device,time,lat,lon,speed_kmh\n", b"taxi/good,2025-01-01T08:00:00Z,40.650001,109.84,31.5\n",
        GOOD, (1_735_718_400_000, 40_650_001, 109_840_000), None,
    ),
}  # fmt: skip
FIELDS = (
    st.sampled_from([
        b"good", b"taxi/1", b"1", b"28249", b"", b" ", b"-1", b"1e309", b"nan", b"inf", b"90.0000001", b"0", b"1212130800",
        b"2008-02-03 00:00:32", b"23:59:60", b"00:00:00", b"2026-11-22T08:00:00+08:00", b"\"a,b\"", b"9" * 400, b"\xff\xfe", b"../x",
    ])
    | st.integers(-(2**70), 2**70).map(lambda value: str(value).encode())
    | st.floats().map(lambda value: repr(value).encode())
    | st.binary(max_size=6).filter(lambda raw: b"\n" not in raw)
)  # fmt: skip
LINES = st.one_of(
    st.lists(FIELDS, min_size=1, max_size=7).map(b",".join),
    st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")),
    st.sampled_from([b"", b"  ", b"\r", b"x" * 20_000]),
)


def rows_in(text: bytes, header: bytes) -> int:
    """Lines that are not blank, without the header."""
    return sum(1 for line in text.split(b"\n") if line.strip(b" \t\r")) - bool(header)


@pytest.mark.parametrize("name", FORMATS)
@given(lines=st.lists(LINES, max_size=25), where=st.integers(0, 25), ends=st.sampled_from([b"\n", b"\r\n"]))
@settings(max_examples=EXAMPLES, deadline=None, print_blob=True)
@example(lines=[], where=0, ends=b"\n")
def test_any_lines_of_a_file(name: str, lines: list[bytes], where: int, ends: bytes) -> None:
    header, good, device, place, day = FORMATS[name]
    others = [line + ends for line in lines]
    text = header + b"".join([*others[:where], good, *others[where:]])
    with way() as path:
        file = path.rooms.data_dir / "input"
        file.write_bytes(text)
        try:
            totals = path.ingest(file, name, day)
        except BadInput:
            # A file without a header has to show that it is one: not before twenty rows that cannot be read.
            assert name == "shenzhen"
            assert where >= 20
            path.check()
            return
        path.check()
        assert totals.in_flight == 0
        assert totals.received == rows_in(text, header) == path.rooms.points_log.received_rows()
        assert place in places(path.track(device))
        again = path.ingest(file, name, day)
        path.check()
        assert (again.received, again.stored, again.in_flight) == (totals.received, 0, 0)
        assert again.quarantined == totals.quarantined


@pytest.mark.parametrize("name", FORMATS)
@given(text=st.binary(max_size=400), cut=st.integers(0, 200))
@settings(max_examples=EXAMPLES, deadline=None, print_blob=True)
def test_any_bytes_for_a_file(name: str, text: bytes, cut: int) -> None:
    header, good, _, _, day = FORMATS[name]
    with way() as path:
        file = path.rooms.data_dir / "input"
        for made in (text, header[:cut] + text, (header + good * 3)[:cut] + text):
            file.write_bytes(made)
            try:
                totals = path.ingest(file, name, day)
                assert totals.in_flight == 0
            except BadInput as error:
                said = error.message
            else:
                said = "input"
            assert "input" in said
            path.check()
