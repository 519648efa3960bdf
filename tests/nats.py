"""Real nats-servers for tests and benchmarks, alone and as a cluster of three, on free loopback ports.

The program is the one on the PATH, else the one that `servers/nats-server/build.sh` has built or can build. Without Go a
test that asks for it is skipped with that reason; with CI=true it fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from lucheng.cluster.demo.programs import ROUTE_PINGS
from model.clock import SystemClock
from store.log.jetstream import JetStreamLog
from store.nats.link import Link
from store.nats.streams import Names, key_value_stream, log_stream, made
from store.nats.terms import Patience, Servers
from tests.conftest import free_port

FILES = Path(__file__).resolve().parents[1] / "config" / "files"
BUILD = Path(__file__).resolve().parents[1] / "servers" / "nats-server" / "build.sh"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
#: What tests of the cluster are built on: atomic batches and priority groups.
OLDEST = (2, 14)


def need_nats_server() -> str:
    """Path of nats-server; skips the test, or fails it with CI=true, when there is none and none can be built."""
    found = shutil.which("nats-server")
    if found is not None and _version(found) >= OLDEST:
        return found
    made = subprocess.run([str(BUILD)], capture_output=True, text=True, check=False)
    if made.returncode == 0:
        return made.stdout.splitlines()[-1]
    message = f"no nats-server of 2.14 or newer on the PATH, and it cannot be built: {made.stderr.strip()[-300:]}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.rpartition("v")[2].strip().split("-")[0].split("."))


class NatsServer:
    """A real nats-server with JetStream; `kill` it and `start` it again on the same ports and data.

    Args:
        folder: where its configuration, its log and its streams live.
        name: of the server.
        sync_interval: as in its configuration: `always`, or how often it syncs.
        routes: cluster ports of all members, its own among them; none: it is alone.
        cluster_port: its own.
        extra: further lines of its configuration.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "n1",
        sync_interval: str = "always",
        routes: Sequence[int] = (),
        cluster_port: int = 0,
        extra: Sequence[str] = (),
    ) -> None:
        self.program = need_nats_server()
        self.folder = folder
        self.name = name
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.monitor_port = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        lines = [
            f"server_name: {name}",
            f"listen: 127.0.0.1:{self.port}",
            f"http: 127.0.0.1:{self.monitor_port}",
            # An include has to lie beside the file that names it.
            "include lucheng.conf",
            f'jetstream {{ store_dir: "{folder}/streams", sync_interval: {sync_interval}, max_file_store: 1TB }}',
        ]
        shutil.copy(FILES / "nats" / "lucheng.conf", folder / "lucheng.conf")
        if routes:
            urls = ", ".join(f"nats-route://127.0.0.1:{port}" for port in routes)
            listen = f"127.0.0.1:{cluster_port}"
            lines.append(f"cluster {{ name: city, listen: {listen}, routes: [{urls}], {ROUTE_PINGS} }}")
        (folder / "nats.conf").write_text("\n".join([*lines, *extra]) + "\n")

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        """Where it tells of itself."""
        return f"http://127.0.0.1:{self.monitor_port}"

    @property
    def running(self) -> bool:
        """Whether it was started and neither killed nor stopped since."""
        return self.process is not None

    def launch(self) -> None:
        """Start it and do not wait."""
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "-c", str(self.folder / "nats.conf")], stdout=log, stderr=log, cwd=self.folder
            )

    def start(self) -> NatsServer:
        """Start it and wait until its JetStream answers."""
        self.launch()
        self.wait_healthy()
        return self

    def wait_healthy(self) -> None:
        """Wait until it says of itself that its JetStream is there and current."""
        self.wait_for(lambda: self.monitor("healthz").get("status") == "ok", "be healthy")

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition()` is true of a server that runs."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not condition():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / "nats.log").read_text(errors="replace")
                pytest.fail(f"nats-server {self.name} did not {what}: {text[-1000:]}")
            time.sleep(0.02)

    def monitor(self, page: str) -> dict[str, Any]:
        """A page of its monitoring, {} when it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.monitor_url}/{page}", timeout=2) as answer:
                found = json.load(answer)
        except (OSError, HTTPException, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def kill(self) -> None:
        """End it as a power cut would, but for what the kernel still writes."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """It hangs: takes connections and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of `pause`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)  # one that was stopped takes no other signal
        self.process.send_signal(number)
        try:
            self.process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class NatsCluster:
    """Three real nats-servers that know each other.

    Args:
        folder: each has a folder of its own in it.
        sync_interval: as in their configuration.
        extra: further lines of their configuration.
    """

    SIZE = 3

    def __init__(self, folder: Path, *, sync_interval: str = "always", extra: Sequence[str] = ()) -> None:
        ports = _free_ports(self.SIZE)
        self.servers = [
            NatsServer(
                folder / f"n{number}",
                name=f"n{number}",
                sync_interval=sync_interval,
                routes=ports,
                cluster_port=port,
                extra=extra,
            )
            for number, port in enumerate(ports, 1)
        ]

    @property
    def urls(self) -> list[str]:
        """Where clients reach them."""
        return [server.url for server in self.servers]

    def start(self) -> NatsCluster:
        """Start those that do not run, and wait until they have a leader and are healthy."""
        for server in self.servers:
            if not server.running:
                server.launch()
        self.wait_led()
        for server in self.servers:
            server.wait_healthy()
        return self

    def wait_led(self) -> None:
        """Wait until those that run agree on a leader that runs and on how many they are."""
        running = [server for server in self.servers if server.running]
        names = {server.name for server in running}

        def led(server: NatsServer) -> bool:
            meta = server.monitor("jsz").get("meta_cluster", {})
            return meta.get("leader") in names and meta.get("cluster_size") == self.SIZE

        for server in running:
            server.wait_for(lambda server=server: led(server), "find a leader")  # type: ignore[misc] # a default binds it

    def leader_of(self, stream: str) -> NatsServer | None:
        """The server that leads a stream, as those that run say."""
        for server in self.servers:
            if not server.running:
                continue
            for account in server.monitor("jsz?streams=true&leader-only=false").get("account_details", []):
                for detail in account.get("stream_detail", []):
                    if detail["name"] == stream and (leader := detail.get("cluster", {}).get("leader")):
                        return next((s for s in self.servers if s.name == leader and s.running), None)
        return None

    def stop(self) -> None:
        """End all of them."""
        for server in self.servers:
            server.kill()


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def names_of(folder: Path) -> Names:
    """What the streams of the log in `folder` are called."""
    return Names("t" + hashlib.sha256(str(folder).encode()).hexdigest()[:16])


def link_to(urls: Sequence[str], *, name: str = "test", patience: Patience | None = None) -> Link:
    """A connection to servers of a test."""
    return Link(Servers(tuple(urls)), clock=SystemClock(), patience=patience, name=name)


def open_jetstream_log(
    urls: Sequence[str], folder: Path, *, replicas: int = 1, patience: Patience | None = None, **options: Any
) -> JetStreamLog:
    """The log that lives in `folder`'s own streams; the same folder again is the same log."""
    names = names_of(folder)
    link = link_to(urls, patience=patience)
    try:
        for config in (
            log_stream(names.alarms, names.alarms_subject, replicas, 1 << 30),
            key_value_stream(names.marks, replicas),
            key_value_stream(names.owners, replicas),
        ):
            link.call(made(link, config))
        return JetStreamLog(link, names, names.alarms, names.alarms_subject, **options)
    except BaseException:
        link.close()
        raise
