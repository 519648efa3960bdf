"""Operations on the tree of cameras. Part of `console.operations`.

Invariants: as in `console.camera_operations`: who may is the gate's; the tree is noted in the audit as the list is, once a minute
for the same person, for it tells how cameras are and nothing that they saw.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from console.camera_operations import CameraOperations
from console.camera_rows import camera_row
from console.device_operations import Caller
from console.given_texts import one_of, short
from console.kept_rows import check_limit
from model.errors import UsageError
from model.role import Role

if TYPE_CHECKING:
    from console.camera_tree import CameraTree
    from devices.camera_index import CameraIndex, CameraIndexes

#: What cameras are doing is asked of all of them once in so long, however many look at the tree.
STATES_EVERY_MS = 1_000
DEFAULT_PAGE_ROWS = 200
MAX_SEARCH_CHARS = 64
#: Of `camera_row` what a row of the tree says.
_TOLD = ("camera", "name", "site", "state", "health", "policy", "record", "recording", "masked", "loss")


class CameraTreeOperations(CameraOperations):
    """See `console.camera_tree`."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._indexes: CameraIndexes | None = None
        self._tree: tuple[CameraIndex, int, CameraTree] | None = None
        self._tree_lock = threading.Lock()

    def camera_tree(
        self,
        caller: Caller,
        node: str = "",
        search: str = "",
        state: str = "",
        offset: int = 0,
        limit: int = DEFAULT_PAGE_ROWS,
        purpose: str | None = None,
    ) -> dict[str, Any]:
        """One level of the tree, a page from `offset` on: jurisdictions and sites with counts by state, then cameras.

        `node` is "" (the top), or one that an answer named. With `search` (part of a name or an id) or `state` the answer is all
        cameras below the node that fit, without levels. Raises NotFound (no such node), UsageError, Refused.
        """
        from console.camera_tree import MAX_PAGE_ROWS, STATES  # noqa: PLC0415 with what imports shapely, 0.2 s

        check_limit(limit)
        if limit > MAX_PAGE_ROWS or offset < 0:
            raise UsageError(f"{limit} rows from {offset}.", mend=f"Ask for 1 to {MAX_PAGE_ROWS}, from 0 on.")
        text = short(search.strip(), "search", MAX_SEARCH_CHARS)
        if state:
            one_of(state, "state of a camera", list(STATES))
        who = self._as_role(caller)
        why = self._purpose(purpose)
        with self._camera_refusals(who, "*", "tree", why):
            self._camera_gate.check_role("tree", Role(who.role))
        self._note_list(who, why, "", "")
        index, tree = self._tree_now()
        flat = bool(text or state)
        level = tree.found(node, text, state) if flat else tree.level(node)
        extra = tree.nowhere() if node == "" and not flat else None
        shown = min(limit, max(0, level.total - offset))
        slots = self._shown_slots(index, level.rows, offset - len(level.areas) - len(level.sites), limit)
        records, now = self._cameras.by_slots(slots), self._camera_states()

        def camera(row: int) -> dict[str, Any]:
            record = records.get(int(index.slot[row]))
            where = tree.where(row) if flat else []
            if record is None:  # removed since the index was made
                return {
                    "kind": "camera",
                    "camera": index.device[row],
                    "name": index.name[row],
                    "state": "",
                    "where": where,
                }
            told = camera_row(record, now.get(record.device))
            return {"kind": "camera", **{key: told[key] for key in _TOLD}, "where": where}

        items = tree.page(node, level, offset, limit, camera)
        if extra is not None and offset + shown == level.total and len(items) < limit:
            items.append(extra)
        return {
            "node": node,
            "name": level.name,
            "path": level.path,
            "cameras": len(level.below),
            "states": tree.counts(level.below),
            "total": level.total + (extra is not None),
            "offset": offset,
            "items": items,
        }

    @staticmethod
    def _shown_slots(index: CameraIndex, rows: Any, first: int, limit: int) -> list[int]:
        chosen = rows[max(0, first) : max(0, first + limit)]
        found: list[int] = index.slot[chosen].tolist()
        return found

    def _tree_now(self) -> tuple[CameraIndex, CameraTree]:
        from console.camera_tree import CameraTree, state_codes  # noqa: PLC0415 as above
        from devices.camera_index import CameraIndexes  # noqa: PLC0415 shapely costs 0.2 s

        with self._tree_lock:
            if self._indexes is None:
                self._indexes = CameraIndexes(self._registry.file)
            index, now_ms = self._indexes.now(), self._clock.now_ms()
            kept = self._tree
            if kept is None or kept[0] is not index or not 0 <= now_ms - kept[1] < STATES_EVERY_MS:
                kept = self._tree = index, now_ms, CameraTree(index, state_codes(index, self._camera_states()))
            return index, kept[2]
