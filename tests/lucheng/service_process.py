"""`lucheng run` as a process of its own, for tests that kill, stop and restart it.

Invariants: whatever a test does, `close` leaves no process of it; what the process said is in `said`. It
asserts nothing about the service.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import pytest

from console.client import RemoteClient
from console.socket_path import SOCKET_NAME, answers
from model.errors import TryAgain

PROJECT = Path(__file__).resolve().parents[2]
#: Protects a test from hanging; says nothing about how long it should take.
HANG_S = 60.0
_POLL_S = 0.02


def lucheng(data: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command of the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "lucheng", "--data", str(data), *arguments],
        cwd=PROJECT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=HANG_S * 5,
        check=False,
    )


def answer(data: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
    """The JSON that a command prints with `--json`; fails the test with its words when it ends badly."""
    done = lucheng(data, *arguments, "--json", env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class ServiceProcess:
    """A running `lucheng run` on a data folder.

    Args:
        data: the data folder; what the process says goes to `<data>.said` beside it.
        broker: URL of a broker, or None for the embedded one.
        env: settings for its environment, e.g. `{"LUCHENG_DEVICES__UNKNOWN": "register"}`.
        arguments: further ones of `run`, e.g. `("--role", "ingest")`.
    """

    #: What is started.
    program: tuple[str, ...] = (sys.executable, "-m", "lucheng")

    def __init__(
        self,
        data: Path,
        broker: str | None = None,
        *,
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.arguments = tuple(arguments)
        self.data = data
        self.broker = broker
        self.env = dict(env or {})
        self.said_file = data.with_name(data.name + ".said")
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._said_before = 0
        self._embedded: list[psutil.Process] = []

    # -- start --------------------------------------------------------------------------------

    def spawn(self) -> Self:
        """Start it; returns at once."""
        assert self.process is None, "it runs already"
        self.starts += 1
        self._said_before = self.said_file.stat().st_size if self.said_file.exists() else 0
        command = [*self.program, "--data", str(self.data), "run", *self.arguments]
        if self.broker is not None:
            command += ["--broker", self.broker]
        with self.said_file.open("ab") as said:
            self.process = subprocess.Popen(
                command, cwd=PROJECT, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        return self

    def start(self) -> Self:
        """Start it and wait until it says that it is ready: recovered, listening and subscribed."""
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self) -> float:
        """Wait for its ready line; return how long that took from now, seconds."""
        return self._wait(lambda: "\nready: " in "\n" + self.said, "the service to be ready")

    def wait_api(self) -> float:
        """Wait until its API answers, be the broker there or not; return how long that took from now, seconds."""
        return self._wait(lambda: answers(self.socket, 1.0) and self._status() is not None, "the service's API")

    def _wait(self, met: Any, what: str) -> float:
        began_s = time.monotonic()
        while not met():
            if self.process is None or self.process.poll() is not None:
                status = None if self.process is None else self.process.returncode
                pytest.fail(f"waiting for {what}: it ended with {status}: {self.said[-2000:]}")
            if time.monotonic() - began_s > HANG_S:
                pytest.fail(f"timed out waiting for {what}: {self.said[-2000:]}")
            time.sleep(_POLL_S)
        return time.monotonic() - began_s

    # -- while it runs ------------------------------------------------------------------------

    @property
    def socket(self) -> Path:
        """Where its API listens."""
        return self.data / SOCKET_NAME

    @property
    def said(self) -> str:
        """What it said since its last start."""
        if not self.said_file.exists():
            return ""
        return self.said_file.read_bytes()[self._said_before :].decode(errors="replace")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def client(self) -> RemoteClient:
        """A client of its API."""
        return RemoteClient(self.socket, answer_timeout_s=HANG_S)

    def status(self) -> dict[str, Any]:
        """What `lucheng status --json` prints, asked without a process of its own."""
        found = self._status()
        assert found is not None, f"the service does not answer: {self.said[-2000:]}"
        return found

    def _status(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.client().call("status")
        except TryAgain:
            return None
        return found

    def wait_status(self, met: Any, what: str, *, timeout_s: float = HANG_S) -> dict[str, Any]:
        """Ask for the status until `met(status)`; return it."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            found = self._status()
            if found is not None and met(found):
                return found
            if not self.alive or time.monotonic() > deadline_s:
                pytest.fail(f"waiting for {what}: {found}; it said {self.said[-1500:]}")
            time.sleep(0.05)

    def wait_quiet(self, *, timeout_s: float = HANG_S) -> dict[str, Any]:
        """Wait until everything received is accounted for and nothing new came for a moment; return the status."""
        last: tuple[int, int] | None = None

        def quiet(found: dict[str, Any]) -> bool:
            nonlocal last
            live = found["live"]
            unacked = live.get("mqtt_points_unacked_messages", 0) + live.get("mqtt_alarms_unacked_messages", 0)
            now = (found["received"], found["signals"])
            same, last = now == last, now
            if same:
                time.sleep(0.4)  # messages still on their way from the broker show in the next look
            return bool(same and found["in_flight"] == 0 and unacked == 0 and self._same(now))

        return self.wait_status(quiet, "everything to be stored", timeout_s=timeout_s)

    def _same(self, before: tuple[int, int]) -> bool:
        found = self._status()
        return found is not None and (found["received"], found["signals"]) == before and found["in_flight"] == 0

    def rss_bytes(self) -> int:
        """Resident memory of the service alone."""
        return int(psutil.Process(self.pid).memory_info().rss)

    # -- end ----------------------------------------------------------------------------------

    def kill9(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self._note_children()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=HANG_S)
        self.process = None

    def terminate(self) -> tuple[int, float]:
        """SIGTERM and wait; return its exit status and how long it took, seconds."""
        assert self.process is not None
        self._note_children()
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=HANG_S)
        self.process = None
        return status, time.monotonic() - began_s

    def wait_end(self) -> int:
        """Wait until it ends by itself; return its exit status."""
        assert self.process is not None
        status = self.process.wait(timeout=HANG_S)
        self.process = None
        return status

    def _note_children(self) -> None:
        assert self.process is not None
        try:
            self._embedded += psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return

    def close(self) -> None:
        """End it whatever it does, and its embedded broker."""
        if self.process is not None:
            if self.process.poll() is None:
                self.terminate()
            self.process = None
        psutil.wait_procs(self._embedded, timeout=15)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
