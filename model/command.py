"""`Command`: what a device is told to do, one noun for every protocol, and the pure rules by which it moves.

Purpose: the table of commands with their arguments and who may give them, and a function for each step of a command's
life: asked (waits for another person's approval) ▸ queued ▸ sent ▸ accepted | refused | expired.
Invariants: a command is sent at most once: it is `sent`, durably, before the first byte leaves, and nothing leads back
from there; every step raises the version by one; nothing is changed in place. It stores nothing, reads no clock and
sends nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from model.codes import Word
from model.device import Kind
from model.errors import Refused, UsageError
from model.role import Role

#: A listen-in lasts at most so long, whoever asks (trust.md 5).
MAX_LISTEN_S = 600
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
class Arg:
    """One argument of a command.

    Attributes:
        name: as on the wire of `down/command`, unit last.
        type: of its JSON value.
        words: what it means.
        default: taken when it is not given; None with `required`.
        required: whether it has to be given.
        least, most: bounds of an integer; of a text its length in characters.
        choices: allowed texts; () any.
    """

    name: str
    type: Literal["int", "text", "bool"]
    words: Word
    default: int | str | bool | None = None
    required: bool = False
    least: int = 0
    most: int = 0
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandKind:
    """One command that can be given.

    Attributes:
        name: the word on the wire and in every table.
        words: what people read.
        kinds: devices that it is for.
        roles: who may give it.
        args: its arguments.
        expires_s: how long it waits for a device that is offline, unless said otherwise; at most `MAX_EXPIRES_S`.
        alarm_kind: an open alarm of this kind of that very device is needed; "" none.
        needs_reason: a reason has to be said.
        needs_approval: another person has to approve it.
        needs_standing: the vehicle has to stand still when it is sent.
    """

    name: str
    words: Word
    kinds: frozenset[Kind]
    roles: frozenset[Role]
    args: tuple[Arg, ...] = ()
    expires_s: int = 300
    alarm_kind: str = ""
    needs_reason: bool = False
    needs_approval: bool = False
    needs_standing: bool = False


MAX_EXPIRES_S = 7 * 86_400
_TAXI, _BIKE = frozenset({Kind.TAXI}), frozenset({Kind.EBIKE})
_MOVING = _TAXI | _BIKE
_ANY = frozenset({Kind.TAXI, Kind.EBIKE, Kind.BUTTON, Kind.READER, Kind.GATEWAY, Kind.CAMERA})
_DESK = frozenset({Role.OPERATOR, Role.SUPERVISOR, Role.OFFICER})
_LEAD = frozenset({Role.SUPERVISOR})
_TECH = frozenset({Role.SUPERVISOR, Role.TECHNICIAN, Role.ADMIN})

COMMANDS: dict[str, CommandKind] = {
    one.name: one
    for one in (
        CommandKind(
            "snapshot",
            Word("take a photo", "拍照"),
            _TAXI | {Kind.CAMERA},
            _DESK,
            (
                Arg("channel", "int", Word("camera of the vehicle", "摄像头通道"), 1, least=1, most=255),
                Arg("count", "int", Word("photos", "张数"), 1, least=1, most=10),
                Arg("interval_s", "int", Word("seconds between two", "间隔秒数"), 0, least=0, most=3_600),
            ),
        ),
        CommandKind(
            "listen_in",
            Word("listen in: the terminal dials the desk, its speaker stays off", "监听：终端静音回拨接警台"),
            _TAXI,
            _LEAD,
            (Arg("minutes", "int", Word("at most so long", "最长分钟数"), 10, least=1, most=MAX_LISTEN_S // 60),),
            expires_s=60,
            alarm_kind="sos",
            needs_reason=True,
        ),
        CommandKind(
            "call",
            Word("two-way call: the terminal dials the desk", "通话：终端回拨接警台"),
            _TAXI,
            _DESK,
            expires_s=60,
        ),
        CommandKind(
            "text",
            Word("send a text", "下发文本"),
            _TAXI,
            _DESK,
            (
                Arg("text", "text", Word("the text", "文本"), required=True, least=1, most=500),
                Arg("urgent", "bool", Word("marked urgent", "紧急"), default=False),
                Arg("speak", "bool", Word("read aloud", "语音播报"), default=True),
            ),
        ),
        CommandKind(
            "confirm_alarm",
            Word("tell the device that the desk has its alarm", "确认报警"),
            _ANY,
            _DESK,
            (
                Arg("alarm_kind", "text", Word("kind of alarm", "警情类型"), "sos", least=1, most=64),
                Arg("state", "text", Word("state of the alarm", "警情状态"), "acknowledged", choices=("acknowledged", "closed")),
            ),
            expires_s=3_600,
        ),
        CommandKind(
            "track_faster",
            Word("report places more often for a while", "临时加密跟踪"),
            _MOVING,
            _DESK,
            (
                Arg("interval_s", "int", Word("seconds between two places", "回传间隔秒数"), 5, least=1, most=3_600),
                Arg("for_s", "int", Word("for so many seconds", "持续秒数"), 600, least=1, most=86_400),
            ),
        ),
        CommandKind("arm", Word("arm", "设防"), _BIKE, _DESK, expires_s=3_600),
        CommandKind("disarm", Word("disarm", "撤防"), _BIKE, _DESK, expires_s=3_600),
        CommandKind(
            "siren",
            Word("sound the siren", "鸣笛"),
            _BIKE,
            _DESK,
            (Arg("seconds", "int", Word("for so many seconds", "持续秒数"), 10, least=1, most=300),),
            expires_s=60,
        ),
        CommandKind(
            "cut_power",
            Word("cut the motor's power while the vehicle stands, or give it back", "断油电（静止时）或恢复"),
            _MOVING,
            frozenset({Role.SUPERVISOR, Role.OFFICER}),
            (Arg("restore", "bool", Word("give it back", "恢复供电"), default=False),),
            needs_reason=True,
            needs_approval=True,
            needs_standing=True,
        ),
        CommandKind(
            "query",
            Word("ask for its place, attributes or parameters", "查询位置、属性或参数"),
            _ANY,
            _DESK | _TECH,
            (
                Arg(
                    "what",
                    "text",
                    Word("what is asked for", "查询内容"),
                    "position",
                    choices=("position", "attributes", "parameters", "inspection"),
                ),
            ),
        ),
        CommandKind(
            "set_parameter",
            Word("set a parameter of the terminal", "设置终端参数"),
            _ANY,
            _TECH,
            (
                Arg("id", "text", Word("number of the parameter, e.g. 0x0029", "参数编号，如 0x0029"), required=True, least=1, most=20),
                Arg("value", "text", Word("its value", "参数值"), required=True, least=0, most=200),
            ),
            expires_s=86_400,
            needs_reason=True,
        ),
        CommandKind(
            "message",
            Word("send a message of its protocol, by name", "按名称下发协议消息"),
            _ANY,
            _TECH,
            (
                Arg("message", "text", Word("name in the reference, e.g. set_phone_book", "协议文档中的消息名，如 set_phone_book"), required=True, least=1, most=64),
                Arg("values", "text", Word("its fields as JSON", "字段（JSON）"), "{}", least=2, most=4_000),
            ),
            needs_reason=True,
        ),
    )
}  # fmt: skip


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

    @property
    def done(self) -> bool:
        """Whether nothing more will be heard of it."""
        return self.state in DONE

    @property
    def listening(self) -> bool:
        """Whether it is a listen-in that went out and has not been ended."""
        return bool(self.ends_ms) and not self.ended_ms


def kind_of(name: str) -> CommandKind:
    """The command of that name; UsageError when there is none."""
    found = COMMANDS.get(name)
    if found is None:
        raise UsageError(f"{name[:40]!r} is no command.", mend="Use one of " + ", ".join(COMMANDS) + ".")
    return found


def checked_args(kind: CommandKind, given: dict[str, Any]) -> dict[str, Any]:
    """All arguments of `kind`, those not given by default. UsageError names the first that is wrong."""
    unknown = sorted(set(given) - {arg.name for arg in kind.args})
    if unknown:
        known = ", ".join(arg.name for arg in kind.args) or "none"
        raise UsageError(f"{kind.name} has no argument {unknown[0][:40]!r}.", mend=f"It takes: {known}.")
    return {arg.name: _checked(kind, arg, given.get(arg.name, arg.default)) for arg in kind.args}


def _checked(kind: CommandKind, arg: Arg, value: Any) -> Any:
    what = f"{kind.name}: {arg.name}"
    if value is None:
        raise UsageError(f"{what} is missing.", mend=f"Give it: {arg.words.en}.")
    right = {"int": int, "text": str, "bool": bool}[arg.type]
    if not isinstance(value, right) or (arg.type == "int" and isinstance(value, bool)):
        raise UsageError(f"{what} is {value!r:.40}, which is no {arg.type}.", mend=f"Give a value of type {arg.type}.")
    if arg.choices and value not in arg.choices:
        raise UsageError(f"{what} is {value!r:.40}.", mend="Use one of " + ", ".join(arg.choices) + ".")
    if isinstance(value, int) and arg.type == "int" and not arg.least <= value <= arg.most:
        raise UsageError(f"{what} is {value}.", mend=f"Give {arg.least} to {arg.most}.")
    if isinstance(value, str) and not value.isascii() and not _whole(value):
        raise UsageError(f"{what} holds half a character.", mend="Write it in UTF-8.")
    if isinstance(value, str) and not arg.choices and not arg.least <= len(value) <= arg.most:
        raise UsageError(f"{what} has {len(value)} characters.", mend=f"Give {arg.least} to {arg.most}.")
    return value


def _whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def needs_approval(kind: CommandKind, args: dict[str, Any]) -> bool:
    """Whether another person has to approve it: giving power back harms nobody."""
    return kind.needs_approval and not args.get("restore", False)


def needs_standing(kind: CommandKind, args: dict[str, Any]) -> bool:
    """Whether the vehicle has to stand still."""
    return kind.needs_standing and not args.get("restore", False)


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
    """A rule stops it before a byte leaves: the alarm has closed, the vehicle moves, its protocol has no such command."""
    _still_open(command)
    return replace(_done(command, CommandState.REFUSED, detail, now_ms, {}), ends_ms=0)


def expire(command: Command, now_ms: int) -> Command:
    """Its time is over: it could not be sent, or nothing was answered. A listen-in that was sent has to be ended all the same."""
    _still_open(command)
    why = "no answer" if command.state is CommandState.SENT else "not sent in time"
    return _done(command, CommandState.EXPIRED, why, now_ms, {})


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
