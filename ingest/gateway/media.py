"""Photos, sounds and clips: from the bodies of 0801 (JT/T 808) and 0800 (JT/T 905) to evidence.

Invariants: nothing but Malformed is raised for what a body holds; pieces of a 905 photo may come in any order and more than
once, and pieces that contradict each other never become one photo; bytes held are bounded. It stores and answers nothing.
Source: JT/T 808-2013 8.54 and -2011 (no place in the body); JT/T 905.2-2014 0x0800.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field

from ingest.wire.fields import BcdTime, time_ms
from ingest.wire.reader import Malformed, Reader
from model.evidence import NewEvidence

KINDS = {0: "image", 1: "audio", 2: "video"}
FORMATS = {0: "jpg", 1: "tif", 2: "mp3", 3: "wav", 4: "wmv"}
EVENTS = {
    0: "platform_command",
    1: "timer",
    2: "robbery",
    3: "collision",
    4: "door_open",
    5: "door_close",
    6: "door_closed_moving",
    7: "distance",
}
#: Why a taxi's photo was taken.
EVENTS_905 = {0: "hired", 1: "rating", 2: "alarm", 3: "platform_command"}
HEAD_BYTES, PLACE_BYTES, PLACE_905_BYTES = 8, 28, 25
#: What a piece costs besides its bytes.
PIECE_OVERHEAD_BYTES = 120
#: How files begin; tells a body without a place (2011) from one with it.
_BEGINNINGS = (b"\xff\xd8\xff", b"RIFF", b"ID3", b"II*\0", b"MM\0*", b"\x30\x26\xb2\x75", b"\xff\xfb")
_VALID, _SOUTH, _WEST = 1 << 1, 1 << 2, 1 << 3
_TIME = BcdTime("time")


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when; lat and lon WGS-84 degrees or None, time UTC ms or 0."""

    lat: float | None
    lon: float | None
    time_ms: int


def _time(reader: Reader) -> int:
    try:
        return time_ms(_TIME.read(reader, {}))
    except Malformed:
        return 0


def place808(raw: bytes) -> Place:
    """The 28 bytes of a position."""
    status, lat, lon = (int.from_bytes(raw[at : at + 4], "big") for at in (4, 8, 12))
    when = _time(Reader(raw[22:28]))
    if not status & _VALID or lat > 90_000_000 or lon > 180_000_000:
        return Place(None, None, when)
    return Place((-lat if status & _SOUTH else lat) / 1e6, (-lon if status & _WEST else lon) / 1e6, when)


def place905(raw: bytes) -> Place:
    """The 25 bytes of a taxi's position: bit 0 of the status says that there is no fix."""
    status, lat, lon = (int.from_bytes(raw[at : at + 4], "big") for at in (4, 8, 12))
    when = _time(Reader(raw[19:25]))
    if status & 1 or lat > 90 * 600_000 or lon > 180 * 600_000:
        return Place(None, None, when)
    return Place((-lat if status & 2 else lat) / 600_000, (-lon if status & 4 else lon) / 600_000, when)


def media808(device: str, body: bytes, received_ms: int) -> tuple[int, NewEvidence]:
    """The terminal's number of it, and the evidence. Raises Malformed."""
    if len(body) < HEAD_BYTES:
        raise Malformed("media", f"needs {HEAD_BYTES} bytes and has {len(body)}")
    number = int.from_bytes(body[:4], "big")
    kind, form, event, channel = body[4:8]
    data_at = HEAD_BYTES + PLACE_BYTES
    if body.startswith(_BEGINNINGS, HEAD_BYTES) and not body.startswith(_BEGINNINGS, data_at):
        place, data_at = Place(None, None, 0), HEAD_BYTES
    elif len(body) < data_at:
        raise Malformed("place", f"needs {PLACE_BYTES} bytes and has {len(body) - HEAD_BYTES}")
    else:
        place = place808(body[HEAD_BYTES:data_at])
    if len(body) == data_at:
        raise Malformed("data", "is empty")
    return number, NewEvidence(
        device=device,
        kind=KINDS.get(kind, "file"),
        format=FORMATS.get(form, "bin"),
        data=body[data_at:],
        time_ms=place.time_ms,
        received_ms=received_ms,
        lat=place.lat,
        lon=place.lon,
        channel=channel,
        event=EVENTS.get(event, f"event_{event}"),
        source=f"jt808:{number}",
    )


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a taxi's photo: `size` bytes in all (place and image), these from `offset` on."""

    reason: int
    image: int
    camera: int
    size: int
    offset: int
    data: bytes


def piece905(body: bytes) -> Piece:
    """A body of 0800. Raises Malformed."""
    reader = Reader(body)
    reason, image, camera, size, offset = (
        int.from_bytes(reader.take(count, name), "big")
        for count, name in ((2, "reason"), (4, "image_id"), (1, "camera"), (4, "size"), (4, "offset"))
    )
    data = reader.take(reader.left, "data")
    if not data or offset + len(data) > size:
        raise Malformed("data", f"{len(data)} bytes from {offset} on are not within {size}")
    return Piece(reason, image, camera, size, offset, data)


@dataclass(slots=True, eq=False)
class Photo:
    """A taxi's photo, as far as it has come."""

    number: str
    image: int
    camera: int
    reason: int
    size: int
    fed_s: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    got_bytes: int = 0
    #: Where runs of bytes that have come begin and end, in order, apart from each other.
    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, offset: int, data: bytes) -> None:
        """One more piece."""
        self.pieces[offset] = data
        self.got_bytes += len(data)
        begin, end = offset, offset + len(data)
        first, last = bisect_left(self.ends, begin), bisect_right(self.begins, end)
        if first < last:
            begin, end = min(begin, self.begins[first]), max(end, self.ends[last - 1])
        self.begins[first:last], self.ends[first:last] = [begin], [end]

    def whole(self) -> bytes | None:
        """All bytes; None while some are missing."""
        if self.begins != [0] or self.ends != [self.size]:
            return None
        made = bytearray(self.size)
        for offset in sorted(self.pieces):
            made[offset : offset + len(self.pieces[offset])] = self.pieces[offset]
        return bytes(made)


class Photos:
    """Taxis' photos of which pieces are missing. One thread.

    Args:
        photo_bytes, total_bytes: limits of one photo and of all that are open.
        wait_s: how long the next piece may take.
    """

    def __init__(self, *, photo_bytes: int, total_bytes: int, wait_s: float) -> None:
        self._photo_bytes = photo_bytes
        self._total_bytes = total_bytes
        self._wait_s = wait_s
        self._open: OrderedDict[tuple[str, int, int], Photo] = OrderedDict()
        self.open_bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self, number: str, piece: Piece, now_s: float) -> tuple[bytes | None, list[tuple[Photo, str]]]:
        """All bytes when this piece was the last, else None; and photos given up, with the reason."""
        if piece.size > self._photo_bytes:
            raise Malformed("size", f"is {piece.size}, more than {self._photo_bytes}")
        key = (number, piece.image, piece.camera)
        lost: list[tuple[Photo, str]] = []
        photo = self._open.get(key)
        if photo is not None and (photo.size != piece.size or photo.pieces.get(piece.offset, piece.data) != piece.data):
            self._forget(key)
            lost.append((photo, "the terminal began a new photo with the same number"))
            photo = None
        if photo is None:
            photo = Photo(number, piece.image, piece.camera, piece.reason, piece.size, now_s)
            self._open[key] = photo
        if piece.offset not in photo.pieces:
            photo.add(piece.offset, piece.data)
            self.open_bytes += len(piece.data) + PIECE_OVERHEAD_BYTES
        photo.fed_s = now_s
        self._open.move_to_end(key)
        whole = photo.whole()
        if whole is not None:
            self._forget(key)
        elif photo.got_bytes > 2 * photo.size:
            self._forget(key)
            lost.append((photo, "its pieces do not fit together"))
        while self.open_bytes > self._total_bytes and self._open:
            stalest = next(iter(self._open))
            lost.append((self._open[stalest], "too many photos wait for pieces"))
            self._forget(stalest)
        return whole, lost

    def due(self, now_s: float) -> list[tuple[Photo, str]]:
        """Photos whose next piece did not come in time; they are given up."""
        lost: list[tuple[Photo, str]] = []
        while self._open:
            key, photo = next(iter(self._open.items()))
            if now_s - photo.fed_s < self._wait_s:
                break
            self._forget(key)
            lost.append((photo, "the next piece did not come"))
        return lost

    def clear(self) -> list[tuple[Photo, str]]:
        """Give up all of them."""
        lost = [(photo, "the gateway stopped") for photo in self._open.values()]
        self._open.clear()
        self.open_bytes = 0
        return lost

    def _forget(self, key: tuple[str, int, int]) -> None:
        photo = self._open.pop(key)
        self.open_bytes -= photo.got_bytes + PIECE_OVERHEAD_BYTES * len(photo.pieces)
