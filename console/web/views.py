"""What a viewport shows, as frames: made once for all who look at the same.

Purpose: `Board` keeps one `View` for each distinct viewport that somebody has and moves them all on together, once a
tick. Invariants: who was given a view's last frame is given what changed since; everybody else (a newcomer, one that was
too slow for a frame, one whose viewport changed) gets the whole picture, which says so by `"all": true`; so nothing is
kept for anybody, and what a slow reader missed is coalesced. A frame holds places of shown devices within the viewport
and those it follows, nothing else; where they are more than the limit, clusters by grid stand for them. It knows neither
people nor connections: what a viewport may follow was decided before.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from console.web.plane import Box, cell_power, clusters, within
from console.web.position_text import IdTexts, Texts
from console.web.positions import SHOWN_KINDS, Picture, Positions
from model.device import KIND_CODE

DEFAULT_MAX_VEHICLES = 8_000

Ints = npt.NDArray[np.int64]
#: Id, latitude, longitude, count.
Cell = list[object]


@dataclass(frozen=True, slots=True)
class Viewport:
    """What somebody looks at; equal ones share their frames.

    Attributes:
        box: the map's bounds.
        zoom: of 512-pixel tiles; how fine clusters are.
        kinds: names of the kinds wanted, in the order of `SHOWN_KINDS`.
        follow: slots that are shown wherever they are, ascending.
        past: whether what is followed may be older than the live window: who asks said why.
    """

    box: Box
    zoom: float
    kinds: tuple[str, ...] = tuple(kind.value for kind in SHOWN_KINDS)
    follow: tuple[int, ...] = ()
    past: bool = False


class Frame:
    """What one view shows at one moment; complete once `dress` was called, and then never changed but for what it keeps.

    Attributes:
        number: grows by one with every frame of the view.
        shown: slots, ascending.
        cells: rows of clusters, or None where every device is shown.
        needed: rows of the picture whose texts those in step want.
    """

    def __init__(self, picture: Picture, rows: Ints, cells: list[Cell] | None, before: Frame | None) -> None:
        self.number: int = 1 if before is None else before.number + 1
        self.shown = picture.slot[rows]
        self.cells = cells
        self._revision = picture.revision
        self._at_ms = picture.at_ms
        self._rows = rows
        self._texts: Texts | None = None
        self._whole: bytes | None = None
        self._step = b""
        # for those who hold the frame before: all of it again, or what is new and gone
        self._anew = before is None or cells is not None or before.cells is not None
        if before is None or self._anew:
            self._changed, self._gone = rows, self.shown[:0]
            self._same = before is not None and self._equals(picture, before)
        else:
            new = picture.changed[rows] > before._revision  # noqa: SLF001 its own kind
            new |= ~np.isin(self.shown, before.shown, assume_unique=True)
            self._changed = rows[new]
            self._gone = np.setdiff1d(before.shown, self.shown, assume_unique=True)
            self._same = not len(self._changed) and not len(self._gone)
        self.needed = self._changed[:0] if self._same else self._changed

    def _equals(self, picture: Picture, before: Frame) -> bool:
        """Whether clusters and what is followed beside them are as they were."""
        if self.cells != before.cells or not np.array_equal(self.shown, before.shown):
            return False
        return not bool((picture.changed[self._rows] > before._revision).any())

    def dress(self, texts: Texts, ids: Sequence[str]) -> None:
        """Make the event for those in step; `ids` by slot."""
        self._texts = texts
        if self._same:
            return
        if self._anew:
            self._step = self.whole()
            return
        gone = msgspec.json.encode([ids[slot] for slot in self._gone.tolist()])
        self._step = b'event: positions\ndata: {"at_ms":%d,"devices":[%b],"gone":%b}\n\n' % (
            self._at_ms,
            texts.of(self._changed),
            gone,
        )

    def event(self, seen: int) -> bytes:
        """The event for somebody whose last frame was number `seen`; empty when nothing changed for him."""
        if seen == self.number:
            return b""
        return self._step if seen == self.number - 1 and seen else self.whole()

    def whole(self) -> bytes:
        """All of it as an event."""
        if self._whole is None:
            assert self._texts is not None
            devices = self._texts.of(self._rows)
            if self.cells is None:
                self._whole = b'event: positions\ndata: {"at_ms":%d,"devices":[%b],"gone":[],"all":true}\n\n' % (
                    self._at_ms,
                    devices,
                )
            else:
                cells = msgspec.json.encode(self.cells)
                self._whole = b'event: clusters\ndata: {"at_ms":%d,"cells":%b,"devices":[%b]}\n\n' % (
                    self._at_ms,
                    cells,
                    devices,
                )
        return self._whole


class View:
    """One viewport that somebody looks at; its board moves it on.

    Attributes:
        frame: the newest, replaced as a whole.
        viewers: how many look.
    """

    def __init__(self, viewport: Viewport, max_vehicles: int) -> None:
        self.viewport = viewport
        self.viewers = 0
        self.frame: Frame | None = None
        self._max_vehicles = max_vehicles
        self._follow = np.array(viewport.follow, np.int64)
        self._kinds = np.zeros(len(KIND_CODE), np.bool_)
        self._kinds[[KIND_CODE[kind] for kind in viewport.kinds]] = True

    def next(self, picture: Picture, window_ms: int) -> Frame:
        """The frame that follows its newest; not dressed yet."""
        inside = picture.listed & self._kinds[picture.kind]
        inside &= within(self.viewport.box, picture.lat, picture.lon)
        rows = np.flatnonzero(inside)
        followed = picture.rows_of(self._follow)
        if not self.viewport.past:
            followed = followed[picture.time_ms[followed] >= picture.at_ms - window_ms]
        cells = None
        if len(rows) > self._max_vehicles:
            cells = _cells(picture, rows, self.viewport.zoom)
            rows = followed
        elif len(followed):
            rows = np.union1d(rows, followed)
        return Frame(picture, rows, cells, self.frame)


def _cells(picture: Picture, rows: Ints, zoom: float) -> list[Cell]:
    """`[id, lat, lon, count]` of each cell."""
    power = cell_power(zoom)
    found = clusters(picture.lat[rows], picture.lon[rows], power)
    return [
        [f"{power}/{x}/{y}", lat, lon, count]
        for x, y, lat, lon, count in zip(
            found.x.tolist(),
            found.y.tolist(),
            np.round(found.lat, 5).tolist(),
            np.round(found.lon, 5).tolist(),
            found.count.tolist(),
            strict=True,
        )
    ]


class Board:
    """The views that are looked at now. Any thread.

    Args:
        positions: where devices are.
        window_s: the live window: what is followed and older is shown only where the viewport says so.
        max_vehicles: devices of one frame; more are shown as clusters.
    """

    def __init__(self, positions: Positions, *, window_s: int, max_vehicles: int = DEFAULT_MAX_VEHICLES) -> None:
        self._positions = positions
        self._window_ms = window_s * 1000
        self._max_vehicles = max_vehicles
        self._lock = threading.Lock()
        self._views: dict[Viewport, View] = {}
        self._id_texts = IdTexts()

    def __len__(self) -> int:
        return len(self._views)

    def join(self, viewport: Viewport) -> View:
        """The view of a viewport, with a frame in it at once; to be left again."""
        with self._lock:
            view = self._views.get(viewport)
            if view is None:
                view = View(viewport, self._max_vehicles)
                self._advance([view])
                self._views[viewport] = view
            view.viewers += 1
            return view

    def leave(self, view: View) -> None:
        """One viewer less; the last one takes the view with him."""
        with self._lock:
            view.viewers -= 1
            if view.viewers <= 0 and self._views.get(view.viewport) is view:
                del self._views[view.viewport]

    def tick(self) -> None:
        """Move every view on to the places of now."""
        with self._lock:
            if self._views:
                self._advance(list(self._views.values()))

    def _advance(self, views: list[View]) -> None:
        asked = {slot for view in views for slot in view.viewport.follow}
        picture = self._positions.picture(np.fromiter(asked, np.int64, len(asked)) if asked else None)
        frames = [view.next(picture, self._window_ms) for view in views]
        needed = np.zeros(len(picture), np.bool_)
        for frame in frames:
            needed[frame.needed] = True
        ids = self._positions.directory.ids
        texts = Texts(picture, ids, self._id_texts, np.flatnonzero(needed))
        for view, frame in zip(views, frames, strict=True):
            frame.dress(texts, ids)
            view.frame = frame
