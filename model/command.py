"""`Command`: what a device is told to do, one noun for every protocol, and the pure rules by which it moves.

Purpose: a function for each step of a command's life: asked (waits for another person's approval) ▸ queued ▸ sent ▸ accepted | refused | expired.
Invariants: a command is sent at most once: it is `sent`, durably, before the first byte leaves, and nothing leads back
from there; every step raises the version by one; nothing is changed in place. It stores nothing, reads no clock and
sends nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from model.codes import Word
from model.command_table import MAX_LISTEN_S
from model.errors import Refused

#: Length of what a device answered, characters.
DEFAULT_DETAIL_CHARS = 500
#: Size of what a device answered, bytes of JSON.
DEFAULT_REPLY_BYTES = 16_384
MAX_REASON_CHARS = 500


class CommandState(StrEnum):
    """How far a command is."""

    ASKED = "asked"
    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    EXPIRED = "expired"


STATE_WORDS: dict[CommandState, Word] = {
    CommandState.ASKED: Word("waits for approval", "待审批"),
    CommandState.QUEUED: Word("queued", "待下发"),
    CommandState.SENT: Word("sent", "已下发"),
    CommandState.ACCEPTED: Word("accepted", "终端已执行"),
    CommandState.REFUSED: Word("refused", "被拒绝"),
    CommandState.EXPIRED: Word("expired", "已过期"),
}
#: States in which nothing more happens (but for the end of a listen-in).
DONE = frozenset({CommandState.ACCEPTED, CommandState.REFUSED, CommandState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Command:
    """One command and its life.

    Attributes:
        id: e.g. `K2026-000001`; on the wire of MQTT, and what makes a repeat harmless.
        device: id of the device.
        name: a key of `COMMANDS`.
        args: checked arguments.
        by, role: who gave it, and as what; `system` for what the desk does by itself.
        reason: why.
        alarm: id of the alarm it belongs to, or "".
        state: see `CommandState`; version: grows by 1 with every step.
        asked_ms, expires_ms: when it was given; when it is too late to send it. Our clock, UTC ms.
        approved_by: the other person, or "".
        via: protocol it was sent by, or "".
        sent_ms, done_ms: when it was sent; when it was accepted, refused or expired; 0 not yet.
        ends_ms: when a listen-in has to end; ended_ms: when it did; 0 neither.
        detail: what the device or the rules answered, in words.
        reply: what came with the answer (a place, parameters), as JSON values.
        stopped_by: who hung up a listen-in that ran, or "".
    """

    id: str
    device: str
    name: str
    args: dict[str, Any]
    by: str
    role: str
    reason: str
    alarm: str
    state: CommandState
    version: int
    asked_ms: int
    expires_ms: int
    approved_by: str = ""
    via: str = ""
    sent_ms: int = 0
    done_ms: int = 0
    ends_ms: int = 0
    ended_ms: int = 0
    detail: str = ""
    reply: dict[str, Any] = field(default_factory=dict)
    stopped_by: str = ""

    @property
    def done(self) -> bool:
        """Whether nothing more will be heard of it."""
        return self.state in DONE

    @property
    def listening(self) -> bool:
        """Whether it is a listen-in that went out and has not been ended."""
        return bool(self.ends_ms) and not self.ended_ms


# -- the steps ----------------------------------------------------------------------------------


def approve(command: Command, who: str) -> Command:
    """Another person approves: it is queued. Refused for the one who asked and where nothing waits."""
    if command.state is not CommandState.ASKED:
        raise Refused(f"{command.id} is {command.state}: there is nothing to approve.", mend="Look at its life first.")
    if who == command.by:
        raise Refused(f"{who} asked for {command.id} and cannot approve it.", mend="Let another person approve it.")
    return _step(command, state=CommandState.QUEUED, approved_by=who)


def reject(command: Command, who: str, reason: str, now_ms: int) -> Command:
    """A person turns it down, or takes it back, before it was sent."""
    if command.state not in (CommandState.ASKED, CommandState.QUEUED):
        raise Refused(f"{command.id} is {command.state}: it is too late to stop it.", mend="Look at its life first.")
    return _done(command, CommandState.REFUSED, f"{who}: {reason}", now_ms, {})


def send(command: Command, via: str, now_ms: int) -> Command:
    """It goes out now, this once. A listen-in ends by itself so many minutes from now."""
    if command.state is not CommandState.QUEUED:
        raise Refused(f"{command.id} is {command.state}: it is not sent.", mend="Give a new command.")
    if now_ms >= command.expires_ms:
        raise Refused(f"{command.id} has expired.", mend="Give a new command.")
    ends_ms = now_ms + min(command.args["minutes"] * 60, MAX_LISTEN_S) * 1_000 if command.name == "listen_in" else 0
    return _step(command, state=CommandState.SENT, via=via, sent_ms=now_ms, ends_ms=ends_ms)


def answer(command: Command, *, ok: bool, detail: str, reply: dict[str, Any], now_ms: int) -> Command | None:
    """The device answered. None when that changes nothing: a repeated or a late answer, or one that was not asked for.

    What an accepted command brings later (a photo's number after the terminal's general reply) is added to `reply`.
    """
    if command.state is CommandState.ACCEPTED and ok and set(reply) - set(command.reply):
        return _step(command, reply=_bounded({**command.reply, **reply}))
    if command.state is not CommandState.SENT:
        return None
    return _done(command, CommandState.ACCEPTED if ok else CommandState.REFUSED, detail, now_ms, reply)


def turn_down(command: Command, detail: str, now_ms: int) -> Command:
    """A rule stops it before a byte leaves: the alarm has closed, the vehicle moves, its protocol has no such command.

    Then it was not sent, whatever had been written down for the case that the service dies while it sends.
    """
    _still_open(command)
    return replace(_done(command, CommandState.REFUSED, detail, now_ms, {}), via="", sent_ms=0, ends_ms=0)


def expire(command: Command, now_ms: int) -> Command:
    """Its time is over: it could not be sent, or nothing was answered. A listen-in that was sent has to be ended all the same."""
    _still_open(command)
    why = "no answer" if command.state is CommandState.SENT else "not sent in time"
    return _done(command, CommandState.EXPIRED, why, now_ms, {})


def hang_up(command: Command, who: str) -> Command:
    """A person ends a listen-in that runs before its minutes are over; the service then tells the terminal.

    Refused where none runs, and where somebody has done it already.
    """
    if not command.listening:
        raise Refused(f"{command.id} is no listen-in that runs.", mend="Look at its life first.")
    if command.stopped_by:
        raise Refused(
            f"{command.stopped_by} has hung up {command.id} already.", mend="It ends once its terminal is reached."
        )
    return _step(command, stopped_by=who)


def end(command: Command, now_ms: int) -> Command:
    """A listen-in ends: its time is over or its alarm has closed. Refused where none runs."""
    if not command.listening:
        raise Refused(f"{command.id} is no listen-in that runs.", mend="Look at its life first.")
    return _step(command, ended_ms=now_ms)


def _still_open(command: Command) -> None:
    if command.done:
        raise Refused(f"{command.id} is {command.state}: nothing more happens to it.", mend="Give a new command.")


def _done(command: Command, state: CommandState, detail: str, now_ms: int, reply: dict[str, Any]) -> Command:
    made = _step(command, state=state, done_ms=now_ms, detail=detail[:DEFAULT_DETAIL_CHARS], reply=_bounded(reply))
    # A device that says no may still have begun to dial: ending that does no harm. What never went out needs no end.
    return replace(made, ends_ms=made.ends_ms if made.sent_ms else 0)


def _bounded(reply: dict[str, Any]) -> dict[str, Any]:
    """The reply as plain JSON values within the limit; where a device sent what is none, how large it was."""
    try:
        text = json.dumps(reply, ensure_ascii=False, default=str, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return {"cut_bytes": 0}
    plain = text.encode("utf-8", "replace")  # half a character becomes a question mark
    return json.loads(plain) if len(plain) <= DEFAULT_REPLY_BYTES else {"cut_bytes": len(plain)}


def _step(command: Command, **changes: Any) -> Command:
    return replace(command, version=command.version + 1, **changes)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a device answered to a command.

    Attributes:
        command: id of the command.
        ok: whether it did as told.
        detail: in words.
        data: what came with it, JSON values.
        device: who answered; only the device that was told may.
    """

    command: str
    ok: bool
    detail: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    device: str = ""
