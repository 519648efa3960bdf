"""The service of a demo, as a process of its own: started, awaited, ended with the demo however that ends.

Invariants: its gateway listens on a free port of the loopback interface alone, whatever the settings say, so that a demo is
in nobody's way; who runs the demo is a supervisor in it, and the desk has a telephone that nobody answers.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from console.client import RemoteClient
from console.server import user_name
from lucheng.rooms import SOCKET_FILE
from model.clock import Clock
from model.errors import TryAgain
from model.role import Role

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
LOOPBACK = "127.0.0.1"
#: What terminals of the demo dial: the number of nobody.
DEMO_NUMBER = "04720000110"
_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def port_like(wanted: int) -> int:
    """`wanted` where nothing listens on it, else any free port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError:
            return free_port()
    return wanted


def demo_settings(jt_port: int, live_port: int, web_port: int) -> dict[str, str]:
    """The service's settings, as its environment: terminals come by `jt_port`, live view is at `live_port`, the console at
    `web_port`; 0: not at all.
    """
    return {
        "LUCHENG_DEVICES__UNKNOWN": "register",
        "LUCHENG_GATEWAY__LISTEN": LOOPBACK,
        "LUCHENG_GATEWAY__JT_PORT": str(jt_port),
        "LUCHENG_GATEWAY__GT06_PORT": "0",
        "LUCHENG_GATEWAY__OSMAND_PORT": "0",
        "LUCHENG_CAMERA__ALLOW_NETWORKS": json.dumps([f"{LOOPBACK}/32"]),
        "LUCHENG_LIVE__PORT": str(live_port),
        "LUCHENG_WEB__LISTEN": LOOPBACK,
        "LUCHENG_WEB__PORT": str(web_port),
        "LUCHENG_WEB__ORIGINS": "[]",
        "LUCHENG_DESK__PHONE_NUMBER": DEMO_NUMBER,
        "LUCHENG_OPERATORS__USERS": json.dumps({user_name(os.getuid()): Role.SUPERVISOR.value}),
    }


@contextlib.contextmanager
def demo_service(
    data_dir: Path, config: Path | None, broker_url: str, env: Mapping[str, str], clock: Clock, stop: threading.Event
) -> Iterator[RemoteClient]:
    """`lucheng run` as a process of its own, with settings of `env`; drained and ended at the end."""
    log_path = data_dir / "service.log"
    with log_path.open("wb") as log:
        log_path.chmod(0o600)
        process = _spawn(data_dir, config, broker_url, env, log)
        try:
            client = RemoteClient(data_dir / SOCKET_FILE)
            _wait_ready(process, client, log_path, clock, stop)
            yield client
        finally:
            process.terminate()
            try:
                process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _spawn(
    data_dir: Path, config: Path | None, broker_url: str, env: Mapping[str, str], log: BinaryIO
) -> subprocess.Popen[bytes]:
    parent = os.getpid()
    settings_file = [] if config is None else ["--config", str(config)]

    def in_child() -> None:
        # Ctrl-C of the terminal is the demo's to handle; and the service ends when the demo is killed.
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(  # noqa: S603 (our own interpreter)
        [sys.executable, "-m", "lucheng", "--data", str(data_dir), *settings_file, "run", "--broker", broker_url],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={**os.environ, **env},
        preexec_fn=in_child,  # noqa: PLW1509 (no other thread runs yet)
    )


def _wait_ready(
    process: subprocess.Popen[bytes], client: RemoteClient, log: Path, clock: Clock, stop: threading.Event
) -> None:
    deadline_s = clock.monotonic_s() + START_TIMEOUT_S
    while clock.monotonic_s() < deadline_s and process.poll() is None and not stop.is_set():
        try:
            live = client.call("status")["live"]
            if live.get("mqtt_points_connected") and live.get("mqtt_alarms_connected"):
                return
        except TryAgain:
            pass
        clock.sleep(0.1)
    if not stop.is_set():
        said = log.read_text(errors="replace").strip().splitlines()[-5:]
        raise TryAgain("The service did not start: " + " | ".join(said), mend="Run `lucheng doctor`.")
