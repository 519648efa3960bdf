"""The role `analyze`: a worker for each partition, and once a second the rule by which they spread over processes.

Invariants: it writes nothing of a partition that it does not hold; who holds one is the servers' pin, here it is only said
who pulls (`spread`). It ends in good order: snapshots, then lets go, so that the others have nothing to replay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lucheng.cluster.roles import Role
from lucheng.cluster.seconds import Said, Seconds
from lucheng.cluster.spread import Other, standing
from lucheng.cluster.worker import Held, Means, PartitionWorker
from lucheng.logs import logger
from lucheng.runner import RunnerLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.sections import Settings
    from lucheng.cluster.nodes import Node, Registration
    from lucheng.cluster.parting import Parts
    from lucheng.job_tally import JobTally
    from model.clock import Clock
    from store.nats.streams import Names

#: A free partition is left to others for so many times `nats.take_over_s`.
LATE_TAKE_OVERS = 2

_log = logger(__name__)


class Analyze:
    """The role.

    Args:
        name: of this process.
        settings: sections `nats` and `cluster`.
        names: what the streams are called.
        means: what a partition's worker is made of.
        parts: the partitions, to be appended to.
        clock: source of time.
        registration: who is there.
        says: what registry and desk say, see `Seconds`.
        on_fatal: called once when a store failed.
        on_retained: told how many rows went because their time was over.
        on_job: told what became of rows of files, see `Runner`.
        limits: of each runner.
        may_wait: whether the store may have to wait for a server.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        names: Names,
        means: Means,
        parts: Parts,
        clock: Clock,
        *,
        registration: Registration,
        says: Callable[[], Said],
        on_fatal: Callable[[BaseException], None],
        on_retained: Callable[[int], object] = lambda _rows: None,
        on_job: Callable[[bytes, JobTally], None] | None = None,
        limits: RunnerLimits | None = None,
        may_wait: bool = False,
    ) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock
        self._registration = registration
        self._streams = {names.points(partition): partition for partition in range(parts.count)}
        self._free_since_s: dict[int, float] = {}
        self._woken_s: dict[int, float] = {}
        self._unsure: set[int] = set()
        self.workers = [
            PartitionWorker(
                partition,
                means,
                clock,
                on_fatal=on_fatal,
                on_change=registration.now,
                on_retained=on_retained,
                on_job=on_job,
                limits=limits,
                may_wait=may_wait,
                gather_s=settings.cluster.gather_ms / 1000,
            )
            for partition in range(parts.count)
        ]
        self._seconds = Seconds(
            parts,
            clock,
            held=self.held,
            free=self._to_wake,
            nodes=registration.nodes,
            says=says,
            look=self._look,
            on_fatal=on_fatal,
        )

    def start(self) -> None:
        """Stand by."""
        for worker in self.workers:
            worker.start()
        self._seconds.start()

    def stop(self, *, drain_s: float) -> None:
        """Let go of everything in good order."""
        self._seconds.stop()
        for worker in self.workers:
            worker.ask_to_stop()
        for worker in self.workers:
            if not worker.stop(drain_s=drain_s):
                _log.warning("partition not let go in time", partition=worker.number)

    def held(self) -> Mapping[int, Held]:
        """What this process holds, by partition."""
        return {worker.number: held for worker in self.workers if (held := worker.held) is not None}

    def holds(self) -> dict[str, int]:
        """Streams of those, and since when, for `Node`."""
        since = {worker.number: worker.since_ms for worker in self.workers if worker.since_ms}
        return {stream: since[partition] for stream, partition in self._streams.items() if partition in since}

    def live_values(self) -> dict[str, float]:
        """State by name, for `status` and the metrics."""
        held = self.held()
        return {
            "cluster_partitions_held": len(held),
            "cluster_partitions_taken": sum(worker.taken for worker in self.workers),
            "cluster_partitions_lost": sum(worker.lost for worker in self.workers),
            "cluster_take_over_s": round(max((one.recovered_s for one in held.values()), default=0.0), 3),
            "cluster_facts_written": self._seconds.facts,
            "lag_ms": max((one.runner.lag_ms for one in held.values()), default=0),
        }

    def _look(self) -> None:
        """Stand by for what the rule says, and note what nobody holds."""
        nodes = self._registration.nodes()
        mine = {worker.number for worker in self.workers if worker.since_ms}
        now_s = self._clock.monotonic_s()
        others = None if nodes is None else self._others(nodes)
        self._unsure = {worker.number for worker in self.workers if worker.unsure} if others is not None else set()
        taken = {partition for other in others or () for partition in other.holds} | mine
        for partition in range(len(self.workers)):
            if partition in taken or others is None:
                self._free_since_s.pop(partition, None)
                if partition not in self._unsure:
                    self._woken_s.pop(partition, None)
            else:
                self._free_since_s.setdefault(partition, now_s)
        free_s = {partition: now_s - since_s for partition, since_s in self._free_since_s.items()}
        late_s = LATE_TAKE_OVERS * self._settings.nats.take_over_s
        found = standing(len(self.workers), mine, others, free_s, late_s)
        for worker in self.workers:
            worker.stand_by(on=worker.number in found.by)
        if found.give_back is not None:
            self.workers[found.give_back].give_back()

    def _others(self, nodes: Sequence[Node]) -> list[Other]:
        settle_ms = self._settings.cluster.settle_s * 1000
        return [
            Other(
                frozenset(self._streams[stream] for stream in node.holds if stream in self._streams),
                node.now_ms - node.since_ms >= settle_ms,
            )
            for node in nodes
            if Role.ANALYZE in node.roles and node.name != self._name
        ]

    def _to_wake(self) -> list[int]:
        """Partitions that nobody holds, or this process without being certain, and that nobody here has woken lately."""
        now_s = self._clock.monotonic_s()
        every_s = self._settings.nats.take_over_s
        asleep = self._unsure.union(self._free_since_s)
        found = [one for one in sorted(asleep) if now_s - self._woken_s.get(one, float("-inf")) >= every_s]
        self._woken_s.update(dict.fromkeys(found, now_s))
        return found
