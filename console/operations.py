"""Everything that can be asked of lucheng, in one place: the command line and the API both call this.

Invariants: every change and every read of what devices sent is audited before it is done or given
out, under the caller's name and purpose; when the audit cannot be written, nothing is read and
nothing changes. A series is read with a typed `Grant` alone. An e-bike's place is given out only
under the rule of `console.ebikes`. Answers are JSON-ready values; nothing here knows HTTP, a
terminal or a path outside the data folder.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from console.account_operations import AccountOperations
from console.approval_operations import ApprovalOperations
from console.audit_operations import AuditOperations
from console.camera_gate import CameraGate
from console.command_gate import CommandGate
from console.context_operations import ContextOperations
from console.device_operations import DEFAULT_LIST_ROWS, Caller
from console.ebikes import is_ebike, shows_ebike
from console.evidence_operations import EvidenceOperations
from console.export_operations import ExportOperations
from console.incident_operations import IncidentOperations
from console.kept_rows import (
    check_limit,
    hidden_place,
    quarantine_row,
    raw_text,
    signal_row,
)
from console.registration_operations import RegistrationOperations
from console.replay_operations import ReplayOperations
from console.replay_sessions import Sessions
from console.report_operations import ReportOperations
from console.search_operations import SearchOperations
from console.supervisor_operations import SupervisorOperations
from console.system_operations import SystemOperations
from console.timeline_operations import TimelineOperations
from console.track_operations import Track, TrackOperations
from console.track_rows import FIRST_MS, LAST_MS, places
from console.trip_operations import TripOperations
from devices.directory import KIND_CODE, KINDS, Directory
from model.codes import ALARM_BY_NAME, Reason
from model.device import Kind, check_device_id
from model.errors import Refused, TryAgain, UsageError
from model.grant import Grant, Purpose
from store.audit import purpose_text
from store.database import Where

if TYPE_CHECKING:
    from config.sections import Settings
    from console.camera_seams import CameraControl, CameraNetwork
    from devices.photos import Photos
    from devices.registry import Registry
    from devices.terminals import Terminals
    from model.approval import Approval
    from model.clock import Clock
    from model.desk import Desk
    from model.seams import Log
    from store.accounts.passwords import Passwords
    from store.accounts.store import AccountStore
    from store.approvals.store import ApprovalStore
    from store.audit import AuditLog
    from store.commands.store import CommandStore
    from store.desk.desk import DeskFile
    from store.evidence.folder import EvidenceFolder
    from store.recordings.folder import Recordings
    from store.reports.store import ReportStore
    from store.series.door import Series

__all__ = ["Caller", "Operations", "Track"]

#: Devices named in one `where`; more is asked without names.
DEFAULT_MAX_NAMED_DEVICES = 1_000


class Operations(
    RegistrationOperations,
    TimelineOperations,
    ContextOperations,
    EvidenceOperations,
    TrackOperations,
    TripOperations,
    ReportOperations,
    ExportOperations,
    ReplayOperations,
    SearchOperations,
    ApprovalOperations,
    SupervisorOperations,
    SystemOperations,
    AuditOperations,
    AccountOperations,
    IncidentOperations,
):
    """The operations of one open data folder; safe to call from several threads.

    Args:
        registry, series, audit, desk: the stores.
        commands: what devices are told to do.
        approvals: second persons' approvals of wide reads.
        evidence, reports: what devices sent besides points and alarms.
        terminals: makes the terminals of the registry when they are first needed.
        points_log, alarms_log: the two logs.
        settings: defaults and limits.
        clock: source of time.
        key_file: key of sealed secrets.
        plain_files: files or places of stores that `store_check` looks at besides the logs, the series and the audit.
        on_registry_change: called after every change of the registry, so that it takes effect at once.
        ingest: takes a file in: (path, format, date or "") to its totals; None where nothing can.
        live: state of the running service by name, for `status` and the metrics.
        directory: the service's own, to be shared; None makes one when it is first needed.
        on_fact: told what the rules have to know: `{"kind": "stolen", "slot": slot, "on": true}`.
        on_fence_change: told the new version of the set of fences after every change of it.
        on_break_glass: told of every wide read in an emergency, at once.
        sessions: the connections of terminals now, each with `device`.
        recordings: of cameras; None where there are none.
        camera_control: the cameras of the running service.
        camera_network: the rules and the trying of cameras' addresses.
        accounts: of people who sign in; None where there are none. passwords: makes their hashes when it is first needed.
        spool_dir: on whose disk exports are made; None where none can be.
        photos: of installations; None where none are kept.
        sitters: who has a page open that holds the alarms: `user`, `role`, `since_ms`.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        series: Series,
        audit: AuditLog,
        desk: DeskFile,
        commands: CommandStore,
        approvals: ApprovalStore,
        evidence: EvidenceFolder,
        reports: ReportStore,
        terminals: Callable[[], Terminals],
        points_log: Log,
        alarms_log: Log,
        settings: Settings,
        clock: Clock,
        key_file: Path,
        plain_files: Sequence[Where] = (),
        on_registry_change: Callable[[], None] = lambda: None,
        ingest: Callable[[str, str, str], dict[str, Any]] | None = None,
        live: Callable[[], Mapping[str, float]] | None = None,
        directory: Directory | None = None,
        on_fact: Callable[[dict[str, Any]], None] = lambda _fact: None,
        on_fence_change: Callable[[int], None] = lambda _version: None,
        on_break_glass: Callable[[Approval], None] = lambda _approval: None,
        sessions: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        recordings: Recordings | None = None,
        camera_control: CameraControl | None = None,
        camera_network: CameraNetwork | None = None,
        accounts: AccountStore | None = None,
        passwords: Callable[[], Passwords] | None = None,
        spool_dir: Path | None = None,
        photos: Photos | None = None,
        sitters: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    ) -> None:
        super().__init__(
            registry=registry,
            audit=audit,
            settings=settings,
            key_file=key_file,
            on_registry_change=on_registry_change,
        )
        self._series = series
        self._chain = audit
        self._accounts = accounts
        self._passwords = passwords
        self._desk = desk
        self._signals = desk
        self._commands = commands
        self._approvals = approvals
        self._on_break_glass = on_break_glass
        self._evidence = evidence
        self._reports = reports
        self._replays = Sessions(clock)
        self._terminals = terminals
        self._sessions = sessions
        self._gate = CommandGate(settings=settings, registry=registry, desk=desk, series=series, clock=clock)
        self._recordings = recordings
        self._camera_control = camera_control
        self._camera_network = camera_network
        self._spool_dir = spool_dir
        self._photos = photos
        self._sitters = sitters
        self._figures = desk.figures()
        self._export_turns = threading.BoundedSemaphore(settings.export.max_running)
        self._camera_gate = CameraGate(
            settings=settings, desk=desk, nearby=self._nearby_places, shows_place=self._shows_place, clock=clock
        )
        self._on_fact = on_fact
        self._on_fence_change = on_fence_change
        self._points_log = points_log
        self._alarms_log = alarms_log
        self._clock = clock
        self._plain_files = tuple(plain_files)
        self._ingest_file = ingest
        self._live = live
        self._directory = directory
        self._directory_lock = threading.Lock()
        self._directory_now = self._current_directory
        self._brought = self._context_of
        self._pieces = self._alarm_evidence

    @property
    def desk(self) -> Desk:
        """The desk, for the feed."""
        return self._desk

    # -- points -------------------------------------------------------------------------------

    def where(
        self, caller: Caller, devices: list[str] | None = None, purpose: str | None = None
    ) -> list[dict[str, Any]]:
        """The newest place of each device, or of those named; e-bikes under their rule alone.

        Devices without any point are absent. Raises NotFound for a name that is not registered.
        """
        why = self._purpose(purpose)
        directory = self._current_directory()
        if devices is None:
            grant = Grant(caller.who, caller.role, why, None, FIRST_MS, LAST_MS)
            batch = self._series.latest(grant, None)
            batch = batch.take(self._listed(batch.slot, directory))
        else:
            names = list(dict.fromkeys(devices))
            slots = self._named(names, why, caller)
            grant = Grant(caller.who, caller.role, why, frozenset(names), FIRST_MS, LAST_MS)
            batch = self._series.latest(grant, slots, devices=names)
        return places(batch, [directory.ids[slot] for slot in batch.slot.tolist()])

    def _listed(self, slots: npt.NDArray[np.int32], directory: Directory) -> npt.NDArray[np.bool_]:
        """Which slots may be in a list of all: no e-bike, and none whose device was deleted."""
        shown: npt.NDArray[np.bool_] = directory.kind_of_slot[slots] != KIND_CODE[Kind.EBIKE]
        off = shown & ~directory.enabled[slots]
        for row in np.flatnonzero(off).tolist():
            slot = int(slots[row])
            shown[row] = directory.slot(directory.ids[slot]) == slot
        return shown

    def _named(self, devices: list[str], why: Purpose, caller: Caller) -> npt.NDArray[np.int32]:
        if len(devices) > DEFAULT_MAX_NAMED_DEVICES:
            raise UsageError(
                f"{len(devices)} devices are named.", mend=f"Name {DEFAULT_MAX_NAMED_DEVICES} at most, or none for all."
            )
        for device in devices:
            check_device_id(device)
        self._allow_ebikes(devices, why, caller)
        return np.array([self._known(device).slot for device in devices], np.int32)

    def _allow_ebikes(self, devices: list[str], why: Purpose, caller: Caller) -> None:
        hidden = [device for device in devices if is_ebike(device) and not self._shows_ebike(device, why)]
        if hidden:
            self._note(caller, "read.refused", hidden[0], purpose_text(why))
            raise Refused(
                f"The place of {hidden[0]} is its owner's.",
                mend="Give the owner's request, the work order or its open case: "
                "--purpose subject_request:REF, maintenance:REF or case:CASE.",
            )

    def _shows_ebike(self, device: str, why: Purpose) -> bool:
        return shows_ebike(device, why, self._open_cases)

    def _current_directory(self) -> Directory:
        with self._directory_lock:
            if self._directory is None:
                self._directory = self._registry.directory()
            else:
                self._registry.refresh(self._directory)
            return self._directory

    def _everything(self, caller: Caller, purpose: str | None) -> Grant:
        return Grant(caller.who, caller.role, self._purpose(purpose), None, FIRST_MS, LAST_MS)

    # -- quarantine and signals ---------------------------------------------------------------

    def quarantine_list(
        self,
        caller: Caller,
        reason: str = "",
        before: int | None = None,
        limit: int = DEFAULT_LIST_ROWS,
        purpose: str | None = None,
    ) -> list[dict[str, Any]]:
        """What was quarantined, the newest first, without the payloads; `before` continues a list."""
        check_limit(limit)
        wanted: Reason | None = None
        if reason:
            wanted = Reason.__members__.get(reason.upper())
            if wanted is None:
                raise UsageError(
                    f"{reason[:40]!r} is no reason.",
                    mend="Use one of " + ", ".join(one.name.lower() for one in Reason) + ".",
                )
        found = self._series.quarantine_list(
            self._everything(caller, purpose), reason=wanted, before_id=before, limit=limit
        )
        return [quarantine_row(row) for row in found]

    def quarantine_show(self, caller: Caller, number: int, purpose: str | None = None) -> dict[str, Any]:
        """One entry with its payload; an e-bike's payload, which may hold its place, under the e-bikes' rule alone."""
        grant = self._everything(caller, purpose)
        found = self._series.quarantine_show(grant, number)
        row = quarantine_row(found)
        if is_ebike(found.entry.device) and not self._shows_ebike(found.entry.device, grant.purpose):
            return {**row, "raw": None, "withheld": True}
        return {**row, **raw_text(found.entry.raw), "withheld": False}

    def signal_list(
        self,
        caller: Caller,
        device: str = "",
        kind: str = "",
        from_ms: int | None = None,
        to_ms: int | None = None,
        before: int | None = None,
        limit: int = DEFAULT_LIST_ROWS,
        purpose: str | None = None,
    ) -> list[dict[str, Any]]:
        """Signals, the newest first; those of e-bikes without an open case say the jurisdiction and no place."""
        check_limit(limit)
        if device:
            check_device_id(device)
        if kind and kind not in ALARM_BY_NAME:
            raise UsageError(f"{kind[:40]!r} is no kind of alarm.", mend="Use one of " + ", ".join(ALARM_BY_NAME) + ".")
        found = self._signals.list(
            self._everything(caller, purpose),
            device=device or None,
            kind=kind or None,
            from_ms=from_ms,
            to_ms=to_ms,
            after=before or 0,
            limit=limit,
            newest_first=True,
        )
        rows = [signal_row(kept) for kept in found]
        hidden = {device for device in {row["device"] for row in rows} if not self._shows_place(device)}
        if any(row["device"] in hidden and row["lat"] is not None for row in rows):
            from devices.areas import Areas  # noqa: PLC0415 shapely costs 0.2 s

            index = Areas(self._registry.file).index()
            rows = [hidden_place(row, index.leaf_of) if row["device"] in hidden else row for row in rows]
        return rows

    # -- service --------------------------------------------------------------------------------

    def about(self, caller: Caller) -> dict[str, Any]:
        """What a client has to know before it asks: the city's time zone."""
        del caller
        return {"time_zone": self._settings.city.time_zone, "city": self._settings.city.name}

    def status(self, caller: Caller) -> dict[str, Any]:
        """The counters of the invariant and the state of the stores; holds nothing of any device."""
        del caller
        totals = self._series.totals()
        received = self._points_log.received_rows()
        quarantined = sum(totals.quarantined.values())
        series = self._series.state()
        return {
            "received": received,
            "stored": totals.stored,
            "duplicate": totals.duplicate,
            "quarantined": {reason.name.lower(): rows for reason, rows in sorted(totals.quarantined.items())},
            "in_flight": received - totals.stored - totals.duplicate - quarantined - totals.gauges.get("expired", 0),
            "counters": dict(sorted(totals.gauges.items())),
            "log_position": {"points": self._points_log.last_position(), "alarms": self._alarms_log.last_position()},
            "stored_position": totals.position,
            "series": {"store": series.kind, "away": series.away, "away_s": int(series.away_s)},
            "devices": self._devices_by_kind(),
            "signals": self._signals.counts(),
            "approvals": self._approvals.counts(),
            "trips": totals.gauges.get("trips", 0),
            "stops": totals.gauges.get("stops", 0),
            "live": dict(self._live()) if self._live is not None else {},
        }

    def _devices_by_kind(self) -> dict[str, int]:
        """Registered devices, disabled ones too; asked every second, so from the directory and not by a scan."""
        directory = self._current_directory()
        count = len(directory)
        counts = np.bincount(directory.kind_of_slot[:count][directory.enabled[:count]], minlength=len(KINDS))
        for device in list(directory.disabled):
            counts[KIND_CODE[device.partition("/")[0]]] += 1
        return {kind.value: int(number) for kind, number in zip(KINDS, counts, strict=True) if number}

    def metric_values(self) -> dict[str, float | Mapping[str, float]]:
        """Values of `console.metrics.METRICS`."""
        now = self.status(Caller("metrics", "service", "process"))
        return {
            "points_received": now["received"],
            "points_stored": now["stored"],
            "points_duplicate": now["duplicate"],
            "points_quarantined": now["quarantined"],
            "points_in_flight": now["in_flight"],
            "counted": now["counters"],
            "log_position": now["log_position"],
            "log_consumed": now["stored_position"],
            "devices": now["devices"],
            "signals": now["signals"],
            "approvals": now["approvals"],
            "trips": now["trips"],
            "stops": now["stops"],
            "live": now["live"],
        }

    def ingest(self, caller: Caller, path: str, file_format: str, day: str = "") -> dict[str, Any]:
        """Take a file in through the running service. `path` is absolute; the service has to be able to read it."""
        if self._ingest_file is None:
            raise TryAgain("No service runs here that could take a file in.", mend="Use `lucheng ingest`.")
        if not Path(path).is_absolute():
            raise UsageError("The path is not absolute.", mend="Give the whole path.")
        self._note(caller, "ingest.file", Path(path).name[:200], format=file_format[:40])
        return self._ingest_file(path, file_format, day)
