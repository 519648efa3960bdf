"""Sizes of packets against what is usual for the camera: does the scene stir? One for each camera.

Purpose: tell a still scene from a moving one without decoding, where that can be done, and know how well it does.

How a score is made: the binary logarithm of the size of each P (or B) packet, less the slow base of the camera and what is
usual at that place after a keyframe, clipped, averaged over half a second or so. The base is a lower quantile, so that
motion, which makes packets larger, moves it little; and every decoded quiet look pulls it towards what it is then, so that
dusk, rain and other settings of the camera are followed. Streams of keyframes alone are scored by those.

How it calibrates itself: decoded pictures are looks. A run of moving looks is one event, and it counts by its onset alone,
because a stopped car differs from the background while its packets are quiet again. It is found when the score passed the
threshold between the last quiet look and `onset_ms` after the first moving one. Events in which less than `min_share` of the
picture moves are counted and left out, both as events and as quiet. Quiet looks after a quiet one say how
often it wakes for nothing. `analytics.gate.separation` chooses the threshold. Each event is judged by the threshold that
held before it was learnt from, so the recall that is told is not that of its own training.

Looks that are far apart (`dense_ms`) see every event that woke the gate, and of those that it missed only the long ones:
such a miss therefore counts as many times as the looks are farther apart than events are long.

States: `learning` (too few events seen), `on`, `off` (sizes do not separate, or it missed too much). Only `on` may be
relied on; `packet` says False otherwise. Invariants: never raises for any size, time or look; bounded memory; `saw` may
be called by any thread, everything else by the camera's own; `status` is read by any. No clock, no randomness.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import log2

from analytics.gate import words
from analytics.gate.limits import GateLimits
from analytics.gate.separation import HIGHEST_SCORE, LOWEST_SCORE, Judgement, Separation, lower_bound, upper_bound
from model.codes import Word

LEARNING, ON, OFF = "learning", "on", "off"

#: Places after a keyframe that have a usual size of their own; later ones share the last.
_PLACES = 64
#: The base's quantile: it stays true in scenes that move 60 % of the time.
_QUANTILE = 0.35
#: Steps of the base for each packet and of the places for each visit, from the first to the slowest.
_FIRST_STEP, _SLOWEST_STEP, _STEP_DECAY = 0.2, 0.0005, 0.985
_FIRST_PLACE_STEP, _SLOWEST_PLACE_STEP, _PLACE_STEP_DECAY = 0.2, 0.008, 0.93
#: How far a quiet look pulls the base towards what the score is.
_QUIET_PULL = 0.08
#: Windows are at most so many packets, where there are few keyframes.
_WINDOW_PACKETS = 30
_WINDOWS = 64
#: Events are judged anew after so many looks that count.
_JUDGE_EVERY = 8
#: Of the events by which recall is known; beyond it all count half.
_MAX_KNOWN = 80.0
#: Events that have to be known before recall is told, and before the gate is believed to be missing too much.
_MIN_KNOWN = 10.0
#: Until looks have shown how long events are.
_FIRST_LENGTH_MS = 5_000.0
_MOST_WEIGHT = 5.0


@dataclass(frozen=True, slots=True)
class GateStatus:
    """What the gate knows of itself.

    Attributes:
        state: `learning`, `on` or `off`.
        recall: share of motion events that it finds, judged on events that it had not learnt from; None: not known yet.
        trusted_recall: the lower bound of that (one-sided, 90 %).
        false_wake_share: share of quiet looks for which it wakes; 0 while not known.
        auc: how well sizes separate, 0.5: not at all.
        events, quiet: motion events and quiet looks it judges by (the old count less).
        small: events that were left out because too little of the picture moved.
        samples: looks that were taken.
        why: of the state.
    """

    state: str = LEARNING
    recall: float | None = None
    trusted_recall: float = 0.0
    false_wake_share: float = 0.0
    auc: float = 0.5
    events: float = 0.0
    quiet: float = 0.0
    small: int = 0
    samples: int = 0
    why: Word = words.FEW_EVENTS


class PacketGate:
    """See the module."""

    __slots__ = (
        "_awake_until_ms",
        "_base",
        "_caught",
        "_event_from_ms",
        "_event_score",
        "_event_share",
        "_event_weight",
        "_fast",
        "_first_key",
        "_key_base",
        "_known",
        "_length_ms",
        "_limits",
        "_looked_ms",
        "_looks",
        "_moved_before",
        "_on",
        "_peak",
        "_place",
        "_place_step",
        "_places",
        "_samples",
        "_separation",
        "_since_window",
        "_small",
        "_smooth",
        "_start_ms",
        "_step",
        "_threshold",
        "_to_judge",
        "_windows",
        "status",
    )

    def __init__(self, limits: GateLimits | None = None) -> None:
        self._limits = limits or GateLimits()
        #: Looks that wait: (time, moved, share of the picture).
        self._looks: deque[tuple[int, bool, float]] = deque(maxlen=self._limits.max_waiting)
        self.status = GateStatus()
        self.reset()

    def reset(self) -> None:
        """Forget everything: the stream's parameters have changed."""
        self._smooth = 1.0 / self._limits.smooth_packets
        self._separation = Separation(self._limits)
        self._threshold = HIGHEST_SCORE
        self._caught = self._known = 0.0
        self._length_ms = _FIRST_LENGTH_MS
        self._samples = self._small = 0
        self._on = False
        self._to_judge = _JUDGE_EVERY
        self._base: float | None = None
        self._key_base: float | None = None
        self._places = [0.0] * _PLACES
        self._step, self._place_step = _FIRST_STEP, _FIRST_PLACE_STEP
        self.status = GateStatus()
        self.interrupted()

    def interrupted(self) -> None:
        """The stream begins again as it was: what was learnt stays, what was going on is forgotten."""
        self._looks.clear()
        self._place = 0
        self._fast = 0.0
        self._peak = LOWEST_SCORE
        self._since_window = 0
        self._first_key = True
        #: (end, best score) of the last windows.
        self._windows: deque[tuple[int, float]] = deque(maxlen=_WINDOWS)
        self._awake_until_ms = -(1 << 62)
        self._looked_ms: int | None = None
        self._moved_before = False
        self._start_ms: int | None = None
        self._event_from_ms = 0
        self._event_score = LOWEST_SCORE
        self._event_share = 0.0
        self._event_weight = 1.0

    def saw(self, time_ms: int, *, moved: bool, share: float = 1.0) -> None:
        """What a decoded picture showed; any thread; taken up with the next packet.

        Args:
            time_ms: of the picture, as its packet had it.
            moved: whether something moves in it.
            share: of the picture that is in motion, 0..1.
        """
        self._looks.append((time_ms, moved, share))

    def packet(self, size_bytes: int, *, keyframe: bool, time_ms: int) -> bool:
        """Hear of the next packet, in decoding order.

        Returns: whether the scene stirs; False unless the gate is on.
        """
        if keyframe:
            self._keyframe(size_bytes, time_ms)
        else:
            base = self._base
            size = log2(size_bytes) if size_bytes > 1 else 0.0
            if base is None:
                base = size
            place = self._place + 1
            if place == _PLACES:
                place -= 1
            self._place = place
            places = self._places
            over = size - base - places[place]
            fast = self._fast
            # A place learns what it is beside its neighbours, whatever the scene does; the base learns the level.
            places[place] += self._place_step if over > fast else -self._place_step
            if over > 0.0:
                self._base = base + self._step * _QUANTILE
                if over > HIGHEST_SCORE:  # noqa: PLR1730 a call of min costs as much as the rest of the line
                    over = HIGHEST_SCORE
            else:
                self._base = base - self._step * (1.0 - _QUANTILE)
                if over < LOWEST_SCORE:  # noqa: PLR1730 see above
                    over = LOWEST_SCORE
            fast += (over - fast) * self._smooth
            self._fast = fast
            if fast > self._peak:  # noqa: PLR1730 see above
                self._peak = fast
            self._since_window += 1
            if self._since_window >= _WINDOW_PACKETS:
                self._end_window(time_ms)
            if fast >= self._threshold:
                self._awake_until_ms = time_ms + self._limits.hold_ms
        if self._looks:
            self._take_looks()
        return self._on and time_ms < self._awake_until_ms

    # -- packets ------------------------------------------------------------------------------

    def _keyframe(self, size_bytes: int, time_ms: int) -> None:
        size = log2(size_bytes) if size_bytes > 1 else 0.0
        if self._key_base is None:
            self._key_base = size
        over = size - self._key_base
        self._key_base += self._step * (_QUANTILE if over > 0 else _QUANTILE - 1.0)
        if self._place == 0 and not self._first_key:
            # Keyframes alone: they are all there is to go by.
            self._fast += (max(min(over, HIGHEST_SCORE), LOWEST_SCORE) - self._fast) * self._smooth
            self._peak = max(self._peak, self._fast)
            if self._fast >= self._threshold:
                self._awake_until_ms = time_ms + self._limits.hold_ms
        self._first_key = False
        self._place = 0
        self._end_window(time_ms)

    def _end_window(self, time_ms: int) -> None:
        self._windows.append((time_ms, self._peak))
        self._peak = self._fast
        packets, self._since_window = self._since_window, 0
        self._step = max(self._step * _STEP_DECAY ** max(packets, 1), _SLOWEST_STEP)
        self._place_step = max(self._place_step * _PLACE_STEP_DECAY, _SLOWEST_PLACE_STEP)

    def _best(self, after_ms: int, until_ms: int) -> float | None:
        """The best score of the windows that ended in (after, until]; None where there is none."""
        best: float | None = None
        for end_ms, score in self._windows:
            if after_ms < end_ms <= until_ms and (best is None or score > best):
                best = score
        return best

    # -- looks --------------------------------------------------------------------------------

    def _take_looks(self) -> None:
        while self._looks:
            time_ms, moved, share = self._looks.popleft()
            self._look(time_ms, share, moved=moved)
        if self._to_judge <= 0:
            self._to_judge = _JUDGE_EVERY
            self._judge()

    def _look(self, time_ms: int, share: float, *, moved: bool) -> None:
        before_ms = self._looked_ms
        if before_ms is None or not 0 <= time_ms - before_ms <= self._limits.max_silence_ms:
            self._looked_ms, self._moved_before, self._start_ms = time_ms, moved, None
            return
        gap_ms = time_ms - before_ms
        if moved == self._moved_before and not moved and gap_ms < self._limits.window_ms // 2:
            # Nothing new since the last one; the window goes on.
            return
        self._samples += 1
        self._looked_ms = time_ms
        if moved and self._start_ms is not None:
            self._event_share = max(self._event_share, share)
        if self._start_ms is not None and (not moved or time_ms - self._start_ms >= self._limits.onset_ms):
            self._end_onset(time_ms)
        if moved and not self._moved_before:
            self._event_share = share
            self._begin_event(before_ms, time_ms)
        elif moved or self._moved_before:
            if not moved and gap_ms <= self._limits.dense_ms:
                lasted_ms = time_ms - self._event_from_ms
                self._length_ms += (min(lasted_ms, 60_000) - self._length_ms) * 0.1
        else:
            self._quiet_look(time_ms)
        self._moved_before = moved

    def _begin_event(self, quiet_ms: int, time_ms: int) -> None:
        self._start_ms = time_ms
        self._event_from_ms = time_ms
        best = self._best(max(quiet_ms, time_ms - self._limits.onset_ms), time_ms)
        self._event_score = LOWEST_SCORE if best is None else best
        gap_ms = time_ms - quiet_ms
        sparse = gap_ms > self._limits.dense_ms
        self._event_weight = max(1.0, min(gap_ms / max(self._length_ms, 1.0), _MOST_WEIGHT)) if sparse else 1.0

    def _end_onset(self, time_ms: int) -> None:
        """The event's beginning is over: was it found?"""
        start_ms, self._start_ms = self._start_ms, None
        if start_ms is None:
            return
        if not self._event_share >= self._limits.min_share:
            self._small += 1
            return
        until_ms = min(start_ms + self._limits.onset_ms, time_ms)
        best = self._best(start_ms, until_ms)
        score = self._event_score if best is None else max(self._event_score, best)
        found = score >= self._threshold
        weight = 1.0 if found else self._event_weight
        if self._separation.enough:
            self._known += weight
            self._caught += weight if found else 0.0
            if self._known > _MAX_KNOWN:
                self._known /= 2.0
                self._caught /= 2.0
        self._separation.add_event(score, weight)
        self._to_judge -= 1

    def _quiet_look(self, time_ms: int) -> None:
        score = self._best(time_ms - self._limits.window_ms, time_ms)
        if score is None:
            return
        self._separation.add_quiet(score)
        self._to_judge -= 1
        if self._base is not None:
            pull = self._fast * _QUIET_PULL
            self._base += pull
            self._fast -= pull

    # -- judgement ----------------------------------------------------------------------------

    def _judge(self) -> None:
        seen = self._separation
        found = seen.judge()
        state, why = self._state(found)
        self._threshold = found.threshold if seen.events and seen.quiet else HIGHEST_SCORE
        if state == OFF:
            self._forget()
        known = self._known >= _MIN_KNOWN
        recall = self._caught / self._known if known else (found.recall if seen.enough else None)
        self._on = state == ON
        self.status = GateStatus(
            state=state,
            recall=recall,
            trusted_recall=lower_bound(recall, self._known if known else seen.events) if recall is not None else 0.0,
            false_wake_share=found.false_wake_share,
            auc=found.auc,
            events=seen.events,
            quiet=seen.quiet,
            small=self._small,
            samples=self._samples,
            why=why,
        )

    def _forget(self) -> None:
        """While off only the latest counts, so that a camera that was set to another rate is not off for days."""
        if self._separation.events >= 2 * self._limits.min_events:
            self._separation.forget_half_events()
        if self._separation.quiet >= 4 * self._limits.min_quiet:
            self._separation.forget_half_quiet()

    def _state(self, found: Judgement) -> tuple[str, Word]:
        limits, seen = self._limits, self._separation
        if not seen.enough:
            return LEARNING, words.FEW_EVENTS if seen.events < limits.min_events else words.FEW_QUIET
        blunt = found.threshold < limits.min_threshold or found.recall < limits.wanted_recall
        if blunt or found.false_wake_share > limits.max_false_wake_share:
            return OFF, words.NOT_SEPARATE
        if found.trusted_recall < limits.trusted_recall:
            return LEARNING, words.FEW_EVENTS
        if self._known >= _MIN_KNOWN and upper_bound(self._caught / self._known, self._known) < limits.wanted_recall:
            return OFF, words.MISSED
        return ON, words.SEPARATES
