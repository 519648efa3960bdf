"""OsmAnd's and Traccar's requests, read without a socket."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode.limits import DEFAULT_LIMITS
from ingest.decode.points import PointDecoder
from ingest.trackers.osmand import TRACCAR_ALARMS, Asked, read_request
from model.batch import PointBatch
from model.codes import ALARM_BY_NAME, Flag, Reason, alarm_names

RECEIVED_MS = 1_760_000_000_500
LIMITS = DEFAULT_LIMITS


def form(**fields: object) -> Asked:
    given = {"id": "taxi/1", "lat": "40.65", "lon": "109.84", "timestamp": "1760000000"} | fields
    query = urlencode({key: value for key, value in given.items() if value is not None})
    return read_request(query.encode(), b"", RECEIVED_MS, LIMITS)


def place(**more: Any) -> dict[str, Any]:
    coords = {"latitude": 40.65, "longitude": 109.84, "speed": 10, "heading": 90, "accuracy": 5, "altitude": 1_050}
    return {"timestamp": "2025-10-09T08:53:20.250Z", "coords": coords, **more}


def posted(body: object, query: bytes = b"") -> Asked:
    return read_request(query, json.dumps(body).encode(), RECEIVED_MS, LIMITS)


def columns(asked: Asked) -> PointBatch:
    asked.rows.slots = [0] * len(asked.rows.points)
    return PointDecoder(LIMITS).columns(asked.rows, RECEIVED_MS)


def test_a_query_with_everything() -> None:
    asked = form(
        token="secret", speed="10.0", bearing="271.5", altitude="1050.2", accuracy="4", hdop="0.9", batt="87.4",
        valid="true", ignition="false", alarm="sos", charge="true", driverUniqueId="007",
    )  # fmt: skip
    assert (asked.id, asked.token, asked.refusal, asked.rows.bad) == ("taxi/1", "secret", None, [])
    batch = columns(asked)
    assert (batch.time_ms[0], batch.lat[0], batch.lon[0]) == (1_760_000_000_000, 40.65, 109.84)
    row = [round(float(batch.column(name)[0]), 2) for name in ("speed_kmh", "heading_deg", "alt_m", "acc_m")]
    assert row == [18.52, 271.5, 1050.2, 4]
    assert batch.battery_pct[0] == 87
    assert batch.flags[0] == Flag.VALID | Flag.VALID_SENT | Flag.IGNITION_SENT
    assert alarm_names(int(batch.alarm_bits[0])) == ["sos"]
    assert json.loads(batch.extra[0]) == {"hdop": 0.9, "charge": True, "driverUniqueId": "007"}


@pytest.mark.parametrize(
    ("timestamp", "time_ms"),
    [
        ("1760000000", 1_760_000_000_000),
        ("1760000000.25", 1_760_000_000_250),
        ("1760000000250", 1_760_000_000_250),
        ("2025-10-09T08:53:20.250Z", 1_760_000_000_250),
        ("2025-10-09T16:53:20.250+08:00", 1_760_000_000_250),
        ("2025-10-09 08:53:20", 1_760_000_000_000),
        (None, RECEIVED_MS),
        ("", RECEIVED_MS),
    ],
)
def test_times(timestamp: str | None, time_ms: int) -> None:
    assert columns(form(timestamp=timestamp)).time_ms.tolist() == [time_ms]


@pytest.mark.parametrize("timestamp", ["now", "9e99", "-9e99", "99999999999999999999", "0001-01-01T00:00:00+14:00 x"])
def test_times_that_are_none(timestamp: str) -> None:
    (bad,) = form(timestamp=timestamp).rows.bad
    assert bad.reason in (Reason.WRONG_TYPE, Reason.OUT_OF_RANGE)
    assert "timestamp" in bad.detail


@pytest.mark.parametrize("key", ["id", "deviceid", "device_id"])
def test_an_id_by_each_of_its_names(key: str) -> None:
    assert read_request(f"{key}=x%2F1&lat=1&lon=2".encode(), b"", 1, LIMITS).id == "x/1"


def test_a_form_in_the_body_and_a_place_in_one_field() -> None:
    asked = read_request(b"token=secret", b"id=taxi%2F1&location=1.5,2.5", RECEIVED_MS, LIMITS)
    assert (asked.id, asked.token) == ("taxi/1", "secret")
    assert (columns(asked).lat[0], columns(asked).lon[0]) == (1.5, 2.5)


def test_optional_values_that_are_none_spoil_nothing() -> None:
    batch = columns(form(speed="fast", batt="NaN", bearing="-1", accuracy="", valid="perhaps", altitude="1e99"))
    assert np.isnan([batch.speed_kmh[0], batch.heading_deg[0], batch.acc_m[0], batch.alt_m[0]]).all()
    assert (batch.battery_pct[0], batch.flags[0]) == (-1, 0)
    kept = json.loads(batch.extra[0])
    assert kept == {"speed": "fast", "batt": "NaN", "accuracy": "", "valid": "perhaps", "altitude": "1e99"}


def test_alarms_are_ours_traccars_or_kept_and_counted() -> None:
    asked = form(alarm="tow, powerCut,collision,unheardOf,sos")
    assert set(asked.rows.points[0].alarms) == {"illegal_move", "power_cut", "collision", "unheardOf", "sos"}
    batch = columns(asked)
    assert set(alarm_names(int(batch.alarm_bits[0]))) == {"illegal_move", "power_cut", "collision", "sos"}
    assert (asked.rows.unknown_alarms, json.loads(batch.extra[0])) == (1, {"unknown_alarms": ["unheardOf"]})
    assert set(TRACCAR_ALARMS.values()) <= ALARM_BY_NAME.keys()


@pytest.mark.parametrize(("lat", "lon"), [(None, "1"), ("", "1"), ("north", "1"), ("nan", "1"), ("1_0", "1")])
def test_a_place_that_is_none_keeps_its_alarm_and_not_the_token(lat: str | None, lon: str) -> None:
    asked = form(lat=lat, lon=lon, alarm="sos", token="secret")
    (bad,) = asked.rows.bad
    assert bad.reason in (Reason.MISSING_FIELD, Reason.NOT_A_NUMBER)
    assert alarm_names(bad.alarm_bits) == ["sos"]
    assert b"alarm=sos" in bad.raw
    assert b"secret" not in bad.raw
    assert "secret" not in repr(asked)


def test_json_of_the_phone() -> None:
    extras = {"route": 7}
    body = {
        "device_id": "taxi/1",
        "token": "secret",
        "location": place(
            is_moving=True, odometer=12.5, event="motionchange", battery={"level": 0.87, "is_charging": True},
            activity={"type": "in_vehicle"}, extras=extras, alarm="lowBattery",
        ),
    }  # fmt: skip
    asked = posted(body)
    assert (asked.id, asked.token, asked.refusal) == ("taxi/1", "secret", None)
    batch = columns(asked)
    assert batch.time_ms.tolist() == [1_760_000_000_250]
    row = [float(batch.column(name)[0]) for name in ("lat", "lon", "speed_kmh", "heading_deg", "acc_m", "alt_m")]
    assert row == [40.65, 109.84, 36, 90, 5, 1_050]
    assert batch.battery_pct[0] == 87
    assert alarm_names(int(batch.alarm_bits[0])) == ["low_battery"]
    assert json.loads(batch.extra[0]) == {
        "is_moving": True, "odometer": 12.5, "event": "motionchange", "battery": {"is_charging": True},
        "activity": {"type": "in_vehicle"}, "extras": extras,
    }  # fmt: skip
    assert b"secret" not in asked.raw


def test_a_batch_of_places_keeps_what_is_good() -> None:
    body = {
        "device_id": "taxi/1",
        "location": [place(), place(coords=None, alarm="sos"), place(timestamp=1_760_000_001)],
    }
    asked = posted(body)
    assert columns(asked).time_ms.tolist() == [1_760_000_000_250, 1_760_000_001_000]
    (bad,) = asked.rows.bad
    assert (bad.reason, alarm_names(bad.alarm_bits)) == (Reason.MISSING_FIELD, ["sos"])
    assert json.loads(bad.raw)["coords"] is None


def test_the_query_may_say_who_and_the_body_must_not_say_another() -> None:
    asked = posted({"location": place()}, b"id=taxi%2F1&token=secret")
    assert (asked.id, asked.token, len(asked.rows.points)) == ("taxi/1", "secret", 1)
    assert posted({"device_id": "taxi/2", "location": place()}, b"id=taxi%2F1").refusal == (
        Reason.IDENTITY_MISMATCH,
        "The address says 'taxi/1', the body 'taxi/2'",
    )


def test_what_is_unknown_of_a_phone() -> None:
    coords = {"latitude": 1, "longitude": 2, "speed": -1, "heading": -1, "accuracy": None, "altitude": True}
    batch = columns(posted({"device_id": "x", "location": place(coords=coords, battery={"level": -1})}))
    assert np.isnan([batch.speed_kmh[0], batch.heading_deg[0], batch.acc_m[0], batch.alt_m[0]]).all()
    assert batch.battery_pct[0] == -1


def test_many_bad_places_become_few_entries_and_the_number_stays() -> None:
    asked = posted({"device_id": "x", "location": [{}] * 100})
    assert len(asked.rows.bad) == LIMITS.payload_quarantined + 1
    assert sum(bad.rows for bad in asked.rows.bad) == 100
    few = replace(LIMITS, payload_points=3)
    body = json.dumps({"device_id": "x", "location": [place()] * 4}).encode()
    refusal = read_request(b"", body, 1, few).refusal
    assert refusal is not None
    assert refusal[0] == Reason.TOO_LARGE


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"token":5e,', b'{"device_id":"x"}', b'{"device_id":[],"location":{}}', b'{"token":{}}', b"\xff=\xff"],
)
def test_what_cannot_be_read_is_refused_whole(body: bytes) -> None:
    asked = read_request(b"", body, 1, LIMITS)
    assert asked.refusal is not None
    assert asked.rows.points == []
    assert read_request(b"&".join([b"a=b"] * 101), b"", 1, LIMITS).refusal == (
        Reason.TOO_LARGE,
        "A form has at most 100 fields",
    )


TEXTS = st.text(max_size=10) | st.sampled_from(["1", "-1e9", "nan", "9" * 30, "sos", "true", "2025-10-09T08:53:20Z"])
NAMES = st.sampled_from(["id", "lat", "lon", "timestamp", "speed", "batt", "alarm", "location", "valid", "token", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("2025-10-09T08:53:20Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
COORDS = st.dictionaries(st.sampled_from(["latitude", "longitude", "speed", "heading", "altitude", "x"]), VALUES)
PLACES = st.dictionaries(st.sampled_from(["timestamp", "battery", "alarm", "valid", "x"]), VALUES)
ELEMENTS = st.builds(lambda rest, coords: {**rest, "coords": coords}, PLACES, COORDS | VALUES) | VALUES
BODIES = st.builds(
    lambda top, location: {**top, "location": location},
    st.dictionaries(st.sampled_from(["device_id", "id", "token"]), VALUES),
    ELEMENTS | st.lists(ELEMENTS, max_size=4),
)


@given(
    st.lists(st.tuples(NAMES, TEXTS), max_size=12).map(lambda pairs: urlencode(pairs).encode()) | st.binary(max_size=40)
)
@settings(max_examples=250)
def test_any_form_ends_in_exactly_one_place(query: bytes) -> None:
    asked = read_request(query, b"", RECEIVED_MS, LIMITS)
    assert len(asked.rows.points) + len(asked.rows.bad) + (asked.refusal is not None) == 1
    columns(asked)


@given(BODIES)
@settings(max_examples=250)
def test_any_json_ends_in_exactly_one_place(body: dict[str, Any]) -> None:
    asked = read_request(b"", json.dumps(body).encode(), RECEIVED_MS, LIMITS)
    location = body["location"]
    if asked.refusal is None:
        count = len(location) if isinstance(location, list) else 1
        assert len(asked.rows.points) + len(asked.rows.bad) == count
    else:
        assert asked.rows.points == []
    columns(asked)


@given(st.binary(max_size=60), st.binary(max_size=20))
@settings(max_examples=150)
def test_no_bytes_raise(body: bytes, query: bytes) -> None:
    for start in (b"", b"{", b'{"location":'):
        read_request(query, start + body, RECEIVED_MS, LIMITS)
