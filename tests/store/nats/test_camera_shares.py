"""Leases of machines, the table of shares and bytes on their way, on real nats-servers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from model.errors import SettingsError, StoreError
from store.nats.asking import ask, listen
from store.nats.cameras import VideoNames, set_up_video
from store.nats.files import Files
from store.nats.leases import MARGIN_S, Lease, connected, end_lease, lease_number
from store.nats.link import Link
from store.nats.shares import SharesView, read_table, write_table
from store.nats.terms import Patience, Refusal
from tests.conftest import wait_until
from tests.nats import NatsServer, link_to, names_of

LEASE_S = 4.0
MIB = 1 << 20


@pytest.fixture
def names(tmp_path: Path) -> VideoNames:
    return VideoNames(names_of(tmp_path).prefix)


@pytest.fixture
def link(nats_server: NatsServer, names: VideoNames) -> Iterator[Link]:
    made = link_to([nats_server.url])
    made.call(set_up_video(made, names, replicas=1, max_file_bytes=8 * MIB))
    yield made
    made.close()


def taken(link: Link, names: VideoNames, name: str = "one") -> Lease:
    lease = Lease(link, names, {"name": name, "capacity": 100}, lease_s=LEASE_S)
    lease.begin()
    return lease


def test_a_lease_lasts_while_it_is_renewed_and_ends_in_order(link: Link, names: VideoNames) -> None:
    view = SharesView(link, names, 8)
    lease = taken(link, names)
    assert lease.certain()
    wait_until(lambda: lease.run in view.machines(), what="the lease to be seen")
    seen = view.machines()[lease.run]
    assert (seen.name, seen.capacity) == ("one", 100)
    wait_until(lambda: view.machines()[lease.run].number > seen.number, what="a renewal")
    assert view.machines()[lease.run].first_s == seen.first_s
    lease.end()
    assert lease.lost
    assert not lease.certain()
    assert link.call(lease_number(link, names, lease.run)) is None
    wait_until(lambda: lease.run not in view.machines(), what="its end to be seen")
    view.close()


def test_a_lease_that_is_not_renewed_is_dropped_by_the_servers_and_not_certain_before(
    nats_server: NatsServer, link: Link, names: VideoNames
) -> None:
    with closing(link_to([nats_server.url])) as own:
        lease = taken(own, names)
        clock = own.clock
        assert lease.until_s() <= clock.monotonic_s() + LEASE_S - MARGIN_S
    # its machine is cut off: nothing renews it
    wait_until(lambda: not lease.certain(), what="the machine to know")
    assert link.call(lease_number(link, names, lease.run)) is not None  # it knew before anybody may take anything
    wait_until(lambda: link.call(lease_number(link, names, lease.run)) is None, what="the servers to drop it")


def test_a_machine_without_a_connection_is_told_from_one_that_is_silent(
    nats_server: NatsServer, link: Link, names: VideoNames
) -> None:
    assert link.call(connected(link, names, "nobody")) is False
    with closing(link_to([nats_server.url])) as own:
        own.start(listen(own, names.machine_subject("a"), lambda _subject, said: b"here" + said))
        wait_until(lambda: link.call(connected(link, names, "a")), what="it to answer")
        assert link.call(ask(link, names.machine_subject("a"), b"!", timeout_s=5)) == b"here!"
        own.start(listen(own, names.machine_subject("b"), lambda _subject, _said: None))
        wait_until(lambda: link.call(connected(link, names, "b")) is None, what="it to be silent")
    wait_until(lambda: link.call(connected(link, names, "a")) is False, what="it to be gone")


def test_burying_loses_against_a_renewal_and_a_later_renewal_finds_out(link: Link, names: VideoNames) -> None:
    lease = taken(link, names)
    old = link.call(lease_number(link, names, lease.run))
    assert old is not None
    wait_until(lambda: link.call(lease_number(link, names, lease.run)) != old, what="a renewal")
    with pytest.raises(Refusal):
        link.call(end_lease(link, names, lease.run, old))
    assert not lease.lost

    def bury() -> bool:
        number = link.call(lease_number(link, names, lease.run))
        assert number is not None
        try:
            link.call(end_lease(link, names, lease.run, number))
        except Refusal:
            return False  # it was renewed in between
        return True

    wait_until(bury, what="it to be buried")
    wait_until(lambda: lease.lost, what="it to find out")
    assert not lease.certain()


def test_a_server_that_is_killed_and_comes_back_costs_no_lease(own_nats_server: NatsServer, tmp_path: Path) -> None:
    names = VideoNames(names_of(tmp_path).prefix)
    with closing(link_to([own_nats_server.url], patience=Patience(give_up_s=60))) as link:
        link.call(set_up_video(link, names, replicas=1, max_file_bytes=8 * MIB))
        lease = Lease(link, names, {"name": "one", "capacity": 1}, lease_s=60.0)
        lease.begin()
        run = lease.run
        link.start(listen(link, names.machine_subject(run), lambda _subject, _said: b"here"))
        number = link.call(lease_number(link, names, run))
        own_nats_server.restart()
        wait_until(
            lambda: (
                link.call(link.persist(lambda: lease_number(link, names, run), what="it cannot be asked")) != number
            ),
            what="a renewal",
        )
        assert lease.certain()
        assert not lease.lost


def test_the_table_is_changed_by_one_at_a_time_and_seen_by_all(link: Link, names: VideoNames) -> None:
    view, other = SharesView(link, names, 4), SharesView(link, names, 4)
    assert link.call(read_table(link, names)) is None
    assert view.table.revision == 0
    first = link.call(write_table(link, names, ["a", "", "b", "a"], 0))
    assert first is not None
    assert link.call(write_table(link, names, ["c"] * 4, 0)) is None  # who looked before that is told so
    second = link.call(write_table(link, names, ["a", "c", "b", "a"], first.revision))
    assert second is not None
    wait_until(lambda: other.table == second, what="the table to be seen")
    assert link.call(read_table(link, names)) == second
    view.took(second)
    view.took(replace(first, holders=("x",) * 4))  # never back to an older one
    assert view.table == second
    late = SharesView(link, names, 4)
    assert late.wait_whole(20)
    assert late.table == second
    wrong = SharesView(link, names, 5)
    assert wrong.wait_whole(20)
    with pytest.raises(SettingsError, match="4 shares"):
        _ = wrong.table
    for one in (view, other, late, wrong):
        one.close()


@pytest.mark.soak
def test_bytes_come_whole_or_not_at_all_and_are_bounded(link: Link, names: VideoNames) -> None:
    files = Files(link, names.files, chunk_bytes=10_000)
    data = os.urandom(1_234_567)
    stored = files.put("a clip", data)
    assert (stored.chunks, stored.size_bytes) == (124, len(data))
    assert files.read(stored) == data
    empty = files.put("nothing", b"")
    assert files.read(empty) == b""
    assert files.read(replace(stored, sha256="00" * 32)) is None
    files.remove(stored)
    assert files.read(stored) is None
    kept = [files.put(f"clip {number}", data) for number in range(5)]
    for number in range(10):  # what does not fit leaves nothing behind
        with pytest.raises(StoreError):
            files.put(f"another {number}", 3 * data)
    kept.append(files.put("one more", data))
    assert all(files.read(one) == data for one in kept)  # what was there stays
