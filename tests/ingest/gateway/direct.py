"""The gateway without sockets and threads: what was read goes in, round by round, and everything is durable at once.

Purpose: properties over very many streams. Invariants: a round is what `Gateway._read` makes of it, but that nobody's
connection ends here; `Direct` looks at nothing but what comes out.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from ingest.gateway.core import Core, Round
from ingest.gateway.gt06 import Gt06Side
from ingest.gateway.jt import JtSide
from ingest.gateway.limits import GatewayLimits
from ingest.gateway.links import Link
from model.batch import PointBatch
from model.clock import FakeClock
from model.codes import Reason
from model.quarantine import Quarantined
from tests.ingest.gateway.conftest import Events, Registry

LIMITS = GatewayLimits()


@dataclass(eq=False)
class Wire:
    """One connection.

    Attributes:
        link: the gateway's side of it.
        told: every frame that was written to it.
    """

    link: Link
    told: list[bytes] = field(default_factory=list)


class Direct:
    """Core and sides of a gateway, a context manager.

    Args:
        limits: of the gateway.
        require_auth: as of the gateway.
    """

    def __init__(self, limits: GatewayLimits = LIMITS, *, require_auth: bool = True) -> None:
        self.registry, self.events, self.clock = Registry(), Events(), FakeClock()
        self.core = Core(limits, self.clock, self.registry, self.events, require_auth=require_auth, wake=lambda: None)
        self._jt, self._gt06 = JtSide(self.core), Gt06Side(self.core)
        self._wires: dict[Link, Wire] = {}
        self._sockets: list[socket.socket] = []
        self.points: list[PointBatch] = []
        self.quarantined: list[Quarantined] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()

    def wire(self, side: str = "jt") -> Wire:
        """A new connection to the port of that side."""
        ours, theirs = socket.socketpair()
        self._sockets += [ours, theirs]
        link = Link(ours, self.core.table.row(), side, f"test:{ours.fileno()}")
        self.core.table.place(link, self.clock.monotonic_s())
        self._wires[link] = Wire(link)
        return self._wires[link]

    def round(self, reads: Sequence[tuple[Wire, bytes]]) -> None:
        """Read this of these connections, at most once of each, in one round, and commit it."""
        round_ = Round(self.clock.monotonic_s(), self.clock.now_ms())
        jt = [(wire.link, data) for wire, data in reads if wire.link.side == "jt"]
        if jt:
            self._jt.take([link for link, _ in jt], [link.rest + data for link, data in jt], round_)
        gt06 = [(wire.link, wire.link.rest + data) for wire, data in reads if wire.link.side == "gt06"]
        if gt06:
            self._gt06.take(gt06, round_)
        self._commit(round_)

    def tick(self, passed_s: float = 0.0) -> None:
        """Let time pass and look at it."""
        self.clock.advance(passed_s)
        round_ = Round(self.clock.monotonic_s(), self.clock.now_ms())
        self._jt.tick(round_)
        self._commit(round_)

    def stop(self) -> None:
        """What is not complete goes to the quarantine."""
        round_ = Round(self.clock.monotonic_s(), self.clock.now_ms())
        self._jt.stop(round_)
        self._commit(round_)

    def _commit(self, round_: Round) -> None:
        self.points += round_.batches
        self.quarantined += round_.quarantined
        for link, frames in round_.answers:
            self.core.put(link, frames)
        for call in round_.then:
            call()
        self.core.run_later()
        for link in self.core.dirty:
            self._wires[link].told += link.out
            link.out = []
        self.core.dirty = []

    # -- what came of it ------------------------------------------------------------------------

    def times_ms(self, slot: int) -> list[int]:
        """Times of the points of one device, in order."""
        batch = PointBatch.concat(self.points)
        times: list[int] = batch.time_ms[np.flatnonzero(batch.slot == slot)].tolist()
        return times

    @property
    def reasons(self) -> list[Reason]:
        """Of everything that was quarantined."""
        return [one.reason for one in self.quarantined]
