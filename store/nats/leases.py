"""A machine's lease on the nats-servers: as long as it is renewed, what the machine has taken is its own.

A lease is a key with a time to live, renewed by compare and set: the servers drop it when it was not renewed for `lease_s`. Whoever
wants what belonged to it asks the key's leader whether it is gone. A machine that has had no connection for `GONE_PART` of that may be buried
before: its key is ended by compare and set, so a renewal that came first wins, and one that comes later finds out.

Invariants: `certain()` is false before anybody may take anything: `MARGIN_S` before the servers drop the key (counted from before the
last answered renewal was sent), and `CUT_PART` of it after the first round trip that failed, which is before others bury it. A lease that is lost is lost for
good; the next one has another name. While the stream has no leader (a killed server, up to 9 s) nobody is
dropped and nobody can take anything: round trips without the stream tell such a pause from being cut off.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from model.errors import StoreError, TryAgain
from store.nats.asking import ask
from store.nats.cameras import VideoNames
from store.nats.link import Link
from store.nats.reading import Reader
from store.nats.terms import Away, Message, Refusal

DEFAULT_LEASE_S = 12.0
#: How long before the servers drop a lease its holder lets go: until then it has closed everything.
MARGIN_S = 2.0
#: Of `lease_s`: how long a machine has no connection until others bury it, and how long its own round trips fail until it lets go.
GONE_PART = 5 / 12
CUT_PART = 3 / 12
DEFAULT_EVERY_S = 0.5
#: One renewal, and one round trip.
_ATTEMPT_S = 1.0
#: How long the mark of a lease that was ended stays.
_MARK_S = 60
OPERATION, DELETED, LIVES = "KV-Operation", "DEL", "Nats-TTL"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence"
WRONG_LAST = frozenset({10071, 10164})


class Lease:
    """A lease of this machine, renewed on the link's loop. Any thread may ask anything.

    Args:
        link: the way to the servers.
        names: what things are called.
        told: what others are to know of this machine; JSON values.
        lease_s: how long it lasts without being renewed.
        every_s: between two renewals.
    """

    def __init__(
        self,
        link: Link,
        names: VideoNames,
        told: Mapping[str, Any],
        *,
        lease_s: float = DEFAULT_LEASE_S,
        every_s: float = DEFAULT_EVERY_S,
    ) -> None:
        #: The name of this lease: another at each start.
        self.run = secrets.token_hex(8)
        self._link = link
        self._names = names
        self._payload = json.dumps(dict(told)).encode()
        self._lease_s = lease_s
        self._every_s = every_s
        self._cut_s = lease_s * CUT_PART
        self._subject = names.lease_subject(self.run)
        self._keys = Reader(link, names.shares)
        self._number = 0
        self._renewed_s = float("-inf")
        self._failing_s: float | None = None
        self._lost = False
        self._ended = False
        self._end_renewing: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Take it, and renew it from now on. Raises Away, Refusal (nothing was taken, or it passes by itself)."""
        self._link.call(self._renew())
        self._end_renewing = self._link.start(self._run())

    def end(self) -> None:
        """Give it back at once: everything that it stood for has been let go."""
        self._ended = self._lost = True
        self._end_renewing()
        try:
            self._link.call(end_lease(self._link, self._names, self.run, self._number))
        except (TryAgain, StoreError):
            return  # it passes by itself

    def until_s(self) -> float:
        """Monotonic time until which nobody takes anything, as things stand; in the past when it is lost."""
        return float("-inf") if self._lost else self._renewed_s + self._lease_s - MARGIN_S

    @property
    def lost(self) -> bool:
        """Whether it is gone for good."""
        return self._lost

    def certain(self) -> bool:
        """Whether what was taken is certainly ours at this moment."""
        now_s = self._link.clock.monotonic_s()
        failing_s = self._failing_s
        return now_s < self.until_s() and (failing_s is None or now_s < failing_s + self._cut_s)

    async def _run(self) -> None:
        while not self._lost:
            await asyncio.sleep(self._every_s)
            sent_s = self._link.clock.monotonic_s()
            try:
                await self._renew()
                self._failing_s = None
            except (TryAgain, StoreError):
                await self._see_whether_cut_off(sent_s)

    async def _renew(self) -> None:
        """Raises Away, Refusal."""
        sent_s = self._link.clock.monotonic_s()
        headers = {EXPECTED_SUBJECT: str(self._number), LIVES: f"{self._lease_s:g}s"}
        try:
            answer = await self._link.publish([Message(self._subject, self._payload, headers)], timeout_s=_ATTEMPT_S)
        except Refusal as error:
            if error.number not in WRONG_LAST:
                raise
            await self._compare()
            return
        if not self._lost:
            self._number, self._renewed_s = int(answer["seq"]), sent_s

    async def _compare(self) -> None:
        """Another number than ours is there: an attempt of ours whose answer was lost, or the end. Raises Away, Refusal."""
        found = await self._keys.newest_of(self._subject)
        if found is None or OPERATION in found.headers:
            self._lost = True
        else:
            self._number = found.position  # nobody else writes it; renewed with the next attempt

    async def _see_whether_cut_off(self, sent_s: float) -> None:
        """The stream does not answer. Do the servers?"""
        if await connected(self._link, self._names, self.run) is True:
            self._failing_s = None
        elif self._failing_s is None:
            self._failing_s = sent_s


async def end_lease(link: Link, names: VideoNames, run: str, number: int) -> None:
    """End a lease whose last renewal has this number. Raises Away, Refusal (it was renewed meanwhile)."""
    headers = {EXPECTED_SUBJECT: str(number), OPERATION: DELETED, LIVES: f"{_MARK_S}s"}
    await link.publish([Message(names.lease_subject(run), b"", headers)], timeout_s=_ATTEMPT_S)


async def lease_number(link: Link, names: VideoNames, run: str) -> int | None:
    """The number of a lease's last renewal, as the leader has it; None when it is gone. Raises Away, Refusal."""
    found = await Reader(link, names.shares).newest_of(names.lease_subject(run))
    return None if found is None or OPERATION in found.headers else found.position


async def connected(link: Link, names: VideoNames, run: str) -> bool | None:
    """Whether that machine has a connection to the servers and answers; None: it is silent, or we are."""
    try:
        return await ask(link, names.machine_subject(run), b"", timeout_s=_ATTEMPT_S) is not None
    except Away:
        return None
