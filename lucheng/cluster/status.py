"""How the cluster is: who is there with which roles, who holds each stream and since when, how far behind, whose clock is off.

Invariants: all of it is what the servers say now, asked anew, so it is the same wherever it is asked; nothing is changed. Who holds a
stream is what the record of the last taking says; that its holder still lives is what the table of nodes says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lucheng.cluster.duty import GROUP as DESK_GROUP
from lucheng.cluster.gate import stream_state
from lucheng.cluster.keys import differing
from lucheng.cluster.nodes import Node, Roll
from store.nats.holding import holding
from store.nats.ownership import DEFAULT_GROUP
from store.nats.streams import Names

if TYPE_CHECKING:
    from config.sections import Settings
    from store.nats.link import Link

#: Streams of points and of alarms, by what is done with them.
POINTS, ALARMS = "points", "alarms"


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream.

    Attributes:
        stream, what: its name; `points` or `alarms`.
        partition: its number; None of the alarms'.
        holder: who took it last, "" nobody ever; there: whether that process is there and says that it holds it.
        epoch: number of that taking. since_ms: when, by the holder's clock, UTC ms.
        lag_records: records that nobody has done. fill_pct: how full the stream is. last: its newest record.
        copies_behind: nats-servers whose copy is behind or away.
    """

    stream: str
    what: str
    partition: int | None
    holder: str
    there: bool
    epoch: int
    since_ms: int
    lag_records: int
    fill_pct: float
    last: int
    copies_behind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """All of it; `nodes` by name, `streams` with the alarms' last."""

    nodes: tuple[Node, ...]
    streams: tuple[StreamRow, ...]
    max_clock_skew_ms: int

    def clocks_off(self) -> list[Node]:
        """Processes whose host's clock is too far from the servers'."""
        return [node for node in self.nodes if abs(node.skew_ms) > self.max_clock_skew_ms]

    def keys_differ(self) -> list[Node]:
        """Processes whose secret key is not the city's: what they seal or sign others cannot open."""
        return differing(self.nodes)

    def without_holder(self) -> list[StreamRow]:
        """Streams that nobody who is there holds."""
        return [row for row in self.streams if not row.there]

    def copies_behind(self) -> list[StreamRow]:
        """Streams with a copy that is behind or away: until it has caught up no other nats-server may be lost."""
        return [row for row in self.streams if row.copies_behind]

    def as_json(self) -> dict[str, Any]:
        """The object that `cluster status --json` prints."""
        other_keys = {node.name for node in self.keys_differ()}
        return {
            "nodes": [
                {
                    "name": node.name,
                    "host": node.host,
                    "pid": node.pid,
                    "roles": list(node.roles),
                    "since_ms": node.since_ms,
                    "holds": sorted(node.holds),
                    "listening": node.listening,
                    "clock_ahead_ms": node.skew_ms,
                    "clock_off": abs(node.skew_ms) > self.max_clock_skew_ms,
                    "values": node.values,
                    "key": node.key,
                    "key_differs": node.name in other_keys,
                }
                for node in self.nodes
            ],
            "streams": [asdict(row) | {"fill_pct": round(row.fill_pct, 1)} for row in self.streams],
        }

    def metric_values(self) -> dict[str, Mapping[str, float]]:
        """Values of `console.metrics.METRICS`."""
        roles: dict[str, float] = {}
        for node in self.nodes:
            for role in node.roles:
                roles[role] = roles.get(role, 0) + 1
        label = {row.stream: str(row.partition) if row.partition is not None else ALARMS for row in self.streams}
        return {
            "cluster_nodes": roles,
            "cluster_lag": {label[row.stream]: row.lag_records for row in self.streams},
            "cluster_held": {label[row.stream]: int(row.there) for row in self.streams},
            "cluster_epoch": {label[row.stream]: row.epoch for row in self.streams},
            "cluster_copies_behind": {label[row.stream]: len(row.copies_behind) for row in self.streams},
            "cluster_fill": {label[row.stream]: round(row.fill_pct / 100, 4) for row in self.streams},
            "cluster_clock_ahead": {node.name: node.skew_ms / 1000 for node in self.nodes},
        }


def cluster_status(settings: Settings, link: Link) -> ClusterStatus:
    """Ask the servers. Raises StoreError when they do not answer, or the streams were never made."""
    names = Names(settings.nats.prefix)
    nodes = tuple(Roll(link, names).read_patiently())
    rows = [
        _row(link, names, names.points(partition), POINTS, partition, nodes)
        for partition in range(settings.nats.partitions)
    ]
    rows.append(_row(link, names, names.alarms, ALARMS, None, nodes))
    return ClusterStatus(nodes, tuple(rows), settings.cluster.max_clock_skew_ms)


def _row(link: Link, names: Names, stream: str, what: str, partition: int | None, nodes: tuple[Node, ...]) -> StreamRow:
    group = DEFAULT_GROUP if what == POINTS else DESK_GROUP
    state = link.call(
        link.persist(
            lambda: stream_state(link, stream, group),
            what=f"Nobody tells of {stream}",
        )
    )
    held = holding(link, names, stream, group)
    holder = held.worker if held is not None else ""
    return StreamRow(
        stream=stream,
        what=what,
        partition=partition,
        holder=holder,
        there=any(node.name == holder and stream in node.holds for node in nodes),
        epoch=held.epoch if held is not None else 0,
        since_ms=held.since_ms if held is not None else 0,
        lag_records=state.lag_records,
        fill_pct=state.fill_pct,
        last=state.last,
        copies_behind=state.copies_behind,
    )
