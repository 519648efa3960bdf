"""`Signal`: one raw occurrence worth attention. Immutable, kept for ever, never merged away."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signal:
    """A button pressed, an alarm bit risen, a line crossed.

    Attributes:
        id: unique for ever; derived by `signal_id` or from the device's own alarm id.
        device: device id, e.g. `taxi/28249`.
        kind: a name in `model.codes.ALARM_KINDS`.
        source: where it came from: `message` (an alarm message), `bit` (an alarm bit that rose), `file` (a bit or rule
            of a file's point: kept, never an alarm), `rule:{name}` (a rule of the analytics), `camera` (seen in pictures
            or in a stream) or `note` (the same where the settings ask for no alarm: kept, never an alarm).
        time_ms: device clock, UTC ms.
        received_ms: our clock, UTC ms.
        lat, lon: WGS-84 degrees, None when the device sent no place.
        severity: 1 (highest) to 3.
        late: raised after newer data of that device, or too old to be news; never a reason to drop it.
        note: free text of the device, bounded by `limits.alarm_note_chars`.
        log_position: where its raw form stands in the log it came through.
        fence: id of the fence it is about, "" for none; with kind and device it is the alarm's dedup key.
        device_alarm_id: the device's own id of an alarm message, for the answer back; "" for none.
    """

    id: str
    device: str
    kind: str
    source: str
    time_ms: int
    received_ms: int
    lat: float | None
    lon: float | None
    severity: int
    late: bool
    note: str
    log_position: int
    fence: str = ""
    device_alarm_id: str = ""


@dataclass(frozen=True, slots=True)
class Clear:
    """The cause of an alarm has gone: a bit fell, a speed came down, a device is back.

    Attributes:
        kind, device, fence: the dedup key of the alarm.
        time_ms: when, device clock, UTC ms.
        log_position: of the record that told it.
    """

    kind: str
    device: str
    fence: str
    time_ms: int
    log_position: int


def signal_id(log_position: int, row: int, rule: str) -> str:
    """The id of a signal that a rule raised: the same on every replay of the log.

    Args:
        log_position: position of the log record.
        row: row of the batch in that record.
        rule: name of the rule (for alarm bits `bit:{kind}`).
    """
    return "p" + hashlib.blake2b(f"{log_position}:{row}:{rule}".encode(), digest_size=12).hexdigest()


def message_signal_id(device: str, alarm_id: str) -> str:
    """The id of a signal that came as an alarm message: the device's id makes repeats harmless."""
    return "m" + hashlib.blake2b(f"{device}\0{alarm_id}".encode(), digest_size=12).hexdigest()
