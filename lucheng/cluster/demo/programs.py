"""The servers of the demo as processes: found, started on a machine, asked whether they are there, killed.

Invariants: a process ends when the demo does, however that ends; it is started anew on the same files and ports. The configuration of the
nats-servers is the shipped one (config/files/nats), with the demo's addresses in it and one account more, that of the demo's devices.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import config
from model.errors import TryAgain, UsageError

if TYPE_CHECKING:
    from lucheng.cluster.demo.network import Host

SHIPPED = Path(config.__file__).parent / "files" / "nats"
_BUILDS = Path(config.__file__).parents[1] / "servers"
_PACKAGES = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
USER = "lucheng"
#: The account that may publish for all devices, as an edge's bridge may.
FLEET = "fleet"
ORG, BUCKET = "city", "lucheng"
#: How soon a server leaves a route that says nothing: as deploy/machines/nats.conf has it, which says why.
ROUTE_PINGS = 'ping_interval: "1s", ping_max: 2'
_PR_SET_PDEATHSIG = 1
_POLL_S = 0.05
_TAIL_CHARS = 600


def built(name: str) -> str:
    """Path of nats-server or influxd: the one on the PATH, else the one that `make` has built. Raises UsageError."""
    found = shutil.which(name)
    if found is not None:
        return found
    script = _BUILDS / name / "build.sh"
    if script.exists():
        done = subprocess.run([str(script), "--print"], capture_output=True, text=True, check=False)  # noqa: S603 our own
        if done.returncode == 0:
            return done.stdout.splitlines()[-1]
    raise UsageError(f"There is no {name}.", mend=f"Run `make {name}`, or put it on the PATH.")


def postgres_programs() -> Path:
    """The folder of PostgreSQL's programs. Raises UsageError."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    folders = [path for path in _PACKAGES.glob("*/bin") if path.parent.name.isdigit()]
    if not folders:
        raise UsageError("There is no PostgreSQL.", mend="Run `apt-get install postgresql`.")
    return max(folders, key=lambda path: int(path.parent.name))


class Program:
    """A process on a machine, or beside them all.

    Args:
        name: for people. command: of it. log: where what it says goes.
        host: the machine; None: beside them.
        env: further environment. account: whom it runs as, for one that refuses root.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        host: Host | None = None,
        env: Mapping[str, str] | None = None,
        account: pwd.struct_passwd | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [*(host.prefix if host is not None else []), *command]
        self._env = {**os.environ, **(env or {})}
        self._account = account
        self.process: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def said(self) -> str:
        """What it said since its last start."""
        return self.log.read_bytes()[self._said_before :].decode(errors="replace") if self.log.exists() else ""

    def start(self) -> None:
        """Start it and do not wait."""
        parent = os.getpid()

        def in_child() -> None:
            # Ctrl-C of the terminal is the demo's to handle; and nothing outlives it.
            os.setsid()
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        given: dict[str, Any] = {}
        if self._account is not None:
            given = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        with self.log.open("ab") as log:
            self.log.chmod(0o600)
            self.process = subprocess.Popen(  # noqa: S603 our own words, no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self.log.parent if self._account is None else "/",
                preexec_fn=in_child,  # noqa: PLW1509 nothing is locked in the child
                **given,
            )

    def wait(self, met: Callable[[], object], *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until `met()`. Raises TryAgain with what it said."""
        deadline_s = time.monotonic() + timeout_s
        while not met():
            if not self.alive or time.monotonic() > deadline_s:
                raise TryAgain(
                    f"{self.name} did not start: {self.said[-_TAIL_CHARS:].strip()}", mend="Look at its log."
                )
            time.sleep(_POLL_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it started."""
        if self.alive:
            assert self.process is not None
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it in order, or by force when that takes too long."""
        if self.process is None or not self.alive:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        try:
            self.process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()


def answer(url: str) -> dict[str, Any]:
    """The JSON at that address, {} when nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as given:  # noqa: S310 our own servers
            found = json.load(given)
    except (OSError, HTTPException, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def nats_files(
    folder: Path, host: Host, hosts: Sequence[Host], ports: Mapping[str, int], *, partitions: int, max_store_bytes: int
) -> Path:
    """Write the configuration of one nats-server of the cluster; return its path. Raises UsageError without the shipped files."""
    if not SHIPPED.is_dir():
        raise UsageError(
            "The configuration of nats-server is not here.", mend="Run it from a checkout: make demo-cluster."
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    cut = (SHIPPED / "lucheng.conf").read_text().replace("partition(8,1)", f"partition({partitions},1)")
    (folder / "lucheng.conf").write_text(cut)
    fleet = (
        f'{{ user: "{FLEET}", password: $LUCHENG_FLEET_PASSWORD, allowed_connection_types: ["MQTT"], '
        'permissions: { publish: ["lucheng.v1.*.*.up.>"] } }'
    )
    listener = (
        (SHIPPED / "mqtt.conf")
        .read_text()
        .replace("0.0.0.0:1883", f"{host.address}:{ports['mqtt']}")
        .replace("users: [", f"users: [\n    {fleet}", 1)
        .replace('auth_users: ["lucheng"', f'auth_users: ["{FLEET}", "lucheng"')
    )
    (folder / "mqtt.conf").write_text(listener)
    routes = ", ".join(f"nats-route://{one.address}:{ports['route']}" for one in hosts)
    lines = [
        f"server_name: {host.name}",
        f"listen: {host.address}:{ports['nats']}",
        f"http: {host.address}:{ports['monitor']}",
        "include lucheng.conf",
        "include mqtt.conf",
        f'jetstream {{ store_dir: "{folder}/streams", sync_interval: always, max_file_store: {max_store_bytes} }}',
        f"cluster {{ name: city, listen: {host.address}:{ports['route']}, routes: [{routes}], {ROUTE_PINGS} }}",
    ]
    (folder / "nats.conf").write_text("\n".join(lines) + "\n")
    return folder / "nats.conf"


class Postgres(Program):
    """PostgreSQL beside the machines, with data of its own that goes with it.

    Args:
        listen: its address. port: free. subnet: whence the machines come. password: of the user lucheng.
    """

    def __init__(self, listen: str, port: int, subnet: str, password: str) -> None:
        programs = postgres_programs()
        account = None
        if os.geteuid() == 0:
            try:
                account = pwd.getpwnam("postgres")
            except KeyError:
                raise UsageError(
                    "PostgreSQL does not run as root, and there is no user postgres.", mend="Install Debian's package."
                ) from None
        # Below a folder that this user may look into, which the data folder is not.
        self.folder = Path(tempfile.mkdtemp(prefix="lucheng-demo-postgres-"))
        if account is not None:
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        if account is not None:
            os.chown(secret, account.pw_uid, account.pw_gid)
        secret.write_text(password + "\n")
        data = self.folder / "data"
        making = Program(
            "initdb",
            [
                *(str(programs / "initdb"), "-D", str(data), "-U", USER, f"--pwfile={secret}"),
                *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "-N"),
            ],
            self.folder / "initdb.log",
            account=account,
        )
        making.start()
        assert making.process is not None
        if making.process.wait():
            raise TryAgain(f"initdb failed: {making.said[-_TAIL_CHARS:]}", mend="Look at what it says.")
        secret.unlink()
        with (data / "postgresql.conf").open("a") as file:
            file.write(
                f"listen_addresses = '{listen}'\nport = {port}\nunix_socket_directories = ''\nmax_connections = 150\n"
            )
        with (data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {subnet} scram-sha-256\n")
        self.url = f"postgresql://{USER}@{listen}:{port}/postgres"
        self._state = data / "postmaster.pid"
        super().__init__(
            "PostgreSQL", [str(programs / "postgres"), "-D", str(data)], self.folder / "postgres.log", account=account
        )

    def ready(self) -> bool:
        """Whether it says so itself."""
        try:
            lines = self._state.read_text().split("\n")
        except OSError:
            return False
        return self.process is not None and lines[0] == str(self.process.pid) and lines[7:8] == ["ready   "]

    def close(self) -> None:
        """End it and take its data away."""
        self.stop(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)


class Influx(Program):
    """InfluxDB beside the machines.

    Args:
        folder: its files. listen, port: where. token: that may do all.
    """

    def __init__(self, folder: Path, listen: str, port: int, token: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.url = f"http://{listen}:{port}"
        self._token = token
        arguments = [
            built("influxd"), "--http-bind-address", f"{listen}:{port}", "--bolt-path", str(folder / "influxd.bolt"),
            "--sqlite-path", str(folder / "influxd.sqlite"), "--engine-path", str(folder / "engine"),
            "--reporting-disabled", "--log-level", "warn", "--ui-disabled", "--store", "memory",
        ]  # fmt: skip
        super().__init__("influxd", arguments, folder / "influxd.log")

    def ready(self) -> bool:
        """Whether it answers."""
        return answer(f"{self.url}/health").get("status") == "pass"

    def set_up(self) -> None:
        """Its owner, buckets and task."""
        from influxdb_client import InfluxDBClient, OnboardingRequest  # noqa: PLC0415 costs half a second
        from influxdb_client.service.setup_service import SetupService  # noqa: PLC0415 as above

        from store.series.influx.connection import Server  # noqa: PLC0415 as above
        from store.series.influx.setting_up import set_up  # noqa: PLC0415 as above

        with InfluxDBClient(self.url, token="", org=ORG) as client:
            SetupService(client.api_client).post_setup(
                OnboardingRequest(username="admin", password=self._token, org=ORG, bucket="first", token=self._token)
            )
        server = Server(url=self.url, org=ORG, token=self._token, bucket=BUCKET, gzip=True)
        set_up(server, retention_days=0, late_days=30, hourly_days=0)
