"""The life of an alarm with everything of people and devices in PostgreSQL, which is killed and started again under the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest

from lucheng.rooms import AUDIT_FILE, DESK_FILE, REGISTRY_FILE
from model.errors import StoreError, TryAgain
from tests.conftest import Mosquitto, wait_until
from tests.lucheng.faults.conftest import REGISTER
from tests.lucheng.faults.desk_side import Device, alarms_of
from tests.lucheng.faults.judge import seeded
from tests.lucheng.service_process import ServiceProcess
from tests.lucheng.test_life_of_alarm import ACTIONS, LADDER, STEPS, Life
from tests.postgres import PASSWORD, PostgresServer


class OnServer(ServiceProcess):
    """A service of which its database is killed, in its place.

    Args:
        postgres: the server under it.
        random: says whether the server is killed or ended in order.
    """

    postgres: PostgresServer
    random: Random

    def kill9(self) -> None:
        """The server goes away; the service stays."""
        self.random.choice((self.postgres.kill, self.postgres.stop))()

    def start(self) -> Self:
        """The server comes back; a service that has ended is started, as its supervisor does."""
        if not self.postgres.running:
            self.postgres.start()
        if self.process is not None and not self.alive:
            self.wait_end()
            self.process = None
        if self.process is None:
            super().start()
        wait_until(self._goes_on, 60, "the service to have its database again")
        return self

    def _goes_on(self) -> bool:
        try:
            self.client().call("alarm_list", purpose="test", limit=1)
        except (TryAgain, StoreError):
            return False
        return True


class ServerLife(Life):
    """While the server is away, reading and acting is refused."""

    def _call(self, step: str, arguments: dict[str, Any]) -> None:
        try:
            super()._call(step, arguments)
        except StoreError as error:  # what cannot be audited is not done
            raise TryAgain(error.message) from error


@pytest.fixture
def on_server(tmp_path: Path, mosquitto: Mosquitto, own_postgres_server: PostgresServer) -> Iterator[OnServer]:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    database = {
        "LUCHENG_DATABASE__URL": own_postgres_server.url,
        "LUCHENG_DATABASE__PASSWORD_FILE": str(secret),
        "LUCHENG_DATABASE__WAIT_S": "3",
    }
    made = OnServer(tmp_path / "data", mosquitto.url, env=REGISTER | LADDER | database)
    made.postgres, made.random = own_postgres_server, seeded("life on PostgreSQL")
    with made.start():
        yield made


@pytest.mark.soak
def test_a_life_while_the_server_is_killed_under_it(on_server: OnServer, mosquitto: Mosquitto) -> None:
    random = on_server.random
    plans = [
        (set[str](), set[str]()),
        (set(random.sample(STEPS, 2)), {random.choice(("press", *ACTIONS))}),
    ]
    for number, (after, during) in enumerate(plans):
        with Device(mosquitto.url, f"button/{number}") as device:
            on_server.client().call("device_add", device=f"unit/{number}")
            life = ServerLife(on_server, device, number, random)
            life.live(after, during)
            life.judge()
            print(f"life {number}: {life.kills} kills, after {sorted(after)}, during {sorted(during)}")
    assert on_server.client().call("store_check")["ok"]
    data = on_server.data
    assert not [name for name in (REGISTRY_FILE, DESK_FILE, AUDIT_FILE) if (data / name).exists()]


@pytest.mark.soak
def test_what_was_pressed_while_the_server_was_away_is_raised_when_it_is_back(
    on_server: OnServer, mosquitto: Mosquitto
) -> None:
    with Device(mosquitto.url, "button/1") as device:
        device.press("before", 1)
        wait_until(lambda: alarms_of(on_server, "button/1"), 60, "the first alarm")
        on_server.kill9()
        for number in range(5):
            device.press(f"away-{number}", number + 2)
        on_server.start()
        wait_until(
            lambda: [row["signals"] for row in alarms_of(on_server, "button/1", "one_key")] == [6], 60, "every press"
        )
        device.wait_answers("away-4", {"received"})
