"""Named limits of decoding, and the reasons behind a refusal."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from model.codes import Reason
from model.command import DEFAULT_DETAIL_CHARS, DEFAULT_REPLY_BYTES

#: What of a topic or an explanation is kept in a quarantine entry.
TEXT_CHARS = 200

#: Whatever a decoder may raise at bytes from outside; anything else is a fault of ours.
BAD_PAYLOAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Limits of what one message or text may hold.

    Attributes:
        payload_bytes: a longer payload is quarantined as TOO_LARGE.
        payload_points: so is an array of more elements (all of them counted).
        payload_quarantined: bad elements of one array that are kept one by one; more of the same reason are
            one further entry with their number.
        extra_bytes: unknown keys kept with one point; more are left out, and `extra` says how many bytes.
        quarantine_raw_bytes: bytes kept of what was quarantined.
        topics: topics remembered; more start the memory anew.
        alarm_id_chars, alarm_note_chars, firmware_chars: texts of devices. A longer alarm id is quarantined,
            since it could not be told from another; a longer note or firmware is cut.
        alarm_names: names in `alarms` of one point that are not in the table and are kept in `extra`.
        alarm_late_ms: an alarm message that is older when it comes is marked late.
        command_id_chars: longest id of a command in a reply; a longer one is quarantined.
        reply_detail_chars, reply_bytes: what is kept of a reply: its words are cut, of more data only the size is kept.
        buffered_s: a place that a tracker packed up so much later than it was fixed had been kept while offline.
    """

    payload_bytes: int = 256 * 1024
    payload_points: int = 10_000
    payload_quarantined: int = 16
    extra_bytes: int = 1024
    quarantine_raw_bytes: int = 4096
    topics: int = 1_000_000
    alarm_id_chars: int = 64
    alarm_note_chars: int = 500
    firmware_chars: int = 64
    alarm_names: int = 16
    alarm_late_ms: int = 300_000
    command_id_chars: int = 64
    reply_detail_chars: int = DEFAULT_DETAIL_CHARS
    reply_bytes: int = DEFAULT_REPLY_BYTES
    buffered_s: float = 10.0


DEFAULT_LIMITS = DecodeLimits()


def judge(error: Exception) -> tuple[Reason, str]:
    """The reason and the words for something of `BAD_PAYLOAD`; the words are at most `TEXT_CHARS` long."""
    if isinstance(error, UnicodeDecodeError):
        return Reason.NOT_JSON, f"Text is not UTF-8 (byte {error.start})"
    if isinstance(error, RecursionError):
        return Reason.NOT_JSON, "JSON is nested too deeply"
    text = str(error)[:TEXT_CHARS]
    reason = Reason.WRONG_TYPE
    if not isinstance(error, msgspec.ValidationError):
        reason = Reason.NOT_JSON
    elif "missing required field" in text:
        reason = Reason.MISSING_FIELD
    elif "out of range" in text or "` <= " in text or "` >= " in text:
        reason = Reason.OUT_OF_RANGE
    elif "Invalid enum value" in text and ".datum" in text:
        reason = Reason.BAD_DATUM
    return reason, text
