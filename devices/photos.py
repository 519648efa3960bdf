"""Photos of installations: in the data folder by their SHA-256, and whose they are.

Invariants: only what `devices.pictures.plain_picture` made is kept, so no file tells where or by whom it was taken; a file is
durable before its row is; bytes are checked against their SHA-256 whenever they are read. Who may read is decided above.
"""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.pictures import DEFAULT_MAX_BYTES, plain_picture
from devices.rows import get_device
from devices.schema import Change, RegistryFile
from model.device import check_device_id
from model.errors import NotFound, Refused
from model.seams import Problem
from store.database import Connection
from store.evidence.files import HashedFiles

#: Photos of one device.
DEFAULT_MAX_PHOTOS = 20
#: Problems that one check names.
DEFAULT_MAX_PROBLEMS = 100
_COLUMNS = "p.number, d.id, p.sha256, p.format, p.size_bytes, p.width_px, p.height_px, p.who, p.time_ms"
_FROM = "FROM photo p JOIN device d ON d.slot = p.slot"
_PREFIX = "F"


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo. format: `jpg` or `png`; who: who sent it; time_ms: when it came."""

    id: str
    device: str
    sha256: str
    format: str
    size_bytes: int
    width_px: int
    height_px: int
    who: str
    time_ms: int


class Photos:
    """See the module.

    Args:
        file: the registry's file.
        folder: holds the photos; made with the first one.
        max_bytes: of one photo as it comes.
        max_photos: of one device.
    """

    def __init__(
        self,
        file: RegistryFile,
        folder: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_photos: int = DEFAULT_MAX_PHOTOS,
    ) -> None:
        self._file = file
        self._folder = folder
        self._files = HashedFiles(folder)
        self._max_bytes = max_bytes
        self._max_photos = max_photos

    def put(self, change: Change, device: str, who: str, data: bytes) -> tuple[Photo, bool]:
        """Keep a photo, and whether it is new: the same one again changes nothing. Raises BadInput, Refused, NotFound."""
        picture = plain_picture(data, max_bytes=self._max_bytes)
        sha256 = hashlib.sha256(picture.data).hexdigest()
        connection = change.connection
        slot = get_device(connection, check_device_id(device)).slot
        known = connection.execute(
            f"SELECT {_COLUMNS} {_FROM} WHERE p.slot = ? AND p.sha256 = ?", (slot, sha256)
        ).fetchone()
        if known is not None:
            return _photo_of(known), False
        (count,) = connection.execute("SELECT count(*) FROM photo WHERE slot = ?", (slot,)).fetchone()
        if count >= self._max_photos:
            raise Refused(f"{device} has {count} photos already.", mend=f"A device has {self._max_photos} at most.")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files.write(sha256, picture.format, picture.data)
        values = (sha256, picture.format, len(picture.data), picture.width_px, picture.height_px)
        (number,) = connection.execute(
            "INSERT INTO photo (slot, sha256, format, size_bytes, width_px, height_px, who, time_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
            (slot, *values, who, self._file.clock.now_ms()),
        ).fetchone()
        return _row(connection, f"{_PREFIX}{number}"), True

    def list(self, device: str) -> list[Photo]:
        """The device's photos, the oldest first. Raises NotFound."""
        with self._file.reading() as connection:
            slot = get_device(connection, check_device_id(device)).slot
            rows = connection.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE p.slot = ? ORDER BY p.number", (slot,)
            ).fetchall()
        return [_photo_of(row) for row in rows]

    def get(self, photo_id: str) -> Photo:
        """What is known of a photo. Raises NotFound."""
        with self._file.reading() as connection:
            return _row(connection, photo_id)

    def read(self, photo: Photo) -> bytes:
        """Its bytes. Raises Corrupt, StoreError."""
        return self._files.read(photo.sha256, photo.format, photo.size_bytes)

    def check(self, *, max_problems: int = DEFAULT_MAX_PROBLEMS) -> builtins.list[Problem]:
        """Read every file and say which are missing, changed, or of no device. Changes nothing."""
        there = list(self._files.names())  # before the rows: a file is written first
        with self._file.reading() as connection:
            rows = connection.execute("SELECT DISTINCT sha256, format FROM photo").fetchall()
        problems, named = [], set()
        for sha256, suffix in rows:
            name = self._files.name(sha256, suffix)
            named.add(name)
            if fault := self._files.fault(sha256, suffix):
                problems.append(Problem(f"{self._folder.name}/{name}", fault, "Restore the file from a back-up."))
            if len(problems) >= max_problems:
                return problems
        for name in there:
            if name not in named:
                what = "no row names this file: it was cut off before it was entered"
                problems.append(
                    Problem(f"{self._folder.name}/{name}", what, "Nobody was told it is kept: delete it, or leave it.")
                )
        return problems[:max_problems]


def _row(connection: Connection, photo_id: str) -> Photo:
    digits = photo_id.removeprefix(_PREFIX)
    row = None
    if photo_id.startswith(_PREFIX) and digits.isascii() and digits.isdigit() and len(digits) < 18:
        row = connection.execute(f"SELECT {_COLUMNS} {_FROM} WHERE p.number = ?", (int(digits),)).fetchone()
    if row is None:
        raise NotFound(f"There is no photo {photo_id[:40]!r}.", mend="Look at the device's photos.")
    return _photo_of(row)


def _photo_of(row: Sequence[Any]) -> Photo:
    number, *rest = row
    return Photo(f"{_PREFIX}{number}", *rest)
