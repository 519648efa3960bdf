"""What an analyze process writes into partitions: each second a tick, and the facts that people changed.

Invariants: a partition's tick and facts come from its holder, so each device is judged silent once, and a fact is in the log
whoever changed it and whoever died after the change: what registry and desk say is compared with what the rules go by, once a
second, and what differs is written. A partition that nobody holds, or nobody with certainty, gets a tick that does not listen,
for the servers give a partition to somebody only when there is something in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lucheng.cluster.roles import Role
from lucheng.facts import fence_fact, stolen_fact
from lucheng.logs import logger
from lucheng.pulse import TICK_S, stolen_slots
from model.errors import LuchengError, StoreError
from model.seams import NewRecord, RecordKind
from model.status_batch import Tick
from store.nats.partitions import partitions_of

if TYPE_CHECKING:
    from lucheng.cluster.nodes import Node
    from lucheng.cluster.parting import Parts
    from lucheng.cluster.worker import Held
    from lucheng.rooms import Rooms
    from model.clock import Clock

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """What registry and desk say that rules go by."""

    fences: int
    stolen: frozenset[int]


@dataclass(slots=True)
class _Told:
    """What a holding was told, so that it is not told again before it has come to it."""

    held: Held
    said: Said


class Seconds:
    """The thread.

    Args:
        parts: the partitions.
        clock: source of time.
        held: what this process holds, by partition.
        free: partitions to be woken now.
        nodes: who is there; None when that is not known.
        says: what registry and desk say; raises LuchengError when they do not answer.
        look: called first, each second.
        on_fatal: called once when the log failed.
    """

    def __init__(
        self,
        parts: Parts,
        clock: Clock,
        *,
        held: Callable[[], Mapping[int, Held]],
        free: Callable[[], Sequence[int]],
        nodes: Callable[[], Sequence[Node] | None],
        says: Callable[[], Said],
        look: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._parts = parts
        self._clock = clock
        self._held = held
        self._free = free
        self._nodes = nodes
        self._says = says
        self._look = look
        self._on_fatal = on_fatal
        self._told: dict[int, _Told] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="seconds", daemon=True)
        self.facts = 0

    def start(self) -> None:
        """Go on until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Write nothing more."""
        self._stop.set()
        self._thread.join(5)

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                self.second()
                self._stop.wait(TICK_S)
        except BaseException as error:
            if not (isinstance(error, StoreError) and self._stop.is_set()):
                _log.error("no ticks any more", error=str(error), exc_info=not isinstance(error, LuchengError))
                self._on_fatal(error)

    def second(self) -> None:
        """One of them."""
        self._look()
        held = {partition: one for partition, one in self._held().items() if one.turn.certain}
        now_ms = self._clock.now_ms()
        tick = _tick(now_ms, listening=listening(self._nodes()))
        records: dict[int, list[NewRecord]] = {}
        told = dict(self._told)
        said = self._said() if held else None
        for partition, one in held.items():
            records[partition] = [*self._facts(partition, one, said, told), tick]
        for partition in self._free():
            records.setdefault(partition, [_tick(now_ms, listening=False)])
        if records and not self._stop.is_set():
            self._parts.append(records)
            self._told = told

    def _said(self) -> Said | None:
        try:
            return self._says()
        except LuchengError as error:
            _log.warning("facts are not compared", reason=error.message)
            return None

    def _facts(self, partition: int, held: Held, said: Said | None, told: dict[int, _Told]) -> list[NewRecord]:
        """What is to be told now; `told` is brought up to it."""
        before = told.get(partition)
        if said is None or not held.caught_up:
            return []
        facts = held.steps.facts
        if before is None or before.held is not held:
            before = _Told(held, Said(facts.fence_version, facts.stolen))
        mine = Said(said.fences, in_partition(said.stolen, partition, self._parts.count))
        told[partition] = _Told(held, mine)
        found = [fence_fact(mine.fences)] if mine.fences != before.said.fences else []
        changed = sorted(mine.stolen ^ before.said.stolen)
        found += [stolen_fact(slot, on=slot in mine.stolen) for slot in changed]
        self.facts += len(found)
        return found


def listening(nodes: Sequence[Node] | None) -> bool:
    """Whether silence says something: there are ingest processes, and the sources of all of them stand."""
    ingest = [node for node in nodes or () if Role.INGEST in node.roles]
    return bool(ingest) and all(node.listening for node in ingest)


def in_partition(slots: frozenset[int], partition: int, partitions: int) -> frozenset[int]:
    """Those of a partition."""
    if not slots:
        return slots
    column = np.array(sorted(slots), np.int32)
    return frozenset(column[partitions_of(column, partitions) == partition].tolist())


def said_by(rooms: Rooms, slot_of: Callable[[str], int | None]) -> Said:
    """What registry and desk say now."""
    return Said(rooms.fences.version(), frozenset(stolen_slots(rooms, slot_of)))


def _tick(now_ms: int, *, listening: bool) -> NewRecord:
    return NewRecord(RecordKind.TICK, 0, Tick(now_ms, listening).to_bytes())
