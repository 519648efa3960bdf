"""`fences`: entered, left, in a forbidden area, stayed for too long.

Purpose: one memory of pairs (device, fence) for the four rules that a fence may have. What each does:

- A crossing is certain after `fence_confirm_points` fixes in a row on the other side, spanning `fence_confirm_s`; what
  came between is jitter. A fix on the boundary is inside; who was inside has left when he is `fence_margin_m` away
  from it, nearer he is still there. Only rows whose place can be trusted count.
- `enter`: `entered_area` when a device comes in while the fence is in force; gone when it leaves.
- `exit`: `left_area`, of e-bikes `left_fence`, when it leaves while the fence is in force; gone when it is back.
- `forbidden`: `forbidden_area` while it is inside and the fence is in force; both ends of the schedule at the next fix.
- `stay`: `stayed_in_area` at the first fix in force `stay_s` or more after the first fix inside; gone when it leaves.
- What a device's first state in a fence is, is taken in silence by `enter` (and `exit` tells nothing of one that never
  was inside); so is its first state in a fence that is new, or enabled again. A fence that was redrawn keeps what is
  known of it; one that was given another rule is new.

Invariants: a device is remembered in as many fences as it is in; but of more than `fence_max_inside` at one fix only
the first (forbidden ones before others) may begin to be told, counted as `fences_beyond_limit`. What is raised falls
too when the fence is disabled or no longer holds for the device, at its next fix; with a fence that is gone it is
forgotten. Speed limits of fences are `analytics.rules.overspeed`'s.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from analytics.fences.index import FenceIndex
from analytics.meaning.context import Context
from analytics.meaning.events import Events
from analytics.meaning.frame import Frame
from analytics.meaning.limits import RuleLimits
from analytics.meaning.rule import Rule
from analytics.rules.fence_alarms import Told, crossings, ended, stretches
from analytics.rules.fence_margin import widened
from analytics.rules.fence_memory import ENTRY, Entries, Memberships
from analytics.rules.fence_runs import Fixes, Flips, Hits, Pairs, first_admitted, flips_of, runs_of
from analytics.rules.within import RULE_CODE, FenceTable, hits_of
from analytics.slots import Field
from analytics.step import Bools, group_starts
from model.device import KIND_CODE
from model.errors import Corrupt
from model.fence import FenceRule

Ints = npt.NDArray[np.int64]

NAME = "fences"
#: How many hits at fixes in too many fences began nothing.
GAUGE = "fences_beyond_limit"
FIELDS: tuple[Field, ...] = (
    Field("generation", "<i4", 0, "newest fences that the device was looked at with; 0: never looked at"),
)
_ENTER, _EXIT = RULE_CODE[FenceRule.ENTER], RULE_CODE[FenceRule.EXIT]
_FORBIDDEN, _STAY = RULE_CODE[FenceRule.FORBIDDEN], RULE_CODE[FenceRule.STAY]
_WATCHED = (_ENTER, _EXIT, _FORBIDDEN, _STAY)
#: By rule; an e-bike's exit is the last.
_ALARMS: tuple[tuple[int, str], ...] = (
    (_ENTER, "entered_area"),
    (_EXIT, "left_area"),
    (_FORBIDDEN, "forbidden_area"),
    (_STAY, "stayed_in_area"),
    (-_EXIT, "left_fence"),
)
_EBIKE = KIND_CODE["ebike"]
_HEAD = struct.Struct("<III")
_KNOWN = np.dtype([("number", "<i4"), ("rule", "|u1"), ("generation", "<i4")])


class FencesRule(Rule):
    """See the module."""

    name = NAME
    fields = FIELDS

    def __init__(self) -> None:
        super().__init__()
        self._members = Memberships()
        #: Fences that are watched, by number: their rule, and since which generation (0: not enabled).
        self._known: dict[int, tuple[int, int]] = {}
        self._generation = 1
        self._table: FenceTable | None = None
        self._since = np.zeros(0, np.int64)
        self._watched = np.zeros(0, np.bool_)
        self._devices_known = 0
        self._take_columns(None)
        self._wide: FenceIndex | None = None
        self._wide_place = np.zeros(0, np.int64)

    def points(self, frame: Frame, context: Context, events: Events) -> None:
        """Look at the rows of a frame."""
        self._prepare(context)
        table = self._table
        if not len(frame):
            return
        placed = None if frame.placed.all() else np.flatnonzero(frame.placed)
        if placed is not None and not len(placed):
            return
        of = frame.of if placed is None else np.unique(frame.slot[placed])
        if table is not None:
            found = self._members.find(of)
            row, fence = self._hits(frame, context, table)
            if len(row) or len(found[0]):
                fixes = _fixes(frame, placed)
                if placed is not None:
                    row = np.searchsorted(placed, row)
                told = self._look(fixes, table, row, fence, found, context.limits, events)
                _report(told, fixes, table, frame, placed, events)
        self.memory["generation"][of] = self._generation

    def fences_changed(self, context: Context) -> None:
        """Forget numbers that are gone; what is new is new to every device."""
        index = context.fences
        self._table = None if index is None else FenceTable.of(index, context)
        self._devices_known = len(context.kind_of_slot)
        table = self._table
        now: dict[int, tuple[int, int]] = {}
        if table is not None:
            watched = np.flatnonzero(np.isin(table.rule, _WATCHED)).tolist()
            for number, rule, enabled in zip(
                table.number[watched].tolist(),
                table.rule[watched].tolist(),
                table.enabled[watched].tolist(),
                strict=True,
            ):
                before = self._known.get(number, (0, 0))
                since = before[1] if before[0] == rule else 0
                now[number] = (rule, (since or self._generation + 1) if enabled else 0)
        gone = [number for number, (rule, _) in self._known.items() if now.get(number, (0, 0))[0] != rule]
        if gone and len(self._members):
            entries = self._members.entries()
            self._members.load(entries[~np.isin(entries["number"], gone)])
        if any(since > self._generation for _, since in now.values()):
            self._generation += 1
        self._known = now
        numbers = [] if table is None else table.number.tolist()
        self._take_columns(table)
        self._since = np.array([now.get(number, (0, 0))[1] for number in numbers], np.int64)
        self._watched = self._since > 0
        self._widen(context)

    def _take_columns(self, table: FenceTable | None) -> None:
        """By place: who tells at crossings alone, what lasts once it is raised, and for how long a stay tells nothing."""
        rule = np.zeros(0, np.int8) if table is None else table.rule
        self._crossing = (rule == _ENTER) | (rule == _EXIT)
        self._lasting = rule == _STAY
        self._stay_ms = np.zeros(0, np.int64)
        if table is not None:
            self._lasting |= (rule == _FORBIDDEN) & table.always
            self._stay_ms = np.where(rule == _STAY, table.stay_ms, 0)

    def _widen(self, context: Context) -> None:
        """The fences that are watched with their margin."""
        self._wide = None
        self._wide_place = np.zeros(0, np.int64)
        table, margin_m = self._table, context.limits.fence_margin_m
        if table is None or margin_m <= 0 or not self._watched.any():
            return
        watched = [fence for fence, held in zip(table.index.fences, self._watched.tolist(), strict=False) if held]
        self._wide = widened(watched, margin_m)
        self._wide_place = table.places(self._wide.number)

    def to_bytes(self) -> bytes:
        """The memory: generation, fences that are watched, devices, pairs."""
        known = np.array([(number, *of) for number, of in sorted(self._known.items())], _KNOWN)
        slots = self.memory.to_bytes()
        head = _HEAD.pack(self._generation, len(known), len(slots))
        return head + known.tobytes() + slots + self._members.to_bytes()

    def restore(self, raw: memoryview) -> None:
        """Take over a memory; raises Corrupt."""
        try:
            generation, rows, size = _HEAD.unpack_from(raw, 0)
            known = np.frombuffer(raw, _KNOWN, rows, _HEAD.size)
        except (struct.error, ValueError) as error:
            raise Corrupt(f"Not a memory of fences: {error}.", mend="It is made anew from what comes in.") from error
        at = _HEAD.size + known.nbytes
        members = Memberships()
        members.restore(raw[at + size :])
        self.memory.restore(raw[at : at + size])
        self._members, self._generation = members, generation
        self._known = {
            number: (rule, since)
            for number, rule, since in zip(
                known["number"].tolist(), known["rule"].tolist(), known["generation"].tolist(), strict=True
            )
        }
        self._table = None
        self._watched = np.zeros(0, np.bool_)

    def _prepare(self, context: Context) -> None:
        """Have the table of the fences that are in force, with the devices that they name."""
        table = self._table
        if (None if table is None else table.index) is not context.fences or (
            table is not None and table.unknown_devices and self._devices_known != len(context.kind_of_slot)
        ):
            self.fences_changed(context)

    def _hits(self, frame: Frame, context: Context, table: FenceTable) -> tuple[Ints, Ints]:
        """Pairs (row of the frame, place of the fence) of fences that are watched and hold for the device."""
        row, fence = hits_of(frame, context)
        if not len(row):
            return row, fence
        keep = self._watched[fence]
        keep &= table.holds(fence, frame.slot[row], frame.kind[row])
        return row[keep], fence[keep]

    def _look(
        self,
        fixes: Fixes,
        table: FenceTable,
        row: Ints,
        fence: Ints,
        found: tuple[npt.NDArray[np.intp], Ints],
        limits: RuleLimits,
        events: Events,
    ) -> list[Told]:
        """Bring hits (`row`, `fence`) and entries that were `found` together, and remember what follows."""
        device, entry = found
        rows = self._members.rows[entry]
        place = table.places(rows["number"])
        admitted = first_admitted(row, fence, table, limits.fence_max_inside)
        events.count(GAUGE, int(np.count_nonzero(~admitted)))
        key = fixes.device[row] * len(table.number) + fence
        hits = Hits(key, row, np.ones(len(row), np.bool_), admitted)
        if len(fixes) > len(fixes.of):
            hits = hits.take(np.argsort(key, kind="stable"))
        # Most devices are where they were: what needs no more than that is not looked at further.
        stirred, of_hit = self._stirred(fixes, table, hits.key, device, place, rows)
        hits = hits.take(of_hit)
        gone = np.zeros(len(entry), np.bool_)
        stale = stirred[~self._holds(fixes, table, device[stirred], place[stirred])]
        gone[stale] = True
        told = [ended(fixes, device[stale], place[stale], rows["raised"][stale] == 1)]
        held = stirred[~gone[stirred]]
        pairs = self._pairs(fixes, table, hits.key, held, device[held], place[held], rows[held])
        new = np.zeros(0, ENTRY)
        if len(pairs):
            runs = runs_of(fixes, pairs, self._with_margin(fixes, table, pairs, hits))
            flips = flips_of(
                fixes, pairs, runs, points=limits.fence_confirm_points, span_ms=limits.fence_confirm_s * 1_000
            )
            raised = pairs.raised.copy()
            told += crossings(fixes, table, pairs, flips, raised)
            told += stretches(fixes, table, pairs, flips, raised)
            dropped, new = self._remember(fixes, table, pairs, flips, raised, entry)
            gone[dropped] = True
        if gone.any() or len(new):
            concerned = np.zeros(len(fixes.of), np.bool_)
            concerned[device[gone]] = True
            concerned[np.searchsorted(fixes.of, new["slot"])] = True
            which = concerned[device]
            self._members.change(entry[which], gone[which], new)
        return told

    def _stirred(
        self, fixes: Fixes, table: FenceTable, key: Ints, device: npt.NDArray[np.intp], place: Ints, rows: Entries
    ) -> tuple[npt.NDArray[np.intp], Bools | slice]:
        """Entries (ordinals of `rows`) and hits that something may follow from.

        Nothing follows for a device that was inside, is so at each of its rows, and whose alarm cannot change by that.
        """
        if not len(key) or not len(rows):
            return np.arange(len(rows)), slice(None)
        first = group_starts(key)
        at = np.minimum(np.searchsorted(key[first], device * len(table.number) + place), len(first) - 1)
        hits = np.diff(np.append(first, len(key)))
        raised = rows["raised"] == 1
        calm = (rows["inside"] == 1) & (rows["count"] == 0)
        calm &= key[first[at]] == device * len(table.number) + place
        calm &= hits[at] == (fixes.lasts - fixes.starts + 1)[device]
        lasting = fixes.time_ms[fixes.lasts[device]] - rows["since_ms"]
        calm &= self._crossing[place] | (raised & self._lasting[place]) | (lasting < self._stay_ms[place])
        stir = np.ones(len(first), np.bool_)
        stir[at[calm]] = False
        return np.flatnonzero(~calm), np.repeat(stir, hits)

    def _with_margin(self, fixes: Fixes, table: FenceTable, pairs: Pairs, hits: Hits) -> Hits:
        """The hits, and the fixes in the margins of fences in which the device was, or may be within these rows."""
        if self._wide is None:
            return hits
        ask = np.zeros(len(fixes.of), np.bool_)
        ask[pairs.device[pairs.inside]] = True
        ask[pairs.device] |= (fixes.lasts > fixes.starts)[pairs.device]
        row = np.flatnonzero(ask[fixes.device])
        if not len(row):
            return hits
        near, wide = self._wide.hits(fixes.lat[row], fixes.lon[row])
        row = row[near]
        key = fixes.device[row] * len(table.number) + self._wide_place[wide]
        of = np.minimum(np.searchsorted(pairs.key, key), len(pairs) - 1)
        mine = pairs.key[of] == key
        return hits.with_margin(key[mine], row[mine])

    def _holds(self, fixes: Fixes, table: FenceTable, device: npt.NDArray[np.intp], place: Ints) -> Bools:
        """Whether the fence of each entry is there for its device."""
        held: Bools = self._watched[place] & table.holds(place, fixes.of[device], fixes.kind[fixes.starts[device]])
        return held

    def _pairs(
        self,
        fixes: Fixes,
        table: FenceTable,
        hit_key: Ints,
        entry: npt.NDArray[np.intp],
        device: npt.NDArray[np.intp],
        place: Ints,
        rows: Entries,
    ) -> Pairs:
        """The pairs that are hit or remembered, with what is remembered of them."""
        fences = len(table.number)
        entry_key = device * fences + place
        key = np.sort(np.concatenate((hit_key[group_starts(hit_key)], entry_key)))
        key = key[group_starts(key)]
        at = np.full(len(key), -1, np.int64)
        where = np.searchsorted(key, entry_key)
        at[where] = entry
        of = np.zeros(len(key), ENTRY)
        of[where] = rows
        device, place = key // fences, key % fences
        return Pairs(
            key=key,
            device=device,
            fence=place,
            at=at,
            inside=of["inside"] == 1,
            raised=of["raised"] == 1,
            silent=of["silent"] == 1,
            count=of["count"].astype(np.int64),
            turn_ms=of["turn_ms"].copy(),
            since_ms=of["since_ms"].copy(),
            fresh=self.memory["generation"][fixes.of[device]] < self._since[place],
        )

    def _remember(
        self, fixes: Fixes, table: FenceTable, pairs: Pairs, flips: Flips, raised: Bools, entry: Ints
    ) -> tuple[Ints, Entries]:
        """Write what is known now; returns which of the entries to drop, and new ones."""
        since = np.where(flips.inside_after, pairs.since_ms, 0)
        came = flips.inside
        # Of more crossings of one pair the last stays.
        since[flips.pair[came]] = flips.turn_ms[came]
        since[~flips.inside_after] = 0
        entries = np.zeros(len(pairs), ENTRY)
        entries["slot"] = fixes.of[pairs.device]
        entries["number"] = table.number[pairs.fence]
        entries["inside"] = flips.inside_after
        entries["raised"] = raised
        entries["silent"] = flips.silent_after
        entries["count"] = flips.count_after
        entries["turn_ms"] = flips.turn_after_ms
        entries["since_ms"] = since
        keep = flips.inside_after | raised | (flips.count_after > 0)
        known = pairs.at >= 0
        stays = keep & known
        self._members.rows[entry[pairs.at[stays]]] = entries[stays]
        return pairs.at[known & ~keep], entries[keep & ~known]


def _fixes(frame: Frame, placed: npt.NDArray[np.intp] | None) -> Fixes:
    if placed is None:
        return Fixes.of_rows(frame.slot, frame.time_ms, frame.kind, frame.lat, frame.lon)
    return Fixes.of_rows(
        frame.slot[placed], frame.time_ms[placed], frame.kind[placed], frame.lat[placed], frame.lon[placed]
    )


def _report(
    parts: list[Told],
    fixes: Fixes,
    table: FenceTable,
    frame: Frame,
    placed: npt.NDArray[np.intp] | None,
    events: Events,
) -> None:
    at = np.concatenate([part.at for part in parts])
    if not len(at):
        return
    fence = np.concatenate([part.fence for part in parts])
    rises = np.concatenate([part.rises for part in parts])
    value = np.concatenate([part.value for part in parts])
    number, rule = table.number[fence], table.rule[fence].astype(np.int64)
    which = np.where((rule == _EXIT) & (fixes.kind[at] == _EBIKE), -_EXIT, rule)
    order = np.lexsort((number, at))
    for code, alarm in _ALARMS:
        for up in (True, False):
            some = order[(which[order] == code) & (rises[order] == up)]
            row = at[some] if placed is None else placed[at[some]]
            stayed = up and code == _STAY
            events.add(
                NAME,
                alarm,
                rises=up,
                row=frame.row[row],
                slot=frame.slot[row],
                time_ms=frame.time_ms[row],
                fence=number[some],
                value=value[some] if stayed else None,
                unit="s" if stayed else "",
            )
