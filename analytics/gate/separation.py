"""How well the scores of quiet looks and of motion events separate: two histograms, a threshold, what it would cost.

Purpose: the judgement of the gate, apart from how scores are made. Invariants: bounded memory (`max_events`, `max_quiet`:
beyond them everything counts half); nothing here raises for any score, NaN apart, which counts as the lowest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analytics.gate.limits import GateLimits

#: Scores lie between these; beyond them they count as the last bin.
LOWEST_SCORE, HIGHEST_SCORE, BIN = -1.5, 1.5, 0.05
BINS = round((HIGHEST_SCORE - LOWEST_SCORE) / BIN)
#: One-sided, 90 %.
_Z = 1.2816


def lower_bound(share: float, weight: float) -> float:
    """Wilson's lower bound (one-sided, 90 %) of a share seen in `weight` cases. 0 for none.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if weight <= 0.0:
        return 0.0
    square = _Z * _Z / weight
    middle = share + square / 2.0
    spread = _Z * math.sqrt(max(share * (1.0 - share) / weight + square / (4.0 * weight), 0.0))
    return max((middle - spread) / (1.0 + square), 0.0)


def upper_bound(share: float, weight: float) -> float:
    """The upper one; 1 for none."""
    return 1.0 - lower_bound(1.0 - share, weight)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a threshold would do.

    Attributes:
        threshold: of scores.
        recall, trusted_recall: share of events at or above it, and the lower bound of that.
        false_wake_share: share of quiet looks at or above it.
        auc: area under the ROC curve: 0.5 says nothing, 1.0 everything.
    """

    threshold: float
    recall: float
    trusted_recall: float
    false_wake_share: float
    auc: float


class Separation:
    """What was seen so far."""

    __slots__ = ("_event", "_limits", "_quiet", "events", "quiet")

    def __init__(self, limits: GateLimits) -> None:
        self._limits = limits
        self._event = [0.0] * BINS
        self._quiet = [0.0] * BINS
        #: Events and quiet looks, by weight.
        self.events = 0.0
        self.quiet = 0.0

    @property
    def enough(self) -> bool:
        """Whether there is enough of both for a judgement."""
        return self.events >= self._limits.min_events and self.quiet >= self._limits.min_quiet

    def add_event(self, score: float, weight: float) -> None:
        """A motion event whose best packets scored so."""
        self._event[_bin(score)] += weight
        self.events += weight
        if self.events > self._limits.max_events:
            self.forget_half_events()

    def forget_half_events(self) -> None:
        """Let the events so far count half: what comes is to weigh more."""
        self._event = [count / 2.0 for count in self._event]
        self.events /= 2.0

    def add_quiet(self, score: float) -> None:
        """A look at a scene in which nothing moved."""
        self._quiet[_bin(score)] += 1.0
        self.quiet += 1.0
        if self.quiet > self._limits.max_quiet:
            self.forget_half_quiet()

    def forget_half_quiet(self) -> None:
        """The same for quiet looks."""
        self._quiet = [count / 2.0 for count in self._quiet]
        self.quiet /= 2.0

    def judge(self) -> Judgement:
        """The highest threshold that still finds enough, lowered while that costs next to nothing."""
        limits = self._limits
        # Half of the misses that are allowed: what is learnt is a little better on what it was learnt from.
        allowed = self.events * (1.0 - limits.wanted_recall) / 2.0
        at, missed = 0, 0.0
        while at < BINS - 1 and missed + self._event[at] <= allowed:
            missed += self._event[at]
            at += 1
        spare = self.quiet * limits.spare_false_wake_share
        above = sum(self._quiet[at:])
        lowest = _bin(limits.min_threshold + BIN / 2.0)
        while at > lowest and above + self._quiet[at - 1] <= spare:
            at -= 1
            above += self._quiet[at]
        # One bin of margin, if it can be had.
        if at > lowest and above + self._quiet[at - 1] <= self.quiet * limits.max_false_wake_share:
            at -= 1
            above += self._quiet[at]
        caught = sum(self._event[at:])
        recall = caught / self.events if self.events else 0.0
        return Judgement(
            threshold=round(LOWEST_SCORE + at * BIN, 6),
            recall=recall,
            trusted_recall=lower_bound(recall, self.events),
            false_wake_share=above / self.quiet if self.quiet else 0.0,
            auc=self._auc(),
        )

    def _auc(self) -> float:
        if not self.events or not self.quiet:
            return 0.5
        below = won = 0.0
        for event, quiet in zip(self._event, self._quiet, strict=True):
            won += event * (below + quiet / 2.0)
            below += quiet
        return won / (self.events * self.quiet)


def _bin(score: float) -> int:
    if not score >= LOWEST_SCORE:
        return 0
    return BINS - 1 if score >= HIGHEST_SCORE else min(int((score - LOWEST_SCORE) / BIN), BINS - 1)
