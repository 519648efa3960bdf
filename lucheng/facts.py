"""Facts: what the rules go by and people change: the fences in force, the e-bikes reported stolen.

Purpose: a change enters the log as a record of its own, so that a replay judges every point by what held when it came.
Invariants: a fact is small (fences are named by their version, which stays readable); facts of one kind replace each
other. What is true now is also in the snapshot of the state. An unknown fact is passed over, so that an older program
can read a newer log's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from analytics.meaning.engine import Meaning
from lucheng.logs import logger
from model.errors import Corrupt
from model.fence import FenceSet
from model.seams import NewRecord, RecordKind

if TYPE_CHECKING:
    from analytics.fences.index import FenceIndex

FENCES = "fences"
STOLEN = "stolen"

_log = logger(__name__)


def fence_fact(version: int) -> NewRecord:
    """The fences of this version are in force from here on."""
    return _record({"kind": FENCES, "version": version})


def stolen_fact(slot: int, *, on: bool) -> NewRecord:
    """The e-bike of this slot is reported stolen, or no more."""
    return _record({"kind": STOLEN, "slot": slot, "on": on})


def fact_record(fact: dict[str, Any]) -> NewRecord:
    """A fact as the operations tell it."""
    return _record(fact)


def _record(fact: dict[str, Any]) -> NewRecord:
    return NewRecord(RecordKind.FACT, 0, msgspec.json.encode(fact))


class Facts:
    """What holds now, given to the rules.

    Args:
        meaning: whose context is kept in step.
        load_fences: reads a version of the fences (a version that is gone: the newest).
    """

    def __init__(self, meaning: Meaning, load_fences: Callable[[int], FenceSet]) -> None:
        self._meaning = meaning
        self._load_fences = load_fences
        self.fence_version = 0
        self.fences: FenceIndex | None = None
        self.stolen: frozenset[int] = frozenset()
        self._fence_ids: dict[int, str] = {}

    def apply(self, payload: bytes | memoryview) -> None:
        """Take over one record."""
        try:
            fact = msgspec.json.decode(payload)
        except msgspec.MsgspecError as error:
            raise Corrupt(f"Not a fact: {error}.", mend="It is passed over; nothing to do.") from error
        kind = fact.get("kind")
        if kind == FENCES:
            self._use_fences(int(fact["version"]))
        elif kind == STOLEN:
            slot = int(fact["slot"])
            self._use_stolen(self.stolen | {slot} if fact["on"] else self.stolen - {slot})
        else:
            _log.warning("fact passed over", kind=str(kind)[:40])

    def fence_id(self, number: int) -> str:
        """Id of a fence in force; its number in words for one that is gone."""
        return self._fence_ids.get(number, f"fence-{number}")

    def _use_fences(self, version: int) -> None:
        self.fence_version = version
        from analytics.fences.index import FenceIndex  # noqa: PLC0415 shapely costs 0.2 s where there are no fences

        fences = self._load_fences(version)
        self.fences = FenceIndex(fences) if any(fence.enabled for fence in fences.fences) else None
        # Ids of earlier fences stay: what they raised is still to be named when it clears.
        self._fence_ids |= {fence.number: fence.id for fence in fences.fences}
        self._meaning.context.fences = self.fences
        self._meaning.fences_changed()

    def _use_stolen(self, slots: Iterable[int]) -> None:
        self.stolen = frozenset(slots)
        self._meaning.context.stolen = np.array(sorted(self.stolen), np.int64)

    def to_bytes(self) -> bytes:
        """What holds now, for a snapshot."""
        return msgspec.json.encode({FENCES: self.fence_version, STOLEN: sorted(self.stolen)})

    def restore(self, raw: bytes | memoryview) -> None:
        """Take over what `to_bytes` wrote; raises Corrupt."""
        try:
            held = msgspec.json.decode(raw)
            version, stolen = int(held[FENCES]), [int(slot) for slot in held[STOLEN]]
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            raise Corrupt(f"Not a record of facts: {error}.", mend="It is made anew at the start.") from error
        if version:
            self._use_fences(version)
        self._use_stolen(stolen)
