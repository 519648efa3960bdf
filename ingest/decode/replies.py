"""Replies to commands: `{id, ok, detail?}` of an `up/reply` message to a `Reply`.

Invariants: the device is the topic's; a reply is lost for nothing but a missing or wrong `id` or `ok`, and then
quarantined; a long `detail` is cut; unknown keys are kept in `data` up to a limit. Whether the command was that device's
is for those to say who keep the commands.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ingest.decode.limits import BAD_PAYLOAD, DecodeLimits, judge
from model.codes import Reason
from model.command import Reply

_KNOWN = frozenset({"id", "ok", "detail", "device", "device_id"})
_CUT = "…"


class ReplyMessage(msgspec.Struct, gc=False):
    """A reply as it comes; whatever is optional may be anything, so that it cannot spoil the rest."""

    id: str
    ok: bool
    detail: msgspec.Raw = msgspec.Raw()
    device: msgspec.Raw = msgspec.Raw()
    device_id: msgspec.Raw = msgspec.Raw()


_DECODE = msgspec.json.Decoder(ReplyMessage).decode
_DECODE_TEXT = msgspec.json.Decoder(str | int | float).decode
_DECODE_ANY: Any = msgspec.json.Decoder(dict[str, Any]).decode


def decode_reply(device: str, payload: bytes, limits: DecodeLimits) -> Reply | tuple[Reason, str]:
    """The reply of one message, or why there is none. Never raises."""
    try:
        payload.decode()
        said = _DECODE(payload)
        data = {key: value for key, value in _DECODE_ANY(payload).items() if key not in _KNOWN}
        size_bytes = len(msgspec.json.encode(data))
    except BAD_PAYLOAD as error:
        return judge(error)
    if not 0 < len(said.id) <= limits.command_id_chars:
        return Reason.TOO_LARGE, f"A command id has 1 to {limits.command_id_chars} characters"
    for raw in (said.device, said.device_id):
        named = _text(raw)
        if named and named not in {device, device.partition("/")[2]}:
            return Reason.IDENTITY_MISMATCH, f"The payload says {named[:80]!r}"
    detail = _text(said.detail)
    if len(detail) > limits.reply_detail_chars:
        detail = detail[: max(0, limits.reply_detail_chars - 1)] + _CUT
    if size_bytes > limits.reply_bytes:
        data = {"cut_bytes": size_bytes}
    return Reply(said.id, ok=said.ok, detail=detail, data=data, device=device)


def _text(raw: msgspec.Raw) -> str:
    try:
        return str(_DECODE_TEXT(raw))
    except BAD_PAYLOAD:
        return ""
