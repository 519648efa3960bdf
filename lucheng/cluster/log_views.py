"""The streams as the operations of a process see them: how much there is, and whether it holds. Nothing is written here.

Invariants: no connection is made before something is asked, so a command that asks nothing of the log needs no servers. What
positions of many streams mean together is their sum: how many records there ever were.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from lucheng.nats_choice import open_link
from model.errors import UsageError
from model.seams import LogRecord, NewRecord, Problem
from store.log.jetstream import JetStreamLog
from store.nats.streams import Names

if TYPE_CHECKING:
    from config.sections import Settings
    from model.clock import Clock
    from store.nats.link import Link

_MEND = "Ask one of the cluster's processes, or the streams by their own names."


class StreamsView:
    """Some streams, to be looked at; `model.seams.Log` as far as that goes.

    Args:
        link: made at the first question.
        names: what they are called.
        streams: their names and subjects.
    """

    def __init__(self, link: Callable[[], Link], names: Names, streams: Sequence[tuple[str, str]]) -> None:
        self._link = link
        self._names = names
        self._streams = streams
        self._lock = threading.Lock()
        self._opened: list[JetStreamLog] = []

    @property
    def problems_at_open(self) -> list[Problem]:
        """What was found missing when they were opened."""
        return [problem for log in self._opened for problem in log.problems_at_open]

    def _logs(self) -> list[JetStreamLog]:
        with self._lock:
            if not self._opened:
                self._opened = [
                    JetStreamLog(
                        self._link(), self._names, stream, subject, exclusive=False, read_only=True, close_link=False
                    )
                    for stream, subject in self._streams
                ]
            return self._opened

    def append(self, records: Sequence[NewRecord]) -> int:
        """Never. Raises UsageError."""
        del records
        raise UsageError("The streams are only looked at here.", mend=_MEND)

    def read(self, after: int, *, max_records: int, max_bytes: int) -> list[LogRecord]:
        """Of one stream alone. Raises UsageError where there are more."""
        return self._only().read(after, max_records=max_records, max_bytes=max_bytes)

    def skip_corrupt(self, position: int) -> int:
        """Of one stream alone. Raises UsageError where there are more."""
        return self._only().skip_corrupt(position)

    def _only(self) -> JetStreamLog:
        if len(self._streams) != 1:
            raise UsageError("These are several streams.", mend=_MEND)
        return self._logs()[0]

    def last_position(self) -> int:
        """How many records there ever were."""
        return sum(log.last_position() for log in self._logs())

    def received_rows(self) -> int:
        """Rows of every record ever appended."""
        return sum(log.received_rows() for log in self._logs())

    def consumed(self, consumer: str) -> int:
        """What `consumer` needs no more, of all of them."""
        return sum(log.consumed(consumer) for log in self._logs())

    def set_consumed(self, consumer: str, position: int) -> None:
        """Never. Raises UsageError."""
        del consumer, position
        raise UsageError("The streams are only looked at here.", mend=_MEND)

    def trim(self) -> int:
        """Never: 0."""
        return 0

    def check(self) -> list[Problem]:
        """Read everything and report what does not hold."""
        return [problem for log in self._logs() for problem in log.check()]

    def close(self) -> None:
        """Nothing is held open but the link, which is another's."""


class LogViews:
    """Both logs of the cluster on one connection.

    Args:
        settings: section `nats`.
        clock: of the connection.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._made: Link | None = None
        self._lock = threading.Lock()
        names = self._names = Names(settings.nats.prefix)
        points = [
            (names.points(partition), names.partition_subject(partition))
            for partition in range(settings.nats.partitions)
        ]
        self.points = StreamsView(lambda: self.link, names, points)
        self.alarms = StreamsView(lambda: self.link, names, [(names.alarms, names.alarms_subject)])

    @cached_property
    def link(self) -> Link:
        """The connection. Raises as `open_link`."""
        with self._lock:
            if self._made is None:
                self._made = open_link(self._settings, self._clock, "lucheng-views")
            return self._made

    def close(self) -> None:
        """End the connection, if there is one."""
        with self._lock:
            if self._made is not None:
                self._made.close()
