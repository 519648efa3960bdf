"""One partition in one process: standing by until it is ours, then its pipeline, until it is somebody else's.

Invariants: what is remembered of a partition is made anew at every taking, from its snapshot and its log, and dropped when it is
lost; nothing is written by a worker that is not certain to hold it (`held.Sure`), and what was under way in that moment has an
epoch (series, snapshots) or an id (signals) by which it is refused or known. A store that fails ends the process, as ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lucheng.ahead import Ahead
from lucheng.app import ahead, pipeline
from lucheng.cluster.held import HeldLog, Sure
from lucheng.logs import logger
from lucheng.runner import Runner, RunnerLimits
from model.errors import Fenced, TryAgain
from store.nats.ownership import NotHeld

if TYPE_CHECKING:
    from lucheng.job_tally import JobTally
    from lucheng.steps import Steps
    from model.clock import Clock
    from model.seams import Log
    from store.nats.ownership import Partition, Turn
    from store.series.door import Series

#: How long nothing is waited for at a time.
_IDLE_S = 0.2
#: Records that are worth a step at once.
_BEHIND_RECORDS = 64
#: How long a chore gets to end.
_CHORE_S = 2.0

_log = logger(__name__)


class Chore(Protocol):
    """What is done while something is held, between `start` and `stop`."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self, *, drain_s: float) -> None:
        """End."""
        ...


class Means(Protocol):
    """What a partition's worker is made of."""

    def stand_by(self, partition: int) -> Partition:
        """Pull for it from now on."""
        ...

    def log(self, partition: int) -> Log:
        """Its log; closed by the worker."""
        ...

    def series(self, partition: int, turn: Turn) -> Series:
        """The store for who holds it by `turn`, and of its states; closed by the worker."""
        ...

    def steps(self, partition: int, series: Series, sure: Sure) -> Steps:
        """Its stages, with nothing remembered."""
        ...

    def chores(self, partition: int, held: Held) -> list[Chore]:
        """What else is done for it while it is held."""
        ...


@dataclass(slots=True)
class Held:
    """A partition while it is held.

    Attributes:
        turn: by which it is held. log, steps, runner, series: its own.
        end_at_start: where the log ended when it was taken.
        recovered_s: how long snapshot and replay took.
    """

    turn: Turn
    log: HeldLog
    steps: Steps
    runner: Runner
    series: Series
    end_at_start: int
    recovered_s: float = 0.0

    @property
    def caught_up(self) -> bool:
        """Whether what was in the log at the taking is done."""
        return self.runner.position >= self.end_at_start


class PartitionWorker:
    """See the module; its thread begins with `start`.

    Args:
        partition: its number.
        means: what it is made of.
        clock: source of time.
        on_fatal: called once when a store failed.
        on_change: called whenever it was taken or let go.
        on_retained: told how many rows went because their time was over.
        on_job: told what became of rows of files, see `Runner`.
        limits: of the runner.
        may_wait: whether the store may have to wait for a server, so that alarms go on ahead of it.
        gather_s: how long points that press nobody are gathered between two steps.
    """

    def __init__(
        self,
        partition: int,
        means: Means,
        clock: Clock,
        *,
        on_fatal: Callable[[BaseException], None],
        on_change: Callable[[], None] = lambda: None,
        on_retained: Callable[[int], object] = lambda _rows: None,
        on_job: Callable[[bytes, JobTally], None] | None = None,
        limits: RunnerLimits | None = None,
        may_wait: bool = False,
        gather_s: float = 0.0,
    ) -> None:
        self._gather_s = gather_s
        self.number = partition
        self._means = means
        self._clock = clock
        self._on_fatal = on_fatal
        self._on_change = on_change
        self._on_retained = on_retained
        self._on_job = on_job
        self._limits = limits or RunnerLimits()
        self._may_wait = may_wait
        self._wanted = threading.Event()
        self._give_back = threading.Event()
        self._stop = threading.Event()
        self._partition: Partition | None = None
        self._turn: Turn | None = None
        self._thread = threading.Thread(target=self._loop, name=f"partition-{partition}", daemon=True)
        #: The partition while it is ours and recovered.
        self.held: Held | None = None
        #: When it was taken, UTC ms; 0 while it is not ours.
        self.since_ms = 0
        self.taken = self.lost = 0

    @property
    def unsure(self) -> bool:
        """Whether it is ours, but not certainly: the servers say whose it is when a record comes."""
        turn = self._turn
        return turn is not None and not (turn.certain or turn.lost)

    def start(self) -> None:
        """Do what `stand_by` says, until `stop`."""
        self._thread.start()

    def stand_by(self, *, on: bool) -> None:
        """Whether to pull for it; one that is held is kept."""
        if on:
            self._wanted.set()
        else:
            self._wanted.clear()

    def give_back(self) -> None:
        """Let go in good order, if it is held."""
        if self.held is not None:
            self._give_back.set()

    def ask_to_stop(self) -> None:
        """Let go in good order and stand by no more; `stop` waits for it."""
        self._stop.set()

    def stop(self, *, drain_s: float) -> bool:
        """The same, and wait; whether it has ended in time."""
        self._stop.set()
        self._thread.join(drain_s)
        if self._thread.is_alive() and self.held is not None:
            self.held.series.stop_waiting()
            self._thread.join(drain_s)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._wanted.is_set():
                    self._stand_aside()
                    self._stop.wait(_IDLE_S)
                    continue
                if self._partition is None:
                    self._partition = self._means.stand_by(self.number)
                turn = self._partition.wait(_IDLE_S)
                if turn is not None:
                    self._work(turn)
            self._stand_aside()
        except BaseException as error:
            _log.error("partition stopped", partition=self.number, error=str(error), exc_info=True)
            self._on_fatal(error)

    def _stand_aside(self) -> None:
        if self._partition is not None:
            self._partition.close()
            self._partition = None

    def _work(self, turn: Turn) -> None:
        """From taking to losing."""
        self.taken += 1
        self._turn, self.since_ms = turn, turn.since_ms
        self._give_back.clear()
        try:
            with ExitStack() as stack:
                held = self._take(turn, stack)
                for chore in self._means.chores(self.number, held):
                    chore.start()
                    stack.callback(chore.stop, drain_s=_CHORE_S)
                self.held = held
                self._on_change()
                self._run(held)
        except (NotHeld, Fenced) as error:
            _log.warning("partition lost", partition=self.number, epoch=turn.epoch, reason=error.message)
        except TryAgain:
            if not (turn.lost or self._stop.is_set()):
                raise
        finally:
            self.held, self._turn, self.since_ms = None, None, 0
            self.lost += 1
            turn.give_back()
            self._on_change()

    def _take(self, turn: Turn, stack: ExitStack) -> Held:
        began_s = self._clock.monotonic_s()
        sure = Sure(turn, self._stop)
        log = self._means.log(self.number)
        stack.callback(log.close)
        series = self._means.series(self.number, turn)
        stack.callback(series.close)
        stack.callback(series.stop_waiting)
        steps = self._means.steps(self.number, series, sure)
        watched = HeldLog(log, turn, sure)
        if self._may_wait:
            steps.ahead = Ahead(steps, ahead, watched, self._clock, max_step_rows=self._limits.max_step_rows)
            stack.callback(steps.ahead.close)
        runner = Runner(
            pipeline(steps),
            steps,
            watched,
            series,
            self._clock,
            on_retained=self._on_retained,
            on_job=self._on_job,
            limits=self._limits,
        )
        replayed = runner.recover()
        held = Held(turn, watched, steps, runner, series, log.last_position(), self._clock.monotonic_s() - began_s)
        _log.info(
            "partition taken",
            partition=self.number,
            epoch=turn.epoch,
            position=runner.position,
            end=held.end_at_start,
            replayed=replayed,
            seconds=round(held.recovered_s, 3),
        )
        return held

    def _gather(self, held: Held, until_s: float) -> None:
        """Wait for more to do in one step, as long as nothing presses; not while there is more than a step to do."""
        seen = held.runner.position
        while (left_s := until_s - self._clock.monotonic_s()) > 0:
            newest = held.turn.wait_beyond(seen, min(left_s, _IDLE_S))
            if held.turn.lost or self._stop.is_set() or self._give_back.is_set():
                return
            if newest > seen:
                if newest - held.runner.position > _BEHIND_RECORDS or held.log.presses(held.runner.position):
                    return
                seen = newest

    def _run(self, held: Held) -> None:
        turn, runner = held.turn, held.runner
        while not (turn.lost or self._stop.is_set() or self._give_back.is_set()):
            began_s = self._clock.monotonic_s()
            ran = runner.run_once()
            turn.done(runner.position)
            runner.keep_house()
            if ran:
                self._gather(held, began_s + self._gather_s)
            else:
                turn.wait_beyond(runner.position, _IDLE_S)
        if turn.held():
            runner.snapshot()  # whoever comes next has nothing to replay
            turn.done(runner.position)
        _log.info("partition let go", partition=self.number, epoch=turn.epoch, position=runner.position)
