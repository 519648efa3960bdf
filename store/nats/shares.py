"""Which machine has which share of the cameras: one table, changed by compare and set, that every process sees whole.

Invariants: a share is one machine's or nobody's, by the table's revision; only who holds a share gives it away, and only the shares of a
lease that is gone are taken; what a process sees may be old, so what it does with it is compared. It decides nothing about who
should have what.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.errors import SettingsError
from store.nats.cameras import VideoNames
from store.nats.leases import EXPECTED_SUBJECT, OPERATION, WRONG_LAST
from store.nats.link import Link
from store.nats.reading import Reader
from store.nats.terms import Message, Refusal
from store.nats.watching import watch

_ATTEMPT_S = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    """Who holds which share.

    Attributes:
        revision: of the table; 0: there is none yet.
        holders: the lease that holds each share, "" for nobody.
    """

    revision: int
    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine whose lease was seen.

    Attributes:
        run: the lease's name. name: of the machine, for people.
        capacity: cameras that it may have.
        number: of the last renewal. heard_s, first_s: when that and the first one were seen, monotonic.
    """

    run: str
    name: str
    capacity: int
    number: int
    heard_s: float
    first_s: float


class SharesView:
    """Leases and table as this process sees them. Any thread may ask; nothing blocks.

    Args:
        link: the way to the servers.
        names: what things are called.
        shares: how many there are.
    """

    def __init__(self, link: Link, names: VideoNames, shares: int) -> None:
        self._link = link
        self._lease_prefix = names.lease_subject("")
        self._table_subject = names.table_subject
        self._lock = threading.Lock()
        self._machines: dict[str, Machine] = {}
        self._unseen: set[str] = set()
        self._table = Table(0, ("",) * shares)
        self._wrong = 0
        self._whole = threading.Event()
        self._end = link.start(watch(link, names.shares, self._lease_prefix.removesuffix("at.") + ">", self))

    def close(self) -> None:
        """See no more."""
        self._end()

    def wait_whole(self, timeout_s: float) -> bool:
        """Wait until everything was seen once; False when it is not in time."""
        return self._whole.wait(timeout_s)

    @property
    def table(self) -> Table:
        """The newest table. Raises SettingsError: it is of another number of shares."""
        with self._lock:
            if self._wrong:
                raise SettingsError(
                    f"The cameras on the nats-servers are divided into {self._wrong} shares, video.shares is {len(self._table.holders)}.",
                    mend="Set it as it is on the other machines; to change it, stop all of them first and remove the key `shares`.",
                )
            return self._table

    def machines(self) -> dict[str, Machine]:
        """Leases by name that were not seen to end; one that is silent may have."""
        with self._lock:
            return dict(self._machines)

    def took(self, table: Table) -> None:
        """This process has written it, or its leader has said so."""
        with self._lock:
            if table.revision > self._table.revision:
                self._table = table

    def forget(self, run: str) -> None:
        """That lease is gone, as the leader says."""
        with self._lock:
            self._machines.pop(run, None)

    # -- told by the watch, on the link's loop --------------------------------------------------

    def begin(self) -> None:
        """See `watching.Watcher`."""
        with self._lock:
            self._unseen = set(self._machines)

    def put(self, subject: str, position: int, headers: Mapping[str, str], payload: bytes) -> None:
        """See `watching.Watcher`."""
        told = _told(payload)
        with self._lock:
            if subject == self._table_subject:
                self._put_table(position, told)
            elif subject.startswith(self._lease_prefix):
                run = subject.removeprefix(self._lease_prefix)
                self._unseen.discard(run)
                if OPERATION in headers or told is None:
                    self._machines.pop(run, None)
                else:
                    self._heard(run, position, told)

    def whole(self) -> None:
        """See `watching.Watcher`."""
        with self._lock:
            for run in self._unseen:
                self._machines.pop(run, None)
            self._unseen = set()
        self._whole.set()

    def _put_table(self, position: int, told: dict[str, Any] | None) -> None:
        holders = holders_of(told)
        if holders is None or position <= self._table.revision:
            return
        self._wrong = len(holders) if len(holders) != len(self._table.holders) else 0
        if not self._wrong:
            self._table = Table(position, holders)

    def _heard(self, run: str, position: int, told: Mapping[str, Any]) -> None:
        before = self._machines.get(run)
        if before is not None and position <= before.number:
            return  # told again
        now_s = self._link.clock.monotonic_s()
        first_s = before.first_s if before is not None else now_s
        capacity = told.get("capacity")
        capacity = capacity if isinstance(capacity, int) and capacity > 0 else 1
        self._machines[run] = Machine(run, str(told.get("name", "")), capacity, position, now_s, first_s)


async def write_table(link: Link, names: VideoNames, holders: Sequence[str], revision: int) -> Table | None:
    """Put these holders in the place of the table of that revision; None when another has changed it. Raises Away, Refusal."""
    known = sorted({run for run in holders if run})
    number = {run: place for place, run in enumerate(known)}
    payload = json.dumps({"of": known, "at": [number.get(run, -1) for run in holders]}, separators=(",", ":")).encode()
    message = Message(names.table_subject, payload, {EXPECTED_SUBJECT: str(revision)})
    try:
        answer = await link.publish([message], timeout_s=_ATTEMPT_S)
    except Refusal as error:
        if error.number in WRONG_LAST:
            return None
        raise
    return Table(int(answer["seq"]), tuple(holders))


async def read_table(link: Link, names: VideoNames) -> Table | None:
    """The table as the leader has it; None when there is none, or it is damaged. Raises Away, Refusal."""
    found = await Reader(link, names.shares).newest_of(names.table_subject)
    holders = holders_of(_told(found.payload)) if found is not None else None
    return Table(found.position, holders) if found is not None and holders is not None else None


def holders_of(told: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """The holders in a table's JSON; None when it is none."""
    try:
        known = [str(run) for run in told["of"]] if told is not None else []
        return tuple(known[place] if place >= 0 else "" for place in told["at"]) if told is not None else None
    except (KeyError, TypeError, IndexError):
        return None


def _told(payload: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(payload)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
