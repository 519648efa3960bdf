"""The log on nats-servers by the settings: what is refused, the shipped configuration, alarms and points end to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from config.nats import Nats
from config.sections import Settings
from config.settings import WrongSettings, load
from lucheng.nats_choice import open_alarms, open_link, open_partitions, open_points, prepare, stand_by
from model.clock import SystemClock
from model.errors import SettingsError, StoreError
from store.nats.streams import servers_without_sync
from tests.nats import NatsServer
from tests.store.log.stress import numbered

CLOCK = SystemClock()
MIB = 1 << 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    extra = ('authorization { user: lucheng, password: "a secret of tests" }',)
    server = NatsServer(tmp_path / "nats", extra=extra)
    yield server.start()
    server.kill()


def settings_of(server: NatsServer, **options: object) -> Settings:
    password = server.folder / "password"
    password.write_text("a secret of tests\n")
    chosen = {
        "mode": "log",
        "urls": server.url,
        "monitor_urls": server.monitor_url,
        "username": "lucheng",
        "password_file": password,
        "alarm_replicas": 1,
        "point_replicas": 1,
        "max_alarm_bytes": 64 * MIB,
        "max_point_bytes": 512 * MIB,
        "give_up_s": 5.0,
    }
    return Settings(nats=Nats(**(chosen | options)))  # type: ignore[arg-type] # a test's options


def test_alarms_and_points_go_in_and_are_held_by_one_worker(server: NatsServer) -> None:
    settings = settings_of(server)
    with closing(open_link(settings, CLOCK, "test")) as link:
        prepare(settings, link)
        prepare(settings, link)  # again changes nothing
        with closing(open_alarms(settings, CLOCK)) as alarms, closing(open_alarms(settings, CLOCK)) as others:
            assert (alarms.append([numbered(1)]), others.append([numbered(2)])) == (1, 2)
            assert alarms.append([numbered(3)]) == 3
        partitions = open_partitions(settings, link)
        assert partitions.append({5: [numbered(4)]}) == {5: 1}
        worker = stand_by(settings, link, 5, "worker")
        turn = worker.wait(20)
        assert turn is not None
        with closing(open_points(settings, CLOCK, 5)) as points:
            assert turn.wait_beyond(0, 20) == 1
            (record,) = points.read(0, max_records=10, max_bytes=MIB)
            assert record.payload == numbered(4).payload
            turn.check()
            points.set_consumed("worker", 1)
            turn.done(1)
            assert points.trim() == 1
        worker.close()


def test_a_server_that_does_not_sync_is_refused(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "lax", sync_interval="2m").start()
    try:
        assert servers_without_sync([server.monitor_url]) == [server.monitor_url]
        settings = settings_of(server, username=None, password_file=None)
        with closing(open_link(settings, CLOCK, "test")) as link:
            with pytest.raises(SettingsError, match="acknowledge before it is on the disk"):
                prepare(settings, link)
            prepare(settings_of(server, require_sync=False), link)
    finally:
        server.kill()


def test_a_wrong_password_is_told_without_it(server: NatsServer) -> None:
    settings = settings_of(server, give_up_s=1.0)
    (server.folder / "password").write_text("another\n")
    with pytest.raises(StoreError, match="No nats-server was reached") as raised:
        open_link(settings, CLOCK, "test")
    assert "another" not in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ('mode = "log"', "is log without servers"),
        ('mode = "log"\nurls = "nats://a:4222"', "nothing says where the servers can be asked"),
        ('urls = "nats://me:hidden@a:4222"', "has a user or password in it"),
        ('urls = "http://a"', "is no address of a server"),
        ("alarm_replicas = 2", "is 2; an even number"),
        ('ca_file = "CA"\nurls = "nats://a:4222"', "are not tls://"),
        ('password_file = "CA"', "without a user name"),
        ("retry_min_ms = 10000", "is more than nats.retry_max_ms"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path: Path, lines: str, what: str) -> None:
    (tmp_path / "CA").write_text("something\n")
    path = tmp_path / "city.toml"
    path.write_text(f"[nats]\n{lines.replace('CA', str(tmp_path / 'CA'))}\n")
    with pytest.raises(WrongSettings) as raised:
        load(path, env={})
    assert what in str(raised.value)
    assert "hidden" not in str(raised.value)
