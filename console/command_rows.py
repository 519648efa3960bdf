"""Commands as JSON-ready rows. Pure.

Invariants: where a place is hidden, what the device answered holds none, and the row says so.
"""

from __future__ import annotations

from typing import Any

from console.alarm_rows import moment
from model.command import Command

#: Keys of an answer that tell a place.
_PLACE_KEYS = frozenset({"lat", "lon", "latitude", "longitude", "place", "point", "points", "position", "positions"})
#: A device may put its place into the words of its answer to these.
_TELLS_PLACE = frozenset({"query"})


def command_row(command: Command, *, place: bool) -> dict[str, Any]:
    """A command and its life; `place` says whether a place in its answer may be given out."""
    detail, reply = command.detail, command.reply
    if not place:
        tells = command.name in _TELLS_PLACE and bool(command.sent_ms)
        detail, reply = ("", {}) if tells else (detail, without_place(reply))
    return {
        "command": command.id,
        "device": command.device,
        "name": command.name,
        "args": command.args,
        "state": command.state.value,
        "version": command.version,
        "by": command.by,
        "role": command.role,
        "reason": command.reason,
        "alarm": command.alarm,
        "asked": moment(command.asked_ms),
        "expires": moment(command.expires_ms),
        "approved_by": command.approved_by,
        "via": command.via,
        "sent": moment(command.sent_ms),
        "done": moment(command.done_ms),
        "ends": moment(command.ends_ms),
        "ended": moment(command.ended_ms),
        "listening": command.listening,
        "stopped_by": command.stopped_by,
        "detail": detail,
        "reply": reply,
        "place_hidden": not place,
    }


def without_place(value: Any) -> Any:
    """A JSON value without what tells a place, however deep it stands."""
    if isinstance(value, dict):
        return {key: without_place(item) for key, item in value.items() if key.lower() not in _PLACE_KEYS}
    return [without_place(item) for item in value] if isinstance(value, list) else value
