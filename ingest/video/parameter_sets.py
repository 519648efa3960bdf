"""Parameter sets (SPS, PPS, VPS) in compressed pictures: which there are, and what they say of the picture. Pure but for FFmpeg.

Annex B only: start codes between the units. Sources: Rec. ITU-T H.264 table 7-1, Rec. ITU-T H.265 table 7-1.
"""

from __future__ import annotations

import io

import av

#: Unit types that are parameter sets, and those that name the whole stream (a PPS alone may be added).
_H264_SETS, _H264_HEADS = frozenset({7, 8}), frozenset({7})
_HEVC_SETS, _HEVC_HEADS = frozenset({32, 33, 34}), frozenset({32, 33})
#: More parameter sets than a stream has; what comes beyond is not looked at.
MAX_SETS = 64
_START = b"\0\0\1"


def _kind(codec: str, unit: bytes | memoryview) -> int:
    return unit[0] >> 1 & 0x3F if codec == "hevc" else unit[0] & 0x1F


def parameter_sets(codec: str, data: bytes) -> tuple[bytes, ...]:
    """The parameter sets before the first slice of an Annex B picture, without start codes; () for none.

    Costs the length of the parameter sets, not of the picture.
    """
    kinds = _HEVC_SETS if codec == "hevc" else _H264_SETS
    found: list[bytes] = []
    at = data.find(_START)
    while 0 <= at < len(data) - 4 and len(found) < MAX_SETS:
        begin = at + len(_START)
        kind = _kind(codec, data[begin : begin + 1])
        is_slice = kind < 32 if codec == "hevc" else 1 <= kind <= 5
        if is_slice:
            break
        at = data.find(_START, begin)
        if kind in kinds:
            found.append(data[begin : at if at >= 0 else len(data)].rstrip(b"\0"))
    return tuple(found)


def is_annex_b(extradata: bytes) -> bool:
    """Whether parameter sets of a stream stand as Annex B (or come in band alone), not as avcC or hvcC."""
    return not extradata or extradata[0] == 0


def joined(sets: tuple[bytes, ...]) -> bytes:
    """Parameter sets as Annex B."""
    return b"".join(b"\0\0\0\1" + unit for unit in sets)


def changed(codec: str, known: tuple[bytes, ...], seen: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
    """What is known after a picture that carries `seen`; None where it says nothing new."""
    if all(unit in known for unit in seen):
        return None
    heads = _HEVC_HEADS if codec == "hevc" else _H264_HEADS
    same_stream = all(unit in known for unit in seen if _kind(codec, unit) in heads)
    if same_stream and len(known) + len(seen) <= MAX_SETS:
        return known + tuple(unit for unit in seen if unit not in known)
    return seen


def picture_size(codec: str, annex_b: bytes) -> tuple[int, int]:
    """Width and height in pixels that a keyframe (with its parameter sets) has; (0, 0) where that cannot be said.

    FFmpeg's parser reads it from memory; for rare changes, not for each picture.
    """
    try:
        with av.open(io.BytesIO(annex_b), format=codec, options={"protocol_whitelist": ""}) as container:
            context = container.streams.video[0].codec_context
            return context.width, context.height
    except (av.FFmpegError, IndexError, ValueError):
        return 0, 0
