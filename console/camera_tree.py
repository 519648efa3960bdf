"""The tree of cameras, one level at a time: city ▸ branch ▸ station ▸ community ▸ site ▸ camera, with counts by state.

Invariants: the counts of a level sum to those of its node; what is asked for is a page of at most `MAX_PAGE_ROWS`, however many
there are; a jurisdiction or a site without a camera is not in it. It works on columns, and decides nothing about who may see what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model.camera import CameraState
from model.errors import NotFound, UsageError

if TYPE_CHECKING:
    from console.camera_seams import CameraRow
    from devices.camera_index import CameraIndex

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MAX_PAGE_ROWS = 500
#: States in the order in which they are counted; what no service says is "unknown".
STATES = (*(state.value for state in CameraState), "unknown")
_CODE = {state: code for code, state in enumerate(STATES)}
#: The node of cameras that lie in no jurisdiction.
NOWHERE = "none"
AREA, SITE = "area:", "site:"


def state_codes(index: CameraIndex, now: Mapping[str, CameraRow]) -> npt.NDArray[np.int8]:
    """Place of each camera's state in `STATES`, shape (n,); as `console.camera_rows.state_of` says it."""
    unknown = _CODE["unknown"]
    found = np.full(len(index), unknown, np.int8)
    if now:
        codes = (_CODE[row.state.value] if (row := now.get(device)) is not None else unknown for device in index.device)
        found = np.fromiter(codes, np.int8, len(index))
    found[index.parked] = _CODE[CameraState.PARKED.value]
    found[~index.enabled] = _CODE[CameraState.DISABLED.value]
    return found


@dataclass(frozen=True, slots=True)
class Level:
    """One level, or what a search found: first jurisdictions, then sites, then cameras.

    Attributes:
        name: of the node, "" of the top. path: the nodes above it and itself, from the top: node and name.
        areas, sites: places in the index. rows: cameras, places in the index. below: all cameras below the node.
    """

    name: str
    path: list[dict[str, str]]
    areas: Ints
    sites: Ints
    rows: Ints
    below: Ints

    @property
    def total(self) -> int:
        """Rows of the level."""
        return len(self.areas) + len(self.sites) + len(self.rows)


class CameraTree:
    """The tree over one index.

    Args:
        index: the cameras.
        states: places of their states in `STATES`.
    """

    def __init__(self, index: CameraIndex, states: npt.NDArray[np.int8]) -> None:
        self._index = index
        self._states = states.astype(np.int64)

    def level(self, node: str) -> Level:
        """What lies directly below `node`: "" the top, `area:ID`, `site:ID`, `none`. Raises NotFound, UsageError."""
        index = self._index
        none = np.zeros(0, np.int64)
        if node.startswith(SITE):
            site = _place(index.site_ids, node[len(SITE) :], "site with cameras")
            rows = np.flatnonzero(index.site == site)
            return Level(index.site_names[site], self._path(int(index.site_area[site]), site), none, none, rows, rows)
        if node.startswith(AREA):
            area = _place(index.area_ids, node[len(AREA) :], "jurisdiction")
            return self._of_area(index.area_names[area], area, self._path(area))
        if node == NOWHERE or (node == "" and not index.area_ids):
            path = [{"node": NOWHERE, "name": ""}] if node else []
            sites = np.flatnonzero(index.site_area == -1)
            rows = np.flatnonzero((index.area == -1) & (index.site == -1))
            return Level("", path, none, sites, rows, np.flatnonzero(index.area == -1))
        if node:
            raise UsageError(f"{node[:40]!r} is no node of the tree.", mend="Use area:ID, site:ID, none, or nothing.")
        return self._of_area("", -1, [])

    def _of_area(self, name: str, area: int, path: list[dict[str, str]]) -> Level:
        index = self._index
        step = index.step_below(area)
        steps = np.where(index.area >= 0, step[index.area], -1) if len(step) else np.full(len(index), -1)
        below = steps >= 0
        areas = np.unique(steps[below])
        if area < 0:
            return Level(name, path, areas, np.zeros(0, np.int64), np.zeros(0, np.int64), np.arange(len(index)))
        here = index.area == area
        rows = np.flatnonzero(here & (index.site == -1))
        return Level(name, path, areas, np.flatnonzero(index.site_area == area), rows, np.flatnonzero(here | below))

    def found(self, node: str, text: str, state: str) -> Level:
        """Cameras below `node` whose name or id holds `text`, in this state ("": any)."""
        level = self.level(node)
        keep = np.zeros(len(self._index), np.bool_)
        keep[level.below] = True
        if state:
            keep &= self._states == _CODE[state]
        if text:
            wanted = text.casefold()
            keep &= np.fromiter((wanted in one for one in self._index.found_by), np.bool_, len(self._index))
        rows = np.flatnonzero(keep)
        none = np.zeros(0, np.int64)
        return Level(level.name, level.path, none, none, rows, rows)

    def counts(self, rows: Ints) -> dict[str, int]:
        """Cameras by state, those that there are."""
        return _by_state(np.bincount(self._states[rows], minlength=len(STATES)))

    def page(
        self, node: str, level: Level, offset: int, limit: int, camera: Callable[[int], dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Rows of a level from `offset` on; `camera` makes that of a camera, by its place in the index."""
        index, width = self._index, len(STATES)
        end = offset + limit
        found: list[dict[str, Any]] = []
        areas, sites = (
            level.areas[offset:end],
            level.sites[max(0, offset - len(level.areas)) : max(0, end - len(level.areas))],
        )
        if len(areas):
            parent = _place(index.area_ids, node[len(AREA) :], "jurisdiction") if node else -1
            step = index.step_below(parent)
            group = np.where(index.area >= 0, step[index.area], -1)
            counted = np.bincount((group * width + self._states)[group >= 0], minlength=len(index.area_ids) * width)
            for area in areas.tolist():
                by_state = counted[area * width : (area + 1) * width]
                said = {"name": index.area_names[area], "level": index.area_levels[area]}
                found.append({"kind": "area", "node": AREA + index.area_ids[area], **said, **_counted(by_state)})
        if len(sites):
            counted = np.bincount(
                (index.site * width + self._states)[index.site >= 0], minlength=len(index.site_ids) * width
            )
            for site in sites.tolist():
                by_state = counted[site * width : (site + 1) * width]
                found.append(
                    {
                        "kind": "site",
                        "node": SITE + index.site_ids[site],
                        "name": index.site_names[site],
                        **_counted(by_state),
                    }
                )
        before = len(level.areas) + len(level.sites)
        found += [camera(row) for row in level.rows[max(0, offset - before) : max(0, end - before)].tolist()]
        return found

    def nowhere(self) -> dict[str, Any] | None:
        """The row of cameras in no jurisdiction; None where there are none, or no jurisdictions."""
        rows = np.flatnonzero(self._index.area == -1)
        if not self._index.area_ids or not len(rows):
            return None
        return {"kind": "none", "node": NOWHERE, "name": "", "cameras": len(rows), "states": self.counts(rows)}

    def where(self, row: int) -> list[dict[str, str]]:
        """Nodes and names of what a camera belongs to, from the top."""
        area, site = int(self._index.area[row]), int(self._index.site[row])
        path = self._path(area, site)
        return path if area >= 0 or not self._index.area_ids else [{"node": NOWHERE, "name": ""}, *path]

    def _path(self, area: int, site: int = -1) -> list[dict[str, str]]:
        index = self._index
        path: list[dict[str, str]] = []
        while area >= 0:
            path.insert(0, {"node": AREA + index.area_ids[area], "name": index.area_names[area]})
            area = int(index.area_parent[area])
        if site >= 0:
            path.append({"node": SITE + index.site_ids[site], "name": index.site_names[site]})
        return path


def _place(ids: list[str], wanted: str, what: str) -> int:
    try:
        return ids.index(wanted)
    except ValueError:
        raise NotFound(f"There is no {what} {wanted[:64]!r}.", mend="Begin at the top of the tree.") from None


def _by_state(counted: Ints) -> dict[str, int]:
    return {state: int(number) for state, number in zip(STATES, counted.tolist(), strict=True) if number}


def _counted(by_state: Ints) -> dict[str, Any]:
    return {"cameras": int(by_state.sum()), "states": _by_state(by_state)}
