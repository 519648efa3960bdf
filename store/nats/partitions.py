"""Points past one machine: which partition a device belongs to, and appending to many partitions at once.

The servers decide: points of a device are published to `<prefix>.points.<slot>`, and their mapping `{{partition(n,1)}}` says which
partition's stream takes them. Who publishes has to know it beforehand, because a batch of columns holds many devices: `partition_of` is
the servers' own function (FNV-1a of the slot's digits, modulo n), and every message names the stream it expects, so a server whose
mapping differs refuses it and nothing lands where it does not belong.

Invariants: a device is in one partition for as long as their number stays; an append is acknowledged when every partition has
its part, and none of it before. It makes no batches and knows no columns but slots.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from model.errors import SettingsError, StoreError
from model.seams import NewRecord
from store.nats.link import Link
from store.nats.reading import Reader
from store.nats.streams import Plan
from store.nats.terms import Refusal
from store.nats.writing import Writer

_OFFSET, _PRIME = 2_166_136_261, 16_777_619
_EXPECTED_STREAM_DIFFERS = 10060
#: Digits of the largest slot (int32).
_MAX_DIGITS = 10


def partition_of(slot: int, partitions: int) -> int:
    """The partition of a device, as the servers find it: 32 bit FNV-1a of the slot's decimal digits."""
    found = _OFFSET
    for digit in str(slot).encode():
        found = (found ^ digit) * _PRIME & 0xFFFFFFFF
    return found % partitions


def partitions_of(slots: npt.NDArray[np.int32], partitions: int) -> npt.NDArray[np.int32]:
    """`partition_of` for a column of slots, none of them negative."""
    left = slots.astype(np.int64)
    if len(left) and int(left.min()) < 0:
        raise ValueError("a slot below 0 has no partition")
    found = np.full(len(left), _OFFSET, np.uint64)
    power = np.int64(10 ** (_MAX_DIGITS - 1))
    for _ in range(_MAX_DIGITS):
        digit = left // power % 10
        counts = (left >= power) | (power == 1)  # leading zeros are not written
        hashed = ((found ^ (digit + ord("0")).astype(np.uint64)) * np.uint64(_PRIME)) & np.uint64(0xFFFFFFFF)
        found = np.where(counts, hashed, found)
        power //= 10
    return (found % np.uint64(partitions)).astype(np.int32)


def a_slot_of(partition: int, partitions: int) -> int:
    """The smallest slot that lies in a partition: what stands for it where a record is of no device, as a tick is."""
    slot = 0
    while partition_of(slot, partitions) != partition:
        slot += 1
    return slot


class Partitions:
    """Appends to the partitions' streams, beside other processes that do the same.

    Args:
        link: the way to the servers; it bounds what is published and not acknowledged.
        plan: the streams.

    Raises:
        SettingsError: the servers' mapping is for another number of partitions.
        StoreError: a stream cannot be reached within the link's patience.
    """

    def __init__(self, link: Link, plan: Plan) -> None:
        self._link = link
        self._plan = plan
        names = plan.names
        self._writers = []
        for partition in range(plan.partitions):
            reader = Reader(link, names.points(partition))
            subject = names.points_subject(a_slot_of(partition, plan.partitions))
            ends = link.call(link.persist(reader.ends, what=f"{reader.stream} cannot be reached"))
            self._writers.append(Writer(link, reader, subject, last=ends.last, exclusive=False))
        self._turns = [asyncio.Lock() for _ in self._writers]
        self._failure: StoreError | None = None
        link.call(self._compare_mapping())

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._writers)

    def append(self, records: Mapping[int, Sequence[NewRecord]]) -> dict[int, int]:
        """Make records durable, each partition's in one commit, all of them at once; return where each partition's last lies.

        Raises:
            StoreError: not all could be made durable, now or earlier; nothing of it may be acknowledged, and the process must stop.
                What did land comes again and is known as a duplicate by its points.
        """
        if self._failure is not None:
            raise StoreError(self._failure.message, mend=self._failure.mend)
        try:
            return self._link.call(self._append({p: list(r) for p, r in records.items() if r}))
        except StoreError as error:
            self._failure = self._explained(error)
            raise self._failure from error

    async def _append(self, records: Mapping[int, Sequence[NewRecord]]) -> dict[int, int]:
        async def one(partition: int) -> int:
            async with self._turns[partition]:
                return await self._writers[partition].commit(records[partition])

        found = await asyncio.gather(*(one(partition) for partition in records), return_exceptions=True)
        for result in found:
            if isinstance(result, BaseException):
                raise result
        return dict(zip(records, (last for last in found if isinstance(last, int)), strict=True))

    async def _compare_mapping(self) -> None:
        """Publish what every stream refuses, and see which stream it reaches: a batch without its beginning."""
        for partition in range(self.count):
            stream = self._plan.names.points(partition)
            subject = self._plan.names.points_subject(a_slot_of(partition, self.count))
            headers = {"Nats-Batch-Id": "mapping", "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"}

            async def attempt(subject: str = subject, headers: dict[str, str] = headers) -> str:
                answer = await self._link.ask(subject, b"", headers)
                return answer.data.decode(errors="replace")

            try:
                said = await self._link.persist(attempt, what=f"{subject} reaches no stream")
            except StoreError as error:
                raise SettingsError(
                    f"Nothing takes what is published to {subject}: {error.message}",
                    mend="Include lucheng.conf in the nats-servers' configuration, and reload them.",
                ) from error
            if f'"stream":"{stream}"' not in said:
                raise SettingsError(
                    f"The nats-servers map {subject} to another stream than {stream}.",
                    mend="Make partition(…) in their lucheng.conf and nats.partitions the same number.",
                )

    def _explained(self, error: StoreError) -> StoreError:
        if isinstance(error, Refusal) and error.number == _EXPECTED_STREAM_DIFFERS:
            return StoreError(
                "The nats-servers' mapping of points to partitions was changed under us.",
                mend="Make partition(…) in their lucheng.conf and nats.partitions the same number.",
            )
        return error


__all__ = ["Partitions", "a_slot_of", "partition_of", "partitions_of"]
