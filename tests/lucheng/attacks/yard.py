"""`Yard`: a running service that terminals reach over sockets of its gateway, and raw terminals that say what they are told to.

Purpose: what the attacks on the gateway share. Invariants: the service wants terminals to authenticate, as it does
unless told otherwise; waiting is for conditions. It asserts nothing about the attacks.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

from ingest.jt808 import codec as jt808
from tests.conftest import free_port, wait_until
from tests.ingest.gateway.conftest import Phone, position
from tests.lucheng.in_process import answer
from tests.lucheng.service_process import HANG_S, ServiceProcess

WINDOW = ("--from", "2000-01-01", "--to", "2040-01-01")
POSITION, AUTHENTICATE, HEARTBEAT = 0x0200, 0x0102, 0x0002


def beijing(at_s: int) -> str:
    """The twelve digits of a time, as JT/T 808 writes it."""
    return time.strftime("%y%m%d%H%M%S", time.gmtime(at_s + 8 * 3600))


class Taxi(Phone):
    """A JT/T 808 terminal that registers like a good one; what it says then is for the test."""

    def __init__(self, port: int, number: str, *, terminal_id: str = "T000001", version: int = 2013) -> None:
        super().__init__(port, number, version=version)
        self.sock.settimeout(HANG_S)
        self.terminal_id = terminal_id
        self.token = ""
        self.places = 0

    def register(self) -> tuple[int, str]:
        """0100; the result, and the token where there is one."""
        values = {
            "province": 15,
            "city": 200,
            "maker": "LUCHE",
            "model": "LC-1",
            "terminal_id": self.terminal_id,
            "plate_colour": "none",
            "plate": "",
        }
        self.serial += 1
        self.send(*jt808.encode("register", values, number=self.number, serial=self.serial, version=self.version))
        told = jt808.decode_body(self.get())
        assert told["answers_serial"] == self.serial
        return {"ok": 0}.get(told["result"], 1), str(told.get("token", ""))

    def enter(self) -> Self:
        """Register and authenticate."""
        result, self.token = self.register()
        assert result == 0
        assert self.say_token(self.token) == 0
        return self

    def say_token(self, token: str) -> int:
        """0102; the result."""
        raw = token.encode()
        body = raw if self.version < 2019 else bytes((len(raw),)) + raw + bytes(35)
        self.send(self.frame(AUTHENTICATE, body))
        return self.general()[2]

    def place(self, at_s: int, **more: Any) -> bytes:
        """A position of that second, the next serial."""
        return self.frame(POSITION, position(time=beijing(at_s), **more))

    def drive(self, at_s: int) -> None:
        """Send a position and wait until it is answered as stored."""
        serial = self.serial
        self.send(self.place(at_s))
        assert self.general() == (serial, POSITION, 0)
        self.places += 1

    def answers_until(self, serial: int) -> Counter[tuple[int, int, int]]:
        """General replies up to the one to the heartbeat of that serial, and those of positions that come with it."""
        told: Counter[tuple[int, int, int]] = Counter()
        while not told[serial, HEARTBEAT, 0]:
            told[self.general()] += 1
        return told

    def gone(self) -> bool:
        """Whether the gateway has closed the connection; waits for it."""
        return self.closed()


class Yard:
    """A service and its ports.

    Args:
        data: the data folder.
        settings: more of them, e.g. `GATEWAY__GREETING_S="1"`.
    """

    def __init__(self, data: Path, broker: str | None = None, **settings: str) -> None:
        self.jt_port, self.gt06_port, self.osmand_port = (free_port() for _ in range(3))
        env = {
            "GATEWAY__LISTEN": "127.0.0.1",
            "GATEWAY__JT_PORT": str(self.jt_port),
            "GATEWAY__GT06_PORT": str(self.gt06_port),
            "GATEWAY__OSMAND_PORT": str(self.osmand_port),
            "COMMANDS__SNAPSHOT_ON_SOS": "false",
            **settings,
        }
        self.service = ServiceProcess(data, broker, env={f"LUCHENG_{name}": value for name, value in env.items()})
        self.now_s = time.time_ns() // 1_000_000_000
        self._opened: list[socket.socket] = []
        self._devices = 0

    def __enter__(self) -> Self:
        self.service.start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._opened:
            sock.close()
        self.service.close()

    # -- the service --------------------------------------------------------------------------

    def call(self, operation: str, **arguments: Any) -> Any:
        """Ask over the service's socket."""
        return self.service.client().call(operation, **arguments)

    def cli(self, *arguments: str) -> Any:
        """What a command of the command line answers."""
        return answer(self.service.data, *arguments)

    def add(self, device: str, **details: str) -> str:
        """Register a device and wait until the running service knows it."""
        self.call("device_add", device=device, **details)
        self._devices += 1
        wanted = self._devices
        self.service.wait_status(lambda now: sum(now["devices"].values()) >= wanted, f"{device} to be known")
        return device

    def live(self, name: str) -> float:
        """A live value."""
        return float(self.service.status()["live"][name])

    def wait_live(self, name: str, least: float) -> None:
        """Wait until a live value is at least that."""
        self.service.wait_status(lambda now: now["live"][name] >= least, f"{name} to be {least:g}")

    def quarantined(self) -> Counter[str]:
        """Rows by reason, once everything is accounted for."""
        return Counter(self.quiet()["quarantined"])

    def quiet(self) -> dict[str, Any]:
        """The counters once everything is stored; what was received is all accounted for."""
        self.service.wait_status(lambda now: now["live"]["gateway_unanswered"] == 0, "the gateway's answers")
        now = self.service.wait_quiet()
        assert now["received"] == now["stored"] + now["duplicate"] + sum(now["quarantined"].values())
        return now

    def track(self, device: str) -> list[dict[str, Any]]:
        """The device's points."""
        points: list[dict[str, Any]] = self.cli("track", device, *WINDOW)["points"]
        return points

    # -- those who connect --------------------------------------------------------------------

    def taxi(self, number: str, **more: Any) -> Taxi:
        """A terminal that has connected."""
        made = Taxi(self.jt_port, number, **more)
        self._opened.append(made.sock)
        return made

    def raw(self, port: int) -> socket.socket:
        """A bare connection."""
        made = socket.create_connection(("127.0.0.1", port), timeout=HANG_S)
        self._opened.append(made)
        return made


def closed(sock: socket.socket) -> bool:
    """Read until the other side closes."""
    try:
        while sock.recv(65_536):
            pass
    except ConnectionError:
        return True
    return True


def wait(condition: Any, what: str) -> None:
    """Wait for a condition."""
    wait_until(condition, HANG_S, what)
