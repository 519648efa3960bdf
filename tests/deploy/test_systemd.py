"""The units, as systemd itself reads them; and what a process says to systemd."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.lucheng.cluster.city import cut_into
from tests.lucheng.service_process import ServiceProcess
from tests.nats import NatsServer

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = ROOT / "deploy" / "systemd"
UNITS = sorted(
    path
    for path in [*SYSTEMD.iterdir(), ROOT / "config" / "files" / "lucheng.service"]
    if path.suffix in {".service", ".target", ".path", ".timer"}
)
LASTING = ["lucheng@.service", "nats-server.service", "influxdb.service"]
MIB = 1 << 20


def need(program: str) -> str:
    """Path of one of systemd's programs; skips the test, or fails it with CI=true, when it is not there."""
    found = shutil.which(program)
    if found is None:
        message = f"{program} is not installed; on Debian: apt-get install systemd"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file system in which the units lie where they belong, and what they start is there."""
    root = tmp_path_factory.mktemp("root")
    units = root / "etc" / "systemd" / "system"
    shutil.copytree(SYSTEMD, units)
    shutil.copy(ROOT / "config" / "files" / "lucheng.service", units)
    for program in (
        *("opt/lucheng/bin/lucheng", "opt/lucheng/deploy/backup.sh", "usr/local/bin/nats-server"),
        *("usr/local/bin/influxd", "usr/bin/install", "usr/bin/systemctl", "bin/kill"),
    ):
        path = root / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    # What Debian's packages bring: systemd's own targets and slices, and mosquitto's unit.
    own = Path("/usr/lib/systemd/system")
    if own.is_dir():
        shutil.copytree(own, root / "usr" / "lib" / "systemd" / "system", symlinks=True, dirs_exist_ok=True)
    (units / "mosquitto.service").write_text("[Unit]\nDescription=x\n[Service]\nExecStart=/usr/local/bin/influxd\n")
    return root


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_each_unit(root: Path, unit: Path) -> None:
    name = unit.name.replace("@.", "@ingest.")
    done = subprocess.run(
        [
            need("systemd-analyze"),
            "verify",
            f"--root={root}",
            "--man=no",
            "--generators=no",
            "--recursive-errors=one",
            name,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if unit.name.partition("@")[0].partition(".")[0] in line]
    print(done.stderr)
    assert done.returncode == 0
    assert told == []


def test_a_mistake_in_a_unit_is_found(root: Path) -> None:
    """What holds the test above: systemd-analyze is asked the right way."""
    wrong = root / "etc" / "systemd" / "system" / "wrong.service"
    wrong.write_text("[Service]\nType=notfy\nRestartSoon=yes\nExecStart=/no/such/program\n")
    done = subprocess.run(
        [need("systemd-analyze"), "verify", f"--root={root}", "--man=no", "--generators=no", "wrong.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    wrong.unlink()
    assert done.returncode != 0
    assert "RestartSoon" in done.stderr


@pytest.mark.parametrize("name", LASTING)
def test_what_others_wait_for_is_never_given_up(name: str) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign] # systemd's names know their case
    unit.read_string(re.sub(r"^#.*\n", "", (SYSTEMD / name).read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["Restart"] == "always"
    for key, value in {
        "NoNewPrivileges": "true",
        "ProtectSystem": "strict",
        "ProtectHome": "true",
        "PrivateDevices": "true",
        "CapabilityBoundingSet": "",
        "SystemCallFilter": "@system-service",
        "LimitCORE": "0",
    }.items():
        assert unit["Service"][key] == value, key
    assert int(unit["Service"]["LimitNOFILE"]) >= 200_000
    assert unit["Service"]["User"] != "root"


def test_users_and_folders_are_made(tmp_path: Path) -> None:
    """In a file system of their own: what systemd makes of the shipped files."""
    if os.geteuid() != 0:
        pytest.skip("systemd-sysusers and systemd-tmpfiles make users and give folders to them: as root alone")
    sysusers, tmpfiles = need("systemd-sysusers"), need("systemd-tmpfiles")
    (tmp_path / "etc" / "lucheng" / "secrets").mkdir(parents=True)
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc" / "group").write_text("root:x:0:\n")
    key = tmp_path / "etc" / "lucheng" / "secrets" / "secret-key"
    key.write_text("0123456789abcdef key\n")
    for folder, name in (("sysusers.d", "lucheng.sysusers"), ("tmpfiles.d", "lucheng.tmpfiles")):
        (tmp_path / "usr" / "lib" / folder).mkdir(parents=True)
        shutil.copy(SYSTEMD / name, tmp_path / "usr" / "lib" / folder / "lucheng.conf")
    for command in (
        [sysusers, f"--root={tmp_path}", "lucheng.conf"],
        2 * [tmpfiles, f"--root={tmp_path}", "--create", "lucheng.conf"],
    ):
        done = subprocess.run(command[:4], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    users = dict(line.split(":")[::2][:2] for line in (tmp_path / "etc" / "passwd").read_text().splitlines())
    assert {"lucheng", "nats", "influxdb"} <= set(users)
    for role in ("ingest", "analyze", "desk", "video"):
        made = tmp_path / "var" / "lib" / "lucheng" / role / "keys" / "secret.key"
        assert made.read_text() == key.read_text()
        assert made.stat().st_mode & 0o777 == 0o600
        assert made.stat().st_uid == int(users["lucheng"])
        assert made.parent.parent.stat().st_mode & 0o777 == 0o700
    assert key.stat().st_mode & 0o777 == 0o640
    assert key.parent.stat().st_mode & 0o777 == 0o750


class Told:
    """A socket as systemd gives it to a service (sd_notify), and what came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.lines: list[str] = []

    def has(self, line: str) -> bool:
        while True:
            try:
                self.lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return line in self.lines


@pytest.mark.soak
def test_a_role_tells_systemd_that_it_is_ready_and_lives_and_ends(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = NatsServer(tmp_path / "nats")
    cut_into(server, 1)
    server.start()
    told = Told(tmp_path_factory.mktemp("n") / "s")
    env = {
        "NOTIFY_SOCKET": str(told.path),
        "LUCHENG_NATS__MODE": "log",
        "LUCHENG_NATS__URLS": server.url,
        "LUCHENG_NATS__MONITOR_URLS": f"{server.monitor_url},http://127.0.0.1:1",  # a machine that is lost
        "LUCHENG_NATS__PARTITIONS": "1",
        "LUCHENG_NATS__ALARM_REPLICAS": "1",
        "LUCHENG_NATS__POINT_REPLICAS": "1",
        "LUCHENG_NATS__MAX_ALARM_BYTES": str(64 * MIB),
        "LUCHENG_NATS__MAX_POINT_BYTES": str(512 * MIB),
        "LUCHENG_NATS__MAX_SNAPSHOT_BYTES": str(128 * MIB),
        "LUCHENG_VIDEO__MAX_FILE_BYTES": str(64 * MIB),
    }
    try:
        with ServiceProcess(tmp_path / "data", env=env).start() as service:
            wait: Callable[[str], None] = lambda line: wait_until(lambda: told.has(line), what=line)  # noqa: E731 short
            wait("READY=1")
            wait("WATCHDOG=1")
            code, _ = service.terminate()
            assert code == 0
            wait("STOPPING=1")
    finally:
        server.kill()
