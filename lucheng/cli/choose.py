"""Which client a command gets: the running service's, else this process itself.

A command asks the service when one answers on the data folder's socket. When none does, a read
opens the stores read-only, a change takes the writer lock first; so there is one writer at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from console.client import Client, LocalClient, RemoteClient
from console.socket_path import SOCKET_NAME, answers
from lucheng.cli.frame import Place

if TYPE_CHECKING:
    from config.sections import Settings

#: How long the question whether a service is there may take.
PROBE_TIMEOUT_S = 2.0


def settings_of(place: Place, overrides: dict[str, object] | None = None) -> Settings:
    """The settings in force for this command."""
    from config.settings import load  # noqa: PLC0415 a command that asks the service needs no settings

    return load(place.config, overrides)


def service_answers(place: Place) -> bool:
    """Whether a service runs on the data folder."""
    return answers(place.data_dir / SOCKET_NAME, PROBE_TIMEOUT_S)


@contextmanager
def reading(place: Place) -> Iterator[Client]:
    """A client for a command that changes nothing."""
    with _client(place, write=False) as client:
        yield client


@contextmanager
def changing(place: Place) -> Iterator[Client]:
    """A client for a command that changes something. Raises WriterLocked when neither way is open."""
    with _client(place, write=True) as client:
        yield client


@contextmanager
def _client(place: Place, *, write: bool) -> Iterator[Client]:
    if service_answers(place):
        yield RemoteClient(place.data_dir / SOCKET_NAME)
        return
    from console.operations import Caller  # noqa: PLC0415 NumPy and the stores cost 0.2 s
    from lucheng.operating import operations_of  # noqa: PLC0415 as above
    from lucheng.rooms import open_rooms, operating_system_user  # noqa: PLC0415 as above

    with open_rooms(place.data_dir, settings_of(place), write=write) as rooms:
        yield LocalClient(operations_of(rooms), Caller(operating_system_user(), "cli", "process"))
