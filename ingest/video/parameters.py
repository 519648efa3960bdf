"""What the parameter sets of a stream say: size, codec string, and the configuration box of an MP4.

The sets are those that a keyframe brings in band, else those of the extradata. Sources: ITU-T H.264 7.3.2.1 and
H.265 7.3.2 (sets), ISO/IEC 14496-15 (avcC, hvcC), RFC 6381 and ISO/IEC 14496-15 annex E (codec strings).
It keeps a few hundred parsed sets and reads no picture.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from ingest.video import nal
from ingest.video.nal import Bits, length_size, units
from model.errors import BadInput
from model.video import Packet, StreamInfo

#: H.264 profiles whose SPS says the chroma format. Source: H.264 7.3.2.1.1.
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
#: Unit types of parameter sets, in the order in which they are kept.
_SET_TYPES = {"h264": (7, 8), "hevc": (32, 33, 34)}
#: Bytes at the front of a keyframe in which its parameter sets are looked for.
MAX_FRONT_BYTES = 16_384
#: Different parameter sets of one kind in one stream.
MAX_SETS = 32
#: Streams whose parsed sets are kept; cameras of one model share them.
_CACHED_STREAMS = 1_024
_MEND = "Check the camera's encoder; another profile of it may work."


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a decoder or a player needs to know of a stream.

    Attributes:
        codec: `h264` or `hevc`.
        width_px, height_px: of the picture after cropping.
        bit_depth: of a luma sample.
        codec_string: RFC 6381, e.g. `avc1.64001f`, `hvc1.1.6.L93.B0`.
        config: body of the avcC or hvcC box, with lengths of four bytes.
        sets: the parameter sets as units, in the order VPS, SPS, PPS.
        number_bits: H.264: bits of a picture's number in its slices; 0: not to be judged by (see `numbered`).
        planes_apart: H.264: its colour planes are coded separately.
    """

    codec: str
    width_px: int
    height_px: int
    bit_depth: int
    codec_string: str
    config: bytes
    sets: tuple[bytes, ...]
    number_bits: int = 0
    planes_apart: bool = False


@dataclass(frozen=True, slots=True)
class _Sps:
    width_px: int
    height_px: int
    bit_depth: int
    bit_depth_chroma: int
    chroma: int
    number_bits: int = 0
    planes_apart: bool = False


def parameters_of(info: StreamInfo, packet: Packet | None = None) -> Parameters:
    """The parameters of a stream, as of a keyframe of it.

    Args:
        info: the stream.
        packet: a keyframe whose sets in band go before those of the extradata; None: the extradata alone.

    Raises BadInput: there is no SPS or PPS (H.265: VPS too), or it cannot be read.
    """
    if packet is not None:
        sets = in_band(packet)
        if sets:
            return _parsed(info.codec, sets)
    return _parsed(info.codec, _of_extradata(info.codec, info.extradata))


def in_band(packet: Packet) -> tuple[bytes, ...]:
    """The parameter sets at the front of a keyframe, () where one kind of them is missing."""
    codec = packet.info.codec
    if codec not in _SET_TYPES:
        return ()
    found = _sorted_sets(codec, units(packet.data[:MAX_FRONT_BYTES], length_size(packet.info.extradata)))
    return found if _complete(codec, found) else ()


@lru_cache(maxsize=_CACHED_STREAMS)
def _of_extradata(codec: str, extradata: bytes) -> tuple[bytes, ...]:
    if codec not in _SET_TYPES:
        raise BadInput(f"{codec[:20]!r} is neither h264 nor hevc.", mend="Set the camera to H.264 or H.265.")
    if not length_size(extradata):
        return _sorted_sets(codec, units(extradata, 0))
    return _sorted_sets(codec, _avcc_units(extradata) if codec == "h264" else _hvcc_units(extradata))


def _unit_type(codec: str, unit: bytes) -> int:
    return unit[0] & 0x1F if codec == "h264" else (unit[0] >> 1) & 0x3F


def _sorted_sets(codec: str, found: list[bytes]) -> tuple[bytes, ...]:
    kept: list[bytes] = []
    for kind in _SET_TYPES[codec]:
        same = dict.fromkeys(unit for unit in found if len(unit) > 3 and _unit_type(codec, unit) == kind)
        kept += list(same)[:MAX_SETS]
    return tuple(kept)


def _complete(codec: str, sets: tuple[bytes, ...]) -> bool:
    return {_unit_type(codec, unit) for unit in sets} == set(_SET_TYPES[codec])


def _avcc_units(extradata: bytes) -> list[bytes]:
    found: list[bytes] = []
    at, counts = 5, (0x1F, 0xFF)
    for mask in counts:
        if at >= len(extradata):
            break
        count = extradata[at] & mask
        at += 1
        for _ in range(count):
            end = at + 2 + int.from_bytes(extradata[at : at + 2], "big")
            found.append(extradata[at + 2 : end])
            at = end
    return [unit for unit in found if unit]


def _hvcc_units(extradata: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 23
    for _ in range(extradata[22] if len(extradata) > 22 else 0):
        count = int.from_bytes(extradata[at + 1 : at + 3], "big")
        at += 3
        for _ in range(min(count, MAX_SETS)):
            end = at + 2 + int.from_bytes(extradata[at : at + 2], "big")
            found.append(extradata[at + 2 : end])
            at = end
    return [unit for unit in found if unit]


@lru_cache(maxsize=_CACHED_STREAMS)
def _parsed(codec: str, sets: tuple[bytes, ...]) -> Parameters:
    if not _complete(codec, sets):
        raise BadInput("The stream brings no parameter sets.", mend="Wait for its next keyframe.")
    sps_unit = next(unit for unit in sets if _unit_type(codec, unit) == _SET_TYPES[codec][-2])
    if codec == "h264":
        sps = _h264_sps(sps_unit)
        text, config = "avc1." + sps_unit[1:4].hex(), _avcc(sets, sps)
    else:
        sps = _hevc_sps(sps_unit)
        text, config = _hevc_codec_string(sps_unit), _hvcc(sets, sps_unit, sps)
    return Parameters(
        codec, sps.width_px, sps.height_px, sps.bit_depth, text, config, sets, sps.number_bits, sps.planes_apart
    )


def numbered(packet: Packet, parameters: Parameters) -> tuple[int, bool, bool] | None:
    """Of an H.264 picture: its number, whether others refer to it, and whether it is an IDR. None: it has none to read.

    Reference pictures are numbered one by one, so a gap tells of a lost one, which libav conceals without a word.
    """
    if not parameters.number_bits or parameters.number_bits > 16:
        return None
    unit = nal.first_of(packet.data[:MAX_FRONT_BYTES], length_size(packet.info.extradata), (1, 5))
    if unit is None:
        return None
    try:
        bits = Bits(unit, header_bytes=1)
        for _ in range(3):
            bits.number()
        if parameters.planes_apart:
            bits.take(2)
        return bits.take(parameters.number_bits), bool(unit[0] & 0x60), unit[0] & 0x1F == 5
    except BadInput:
        return None


def _h264_sps(unit: bytes) -> _Sps:
    bits = Bits(unit, header_bytes=1)
    profile = bits.take(8)
    bits.take(16)
    bits.number()
    chroma, depth, depth_chroma, separate = 1, 8, 8, 0
    if profile in _HIGH_PROFILES:
        chroma = bits.number()
        separate = bits.take(1) if chroma == 3 else 0
        depth, depth_chroma = 8 + bits.number(), 8 + bits.number()
        bits.take(1)
        if bits.take(1):
            _skip_scaling_lists(bits, 12 if chroma == 3 else 8)
    number_bits = bits.number() + 4
    order = bits.number()
    if order == 0:
        bits.number()
    elif order == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.number(), 256)):
            bits.signed()
    bits.number()
    if bits.take(1):  # numbers may be left out: layers in time
        number_bits = 0
    width = (bits.number() + 1) * 16
    map_height = (bits.number() + 1) * 16
    frames_only = bits.take(1)
    height = map_height * (2 - frames_only)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        across, down = _chroma_steps(chroma, separate)
        left, right, top, bottom = bits.number(), bits.number(), bits.number(), bits.number()
        width -= (left + right) * across
        height -= (top + bottom) * down * (2 - frames_only)
    return _checked(_Sps(width, height, depth, depth_chroma, chroma, number_bits, bool(separate)))


def _skip_scaling_lists(bits: Bits, count: int) -> None:
    for index in range(count):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _chroma_steps(chroma: int, separate: int) -> tuple[int, int]:
    if separate or chroma in (0, 3):
        return 1, 1
    return 2, 2 if chroma == 1 else 1


def _hevc_sps(unit: bytes) -> _Sps:
    bits = Bits(unit, header_bytes=2)
    bits.take(4)
    sub_layers = bits.take(3)
    bits.take(1 + 96)
    present = [(bits.take(1), bits.take(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.take(2 * (8 - sub_layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    bits.number()
    chroma = bits.number()
    separate = bits.take(1) if chroma == 3 else 0
    width, height = bits.number(), bits.number()
    if bits.take(1):
        across, down = _chroma_steps(chroma, separate)
        width -= (bits.number() + bits.number()) * across
        height -= (bits.number() + bits.number()) * down
    return _checked(_Sps(width, height, 8 + bits.number(), 8 + bits.number(), chroma))


def _checked(sps: _Sps) -> _Sps:
    if not (0 < sps.width_px <= 0xFFFF and 0 < sps.height_px <= 0xFFFF and sps.bit_depth <= 16 and sps.chroma <= 3):
        raise BadInput(f"The stream says its pictures are {sps.width_px}x{sps.height_px}.", mend=_MEND)
    return sps


def _avcc(sets: tuple[bytes, ...], sps: _Sps) -> bytes:
    groups = [[unit for unit in sets if _unit_type("h264", unit) == kind] for kind in (7, 8)]
    first = groups[0][0]
    parts = [b"\x01", first[1:4], b"\xff", bytes((0xE0 | len(groups[0][:31]),)), _counted(groups[0][:31])]
    parts += [bytes((len(groups[1]),)), _counted(groups[1])]
    if first[1] in _HIGH_PROFILES:
        parts.append(bytes((0xFC | sps.chroma, 0xF8 | (sps.bit_depth - 8), 0xF8 | (sps.bit_depth_chroma - 8), 0)))
    return b"".join(parts)


def _counted(found: list[bytes]) -> bytes:
    return b"".join(struct.pack(">H", len(unit)) + unit for unit in found)


def _profile_bytes(sps_unit: bytes) -> tuple[int, bytes]:
    """The byte with the number of sub-layers, and the twelve of the general profile, tier and level."""
    bits = Bits(sps_unit, header_bytes=2)
    return bits.take(8), bits.take(96).to_bytes(12, "big")


def _hevc_codec_string(sps_unit: bytes) -> str:
    _, general = _profile_bytes(sps_unit)
    space = ("", "A", "B", "C")[general[0] >> 6]
    tier = "H" if general[0] & 0x20 else "L"
    flags = int(f"{int.from_bytes(general[1:5], 'big'):032b}"[::-1], 2)
    constraints = "".join(f".{value:X}" for value in general[5:11].rstrip(b"\x00"))
    return f"hvc1.{space}{general[0] & 0x1F}.{flags:X}.{tier}{general[11]}{constraints}"


def _hvcc(sets: tuple[bytes, ...], sps_unit: bytes, sps: _Sps) -> bytes:
    first, general = _profile_bytes(sps_unit)
    layers, nested = ((first >> 1) & 7) + 1, first & 1
    head = (
        b"\x01"
        + general
        + struct.pack(
            ">HBBBBHB",
            0xF000,
            0xFC,
            0xFC | sps.chroma,
            0xF8 | (sps.bit_depth - 8),
            0xF8 | (sps.bit_depth_chroma - 8),
            0,
            layers << 3 | nested << 2 | 3,
        )
    )
    arrays = [[unit for unit in sets if _unit_type("hevc", unit) == kind] for kind in _SET_TYPES["hevc"]]
    parts = [head, bytes((len(arrays),))]
    for kind, group in zip(_SET_TYPES["hevc"], arrays, strict=True):
        parts += [struct.pack(">BH", 0x80 | kind, len(group)), _counted(group)]
    return b"".join(parts)
