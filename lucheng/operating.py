"""From an open data folder to its operations; the service and the command line both come through here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from console.camera_seams import CameraControl
from console.operations import Operations
from devices.directory import Directory
from lucheng.logs import logger
from lucheng.rooms import ACCOUNTS_FILE, ANSWERS_FILE, COMMANDS_FILE, DESK_FILE, REGISTRY_FILE, SECRET_KEY_FILE, Rooms
from lucheng.video.probing import SettingsNetwork
from model.approval import Approval
from store.database import Where, exists

_log = logger(__name__)


def operations_of(
    rooms: Rooms,
    *,
    on_registry_change: Callable[[], None] = lambda: None,
    ingest: Callable[[str, str, str], dict[str, Any]] | None = None,
    live: Callable[[], Mapping[str, float]] | None = None,
    directory: Directory | None = None,
    on_fact: Callable[[dict[str, Any]], None] = lambda _fact: None,
    on_fence_change: Callable[[int], None] = lambda _version: None,
    sessions: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    camera_control: CameraControl | None = None,
    sitters: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
) -> Operations:
    """The operations over `rooms`.

    Args:
        rooms: an open data folder; changes need it open for writing.
        on_registry_change: makes a change of the registry take effect in the running service.
        ingest: takes a file in for the running service: (path, format, date or "") to its totals.
        live: state of the running service by name.
        directory: the service's own directory of devices.
        on_fact: tells the rules of the running service what has changed, e.g. that an e-bike was reported stolen.
        on_fence_change: tells them the new version of the fences.
        sessions: the connections of terminals now, each with `device`.
        camera_control: the cameras of the running service.
        sitters: who has a page open that holds the alarms.
    """
    return Operations(
        registry=rooms.registry,
        series=rooms.series,
        audit=rooms.audit,
        desk=rooms.desk,
        commands=rooms.commands,
        approvals=rooms.approvals,
        evidence=rooms.evidence,
        reports=rooms.reports,
        terminals=lambda: rooms.terminals,
        points_log=rooms.points_log,
        alarms_log=rooms.alarms_log,
        settings=rooms.settings,
        clock=rooms.clock,
        key_file=rooms.data_dir / SECRET_KEY_FILE,
        plain_files=_plain_files(rooms),
        on_registry_change=on_registry_change,
        ingest=ingest,
        live=live,
        directory=directory,
        on_fact=on_fact,
        on_fence_change=on_fence_change,
        on_break_glass=_warn,
        sessions=sessions,
        recordings=rooms.recordings,
        camera_control=camera_control,
        camera_network=SettingsNetwork(rooms.settings, rooms.clock),
        accounts=rooms.accounts,
        passwords=lambda: rooms.passwords,
        spool_dir=rooms.data_dir,
        photos=rooms.photos,
        sitters=sitters,
    )


def _warn(approval: Approval) -> None:
    """Whoever watches the log learns at once that somebody read what is wide without another's approval."""
    _log.warning(
        "break-glass",
        approval=approval.id,
        who=approval.by,
        operation=approval.operation,
        vehicles=approval.vehicles,
        reason=approval.reason,
        review=f"lucheng approval review {approval.id}",
    )


def _plain_files(rooms: Rooms) -> list[Where]:
    """Stores without a check of their own; one that a newer lucheng has not made yet is not missing."""
    later = [rooms.where(name) for name in (COMMANDS_FILE, ACCOUNTS_FILE, ANSWERS_FILE)]
    return [rooms.where(REGISTRY_FILE), rooms.where(DESK_FILE), *(where for where in later if exists(where))]
