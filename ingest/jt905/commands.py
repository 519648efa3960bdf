"""Commands for 905 terminals: which messages carry them, and what the terminal's answers say.

Invariants: `orders` makes messages in the order in which they have to be sent, or raises Refused where 905 has no such
thing; it knows no session, no serial and no rule about who may ask. Listening in and calling are two messages: first the
longest call is set, so that the terminal hangs up by itself even if it is never told to. Source: JT/T 905.2-2014 10.3.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ingest.jt905.messages import CATALOGUE
from ingest.jt905.messages.session import DEVICE_TYPES
from ingest.jt905.messages.texts import MAX_NUMBER_BYTES, MAX_TEXT_BYTES
from ingest.jt905.parameters import LONGEST_CALL, NAMES, PARAMETERS
from ingest.wire.fields import Int, Text, Values
from ingest.wire.free import free_message
from ingest.wire.orders import NO_SERIAL, Answer, Out
from ingest.wire.reader import Malformed
from ingest.wire.texts import gbk_text
from model.command_table import MAX_LISTEN_S
from model.errors import Refused

_URGENT, _DISPLAY, _SPEAK = 1 << 0, 1 << 2, 1 << 3
_TALK, _LISTEN = 0, 1
_FUEL, _CIRCUIT = 0, 1
_FUEL_CUT, _CIRCUIT_CUT = 1 << 10, 1 << 11
#: Whether the terminal answers calls by itself, how long a call may last, who may listen in.
GUARDED_PARAMETERS = frozenset({0x0045, LONGEST_CALL, 0x0049})
#: Messages that may be sent by name; see `ingest.jt808.commands.FREE_MESSAGES`.
FREE_MESSAGES = frozenset({"control", "set_events", "ask", "set_phone_book", "search_photos"})
_Args = dict[str, Any]
#: For a photo: middle values; the terminal's own defaults cannot be asked for.
_PICTURE = {"resolution": 1, "quality": 3, "brightness": 128, "contrast": 64, "saturation": 64, "chroma": 128}


def orders(name: str, args: dict[str, Any], *, version: int = 0, phone_number: str = "") -> list[Out]:
    """The messages of a command of `model.command.COMMANDS` (or `end_listen_in`), in order.

    Args:
        name: the command.
        args: its checked arguments.
        version: 905 has no editions.
        phone_number: what the terminal is to dial: `desk.phone_number`.
    """
    del version
    make = _ORDERS.get(name)
    if make is None:
        raise Refused(f"JT/T 905 has no message for {name}.", mend="Reach the driver by text or call.")
    try:
        return make(args, phone_number)
    except Malformed as error:
        raise Refused(f"{name}: {error}.", mend="Change the argument that is named.") from error


def answer_of(message_id: int, values: dict[str, Any]) -> Answer | None:
    """What a decoded message up answers; None when it answers nothing."""
    if message_id == 0x0001:
        result = values["result"]
        detail = (
            ""
            if result == "ok"
            else {"failed": "it failed", "bad_message": "the terminal did not understand it"}.get(
                result, f"result {result}"
            )
        )
        return Answer(values["answers_serial"], values["answers_id"], result == "ok", detail)
    if message_id == 0x0B11:
        return Answer(NO_SERIAL, 0x8B11, True, data=values)  # noqa: FBT003 ok
    answered = {0x0104: 0x8104, 0x0201: 0x8201, 0x0500: 0x8500}.get(message_id)
    if answered is None:
        return None
    data = {name: value for name, value in values.items() if name != "answers_serial"}
    detail = _state(values["position"]["status"]["value"]) if message_id == 0x0500 else ""
    return Answer(values["answers_serial"], answered, True, detail, data)  # noqa: FBT003 ok


def _state(status: int) -> str:
    fuel, circuit = ("cut" if status & bit else "on" for bit in (_FUEL_CUT, _CIRCUIT_CUT))
    return f"fuel {fuel}, circuit {circuit}"


def _out(name: str, values: Values | None = None, *answers: int) -> Out:
    entry = CATALOGUE.by_name[name]
    return Out(entry.id, entry.write(values or {}), answers)


def _longest_call(seconds: int) -> Out:
    return _out("set_parameters", {"parameters": [{"id": LONGEST_CALL, "value": seconds}]})


def _dial(mode: int, seconds: int, phone_number: str) -> list[Out]:
    if not phone_number or not phone_number.isascii() or len(phone_number) > MAX_NUMBER_BYTES:
        raise Refused(
            f"{phone_number[:40]!r} is no number that a terminal can dial.",
            mend="Set desk.phone_number, at most 20 digits.",
        )
    return [_longest_call(seconds), _out("call_back", {"mode": mode, "number": phone_number})]


def _listen_in(args: _Args, phone_number: str) -> list[Out]:
    return _dial(_LISTEN, min(args["minutes"] * 60, MAX_LISTEN_S), phone_number)


def _call(_args: _Args, phone_number: str) -> list[Out]:
    return _dial(_TALK, MAX_LISTEN_S, phone_number)


def _message(args: _Args, _phone_number: str) -> list[Out]:
    return free_message(CATALOGUE, FREE_MESSAGES, {}, args, named_only={"control": "command"})


def _end_listen_in(_args: _Args, _phone_number: str) -> list[Out]:
    """No call may last any longer; then calls are allowed again."""
    return [_longest_call(0), _longest_call(MAX_LISTEN_S)]


def _snapshot(args: _Args, _phone_number: str) -> list[Out]:
    values = {
        "camera": args["channel"],
        "count": args["count"],
        "interval_s": args["interval_s"],
        "keep": 0,
        **_PICTURE,
    }
    return [_out("take_photo", values)]


def _text(args: _Args, _phone_number: str) -> list[Out]:
    flags = _DISPLAY | (_URGENT if args["urgent"] else 0) | (_SPEAK if args["speak"] else 0)
    return [_out("text", {"flags": flags, "text": piece}) for piece in _pieces(gbk_text(args["text"]))]


def _pieces(text: str) -> list[str]:
    """The text in pieces of at most `MAX_TEXT_BYTES` bytes of GBK."""
    made, size_bytes, piece = [], 0, ""
    for letter in text:
        more = len(letter.encode("gbk", "replace"))
        if size_bytes + more > MAX_TEXT_BYTES:
            made.append(piece)
            piece, size_bytes = "", 0
        piece, size_bytes = piece + letter, size_bytes + more
    return [*made, piece]


def _confirm_alarm(args: _Args, _phone_number: str) -> list[Out]:
    return [_out("clear_alarm" if args["state"] == "closed" else "confirm_alarm")]


def _track_faster(args: _Args, _phone_number: str) -> list[Out]:
    return [_out("track", {"by": "time_for_time", "interval": args["interval_s"], "length": args["for_s"]})]


def _cut_power(args: _Args, _phone_number: str) -> list[Out]:
    """Fuel, then circuit; given back the other way round."""
    items, command = ((_CIRCUIT, _FUEL), 0) if args["restore"] else ((_FUEL, _CIRCUIT), 1)
    return [_out("control_vehicle", {"item": item, "command": command}, 0x0500) for item in items]


def _query(args: _Args, _phone_number: str) -> list[Out]:
    what = args["what"]
    if what == "position":
        return [_out("query_position", None, 0x0201)]
    if what == "parameters":
        return [_out("query_parameters", {"ids": list(PARAMETERS)}, 0x0104)]
    if what == "inspection":
        return [_out("inspect", {"devices": list(DEVICE_TYPES)}, 0x0B11)]
    raise Refused("JT/T 905 has no message that asks for attributes.", mend="Ask for an inspection.")


def _set_parameter(args: _Args, _phone_number: str) -> list[Out]:
    number = _parameter_id(args["id"])
    if number in GUARDED_PARAMETERS:
        raise Refused(
            f"{NAMES[number]} decides who may call and listen.", mend="Use `call` or `listen_in`, which have rules."
        )
    _, field = PARAMETERS[number]
    text = args["value"]
    value: str | float = text
    if isinstance(field, Int) and text not in field.values.values():
        try:
            value = int(text, 0) if field.scale == 1 else float(text)
        except ValueError as error:
            raise Refused(f"{text[:40]!r} is no number.", mend=f"{NAMES[number]} takes a number.") from error
    elif isinstance(field, Text) and len(text.encode("gbk", "replace")) > 255:
        raise Refused(f"{NAMES[number]} is too long.", mend="Give at most 255 bytes.")
    return [_out("set_parameters", {"parameters": [{"id": number, "value": value}]})]


def _parameter_id(text: str) -> int:
    by_name = {name: number for number, name in NAMES.items()}
    try:
        number = by_name[text] if text in by_name else int(text, 0)
    except ValueError:
        number = -1
    if number not in PARAMETERS:
        raise Refused(f"{text!r} is no parameter of JT/T 905.", mend="Give its number, such as 0x0046, or its name.")
    return number


_ORDERS: dict[str, Callable[[_Args, str], list[Out]]] = {
    "snapshot": _snapshot,
    "listen_in": _listen_in,
    "end_listen_in": _end_listen_in,
    "call": _call,
    "text": _text,
    "confirm_alarm": _confirm_alarm,
    "track_faster": _track_faster,
    "cut_power": _cut_power,
    "query": _query,
    "set_parameter": _set_parameter,
    "message": _message,
}
