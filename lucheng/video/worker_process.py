"""One video worker as the service holds it: its process, its socket, its crumbs, the cameras it was given.

Invariants: what it says is handed on in order, on a thread of its own; a worker that has gone is found by its exit or by
the end of its socket, whichever is first, and never waited for by anybody but its supervisor. It decides nothing.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from lucheng.video.crumbs import Crumbs
from lucheng.video.messages import Begin, Broken, Closed, Drop, FromWorker, Setup, Stop, ToWorker, Wire

if TYPE_CHECKING:
    from model.camera import CameraSetup
    from model.clock import Clock

#: How long a worker may take nothing that the service sends it.
DEFAULT_SEND_TIMEOUT_S = 5.0

_log = structlog.get_logger(__name__)


class WorkerProcess:
    """A running worker.

    Args:
        number: of the worker, for logs.
        begin: its first message.
        max_cameras: rows of its crumbs.
        clock: source of time.
        on_message: called with everything it says.
        alone: it holds one camera that is under suspicion.
        until_s: monotonic time until which its cameras are ours; 0: for good.
    """

    def __init__(
        self,
        number: int,
        begin: Begin,
        *,
        max_cameras: int,
        clock: Clock,
        on_message: Callable[[WorkerProcess, FromWorker], None],
        alone: bool = False,
        until_s: float = 0.0,
    ) -> None:
        self.number = number
        self.alone = alone
        self.setups: dict[str, CameraSetup] = {}
        #: Cameras that it was given and has not said to have let go of.
        self._held: set[str] = set()
        self.crumbs = Crumbs.make(max_cameras)
        self.crumbs.until_s = until_s
        self._clock = clock
        self._on_message = on_message
        self._row_of: dict[str, int] = {}
        self._free = list(range(max_cameras - 1, -1, -1))
        self._lock = threading.Lock()
        self.heard_s = self.started_s = clock.monotonic_s()
        #: Set when the socket has ended.
        self.gone = threading.Event()
        #: It was told to end.
        self.stopping = False
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(  # noqa: S603 our own interpreter and module
            [
                sys.executable,
                "-m",
                "lucheng.video_worker",
                f"--fd={theirs.fileno()}",
                f"--crumbs={self.crumbs.descriptor}",
                f"--rows={max_cameras}",
            ],
            pass_fds=(theirs.fileno(), self.crumbs.descriptor),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._wire: Wire[FromWorker] = Wire(ours, FromWorker, send_timeout_s=DEFAULT_SEND_TIMEOUT_S)
        self._reader = threading.Thread(target=self._read, name=f"video-{number}", daemon=True)
        self._reader.start()
        self.send(begin)

    @property
    def room(self) -> int:
        """Cameras that it could still take."""
        return len(self._free)

    def watch(self, setup: CameraSetup) -> None:
        """Give it a camera, or the new settings of one that it has."""
        with self._lock:
            if setup.device not in self._row_of:
                self._row_of[setup.device] = self._free.pop()
            row = self._row_of[setup.device]
            self.setups[setup.device] = setup
            self._held.add(setup.device)
        self.send(Setup(setup, row))

    def drop(self, device: str) -> None:
        """Take a camera away."""
        with self._lock:
            row = self._row_of.pop(device, None)
            self.setups.pop(device, None)
            if row is None:
                return
            self.crumbs.clear(row)
            self._free.append(row)
        self.send(Drop(device))

    def closing(self) -> set[str]:
        """Cameras that were taken away, or all when it is to end, to which it may still be connected."""
        with self._lock:
            return set(self._held) if self.stopping else self._held - self.setups.keys()

    def send(self, message: ToWorker) -> bool:
        """Tell it something; False when it has gone."""
        try:
            self._wire.send(message)
        except Broken:
            self.gone.set()
            return False
        return True

    def suspects(self) -> list[str]:
        """Cameras of which one may have ended it."""
        with self._lock:
            device_at = {row: device for device, row in self._row_of.items()}
        return [device_at[row] for row in self.crumbs.suspects() if row in device_at]

    def exit_status(self) -> int | None:
        """Its exit status once it has ended; None while it runs."""
        return self.process.poll()

    def ask_to_stop(self) -> None:
        """Let it finish what it records, and end."""
        self.stopping = True
        self.send(Stop())

    def close(self, timeout_s: float) -> None:
        """Wait for its end, by force when the time is over, and release everything."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _log.warning("video worker killed", worker=self.number, pid=self.process.pid)
            self.process.kill()
            self.process.wait()
        self._wire.close()
        self._reader.join(timeout_s)
        self.crumbs.close()

    def kill(self) -> None:
        """End it at once."""
        if self.process.poll() is None:
            self.process.kill()

    def _closed(self, device: str) -> None:
        with self._lock:
            if self.stopping or device not in self.setups:  # else it was given back meanwhile
                self._held.discard(device)

    def _read(self) -> None:
        try:
            while True:
                message = self._wire.receive()
                self.heard_s = self._clock.monotonic_s()
                if isinstance(message, Closed):
                    self._closed(message.device)
                self._on_message(self, message)
        except Broken:
            pass
        except Exception as error:  # one bad handler must not leave a worker unread for ever
            _log.exception("video worker unread", worker=self.number, error=type(error).__name__)
        finally:
            self.gone.set()


def worker_count(setting: int) -> int:
    """Video processes at most: the setting, or one for each core that this process may use."""
    return setting or max(1, len(os.sched_getaffinity(0)))
