"""`lucheng run --role …` past one machine: one process until it is told to end, or something fails."""

from __future__ import annotations

import os
import signal as os_signal
import sys
from typing import TYPE_CHECKING

from sdnotify import SystemdNotifier

from lucheng.cluster.node import ClusterNode
from lucheng.logs import configure
from lucheng.process import allow_files, calm_collector
from lucheng.turns import Turns
from lucheng.web_side import console_lines
from model.errors import LuchengError

if TYPE_CHECKING:
    from pathlib import Path

    from config.sections import Settings
    from lucheng.cluster.roles import Role


def run(data_dir: Path, settings: Settings, roles: frozenset[Role]) -> int:
    """Run these roles until SIGTERM or SIGINT; return the exit status."""
    configure()
    allow_files(settings)
    turns = Turns()
    node = ClusterNode(data_dir, settings, roles)
    for number in (os_signal.SIGTERM, os_signal.SIGINT):
        os_signal.signal(number, lambda _number, _frame: node.stopping.set())
    node.open()
    calm_collector()
    notifier = SystemdNotifier()
    ready = False
    while not node.stopping.is_set():
        if not ready and node.wait_ready(0.2):
            ready = True
            notifier.notify("READY=1")
            print(f"ready: {node.where} data {data_dir}", file=sys.stderr, flush=True)  # noqa: T201
            for line in console_lines(node.web):
                print(line, file=sys.stderr, flush=True)  # noqa: T201
        notifier.notify("WATCHDOG=1")
        node.stopping.wait(0.5 if ready else 0.05)
        turns.look()
    notifier.notify("STOPPING=1")
    if node.failure is not None:
        error = node.failure
        print(f"lucheng: {error}", file=sys.stderr, flush=True)  # noqa: T201
        # A store or log failed: nothing more may be written behind it. The others go on with what this process held.
        os._exit(error.exit_status if isinstance(error, LuchengError) else 1)
    node.close()
    return 0
