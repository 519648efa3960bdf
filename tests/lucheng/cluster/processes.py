"""A city of real processes: nats-servers, PostgreSQL, InfluxDB, a broker, and `lucheng run --role …` beside each other.

Invariants: `close` leaves no process; each lucheng process has a data folder of its own, and they share nothing but the servers.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from config.sections import Settings
from config.settings import load
from devices.secrets import make_key_file
from lucheng.cluster.status import ClusterStatus, cluster_status
from lucheng.nats_choice import open_link
from model.clock import SystemClock
from store.series.influx.setting_up import set_up
from tests.influx import ORG, TOKEN, Influxd
from tests.lucheng.service_process import ServiceProcess
from tests.nats import NatsCluster, NatsServer
from tests.postgres import PASSWORD, PostgresServer

MIB = 1 << 20


class Processes:
    """The servers, and the lucheng processes by name.

    Args:
        folder: for everything's files.
        nats: one server, or three.
        broker: URL of the broker that ingestors read from.
        options: settings, as `{"section.key": value}`.
    """

    def __init__(
        self,
        folder: Path,
        nats: NatsServer | NatsCluster,
        broker: str,
        postgres: PostgresServer,
        influxd: Influxd,
        **options: Any,
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.stack = ExitStack()
        self.nodes: dict[str, ServiceProcess] = {}
        urls = nats.urls if isinstance(nats, NatsCluster) else [nats.url]
        replicas = 3 if isinstance(nats, NatsCluster) else 1
        bucket = f"b{folder.name[-20:]}".replace("_", "-")
        make_key_file(folder / "keys" / "secret.key")
        secrets = {"influx.token": TOKEN, "postgres.password": PASSWORD}
        for name, secret in secrets.items():
            (folder / name).write_text(secret + "\n")
            (folder / name).chmod(0o600)
        self.values: dict[str, Any] = {
            "nats.mode": "log",
            "nats.urls": ",".join(urls),
            "nats.require_sync": False,
            "nats.alarm_replicas": replicas,
            "nats.point_replicas": replicas,
            "nats.max_alarm_bytes": 64 * MIB,
            "nats.max_point_bytes": 1024 * MIB,
            "nats.max_snapshot_bytes": 256 * MIB,
            "database.url": postgres.url,
            "database.password_file": str(folder / "postgres.password"),
            "database.prefix": postgres.server().prefix,
            "influx.mode": "store",
            "influx.url": influxd.url,
            "influx.org": ORG,
            "influx.bucket": bucket,
            "influx.token_file": str(folder / "influx.token"),
            "video.max_file_bytes": 64 * MIB,
            "devices.unknown": "register",
            **options,
        }
        self.env = {
            "LUCHENG_" + key.upper().replace(".", "__"): value if isinstance(value, str) else json.dumps(value)
            for key, value in self.values.items()
        }
        set_up(influxd.server(bucket), retention_days=0, late_days=30, hourly_days=0)

    def settings(self) -> Settings:
        """What every process has in common."""
        return load(None, dict(self.values))

    def node(self, name: str, roles: str, *, wait: bool = True) -> ServiceProcess:
        """Start a process with these roles, ready if it is waited for."""
        env = {**self.env, "LUCHENG_CLUSTER__NODE": name}
        keys = self.folder / name / "keys"
        if not keys.exists():  # as people copy it to every machine
            shutil.copytree(self.folder / "keys", keys)
        made = ServiceProcess(
            self.folder / name, self.broker if "ingest" in roles else None, env=env, arguments=("--role", roles)
        )
        self.nodes[name] = made
        made.spawn()
        if wait:
            made.wait_ready()
        return made

    def status(self) -> ClusterStatus:
        """As `lucheng cluster status` sees it."""
        link = open_link(self.settings(), SystemClock(), "test")
        try:
            return cluster_status(self.settings(), link)
        finally:
            link.close()

    def wait(self, met: Any, what: str, *, timeout_s: float = 60.0) -> ClusterStatus:
        """Look until `met(status)`; return it."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            found = self.status()
            if met(found):
                return found
            if time.monotonic() > deadline_s:
                said = "\n".join(f"{name}: {node.said[-1500:]}" for name, node in self.nodes.items())
                raise AssertionError(f"timed out waiting for {what}: {found}; {said}")
            time.sleep(0.1)

    def held_by(self, names: Sequence[str]) -> Any:
        """Whether every partition is held by one of these, who are there."""
        return lambda status: all(
            row.there and row.holder in names for row in status.streams if row.partition is not None
        )

    def close(self) -> None:
        """End everything that still runs."""
        for node in self.nodes.values():
            node.close()
        self.stack.close()
