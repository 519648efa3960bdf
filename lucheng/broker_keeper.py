"""Runs a broker as its child and makes sure that it never outlives its owner. Standard library only.

The owner holds the writing end of this process's standard input. When that closes, by `stop` or because the owner
died in whatever way, the broker gets SIGTERM (so that it saves its sessions) and, after a bounded wait, SIGKILL. When
this process itself is killed, the kernel ends the broker (PR_SET_PDEATHSIG; set here because this process has one
thread, and the kernel ties the signal to the thread that forked). SIGHUP is passed on: the broker reads its files
again. What the broker says goes to a log of bounded size.

Usage: broker_keeper.py LOG_FILE MAX_LOG_BYTES STOP_TIMEOUT_S COMMAND...
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
_READ_BYTES = 65_536


class _BoundedLog:
    """A file that starts again when it is full, keeping one older part."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._stream = path.open("wb", buffering=0)

    def write(self, data: bytes) -> None:
        if self._stream.tell() + len(data) > self._max_bytes:
            self._stream.close()
            self._path.replace(self._path.with_suffix(".old"))
            self._stream = self._path.open("wb", buffering=0)
        self._stream.write(data[-self._max_bytes :])


def _die_with_parent(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def keep(command: list[str], log: Path, max_log_bytes: int, stop_timeout_s: float) -> int:
    """Run `command` until it ends or standard input closes; return its exit status."""
    parent = os.getpid()
    broker = subprocess.Popen(  # noqa: S603 the command comes from lucheng.broker, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: _die_with_parent(parent),  # noqa: PLW1509 this process has one thread
    )

    def hang_up(_number: int, _frame: FrameType | None) -> None:
        broker.send_signal(signal.SIGHUP)

    signal.signal(signal.SIGHUP, hang_up)
    assert broker.stdout is not None
    output = _BoundedLog(log, max_log_bytes)
    with selectors.DefaultSelector() as ready:
        ready.register(sys.stdin.fileno(), selectors.EVENT_READ, "owner")
        ready.register(broker.stdout, selectors.EVENT_READ, "output")
        while ready.get_map():
            for key, _ in ready.select():
                data = os.read(key.fd, _READ_BYTES)
                if key.data == "output":
                    output.write(data)
                if not data:
                    ready.unregister(key.fileobj)
                    if key.data == "owner":
                        broker.terminate()
                        signal.signal(signal.SIGALRM, lambda *_: broker.kill())
                        signal.setitimer(signal.ITIMER_REAL, stop_timeout_s)
                    else:
                        return broker.wait()
    return broker.wait()


if __name__ == "__main__":
    sys.exit(keep(sys.argv[4:], Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
