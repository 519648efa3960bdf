"""`LocalLog`: the conformance suite, kill -9 at random moments (F1), damage (F6) and failing disks (F5)."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from model.clock import FakeClock, SystemClock
from model.errors import Corrupt, SchemaTooNew, StoreError, UsageError
from model.seams import NewRecord, RecordKind
from store.database import connect
from store.log.local import LocalLog
from tests.store.log.appender import payload_of, rows_of
from tests.store.log_conformance import LogConformance, OpenLog, new_record, read_all

PROJECT = Path(__file__).parents[3]
APPENDER = Path(__file__).with_name("appender.py")
KILLS = 15


def child_environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(PROJECT)}


def open_at(folder: Path) -> LocalLog:
    return LocalLog(folder / "points.log.db", clock=SystemClock(), trim_step_records=2)


class TestLocalLog(LogConformance):
    @pytest.fixture
    def open_log(self) -> OpenLog:
        return open_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "points.log.db"


@pytest.fixture
def log(path: Path) -> Iterator[LocalLog]:
    log = LocalLog(path, clock=FakeClock())
    yield log
    log.close()


def crash_image(path: Path, name: str = "crashed") -> Path:
    """What a crash would leave of an open log: its files copied as they lie there, in a folder of their own."""
    folder = path.parent / name
    folder.mkdir()
    for suffix in ("", "-wal", ".mark"):
        shutil.copy(path.with_name(path.name + suffix), folder / (path.name + suffix))
    return folder / path.name


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


# --- one process writes, others read ---


def test_another_process_reads_while_it_is_written(log: LocalLog, path: Path) -> None:
    log.append([new_record(n, rows=3) for n in range(4)])
    log.set_consumed("reader", 2)
    script = (
        "import sys; from pathlib import Path; from model.clock import SystemClock; from store.log.local import LocalLog\n"
        "log = LocalLog(Path(sys.argv[1]), clock=SystemClock(), read_only=True)\n"
        "found = log.read(0, max_records=9, max_bytes=9999)\n"
        "print([r.position for r in found], log.last_position(), log.received_rows(), log.consumed('reader'), log.check())\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    ran = subprocess.run(command, check=False, env=child_environment(), capture_output=True, text=True, timeout=60)
    assert ran.stdout == "[1, 2, 3, 4] 4 12 2 []\n", ran.stderr


def test_a_reader_sees_what_is_appended_and_trimmed_after_it_opened(log: LocalLog, path: Path) -> None:
    with closing(LocalLog(path, clock=FakeClock(), read_only=True)) as reader:
        assert reader.read(0, max_records=9, max_bytes=9999) == []
        log.append([new_record(n) for n in range(6)])
        assert [r.position for r in read_all(reader)] == [1, 2, 3, 4, 5, 6]
        log.set_consumed("x", 4)
        log.trim()
        assert [r.position for r in read_all(reader)] == [5, 6]
        log.set_consumed("x", 6)
        log.trim()
        assert reader.read(0, max_records=9, max_bytes=9999) == []
        assert (reader.last_position(), reader.received_rows()) == (6, 6)
        assert reader.check() == []


def test_a_reader_changes_nothing(log: LocalLog, path: Path) -> None:
    log.append([new_record(1)])
    with closing(LocalLog(path, clock=FakeClock(), read_only=True)) as reader:
        for call in (lambda: reader.append([new_record(2)]), reader.trim, lambda: reader.set_consumed("x", 1)):
            with pytest.raises(StoreError, match="for reading only"):
                call()


def test_reading_a_log_that_is_not_there(path: Path) -> None:
    with pytest.raises(StoreError, match="There is no"):
        LocalLog(path, clock=FakeClock(), read_only=True)
    assert not path.exists()
    assert not path.with_name(path.name + ".mark").exists()


# --- limits ---


def test_limits_of_records_and_consumers(path: Path) -> None:
    with closing(LocalLog(path, clock=FakeClock(), max_record_bytes=100)) as log:
        with pytest.raises(UsageError, match="does not go into the log"):
            log.append([new_record(1), new_record(2, size_bytes=101)])
        with pytest.raises(UsageError, match="does not go into the log"):
            log.append([NewRecord(RecordKind.POINTS, -1, b"")])
        assert log.last_position() == 0
        assert log.append([new_record(1)]) == 1  # a refused record is not a failed commit
        for number in range(64):
            log.set_consumed(f"c{number}", 0)
        with pytest.raises(UsageError, match="at most 64 consumers"):
            log.set_consumed("one more", 0)


def test_the_file_does_not_grow_while_it_is_trimmed(path: Path) -> None:
    with closing(LocalLog(path, clock=FakeClock(), checkpoint_bytes=1 << 20)) as log:
        sizes = []
        for number in range(200):
            position = log.append([new_record(number, size_bytes=100_000)])
            log.set_consumed("x", position)
            if position % 10 == 0:
                log.trim()
                sizes.append(path.stat().st_size)
        assert sizes[-1] <= sizes[len(sizes) // 2]
        assert sizes[-1] < 4 * 2**20


def test_consumer_positions_are_saved_late_but_never_ahead(path: Path) -> None:
    clock = FakeClock()
    with closing(LocalLog(path, clock=clock, consumer_save_s=5.0)) as log:
        log.append([new_record(n) for n in range(4)])
        log.set_consumed("x", 1)  # the first is saved at once
        log.set_consumed("x", 3)
        log.append([new_record(5)])
        with closing(LocalLog(crash_image(path, "early"), clock=clock)) as crashed:
            assert crashed.consumed("x") == 1
        clock.advance(6)
        log.append([new_record(6)])
        with closing(LocalLog(crash_image(path, "later"), clock=clock)) as crashed:
            assert crashed.consumed("x") == 3


# --- F1: killed at any moment ---


def test_kill_9_loses_nothing_acknowledged(path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged: dict[int, int] = {}
    seen: dict[int, int] = {}  # number of a record -> its position, also of those trimmed since
    first = 1
    for round_number in range(KILLS):
        command = [sys.executable, str(APPENDER), str(path), str(first), str(seed + round_number)]
        with subprocess.Popen(
            command, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            lines = [child.stdout.readline()]  # it works; from here on it may die at any moment
            time.sleep(chance.uniform(0, 0.15))
            child.kill()
            lines += child.stdout.read().splitlines(keepends=True)
            assert child.stderr.read() == b""
        for line in lines:
            if line.endswith(b"\n"):
                number, position = map(int, line.split())
                assert number not in acknowledged
                acknowledged[number] = position
        with closing(LocalLog(path, clock=SystemClock())) as log:
            assert log.problems_at_open == []
            assert log.check() == []
            for record in read_all(log, max_records=1000):
                number = int.from_bytes(record.payload[:8], "big")
                assert record.payload == payload_of(number)
                assert seen.setdefault(number, record.position) == record.position
            assert log.last_position() >= max(acknowledged.values())
            assert log.received_rows() == sum(rows_of(n) for n in range(1, max(seen) + 1))
            still_there = {record.position for record in read_all(log, max_records=1000)}
            assert still_there == set(range(min(still_there), log.last_position() + 1))
            assert log.consumed("reader") <= log.last_position()
        missing = [
            n for n, position in acknowledged.items() if position >= min(still_there) and seen.get(n) != position
        ]
        assert missing == []
        assert len(set(seen.values())) == len(seen)
        first = max(seen) + 1
    assert len(acknowledged) > KILLS * 3  # enough for the run to mean something


# --- F5: a failed commit is final ---


def test_a_failed_commit_ends_writing(path: Path) -> None:
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from model.clock import SystemClock\n"
        "from model.errors import StoreError\n"
        "from store.log.local import LocalLog\n"
        "from tests.store.log_conformance import new_record\n"
        "log = LocalLog(Path(sys.argv[1]), clock=SystemClock())\n"
        "print(log.append([new_record(1)]))\n"
        "limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))\n"
        "for lifted in (False, True):\n"
        "    if lifted: resource.setrlimit(resource.RLIMIT_FSIZE, limits)\n"
        "    try: print(log.append([new_record(2, size_bytes=1_000_000)]))\n"
        "    except StoreError as error: print('refused', 'could not take a record' in str(error))\n"
        "try: log.set_consumed('x', 1)\n"
        "except StoreError: print('refused')\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    ran = subprocess.run(command, check=False, env=child_environment(), capture_output=True, text=True, timeout=60)
    assert ran.stdout.splitlines() == ["1", "refused True", "refused True", "refused"], ran.stderr
    with closing(LocalLog(path, clock=SystemClock())) as log:
        assert log.problems_at_open == []
        assert [record.position for record in read_all(log)] == [1]
        assert log.append([new_record(2)]) == 2


# --- F6: damage ---


def test_an_incomplete_tail_is_cut(log: LocalLog, path: Path) -> None:
    log.append([new_record(n) for n in range(3)])
    crashed = crash_image(path)
    wal = wal_of(crashed)
    wal.write_bytes(wal.read_bytes() + os.urandom(5_000))  # what a commit had begun to write
    with closing(LocalLog(crashed, clock=FakeClock())) as again:
        assert again.problems_at_open == []
        assert [record.position for record in read_all(again)] == [1, 2, 3]
        assert again.append([new_record(4)]) == 4
        assert again.check() == []


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_acknowledged_records_cut_off_are_named(log: LocalLog, path: Path, damage: str) -> None:
    ends = []
    for number in range(10):
        log.append([new_record(number, rows=number, size_bytes=50_000)])
        ends.append(wal_of(path).stat().st_size)
    crashed = crash_image(path)
    if damage == "truncated":
        os.truncate(wal_of(crashed), ends[6] - 1_000)
    else:
        flip(wal_of(crashed), ends[6] - 1_000)
    with closing(LocalLog(crashed, clock=FakeClock(), read_only=True)) as reader:
        assert [problem.what for problem in reader.check()] == ["records 7 to 10 (30 rows) are gone"]
    with closing(LocalLog(crashed, clock=FakeClock())) as again:
        assert [problem.what for problem in again.problems_at_open] == ["records 7 to 10 (30 rows) are gone"]
        assert (again.last_position(), again.received_rows()) == (10, 45)
        assert [record.position for record in again.read(0, max_records=99, max_bytes=1 << 20)] == [1, 2, 3, 4, 5, 6]
        # A consumer that already had record 8 is told of 9 and 10 only, one by one.
        assert skipped(again, after=8) == [(9, 8), (10, 9)]
        assert again.append([new_record(11, rows=5)]) == 11  # never a position twice
        assert skipped(again, after=6) == [(7, 6), (8, 7), (9, 8), (10, 9)]
        assert [record.position for record in again.read(10, max_records=9, max_bytes=999)] == [11]
        assert [problem.what for problem in again.check()] == ["records 7 to 10 (30 rows) are gone"]
        assert again.received_rows() == 50
    with closing(LocalLog(crashed, clock=FakeClock())) as again:
        assert again.problems_at_open == []  # told once; `check` goes on telling while it is in the log
        again.set_consumed("x", 11)
        again.trim()
        assert (again.last_position(), again.received_rows(), again.check()) == (11, 50, [])


def skipped(log: LocalLog, after: int) -> list[tuple[int, int]]:
    """(position, rows) of what a consumer must skip after a position before it can read on or is at the end."""
    found = []
    while True:
        try:
            log.read(after, max_records=9, max_bytes=1 << 20)
        except Corrupt as error:
            found.append((error.position, log.skip_corrupt(error.position)))
            after = error.position
        else:
            return found


def test_a_gap_longer_than_the_mark_remembers_is_counted_whole(path: Path) -> None:
    with closing(LocalLog(path, clock=FakeClock())) as log:
        log.append([new_record(n, rows=2, size_bytes=0) for n in range(100)])
        cut = wal_of(path).stat().st_size
        for _ in range(5):
            log.append([new_record(n, rows=3, size_bytes=0) for n in range(1_000)])
        crashed = crash_image(path)
    os.truncate(wal_of(crashed), cut)
    with closing(LocalLog(crashed, clock=FakeClock())) as again:
        assert [p.what for p in again.problems_at_open] == ["records 101 to 5100 (15000 rows) are gone"]
        skips = skipped(again, after=100)
        assert skips[0] == (5_100 - 4_095, 3 * (5_000 - 4_095))
        assert skips[1:] == [(position, 3) for position in range(5_100 - 4_094, 5_101)]
        for _ in range(5):
            again.append([new_record(n, rows=3, size_bytes=0) for n in range(1_000)])
        assert skipped(again, after=100) == [(5_100, 15_000)]


def test_the_database_lost_but_its_mark_kept(path: Path) -> None:
    with closing(LocalLog(path, clock=FakeClock())) as log:
        log.append([new_record(n, rows=2) for n in range(5)])
    path.unlink()
    with closing(LocalLog(path, clock=FakeClock())) as log:
        assert [problem.what for problem in log.problems_at_open] == ["records 1 to 5 (10 rows) are gone"]
        assert log.append([new_record(6)]) == 6
        assert log.received_rows() == 11


def test_a_lost_mark_is_told_and_made_again(path: Path) -> None:
    with closing(LocalLog(path, clock=FakeClock())) as log:
        log.append([new_record(n) for n in range(5)])
    mark = path.with_name(path.name + ".mark")
    mark.write_bytes(b"\xff" * 100)
    with closing(LocalLog(path, clock=FakeClock())) as log:
        assert [problem.place for problem in log.problems_at_open] == [mark.name]
        assert log.append([new_record(6)]) == 6
        assert log.check() == []


def damaged(path: Path, victim: int, count: int = 5) -> None:
    """A closed log of `count` records of 10, 20, … rows whose record `victim` has a flipped bit in its payload."""
    with closing(LocalLog(path, clock=FakeClock())) as log:
        log.append([new_record(n, rows=10 * n, size_bytes=1_000) for n in range(1, count + 1)])
    flip(path, path.read_bytes().index(new_record(victim, size_bytes=1_000).payload) + 500)


@pytest.mark.parametrize("victim", [1, 3, 5])
def test_a_flipped_byte_in_a_record(path: Path, victim: int) -> None:
    damaged(path, victim)
    with closing(LocalLog(path, clock=FakeClock())) as log:
        before = list(range(1, victim))
        if before:
            assert [record.position for record in log.read(0, max_records=9, max_bytes=1 << 20)] == before
        assert skipped(log, after=victim - 1) == [(victim, 10 * victim)]
        assert [record.position for record in read_all(log, after=victim)] == list(range(victim + 1, 6))
        assert [problem.place for problem in log.check()] == [f"points.log.db record {victim}"]
        with pytest.raises(Corrupt, match="lucheng store check"):
            log.read(victim - 1, max_records=1, max_bytes=1)


def test_a_record_deleted_from_the_middle_is_gone_not_skipped(path: Path) -> None:
    with closing(LocalLog(path, clock=FakeClock())) as log:
        log.append([new_record(n, rows=n) for n in range(1, 8)])
    path.with_name(path.name + ".mark").unlink()  # without the ring the neighbours still tell
    with closing(connect(path)) as connection:
        connection.execute("DELETE FROM records WHERE position IN (3, 4)")
        connection.execute("UPDATE records SET rows = 1000000 WHERE position = 6")
    with closing(LocalLog(path, clock=FakeClock())) as log:
        assert skipped(log, after=2) == [(4, 7)]
        assert skipped(log, after=5) == [(6, 6)]
        assert [p.what for p in log.check()][:1] == ["records 3 to 4 (7 rows) are gone"]


def test_a_damaged_consumer_position_is_never_ahead(path: Path) -> None:
    with closing(LocalLog(path, clock=FakeClock())) as log:
        log.append([new_record(n, rows=n) for n in range(1, 8)])
        log.set_consumed("sound", 5)
        log.set_consumed("hurt", 3)
    with closing(connect(path)) as connection:
        connection.execute("UPDATE consumers SET position = 7 WHERE name = 'hurt'")
    with closing(LocalLog(path, clock=FakeClock())) as log:
        assert (log.consumed("sound"), log.consumed("hurt")) == (5, 0)
        assert [problem.place for problem in log.check()] == ["points.log.db consumer hurt"]
        log.set_consumed("hurt", 3)
        assert log.check() == []
        assert log.trim() == 3


def test_a_damaged_last_record_does_not_change_what_was_received(path: Path) -> None:
    with closing(LocalLog(path, clock=FakeClock())) as log:
        log.append([new_record(n, rows=n) for n in range(1, 5)])
    with closing(connect(path)) as connection:
        connection.execute("UPDATE records SET received = 1000000 WHERE position = 4")
    with closing(LocalLog(path, clock=FakeClock())) as log:
        assert (log.last_position(), log.received_rows()) == (4, 10)
        assert log.append([new_record(5, rows=5)]) == 5
        assert log.received_rows() == 15
        assert skipped(log, after=3) == [(4, 4)]


@pytest.mark.parametrize("at", [0, 17, 100])
def test_a_flipped_byte_in_the_header(path: Path, at: int) -> None:
    """Byte 0: the magic; 17: the page size; 100: the type of the first page."""
    with closing(LocalLog(path, clock=FakeClock())) as log:
        log.append([new_record(n) for n in range(5)])
    flip(path, at)
    with pytest.raises(Corrupt) as raised:
        LocalLog(path, clock=FakeClock())
    assert raised.value.mend
    with pytest.raises(Corrupt):
        LocalLog(path, clock=FakeClock(), read_only=True)


def test_no_flipped_byte_gives_wrong_records(path: Path, tmp_path: Path) -> None:
    """Anywhere in the file: what is read is either right or an error; `check` never raises."""
    with closing(LocalLog(path, clock=FakeClock(), page_bytes=1024)) as log:
        log.append([new_record(n, size_bytes=n * 40) for n in range(40)])
    right = {n + 1: new_record(n, size_bytes=n * 40).payload for n in range(40)}
    content = path.read_bytes()
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(150):
        folder = tmp_path / "flipped"
        folder.mkdir()
        flipped = folder / path.name
        damage = bytearray(content)
        damage[chance.randrange(len(damage))] ^= 1 << chance.randrange(8)
        flipped.write_bytes(damage)
        shutil.copy(path.with_name(path.name + ".mark"), folder)
        try:
            with closing(LocalLog(flipped, clock=FakeClock(), read_only=True)) as log:
                log.check()
                after = 0
                while after < 40:
                    try:
                        for record in log.read(after, max_records=9, max_bytes=1 << 20):
                            assert record.payload == right[record.position]
                            after = record.position
                    except Corrupt as error:
                        if error.position <= after:
                            break
                        log.skip_corrupt(error.position)
                        after = error.position
        except StoreError:
            pass
        shutil.rmtree(folder)


def test_a_newer_schema_is_refused(path: Path) -> None:
    LocalLog(path, clock=FakeClock()).close()
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(SchemaTooNew, match="newer lucheng"):
        LocalLog(path, clock=FakeClock())
