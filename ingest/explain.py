"""`explain`: one frame of a terminal, field by field, for people who have to find out what a device said.

Purpose: hex in, a JSON-ready dict out, refusals included. Invariants: it never raises for what it is given; what could be
read of a bad frame is in the answer beside the `error`. It keeps nothing and answers no device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import ingest.gt06.codec as gt06
import ingest.jt808.codec as jt808
import ingest.jt905.codec as jt905
from ingest.gt06.messages import CATALOGUE as GT06_MESSAGES
from ingest.jt808.messages import CATALOGUE as JT808_MESSAGES
from ingest.jt905.messages import CATALOGUE as JT905_MESSAGES
from ingest.wire.message import Catalogue
from ingest.wire.reader import Malformed

#: Longest line that is looked at, characters.
DEFAULT_MAX_LINE_CHARS = 4 << 20
#: Marks between bytes that people paste along with them.
_BETWEEN = str.maketrans("", "", " \t\r\n-:,_")
_JT_MARK = 0x7E
_GT06_MARKS = (b"\x78\x78", b"\x79\x79")
#: ISU numbers of JT/T 905 begin with this and have twelve digits.
_ISU_BEGINS, _ISU_DIGITS = "10", 12


class FrameView(Protocol):
    """What the frames of all protocols have in common."""

    @property
    def message_id(self) -> int: ...
    @property
    def number(self) -> str: ...
    @property
    def serial(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def index(self) -> int: ...
    @property
    def checksum_ok(self) -> bool: ...
    @property
    def encrypted(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Codec:
    """How one protocol is read."""

    name: str
    read: Callable[[bytes], Any]
    body: Callable[[Any], dict[str, Any]]
    messages: Catalogue


CODECS: dict[str, Codec] = {
    one.name: one
    for one in (
        Codec("jt808", jt808.read_frame, jt808.decode_body, JT808_MESSAGES),
        Codec("jt905", jt905.read_frame, jt905.decode_body, JT905_MESSAGES),
        Codec("gt06", gt06.read_frame, gt06.decode_body, GT06_MESSAGES),
    )
}


def explain(text: str, protocol: str = "auto") -> dict[str, Any]:
    """One frame written in hex.

    Args:
        text: hex digits; blanks, dashes, colons and commas between them are passed over.
        protocol: a key of `CODECS`, or `auto`: by the first byte; of JT/T 808 and 905, which look alike, the one whose
            number and body fit.

    Returns:
        `protocol`, `message_id` ("0x0200"), `message`, `number`, `serial`, `version`, `part` ("2/5"), `checksum_ok`,
        `fields` and `error` ("" when there is none); what could not be read is None.
    """
    try:
        raw = _bytes_of(text)
    except Malformed as error:
        return _refused(protocol, str(error))
    if protocol != "auto":
        return _explained(CODECS[protocol], raw)
    if raw[:2] in _GT06_MARKS:
        return _explained(CODECS["gt06"], raw)
    if raw[0] == _JT_MARK:
        return _either(raw)
    return _refused(protocol, f"No protocol begins with 0x{raw[0]:02x}: 7e is JT/T 808 or 905, 7878 or 7979 is GT06.")


def _bytes_of(text: str) -> bytes:
    if len(text) > DEFAULT_MAX_LINE_CHARS:
        raise Malformed("", f"The line has {len(text)} characters, more than {DEFAULT_MAX_LINE_CHARS}.")
    digits = text.translate(_BETWEEN).removeprefix("0x").removeprefix("0X")
    try:
        raw = bytes.fromhex(digits)
    except ValueError as error:
        raise Malformed("", "The line is not hex: give two hex digits for every byte.") from error
    if not raw:
        raise Malformed("", "The line is empty.")
    return raw


def _either(raw: bytes) -> dict[str, Any]:
    """JT/T 808 or 905."""
    as_808, as_905 = _explained(CODECS["jt808"], raw), _explained(CODECS["jt905"], raw)
    number = str(as_905["number"] or "")
    if len(number) == _ISU_DIGITS and number.startswith(_ISU_BEGINS) and as_905["fields"] is not None:
        return as_905
    if as_808["error"] and not as_905["error"]:
        return as_905
    return as_808


def _explained(codec: Codec, raw: bytes) -> dict[str, Any]:
    try:
        frame = codec.read(raw)
    except Malformed as error:
        return _refused(codec.name, str(error))
    told = _head(codec, frame)
    if frame.encrypted:
        return {**told, "error": "The body is encrypted."}
    if frame.total > 1:
        return {
            **told,
            "error": f"Part {frame.index} of {frame.total}: the body can be read when all parts are together.",
        }
    try:
        told["fields"] = codec.body(frame)
    except Malformed as error:
        return {**told, "error": str(error)}
    return told if frame.checksum_ok else {**told, "error": "The checksum does not hold."}


def _head(codec: Codec, frame: FrameView) -> dict[str, Any]:
    known = codec.messages.by_id.get(frame.message_id)
    digits = 2 if codec.name == "gt06" else 4
    return {
        "protocol": codec.name,
        "message_id": f"0x{frame.message_id:0{digits}x}",
        "message": known.name if known is not None else None,
        "number": frame.number or None,
        "serial": frame.serial,
        "version": frame.version or None,
        "part": f"{frame.index}/{frame.total}" if frame.total > 1 else None,
        "checksum_ok": frame.checksum_ok,
        "fields": None,
        "error": "",
    }


def _refused(protocol: str, error: str) -> dict[str, Any]:
    names = ("message_id", "message", "number", "serial", "version", "part", "checksum_ok", "fields")
    return {"protocol": None if protocol == "auto" else protocol, **dict.fromkeys(names), "error": error}
