"""What the map writes beside a place: names of cameras, sites as columns. Read-only, within one reading of the file.

Invariant: nothing here tells a person: of a site neither its contact nor its telephone number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from devices.schema import RegistryFile, in_lists


class NamedPlace(NamedTuple):
    """A device as the map names it."""

    device: str
    name: str
    site: str


class SitePlaces(NamedTuple):
    """All sites by id: texts and WGS-84 degrees, columns of one length."""

    id: list[str]
    name: list[str]
    cameras: list[int]
    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]


def names_of(file: RegistryFile, slots: Sequence[int]) -> dict[int, NamedPlace]:
    """Names by slot, of those that are registered."""
    found: dict[int, NamedPlace] = {}
    with file.reading() as connection:
        for marks, values in in_lists([str(slot) for slot in slots]):
            sql = f"SELECT slot, id, name, site FROM device WHERE deleted = 0 AND slot IN {marks}"  # noqa: S608 # constants and ?
            rows = connection.execute(sql, [int(value) for value in values])
            found.update((slot, NamedPlace(device, name, site)) for slot, device, name, site in rows)
    return found


def place_version(file: RegistryFile) -> int:
    """Grows with every change of areas, sites and their cameras."""
    with file.reading() as connection:
        number: int = connection.execute("SELECT place_version FROM state").fetchone()[0]
    return number


def site_places(file: RegistryFile) -> SitePlaces:
    """Every site."""
    with file.reading() as connection:
        rows = connection.execute(
            "SELECT s.id, s.name, count(c.camera_slot), s.lat, s.lon FROM site s"
            " LEFT JOIN site_camera c ON c.site = s.id GROUP BY s.id ORDER BY s.id"
        ).fetchall()
    lat, lon = (np.array([row[at] for row in rows], np.float64) for at in (3, 4))
    return SitePlaces([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], lat, lon)
