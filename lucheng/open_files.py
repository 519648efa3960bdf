"""How many files the service may hold open, and how many terminals fit into that.

Invariants: the limit is only ever raised, and never beyond what the machine allows; whatever it is, files are left for
stores, broker and API, so that terminals are turned away before a store cannot be opened.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.sections import Settings

#: Open files that the service needs besides one for each terminal: stores, the broker's connections, the API.
SPARE_FILES = 1_024
#: The embedded broker holds one for each device; it has the service's limit.
GOOD_OPEN_FILES = 16_384
_NO_LIMIT = 1 << 62


def wanted_files(settings: Settings) -> int:
    """How many the service would like to have."""
    gateway = settings.gateway
    terminals = bool(gateway.jt_port or gateway.gt06_port or gateway.osmand_port)
    return max(
        gateway.max_connections + SPARE_FILES if terminals else SPARE_FILES,
        GOOD_OPEN_FILES if settings.mqtt.url is None else 0,
    )


def allowed_files() -> int:
    """How many this process may hold open now."""
    return _number(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def most_files() -> int:
    """How many it may be allowed without anybody's help."""
    return _number(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def raise_limit(wanted: int) -> int:
    """Have this process, and those that it starts, allowed `wanted` open files if the machine lets it; how many they are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = min(wanted, _number(hard))
    if _number(soft) < goal:
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
    return allowed_files()


def fitting_terminals(max_connections: int) -> int:
    """As many of `max_connections` as leave enough files for the rest."""
    allowed = allowed_files()
    return max(1, min(max_connections, max(allowed - SPARE_FILES, allowed // 2)))


def _number(limit: int) -> int:
    return _NO_LIMIT if limit == resource.RLIM_INFINITY else limit
