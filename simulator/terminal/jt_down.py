"""What the platform says to a JT/T 808 or 905 terminal, read.

Purpose: `read(packet body) -> values` for every message that a terminal obeys; others come back as hex. Invariants: a
body that is too short raises `BadFrame`. Source: JT/T 808-2013 and -2019 chapter 8, JT/T 905.2-2014.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from simulator.terminal.wire import BadFrame, Protocol

Values = dict[str, Any]


def _gbk(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("gbk", "backslashreplace")


def _reply(body: bytes, _protocol: Protocol) -> Values:
    serial, message_id, result = struct.unpack_from(">HHB", body)
    return {"serial": serial, "message_id": message_id, "result": result}


def _registered(body: bytes, _protocol: Protocol) -> Values:
    serial, result = struct.unpack_from(">HB", body)
    return {"serial": serial, "result": result, "token": _gbk(body[3:])}


def _parts_wanted(body: bytes, _protocol: Protocol) -> Values:
    (serial,) = struct.unpack_from(">H", body)
    # One byte of count in 2013, two in 2019: the length tells which.
    wide = len(body) % 2 == 0
    at, count = (4, int.from_bytes(body[2:4], "big")) if wide else (3, body[2])
    return {"serial": serial, "parts": list(struct.unpack_from(f">{count}H", body, at))}


def _set_parameters(body: bytes, protocol: Protocol) -> Values:
    if protocol is not Protocol.JT905:
        return {"parameters": _rows(body, 1, ">IB")}
    # With a count in front or without: platforms of JT/T 905 do either.
    try:
        found = _rows(body, 1, ">HB")
        if len(found) == body[0]:
            return {"parameters": found}
    except (BadFrame, struct.error):
        pass
    return {"parameters": _rows(body, 0, ">HB")}


def _rows(body: bytes, at: int, shape: str) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while at < len(body):
        number, size = struct.unpack_from(shape, body, at)
        at += struct.calcsize(shape)
        if at + size > len(body):
            raise BadFrame(f"parameter {number:#06x} has {size} bytes, {len(body) - at} are there")
        found[number] = body[at : at + size]
        at += size
    return found


def _get_some(body: bytes, protocol: Protocol) -> Values:
    if protocol is Protocol.JT905:
        return {"ids": list(struct.unpack_from(f">{len(body) // 2}H", body))}
    return {"ids": list(struct.unpack_from(f">{body[0]}I", body, 1))}


def _get_all(body: bytes, protocol: Protocol) -> Values:
    return _get_some(body, protocol) if protocol is Protocol.JT905 else {}


def _control(body: bytes, _protocol: Protocol) -> Values:
    return {"command": body[0], "parameter": _gbk(body[1:])}


def _track(body: bytes, protocol: Protocol) -> Values:
    if protocol is Protocol.JT905:
        kind, interval_s, for_s = struct.unpack_from(">BHI", body)
        return {"kind": kind, "interval_s": interval_s, "for_s": for_s}
    (interval_s,) = struct.unpack_from(">H", body)
    return {"interval_s": interval_s, "for_s": struct.unpack_from(">I", body, 2)[0] if interval_s else 0}


def _confirm(body: bytes, _protocol: Protocol) -> Values:
    serial, kinds = struct.unpack_from(">HI", body)
    return {"serial": serial, "kinds": kinds}


def _text(body: bytes, protocol: Protocol) -> Values:
    at = 2 if protocol is Protocol.JT808_2019 else 1
    return {"flags": body[0], "text": _gbk(body[at:])}


def _call_back(body: bytes, _protocol: Protocol) -> Values:
    return {"listen": body[0] == 1, "number": _gbk(body[1:])}


def _control_vehicle(body: bytes, protocol: Protocol) -> Values:
    if protocol is Protocol.JT905:
        return {"item": body[0], "on": body[1] == 1}
    if protocol is Protocol.JT808:
        return {"item": "door", "on": bool(body[0] & 1)}
    (count,) = struct.unpack_from(">H", body)
    if len(body) == 2 + 3 * count:
        _number, on = struct.unpack_from(">HB", body, 2)
    else:
        _number, on = struct.unpack_from(">HB", body)
    return {"item": "door", "on": on == 1}


def _media_received(body: bytes, _protocol: Protocol) -> Values:
    (media_id,) = struct.unpack_from(">I", body)
    parts = list(struct.unpack_from(f">{body[4]}H", body, 5)) if len(body) > 4 else []
    return {"media_id": media_id, "parts": parts}


def _take_photo(body: bytes, _protocol: Protocol) -> Values:
    channel, count, interval_s, save, resolution, quality = struct.unpack_from(">BHHBBB", body)
    return {
        "channel": channel,
        "count": count,
        "interval_s": interval_s,
        "save": save == 1,
        "resolution": resolution,
        "quality": quality,
    }


def _find_media(body: bytes, _protocol: Protocol) -> Values:
    return {"kind": body[0], "channel": body[1], "event": body[2]}


def _upload_media(body: bytes, protocol: Protocol) -> Values:
    if protocol is Protocol.JT905:
        kind, media_id, offset = struct.unpack_from(">BII", body)
        return {"kind": kind, "media_id": media_id, "offset": offset}
    return {"kind": body[0], "channel": body[1], "event": body[2], "delete": body[15] == 1}


def _upload_one(body: bytes, _protocol: Protocol) -> Values:
    media_id, delete = struct.unpack_from(">IB", body)
    return {"media_id": media_id, "delete": delete == 1}


def _record_sound(body: bytes, _protocol: Protocol) -> Values:
    command, seconds, save, rate = struct.unpack_from(">BHBB", body)
    return {"on": command == 1, "seconds": seconds, "save": save == 1, "rate": rate}


_READERS: dict[int, Callable[[bytes, Protocol], Values]] = {
    0x8001: _reply, 0x8003: _parts_wanted, 0x8100: _registered, 0x8103: _set_parameters, 0x8104: _get_all,
    0x8105: _control, 0x8106: _get_some, 0x8202: _track, 0x8203: _confirm, 0x8300: _text, 0x8400: _call_back,
    0x8500: _control_vehicle, 0x8800: _media_received, 0x8801: _take_photo, 0x8802: _find_media,
    0x8803: _upload_media, 0x8804: _record_sound, 0x8805: _upload_one,
}  # fmt: skip


def read(message_id: int, body: bytes, protocol: Protocol) -> Values:
    """Values of a message; `{"hex": …}` of one without a reader. BadFrame when the body is too short for it."""
    reader = _READERS.get(message_id)
    if reader is None:
        return {"hex": body.hex()} if body else {}
    try:
        return reader(body, protocol)
    except (struct.error, IndexError) as error:
        raise BadFrame(f"{message_id:#06x}: {len(body)} bytes are too few") from error
