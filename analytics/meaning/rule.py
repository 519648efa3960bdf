"""`Rule`: what every rule is: a name, a memory by slot, and up to three things that it looks at.

Invariants that every rule keeps: (1) what it reports and remembers depends on the rows in their order alone, never on
how the stream is cut into batches (tests cut at random); (2) no loop over points: columns, and at most a loop over
events or over the few distinct things that changed; (3) statuses touch memory that points do not, since the two are
not ordered against each other within a step; ticks come after the points before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.slots import Field, Slots

if TYPE_CHECKING:
    from analytics.meaning.context import Context
    from analytics.meaning.events import Events
    from analytics.meaning.frame import Frame
    from model.batch import PointBatch
    from model.status_batch import StatusBatch, Tick


class Rule:
    """Base of the rules. A subclass sets `name` and `fields` and overrides what it looks at."""

    name: str = ""
    fields: tuple[Field, ...] = ()

    def __init__(self) -> None:
        self.memory = Slots(self.fields)

    def arrived(self, batch: PointBatch, context: Context, events: Events) -> None:
        """Look at every row that came, as it came and before `points`: late, duplicate and quarantined ones too.

        `memory` has no room made for these slots, which may be any; `row` of an event counts in this batch.
        """

    def points(self, frame: Frame, context: Context, events: Events) -> None:
        """Look at the rows of a frame. `memory` has room for all its slots."""

    def statuses(self, batch: StatusBatch, context: Context, events: Events) -> None:
        """Look at statuses (`source="status"`). `memory` has room for all their slots."""

    def tick(self, tick: Tick, context: Context, events: Events) -> None:
        """A second has passed (`source="tick"`, `row` -1)."""

    def fences_changed(self, context: Context) -> None:
        """`context.fences` is another one: numbers that are gone are forgotten."""

    def to_bytes(self) -> bytes:
        """The memory, for a snapshot; a rule that remembers more than `memory` overrides both."""
        return self.memory.to_bytes()

    def restore(self, raw: memoryview) -> None:
        """Take over a memory; raises Corrupt."""
        self.memory.restore(raw)
