"""Rows of the table `device`, there and back, and the look-ups that several modules share.

Invariants: every value that comes from outside is bound, never written into a statement; what is written in
are names of columns from this module and question marks. It opens nothing and begins no transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from devices.details import UNIQUE_FIELDS, DeviceDetails, refuse_controls, unique_key
from devices.schema import in_lists
from model.device import Device, Kind, check_device_id
from model.errors import NotFound, UsageError
from store.database import Connection

#: Longest text that a list is searched for, characters.
MAX_SEARCH_CHARS = 100

COLUMNS = """d.id, d.kind, d.slot, d.enabled, d.name, d.plate, d.imei, d.phone, d.model, d.owner_ref, d.site,
coalesce(g.id, ''), d.protocol, d.lat, d.lon, d.created_ms, d.changed"""
FROM = "FROM device d LEFT JOIN device g ON g.slot = d.gateway_slot WHERE d.deleted = 0"
SEARCHED = ("d.id", "d.name", "d.plate", "d.imei", "d.phone", "d.model", "d.site")
#: Searched, too, for who may see owners.
SEARCHED_OWNERS = (*SEARCHED, "d.owner_ref")

INSERT_DEVICE = """INSERT INTO device (slot, id, kind, enabled, deleted, name, plate, imei, phone, model, owner_ref, site,
protocol, gateway_slot, lat, lon, plate_key, imei_key, phone_key, created_ms, changed)
VALUES (?, ?, ?, 1, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
UPDATE_DEVICE = """UPDATE device SET name = ?, plate = ?, imei = ?, phone = ?, model = ?, owner_ref = ?, site = ?,
protocol = ?, gateway_slot = ?, lat = ?, lon = ?, plate_key = ?, imei_key = ?, phone_key = ?, changed = ? WHERE slot = ?"""


def stored_values(details: DeviceDetails, gateway_slot: int) -> tuple[str | int | float | None, ...]:
    """`details` as `INSERT_DEVICE` and `UPDATE_DEVICE` take them, keys of the unique fields last."""
    d = details
    keys = (unique_key("plate", d.plate), unique_key("imei", d.imei), unique_key("phone", d.phone))
    texts = (d.name, d.plate, d.imei, d.phone, d.model, d.owner_ref, d.site, d.protocol)
    return (*texts, gateway_slot, d.lat, d.lon, *keys)


def holders(connection: Connection, field: str, keys: Sequence[str]) -> dict[str, list[str]]:
    """Which enabled devices have these keys of a unique field: ids by key."""
    found: dict[str, list[str]] = {}
    column = {name: f"{name}_key" for name in UNIQUE_FIELDS}[field]
    for marks, values in in_lists(keys):
        sql = f"SELECT {column}, id FROM device WHERE {column} <> '' AND enabled = 1 AND {column} IN {marks}"  # noqa: S608  # constants and ?
        for key, device in connection.execute(sql, values):
            found.setdefault(key, []).append(device)
    return found


def by_id(connection: Connection, ids: Sequence[str]) -> dict[str, Device]:
    """The registered devices among `ids`."""
    found: dict[str, Device] = {}
    for marks, values in in_lists(ids):
        sql = f"SELECT {COLUMNS} {FROM} AND d.id IN {marks}"
        found.update((row[0], device_of(row)) for row in connection.execute(sql, values))
    return found


def slots_of(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for marks, values in in_lists(ids):
        sql = f"SELECT id, slot FROM device WHERE deleted = 0 AND id IN {marks}"  # noqa: S608  # constants and ?
        found.update(connection.execute(sql, values))
    return found


def check_gateway(device_id: str, gateway_id: str) -> None:
    """Raise UsageError unless `gateway_id` names a gateway, or is "", and the device is none itself."""
    if not gateway_id:
        return
    if check_device_id(gateway_id).partition("/")[0] != Kind.GATEWAY:
        raise UsageError(f"{gateway_id} is no gateway.", mend="Name a device of kind gateway.")
    if device_id.partition("/")[0] == Kind.GATEWAY:
        raise UsageError(f"{device_id} is a gateway itself.", mend="Bind the devices behind it.")


def gateway_slot_of(connection: Connection, device_id: str, gateway_id: str) -> int:
    """Slot of the gateway that the device is to be bound to, -1 for "". Raises UsageError, NotFound."""
    check_gateway(device_id, gateway_id)
    return get_device(connection, gateway_id).slot if gateway_id else -1


def get_device(connection: Connection, device_id: str) -> Device:
    found = by_id(connection, [device_id])
    if not found:
        raise NotFound(f"There is no device {device_id}.", mend="Add it with `lucheng device add`.")
    return found[device_id]


def device_of(row: tuple[object, ...]) -> Device:
    device, kind, slot, enabled, *texts, lat, lon, created_ms, version = row
    assert isinstance(slot, int)
    assert isinstance(created_ms, int)
    assert isinstance(version, int)
    assert lat is None or isinstance(lat, float)
    assert lon is None or isinstance(lon, float)
    name, plate, imei, phone, model, owner_ref, site, gateway, protocol = (str(text) for text in texts)
    return Device(
        id=str(device),
        kind=Kind(str(kind)),
        slot=slot,
        number=slot + 1,
        enabled=bool(enabled),
        name=name,
        plate=plate,
        imei=imei,
        phone=phone,
        model=model,
        owner_ref=owner_ref,
        site=site,
        gateway=gateway,
        lat=lat,
        lon=lon,
        created_ms=created_ms,
        protocol=protocol,
        version=version,
    )


def filters(kind: Kind | None, text: str, *, enabled: bool | None, owners: bool = True) -> tuple[str, list[str | int]]:
    """Conditions of a list with their values; `owners`: whether the text is looked for in owners, too."""
    where, values = "", list[str | int]()
    if kind is not None:
        where += " AND d.kind = ?"
        values.append(kind.value)
    if enabled is not None:
        where += " AND d.enabled = ?"
        values.append(int(enabled))
    if text:
        if len(text) > MAX_SEARCH_CHARS:
            raise UsageError(
                f"The text searched for has {len(text)} characters.", mend=f"Use {MAX_SEARCH_CHARS} at most."
            )
        refuse_controls("The text searched for", text)
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        searched = SEARCHED_OWNERS if owners else SEARCHED
        where += " AND (" + " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in searched) + ")"
        values.extend([pattern] * len(searched))
    return where, values
