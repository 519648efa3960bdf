"""A tag reader's sightings become points of the tag's device, honest about how far off they may be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.directory import Directory
from devices.registry import Registry
from ingest.decode.decoder import Decoder
from ingest.mqtt.messages import Messages
from model.codes import Flag, Reason
from model.sighting import MAX_SIGHTING_M, sighting_uncertainty_m

NOW = 1_760_000_000_000
PLACE = (40.65, 109.84)


@pytest.fixture
def reading(registry: Registry, directory: Directory) -> Decoder:
    registry.ensure(["reader/gate", "reader/nowhere"])
    registry.refresh(directory)
    slot = directory.slot_of["reader/gate"]
    return Decoder(directory, place_of=lambda asked: PLACE if asked == slot else None)


def sent(reader: str, *payloads: bytes) -> Messages:
    return Messages.of((f"lucheng/v1/{reader}/up/sighting", payload) for payload in payloads)


def said(**fields: object) -> bytes:
    return json.dumps({"ts": NOW, "tag": "b-7", "rssi_dbm": -70, **fields}).encode()


def test_a_sighting_is_a_coarse_point_of_the_bike(reading: Decoder, directory: Directory) -> None:
    decoded = reading.decode(sent("reader/gate", said(), said(tag="ebike/b-7", rssi_dbm=None, ts=NOW + 1)), NOW)
    batch = decoded.batch
    assert batch.slot.tolist() == [directory.slot_of["ebike/b-7"]] * 2
    assert (batch.lat.tolist(), batch.lon.tolist()) == ([PLACE[0]] * 2, [PLACE[1]] * 2)
    assert batch.time_ms.tolist() == [NOW, NOW + 1]
    assert batch.acc_m.tolist() == pytest.approx([float(sighting_uncertainty_m(-70.0)), MAX_SIGHTING_M])
    assert (batch.flags == int(Flag.SIGHTED)).all()
    assert decoded.quarantined == []


@pytest.mark.parametrize(
    ("reader", "payload", "reason"),
    [
        ("reader/nowhere", said(), Reason.MISSING_FIELD),
        ("reader/gate", said(tag="b-8"), Reason.UNKNOWN_DEVICE),
        ("reader/gate", said(tag="taxi/off"), Reason.DISABLED_DEVICE),
        ("reader/gate", b"{", Reason.NOT_JSON),
        ("reader/gate", json.dumps({"ts": NOW}).encode(), Reason.MISSING_FIELD),
        ("taxi/1", said(), Reason.BAD_TOPIC),
    ],
)
def test_what_cannot_be_placed_is_quarantined_and_its_neighbour_is_not(
    reading: Decoder, reader: str, payload: bytes, reason: Reason
) -> None:
    pairs = [(reader, payload), ("reader/gate", said())]
    both = Messages.of((f"lucheng/v1/{who}/up/sighting", what) for who, what in pairs)
    decoded = reading.decode(both, NOW)
    assert [entry.reason for entry in decoded.quarantined] == [reason]
    assert len(decoded.batch) == 1
    assert decoded.rows == 2


@given(st.binary(max_size=80) | st.dictionaries(st.text(max_size=8), st.none() | st.floats() | st.text(max_size=9)))
def test_nothing_that_comes_raises(payload: bytes | dict[str, object]) -> None:
    directory = Directory()
    directory.apply([(0, "reader/r", "reader", 1, 0, -1), (1, "ebike/b", "ebike", 1, 0, -1)], 1)
    decoder = Decoder(directory, place_of=lambda _slot: PLACE)
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    decoded = decoder.decode(sent("reader/r", raw), NOW)
    assert decoded.rows == 1
    assert np.isfinite(decoded.batch.acc_m).all()
