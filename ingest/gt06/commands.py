"""Commands for GT06 trackers: texts of their makers in message 0x80, and what the device's answers say.

Invariants: `orders` makes one message, or raises Refused where no text is known; it knows no session and no rule about who
may ask, but nothing that has a gate of its own goes out as a parameter. The texts are Concox's, which most others understand.
The flag of a command is its serial (`codec.write_frames` fills it in) and comes back with the answer; a device that always
sends 0 back names no command (`NO_SERIAL`).
There is none for a while of faster tracking: their interval (TIMER) holds until it is set again, and can be set as a
parameter. Source: Concox's command lists (RELAY, WHERE, STATUS, VERSION, PARAM, 111, 000).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ingest.gt06.messages import CATALOGUE
from ingest.wire.orders import NO_SERIAL, Answer, Out
from model.errors import Refused

#: The longest text: the message's length counts 255 bytes with number, flag, language, serial and checksum.
MAX_TEXT_BYTES = 240
_COMMAND, _REPLY, _LONG_REPLY = 0x80, 0x15, 0x21
_Args = dict[str, Any]
#: What devices say when they did not do as told.
_NO = re.compile(r"error|fail|invalid|not support|not running|unknown|wrong|unsuccess|失败|错误|不支持", re.IGNORECASE)
_ALREADY = re.compile(r"already", re.IGNORECASE)
#: Words of Concox that set something and do nothing else. A word that is not here may be an order, as RELAY is, or dial, as
#: SOS and MONITOR do; those have commands with rules of their own, or none.
PARAMETERS = frozenset({
    "ACCALM", "ANGLEREP", "APN", "ASETAPN", "BATALM", "DEFENSE", "DEFMODE", "DISTANCE", "FENCE", "GFENCE", "GMT", "HBT",
    "LANG", "MODE", "MOVING", "POWERALM", "SENALM", "SENDS", "SENSOR", "SENSORSET", "SERVER", "SPEED", "TIMER",
})  # fmt: skip


def orders(name: str, args: dict[str, Any], *, version: int = 0, phone_number: str = "") -> list[Out]:
    """The message of a command of `model.command.COMMANDS`.

    Args:
        name: the command.
        args: its checked arguments.
        version: GT06 has no editions.
        phone_number: nothing here dials.
    """
    del version, phone_number
    text_of = _TEXTS.get(name)
    if text_of is None:
        raise Refused(
            f"No text of GT06 trackers is known for {name}.",
            mend="Use query, or set_parameter with the maker's own word.",
        )
    return [command(text_of(args))]


def command(text: str) -> Out:
    """The message that carries a maker's text, such as `STATUS#`."""
    raw = text.encode("ascii", "replace")
    if not text.isascii() or not 0 < len(raw) <= MAX_TEXT_BYTES:
        raise Refused(f"{text[:40]!r} is no text for a tracker.", mend=f"Give 1 to {MAX_TEXT_BYTES} ASCII characters.")
    values = {"size": 4 + len(raw), "server_flag": 0, "text": text, "language": "en"}
    return Out(_COMMAND, CATALOGUE.by_id[_COMMAND].write(values), (_REPLY, _LONG_REPLY))


def answer_of(message_id: int, values: dict[str, Any]) -> Answer | None:
    """What a decoded message up answers; None when it answers nothing. Refusals are known by their words."""
    if message_id not in (_REPLY, _LONG_REPLY):
        return None
    text = values["text"]
    said = text.rstrip("\0\r\n ") if isinstance(text, str) else text["raw"]
    if said.startswith("<ICCID:"):  # told unasked, at the start
        return None
    ok = _NO.search(said) is None or _ALREADY.search(said) is not None
    flag = values["server_flag"]
    return Answer(flag & 0xFFFF if flag else NO_SERIAL, _COMMAND, ok, said, {"text": said})


def _cut_power(args: _Args) -> str:
    return "RELAY,0#" if args["restore"] else "RELAY,1#"


def _query(args: _Args) -> str:
    texts = {"position": "WHERE#", "attributes": "VERSION#", "parameters": "PARAM#", "inspection": "STATUS#"}
    return texts[args["what"]]


def _set_parameter(args: _Args) -> str:
    if args["id"] not in PARAMETERS:
        raise Refused(
            f"{args['id'][:20]!r} is no parameter of a tracker.",
            mend="Use one of " + ", ".join(sorted(PARAMETERS)) + ".",
        )
    if set(args["value"]) & set("#\r\n\0"):
        raise Refused("A value holds no # and no line end.", mend="Leave them out.")
    return f"{args['id']},{args['value']}#"


_TEXTS: dict[str, Callable[[_Args], str]] = {
    "arm": lambda _args: "111#",
    "disarm": lambda _args: "000#",
    "cut_power": _cut_power,
    "query": _query,
    "set_parameter": _set_parameter,
}
