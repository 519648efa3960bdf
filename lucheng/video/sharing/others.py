"""Which machines there are besides us, and which are gone for certain.

Invariant: a machine counts as there until its lease has ended, as the leader of the leases says: by itself, or because the servers
knew of no connection of it for so long that it has let go, and we ended it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lucheng.logs import logger
from lucheng.video.sharing.plan import Seat
from store.nats.leases import GONE_PART, WRONG_LAST, connected, end_lease, lease_number
from store.nats.terms import Refusal

if TYPE_CHECKING:
    from store.nats.cameras import VideoNames
    from store.nats.link import Link
    from store.nats.shares import Machine, SharesView, Table

#: A machine that was not heard for so long is looked after.
SILENT_S = 2.0

_log = logger(__name__)


class Others:
    """See the module. One thread.

    Args:
        link: the way to the servers.
        names: what things are called.
        view: leases and table.
        lease_s: how long a lease lasts without being renewed.
        settle_s: how long a machine has to be there until it is given something.
    """

    def __init__(self, link: Link, names: VideoNames, view: SharesView, *, lease_s: float, settle_s: float) -> None:
        self._link = link
        self._names = names
        self._view = view
        self._lease_s = lease_s
        self._settle_s = settle_s
        #: Leases that are over; a name is never used again.
        self._gone: set[str] = set()
        self._no_connection_s: dict[str, float] = {}

    def seats(self, table: Table, me: str) -> dict[str, Seat]:
        """Machines that may have shares, ourselves left out. Raises Away, Refusal."""
        now_s = self._link.clock.monotonic_s()
        machines = {run: one for run, one in self._view.machines().items() if run != me}
        silent = [run for run, one in machines.items() if now_s - one.heard_s >= SILENT_S]
        cut_off = self._cut_off(silent, now_s)
        seats: dict[str, Seat] = {}
        for run, machine in machines.items():
            if run not in silent or not self._is_gone(machine, now_s, cut_off):
                seats[run] = Seat(machine.capacity, now_s - machine.first_s >= self._settle_s)
        for run in {run for run in table.holders if run and run != me and run not in machines} - self._gone:
            if self._link.call(lease_number(self._link, self._names, run)) is None:
                self._gone.add(run)
            else:
                seats[run] = Seat(1, settled=False)
        self._gone &= set(table.holders)
        return seats

    def _cut_off(self, silent: list[str], now_s: float) -> set[str]:
        """Those of whom the servers have known of no connection for long, see `GONE_PART`."""

        async def ask_all() -> list[bool | None]:
            return list(await asyncio.gather(*(connected(self._link, self._names, run) for run in silent)))

        here = dict(zip(silent, self._link.call(ask_all()), strict=True)) if silent else {}
        self._no_connection_s = {
            run: self._no_connection_s.get(run, now_s) for run, found in here.items() if found is False
        }
        return {run for run, since_s in self._no_connection_s.items() if now_s - since_s >= GONE_PART * self._lease_s}

    def _is_gone(self, machine: Machine, now_s: float, cut_off: set[str]) -> bool:
        silent_s = now_s - machine.heard_s
        if silent_s > self._lease_s:
            if self._link.call(lease_number(self._link, self._names, machine.run)) is not None:
                return False
        elif machine.run not in cut_off or not self._bury(machine):
            return False
        _log.warning("a machine that watched cameras is gone", machine=machine.name, silent_s=round(silent_s, 1))
        self._view.forget(machine.run)
        self._gone.add(machine.run)
        return True

    def _bury(self, machine: Machine) -> bool:
        """End its lease; False where it was renewed after all, or somebody else was quicker."""
        try:
            self._link.call(end_lease(self._link, self._names, machine.run, machine.number))
        except Refusal as error:
            if error.number in WRONG_LAST:
                return False
            raise
        return True
