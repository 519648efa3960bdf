"""Who is there: said, read, gone, and whose clock is off; on a real nats-server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.cluster import Cluster
from lucheng.cluster.nodes import Node, Registration, Roll, node_name
from model.clock import SystemClock
from store.nats.link import Link
from tests.conftest import wait_until
from tests.nats import NatsServer, link_to, names_of

CLOCK = SystemClock()
SETTINGS = Cluster(beat_s=0.2, expire_s=1.0)


@pytest.fixture
def link(nats_server: NatsServer) -> Iterator[Link]:
    link = link_to([nats_server.url])
    yield link
    link.close()


@pytest.fixture
def roll(link: Link, tmp_path: Path) -> Roll:
    made = Roll(link, names_of(tmp_path))
    made.prepare(1, SETTINGS.expire_s)
    made.prepare(1, SETTINGS.expire_s)  # again changes nothing
    return made


def node(name: str, ahead_ms: int = 0, **options: object) -> Node:
    now_ms = CLOCK.now_ms() + ahead_ms
    return Node(name, "host", 7, ("desk", "ingest"), now_ms, now_ms, **options)  # type: ignore[arg-type] # a test's


def test_what_is_said_is_read_until_it_expires(roll: Roll) -> None:
    assert roll.read() == []
    roll.say(node("a", holds={"points_3": 5}, listening=True, values={"lag_ms": 3.5}))
    roll.say(node("b"))
    found = roll.read()
    assert [one.name for one in found] == ["a", "b"]
    assert (found[0].holds, found[0].listening, found[0].values) == ({"points_3": 5}, True, {"lag_ms": 3.5})
    assert found[1].listening is None
    wait_until(lambda: not roll.read(), timeout_s=10)


def test_who_leaves_is_gone_at_once_and_who_beats_stays(roll: Roll) -> None:
    said = Registration(roll, lambda: node("a"), SETTINGS, CLOCK)
    said.start()
    other = Registration(roll, lambda: node("b"), SETTINGS, CLOCK)
    other.start()
    began_s = CLOCK.monotonic_s()
    while CLOCK.monotonic_s() - began_s < 2 * SETTINGS.expire_s:
        assert {one.name for one in roll.read()} == {"a", "b"}
    wait_until(lambda: {one.name for one in said.nodes() or ()} == {"a", "b"})
    other.stop()
    assert {one.name for one in roll.read()} == {"a"}
    said.stop()


def test_a_clock_that_is_off_is_measured_against_the_servers(roll: Roll, capsys: pytest.CaptureFixture[str]) -> None:
    roll.say(node("right"))
    roll.say(node("ahead", 90_000))
    roll.say(node("behind", -4_000))
    skew = {one.name: one.skew_ms for one in roll.read()}
    assert abs(skew["right"]) < 1_000
    assert abs(skew["ahead"] - 90_000) < 1_000
    assert abs(skew["behind"] + 4_000) < 1_000
    said = Registration(roll, lambda: node("off", 5_000), SETTINGS, CLOCK)
    said.start()
    said.stop()
    assert "this host's clock is not the nats-servers'" in capsys.readouterr().err


def test_where_the_servers_are_away_nobody_is_known(own_nats_server: NatsServer) -> None:
    from store.nats.terms import Patience

    link = link_to([own_nats_server.url], patience=Patience(attempt_s=0.2, give_up_s=1.0))
    names = names_of(own_nats_server.folder)
    roll = Roll(link, names)
    roll.prepare(1, SETTINGS.expire_s)
    said = Registration(roll, lambda: node("a"), SETTINGS, CLOCK)
    said.start()
    assert [one.name for one in said.nodes() or ()] == ["a"]
    own_nats_server.kill()
    wait_until(lambda: said.nodes() is None, timeout_s=10)
    own_nats_server.start()
    wait_until(lambda: [one.name for one in said.nodes() or ()] == ["a"], timeout_s=20)
    said.stop()
    link.close()


def test_what_is_no_node_is_none_and_names_fit() -> None:
    for raw in (b"", b"{}", b"[]", b'{"name": 1}', b"\xff"):
        assert Node.from_bytes(raw, 1) is None
    whole = node("a", holds={"s": 1})
    assert Node.from_bytes(whole.to_bytes(), 0) == whole
    assert node_name(Cluster(node="desk-1")) == "desk-1"
    Cluster(node=node_name(Cluster()))
