"""Which broker, as whom, and keeping its password and ACL files in step with the registry.

Invariants: without `mqtt.url` the service runs a broker of its own in its data folder and signs in
with passwords made anew at every start; a registry change is in the broker's files within
`devices.broker_files_delay_ms` of the last one, and the broker is told to read them. So are a foreign
broker's files, where `mqtt.files_dir` names their folder. It is told to read them while our own connections stand: mosquitto
(2.0.11, seen) forgets at that signal what a client that is away may read, and drops what is acknowledged to devices until it is back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from config.settings import broker_user
from devices.broker_files import ACL_NAME, PASSWORDS_NAME, SERVICE_ACCOUNTS, BrokerFiles
from devices.credentials import Credential, Credentials
from ingest.mqtt.broker_url import BrokerUrl, parse_broker_url
from lucheng.broker import EmbeddedBroker
from lucheng.rooms import BROKER_FOLDER
from model.errors import LuchengError

if TYPE_CHECKING:
    from config.sections import Settings
    from lucheng.rooms import Rooms

POINTS_ACCOUNT, ALARMS_ACCOUNT, DESK_ACCOUNT = (account.name for account in SERVICE_ACCOUNTS[:3])
OWN_ACCOUNTS = (POINTS_ACCOUNT, ALARMS_ACCOUNT, DESK_ACCOUNT)
#: How soon a change of the registry is noticed without being told (another thread's, or by rule).
POLL_S = 1.0
#: How long a broker is not told to read its files because we are not connected to it; it may be for want of them that we are not.
MAX_HOLD_S = 10.0

_log = structlog.get_logger(__name__)


class BrokerLink:
    """The broker as the service knows it.

    Args:
        rooms: the open data folder.
        settings: all of them.
        listening: whether our subscriptions stand; asked before a broker is told to read its files.
    """

    def __init__(self, rooms: Rooms, settings: Settings, *, listening: Callable[[], bool] = lambda: True) -> None:
        self._rooms = rooms
        self._settings = settings
        self._stack = ExitStack()
        self._changed = threading.Event()
        self._stop = threading.Event()
        self._listening = listening
        self._held_since_s: float | None = None
        self._files: BrokerFiles | None = None
        self._pid_file: Path | None = None
        self.embedded: EmbeddedBroker | None = None
        self.points: BrokerUrl | None = None
        self.alarms: BrokerUrl | None = None
        self.desk: BrokerUrl | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the embedded broker, or read where the foreign one is."""
        if self._settings.mqtt.url:
            self._foreign(self._settings.mqtt.url)
        else:
            self._own()

    def _foreign(self, url: str) -> None:
        given = parse_broker_url(url)
        user, password = broker_user(self._settings)
        given = replace(given, user=user or "", password=password or "")
        if not given.user:
            if not _is_loopback(given.host):
                _log.warning("the broker is anonymous and not on this machine", broker=given.shown)
            else:
                _log.warning("the broker is anonymous", broker=given.shown)
        # With `use_username_as_clientid`, as our files set it, one user is one session: the alarms have their own.
        ours = given.user == POINTS_ACCOUNT
        self.points = given
        self.alarms = replace(given, user=ALARMS_ACCOUNT if ours else given.user)
        self.desk = replace(given, user=DESK_ACCOUNT if ours else given.user)
        folder = self._settings.mqtt.files_dir
        if folder is not None:
            new = given.user == POINTS_ACCOUNT and give_accounts(self._credentials(), given.password)
            self._files = BrokerFiles(self._rooms.registry.file, folder)
            self._pid_file = self._settings.mqtt.broker_pid_file
            if new or not (folder / ACL_NAME).exists():
                self._sync()  # without it nobody of us gets in
            self._follow_registry()

    def _credentials(self) -> Credentials:
        return Credentials(self._rooms.registry.file, iterations=self._settings.devices.password_iterations)

    def _follow_registry(self) -> None:
        """Bring the files up to date soon, and again after every change."""
        self._changed.set()
        self._thread = threading.Thread(target=self._follow, name="broker-files", daemon=True)
        self._thread.start()

    def _own(self) -> None:
        settings = self._settings.broker
        folder = self._rooms.data_dir / BROKER_FOLDER
        credentials = self._credentials()
        passwords = {name: credentials.renew_account(name).password for name in OWN_ACCOUNTS}
        self._files = BrokerFiles(self._rooms.registry.file, folder / "files")
        self._files.write()
        self.embedded = EmbeddedBroker(
            folder,
            program=settings.program,
            listen=settings.listen,
            port=settings.port,
            password_file=folder / "files" / PASSWORDS_NAME,
            acl_file=folder / "files" / ACL_NAME,
            max_inflight_messages=settings.max_inflight_messages,
            max_queued_bytes=settings.max_queued_bytes,
            max_packet_bytes=settings.max_packet_bytes,
            autosave_s=settings.autosave_s,
            start_timeout_s=settings.start_timeout_s,
            stop_timeout_s=settings.stop_timeout_s,
            clock=self._rooms.clock,
        )
        self._stack.callback(self.embedded.stop)
        self.embedded.start()
        where = parse_broker_url(self.embedded.url)
        self.points = replace(where, user=POINTS_ACCOUNT, password=passwords[POINTS_ACCOUNT])
        self.alarms = replace(where, user=ALARMS_ACCOUNT, password=passwords[ALARMS_ACCOUNT])
        self.desk = replace(where, user=DESK_ACCOUNT, password=passwords[DESK_ACCOUNT])
        # It has read them just now. amqtt is told by its keeper, mosquitto by its process id.
        self._pid_file = self.embedded.pid_file if self.embedded.program == "mosquitto" else None
        self._follow_registry()

    def registry_changed(self) -> None:
        """Bring the broker's files up to date soon."""
        self._changed.set()

    def _follow(self) -> None:
        while not self._stop.is_set():
            if self._changed.wait(POLL_S):
                self._changed.clear()
                self._stop.wait(self._settings.devices.broker_files_delay_ms / 1000)  # many changes, one write
            if self.embedded is not None and not self.embedded.alive and not self._stop.is_set():
                self._restart()
            if self._may_reload():
                self._sync()

    def _may_reload(self) -> bool:
        """Whether our connections stand, or have not stood for too long."""
        if self._listening():
            self._held_since_s = None
            return True
        now_s = self._rooms.clock.monotonic_s()
        if self._held_since_s is None:
            self._held_since_s = now_s
        return now_s - self._held_since_s >= MAX_HOLD_S

    def _sync(self) -> None:
        assert self._files is not None
        try:
            if self._files.sync(self._pid_file) and self.embedded is not None and self._pid_file is None:
                self.embedded.reload()
        except LuchengError as error:
            _log.error("broker files not in step", error=str(error))

    def _restart(self) -> None:
        """The embedded broker is part of the service: when it dies it comes back on the same port."""
        assert self.embedded is not None
        _log.error("embedded broker ended, starting it again", port=self.embedded.port)
        try:
            self.embedded.start()
        except LuchengError as error:
            _log.error("embedded broker does not start", error=str(error))

    def close(self) -> None:
        """Stop following, and the embedded broker."""
        self._stop.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._stack.close()


def give_accounts(credentials: Credentials, password: str) -> bool:
    """Let the service's accounts sign in with `password`, at a broker that reads our files; False when all may, or it is empty."""
    new = [name for name in OWN_ACCOUNTS if password and not credentials.verify(name, password)]
    for name in new:
        credentials.renew_account(name, same_as=Credential(name, password))
    return bool(new)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
