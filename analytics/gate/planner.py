"""The decode policy of one camera: of each packet, whether it is decoded; and what people are shown as its mode.

Purpose: `auto` spends little and sees enough. It takes keyframes where they come often; the sub-stream, or everything,
where they come seldom or objects are followed and the load allows it; and of a still scene that a trusted gate watches, a
keyframe every `still_keyframe_ms` until packet sizes say that the scene stirs. Then it catches up at once, and takes what
it took before until the scene is still again. A gate that is learning or off thins nothing; only a high load does, mildly.
For a small share of the time a thinned camera is watched closely all the same (an audit, at random, seeded), so that the
gate hears of what it missed.

Invariants: never raises for any packet; times may jump; a packet that cannot be decoded for want of what came before is
never asked for (`ALL` follows on a keyframe, on `CATCH_UP` or on `ALL` alone). `decide`, `decide_sub`, `reset*` and
`interrupted` are called by the camera's thread; `saw`, `demand`, `load` and `status` by any. It reads no clock: times are
those of packets.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

from analytics.gate import words
from analytics.gate.limits import PlanLimits
from analytics.gate.packet_gate import ON, GateStatus, PacketGate
from model.camera import CameraSettings, DecodePolicy, ZoneRule
from model.codes import Word


class Decode(Enum):
    """What is to be done with a packet: see `analytics.gate`."""

    SKIP = "skip"
    KEYFRAME = "keyframe"
    CATCH_UP = "catch_up"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class PlanStatus:
    """What people are shown.

    Attributes:
        policy: as set. mode: what is done now: `off`, `keyframes`, `substream` or `full`.
        thinned: of a still scene not every keyframe is decoded.
        why: of the mode.
        keyframe_gap_ms: as measured; 0 not known yet.
        gate: of the packet gate.
    """

    policy: DecodePolicy
    mode: DecodePolicy
    thinned: bool
    why: Word
    keyframe_gap_ms: int
    gate: GateStatus


_OBJECT_RULES = frozenset({ZoneRule.ENTER, ZoneRule.STAY, ZoneRule.COUNT})
_NEVER_THINNED = frozenset({words.MASKED, words.DEMANDED})
#: What a policy that neither asks nor measures means.
_PLAIN = {
    DecodePolicy.OFF: (DecodePolicy.OFF, words.OFF_BY_SETTING),
    DecodePolicy.ON_DEMAND: (DecodePolicy.OFF, words.NOT_DEMANDED),
    DecodePolicy.KEYFRAMES: (DecodePolicy.KEYFRAMES, words.BY_SETTING),
    DecodePolicy.FULL: (DecodePolicy.FULL, words.BY_SETTING),
}
_LONG_AGO_MS = -(1 << 62)
#: Audits of all cameras begin within so many times their length.
_FIRST_AUDIT = 10.0


def follows_objects(settings: CameraSettings) -> bool:
    """Whether what is set needs objects to be followed from picture to picture."""
    return bool(settings.lines) or any(zone.rule in _OBJECT_RULES for zone in settings.zones)


class DecodePlanner:
    """See the module, and `analytics.gate` for how it is used.

    Args:
        settings: of the camera; another object of them means another planner.
        has_substream: whether the camera has an address of one.
        limits: see there. gate: its gate; where the settings changed, that of the planner before, with what it has learnt.
        seed: of the audits' times.
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        has_substream: bool = False,
        limits: PlanLimits | None = None,
        gate: PacketGate | None = None,
        seed: int = 0,
    ) -> None:
        self.gate = gate or PacketGate()
        #: Of the process, 0..1 and beyond.
        self.load = 0.0
        #: Whether packet sizes say that the scene stirs, as of the last packet.
        self.stirs = False
        self._limits = limits or PlanLimits()
        self._policy = settings.policy
        self._masked = bool(settings.masks)
        self._tracks = follows_objects(settings)
        self._has_substream = has_substream
        self._still = False
        self._demand_until_ms = _LONG_AGO_MS
        self._random = random.Random(seed)  # noqa: S311 times of audits, no secret
        self._rich = False
        self._audit_from_ms: int | None = None
        self._mode, self._why = DecodePolicy.KEYFRAMES, words.SHORT_GAP
        self._every_ms = self._limits.still_keyframe_ms
        self._sub_chain = False
        self._gap_ms: int | None = None
        self.interrupted()

    # -- told by others, any thread -------------------------------------------------------------

    def saw(self, time_ms: int, *, moved: bool, still: bool, share: float = 1.0) -> None:
        """What a decoded picture showed.

        Args:
            time_ms: of the picture.
            moved: whether something moves in it.
            still: whether the scene counts as still by now.
            share: of the picture that is in motion, 0..1.
        """
        self._still = still
        if self._policy is DecodePolicy.AUTO:
            self.gate.saw(time_ms, moved=moved, share=share)

    def demand(self, until_ms: int) -> None:
        """Somebody wants pictures until then (UTC ms, as the packets' times); the latest counts, 0 ends it."""
        self._demand_until_ms = until_ms or _LONG_AGO_MS

    @property
    def status(self) -> PlanStatus:
        """See `PlanStatus`."""
        gap_ms = self._gap_ms or 0
        return PlanStatus(self._policy, self._mode, self._thinned, self._why, gap_ms, self.gate.status)

    @property
    def wants_substream(self) -> bool:
        """Whether the sub-stream has to be open now."""
        return self._mode is DecodePolicy.SUBSTREAM

    # -- the stream -----------------------------------------------------------------------------

    def reset(self) -> None:
        """The main stream's parameters have changed: forget what was learnt of it."""
        self.gate.reset()
        self._gap_ms = None
        self.interrupted()

    def interrupted(self) -> None:
        """The main stream begins again as it was."""
        self.gate.interrupted()
        self._key_ms: int | None = None
        #: Packets since the last intact keyframe, that one included; 0: there is none, or damage came after it.
        self._run = 0
        #: Everything since the last keyframe was decoded.
        self._chain = False
        self._decoded_ms = self._awake_until_ms = self._caught_up_ms = self._planned_ms = _LONG_AGO_MS
        self._thinned = False

    def reset_sub(self) -> None:
        """The sub-stream begins (again)."""
        self._sub_chain = False

    def decide_sub(self, *, keyframe: bool, corrupt: bool = False) -> Decode:
        """The same for a packet of the sub-stream: all of it while it is wanted."""
        if not self.wants_substream or corrupt or not (keyframe or self._sub_chain):
            self._sub_chain = False
            return Decode.SKIP
        self._sub_chain = True
        return Decode.ALL

    def decide(self, size_bytes: int, *, keyframe: bool, time_ms: int, corrupt: bool = False) -> Decode:
        """What to do with the next packet of the main stream, in decoding order, which the ring has already."""
        if corrupt:
            self._run, self._chain = 0, False
            return Decode.SKIP
        if keyframe:
            self._note_gap(time_ms)
            self._run, self._chain = 1, False
        elif self._run:
            self._run += 1
        stirs = self._policy is DecodePolicy.AUTO and self.gate.packet(size_bytes, keyframe=keyframe, time_ms=time_ms)
        self.stirs = stirs
        if keyframe or not 0 <= time_ms - self._planned_ms < self._limits.plan_ms:
            self._planned_ms = time_ms
            self._plan(time_ms)
        woken = stirs and self._thinned
        if stirs:
            self._awake_until_ms = time_ms + self._limits.awake_ms
            if woken:
                self._plan(time_ms)
        if self._mode is DecodePolicy.FULL:
            return self._everything(time_ms, keyframe=keyframe)
        if self._mode is not DecodePolicy.KEYFRAMES:
            self._chain = False
            return Decode.SKIP
        if keyframe:
            return self._keyframe(time_ms)
        self._chain = False
        return self._wake(time_ms) if woken else Decode.SKIP

    # -- what follows from the mode ---------------------------------------------------------------

    def _everything(self, time_ms: int, *, keyframe: bool) -> Decode:
        if keyframe or self._chain:
            self._chain = True
            self._decoded_ms = time_ms
            return Decode.ALL
        # Not decoded so far: from the keyframe up to here, if that is short enough; else the next one is waited for.
        if 0 < self._run <= self._limits.demand_packets:
            self._chain = True
            self._decoded_ms = self._caught_up_ms = time_ms
            return Decode.CATCH_UP
        return Decode.SKIP

    def _keyframe(self, time_ms: int) -> Decode:
        if self._thinned and 0 <= time_ms - self._decoded_ms < self._every_ms - (self._gap_ms or 0) // 2:
            return Decode.SKIP
        self._decoded_ms = time_ms
        # What follows may become ALL without decoding the keyframe again.
        self._chain = False
        return Decode.KEYFRAME

    def _wake(self, time_ms: int) -> Decode:
        """The scene stirs while it is thinned: look now, where the next keyframe is far away."""
        limits = self._limits
        to_next_ms = (self._gap_ms or 0) - (time_ms - (self._key_ms or time_ms))
        since_ms = time_ms - self._caught_up_ms
        if (
            0 < self._run <= limits.catch_up_packets
            and to_next_ms > limits.catch_up_worth_ms
            and not 0 <= since_ms < limits.catch_up_pause_ms
            and self.load < limits.keyframes_above_load
        ):
            self._caught_up_ms = self._decoded_ms = time_ms
            return Decode.CATCH_UP
        return Decode.SKIP

    # -- the policy -------------------------------------------------------------------------------

    def _note_gap(self, time_ms: int) -> None:
        if self._key_ms is not None and 0 < time_ms - self._key_ms <= 600_000:
            gap_ms = time_ms - self._key_ms
            # A longer one counts at once, a shorter one slowly: half of what is missing.
            self._gap_ms = gap_ms if self._gap_ms is None or gap_ms > self._gap_ms else (gap_ms + self._gap_ms) // 2
        self._key_ms = time_ms

    def _plan(self, time_ms: int) -> None:
        """Think over mode and thinning."""
        mode, why = self._base(time_ms)
        thinned = False
        # A sub-stream is not closed for a still scene: opening it again takes longer than what stirs may last.
        if self._policy is DecodePolicy.AUTO and mode is not DecodePolicy.SUBSTREAM and why not in _NEVER_THINNED:
            mode, why, thinned = self._thin(time_ms, mode, why)
        self._mode, self._why, self._thinned = mode, why, thinned

    def _base(self, time_ms: int) -> tuple[DecodePolicy, Word]:
        """What is decoded of a scene that is not still."""
        if self._masked:
            return DecodePolicy.FULL, words.MASKED
        if time_ms < self._demand_until_ms:
            return DecodePolicy.FULL, words.DEMANDED
        if self._policy is DecodePolicy.AUTO:
            return self._automatic(time_ms)
        if self._policy is DecodePolicy.SUBSTREAM:
            if self._has_substream:
                return DecodePolicy.SUBSTREAM, words.BY_SETTING
            return DecodePolicy.KEYFRAMES, words.NO_SUBSTREAM
        return _PLAIN[self._policy]

    def _automatic(self, time_ms: int) -> tuple[DecodePolicy, Word]:
        limits = self._limits
        # While the next keyframe is out, the gap is at least what has passed since the last.
        passed_ms = time_ms - self._key_ms if self._key_ms is not None else 0
        long_gap = max(self._gap_ms or 0, passed_ms) > limits.max_keyframe_gap_ms
        if not long_gap and not self._tracks:
            return DecodePolicy.KEYFRAMES, words.SHORT_GAP
        self._rich = self.load < (limits.keyframes_above_load if self._rich else limits.full_below_load)
        if not self._rich:
            return DecodePolicy.KEYFRAMES, words.LONG_GAP_LOAD if long_gap else words.TRACKING_LOAD
        why = words.LONG_GAP if long_gap else words.TRACKING
        return (DecodePolicy.SUBSTREAM if self._has_substream else DecodePolicy.FULL), why

    def _thin(self, time_ms: int, mode: DecodePolicy, why: Word) -> tuple[DecodePolicy, Word, bool]:
        """Mode, why, and whether the scene is looked at less often now."""
        limits = self._limits
        self._every_ms = limits.still_keyframe_ms
        if 0 <= self._awake_until_ms - time_ms <= limits.awake_ms:
            return mode, words.STIRS, False
        if not self._still:
            return mode, why, False
        if self.gate.status.state == ON:
            if self._audited(time_ms):
                return mode, words.AUDIT, False
            return DecodePolicy.KEYFRAMES, words.STILL_GATE, True
        if mode is DecodePolicy.KEYFRAMES and self.load > limits.mild_above_load:
            self._every_ms = limits.mild_keyframe_ms
            return mode, words.STILL_LOAD, True
        return mode, why, False

    def _audited(self, time_ms: int) -> bool:
        """Whether an audit is under way; the next one begins after a random time."""
        limits = self._limits
        if limits.audit_share <= 0.0:
            return False
        usual_ms = limits.audit_ms * (1.0 / limits.audit_share - 1.0)
        start_ms = self._audit_from_ms
        if start_ms is None or not -20.0 * usual_ms < time_ms - start_ms:
            first_ms = min(usual_ms, _FIRST_AUDIT * limits.audit_ms)
            self._audit_from_ms = time_ms + int(self._random.expovariate(1.0 / first_ms))
            return False
        if time_ms < start_ms:
            return False
        if time_ms < start_ms + limits.audit_ms:
            return True
        self._audit_from_ms = time_ms + int(self._random.expovariate(1.0 / usual_ms))
        return False
