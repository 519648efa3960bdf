"""From settings to each room's own limits: the only place that knows both names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.limits import CleanLimits
from analytics.meaning.limits import RuleLimits
from lucheng.open_files import fitting_terminals
from store.desk.limits import DeskLimits

if TYPE_CHECKING:
    from config.sections import Settings
    from ingest.decode.limits import DecodeLimits
    from ingest.gateway.limits import GatewayLimits
    from ingest.mqtt.connection import MqttLimits
    from lucheng.runner import RunnerLimits


def clean_limits(settings: Settings) -> CleanLimits:
    """Thresholds of the analytics."""
    clean = settings.clean
    return CleanLimits(
        max_jump_speed_kmh=clean.max_speed_kmh,
        jump_min_m=clean.jump_min_m,
        null_island_deg=clean.null_island_deg,
        max_offset_ms=clean.max_offset_ms,
        frozen_span_ms=clean.frozen_span_ms,
        max_speed_kmh=clean.max_value_speed_kmh,
        max_acc_m=clean.max_acc_m,
        max_seq_gap_points=clean.max_seq_gap_points,
        late_alarm_ms=clean.late_alarm_ms,
        episode_pad_ms=clean.episode_pad_ms,
        max_episodes=clean.max_episodes,
        max_ahead_ms=clean.max_ahead_ms,
        max_live_age_ms=clean.max_live_age_ms,
        clock_tolerance_ms=clean.clock_tolerance_ms,
        offset_points=clean.clock_points,
        frozen_points=clean.frozen_after_points,
        max_slots=max(settings.devices.max_devices, 1),
    )


def rule_limits(settings: Settings) -> RuleLimits:
    """Thresholds of the rules; the section has the same names."""
    rules = settings.rules
    return RuleLimits(**{name: getattr(rules, name) for name in type(rules).model_fields})


def desk_limits(settings: Settings) -> DeskLimits:
    """Periods, ladder and bounds of the desk."""
    desk = settings.desk
    return DeskLimits(
        reopen_ms=desk.reopen_s * 1000,
        hold_off_ms=desk.hold_off_s * 1000,
        close_settled_ms=desk.close_settled_s * 1000,
        ladder_ms=(0, desk.all_seats_s * 1000, desk.shift_lead_s * 1000, desk.duty_officer_s * 1000),
        dispatch_within_ms=desk.dispatch_within_s * 1000,
        escalate_severity=desk.escalate_severity,
        response_severity=desk.response_severity,
        severity=dict(desk.severity),
        flood_alarms=desk.flood_alarms,
        max_transaction_signals=desk.max_transaction_signals,
        max_answers=desk.max_answers,
        feed_events=desk.feed_events,
    )


def decoder_limits(settings: Settings) -> DecodeLimits:
    """What a payload may hold."""
    from ingest.decode.limits import DecodeLimits  # noqa: PLC0415 (a command that decodes nothing does not load it)

    limits = settings.limits
    return DecodeLimits(
        payload_bytes=limits.payload_bytes,
        payload_points=limits.payload_points,
        extra_bytes=limits.extra_bytes,
        alarm_note_chars=limits.alarm_note_chars,
        alarm_id_chars=limits.alarm_id_chars,
        quarantine_raw_bytes=limits.quarantine_raw_bytes,
        alarm_late_ms=settings.clean.late_alarm_ms,
    )


def runner_limits(settings: Settings) -> RunnerLimits:
    """The pipeline's steps, snapshots, sealing and retention."""
    from lucheng.runner import RunnerLimits  # noqa: PLC0415 (see above)

    series, log = settings.series, settings.log
    return RunnerLimits(
        snapshot_every_rows=series.snapshot_every_rows,
        snapshot_every_s=series.snapshot_every_s,
        seal_delay_s=series.seal_delay_s,
        retention_days=series.retention_days,
        max_step_rows=log.step_max_rows,
        max_read_records=log.read_max_records,
        max_read_bytes=log.read_max_bytes,
    )


def mqtt_limits(settings: Settings) -> MqttLimits:
    """One broker connection."""
    from ingest.mqtt.connection import MqttLimits  # noqa: PLC0415 (see above)

    mqtt = settings.mqtt
    return MqttLimits(
        max_unacked_messages=mqtt.max_unacked_messages,
        max_unacked_bytes=mqtt.max_unacked_bytes,
        max_packet_bytes=mqtt.max_packet_bytes,
        keepalive_s=mqtt.keepalive_s,
        backoff_first_s=mqtt.reconnect_min_ms / 1000,
        backoff_max_s=mqtt.reconnect_max_ms / 1000,
        nap_ms=mqtt.nap_ms,
    )


def gateway_limits(settings: Settings) -> GatewayLimits:
    """Limits of the gateway of terminals."""
    from ingest.gateway.limits import GatewayLimits  # noqa: PLC0415 needed by the service alone

    gateway = settings.gateway
    return GatewayLimits(
        max_connections=fitting_terminals(gateway.max_connections),
        greeting_s=gateway.greeting_s,
        idle_s=gateway.idle_s,
        max_buffer_bytes=gateway.max_buffer_bytes,
        max_unsent_bytes=gateway.max_unsent_bytes,
        max_unanswered_frames=gateway.max_unanswered_frames,
        max_media_bytes=gateway.max_media_bytes,
        max_open_bytes=gateway.max_open_bytes,
        part_timeout_s=gateway.part_timeout_s,
        part_retries=gateway.part_retries,
        quarantine_raw_bytes=settings.limits.quarantine_raw_bytes,
        extra_bytes=settings.limits.extra_bytes,
        order_s=settings.commands.reply_timeout_s,
    )
