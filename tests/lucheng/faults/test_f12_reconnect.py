"""F12: half-open connections fill the gateway, and every terminal comes back at once.

Three times all terminals are gone with messages on their way, and all come back at the same moment: the network goes without
a word while strangers who say nothing take every connection that is left (so the platform has to find out by itself who is
gone), it resets every connection, and the service is killed. Each time all are back, the newer connection has the session,
the older one is closed, and the service has no more files open than it may. In the end everything that was answered is
stored once, and nothing else. How long it took is printed.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from config.settings import load
from console.client import LocalClient
from console.operations import Caller
from devices.importing import import_csv
from lucheng.open_files import SPARE_FILES
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from simulator.terminal.fleet import Fleet
from simulator.terminal.fleet_link import need_files
from tests.conftest import Mosquitto, free_port, wait_until
from tests.lucheng.faults.judge import END_MS, GRANT
from tests.lucheng.service_process import ServiceProcess

#: Protects a test from hanging; says nothing about how long it should take.
PATIENCE_S = 300.0
MESSAGES_EACH = 5
OUTSTANDING = 3
#: The beginning of a position: a stranger that stopped in the middle of a frame.
HALF_A_FRAME = bytes.fromhex("7e0200001c0138")
LOOK_S = 0.05
#: Files that the service has open for a moment now and then.
SPARE = 64


class Files:
    """How many files the service has open at most, looked at again and again."""

    def __init__(self) -> None:
        self.most = 0
        self._end = threading.Event()

    @contextmanager
    def of(self, pid: int) -> Iterator[None]:
        """While inside."""
        self._end.clear()
        thread = threading.Thread(target=self._look, args=(psutil.Process(pid),), daemon=True)
        thread.start()
        yield
        self._end.set()
        thread.join()

    def _look(self, process: psutil.Process) -> None:
        while not self._end.wait(LOOK_S):
            try:
                self.most = max(self.most, process.num_fds())
            except psutil.NoSuchProcess:
                return


def _strangers(port: int, count: int, stack: ExitStack) -> list[socket.socket]:
    """Connections that never say who they are."""
    made = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
    for one in made[::2]:
        one.sendall(HALF_A_FRAME)
    return made


def _closed(sockets: list[socket.socket]) -> bool:
    """Whether the other side has closed all of them; what it said before that is read and dropped."""
    for one in list(sockets):
        one.setblocking(False)
        try:
            while one.recv(65_536):
                pass
        except BlockingIOError:
            return False
        except OSError:  # reset
            pass
        sockets.remove(one)
    return True


def _register(data: Path, numbers: list[str]) -> None:
    rows = ["id,phone,protocol", *(f"taxi/{number},{number},jt808" for number in numbers)]
    with open_rooms(data, load(env={}), write=True) as rooms:
        import_csv(rooms.registry, "\n".join(rows).encode())


def _judge(data: Path, fleet: Fleet) -> None:
    """Everything that was answered is stored once, and nothing else; the counters say the same."""
    with open_rooms(data, load(env={}), write=False) as rooms:
        client = LocalClient(operations_of(rooms), Caller("judge", "test", "process"))
        status, check = client.call("status"), client.call("store_check")
        ids = rooms.registry.directory().ids
        batches = list(rooms.series.fleet(GRANT, 0, END_MS))
    stored: dict[str, list[int]] = {}
    for batch in batches:
        for slot, time_ms in zip(batch.slot.tolist(), batch.time_ms.tolist(), strict=True):
            stored.setdefault(ids[slot].removeprefix("taxi/"), []).append(time_ms)
    ledger = dict(fleet.ledger())
    print(f"judge: {status}")
    assert stored.keys() == ledger.keys()
    for number, times in ledger.items():
        np.testing.assert_array_equal(np.sort(stored[number]), times, err_msg=number)
    rows = sum(map(len, batches))
    assert status["stored"] == rows == sum(len(times) for times in ledger.values())
    assert status["in_flight"] == 0
    assert status["received"] == rows + status["duplicate"] + sum(status["quarantined"].values())
    assert check["ok"], check["problems"]


class Town:
    """A service whose gateway takes so many connections, and its terminals.

    Args:
        service: started.
        fleet: of all terminals.
    """

    def __init__(self, service: ServiceProcess, fleet: Fleet) -> None:
        self.service, self.fleet = service, fleet
        self.files = Files()
        self.idle_files = psutil.Process(service.pid).num_fds()

    def come_back(self, what: str, leave: Callable[[], object]) -> dict[str, Any]:
        """All leave with messages on their way, and come back at once; the gateway's counters then."""
        self.fleet.run(0)
        leave()
        assert self.fleet.up == 0
        with self.files.of(self.service.pid):
            came = self.fleet.connect(PATIENCE_S)
            assert self.fleet.drain(PATIENCE_S), "not everything was answered"
            count = came.connections
            found = self.service.wait_status(
                lambda now: now["live"]["gateway_sessions"] == count,
                f"{count} sessions after: {what}",
                timeout_s=PATIENCE_S,
            )
        live: dict[str, Any] = found["live"]
        print(f"{what}: {came}, turned away {live['gateway_turned_away']}, files at most {self.files.most}")
        return live

    def kill(self) -> None:
        """The service ends without a word, and starts again."""
        self.service.kill9()
        self.fleet.drop()
        self.service.start()


def _run(data: Path, mosquitto: Mosquitto, *, terminals: int, strangers: int, greeting_s: int) -> None:
    numbers = [f"138{at:08d}" for at in range(terminals)]
    most, port = terminals + strangers, free_port()
    need_files(2 * terminals + strangers + SPARE_FILES)
    _register(data, numbers)
    service = ServiceProcess(data, mosquitto.url, env={
        "LUCHENG_GATEWAY__LISTEN": "127.0.0.1", "LUCHENG_GATEWAY__JT_PORT": str(port),
        "LUCHENG_GATEWAY__MAX_CONNECTIONS": str(most), "LUCHENG_GATEWAY__GREETING_S": str(greeting_s),
    })  # fmt: skip
    with ExitStack() as stack:
        town = Town(
            stack.enter_context(service.start()),
            stack.enter_context(Fleet("127.0.0.1", port, numbers, outstanding=OUTSTANDING, items=True)),
        )
        fleet = town.fleet
        print(f"first: {fleet.connect(PATIENCE_S)}")
        fleet.run(PATIENCE_S, messages_each=MESSAGES_EACH)

        silent = _strangers(port, strangers, stack)
        live = town.come_back("without a word", fleet.lose)
        assert (live["gateway_replaced"], live["gateway_idle_timeouts"]) == (terminals, 0)
        wait_until(lambda: _closed(fleet.lost), PATIENCE_S, "the older connections to be closed")
        wait_until(lambda: _closed(silent), PATIENCE_S, "the strangers to be closed")

        town.come_back("reset", fleet.drop)
        town.come_back("killed", town.kill)
        fleet.run(PATIENCE_S, messages_each=2 * MESSAGES_EACH + 3 * OUTSTANDING)
        assert fleet.drain(PATIENCE_S)
        assert terminals < town.files.most <= most + town.idle_files + SPARE
        service.wait_quiet(timeout_s=PATIENCE_S)
        assert service.terminate()[0] == 0
        _judge(data, fleet)


@pytest.mark.soak
def test_all_come_back_at_once(tmp_path: Path, mosquitto: Mosquitto) -> None:
    _run(tmp_path / "data", mosquitto, terminals=250, strangers=100, greeting_s=2)


@pytest.mark.soak
def test_a_citys_terminals_come_back_at_once(tmp_path: Path, mosquitto: Mosquitto) -> None:
    _run(tmp_path / "data", mosquitto, terminals=7_000, strangers=3_000, greeting_s=10)
