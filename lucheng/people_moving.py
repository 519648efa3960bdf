"""`lucheng store copy --from sqlite --to postgres`, and back: registry, desk, audit and all other stores of people and devices.

Invariants: the data folder's writer lock is held, so that nothing is written to its files meanwhile; each store is seen whole on
the other side or not at all; the folder is marked as belonging to the other side only when every store is there and the
audit's chain holds there; it may be broken off at any moment and called again. Files are never deleted: those that an older
copy left behind are put aside as `….old`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.schema import MIGRATIONS as REGISTRY
from lucheng import rooms
from lucheng.database_choice import MARK_FILE, mark, place_of, server_of
from model.clock import Clock, SystemClock
from model.errors import NotFound, SettingsError, StoreError
from store.accounts.answers import MIGRATIONS as ANSWERS
from store.accounts.store import MIGRATIONS as ACCOUNTS
from store.approvals.rows import MIGRATIONS as APPROVALS
from store.audit import MIGRATIONS as AUDIT
from store.audit import AuditLog
from store.commands.rows import MIGRATIONS as COMMANDS
from store.database import Server, exists
from store.database.copying import DEFAULT_STEP_ROWS, copy_store
from store.desk.schema import MIGRATIONS as DESK
from store.evidence.folder import MIGRATIONS as EVIDENCE
from store.lock import WriterLock
from store.reports.store import MIGRATIONS as REPORTS

if TYPE_CHECKING:
    from config.sections import Settings

#: Every store of people and devices, the audit last: it is written by the copy itself.
STORES: tuple[tuple[str, Sequence[str]], ...] = (
    (rooms.REGISTRY_FILE, REGISTRY),
    (rooms.DESK_FILE, DESK),
    (rooms.COMMANDS_FILE, COMMANDS),
    (rooms.REPORTS_FILE, REPORTS),
    (rooms.APPROVALS_FILE, APPROVALS),
    (rooms.ACCOUNTS_FILE, ACCOUNTS),
    (rooms.ANSWERS_FILE, ANSWERS),
    (rooms.EVIDENCE_FILE, EVIDENCE),
    (rooms.AUDIT_FILE, AUDIT),
)

#: (rows done, rows in all), over every store so far.
Progress = Callable[[int, int], object]


@dataclass(slots=True)
class _Told:
    """Progress of one store, on top of those before it."""

    progress: Progress
    before: int = 0

    def __call__(self, done: int, total: int) -> None:
        self.progress(self.before + done, self.before + total)


def copy_people(
    data_dir: Path,
    settings: Settings,
    *,
    to_server: bool,
    progress: Progress | None = None,
    step_rows: int = DEFAULT_STEP_ROWS,
) -> dict[str, Any]:
    """Copy every store to the server of the settings, or back; rows by store, and in all under `rows`.

    Args:
        data_dir: the data folder.
        settings: section `database`, which names the server in both directions.
        to_server: from the files to the server; else back.
        progress: told as it goes on.
        step_rows: rows of one transaction.

    Raises WriterLocked while a service uses the folder; SettingsError without a server; NotFound where there is nothing to
    copy; Conflict: there is something else at the target, or the source is still written to.
    """
    clock = SystemClock()
    server = server_of(settings, "lucheng store copy")
    if server is None:
        raise SettingsError("There is no PostgreSQL in the settings.", mend="Set database.url.")
    with ExitStack() as stack:
        stack.callback(server.close)
        stack.enter_context(WriterLock(data_dir))
        moved = (data_dir / MARK_FILE).exists()
        if to_server and not (data_dir / rooms.REGISTRY_FILE).exists():
            raise NotFound(
                f"There is no {rooms.REGISTRY_FILE} in {data_dir}.", mend="Name the right folder with --data."
            )
        if to_server and moved:
            raise NotFound(
                f"People and devices of {data_dir} lie in PostgreSQL already.", mend="There is nothing to copy."
            )
        if not to_server and not exists(server.place(Path(rooms.REGISTRY_FILE).stem)):
            raise NotFound(
                f"There is nothing of lucheng at {server.shown}.", mend="Check database.url and database.prefix."
            )
        # The audit goes last: where it is there already, nothing may be added to the one that it is compared with.
        audit = data_dir / rooms.AUDIT_FILE
        came = exists(server.place(audit.stem)) if to_server else _fresh(audit).exists() and audit.exists()
        if not came:
            _note(data_dir, server if not to_server else None, clock, server)
        done: dict[str, Any] = {}
        told = _Told(progress or (lambda _done, _total: None))
        for file, migrations in STORES:
            rows = _copy_one(data_dir, file, migrations, server, to_server=to_server, told=told, step_rows=step_rows)
            if rows is not None:
                done[Path(file).stem] = rows
                told.before += rows
        _verify(data_dir, server if to_server else None, clock)
        if to_server:
            mark(data_dir, server)
        else:
            (data_dir / MARK_FILE).unlink(missing_ok=True)
            for file, _ in STORES:
                _fresh(data_dir / file).unlink(missing_ok=True)
    return {**done, "rows": told.before}


def _copy_one(
    data_dir: Path,
    file: str,
    migrations: Sequence[str],
    server: Server,
    *,
    to_server: bool,
    told: _Told,
    step_rows: int,
) -> int | None:
    here, there = data_dir / file, place_of(data_dir, file, server)
    if not exists(here if to_server else there):
        return None
    if to_server:
        copied = copy_store(here, there, migrations, told=told, step_rows=step_rows)
    else:
        if (data_dir / MARK_FILE).exists():
            _put_aside(here)
        here.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copied = copy_store(there, here, migrations, told=told, step_rows=step_rows)
    return sum(copied.rows.values())


def _put_aside(file: Path) -> None:
    """A file from before the copy to the server is out of date; one of this very copy is known by its name's mark."""
    if _fresh(file).exists():
        return
    for one in _with_logs(file):
        if one.exists():
            one.rename(one.with_name(f"{one.name}.old"))
    _fresh(file).touch()


def _fresh(file: Path) -> Path:
    return file.with_name(f"{file.name}.back")


def _with_logs(file: Path) -> Iterator[Path]:
    for ending in ("", "-wal", "-shm"):
        yield file.with_name(file.name + ending)


def _note(data_dir: Path, source: Server | None, clock: Clock, server: Server) -> None:
    """Audited on the side that is copied, before anything is."""
    where = place_of(data_dir, rooms.AUDIT_FILE, source)
    detail = {"via": "process", "to": "sqlite" if source is not None else "postgres", "prefix": server.prefix}
    with closing(AuditLog(where, clock=clock, folder=data_dir)) as audit:
        audit.append(rooms.operating_system_user(), "cli", "store.copy", server.shown[:200], "", detail)


def _verify(data_dir: Path, target: Server | None, clock: Clock) -> None:
    where = place_of(data_dir, rooms.AUDIT_FILE, target)
    with closing(AuditLog(where, clock=clock, folder=data_dir, read_only=True)) as audit:
        problem = audit.verify()
    if problem is not None:
        raise StoreError(f"The audit does not hold after the copy: {problem.what}.", mend=problem.mend)
