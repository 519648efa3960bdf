"""Fixtures shared by every room: real servers on free loopback ports.

A missing server program skips a test with its name; with CI=true it is a failure, so that nothing is
silently left out there.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from lucheng.logs import configure

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from store.database import Where
    from tests.influx import Influxd
    from tests.nats import NatsCluster, NatsServer
    from tests.postgres import PostgresServer

# No test is timed: a busy machine is no failure. A failing example prints what repeats it.
settings.register_profile(
    "lucheng", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("lucheng")

# As every command does; else a test that captures logs would leave structlog with standard output.
configure()
# What is started in the background of a shell ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

START_TIMEOUT_S = 15.0
# Many services run at once here, and nobody looks at their pages: a test that does says at which port.
os.environ.setdefault("LUCHENG_WEB__PORT", "0")


#: Folders whose tests wait for processes of their own, the longest first: the short ones fill what is left at the end.
_LONG_FIRST = ("tests/web/", "tests/test_wheel.py", "tests/lucheng/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no process is alone with it at the end; within a folder the order stays."""
    items.sort(key=lambda item: next((n for n, name in enumerate(_LONG_FIRST) if item.nodeid.startswith(name)), 9))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for the module: two at a time, or one beside a test with a loop of its own, Playwright does not bear."""
    from tests.browser import chromium

    with chromium() as made:
        yield made


#: Below those that connections are given (Linux: from 32,768), so that no other process's connection takes one meanwhile.
_PORTS = range(10_000, 32_000)


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on right now."""
    for port in SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    pytest.fail("a hundred ports were tried and none was free")


def need_program(name: str) -> str:
    """Path of a server program; skips the test, or fails it with CI=true, when it is not installed."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if path is None:
        package = name if name == "haproxy" else "mosquitto mosquitto-clients"
        message = f"{name} is not installed; on Debian: apt-get install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0, what: str = "the condition") -> None:
    """Wait until `condition()` is true; fail naming `what` when it is not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"timed out waiting for {what}")
        time.sleep(0.005)


class Mosquitto:
    """A real mosquitto process in `folder`; `kill` it and `start` it again on the same port and data.

    Args:
        folder: where its configuration, log and persistence live.
        lines: further configuration lines (listener options among them).
        anonymous: whether clients may come without a password.
    """

    def __init__(self, folder: Path, lines: tuple[str, ...] = (), *, anonymous: bool = True) -> None:
        self.program = need_program("mosquitto")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.lines = (
            "per_listener_settings false",
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {str(anonymous).lower()}",
            "persistence true",
            f"persistence_location {folder}/",
            "max_inflight_messages 0",
            "max_queued_messages 0",
            *(("user root",) if os.geteuid() == 0 else ()),
            *lines,
        )

    @property
    def url(self) -> str:
        """Where it listens, without credentials."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> Mosquitto:
        """Start it and wait until it accepts connections."""
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join(self.lines) + "\n")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([self.program, "-c", str(config)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    text = (self.folder / "mosquitto.log").read_text(errors="replace")
                    pytest.fail(f"mosquitto did not start: {text[-500:]}")
                time.sleep(0.02)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGHUP reloads password and ACL files, SIGUSR1 saves its data."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=START_TIMEOUT_S)
            self.process = None


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running anonymous broker whose queues drop nothing."""
    broker = Mosquitto(tmp_path / "mosquitto").start()
    yield broker
    broker.stop()


#: Users of `secured_mosquitto` and their passwords. `desk` may read and write everything.
SECURED_USERS = {"desk": "desk-pass", "taxi/1": "one-pass", "taxi/2": "two-pass"}


@pytest.fixture
def secured_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker with a password file and an ACL file: a device may write its own `up` topics only."""
    folder = tmp_path / "secured"
    folder.mkdir()
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    for user, password in SECURED_USERS.items():
        subprocess.run(
            [need_program("mosquitto_passwd"), "-b", str(passwords), user, password], check=True, capture_output=True
        )
    acl = folder / "acl"
    acl.write_text(
        "user desk\ntopic readwrite lucheng/#\n\npattern write lucheng/v1/%u/up/#\npattern read lucheng/v1/%u/down/#\n"
    )
    acl.chmod(0o600)
    broker = Mosquitto(folder, (f"password_file {passwords}", f"acl_file {acl}"), anonymous=False).start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """One running influxd for all tests of a process; each test has buckets of its own (`tests.influx.bucket_of`)."""
    from tests.influx import Influxd

    server = Influxd(tmp_path_factory.mktemp("influxd"), lasting=False)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def own_influxd(tmp_path: Path) -> Iterator[Influxd]:
    """One that may be killed and started again."""
    from tests.influx import Influxd

    server = Influxd(tmp_path / "influxd")
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One running nats-server for all tests of a process; each test has streams of its own (`tests.nats.names_of`)."""
    from tests.nats import NatsServer

    server = NatsServer(tmp_path_factory.mktemp("nats"))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def own_nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """One that may be killed and started again."""
    from tests.nats import NatsServer

    server = NatsServer(tmp_path / "nats")
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def nats_cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    """Three of them that know each other; any may be killed and started again."""
    from tests.nats import NatsCluster

    cluster = NatsCluster(tmp_path / "cluster")
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One running PostgreSQL for all tests of a process; each test has schemas of its own (`PostgresServer.server`)."""
    from tests.postgres import PostgresServer

    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def own_postgres_server() -> Iterator[PostgresServer]:
    """One that syncs, and that may be killed and started again."""
    from tests.postgres import PostgresServer

    server = PostgresServer(lasting=True)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Where]]:
    """Where a store of that name lies: what is asked of a store is asked on both databases."""
    if request.param == "sqlite":
        yield lambda name: tmp_path / f"{name}.db"
        return
    running: PostgresServer = request.getfixturevalue("postgres_server")
    server = running.server()
    yield server.place
    server.close()
