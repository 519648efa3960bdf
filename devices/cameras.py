"""`Cameras`: what is set for each camera, and its sealed addresses, in the registry's file.

Invariants: settings are kept checked; an address is kept sealed (`camera/7:rtsp`, `camera/7:rtsp_sub`) and leaves this
room in a `CameraSetup` alone, whose `repr` does not show it: everything else has the shown form, without user, password
and query; every change counts the registry's version on, so that whoever follows them notices by one small read. It
connects to nothing and knows nothing of what a camera is doing.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from devices.camera_addresses import checked_address, shown_address
from devices.camera_checks import from_stored, stored_text
from devices.rows import get_device
from devices.schema import RegistryFile, in_lists
from model.camera import CameraSettings, CameraSetup, DecodePolicy
from model.device import Device, Kind, check_device_id
from model.errors import Conflict, NotFound, UsageError
from store.database import Connection

if TYPE_CHECKING:
    from devices.secrets import SealedSecrets

#: Cameras on one page of a list.
MAX_PAGE_ROWS = 10_000
DEFAULT_PAGE_ROWS = 100
#: Longest reason for setting a camera aside that is kept, characters.
MAX_REASON_CHARS = 200

#: Names of the sealed addresses, after the device id and a colon.
MAIN, SUB = "rtsp", "rtsp_sub"

_COLUMNS = "c.slot, d.id, d.name, d.site, d.enabled, c.settings, c.shown, c.shown_sub, c.parked, c.set_ms, c.changed"
_FROM = "FROM camera c JOIN device d ON d.slot = c.slot WHERE c.present = 1 AND d.deleted = 0"


@dataclass(frozen=True, slots=True)
class CameraRecord:
    """A camera as it is set up, without its addresses.

    Attributes:
        device: id. slot: its slot. name, site: of the device. enabled: of the device.
        settings: see there.
        shown, shown_sub: its addresses as they may be shown; "" where there is none, or it is not known.
        parked: why it was set aside, "" when it was not.
        set_ms: when somebody last set it, UTC ms.
        version: grows with every change of it.
    """

    device: str
    slot: int
    name: str
    site: str
    enabled: bool
    settings: CameraSettings
    shown: str
    shown_sub: str
    parked: str
    set_ms: int
    version: int


@dataclass(frozen=True, slots=True)
class CameraChanges:
    """What has changed since a version.

    Attributes:
        version: as of when; ask for the changes after it next.
        setups: enabled cameras that are new or may be others now, in order of slot; the parked ones, too.
        gone: id by slot of cameras that are not to be watched any more: removed, disabled or deleted.
    """

    version: int
    setups: tuple[CameraSetup, ...] = ()
    gone: dict[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything has changed."""
        return bool(self.setups or self.gone)


class Cameras:
    """The cameras of one registry. Any thread may call anything.

    Args:
        file: the registry's file (`Registry.file`).
        key_file: of the sealed addresses, see `devices.secrets`.
    """

    def __init__(self, file: RegistryFile, key_file: Path) -> None:
        self._file = file
        self._key_file = key_file
        self._secrets: SealedSecrets | None = None

    # -- changes ------------------------------------------------------------------------------

    def put(
        self, device: str, settings: CameraSettings, *, url: str | None = None, sub_url: str | None = None
    ) -> CameraRecord:
        """Set a camera up, or otherwise than before; all of it or nothing.

        Args:
            device: a registered device of kind camera.
            settings: checked by `devices.camera_checks.read_settings`.
            url: its address; None: as it is.
            sub_url: the address of its sub-stream; None: as it is, "": none any more.

        Raises:
            NotFound: no such device. UsageError: it is no camera, has no address, or an address is none; the policy is
            `substream` and there is none. Refused: the key file.
        """
        main = checked_address(url) if url is not None else None
        sub = checked_address(sub_url) if sub_url else sub_url
        text = stored_text(settings)
        with self._file.changing() as change:
            found = _camera_device(change.connection, device)
            row = change.connection.execute(
                "SELECT settings, shown_sub, address_version FROM camera WHERE slot = ? AND present = 1", (found.slot,)
            ).fetchone()
            if row is None and main is None:
                raise UsageError(f"{device} has no address yet.", mend="Give the address of its stream.")
            before, shown_sub, address_version = row or ("", "", 0)
            if settings.policy is DecodePolicy.SUBSTREAM and not (sub if sub is not None else shown_sub):
                raise UsageError(
                    "The policy is substream, and there is no sub-stream.",
                    mend="Give the address of its sub-stream, or choose another policy.",
                )
            if main is None and sub is None and text == before:
                return _record(change.connection, device)
            if main is not None:
                self._seal.set_in(change, f"{device}:{MAIN}", main)
            if sub:
                self._seal.set_in(change, f"{device}:{SUB}", sub)
            elif sub is not None:
                self._seal.delete_in(change, f"{device}:{SUB}")
            values = {
                "slot": found.slot,
                "settings": text,
                "shown": shown_address(main) if main is not None else None,
                "shown_sub": shown_address(sub) if sub else sub,
                "address_version": address_version + (main is not None or sub is not None),
                "set_ms": self._file.clock.now_ms(),
                "changed": change.version,
            }
            change.connection.execute(_PUT, values)
            return _record(change.connection, device)

    def remove(self, device: str) -> None:
        """Forget what is set for the camera and its addresses; the device stays registered. Raises NotFound."""
        with self._file.changing() as change:
            known = _record(change.connection, device)
            change.connection.execute(
                "UPDATE camera SET present = 0, settings = '{}', shown = '', shown_sub = '', parked = '', changed = ?"
                " WHERE slot = ?",
                (change.version, known.slot),
            )
            for which in (MAIN, SUB):
                self._seal.delete_in(change, f"{device}:{which}")

    def park(self, device: str, reason: str) -> None:
        """Set the camera aside, e.g. because it ended its worker too often. Raises NotFound."""
        reason = "".join(letter if letter.isprintable() else " " for letter in reason).strip()[:MAX_REASON_CHARS]
        with self._file.changing() as change:
            known = _record(change.connection, device)
            change.connection.execute(
                "UPDATE camera SET parked = ?, changed = ? WHERE slot = ?",
                (reason or "no reason was given", change.version, known.slot),
            )

    def unpark(self, device: str) -> CameraRecord:
        """Let a camera that was set aside back in. Raises NotFound, Conflict (it was not)."""
        with self._file.changing() as change:
            known = _record(change.connection, device)
            if not known.parked:
                raise Conflict(f"{device} was not set aside.", mend="Nothing to do.")
            change.connection.execute(
                "UPDATE camera SET parked = '', changed = ? WHERE slot = ?", (change.version, known.slot)
            )
            return _record(change.connection, device)

    # -- looking ------------------------------------------------------------------------------

    def get(self, device: str) -> CameraSettings:
        """What is set for the camera. Raises NotFound."""
        return self.record(device).settings

    def record(self, device: str) -> CameraRecord:
        """The camera as it is set up, without its addresses. Raises NotFound, UsageError (no id)."""
        with self._file.reading() as connection:
            return _record(connection, device)

    def list(self, *, site: str = "", after: int = -1, limit: int = DEFAULT_PAGE_ROWS) -> builtins.list[CameraRecord]:
        """Cameras in order of slot, disabled and parked ones too, one page `after` the last one's slot; "": of every site.

        Of a site are the cameras that are bound to it or say that they stand there.
        """
        if not 1 <= limit <= MAX_PAGE_ROWS:
            raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {MAX_PAGE_ROWS}.")
        where, values = "", builtins.list[str | int]()
        if site:
            where = " AND (d.site = ? OR c.slot IN (SELECT camera_slot FROM site_camera WHERE site = ?))"
            values = [site, site]
        sql = f"SELECT {_COLUMNS} {_FROM}{where} AND c.slot > ? ORDER BY c.slot LIMIT ?"
        with self._file.reading() as connection:
            return _records(connection.execute(sql, (*values, after, limit)))

    def by_slots(self, slots: Sequence[int]) -> dict[int, CameraRecord]:
        """Those of these slots that are set up."""
        found: dict[int, CameraRecord] = {}
        with self._file.reading() as connection:
            for marks, values in in_lists([str(slot) for slot in slots]):
                rows = connection.execute(
                    f"SELECT {_COLUMNS} {_FROM} AND c.slot IN {marks}", [int(one) for one in values]
                )
                found.update((one.slot, one) for one in _records(rows))
        return found

    def parked(self) -> dict[str, str]:
        """Why by device, of all that are set aside."""
        sql = f"SELECT d.id, c.parked {_FROM} AND c.parked <> ''"
        with self._file.reading() as connection:
            return dict(connection.execute(sql).fetchall())

    # -- for who watches them -----------------------------------------------------------------

    def setup(self, device: str) -> CameraSetup:
        """The camera with its addresses. Raises NotFound, Refused (the key file), Corrupt (an address was changed)."""
        known = self.record(device)
        url = self._seal.get(f"{device}:{MAIN}")
        sub = self._seal.get(f"{device}:{SUB}") if known.shown_sub else ""
        return CameraSetup(device, known.slot, url, sub, known.settings, known.version)

    def setups(self) -> builtins.list[CameraSetup]:
        """All enabled cameras that are set up, in order of slot, the parked ones too; about 10 µs each.

        One whose sealed address does not open has "" for it. Raises Refused (the key file).
        """
        with self._file.reading() as connection:
            found = _records(connection.execute(f"SELECT {_COLUMNS} {_FROM} AND d.enabled = 1 ORDER BY c.slot"))
        return self._with_addresses(found)

    def changed_since(self, version: int) -> CameraChanges:
        """What has changed after `version` (-1: everything is new); one small read when nothing in the registry has.

        A device that was changed otherwise (renamed, say) is among the setups, its `version` as before.
        Raises Refused (the key file), StoreError.
        """
        with self._file.reading() as connection:
            now: int = connection.execute("SELECT version FROM state").fetchone()[0]
            if now == version:
                return CameraChanges(now)
            slots = "SELECT slot FROM camera WHERE changed > ?1 UNION SELECT slot FROM device WHERE changed > ?1 AND kind = ?2"
            sql = f"SELECT {_COLUMNS} {_FROM} AND d.enabled = 1 AND c.slot IN ({slots}) ORDER BY c.slot"
            found = _records(connection.execute(sql, (version, Kind.CAMERA.value)))
            off = "(c.present = 0 OR d.enabled = 0 OR d.deleted = 1)"
            sql = f"SELECT c.slot, d.id FROM camera c JOIN device d ON d.slot = c.slot WHERE {off} AND c.slot IN ({slots})"  # noqa: S608 (constants)
            gone = dict(connection.execute(sql, (version, Kind.CAMERA.value)).fetchall()) if version >= 0 else {}
        return CameraChanges(now, tuple(self._with_addresses(found)), gone)

    def _with_addresses(self, found: builtins.list[CameraRecord]) -> builtins.list[CameraSetup]:
        names = [f"{one.device}:{MAIN}" for one in found]
        names += [f"{one.device}:{SUB}" for one in found if one.shown_sub]
        urls = self._seal.values(names) if names else {}
        return [
            CameraSetup(
                one.device,
                one.slot,
                urls.get(f"{one.device}:{MAIN}", ""),
                urls.get(f"{one.device}:{SUB}", "") if one.shown_sub else "",
                one.settings,
                one.version,
            )
            for one in found
        ]

    @property
    def _seal(self) -> SealedSecrets:
        if self._secrets is None:
            from devices.secrets import SealedSecrets  # noqa: PLC0415 cryptography costs 0.1 s, and lists need none

            self._secrets = SealedSecrets(self._file, self._key_file)
        return self._secrets


_PUT = """INSERT INTO camera (slot, present, settings, shown, shown_sub, parked, address_version, set_ms, changed)
VALUES (:slot, 1, :settings, coalesce(:shown, ''), coalesce(:shown_sub, ''), '', :address_version, :set_ms, :changed)
ON CONFLICT (slot) DO UPDATE SET present = 1, settings = :settings, shown = coalesce(:shown, camera.shown),
shown_sub = coalesce(:shown_sub, camera.shown_sub), address_version = :address_version, set_ms = :set_ms, changed = :changed"""


def _camera_device(connection: Connection, device: str) -> Device:
    found = get_device(connection, check_device_id(device))
    if found.kind is not Kind.CAMERA:
        raise UsageError(f"{device} is no camera.", mend="Name a device of kind camera.")
    return found


def _record(connection: Connection, device: str) -> CameraRecord:
    check_device_id(device)
    found = _records(connection.execute(f"SELECT {_COLUMNS} {_FROM} AND d.id = ?", (device,)))
    if not found:
        raise NotFound(f"{device} is not set up as a camera.", mend="`lucheng camera list` shows which are.")
    return found[0]


def _records(rows: Iterable[tuple[object, ...]]) -> list[CameraRecord]:
    """Rows of `_COLUMNS`; most cameras are set alike, so equal texts are read once."""
    read: dict[str, CameraSettings] = {}
    found = []
    for slot, device, name, site, enabled, text, shown, shown_sub, parked, set_ms, version in rows:
        settings = read.get(str(text))
        if settings is None:
            settings = read[str(text)] = from_stored(str(text))
        assert isinstance(slot, int)
        assert isinstance(set_ms, int)
        assert isinstance(version, int)
        record = CameraRecord(
            str(device), slot, str(name), str(site), bool(enabled), settings, str(shown), str(shown_sub), str(parked),
            set_ms, version,
        )  # fmt: skip
        found.append(record)
    return found
