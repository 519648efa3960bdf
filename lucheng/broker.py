"""The embedded broker: mosquitto when it is installed, else amqtt, as a child that never outlives us.

Invariants: it listens where it was told and answers MQTT before `start` returns; it keeps its
files in one folder; a stop, a crash or a `kill -9` of this process leaves nothing running
(`lucheng.broker_keeper`). The port stays the same over restarts of one object.

mosquitto keeps sessions and queued messages over a restart. amqtt keeps them in memory alone, and
a message that a client had not acknowledged when its connection broke is not sent again: it
carries the demo on a machine without mosquitto, not a city. It is refused outside loopback.
It does not restart a broker that died: `alive` tells, and `start` starts it again.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from model.clock import Clock, SystemClock
from model.errors import TryAgain, UsageError

Program = Literal["auto", "mosquitto", "amqtt"]

DEFAULT_MAX_INFLIGHT_MESSAGES = 20_000
DEFAULT_MAX_QUEUED_BYTES = 1024**3
DEFAULT_MAX_PACKET_BYTES = 1024**2
DEFAULT_AUTOSAVE_S = 60
DEFAULT_START_TIMEOUT_S = 10.0
DEFAULT_STOP_TIMEOUT_S = 10.0
#: What the broker may say before its log starts again.
MAX_LOG_BYTES = 1024**2
#: How often a free port may be gone again before the broker takes it.
PORT_TRIES = 5
_POLL_S = 0.02
_PROBE_TIMEOUT_S = 1.0
_TAIL_CHARS = 400
_CLIENT_EXPIRY = "30d"
_KEEPER = Path(__file__).with_name("broker_keeper.py")
_EXTRA_PATH = ("/usr/sbin", "/usr/local/sbin")


def find_mosquitto() -> str | None:
    """The mosquitto program, also where Debian puts it outside a user's PATH; None when there is none."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(_EXTRA_PATH))


def connect_answer(connection: socket.socket) -> bool:
    """Send an anonymous MQTT CONNECT; whether a CONNACK comes back, be it a refusal."""
    client_id = f"lucheng-probe-{os.getpid()}".encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x0a" + len(client_id).to_bytes(2, "big") + client_id
    connection.sendall(b"\x10" + bytes([len(body)]) + body)
    answer = connection.recv(4)
    with contextlib.suppress(OSError):
        connection.sendall(b"\xe0\x00")
    return answer[:1] == b"\x20"


def answers_mqtt(host: str, port: int, timeout_s: float = _PROBE_TIMEOUT_S) -> bool:
    """Whether something at that address answers MQTT, be it with a refusal."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            return connect_answer(connection)
    except OSError:
        return False


class EmbeddedBroker:
    """A broker process of our own.

    Args:
        folder: where it keeps its files; made when missing (mode 0700).
        program: `auto` takes mosquitto when it is installed, else amqtt.
        listen: IP address to listen on.
        port: TCP port; 0 takes a free one.
        password_file: mosquitto's password file (`$7$` hashes); None only with `anonymous`.
        acl_file: mosquitto's ACL file, or None.
        anonymous: let clients in without credentials.
        max_inflight_messages: unacknowledged messages on their way to one client (mosquitto).
        max_queued_bytes: payload bytes kept for a client that is away (mosquitto).
        max_packet_bytes: a longer packet ends the connection (mosquitto).
        autosave_s: seconds between saves of sessions and queues (mosquitto).
        start_timeout_s: time to answer after a start.
        stop_timeout_s: time to stop before it is killed.
        clock: measures the time-outs.

    Raises:
        UsageError: the arguments contradict each other, or the program is not installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        program: Program = "auto",
        listen: str = "127.0.0.1",
        port: int = 0,
        password_file: Path | None = None,
        acl_file: Path | None = None,
        anonymous: bool = False,
        max_inflight_messages: int = DEFAULT_MAX_INFLIGHT_MESSAGES,
        max_queued_bytes: int = DEFAULT_MAX_QUEUED_BYTES,
        max_packet_bytes: int = DEFAULT_MAX_PACKET_BYTES,
        autosave_s: int = DEFAULT_AUTOSAVE_S,
        start_timeout_s: float = DEFAULT_START_TIMEOUT_S,
        stop_timeout_s: float = DEFAULT_STOP_TIMEOUT_S,
        clock: Clock | None = None,
    ) -> None:
        if password_file is None and not anonymous:
            raise UsageError(
                "The embedded broker has no password file.", mend="Give password_file, or anonymous=True for a test."
            )
        mosquitto = find_mosquitto()
        if program == "mosquitto" and mosquitto is None:
            raise UsageError(
                "mosquitto is not installed.", mend="Run `apt-get install mosquitto`, or set broker.program to amqtt."
            )
        self.program: Literal["mosquitto", "amqtt"] = (
            "amqtt" if program == "amqtt" or mosquitto is None else "mosquitto"
        )
        if self.program == "amqtt" and not ipaddress.ip_address(listen).is_loopback:
            raise UsageError(
                f"amqtt is not offered on {listen}: it is for the demo on one machine.",
                mend="Run `apt-get install mosquitto`, or set broker.listen to 127.0.0.1.",
            )
        self.folder = folder.resolve()
        for path in (self.folder, password_file, acl_file):
            if path is not None and not str(path).isprintable():
                raise UsageError(f"{str(path)!r} cannot stand in a broker's settings.", mend="Use a plain path.")
        self.listen = listen
        self._mosquitto = mosquitto
        self._wanted_port = port
        self._port = port
        self._password_file = password_file.resolve() if password_file else None
        self._acl_file = acl_file.resolve() if acl_file else None
        self._anonymous = anonymous
        self._max_inflight_messages = max_inflight_messages
        self._max_queued_bytes = max_queued_bytes
        self._max_packet_bytes = max_packet_bytes
        self._autosave_s = autosave_s
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._clock = clock or SystemClock()
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the first start when a free one was asked for."""
        return self._port

    @property
    def url(self) -> str:
        """Where clients connect, without credentials."""
        host = f"[{self.listen}]" if ":" in self.listen else self.listen
        return f"mqtt://{host}:{self._port}"

    @property
    def pid_file(self) -> Path:
        """File that holds the broker's own process id while it runs; SIGHUP there makes it read its files again."""
        return self.folder / "broker.pid"

    @property
    def log_file(self) -> Path:
        """What the broker said since its start, bounded."""
        return self.folder / "broker.log"

    @property
    def keeps_sessions(self) -> bool:
        """Whether sessions and queued messages survive a restart of the broker."""
        return self.program == "mosquitto"

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._keeper is not None and self._keeper.poll() is None

    def start(self) -> Self:
        """Start it and wait until it answers; does nothing when it runs already.

        Raises TryAgain when it does not answer in time, with what it said.
        """
        if self.alive:
            return self
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        tries = 1 if self._port else PORT_TRIES
        for attempt in range(tries):
            if not self._port:
                self._port = _free_port(self.listen)
            self.stop()
            self._spawn()
            if self._wait_ready():
                return self
            said = self._tail()
            self.stop()
            if self._wanted_port == 0 and attempt + 1 < tries:
                self._port = 0
        raise TryAgain(
            f"The embedded broker ({self.program}) did not start on {self.listen}:{self._port}: {said or 'no message'}.",
            mend=f"See {self.log_file}; free the port or set broker.port to 0.",
        )

    def reload(self) -> None:
        """Let it read its password and ACL files again (SIGHUP); nothing when it does not run."""
        if self._keeper is not None and self.alive:
            self._keeper.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL after `stop_timeout_s`. May be called at any time."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        with contextlib.suppress(OSError):
            keeper.stdin.close()
        try:
            keeper.wait(timeout=self._stop_timeout_s + 2.0)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
        self.pid_file.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self) -> None:
        command = self._mosquitto_command() if self.program == "mosquitto" else self._amqtt_command()
        limits = [str(self.log_file), str(MAX_LOG_BYTES), str(self._stop_timeout_s)]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        self._keeper = subprocess.Popen(  # noqa: S603 our own files, no shell
            [sys.executable, "-P", str(_KEEPER), *limits, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=env,
            # Ctrl-C in a terminal reaches the whole group; we decide when the broker stops.
            start_new_session=True,
        )

    def _wait_ready(self) -> bool:
        end_s = self._clock.monotonic_s() + self._start_timeout_s
        while self.alive and self._clock.monotonic_s() < end_s:
            # The pid file says that it is our process which answers there.
            if self.pid_file.exists() and answers_mqtt(self.listen, self._port) and self.alive:
                return True
            self._clock.sleep(_POLL_S)
        return False

    def _tail(self) -> str:
        try:
            text = self.log_file.read_bytes()[-_TAIL_CHARS:].decode("utf-8", errors="replace")
        except OSError:
            return ""
        return " ".join(text.split()).rstrip(".")

    def _mosquitto_command(self) -> list[str]:
        assert self._mosquitto is not None
        conf = self.folder / "mosquitto.conf"
        self.pid_file.unlink(missing_ok=True)
        conf.write_text(self._mosquitto_conf(), encoding="utf-8")
        return [self._mosquitto, "-c", str(conf)]

    def _mosquitto_conf(self) -> str:
        lines = [
            "# Written by lucheng at every start; changes here are lost.",
            "per_listener_settings true",
            f"listener {self._port} {self.listen}",
            f"allow_anonymous {str(self._anonymous).lower()}",
            *([f"password_file {self._password_file}"] if self._password_file else []),
            *([f"acl_file {self._acl_file}"] if self._acl_file else []),
            # Nobody takes over another's session with its client id; without a user name there is nobody to be.
            *([] if self._anonymous else ["use_username_as_clientid true"]),
            f"pid_file {self.pid_file}",
            "persistence true",
            f"persistence_location {self.folder}/",
            f"autosave_interval {self._autosave_s}",
            f"persistent_client_expiration {_CLIENT_EXPIRY}",
            f"max_inflight_messages {self._max_inflight_messages}",
            "max_queued_messages 0",
            f"max_queued_bytes {self._max_queued_bytes}",
            f"max_packet_size {self._max_packet_bytes}",
            "set_tcp_nodelay true",
            "connection_messages false",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
        ]
        if os.geteuid() == 0:
            # Else it becomes the user mosquitto, who may not write in our folder.
            lines.append(f"user {pwd.getpwuid(0).pw_name}")
        return "\n".join(lines) + "\n"

    def _amqtt_command(self) -> list[str]:
        self.pid_file.unlink(missing_ok=True)
        conf = self.folder / "amqtt.json"
        conf.write_text(
            json.dumps(
                {
                    "listen": self.listen,
                    "port": self._port,
                    "password_file": str(self._password_file) if self._password_file else None,
                    "acl_file": str(self._acl_file) if self._acl_file else None,
                    "anonymous": self._anonymous,
                    "pid_file": str(self.pid_file),
                }
            ),
            encoding="utf-8",
        )
        return [sys.executable, "-P", "-m", "lucheng.amqtt_broker", str(conf)]


def _free_port(listen: str) -> int:
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as finder:
        finder.bind((listen, 0))
        port: int = finder.getsockname()[1]
        return port
