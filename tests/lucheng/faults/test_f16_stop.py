"""F16: SIGTERM under load, a migration killed midway, and data that a newer lucheng wrote."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from lucheng.rooms import ALARMS_LOG_FILE, AUDIT_FILE, DESK_FILE, POINTS_LOG_FILE, REGISTRY_FILE
from lucheng.series_choice import SERIES_FILE
from store.database import connect, migrate, schema_version
from tests.conftest import Mosquitto
from tests.lucheng import in_process
from tests.lucheng.faults.judge import enough, fresh, judge, seeded
from tests.lucheng.faults.sender import SenderProcess
from tests.lucheng.service_process import PROJECT, ServiceProcess, lucheng

#: Protects against a hang; what it took is printed (the aim is 10 s).
LONGEST_STOP_S = 20.0


def _stops(service: ServiceProcess, mosquitto: Mosquitto, folder: Path, times: int, rate: int) -> None:
    random = seeded("SIGTERM under load")
    took_s: list[float] = []
    with SenderProcess(mosquitto.url, folder / "ledger", rate=rate) as sender:
        for _ in range(times):
            fresh(service, service.status())
            time.sleep(random.uniform(0.1, 1.0))
            status, drain_s = service.terminate()
            took_s.append(drain_s)
            assert status == 0, service.said
            assert drain_s <= LONGEST_STOP_S
            assert "the next start goes on" not in service.said
            service.start()
        fresh(service, service.status())
        enough(service, 220 * times)
        sent = sender.stop()
    service.wait_quiet()
    assert service.terminate()[0] == 0
    verdict = judge(service.data, sent, at_least=200 * times)
    print(f"drained under load in {[round(one, 2) for one in took_s]} s; {verdict}")
    # What was acknowledged to the broker was stored, and it is not sent again; only what was on its way is.
    assert verdict.duplicate <= verdict.stored // 10


def test_sigterm_under_load_drains_and_loses_nothing(
    service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    _stops(service, mosquitto, tmp_path, 2, 1_000)


@pytest.mark.soak
def test_20_stops_under_more_load(service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path) -> None:
    _stops(service, mosquitto, tmp_path, 20, 3_000)


BIG_ROWS = 200_000
MIGRATIONS = (
    "CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;\n",
    """CREATE TABLE things_new (id INTEGER PRIMARY KEY, text TEXT NOT NULL, size INTEGER NOT NULL) STRICT;
INSERT INTO things_new SELECT id, text, length(text) FROM things;
DROP TABLE things;
ALTER TABLE things_new RENAME TO things;
CREATE INDEX things_by_size ON things (size, text);
""",
)
_MIGRATE = """
import sys
from pathlib import Path
from store.database import connect, migrate
from tests.lucheng.faults.test_f16_stop import MIGRATIONS
path = Path(sys.argv[1])
connection = connect(path)
print("now", flush=True)
migrate(connection, MIGRATIONS, path)
print("done", flush=True)
"""


@pytest.mark.soak
def test_a_migration_killed_midway_starts_again(tmp_path: Path) -> None:
    random = seeded("migration killed")
    path = tmp_path / "things.db"
    with closing(connect(path, durable=False)) as connection:
        migrate(connection, MIGRATIONS[:1], path)
        connection.execute("BEGIN")
        rows = ((number, f"thing {number * 7919 % BIG_ROWS:>40}") for number in range(BIG_ROWS))
        connection.executemany("INSERT INTO things VALUES (?, ?)", rows)
        connection.execute("COMMIT")
    killed = 0
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", _MIGRATE, str(path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "now\n"
        time.sleep(random.uniform(0, 0.3))
        child.kill()
        ended = child.stdout.read()
        child.wait()
        with closing(connect(path)) as connection:
            version = schema_version(connection)
            columns = [row[1] for row in connection.execute("PRAGMA table_info(things)")]
            assert connection.execute("SELECT count(*) FROM things").fetchone()[0] == BIG_ROWS
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {"things"}
        assert (version, columns) in ((1, ["id", "text"]), (2, ["id", "text", "size"]))
        if version == 2:
            break
        assert not ended
        killed += 1
    print(f"killed {killed} times midway")
    assert killed, "it was never killed midway: the table is too small for this machine"
    with closing(connect(path)) as connection:
        migrate(connection, MIGRATIONS, path)
        assert schema_version(connection) == len(MIGRATIONS)
        assert connection.execute("SELECT count(*) FROM things WHERE size = length(text)").fetchone()[0] == BIG_ROWS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with every file of it, and no service."""
    folder = tmp_path_factory.mktemp("newer") / "data"
    assert lucheng(folder, "device", "add", "taxi/1").returncode == 0
    return folder


@contextmanager
def _newer(path: Path) -> Iterator[None]:
    """The file as a lucheng of the far future leaves it."""
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute("PRAGMA user_version").fetchone()[0]
        assert before >= 1
        connection.execute("PRAGMA user_version = 1000")
    try:
        yield
    finally:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {before}")


FILES = (REGISTRY_FILE, POINTS_LOG_FILE, ALARMS_LOG_FILE, SERIES_FILE, DESK_FILE, AUDIT_FILE)
READING = ("status",)
CHANGING = ("device", "add", "taxi/2")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", [READING, CHANGING], ids=["reading", "changing"])
def test_an_old_program_refuses_a_newer_schema_in_words(data: Path, name: str, command: tuple[str, ...]) -> None:
    with _newer(data / name):
        done = in_process.lucheng(data, *command)
    assert done.returncode == 1
    assert "newer lucheng" in done.stderr
    assert name in done.stderr
    assert "schema 1000" in done.stderr


def test_an_old_service_refuses_a_newer_schema_in_words(data: Path) -> None:
    with _newer(data / SERIES_FILE):
        done = lucheng(data, "run", "--broker", "mqtt://127.0.0.1:1")
    assert done.returncode == 1
    assert "newer lucheng" in done.stderr
    assert "Traceback" not in done.stderr
