"""mosquitto's password and ACL files, from the registry; and the signal that makes it read them again.

Invariants: a file is written whole beside the old one, mode 0600, flushed, and moved into its place, so that
the broker never reads half a file; a device that is disabled, revoked or deleted is not in it. A user name is
a device id and holds the slash, so one pattern gives every device exactly its own subtree. mosquitto (2.0)
reads both files again at SIGHUP and ends the connections of users that are no longer in the password file.

What stops one device from taking over another's session: `use_username_as_clientid`, which is part of
`conf_lines`. It also means that one account holds one connection: points and alarms have each its own.
It starts no broker.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devices.schema import RegistryFile
from model.errors import LuchengError, StoreError, TryAgain
from store.database import Connection

PASSWORDS_NAME = "passwords"  # a file's name
ACL_NAME = "acl"
FILE_MODE = 0o600
#: Rows put together at once while the password file is written.
DEFAULT_CHUNK_ROWS = 20_000
BROKER_PROGRAM = "mosquitto"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """An account of ours at the broker: what it reads and writes."""

    name: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


_UP, _DOWN = "lucheng/v1/+/+/up/#", "lucheng/v1/+/+/down/#"
#: What trackers with topics of their own write, and what is written to them.
_TRACKERS_UP = ("owntracks/+/+", "owntracks/+/+/+", "teltonika/+/+/data")
_TRACKERS_DOWN = ("owntracks/+/+/cmd", "teltonika/+/+/commands")
#: `lucheng` reads points; `lucheng-alarms` is the alarms' own connection; `lucheng-desk` answers devices; `lucheng-player`
#: plays files as their devices would, and is in the files only when it was given a password.
SERVICE_ACCOUNTS: tuple[ServiceAccount, ...] = (
    ServiceAccount("lucheng", reads=(_UP, *_TRACKERS_UP)),
    ServiceAccount("lucheng-alarms", reads=(_UP, *_TRACKERS_UP)),
    ServiceAccount("lucheng-desk", writes=(_DOWN, *_TRACKERS_DOWN)),
    ServiceAccount("lucheng-player", writes=(_UP,)),
)
#: What every device may do, `%u` being its id.
DEVICE_PATTERNS = (
    "pattern write lucheng/v1/%u/up/#",
    "pattern read lucheng/v1/%u/down/#",
    "pattern write owntracks/%u",
    "pattern write owntracks/%u/+",
    "pattern read owntracks/%u/cmd",
    "pattern write teltonika/%u/data",
    "pattern read teltonika/%u/commands",
)


def conf_lines(folder: Path) -> list[str]:
    """The lines of mosquitto.conf that these files rely on, `folder` being where they are written."""
    return [
        "per_listener_settings false",
        "allow_anonymous false",
        f"password_file {folder / PASSWORDS_NAME}",
        f"acl_file {folder / ACL_NAME}",
        "use_username_as_clientid true",
    ]


class BrokerFiles:
    """Keeps `passwords` and `acl` in one folder in step with the registry.

    Args:
        file: the registry's file (`Registry.file`).
        folder: where to write; made (0700) when missing.
        owner: user id and group id that the broker runs as, when it is not ours (needs root); None leaves it.
        chunk_rows: rows put together at once.
    """

    def __init__(
        self,
        file: RegistryFile,
        folder: Path,
        *,
        owner: tuple[int, int] | None = None,
        chunk_rows: int = DEFAULT_CHUNK_ROWS,
    ) -> None:
        self._file = file
        self._folder = folder
        self._owner = owner
        self._chunk_rows = chunk_rows
        self._written_version = -1

    def sync(self, pid_file: Path | None = None) -> bool:
        """Write and reload when a credential changed since the last time; True when it had. Cheap when none had."""
        if self._file.broker_version() == self._written_version:
            return False
        self.write()
        if pid_file is not None:
            try:
                reload(pid_file)
            except LuchengError:
                self._written_version = -1  # the next call tries again
                raise
        return True

    def write(self) -> int:
        """Write both files whole; return how many users may connect. Raises StoreError and leaves the old ones."""
        # a connection of its own: the registry stays usable while 300,000 rows are read
        snapshot = RegistryFile(self._file.path, clock=self._file.clock, read_only=True)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with snapshot.reading() as connection:
                version: int = connection.execute("SELECT broker_version FROM state").fetchone()[0]
                accounts = dict(connection.execute("SELECT name, hash FROM account ORDER BY name"))
                self._replace(ACL_NAME, iter([acl_text(accounts)]))
                users = self._replace(PASSWORDS_NAME, self._password_lines(connection, accounts))
        except OSError as error:
            raise StoreError(
                f"The broker's files in {self._folder} cannot be written: {error.strerror}.",
                mend="Check the folder's owner and free space.",
            ) from error
        finally:
            snapshot.close()
        self._written_version = version
        return users

    def _password_lines(self, connection: Connection, accounts: Mapping[str, str]) -> Iterator[str]:
        yield "".join(f"{name}:{stored}\n" for name, stored in accounts.items())
        cursor = connection.execute(
            "SELECT d.id || ':' || c.hash FROM credential c JOIN device d USING (slot)"
            " WHERE d.enabled = 1 AND d.deleted = 0 ORDER BY c.slot"
        )
        while rows := cursor.fetchmany(self._chunk_rows):
            yield "".join([f"{line}\n" for (line,) in rows])

    def _replace(self, name: str, pieces: Iterator[str]) -> int:
        """Put a new file in the place of `name`; return its lines."""
        new, lines = self._folder / f".{name}.new", 0
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            if self._owner is not None:
                os.fchown(file.fileno(), *self._owner)
            for piece in pieces:
                file.write(piece.encode())
                lines += piece.count("\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return lines


def acl_text(accounts: Collection[str]) -> str:
    """The ACL file: what every device may do, and the service accounts among `accounts`."""
    lines = ["# Written by lucheng from its registry; changes made here are lost.", *DEVICE_PATTERNS]
    for account in SERVICE_ACCOUNTS:
        if account.name in accounts:
            lines += ["", f"user {account.name}"]
            lines += [f"topic read {topic}" for topic in account.reads]
            lines += [f"topic write {topic}" for topic in account.writes]
    return "\n".join(lines) + "\n"


def reload(pid_file: Path, *, program: str = BROKER_PROGRAM) -> None:
    """Make the broker read its files again (SIGHUP).

    Args:
        pid_file: where the broker wrote its process id (`pid_file` in mosquitto.conf).
        program: name that the process must have, so that a stale file never signals a stranger; "" to not look.

    Raises TryAgain when it does not run or is not to be signalled.
    """
    mend = "Check `pid_file` in mosquitto.conf, and that the broker runs."
    try:
        pid = int(pid_file.read_text().strip())
    except (OSError, ValueError) as error:
        raise TryAgain(f"{pid_file} names no process.", mend=mend) from error
    try:
        running = Path(f"/proc/{pid}/comm").read_text().strip() if program else ""
        if pid <= 1 or running != program:
            raise TryAgain(f"Process {pid} of {pid_file} is {running!r}, not {program!r}.", mend=mend)
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError as error:
        raise TryAgain(f"The broker of {pid_file} does not run.", mend=mend) from error
    except OSError as error:
        raise TryAgain(
            f"The broker of {pid_file} cannot be signalled: {error.strerror}.",
            mend="Run the service as the broker's user, or use the shipped systemd path unit.",
        ) from error
