"""What a process that runs for long does once, before its work begins."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from lucheng.logs import logger
from lucheng.open_files import fitting_terminals, raise_limit, wanted_files

if TYPE_CHECKING:
    from config.sections import Settings

COLLECT_AFTER_ALLOCATIONS = 100_000

_log = logger(__name__)


def calm_collector() -> None:
    """Take what the start made out of the cycle collector's sight, and let it look seldom.

    A batch makes tens of thousands of tuples that die by reference count; at the default threshold
    the collector walked them again and again (a tenth of all CPU at 400,000 points/s).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_ALLOCATIONS, 20, 50)


def allow_files(settings: Settings) -> None:
    """A city's terminals are more files than most machines allow a process at first."""
    wanted = wanted_files(settings)
    allowed = raise_limit(wanted)
    if allowed < wanted:
        terminals = fitting_terminals(settings.gateway.max_connections)
        _log.warning(
            "few open files allowed",
            allowed=allowed,
            wanted=wanted,
            terminals_at_most=terminals,
            mend=f"ulimit -Hn {wanted}",
        )
