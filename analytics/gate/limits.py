"""What bounds the gate and the policy. Invariants: immutable; every unit in the name; every default measured or reasoned.

The figures of scores are binary logarithms of a packet's size over what is usual: 1.0 is twice as large. They were set on
the car park's clip alone; the others are what tests and the benchmark judge by.
"""

from __future__ import annotations

from dataclasses import dataclass

from model.errors import UsageError


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Of one `PacketGate`.

    Attributes:
        wanted_recall: share of motion events that have to wake the decoder.
        trusted_recall: what its lower bound (one-sided, 90 %) has to reach before the gate is trusted.
        max_false_wake_share: of quiet looks at most; beyond it sizes do not separate. At a third, thinning still saves half of
            the keyframes.
        spare_false_wake_share: where sizes separate well the threshold goes down until so much quiet time wakes.
        min_threshold: a threshold below this (15 % more than usual) tells noise from noise: sizes do not separate.
        min_share: of the picture that has to be in motion in an event's onset for it to count: packets cannot show a hand that
            is lifted far away. A person who is an eighth of a 16:9 picture high is about so much.
        min_events, min_quiet: motion events and quiet looks that are needed for a judgement.
        max_events, max_quiet: … that are remembered; then all count half, so that the old are forgotten.
        window_ms: what a quiet look judges: the packets so long before it.
        onset_ms: an event has to wake the gate within so long of the first decoded picture that shows it.
        hold_ms: how long the scene counts as stirring after the last packets that said so.
        dense_ms: looks farther apart miss short events: see `PacketGate`.
        max_silence_ms: looks farther apart than this have nothing to do with one another.
        smooth_packets: over how many packets sizes are averaged.
        max_waiting: looks that wait for the next packet; the oldest give way.
    """

    wanted_recall: float = 0.97
    trusted_recall: float = 0.88
    max_false_wake_share: float = 0.33
    spare_false_wake_share: float = 0.02
    min_threshold: float = 0.2
    min_share: float = 0.005
    min_events: int = 20
    min_quiet: int = 60
    max_events: int = 300
    max_quiet: int = 4_000
    window_ms: int = 2_000
    onset_ms: int = 4_000
    hold_ms: int = 2_000
    dense_ms: int = 5_000
    max_silence_ms: int = 120_000
    smooth_packets: int = 8
    max_waiting: int = 256

    def __post_init__(self) -> None:
        shares = (self.wanted_recall, self.trusted_recall, self.max_false_wake_share, self.spare_false_wake_share)
        counts = (self.min_events, self.min_quiet, self.smooth_packets, self.max_waiting)
        if not all(0.0 < share < 1.0 for share in shares) or not 0.0 <= self.min_share < 1.0 or min(counts) < 1:
            raise UsageError("a gate's limit is out of its range", mend="shares between 0 and 1, counts from 1")
        if self.max_events < 2 * self.min_events or self.max_quiet < 2 * self.min_quiet:
            raise UsageError("a gate remembers too little to judge", mend="at least twice as much as it needs")


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """Of one `DecodePlanner`.

    Attributes:
        still_keyframe_ms: how often a still scene is looked at while it is thinned (setting `camera.still_keyframe_s`).
        mild_keyframe_ms: … while no gate watches it and the load asks for thinning.
        max_keyframe_gap_ms: up to this gap keyframes alone are enough.
        awake_ms: how long every keyframe is decoded after the gate said that the scene stirs.
        audit_share, audit_ms: share of the thinned time, and length of one piece of it, in which every keyframe is decoded
            all the same, at random, so that the gate learns what it missed.
        catch_up_packets: packets in a run that are decoded to catch up with a scene that stirs; … `demand_packets` for a person or an alarm.
        catch_up_worth_ms: the next keyframe has to be farther away than this, else it is waited for.
        catch_up_pause_ms: between two of them of one camera.
        full_below_load, keyframes_above_load: load of the process at which `auto` may take all of a stream, and at which
            it gives that up; between the two it stays.
        mild_above_load: load above which still scenes without a gate are thinned mildly.
        plan_ms: how often the policy is thought over.
    """

    still_keyframe_ms: int = 10_000
    mild_keyframe_ms: int = 4_000
    max_keyframe_gap_ms: int = 4_200
    awake_ms: int = 4_000
    audit_share: float = 0.04
    audit_ms: int = 60_000
    catch_up_packets: int = 20
    demand_packets: int = 250
    catch_up_worth_ms: int = 800
    catch_up_pause_ms: int = 20_000
    full_below_load: float = 0.6
    keyframes_above_load: float = 0.85
    mild_above_load: float = 0.85
    plan_ms: int = 1_000

    def __post_init__(self) -> None:
        if not 0.0 <= self.audit_share < 1.0 or self.full_below_load > self.keyframes_above_load:
            raise UsageError("a limit of the decode policy is out of its range", mend="shares below 1, loads in order")
        if min(self.still_keyframe_ms, self.mild_keyframe_ms, self.audit_ms, self.plan_ms) < 1:
            raise UsageError("a time of the decode policy is not positive", mend="milliseconds from 1")
