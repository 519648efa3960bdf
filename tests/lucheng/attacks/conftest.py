"""A service with its embedded mosquitto, and what an attacker has: MQTT connections and recorded messages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from devices.credentials import Credential
from tests.conftest import need_program
from tests.devices.live_broker import Listener
from tests.lucheng.in_process import answer
from tests.lucheng.service_process import ServiceProcess

#: By when a change of the registry has to count at the broker; the promise is 5 s, the machine may be busy.
EFFECT_S = 15.0
Seen = TypeVar("Seen")
IN = ("connect", "Success")
OUT = ("connect", "Not authorized")


class City:
    """A running service with its own broker, its registry changed by the command line while it runs."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service
        self.data = service.data
        self._opened: list[Listener] = []

    @property
    def port(self) -> int:
        """Where the embedded broker listens."""
        return int(self.service.status()["live"]["broker_port"])

    def ask(self, *arguments: str) -> Any:
        """What a command answers."""
        return answer(self.data, *arguments)

    def add(self, device: str, *options: str) -> Credential:
        """Register a device and give it a password, by two commands."""
        assert self.ask("device", "add", device, *options)["device"] == device
        return self.password(device)

    def password(self, device: str) -> Credential:
        """A new password for a device."""
        made = self.ask("device", "credentials", device)
        assert made["credential"] is True
        return Credential(made["username"], made["password"])

    def knock(self, credential: Credential | None, client_id: str = "") -> tuple[Listener, tuple[str, str]]:
        """A connection and what the broker said to it."""
        listener = Listener(self.port, credential, client_id or "any")
        self._opened.append(listener)
        return listener, listener.next()

    def enter(self, credential: Credential, client_id: str = "") -> Listener:
        """A connection that is let in as soon as the broker knows of the credential."""
        return self.until(lambda: self._let_in(credential, client_id), f"{credential.user} to be let in")

    def _let_in(self, credential: Credential, client_id: str) -> Listener | None:
        listener, said = self.knock(credential, client_id)
        return listener if said == IN else None

    def shut_out(self, credential: Credential | None) -> bool:
        """Whether the broker refuses this credential now."""
        return self.knock(credential)[1] == OUT

    def until(self, look: Callable[[], Seen | None], what: str) -> Seen:
        """Look until there is something to see; print how long it took."""
        began_s = time.monotonic()
        while not (found := look()):
            assert time.monotonic() - began_s < EFFECT_S, f"timed out waiting for {what}"
            time.sleep(0.05)
        print(f"{what}: {time.monotonic() - began_s:.2f} s")
        return found

    def status(self) -> dict[str, Any]:
        """The counters once everything is stored."""
        return self.service.wait_quiet()

    def track(self, device: str) -> list[dict[str, Any]]:
        """The device's points."""
        points: list[dict[str, Any]] = self.ask("track", device, "--from", "2000-01-01", "--to", "2040-01-01")["points"]
        return points

    def close(self) -> None:
        """End the connections."""
        for listener in self._opened:
            listener.close()


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """One service for a module's attacks; each uses devices of its own."""
    need_program("mosquitto")
    with ServiceProcess(tmp_path_factory.mktemp("city") / "data").start() as service:
        made = City(service)
        yield made
        made.close()


def point(time_ms: int, **more: Any) -> str:
    """A point's payload."""
    return json.dumps({"ts": time_ms, "lat": 40.65, "lon": 109.84, **more}, separators=(",", ":"))


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


def topic(device: str, stream: str = "point") -> str:
    """Where a device sends."""
    return f"lucheng/v1/{device}/up/{stream}"


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[], set[str]]:
    """Every path below the test's folder, as it is when called."""
    return lambda: {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
