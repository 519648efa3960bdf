"""A real PostgreSQL for tests and benchmarks, on a free loopback port, from Debian's packages.

The programs are those on the PATH, else the newest below `/usr/lib/postgresql`. PostgreSQL refuses to run as root: then it is
started as the user `postgres` that its package makes. Without it a test that asks is skipped with that reason; with CI=true
it fails.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from store.database import Server, ServerTerms, Where
from tests.conftest import free_port

PACKAGES = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
OLDEST = 13
USER = "lucheng"
PASSWORD = "not secret"


def need_postgres() -> Path:
    """The folder of PostgreSQL's programs; skips the test, or fails it with CI=true, when there is none that can be run."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    versions = [path for path in PACKAGES.glob("*/bin") if path.parent.name.isdigit()]
    folders += sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    for folder in folders:
        if (folder / "postgres").exists() and (os.geteuid() != 0 or _account()):
            return folder
    message = "PostgreSQL is not installed; on Debian: apt-get install postgresql"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def _account() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


class PostgresServer:
    """A real PostgreSQL; `kill` it and `start` it again on the same port and data.

    Args:
        lasting: with `fsync`, for tests that kill it; else it is quick and forgets.
        settings: further ones.
    """

    def __init__(self, *, lasting: bool = False, settings: dict[str, str] | None = None) -> None:
        self.programs = need_postgres()
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._started = False
        self._account = _account() if os.geteuid() == 0 else None
        # Not below pytest's own folder, which nobody else may look into.
        self.folder = Path(tempfile.mkdtemp(prefix="lucheng-postgres-"))
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        secret = self.folder / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o644)
        self.data = self.folder / "data"
        self._run(
            [
                *(str(self.programs / "initdb"), "-D", str(self.data), "-U", USER, f"--pwfile={secret}"),
                *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "-N"),
            ]
        )
        lines = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on" if lasting else "off",
            "shared_buffers": "64MB",
            "max_connections": "100",
            "log_min_duration_statement": "-1",
            **(settings or {}),
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())

    @property
    def url(self) -> str:
        """Where clients reach it, without the password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def server(self, prefix: str = "", *, terms: ServerTerms | None = None, name: str = "test") -> Server:
        """A handle on it, as of a process of its own; a prefix that nobody has used where none is given."""
        made = prefix or f"t{uuid.uuid4().hex[:12]}"
        return Server(self.url, password=PASSWORD, prefix=made, terms=terms, name=name)

    @property
    def running(self) -> bool:
        """Whether it was started and neither killed nor stopped since."""
        return self.process is not None

    def launch(self) -> None:
        """Start it and do not wait."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port)],
                stdout=log,
                stderr=log,
                **self._as(),
            )

    def start(self) -> PostgresServer:
        """Start it and wait until it answers; before its first start another port is taken where somebody was quicker."""
        deadline = time.monotonic() + START_TIMEOUT_S
        self.launch()
        while not self._ready():
            assert self.process is not None
            log = (self.folder / "log").read_text(errors="replace")
            if time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start: {log[-800:]}")
            if self.process.poll() is not None:
                if self._started or "Address already in use" not in log:
                    pytest.fail(f"PostgreSQL did not start: {log[-800:]}")
                self.port = free_port()
                self.launch()
            time.sleep(0.02)
        self._started = True
        return self

    def _ready(self) -> bool:
        """Whether it says so itself, in the last line of its file."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        assert self.process is not None
        return lines[0] == str(self.process.pid) and len(lines) > 7 and lines[7].strip() == "ready"

    def kill(self) -> None:
        """End it and all its processes as a crash does."""
        if self.process is not None:
            children = _children(self.process.pid)
            self.process.send_signal(signal.SIGKILL)
            for child in children:
                try:
                    os.kill(child, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.process.wait(timeout=STOP_TIMEOUT_S)
            self.process = None

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it in order: SIGINT cuts its clients off, as a restart by the system does; SIGTERM waits for them."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=STOP_TIMEOUT_S)
            self.process = None

    def close(self) -> None:
        """End it and take its data away."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _as(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": [], "cwd": self.folder}

    def _run(self, command: list[str]) -> None:
        made = subprocess.run(command, capture_output=True, text=True, check=False, **self._as())
        if made.returncode:
            pytest.fail(f"{command[0]} failed: {made.stderr[-500:]}")


def told(where: Where) -> str:
    """Where a store lies, as text for another process: `where_told` is its reverse."""
    if isinstance(where, Path):
        return str(where)
    return json.dumps([where.server.url, where.schema])


def where_told(text: str, *, terms: ServerTerms | None = None) -> Where:
    """The reverse of `told`."""
    if not text.startswith("["):
        return Path(text)
    url, schema = json.loads(text)
    prefix, _, store = schema.rpartition("_")
    return Server(url, password=PASSWORD, prefix=prefix, terms=terms, name="other").place(store)


def _children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in found]
