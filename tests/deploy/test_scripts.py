"""What the containers begin with, as plain processes on free ports of this machine: PostgreSQL, mosquitto, InfluxDB, the key."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from devices.broker_files import BrokerFiles
from devices.credentials import Credentials
from devices.registry import Registry
from model.clock import SystemClock
from tests.conftest import free_port, need_program, wait_until
from tests.influx import need_influxd
from tests.postgres import _account, need_postgres

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CONTAINER = DEPLOY / "container"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


class Script:
    """A script of a container; `stop` ends it as an engine of containers does."""

    def __init__(self, name: str, *arguments: str, env: dict[str, str], log: Path, user: int | None = None) -> None:
        self.log = log
        options = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        with log.open("ab") as said:
            self.process = subprocess.Popen(
                ["sh", str(CONTAINER / name), *arguments],
                env={**os.environ, **env},
                cwd=log.parent,
                stdout=said,
                stderr=said,
                **options,  # type: ignore[call-overload] # who it runs as
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return int(self.process.wait(30))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user may look into, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="lucheng-deploy-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_postgres_is_made_once_and_lets_nobody_in_without_the_password(open_folder: Path, stack: ExitStack) -> None:
    programs = need_postgres()
    account = _account() if os.geteuid() == 0 else None
    uid = account.pw_uid if account is not None else None
    secret = open_folder / "password"
    secret.write_text("p0123456789abcdef\n")
    home = open_folder / "postgres"
    home.mkdir()
    if uid is not None:
        os.chown(home, uid, uid)
    port = free_port()
    env = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PGDATA": str(home / "main"),
        "POSTGRES_PASSWORD_FILE": str(secret),
    }
    # a first start that was killed in the middle of initdb
    (home / "main.part").mkdir()
    (home / "main.part" / "half").touch()

    def start() -> Script:
        found = Script(
            "postgres.sh",
            "-p",
            str(port),
            "-c",
            f"unix_socket_directories={home}",
            env=env,
            log=home / "said",
            user=uid,
        )
        stack.callback(found.stop, signal.SIGINT)
        return found

    def ask(sql: str, password: str = "p0123456789abcdef", database: str = "lucheng") -> object:
        with psycopg.connect(
            host="127.0.0.1", port=port, user="lucheng", password=password, dbname=database, connect_timeout=5
        ) as there:
            row = there.execute(sql).fetchone()
            return row[0] if row else None

    def ready() -> bool:
        try:
            return ask("SELECT 1") == 1
        except psycopg.OperationalError:
            return False

    (home / "said").touch()
    if uid is not None:
        os.chown(home / "said", uid, uid)
        for path in (home / "main.part", home / "main.part" / "half"):
            os.chown(path, uid, uid)
    server = start()
    wait_until(ready, 60, f"PostgreSQL: {server.said}")
    assert ask("SHOW password_encryption") == "scram-sha-256"
    assert ask("SHOW fsync") == "on"
    assert ask("SHOW server_encoding") == "UTF8"
    for wrong in ("", "another"):
        with pytest.raises(psycopg.OperationalError):
            ask("SELECT 1", wrong)
    hba = (home / "main" / "pg_hba.conf").read_text()
    assert not re.search(r"^[^#\n]*\btrust\b", hba, re.MULTILINE)
    with psycopg.connect(
        host="127.0.0.1", port=port, user="lucheng", password="p0123456789abcdef", dbname="lucheng"
    ) as there:
        there.execute("CREATE TABLE kept (one INTEGER)")
    assert server.stop(signal.SIGINT) == 0
    start()
    wait_until(ready, 60, "PostgreSQL again")
    assert ask("SELECT count(*) FROM kept") == 0


class Devices:
    """A registry whose files mosquitto reads."""

    def __init__(self, folder: Path) -> None:
        self.registry = Registry(folder / "registry.db", clock=SystemClock())
        self.credentials = Credentials(self.registry.file)
        self.files = folder / "files"
        self.service = self.credentials.renew_account("lucheng").password

    def add(self, device: str) -> str:
        self.registry.add(device)
        (given,) = self.credentials.issue_many((device,))
        return given.password

    def write(self) -> None:
        BrokerFiles(self.registry.file, self.files).write()


def enters(port: int, user: str, password: str) -> bool:
    """Whether the broker at `port` takes this user."""
    codes: list[bool] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=user)
    client.username_pw_set(user, password)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: codes.append(not reason.is_failure)
    try:
        client.connect("127.0.0.1", port)
    except OSError:
        return False
    deadline = time.monotonic() + 10
    while not codes and time.monotonic() < deadline:
        client.loop(0.1)
    client.disconnect()
    return bool(codes and codes[0])


@pytest.mark.soak
def test_mosquitto_waits_for_its_files_follows_them_and_carries_what_an_edge_hears(
    tmp_path: Path, stack: ExitStack
) -> None:
    need_program("mosquitto")
    devices = Devices(tmp_path)
    stack.callback(devices.registry.close)
    (tmp_path / "bridge-password").write_text("pbridge\n")
    ports = {"own": free_port(), "bridges": free_port(), "edge": free_port(), "tls": free_port()}
    subprocess.run([str(DEPLOY / "certs.sh"), str(tmp_path), "localhost,127.0.0.1"], check=True, capture_output=True)

    def conf(name: str, replaced: dict[str, str]) -> Path:
        text = (DEPLOY / "compose" / name).read_text()
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        for before, after in {
            "/var/lib/lucheng-broker": str(devices.files),
            "/var/lib/mosquitto/": f"{folder}/",
            **replaced,
        }.items():
            assert before in text, before
            text = text.replace(before, after)
        if os.geteuid() == 0:
            text = "user root\n" + text  # in the container nobody is root
        (folder / name).write_text(text)
        return folder / name

    def start(path: Path, *more: str) -> Script:
        env = {
            "BRIDGE_PASSWORD_FILE": str(tmp_path / "bridge-password"),
            "BRIDGES_ACL": str(ROOT / "config" / "files" / "mqtt_cluster" / "bridges.acl"),
            "MOSQUITTO_CONFIG": str(path.parent / "own.conf"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
        }
        found = Script("mosquitto.sh", str(path), str(devices.files), *more, env=env, log=path.parent / "said")
        stack.callback(found.stop)
        return found

    bridges = tmp_path / "bridges"
    beside = conf(
        "ingest.conf",
        {
            "listener 1883": f"listener {ports['own']}",
            "listener 1884": f"listener {ports['bridges']}",
            "/tmp/bridges": str(bridges),
        },
    )
    broker = start(beside, str(bridges))
    wait_until(lambda: "waiting for" in broker.said, what="the script to wait")
    first = devices.add("taxi/1")
    devices.write()
    wait_until(lambda: enters(ports["own"], "lucheng", devices.service), 30, f"the broker: {broker.said}")
    assert "pbridge" not in (bridges / "passwords").read_text()
    edge = conf(
        "edge.conf",
        {
            "listener 1883": f"listener {ports['edge']}",
            "listener 8883 0.0.0.0": f"listener {ports['tls']} 127.0.0.1",
            "/run/secrets/tls-cert": str(tmp_path / "localhost.pem"),
            "/run/secrets/tls-key": str(tmp_path / "localhost.key"),
            "mosquitto1:1884 mosquitto2:1884": f"127.0.0.1:{ports['bridges']}",
        },
    )
    start(edge)
    wait_until(lambda: enters(ports["edge"], "taxi/1", first), 30, "the edge")
    assert not enters(ports["edge"], "taxi/1", "wrong")

    heard: list[bytes] = []
    listener = paho.Client(CallbackAPIVersion.VERSION2, client_id="lucheng")
    listener.username_pw_set("lucheng", devices.service)
    listener.on_message = lambda _client, _data, message: heard.append(bytes(message.payload))
    listener.on_connect = lambda client, *_: client.subscribe("lucheng/v1/+/+/up/#", 1)
    listener.connect("127.0.0.1", ports["own"])
    listener.loop_start()
    stack.callback(listener.loop_stop)
    taxi = paho.Client(CallbackAPIVersion.VERSION2, client_id="taxi/1")
    taxi.username_pw_set("taxi/1", first)
    taxi.tls_set(str(tmp_path / "ca.pem"))
    taxi.connect("localhost", ports["tls"])
    taxi.loop_start()
    stack.callback(taxi.loop_stop)
    taxi.publish("lucheng/v1/taxi/1/up/point", b"{}", 1).wait_for_publish(20)
    wait_until(lambda: heard == [b"{}"], 30, "what the device said, by TLS and over the bridge")

    second = devices.add("taxi/2")
    assert not enters(ports["edge"], "taxi/2", second)
    devices.write()
    wait_until(lambda: enters(ports["edge"], "taxi/2", second), 30, "the new device to be let in, by a reload")
    assert broker.stop() == 0


@pytest.mark.soak
def test_influxdb_is_set_up_once(tmp_path: Path, stack: ExitStack) -> None:
    port = free_port()
    for name in ("token", "password"):
        (tmp_path / name).write_text(f"p{name}0123456789\n")
    call = [
        *(sys.executable, str(CONTAINER / "influx_setup.py"), f"http://127.0.0.1:{port}", "city", "lucheng"),
        *(str(tmp_path / "token"), str(tmp_path / "password")),
    ]
    away = subprocess.run([*call, "0.1"], capture_output=True, text=True, check=False)
    assert away.returncode == 1
    assert "does not answer" in away.stderr
    server = subprocess.Popen(
        [
            *(
                need_influxd(),
                "--http-bind-address",
                f"127.0.0.1:{port}",
                "--bolt-path",
                str(tmp_path / "influxd.bolt"),
            ),
            *(
                "--sqlite-path",
                str(tmp_path / "influxd.sqlite"),
                "--engine-path",
                str(tmp_path / "engine"),
                "--reporting-disabled",
            ),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    stack.callback(server.wait)
    stack.callback(server.terminate)
    for words in ("set up", "was set up already"):
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith(words)
    env = {
        **os.environ,
        "LUCHENG_INFLUX__URL": f"http://127.0.0.1:{port}",
        "LUCHENG_INFLUX__MODE": "store",
        "LUCHENG_INFLUX__TOKEN_FILE": str(tmp_path / "token"),
    }
    for _ in range(2):
        made = subprocess.run(
            [sys.executable, "-m", "lucheng", "--data", str(tmp_path / "data"), "store", "init"],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
    assert "lucheng_state" in made.stdout


def test_the_secret_key_is_copied_and_never_written_over(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "lucheng").write_text('#!/bin/sh\necho "$@"\n')
    (programs / "lucheng").chmod(0o755)
    given = tmp_path / "given"
    given.write_text("0123456789abcdef a-key\n")
    env = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "LUCHENG_DATA": str(tmp_path / "data"),
        "CITY_KEY_FILE": str(given),
    }

    def begin() -> str:
        return subprocess.run(
            ["sh", str(CONTAINER / "lucheng.sh"), "run", "--role", "desk"],
            env=env,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert begin() == "run --role desk"
    key = tmp_path / "data" / "keys" / "secret.key"
    assert key.read_text() == given.read_text()
    assert key.stat().st_mode & 0o777 == 0o600
    given.write_text("another\n")
    begin()
    assert key.read_text() == "0123456789abcdef a-key\n"
    given.unlink()
    assert begin() == "run --role desk"
