"""Opening a data folder: every file of it, in one place.

Invariants: at most one process has a folder open for writing (the writer lock); readers never wait
for it. Closing is idempotent and happens in the reverse order of opening. It starts no thread.
"""

from __future__ import annotations

import getpass
import os
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from devices.registry import Registry
from lucheng.database_choice import check_side, place_of, server_of
from lucheng.limits import desk_limits
from lucheng.series_choice import holds_series, open_series
from model.clock import Clock, SystemClock
from model.errors import StoreError
from store.accounts.answers import AnswerStore
from store.accounts.store import AccountStore
from store.approvals.store import ApprovalStore
from store.audit import AuditLog
from store.commands.store import CommandStore
from store.database import Server, Where
from store.desk.desk import DeskFile
from store.evidence.folder import DATABASE as EVIDENCE_DATABASE
from store.evidence.folder import EvidenceFolder
from store.lock import WriterLock
from store.log.local import LocalLog
from store.recordings.folder import Recordings
from store.reports.store import ReportStore

if TYPE_CHECKING:
    from config.sections import Settings
    from devices.cameras import Cameras
    from devices.directory import Directory
    from devices.fences import Fences
    from devices.nearby import Nearby
    from devices.photos import Photos
    from devices.terminals import Terminals
    from lucheng.cluster.log_views import StreamsView
    from store.accounts.passwords import Passwords
    from store.series.door import Series

REGISTRY_FILE = "registry.db"
POINTS_LOG_FILE = "points.log.db"
ALARMS_LOG_FILE = "alarms.log.db"
DESK_FILE = "desk.db"
COMMANDS_FILE = "commands.db"
REPORTS_FILE = "reports.db"
APPROVALS_FILE = "approvals.db"
EVIDENCE_FOLDER = "evidence"
EVIDENCE_FILE = f"{EVIDENCE_FOLDER}/{EVIDENCE_DATABASE}"
RECORDINGS_FOLDER = "recordings"
PHOTOS_FOLDER = "photos"
ACCOUNTS_FILE = "accounts.db"
ANSWERS_FILE = "answers.db"
AUDIT_FILE = "audit.db"
SOCKET_FILE = "api.sock"
SECRET_KEY_FILE = "keys/secret.key"  # noqa: S105 (a file name)
#: Alarms come one by one: small pages make small commits.
ALARM_PAGE_BYTES = 4_096
BROKER_FOLDER = "broker"


class Rooms:
    """The open stores of one data folder; a context manager.

    Args:
        data_dir: the folder; made (mode 0700) when `write` and missing.
        settings: limits and periods.
        write: take the writer lock and open for writing; else open read-only beside a writer.
        clock: source of time.

    Raises:
        WriterLocked: another process has the folder open for writing.
        StoreError: nothing is there to read, or a file cannot be opened.
    """

    def __init__(self, data_dir: Path, settings: Settings, *, write: bool, clock: Clock | None = None) -> None:
        self.data_dir = data_dir
        self.settings = settings
        self.write = write
        self.clock: Clock = clock or SystemClock()
        self._stack = ExitStack()
        #: Where people and devices lie, where `database.url` says so.
        self.database: Server | None = server_of(settings)
        if not write and not holds_series(data_dir) and self.database is None:
            raise StoreError(
                f"There is no lucheng data in {data_dir}.",
                mend="Name the right folder with --data, or start with `lucheng run`, `lucheng ingest` or `lucheng device add`.",
            )
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        read_only = not self.write
        folder = self.data_dir
        if self.write:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                (folder / "keys").mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"{folder} cannot be made: {error.strerror}.", mend="Name a folder you may write with --data."
                ) from error
            self._stack.enter_context(WriterLock(folder))
        check_side(folder, self.database, write=self.write)
        if self.database is not None:
            self._stack.callback(self.database.close)
        settings, clock = self.settings, self.clock
        # The audit is opened for writing even by readers: a read that cannot be audited is not done. A reader without a
        # writable audit still opens, so that `audit verify` and `store check` can say what is wrong with it.
        self.audit = AuditLog(self.where(AUDIT_FILE), clock=clock, hold_failure=read_only, folder=folder)
        self._stack.callback(self.audit.close)
        self.registry = Registry(
            self.where(REGISTRY_FILE), clock=clock, read_only=read_only, max_devices=settings.devices.max_devices
        )
        self._stack.callback(self.registry.close)
        self._open_logs(folder, read_only=read_only)
        self.desk = DeskFile(
            self.where(DESK_FILE),
            clock=clock,
            audit=self.audit,
            read_only=read_only,
            locate=lambda signal: self.nearby.locate(signal),  # noqa: PLW0108 made with the first signal
            limits=desk_limits(settings),
        )
        self._stack.callback(self.desk.close)
        self.commands = CommandStore(
            self.where(COMMANDS_FILE),
            clock=clock,
            read_only=read_only,
            max_queued_per_device=settings.commands.max_queued_per_device,
        )
        self._stack.callback(self.commands.close)
        self.evidence = EvidenceFolder(
            folder / EVIDENCE_FOLDER,
            clock=clock,
            audit=self.audit,
            index=self.where(EVIDENCE_FILE),
            read_only=read_only,
            max_item_bytes=settings.evidence.max_item_bytes,
            max_total_bytes=settings.evidence.max_total_bytes,
        )
        self._stack.callback(self.evidence.close)
        self.recordings = Recordings(
            folder / RECORDINGS_FOLDER,
            clock=clock,
            audit=self.audit,
            read_only=read_only,
            max_total_bytes=settings.recording.max_total_bytes,
            min_free_bytes=settings.recording.min_free_bytes,
        )
        self._stack.callback(self.recordings.close)
        self.reports = ReportStore(self.where(REPORTS_FILE), clock=clock, audit=self.audit, read_only=read_only)
        self._stack.callback(self.reports.close)
        self.accounts = AccountStore(
            self.where(ACCOUNTS_FILE),
            clock=clock,
            read_only=read_only,
            max_accounts=settings.accounts.max_accounts,
            max_sessions_per_user=settings.accounts.max_sessions_per_user,
        )
        self._stack.callback(self.accounts.close)
        # As the audit is: the use of an approval is counted whoever reads.
        self.approvals = ApprovalStore(self.where(APPROVALS_FILE), clock=clock, lazy=read_only)
        self._stack.callback(self.approvals.close)
        #: The desk is the store of its signals, too.
        self.signals = self.desk
        self.series: Series = self._opened_series(folder, read_only=read_only)
        self._stack.callback(self.series.close)

    def _opened_series(self, folder: Path, *, read_only: bool) -> Series:
        """The time series; where each partition's are its holder's, all of them to be read."""
        settings, audit, clock = self.settings, self.audit, self.clock
        if settings.nats.mode == "log":
            from lucheng.cluster.series import is_shared, open_city  # noqa: PLC0415 needed past one machine alone

            if is_shared(settings) and self.database is not None:
                return open_city(
                    settings, self.database, audit=audit, clock=clock, device_ids=lambda: self.directory.ids
                )
        return open_series(
            folder,
            settings,
            audit=audit,
            clock=clock,
            device_ids=lambda: self.directory.ids,
            read_only=read_only,
        )

    def _open_logs(self, folder: Path, *, read_only: bool) -> None:
        """Both logs; where they are streams of nats-servers only views of them, for they are not this folder's."""
        self.points_log: LocalLog | StreamsView
        self.alarms_log: LocalLog | StreamsView
        if self.settings.nats.mode == "log":
            from lucheng.cluster.log_views import LogViews  # noqa: PLC0415 needed past one machine alone

            views = LogViews(self.settings, self.clock)
            self._stack.callback(views.close)
            self.points_log, self.alarms_log = views.points, views.alarms
            return
        self.points_log = LocalLog(folder / POINTS_LOG_FILE, clock=self.clock, read_only=read_only)
        self._stack.callback(self.points_log.close)
        self.alarms_log = LocalLog(
            folder / ALARMS_LOG_FILE, clock=self.clock, read_only=read_only, page_bytes=ALARM_PAGE_BYTES
        )
        self._stack.callback(self.alarms_log.close)

    def where(self, file: str) -> Where:
        """Where the store of that file lies: in the data folder, or on the server."""
        return place_of(self.data_dir, file, self.database)

    @cached_property
    def directory(self) -> Directory:
        """Who is registered, one for everything in this process."""
        return self.registry.directory()

    @cached_property
    def terminals(self) -> Terminals:
        """Which terminal speaks for which device, one for everything in this process."""
        from devices.terminals import Terminals  # noqa: PLC0415 needed by the gateway and a few operations alone

        return Terminals(self.registry.file, self.directory, key_file=self.data_dir / SECRET_KEY_FILE)

    @cached_property
    def cameras(self) -> Cameras:
        """What is set for each camera, and its sealed addresses."""
        from devices.cameras import Cameras  # noqa: PLC0415 needed by the video path alone

        return Cameras(self.registry.file, self.data_dir / SECRET_KEY_FILE)

    @cached_property
    def photos(self) -> Photos:
        """Photos of installations."""
        from devices.photos import Photos  # noqa: PLC0415 needed where devices are installed alone

        return Photos(self.registry.file, self.data_dir / PHOTOS_FOLDER)

    @cached_property
    def nearby(self) -> Nearby:
        """Where devices, sites and cameras are; made when it is first asked."""
        from devices.nearby import Nearby  # noqa: PLC0415 shapely costs 0.2 s

        return Nearby(self.registry, directory=self.directory)

    @cached_property
    def fences(self) -> Fences:
        """The fences of the registry."""
        from console.fence_operations import open_fences  # noqa: PLC0415 shapely costs 0.2 s

        return open_fences(self.registry, self.settings, self.clock)

    @cached_property
    def passwords(self) -> Passwords:
        """What makes and tries hashes of passwords."""
        from store.accounts.passwords import Passwords  # noqa: PLC0415 needed where somebody signs in alone

        given = self.settings.accounts
        return Passwords(memory_kib=given.password_memory_kib, passes=given.password_passes)

    @cached_property
    def answers(self) -> AnswerStore:
        """Answers that may be asked for again, opened by the console's server alone; closed with the rooms."""
        made = AnswerStore(self.where(ANSWERS_FILE), clock=self.clock, read_only=not self.write)
        self._stack.callback(made.close)
        return made

    @property
    def socket_path(self) -> Path:
        """Where the running service's API listens."""
        return self.data_dir / SOCKET_FILE

    def close(self) -> None:
        """Release everything; may be called twice."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_rooms(data_dir: Path, settings: Settings, *, write: bool, clock: Clock | None = None) -> Rooms:
    """Open the data folder; see `Rooms`."""
    return Rooms(data_dir, settings, write=write, clock=clock)


def operating_system_user() -> str:
    """Who runs this command, as the operating system knows it (not as the environment says)."""
    try:
        import pwd  # noqa: PLC0415 (absent on systems without accounts)

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return getpass.getuser()
