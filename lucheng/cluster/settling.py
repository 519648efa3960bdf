"""`lucheng cluster settle`: makes streams, series and desk agree after a restore, or after nats-servers that were set back.

The desk and the series say up to where they have read each stream. Where a stream ends before that, what is written next would be
taken for known: workers and the desk refuse to begin (`StoreError`), and so nothing is lost in silence, but nothing works either.
Here the positions that are gone are taken by place holders, the rows that the series have counted of them stay counted, and holders'
numbers begin again. What ingestors may have written into a stream that was set back, at positions that count as read, is appended once more
behind them: points and alarms are known by themselves, so those that were read before are duplicates.

Invariants: nobody works meanwhile (the table of nodes is asked); nothing is deleted; it may be broken off at any moment and called again; when
it is through, another call finds nothing to do. What was only in the lost part of a stream is lost: it is named, with positions.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lucheng.cluster.backup import refuse_while_running
from lucheng.cluster.series import is_shared
from lucheng.nats_choice import open_link, prepare
from lucheng.rooms import open_rooms, operating_system_user
from model.clock import Clock, SystemClock
from model.errors import Corrupt
from model.seams import NewRecord, RecordKind
from store.log.jetstream import JetStreamLog
from store.nats.marks import MarksOf
from store.nats.reading import Reader
from store.nats.streams import Names

if TYPE_CHECKING:
    from config.sections import Settings
    from lucheng.rooms import Rooms
    from model.seams import Totals
    from store.nats.link import Link

#: Records of one stream that are made up for at most: a month of one partition's ticks and points.
DEFAULT_MAX_LOST_RECORDS = 20_000_000
#: What is appended once more: what is known by itself, however often it comes.
_AGAIN = frozenset({RecordKind.POINTS, RecordKind.ALARM})
#: Read and appended at a time.
_STEP_RECORDS = 256
_STEP_BYTES = 4 << 20
#: What is to be appended once more, in the data folder until it is.
FOLDER = "settling"


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one stream.

    Attributes:
        stream: its name. known: up to where its reader has read it; ended: where it ended before; lost: records made up for.
        again: records that were appended once more.
    """

    stream: str
    known: int
    ended: int
    lost: int
    again: int


def settle(
    data_dir: Path,
    settings: Settings,
    *,
    clock: Clock | None = None,
    max_lost_records: int = DEFAULT_MAX_LOST_RECORDS,
) -> list[Settled]:
    """See the module; every stream of the city, in order.

    Args:
        data_dir: any process' data folder.
        settings: all of them.
        clock: source of time.
        max_lost_records: of one stream; beyond it nothing is done.

    Raises:
        Conflict: a process runs. StoreError: a stream lost more than that; the stores cannot be read.
    """
    now = clock or SystemClock()
    names = Names(settings.nats.prefix)
    with ExitStack() as stack:
        link = open_link(settings, now, "lucheng-settle")
        stack.callback(link.close)
        refuse_while_running(link, settings)
        prepare(settings, link)
        rooms = stack.enter_context(open_rooms(data_dir, settings, write=True, clock=now))
        known = rooms.desk.position(names.alarms)
        folder = data_dir / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        alarms = _Stream(link, names, names.alarms, names.alarms_subject, folder / names.alarms, max_lost_records)
        found = [alarms.settle(known, None)]
        for partition, totals in _series(rooms, settings).items():
            name, subject = names.points(partition), names.partition_subject(partition)
            stream = _Stream(link, names, name, subject, folder / name, max_lost_records)
            found.append(stream.settle(totals.position, _counted(totals)))
        if is_shared(settings) and rooms.database is not None:
            from store.series.influx.ledgers import NAME, forget_epochs  # noqa: PLC0415 a second of imports

            forget_epochs(rooms.database.place(NAME))
        told = " ".join(f"{one.stream}:{one.lost}" for one in found if one.lost) or "0"
        rooms.audit.append(operating_system_user(), "cli", "cluster.settle", told[:200], "", {"via": "process"})
    return found


class _Stream:
    """One stream that is settled; `kept` is the file of what is to be appended once more."""

    def __init__(self, link: Link, names: Names, stream: str, subject: str, kept: Path, max_lost_records: int) -> None:
        self._link, self._names, self._stream, self._subject = link, names, stream, subject
        self._kept = kept
        self._max_lost_records = max_lost_records

    def settle(self, known: int, counted: int | None) -> Settled:
        """Let it end at `known` or later; `counted` rows of it up to there are accounted for, None: those that it has."""
        ends = self._link.call(Reader(self._link, self._stream).ends())
        lost = 0
        if ends.last < known:
            if not self._kept.exists():
                self._keep(ends.first, ends.last)
            log = self._open(known)  # which takes the missing positions
            lost = log.last_position() - ends.last
            rows = log.received_rows() if counted is None else counted
            log.close()
            # everybody is beyond them: they count as trimmed, whenever that will be
            self._link.call(MarksOf(self._link, self._names, self._stream).save_trimmed(known, rows))
        return Settled(self._stream, known, ends.last, lost, self._append_again())

    def _open(self, known: int = 0) -> JetStreamLog:
        return JetStreamLog(
            self._link,
            self._names,
            self._stream,
            self._subject,
            close_link=False,
            known_position=known,
            max_lost_records=self._max_lost_records,
        )

    def _keep(self, first: int, last: int) -> None:
        """Write what is there now into the file, whole or not at all."""
        log = JetStreamLog(
            self._link, self._names, self._stream, self._subject, exclusive=False, read_only=True, close_link=False
        )
        new = self._kept.with_suffix(".new")
        encoder = msgspec.msgpack.Encoder()
        with new.open("wb") as file:
            position = first - 1
            while position < last:
                try:
                    records = log.read(position, max_records=_STEP_RECORDS, max_bytes=_STEP_BYTES)
                except Corrupt as error:
                    position = max(error.position, position + 1)
                    continue
                if not records:
                    break
                for record in records:
                    if record.kind in _AGAIN:
                        line = encoder.encode((int(record.kind), record.rows, bytes(record.payload)))
                        file.write(len(line).to_bytes(4, "big") + line)
                position = records[-1].position
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._kept)
        log.close()

    def _append_again(self) -> int:
        """Append what the file holds, then take it away; broken off, all of it comes again."""
        if not self._kept.exists():
            return 0
        log = self._open()
        done = 0
        step: list[NewRecord] = []
        decoder = msgspec.msgpack.Decoder(tuple[int, int, bytes])
        with self._kept.open("rb") as file:
            while head := file.read(4):
                kind, rows, payload = decoder.decode(file.read(int.from_bytes(head, "big")))
                step.append(NewRecord(RecordKind(kind), rows, payload))
                if len(step) >= _STEP_RECORDS or sum(len(one.payload) for one in step) >= _STEP_BYTES:
                    log.append(step)
                    done += len(step)
                    step = []
        if step:
            log.append(step)
            done += len(step)
        log.close()
        self._kept.unlink()
        return done


def _series(rooms: Rooms, settings: Settings) -> dict[int, Totals]:
    """What the series of each partition have counted; of those that were ever held."""
    if not is_shared(settings):
        return {0: rooms.series.totals()}
    from lucheng.series_choice import server_of  # noqa: PLC0415 as above
    from store.series.influx import state  # noqa: PLC0415 as above
    from store.series.influx.connection import Connection  # noqa: PLC0415 as above

    connection = Connection(server_of(settings))
    try:
        taken = state.load_partitions(connection)
    finally:
        connection.close()
    return {partition: state.totals(taken[partition].counters) for partition in sorted(taken)}


def _counted(totals: Totals) -> int:
    """Rows of the log that are accounted for, as `lucheng.runner` counts them."""
    return totals.stored + totals.duplicate + sum(totals.quarantined.values()) + totals.gauges.get("expired", 0)
