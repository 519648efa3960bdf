"""What a crash leaves on the disk: entered when it is whole, cut to its last whole fragment, or put away."""

from __future__ import annotations

import fcntl
import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.clock import FakeClock
from model.errors import BadInput
from store.audit import AuditLog
from store.recordings.boxes import read_contents, uncover
from store.recordings.folder import Adopted, Recordings
from store.recordings.names import segment_file
from tests.store.recordings.house import CAMERA, GRANT, T0, a_file, opened, video

TORN, WHOLE = video()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Recordings]:
    with (
        closing(AuditLog(tmp_path / "audit.db", clock=FakeClock(T0))) as audit,
        closing(opened(tmp_path / "recordings", audit)) as store,
    ):
        yield store


def pictures(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r") as container:
        return sum(1 for _ in container.decode(video=0))


def leave(store: Recordings, data: bytes, ending: str = ".part", at_ms: int = T0) -> Path:
    path = store.folder / (segment_file(CAMERA, at_ms) + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def kept(store: Recordings) -> list[tuple[int, int, bool, bytes]]:
    found = []
    for one in store.list(GRANT, CAMERA, 0, 10**15):
        with store.read(GRANT, one.id)[1] as file:
            found.append((one.from_ms, one.to_ms, one.adopted, file.read()))
    return found


def test_a_whole_file_whose_row_was_lost_is_entered(store: Recordings) -> None:
    new = a_file(store.folder, T0)
    masked = a_file(store.folder, T0 + 60_000, masked=True)
    assert store.adopt() == Adopted(entered=2)
    first, second = store.list(GRANT, CAMERA, 0, 10**15)
    assert (first.sha256, first.to_ms, first.codec, first.width_px, first.height_px, first.adopted) == (
        new.sha256, T0 + 2_000, "h264", 160, 96, True,
    )  # fmt: skip
    assert (first.masked, second.masked, second.file) == (False, True, masked.file)
    assert store.adopt() == Adopted()
    assert store.enter(new) == first  # its message comes after all
    assert store.check() == []


@pytest.mark.parametrize("tail", [b"", b"\0" * 5_000, TORN[-1_000:], b"\xff" * 40])
def test_what_was_being_written_is_cut_to_its_last_whole_fragment(store: Recordings, tail: bytes) -> None:
    part = leave(store, TORN + tail)
    assert store.adopt() == Adopted(repaired=1)
    assert not part.exists()
    ((from_ms, to_ms, adopted, data),) = kept(store)
    assert (from_ms, adopted, data) == (T0, True, TORN)
    assert pictures(data) == 20
    assert abs(to_ms - T0 - 20 * 1_000 // 15) <= 1
    assert store.check() == []


@pytest.mark.parametrize("lost", [1, 100, 700])
def test_a_close_that_reached_the_disk_in_part(store: Recordings, lost: int) -> None:
    """The sixteen bytes that hide the fragments are there, the index behind them is not."""
    leave(store, WHOLE[:-lost])
    assert store.adopt() == Adopted(repaired=1)
    ((_, _, _, data),) = kept(store)
    assert pictures(data) == 30


def test_an_index_that_hides_nothing_yet(store: Recordings) -> None:
    data = bytearray(WHOLE)
    with io.BytesIO(data) as file:
        assert uncover(file)
        leave(store, file.getvalue())
    assert store.adopt() == Adopted(repaired=1)
    ((_, _, _, data_kept),) = kept(store)
    assert pictures(data_kept) == 30


def test_what_cannot_be_played_goes_or_is_left(store: Recordings) -> None:
    empty = leave(store, b"")
    headed = leave(store, TORN[:600], at_ms=T0 + 1)
    foreign = leave(store, b"not a video", "", at_ms=T0 + 2)
    other = foreign.with_name("notes.txt")
    other.write_text("mine")
    assert store.adopt() == Adopted(discarded=2, unreadable=2)
    assert [path.exists() for path in (empty, headed, foreign, other)] == [False, False, True, True]


def test_what_a_recorder_is_writing_is_left_alone(store: Recordings) -> None:
    part = leave(store, TORN + b"half")
    with part.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert store.adopt() == Adopted()
        assert part.exists()
    assert store.adopt(camera="camera/1") == Adopted()
    assert store.adopt(camera=CAMERA) == Adopted(repaired=1)


def test_a_name_that_is_taken_is_not_overwritten(store: Recordings) -> None:
    first = store.enter(a_file(store.folder, T0))
    leave(store, TORN)
    assert store.adopt() == Adopted(repaired=1)
    found = store.list(GRANT, CAMERA, 0, 10**15)
    assert [one.file[-7:] for one in found] == ["000.mp4", "0-1.mp4"]
    assert found[0] == first


def test_links_are_not_followed(store: Recordings, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1795334400000.mp4.part").write_bytes(TORN + b"rest")
    (store.folder / "camera.12").mkdir()
    (store.folder / "camera.12" / "2026-11-22").symlink_to(outside)
    leave(store, TORN, at_ms=T0 + 86_400_000).unlink()
    (store.folder / "camera.12" / "2026-11-23" / "1795420800000.mp4.part").symlink_to(
        outside / "1795334400000.mp4.part"
    )
    assert store.adopt() == Adopted()
    assert (outside / "1795334400000.mp4.part").read_bytes() == TORN + b"rest"


@settings(max_examples=150)
@given(
    cut=st.integers(0, len(WHOLE)),
    damage=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6),
    closed=st.booleans(),
)
def test_any_bytes_give_an_answer(cut: int, damage: list[tuple[int, int]], closed: bool) -> None:
    data = bytearray((WHOLE if closed else TORN)[:cut])
    for at, value in damage:
        if at < len(data):
            data[at] = value
    try:
        found = read_contents(io.BytesIO(bytes(data)))
    except BadInput:
        return
    assert 0 < found.whole_bytes <= len(data)
    assert found.duration_ms > 0


@given(data=st.binary(max_size=300))
def test_any_boxes_give_an_answer(data: bytes) -> None:
    nested = b"".join((8 + 8 * n).to_bytes(4, "big") + b"trak" for n in range(2_000, 0, -1))
    for body in (data, len(data + nested).to_bytes(4, "big") + b"moov" + data + nested):
        with pytest.raises(BadInput):
            read_contents(io.BytesIO(body))


def test_every_cut_is_playable_to_its_last_whole_fragment() -> None:
    first_end = TORN.index(b"moof", TORN.index(b"moof") + 4) - 4
    for cut in [*range(0, len(TORN), 41), first_end - 1, first_end, len(TORN) - 1, len(TORN)]:
        file = io.BytesIO(TORN[:cut])
        if cut < first_end:
            with pytest.raises(BadInput):
                read_contents(file)
        else:
            assert read_contents(file).whole_bytes == (len(TORN) if cut == len(TORN) else first_end)
    assert (pictures(TORN[:first_end]), pictures(TORN), pictures(WHOLE)) == (10, 20, 30)
