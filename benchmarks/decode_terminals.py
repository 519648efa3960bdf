"""How many JT/T 808 and 905 positions does a CPU-second decode, against a straight `struct` loop in Python?

`python -m benchmarks.decode_terminals [--runs N]`

From bytes as they were read of connections (10 frames each) to columns and to the bytes of the answers: frames found,
unescaped, checksums, headers, bodies, additional items with their JSON, general replies. Nothing is sent or stored.
The loop does the same, a frame at a time, with `bytes.split`, `bytes.replace`, `functools.reduce(xor)` and `struct`, and
ends with the same columns; whether both say the same is printed. 1×, 10× and 100× are 1,000, 10,000 and 100,000 positions
in rounds of 1,000 frames (50 for batches of 20); after them rounds of other sizes, since a gateway that is not busy reads
few frames at a time.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import xor
from typing import Any

import numpy as np

from benchmarks.machine import machine
from ingest.jt.answers import answers
from ingest.jt.columns import cut
from ingest.jt.positions import Positions
from ingest.jt.positions808 import positions704, positions808
from ingest.jt.positions905 import positions905
from model.batch import PointBatch

SEED = 20_260_501
PER_CONNECTION = 10
POSITIONS = {1: 1_000, 10: 10_000, 100: 100_000}
ROUND = 1_000
OTHER_ROUNDS = (1, 10, 100, 10_000)
BATCH = 20
RECEIVED_MS = 1_790_000_000_000
Decode = Callable[..., Positions]


# ── what comes in ────────────────────────────────────────────────────────────────────────────────────────────────


def escaped(plain: bytes) -> bytes:
    """A frame around header and body."""
    plain += bytes([reduce(xor, plain, 0)])
    return b"\x7e" + plain.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02") + b"\x7e"


def body808(chance: np.random.Generator, *, items: bool) -> bytes:
    """A taxi under way."""
    lat, lon = int(chance.integers(40_400_000, 40_900_000)), int(chance.integers(109_600_000, 110_100_000))
    speed, heading, second = (int(chance.integers(top)) for top in (1_200, 360, 3_600))
    when = bytes.fromhex(f"26050112{second // 60:02d}{second % 60:02d}")
    made = struct.pack(">IIIIHHH", 0, 3, lat, lon, 1_050, speed, heading) + when
    if items:
        made += b"\x01\x04" + struct.pack(">I", int(chance.integers(3_000_000)))
        made += bytes((0x30, 1, int(chance.integers(32)), 0x31, 1, int(chance.integers(4, 24))))
    return made


def body905(chance: np.random.Generator) -> bytes:
    """A hired taxi with its mileage."""
    lat, lon = int(chance.integers(24_240_000, 24_540_000)), int(chance.integers(65_760_000, 66_060_000))
    speed, heading, second = (int(chance.integers(top)) for top in (1_200, 180, 3_600))
    when = bytes.fromhex(f"26050112{second // 60:02d}{second % 60:02d}")
    made = struct.pack(">IIIIHB", 0, 0x300, lat, lon, speed, heading) + when
    return made + b"\x01\x04" + struct.pack(">I", int(chance.integers(3_000_000)))


def frame(message_id: int, body: bytes, number: int, serial: int) -> bytes:
    """A frame with the header of 808-2013 and 905."""
    phone = bytes.fromhex(f"{number:012d}")
    return escaped(struct.pack(">HH", message_id, len(body)) + phone + struct.pack(">H", serial & 0xFFFF) + body)


def pieces(frames: list[bytes]) -> list[bytes]:
    """What a round reads of its connections."""
    return [b"".join(frames[at : at + PER_CONNECTION]) for at in range(0, len(frames), PER_CONNECTION)]


# ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────────

_HEADER, _BODY_808, _BODY_905 = struct.Struct(">HH6sH"), struct.Struct(">IIIIhHH6s"), struct.Struct(">IIIIHB6s")
_U32, _ANSWER = struct.Struct(">I"), struct.Struct(">HH6sHHHB")
_NAN = float("nan")


@dataclass(slots=True)
class Rows:
    """Columns of the loop, as lists."""

    slot: list[int] = field(default_factory=list)
    time_ms: list[int] = field(default_factory=list)
    lat: list[float] = field(default_factory=list)
    lon: list[float] = field(default_factory=list)
    speed_kmh: list[float] = field(default_factory=list)
    heading_deg: list[float] = field(default_factory=list)
    alt_m: list[float] = field(default_factory=list)
    sat: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    extra: dict[int, bytes] = field(default_factory=dict)

    def batch(self) -> PointBatch:
        """The same as a `PointBatch`."""
        names = ("slot", "time_ms", "lat", "lon", "speed_kmh", "heading_deg", "alt_m", "sat", "flags")
        columns: dict[str, Any] = {name: getattr(self, name) for name in names}
        return PointBatch.of(len(self.slot), {**columns, "received_ms": RECEIVED_MS}, self.extra)


def utc_ms(bcd: bytes) -> int:
    """UTC ms of BCD time of GMT+8."""
    digits = bcd.hex()
    at = datetime(
        2000 + int(digits[:2]),
        int(digits[2:4]),
        int(digits[4:6]),
        int(digits[6:8]),
        int(digits[8:10]),
        int(digits[10:]),
        tzinfo=UTC,
    )
    return (int(at.timestamp()) - 28_800) * 1000


def loop_items(rows: Rows, body: bytes, at: int) -> int:
    """Additional items of the next row into `extra`; gives satellites."""
    sat, extra = -1, []
    while at + 2 <= len(body):
        kind, size = body[at], body[at + 1]
        value = body[at + 2 : at + 2 + size]
        at += 2 + size
        if kind == 0x01 and size == 4:
            extra.append(b'"mileage_km":%.1f' % (_U32.unpack(value)[0] / 10))
        elif kind == 0x30 and size == 1:
            extra.append(b'"rssi":%d' % value[0])
        elif kind == 0x31 and size == 1:
            sat = value[0]
        else:
            extra.append(b'"x%02x":"%b"' % (kind, value.hex().encode()))
    if extra:
        rows.extra[len(rows.slot)] = b"{" + b",".join(extra) + b"}"
    return sat


def loop_808(rows: Rows, slot: int, body: bytes) -> None:
    """One position of 808."""
    if len(body) < _BODY_808.size:
        return
    _alarm, status, lat, lon, alt, speed, heading, bcd = _BODY_808.unpack_from(body)
    sat = loop_items(rows, body, _BODY_808.size)
    rows.time_ms.append(utc_ms(bcd))
    rows.slot.append(slot)
    rows.lat.append(lat / 1e6 * (-1 if status & 4 else 1))
    rows.lon.append(lon / 1e6 * (-1 if status & 8 else 1))
    rows.speed_kmh.append(speed / 10)
    rows.heading_deg.append(heading)
    rows.alt_m.append(alt)
    rows.sat.append(sat)
    rows.flags.append(0x114 | (status & 1) << 1 | (status & 2) >> 1 | (8 if status & 0x300 else 0))


def loop_905(rows: Rows, slot: int, body: bytes) -> None:
    """One position of 905."""
    if len(body) < _BODY_905.size:
        return
    _alarm, status, lat, lon, speed, heading, bcd = _BODY_905.unpack_from(body)
    sat = loop_items(rows, body, _BODY_905.size)
    rows.time_ms.append(utc_ms(bcd))
    rows.slot.append(slot)
    rows.lat.append(lat / 600_000 * (-1 if status & 2 else 1))
    rows.lon.append(lon / 600_000 * (-1 if status & 4 else 1))
    rows.speed_kmh.append(speed / 10)
    rows.heading_deg.append(heading * 2)
    rows.alt_m.append(_NAN)
    rows.sat.append(sat)
    rows.flags.append(0x114 | (~status & 1) | (status & 0x100) >> 7 | (status & 0x200) >> 6)


def loop_704(rows: Rows, slot: int, body: bytes) -> None:
    """A batch of 808."""
    at = 3
    while at + 2 <= len(body):
        size = body[at] << 8 | body[at + 1]
        loop_808(rows, slot, body[at + 2 : at + 2 + size])
        at += 2 + size


def loop(read: list[bytes], one: Callable[[Rows, int, bytes], None]) -> tuple[PointBatch, list[bytes]]:
    """A round, a frame at a time."""
    rows, out, slot = Rows(), [], 0
    for piece in read:
        for inner in piece.split(b"\x7e"):
            if not inner:
                continue
            plain = inner
            if b"\x7d" in plain:
                plain = plain.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
            if len(plain) < 13 or reduce(xor, plain):
                continue
            message_id, props, number, serial = _HEADER.unpack_from(plain)
            if props != len(plain) - 13 or not number.hex().isdecimal():
                continue
            one(rows, slot, plain[12:-1])
            out.append(escaped(_ANSWER.pack(0x8001, 5, number, slot & 0xFFFF, serial, message_id, 0)))
            slot += 1
    return rows.batch(), out


# ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def columns(read: list[bytes], decode: Decode) -> tuple[PointBatch, list[bytes]]:
    """The same round, as the gateway does it."""
    frames, _leftovers, _junk = cut(read)
    rows = (frames.checksum_ok & (frames.length_ok | frames.length_ok_905)).nonzero()[0]
    found = decode(frames, rows, rows, RECEIVED_MS)
    return found.batch, answers(frames, rows, 0, rows)


def same(mine: tuple[PointBatch, list[bytes]], theirs: tuple[PointBatch, list[bytes]]) -> bool:
    """Whether both say the same."""
    names = ("slot", "time_ms", "received_ms", "lat", "lon", "speed_kmh", "heading_deg", "alt_m", "sat", "flags")
    return (
        all(np.array_equal(mine[0].column(name), theirs[0].column(name), equal_nan=True) for name in names)
        and mine[0].extra == theirs[0].extra
        and mine[1] == theirs[1]
    )


def cpu_s(work: Callable[[], object], runs: int) -> float:
    """Least CPU seconds of `runs` runs after one that warms."""
    work()
    spent = []
    for _ in range(runs):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of traffic: how a frame of it is made, who decodes it, positions in a frame."""

    name: str
    make: Callable[[np.random.Generator, int], bytes]
    decode: Decode
    loop: Callable[[Rows, int, bytes], None]
    positions: int = 1


def batch_of(chance: np.random.Generator) -> bytes:
    """Body of a batch of 20."""
    bodies = [body808(chance, items=True) for _ in range(BATCH)]
    return struct.pack(">HB", BATCH, 1) + b"".join(struct.pack(">H", len(one)) + one for one in bodies)


KINDS = (
    Kind(
        "0x0200 of 808 with items 01, 30, 31",
        lambda chance, n: frame(0x0200, body808(chance, items=True), 13_800_000_000 + n // PER_CONNECTION, n),
        positions808,
        loop_808,
    ),
    Kind(
        "0x0200 of 808 without items",
        lambda chance, n: frame(0x0200, body808(chance, items=False), 13_800_000_000 + n // PER_CONNECTION, n),
        positions808,
        loop_808,
    ),
    Kind(
        "0x0200 of 905 with item 01",
        lambda chance, n: frame(0x0200, body905(chance), 108_000_000_000 + n // PER_CONNECTION, n),
        positions905,
        loop_905,
    ),
    Kind(
        f"0x0704 of 808, {BATCH} positions each with items 01, 30, 31",
        lambda chance, n: frame(0x0704, batch_of(chance), 13_800_000_000 + n // PER_CONNECTION, n),
        positions704,
        loop_704,
        BATCH,
    ),
)
#: The flag of a buffered point, which the loop leaves out: it is taken off before the rows are compared.
_BUFFERED = 1 << 7


def report(kind: Kind, frames: list[bytes], positions: int, per_round: int, runs: int, label: str) -> None:
    """One line: rates of both and whether they agree."""
    few = frames[: positions // kind.positions]
    rounds = [pieces(few[at : at + per_round]) for at in range(0, len(few), per_round)]
    mine, theirs = columns(rounds[0], kind.decode), loop(rounds[0], kind.loop)
    if kind.loop is loop_704:
        mine[0].flags &= np.uint16(0xFFFF ^ _BUFFERED)
    agreed = "yes" if same(mine, theirs) else "NO"
    ours_s = cpu_s(lambda: [columns(read, kind.decode) for read in rounds], runs)
    loop_s = cpu_s(lambda: [loop(read, kind.loop) for read in rounds], runs)
    print(
        f"  {label}: {positions / ours_s:>10,.0f} positions a CPU-second ({ours_s / positions * 1e6:.2f} µs each;"
        f" {ours_s / len(rounds) * 1e6:,.0f} µs a round), loop {positions / loop_s:>8,.0f},"
        f" ratio {loop_s / ours_s:.1f} x; the same rows and answers: {agreed}",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args(arguments)
    print(__doc__)
    print(f"{machine()}, seed {SEED}\n")
    for kind in KINDS:
        chance = np.random.default_rng(SEED)
        frames = [kind.make(chance, number) for number in range(max(POSITIONS.values()) // kind.positions)]
        print(f"{kind.name}, {len(frames[0])} bytes")
        for scale, positions in POSITIONS.items():
            report(kind, frames, positions, ROUND // kind.positions, given.runs, f"{scale:>3}× ({positions:>7,})")
        for per_round in OTHER_ROUNDS:
            positions = min(per_round * 200 * kind.positions, max(POSITIONS.values()))
            if per_round * kind.positions <= positions:
                report(kind, frames, positions, per_round, given.runs, f"rounds of {per_round:>6,} frames")
    return 0


if __name__ == "__main__":
    sys.exit(main())
