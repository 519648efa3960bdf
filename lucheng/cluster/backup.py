"""`lucheng cluster backup` and `restore`: the streams of a city as folders, while it runs, and back into new nats-servers.

What of the servers is kept: the logs, their marks, what workers remember, who held what. Not kept, because it is made anew: who is
connected where, who is there, which machine has which camera, clips on their way.

Invariants: streams are taken in an order in which each may be ahead of those before it and never behind: a mark or a state that knows
of more than its log is what `settling` mends, a log that was trimmed beyond its state is not. deploy/backup.sh
calls it while InfluxDB stands still, and before PostgreSQL: docs/operations/backup.md says why.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lucheng.nats_choice import open_link
from model.clock import Clock, SystemClock
from model.errors import BadInput, Conflict
from store.nats.backup import back_up, look, restore, there
from store.nats.streams import Names

if TYPE_CHECKING:
    from config.sections import Settings
    from store.nats.link import Link


def streams_of(settings: Settings) -> list[str]:
    """What is kept, in the order in which it is taken."""
    names = Names(settings.nats.prefix)
    points = [names.points(partition) for partition in range(settings.nats.partitions)]
    return [names.alarms, *points, names.marks, f"OBJ_{names.snapshots}", names.owners]


def back_up_streams(settings: Settings, folder: Path, *, clock: Clock | None = None) -> list[dict[str, Any]]:
    """Every stream into a folder of its own below `folder`; a row for each. Raises as `store.nats.backup.back_up`."""
    with closing(open_link(settings, clock or SystemClock(), "lucheng-backup")) as link:
        return [asdict(back_up(link, stream, folder / stream)) for stream in streams_of(settings)]


def restore_streams(settings: Settings, folder: Path, *, clock: Clock | None = None) -> list[dict[str, Any]]:
    """Every stream from `folder`, all of them looked through before the first is touched; a row for each.

    Raises as `store.nats.backup.restore`; BadInput: one is missing or damaged; Conflict: a process of the city runs.
    """
    streams = streams_of(settings)
    for stream in streams:
        found = look(folder / stream)
        if found.stream != stream:
            raise BadInput(f"{folder / stream} holds {found.stream}.", mend="Restore each stream from its own folder.")
    with closing(open_link(settings, clock or SystemClock(), "lucheng-restore")) as link:
        refuse_while_running(link, settings)
        return [asdict(restore(link, folder / stream)) for stream in streams]


def refuse_while_running(link: Link, settings: Settings) -> None:
    """Raise Conflict while a process of the city says that it is there."""
    from lucheng.cluster.nodes import Roll  # noqa: PLC0415 needed here alone

    names = Names(settings.nats.prefix)
    if not there(link, f"KV_{names.prefix}_nodes"):
        return  # servers on which no process ever was
    nodes = Roll(link, names).read_patiently()
    if nodes:
        named = ", ".join(f"{node.name} ({node.host})" for node in nodes[:10])
        raise Conflict(
            f"Processes of this city run: {named}.",
            mend=f"Stop all of them on every machine, wait {settings.cluster.expire_s:g} s, and call it again.",
        )
