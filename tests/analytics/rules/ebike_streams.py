"""What the tests of the e-bike rules share: streams of rows as dicts, cut anywhere, through the real stages into one rule."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from analytics.limits import CleanLimits
from analytics.meaning.engine import Meaning
from analytics.meaning.limits import RuleLimits
from analytics.meaning.rule import Rule
from analytics.pipeline import Analysis
from analytics.rules.table import RuleEntry
from analytics.state import State
from model.codes import Flag, Word
from model.device import KIND_CODE, Kind
from tests.analytics.keeper import NOW_MS, batch

VALID = int(Flag.VALID | Flag.VALID_SENT)
NO_FIX = int(Flag.VALID_SENT)
ARMED = VALID | int(Flag.ARMED | Flag.ARMED_SENT)
DISARMED = VALID | int(Flag.ARMED_SENT)
LAT, LON = 40.65, 109.84
#: Slots 0 and 1 are e-bikes, 2 a taxi, 3 a button.
KINDS = np.array([KIND_CODE[kind] for kind in (Kind.EBIKE, Kind.EBIKE, Kind.TAXI, Kind.BUTTON)], np.int8)
METRES_PER_DEGREE = 111_195.0

#: (row of the stream, rises, slot, time_ms, value)
Event = tuple[int, bool, int, int, float]


def east(metres: float) -> float:
    """A longitude so far east of the place."""
    return LON + metres / (METRES_PER_DEGREE * float(np.cos(np.radians(LAT))))


def play(
    rule: type[Rule],
    rows: Sequence[dict[str, Any]],
    cuts: Sequence[int] = (),
    *,
    limits: RuleLimits | None = None,
    stolen: Sequence[int] = (),
    restart: bool = False,
) -> tuple[list[Event], bytes]:
    """The events of a stream that is cut before the rows `cuts`, and the memory at its end.

    With `restart` everything that is remembered goes through its bytes at each cut.
    """
    entry = RuleEntry(rule.name, rule, (), (), (), Word("", ""))
    analysis = Analysis(CleanLimits(), State())
    meaning = _meaning(limits, entry, stolen)
    found: list[Event] = []
    edges = [0, *sorted(set(cuts) - {0, len(rows)}), len(rows)]
    for begin, end in pairwise(edges):
        step = analysis.begin(batch(list(rows[begin:end])))
        assert not len(step.unsure)
        for part in meaning.run(step, None, None).parts:
            assert part.source == "points"
            assert part.rule == rule.name
            columns = (part.row + begin, part.slot, part.time_ms, part.value)
            for row, slot, time_ms, value in zip(*(column.tolist() for column in columns), strict=True):
                found.append((row, part.rises, slot, time_ms, -1.0 if np.isnan(value) else value))
        if restart:
            raw = meaning.to_bytes()
            meaning = _meaning(limits, entry, stolen)
            meaning.restore(raw)
            assert meaning.to_bytes() == raw
    return sorted(found), meaning.rules[0].to_bytes()


def _meaning(limits: RuleLimits | None, entry: RuleEntry, stolen: Sequence[int]) -> Meaning:
    meaning = Meaning(limits or RuleLimits(), CleanLimits(), [entry])
    meaning.context.kind_of_slot = KINDS
    meaning.context.stolen = np.array(sorted(stolen), np.int64)
    return meaning


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[int]]:
    """Rows of four devices in the order of their time, and where to cut them.

    A seed draws the rows, so that streams are long; hypothesis draws what matters for their shape.
    """
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 120))
    tells = draw(st.sampled_from([0.1, 0.5, 1.0]))
    disarms = draw(st.sampled_from([0.02, 0.2, 0.5]))
    spread_m = draw(st.sampled_from([5.0, 25.0, 60.0]))
    rows: list[dict[str, Any]] = []
    now = NOW_MS
    for _ in range(count):
        now += int(chance.choice([1_000, 10_000, 60_000, 900_000]))
        flags = VALID
        if chance.random() < tells:
            flags = DISARMED if chance.random() < disarms else ARMED
        if chance.random() < 0.1:
            flags &= ~int(Flag.VALID)
        if chance.random() < 0.05:
            flags |= int(Flag.SIGHTED)
        rows.append(
            {
                "slot": int(chance.integers(0, 4)),
                "time_ms": now,
                "received_ms": now + 500,
                "lat": LAT,
                "lon": east(float(np.clip(chance.normal(0.0, spread_m), -24.0, 24.0) if chance.random() < 0.3 else 0.0)
                            + float(chance.choice([0.0, 0.0, 0.0, 24.0]))),
                "acc_m": float(chance.choice([np.nan, 3.0, 12.0])),
                "battery_pct": int(chance.integers(-1, 60)),
                "flags": flags,
            }
        )  # fmt: skip
    cuts = draw(st.lists(st.integers(0, count), max_size=12))
    return rows, cuts
