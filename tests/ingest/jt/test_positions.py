"""Positions of 808 and 905 are, row by row, what the plain decoder makes of them."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.jt.columns import FrameColumns, cut, of_bodies
from ingest.jt.positions import Positions
from ingest.jt.positions808 import positions704, positions808
from ingest.jt.positions905 import positions905
from model.codes import ALARM_BY_NAME, Flag
from tests.ingest.jt import plain
from tests.ingest.jt.frames import bodies808, bodies905, same_row, shared_frames

RECEIVED_MS = 1_790_000_000_000
GOOD = struct.pack(">IIIIHHH", 0, 3, 40_651_234, 109_841_234, 1_050, 315, 90) + bytes.fromhex("260401123456")
NO_TIME = struct.pack(">IIIIHHH", 1, 3, 40_651_234, 109_841_234, 1_050, 315, 90) + bytes(6)


def _streamed(message_id: int, bodies: list[bytes], *, wide: bool = False) -> FrameColumns:
    frames = [
        plain.framed(plain.header(message_id, len(body), serial=index, wide=wide) + body)
        for index, body in enumerate(bodies)
    ]
    columns, _, _ = cut([b"".join(frames[:3]), b"".join(frames[3:])])
    assert len(columns) == len(bodies)
    return columns


def _rows_are(found: Positions, wanted: list[tuple[int, dict[str, Any]]]) -> None:
    assert found.frame.tolist() == [frame for frame, _ in wanted]
    assert len(found.batch) == len(wanted)
    assert len(found.bad) == len(found.bad_alarm_bits)
    for row, (frame, one) in enumerate(wanted):
        same_row(found.batch, row, one)
        assert found.batch.slot[row] == 100 + frame
        assert found.batch.received_ms[row] == RECEIVED_MS + frame


def _slots(count: int) -> tuple[Any, Any]:
    return np.arange(100, 100 + count), np.arange(RECEIVED_MS, RECEIVED_MS + count)


@settings(max_examples=120)
@given(st.lists(bodies808(), max_size=20), st.booleans())
def test_808(bodies: list[bytes], wide: bool) -> None:
    frames = _streamed(0x0200, bodies, wide=wide)
    found = positions808(frames, np.arange(len(bodies)), *_slots(len(bodies)), extra_bytes=10_000)
    read = [plain.position808(body) for body in bodies]
    _rows_are(found, [(frame, one) for frame, one in enumerate(read) if one is not None])
    assert sorted(frame for frame, _ in found.bad) == [frame for frame, one in enumerate(read) if one is None]


def _places905(body: bytes, message_id: int) -> list[bytes]:
    """Of 0203 a body that is nothing but fixed parts holds as many places."""
    if message_id != 0x0203 or len(body) % 25 or not body:
        return [body]
    return [body[at : at + 25] for at in range(0, len(body), 25)]


@settings(max_examples=120)
@given(
    st.lists(
        st.one_of(bodies905(), st.lists(bodies905().map(lambda body: body[:25]), max_size=4).map(b"".join)), max_size=20
    ),
    st.sampled_from([0x0200, 0x0202, 0x0203]),
)
def test_905(bodies: list[bytes], message_id: int) -> None:
    frames = _streamed(message_id, bodies)
    found = positions905(frames, np.arange(len(bodies)), *_slots(len(bodies)), extra_bytes=10_000)
    read = [
        (frame, plain.position905(one)) for frame, body in enumerate(bodies) for one in _places905(body, message_id)
    ]
    for _, one in read:
        if one is not None:
            one["buffered"] = message_id == 0x0203
    _rows_are(found, [(frame, one) for frame, one in read if one is not None])
    assert sorted(frame for frame, _ in found.bad) == [frame for frame, one in read if one is None]


def _batch(bodies: list[bytes], *, blind: int, count: int | None = None, more: bytes = b"") -> bytes:
    held = len(bodies) if count is None else count
    return struct.pack(">HB", held, blind) + b"".join(struct.pack(">H", len(one)) + one for one in bodies) + more


_BATCHES = st.builds(
    lambda bodies, blind, count, more: _batch(bodies, blind=blind, count=count, more=more),
    st.lists(bodies808(), max_size=6),
    st.sampled_from([0, 1, 2]),
    st.one_of(st.none(), st.none(), st.integers(0, 65_535)),
    st.sampled_from([b"", b"", b"\x00", b"\x00\x30abc", b"\xff\xff"]),
)


def _rows_of_batches(bodies: list[bytes]) -> tuple[list[tuple[int, dict[str, Any]]], set[int]]:
    wanted, bad = [], set()
    for frame, body in enumerate(bodies):
        found, blind, whole = plain.batch704(body)
        rows = [plain.position808(one) for one in found]
        wanted += [(frame, {**row, "buffered": blind}) for row in rows if row is not None]
        if not whole or None in rows:
            bad.add(frame)
    return wanted, bad


@settings(max_examples=100)
@given(st.lists(st.one_of(_BATCHES, _BATCHES, st.binary(max_size=5)), max_size=16))
def test_704(bodies: list[bytes]) -> None:
    # As put together from parts, so that a batch may be as long as it likes.
    frames = of_bodies(bodies, 0x0704)
    found = positions704(frames, np.arange(len(bodies)), *_slots(len(bodies)), extra_bytes=10_000)
    wanted, bad = _rows_of_batches(bodies)
    _rows_are(found, wanted)
    assert {frame for frame, _ in found.bad} == bad


@pytest.mark.parametrize("size", [0, 5, 27])
def test_a_short_item_in_a_batch_is_bad_alone(size: int) -> None:
    body = _batch([GOOD, GOOD[:size], GOOD], blind=0)
    found = positions704(_streamed(0x0704, [body, body]), [0, 1], 5, RECEIVED_MS)
    assert found.frame.tolist() == [0, 0, 1, 1]
    assert found.bad == [
        (frame, f"position 2 of the batch: a position needs 28 bytes and has {size}") for frame in (0, 1)
    ]


def test_an_item_that_claims_too_much_ends_its_batch_and_no_other() -> None:
    body = struct.pack(">HBH", 3, 1, 28) + GOOD + struct.pack(">H", 900) + GOOD + struct.pack(">H", 28) + GOOD
    whole = _batch([GOOD, GOOD], blind=1)
    for filler in (0, 20):  # few batches are walked one by one, many side by side
        bodies = [whole] * filler + [body, whole]
        found = positions704(_streamed(0x0704, bodies), np.arange(len(bodies)), 5, RECEIVED_MS)
        assert len(found.batch) == 2 * filler + 3
        assert found.bad == [
            (filler, "position 2 of the batch says 900 bytes and 58 are left"),
            (filler, "the batch says 3 positions and holds 1"),
        ]
        assert (found.batch.flags & Flag.BUFFERED).all()


def test_a_bad_time_keeps_the_alarm() -> None:
    found = positions808(_streamed(0x0200, [GOOD, NO_TIME]), [0, 1], [1, 2], RECEIVED_MS)
    assert found.frame.tolist() == [0]
    assert found.bad == [(1, "time 000000000000 is none")]
    assert found.bad_alarm_bits == [1 << ALARM_BY_NAME["sos"].bit]


def test_what_stands_before_the_position_is_skipped() -> None:
    found = positions808(_streamed(0x0201, [b"\x00\x07" + GOOD]), [0], [1], RECEIVED_MS, skip_bytes=2)
    one = plain.position808(GOOD)
    assert one is not None
    same_row(found.batch, 0, one)
    assert positions808(_streamed(0x0201, [b""]), [0], [1], RECEIVED_MS, skip_bytes=2).bad == [
        (0, "a position needs 28 bytes and has 0")
    ]


def test_only_the_rows_asked_for() -> None:
    frames = _streamed(0x0200, [GOOD, NO_TIME, GOOD, GOOD])
    found = positions808(frames, [3, 0], [9, 8], RECEIVED_MS)
    assert found.frame.tolist() == [3, 0]
    assert found.batch.slot.tolist() == [9, 8]
    assert found.bad == []
    assert len(positions808(frames, [], [], RECEIVED_MS).batch) == 0
    assert len(positions704(frames, [], [], RECEIVED_MS).batch) == 0
    assert len(positions905(frames, [], [], RECEIVED_MS).batch) == 0


def test_extras_are_bounded_and_say_so() -> None:
    body = GOOD + b"\x01\x04\x00\x00\x00\x0c" + b"\xe1\x03abc" + b"\xe2\x80" + bytes(128)
    found = positions808(_streamed(0x0200, [body]), [0], [1], RECEIVED_MS, extra_bytes=100)
    extra = found.batch.extra[0]
    assert len(extra) <= 100
    assert json.loads(extra) == {"mileage_km": 1.2, "xe1": "616263", "extra_dropped_bytes": 265}
    tiny = positions808(_streamed(0x0200, [body]), [0], [1], RECEIVED_MS, extra_bytes=30)
    assert json.loads(tiny.batch.extra[0]).keys() == {"extra_dropped_bytes"}


@pytest.mark.parametrize("bodies", [1, 30])
def test_items_without_end_are_kept_as_rest(bodies: int) -> None:
    body = GOOD + b"\xe0\x00" * 100
    frames = _streamed(0x0200, [body] * bodies)
    found = positions808(frames, np.arange(bodies), 1, RECEIVED_MS, most_items=10, extra_bytes=10_000)
    for row in range(bodies):
        assert json.loads(found.batch.extra[row]) == {"xe0": "", "rest": "e000" * 90}


@pytest.mark.parametrize("batches", [1, 30])
def test_a_batch_without_end_is_cut_and_told(batches: int) -> None:
    frames = of_bodies([_batch([GOOD] * 8, blind=0)] * batches, 0x0704)
    found = positions704(frames, np.arange(batches), 1, RECEIVED_MS, most_positions=5)
    assert len(found.batch) == 5 * batches
    assert (0, "position 6 of the batch is more than the 5 that one batch may have") in found.bad


@pytest.mark.parametrize(("name", "key"), [("jt808-golden.json", "hex"), ("jt808-devices.json", "data")])
def test_frames_of_others_808(name: str, key: str) -> None:
    pieces = shared_frames(name, key)
    frames, _, _ = cut(pieces)
    held = frames.checksum_ok & frames.length_ok
    single = np.flatnonzero(held & (frames.message_id == 0x0200))
    found = positions808(frames, single, 100 + single, RECEIVED_MS + single, extra_bytes=10_000)
    read = [(frame, plain.position808(frames.body(frame))) for frame in single.tolist()]
    _rows_are(found, [(frame, one) for frame, one in read if one is not None])
    assert len(found.bad) == sum(one is None for _, one in read)
    batched = np.flatnonzero(held & (frames.message_id == 0x0704))
    found = positions704(frames, batched, 100 + batched, RECEIVED_MS + batched, extra_bytes=10_000)
    wanted, bad = _rows_of_batches([frames.body(frame) for frame in batched.tolist()])
    _rows_are(found, [(int(batched[frame]), one) for frame, one in wanted])
    assert {frame for frame, _ in found.bad} == {int(batched[frame]) for frame in bad}
    assert len(single) + len(batched) > 2


def test_frames_of_others_905() -> None:
    frames, leftovers, junk = cut(shared_frames("jt905.json", "data"))
    assert set(leftovers) == {b"\x7e"}
    assert not junk
    assert frames.checksum_ok.all()
    rows = np.flatnonzero(np.isin(frames.message_id, (0x0200, 0x0202, 0x0203)))
    found = positions905(frames, rows, 100 + rows, RECEIVED_MS + rows)
    wanted = []
    for frame in rows.tolist():
        start, size = int(frames.start[frame]), int(frames.size[frame])
        one = plain.position905(frames.data[start + 12 : start + size].tobytes())
        assert one is not None
        wanted.append((frame, {**one, "buffered": frames.message_id[frame] == 0x0203}))
    _rows_are(found, wanted)
    first = found.batch
    assert first.lat[0] == pytest.approx(27.125607, abs=1e-6)
    assert first.lon[0] == pytest.approx(111.035010, abs=1e-6)
    assert (round(float(first.speed_kmh[0]), 1), float(first.heading_deg[0])) == (17.2, 218.0)
