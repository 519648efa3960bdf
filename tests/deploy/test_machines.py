"""The files of three machines (deploy/machines), on this one: TLS between everything, and nobody without the city's authority.

Addresses, ports and folders are replaced, nothing else; every server is real.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psycopg
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from config.settings import load, read_secret
from lucheng.nats_choice import open_link
from model.clock import SystemClock
from model.errors import StoreError, TryAgain
from simulator import payloads
from store.nats.streams import servers_without_sync
from tests.conftest import Mosquitto, free_port, wait_until
from tests.influx import need_influxd
from tests.lucheng.service_process import ServiceProcess, answer, lucheng
from tests.nats import _free_ports, need_nats_server
from tests.postgres import PASSWORD, PostgresServer, _account

ROOT = Path(__file__).resolve().parents[2]
MACHINES = ROOT / "deploy" / "machines"
NAMES = ("m1", "m2", "m3")
CLOCK = SystemClock()


def replaced(text: str, pairs: dict[str, str]) -> str:
    for before, after in pairs.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


class Land:
    """The servers of three machines, by the shipped files."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.secrets = folder / "secrets"
        subprocess.run(
            [str(ROOT / "deploy" / "secrets.sh"), "--name", "localhost", str(self.secrets)],
            check=True,
            capture_output=True,
        )
        self.certs = folder / "certs"
        self.make_certs(self.certs)
        self.ca = self.certs / "ca.pem"
        self.trust = ssl.create_default_context(cafile=self.ca)
        self.nats_ports = {name: (free_port(), free_port()) for name in NAMES}
        self._nats()
        self._postgres()
        self._influx()
        self._mosquitto()
        self.config = self._config()

    @staticmethod
    def make_certs(folder: Path) -> None:
        subprocess.run(
            [str(ROOT / "deploy" / "certs.sh"), str(folder), "localhost,127.0.0.1"], check=True, capture_output=True
        )

    def secret(self, name: str) -> str:
        return read_secret(self.secrets / name)

    def _nats(self) -> None:
        routes = dict(zip(NAMES, _free_ports(3), strict=True))
        self.nats: dict[str, subprocess.Popen[bytes]] = {}
        for name in NAMES:
            folder = self.folder / name
            folder.mkdir()
            shutil.copy(ROOT / "config" / "files" / "nats" / "lucheng.conf", folder)
            client, monitor = self.nats_ports[name]
            text = replaced(
                (MACHINES / "nats.conf").read_text(),
                {
                    "0.0.0.0:4222": f"127.0.0.1:{client}",
                    "0.0.0.0:8222": f"127.0.0.1:{monitor}",
                    "0.0.0.0:6222": f"127.0.0.1:{routes[name]}",
                    "/var/lib/nats": str(folder / "streams"),
                    "/etc/nats/server.pem": str(self.certs / "localhost.pem"),
                    "/etc/nats/server.key": str(self.certs / "localhost.key"),
                    "/etc/nats/ca.pem": str(self.ca),
                    **{f"{one}:6222": f"localhost:{port}" for one, port in routes.items()},
                },
            )
            (folder / "nats.conf").write_text(text)
            env = {
                **os.environ,
                "NATS_NAME": name,
                "NATS_PASSWORD": self.secret("nats-password"),
            }
            with (folder / "log").open("ab") as log:
                self.nats[name] = subprocess.Popen(
                    [need_nats_server(), "-c", str(folder / "nats.conf")], env=env, cwd=folder, stdout=log, stderr=log
                )
            self.stack.callback(self.end, self.nats[name])
        for name in NAMES:
            url = f"https://localhost:{self.nats_ports[name][1]}/healthz"
            said = (self.folder / name / "log").read_text()[-800:]
            wait_until(lambda url=url: b'"ok"' in self.asked(url), 60, f"{name}: {said}")  # type: ignore[misc] # a default binds it

    @staticmethod
    def end(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def asked(self, url: str) -> bytes:
        try:
            with urllib.request.urlopen(url, timeout=5, context=self.trust) as found:
                return bytes(found.read())
        except (OSError, HTTPException):
            return b""

    def _postgres(self) -> None:
        text = (MACHINES / "postgresql.conf").read_text()
        shipped = dict(re.findall(r"^(\w+) = '?([^'\n]*)'?$", text, re.MULTILINE))
        assert shipped["ssl"] == "on"
        self.postgres = PostgresServer(lasting=True, settings={**shipped, "listen_addresses": "127.0.0.1"})
        self.stack.callback(self.postgres.close)
        data = self.postgres.data
        conf = (data / "postgresql.conf").read_text()
        for name, file in (("server.pem", "localhost.pem"), ("server.key", "localhost.key"), ("ca.pem", "ca.pem")):
            own = data / name
            shutil.copy(self.certs / file, own)
            own.chmod(0o600)
            account = _account() if os.geteuid() == 0 else None
            if account is not None:
                os.chown(own, account.pw_uid, account.pw_gid)
            conf = replaced(conf, {f"/etc/postgresql/{name}": str(own)})
        (data / "postgresql.conf").write_text(conf)
        hba = replaced((MACHINES / "pg_hba.conf").read_text(), {"10.0.0.0/24": "127.0.0.0/8"})
        # the database is made by who made the server; here that is the same user, and no peer
        (data / "pg_hba.conf").write_text(hba + "hostssl postgres lucheng 127.0.0.0/8 scram-sha-256\n")
        self.postgres.start()
        with self.into("postgres", PASSWORD, sslmode="require", autocommit=True) as there:
            there.execute("CREATE DATABASE lucheng")
            there.execute(f"ALTER USER lucheng PASSWORD '{self.secret('postgres-password')}'")

    def into(self, database: str, password: str, **options: Any) -> psycopg.Connection[Any]:
        where: dict[str, Any] = {
            "host": "localhost",
            "hostaddr": "127.0.0.1",
            "port": self.postgres.port,
            "user": "lucheng",
        }
        return psycopg.connect(dbname=database, password=password, connect_timeout=10, **where, **options)

    def _influx(self) -> None:
        self.influx_port = free_port()
        text = replaced(
            (MACHINES / "influxdb.env").read_text(),
            {
                "=:8086": f"=127.0.0.1:{self.influx_port}",
                "/etc/influxdb/server.pem": str(self.certs / "localhost.pem"),
                "/etc/influxdb/server.key": str(self.certs / "localhost.key"),
            },
        )
        unit = (ROOT / "deploy" / "systemd" / "influxdb.service").read_text()
        folder = self.folder / "influxdb"
        folder.mkdir()
        said = [line for line in text.splitlines() if not line.startswith("#")]
        said += re.findall(r"^Environment=(\S+)$", unit.replace("/var/lib/influxdb", str(folder)), re.MULTILINE)
        env = {**os.environ, **dict(line.split("=", 1) for line in said)}
        with (folder / "log").open("ab") as log:
            server = subprocess.Popen([need_influxd()], env=env, cwd=folder, stdout=log, stderr=log)
        self.stack.callback(self.end, server)
        self.influx_url = f"https://localhost:{self.influx_port}"
        done = subprocess.run(
            [
                *(
                    sys.executable,
                    str(ROOT / "deploy" / "container" / "influx_setup.py"),
                    self.influx_url,
                    "city",
                    "lucheng",
                ),
                *(str(self.secrets / "influx-token"), str(self.secrets / "influx-password")),
            ],
            env={**os.environ, "SSL_CERT_FILE": str(self.ca)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def _mosquitto(self) -> None:
        lines = (
            f"cafile {self.ca}",
            f"certfile {self.certs / 'localhost.pem'}",
            f"keyfile {self.certs / 'localhost.key'}",
        )
        # a listener's own lines have to follow it
        self.mosquitto = Mosquitto(self.folder / "mosquitto", (f"listener {free_port()} 127.0.0.1", *lines))
        self.tls_port = int(self.mosquitto.lines[-4].split()[1])
        self.mosquitto.start()
        self.stack.callback(self.mosquitto.stop)

    def _config(self) -> Path:
        text = replaced(
            (MACHINES / "city.toml").read_text(),
            {
                "/etc/lucheng/secrets": str(self.secrets),
                "/etc/lucheng/ca.pem": str(self.ca),
                **{f"{name}:4222": f"localhost:{self.nats_ports[name][0]}" for name in NAMES},
                **{f"{name}:8222": f"localhost:{self.nats_ports[name][1]}" for name in NAMES},
                "m1:5432,m2:5432": f"localhost:{self.postgres.port}",
                "https://m3:8086": self.influx_url,
                '"mqtt://127.0.0.1:1883"': f'"mqtts://localhost:{self.tls_port}"\nca_file = "{self.ca}"',
                "/var/lib/lucheng/ingest/mosquitto": str(self.folder / "files"),
                "jt_port = 7611": f"jt_port = {free_port()}",
                "gt06_port = 7612": f"gt06_port = {free_port()}",
                '"0.0.0.0"': '"127.0.0.1"',
                "https://desk.city.local": "https://localhost",
            },
        )
        file = self.folder / "city.toml"
        file.write_text(text)
        return file

    def env(self, role: str) -> dict[str, str]:
        lines = [line for line in (MACHINES / f"{role}.env").read_text().splitlines() if not line.startswith("#")]
        found = dict(line.split("=", 1) for line in lines)
        return {key: str(free_port()) if key.endswith("__PORT") else value for key, value in found.items()}


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Land]:
    with ExitStack() as stack:
        yield Land(tmp_path_factory.mktemp("land"), stack)


@pytest.mark.soak
def test_a_city_behind_tls_takes_an_alarm_in_and_shows_it(land: Land) -> None:
    data = land.folder / "data"
    options = ("--config", str(land.config))
    assert lucheng(data / "x", "config", "check", *options).returncode == 0
    made = lucheng(data / "x", "store", "init", *options)
    assert made.returncode == 0, made.stderr
    with ExitStack() as stack:
        nodes: dict[str, ServiceProcess] = {}
        for role in ("desk", "ingest", "analyze"):
            keys = data / role / "keys"
            keys.mkdir(parents=True, mode=0o700)
            shutil.copy(land.secrets / "secret-key", keys / "secret.key")
            (keys / "secret.key").chmod(0o600)
            env = {**land.env(role), "LUCHENG_DEVICES__UNKNOWN": "register", "LUCHENG_CLUSTER__NODE": role}
            nodes[role] = ServiceProcess(data / role, env=env, arguments=("--role", role, *options))
            stack.callback(nodes[role].close)
            nodes[role].start()
        device = paho.Client(CallbackAPIVersion.VERSION2, client_id="button/1")
        device.tls_set(str(land.ca))
        device.connect("localhost", land.tls_port)
        device.loop_start()
        stack.callback(device.loop_stop)
        now_ms = CLOCK.now_ms()
        device.publish("lucheng/v1/button/1/up/alarm", payloads.alarm("a1", now_ms, "one_key"), 1).wait_for_publish(20)
        nodes["desk"].wait_status(lambda found: sum(found["signals"].values()) == 1, "the alarm")
        status = answer(data / "desk", "cluster", "status", *options)
        assert {node["roles"][0] for node in status["nodes"]} == {"desk", "ingest", "analyze"}
        assert all(row["there"] for row in status["streams"])
        port = int(nodes["desk"].status()["live"]["web_port"])
        trust = ssl.create_default_context(cafile=land.secrets / "ca.pem")
        with (
            socket.create_connection(("localhost", port), 10) as line,
            trust.wrap_socket(line, server_hostname="localhost") as browser,
        ):
            assert browser.version() == "TLSv1.3"
        with land.into(
            "lucheng", land.secret("postgres-password"), sslmode="verify-full", sslrootcert=str(land.ca)
        ) as there:
            rows = there.execute(
                "SELECT DISTINCT ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'lucheng'"
            ).fetchall()
        assert rows == [(True,)]
        # a machine is lost: whoever starts now starts without it
        land.end(land.nats["m3"])
        nodes["analyze"].kill9()
        nodes["analyze"].start()
        device.publish("lucheng/v1/button/1/up/alarm", payloads.alarm("a2", now_ms + 1, "one_key"), 1).wait_for_publish(
            20
        )
        nodes["desk"].wait_status(lambda found: sum(found["signals"].values()) == 2, "the alarm after it")
        for role in ("ingest", "analyze", "desk"):
            code, _ = nodes[role].terminate()
            assert code == 0, nodes[role].said[-1500:]


@pytest.mark.soak
def test_nobody_is_believed_without_the_authority(land: Land, tmp_path: Path) -> None:
    """Another authority's certificate in the settings' place: each server is refused by its own setting."""
    Land.make_certs(tmp_path / "other")
    other = tmp_path / "other" / "ca.pem"
    settings = load(land.config, {"nats.give_up_s": 2.0})
    url = f"https://localhost:{land.nats_ports['m1'][1]}"
    assert servers_without_sync([url], land.ca) == []
    with pytest.raises(TryAgain, match="certificate verify failed"):
        servers_without_sync([url], other)
    link = open_link(settings, CLOCK, "test")
    link.close()
    with pytest.raises(StoreError, match="No nats-server was reached"):
        open_link(load(land.config, {"nats.give_up_s": 2.0, "nats.ca_file": str(other)}), CLOCK, "test")
    password = land.secret("postgres-password")
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        land.into("lucheng", password, sslmode="verify-full", sslrootcert=str(other))
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        land.into("lucheng", password, sslmode="disable")
    done = lucheng(
        tmp_path / "data", "store", "init", "--config", str(land.config), env={"LUCHENG_INFLUX__CA_FILE": str(other)}
    )
    assert done.returncode != 0
    assert "certificate" in done.stderr.lower()


def test_a_server_without_a_certificate_of_the_city_joins_nothing(land: Land, tmp_path: Path) -> None:
    """A fourth nats-server on the network, with the right names and another authority."""
    Land.make_certs(tmp_path / "other")
    text = (land.folder / "m1" / "nats.conf").read_text()
    client, monitor, route = (str(port) for port in _free_ports(3))
    ports = re.findall(r"127\.0\.0\.1:(\d+)", text)
    for before, after in zip(ports, (client, monitor, route), strict=True):
        text = text.replace(f"127.0.0.1:{before}", f"127.0.0.1:{after}")
    text = text.replace(str(land.certs), str(tmp_path / "other")).replace(str(land.folder / "m1"), str(tmp_path))
    shutil.copy(ROOT / "config" / "files" / "nats" / "lucheng.conf", tmp_path)
    (tmp_path / "nats.conf").write_text(text)
    env = {**os.environ, "NATS_NAME": "m4", "NATS_PASSWORD": "pguess"}
    with (tmp_path / "log").open("ab") as log:
        stranger = subprocess.Popen(
            [need_nats_server(), "-c", str(tmp_path / "nats.conf")], env=env, stdout=log, stderr=log
        )
    try:
        wait_until(
            lambda: "TLS route handshake error" in (tmp_path / "log").read_text(), 30, "the stranger to be refused"
        )
        time.sleep(1.0)
        seen = land.asked(f"https://localhost:{land.nats_ports['m1'][1]}/routez").decode()
        assert '"m4"' not in seen
    finally:
        Land.end(stranger)
