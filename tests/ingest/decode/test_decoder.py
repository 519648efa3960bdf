"""Scenarios of the decoder that are more than one payload."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.directory import Directory
from devices.registry import Registry
from ingest.decode.decoder import Decoder
from ingest.decode.limits import DEFAULT_LIMITS
from ingest.decode.records import RECORD
from ingest.mqtt.messages import Messages
from model import batch_codec
from model.batch import COLUMNS
from model.codes import Flag, Reason
from model.datum import wgs84_to_gcj02
from model.errors import Conflict, UsageError

POINT = "lucheng/v1/taxi/1/up/point"
OTHER = "lucheng/v1/taxi/2/up/point"
GATEWAY = "lucheng/v1/gateway/g1/up/records"


def point(ts: int = 5, **more: Any) -> bytes:
    return json.dumps({"ts": ts, "lat": 40.0, "lon": 109.0, **more}).encode()


def test_forty_nine_of_fifty_are_kept(decoder: Decoder) -> None:
    elements = [json.loads(point(ts)) for ts in range(50)]
    elements[17]["lat"] = "north"
    decoded = decoder.decode(Messages.of([(POINT, json.dumps(elements).encode())]), 1)
    assert decoded.batch.time_ms.tolist() == [ts for ts in range(50) if ts != 17]
    (entry,) = decoded.quarantined
    assert (entry.reason, entry.rows, entry.device) == (Reason.WRONG_TYPE, 1, "taxi/1")
    assert entry.detail == "Expected `float`, got `str` - at `$[17].lat`"
    assert json.loads(entry.raw)["ts"] == 17
    assert decoded.rows == 50


def test_columns_have_their_dtypes_and_survive_the_codec(decoder: Decoder) -> None:
    records = np.zeros(2, RECORD)
    records["id"] = 1
    items = [(POINT, point(speed_kmh=1)), (OTHER, point(x=1)), (GATEWAY, records.tobytes())]
    batch = decoder.decode(Messages.of(items), 1).batch
    for column in COLUMNS:
        assert batch.column(column.name).dtype == np.dtype(column.dtype), column.name
    back = batch_codec.decode(batch_codec.encode(batch))
    assert back.time_ms.tolist() == batch.time_ms.tolist()
    assert back.extra == batch.extra == {1: b'{"x":1}'}


def test_rows_keep_the_order_of_arrival(decoder: Decoder) -> None:
    array = b"[" + point(2) + b"," + point(3, odd=1) + b"]"
    items = [(POINT, point(1)), (OTHER, array), (POINT, b"{"), (POINT, point(4, odd=2)), (OTHER, point(5))]
    decoded = decoder.decode(Messages.of(items), 1)
    assert decoded.batch.time_ms.tolist() == [1, 2, 3, 4, 5]
    assert decoded.batch.slot.tolist() == [0, 1, 1, 0, 1]
    assert decoded.batch.extra == {2: b'{"odd":1}', 3: b'{"odd":2}'}


def test_nobody_speaks_for_another(decoder: Decoder) -> None:
    """Payloads that would be two messages' points if they were joined into one text."""
    items = [
        (POINT, b'{"ts":1,"lat":1,"lon":1},{"ts":2,"lat":1,"lon":1}'),
        (OTHER, b"[" + point(3)),
        (POINT, point(4) + b"]"),
    ]
    decoded = decoder.decode(Messages.of(items), 1)
    assert len(decoded.batch) == 0
    assert [entry.reason for entry in decoded.quarantined] == [Reason.NOT_JSON] * 3


def test_extra_over_its_limit_is_left_out_and_marked(directory: Directory) -> None:
    decoder = Decoder(directory, limits=replace(DEFAULT_LIMITS, extra_bytes=40))
    decoded = decoder.decode(Messages.of([(POINT, point(a="x" * 31)), (POINT, point(a="x" * 40))]), 1)
    assert json.loads(decoded.batch.extra[0]) == {"a": "x" * 31}
    assert json.loads(decoded.batch.extra[1]) == {"extra_dropped_bytes": 48}


def test_limits_of_payloads(directory: Directory) -> None:
    limits = replace(DEFAULT_LIMITS, payload_points=3, payload_bytes=400, payload_quarantined=2, quarantine_raw_bytes=9)
    decoder = Decoder(directory, limits=limits)
    four = b"[" + b",".join([point()] * 4) + b"]"
    careful = b"[" + b",".join([point(), point(x=1), point(), point()]) + b"]"
    decoded = decoder.decode(Messages.of([(POINT, four), (POINT, careful), (POINT, point(a="x" * 400))]), 1)
    assert len(decoded.batch) == 0
    assert [(entry.reason, entry.rows) for entry in decoded.quarantined] == [
        (Reason.TOO_LARGE, 1),
        (Reason.TOO_LARGE, 4),
        (Reason.TOO_LARGE, 4),
    ]
    assert all(len(entry.raw) == 9 for entry in decoded.quarantined)
    decoded = decoder.decode(Messages.of([(POINT, b"[1,2,3]")]), 1)
    assert [entry.rows for entry in decoded.quarantined] == [1, 1, 1]
    assert decoded.quarantined[2].detail.startswith("1 more of one array, the first:")


def test_many_bad_elements_are_few_entries(decoder: Decoder) -> None:
    decoded = decoder.decode(Messages.of([(POINT, b"[" + b",".join([b"1"] * 9_999) + b"]")]), 1)
    assert decoded.rows == 9_999
    assert len(decoded.quarantined) == DEFAULT_LIMITS.payload_quarantined + 1


def test_oversized_message_is_counted(decoder: Decoder) -> None:
    messages = Messages.of([(POINT, point(1)), (POINT, b'{"ts":2'), (POINT, point(3))])
    messages.oversized[1] = 10_000_000
    decoded = decoder.decode(messages, 1)
    assert decoded.batch.time_ms.tolist() == [1, 3]
    assert [(entry.reason, entry.device) for entry in decoded.quarantined] == [(Reason.TOO_LARGE, "taxi/1")]


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 100_000,
        b'{"ts":1,"lat":1,"lon":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"ts":1,"lat":1,"lon":2,"x":' + b'{"a":' * 100_000,
        b'{"ts":1,"lat":' + b"9" * 5_000 + b',"lon":2}',
        b'{"ts":1,"lat":1,"lon":2,"x":' + b"9" * 50_000 + b"}",
        b'{"ts":1,"lat":1,"lon":2,"x":"\xff"}',
        b'{"ts":1,"lat":1,"lon":2,"alarms":["\xff"]}',
        b'{"ts":1,"lat":1,"lon":2,"\xff":1}',
        b'[{"ts":1,"lat":1,"lon":2,"x":"\xff"}]',
        b'{"ts":1,"lat":1,"lon":2,"alarms":["\\ud800"]}',
        b"\xff\xfe\x00",
        b"\x00" * 1000,
    ],
    ids=range(12),
)
def test_hostile_payload(decoder: Decoder, payload: bytes) -> None:
    decoded = decoder.decode(Messages.of([(OTHER, point(1)), (POINT, payload), (OTHER, point(2))]), 1)
    assert decoded.batch.time_ms[decoded.batch.slot == 1].tolist() == [1, 2]
    assert decoded.rows == 3
    for raw in decoded.batch.extra.values():
        json.loads(raw)


def test_datum_is_converted(decoder: Decoder) -> None:
    lat, lon = wgs84_to_gcj02(np.array([40.65]), np.array([109.84]))
    items = [
        (POINT, json.dumps({"ts": 1, "lat": lat[0], "lon": lon[0], "datum": "gcj02"}).encode()),
        (POINT, json.dumps({"ts": 2, "lat": 40.65, "lon": 109.84, "datum": "wgs84"}).encode()),
    ]
    batch = decoder.decode(Messages.of(items), 1).batch
    assert batch.lat == pytest.approx([40.65, 40.65], abs=1e-7)
    assert batch.lon == pytest.approx([109.84, 109.84], abs=1e-7)


def test_urgent_when_a_bit_rises(decoder: Decoder) -> None:
    def urgent(*payloads: bytes, topic: str = POINT) -> bool:
        return decoder.decode(Messages.of([(topic, payload) for payload in payloads]), 1).urgent

    assert not urgent(point(1))
    assert urgent(point(2, alarms=["sos"]))
    assert not urgent(point(3, alarms=["sos"]))
    assert urgent(point(4, alarms=["sos", "collision"]))
    assert urgent(point(4, alarms=["sos"]), topic=OTHER)
    assert not urgent(point(5), point(6, alarms=["collision"]), point(7))
    assert urgent(point(8, alarms=["sos"]))


def test_alarm_in_a_quarantined_point_is_raised_once(decoder: Decoder) -> None:
    bad = b'{"ts":1,"alarms":["sos","collision"]}'
    first = decoder.decode(Messages.of([(POINT, bad), (POINT, bad)]), 1)
    assert sorted(signal.kind for signal in first.signals) == ["collision", "sos"]
    assert len({signal.id for signal in first.signals}) == 2
    assert decoder.decode(Messages.of([(POINT, b'{"ts":2,"alarms":["sos"]}')]), 1).signals == []
    assert not decoder.decode(Messages.of([(POINT, point(3, alarms=["sos"]))]), 1).urgent


def test_repeated_alarm_message_is_the_same_signal(decoder: Decoder) -> None:
    """S4: a recorded alarm sent again."""
    topic, payload = "lucheng/v1/button/school.3/up/alarm", b'{"id":"a","ts":1,"kind":"one_key"}'
    again = decoder.decode(Messages.of([(topic, payload), (topic, payload)]), 9_000_000).signals
    elsewhere = decoder.decode(Messages.of([(topic.replace("button/school.3", "taxi/1"), payload)]), 1).signals
    assert again[0].id == again[1].id != elsewhere[0].id
    assert again[0].late


def test_alarm_note_is_cut(decoder: Decoder) -> None:
    payload = json.dumps({"id": "a", "ts": 1, "kind": "sos", "note": "警" * 600}).encode()
    (signal,) = decoder.decode(Messages.of([("lucheng/v1/taxi/1/up/alarm", payload)]), 1).signals
    assert len(signal.note) == DEFAULT_LIMITS.alarm_note_chars


def test_directory_changes_take_effect(registry: Registry, directory: Directory) -> None:
    decoder = Decoder(directory)
    messages = Messages.of([(POINT, point()), ("lucheng/v1/taxi/new/up/point", point())])
    assert [entry.reason for entry in decoder.decode(messages, 1).quarantined] == [Reason.UNKNOWN_DEVICE]
    registry.add("taxi/new")
    registry.disable("taxi/1")
    assert len(decoder.decode(messages, 1).batch) == 1
    registry.refresh(directory)
    decoded = decoder.decode(messages, 1)
    assert decoded.batch.slot.tolist() == [directory.slot_of["taxi/new"]]
    assert [entry.reason for entry in decoded.quarantined] == [Reason.DISABLED_DEVICE]


def test_unknown_devices_are_registered_by_rule(registry: Registry, directory: Directory) -> None:
    asked: list[list[str]] = []

    def register(ids: Any) -> None:
        asked.append(list(ids))
        registry.ensure(ids)
        registry.refresh(directory)

    decoder = Decoder(directory, unknown="register", register=register)
    new = [(f"lucheng/v1/taxi/n{number}/up/point", point(number)) for number in (7, 8, 7)]
    decoded = decoder.decode(Messages.of([*new, ("lucheng/v1/taxi/off/up/point", point()), ("x/y", b"")]), 1)
    assert asked == [["taxi/n7", "taxi/n8"]]
    assert [directory.ids[slot] for slot in decoded.batch.slot] == ["taxi/n7", "taxi/n8", "taxi/n7"]
    assert [entry.reason for entry in decoded.quarantined] == [Reason.DISABLED_DEVICE, Reason.BAD_TOPIC]
    decoder.decode(Messages.of(new), 1)
    assert len(asked) == 1


def test_failed_registration_quarantines(directory: Directory) -> None:
    def register(ids: Any) -> None:
        raise Conflict("full", mend="")

    decoder = Decoder(directory, unknown="register", register=register)
    decoded = decoder.decode(Messages.of([("lucheng/v1/taxi/n/up/point", point()), (POINT, point())]), 1)
    assert [entry.reason for entry in decoded.quarantined] == [Reason.UNKNOWN_DEVICE]
    assert len(decoded.batch) == 1
    with pytest.raises(UsageError):
        Decoder(directory, unknown="register")


def test_memory_of_topics_is_bounded(directory: Directory) -> None:
    decoder = Decoder(directory, limits=replace(DEFAULT_LIMITS, topics=2))
    streams = [
        f"lucheng/v1/{device}/up/{stream}" for device in ("taxi/1", "taxi/2") for stream in ("point", "alarm", "status")
    ]
    for topic in streams * 2 + ["nobody/s"] * 5:
        decoder.decode(Messages.of([(topic, b"{}")]), 1)
        assert len(decoder._topics) <= 3


def record(number: int, **fields: Any) -> np.ndarray[Any, Any]:
    made = np.zeros(1, RECORD)
    made["id"] = number
    for name, value in fields.items():
        made[name] = value
    return made


def test_records(decoder: Decoder) -> None:
    first = record(1, ts=5, lat=40_650_000, lon=109_840_000, speed=315, heading=1820, alt=-3, status=0b110101, sat=9)
    second = record(3, ts=6, status=0b010000)
    decoded = decoder.decode(Messages.of([(GATEWAY, first.tobytes() + second.tobytes()), (POINT, point(1))]), 9)
    batch = decoded.batch
    assert batch.slot.tolist() == [0, 0, 2]
    assert batch.time_ms.tolist() == [1, 5, 6]
    assert batch.lat[1:].tolist() == [40.65, 0.0]
    assert batch.lon[1] == 109.84
    assert batch.speed_kmh[1] == np.float32(31.5)
    assert (batch.heading_deg[1], batch.alt_m[1], batch.sat[1]) == (182.0, -3.0, 9)
    sent = Flag.VALID_SENT | Flag.IGNITION_SENT | Flag.OCCUPIED_SENT | Flag.ARMED_SENT
    assert batch.flags[1] == sent | Flag.VALID | Flag.OCCUPIED | Flag.BUFFERED
    assert batch.flags[2] == sent | Flag.BUFFERED
    assert batch.alarm_bits[1:].tolist() == [1, 0]
    assert decoded.urgent


def test_records_of_devices_that_are_not_the_gateways(decoder: Decoder) -> None:
    """S3: 2 is not bound, 4 is disabled, 0 and 4_000_000_000 are no numbers; what is left counts."""
    numbers = [1, 2, 4, 0, 4_000_000_000, 3]
    payload = b"".join(record(number, ts=number % 100).tobytes() for number in numbers)
    decoded = decoder.decode(Messages.of([(GATEWAY, b"x" * 27), (GATEWAY, payload)]), 1)
    assert decoded.batch.slot.tolist() == [0, 2]
    assert sorted((entry.reason, entry.rows) for entry in decoded.quarantined) == [
        (Reason.IDENTITY_MISMATCH, 3),
        (Reason.BAD_RECORD_LENGTH, 1),
        (Reason.DISABLED_DEVICE, 1),
    ]
    decoded = decoder.decode(Messages.of([(GATEWAY.replace("g1", "g2"), payload)]), 1)
    assert [(entry.reason, entry.rows, entry.device) for entry in decoded.quarantined] == [
        (Reason.IDENTITY_MISMATCH, 6, "gateway/g2")
    ]


def test_nothing_in_nothing_out(decoder: Decoder) -> None:
    decoded = decoder.decode(Messages(), 1)
    assert (decoded.rows, decoded.signals, decoded.urgent) == (0, [], False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["ts", "lat", "lon", "seq", "sat", "valid", "alarms", "datum", "id", "device", "kind", "note", "online", "x"]
)
SHAPED = st.dictionaries(KEYS, JSON, max_size=8)
PAYLOADS = (
    st.binary(max_size=64)
    | (SHAPED | st.lists(SHAPED, max_size=4) | JSON).map(lambda value: json.dumps(value).encode())
    | st.tuples(st.just(point(9, alarms=["sos"])), st.integers(0, 80), st.binary(max_size=3)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    )
)
TOPICS = st.sampled_from(
    [POINT, GATEWAY, *(f"lucheng/v1/taxi/1/up/{stream}" for stream in ("alarm", "status", "media"))]
).map(str.encode) | st.binary(max_size=40)


@given(st.lists(st.tuples(TOPICS, PAYLOADS, st.integers(0, 255)), max_size=6))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_payload_raises_or_costs_a_neighbour(directory: Directory, strange: list[tuple[bytes, bytes, int]]) -> None:
    decoder = Decoder(directory)
    messages = Messages.of([(OTHER, point(1))])
    for number, (topic, payload, head) in enumerate(strange, start=2):
        messages.topics += [topic, OTHER.encode()]
        messages.payloads += [payload, point(number)]
        messages.mids += [0, 0]
        messages.heads += bytes((head, 0x30))
    decoded = decoder.decode(messages, 1_760_000_000_000)
    mine = decoded.batch.slot == 1
    assert decoded.batch.time_ms[mine].tolist() == list(range(1, len(strange) + 2))
    batch_codec.decode(batch_codec.encode(decoded.batch))
    for raw in decoded.batch.extra.values():
        json.loads(raw)
    for entry in decoded.quarantined:
        assert entry.rows >= 1
        assert entry.detail
