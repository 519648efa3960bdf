"""Snapshots: the picture of a moment out of the ring's packets, as a JPEG without metadata.

A snapshot is decoded in full quality, never with the fast decoder. What it shows is what the packets show: of a masked
camera the ring holds masked packets alone, so its snapshots are masked.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from ingest.video.decoding import DEFAULT_MAX_PIXELS, Picture, PictureDecoder
from model.errors import BadInput, NotFound
from model.video import Packet

DEFAULT_QUALITY = 85


def jpeg_of(picture: Picture, *, quality: int = DEFAULT_QUALITY, max_width_px: int | None = None) -> bytes:
    """The picture as a JPEG, without EXIF.

    Args:
        picture: which.
        quality: 1..100.
        max_width_px: a wider one is made smaller, its shape kept.

    Raises BadInput: it cannot be encoded.
    """
    done, data = cv2.imencode(
        ".jpg", picture.colours(max_width_px=max_width_px), [cv2.IMWRITE_JPEG_QUALITY, min(100, max(1, quality))]
    )
    if not done:
        raise BadInput("The picture could not be made a JPEG.", mend="Ask for a smaller one.")
    return data.tobytes()


def picture_at(
    packets: Sequence[Packet], time_ms: int | None = None, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Picture:
    """The last clean picture at or before a moment, out of packets that begin with a keyframe.

    Args:
        packets: as `PacketRing.since_keyframe(time_ms)` or `from_last_keyframe()` gives them.
        time_ms: the moment, our clock, UTC ms; None: the newest picture.
        max_pixels: of the decoder.

    Raises NotFound: there is no picture that could be decoded cleanly.
    """
    chosen: Picture | None = None
    start = 0
    if packets:
        wanted_ms = time_ms if time_ms is not None else max(packet.time_ms for packet in packets)
        for index, packet in enumerate(packets):
            if packet.keyframe and packet.time_ms <= wanted_ms:
                start = index
        decoder = PictureDecoder(packets[0].info, fast=False, max_pixels=max_pixels)
        # From the keyframe before it where that one is spoilt: some picture is better than none.
        for first in dict.fromkeys((start, 0)):
            for packet in packets[first:]:
                found = decoder.decode(packet)
                chosen = _newest(chosen, found, wanted_ms)
                if any(picture.time_ms > wanted_ms for picture in found):
                    break
            else:
                chosen = _newest(chosen, decoder.drain(), wanted_ms)
            if chosen is not None:
                break
        decoder.close()
    if chosen is None:
        raise NotFound("There is no clean picture of that moment.", mend="Try again in a few seconds.")
    return chosen


def _newest(chosen: Picture | None, found: list[Picture], wanted_ms: int) -> Picture | None:
    for picture in found:
        if picture.time_ms <= wanted_ms or chosen is None:
            chosen = picture
    return chosen
