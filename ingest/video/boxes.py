"""The boxes of an MP4, whole files and fragments alike, for one video track. It knows bytes and numbers alone.

We write the boxes ourselves: libavformat's muxer cannot be told a stream's extradata through PyAV without an input
container, and one muxer a viewer would hold memory and a Python call for each write. Source: ISO/IEC 14496-12 and -15.
Every table is made from NumPy columns at once. All times are ticks of 1/90,000 s; durations of 64 bits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.video.parameters import Parameters
from model.video import TICKS_PER_S

Ticks = npt.NDArray[np.int64]

TRACK = 1
#: Seconds from 1904, where MP4 counts from, to 1970.
_FROM_1904_S = 2_082_844_800
#: Flags of a sample: depends on none; depends on others and is no sync sample. Source: ISO/IEC 14496-12 8.8.3.
SYNC, NOT_SYNC = 0x0200_0000, 0x0101_0000
_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_BOX = struct.Struct(">I4s")
_MOOF_OVERHEAD_BYTES = 8 + 16 + 8 + 16 + 20 + 20
#: Bytes of the box that a muxer reserves to become the header of one large mdat.
RESERVED_BYTES = 16


@dataclass(frozen=True, slots=True)
class Samples:
    """Pictures in decoding order, as columns of one length.

    Attributes:
        size: bytes of each.
        duration: ticks to the next one's decoding; of the last: how long it is shown.
        shift: presentation minus decoding, ticks.
        sync: keyframes.
        chunk: place in the file of each run of samples that lie side by side.
        chunk_samples: how many samples each run has.
    """

    size: npt.NDArray[np.uint32]
    duration: Ticks
    shift: Ticks
    sync: npt.NDArray[np.bool_]
    chunk: npt.NDArray[np.uint64]
    chunk_samples: npt.NDArray[np.int64]


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of `kind` that holds `parts`."""
    body = b"".join(parts)
    return _BOX.pack(len(body) + 8, kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def ftyp(*, fragmented: bool) -> bytes:
    """The first box: what kind of file it is."""
    brands = b"iso5iso6mp41" if fragmented else b"isomiso2avc1mp41"
    return box(b"ftyp", brands[:4], struct.pack(">I", 512), brands)


def mdat_header(size_bytes: int) -> bytes:
    """Header, with a length of 64 bits, of an mdat that has `size_bytes` with it."""
    return struct.pack(">I4sQ", 1, b"mdat", size_bytes)


def reserved() -> bytes:
    """A box of nothing where `mdat_header` may stand later."""
    return box(b"free", bytes(RESERVED_BYTES - 8))


def fragmented_moov(parameters: Parameters, *, from_ms: int) -> bytes:
    """The moov in front of fragments: no sample, its length not known."""
    empty = np.empty(0, np.int64)
    none = Samples(
        empty.astype(np.uint32), empty, empty, empty.astype(np.bool_), empty.astype(np.uint64), empty.astype(np.int64)
    )
    mvex = box(b"mvex", full_box(b"trex", 0, 0, struct.pack(">5I", TRACK, 1, 0, 0, NOT_SYNC)))
    return box(b"moov", _mvhd(0, from_ms), _trak(parameters, none, from_ms=from_ms, edited=False), mvex)


def moov(parameters: Parameters, samples: Samples, *, from_ms: int) -> bytes:
    """The moov of a whole file; its first keyframe is shown at 0 by an edit list."""
    shown = _shown_ticks(samples)
    return box(b"moov", _mvhd(shown, from_ms), _trak(parameters, samples, from_ms=from_ms, edited=True))


def fragment_head(
    sequence: int,
    decode_ticks: int,
    sizes: npt.NDArray[np.uint32],
    durations: Ticks,
    shifts: Ticks,
    sync: npt.NDArray[np.bool_],
) -> bytes:
    """A moof and the header of its mdat: one fragment without its samples.

    Args:
        sequence: number of the fragment, from 1.
        decode_ticks: decoding time of its first sample.
        sizes: bytes of each sample.
        durations: ticks to the next one's decoding.
        shifts: presentation minus decoding, ticks.
        sync: keyframes.
    """
    count = len(sizes)
    rows = np.empty((count, 4), ">u4")
    rows[:, 0] = durations
    rows[:, 1] = sizes
    rows[:, 2] = np.where(sync, SYNC, NOT_SYNC)
    rows[:, 3] = shifts.astype(np.int32).view(np.uint32)
    return _moof(sequence, decode_ticks, count, rows.tobytes()) + _BOX.pack(8 + int(sizes.sum()), b"mdat")


def single_fragment(
    sequence: int, decode_ticks: int, data: bytes, *, duration: int, shift: int, keyframe: bool
) -> bytes:
    """A whole fragment of one sample: the way of live view, without columns."""
    row = struct.pack(">IIIi", duration, len(data), SYNC if keyframe else NOT_SYNC, shift)
    return b"".join((_moof(sequence, decode_ticks, 1, row), _BOX.pack(8 + len(data), b"mdat"), data))


_FIRST_PART = struct.Struct(">I4s I4sII I4s I4sII I4sIQ I4sIIi")


def _moof(sequence: int, decode_ticks: int, count: int, rows: bytes) -> bytes:
    size = _MOOF_OVERHEAD_BYTES + len(rows)
    head = _FIRST_PART.pack(
        size,
        b"moof",
        16,
        b"mfhd",
        0,
        sequence & 0xFFFF_FFFF,
        size - 24,
        b"traf",
        16,
        b"tfhd",
        0x02_0000,  # offsets count from this moof
        TRACK,
        20,
        b"tfdt",
        1 << 24,
        decode_ticks,
        20 + len(rows),
        b"trun",
        1 << 24 | 0xF01,  # duration, size, flags and a signed shift of each sample, and where the first one lies
        count,
        size + 8,
    )
    return head + rows


def _shown_ticks(samples: Samples) -> int:
    """From the first keyframe's presentation to the end of the last picture."""
    if not len(samples.size):
        return 0
    decoded = np.cumsum(samples.duration) - samples.duration
    return int((decoded + samples.shift + samples.duration).max() - samples.shift[0])


def _mvhd(duration: int, from_ms: int) -> bytes:
    made = from_ms // 1000 + _FROM_1904_S
    return full_box(
        b"mvhd",
        1,
        0,
        struct.pack(">QQIQ", made, made, TICKS_PER_S, duration),
        struct.pack(">IH10x", 0x10000, 0x100),
        _MATRIX,
        bytes(24),
        struct.pack(">I", TRACK + 1),
    )


def _trak(parameters: Parameters, samples: Samples, *, from_ms: int, edited: bool) -> bytes:
    made = from_ms // 1000 + _FROM_1904_S
    shown = _shown_ticks(samples)
    tkhd = full_box(
        b"tkhd",
        1,
        3,
        struct.pack(">QQI4xQ8xhhh2x", made, made, TRACK, shown, 0, 0, 0),
        _MATRIX,
        struct.pack(">II", parameters.width_px << 16, parameters.height_px << 16),
    )
    parts = [tkhd]
    if edited:
        first = int(samples.shift[0]) if len(samples.shift) else 0
        parts.append(box(b"edts", full_box(b"elst", 1, 0, struct.pack(">IQqhh", 1, shown, first, 1, 0))))
    mdhd = full_box(
        b"mdhd", 1, 0, struct.pack(">QQIQHH", made, made, TICKS_PER_S, int(samples.duration.sum()), 0x55C4, 0)
    )
    hdlr = full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"vide"), b"video\x00")
    dinf = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)))
    minf = box(b"minf", full_box(b"vmhd", 0, 1, bytes(8)), dinf, _stbl(parameters, samples))
    return box(b"trak", *parts, box(b"mdia", mdhd, hdlr, minf))


def _stbl(parameters: Parameters, samples: Samples) -> bytes:
    entry, config = (b"avc1", b"avcC") if parameters.codec == "h264" else (b"hvc1", b"hvcC")
    described = box(
        entry,
        struct.pack(
            ">6xH16xHHIIIH32xHh", 1, parameters.width_px, parameters.height_px, 72 << 16, 72 << 16, 0, 1, 24, -1
        ),
        box(config, parameters.config),
    )
    parts = [full_box(b"stsd", 0, 0, struct.pack(">I", 1), described)]
    parts.append(_runs(b"stts", 0, samples.duration))
    if samples.shift.any():
        parts.append(_runs(b"ctts", 1 if (samples.shift < 0).any() else 0, samples.shift))
    if len(samples.sync):
        sync = np.flatnonzero(samples.sync) + 1
        parts.append(_table(b"stss", sync.astype(">u4")))
    parts.append(_stsc(samples.chunk_samples))
    parts.append(
        full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(samples.size)), samples.size.astype(">u4").tobytes())
    )
    parts.append(_table(b"co64", samples.chunk.astype(">u8")))
    return box(b"stbl", *parts)


def _table(kind: bytes, rows: npt.NDArray[np.generic]) -> bytes:
    return full_box(kind, 0, 0, struct.pack(">I", len(rows)), rows.tobytes())


def _starts(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where runs of equal values begin."""
    if not len(values):
        return np.empty(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))


def _runs(kind: bytes, version: int, values: Ticks) -> bytes:
    starts = _starts(values)
    rows = np.empty((len(starts), 2), ">u4")
    rows[:, 0] = np.diff(np.append(starts, len(values)))
    rows[:, 1] = values[starts].astype(np.int32).view(np.uint32)
    return full_box(kind, version, 0, struct.pack(">I", len(rows)), rows.tobytes())


def _stsc(chunk_samples: npt.NDArray[np.int64]) -> bytes:
    starts = _starts(chunk_samples)
    rows = np.empty((len(starts), 3), ">u4")
    rows[:, 0] = starts + 1
    rows[:, 1] = chunk_samples[starts]
    rows[:, 2] = 1
    return _table(b"stsc", rows)
