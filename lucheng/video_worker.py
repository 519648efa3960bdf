"""`python -m lucheng.video_worker`: a process that watches a share of the cameras. Started by the service alone.

Invariants: it reads nothing but its socket, the cameras and the detector's weights, and writes nothing but recordings; it
ends when the service has gone. It is gentle: niced below the service, so that alarms do not wait for pictures, and first
in line when the machine runs out of memory.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
from pathlib import Path

import cv2

from lucheng.logs import configure
from lucheng.open_files import raise_limit
from lucheng.video.crumbs import Crumbs
from lucheng.video.messages import Begin, ToWorker, Wire
from lucheng.video.worker_host import WorkerHost
from model.clock import SystemClock

NICE = 5
#: Open files: two for each of a camera's streams and those that are being opened, its recording; and the process' own.
FILES_PER_CAMERA, OTHER_FILES = 8, 256
#: Of 1000: memory is taken back from here first.
OUT_OF_MEMORY_SCORE = 500


def main() -> int:
    """Watch until the service says stop; return the exit status."""
    parser = argparse.ArgumentParser(prog="lucheng.video_worker")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--crumbs", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    given = parser.parse_args()
    configure()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the service, which says stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OUT_OF_MEMORY_SCORE), encoding="ascii")
    raise_limit(FILES_PER_CAMERA * given.rows + OTHER_FILES)
    cv2.setNumThreads(1)  # cameras are what is done side by side
    wire: Wire[ToWorker] = Wire(socket.socket(fileno=given.fd), ToWorker)
    begin = wire.receive()
    assert isinstance(begin, Begin)
    host = WorkerHost(wire, Crumbs(given.crumbs, given.rows), begin, SystemClock(), exit_now=os._exit)
    host.run()
    return 0


if __name__ == "__main__":
    status = main()
    # Threads that hang in a library would keep the process: everything that matters is written by now.
    os._exit(status)
