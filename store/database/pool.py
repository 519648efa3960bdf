"""The connections of one process to a PostgreSQL server, lent for a transaction or a query and given back.

Invariants: never more than `max_connections`; a connection that failed is never lent again, and with it go all that idle,
since they most likely ended with it; every connection commits to the disk before it says so, whatever the server's default;
numbers are 64 bits wide in both directions, booleans are 0 and 1, as in SQLite. It retries nothing: who asked does.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql as composed
from psycopg.adapt import Dumper, Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumperUnknown

from store.database.place import Server, ServerError, ServerIntegrityError, Trouble

if TYPE_CHECKING:
    from psycopg.abc import RV, Buffer, PQGen

#: Errors by the beginning of their SQLSTATE, the longer first; https://www.postgresql.org/docs/15/errcodes-appendix.html
_TROUBLES: tuple[tuple[str, Trouble], ...] = (
    ("08P01", Trouble.FAILED),
    ("08", Trouble.AGAIN),  # connection
    ("25006", Trouble.AGAIN),  # a standby, while another takes over
    ("25P03", Trouble.AGAIN),  # a transaction in which nothing was said for too long
    ("28", Trouble.REFUSED),  # user or password
    ("3D000", Trouble.REFUSED),  # no such database
    ("40", Trouble.AGAIN),  # deadlock, serialisation
    ("42501", Trouble.REFUSED),  # privilege
    ("53300", Trouble.AGAIN),  # too many connections
    ("55P03", Trouble.AGAIN),  # lock timeout
    ("57014", Trouble.AGAIN),  # statement timeout
    ("57P", Trouble.AGAIN),  # shut down, crashed, starting
    ("XX001", Trouble.DAMAGED),
    ("XX002", Trouble.DAMAGED),
)
_SET_UP = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
    "SELECT current_setting('server_encoding'), current_setting('server_version_num')::int4",
)
OLDEST_VERSION = 130_000
#: An answer that is so much later than the longest statement may take will not come, seconds.
ANSWER_MARGIN_S = 5.0
#: How often it is looked whether an answer is too late, seconds.
DEFAULT_LOOK_S = 0.1
_NUL, _NUL_WRITTEN = "\x00", "\\x00"


class _Number(Int8Dumper):
    """Every whole number as 64 bits; a boolean as 0 or 1."""

    def dump(self, obj: Any) -> Buffer | None:
        return b"%d" % int(obj)


class _Text(StrDumperUnknown):
    """A text takes the type of where it is put. PostgreSQL keeps no NUL: it is written as an escape."""

    def dump(self, obj: str) -> Buffer | None:
        text = str(obj)
        return super().dump(text.replace(_NUL, _NUL_WRITTEN) if _NUL in text else text)


class _BoolLoader(Loader):
    def load(self, data: Buffer) -> int:
        return int(bytes(data) == b"t")


class _NumericLoader(Loader):
    """What `sum` of whole numbers gives, as such."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text or b"N" in text else int(text)


class _Bytes(Dumper):
    oid = psycopg.adapters.types["bytea"].oid

    def dump(self, obj: Any) -> Buffer | None:
        return b"\\x" + bytes(obj).hex().encode()


class Impatient(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is given up when no answer comes: of a line that is open and silent nothing else tells.

    Attributes:
        answer_s: how long one is waited for.
    """

    answer_s: float = math.inf

    def wait(self, gen: PQGen[RV], interval: float = DEFAULT_LOOK_S) -> RV:  # type: ignore[override]  # newer ones take more
        """As the driver's, with an end."""
        return super().wait(self._ended(gen, time.monotonic() + self.answer_s), interval)

    def _ended(self, gen: PQGen[RV], until_s: float) -> PQGen[RV]:
        try:
            ready = yield next(gen)
            while True:
                if not ready and time.monotonic() > until_s:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has not answered for {self.answer_s:.0f} s")
                ready = yield gen.send(ready)
        except StopIteration as end:
            found: RV = end.value
            return found


@dataclass(slots=True)
class Held:
    """A lent connection, and the schema it stands in ("": none)."""

    connection: Impatient
    schema: str = ""


class Pool:
    """See the module. Any thread may call anything.

    Args:
        server: where to, and the limits.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._free = threading.Condition()
        self._answer_s = server.terms.statement_timeout_ms / 1000 + ANSWER_MARGIN_S
        self._idle: list[Held] = []
        self._lent = 0
        self._closed = False

    def lend(self, schema: str, until_s: float) -> Held:
        """A connection, the one that stands in `schema` where there is one; waits until `until_s` (`time.monotonic`).

        Raises ServerError: AGAIN where the server is away or everything is lent; REFUSED.
        """
        with self._free:
            while True:
                if self._closed:
                    raise ServerError("the connections are closed", Trouble.FAILED)
                if self._idle:
                    mine = [one for one in self._idle if one.schema == schema] or self._idle
                    held = mine[-1]
                    self._idle.remove(held)
                    self._lent += 1
                    held.connection.answer_s = self._answer_s
                    return held
                if self._lent < self._server.terms.max_connections:
                    self._lent += 1
                    break
                left_s = until_s - time.monotonic()
                if left_s <= 0 or not self._free.wait(left_s):
                    raise ServerError("every connection of this process is in use", Trouble.AGAIN)
        try:
            return Held(self._opened())
        except BaseException:
            with self._free:
                self._lent -= 1
                self._free.notify()
            raise

    def give(self, held: Held, *, lost: bool = False) -> None:
        """Give it back; `lost`: it failed, so it is closed, as are those that idle."""
        gone = [held] if lost else []
        with self._free:
            self._lent -= 1
            if lost or self._closed:
                gone = [held, *self._idle]
                self._idle.clear()
            else:
                self._idle.append(held)
            self._free.notify()
        for one in gone:
            _close(one)

    def close(self) -> None:
        """Close what idles; what is lent is closed when it comes back."""
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
            self._free.notify_all()
        for one in idle:
            _close(one)

    def _opened(self) -> Impatient:
        server, terms = self._server, self._server.terms
        options = {
            "lock_timeout": terms.lock_timeout_ms,
            "idle_in_transaction_session_timeout": terms.idle_transaction_ms,
            "statement_timeout": terms.statement_timeout_ms,
        }
        given: dict[str, Any] = {
            "application_name": server.name,
            "client_encoding": "utf8",
            "connect_timeout": max(1, round(terms.connect_timeout_s)),
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
            "target_session_attrs": "read-write",
            "tcp_user_timeout": round(terms.connect_timeout_s * 2_000),
        }
        if server.password is not None:
            given["password"] = server.password
        try:
            given |= {name: value for name, value in conninfo_to_dict(server.url).items() if name not in given}
            connection = Impatient.connect("", autocommit=True, cursor_factory=psycopg.RawCursor, **given)
        except psycopg.Error as error:
            raise mapped(error, connecting=True) from error
        try:
            connection.answer_s = self._answer_s
            _adapt(connection)
            connection.execute(_SET_UP[0])
            encoding, version = connection.execute(_SET_UP[1]).fetchone() or ("", 0)
        except psycopg.Error as error:
            connection.close()
            raise mapped(error) from error
        if encoding != "UTF8" or version < OLDEST_VERSION:
            connection.close()
            raise ServerError(
                f"the database is {encoding} of PostgreSQL {version // 10_000}; UTF8 and 13 or newer are needed",
                Trouble.REFUSED,
            )
        return connection


def _adapt(connection: psycopg.Connection[Any]) -> None:
    adapters = connection.adapters
    for number in (int, bool):
        adapters.register_dumper(number, _Number)
    for raw in (bytes, bytearray, memoryview):
        adapters.register_dumper(raw, _Bytes)
    adapters.register_dumper(str, _Text)
    adapters.register_loader("bool", _BoolLoader)
    adapters.register_loader("numeric", _NumericLoader)


def _close(held: Held) -> None:
    try:
        held.connection.close()
    except psycopg.Error:
        return  # it was gone already


def is_lost(held: Held) -> bool:
    """Whether a connection is of no use any more."""
    return bool(held.connection.closed) or bool(held.connection.broken)


def mapped(error: psycopg.Error, *, connecting: bool = False) -> ServerError | ServerIntegrityError:
    """Our error for the driver's; one without a SQLSTATE is of the connection."""
    state = error.sqlstate or ""
    text = " ".join(str(error).split()) or type(error).__name__
    if state.startswith("23"):
        return ServerIntegrityError(text)
    if not state:
        text_says = "authentication failed" in text or "no password supplied" in text or "does not exist" in text
        if connecting and (text_says or "no pg_hba.conf entry" in text or "permission denied" in text):
            return ServerError(text, Trouble.REFUSED)
        away = connecting or isinstance(error, psycopg.OperationalError)
        return ServerError(text, Trouble.AGAIN if away else Trouble.FAILED)
    for begins, trouble in _TROUBLES:
        if state.startswith(begins):
            return ServerError(text, trouble)
    return ServerError(f"{text} ({state})", Trouble.FAILED)


def search_path(schema: str) -> str:
    """The statement that puts a connection into a schema."""
    return composed.SQL("SET search_path TO {}").format(composed.Identifier(schema)).as_string()
