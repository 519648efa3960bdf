"""`Blob`: an answer that is bytes and no JSON."""

from __future__ import annotations

from dataclasses import dataclass

#: Media types by the suffix of a piece of evidence; what is not here is given out as bytes that no program should open by
#: itself. Nothing here can hold a script.
MEDIA_TYPES: dict[str, str] = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "wmv": "video/x-ms-wmv",
    "mp4": "video/mp4",
}
UNKNOWN_MEDIA_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes to be saved, not shown: `name` is a file name that is safe in a header."""

    media_type: str
    data: bytes
    name: str
