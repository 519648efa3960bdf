"""What is kept of a refused JT frame: everything but the token with which a terminal authenticates.

Purpose: a quarantine that can be read by many must not hand out what lets one speak as a terminal (0102 sends the token,
8100 gave it). Invariants: lengths stay, and of the two messages the header; what a damaged frame holds is not known by its
number, so that runs in it that may be a token, or a part of one worth having, are masked too. It judges nothing and never raises.
"""

from __future__ import annotations

import re

from model.codes import Reason

#: Messages with the token: from the terminal, and to it.
SECRET_IDS = frozenset({0x0102, 0x8100})
#: Reasons for which not even the number of the message can be believed.
_DAMAGED = frozenset({Reason.BAD_FRAME, Reason.BAD_CHECKSUM, Reason.TOO_LARGE})
#: A shorter piece of a token of 24 characters leaves 78 bits to be guessed.
_RUN = re.compile(rb"[A-Za-z0-9_-]{12,}")
_UPPER, _LOWER = re.compile(rb"[A-Z]"), re.compile(rb"[a-z]")
_MASK = b"*"
_MARK, _ESCAPE = 0x7E, 0x7D
_PARTED, _VERSIONED = 1 << 13, 1 << 14
_HEADER_BYTES, _MORE_2019, _MORE_PARTED = 12, 5, 4


def shown_body(message_id: int, body: bytes) -> bytes:
    """A body that is kept without its frame."""
    return _MASK * len(body) if message_id in SECRET_IDS else body


def shown_frame(raw: bytes, reason: Reason) -> bytes:
    """A frame with its marks, still escaped, or bytes that are none, as they may be kept."""
    if raw[:1] == b"\x7e" and int.from_bytes(raw[1:3], "big") in SECRET_IDS:
        end = len(raw) - (len(raw) > 1 and raw[-1] == _MARK)
        begin = min(_header_end(raw), end)
        head = raw[:begin]
        if reason in _DAMAGED:  # where bytes are lost in front, the token stands where the header should
            head = _RUN.sub(_masked_run, head)
        return head + _MASK * (end - begin) + raw[end:]
    return _RUN.sub(_masked_run, raw) if reason in _DAMAGED else raw


def _header_end(raw: bytes) -> int:
    """Where the body begins in an escaped frame with its mark."""
    plain = bytearray()
    at, wanted = 1, _HEADER_BYTES
    while len(plain) < wanted and at < len(raw):
        escaped = raw[at] == _ESCAPE and at + 1 < len(raw)
        plain.append(_ESCAPE - 1 + raw[at + 1] & 0xFF if escaped else raw[at])
        at += 1 + escaped
        if len(plain) == 4:
            props = int.from_bytes(plain[2:4], "big")
            wanted += _MORE_2019 * bool(props & _VERSIONED) + _MORE_PARTED * bool(props & _PARTED)
    return at


def _masked_run(found: re.Match[bytes]) -> bytes:
    """Tokens are random letters of both cases; a name or a number is left for people to read."""
    run = found[0]
    return _MASK * len(run) if _UPPER.search(run) and _LOWER.search(run) else run
