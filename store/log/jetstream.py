"""`JetStreamLog`: the durable log past one machine, in one stream of NATS JetStream.

Invariants: a record is a message, its position the stream's sequence; an append is acknowledged by the servers before it
returns, all or none (several records are one atomic batch), and is in the stream once however often it was sent; a commit that could not
be made within the link's patience ends writing for good; positions are never used again, neither after a trim nor where the servers lost
records: place holders take those. A consumer's mark may be saved late, never ahead.

It does not look into payloads, and does not make its stream (`store.nats.streams.set_up`). What an acknowledgement is worth (copies,
syncs) is the servers' setting: docs/design/log_jetstream.md.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from model.errors import Corrupt, StoreError, UsageError
from model.seams import LogRecord, NewRecord, Problem
from store.nats.link import Link
from store.nats.marks import Marks, MarksOf
from store.nats.messages import BATCH_COMMIT, BATCH_ID, Stored
from store.nats.reading import Ends, Reader
from store.nats.streams import Names
from store.nats.writing import MAX_COMMIT_RECORDS, Writer

#: Largest payload of one record, bytes; also at most what the servers take (max_payload).
DEFAULT_MAX_RECORD_BYTES = 8 * 2**20 - 2**16
#: How old saved consumer positions may get, seconds.
DEFAULT_CONSUMER_SAVE_S = 1.0
#: Consumers of one log, and the length of their names.
MAX_CONSUMERS = 64
MAX_CONSUMER_NAME_CHARS = 64
#: Lost records that place holders are written for; where more are lost a back-up is wanted.
DEFAULT_MAX_LOST_RECORDS = 100_000
DEFAULT_MAX_PROBLEMS = 100
_CHECK_RECORDS, _CHECK_BYTES = 64, 16 * 2**20
#: How long `close` waits for an append under way, seconds.
_CLOSE_WAIT_S = 2.0
MEND = "A running service skips it and counts it as quarantined (log_corrupt); look at the nats-servers' disks."

#: Said of a place holder.
_GONE = "is gone: the servers lost it"


class JetStreamLog:
    """The log in one stream; implements `model.seams.Log`. Any thread may call anything.

    Args:
        link: the way to the servers; closed with the log.
        names: what the streams are called.
        stream, subject: the log's, e.g. `names.alarms`, `names.alarms_subject`.
        exclusive: this object is the stream's one writer, and whoever else writes is found out. Without it many may append, each through
            an object of its own; the positions of an append then need not follow each other's.
        read_only: never write, not even a mark.
        close_link: whether `close` closes the link.
        known_position: a position that is known to have been in the log, e.g. the store's; the servers lost what they do not have of it.
        max_record_bytes: largest payload accepted.
        consumer_save_s: how old saved consumer positions may get.
        max_lost_records: how many lost records are made up for by place holders.

    Attributes:
        problems_at_open: what was found missing when this object opened the log; to be told to people at once.

    Raises:
        StoreError: the stream cannot be reached within the link's patience, or is not there.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        stream: str,
        subject: str,
        *,
        exclusive: bool = True,
        read_only: bool = False,
        close_link: bool = True,
        known_position: int = 0,
        max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
        consumer_save_s: float = DEFAULT_CONSUMER_SAVE_S,
        max_lost_records: int = DEFAULT_MAX_LOST_RECORDS,
    ) -> None:
        self.stream = stream
        self._link = link
        self._exclusive = exclusive and not read_only
        self._read_only = read_only
        self._close_link = close_link
        self._max_record_bytes = max_record_bytes
        self._consumer_save_s = consumer_save_s
        self._write_lock = threading.Lock()
        self._marks_lock = threading.Lock()
        self._count_lock = threading.Lock()
        self._reader = Reader(link, stream)
        self._marks_of = MarksOf(link, names, stream)
        self._unsaved: dict[str, int] = {}
        self._saved_at_s = link.clock.monotonic_s()
        self._gaps: dict[int, int] = {}
        self._failure: StoreError | None = None
        self._closed = False
        self.problems_at_open: list[Problem] = []
        self._marks: Marks = link.call(self._marks_of.load())
        last = self._ends().last
        #: Position and received rows up to it, as far as they were counted.
        self._counted = self._marks.trimmed
        self._writer = Writer(link, self._reader, subject, last=last, exclusive=self._exclusive)
        self._problems_of_marks(last, known_position, max_lost_records)

    @property
    def link(self) -> Link:
        """The way to the servers."""
        return self._link

    def append(self, records: Sequence[NewRecord]) -> int:
        """Make all `records` durable in one commit, all or none; return the position of the last.

        Waits while the servers are away, as long as the link is patient.

        Raises:
            StoreError: the commit failed, now or earlier; nothing of it may be acknowledged, and the process must stop.
            UsageError: a record is too large or its rows are negative, or there are too many; nothing was written.
        """
        with self._write_lock:
            self._writable()
            self._refuse_odd(records)
            if not records:
                return self._writer.last
            before = self._writer.last
            try:
                last = self._link.call(self._writer.commit(records))
            except StoreError as error:
                self._failure = StoreError(error.message, mend=error.mend)
                raise
            if self._exclusive:
                with self._count_lock:
                    if self._counted[0] == before:
                        rows = sum(record.rows for record in records)
                        self._counted = (last, self._counted[1] + rows)
            return last

    def read(self, after: int, *, max_records: int, max_bytes: int) -> list[LogRecord]:
        """Records after position `after`, in order, at least one where there is one.

        Raises:
            Corrupt: the first record to be read is damaged or gone (`position` names it, go on after it).
            StoreError: the servers were away for longer than the link is patient.
        """
        self._open()
        found: list[LogRecord] = []
        size_bytes, expected = 0, max(after, 0) + 1
        for message in self._messages(expected, max_records, max_bytes):
            if found and (message.position != expected or size_bytes + len(message.payload) > max_bytes):
                break
            if not message.holds():
                if found:
                    break
                raise self._corrupt(message.position, f"record {message.position} {_damage(message)}")
            found.append(message.record())
            size_bytes += len(message.payload)
            expected = message.position + 1
        return found

    def skip_corrupt(self, position: int) -> int:
        """How many rows the damaged record at `position` stood for, as far as the log still knows (else 1)."""
        self._open()
        if position in self._gaps:
            return self._gaps.pop(position)
        message = self._persist_get(position)
        return message.rows() if message is not None else 1

    def last_position(self) -> int:
        """Position of the newest record; 0 when there was never one."""
        self._open()
        return self._writer.last if self._exclusive else self._ends().last

    def received_rows(self) -> int:
        """Rows of every record ever appended, trimmed ones too; what is gone or damaged counts as it is skipped."""
        self._open()
        with self._count_lock:
            last = self.last_position()
            while last > self._counted[0]:
                counted, received = self._count_from()
                received += self._rows(counted + 1, last)
                if self._count_from()[0] == counted:  # else it was trimmed meanwhile by another process
                    self._counted = (max(last, counted), received)
            return self._counted[1]

    def consumed(self, consumer: str) -> int:
        """The position up to which `consumer` needs nothing any more (0 when it is new)."""
        self._open()
        with self._marks_lock:
            if consumer not in self._unsaved:
                self._refresh_marks()
            return self._marks.consumed.get(consumer, 0)

    def set_consumed(self, consumer: str, position: int) -> None:
        """Note that `consumer` needs nothing up to `position` any more; an older position changes nothing.

        A consumer's first position is saved at once, so that no trim forgets it; later ones when they are `consumer_save_s` old.

        Raises:
            UsageError: the position is beyond the log, or there are too many consumers.
        """
        self._open()
        self._writable()
        last = self._writer.last
        if position > last and not self._exclusive:
            last = self.last_position()
        if not 0 <= position <= last:
            raise UsageError(
                f"{consumer} cannot have consumed {position}: the log ends at {last}.",
                mend="The consumer belongs to another log: restore both from the same back-up.",
            )
        with self._marks_lock:
            known = self._marks.consumed
            is_new = consumer not in known
            if is_new and (len(known) >= MAX_CONSUMERS or len(consumer) > MAX_CONSUMER_NAME_CHARS):
                raise UsageError(
                    f"A log has at most {MAX_CONSUMERS} consumers, named in {MAX_CONSUMER_NAME_CHARS} letters."
                )
            if position > known.get(consumer, -1):
                known[consumer] = self._unsaved[consumer] = position
            if is_new or self._link.clock.monotonic_s() - self._saved_at_s >= self._consumer_save_s:
                self._save_marks()

    def trim(self) -> int:
        """Delete records that no consumer needs, of all that ever left a mark; return how many went."""
        self._open()
        self._writable()
        with self._marks_lock:
            self._save_marks()
            self._refresh_marks()
            target = min(self._marks.consumed.values(), default=0)
            done, received = self._marks.trimmed
            ends = self._ends()
            if target < ends.first or target <= done:
                return 0
            received += self._rows(done + 1, target)
            self._link.call(self._marks_of.save_trimmed(target, received))
            self._marks.trimmed = (target, received)
        return self._purge(target)

    def check(self) -> list[Problem]:
        """Read everything and report what does not hold. Changes nothing; works beside a running writer.

        Place holders up to the trim mark are no problem: everybody is beyond them, and their rows are counted (`cluster.settling`).
        """
        self._open()
        marks = self._link.call(self._marks_of.load())
        mend = "It starts again from what the log still has; nothing is lost by that."
        problems = [
            Problem(f"{self.stream} consumer {name[:40]}", "its saved position is damaged", mend)
            for name in marks.damaged
        ]
        ends = self._ends()
        known = max([marks.trimmed[0], *marks.consumed.values()])
        if known > ends.last:
            problems.append(self._lost(ends.last + 1, known))
        return (problems + self._check_records(ends.first, ends.last, marks.trimmed[0]))[:DEFAULT_MAX_PROBLEMS]

    def close(self) -> None:
        """Save consumer positions and end the connection. A closed log raises StoreError at every call."""
        if self._closed:
            return
        has_lock = self._write_lock.acquire(timeout=_CLOSE_WAIT_S)
        try:
            self._closed = True
            if has_lock and self._failure is None and self._link.connected:
                with self._marks_lock:
                    self._save_marks()
        finally:
            if has_lock:
                self._write_lock.release()
            if self._close_link:
                self._link.close()

    def _messages(self, expected: int, max_records: int, max_bytes: int) -> list[Stored]:
        """Messages from `expected` on, or from where the log begins; the first is the next there is. Raises Corrupt."""
        known_last = self._writer.last

        async def attempt() -> list[Stored]:
            found = await self._reader.many(expected, max_records, max_bytes)
            if found and found[0].position == expected:
                return found
            if not found and known_last < expected:
                return []
            ends = await self._reader.ends()
            first = max(expected, ends.first)
            if first > ends.last:
                return []
            if found and found[0].position == first:
                return found
            following = await self._reader.next_from(first)
            if following is None:
                return []
            if following.position > first:
                self._gaps[following.position - 1] = following.position - first
                raise self._corrupt(following.position - 1, f"records {first} to {following.position - 1} are gone")
            return [following]

        return self._link.call(self._link.persist(attempt, what=f"{self.stream} cannot be read"))

    def _check_records(self, first: int, last: int, trimmed: int) -> list[Problem]:
        problems: list[Problem] = []
        batch = ""  # of a commit of several records whose last was not seen yet
        after = first - 1
        while after < last and len(problems) < DEFAULT_MAX_PROBLEMS:
            try:
                messages = self._messages(after + 1, _CHECK_RECORDS, _CHECK_BYTES)
            except Corrupt as error:
                problems.append(Problem(self.stream, error.message.partition(": ")[2].rstrip("."), MEND))
                after = error.position
                continue
            for message in messages:
                if message.position != after + 1 and after >= first:
                    break
                place = f"{self.stream} record {message.position}"
                if not message.holds() and not (message.position <= trimmed and _damage(message) == _GONE):
                    problems.append(Problem(place, _damage(message), MEND))
                its_batch = message.headers.get(BATCH_ID, "")
                if batch and its_batch != batch:
                    problems.append(Problem(place, "the commit before it is not whole", MEND))
                batch = "" if BATCH_COMMIT in message.headers else its_batch
                after = message.position
            if not messages:
                break
        return problems

    def _problems_of_marks(self, last: int, known_position: int, max_lost_records: int) -> None:
        """Name what the servers have lost since somebody knew of it; the writer takes its positions with place holders."""
        known = max([known_position, self._marks.trimmed[0], *self._marks.consumed.values()])
        if known <= last:
            return
        lost = self._lost(last + 1, known)
        self.problems_at_open = [lost]
        if not self._exclusive:
            return
        if known - last > max_lost_records:
            raise StoreError(f"{self.stream}: {lost.what}.", mend="Restore the servers' streams from a back-up.")
        self._link.call(self._writer.stand_in(known - last))

    def _lost(self, first: int, last: int) -> Problem:
        return Problem(self.stream, f"records {first} to {last} are gone: the servers end before them", MEND)

    def _ends(self) -> Ends:
        return self._link.call(self._link.persist(self._reader.ends, what=f"{self.stream} cannot be reached"))

    def _rows(self, first: int, upto: int) -> int:
        return self._link.call(
            self._link.persist(lambda: self._reader.rows(first, upto), what=f"{self.stream} cannot be counted")
        )

    def _count_from(self) -> tuple[int, int]:
        """Position and received rows up to it from which the rest can be counted: what was counted, or the last trim."""
        counted = self._counted
        if self._ends().first <= counted[0] + 1:
            return counted
        return max(counted, self._link.call(self._marks_of.load()).trimmed)

    def _persist_get(self, position: int) -> Stored | None:
        return self._link.call(
            self._link.persist(lambda: self._reader.get(position), what=f"{self.stream} cannot be read")
        )

    def _purge(self, upto: int) -> int:
        async def attempt() -> int:
            ends = await self._reader.ends()
            if ends.first > upto:
                return 0
            return int((await self._link.api(f"STREAM.PURGE.{self.stream}", {"seq": upto + 1}))["purged"])

        return self._link.call(self._link.persist(attempt, what=f"{self.stream} cannot be trimmed"))

    def _refresh_marks(self) -> None:
        """Read what others have saved; what waits here to be saved stays. The caller holds the marks' lock."""
        self._marks = self._link.call(self._marks_of.load())
        for consumer, position in self._unsaved.items():
            self._marks.consumed[consumer] = max(position, self._marks.consumed.get(consumer, 0))

    def _save_marks(self) -> None:
        """Save what waits; the caller holds the marks' lock."""
        if self._read_only:
            return
        for consumer, position in list(self._unsaved.items()):
            self._link.call(self._marks_of.save(consumer, position))
            if self._unsaved.get(consumer) == position:
                del self._unsaved[consumer]
        self._saved_at_s = self._link.clock.monotonic_s()

    def _refuse_odd(self, records: Sequence[NewRecord]) -> None:
        limit_bytes = min(self._max_record_bytes, self._link.max_payload_bytes)
        if len(records) > MAX_COMMIT_RECORDS:
            raise UsageError(
                f"{len(records)} records do not go into one commit.", mend=f"At most {MAX_COMMIT_RECORDS} do."
            )
        for record in records:
            if record.rows < 0 or len(record.payload) > limit_bytes:
                raise UsageError(
                    f"A record of {record.rows} rows and {len(record.payload)} bytes does not go into the log.",
                    mend=f"Split it: at most {limit_bytes} bytes.",
                )

    def _corrupt(self, position: int, what: str) -> Corrupt:
        return Corrupt(f"{self.stream}: {what}.", mend=MEND, position=position)

    def _open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.stream} is closed.", mend="Open it again.")

    def _writable(self) -> None:
        self._open()
        if self._failure is not None:
            raise StoreError(self._failure.message, mend=self._failure.mend)
        if self._read_only:
            raise StoreError(f"{self.stream} was opened for reading only.", mend="Open it as the writer.")


def _damage(message: Stored) -> str:
    claimed = message.claimed()
    return _GONE if claimed is not None and claimed[0] == 0 else "is damaged"
