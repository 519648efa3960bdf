"""The whole data path, as literal lists. Start reading here.

What comes in is decoded and made durable; only then is it acknowledged (`inbound`). What is in the
log is judged in columns and kept (`pipeline`). What cameras send is kept and looked at in processes of
their own (`from_camera`); what they notice comes back as signals in the alarms' log. The lists are run as they stand: a stage that is
not in a list does not happen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from analytics.clean import clean
from analytics.clock import set_clocks
from analytics.gaps import count_gaps
from analytics.order import order
from analytics.rise import rise
from analytics.validate import validate
from lucheng.steps import Stage, Steps, Work

if TYPE_CHECKING:
    from analytics.step import Step
    from lucheng.inbound import Arrival, Inbound
    from lucheng.video.watched_camera import WatchedCamera
    from model.video import Packet


def inbound(way: Inbound) -> list[tuple[str, Callable[[Arrival], None]]]:
    """From a list of messages to the log; the broker is acknowledged when the log says durable."""
    return [
        ("decode: messages ▸ columns, what is wrong ▸ quarantine", way.decode),
        ("pack: columns ▸ records of the log", way.pack),
        ("log: group commit, then acknowledge", way.commit),
    ]


def from_terminals(way: Inbound) -> list[tuple[str, Callable[[Arrival], None]]]:
    """The same for what the gateway decoded itself, frame by frame of many terminals at once."""
    return [
        ("pack: columns ▸ records of the log", way.pack),
        ("log: group commit, then answer the terminals", way.commit),
    ]


def from_camera(way: WatchedCamera) -> list[tuple[str, Callable[[Packet], None]]]:
    """The way of a camera's packet in its video worker; where masks are set, what comes here is masked already."""
    return [
        ("ring: the last seconds, compressed, from a keyframe on; clips and snapshots come from here", way.keep),
        ("record: segments on the disk, where the settings say so", way.record),
        ("show: fragments for whoever watches live", way.show),
        ("see: packet gate ▸ policy ▸ decode ▸ thumbnail ▸ motion, health, objects, zones, lines ▸ signals", way.see),
    ]


def pipeline(steps: Steps) -> list[Stage]:
    """From the log to the stores; one run takes a few thousand rows and leaves one `Outcome`."""
    return [
        *judging(steps),
        Stage("settle", "late ones that only the store can know are looked up", steps.settle),
        Stage("signal", "what else rose ▸ signals ▸ alarms on the desk, each once; what fell ▸ cleared", steps.signal),
        Stage("store", "points, counters, quarantine and position in one commit", steps.store),
    ]


def ahead(steps: Steps) -> list[Stage]:
    """The same for a copy of the state while the store waits for its server: alarms are told, nothing is kept."""
    return [
        *judging(steps),
        Stage(
            "tell", "what the rules found ▸ signals ▸ alarms on the desk, each once; what fell ▸ cleared", steps.tell
        ),
    ]


def judging(steps: Steps) -> list[Stage]:
    """What moves the state, and asks nobody."""
    now, limits = steps.analysis, steps.analysis.limits
    return [
        Stage("unpack", "records of the log ▸ one batch of columns", steps.unpack),
        Stage("validate", "impossible values ▸ quarantine", judge(lambda step: validate(step, limits))),
        Stage("clock", "device clocks set right or named", judge(lambda step: set_clocks(step, now.state, limits))),
        Stage(
            "order",
            "by (device, time, seq); known ones ▸ duplicate; late marked",
            judge(lambda step: order(step, now.state)),
        ),
        Stage("gaps", "points lost on the way counted", judge(lambda step: count_gaps(step, now.state, limits))),
        Stage("clean", "jumps, frozen clocks, lost fixes marked", judge(lambda step: clean(step, now.state, limits))),
        Stage("rise", "alarm bits that rose", judge(lambda step: rise(step, now.state, limits))),
        Stage(
            "ring", "bits that rose and wait for nobody's answer ▸ signals ▸ the desk, ahead of the rest", steps.ring
        ),
        Stage(
            "rules", "what the points, statuses and seconds mean: fences, trips, every rule of the table", steps.rules
        ),
    ]


def judge(run: Callable[[Step], None]) -> Callable[[Work], None]:
    """A stage of the pure analytics as a stage of the pipeline; nothing to do where there are no points."""

    def stage(work: Work) -> None:
        if work.step is not None:
            run(work.step)

    return stage
