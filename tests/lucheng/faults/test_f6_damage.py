"""F6: torn tails and flipped bytes in the service's own files: found by checksum, only an incomplete tail is cut.

The files are damaged between two lives of a real service. What is damaged is named by `lucheng store check`, which
exits 1; the service goes on past a damaged log record and counts its rows as `log_corrupt`.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.sections import Settings
from lucheng.offline import offline_runner
from lucheng.rooms import POINTS_LOG_FILE, open_rooms
from lucheng.series_choice import SERIES_FILE
from model.batch import PointBatch
from model.batch_codec import encode
from model.seams import NewRecord, RecordKind
from tests.conftest import Mosquitto
from tests.lucheng import in_process
from tests.lucheng.faults.conftest import REGISTER
from tests.lucheng.faults.judge import Stored, enough, fresh, judge, seeded
from tests.lucheng.faults.sender import SenderProcess
from tests.lucheng.service_process import ServiceProcess, answer, lucheng

#: SQLite's write-ahead log: header and frame header, bytes (sqlite.org/fileformat2.html, 4.1).
WAL_HEADER_BYTES = 32
WAL_FRAME_HEADER_BYTES = 24
CHUNK_ROWS = 600
#: Length of what is looked for in a file, bytes.
PIECE_BYTES = 24


def _killed_under_load(service: ServiceProcess, mosquitto: Mosquitto, ledger: Path) -> SenderProcess:
    """Some load, then `kill -9` of the service; the sender goes on."""
    sender = SenderProcess(mosquitto.url, ledger, rate=500).start()
    service.wait_status(lambda now: now["stored"] > 400, "some points to be stored")
    service.kill9()
    return sender


def _flip(path: Path, blob: bytes) -> None:
    """Flip one byte of `blob`, which lies in a database file, where nothing else looks the same."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    pieces = (blob[at : at + PIECE_BYTES] for at in range(0, len(blob) - PIECE_BYTES, PIECE_BYTES))
    piece = next(piece for piece in pieces if data.count(piece) == 1)
    data[data.find(piece)] ^= 0x40
    path.write_bytes(data)


def _blob(path: Path, query: str) -> tuple[int, bytes]:
    with closing(sqlite3.connect(path)) as connection:
        number, blob = connection.execute(query).fetchone()
    return number, blob


def _problems(data: Path) -> list[dict[str, str]]:
    """What `lucheng store check` finds; it exits 1 when that is anything."""
    done = in_process.lucheng(data, "store", "check", "--json")
    found: list[dict[str, str]] = json.loads(done.stdout)["problems"]
    assert done.returncode == (1 if found else 0), done.stderr
    return found


def _place(problems: list[dict[str, str]], word: str) -> dict[str, str]:
    """The one problem whose place or words name `word`."""
    found = [one for one in problems if word in f"{one['place']} {one['what']}"]
    assert len(found) == 1, problems
    return found[0]


def test_a_torn_tail_of_the_log_is_cut_and_nothing_else(
    service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The last frame of the write-ahead log half written, as a power cut during a commit leaves it."""
    random = seeded("torn tail")
    with _killed_under_load(service, mosquitto, tmp_path / "ledger") as sender:
        wal = service.data / f"{POINTS_LOG_FILE}-wal"
        data = wal.read_bytes()
        frame_bytes = WAL_FRAME_HEADER_BYTES + struct.unpack_from(">I", data, 8)[0]
        assert len(data) > WAL_HEADER_BYTES + frame_bytes
        torn = bytearray(data[-frame_bytes:])[: random.randrange(1, frame_bytes)]
        wal.write_bytes(data + torn)
        assert _problems(service.data) == []
        service.start()
        fresh(service, service.status())
        enough(service, 600)
        sent = sender.stop()
    service.wait_quiet()
    assert service.terminate()[0] == 0
    print(judge(service.data, sent, at_least=400))


@pytest.mark.soak
def test_acknowledged_records_torn_off_the_log_are_missed_and_counted(
    service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Commits that had returned are gone from the file: no incomplete tail, so it is told, and life goes on."""
    with _killed_under_load(service, mosquitto, tmp_path / "ledger") as sender:
        log = service.data / POINTS_LOG_FILE
        wal = service.data / f"{POINTS_LOG_FILE}-wal"
        wal_data = wal.read_bytes()
        wal.write_bytes(wal_data[: WAL_HEADER_BYTES + (len(wal_data) - WAL_HEADER_BYTES) * 2 // 3])
        (service.data / f"{POINTS_LOG_FILE}-shm").unlink(missing_ok=True)
        problem = _place(_problems(service.data), "are gone")
        with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
            left = connection.execute("SELECT max(position) FROM records").fetchone()[0]
        # Up to where the mark says: it follows the commits, and a kill may leave it some behind.
        assert f"records {left + 1} to " in problem["what"]
        stored = Stored.read(service.data).rows

        service.start()
        fresh(service, service.status())
        sent = sender.stop()
        state = service.wait_quiet()
    assert service.terminate()[0] == 0
    # What the store had read before is there; what it had not is counted, and missed by the devices' own count.
    held = Stored.read(service.data)
    lost = [key for key in sent.acknowledged if key not in held.points]
    # No more is lost than is counted; what was torn off before the broker had heard of its commit was sent again.
    assert len(lost) <= state["quarantined"].get("log_corrupt", 0)
    assert held.rows > stored
    assert max(held.times.values()) == 1


@pytest.mark.soak
def test_flipped_bytes_in_records_that_were_stored_already_lose_nothing(
    service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The start replays such records for the state alone; redelivered points are still known, by asking the store."""
    with _killed_under_load(service, mosquitto, tmp_path / "ledger") as sender:
        log = service.data / POINTS_LOG_FILE
        with closing(sqlite3.connect(service.data / SERIES_FILE)) as connection:
            end = connection.execute("SELECT max(position) FROM open_batches").fetchone()[0]
        with closing(sqlite3.connect(log)) as connection:
            # Ticks are records too, and of two of a second the bytes are much alike.
            query = "SELECT position FROM records WHERE position <= ? AND rows > 0 ORDER BY position"
            found = [position for (position,) in connection.execute(query, (end,))]
        numbers = (found[0], found[len(found) // 2], found[-1])
        for number in numbers:
            _flip(log, _blob(log, f"SELECT position, payload FROM records WHERE position = {number}")[1])
        places = [problem["place"] for problem in _problems(service.data)]
        assert places == [f"{POINTS_LOG_FILE} record {number}" for number in numbers]
        service.start()
        assert service.said.count("log record damaged") == len(numbers)
        fresh(service, service.status())
        enough(service, 600)
        sent = sender.stop()
    service.wait_quiet()
    service.terminate()
    # The last snapshot made the damaged records needless, so they were trimmed: nothing is wrong any more.
    print(judge(service.data, sent, at_least=400))


def _batch(data: Path, device: str, first_seq: int, rows: int, start_ms: int) -> bytes:
    """Points of a device as the service would log them, sos on for none."""
    with open_rooms(data, Settings(), write=True) as rooms:
        slot = int(rooms.registry.ensure([device])[0])
    seq = np.arange(first_seq, first_seq + rows)
    return encode(
        PointBatch.of(
            rows,
            {
                "slot": slot,
                "seq": seq,
                "time_ms": start_ms + seq * 1_000,
                "received_ms": start_ms + seq * 1_000,
                "lat": 40.6 + np.random.default_rng(sum(device.encode())).integers(0, 90_000, rows) / 1e6,
                "lon": 109.8,
                "speed_kmh": 30.0,
            },
        )
    )


@pytest.fixture
def stopped(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[ServiceProcess]:
    """A service that does not run yet."""
    made = ServiceProcess(tmp_path / "data", mosquitto.url, env=REGISTER)
    yield made
    made.close()


@pytest.fixture
def now_ms() -> int:
    """The machine's time, UTC ms."""
    return time.time_ns() // 1_000_000


def test_a_flipped_byte_in_a_record_not_yet_stored_is_counted_and_its_neighbours_are_stored(
    stopped: ServiceProcess, now_ms: int
) -> None:
    service = stopped
    sizes = (30, 50, 70)
    firsts = (1, 31, 81)
    start_ms = now_ms - 3_600_000
    payloads = [
        _batch(service.data, "taxi/1", first, rows, start_ms) for first, rows in zip(firsts, sizes, strict=True)
    ]
    with open_rooms(service.data, Settings(), write=True) as rooms:
        rooms.points_log.append(
            [NewRecord(RecordKind.POINTS, rows, blob) for rows, blob in zip(sizes, payloads, strict=True)]
        )
    _flip(service.data / POINTS_LOG_FILE, payloads[1])
    assert "record 2" in _place(_problems(service.data), "checksum")["place"]

    service.start()
    state = service.wait_quiet()
    assert state["stored"] == 100
    assert state["quarantined"] == {"log_corrupt": 50}
    assert state["received"] == 150
    assert "log record damaged" in service.said
    assert service.terminate()[0] == 0
    held = Stored.read(service.data)
    assert sorted(held.points) == [("taxi/1", seq) for seq in [*range(1, 31), *range(81, 151)]]
    # The devices' own count misses the same 50.
    assert state["counters"]["points_missing"] == 50


def _stored(data: Path, now_ms: int) -> None:
    """Two devices with points of an hour that ended, stored by the same pipeline without a service."""
    blobs = [
        _batch(data, device, 1, CHUNK_ROWS, now_ms - 3 * 3_600_000 - (now_ms % 3_600_000))
        for device in ("taxi/1", "taxi/2")
    ]
    with open_rooms(data, Settings(), write=True) as rooms:
        rooms.points_log.append([NewRecord(RecordKind.POINTS, CHUNK_ROWS, blob) for blob in blobs])
        runner = offline_runner(rooms)
        while runner.run_once():
            pass


@pytest.mark.soak
def test_a_flipped_byte_in_a_chunk_of_the_store_is_named_and_harms_no_other_device(
    stopped: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path, now_ms: int
) -> None:
    service = stopped
    _stored(service.data, now_ms)
    with open_rooms(service.data, Settings(), write=True) as rooms:
        assert rooms.series.seal(now_ms - now_ms % 3_600_000) == 2 * CHUNK_ROWS
    number, blob = _blob(service.data / SERIES_FILE, "SELECT key, blob FROM chunks ORDER BY key LIMIT 1")
    _flip(service.data / SERIES_FILE, blob)
    assert "slot 0" in _place(_problems(service.data), "checksum")["place"]
    assert number

    service.start()
    before = service.status()
    with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=200) as sender:
        fresh(service, before)
        sender.stop()
    window = ("--from", "2020-01-01", "--to", "2100-01-01")
    broken: Any = lucheng(service.data, "track", "taxi/1", *window, "--json")
    assert broken.returncode == 1
    assert "damaged at chunk" in broken.stderr
    assert "store check" in broken.stderr
    assert len(answer(service.data, "track", "taxi/2", *window)["points"]) >= CHUNK_ROWS
    assert service.terminate()[0] == 0


def test_a_service_does_not_start_on_an_open_batch_that_is_damaged_and_says_what_to_do(
    stopped: ServiceProcess, now_ms: int
) -> None:
    service = stopped
    _stored(service.data, now_ms)
    number, blob = _blob(service.data / SERIES_FILE, "SELECT position, blob FROM open_batches LIMIT 1")
    _flip(service.data / SERIES_FILE, blob)
    assert f"open batch {number}" in _place(_problems(service.data), "checksum")["place"]
    done = lucheng(service.data, "run", "--broker", str(service.broker))
    assert done.returncode == 1
    assert f"open batch {number}" in done.stderr
    assert "Traceback" not in done.stderr
