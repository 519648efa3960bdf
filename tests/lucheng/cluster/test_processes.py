"""Roles in processes of their own on real servers: one is killed under load, and the judge finds everything once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Mosquitto, wait_until
from tests.lucheng.cluster.processes import Processes
from tests.lucheng.faults.judge import judge, seeded
from tests.lucheng.faults.sender import SenderProcess
from tests.nats import NatsCluster, NatsServer

RATE = 400
#: How many of a run's processes and servers are killed one after the other.
KILLS = int(os.environ.get("TEST_KILLS", "50"))


def settled(city: Processes, desk: str) -> Callable[[], bool]:
    """Whether nothing is left to do in any stream, twice in a row."""
    before: list[int] = []

    def look() -> bool:
        status = city.status()
        now = [row.last for row in status.streams if row.lag_records <= 2]
        service = city.nodes[desk].status()
        done = len(now) == len(status.streams) and service["in_flight"] == 0
        same = [service["received"], service["stored"]] == before
        before[:] = [service["received"], service["stored"]]
        return done and same

    return look


def end(city: Processes) -> None:
    """Stop every process in good order: ingestors first, desks last."""
    for name in sorted(city.nodes, key=lambda name: "iavd".find(name[0])):
        if city.nodes[name].alive:
            status, took_s = city.nodes[name].terminate()
            print(f"{name} ended in {took_s:.2f} s")
            assert status == 0, city.nodes[name].said[-1500:]


def test_an_analyze_worker_is_killed_under_load(
    processes: Callable[..., Processes], own_nats_server: NatsServer, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    city = processes(own_nats_server)
    seeded("cluster")
    for name, role in (("d1", "desk"), ("i1", "ingest"), ("a1", "analyze"), ("a2", "analyze")):
        city.node(name, role, wait=False)
    for node in city.nodes.values():
        node.wait_ready()
    city.wait(city.held_by(["a1", "a2"]), "every partition to be held")
    city.wait(
        lambda status: {row.holder for row in status.streams if row.partition is not None} == {"a1", "a2"}, "both"
    )
    with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=RATE) as sender:
        wait_until(lambda: city.nodes["d1"].status()["stored"] > 5 * RATE, timeout_s=120)
        victim = "a1"
        mine = {row.stream for row in city.status().streams if row.holder == victim}
        assert mine
        city.nodes[victim].kill9()
        killed_s = time.monotonic()
        city.wait(city.held_by(["a2"]), "the other to take over")
        print(f"{len(mine)} partitions taken over within {time.monotonic() - killed_s:.2f} s of the kill")
        city.node("a3", "analyze")
        city.wait(
            lambda status: (
                {row.holder for row in status.streams if row.partition is not None and row.there} == {"a2", "a3"}
            ),
            "the new one to get its share",
        )
        before = city.nodes["d1"].status()["stored"]
        wait_until(lambda: city.nodes["d1"].status()["stored"] > before + 3 * RATE, timeout_s=120)
        sent = sender.stop()
    wait_until(settled(city, "d1"), timeout_s=120)
    end(city)
    verdict = judge(city.folder / "d1", sent, at_least=5 * RATE, settings=city.settings())
    print(verdict)


@pytest.mark.soak
def test_a_nats_server_and_the_desk_on_duty_are_killed_under_load(
    processes: Callable[..., Processes], nats_cluster: NatsCluster, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    city = processes(nats_cluster)
    for name, role in (("d1", "desk"), ("d2", "desk"), ("i1", "ingest"), ("a1", "analyze")):
        city.node(name, role, wait=False)
    for node in city.nodes.values():
        node.wait_ready()
    on_duty = city.wait(lambda status: status.streams[-1].there, "a desk on duty").streams[-1].holder
    other = "d2" if on_duty == "d1" else "d1"
    city.wait(city.held_by(["a1"]), "every partition to be held")
    with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=RATE) as sender:
        wait_until(lambda: city.nodes[other].status()["stored"] > 3 * RATE, timeout_s=120)
        leader = nats_cluster.leader_of("lucheng_alarms")
        assert leader is not None
        leader.kill()
        before = sum(city.nodes[other].status()["signals"].values())
        killed_s = time.monotonic()
        wait_until(lambda: sum(city.nodes[other].status()["signals"].values()) > before + 10, timeout_s=120)
        print(f"alarms again {time.monotonic() - killed_s:.2f} s after the kill of a nats-server")
        nats_cluster.start()
        on_duty = city.wait(lambda status: status.streams[-1].there, "a desk on duty").streams[-1].holder
        other = "d2" if on_duty == "d1" else "d1"
        city.nodes[on_duty].kill9()
        before = sum(city.nodes[other].status()["signals"].values())
        killed_s = time.monotonic()
        city.wait(lambda status: status.streams[-1].there and status.streams[-1].holder == other, "the other desk")
        wait_until(lambda: sum(city.nodes[other].status()["signals"].values()) > before + 10, timeout_s=120)
        print(f"alarms again {time.monotonic() - killed_s:.2f} s after the kill of the desk on duty")
        before = city.nodes[other].status()["stored"]
        wait_until(lambda: city.nodes[other].status()["stored"] > before + 3 * RATE, timeout_s=120)
        sent = sender.stop()
    wait_until(settled(city, other), timeout_s=180)
    end(city)
    print(judge(city.folder / other, sent, at_least=5 * RATE, settings=city.settings()))


@pytest.mark.soak
def test_random_processes_and_servers_are_killed_under_load(
    processes: Callable[..., Processes], nats_cluster: NatsCluster, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    random = seeded("kill -9 of random processes and servers of a cluster")
    city = processes(nats_cluster)
    roles = {"d1": "desk", "d2": "desk", "i1": "ingest", "a1": "analyze", "a2": "analyze"}
    for name, role in roles.items():
        city.node(name, role, wait=False)
    for node in city.nodes.values():
        node.wait_ready()
    with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=RATE) as sender:
        for _ in range(KILLS):
            time.sleep(random.uniform(0.5, 3.0))
            name = random.choice([*roles, "nats"])
            if name == "nats":
                server = random.choice(nats_cluster.servers)
                server.kill()
                time.sleep(random.uniform(0.1, 5.0))
                nats_cluster.start()
                continue
            city.nodes[name].kill9()
            city.nodes[name].start()
        before = city.nodes["d1"].status()["stored"]
        wait_until(lambda: city.nodes["d1"].status()["stored"] > before, timeout_s=120)
        sent = sender.stop()
    wait_until(settled(city, "d1"), timeout_s=180)
    end(city)
    print(judge(city.folder / "d1", sent, at_least=KILLS * RATE, settings=city.settings()))
