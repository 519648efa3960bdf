"""The registry's database, `registry.db` or a schema on a server: its tables, its lock, its counters.

Invariants: one write at a time; `version` grows with every change, `broker_version` with every change
that the broker's password file shows, `place_version` with every change of areas, sites and their
cameras, all in the transaction of the change, so that other threads and
processes notice by one small read. It knows nothing of what the tables mean.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from model.clock import Clock
from model.errors import StoreError
from store.database import (
    Connection,
    Error,
    Where,
    connect,
    migrate,
    schema_version,
    snapshot,
    transaction,
    translated,
)

#: Values bound in one `IN (…)` list; SQLite allows 32,766 and PostgreSQL 65,535.
IN_LIST_VALUES = 5_000

MIGRATIONS: tuple[str, ...] = (
    """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    broker_version INTEGER NOT NULL,
    next_slot INTEGER NOT NULL
) STRICT;
INSERT INTO state VALUES (1, 0, 0, 0);
CREATE TABLE device (
    slot INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    name TEXT NOT NULL,
    plate TEXT NOT NULL,
    imei TEXT NOT NULL,
    phone TEXT NOT NULL,
    model TEXT NOT NULL,
    owner_ref TEXT NOT NULL,
    site TEXT NOT NULL,
    gateway_slot INTEGER NOT NULL,
    lat REAL,
    lon REAL,
    plate_key TEXT NOT NULL,
    imei_key TEXT NOT NULL,
    phone_key TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX device_id ON device (id) WHERE deleted = 0;
CREATE INDEX device_changed ON device (changed);
CREATE INDEX device_plate ON device (plate_key) WHERE plate_key <> '';
CREATE INDEX device_imei ON device (imei_key) WHERE imei_key <> '';
CREATE INDEX device_phone ON device (phone_key) WHERE phone_key <> '';
CREATE TABLE site (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    contact TEXT NOT NULL,
    phone TEXT NOT NULL,
    lat REAL NOT NULL,
    lon REAL NOT NULL
) STRICT;
CREATE TABLE site_camera (
    site TEXT NOT NULL REFERENCES site (id),
    place INTEGER NOT NULL,
    camera_slot INTEGER NOT NULL REFERENCES device (slot),
    PRIMARY KEY (site, place)
) STRICT;
CREATE TABLE area (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    level TEXT NOT NULL,
    parent TEXT NOT NULL,
    rings TEXT NOT NULL
) STRICT;
CREATE TABLE credential (
    slot INTEGER PRIMARY KEY REFERENCES device (slot),
    hash TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE account (
    name TEXT PRIMARY KEY,
    hash TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    key_id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;
""",
    # A row of `fence` holds in the versions from_version <= version < until_version; until_version 0: still.
    """
ALTER TABLE state ADD COLUMN place_version INTEGER NOT NULL DEFAULT 0;
CREATE TABLE fence_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    oldest INTEGER NOT NULL,
    next_number INTEGER NOT NULL
) STRICT;
INSERT INTO fence_state VALUES (1, 0, 0, 1);
CREATE TABLE fence (
    number INTEGER NOT NULL,
    from_version INTEGER NOT NULL,
    until_version INTEGER NOT NULL,
    id TEXT NOT NULL,
    vertices INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (number, from_version)
) STRICT;
CREATE UNIQUE INDEX fence_id ON fence (id) WHERE until_version = 0;
CREATE INDEX fence_until ON fence (until_version, vertices);
""",
    # A row of `terminal` stays after a release, with no terminal bound, so that its generation never comes again.
    """
ALTER TABLE device ADD COLUMN protocol TEXT NOT NULL DEFAULT '';
CREATE TABLE terminal (
    slot INTEGER PRIMARY KEY REFERENCES device (slot),
    bound INTEGER NOT NULL,
    terminal_id TEXT NOT NULL,
    maker TEXT NOT NULL,
    model TEXT NOT NULL,
    generation INTEGER NOT NULL,
    registered_ms INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
CREATE INDEX terminal_changed ON terminal (changed);
""",
    # A row of `camera` stays after a removal, with `present` 0, so that who follows the changes sees it go. A camera whose
    # address was sealed before there was this table has the usual settings.
    """
CREATE TABLE camera (
    slot INTEGER PRIMARY KEY REFERENCES device (slot),
    present INTEGER NOT NULL,
    settings TEXT NOT NULL,
    shown TEXT NOT NULL,
    shown_sub TEXT NOT NULL,
    parked TEXT NOT NULL,
    address_version INTEGER NOT NULL,
    set_ms INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
CREATE INDEX camera_changed ON camera (changed);
INSERT INTO camera
SELECT d.slot, 1, '{}', '', '', '', 1, s.changed_ms, 0
FROM device d JOIN secret s ON s.name = d.id || ':rtsp' WHERE d.deleted = 0 AND d.kind = 'camera';
""",
    # Installing: what was done to a device, the cameras bound to it, why it was retired, its installations and their photos.
    # A row of `history`, `installation` and `photo` stays with the slot, which names one device for ever.
    """
CREATE TABLE history (
    number INTEGER PRIMARY KEY,
    slot INTEGER NOT NULL REFERENCES device (slot),
    time_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX history_slot ON history (slot, number);
CREATE TABLE device_camera (
    slot INTEGER NOT NULL REFERENCES device (slot),
    place INTEGER NOT NULL,
    camera_slot INTEGER NOT NULL REFERENCES device (slot),
    PRIMARY KEY (slot, place)
) STRICT;
CREATE INDEX device_camera_camera ON device_camera (camera_slot);
CREATE TABLE retirement (
    slot INTEGER PRIMARY KEY REFERENCES device (slot),
    time_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    reason TEXT NOT NULL,
    successor TEXT NOT NULL
) STRICT;
CREATE TABLE installation (
    number INTEGER PRIMARY KEY,
    slot INTEGER NOT NULL REFERENCES device (slot),
    who TEXT NOT NULL,
    how TEXT NOT NULL,
    began_ms INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL,
    renewals INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    note TEXT NOT NULL,
    lat REAL,
    lon REAL,
    acc_m REAL,
    seen TEXT NOT NULL,
    skipped TEXT NOT NULL,
    armed_from_ms INTEGER NOT NULL,
    armed_ms INTEGER NOT NULL,
    alarm TEXT NOT NULL
) STRICT;
CREATE INDEX installation_slot ON installation (slot, number);
CREATE INDEX installation_who ON installation (who, number);
CREATE INDEX installation_armed ON installation (armed_ms) WHERE armed_ms > 0;
CREATE TABLE photo (
    number INTEGER PRIMARY KEY,
    slot INTEGER NOT NULL REFERENCES device (slot),
    sha256 TEXT NOT NULL,
    format TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    width_px INTEGER NOT NULL,
    height_px INTEGER NOT NULL,
    who TEXT NOT NULL,
    time_ms INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX photo_same ON photo (slot, sha256);
""",
)


class Change:
    """One write transaction; asking for `version` is what marks it as a change."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._version = 0
        self._broker = False

    @property
    def version(self) -> int:
        """The number of this change, counted on once; rows that changed carry it."""
        if not self._version:
            self.connection.execute("UPDATE state SET version = version + 1")
            self._version = self.connection.execute("SELECT version FROM state").fetchone()[0]
        return self._version

    def mark_broker(self) -> None:
        """Note that the broker's files are out of date after this change."""
        if not self._broker:
            self._broker = True
            self.connection.execute("UPDATE state SET broker_version = ?", (self.version,))

    def mark_places(self) -> None:
        """Note that areas, sites or their cameras are others after this change."""
        self.connection.execute("UPDATE state SET place_version = ?", (self.version,))


class RegistryFile:
    """`registry.db`, opened once and shared by everything that keeps its tables there.

    Args:
        path: the file, or the place on a server; made when missing, unless `read_only`.
        clock: gives the times that are stored.
        read_only: look only, beside a running writer.

    Raises StoreError, Corrupt or SchemaTooNew when it cannot be used.
    """

    def __init__(self, path: Where, *, clock: Clock, read_only: bool = False) -> None:
        self.path = path
        self.clock = clock
        self.read_only = read_only
        self.lock = threading.RLock()
        self._connection = connect(path, read_only=read_only)
        self._changing: Change | None = None
        try:
            if read_only and schema_version(self._connection) < len(MIGRATIONS):
                raise StoreError(
                    f"{path.name} was written by an older lucheng.",
                    mend="Start `lucheng run` once: it brings it up to date.",
                )
            migrate(self._connection, MIGRATIONS, path)
        except Error as error:
            self._connection.close()
            raise translated(error, path) from error
        except StoreError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Release the file; any later call raises StoreError."""
        with self.lock:
            self._connection.close()

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """One write transaction, all or nothing; inside another one of the same thread a part of that."""
        if self.read_only:
            raise StoreError(
                f"{self.path.name} was opened to read only.", mend="Change it through the service or the CLI."
            )
        with self.lock, self._translating():
            if self._changing is not None:
                yield self._changing
                return
            with transaction(self._connection) as connection:
                self._changing = Change(connection)
                try:
                    yield self._changing
                finally:
                    self._changing = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Reads that all see the same state."""
        with self.lock, self._translating():
            if self._connection.in_transaction:
                yield self._connection
                return
            with snapshot(self._connection) as connection:
                yield connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except Error as error:
            raise translated(error, self.path) from error

    def version(self) -> int:
        """How many changes there were; grows with every one, also another process's."""
        return self._asked("SELECT version FROM state")

    def broker_version(self) -> int:
        """The last change that the broker's files must show."""
        return self._asked("SELECT broker_version FROM state")

    def _asked(self, sql: str) -> int:
        with self.lock, self._translating():
            number: int = self._connection.execute(sql).fetchone()[0]
        return number


def in_lists(values: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """`(?,?,…)` with the values for it, in pieces of at most `IN_LIST_VALUES`."""
    for start in range(0, len(values), IN_LIST_VALUES):
        piece = values[start : start + IN_LIST_VALUES]
        yield "(" + ",".join("?" * len(piece)) + ")", piece
