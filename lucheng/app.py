"""The whole data path, as two literal lists. Start reading here.

What comes in is decoded and made durable; only then is it acknowledged (`inbound`). What is in the
log is judged in columns and kept (`pipeline`). Both lists are run as they stand: a stage that is
not in a list does not happen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lucheng.inbound import Arrival, Inbound
from lucheng.steps import Stage, Steps, Work

if TYPE_CHECKING:
    from collections.abc import Callable


def inbound(way: Inbound) -> list[tuple[str, Callable[[Arrival], None]]]:
    """From a list of messages to the log; the broker is acknowledged when the log says durable."""
    return [
        ("decode: messages ▸ columns, what is wrong ▸ quarantine", way.decode),
        ("pack: columns ▸ records of the log", way.pack),
        ("log: group commit, then acknowledge", way.commit),
    ]


def pipeline(steps: Steps) -> list[Stage]:
    """From the log to the stores; one run takes a few thousand rows and leaves one `Outcome`."""
    return [
        Stage("unpack", "records of the log ▸ one batch of columns", steps.unpack),
        Stage("validate", "impossible values ▸ quarantine; device clocks set right", steps.validate),
        Stage("order", "by (device, time, seq); known ones ▸ duplicate; late ones marked", steps.order),
        Stage("settle", "late ones that only the store can know are looked up", steps.settle),
        Stage("clean", "jumps, frozen clocks, lost fixes marked", steps.clean),
        Stage("rise", "alarm bits that rose ▸ signals", steps.rise),
        Stage("signal", "signals kept in the desk's file, each once", steps.signal),
        Stage("store", "points, counters, quarantine and position in one commit", steps.store),
    ]


__all__ = ["Work", "inbound", "pipeline"]
