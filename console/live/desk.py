"""`OperationsDesk`: the questions of the live view, answered by `console.operations`.

Invariants: every answer is an operation's, so its rules of who may and its audit hold here as they do on the command line;
the roles are read anew with each. It only changes shapes, keeps nothing, and adds what the video path knows of a clip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from console.blob import Blob
from console.device_operations import Caller
from console.live.seams import AlarmRow, CameraRow, PieceRow
from model.camera import CameraState
from model.errors import NotFound
from model.geo import haversine_m
from model.grant import Purpose

if TYPE_CHECKING:
    from console.operations import Operations


@dataclass(frozen=True, slots=True)
class PieceFacts:
    """What the video path knows of a piece of evidence besides the evidence's own row: see `PieceRow`."""

    note: str = ""
    codec: str = ""


class OperationsDesk:
    """Implements `console.live.seams.LiveDesk`.

    Args:
        operations: of the service.
        facts: what is known besides of a piece, by its row (`console.evidence_rows.evidence_row`).
    """

    def __init__(
        self, operations: Operations, *, facts: Callable[[dict[str, Any]], PieceFacts] = lambda _row: PieceFacts()
    ) -> None:
        self._operations = operations
        self._facts = facts

    def cameras(self, caller: Caller, *, after: int, limit: int) -> Sequence[CameraRow]:
        return [_camera_row(row) for row in self._operations.camera_list(caller, after=after, limit=limit)]

    def camera(self, caller: Caller, device: str) -> CameraRow:
        """Asked every other second, so by way of the list, which is audited once a minute."""
        slot = self._operations.device_show(caller, device)["slot"]
        for row in self._operations.camera_list(caller, after=slot - 1, limit=1):
            if row["camera"] == device:
                return _camera_row(row)
        raise NotFound(f"{device} is not set up.", mend="`lucheng camera list` shows which cameras are.")

    def alarms(self, caller: Caller, *, limit: int) -> Sequence[AlarmRow]:
        return [_alarm_row(row) for row in self._operations.alarm_list(caller, limit=limit)]

    def alarm(self, caller: Caller, alarm: str) -> AlarmRow:
        return _alarm_row(self._operations.alarm_show(caller, alarm))

    def evidence_list(self, caller: Caller, alarm: str) -> Sequence[PieceRow]:
        one = self._operations.alarm_show(caller, alarm)
        rows = self._operations.evidence_list(caller, alarm=alarm)
        return [self._piece_row(row, one) for row in reversed(rows)]

    def evidence_read(self, caller: Caller, evidence: str, purpose: Purpose) -> Blob:
        said = f"{purpose.code}:{purpose.ref}:{purpose.note}".rstrip(":")
        return self._operations.evidence_read(caller, evidence, said)

    def watch(self, caller: Caller, camera: str, purpose: Purpose) -> None:
        self._operations.camera_watch(caller, camera, purpose)

    def may_watch(self, caller: Caller, camera: str, purpose: Purpose) -> bool:
        return self._operations.camera_may_watch(caller, camera, purpose)

    def _piece_row(self, row: dict[str, Any], alarm: dict[str, Any]) -> PieceRow:
        facts = self._facts(row)
        return PieceRow(
            evidence=row["evidence"],
            device=row["device"],
            kind=row["kind"],
            format=row["format"],
            sha256=row["sha256"],
            size_bytes=row["size_bytes"],
            time_ms=_ms(row["time"]) or _ms(row["received"]),
            distance_m=_distance_m(row, alarm),
            note=facts.note,
            codec=facts.codec,
        )


def _camera_row(row: dict[str, Any]) -> CameraRow:
    """A row of `camera_list`."""
    state = CameraState(row["state"]) if row["state"] else None
    detail = row["detail"] or ", ".join(row["health"])
    return CameraRow(row["slot"], row["camera"], row["name"], state, _ms(row["since"]), detail)


def _alarm_row(row: dict[str, Any]) -> AlarmRow:
    return AlarmRow(
        alarm=row["alarm"],
        kind=row["kind"],
        device=row["device"],
        severity=row["severity"],
        work=row["work"],
        time_ms=_ms(row["received"]),
        site=row["site"] or "",
    )


def _distance_m(row: dict[str, Any], alarm: dict[str, Any]) -> float | None:
    """From the alarm to where the piece was taken, None when one of them is not known or not given out."""
    if None in (row["lat"], row["lon"], alarm["lat"], alarm["lon"]):
        return None
    return float(haversine_m(row["lat"], row["lon"], alarm["lat"], alarm["lon"]))


def _ms(moment: str | None) -> int:
    """UTC ms of a row's moment, 0 for none."""
    return round(datetime.fromisoformat(moment).timestamp() * 1000) if moment else 0
