"""A real influxd for tests and benchmarks: on a free loopback port, with a folder of its own, set up and ready.

It is the one on the PATH, else the one that `servers/influxd/build.sh` has built or can build. Without Go and Rust a test
that asks for it is skipped with that reason; with CI=true it fails.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path

import pytest

from model.clock import FakeClock
from model.seams import Audit
from store.series.influx.connection import Server
from store.series.influx.setting_up import set_up
from store.series.influx.store import InfluxSeries
from tests.conftest import free_port

BUILD = Path(__file__).resolve().parents[1] / "servers" / "influxd" / "build.sh"
ORG, TOKEN = "city", "a-token-for-tests-only"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


def need_influxd() -> str:
    """Path of influxd; skips the test, or fails it with CI=true, when there is none and none can be built."""
    found = shutil.which("influxd")
    if found is not None:
        return found
    made = subprocess.run([str(BUILD)], capture_output=True, text=True, check=False)
    if made.returncode == 0:
        return made.stdout.splitlines()[-1]
    message = f"no influxd on the PATH, and it cannot be built: {made.stderr.strip()[-300:]}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class Influxd:
    """A real influxd process; `kill` it and `start` it again on the same port and data.

    Args:
        folder: where its data and its log live.
        lasting: whether it is started again: one that is not keeps its buckets' names in memory, which is quicker.
    """

    def __init__(self, folder: Path, *, lasting: bool = True) -> None:
        self._lasting = lasting
        self.program = need_influxd()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def server(self, bucket: str, *, gzip: bool = True) -> Server:
        """How a store reaches a bucket of it."""
        return Server(url=self.url, org=ORG, token=TOKEN, bucket=bucket, gzip=gzip)

    def start(self) -> Influxd:
        """Start it, wait until it answers, and set it up when it is new."""
        arguments = [
            self.program, "--http-bind-address", f"127.0.0.1:{self.port}", "--bolt-path", str(self.folder / "influxd.bolt"),
            "--sqlite-path", str(self.folder / "influxd.sqlite"), "--engine-path", str(self.folder / "engine"),
            "--reporting-disabled", "--log-level", "warn", "--ui-disabled", "--store", "disk" if self._lasting else "memory",
        ]  # fmt: skip
        with (self.folder / "influxd.log").open("ab") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / "influxd.log").read_text(errors="replace")
                pytest.fail(f"influxd did not start: {text[-500:]}")
            time.sleep(0.02)
        self._set_up()
        return self

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, HTTPException):
            return False

    def _set_up(self) -> None:
        from influxdb_client import InfluxDBClient, OnboardingRequest
        from influxdb_client.service.setup_service import SetupService

        with InfluxDBClient(self.url, token="", org=ORG) as client:
            setup = SetupService(client.api_client)
            if setup.get_setup().allowed:
                setup.post_setup(
                    OnboardingRequest(
                        username="admin", password="password-of-tests", org=ORG, bucket="first", token=TOKEN
                    )
                )

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """It hangs: takes connections and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of `pause`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            try:
                self.process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


def bucket_of(folder: Path) -> str:
    """The bucket of the store in `folder`."""
    return "b" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]


def open_influx(
    influxd: Influxd, folder: Path, audit: Audit, *, now_ms: int = 0, retention_days: int = 0, **options: object
) -> InfluxSeries:
    """The store that lives in `folder` and in its own buckets; the same folder again is the same store."""
    server = influxd.server(bucket_of(folder))
    if not (folder / "influx.db").exists():
        set_up(server, retention_days=retention_days, late_days=30, hourly_days=0)
    return InfluxSeries(server, folder, audit=audit, clock=FakeClock(now_ms), **options)  # type: ignore[arg-type] # a test's options
