"""Replies to commands through the decoder."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode.decoder import Decoded, Decoder
from ingest.decode.limits import DEFAULT_LIMITS
from ingest.decode.replies import decode_reply
from ingest.decode.topics import ALARM_TOPICS
from ingest.mqtt.messages import Messages
from model.codes import Reason
from model.command import Reply

TOPIC = "lucheng/v1/taxi/1/up/reply"


def decoded(decoder: Decoder, body: object, *, retain: bool = False) -> Decoded:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decoder.decode(Messages.of([(TOPIC, payload)], retain=retain), 5)


def test_replies_come_on_the_alarms_connection() -> None:
    assert "lucheng/v1/+/+/up/reply" in ALARM_TOPICS


def test_a_reply_with_everything(decoder: Decoder) -> None:
    body = {"id": "K2026-000001", "ok": False, "detail": "no camera", "device": "taxi/1", "photos": [{"n": 1}]}
    made = decoded(decoder, body)
    assert made.replies == [Reply("K2026-000001", False, "no camera", {"photos": [{"n": 1}]}, "taxi/1")]
    assert (len(made.batch), made.quarantined, made.urgent) == (0, [], False)


def test_the_least_reply_and_odd_optional_values(decoder: Decoder) -> None:
    assert decoded(decoder, {"id": "K1", "ok": True}).replies == [Reply("K1", True, "", {}, "taxi/1")]
    assert decoded(decoder, {"id": "K1", "ok": True, "detail": None}).replies[0].detail == ""
    assert decoded(decoder, {"id": "K1", "ok": True, "detail": {"a": 1}}).replies[0].detail == ""
    assert decoded(decoder, {"id": "K1", "ok": True, "device_id": "1"}).replies[0].device == "taxi/1"


def test_texts_and_data_are_bounded(decoder: Decoder) -> None:
    (reply,) = decoded(decoder, {"id": "K1", "ok": True, "detail": "x" * 9_999, "data": "y" * 99_999}).replies
    assert (len(reply.detail), reply.detail[-1]) == (DEFAULT_LIMITS.reply_detail_chars, "…")
    assert reply.data == {"cut_bytes": 100_010}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"id": "K1"}, Reason.MISSING_FIELD),
        ({"ok": True}, Reason.MISSING_FIELD),
        ({"id": 7, "ok": True}, Reason.WRONG_TYPE),
        ({"id": "K1", "ok": "yes"}, Reason.WRONG_TYPE),
        ({"id": "", "ok": True}, Reason.TOO_LARGE),
        ({"id": "K" * 65, "ok": True}, Reason.TOO_LARGE),
        ({"id": "K1", "ok": True, "device": "taxi/2"}, Reason.IDENTITY_MISMATCH),
        ([], Reason.WRONG_TYPE),
        (b"{", Reason.NOT_JSON),
        (b'{"id":"K1","ok":true,"x":NaN}', Reason.NOT_JSON),
        (b'{"id":"K1","ok":true,"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}", Reason.NOT_JSON),
    ],
)
def test_what_is_refused(decoder: Decoder, body: object, reason: Reason) -> None:
    made = decoded(decoder, body)
    assert made.replies == []
    assert [(entry.reason, entry.device, entry.source) for entry in made.quarantined] == [(reason, "taxi/1", TOPIC)]


def test_a_kept_reply_is_old(decoder: Decoder) -> None:
    made = decoded(decoder, {"id": "K1", "ok": True}, retain=True)
    assert (made.replies, made.quarantined[0].reason) == ([], Reason.RETAINED)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["id", "ok", "detail", "device", "x"]), VALUES) | st.binary(max_size=40))
@settings(max_examples=200)
def test_anything_is_a_reply_or_refused(body: object) -> None:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = decode_reply("taxi/1", payload, DEFAULT_LIMITS)
    if isinstance(made, Reply):
        assert 0 < len(made.command) <= 64
        json.dumps(made.data)
    else:
        assert isinstance(made[0], Reason)
