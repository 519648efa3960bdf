"""The operation `export_tracks`: many devices' points in a window as one file. Part of `console.operations`.

Invariants: only roles that see what devices sent may export; the store is read under one Grant for exactly these devices and
this window, device by device, so that the audit tells of each that it was read; what the file holds, with its SHA-256, is
audited before the first byte leaves, and until then it lies in a file without a name; e-bikes are exported one by one under
their own rule and never as a kind; whether so many may be asked for is `console.wide_gate`'s to say. Every limit is one of
the settings `export`.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from console.device_operations import Caller
from console.evidence_operations import CONTENT_ROLES
from console.exports.heading import Heading
from console.exports.points import in_datum, pieces, with_place
from console.exports.shapes import DEFAULT_PIECE_ROWS, MEDIA_TYPES
from console.exports.spool import Exported, Spool
from console.given_texts import one_of
from console.roles import role_of
from console.track_rows import FIRST_MS, LAST_MS, time_text
from console.wide_gate import WideRead, check_wide
from model.datum import DATUM_NAMES, DATUMS
from model.device import Device, Kind, check_device_id
from model.errors import Refused, TryAgain, UsageError
from model.grant import Grant, Purpose
from model.role import ROLE_WORDS
from store.audit import purpose_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.sections import Settings
    from console.exports.shapes import Shape
    from devices.registry import Registry
    from model.batch import PointBatch
    from model.clock import Clock
    from store.series.door import Series

#: Devices named in one export; more is asked as a kind.
DEFAULT_MAX_NAMED_DEVICES = 1_000
#: Device ids in the audit's row; the store's own rows have every one.
_AUDITED_IDS = 100
_DAY_MS = 86_400_000
#: What is read of one device at a time: a fix a second makes 600,000 points of it.
_SLICE_MS = 7 * _DAY_MS
_PAGE_ROWS = 10_000


class _House(Protocol):
    """What it needs of the operations."""

    _settings: Settings
    _registry: Registry
    _series: Series
    _clock: Clock
    _export_turns: threading.BoundedSemaphore
    _spool_dir: Path | None

    def _purpose(self, given: str | None) -> Purpose: ...
    def _known(self, device: str) -> Device: ...
    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None: ...
    def _allow_ebikes(self, devices: list[str], why: Purpose, caller: Caller) -> None: ...


class ExportOperations:
    """See the module."""

    def export_tracks(
        self: _House,
        caller: Caller,
        from_ms: int,
        to_ms: int,
        devices: list[str] | None = None,
        kind: str = "",
        form: str = "csv",
        datum: str = "wgs84",
        plain: bool = False,  # noqa: FBT001, FBT002 called by name alone
        purpose: str | None = None,
        approval: str = "",
    ) -> Exported:
        """Points with from_ms <= time < to_ms of the devices named, or of every registered one of a kind, as one file.

        `form` is one of csv, geojson, gpx, kml and parquet; `datum` wgs84, gcj02 or bd09; `plain` leaves the heading out of a
        CSV. Points are in order of device (by slot) and time.

        Raises UsageError (window, devices, kind, form, datum), NotFound (a name), Refused (the role, an e-bike, too many
        vehicles, more than a limit), TryAgain (too many exports at a time).
        """
        why = self._purpose(purpose)
        one_of(form, "format of an export", tuple(MEDIA_TYPES))
        one_of(datum, "datum", DATUMS)
        if plain and form != "csv":
            raise UsageError("Only CSV can be plain.", mend="Leave it out, or use csv.")
        if not FIRST_MS <= from_ms < to_ms <= LAST_MS:
            raise UsageError("The window is empty or out of range.", mend="Give --from before --to, years 1 to 9999.")
        _check_role(self, caller, why)
        chosen = _chosen(self, caller, why, devices, kind)
        _check_size(self._settings, len(chosen), from_ms, to_ms)
        ids = tuple(device.id for device in chosen)
        heading = Heading(
            city=self._settings.city.name,
            datum=DATUM_NAMES[datum],
            purpose=purpose_text(why),
            who=caller.who,
            role=role_of(self._settings, caller).value,
            allowed_by="",
            asked=time_text(self._clock.now_ms()),
            start=time_text(from_ms),
            end=time_text(to_ms),
            kind=kind,
            devices=ids,
            points=0,
            points_without_place=0,
        )
        grant = Grant(caller.who, caller.role, why, frozenset(ids), from_ms, to_ms)
        spool = _spool(self)
        try:
            allowed_by = check_wide(self, caller, why, _wide_read(ids, kind, from_ms, to_ms), approval)
            heading = replace(heading, allowed_by=allowed_by)
            made = _made(self, grant, chosen, heading, spool, form, datum, plain=plain)
            self._note(
                caller,
                "export.made",
                ids[0] if len(ids) == 1 else f"{len(ids)} devices",
                heading.purpose,
                from_ms=from_ms,
                to_ms=to_ms,
                kind=kind,
                named=[] if kind else list(ids[:_AUDITED_IDS]),
                allowed_by=allowed_by,
                format=form,
                **{key: made.told[key] for key in ("devices", "points", "datum", "bytes", "sha256")},
            )
        except BaseException:
            spool.close()
            raise
        return made


def _check_role(house: _House, caller: Caller, why: Purpose) -> None:
    role = role_of(house._settings, caller)  # noqa: SLF001 a mixin's own
    if role not in CONTENT_ROLES:
        house._note(caller, "read.refused", "export", purpose_text(why), operation="export_tracks")  # noqa: SLF001 as above
        raise Refused(f"A {ROLE_WORDS[role].en} may not export tracks.", mend="Ask somebody who works on alarms.")


def _chosen(house: _House, caller: Caller, why: Purpose, devices: list[str] | None, kind: str) -> list[Device]:
    """The devices, by slot."""
    if bool(devices) == bool(kind):
        raise UsageError("It is not said whose tracks.", mend="Name devices, or a kind of device, and not both.")
    if kind:
        one_of(kind, "kind of device", tuple(Kind))
        if kind == Kind.EBIKE:
            raise UsageError(
                "E-bikes are not exported as a kind.", mend="Name one, with its owner's request or its case."
            )
        found = list(_registered(house._registry, Kind(kind)))  # noqa: SLF001 a mixin's own
        if not found:
            raise UsageError(f"There is no {kind}.", mend="`lucheng device list` shows which devices there are.")
        return found
    assert devices is not None
    if len(devices) > DEFAULT_MAX_NAMED_DEVICES:
        raise UsageError(
            f"{len(devices)} devices are named.", mend=f"Name {DEFAULT_MAX_NAMED_DEVICES} at most, or give a kind."
        )
    names = [check_device_id(device) for device in dict.fromkeys(devices)]
    house._allow_ebikes(names, why, caller)  # noqa: SLF001 as above
    return sorted((house._known(name) for name in names), key=lambda device: device.slot)  # noqa: SLF001 as above


def _registered(registry: Registry, kind: Kind) -> Iterator[Device]:
    """All of a kind, the disabled ones too: they have a past."""
    last = -1
    while page := registry.list(kind=kind, after=last, limit=_PAGE_ROWS):
        yield from page
        last = page[-1].slot


def _wide_read(ids: tuple[str, ...], kind: str, from_ms: int, to_ms: int) -> WideRead:
    """What an approval is for: of a kind as many as there are now, and no more."""
    whose: dict[str, Any] = {"kind": kind, "vehicles": len(ids)} if kind else {"devices": list(ids)}
    asked = {"from_ms": from_ms, "to_ms": to_ms, **whose}
    return WideRead("export_tracks", len(ids), from_ms, to_ms, asked, export=True)


def _check_size(settings: Settings, devices: int, from_ms: int, to_ms: int) -> None:
    days = -(-(to_ms - from_ms) // _DAY_MS)
    most = settings.export.max_device_days
    if devices * days > most:
        raise Refused(
            f"{devices} devices for {days} days are {devices * days} device-days, more than {most}.",
            mend="Ask for fewer devices or a shorter window, or raise export.max_device_days.",
        )


def _spool(house: _House) -> Spool:
    limits = house._settings.export  # noqa: SLF001 a mixin's own
    turns = house._export_turns  # noqa: SLF001 as above
    if house._spool_dir is None:  # noqa: SLF001 as above
        raise TryAgain("There is no folder here to make an export in.", mend="Start the service: `lucheng run`.")
    if not turns.acquire(blocking=False):
        raise TryAgain(f"{limits.max_running} exports are being made.", mend="Try again when one is done.")
    return Spool(
        house._spool_dir,  # noqa: SLF001 as above
        max_bytes=limits.max_file_bytes,
        min_free_bytes=limits.min_free_bytes,
        on_close=turns.release,
    )


def _shape(house: _House, out: Spool, form: str, datum: str, *, plain: bool) -> Shape:
    gap_ms = house._settings.rules.trip_gap_s * 1_000  # noqa: SLF001 a mixin's own
    if form == "csv":
        from console.exports.as_csv import CsvShape  # noqa: PLC0415 used by this alone

        return CsvShape(out, datum, plain=plain)
    if form == "geojson":
        from console.exports.as_geojson import GeoJsonShape  # noqa: PLC0415 as above

        return GeoJsonShape(out, datum)
    if form == "parquet":
        from console.exports.as_parquet import ParquetShape  # noqa: PLC0415 pyarrow costs 0.3 s

        return ParquetShape(out, datum)
    from console.exports.as_xml import GpxShape, KmlShape  # noqa: PLC0415 as above

    return (GpxShape if form == "gpx" else KmlShape)(out, datum, gap_ms)


def _made(
    house: _House,
    grant: Grant,
    devices: list[Device],
    heading: Heading,
    spool: Spool,
    form: str,
    datum: str,
    *,
    plain: bool,
) -> Exported:
    """Read, written and sealed."""
    shape = _shape(house, spool, form, datum, plain=plain)
    most = house._settings.export.max_points  # noqa: SLF001 a mixin's own
    points = placeless = 0
    for device in devices:
        for batch in _read(house, grant, device):
            points += len(batch)
            if points > most:
                raise Refused(
                    f"The export has more than {most} points.",
                    mend="Ask for fewer devices or a shorter window, or raise export.max_points.",
                )
            for piece in pieces(batch, DEFAULT_PIECE_ROWS):
                moved = in_datum(piece, datum)
                placeless += len(piece) - len(with_place(piece))
                shape.add(device.id, moved)
    heading = replace(heading, points=points, points_without_place=placeless)
    head = shape.finish(heading)
    name = f"tracks-{heading.start[:10]}-{datum}.{form}"
    return Exported(MEDIA_TYPES[form], name, head, spool, heading.fields())


def _read(house: _House, grant: Grant, device: Device) -> Iterator[PointBatch]:
    """A device's points in order of time, a bounded time at a time."""
    for start_ms in range(grant.from_ms, grant.to_ms, _SLICE_MS):
        end_ms = min(start_ms + _SLICE_MS, grant.to_ms)
        batch = house._series.track(grant, device.id, device.slot, start_ms, end_ms)  # noqa: SLF001 a mixin's own
        if len(batch):
            yield batch
