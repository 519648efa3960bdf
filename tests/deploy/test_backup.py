"""deploy/backup.sh and restore.sh with real servers: taken under load, into an empty place, and the city goes on there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from config.settings import load
from lucheng.cluster.settling import settle
from lucheng.rooms import open_rooms
from model.errors import Conflict
from model.evidence import NewEvidence
from model.grant import Grant, Purpose
from tests.conftest import Mosquitto, wait_until
from tests.influx import Influxd
from tests.lucheng.cluster.processes import Processes
from tests.lucheng.cluster.test_processes import end, settled
from tests.lucheng.faults.judge import Stored, judge
from tests.lucheng.faults.ledger import Sent
from tests.lucheng.faults.sender import SenderProcess
from tests.lucheng.service_process import ServiceProcess, answer, lucheng
from tests.nats import NatsServer
from tests.postgres import PostgresServer

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RATE = 200
GRANT = Grant("tester", "test", Purpose("test"), None, 0, 1 << 52)
ROLES = {"d1": "desk", "i1": "ingest", "a1": "analyze"}


def run(script: str, *arguments: Path | str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A script of deploy/, to its end, with the `lucheng` of this environment."""
    programs = Path(sys.executable).parent
    path = os.pathsep.join([str(programs), *_postgres_programs(), os.environ["PATH"]])
    return subprocess.run(
        [str(DEPLOY / script), *map(str, arguments)],
        env={**os.environ, "PATH": path, "LUCHENG": str(programs / "lucheng"), "PYTHON": sys.executable, **env},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def _postgres_programs() -> list[str]:
    return [str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")]


class Hooks:
    """INFLUX_STOP and INFLUX_START for a server that this test owns: files by which the script asks and hears."""

    def __init__(self, folder: Path, stop: Callable[[], object], start: Callable[[], object]) -> None:
        self._folder = folder
        folder.mkdir()
        self._end = threading.Event()
        self.stops = self.starts = 0
        self._calls = {"stop": stop, "start": start}
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    @property
    def env(self) -> dict[str, str]:
        return {
            f"INFLUX_{name.upper()}": f"rm -f {self._folder}/{name}.done; touch {self._folder}/{name}; "
            f"while [ ! -e {self._folder}/{name}.done ]; do sleep 0.05; done"
            for name in self._calls
        }

    def _look(self) -> None:
        while not self._end.wait(0.02):
            for name, call in self._calls.items():
                asked = self._folder / name
                if asked.exists():
                    asked.unlink()
                    call()
                    self.stops += name == "stop"
                    self.starts += name == "start"
                    (self._folder / f"{name}.done").touch()

    def close(self) -> None:
        self._end.set()
        self._thread.join()


class Place:
    """Servers of one city: everything that it keeps is here."""

    def __init__(self, folder: Path, stack: ExitStack, *, influx: bool) -> None:
        self.folder = folder
        self.nats = NatsServer(folder / "nats").start()
        stack.callback(self.nats.kill)
        self.postgres = PostgresServer(lasting=True).start()
        stack.callback(self.postgres.close)
        self.influxd = Influxd(folder / "influxd")
        stack.callback(self.influxd.kill)
        if influx:
            self.influxd.start()
        self.mosquitto = Mosquitto(folder / "mosquitto").start()
        stack.callback(self.mosquitto.stop)
        self.hooks = Hooks(folder / "hooks", self.influxd.stop, self.influxd.start)
        stack.callback(self.hooks.close)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.mark.soak
def test_a_city_backed_up_under_load_goes_on_in_an_empty_place(tmp_path: Path, stack: ExitStack) -> None:
    old = Place(tmp_path / "old", stack, influx=True)
    city = Processes(old.folder, old.nats, old.mosquitto.url, old.postgres, old.influxd)
    stack.callback(city.close)
    shutil.copytree(city.folder / "keys", city.folder / "d1" / "keys")
    with open_rooms(old.folder / "d1", city.settings(), write=True) as rooms:
        kept = rooms.evidence.put(NewEvidence("taxi/1", "image", "jpg", b"a picture", 0, 1))
    for name, role in ROLES.items():
        city.node(name, role, wait=False)
    for node in city.nodes.values():
        node.wait_ready()
    folders = [old.folder / name for name in ROLES]
    ledger = tmp_path / "ledger"
    with SenderProcess(old.mosquitto.url, ledger, rate=RATE) as sender:
        wait_until(lambda: city.nodes["d1"].status()["stored"] > 10 * RATE, timeout_s=120)
        before = Sent.read(ledger)
        assert before.acknowledged_presses
        wait_until(lambda: city.nodes["d1"].status()["stored"] > len(before.acknowledged), timeout_s=120)
        env = {**city.env, **old.hooks.env, "INFLUX_FOLDER": str(old.influxd.folder)}
        done = run("backup.sh", "--keep", "2", tmp_path / "backups", *folders, env=env)
        print(done.stderr)
        assert done.returncode == 0, done.stderr
        assert (old.hooks.stops, old.hooks.starts) == (1, 1)
        wait_until(lambda: city.nodes["d1"].status()["stored"] > 15 * RATE, timeout_s=120)
        sender.stop()
    wait_until(settled(city, "d1"), timeout_s=180)
    end(city)
    backup = Path(done.stdout.strip())
    assert {path.name for path in backup.iterdir()} == {
        "SHA256SUMS",
        "data",
        "postgres.dump",
        "influx",
        "settings.json",
        "streams",
        "version",
    }

    new = Place(tmp_path / "new", stack, influx=False)
    moved = {
        **city.env,
        "LUCHENG_NATS__URLS": new.nats.url,
        "LUCHENG_DATABASE__URL": new.postgres.url,
        "LUCHENG_INFLUX__URL": new.influxd.url,
    }
    shutil.rmtree(new.influxd.folder)
    env = {**moved, **new.hooks.env, "INFLUX_FOLDER": str(new.influxd.folder)}
    restored = run("restore.sh", backup, *(new.folder / name for name in ROLES), env=env)
    print(restored.stdout, restored.stderr)
    assert restored.returncode == 0, restored.stderr
    again = run("restore.sh", backup, *(new.folder / name for name in ROLES), env=env)
    assert again.returncode != 0
    assert "is not empty" in again.stderr

    # what restore.sh has looked at already, once more and by itself
    assert lucheng(new.folder / "d1", "audit", "verify", env=moved).returncode == 0
    assert answer(new.folder / "d1", "store", "check", env=moved)["ok"]
    settings = load(None, env=moved)
    assert [(one.lost, one.again) for one in settle(new.folder / "d1", settings)] == [
        (0, 0)
    ] * 9  # a second call finds nothing
    found = Stored.read(new.folder / "d1", settings)
    assert before.acknowledged <= set(found.points)
    assert before.acknowledged_presses <= {signal.id for signal in found.signals}
    with open_rooms(new.folder / "d1", settings, write=False) as rooms:
        assert rooms.evidence.read(GRANT, kept.id)[1] == b"a picture"

    values = {key: city.values[key] for key in ("influx.bucket", "database.prefix")}
    there = Processes(new.folder, new.nats, new.mosquitto.url, new.postgres, new.influxd, **values)
    stack.callback(there.close)
    for name, role in ROLES.items():
        there.node(name, role, wait=False)
    for node in there.nodes.values():
        node.wait_ready()
    there.wait(there.held_by(["a1"]), "every partition to be held")
    with pytest.raises(Conflict, match="Processes of this city run"):
        settle(new.folder / "nobody", settings)
    at_start = there.nodes["d1"].status()
    with SenderProcess(new.mosquitto.url, ledger, rate=RATE) as sender:
        wait_until(lambda: there.nodes["d1"].status()["stored"] > at_start["stored"] + 5 * RATE, timeout_s=120)
        sent = sender.stop()
    wait_until(settled(there, "d1"), timeout_s=180)
    end(there)
    print(judge(new.folder / "d1", sent, at_least=5 * RATE, may_lose=True, settings=there.settings()))


@pytest.mark.soak
def test_one_machine_is_backed_up_while_it_stands_still(tmp_path: Path, mosquitto: Mosquitto) -> None:
    data = tmp_path / "old" / "lucheng"
    data.parent.mkdir()
    env = {"LUCHENG_DEVICES__UNKNOWN": "register"}
    backups = tmp_path / "backups"
    with ServiceProcess(data, mosquitto.url, env=env).start() as service:
        with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=RATE) as sender:
            wait_until(lambda: service.status()["stored"] > 3 * RATE, timeout_s=120)
            sent = sender.stop()
        service.wait_quiet()
        refused = run("backup.sh", backups, data, env=env)
        assert refused.returncode != 0
        assert "stop the service" in refused.stderr
        assert list(backups.iterdir()) == []
        service.terminate()
    made = run("backup.sh", "--keep", "1", backups, data, env=env)
    assert made.returncode == 0, made.stderr
    backup = Path(made.stdout.strip())
    new = tmp_path / "new" / "lucheng"
    done = run("restore.sh", backup, new, env=env)
    assert done.returncode == 0, done.stderr
    print(judge(new, sent, at_least=3 * RATE))
    # damage is found before anything is written
    tar = backup / "data" / "lucheng.tar"
    raw = bytearray(tar.read_bytes())
    raw[len(raw) // 2] ^= 1
    tar.write_bytes(raw)
    third = tmp_path / "third" / "lucheng"
    damaged = run("restore.sh", backup, third, env=env)
    assert damaged.returncode != 0
    assert "damaged" in damaged.stderr
    assert not third.exists()


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "keys").mkdir(parents=True)
    backups = tmp_path / "backups"
    backups.mkdir()
    for name in ("lucheng-20260101T000000Z", "lucheng-20260102T000000Z", "lucheng-20260103T000000Z", "somebody-elses"):
        (backups / name).mkdir()
    done = run("backup.sh", "--folders", "--keep", "2", backups, data, env={})
    assert done.returncode == 0, done.stderr
    left = sorted(path.name for path in backups.iterdir())
    assert left == sorted(["lucheng-20260103T000000Z", Path(done.stdout.strip()).name, "somebody-elses"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "usage"),
        (("--keep", "x", "TO", "DATA"), "wants a number"),
        (("TO", "nowhere"), "is no folder"),
        (("--what", "TO", "DATA"), "unknown option"),
    ],
)
def test_a_wrong_call_is_told_and_leaves_nothing(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    given = [str(tmp_path / one) if one in {"TO", "nowhere", "DATA"} else one for one in arguments]
    done = run("backup.sh", *given, env={})
    assert done.returncode != 0
    assert words in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
