"""The city's secret key: who has another one does not start, is named where it runs, and desks have set-up token and answers' key in common."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from config.settings import load
from console.setup_token import known_setup_token
from devices.secrets import SealedSecrets, make_key_file
from lucheng import web_side
from lucheng.cluster.keys import KeyMark, SharedSetup, agree_on_key, differing
from lucheng.cluster.nodes import Node, Roll
from lucheng.cluster.roles import ALL, Role
from lucheng.doctor_cluster import cluster
from lucheng.finding import State
from lucheng.nats_choice import open_link, prepare
from lucheng.rooms import SECRET_KEY_FILE, Rooms, open_rooms
from model.clock import SystemClock
from model.errors import Refused
from store.nats.streams import Names
from tests.nats import NatsServer, names_of
from tests.postgres import PASSWORD, PostgresServer

HOST = socket.gethostname()


def node(name: str, key: str, since_ms: int = 1) -> Node:
    return Node(name, f"host-of-{name}", 1, ("desk",), since_ms, since_ms, key=key)


@pytest.fixture
def machine(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Callable[[str], Rooms]]:
    """Opens data folders of machines that share people and devices."""
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    prefix = postgres_server.server().prefix
    values = {"database.url": postgres_server.url, "database.password_file": str(secret), "database.prefix": prefix}
    settings = load(None, values)
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(open_rooms(tmp_path / name, settings, write=True))


def copied(rooms: Rooms, other: Rooms) -> None:
    shutil.copy(rooms.data_dir / SECRET_KEY_FILE, other.data_dir / SECRET_KEY_FILE)


def test_who_has_another_key_or_none_does_not_start(machine: Callable[[str], Rooms]) -> None:
    one, two = machine("m1"), machine("m2")
    agree_on_key(one, ALL, list)
    there = [node("m1", KeyMark(one.data_dir / SECRET_KEY_FILE)()), node("worker", "")]
    with pytest.raises(Refused, match=f"{HOST} is missing; it has to be the city's, which host-of-m1 have") as refused:
        agree_on_key(two, [Role.DESK], lambda: there)
    assert "Copy keys/secret.key" in refused.value.mend
    agree_on_key(two, [Role.ANALYZE], lambda: there)  # opens nothing that is sealed
    assert not (two.data_dir / SECRET_KEY_FILE).exists()
    make_key_file(two.data_dir / SECRET_KEY_FILE)
    with pytest.raises(Refused, match=f"{HOST} is another than the city's, which host-of-m1 have"):
        agree_on_key(two, [Role.INGEST], lambda: there)
    (two.data_dir / SECRET_KEY_FILE).unlink()
    copied(one, two)
    agree_on_key(two, ALL, list)


def test_a_city_that_comes_with_sealed_addresses_keeps_its_key(machine: Callable[[str], Rooms]) -> None:
    one, two = machine("m1"), machine("m2")
    SealedSecrets(one.registry.file, one.data_dir / SECRET_KEY_FILE).set("camera/1:rtsp", "rtsp://10.0.0.9/1")
    make_key_file(two.data_dir / SECRET_KEY_FILE)
    with pytest.raises(Refused, match="another than the city's"):
        agree_on_key(two, [Role.VIDEO], list)
    agree_on_key(one, [Role.VIDEO], list)


def test_desks_have_token_and_key_of_answers_in_common(machine: Callable[[str], Rooms]) -> None:
    one, two = machine("m1"), machine("m2")
    setups = [SharedSetup(one)]
    setups[0].make()
    copied(one, two)
    setups.append(SharedSetup(two))
    setups[1].make()
    token = known_setup_token(one.data_dir)
    assert len(token) > 32
    assert known_setup_token(two.data_dir) == token
    assert web_side._answers_key(one) == web_side._answers_key(two)
    for setup in (*setups, setups[0]):
        setup.forget()
    assert known_setup_token(one.data_dir) == known_setup_token(two.data_dir) == ""
    setups[1].make()
    assert known_setup_token(two.data_dir) not in {"", token}, "a used token is never good again"


def test_whose_key_is_another_is_named() -> None:
    same = [node("a", "k1", 3), node("b", "k1", 4), node("worker", "")]
    assert differing(same) == []
    assert [one.name for one in differing([node("c", "k2", 1), *same])] == ["c"]
    assert [one.name for one in differing([node("late", "k2", 9), node("early", "k1", 5)])] == ["late"]
    assert differing([]) == []


def test_the_mark_follows_the_file(tmp_path: Path) -> None:
    mark = KeyMark(tmp_path / "keys" / "secret.key")
    assert mark() == ""
    make_key_file(tmp_path / "keys" / "secret.key")
    first = mark()
    assert first
    (tmp_path / "keys" / "secret.key").unlink()
    make_key_file(tmp_path / "keys" / "secret.key")
    assert mark() not in {"", first}
    (tmp_path / "keys" / "secret.key").chmod(0o644)
    make_key_file(tmp_path / "keys" / "secret.key")
    assert mark()


def test_the_doctor_names_machines(tmp_path: Path, nats_server: NatsServer) -> None:
    settings = load(
        None,
        {
            "nats.mode": "log",
            "nats.urls": nats_server.url,
            "nats.require_sync": False,
            "nats.alarm_replicas": 1,
            "nats.point_replicas": 1,
            "nats.max_alarm_bytes": 1 << 24,
            "nats.max_point_bytes": 1 << 27,
            "nats.max_snapshot_bytes": 1 << 24,
            "nats.prefix": names_of(tmp_path).prefix,
        },
    )
    clock = SystemClock()
    with contextlib.closing(open_link(settings, clock, "test")) as link:
        roll = Roll(link, Names(settings.nats.prefix))
        roll.prepare(1, 30.0)
        prepare(settings, link)
        path = tmp_path / SECRET_KEY_FILE
        make_key_file(path)
        mine = KeyMark(path)()
        now_ms = clock.now_ms()
        for one in (replace(node("a", mine), now_ms=now_ms), replace(node("b", mine), now_ms=now_ms + 90_000)):
            roll.say(one)
        found = {one.check: one for one in cluster(tmp_path, settings, clock)}
        assert (found["secret key"].state, found["clocks"].state) == (State.OK, State.WARN)
        assert "host-of-b" in found["clocks"].found.en
        roll.say(replace(node("c", "other"), now_ms=now_ms))
        found = {one.check: one for one in cluster(tmp_path, settings, clock)}
        assert "host-of-c" in found["secret keys"].found.en
        assert "host-of-c" in found["secret keys"].found.zh
        assert found["secret key"].state == State.OK
        path.unlink()
        found = {one.check: one for one in cluster(tmp_path, settings, clock)}
        assert found["secret key"].state == State.WARN
        make_key_file(path)
        found = {one.check: one for one in cluster(tmp_path, settings, clock)}
        assert found["secret key"].failed
