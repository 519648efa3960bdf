"""Sites: places with a button and bound cameras (school, bank, shop, petrol station).

Invariants: a bound camera is a registered device of kind camera; the order of a site's cameras is kept (the
first is shown first). Which devices stand at a site is said by the device (`Device.site`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from devices.details import DEFAULT_TEXT_LIMITS_CHARS, check_site_id, checked_place, checked_text, refuse_controls
from devices.rows import by_id
from devices.schema import Change, RegistryFile
from model.device import Kind, Site, check_device_id
from model.errors import Conflict, NotFound, UsageError
from store.database import Connection

#: Cameras bound to one site.
DEFAULT_MAX_CAMERAS = 32
MAX_PAGE_ROWS = 10_000
DEFAULT_PAGE_ROWS = 100


class Sites:
    """Sites in the registry's file.

    Args:
        file: the registry's file (`Registry.file`).
        max_cameras: cameras bound to one site.
        text_limits_chars: longest text by field.
    """

    def __init__(
        self,
        file: RegistryFile,
        *,
        max_cameras: int = DEFAULT_MAX_CAMERAS,
        text_limits_chars: Mapping[str, int] = DEFAULT_TEXT_LIMITS_CHARS,
    ) -> None:
        self._file = file
        self._max_cameras = max_cameras
        self._limits = text_limits_chars

    def add(self, site: Site) -> Site:
        """Register a site with its cameras. Raises UsageError, Conflict (id taken), NotFound (a camera)."""
        values = self._values(site)
        with self._file.changing() as change:
            if change.connection.execute("SELECT 1 FROM site WHERE id = ?", (site.id,)).fetchone():
                raise Conflict(f"There is a site {site.id} already.", mend="Update it, or choose another id.")
            change.connection.execute("INSERT INTO site VALUES (?, ?, ?, ?, ?, ?)", values)
            self._bind(change, site.id, site.cameras)
            return _get(change.connection, site.id)

    def update(self, site: Site) -> Site:
        """Put `site`, cameras included, in the place of the one with its id. Raises as `add` does, or NotFound."""
        values = self._values(site)
        with self._file.changing() as change:
            _get(change.connection, site.id)
            change.connection.execute(
                "UPDATE site SET name = ?, contact = ?, phone = ?, lat = ?, lon = ? WHERE id = ?",
                (*values[1:], site.id),
            )
            self._bind(change, site.id, site.cameras)
            return _get(change.connection, site.id)

    def get(self, site_id: str) -> Site:
        """The site of that id. Raises NotFound."""
        with self._file.reading() as connection:
            return _get(connection, check_site_id(site_id))

    def list(self, *, after: str = "", limit: int = DEFAULT_PAGE_ROWS) -> list[Site]:
        """Sites in order of id, one page, `after` the id of the last one of the page before."""
        if not 1 <= limit <= MAX_PAGE_ROWS:
            raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {MAX_PAGE_ROWS}.")
        refuse_controls("after", after)
        with self._file.reading() as connection:
            rows = connection.execute("SELECT id FROM site WHERE id > ? ORDER BY id LIMIT ?", (after, limit)).fetchall()
            return [_get(connection, site) for (site,) in rows]

    def bind(self, site_id: str, cameras: Sequence[str]) -> Site:
        """Bind exactly these cameras, in this order."""
        check_site_id(site_id)
        with self._file.changing() as change:
            _get(change.connection, site_id)
            self._bind(change, site_id, cameras)
            return _get(change.connection, site_id)

    def _values(self, site: Site) -> tuple[str, str, str, str, float | None, float | None]:
        check_site_id(site.id)
        texts = [checked_text(field, getattr(site, field), self._limits) for field in ("name", "contact", "phone")]
        return (site.id, texts[0], texts[1], texts[2], *checked_place(site.lat, site.lon))

    def _bind(self, change: Change, site_id: str, cameras: Sequence[str]) -> None:
        if len(cameras) > self._max_cameras:
            raise UsageError(f"{len(cameras)} cameras at one site.", mend=f"Bind {self._max_cameras} at most.")
        if len(set(cameras)) != len(cameras):
            raise UsageError("A camera is named twice.", mend="Name each camera once.")
        found = by_id(change.connection, [check_device_id(camera) for camera in cameras])
        for camera in cameras:
            if camera not in found:
                raise NotFound(f"There is no device {camera}.", mend="Add it with `lucheng device add`.")
            if found[camera].kind is not Kind.CAMERA:
                raise UsageError(f"{camera} is no camera.", mend="Bind devices of kind camera.")
        change.connection.execute("DELETE FROM site_camera WHERE site = ?", (site_id,))
        change.connection.executemany(
            "INSERT INTO site_camera VALUES (?, ?, ?)",
            ((site_id, place, found[camera].slot) for place, camera in enumerate(cameras)),
        )
        change.mark_places()  # a binding alone is a change, too


def _get(connection: Connection, site_id: str) -> Site:
    row = connection.execute("SELECT id, name, contact, phone, lat, lon FROM site WHERE id = ?", (site_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no site {site_id}.", mend="Add the site first.")
    cameras = connection.execute(
        "SELECT d.id FROM site_camera c JOIN device d ON d.slot = c.camera_slot WHERE c.site = ? ORDER BY c.place",
        (site_id,),
    )
    site, name, contact, phone, lat, lon = row
    return Site(site, name, contact, phone, lat, lon, tuple(camera for (camera,) in cameras))
