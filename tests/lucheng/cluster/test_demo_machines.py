"""`lucheng demo --machines 3`: a machine dies, nothing is missing, nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from lucheng.cluster.demo.network import Network
from lucheng.cluster.demo.relay import Backend, Relay
from tests.conftest import Mosquitto, free_port, wait_until
from tests.lucheng.cluster.faults.land import need_servers
from tests.lucheng.service_process import PROJECT, lucheng

SECONDS = 20


@pytest.mark.soak
def test_a_machine_is_killed_and_nothing_is_missing() -> None:
    need_servers()
    command = [sys.executable, "-m", "lucheng", "demo", "--machines", "3", "--seconds", str(SECONDS), "--json"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as demo:
        out, _ = demo.communicate(timeout=600)
    print(out)
    assert demo.returncode == 0
    found = json.loads(out)
    assert found["killed"]
    assert found["taken_over_s"] is not None
    assert found["alarms_missed"] == found["alarms_unheard"] == found["points_lost"] == 0
    assert found["alarms_pressed"] > 5
    assert found["points_sent"] > 1_000
    left = [one for one in psutil.process_iter(["pid", "environ"]) if _of(one, demo.pid)]
    assert not left, left
    assert not list(Path("/run/netns").glob(f"lucheng-{demo.pid}-*"))
    assert not list(Path("/sys/class/net").glob(f"lc{demo.pid}*"))


def _of(process: psutil.Process, pid: int) -> bool:
    """Whether it is in a namespace of that demo."""
    try:
        return f"lucheng-{pid}-" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@pytest.mark.soak
def test_it_says_what_it_cannot_do(tmp_path: Path) -> None:
    for wrong in (("--machines", "2"), ("--machines", "3", "--data-file", str(tmp_path / "x.csv"))):
        done = lucheng(tmp_path / "data", "demo", *wrong)
        assert done.returncode != 0
        assert "--machines 3" in done.stderr


def test_machines_without_namespaces_are_addresses_of_the_loopback_interface() -> None:
    with Network(3, namespaces=False) as network:
        assert not network.apart
        assert network.why
        assert [host.address for host in network.hosts] == ["127.0.0.11", "127.0.0.12", "127.0.0.13"]
        assert all(not host.prefix for host in network.hosts)


def test_namespaces_are_made_cut_and_taken_away() -> None:
    with Network(3) as network:
        if not network.apart:
            pytest.skip(network.why)
        one, other = network.hosts[:2]

        def reached() -> bool:
            command = [
                *one.prefix,
                sys.executable,
                "-c",
                f"import socket; socket.create_connection(('{other.address}', 9), 1)",
            ]
            return "refused" in subprocess.run(command, capture_output=True, text=True, check=False).stderr

        assert reached()
        network.cut(other)
        assert not reached()
        network.heal(other)
        wait_until(reached, 30, "the cable to carry again")
        spaces = [Path("/run/netns", host.namespace) for host in network.hosts]
        assert all(space.exists() for space in spaces)
    assert not any(space.exists() for space in spaces)


def test_a_relay_leaves_a_machine_that_is_gone(tmp_path: Path) -> None:
    with Network(2, namespaces=False) as network:
        brokers = [Mosquitto(tmp_path / host.name).start() for host in network.hosts]
        backends = [
            Backend(host, "127.0.0.1", broker.port) for host, broker in zip(network.hosts, brokers, strict=True)
        ]
        port = free_port()
        with Relay("127.0.0.1", port, backends, look_s=0.05) as relay:
            wait_until(lambda: all(backend.there for backend in backends), 20, "both to be seen")
            client = paho.Client(CallbackAPIVersion.VERSION2)
            client.reconnect_delay_set(1, 1)
            client.connect_async("127.0.0.1", port)
            client.loop_start()
            wait_until(client.is_connected, 20, "a connection")
            wait_until(lambda: relay.held_by() == {"m1": 1, "m2": 0}, 20, "the first to have it")
            brokers[0].kill()
            wait_until(lambda: relay.held_by() == {"m1": 0, "m2": 1}, 20, "the other to have it")
            wait_until(client.is_connected, 20, "a connection again")
            client.disconnect()
            client.loop_stop()
        brokers[1].stop()
