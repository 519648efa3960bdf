"""A city on three machines: each has a nats-server and a lucheng process with its roles; PostgreSQL, InfluxDB and the balancer lie beside them.

Purpose: `lucheng demo --machines 3`, and the tests of faults. Invariants: everything is started with the settings and files that are shipped, and
ends with the block; a machine is killed as a power cut does, its cable first where it has one, so that nobody is told. Devices come by the
nats-servers' own MQTT listener: what it has acknowledged is on the disks of two of the three.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from config.settings import load
from lucheng.cluster.demo.machine import Machine
from lucheng.cluster.demo.network import Host, Network
from lucheng.cluster.demo.programs import (
    BUCKET,
    FLEET,
    ORG,
    START_TIMEOUT_S,
    Influx,
    Postgres,
    Program,
    answer,
    built,
    nats_files,
)
from lucheng.cluster.demo.relay import Backend, Relay
from lucheng.cluster.status import ClusterStatus, cluster_status
from lucheng.demo_service import LOOPBACK, free_port
from lucheng.nats_choice import open_link
from lucheng.rooms import SECRET_KEY_FILE
from model.clock import SystemClock
from model.errors import LuchengError, TryAgain

if TYPE_CHECKING:
    from config.sections import Settings
    from store.nats.link import Link

MACHINES = 3
#: What the roles of one machine's process are.
ROLES = "ingest,analyze,desk"
#: Two a machine: each costs a step and a group of copies, whatever is in it.
PARTITIONS = 6
_MIB = 1 << 20
_ALARM_BYTES, _POINT_BYTES, _SNAPSHOT_BYTES, _VIDEO_BYTES = 64 * _MIB, 1024 * _MIB, 256 * _MIB, 64 * _MIB
#: What the servers' disks may hold: the sum of those, and what devices publish.
_STORE_BYTES = 8 << 30
_NAMES = ("nats", "monitor", "route", "mqtt", "jt")
#: In namespaces nothing else listens, so ports are those of the documentation.
_PORTS = {"nats": 4222, "monitor": 8222, "route": 6222, "mqtt": 1883, "jt": 7611}


class Machines:
    """The city; a context manager.

    Args:
        folder: for everything's files.
        namespaces: see `Network`.
        options: settings of all, as `{"section.key": value}`.
        roles: of each machine's process.
        web_port: where browsers reach the consoles, on this machine; 0: nowhere.
        tell: called with a word at each step of the start.
        wrap: stands before the command of a machine's nats-server, by its name.

    Attributes:
        mqtt_url: where devices connect, with an account that may publish for all. jt_port: where terminals do.
    """

    def __init__(
        self,
        folder: Path,
        *,
        namespaces: bool = True,
        options: Mapping[str, Any] | None = None,
        roles: str = ROLES,
        web_port: int = 0,
        tell: Callable[[str], None] = lambda _what: None,
        wrap: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.folder = folder
        self.network = Network(MACHINES, namespaces=namespaces)
        self.machines: list[Machine] = []
        self.values: dict[str, Any] = dict(options or {})
        self.web_port = web_port
        self._roles = roles
        self._tell = tell
        self._wrap = dict(wrap or {})
        self._stack = ExitStack()
        self._secrets: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # -- start --------------------------------------------------------------------------------

    def _open(self) -> None:
        self._stack.enter_context(self.network)
        hosts = self.network.hosts
        self.ports = dict(_PORTS) if self.network.apart else dict(zip(_NAMES, _free_ports(hosts), strict=True))
        for name in ("nats", "desk", "fleet", "postgres", "influx"):
            # With a letter first: nats-server reads what comes by its environment as a value, and 0x… is a broken number.
            self._secrets[name] = f"p{secrets.token_hex(18)}"
            self._write_secret(name)
        self._tell("servers")
        self._open_servers()
        self._settle_values()
        self._start_nats(hosts)
        self._tell("roles")
        for machine in self.machines:
            machine.lucheng.start()
        self._open_relays()
        for machine in self.machines:
            machine.lucheng.wait(machine.ready, timeout_s=2 * START_TIMEOUT_S)

    def _write_secret(self, name: str) -> None:
        path = self._secret_file(name)
        path.touch(mode=0o600)
        path.write_text(self._secrets[name] + "\n")

    def _secret_file(self, name: str) -> Path:
        return self.folder / f"{name}.secret"

    def _open_servers(self) -> None:
        listen = self.network.gateway
        self.postgres = Postgres(listen, free_port(), self.network.subnet, self._secrets["postgres"])
        self._stack.callback(self.postgres.close)
        self.postgres.start()
        self.influx = Influx(self.folder / "influxd", listen, free_port(), self._secrets["influx"])
        self._stack.callback(self.influx.stop)
        self.influx.start()

    def _settle_values(self) -> None:
        hosts, ports = self.network.hosts, self.ports
        defaults: dict[str, Any] = {
            "nats.mode": "log",
            "nats.urls": ",".join(f"nats://{host.address}:{ports['nats']}" for host in hosts),
            "nats.monitor_urls": ",".join(f"http://{host.address}:{ports['monitor']}" for host in hosts),
            "nats.username": "lucheng",
            "nats.password_file": str(self._secret_file("nats")),
            "nats.mqtt": True,
            "nats.partitions": PARTITIONS,
            "nats.max_alarm_bytes": _ALARM_BYTES,
            "nats.max_point_bytes": _POINT_BYTES,
            "nats.max_snapshot_bytes": _SNAPSHOT_BYTES,
            "video.max_file_bytes": _VIDEO_BYTES,
            "database.url": self.postgres.url,
            "database.password_file": str(self._secret_file("postgres")),
            "influx.mode": "store",
            "influx.url": self.influx.url,
            "influx.org": ORG,
            "influx.bucket": BUCKET,
            "influx.token_file": str(self._secret_file("influx")),
            "mqtt.username": "lucheng-desk",
            "mqtt.password_file": str(self._secret_file("desk")),
            "devices.unknown": "register",
            "gateway.gt06_port": 0,
            "gateway.osmand_port": 0,
            "gateway.jt_udp": False,
            "web.origins": [f"http://{LOOPBACK}:{self.web_port}"] if self.web_port else [],
        }
        self.values = defaults | self.values

    @property
    def settings_file(self) -> Path:
        """The settings that all have in common."""
        return self.folder / "city.toml"

    def settings(self) -> Settings:
        """The same, read."""
        return load(None, dict(self.values))

    def _write_settings(self) -> None:
        sections: dict[str, list[str]] = {}
        for key, value in self.values.items():
            section, _, name = key.partition(".")
            sections.setdefault(section, []).append(f"{name} = {json.dumps(value, ensure_ascii=False)}")
        lines = ["\n".join([f"[{section}]", *rows]) for section, rows in sections.items()]
        self.settings_file.write_text("\n\n".join(lines) + "\n")

    def _start_nats(self, hosts: Sequence[Host]) -> None:
        issuer, key_file = self._door()
        env = {
            "LUCHENG_NATS_PASSWORD": self._secrets["nats"],
            "LUCHENG_DESK_PASSWORD": self._secrets["desk"],
            "LUCHENG_FLEET_PASSWORD": self._secrets["fleet"],
            "LUCHENG_MQTT_ISSUER": issuer,
        }
        self._write_settings()
        for host in hosts:
            folder = self.folder / host.name
            conf = nats_files(
                folder / "nats", host, hosts, self.ports, partitions=PARTITIONS, max_store_bytes=_STORE_BYTES
            )
            data = folder / "data"
            (data / SECRET_KEY_FILE).parent.mkdir(parents=True, mode=0o700)
            shutil.copy(key_file, data / SECRET_KEY_FILE)
            (data / SECRET_KEY_FILE).chmod(0o600)
            command = [*self._wrap.get(host.name, ()), built("nats-server"), "-c", str(conf)]
            nats = Program(f"nats-server {host.name}", command, folder / "nats.log", host=host, env=env)
            machine = Machine(host, nats, self._lucheng(host, data), data, self.network)
            machine.programs = [nats, machine.lucheng]
            self.machines.append(machine)
            self._stack.callback(nats.stop)
            nats.start()
        self._stack.callback(self._end_roles)
        self.postgres.wait(self.postgres.ready)
        self.influx.wait(self.influx.ready)
        self.influx.set_up()
        for machine in self.machines:
            machine.nats.wait(partial(self.nats_healthy, machine))

    def nats_healthy(self, machine: Machine) -> bool:
        """Whether its nats-server says that its streams are there and current, and that it sees all the others."""
        monitor = f"http://{machine.host.address}:{self.ports['monitor']}"
        meta = answer(f"{monitor}/jsz").get("meta_cluster", {})
        led = bool(meta.get("leader")) and meta.get("cluster_size") == MACHINES
        return led and answer(f"{monitor}/healthz").get("status") == "ok"

    def _door(self) -> tuple[str, Path]:
        """The issuer that the servers believe, and the key file that every machine gets."""
        from devices.registry import Registry  # noqa: PLC0415 only for this
        from devices.secrets import SealedSecrets  # noqa: PLC0415 as above
        from lucheng.nats_mqtt import KEY_LABEL  # noqa: PLC0415 as above
        from store.nats.nkeys import key_of, text_of  # noqa: PLC0415 as above

        made = self.folder / "key"
        made.mkdir(mode=0o700)
        registry = Registry(made / "registry.db", clock=SystemClock())
        try:
            secret = SealedSecrets(registry.file, made / SECRET_KEY_FILE).derived_key(KEY_LABEL)
        finally:
            registry.close()
        return text_of(key_of(secret)), made / SECRET_KEY_FILE

    def _lucheng(self, host: Host, data: Path) -> Program:
        arguments = ["--data", str(data), "--config", str(self.settings_file), "run", "--role", self._roles]
        env = {
            "LUCHENG_CLUSTER__NODE": host.name,
            "LUCHENG_MQTT__URL": f"mqtt://{host.address}:{self.ports['mqtt']}",
            "LUCHENG_MQTT__CLIENT_ID": f"lucheng-{host.name}",
            "LUCHENG_GATEWAY__LISTEN": host.address,
            "LUCHENG_GATEWAY__JT_PORT": str(self.ports["jt"]),
            "LUCHENG_WEB__LISTEN": LOOPBACK if host.namespace else host.address,
            "LUCHENG_WEB__PORT": str(self.web_port),
        }
        command = [sys.executable, "-m", "lucheng", *arguments]
        return Program(f"lucheng on {host.name}", command, data.with_name("lucheng.log"), host=host, env=env)

    def _open_relays(self) -> None:
        # The second machine is the one that is killed before your eyes: it gets the first connection.
        turn = [*self.machines[1:], self.machines[0]]
        relays = {}
        for name in ("mqtt", "jt"):
            backends = [Backend(one.host, one.host.address, self.ports[name]) for one in turn]
            relays[name] = self._stack.enter_context(Relay(LOOPBACK, free_port(), backends))
        if self.web_port:
            backends = [
                Backend(one.host, LOOPBACK if one.host.namespace else one.host.address, self.web_port, inside=True)
                for one in self.machines
            ]
            self._stack.enter_context(Relay(LOOPBACK, self.web_port, backends))
        self.relays = relays
        self.jt_port = relays["jt"].port
        self.mqtt_url = f"mqtt://{FLEET}:{self._secrets['fleet']}@{LOOPBACK}:{relays['mqtt'].port}"

    # -- while it runs ------------------------------------------------------------------------

    def machine(self, name: str) -> Machine:
        """The machine of that name."""
        return next(machine for machine in self.machines if machine.name == name)

    def link(self, *, name: str = "demo") -> Link:
        """A connection to the nats-servers, to be closed."""
        return open_link(self.settings(), SystemClock(), name)

    def status(self, link: Link) -> ClusterStatus:
        """As `lucheng cluster status` has it."""
        return cluster_status(self.settings(), link)

    def wait_held(self, link: Link, names: Sequence[str], *, timeout_s: float = START_TIMEOUT_S) -> ClusterStatus:
        """Wait until every stream is held by one of these machines, who are there. Raises TryAgain."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                found = self.status(link)
                if all(row.there and row.holder in names for row in found.streams):
                    return found
            except LuchengError:
                pass  # between two leaders nobody answers
            if time.monotonic() > deadline_s:
                raise TryAgain(f"Not every stream is held by {', '.join(names)}.", mend="Look at the logs.")
            time.sleep(0.1)

    def stop_roles(self) -> list[int | None]:
        """End the lucheng processes in good order, all at once; their exit statuses."""
        for machine in self.machines:
            if machine.lucheng.alive:
                assert machine.lucheng.process is not None
                machine.lucheng.process.send_signal(signal.SIGTERM)
        return [
            machine.lucheng.process.wait(2 * START_TIMEOUT_S) for machine in self.machines if machine.lucheng.process
        ]

    def _end_roles(self) -> None:
        for machine in self.machines:
            machine.thaw()
            machine.plug()
            if machine.lucheng.alive:
                assert machine.lucheng.process is not None
                machine.lucheng.process.send_signal(signal.SIGTERM)
        for machine in self.machines:
            machine.lucheng.stop()


def _free_ports(hosts: Sequence[Host]) -> list[int]:
    """As many ports as there are names, free on every machine's address."""
    found: list[int] = []
    while len(found) < len(_NAMES):
        port = free_port()
        if port not in found and all(_bindable(host.address, port) for host in hosts):
            found.append(port)
    return found


def _bindable(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
