"""The console's server, put together over an open data folder: accounts, the first set-up, the application, TLS.

Invariants: where no port is set nothing listens; while there is no account there is a one-time token, in a file of who runs the
service; it is gone as soon as there is one. It decides nothing about who may see what.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING

from console.live.streams import StreamLimits
from console.live.tokens import new_token_file, read_token_file
from console.setup_token import forget_setup_token, known_setup_token, setup_token
from console.web.app import WebParts, make_web
from console.web.gate import GateLimits
from console.web.live_routes import LivePictures
from console.web.pages import BUILT, Pages
from console.web.server import WebServer
from console.web.session_routes import Entrance
from console.web.sessions import SessionLimits, Sessions
from lucheng.cli.texts import text
from lucheng.rooms import SECRET_KEY_FILE
from model.account import LockRule
from model.errors import Refused
from model.role import Role

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

    from config.sections import Settings
    from console.live.hub import LiveHub
    from console.operations import Operations
    from lucheng.cluster.keys import SharedSetup
    from lucheng.live_side import LiveSide
    from lucheng.rooms import Rooms

#: Key of the hashes of changes that may be asked again, in the data folder.
ANSWERS_KEY_FILE = "keys/answers.key"
_ANSWERS_LABEL = "console answers"


class WebSide:
    """The console while it is served.

    Attributes:
        server: see `WebServer`. sessions: of accounts.
    """

    def __init__(self, server: WebServer, sessions: Sessions, rooms: Rooms) -> None:
        self.server = server
        self.sessions = sessions
        self._rooms = rooms
        self._setup = _setup_of(rooms)
        self._end_telling: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Listen, with a set-up token where there is no account. Raises as `WebServer.start`, StoreError."""
        if self.sessions.setup_needed():
            self._setup.make()
            self._end_telling = self.sessions.on_change(self._changed)
        else:
            self._setup.forget()
        self.server.start()

    def _changed(self, _user: str) -> None:
        if not self.sessions.setup_needed():
            self._setup.forget()

    @property
    def setup_token(self) -> str:
        """The one-time token that is waited for, "" none."""
        return known_setup_token(self._rooms.data_dir) if self.sessions.setup_needed() else ""

    @property
    def port(self) -> int:
        """Where it listens, 0 while it does not."""
        return self.server.port if self.server.running else 0

    def stop(self) -> None:
        """Accept nothing more; twice is once."""
        self._end_telling()
        self.server.stop()


def open_web_side(
    rooms: Rooms, operations: Operations, live_side: LiveSide, hub: LiveHub | None, *, pages: Path = BUILT
) -> WebSide | None:
    """The console's server, not started yet; None where `web.port` is 0.

    Args:
        rooms: the open data folder.
        operations: of the service.
        live_side: what is shown as it happens.
        hub: live pictures of cameras, None where there are none.
        pages: the pages' files.

    Raises SettingsError.
    """
    settings = rooms.settings
    given = settings.web
    if not given.port:
        return None
    sessions = open_sessions(rooms)
    limits = GateLimits(
        max_body_bytes=given.max_body_bytes,
        max_upload_bytes=given.max_upload_bytes,
        body_timeout_s=given.body_timeout_s,
        answer_timeout_s=given.answer_timeout_s,
        stall_s=given.stall_s,
    )
    pictures = None
    if hub is not None:
        pictures = LivePictures(hub, operations, rooms.clock, StreamLimits(stall_s=settings.live.stall_s))

    def make(hosts: frozenset[str], origins: frozenset[str], cookie: str, secure: bool) -> ASGIApp:  # noqa: FBT001 by position
        entrance = Entrance(
            sessions,
            cookie,
            secure,
            lambda: known_setup_token(rooms.data_dir),
            lambda: forget_setup_token(rooms.data_dir),
        )
        parts = WebParts(
            operations=operations,
            entrance=entrance,
            live=live_side.routes,
            pictures=pictures,
            answers=lambda: rooms.answers,
            secret=_answers_key(rooms),
            audit=rooms.audit,
            clock=rooms.clock,
            pages=Pages(pages),
            tile_origins=tuple(live_side.base.origins),
            limits=limits,
        )
        return make_web(parts, hosts=hosts, origins=origins)

    _ = rooms.answers  # opened now, and by this thread
    server = WebServer(
        make,
        hub=hub,
        listen=given.listen,
        port=given.port,
        origins=given.origins,
        tls_cert_file=given.tls_cert_file,
        tls_key_file=given.tls_key_file,
        max_connections=given.max_connections,
        header_timeout_s=given.header_timeout_s,
    )
    return WebSide(server, sessions, rooms)


def console_lines(side: WebSide | None) -> list[str]:
    """What whoever starts the service is told: where the console is, and the token for its first administrator."""
    if side is None:
        return []
    lines = [text("console.address", url=side.server.shown_url)]
    token = side.setup_token
    return [*lines, text("console.setup", token=token)] if token else lines


def open_sessions(rooms: Rooms) -> Sessions:
    """The sessions of a data folder's accounts."""
    given = rooms.settings.accounts
    limits = SessionLimits(
        session_s=given.session_s,
        idle_s=given.idle_s,
        lock=LockRule(free_failures=given.free_failures, first_s=given.lock_first_s, longest_s=given.lock_longest_s),
        min_password_chars=given.min_password_chars,
    )
    return Sessions(
        rooms.accounts,
        lambda: rooms.passwords,
        audit=rooms.audit,
        clock=rooms.clock,
        limits=limits,
        other_role=lambda user: _other_role(rooms.settings, user),
    )


def _other_role(settings: Settings, user: str) -> Role | None:
    known = settings.operators.users.get(user)
    return None if known is None else Role(known)


class _Setup:
    """The token of the first administrator, of a data folder that shares nothing."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def make(self) -> None:
        """There is no account."""
        setup_token(self._data_dir)

    def forget(self) -> None:
        """There is one now."""
        forget_setup_token(self._data_dir)


def _setup_of(rooms: Rooms) -> _Setup | SharedSetup:
    if rooms.database is None:
        return _Setup(rooms.data_dir)
    from lucheng.cluster.keys import SharedSetup  # noqa: PLC0415 needed by desks that share their people alone

    return SharedSetup(rooms)


def _answers_key(rooms: Rooms) -> bytes:
    """A key of who runs the service alone; a new one only makes what was asked before unknown.

    Desks that share their answers derive it from the key that they have the same anyway.
    """
    if rooms.database is not None:
        from devices.secrets import SealedSecrets  # noqa: PLC0415 as above

        return SealedSecrets(rooms.registry.file, rooms.data_dir / SECRET_KEY_FILE).derived_key(_ANSWERS_LABEL)
    path = rooms.data_dir / ANSWERS_KEY_FILE
    try:
        token = read_token_file(path)
    except Refused:
        token = new_token_file(path)
    return hmac.new(b"lucheng answers 1", token.encode(), hashlib.sha256).digest()
