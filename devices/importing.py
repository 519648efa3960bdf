"""Import of devices from CSV: a result for every row, the same again changes nothing.

Invariants: a refused row changes nothing and loses none of its neighbours; rows are written in transactions
of bounded size, so an import that is cut off can simply be run again; a column that the file does not have
leaves that field alone, an empty cell empties it. Of two rows with the same id, plate, IMEI or phone number
the first one counts and the second is refused, naming both lines. A dry run says the same and writes nothing.
Gateways are taken first, wherever they stand, so that rows may name them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from devices.csv_rows import DEFAULT_MAX_BYTES, DEFAULT_MAX_ROWS, CsvFile, CsvRow
from devices.details import (
    TEXT_FIELDS,
    UNIQUE_FIELDS,
    DeviceDetails,
    checked_place,
    checked_text,
    details_of,
    unique_key,
)
from devices.history import History, differences
from devices.registry import Registry
from devices.rows import INSERT_DEVICE, UPDATE_DEVICE, by_id, check_gateway, holders, slots_of, stored_values
from devices.schema import Change, in_lists
from model.device import Device, check_device_id
from model.errors import LuchengError, UsageError
from model.imei import doubtful_imei
from store.database import Connection

#: Rows in one transaction.
DEFAULT_CHUNK_ROWS = 5_000


class Outcome(StrEnum):
    """What became of a row."""

    ADDED = "added"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    REFUSED = "refused"


class RowResult(NamedTuple):
    """What became of the row on `line` (from 1, the header being line 1), and why when it was refused.

    `note` is what is doubtful about a row that was taken all the same: an IMEI whose check digit does not hold, for there are
    trackers with such labels.
    """

    line: int
    device: str
    outcome: Outcome
    reason: str = ""
    note: str = ""


@dataclass(slots=True)
class ImportReport:
    """Every row's result, in the order of the file."""

    dry_run: bool
    rows: list[RowResult] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Rows by outcome, every outcome named."""
        found = Counter(row.outcome for row in self.rows)
        return {outcome.value: found[outcome] for outcome in Outcome}


class _Wanted(NamedTuple):
    """A row that can be read: the device and the fields that the file gives."""

    line: int
    device: str
    texts: dict[str, str]
    place: tuple[float | None, float | None] | None
    keys: dict[str, str]


def import_csv(
    registry: Registry,
    raw: bytes,
    *,
    dry_run: bool = False,
    max_rows: int = DEFAULT_MAX_ROWS,
    max_bytes: int = DEFAULT_MAX_BYTES,
    chunk_rows: int = DEFAULT_CHUNK_ROWS,
    who: str = "",
) -> ImportReport:
    """Register and update the devices of a CSV file.

    Args:
        registry: where to.
        raw: the file; columns as in `csv_rows.COLUMNS`, a header first.
        dry_run: say what would happen, change nothing.
        max_rows: rows of the file.
        max_bytes: bytes of the file.
        chunk_rows: rows in one transaction.
        who: whose doing it is, for the devices' histories; "" writes none.

    Raises:
        BadInput: it is no such file, or over a limit; nothing was changed.
    """
    file = CsvFile(raw, max_rows=max_rows, max_bytes=max_bytes)
    run = _Run(registry, file.columns, dry_run=dry_run, who=who)
    passes = (True, False) if "gateway" in file.columns else (None,)
    for gateways in passes:
        rows = run.wanted(iter(file), gateways=gateways)
        while chunk := list(islice(rows, chunk_rows)):
            run.take(chunk)
    run.report.rows.sort()
    return run.report


class _Run:
    """One import under way: what the rows so far have taken and given up."""

    def __init__(self, registry: Registry, columns: tuple[str, ...], *, dry_run: bool, who: str) -> None:
        self.report = ImportReport(dry_run)
        self._registry = registry
        self._history = History(registry.file)
        self._who = who
        self._dry_run = dry_run
        self._place_of = {column: place for place, column in enumerate(columns)}
        self._texts = [(column, self._place_of[column]) for column in TEXT_FIELDS if column in self._place_of]
        self._line_of: dict[str, int] = {}
        self._taken: dict[str, dict[str, str]] = {field: {} for field in UNIQUE_FIELDS}
        self._given_up: set[tuple[str, str, str]] = set()
        self._planned = 0

    def wanted(self, rows: Iterator[CsvRow], *, gateways: bool | None) -> Iterator[_Wanted]:
        """The readable rows among `rows` (only gateways, only others, or None: all); the rest are refused here."""
        for row in rows:
            device = "" if row.fault else self._id(row)
            if gateways is not None and device.startswith("gateway/") != gateways:
                continue
            if row.fault:
                self._refuse(row.line, "", row.fault)
                continue
            try:
                wanted = self._checked(row, device)
            except LuchengError as error:
                self._refuse(row.line, device[:80], error.message)
            else:
                yield wanted

    def take(self, chunk: list[_Wanted]) -> None:
        """Decide on the rows of one chunk and write those that change something, in one transaction."""
        if self._dry_run:
            with self._registry.file.reading() as connection:
                self._decide(chunk, connection)
            return
        with self._registry.file.changing() as change:
            added, updated = self._decide(chunk, change.connection)
            if added or updated:
                self._write(change, added, updated)

    def _id(self, row: CsvRow) -> str:
        device = row.cells[self._place_of["id"]].strip()
        if "kind" in self._place_of and "/" not in device:
            return f"{row.cells[self._place_of['kind']].strip().lower()}/{device}"
        return device

    def _checked(self, row: CsvRow, device: str) -> _Wanted:
        check_device_id(device)
        cells, limits = row.cells, self._registry.text_limits_chars
        if "kind" in self._place_of:
            kind = cells[self._place_of["kind"]].strip().lower()
            if kind and not device.startswith(f"{kind}/"):
                raise UsageError(f"The kind is {kind[:40]!r}, the id says {device.partition('/')[0]!r}.")
        texts = {column: checked_text(column, cells[place], limits) for column, place in self._texts}
        check_gateway(device, texts.get("gateway", ""))
        place = None
        if "lat" in self._place_of:
            place = checked_place(*(_degrees(name, cells[self._place_of[name]]) for name in ("lat", "lon")))
        keys = {column: key for column in UNIQUE_FIELDS if (key := unique_key(column, texts.get(column, "")))}
        return _Wanted(row.line, device, texts, place, keys)

    def _decide(
        self, chunk: list[_Wanted], connection: Connection
    ) -> tuple[list[tuple[str, DeviceDetails]], list[tuple[Device, DeviceDetails]]]:
        """What is to be added and updated; every row's result goes into the report."""
        added: list[tuple[str, DeviceDetails]] = []
        updated: list[tuple[Device, DeviceDetails]] = []
        known = by_id(connection, [row.device for row in chunk])
        sites = _existing_sites(connection, chunk)
        gateways = set(slots_of(connection, list({row.texts["gateway"] for row in chunk if row.texts.get("gateway")})))
        held = {
            column: holders(connection, column, [row.keys[column] for row in chunk if column in row.keys])
            for column in UNIQUE_FIELDS
        }
        room = self._registry.max_devices - connection.execute("SELECT next_slot FROM state").fetchone()[0]
        for row in chunk:
            device = known.get(row.device)
            reason = self._why_not(row, device, sites, gateways, held)
            if not reason and device is None and len(added) + self._planned >= room:
                reason = f"The registry is full: it takes {self._registry.max_devices} devices."
            if reason:
                self._refuse(row.line, row.device, reason)
                continue
            details = _merged(row, device)
            self._accept(row, device)
            if device is None:
                added.append((row.device, details))
                outcome = Outcome.ADDED
            elif details == details_of(device):
                outcome = Outcome.UNCHANGED
            else:
                updated.append((device, details))
                outcome = Outcome.UPDATED
            self.report.rows.append(
                RowResult(row.line, row.device, outcome, note=doubtful_imei(row.texts.get("imei", "")))
            )
        if self._dry_run:
            self._planned += len(added)
        return added, updated

    def _why_not(
        self,
        row: _Wanted,
        device: Device | None,
        sites: set[str],
        gateways: set[str],
        held: dict[str, dict[str, list[str]]],
    ) -> str:
        """Why the row must be refused, "" when it need not."""
        if row.device in self._line_of:
            return f"{row.device} is on line {self._line_of[row.device]} and again on line {row.line}."
        site, gateway = row.texts.get("site", ""), row.texts.get("gateway", "")
        if site and site not in sites:
            return f"There is no site {site!r}."
        if gateway and gateway not in gateways and gateway not in self._line_of:
            return f"There is no gateway {gateway}."
        if device is not None and not device.enabled:
            return ""
        return self._twice(row, held)

    def _twice(self, row: _Wanted, held: dict[str, dict[str, list[str]]]) -> str:
        """Who else has the row's plate, IMEI or phone number, in words; "" when nobody has."""
        for column, key in row.keys.items():
            text = row.texts[column]
            other = self._taken[column].get(key)
            if other is not None:
                return (
                    f"The {column} {text!r} is on line {self._line_of[other]} ({other}) and again on line {row.line}."
                )
            for holder in held[column].get(key, ()):
                if holder != row.device and (column, key, holder) not in self._given_up:
                    return f"The {column} {text!r} on line {row.line} belongs to {holder} in the registry."
        return ""

    def _accept(self, row: _Wanted, device: Device | None) -> None:
        self._line_of[row.device] = row.line
        if device is not None and not device.enabled:
            return
        for column, key in row.keys.items():
            self._taken[column][key] = row.device
        if device is not None:
            for column in UNIQUE_FIELDS:
                old = unique_key(column, getattr(device, column)) if column in row.texts else ""
                if old and row.keys.get(column) != old:
                    self._given_up.add((column, old, device.id))

    def _write(
        self, change: Change, added: list[tuple[str, DeviceDetails]], updated: list[tuple[Device, DeviceDetails]]
    ) -> None:
        connection, now_ms = change.connection, self._registry.file.clock.now_ms()
        named = {details.gateway for _, details in (*added, *updated) if details.gateway}
        slot_of = {"": -1, **slots_of(connection, list(named))}
        first = self._registry.take_slots(change, len(added)) if added else 0
        connection.executemany(
            INSERT_DEVICE,
            (
                (
                    slot,
                    device,
                    device.partition("/")[0],
                    *stored_values(details, slot_of[details.gateway]),
                    now_ms,
                    change.version,
                )
                for slot, (device, details) in enumerate(added, start=first)
            ),
        )
        connection.executemany(
            UPDATE_DEVICE,
            (
                (*stored_values(details, slot_of[details.gateway]), change.version, device.slot)
                for device, details in updated
            ),
        )
        if not self._who:
            return
        for slot, (_, details) in enumerate(added, start=first):
            self._history.note(change, slot, self._who, "import", changed=differences(DeviceDetails(), details))
        for device, details in updated:
            self._history.note(
                change, device.slot, self._who, "import", changed=differences(details_of(device), details)
            )

    def _refuse(self, line: int, device: str, reason: str) -> None:
        self.report.rows.append(RowResult(line, device, Outcome.REFUSED, reason))


def _degrees(name: str, cell: str) -> float | None:
    text = cell.strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name} {text[:40]!r} is no number.") from None


def _merged(row: _Wanted, device: Device | None) -> DeviceDetails:
    """The device's details with what the file gives in their place."""
    texts = row.texts
    if device is not None and len(texts) < len(TEXT_FIELDS):
        texts = {column: getattr(device, column) for column in TEXT_FIELDS} | texts
    lat, lon = row.place if row.place is not None else (device.lat, device.lon) if device else (None, None)
    return DeviceDetails(**texts, lat=lat, lon=lon)


def _existing_sites(connection: Connection, chunk: list[_Wanted]) -> set[str]:
    found: set[str] = set()
    for marks, values in in_lists(list({row.texts["site"] for row in chunk if row.texts.get("site")})):
        found.update(site for (site,) in connection.execute(f"SELECT id FROM site WHERE id IN {marks}", values))  # noqa: S608  # only ?
    return found
