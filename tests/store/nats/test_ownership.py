"""One worker a partition at a time, on real nats-servers: it dies, hangs, is stopped, lets go; the servers die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from model.errors import StoreError
from store.log.jetstream import JetStreamLog
from store.nats.holding import holding
from store.nats.ownership import DEFAULT_GROUP, DEFAULT_MAX_SILENCE_S, NotHeld, Partition
from store.nats.streams import Names
from store.nats.terms import Away
from tests.conftest import wait_until
from tests.nats import NatsCluster, NatsServer, link_to, names_of, open_jetstream_log
from tests.store.log.stress import numbered

PROJECT = Path(__file__).parents[3]
WORKER = Path(__file__).with_name("worker.py")
TTL_S = 1.0


@contextmanager
def fed(log: JetStreamLog) -> Iterator[None]:
    """Records keep coming, as ticks do."""
    stop = threading.Event()

    def feed() -> None:
        number = 1
        with suppress(StoreError):
            while not stop.wait(0.02):
                log.append([numbered(number)])
                number += 1

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def log(nats_server: NatsServer, tmp_path: Path) -> Iterator[JetStreamLog]:
    with closing(open_jetstream_log([nats_server.url], tmp_path)) as log, fed(log):
        yield log


@pytest.fixture
def partition(nats_server: NatsServer, tmp_path: Path, log: JetStreamLog) -> Iterator[Callable[..., Partition]]:
    """Makes workers of the log in this process."""
    names = names_of(tmp_path)
    made: list[Partition] = []
    links = []

    def make(worker: str, max_silence_s: float = DEFAULT_MAX_SILENCE_S) -> Partition:
        links.append(link_to([nats_server.url]))
        made.append(Partition(links[-1], names, names.alarms, worker=worker, ttl_s=TTL_S, max_silence_s=max_silence_s))
        return made[-1]

    yield make
    for one in made:
        one.close()
    for link in links:
        link.close()


class Worker:
    """A worker in a process of its own, and what it said."""

    def __init__(self, urls: list[str], folder: Path, name: str, ttl_s: float = TTL_S) -> None:
        command = [sys.executable, str(WORKER), ",".join(urls), str(folder), name, str(ttl_s)]
        self.process = subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE, text=True
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.strip())

    @property
    def epochs(self) -> list[int]:
        """Of each taking."""
        return [int(line.split()[1]) for line in self.said if line.startswith("took")]

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        self._reader.join()


@pytest.mark.soak
def test_one_at_a_time_and_passed_on_when_let_go(partition: Callable[..., Partition], log: JetStreamLog) -> None:
    first = partition("first")
    turn = first.wait(20)
    assert turn is not None
    second = partition("second")
    assert second.wait(3 * TTL_S) is None
    assert turn.held()
    turn.check()
    names = names_of_log(log)
    held = holding(log.link, names, log.stream)
    assert held is not None
    assert (held.worker, held.epoch) == ("first", turn.epoch)
    turn.give_back()
    assert turn.lost
    with pytest.raises(NotHeld, match="not held by first"):
        turn.check()
    after = second.wait(20)
    assert after is not None
    assert after.epoch > turn.epoch
    assert after.held()
    assert first.wait(3 * TTL_S) is None


def names_of_log(log: JetStreamLog) -> Names:
    return Names(log.stream.removesuffix("_alarms"))


def test_it_hears_of_records_and_lag_goes_by_what_is_done(
    partition: Callable[..., Partition], log: JetStreamLog
) -> None:
    turn = partition("one").wait(20)
    assert turn is not None
    position = turn.wait_beyond(0, 20)
    assert position > 0
    assert turn.wait_beyond(position, 20) > position

    def done_upto() -> int:
        """At most up to there: what came in since counts as lag."""
        newest = log.last_position()
        found = holding(log.link, names_of_log(log), log.stream)
        assert found is not None
        return newest - found.lag_records

    assert done_upto() < position
    turn.done(position)
    wait_until(lambda: done_upto() >= position, what="less lag")


@pytest.mark.soak
def test_a_worker_that_is_killed_is_followed_by_another(
    nats_server: NatsServer, tmp_path: Path, log: JetStreamLog
) -> None:
    workers = [Worker([nats_server.url], tmp_path, "w0")]
    try:
        for number in range(1, 4):
            last = workers[-1]
            wait_until(lambda last=last: last.epochs, what="a taking")  # type: ignore[misc] # a default binds it
            workers.append(Worker([nats_server.url], tmp_path, f"w{number}"))
            last.end()
        wait_until(lambda: workers[-1].epochs, what="the last taking")
        taken = [worker.epochs for worker in workers]
        assert all(len(epochs) == 1 for epochs in taken)
        assert sorted(taken) == taken  # each with a higher number than the one before
    finally:
        for worker in workers:
            worker.end()


def test_a_worker_that_was_stopped_finds_out_before_it_does_anything(
    nats_server: NatsServer, tmp_path: Path, log: JetStreamLog
) -> None:
    stopped = Worker([nats_server.url], tmp_path, "stopped")
    other = None
    try:
        wait_until(lambda: stopped.epochs, what="a taking")
        other = Worker([nats_server.url], tmp_path, "other")
        stopped.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: other.epochs, what="the other's taking")
        stopped.process.send_signal(signal.SIGCONT)
        wait_until(lambda: "lost" in stopped.said, what="its finding out")
        assert stopped.said[:3] == [f"took {stopped.epochs[0]}", "unsure", "lost"]
        assert other.epochs[0] > stopped.epochs[0]
        assert other.said == [f"took {other.epochs[0]}"]
    finally:
        stopped.end()
        if other is not None:
            other.end()


def test_a_worker_that_hangs_lets_go(partition: Callable[..., Partition]) -> None:
    turn = partition("hangs", max_silence_s=0.5).wait(20)
    assert turn is not None
    other = partition("other")
    after = other.wait(20)  # nobody calls for the first
    assert after is not None
    assert turn.lost
    assert after.epoch > turn.epoch


def test_who_lost_the_pin_asks_often_only_while_nobody_answers(own_nats_server: NatsServer, tmp_path: Path) -> None:
    names, urls = names_of(tmp_path), [own_nats_server.url]
    with (
        closing(open_jetstream_log(urls, tmp_path)) as log,
        closing(link_to(urls)) as link,
        closing(Partition(link, names, log.stream, worker="one", ttl_s=TTL_S)) as partition,
        closing(link_to(urls)) as listener,
    ):
        wait_until(lambda: log.append([numbered(1)]) and partition.wait(0.2), what="a taking")
        pulls: list[dict[str, Any]] = []

        async def listen() -> None:
            while True:
                with suppress(Away):
                    async with listener.inbox(f"$JS.API.CONSUMER.MSG.NEXT.{log.stream}.{DEFAULT_GROUP}") as (_, asked):
                        while True:
                            pulls.append(json.loads((await listener.next_of(asked)).data))
                await asyncio.sleep(0.01)

        end = listener.start(listen())
        wait_until(lambda: any("id" in pull for pull in pulls), what="a pull with a pin")
        own_nats_server.restart()
        # Nothing comes that could pin it again: what it sends without a pin is answered, and soon of the usual length.
        wait_until(lambda: [one["expires"] for one in pulls if "id" not in one][-2:] == [round(TTL_S / 3 * 1e9)] * 2)
        end()


def test_it_stays_where_it_is_when_a_server_starts_again(own_nats_server: NatsServer, tmp_path: Path) -> None:
    urls = [own_nats_server.url]
    with closing(open_jetstream_log(urls, tmp_path)) as log, fed(log):
        workers = [Worker(urls, tmp_path, "holder", 2.0)]
        try:
            wait_until(lambda: workers[0].epochs, what="a taking")
            workers.append(Worker(urls, tmp_path, "other", 2.0))
            own_nats_server.restart()
            wait_until(lambda: any(line.startswith("held") for line in workers[0].said), what="its coming back")
            assert workers[0].said[0].startswith("took")
            assert "lost" not in workers[0].said
            assert workers[1].said == []
        finally:
            for worker in workers:
                worker.end()


@pytest.mark.soak
def test_the_leader_of_three_killed_moves_nothing(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    with closing(open_jetstream_log(nats_cluster.urls, tmp_path, replicas=3)) as log, fed(log):
        workers = [Worker(nats_cluster.urls, tmp_path, "holder", 3.0)]
        try:
            wait_until(lambda: workers[0].epochs, what="a taking")
            workers.append(Worker(nats_cluster.urls, tmp_path, "other", 3.0))
            leader = nats_cluster.leader_of(log.stream)
            assert leader is not None
            leader.kill()
            before = log.last_position()
            wait_until(lambda: log.last_position() > before + 20, timeout_s=60, what="records again")
            wait_until(
                lambda: any("took" in w.said[-1] or "held" in w.said[-1] for w in workers if w.said),
                timeout_s=60,
                what="a holder again",
            )
            assert sum(1 for worker in workers if worker.said and worker.said[-1].split()[0] in {"took", "held"}) == 1
        finally:
            for worker in workers:
                worker.end()


def test_a_record_of_ones_own_whose_answer_was_lost_is_nobody_elses_taking(
    nats_server: NatsServer, tmp_path: Path, log: JetStreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = names_of(tmp_path)
    link = link_to([nats_server.url])
    partition = Partition(link, names, names.alarms, worker="first", ttl_s=TTL_S)
    turn = partition.wait(20)
    assert turn is not None
    before, publish, lost = turn.epoch, link.publish, threading.Event()

    async def deaf(messages: Any, **options: Any) -> Any:
        answer = await publish(messages, **options)
        if not lost.is_set():
            lost.set()
            raise Away("the answer was lost")
        return answer

    monkeypatch.setattr(link, "publish", deaf)
    # the servers forget the pin: it has to be written again
    link.call(link.api(f"CONSUMER.UNPIN.{log.stream}.{DEFAULT_GROUP}", {"group": DEFAULT_GROUP}))
    wait_until(lambda: lost.is_set() and turn.epoch > before and turn.held(), what="the turn to go on")
    assert turn.epoch == before + 2
    assert not turn.lost
    partition.close()
    link.close()
