"""The decode policy: a table of what is decoded, what wakes it, and any packets at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.gate import words
from analytics.gate.limits import GateLimits, PlanLimits
from analytics.gate.packet_gate import PacketGate
from analytics.gate.planner import Decode, DecodePlanner, follows_objects
from model.camera import CameraSettings, DecodePolicy, Line, Zone, ZoneRule
from model.codes import Word
from model.errors import UsageError

RING = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9))
LINE = Line("gate", (0.0, 0.5), (1.0, 0.5))
START_MS = 1_760_000_000_000
STEP_MS = 100


def run(planner: DecodePlanner, packets: int, *, gop: int = 20, start_ms: int = START_MS, at: int = 0) -> list[Decode]:
    """What is said of so many packets, 10 a second, quiet ones."""
    return [
        planner.decide(30_000 if one % gop == 0 else 4_000, keyframe=one % gop == 0, time_ms=start_ms + one * STEP_MS)
        for one in range(at, at + packets)
    ]


def trusted_gate() -> PacketGate:
    """A gate that has learnt that motion doubles packets of this camera, before `START_MS`."""
    gate = PacketGate(GateLimits())
    for at in range(20 * 1_200):
        time_ms = START_MS - (20 * 1_200 - at) * STEP_MS
        keyframe, moves = at % 20 == 0, at // 20 % 15 < 2
        gate.packet((30_000 if keyframe else 4_000) * (2 if moves else 1), keyframe=keyframe, time_ms=time_ms)
        if keyframe:
            gate.saw(time_ms, moved=moves)
    assert gate.status.state == "on", gate.status
    # Quiet again.
    for at in range(60):
        gate.packet(4_000, keyframe=False, time_ms=START_MS - 60 * STEP_MS + at * STEP_MS)
    return gate


def kept(gate: PacketGate, *, lines: tuple[Line, ...] = (), audit_share: float = 0.0, seed: int = 0) -> DecodePlanner:
    """The planner of a still scene over a gate that has learnt already."""
    limits = PlanLimits(audit_share=audit_share)
    planner = DecodePlanner(CameraSettings(lines=lines), limits=limits, gate=gate, seed=seed)
    planner.saw(START_MS, moved=False, still=True)
    return planner


FULL, KEY, SUB, OFF = DecodePolicy.FULL, DecodePolicy.KEYFRAMES, DecodePolicy.SUBSTREAM, DecodePolicy.OFF
TABLE = [
    # policy, sub-stream, load, packets in a group, lines, masked ▸ mode, why
    (DecodePolicy.OFF, True, 0.0, 20, False, False, OFF, words.OFF_BY_SETTING),
    (DecodePolicy.ON_DEMAND, True, 0.0, 20, False, False, OFF, words.NOT_DEMANDED),
    (DecodePolicy.KEYFRAMES, True, 0.0, 100, True, False, KEY, words.BY_SETTING),
    (DecodePolicy.FULL, True, 2.0, 20, False, False, FULL, words.BY_SETTING),
    (DecodePolicy.SUBSTREAM, True, 0.0, 20, False, False, SUB, words.BY_SETTING),
    (DecodePolicy.SUBSTREAM, False, 0.0, 20, False, False, KEY, words.NO_SUBSTREAM),
    (DecodePolicy.AUTO, True, 0.0, 20, False, False, KEY, words.SHORT_GAP),
    (DecodePolicy.AUTO, True, 0.0, 100, False, False, SUB, words.LONG_GAP),
    (DecodePolicy.AUTO, False, 0.0, 100, False, False, FULL, words.LONG_GAP),
    (DecodePolicy.AUTO, True, 0.9, 100, False, False, KEY, words.LONG_GAP_LOAD),
    (DecodePolicy.AUTO, True, 0.0, 20, True, False, SUB, words.TRACKING),
    (DecodePolicy.AUTO, False, 0.0, 20, True, False, FULL, words.TRACKING),
    (DecodePolicy.AUTO, False, 0.9, 20, True, False, KEY, words.TRACKING_LOAD),
    *((policy, True, 2.0, 20, False, True, FULL, words.MASKED) for policy in DecodePolicy),
]


@pytest.mark.parametrize(("policy", "sub", "load", "gop", "lines", "masked", "mode", "why"), TABLE)
def test_the_policy(
    policy: DecodePolicy,
    sub: bool,
    load: float,
    gop: int,
    lines: bool,
    masked: bool,
    mode: DecodePolicy,
    why: Word,
) -> None:
    given_settings = CameraSettings(policy=policy, lines=(LINE,) if lines else (), masks=(RING,) if masked else ())
    planner = DecodePlanner(given_settings, has_substream=sub)
    planner.load = load
    run(planner, gop * 4, gop=gop)
    said = run(planner, gop * 2, gop=gop, at=gop * 4)
    status = planner.status
    assert (status.mode, status.why, status.policy) == (mode, why, policy)
    assert not status.thinned
    assert why.en
    assert why.zh
    expected = {
        FULL: [Decode.ALL] * gop * 2,
        KEY: ([Decode.KEYFRAME] + [Decode.SKIP] * (gop - 1)) * 2,
        SUB: [Decode.SKIP] * gop * 2,
        OFF: [Decode.SKIP] * gop * 2,
    }
    assert said == expected[mode]
    assert planner.wants_substream == (mode is SUB)
    assert planner.decide_sub(keyframe=False) is Decode.SKIP
    assert planner.decide_sub(keyframe=True) is (Decode.ALL if mode is SUB else Decode.SKIP)
    assert planner.decide_sub(keyframe=False) is (Decode.ALL if mode is SUB else Decode.SKIP)
    assert planner.decide_sub(keyframe=False, corrupt=True) is Decode.SKIP
    assert planner.decide_sub(keyframe=False) is Decode.SKIP


@pytest.mark.parametrize("trusted", [True, False])
def test_a_still_scene_is_thinned_only_under_a_trusted_gate(trusted: bool) -> None:
    planner = kept(trusted_gate() if trusted else PacketGate())
    said = run(planner, 1_200)
    assert planner.status.thinned == trusted
    # A keyframe in ten seconds instead of one in two.
    assert said.count(Decode.KEYFRAME) == pytest.approx(12 if trusted else 60, abs=2)
    assert said.count(Decode.CATCH_UP) == 0


def test_without_a_gate_a_high_load_thins_mildly_and_it_says_why() -> None:
    planner = DecodePlanner(CameraSettings())
    planner.load = 0.95
    planner.saw(START_MS, moved=False, still=True)
    assert run(planner, 1_200).count(Decode.KEYFRAME) == 30
    assert planner.status.why == words.STILL_LOAD


def test_what_stirs_is_caught_up_with_at_once_and_watched_until_it_is_quiet() -> None:
    planner = kept(trusted_gate())
    run(planner, 200)
    before = planner.status
    assert (before.why, before.thinned) == (words.STILL_GATE, True)
    # Packets double five packets after a keyframe that was skipped.
    said, at = run(planner, 5, at=200), 205
    while Decode.CATCH_UP not in said and at < 218:
        said.append(planner.decide(24_000, keyframe=False, time_ms=START_MS + at * STEP_MS))
        at += 1
    assert said[-1] is Decode.CATCH_UP, said
    assert at <= 215
    woken = planner.status
    assert (woken.why, woken.thinned) == (words.STIRS, False)
    rest = [planner.decide(4_000, keyframe=one % 20 == 0, time_ms=START_MS + one * STEP_MS) for one in range(at, 320)]
    # The next two keyframes are looked at, then it is thinned again.
    assert [one for one in rest if one is not Decode.SKIP][:2] == [Decode.KEYFRAME, Decode.KEYFRAME]
    assert planner.status.thinned
    # A moving scene is not thinned at all.
    planner.saw(START_MS + 32_000, moved=True, still=False)
    assert run(planner, 200, at=320).count(Decode.KEYFRAME) == 10


def test_where_objects_are_followed_a_stir_brings_every_picture() -> None:
    planner = kept(trusted_gate(), lines=(LINE,))
    assert Decode.ALL not in run(planner, 200)[100:]
    said = run(planner, 5, at=200)
    said += [planner.decide(24_000, keyframe=False, time_ms=START_MS + at * STEP_MS) for at in range(205, 220)]
    woken = said.index(Decode.CATCH_UP)
    assert set(said[woken + 1 :]) == {Decode.ALL}


def test_audits_look_closely_for_about_their_share_of_the_time() -> None:
    seed = 11
    print(f"seed {seed}")
    planner = kept(trusted_gate(), audit_share=0.1, seed=seed)
    said = run(planner, 10 * 3_600 * 4)
    looks = said.count(Decode.KEYFRAME)
    # Of 7,200 keyframes a fifth, and of the audits all.
    assert 7_200 * 0.22 < looks < 7_200 * 0.36
    twin = kept(trusted_gate(), audit_share=0.1, seed=seed)
    assert run(twin, 10 * 3_600) == said[: 10 * 3_600]


def test_a_demand_brings_every_picture_from_the_last_keyframe_on() -> None:
    planner = DecodePlanner(CameraSettings(policy=DecodePolicy.ON_DEMAND))
    run(planner, 45)
    planner.demand(START_MS + 10_000)
    said = run(planner, 40, at=45)
    first = said.index(Decode.CATCH_UP)
    # Within a second: the policy is thought over once a second.
    assert first <= 10
    assert set(said[first + 1 :]) == {Decode.ALL}
    assert planner.status.why == words.DEMANDED
    assert run(planner, 40, at=110)[-20:] == [Decode.SKIP] * 20


def test_damage_is_waited_out() -> None:
    planner = DecodePlanner(CameraSettings(policy=DecodePolicy.FULL))
    run(planner, 30)
    assert planner.decide(4_000, keyframe=False, time_ms=START_MS + 3_000, corrupt=True) is Decode.SKIP
    assert set(run(planner, 9, at=31)) == {Decode.SKIP}
    assert set(run(planner, 20, at=40)) == {Decode.ALL}
    assert planner.decide(4_000, keyframe=True, time_ms=START_MS + 6_000, corrupt=True) is Decode.SKIP


def test_who_follows_objects() -> None:
    assert follows_objects(CameraSettings(lines=(LINE,)))
    assert follows_objects(CameraSettings(zones=(Zone("a", RING, ZoneRule.STAY),)))
    assert not follows_objects(CameraSettings(zones=(Zone("a", RING, ZoneRule.MOTION),)))


@pytest.mark.parametrize("wrong", [{"audit_share": 1.0}, {"full_below_load": 2.0}, {"plan_ms": 0}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        PlanLimits(**wrong)  # type: ignore[arg-type]


PACKETS = st.lists(
    st.tuples(
        st.integers(-1, 1 << 33), st.booleans(), st.integers(-(1 << 40), 1 << 45), st.booleans(), st.integers(0, 9)
    ),
    max_size=120,
)


@given(st.sampled_from(list(DecodePolicy)), PACKETS, st.booleans(), st.booleans())
@settings(max_examples=80, deadline=None)
def test_any_packets(
    policy: DecodePolicy, packets: list[tuple[int, bool, int, bool, int]], sub: bool, lines: bool
) -> None:
    """It never raises, and never asks for what cannot be decoded."""
    planner = DecodePlanner(CameraSettings(policy=policy, lines=(LINE,) if lines else ()), has_substream=sub)
    decoded_all, has_keyframe = False, False
    for size, keyframe, time_ms, corrupt, event in packets:
        if event == 0:
            planner.interrupted()
            decoded_all = has_keyframe = False
        elif event == 1:
            planner.demand(time_ms)
        elif event == 2:
            planner.saw(time_ms, moved=corrupt, still=keyframe)
        elif event == 3:
            planner.load = size % 3
        action = planner.decide(size, keyframe=keyframe, time_ms=time_ms, corrupt=corrupt)
        has_keyframe = (has_keyframe or keyframe) and not corrupt
        if action is Decode.KEYFRAME:
            assert keyframe
        if action is Decode.ALL:
            assert keyframe or decoded_all
        if action is Decode.CATCH_UP:
            assert has_keyframe
            assert not keyframe
        decoded_all = action in {Decode.ALL, Decode.CATCH_UP} and not corrupt
        assert planner.status.gate is planner.gate.status
