"""The feed over a real socket: every event to every reader, in order; resumed by number; a slow reader harms nobody."""

import asyncio
import contextlib
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.api import make_app
from console.client import LocalClient, RemoteClient
from console.feed import Feed
from console.server import ApiServer
from console.socket_path import connected
from model.errors import AuditUnwritable, TryAgain, UsageError
from tests.console.conftest import House
from tests.console.test_operations import damage_audit

STALL_S = 2.0
MAX_WATCHERS = 4
#: Protects a test from hanging; says nothing about how long it should take.
HANG_S = 30.0


@pytest.fixture
def server(house: House, tmp_path: Path) -> Iterator[ApiServer]:
    """A running API over `house` with a small feed."""
    app = make_app(house.operations, max_watchers=MAX_WATCHERS, stall_s=STALL_S, heartbeat_s=0.2)
    with ApiServer(app, tmp_path / "api.sock") as running:
        yield running


@pytest.fixture
def remote(server: ApiServer) -> RemoteClient:
    return RemoteClient(server.path, silence_s=HANG_S)


def until(met: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + HANG_S
    while not met():
        assert time.monotonic() < deadline_s, "it does not happen"
        time.sleep(0.01)


def flood(house: House, count: int) -> None:
    """So many alarms of as many taxis."""
    for number in range(count):
        house.alarm(f"taxi/f{number}", kind="overspeed", number=number)


def test_events_come_as_they_happen_and_say_what_the_alarm_is_now(house: House, remote: RemoteClient) -> None:
    lines = remote.watch()
    alarm = house.alarm("button/1")
    house.ask("alarm_ack", alarm=alarm)
    first, second = itertools.islice(lines, 2)
    assert (first["action"], first["alarm"]["alarm"], first["alarm"]["work"]) == ("raise", alarm, "new")
    assert (second["action"], second["by"], second["alarm"]["owner"]) == ("acknowledge", "tester", "tester")
    assert second["number"] == first["number"] + 1
    assert second["alarm"]["remaining_s"] == 300
    newest = house.rooms.audit.rows(limit=100)
    assert [row.detail["after"] for row in newest if row.action == "read.alarm_feed"] == [None]


def test_where_nothing_happens_there_is_a_heartbeat_with_the_last_number(house: House, remote: RemoteClient) -> None:
    house.alarm("button/1")
    last = house.rooms.desk.last_event()
    beats = list(itertools.islice(remote.watch(every_line=True), 3))
    assert beats == [{"heartbeat": last}] * 3


def test_a_reader_that_comes_back_misses_none_and_sees_none_twice(
    house: House, server: ApiServer, remote: RemoteClient
) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    flood(house, 40)
    writer = threading.Thread(target=lambda: [house.alarm("button/1", number=n) for n in range(60)])
    writer.start()
    seen: list[int] = []
    while len(seen) < 100:
        lines = remote.watch(after=seen[-1] if seen else 0)
        count = min(chance.randrange(1, 30), 100 - len(seen))
        seen += [line["number"] for line in itertools.islice(lines, count)]
        lines.close()  # type: ignore[attr-defined]
        until(lambda: server.feed.watchers == 0)
    writer.join()
    assert seen == list(range(1, 101))


def test_the_number_to_begin_with_has_to_be_one(remote: RemoteClient) -> None:
    with pytest.raises(UsageError):
        remote.watch(after="x")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        remote.watch(purpose="curiosity")


def test_only_so_many_read_at_a_time(house: House, remote: RemoteClient) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_WATCHERS):
            stack.callback(remote.watch().close)  # type: ignore[attr-defined]
        with pytest.raises(TryAgain, match=r"api\.max_watchers"):
            remote.watch()
        assert house.ask("alarm_list") == []
    until(lambda: _opens(remote))


def _opens(remote: RemoteClient) -> bool:
    try:
        remote.watch().close()  # type: ignore[attr-defined]
    except TryAgain:
        return False
    return True


def test_s20_a_feed_that_cannot_be_audited_is_not_given_and_takes_no_place(house: House, remote: RemoteClient) -> None:
    house.ask("audit_list")
    damage_audit(house)
    for _ in range(MAX_WATCHERS + 1):
        with pytest.raises(AuditUnwritable):
            remote.watch()


def test_a_reader_that_reads_nothing_is_closed_with_its_number_and_nobody_else_waits(
    house: House, server: ApiServer, remote: RemoteClient
) -> None:
    slow = connected(server.path, HANG_S)
    slow.sendall(b"GET /v1/alarms/watch?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
    quick = remote.watch(after=0)
    signals = [house.made(f"taxi/f{number}", "overspeed", number) for number in range(1_500)]
    house.rooms.desk.take(signals)
    assert [line["number"] for line in itertools.islice(quick, 1_500)] == list(range(1, 1_501))
    feed = server.feed
    until(lambda: feed.watchers == 1)  # the slow one was given up
    raw = b""
    with contextlib.suppress(OSError):
        while piece := slow.recv(1 << 20):
            raw += piece
    slow.close()
    lines = [json.loads(line) for line in raw.split(b"\n") if line.startswith(b"{")]
    numbers = [line["number"] for line in lines if "number" in line]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 0 < len(numbers) < 1_500
    assert lines[-1] == {"closed": "slow", "resume": numbers[-1]}
    rest = itertools.islice(remote.watch(after=numbers[-1]), 1_500 - len(numbers))
    assert [line["number"] for line in rest] == list(range(numbers[-1] + 1, 1_501))


def test_a_stop_of_the_service_is_told_and_its_successor_goes_on(house: House, server: ApiServer) -> None:
    remote = RemoteClient(server.path, silence_s=HANG_S)
    lines = remote.watch()
    house.alarm("button/1")
    (first,) = itertools.islice(lines, 1)
    server.stop()
    with pytest.raises(TryAgain, match="ending") as caught:
        next(lines)
    assert str(first["number"]) in caught.value.mend
    house.alarm("button/2", number=2)
    with ApiServer(make_app(house.operations), server.path):
        (second,) = itertools.islice(remote.watch(after=first["number"]), 1)
    assert second["number"] == first["number"] + 1


def test_an_ebikes_place_is_not_in_the_feed_until_its_owner_reports_it(house: House, remote: RemoteClient) -> None:
    house.ask("device_add", device="ebike/1")
    lines = remote.watch()
    house.alarm("ebike/1", kind="vibration")
    (hidden,) = itertools.islice(lines, 1)
    assert "40.65" not in json.dumps(hidden)
    assert hidden["alarm"]["place_hidden"]
    house.ask("ebike_report", device="ebike/1", owner_ref="R-1")
    house.alarm("ebike/1", kind="vibration", number=2)
    (shown,) = itertools.islice(lines, 1)
    assert shown["alarm"]["lat"] == 40.65


def test_without_a_service_there_is_no_feed(house: House) -> None:
    with pytest.raises(TryAgain, match="No service"):
        LocalClient(house.operations, house.caller).watch()


def test_what_is_kept_as_text_and_what_is_read_again_join_without_a_seam(house: House) -> None:
    """Readers of every age while few events are kept: each gets all after its number, in pages."""

    async def read(feed: Feed, after: int, count: int) -> list[int]:
        reader = await asyncio.to_thread(feed.open, after, asyncio.get_running_loop())
        got: list[int] = []
        while len(got) < count:
            lines = await asyncio.wait_for(reader.take(0.5), HANG_S)
            got += [json.loads(line)["number"] for line in lines or []]
        assert got[-1] == reader.number
        feed.leave(reader)
        return got

    def write() -> None:
        for number in range(100, 400):
            house.alarm(f"taxi/{number}", "overspeed", number)

    async def all_readers(feed: Feed) -> list[list[int]]:
        first = asyncio.ensure_future(read(feed, 0, 400))
        await asyncio.sleep(0)
        writing = asyncio.ensure_future(asyncio.to_thread(write))
        late = [read(feed, after, 400 - after) for after in (0, 7, 50, 99)]
        got = await asyncio.gather(first, *late)
        await writing
        return [*got, *await asyncio.gather(*(read(feed, after, 400 - after) for after in (0, 150, 380, 399)))]

    house.rooms.desk.take([house.made(f"taxi/{n}", "overspeed", n) for n in range(100)])
    with Feed(house.rooms.desk, house.operations.feed_row, max_watchers=20, kept_events=16) as feed:
        got = asyncio.run(all_readers(feed))
        assert feed.watchers == 0
    assert [numbers[-1] for numbers in got] == [400] * len(got)
    for numbers in got:
        assert numbers == list(range(numbers[0], 401))
    assert [numbers[0] for numbers in got] == [1, 1, 8, 51, 100, 1, 151, 381, 400]
    with pytest.raises(TryAgain):
        feed.open(0, asyncio.new_event_loop())


def test_two_operators_over_the_socket_and_who_watches_sees_the_winner(house: House, remote: RemoteClient) -> None:
    lines = remote.watch()
    alarm = house.alarm("button/1")
    assert remote.call("alarm_ack", alarm=alarm, version=1)["work"] == "acknowledged"
    with pytest.raises(Exception, match="was first") as caught:
        remote.call("alarm_ack", alarm=alarm, version=1)
    assert type(caught.value).__name__ == "Conflict"
    actions: list[Any] = [line["action"] for line in itertools.islice(lines, 2)]
    assert actions == ["raise", "acknowledge"]
