"""Two versions side by side, as docs/operations/upgrade.md says: a newer desk migrates a real PostgreSQL while older processes run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.schema import MIGRATIONS as REGISTRY
from store.database import connect, schema_version
from store.desk.schema import MIGRATIONS as DESK
from tests.conftest import Mosquitto, wait_until
from tests.deploy import newer_lucheng
from tests.lucheng.cluster.processes import Processes
from tests.lucheng.cluster.test_processes import end, settled
from tests.lucheng.faults.judge import judge
from tests.lucheng.faults.sender import SenderProcess
from tests.lucheng.service_process import ServiceProcess
from tests.nats import NatsServer
from tests.postgres import PostgresServer

RATE = 200


class NewerProcess(ServiceProcess):
    """A process of the later release."""

    program = (sys.executable, "-m", "tests.deploy.newer_lucheng")


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Processes, str, str], ServiceProcess]:
    """Starts a role of the later release in a city, and waits for it."""

    def start(city: Processes, name: str, role: str) -> ServiceProcess:
        with monkeypatch.context() as patch:
            patch.setattr("tests.lucheng.cluster.processes.ServiceProcess", NewerProcess)
            return city.node(name, role)

    return start


def versions(city: Processes, postgres: PostgresServer) -> tuple[int, int]:
    server = postgres.server(city.values["database.prefix"])
    try:
        desk, registry = (schema_version(connect(server.place(name), read_only=True)) for name in ("desk", "registry"))
    finally:
        server.close()
    return desk, registry


@pytest.mark.soak
def test_older_processes_go_on_and_are_refused_when_they_start(
    processes: Callable[..., Processes],
    newer: Callable[[Processes, str, str], ServiceProcess],
    city_postgres: PostgresServer,
    own_nats_server: NatsServer,
    mosquitto: Mosquitto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    city = processes(own_nats_server)
    for name, role in (("d1", "desk"), ("i1", "ingest"), ("a1", "analyze")):
        city.node(name, role, wait=False)
    for node in city.nodes.values():
        node.wait_ready()
    city.wait(city.held_by(["a1"]), "every partition to be held")
    assert versions(city, city_postgres) == (len(DESK), len(REGISTRY))

    def more(name: str) -> None:
        """Points are stored and alarms told, as that process sees it."""
        now = city.nodes[name].status()
        wait_until(lambda: city.nodes[name].status()["stored"] > now["stored"] + 2 * RATE, timeout_s=120)
        wait_until(
            lambda: sum(city.nodes[name].status()["signals"].values()) > sum(now["signals"].values()) + 2, timeout_s=120
        )

    with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=RATE) as sender:
        more("d1")
        newer(city, "d2", "desk")
        assert versions(city, city_postgres) == (len(DESK) + 1, len(REGISTRY) + 1)
        more("d1")  # the older desk on duty, the older ingestor and the older worker go on
        city.nodes["d1"].terminate()
        city.wait(
            lambda status: status.streams[-1].there and status.streams[-1].holder == "d2", "the newer desk on duty"
        )
        more("d2")
        # an older worker that dies now does not come back, in words, and changes nothing
        city.nodes["a1"].kill9()
        city.nodes["a1"].spawn()
        assert city.nodes["a1"].wait_end() == 1
        assert "this lucheng knows" in city.nodes["a1"].said
        assert "written by a newer lucheng" in city.nodes["a1"].said
        assert versions(city, city_postgres) == (len(DESK) + 1, len(REGISTRY) + 1)
        newer(city, "a2", "analyze")
        city.wait(city.held_by(["a2"]), "the newer worker to take over")
        more("d2")
        code, _ = city.nodes["i1"].terminate()  # its broker keeps what comes meanwhile
        assert code == 0, city.nodes["i1"].said[-1500:]
        newer(city, "i2", "ingest")
        more("d2")
        sent = sender.stop()
    wait_until(settled(city, "d2"), timeout_s=180)
    end(city)
    for module in list(sys.modules.values()):  # this process is of the later release from here on
        for known, added in ((DESK, newer_lucheng.DESK), (REGISTRY, newer_lucheng.REGISTRY)):
            if getattr(module, "MIGRATIONS", None) is known:
                monkeypatch.setattr(module, "MIGRATIONS", (*known, added))
    print(judge(city.folder / "d2", sent, at_least=5 * RATE, settings=city.settings()))
