"""Commands for 808 terminals: which messages carry them, and what the terminal's answers say.

Invariants: `orders` makes messages in the order in which they have to be sent, or raises Refused where 808 has no such
thing; it knows no session, no serial and no rule about who may ask. Listening in and calling are two messages: first the
longest call is set, so that the terminal hangs up by itself even if it is never told to. The parameters by which somebody
could listen in without being asked are not for `set_parameter`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ingest.jt808.alarms import confirm_bits
from ingest.jt808.messages import CATALOGUE
from ingest.jt808.messages.texts import TEXT_DISPLAY, TEXT_SPEAK, TEXT_URGENT, TEXT_URGENT_2019
from ingest.jt808.parameters import LONGEST_CALL, NAMES, parameter
from ingest.wire.fields import Values
from ingest.wire.free import free_message
from ingest.wire.orders import NO_SERIAL, Answer, Out
from ingest.wire.reader import Malformed
from ingest.wire.texts import gbk_text
from model.command_table import MAX_LISTEN_S
from model.errors import Refused

_MAX_NUMBER_CHARS = 20
_TEXT_SERVICE_2019 = 1
#: Whether the terminal answers calls by itself, how long a call may last, who may listen in.
GUARDED_PARAMETERS = frozenset({0x0045, LONGEST_CALL, 0x0048})
#: For a photo: 640 by 480 and middle values; the terminal's own defaults cannot be asked for.
_PICTURE = {
    "keep": "send",
    "resolution": "640x480",
    "quality": 5,
    "brightness": 128,
    "contrast": 64,
    "saturation": 64,
    "chroma": 128,
}
#: Messages up that answer one message down, by what they answer.
_ANSWERS = {
    0x0104: 0x8104,
    0x0107: 0x8107,
    0x0108: 0x8108,
    0x0201: 0x8201,
    0x0302: 0x8302,
    0x0500: 0x8500,
    0x0608: 0x8608,
    0x0700: 0x8700,
    0x0702: 0x8702,
    0x0802: 0x8802,
    0x0805: 0x8801,
    0x1003: 0x9003,
    0x1205: 0x9205,
    0x1206: 0x9206,
}
_ANSWERED_BY = {down: up for up, down in _ANSWERS.items()}
#: Messages that may be sent by name. Not those that dial, listen, record, show or send pictures, control the vehicle, set
#: parameters, or carry anything at all: they have a command with a gate, or none.
FREE_MESSAGES = frozenset(
    {
        "control", "query_some_parameters", "link_check", "media_search", "set_events", "ask", "set_information", "information",
        "set_phone_book", "set_circles", "delete_circles", "set_rectangles", "delete_rectangles", "set_polygon",
        "delete_polygons", "set_route", "delete_routes", "query_areas", "recorder_query", "driver_query", "query_av",
        "query_recordings",
    }
)  # fmt: skip
_WORDS = {
    "failed": "it failed",
    "bad_message": "the terminal did not understand it",
    "not_supported": "the terminal has no such thing",
    "no_such_channel": "it has no such camera",
}
_Args = dict[str, Any]


def orders(name: str, args: dict[str, Any], *, version: int, phone_number: str) -> list[Out]:
    """The messages of a command of `model.command.COMMANDS` (or `end_listen_in`), in order.

    Args:
        name: the command.
        args: its checked arguments.
        version: edition that the terminal speaks: 2013 (2011 alike) or 2019.
        phone_number: what the terminal is to dial: `desk.phone_number`.
    """
    make = _ORDERS.get(name)
    if make is None:
        raise Refused(f"JT/T 808 has no message for {name}.", mend="Reach the driver by text or call.")
    try:
        return make(args, version, phone_number)
    except Malformed as error:
        raise Refused(f"{name}: {error}.", mend="Change the argument that is named.") from error


def answer_of(message_id: int, values: dict[str, Any]) -> Answer | None:
    """What a decoded message up answers; None when it answers nothing."""
    if message_id == 0x0001:
        return Answer(values["answers_serial"], values["answers_id"], *_result(values))
    answered = _ANSWERS.get(message_id)
    if answered is None:
        return None
    data = {name: value for name, value in values.items() if name != "answers_serial"}
    return Answer(values.get("answers_serial", NO_SERIAL), answered, *_result(values), data)


def _result(values: Values) -> tuple[bool, str]:
    result = values.get("result", "ok")
    return result == "ok", "" if result == "ok" else _WORDS.get(result, f"result {result}")


def _out(name: str, values: Values, version: int, *answers: int) -> Out:
    entry = CATALOGUE.by_name[name]
    return Out(entry.id, entry.write(values, version), answers)


def _longest_call(seconds: int, version: int) -> Out:
    return _out("set_parameters", {"parameters": [{"id": LONGEST_CALL, "value": seconds}]}, version)


def _dial(mode: str, seconds: int, version: int, phone_number: str) -> list[Out]:
    if not phone_number or not phone_number.isascii() or len(phone_number) > _MAX_NUMBER_CHARS:
        raise Refused(
            f"{phone_number[:40]!r} is no number that a terminal can dial.",
            mend=f"Set desk.phone_number, at most {_MAX_NUMBER_CHARS} digits.",
        )
    return [_longest_call(seconds, version), _out("call_back", {"mode": mode, "phone": phone_number}, version)]


def _listen_in(args: _Args, version: int, phone_number: str) -> list[Out]:
    return _dial("listen", min(args["minutes"] * 60, MAX_LISTEN_S), version, phone_number)


def _call(_args: _Args, version: int, phone_number: str) -> list[Out]:
    return _dial("talk", MAX_LISTEN_S, version, phone_number)


def _message(args: _Args, version: int, _phone_number: str) -> list[Out]:
    return free_message(CATALOGUE, FREE_MESSAGES, _ANSWERED_BY, args, version, named_only={"control": "control"})


def _end_listen_in(_args: _Args, version: int, _phone_number: str) -> list[Out]:
    """No call may last any longer; then calls are allowed again."""
    return [_longest_call(0, version), _longest_call(MAX_LISTEN_S, version)]


def _snapshot(args: _Args, version: int, _phone_number: str) -> list[Out]:
    values = {"channel": args["channel"], "shots": args["count"], "seconds": args["interval_s"], **_PICTURE}
    return [_out("shoot", values, version, 0x0805)]


def _text(args: _Args, version: int, _phone_number: str) -> list[Out]:
    sign = TEXT_DISPLAY | (TEXT_SPEAK if args["speak"] else 0)
    if version >= 2019:
        sign |= TEXT_URGENT_2019 if args["urgent"] else _TEXT_SERVICE_2019
    elif args["urgent"]:
        sign |= TEXT_URGENT
    return [_out("text", {"sign": sign, "kind": "notice", "text": gbk_text(args["text"])}, version)]


def _confirm_alarm(args: _Args, version: int, _phone_number: str) -> list[Out]:
    bits = confirm_bits(args["alarm_kind"])
    if not bits:
        raise Refused(
            f"JT/T 808 has nothing to confirm for {args['alarm_kind'][:40]!r}.",
            mend="The terminal clears it when its cause is gone.",
        )
    return [_out("alarm_confirm", {"alarm_serial": 0, "confirm": bits}, version)]


def _track_faster(args: _Args, version: int, _phone_number: str) -> list[Out]:
    return [_out("track", {"interval_s": args["interval_s"], "for_s": args["for_s"]}, version)]


def _query(args: _Args, version: int, _phone_number: str) -> list[Out]:
    name, answer = {
        "position": ("position_query", 0x0201),
        "attributes": ("query_attributes", 0x0107),
        "parameters": ("query_parameters", 0x0104),
    }.get(args["what"], ("", 0))
    if not name:
        raise Refused("JT/T 808 has no message that asks for an inspection.", mend="Ask for the attributes.")
    return [_out(name, {}, version, answer)]


def _set_parameter(args: _Args, version: int, _phone_number: str) -> list[Out]:
    number = _parameter_id(args["id"])
    if number in GUARDED_PARAMETERS:
        raise Refused(
            f"{NAMES[number]} decides who can listen in and is not set by hand.",
            mend="Use the commands call and listen_in.",
        )
    return [_out("set_parameters", {"parameters": [parameter(number, args["value"])]}, version)]


def _parameter_id(text: str) -> int:
    by_name = {name: number for number, name in NAMES.items()}
    try:
        number = by_name[text] if text in by_name else int(text, 0)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 32:
        raise Refused(
            f"{text[:40]!r} is no parameter of JT/T 808.", mend="Give its number, such as 0x0029, or its name."
        )
    return number


_ORDERS: dict[str, Callable[[_Args, int, str], list[Out]]] = {
    "snapshot": _snapshot,
    "listen_in": _listen_in,
    "end_listen_in": _end_listen_in,
    "call": _call,
    "text": _text,
    "confirm_alarm": _confirm_alarm,
    "track_faster": _track_faster,
    "query": _query,
    "set_parameter": _set_parameter,
    "message": _message,
}
