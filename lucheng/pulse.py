"""What the service itself writes into the points' log: a tick a second, and the facts that people change.

Invariants: time and facts reach the rules by the log alone, so that they replay exactly; while the log takes nothing there
is no tick, and nobody falls silent; at the start the rules are told what changed while no service ran.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lucheng.facts import fact_record, fence_fact, stolen_fact
from model.desk import CaseState
from model.errors import StoreError
from model.seams import NewRecord, RecordKind
from model.status_batch import Tick

if TYPE_CHECKING:
    from lucheng.facts import Facts
    from lucheng.rooms import Rooms
    from model.clock import Clock
    from store.log.committer import Committer

TICK_S = 1.0
#: Open cases read at the start.
MAX_OPEN_CASES = 10_000
#: In these states an e-bike that reports is `stolen_seen`.
STOLEN_STATES = (CaseState.REPORTED, CaseState.STOLEN, CaseState.TRACKED)


class Pulse:
    """Hands the service's own records to the points' log.

    Args:
        points: the log's committer.
        clock: source of time.
        listening: whether every subscription stands.
    """

    def __init__(self, points: Committer, clock: Clock, listening: Callable[[], bool]) -> None:
        self._points = points
        self._clock = clock
        self._listening = listening
        self._stop = threading.Event()
        self._pending = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="tick", daemon=True)

    def start(self) -> None:
        """Tick until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Tick no more."""
        self._stop.set()
        self._thread.join(5)

    def fact(self, fact: dict[str, Any]) -> None:
        """Tell the rules a fact; it takes its place among the points."""
        self._submit(fact_record(fact))

    def fences(self, version: int) -> None:
        """Tell the rules that the fences of this version are in force."""
        self._submit(fence_fact(version))

    def catch_up(self, rooms: Rooms, facts: Facts, slot_of: Callable[[str], int | None]) -> None:
        """Bring what the rules go by to what the registry and the desk say."""
        version = rooms.fences.version()
        if version != facts.fence_version:
            self._submit(fence_fact(version))
        stolen = stolen_slots(rooms, slot_of)
        for slot in sorted(stolen ^ facts.stolen):
            self._submit(stolen_fact(slot, on=slot in stolen))

    def _submit(self, record: NewRecord) -> None:
        self._points.submit([record], lambda _position: None, urgent=True)

    def _tick(self) -> None:
        while not self._stop.wait(TICK_S):
            if self._pending.is_set():
                continue
            self._pending.set()
            tick = Tick(self._clock.now_ms(), self._listening())
            record = NewRecord(RecordKind.TICK, 0, tick.to_bytes())
            try:
                self._points.submit([record], lambda _position: self._pending.clear())
            except StoreError:
                return  # closed, or the log failed: whoever did it has said so


def stolen_slots(rooms: Rooms, slot_of: Callable[[str], int | None]) -> set[int]:
    """Slots of the e-bikes with an open case that are not found yet."""
    cases = rooms.desk.cases(open_only=True, limit=MAX_OPEN_CASES)
    found = (slot_of(case.device) for case in cases if case.state in STOLEN_STATES)
    return {slot for slot in found if slot is not None}
