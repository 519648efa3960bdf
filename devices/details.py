"""What may be written about a device or a site: texts and their limits, places, and what counts as the same plate.

Invariants: nothing longer than its limit, no control character and no half of a surrogate pair gets past
here, so that every text can be a line of a file, a cell and a log entry. A text that looks like a formula
is a text: it is kept as it came, and whoever writes a spreadsheet guards it there. It opens no file.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from model.device import PROTOCOLS, Device
from model.errors import UsageError

#: Longest text of each field, characters.
DEFAULT_TEXT_LIMITS_CHARS: Mapping[str, int] = {
    "name": 100,
    "plate": 20,
    "imei": 20,
    "phone": 24,
    "model": 60,
    "owner_ref": 100,
    "contact": 100,
    "site": 64,
    "gateway": 80,
    "protocol": 20,
}
#: Fields of which no two enabled devices may have the same.
UNIQUE_FIELDS = ("plate", "imei", "phone")
TEXT_FIELDS = ("name", "plate", "imei", "phone", "model", "owner_ref", "site", "gateway", "protocol")

#: C0 and C1 controls, line and paragraph separators, surrogates, and the marks that turn the writing direction.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SITE_ID = re.compile(r"[A-Za-z0-9_\-](?:[A-Za-z0-9_.\-]{0,62}[A-Za-z0-9_\-])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class DeviceDetails:
    """What can be changed of a device; fields as in `model.device.Device`."""

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
    protocol: str = ""


def details_of(device: Device) -> DeviceDetails:
    """The changeable part of `device`; `dataclasses.replace` it and give it to `Registry.update`."""
    return DeviceDetails(
        device.name,
        device.plate,
        device.imei,
        device.phone,
        device.model,
        device.owner_ref,
        device.site,
        device.gateway,
        device.lat,
        device.lon,
        device.protocol,
    )


def checked_text(field: str, text: str, limits_chars: Mapping[str, int] = DEFAULT_TEXT_LIMITS_CHARS) -> str:
    """`text` without space around it; UsageError when it is too long, holds a control character or is no protocol."""
    text = text.strip()
    if len(text) > limits_chars[field]:
        raise UsageError(f"{field} has {len(text)} characters.", mend=f"Shorten it to {limits_chars[field]}.")
    refuse_controls(field, text)
    if field == "protocol" and text:
        text = text.lower()
        if text not in PROTOCOLS:
            raise UsageError(f"{text!r} is no protocol.", mend="Use one of " + ", ".join(PROTOCOLS) + ", or none.")
    return text


def refuse_controls(field: str, text: str) -> None:
    """Raise UsageError when `text` holds a control character or half of a surrogate pair."""
    if not text.isascii() or not text.isprintable():
        found = _UNSAFE.search(text)
        if found:
            raise UsageError(f"{field} holds the character U+{ord(found[0]):04X}.", mend="Take it out.")


def checked_place(lat: float | None, lon: float | None) -> tuple[float | None, float | None]:
    """(lat, lon) when both are there and on the earth, or both None; else UsageError."""
    if lat is None and lon is None:
        return None, None
    if lat is None or lon is None:
        raise UsageError("Only one of lat and lon is given.", mend="Give both or neither.")
    if not (math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180):
        raise UsageError(f"lat {lat}, lon {lon} is no place.", mend="Write WGS-84 degrees: lat -90..90, lon -180..180.")
    return lat, lon


def checked_details(details: DeviceDetails, limits_chars: Mapping[str, int]) -> DeviceDetails:
    """`details` with every text and the place checked; whether site and gateway exist is the registry's to know."""
    texts = {field: checked_text(field, getattr(details, field), limits_chars) for field in TEXT_FIELDS}
    lat, lon = checked_place(details.lat, details.lon)
    return DeviceDetails(**texts, lat=lat, lon=lon)


def check_site_id(site: str) -> str:
    """Return `site` when it can be a site's or an area's id (safe in a path, a topic and a line), else UsageError."""
    if _SITE_ID.fullmatch(site):
        return site
    raise UsageError(f"{site[:80]!r} is not an id.", mend="Write 1 to 64 of A-Z a-z 0-9 _ - and inner dots.")


def unique_key(field: str, text: str) -> str:
    """What is compared when plates, IMEIs or phone numbers are looked for twice; "" when there is nothing to compare.

    Width, case, spaces, dots and dashes do not make another plate: `蒙B·12345` is `蒙b12345`. Nor do they make
    another number; `+86` before a mobile number is taken off.
    """
    if not text:
        return ""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    key = text if text.isalnum() else "".join(c for c in text if c.isalnum() or c == "+")
    if field == "phone":
        key = key.removeprefix("+86") if len(key) > 11 else key
        key = key.removeprefix("+")
    return key.upper()
