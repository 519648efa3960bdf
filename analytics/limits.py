"""`CleanLimits`: every threshold of the analytics, with its unit in its name.

The defaults are named constants; wiring passes what the settings say. `analytics/decisions.py`
says what each of them decides.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from model.errors import SettingsError

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
#: GPS broadcasts its week in 10 bits (IS-GPS-200, 20.3.3.3.1.1): an old receiver is off by this.
ROLLOVER_MS = 1024 * 7 * DAY_MS

DEFAULT_MIN_TIME_MS = 1
#: 2100-01-01T00:00:00Z.
DEFAULT_MAX_TIME_MS = 4_102_444_800_000
DEFAULT_NULL_ISLAND_DEG = 1e-4
DEFAULT_MAX_AHEAD_MS = DAY_MS
DEFAULT_MAX_LIVE_AGE_MS = 30 * DAY_MS
DEFAULT_CLOCK_TOLERANCE_MS = 2 * MINUTE_MS
#: Every civil time zone of the world is a whole multiple of this from UTC.
DEFAULT_OFFSET_STEP_MS = 15 * MINUTE_MS
DEFAULT_MAX_OFFSET_MS = 14 * HOUR_MS
DEFAULT_OFFSET_POINTS = 3
DEFAULT_FROZEN_POINTS = 3
DEFAULT_FROZEN_SPAN_MS = 2_000
DEFAULT_MAX_JUMP_SPEED_KMH = 180.0
#: At 1 Hz, 180 km/h is 50 m a second; below that GPS noise, not a jump.
DEFAULT_JUMP_MIN_M = 50.0
DEFAULT_MAX_SPEED_KMH = 1_000.0
DEFAULT_MIN_ALT_M = -1_000.0
DEFAULT_MAX_ALT_M = 20_000.0
DEFAULT_MAX_ACC_M = 100_000.0
DEFAULT_MAX_SAT = 200
DEFAULT_MAX_SEQ_GAP_POINTS = 100_000
DEFAULT_LATE_ALARM_MS = 10 * MINUTE_MS
DEFAULT_EPISODE_PAD_MS = MINUTE_MS
DEFAULT_MAX_EPISODES = 50_000
DEFAULT_MAX_EPISODES_PER_BIT = 64
DEFAULT_MAX_SLOTS = 4_194_304


@dataclass(frozen=True, slots=True)
class CleanLimits:
    """Thresholds of the analytics.

    Attributes:
        min_time_ms, max_time_ms: fix times outside are impossible.
        null_island_deg: nearer than this to 0/0 in both axes is no place.
        max_ahead_ms: a fix time farther ahead of the receive time is impossible.
        max_live_age_ms: a live point older than this has a broken clock.
        clock_tolerance_ms: how far device and receive time may be apart unnoticed, and how well an offset must fit.
        offset_step_ms, max_offset_ms: constant offsets are multiples of the step, up to the maximum.
        offset_points: so many live points in a row with the same offset establish it.
        frozen_points, frozen_span_ms: so many different points with one time, received over at least that span.
        max_jump_speed_kmh, jump_min_m: a leg faster and longer than these is a jump.
        max_speed_kmh, min_alt_m, max_alt_m, max_acc_m, max_sat: outside is set to missing.
        max_seq_gap_points: a larger step of seq is a new run of the device's count, not a loss.
        late_alarm_ms: an alarm bit older than this when it comes is flagged late.
        episode_pad_ms: a late alarm bit so near to a known rise of the same bit is that rise.
        max_episodes: remembered alarm-bit episodes of the whole fleet; the oldest go first.
        max_episodes_per_bit: the same of one bit of one device.
        max_slots: slots from here on are no devices.
    """

    min_time_ms: int = DEFAULT_MIN_TIME_MS
    max_time_ms: int = DEFAULT_MAX_TIME_MS
    null_island_deg: float = DEFAULT_NULL_ISLAND_DEG
    max_ahead_ms: int = DEFAULT_MAX_AHEAD_MS
    max_live_age_ms: int = DEFAULT_MAX_LIVE_AGE_MS
    clock_tolerance_ms: int = DEFAULT_CLOCK_TOLERANCE_MS
    offset_step_ms: int = DEFAULT_OFFSET_STEP_MS
    max_offset_ms: int = DEFAULT_MAX_OFFSET_MS
    offset_points: int = DEFAULT_OFFSET_POINTS
    frozen_points: int = DEFAULT_FROZEN_POINTS
    frozen_span_ms: int = DEFAULT_FROZEN_SPAN_MS
    max_jump_speed_kmh: float = DEFAULT_MAX_JUMP_SPEED_KMH
    jump_min_m: float = DEFAULT_JUMP_MIN_M
    max_speed_kmh: float = DEFAULT_MAX_SPEED_KMH
    min_alt_m: float = DEFAULT_MIN_ALT_M
    max_alt_m: float = DEFAULT_MAX_ALT_M
    max_acc_m: float = DEFAULT_MAX_ACC_M
    max_sat: int = DEFAULT_MAX_SAT
    max_seq_gap_points: int = DEFAULT_MAX_SEQ_GAP_POINTS
    late_alarm_ms: int = DEFAULT_LATE_ALARM_MS
    episode_pad_ms: int = DEFAULT_EPISODE_PAD_MS
    max_episodes: int = DEFAULT_MAX_EPISODES
    max_episodes_per_bit: int = DEFAULT_MAX_EPISODES_PER_BIT
    max_slots: int = DEFAULT_MAX_SLOTS

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not (value >= 0 or one.name == "min_alt_m"):
                raise SettingsError(f"{one.name} is {value}.", mend="Give a number that is not negative.")
        if not 1 <= self.min_time_ms < self.max_time_ms <= DEFAULT_MAX_TIME_MS:
            raise SettingsError(
                "min_time_ms and max_time_ms are not a range of times.",
                mend=f"Give 1 <= min_time_ms < max_time_ms <= {DEFAULT_MAX_TIME_MS}.",
            )
        if self.offset_step_ms <= 2 * self.clock_tolerance_ms:
            raise SettingsError(
                "offset_step_ms is not more than twice clock_tolerance_ms, so any offset would fit.",
                mend="Make clock_tolerance_ms smaller.",
            )
        if min(self.offset_points, self.frozen_points, self.max_slots, self.max_episodes_per_bit) < 1:
            raise SettingsError(
                "offset_points, frozen_points, max_slots and max_episodes_per_bit start at 1.",
                mend="Give 1 or more for each.",
            )
        if self.offset_points > 100 or self.frozen_points > 250 or self.max_slots > 1 << 30:
            raise SettingsError(
                "offset_points, frozen_points or max_slots is too large.", mend="Give at most 100, 250 and 2^30."
            )
        # Offsets are kept as multiples of the step in one byte.
        if self.max_offset_ms > 120 * self.offset_step_ms:
            raise SettingsError(
                "max_offset_ms is more than 120 steps.", mend="Make offset_step_ms larger or max_offset_ms smaller."
            )
