"""Settings reach the limits they are for: every one of a mapped section changes what its room is given."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import pytest

from analytics.meaning.limits import RuleLimits
from config.clean import Clean
from config.rules import Rules
from config.settings import load
from lucheng.limits import clean_limits, decoder_limits, mqtt_limits, rule_limits, runner_limits

#: A value, allowed by the bounds, that is not the default.
_OTHER = {
    **dict.fromkeys(Clean.model_fields, 0),
    "max_speed_kmh": 90.0,
    "jump_min_m": 70.0,
    "max_ahead_ms": 90_000_000,
    "max_live_age_ms": 3_600_000,
    "clock_tolerance_ms": 60_000,
    "max_offset_ms": 7_200_000,
    "clock_points": 5,
    "frozen_after_points": 7,
    "frozen_span_ms": 9_000,
    "null_island_deg": 0.01,
    "max_value_speed_kmh": 400.0,
    "max_acc_m": 500.0,
    "max_seq_gap_points": 50,
    "late_alarm_ms": 5_000,
    "episode_pad_ms": 1_000,
    "max_episodes": 500,
}


def changed(make: Any, key: str, value: object) -> int:
    """How many of the room's limits the setting changes."""
    before, after = asdict(make(load(env={}))), asdict(make(load(env={}, overrides={key: value})))
    return sum(before[name] != after[name] for name in before)


@pytest.mark.parametrize("name", sorted(Clean.model_fields))
def test_cleaning(name: str) -> None:
    assert changed(clean_limits, f"clean.{name}", _OTHER[name]) == 1


@pytest.mark.parametrize("name", sorted(Rules.model_fields))
def test_rules(name: str) -> None:
    default = getattr(Rules(), name)
    other = {"road_limits_kmh": {"lane": 20.0}, "off": ("fatigue",)}.get(name) or default + 1
    assert changed(rule_limits, f"rules.{name}", other) == 1


def test_the_rules_have_the_same_names_and_defaults_as_their_settings() -> None:
    assert set(Rules.model_fields) == {one.name for one in fields(RuleLimits)}
    assert rule_limits(load(env={})) == RuleLimits()


@pytest.mark.parametrize(
    ("make", "key", "value"),
    [
        (clean_limits, "devices.max_devices", 1_234),
        (decoder_limits, "limits.payload_bytes", 1_024),
        (decoder_limits, "limits.payload_points", 7),
        (decoder_limits, "limits.extra_bytes", 7),
        (decoder_limits, "limits.alarm_note_chars", 7),
        (decoder_limits, "limits.alarm_id_chars", 7),
        (decoder_limits, "limits.quarantine_raw_bytes", 700),
        (decoder_limits, "clean.late_alarm_ms", 7_000),
        (mqtt_limits, "mqtt.max_unacked_messages", 7),
        (mqtt_limits, "mqtt.max_unacked_bytes", 1 << 20),
        (mqtt_limits, "mqtt.max_packet_bytes", 1 << 19),
        (mqtt_limits, "mqtt.keepalive_s", 7),
        (mqtt_limits, "mqtt.reconnect_min_ms", 777),
        (mqtt_limits, "mqtt.reconnect_max_ms", 7_777),
        (mqtt_limits, "mqtt.nap_ms", 7),
        (runner_limits, "series.snapshot_every_rows", 7_000),
        (runner_limits, "series.snapshot_every_s", 7.0),
        (runner_limits, "series.seal_delay_s", 7),
        (runner_limits, "series.retention_days", 7),
        (runner_limits, "log.step_max_rows", 7_000),
        (runner_limits, "log.read_max_records", 7),
        (runner_limits, "log.read_max_bytes", 1 << 20),
    ],
)
def test_other_rooms(make: Any, key: str, value: object) -> None:
    assert changed(make, key, value) == 1
