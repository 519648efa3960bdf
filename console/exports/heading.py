"""What is said of an export: who had it made of what, why and in which datum, and the hash that the file carries.

A file cannot hold its own SHA-256. It holds that of itself with the 64 digits written as zeros, under `DIGITS_KEY`, always
the last field: so heading, data and all that lies between are covered, and anybody with any SHA-256 program can check
it. Invariants: the fields and their order are those of every form; nothing here is escaped for a form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Stands for the digits until they are known, and while they are checked.
ZEROS = "0" * 64
DIGITS_KEY = "sha256_zeroed"
VERSION_KEY = "lucheng_export"
VERSION = 1
#: Devices that a heading names; of more it tells the number.
MAX_NAMED = 1_000


@dataclass(frozen=True, slots=True)
class Heading:
    """See the module. Times are RFC 3339; `kind` is "" where devices were named, `devices` all that were asked for."""

    city: str
    datum: str
    purpose: str
    who: str
    role: str
    allowed_by: str
    asked: str
    start: str
    end: str
    kind: str
    devices: tuple[str, ...]
    points: int
    points_without_place: int

    def fields(self) -> dict[str, Any]:
        """Every field in order, `DIGITS_KEY` last and zero."""
        return {
            VERSION_KEY: VERSION,
            "datum": self.datum,
            "purpose": self.purpose,
            "who": self.who,
            "role": self.role,
            "allowed_by": self.allowed_by,
            "asked": self.asked,
            "from": self.start,
            "to": self.end,
            "city": self.city,
            "kind": self.kind,
            "devices": len(self.devices),
            "device_ids": " ".join(self.devices) if len(self.devices) <= MAX_NAMED else "",
            "points": self.points,
            "points_without_place": self.points_without_place,
            "sha256_of": f"this file with the 64 digits of {DIGITS_KEY} written as zeros",
            DIGITS_KEY: ZEROS,
        }
