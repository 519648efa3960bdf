"""Alarms go on while the time-series store waits for its server: what the log says is judged ahead of the store.

The pipeline hands its calls of the store to a thread of their own and waits for the answer here. When that takes longer than
`patience_s`, a copy of its state goes on through the log with the stages of `app.ahead`: all that judge, none that asks or
writes the store. So a taxi's panic button rings during an outage, and while an hour's log is caught up with.

Invariants: it runs on the pipeline's own thread, so the state is copied when nobody moves it; what it hands to the desk has the
ids that the pipeline gives later, so everything is on the desk once (`store.desk.taking`); it moves no position and keeps
nothing: after a crash the log says the same again. What only the store can decide, whether a late point is known, waits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

from lucheng.grouping import grouped
from lucheng.logs import logger
from lucheng.steps import Stage, Steps, Work
from model.errors import Corrupt

if TYPE_CHECKING:
    from model.clock import Clock
    from model.seams import Log

Answer = TypeVar("Answer")

DEFAULT_PATIENCE_S = 0.5
#: How often it looks at the log, seconds: an alarm waits for so long at most.
DEFAULT_EVERY_S = 0.05
DEFAULT_MAX_STEP_ROWS = 32_768
DEFAULT_MAX_READ_RECORDS = 256
DEFAULT_MAX_READ_BYTES = 8 << 20

_log = logger(__name__)


class Ahead:
    """See the module. Everything but `close` is called from the pipeline's thread.

    Args:
        steps: the pipeline's.
        stages: `app.ahead`.
        log: the points' log.
        clock: for how often it looks.
        patience_s: how long the store may take before alarms go on without it.
        every_s: how often the log is looked at from then on.
        max_step_rows: rows of one step.
        max_read_records, max_read_bytes: what is read of the log at a time.
    """

    def __init__(
        self,
        steps: Steps,
        stages: Callable[[Steps], Sequence[Stage]],
        log: Log,
        clock: Clock,
        *,
        patience_s: float = DEFAULT_PATIENCE_S,
        every_s: float = DEFAULT_EVERY_S,
        max_step_rows: int = DEFAULT_MAX_STEP_ROWS,
        max_read_records: int = DEFAULT_MAX_READ_RECORDS,
        max_read_bytes: int = DEFAULT_MAX_READ_BYTES,
    ) -> None:
        self._steps = steps
        self._make_stages = stages
        self._log = log
        self._clock = clock
        self._patience_s = patience_s
        self._every_s = every_s
        self._max_step_rows = max_step_rows
        self._max_read_records = max_read_records
        self._max_read_bytes = max_read_bytes
        self._stages: Sequence[Stage] = ()
        self._looked_s = float("-inf")
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work_off, name="series", daemon=True)
        self._thread.start()
        #: Up to which position of the log alarms are told; 0 while the pipeline itself is ahead.
        self.position = 0
        #: The position up to which the pipeline is.
        self._behind = 0

    def close(self) -> None:
        """End the thread, when what it waits for has ended."""
        self._calls.put(None)

    def during(self, work: Work | None, call: Callable[[], Answer]) -> Answer:
        """What `call` returns or raises; alarms go on meanwhile. `work` is what the pipeline is at, its rules judged."""
        future: Future[Answer] = Future()
        self._calls.put((future, call))
        pause_s = self._every_s if self.position else self._patience_s
        while not wait([future], pause_s).done:
            if not self.position:
                self._begin(work)
            self._go_on(future.done)
            pause_s = self._every_s
        return future.result()

    def behind(self, position: int) -> None:
        """The pipeline has come to `position`: go on with what is new, until it has caught up."""
        self._behind = position
        if not self.position:
            return
        if position >= self.position:
            _log.info("alarms are told by the pipeline again", position=position)
            self.forget()
            return
        if self._clock.monotonic_s() - self._looked_s >= self._every_s:
            self._go_on(lambda: False)

    def forget(self) -> None:
        """Drop the copy: the pipeline has caught up, or recovers."""
        self.position, self._stages = 0, ()

    def _work_off(self) -> None:
        while True:
            asked = self._calls.get()
            if asked is None:
                return
            future, call = asked
            try:
                future.set_result(call())
            except BaseException as error:  # it is the asker's
                future.set_exception(error)

    def _begin(self, work: Work | None) -> None:
        copy = self._steps.anew()
        copy.restore(self._steps.save())
        self._stages = self._make_stages(copy)
        self.position = self._behind if work is None else work.position
        if work is not None:
            self._steps.tell(work)
        _log.warning("the store keeps the pipeline waiting; alarms are told ahead of it", position=self.position)

    def _go_on(self, enough: Callable[[], bool]) -> None:
        """Judge what the log holds beyond, step by step, until `enough`."""
        self._looked_s = self._clock.monotonic_s()
        while not enough():
            try:
                records = self._log.read(
                    self.position, max_records=self._max_read_records, max_bytes=self._max_read_bytes
                )
            except Corrupt as error:
                if error.position <= self.position:
                    return  # the pipeline says so when it comes there
                self.position = error.position
                continue
            if not records:
                return
            for group in grouped(records, self._max_step_rows):
                work = Work(group, group[-1].position)
                for stage in self._stages:
                    stage.run(work)
                self._steps.note_heard(work)
                self.position = work.position
                if enough():
                    return
