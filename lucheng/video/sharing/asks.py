"""What a desk and the machines that have cameras say to each other about clips and snapshots. It does nothing.

A wish is in its stream from when it is asked until its evidence is stored (or nobody wants it any more). Whoever has the camera's share
makes it; when that machine dies, the next one does. What was made is told in another stream, its bytes lie in the bucket. A
wish has one name wherever it is asked: the same again is the same.
"""

from __future__ import annotations

import hashlib

import msgspec

CLIP, SNAPSHOT, RECORDED = "clip", "snapshot", "recorded"


class Allowed(msgspec.Struct, frozen=True):
    """The grant under which recordings are read; as `model.grant.Grant`, for one camera."""

    who: str
    role: str
    code: str
    ref: str
    note: str
    from_ms: int
    to_ms: int


class Ask(msgspec.Struct, frozen=True):
    """A wish.

    Attributes:
        wish: its name, hexadecimal digits.
        kind: `clip`, `snapshot`, or `recorded` (a clip cut out of what one machine has recorded).
        camera: device id. share: the camera's.
        from_ms, to_ms: of a clip, UTC ms.
        max_bytes: of a clip.
        until_ms: nobody wants it any more after that.
        machine: of `recorded`: the lease of the machine that is asked. allowed: … and under what.
    """

    wish: str
    kind: str
    camera: str
    share: int
    from_ms: int
    to_ms: int
    max_bytes: int
    until_ms: int
    machine: str = ""
    allowed: Allowed | None = None


class File(msgspec.Struct, frozen=True):
    """Where the bytes lie; as `store.nats.files.StoredFile`."""

    name: str
    nuid: str
    chunks: int
    size_bytes: int
    sha256: str


class Picture(msgspec.Struct, frozen=True):
    """What is known of what was made; as `model.video.Clip`, of a snapshot `from_ms` is when it was taken."""

    from_ms: int
    to_ms: int = 0
    codec: str = ""
    width_px: int = 0
    height_px: int = 0
    frames: int = 0
    transcoded: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What came of a wish.

    Attributes:
        wish: its name. machine: who made it, for people.
        file, picture: None: nothing could be made.
        note: what is missing, or why there is nothing.
    """

    wish: str
    machine: str
    note: str
    file: File | None = None
    picture: Picture | None = None


def wish_of(kind: str, camera: str, from_ms: int, to_ms: int) -> str:
    """The name of a wish."""
    text = f"{kind}\0{camera}\0{from_ms}\0{to_ms}"
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
