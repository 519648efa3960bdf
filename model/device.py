"""Devices, sites and jurisdictions: what the registry knows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from model.errors import UsageError


class Kind(StrEnum):
    """The kinds of device, and no others. `gateway` forwards records of devices bound to it."""

    TAXI = "taxi"
    EBIKE = "ebike"
    BUTTON = "button"
    CAMERA = "camera"
    READER = "reader"
    UNIT = "unit"
    GATEWAY = "gateway"


#: Arrays of kinds hold the index into this; the order is permanent.
KINDS: tuple[Kind, ...] = (Kind.TAXI, Kind.EBIKE, Kind.BUTTON, Kind.CAMERA, Kind.READER, Kind.UNIT, Kind.GATEWAY)
KIND_CODE: dict[str, int] = {kind.value: code for code, kind in enumerate(KINDS)}


#: What a device may speak; "" is not said. The registry says it, and nobody guesses against it.
PROTOCOLS: tuple[str, ...] = ("mqtt", "jt808", "jt905", "gt06", "osmand", "owntracks", "teltonika")


#: What may follow the kind in a device id: no `/`, `+`, `#`, `:`, white space or leading dot, so
#: that an id is safe as a topic level, a user name, a password-file key and a file name.
_NAME = re.compile(r"[A-Za-z0-9_\-](?:[A-Za-z0-9_.\-]{0,62}[A-Za-z0-9_\-])?", re.ASCII)


def check_device_id(device: str) -> str:
    """Return `device` when it has the form `kind/name`, else raise UsageError saying the form."""
    kind, slash, name = device.partition("/")
    if slash and kind in Kind.__members__.values() and _NAME.fullmatch(name):
        return device
    raise UsageError(
        f"{device[:80]!r} is not a device id.",
        mend="Write kind/name, e.g. taxi/28249: kind one of "
        + ", ".join(Kind)
        + "; name 1 to 64 of A-Z a-z 0-9 _ - and inner dots.",
    )


@dataclass(frozen=True, slots=True)
class Device:
    """Anything registered that speaks or is watched.

    Attributes:
        id: `kind/name`; what the topic, the broker's user name and every table say.
        kind: first part of the id.
        slot: dense index into the arrays; given once, never used again.
        number: registry number for the 28-byte records (u4); equals slot + 1.
        enabled: False after `disable`: its data is quarantined, its connection ended.
        name, plate, imei, phone, model, owner_ref: free or identifying texts; "" when unknown.
        site: id of the site it belongs to, or "".
        gateway: device id of the gateway whose records may carry it, or "".
        lat, lon: fixed place of a button, camera or reader (WGS-84), else None.
        created_ms: when it was registered.
        protocol: one of `PROTOCOLS`, or "" when it is not said.
        version: grows with every change of the device; what a change was decided on.
    """

    id: str
    kind: Kind
    slot: int
    number: int
    enabled: bool = True
    name: str = ""
    plate: str = ""
    imei: str = ""
    phone: str = ""
    model: str = ""
    owner_ref: str = ""
    site: str = ""
    gateway: str = ""
    lat: float | None = None
    lon: float | None = None
    created_ms: int = 0
    protocol: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """A place with a button and bound cameras (school, bank, shop, petrol station)."""

    id: str
    name: str
    contact: str
    phone: str
    lat: float
    lon: float
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """A node of the area tree city ▸ branch ▸ station ▸ community.

    `rings` is GeoJSON MultiPolygon coordinates: [polygon][ring][vertex](lon, lat).
    """

    id: str
    name: str
    level: str
    parent: str
    rings: list[list[list[tuple[float, float]]]] = field(default_factory=list)
