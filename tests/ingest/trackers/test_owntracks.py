"""OwnTracks messages through the decoder: bodies recorded from apps, every type, and anything at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.directory import Directory
from ingest.decode.decoder import Decoded, Decoder
from ingest.decode.limits import DEFAULT_LIMITS
from ingest.decode.topics import ALARM_TOPICS, OWNTRACKS_SUBTOPICS, POINT_TOPICS
from ingest.mqtt.messages import Messages
from ingest.trackers.owntracks import decode_owntracks
from ingest.trackers.tracked import TrackerMessage
from model.batch import COLUMNS
from model.codes import Flag, Reason

RECEIVED_MS = 1_760_000_000_500
TOPIC = "owntracks/taxi/1"
POINT = "lucheng/v1/ebike/2/up/point"
BODIES = (
    Path(os.environ.get("LUCHENG_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
    / "frames"
    / "owntracks.json"
)


def location(**more: Any) -> dict[str, Any]:
    return {"_type": "location", "tst": 1_760_000_000, "lat": 40.65, "lon": 109.84, **more}


def decoded(decoder: Decoder, body: object, topic: str = TOPIC, *, retain: bool = False) -> Decoded:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decoder.decode(Messages.of([(topic, payload)], retain=retain), RECEIVED_MS)


def refused(decoder: Decoder, body: object, topic: str = TOPIC) -> tuple[Reason, str]:
    """Reason and detail of the one entry; nothing else may have come of it."""
    made = decoded(decoder, body, topic)
    assert (len(made.batch), made.statuses, made.replies, made.passed_over) == (0, [], [], 0)
    (entry,) = made.quarantined
    return entry.reason, entry.detail


@pytest.mark.skipif(not BODIES.exists(), reason="the recorded frames are not here")
def test_bodies_recorded_from_apps(decoder: Decoder) -> None:
    bodies = json.loads(BODIES.read_text())
    made = decoder.decode(Messages.of([(TOPIC, body.encode()) for body in bodies]), RECEIVED_MS)
    batch = made.batch
    assert not made.quarantined
    assert batch.time_ms.tolist() == [1551874878000, 1497349316000, 1736161169000]
    assert batch.lat.tolist() == [46.0681247, 48.85833, 37]
    assert batch.lon.tolist() == [11.1512805, 2.29513, -122]
    assert batch.acc_m.tolist() == [15, 5, 5]
    assert batch.alt_m.tolist() == [440, 167, 0]
    np.testing.assert_equal(batch.speed_kmh.tolist(), [0, 61, np.nan])
    np.testing.assert_equal(batch.heading_deg.tolist(), [np.nan, 271, np.nan])
    assert batch.battery_pct.tolist() == [46, 67, -1]
    # packed up 246 s after the fix: it had been kept while the phone was offline
    assert [bool(flags & Flag.BUFFERED) for flags in batch.flags.tolist()] == [False, False, True]
    assert json.loads(batch.extra[0]) == {"conn": "w", "t": "u", "tid": "5t", "vac": 2}
    assert json.loads(batch.extra[2])["created_at"] == 1736161415


def test_unknown_is_not_a_value_and_texts_may_be_numbers(decoder: Decoder) -> None:
    made = decoded(decoder, location(tst="1760000001", lat="1.5", vel=-1, cog=-1, acc=-1, alt=-12, batt=-100, ign=1))
    batch = made.batch
    assert (batch.time_ms[0], batch.lat[0], batch.alt_m[0], batch.battery_pct[0]) == (1_760_000_001_000, 1.5, -12, -1)
    assert np.isnan([batch.speed_kmh[0], batch.heading_deg[0], batch.acc_m[0]]).all()
    assert batch.flags[0] == Flag.IGNITION | Flag.IGNITION_SENT


@pytest.mark.parametrize("later_s", [0, 3, 10])
def test_a_few_seconds_between_fix_and_message_are_no_buffer(decoder: Decoder, later_s: int) -> None:
    made = decoded(decoder, location(created_at=1_760_000_000 + later_s))
    assert not made.batch.flags[0] & Flag.BUFFERED


def test_what_the_broker_kept_is_a_point_that_says_so(decoder: Decoder) -> None:
    made = decoded(decoder, location(t="r"), retain=True)
    assert made.batch.flags[0] & Flag.BUFFERED
    assert made.replies == []  # it answers nobody any more
    (status,) = decoded(decoder, {"_type": "lwt", "tst": 7}, retain=True).statuses
    assert status.retained


def test_a_transition_with_its_place_is_a_point_and_keeps_what_it_is(decoder: Decoder) -> None:
    body = {**location(), "_type": "transition", "event": "leave", "desc": "depot", "wtst": 5}
    made = decoded(decoder, body, f"{TOPIC}/event")
    assert made.batch.slot.tolist() == [0]
    kept = json.loads(made.batch.extra[0])
    assert kept == {"_type": "transition", "event": "leave", "desc": "depot", "wtst": 5}
    del body["lat"]
    made = decoded(decoder, body, f"{TOPIC}/event")
    assert (len(made.batch), made.passed_over, made.quarantined) == (0, 1, [])


def test_a_last_will_is_offline(decoder: Decoder) -> None:
    (status,) = decoded(decoder, {"_type": "lwt", "tst": 1_759_999_000}).statuses
    assert (status.device, status.slot, status.online, status.time_ms) == ("taxi/1", 0, False, 1_759_999_000_000)
    (status,) = decoded(decoder, {"_type": "lwt"}).statuses
    assert status.time_ms == RECEIVED_MS


def test_a_place_that_was_asked_for_is_a_reply_too(decoder: Decoder) -> None:
    made = decoded(decoder, location(t="r"))
    (reply,) = made.replies
    assert (reply.command, reply.ok, reply.device) == ("", True, "taxi/1")
    assert reply.data == {"time_ms": 1_760_000_000_000, "lat": 40.65, "lon": 109.84}
    assert len(made.batch) == 1


@pytest.mark.parametrize("last", ["", *OWNTRACKS_SUBTOPICS])
def test_what_the_app_says_of_itself_is_counted_on_every_subtopic(decoder: Decoder, last: str) -> None:
    for kind in ("waypoint", "waypoints", "status", "steps", "beacon", "card", "configuration"):
        made = decoded(decoder, {"_type": kind, "tst": 1}, f"{TOPIC}/{last}".rstrip("/"))
        assert (len(made.batch), made.passed_over, made.quarantined) == (0, 1, [])
    assert decoded(decoder, b"").passed_over == 1


def test_what_is_refused_says_why(decoder: Decoder) -> None:
    assert refused(decoder, {"_type": "encrypted", "data": "x"})[0] == Reason.ENCRYPTED
    assert refused(decoder, {"_type": "lorry"}) == (Reason.UNKNOWN_MESSAGE, "'lorry' is no `_type` of OwnTracks")
    assert refused(decoder, {"tst": 1}) == (Reason.MISSING_FIELD, "Object missing required field `_type`")
    assert refused(decoder, {"_type": "location", "tst": 1, "lat": 1})[0] == Reason.MISSING_FIELD
    assert refused(decoder, location(lat="north")) == (Reason.WRONG_TYPE, "Expected `float`, got `str` - at `$.lat`")
    assert refused(decoder, location(tst="nan"))[0] == Reason.OUT_OF_RANGE
    assert refused(decoder, b"C2,561ebac3,v,50123456,65987654")[0] == Reason.NOT_JSON
    assert refused(decoder, [location()])[0] == Reason.WRONG_TYPE


def test_the_topic_is_the_identity(decoder: Decoder) -> None:
    said = refused(decoder, location(topic="owntracks/ebike/2"))
    assert said == (Reason.IDENTITY_MISMATCH, "`topic` says 'ebike/2'")
    for harmless in (TOPIC, f"{TOPIC}/event", "owntracks/jane/phone", 7, None):
        assert len(decoded(decoder, location(topic=harmless)).batch) == 1
    assert refused(decoder, location(), "owntracks/taxi/off")[0] == Reason.DISABLED_DEVICE
    assert refused(decoder, location(), "owntracks/taxi/9")[0] == Reason.UNKNOWN_DEVICE
    for wrong in ("owntracks/taxi", "owntracks/jane/phone", "owntracks/taxi/1/cmd", "owntracks/taxi/1/event/x"):
        reason, detail = refused(decoder, location(), wrong)
        assert (reason, "owntracks/{kind}/{name}" in detail) == (Reason.BAD_TOPIC, True)
    # the name of a protocol is no last level of ours
    assert refused(decoder, location(), "lucheng/v1/taxi/1/up/owntracks")[0] == Reason.BAD_TOPIC


def test_our_own_commands_are_not_subscribed_to() -> None:
    assert "owntracks/+/+" in POINT_TOPICS
    assert not {"owntracks/+/+/cmd", "owntracks/+/+/+", "owntracks/#"} & {*POINT_TOPICS, *ALARM_TOPICS}


def test_extra_is_bounded(decoder: Decoder) -> None:
    made = decoded(decoder, location(SSID="x" * DEFAULT_LIMITS.extra_bytes))
    assert json.loads(made.batch.extra[0]).keys() == {"extra_dropped_bytes"}


def test_a_round_keeps_order_and_dtypes_and_harms_no_neighbour(decoder: Decoder) -> None:
    items = [
        (POINT, b'{"ts":1,"lat":1,"lon":1}'),
        (TOPIC, json.dumps(location(tst=2, tid="a")).encode()),
        (TOPIC, b"{"),
        (POINT, b'{"ts":3,"lat":1,"lon":1,"x":1}'),
        ("owntracks/ebike/2", json.dumps(location(tst=4, tid="b")).encode()),
    ]
    made = decoder.decode(Messages.of(items), RECEIVED_MS)
    assert made.batch.time_ms.tolist() == [1, 3, 2000, 4000]
    assert made.batch.slot.tolist() == [1, 1, 0, 1]
    assert made.batch.extra == {1: b'{"x":1}', 2: b'{"tid":"a"}', 3: b'{"tid":"b"}'}
    assert [(entry.source, entry.raw) for entry in made.quarantined] == [(TOPIC, b"{")]
    for column in COLUMNS:
        assert made.batch.column(column.name).dtype == np.dtype(column.dtype), column.name


def test_a_stranger_is_registered_where_that_is_the_rule(directory: Directory) -> None:
    asked: list[str] = []
    made = Decoder(directory, unknown="register", register=asked.extend)
    assert decoded(made, location(), "owntracks/taxi/new").quarantined[0].reason == Reason.UNKNOWN_DEVICE
    assert asked == ["taxi/new"]


KEYS = st.sampled_from(
    ["_type", "tst", "lat", "lon", "acc", "vel", "batt", "created_at", "topic", "t", "ign", "event", "x"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["location", "lwt", "transition", "r", "owntracks/taxi/2", "1e999", "nan"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, VALUES) | st.binary(max_size=60) | VALUES, st.booleans())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_anything_ends_in_exactly_one_place(body: object, retained: bool) -> None:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    held = decode_owntracks([TrackerMessage(3, "taxi/1", payload, retained)], RECEIVED_MS, DEFAULT_LIMITS)
    places = (len(held.rows.points), len(held.rows.bad), len(held.statuses), held.passed_over)
    assert sum(places) == 1
    assert len(held.rows.slots) == len(held.rows.points)
    assert len(held.replies) <= len(held.rows.points)


def test_a_whole_message_of_nonsense_becomes_columns(decoder: Decoder) -> None:
    """What passes the checks also fits the columns."""
    extremes = location(
        tst=1e12, lat=1e308, lon=-1e308, acc=1e9, alt=-1e9, vel=1e9, cog=1e9, batt=1e9, created_at=-1e12
    )
    made = decoded(decoder, extremes)
    assert made.batch.time_ms.tolist() == [10**15]
    assert made.batch.battery_pct.tolist() == [-1]
