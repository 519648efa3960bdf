"""Fences in the registry's file, every change of them a new version of the whole set.

Invariants: a version never changes once it is there, and the newest `kept_versions` of them stay readable (fewer where
what only they hold is larger than `max_kept_vertices`); a fence's number is given once and stays with its id until it is
removed, and is never used again; an import is taken whole or not at all; what an import does not change is not written
again. Which fence a place is in, and what follows, is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import msgspec

from devices.details import check_site_id, refuse_controls
from devices.fence_checks import DEFAULT_FENCE_LIMITS, FenceLimits, checked_fence, vertices_of
from devices.fences_geojson import collection_of, read_collection, read_feature
from devices.schema import Change, RegistryFile
from model.errors import BadInput, Conflict, Corrupt, NotFound, Refused, UsageError
from model.fence import Fence, FenceSet
from store.database import Connection

MAX_PAGE_ROWS = 10_000
DEFAULT_PAGE_ROWS = 100
#: China's, all year.
DEFAULT_UTC_OFFSET_MIN = 480

_CURRENT = "until_version = 0"
_BY_ID = "SELECT number, body FROM fence WHERE until_version = 0 AND id = ?"


class Fences:
    """Fences in the registry's file; any thread.

    Args:
        file: the registry's file (`Registry.file`).
        limits: how much of everything.
        road_classes: names that a fence's `road_class` may have (those of the table of limits).
        utc_offset_min: the city's, for schedules that name none.
        drawn: draws a fence as whoever looks places up does, and raises BadInput for what it cannot draw; so that no
            fence is kept that cannot be put in force.
    """

    def __init__(
        self,
        file: RegistryFile,
        *,
        limits: FenceLimits = DEFAULT_FENCE_LIMITS,
        road_classes: Collection[str] = (),
        utc_offset_min: int = DEFAULT_UTC_OFFSET_MIN,
        drawn: Callable[[Fence], object] = lambda _fence: None,
    ) -> None:
        self._file = file
        self._limits = limits
        self._road_classes = frozenset(road_classes)
        self._utc_offset_min = utc_offset_min
        self._drawn = drawn

    def version(self) -> int:
        """The newest version; 0 before there was any fence."""
        with self._file.reading() as connection:
            return _state(connection)[0]

    def load(self, version: int | None = None) -> FenceSet:
        """The set of that version, by number; the newest for None and for a version that is gone or not there yet.

        Raises Corrupt when a stored fence cannot be read.
        """
        with self._file.reading() as connection:
            newest, oldest = _state(connection)
            if version is None or not oldest <= version <= newest:
                version = newest
            rows = connection.execute(
                "SELECT number, body FROM fence WHERE from_version <= ? AND (until_version = 0 OR until_version > ?)",
                (version, version),
            ).fetchall()
        return FenceSet(version, tuple(_fence(*row) for row in sorted(rows)))

    def get(self, fence_id: str) -> Fence:
        """The fence of that id as it is now. Raises NotFound."""
        with self._file.reading() as connection:
            number, body = _current(connection, check_site_id(fence_id))
        return _fence(number, body)

    def list(self, *, after: str = "", limit: int = DEFAULT_PAGE_ROWS) -> list[Fence]:
        """Fences in order of id, one page, `after` the id of the last one of the page before."""
        if not 1 <= limit <= MAX_PAGE_ROWS:
            raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {MAX_PAGE_ROWS}.")
        refuse_controls("after", after)
        with self._file.reading() as connection:
            rows = connection.execute(
                f"SELECT number, body FROM fence WHERE {_CURRENT} AND id > ? ORDER BY id LIMIT ?",  # noqa: S608  # a constant
                (after, limit),
            ).fetchall()
        return [_fence(*row) for row in rows]

    def add(self, fence: Fence) -> Fence:
        """Keep a new fence; return it with its number. Raises UsageError, BadInput, Conflict (id taken), Refused (full)."""
        fence = self.checked(fence)
        with self._file.changing() as change:
            if change.connection.execute(_BY_ID, (fence.id,)).fetchone():
                raise Conflict(f"There is a fence {fence.id} already.", mend="Replace it, or choose another id.")
            version = _new_version(change)
            made = replace(fence, number=_take_numbers(change.connection, 1))
            _write(change.connection, version, [made])
            self._finish(change.connection, version)
        return made

    def update(self, fence: Fence, *, decided_on: int | None = None) -> Fence:
        """Put `fence` in the place of the one with its id, which keeps its number.

        `decided_on`: the version of the set that was looked at. Raises as `add` does, NotFound, or Conflict (`current`: the
        version) where that fence has been changed since.
        """
        fence = self.checked(fence)
        with self._file.changing() as change:
            number, body = _current(change.connection, fence.id)
            _check_unchanged(change.connection, number, fence.id, decided_on)
            made = replace(fence, number=number)
            if _body(made) != body:
                version = _new_version(change)
                _end(change.connection, version, [number])
                _write(change.connection, version, [made])
                self._finish(change.connection, version)
        return made

    def remove(self, fence_id: str, *, decided_on: int | None = None) -> None:
        """Take a fence away; older versions keep it. Raises NotFound, Conflict as `update` does."""
        with self._file.changing() as change:
            number, _ = _current(change.connection, check_site_id(fence_id))
            _check_unchanged(change.connection, number, fence_id, decided_on)
            version = _new_version(change)
            _end(change.connection, version, [number])
            self._finish(change.connection, version)

    def import_geojson(self, raw: bytes, *, replace: bool = False) -> int:
        """Take over a FeatureCollection (see `devices.fences_geojson`), all or nothing; return how many features it had.

        A fence with a known id is changed and keeps its number; `replace` removes those that the file does not have.

        Raises BadInput: not GeoJSON, over a limit, or a feature is wrong: its number from 1, what and where.
        """
        limits = self._limits
        if len(raw) > limits.max_import_bytes:
            raise BadInput(f"The file has {len(raw)} bytes.", mend=f"The limit is {limits.max_import_bytes}: split it.")
        fences = read_collection(
            raw,
            self.checked,
            max_fences=limits.max_fences,
            max_vertices=limits.max_vertices,
            utc_offset_min=self._utc_offset_min,
        )
        with self._file.changing() as change:
            self._take_over(change, fences, drop_others=replace)
        return len(fences)

    def export_geojson(self) -> bytes:
        """The newest set as a FeatureCollection in WGS-84; importing it gives the same set."""
        return msgspec.json.encode(collection_of(self.load().fences, utc_offset_min=self._utc_offset_min))

    def read_feature(self, raw: bytes) -> Fence:
        """One GeoJSON Feature as a checked fence that is not kept yet. Raises BadInput, UsageError."""
        if len(raw) > self._limits.max_import_bytes:
            raise BadInput(f"It has {len(raw)} bytes.", mend=f"The limit is {self._limits.max_import_bytes}.")
        return read_feature(raw, self.checked, utc_offset_min=self._utc_offset_min)

    def checked(self, fence: Fence) -> Fence:
        """The fence in the form in which it is kept. Raises UsageError, BadInput."""
        made = checked_fence(fence, self._limits, self._road_classes)
        self._drawn(made)
        return made

    def _take_over(self, change: Change, fences: Sequence[Fence], *, drop_others: bool) -> None:
        connection = change.connection
        known = {
            fence: (number, body)
            for fence, number, body in connection.execute(f"SELECT id, number, body FROM fence WHERE {_CURRENT}")  # noqa: S608  # a constant
        }
        new = [fence for fence in fences if fence.id not in known]
        first = _take_numbers(connection, len(new)) if new else 0
        numbered = [replace(fence, number=number) for number, fence in enumerate(new, start=first)]
        ended: list[int] = []
        for fence in fences:
            number, body = known.get(fence.id, (0, b""))
            made = replace(fence, number=number)
            if number and _body(made) != body:
                ended.append(number)
                numbered.append(made)
        if drop_others:
            named = {fence.id for fence in fences}
            ended += [number for fence, (number, _) in known.items() if fence not in named]
        if not numbered and not ended:
            return
        version = _new_version(change)
        _end(connection, version, ended)
        _write(connection, version, numbered)
        self._finish(connection, version)

    def _finish(self, connection: Connection, version: int) -> None:
        """Hold the limits of the set, and let go of versions that are too old."""
        limits = self._limits
        fences, vertices = connection.execute(
            f"SELECT count(*), coalesce(sum(vertices), 0) FROM fence WHERE {_CURRENT}"  # noqa: S608  # a constant
        ).fetchone()
        if fences > limits.max_fences:
            raise Refused(f"There would be {fences} fences.", mend="Remove some, or raise fences.max_fences.")
        if vertices > limits.max_vertices:
            raise Refused(
                f"The fences would have {vertices} vertices together.",
                mend="Simplify some, or raise fences.max_vertices.",
            )
        oldest = max(_state(connection)[1], version - limits.kept_versions + 1)
        held: list[tuple[int, int]] = connection.execute(
            "SELECT until_version, sum(vertices) FROM fence WHERE until_version > ? GROUP BY until_version ORDER BY 1",
            (oldest,),
        ).fetchall()
        kept = sum(size for _, size in held)
        for until, size in held:
            if kept <= limits.max_kept_vertices:
                break
            oldest, kept = until, kept - size
        connection.execute("DELETE FROM fence WHERE until_version <> 0 AND until_version <= ?", (oldest,))
        connection.execute("UPDATE fence_state SET oldest = ?", (oldest,))


def _state(connection: Connection) -> tuple[int, int]:
    """(newest version, oldest readable version)."""
    newest, oldest = connection.execute("SELECT version, oldest FROM fence_state").fetchone()
    return newest, oldest


def _new_version(change: Change) -> int:
    _ = change.version  # the registry's version counts every change
    change.connection.execute("UPDATE fence_state SET version = version + 1")
    return _state(change.connection)[0]


def _take_numbers(connection: Connection, count: int) -> int:
    first: int = connection.execute("SELECT next_number FROM fence_state").fetchone()[0]
    connection.execute("UPDATE fence_state SET next_number = ?", (first + count,))
    return first


def _current(connection: Connection, fence_id: str) -> tuple[int, bytes]:
    """(number, body) of a fence as it is now."""
    row = connection.execute(_BY_ID, (fence_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no fence {fence_id}.", mend="`lucheng fence list` shows which there are.")
    number, body = row
    return number, body


def _check_unchanged(connection: Connection, number: int, fence_id: str, decided_on: int | None) -> None:
    """Raises Conflict where the fence is newer than the version that somebody decided on."""
    since: int = connection.execute(
        f"SELECT from_version FROM fence WHERE number = ? AND {_CURRENT}",  # noqa: S608  # a constant
        (number,),
    ).fetchone()[0]
    if decided_on is not None and since > decided_on:
        raise Conflict(
            f"Fence {fence_id} was changed in version {since}, after version {decided_on}.",
            mend="Look at it as it is now, and change that.",
            current={"fence": fence_id, "version": since},
        )


def _end(connection: Connection, version: int, numbers: list[int]) -> None:
    connection.executemany(
        f"UPDATE fence SET until_version = ? WHERE number = ? AND {_CURRENT}",  # noqa: S608  # a constant
        [(version, number) for number in numbers],
    )


def _write(connection: Connection, version: int, fences: list[Fence]) -> None:
    connection.executemany(
        "INSERT INTO fence VALUES (?, ?, 0, ?, ?, ?)",
        ((fence.number, version, fence.id, vertices_of(fence), _body(fence)) for fence in fences),
    )


def _body(fence: Fence) -> bytes:
    return msgspec.msgpack.encode(fence)


def _fence(number: int, body: bytes) -> Fence:
    try:
        return msgspec.msgpack.decode(body, type=Fence)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"Fence {number} cannot be read: {error}.", mend="Remove it and import it again, or restore a back-up."
        ) from error
