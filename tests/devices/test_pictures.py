"""Photos: only the picture is kept, whatever else the file holds; what is none is refused."""

from __future__ import annotations

import contextlib
import struct
import zlib
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.pictures import plain_picture
from model.errors import BadInput

CANARY = b"canary-lat-40.65-owner"


def encoded(codec: str, width: int = 64, height: int = 48) -> bytes:
    """A picture as an encoder makes it."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = width, height
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
    context.time_base = Fraction(1, 25)
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=context.pix_fmt)
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def decoded(data: bytes, codec: str) -> Any:
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.VideoCodecContext)
    frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    return frames[0].to_ndarray(format="rgb24")


JPEG, PNG = encoded("mjpeg"), encoded("png")


def segment(mark: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, mark, len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_segments(*more: bytes) -> bytes:
    return JPEG[:2] + b"".join(more) + JPEG[2:]


def with_chunks(*more: bytes) -> bytes:
    head = len(PNG[:8]) + 25  # signature and IHDR
    return PNG[:head] + b"".join(more) + PNG[head:]


@pytest.mark.parametrize(
    "data",
    [
        with_segments(segment(0xE1, b"Exif\0\0" + CANARY)),
        with_segments(
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + CANARY), segment(0xED, b"Photoshop 3.0\0" + CANARY)
        ),
        with_segments(segment(0xFE, CANARY), segment(0xE2, b"MPF\0" + CANARY), segment(0xEF, CANARY)),
        with_segments(segment(0xE0, b"JFXX\0\x10" + CANARY)),
        with_segments(segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\2\2" + b"\0" * 12 + CANARY)),
        JPEG + CANARY,
        with_chunks(chunk(b"eXIf", CANARY), chunk(b"tEXt", b"GPS\0" + CANARY), chunk(b"tIME", CANARY)),
        with_chunks(chunk(b"iCCP", b"x\0\0" + zlib.compress(CANARY)), chunk(b"prVt", CANARY)),
        PNG + CANARY,
    ],
)
def test_nothing_but_the_picture_is_kept(data: bytes) -> None:
    made = plain_picture(data)
    assert CANARY not in made.data
    assert b"Exif" not in made.data
    assert (made.width_px, made.height_px) == (64, 48)
    codec, plain = ("mjpeg", JPEG) if made.format == "jpg" else ("png", PNG)
    assert np.array_equal(decoded(made.data, codec), decoded(plain, codec))
    assert plain_picture(made.data).data == made.data


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a....", b"<svg onload=alert(1)>", b"\xff\xd8\xff\xd9", JPEG[:200], PNG[:-8], b"RIFF"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="photo"):
        plain_picture(data)


def test_a_damaged_png_is_refused() -> None:
    with pytest.raises(BadInput, match="checksum"):
        plain_picture(PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:])


def test_sizes_are_bounded() -> None:
    with pytest.raises(BadInput, match="limit is 10"):
        plain_picture(JPEG, max_bytes=10)
    huge = PNG[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)) + PNG[33:]
    with pytest.raises(BadInput, match="pixels"):
        plain_picture(huge)


@given(st.binary(max_size=200), st.integers(0, 400), st.booleans())
def test_damage_is_refused_in_words_or_leaves_a_picture(noise: bytes, at: int, png: bool) -> None:
    plain = PNG if png else JPEG
    at %= len(plain)
    damaged = plain[:at] + noise + plain[at + len(noise) :]
    try:
        made = plain_picture(damaged)
    except BadInput:
        return
    assert plain_picture(made.data).data == made.data


@given(st.binary(max_size=400))
def test_any_bytes_after_a_head_are_refused_or_taken(noise: bytes) -> None:
    for head in (b"\xff\xd8", b"\x89PNG\r\n\x1a\n"):
        with contextlib.suppress(BadInput):
            assert plain_picture(head + noise).width_px > 0
