"""Teltonika's codec JSON through the decoder."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode.decoder import Decoded, Decoder
from ingest.decode.limits import DEFAULT_LIMITS
from ingest.mqtt.messages import Messages
from ingest.trackers.teltonika import ALARMS, decode_teltonika
from ingest.trackers.tracked import TrackerMessage
from model.codes import ALARM_BY_NAME, Flag, Reason, alarm_names

RECEIVED_MS = 1_760_000_000_500
TOPIC = "teltonika/ebike/2/data"


def reported(**more: Any) -> dict[str, Any]:
    """A body with the keys of the wiki's example; `a239` is the AVL id 239."""
    avl = {key[1:]: value for key, value in more.items() if key[1:].isdigit()}
    rest = {key: value for key, value in more.items() if not key[1:].isdigit()}
    base = {"ts": 1_760_000_000_000, "latlng": "54.666042,25.225031", **rest, **avl}
    return {"state": {"reported": base}}


def decoded(decoder: Decoder, body: object, topic: str = TOPIC) -> Decoded:
    return decoder.decode(Messages.of([(topic, json.dumps(body).encode())]), RECEIVED_MS)


def refused(decoder: Decoder, body: object, topic: str = TOPIC) -> tuple[Reason, str]:
    made = decoded(decoder, body, topic)
    assert (len(made.batch), made.replies) == (0, [])
    (entry,) = made.quarantined
    return entry.reason, entry.detail


def test_a_whole_record(decoder: Decoder) -> None:
    body = reported(
        pr=1, alt=112, ang=271, sat=9, sp=23, evt=240,
        a239=1, a240=1, a113=87, a66=12_044, a67=4_007, a16=778, a69=1, a200=0, a21=5,
    )  # fmt: skip
    batch = decoded(decoder, body).batch
    row = [float(batch.column(name)[0]) for name in ("lat", "lon", "alt_m", "heading_deg", "sat", "speed_kmh")]
    assert row == [54.666042, 25.225031, 112, 271, 9, 23]
    assert (batch.time_ms[0], batch.slot[0], batch.battery_pct[0]) == (1_760_000_000_000, 1, 87)
    assert batch.flags[0] == Flag.VALID | Flag.VALID_SENT | Flag.IGNITION | Flag.IGNITION_SENT
    assert json.loads(batch.extra[0]) == {
        "pr": 1, "evt": 240, "moving": 1, "external_mv": 12_044, "battery_mv": 4_007, "odometer_m": 778,
        "gnss_state": 1, "sleep_mode": 0, "21": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("state", "flags"),
    [(0, Flag.VALID_SENT), (1, Flag.VALID | Flag.VALID_SENT), (2, Flag.VALID_SENT), (4, Flag.VALID_SENT), (9, Flag(0))],
)
def test_gnss_states(decoder: Decoder, state: int, flags: Flag) -> None:
    assert decoded(decoder, reported(a69=state)).batch.flags[0] == flags


@pytest.mark.parametrize("avl", ALARMS)
def test_alarms_by_their_avl_id(decoder: Decoder, avl: str) -> None:
    made = decoded(decoder, reported(**{f"a{avl}": 1}))
    assert alarm_names(int(made.batch.alarm_bits[0])) == [ALARMS[avl]]
    assert made.urgent
    assert decoded(decoder, reported(**{f"a{avl}": 0})).batch.alarm_bits[0] == 0


def test_an_alarm_is_not_lost_with_its_place(decoder: Decoder) -> None:
    made = decoded(decoder, reported(latlng="nowhere", a247=5))
    (entry,) = made.quarantined
    assert entry.reason == Reason.WRONG_TYPE
    (signal,) = made.signals
    assert (signal.kind, signal.device, signal.time_ms) == ("collision", "ebike/2", RECEIVED_MS)
    assert decoded(decoder, reported(latlng="nowhere", a247=5)).signals == []  # it had risen already


def test_a_value_that_its_table_does_not_have_spoils_nothing(decoder: Decoder) -> None:
    odd = {"a239": 7, "a113": "full", "a247": "hard", "a69": None, "a16": [1]}
    batch = decoded(decoder, reported(**odd)).batch
    assert (batch.flags[0], batch.battery_pct[0], batch.alarm_bits[0]) == (0, -1, 0)
    kept = json.loads(batch.extra[0])
    assert kept == {"239": 7, "113": "full", "247": "hard", "gnss_state": None, "odometer_m": [1]}


def test_numbers_as_texts_and_what_is_not_known(decoder: Decoder) -> None:
    batch = decoded(decoder, reported(ts="1760000000001", sp=-1, sat=99_999, a239="1")).batch
    assert (batch.time_ms[0], batch.sat[0]) == (1_760_000_000_001, -1)
    assert np.isnan(batch.speed_kmh[0])
    assert batch.flags[0] & Flag.IGNITION


def test_what_a_tracker_answers_is_a_reply_without_a_name(decoder: Decoder) -> None:
    made = decoded(decoder, {"RSP": "GPS:1 Sat:9 Lat:54.6"})
    (reply,) = made.replies
    assert (reply.command, reply.ok, reply.detail, reply.device) == ("", True, "GPS:1 Sat:9 Lat:54.6", "ebike/2")
    assert (len(made.batch), made.quarantined) == (0, [])
    (reply,) = decoded(decoder, {"RSP": "x" * 9_999}).replies
    assert len(reply.detail) == DEFAULT_LIMITS.reply_detail_chars


def test_what_is_refused_says_why(decoder: Decoder) -> None:
    assert refused(decoder, {})[1] == "There is neither `state` nor `RSP`"
    assert refused(decoder, {"state": {}})[0] == Reason.MISSING_FIELD
    assert refused(decoder, {"state": {"reported": {"ts": 1}}})[0] == Reason.MISSING_FIELD
    assert refused(decoder, reported(ts="soon"))[0] == Reason.WRONG_TYPE
    for wrong in ("1", "1,2,3", "nan,1", "1_0,1", "1e5,1", "\u0661,1", ""):
        assert refused(decoder, reported(latlng=wrong))[0] == Reason.WRONG_TYPE
    assert refused(decoder, reported(), "teltonika/ebike/2/commands")[0] == Reason.BAD_TOPIC
    assert refused(decoder, reported(), "teltonika/ebike/2")[1] == "The topic is not teltonika/{kind}/{name}/data"
    assert refused(decoder, reported(), "teltonika/ebike/9/data")[0] == Reason.UNKNOWN_DEVICE
    made = decoder.decode(Messages.of([(TOPIC, json.dumps(reported()).encode())], retain=True), RECEIVED_MS)
    assert [entry.reason for entry in made.quarantined] == [Reason.RETAINED]


def test_every_alarm_of_the_table_is_one_of_ours() -> None:
    assert set(ALARMS.values()) <= ALARM_BY_NAME.keys()


VALUES = st.none() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)
KEYS = st.sampled_from(["ts", "latlng", "alt", "ang", "sat", "sp", "239", "113", "69", "247", "16", "zz"])
PLACES = st.sampled_from(["1.5,2.5", " -1 , +2 ", "0.000000,0.000000", "999,999"])
GOOD = st.builds(lambda more, place: {"ts": 5, **more, "latlng": place}, st.dictionaries(KEYS, VALUES), PLACES)


@given(
    st.builds(lambda inner: {"state": {"reported": inner}}, GOOD | st.dictionaries(KEYS, VALUES))
    | st.dictionaries(st.sampled_from(["state", "RSP", "x"]), VALUES)
    | st.binary(max_size=60)
)
@settings(max_examples=300)
def test_anything_ends_in_exactly_one_place(body: object) -> None:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    held = decode_teltonika([TrackerMessage(3, "ebike/2", payload)], DEFAULT_LIMITS)
    assert len(held.rows.points) + len(held.rows.bad) + len(held.replies) == 1
    for point in held.rows.points:
        assert -1 <= point.sat <= 32_767
        assert -1 <= point.battery_pct <= 32_767
