"""Names of recorded files: `camera.12/2026-11-22/1795334400000.mp4`, below the recordings' folder.

Invariants: a name is made of a checked device id, a date and a number alone, so nothing that comes from outside can name
a path; from a name the camera, the time and whether its pictures were masked (`….masked.mp4`) are known again, so that a file without a row
can be entered. It opens nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from model.device import check_device_id
from model.errors import UsageError

#: What a file is called beyond its name while it is written.
PART = ".part"
#: Files of one camera that begin in the same millisecond.
MAX_SAME_MS = 9
#: 9999-12-31T23:59:59.999Z.
_LAST_MS = 253_402_300_799_999
_FILE = re.compile(
    r"(?P<camera>[a-z]{1,20}\.[A-Za-z0-9_.\-]{1,64})/(?P<day>\d{4}-\d\d-\d\d)/(?P<from_ms>\d{1,15})"
    r"(?:-(?P<again>[1-9]))?(?P<masked>\.masked)?\.mp4",
    re.ASCII,
)


class Named(NamedTuple):
    """What a name says."""

    camera: str
    from_ms: int
    masked: bool


def camera_folder(camera: str) -> str:
    """`camera.12` for `camera/12`: a kind has no dot, so no two cameras share one. Raises UsageError for what is no id."""
    return check_device_id(camera).replace("/", ".", 1)


def segment_file(camera: str, from_ms: int, again: int = 0, *, masked: bool = False) -> str:
    """Name of the file that begins at `from_ms` (UTC).

    Args:
        camera: device id.
        from_ms: presentation time of its first picture.
        again: tells one from others of the same millisecond.
        masked: its pictures were re-encoded with masks burned in.

    Raises UsageError: no device id, no time, or too many of one millisecond.
    """
    if not 0 <= from_ms <= _LAST_MS or not 0 <= again <= MAX_SAME_MS:
        raise UsageError("No recording can begin then.", mend="Set the clock of the camera, or of this machine.")
    day = datetime.fromtimestamp(from_ms / 1000, UTC).date().isoformat()
    ending = (f"-{again}" if again else "") + (".masked" if masked else "")
    return f"{camera_folder(camera)}/{day}/{from_ms}{ending}.mp4"


def named(file: str) -> Named | None:
    """What a name tells; None for what is no name that `segment_file` makes."""
    found = _FILE.fullmatch(file)
    if found is None:
        return None
    says = Named(found["camera"].replace(".", "/", 1), int(found["from_ms"]), bool(found["masked"]))
    try:
        made = segment_file(says.camera, says.from_ms, int(found["again"] or 0), masked=says.masked)
    except UsageError:
        return None
    return says if made == file else None
