"""States of cameras: worse by the age of media, better only after media has come for a while."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.scene.states import CameraStates, Change, StateLimits
from model.camera import STATE_NUMBER, CameraState, Health

LIMITS = StateLimits(offline_after_s=30.0, stalled_after_s=5.0, recover_after_s=4.0)
ONLINE, DEGRADED, STALLED, OFFLINE = (
    CameraState.ONLINE,
    CameraState.DEGRADED,
    CameraState.STALLED,
    CameraState.OFFLINE,
)


class One:
    """One camera, looked at every second."""

    def __init__(self) -> None:
        self.states = CameraStates(LIMITS, 1)
        self.now_s = 100.0
        self.last_s = -np.inf
        self.told: list[CameraState] = []

    def run(
        self,
        seconds: int,
        *,
        media_every_s: int = 1,
        health: int = 0,
        interval_s: float = float("nan"),
        disabled: bool = False,
        parked: bool = False,
    ) -> list[CameraState]:
        """What is told in so many seconds; `media_every_s` 0: no media."""
        begin = len(self.told)
        for _ in range(seconds):
            self.now_s += 1.0
            if media_every_s and self.now_s % media_every_s == 0:
                self.last_s = self.now_s
            changes = self.states.step(
                self.now_s,
                np.array([self.last_s]),
                np.array([health], np.uint16),
                interval_s=np.array([interval_s]),
                disabled=np.array([disabled]),
                parked=np.array([parked]),
            )
            self.told += [change.after for change in changes]
        return self.told[begin:]


def test_it_comes_up_after_media_for_a_while() -> None:
    camera = One()
    assert camera.run(4) == [OFFLINE]
    assert camera.run(2) == [ONLINE]


def test_it_stalls_goes_offline_and_comes_back() -> None:
    camera = One()
    camera.run(10)
    assert camera.run(5, media_every_s=0) == [STALLED]
    assert camera.run(24, media_every_s=0) == []
    assert camera.run(1, media_every_s=0) == [OFFLINE]
    assert camera.run(4) == []
    assert camera.run(1) == [ONLINE]


def test_a_single_picture_brings_nobody_back() -> None:
    camera = One()
    camera.run(10)
    camera.run(40, media_every_s=0)
    assert camera.run(200, media_every_s=50) == []
    assert camera.states.of(0) == OFFLINE


def test_a_slow_camera_has_not_stalled_between_its_pictures() -> None:
    camera = One()
    camera.run(60, media_every_s=5, interval_s=5.0)
    assert camera.states.of(0) == ONLINE
    assert camera.run(200, media_every_s=5, interval_s=5.0) == []
    assert camera.run(20, media_every_s=0, interval_s=5.0) == [STALLED]


def test_a_rate_that_falls_in_silence_hides_no_silence() -> None:
    camera = One()
    camera.run(10, interval_s=1.0)
    told = [state for second in range(40) for state in camera.run(1, media_every_s=0, interval_s=float(second + 1))]
    assert told == [STALLED, OFFLINE]


def test_health_degrades_at_once_and_is_forgiven_later() -> None:
    camera = One()
    camera.run(10)
    assert camera.run(1, health=int(Health.MOVED)) == [DEGRADED]
    assert camera.run(4) == []
    assert camera.run(1) == [ONLINE]


def test_disabled_and_parked_are_given_and_left() -> None:
    camera = One()
    assert camera.run(3, disabled=True) == []
    camera.run(10)
    assert camera.run(1, parked=True) == [CameraState.PARKED]
    assert camera.run(20, parked=True) == []
    assert camera.run(1, parked=True, disabled=True) == [CameraState.DISABLED]
    assert camera.run(1) == [OFFLINE]
    assert camera.run(5) == [ONLINE]


def test_rows_keep_their_camera_when_others_come_and_go() -> None:
    states = CameraStates(LIMITS, 3)
    for second in range(8):
        last_s = np.array([float(second), -np.inf, float(second)])
        states.step(float(second), last_s, np.zeros(3, np.uint16))
    states.rearrange(np.array([2, -1, 1], np.int32))
    assert [states.of(row) for row in range(3)] == [ONLINE, CameraState.DISABLED, OFFLINE]
    changes = states.step(8.0, np.array([8.0, 8.0, -np.inf]), np.zeros(3, np.uint16))
    assert changes == [Change(1, CameraState.DISABLED, OFFLINE)]
    with pytest.raises(ValueError, match="for 3 cameras"):
        states.step(9.0, np.zeros(2), np.zeros(2, np.uint16))
    states.rearrange(np.empty(0, np.int32))
    states.rearrange(np.array([-1], np.int32))
    assert states.of(0) == CameraState.DISABLED


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0.1, 12.0), st.booleans(), st.booleans()), max_size=60))
def test_no_way_of_media_flaps(steps: list[tuple[float, bool, bool]]) -> None:
    states = CameraStates(LIMITS, 1)
    now_s, last_s, better_s, before = 0.0, -np.inf, -np.inf, states.of(0)
    for by_s, media, ill in steps:
        now_s += by_s
        last_s = now_s if media else last_s
        changes = states.step(now_s, np.array([last_s]), np.array([int(ill)], np.uint16))
        state = states.of(0)
        assert [change.after for change in changes] == ([] if state == before else [state])
        age_s = now_s - last_s
        assert state in (ONLINE, DEGRADED) or age_s >= LIMITS.stalled_after_s or before not in (ONLINE, DEGRADED)
        assert age_s < LIMITS.stalled_after_s or state in (STALLED, OFFLINE)
        assert age_s < LIMITS.offline_after_s or state == OFFLINE
        if before != CameraState.DISABLED and STATE_NUMBER[state] < STATE_NUMBER[before]:
            assert state in (ONLINE, DEGRADED)
            assert now_s - better_s >= LIMITS.recover_after_s
        if age_s >= LIMITS.stalled_after_s or better_s == -np.inf or state != before:
            better_s = now_s
        before = state
