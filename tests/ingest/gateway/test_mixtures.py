"""Good frames, damage and cuts in any mixture on many connections at once: no good position of a sound connection is lost.

Held against the gateway's core without sockets (`direct`), so that every round may hold any pieces of any connections. More
than the order asks for is looked at: on a damaged connection, too, a good frame between its own marks counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.gt06 import codec as gt06
from ingest.jt808 import codec as jt808
from ingest.jt905 import codec as jt905
from tests.ingest.gateway.conftest import position
from tests.ingest.gateway.direct import Direct, Wire

#: 2025-10-09 12:00:00 in Beijing, and the same in UTC as trackers say it.
BEGIN_MS = 1_759_982_400_000
_MAX_POSITIONS = 12
_MAX_NOISE_BYTES = 90


@dataclass(frozen=True)
class Damaged:
    """The position of a second, with bits turned over or a piece left out."""

    second: int
    bits: tuple[int, ...] = ()
    cut: tuple[int, int] = (0, 0)

    def of(self, whole: bytes) -> bytes:
        """What is left of the frame."""
        made = bytearray(whole)
        for bit in self.bits:
            made[bit // 8 % len(made)] ^= 1 << bit % 8
        del made[self.cut[0] : self.cut[1]]
        return bytes(made)


@dataclass
class Line:
    """One connection of an example.

    Attributes:
        protocol: what it speaks.
        parts: in order: a number is the good position of that second, the rest is damage: bytes, or how the copy of a
            frame is damaged.
    """

    protocol: str
    parts: list[int | bytes | Damaged] = field(default_factory=list)

    @property
    def good(self) -> list[int]:
        """Seconds of its good positions."""
        return [part for part in self.parts if isinstance(part, int)]


def number_of(index: int, protocol: str) -> str:
    """Of the line of that index."""
    if protocol == "gt06":
        return str(123_456_789_012_340 + index)
    return str((108_000_000_000 if protocol == "jt905" else 13_800_000_000) + index)


def frame(protocol: str, number: str, second: int) -> bytes:
    """The good position of that second; its serial is the second."""
    clock = f"{second // 60:02d}{second % 60:02d}"
    if protocol == "gt06":
        body = bytes((25, 10, 9, 4, second // 60, second % 60)) + bytes.fromhex("cc045f1c400bc8ab001e15b4")
        # Two sizes, so that a length with a bit turned over may end where a frame behind it does.
        long = second % 3 == 2
        return gt06.write_frames(0x12 if long else 0x10, body + bytes(8 * long), serial=second)[0]
    if protocol == "jt905":
        body = bytes(8) + bytes.fromhex("01746f4003ee6bc0") + bytes(3) + bytes.fromhex(f"25100912{clock}")
        return jt905.write_frames(0x0200, body, number=number, serial=second, version=0)[0]
    body = position(time=f"25100912{clock}", lat=40 + second / 1000)
    version = 2019 if protocol == "jt808-2019" else 2013
    return jt808.write_frames(0x0200, body, number=number, serial=second, version=version)[0]


#: Three bits at most: no message becomes another one whose checksum holds and that would end the session.
FLIPS = st.lists(st.integers(0, 8 * 80), min_size=1, max_size=3, unique=True)
MARKS = st.sampled_from(
    [b"\x7e", b"\x7e\x7e", b"\x7d", b"\x7e\x7d", b"xx", b"yy", b"x", b"\r\n", b"\r", b"xx\xff", b"yy\x1f\xff"]
)
CUTS = st.tuples(st.integers(0, 80), st.integers(0, 80)).filter(lambda cut: cut[0] < cut[1])
#: Copies of positions from an hour later, so that what of them counts all the same is told from the good ones.
LATER_S = 3_000
PROTOCOLS = st.sampled_from(["jt808", "jt808-2019", "jt905", "gt06"])


@st.composite
def lines(draw: st.DrawFn, *, sound: bool) -> Line:
    """A connection; `sound`: nothing but good positions."""
    line = Line(draw(PROTOCOLS))
    second = 0
    for _ in range(draw(st.integers(1, _MAX_POSITIONS))):
        if sound or draw(st.booleans()):
            line.parts.append(second)
            second += 1
            continue
        kind = draw(st.integers(0, 3))
        if kind == 0:
            line.parts.append(Damaged(LATER_S + second, bits=tuple(draw(FLIPS))))
        elif kind == 1:
            line.parts.append(Damaged(LATER_S + second, cut=draw(CUTS)))
        else:
            line.parts.append(draw(MARKS if kind == 2 else st.binary(max_size=_MAX_NOISE_BYTES)))
    return line


def stream(line: Line, number: str) -> bytes:
    """All bytes of a line of that number."""
    made = []
    for part in line.parts:
        if isinstance(part, bytes):
            made.append(part)
        elif isinstance(part, int):
            made.append(frame(line.protocol, number, part))
        else:
            made.append(part.of(frame(line.protocol, number, part.second)))
    return b"".join(made)


def greeted(direct: Direct, index: int, line: Line) -> Wire:
    """A connection that is believed already."""
    number = number_of(index, line.protocol)
    direct.registry.add(number, line.protocol.removesuffix("-2019"))
    wire = direct.wire("gt06" if line.protocol == "gt06" else "jt")
    if line.protocol == "gt06":
        hello = gt06.write_frames(0x01, bytes.fromhex(number.zfill(16)), serial=1)[0]
    elif line.protocol == "jt905":
        hello = jt905.write_frames(0x0002, b"", number=number, serial=1, version=0)[0]
    else:
        version = 2019 if line.protocol == "jt808-2019" else 2013
        hello = jt808.write_frames(0x0002, b"", number=number, serial=1, version=version)[0]
    direct.round([(wire, hello)])
    assert wire.link.terminal is not None
    wire.told.clear()
    return wire


def farewell(line: Line, number: str) -> bytes:
    """Two frames that are no positions: behind them nothing of a tracker waits for more bytes any longer."""
    if line.protocol != "gt06":
        return b""
    return b"".join(gt06.write_frames(0x13, bytes.fromhex("4004040001"), serial=serial)[0] for serial in (1, 2)) * 300


def answered(line: Line, wire: Wire, number: str) -> Counter[int]:
    """Serials of positions that were answered as done."""
    codec = jt905 if line.protocol == "jt905" else jt808
    frames = [codec.read_frame(raw) for raw in wire.told]
    assert all(one.checksum_ok for one in frames)
    assert all(one.number == number for one in frames if one.body[4:] == b"\0")
    return Counter(int.from_bytes(one.body[:2], "big") for one in frames if one.body[2:] == b"\x02\x00\x00")


@given(
    st.lists(lines(sound=True), min_size=1, max_size=3),
    st.lists(lines(sound=False), max_size=3),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 120)), max_size=80),
)
@settings(max_examples=150)
def test_every_good_position_is_kept(sound: list[Line], damaged: list[Line], cuts: list[tuple[int, int]]) -> None:
    everything = [*sound, *damaged]
    with Direct(require_auth=False) as direct:
        wires = [greeted(direct, index, line) for index, line in enumerate(everything)]
        numbers = [number_of(index, line.protocol) for index, line in enumerate(everything)]
        left = [stream(line, number) for line, number in zip(everything, numbers, strict=True)]
        for first, size in [*cuts, (0, 1 << 20)]:
            reads = []
            # A cut says how much of one connection is read; its neighbours bring a little in the same round.
            for index in range(len(left)):
                take = size if index == first % len(left) or size > 1_000 else size // 3
                if take and left[index]:
                    reads.append((wires[index], left[index][:take]))
                    left[index] = left[index][take:]
            direct.round(reads)
        direct.round([(wire, farewell(line, "")) for wire, line in zip(wires, everything, strict=True)])
        for index, line in enumerate(everything):
            slot = direct.registry.known[numbers[index]].slot
            times = [round((one - BEGIN_MS) / 1000) for one in direct.times_ms(slot)]
            if index < len(sound):
                assert times == line.good
                assert not [one for one in direct.quarantined if one.device == f"taxi/{slot}"]
            assert list(dict.fromkeys(one for one in times if one in line.good)) == line.good, (line, times)
            if line.protocol != "gt06":
                told = answered(line, wires[index], numbers[index])
                assert all(told[second] >= 1 for second in line.good)
                if index < len(sound):
                    assert told == Counter(line.good)
