"""What is said to a machine directly, over a core subject: waking a camera, live views. Nothing of it is kept; it does nothing itself."""

from __future__ import annotations

import msgspec

from model.video import Fragment

#: Answers: it is done, and it is no camera (or no view) of that machine.
OK, NOT_HERE = b"ok", b"not here"
#: How often who watches says so, and after how long without a word nobody does.
SEEN_EVERY_S = 0.5
UNSEEN_S = 5.0


class WakeCamera(msgspec.Struct, tag="wake", frozen=True):
    """Decode it fully until then, UTC ms."""

    camera: str
    until_ms: int


class View(msgspec.Struct, tag="view", frozen=True):
    """Send fragments of a camera to the subject of this view, while it is said to be seen; `mode` as in `model.video.LiveFeeds`."""

    camera: str
    mode: str
    view: str


class Seen(msgspec.Struct, tag="seen", frozen=True):
    """So many bytes of a view have come; more than `video.max_view_bytes` beyond that are not sent."""

    view: str
    size_bytes: int


class Unseen(msgspec.Struct, tag="unseen", frozen=True):
    """Nobody watches it any more."""

    view: str


class Shown(msgspec.Struct, array_like=True, frozen=True):
    """A fragment of a view; `number` counts from 1 without a gap."""

    number: int
    fragment: Fragment


Said = WakeCamera | View | Seen | Unseen
said_encoder = msgspec.msgpack.Encoder()
said_decoder: msgspec.msgpack.Decoder[Said] = msgspec.msgpack.Decoder(Said)
shown_decoder: msgspec.msgpack.Decoder[Shown] = msgspec.msgpack.Decoder(Shown)
