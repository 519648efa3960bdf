"""The table of commands: what devices can be told, with which arguments, by whom, and under which rules.

Invariants: a name stands in it once and is permanent, because it stands in stored commands; every argument has a bound; what
needs an open alarm, another person or a vehicle that stands says so here, and the gate reads it here. It knows no command
that was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from model.codes import Word
from model.device import Kind
from model.errors import UsageError
from model.role import Role

#: A listen-in lasts at most so long, whoever asks (trust.md 5).
MAX_LISTEN_S = 600


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
