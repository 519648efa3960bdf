"""Servers of a city of processes: a PostgreSQL and an InfluxDB for all tests of a folder, nats-servers and a broker of its own for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Mosquitto
from tests.influx import Influxd
from tests.lucheng.cluster.processes import Processes
from tests.nats import NatsCluster, NatsServer
from tests.postgres import PostgresServer


@pytest.fixture(scope="package")
def city_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that several cities use, each with schemas of its own."""
    server = PostgresServer(lasting=True).start()
    yield server
    server.close()


@pytest.fixture(scope="package")
def city_influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """An InfluxDB that several cities use, each with a bucket of its own."""
    server = Influxd(tmp_path_factory.mktemp("influxd"), lasting=False).start()
    yield server
    server.kill()


@pytest.fixture
def processes(
    tmp_path: Path, mosquitto: Mosquitto, city_postgres: PostgresServer, city_influxd: Influxd
) -> Iterator[Callable[..., Processes]]:
    """Makes a city on these nats-servers; whatever a test does, none of its processes is left."""
    made: list[Processes] = []

    def make(nats: NatsServer | NatsCluster, **options: Any) -> Processes:
        made.append(Processes(tmp_path, nats, mosquitto.url, city_postgres, city_influxd, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
