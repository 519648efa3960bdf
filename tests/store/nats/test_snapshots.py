"""Snapshots in the servers' object store: the suite; holders that are late; writers and servers killed in the middle; damage."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nats
import pytest

from model.errors import Corrupt, Fenced, Refused, StoreError, UsageError
from store.nats.link import Link
from store.nats.snapshots import ObjectSnapshots
from store.nats.streams import made, object_stream
from store.nats.terms import Message, Patience
from tests.conftest import wait_until
from tests.nats import NatsCluster, NatsServer, link_to, names_of
from tests.store.nats.putter import state_of
from tests.store.snapshots_conformance import LARGE, ForgetsSnapshots

MIB = 1 << 20
PARTITION = 3


class Opening:
    """Opens keepers of one test's bucket, and closes their links."""

    def __init__(self, urls: list[str], stack: ExitStack, *, replicas: int = 1) -> None:
        self._urls, self._stack, self._replicas = urls, stack, replicas

    def link(self, patience: Patience | None = None) -> Link:
        link = link_to(self._urls, patience=patience)
        self._stack.callback(link.close)
        return link

    def __call__(
        self, folder: Path, epoch: Callable[[], int] | int = 1, *, partition: int = PARTITION, **options: Any
    ) -> ObjectSnapshots:
        names = names_of(folder)
        link = self.link(options.pop("patience", None))
        link.call(made(link, object_stream(names.snapshots, self._replicas, 64 * MIB)))
        number = epoch if callable(epoch) else lambda: epoch
        return ObjectSnapshots(link, names, names.points(partition), epoch=number, **options)


@pytest.fixture
def opening(nats_server: NatsServer) -> Iterator[Opening]:
    with ExitStack() as stack:
        yield Opening([nats_server.url], stack)


class TestObjectSnapshots(ForgetsSnapshots):
    @pytest.fixture(autouse=True)
    def _opening(self, opening: Opening) -> None:
        self._open = opening

    def opened(self, folder: Path) -> ObjectSnapshots:
        return self._open(folder)


def test_an_older_holder_never_replaces_a_newer_ones(opening: Opening, tmp_path: Path) -> None:
    older, newer = opening(tmp_path, 5), opening(tmp_path, 6)
    older.put_snapshot("analysis", 10, b"older")
    newer.put_snapshot("analysis", 8, b"newer")
    changes: list[Callable[[], object]] = [
        lambda: older.put_snapshot("analysis", 99, b"late"),
        lambda: older.forget_snapshot("analysis"),
        lambda: older.forget_beyond(0),
    ]
    for change in changes:
        with pytest.raises(Fenced, match=r"holder 6, this is holder 5.*Let the partition go"):
            change()
    assert older.snapshot("analysis") == (8, b"newer")
    newer.forget_snapshot("analysis")
    with pytest.raises(Fenced):  # also when the newer one has none
        older.put_snapshot("analysis", 99, b"late")
    assert newer.snapshot("analysis") is None


def test_a_holder_that_is_overtaken_in_the_middle_of_a_put_is_refused(opening: Opening, tmp_path: Path) -> None:
    """The older one's bytes are on the servers, its description is not; then the newer one comes."""
    overtaken: list[int] = []
    newer = opening(tmp_path, 6)
    older = opening(tmp_path, 5, chunk_bytes=100_000)
    older.put_snapshot("analysis", 1, b"first")
    really = older._describe

    async def late(*arguments: Any) -> None:
        await asyncio.to_thread(newer.put_snapshot, "analysis", 7, b"newer")
        overtaken.append(1)
        await really(*arguments)

    older._describe = late  # type: ignore[method-assign,assignment] # the moment in the middle
    with pytest.raises(Fenced):
        older.put_snapshot("analysis", 99, LARGE)
    assert overtaken
    assert older.snapshot("analysis") == (7, b"newer")
    newer.put_snapshot("analysis", 8, b"next")
    assert _chunks(opening, tmp_path) == 1  # what the older one left has gone


def test_a_partitions_states_are_its_own_and_few(opening: Opening, tmp_path: Path) -> None:
    one, other = opening(tmp_path, max_snapshot_bytes=1000), opening(tmp_path, partition=4)
    one.put_snapshot("analysis", 1, bytes(1000))
    other.put_snapshot("analysis", 9, b"other")
    other.forget_beyond(5)
    assert one.snapshot("analysis") == (1, bytes(1000))
    with pytest.raises(Refused, match="1001 bytes, the limit is 1000"):
        one.put_snapshot("analysis", 2, bytes(1001))
    one.put_snapshot("second", 1, b"")
    with pytest.raises(Refused, match="has 2 states already"):
        one.put_snapshot("third", 1, b"")
    one.forget_snapshot("second")
    one.put_snapshot("third", 1, b"")
    for name in ("", "a.b", "a" * 65, "*", "名"):
        with pytest.raises(UsageError):
            one.put_snapshot(name, 1, b"")
        with pytest.raises(UsageError):
            one.snapshot(name)


def test_it_lies_as_every_tool_expects_an_object(nats_server: NatsServer, opening: Opening, tmp_path: Path) -> None:
    opening(tmp_path).put_snapshot("analysis", 7, LARGE)
    names = names_of(tmp_path)

    async def read() -> tuple[bytes | None, Any]:
        client = await nats.connect(nats_server.url)
        try:
            store = await client.jetstream().object_store(names.snapshots)
            found = await store.get(f"{names.points(PARTITION)}.analysis")
            return found.data, found.info
        finally:
            await client.close()

    data, info = asyncio.run(read())
    assert data == LARGE
    assert (info.size, info.bucket) == (len(LARGE), names.snapshots)


def test_damage_is_said_and_the_next_one_is_good(opening: Opening, tmp_path: Path) -> None:
    kept = opening(tmp_path)
    names = names_of(tmp_path)
    link = opening.link()
    stream = f"OBJ_{names.snapshots}"

    def newest(subject: str) -> dict[str, Any]:
        return dict(link.call(link.api(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject}))["message"])

    def chunk() -> str:
        (subject,) = link.call(link.api(f"STREAM.INFO.{stream}", {"subjects_filter": f"$O.{names.snapshots}.C.*"}))[
            "state"
        ]["subjects"]
        return str(subject)

    kept.put_snapshot("analysis", 7, b"state")
    subject = chunk()
    link.call(link.api(f"STREAM.PURGE.{stream}", {"filter": subject}))
    with pytest.raises(Corrupt, match="damaged"):  # the bytes are gone
        kept.snapshot("analysis")
    link.call(link.publish([Message(subject, b"stale", {})]))
    with pytest.raises(Corrupt, match="damaged"):  # other bytes
        kept.snapshot("analysis")
    kept.put_snapshot("analysis", 8, b"good")
    assert kept.snapshot("analysis") == (8, b"good")
    described = f"$O.{names.snapshots}.M."
    (told,) = link.call(link.api(f"STREAM.INFO.{stream}", {"subjects_filter": described + "*"}))["state"]["subjects"]
    for payload in (b"{}", b"\xff", json.dumps({"name": "analysis"}).encode()):
        link.call(link.publish([Message(told, payload, {"Nats-Rollup": "sub"})]))
        with pytest.raises(Corrupt):
            kept.snapshot("analysis")
    kept.put_snapshot("analysis", 9, b"good again")
    assert newest(told)
    assert kept.snapshot("analysis") == (9, b"good again")
    assert _chunks(opening, tmp_path) == 1


@pytest.mark.soak
def test_a_writer_that_is_killed_leaves_the_one_before_or_the_new_one(
    nats_server: NatsServer, opening: Opening, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    kept = opening(tmp_path, 1 << 40, partition=0)
    known = 0
    for kill in range(8):
        command = [sys.executable, "-m", "tests.store.nats.putter", nats_server.url, str(tmp_path), str(kill + 1)]
        process = subprocess.Popen([*command, str(known + 1)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(chance.randint(1, 4)):
            known = int(process.stdout.readline().split()[1])
        time.sleep(chance.random() * 0.05)
        process.kill()
        told = [known, *(int(line.split()[1]) for line in process.stdout)]
        process.wait()
        found = kept.snapshot("analysis")
        assert found is not None
        known = found[0]
        assert known in (told[-1], told[-1] + 1)
        assert found[1] == state_of(known)
    kept.put_snapshot("analysis", 1, b"small")
    assert _chunks(opening, tmp_path) == 1


def test_a_server_killed_in_the_middle_of_a_put(own_nats_server: NatsServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        opening = Opening([own_nats_server.url], stack)
        kept = opening(tmp_path, chunk_bytes=64_000)
        failed: list[BaseException] = []
        stop = threading.Event()
        done = [0]

        def put() -> None:
            try:
                while not stop.is_set():
                    kept.put_snapshot("analysis", done[0] + 1, state_of(done[0] + 1))
                    done[0] += 1
            except BaseException as error:
                failed.append(error)

        writer = threading.Thread(target=put)
        writer.start()
        reader = opening(tmp_path)
        for _ in range(4):
            before = done[0]
            wait_until(lambda before=before: done[0] > before or failed, what="a snapshot")  # type: ignore[misc] # a default binds it
            own_nats_server.kill()
            own_nats_server.start()
            found = reader.snapshot("analysis")
            assert found is not None
            assert found[0] >= before
            assert found[1] == state_of(found[0])
        stop.set()
        writer.join()
        assert not failed
        assert reader.snapshot("analysis") == (done[0], state_of(done[0]))
        assert _chunks(opening, tmp_path) == len(range(0, len(state_of(0)), 64_000))


@pytest.mark.soak
def test_the_leader_of_three_killed_in_the_middle_of_a_put(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    with ExitStack() as stack:
        opening = Opening(nats_cluster.urls, stack, replicas=3)
        kept = opening(tmp_path, chunk_bytes=64_000, patience=Patience(give_up_s=50))
        stream = f"OBJ_{names_of(tmp_path).snapshots}"

        def put_all() -> None:
            for number in range(1, 20):
                kept.put_snapshot("analysis", number, state_of(number))

        put = threading.Thread(target=put_all, daemon=True)
        put.start()
        wait_until(lambda: kept.snapshot("analysis") is not None, what="a snapshot")
        leader = nats_cluster.leader_of(stream)
        assert leader is not None
        leader.kill()
        put.join(timeout=120)
        assert not put.is_alive()
        assert kept.snapshot("analysis") == (19, state_of(19))


def test_servers_that_stay_away_end_it(own_nats_server: NatsServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        kept = Opening([own_nats_server.url], stack)(tmp_path, patience=Patience(attempt_s=0.3, give_up_s=1))
        kept.put_snapshot("analysis", 1, b"kept")
        own_nats_server.kill()
        with pytest.raises(StoreError, match="cannot be kept or read"):
            kept.put_snapshot("analysis", 2, b"lost")
        with pytest.raises(StoreError, match="cannot be kept or read"):
            kept.snapshot("analysis")
        own_nats_server.start()
        assert kept.snapshot("analysis") == (1, b"kept")


def _chunks(opening: Opening, folder: Path) -> int:
    """Messages with bytes of any snapshot."""
    bucket = names_of(folder).snapshots
    link = opening.link()
    found = link.call(link.api(f"STREAM.INFO.OBJ_{bucket}", {"subjects_filter": f"$O.{bucket}.C.*"}))
    return sum((found["state"].get("subjects") or {}).values())
