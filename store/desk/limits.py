"""What the desk goes by: periods, the ladder of escalation, severities, bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from model.alarm import DEFAULT_HOLD_OFF_MS, DEFAULT_REOPEN_MS
from model.codes import ALARM_BY_NAME

DEFAULT_LADDER_MS = (0, 30_000, 60_000, 180_000)
DEFAULT_DISPATCH_WITHIN_MS = 60_000
DEFAULT_CLOSE_SETTLED_MS = 15 * 60_000
DEFAULT_ESCALATE_SEVERITY = 2
DEFAULT_RESPONSE_SEVERITY = 2
DEFAULT_MAX_TRANSACTION_SIGNALS = 50
#: Signals that make no alarm (sources `file` and `note`) are so much cheaper.
DEFAULT_MAX_TRANSACTION_KEPT = 1_000
DEFAULT_MAX_ANSWERS = 100_000
DEFAULT_ANSWERED_SIGNALS = 8
DEFAULT_FEED_EVENTS = 4_096
DEFAULT_FLOOD_ALARMS = 10
DEFAULT_FLOOD_WINDOW_MS = 10 * 60_000
DEFAULT_STATS_WINDOW_MS = 24 * 3_600_000
DEFAULT_MAX_STATS_LAPS = 100_000
DEFAULT_MAX_LIST_ROWS = 10_000
DEFAULT_AUDIT_ROWS = 500
DEFAULT_LIST_CASES = 1_000
DEFAULT_MAX_HISTORY = 1_000


@dataclass(frozen=True, slots=True)
class DeskLimits:
    """Settings of the desk.

    Attributes:
        reopen_ms: a signal so soon after closing opens the alarm again.
        hold_off_ms: how long the cause of a technical alarm has to be gone before it resolves itself.
        close_settled_ms: how long after that it is closed by the system; nobody reviews what nobody did.
        ladder_ms: when each rung is reached while nobody acknowledges, from the moment the alarm came to the desk:
            seat, all seats, shift lead, duty officer.
        dispatch_within_ms: how long an acknowledged alarm may wait for a unit before the ladder goes on.
        escalate_severity: alarms of this severity or higher (a lower number) are escalated.
        response_severity: alarms of this severity or higher have the 300-second clock watched.
        severity: kind to a severity that raises its own; it never lowers one.
        max_transaction_signals: signals and clears of one transaction; between two of them, who is urgent goes first.
        max_transaction_kept: the same for signals that make no alarm.
        max_answers: answers kept until they are given; beyond it the oldest go.
        answered_signals: of one alarm so many newest signals of the device are answered when it is acknowledged.
        feed_events: newest events that are served from memory.
        flood_alarms: more than so many alarms within `flood_window_ms` are a flood.
        stats_window_ms, max_stats_laps: how far back, and over how many laps, the clocks are summed up.
        max_list_rows: rows that one read returns at most.
        audit_rows: rows that are copied to the audit in one transaction.
    """

    reopen_ms: int = DEFAULT_REOPEN_MS
    hold_off_ms: int = DEFAULT_HOLD_OFF_MS
    close_settled_ms: int = DEFAULT_CLOSE_SETTLED_MS
    ladder_ms: tuple[int, ...] = DEFAULT_LADDER_MS
    dispatch_within_ms: int = DEFAULT_DISPATCH_WITHIN_MS
    escalate_severity: int = DEFAULT_ESCALATE_SEVERITY
    response_severity: int = DEFAULT_RESPONSE_SEVERITY
    severity: Mapping[str, int] = field(default_factory=dict)
    max_transaction_signals: int = DEFAULT_MAX_TRANSACTION_SIGNALS
    max_transaction_kept: int = DEFAULT_MAX_TRANSACTION_KEPT
    max_answers: int = DEFAULT_MAX_ANSWERS
    answered_signals: int = DEFAULT_ANSWERED_SIGNALS
    feed_events: int = DEFAULT_FEED_EVENTS
    flood_alarms: int = DEFAULT_FLOOD_ALARMS
    flood_window_ms: int = DEFAULT_FLOOD_WINDOW_MS
    stats_window_ms: int = DEFAULT_STATS_WINDOW_MS
    max_stats_laps: int = DEFAULT_MAX_STATS_LAPS
    max_list_rows: int = DEFAULT_MAX_LIST_ROWS
    audit_rows: int = DEFAULT_AUDIT_ROWS

    def severity_of(self, kind: str, hint: int) -> int:
        """The severity of an alarm: the highest of the kind's own, the setting's and the signal's."""
        own = ALARM_BY_NAME[kind].severity
        return max(1, min(own, self.severity.get(kind, own), hint))
