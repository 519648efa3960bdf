"""An installation: somebody fits a device and sees that it works. Which steps its live test has, and how far they are.

Pure. Invariants: a step that was seen stays seen; an installation is open for `WINDOW_MS` from its beginning; a press of the
device's button is a test only while somebody has said that he is about to press (`ARMED_MS`), and only until `CONFIRM_MS` after
it came in: whoever pressed says so by then, or it is an alarm like any other (docs/design/registration.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from model.codes import Word
from model.device import Kind

#: A technician sees the device that he installs for so long (trust.md, roles).
WINDOW_MS = 30 * 60_000
#: So long after somebody said that he is about to press, presses are marked as tests.
ARMED_MS = 5 * 60_000
#: So long after a marked press came in it is quiet; then it is an alarm like any other.
CONFIRM_MS = 120_000
#: An installation that is not done may be opened again by who began it, so often and for so long after its beginning.
MAX_RENEWALS = 3
RENEW_WITHIN_MS = 24 * 3_600_000
#: Kinds of alarm that a person raises by pressing something.
PRESSED_KINDS = frozenset({"sos", "one_key", "duress"})


class Step(StrEnum):
    """What a live test sees."""

    REPORT = "report"
    FIX = "fix"
    BUTTON = "button"
    PICTURE = "picture"


STEP_WORDS: dict[Step, Word] = {
    Step.REPORT: Word("first report", "首次上报"),
    Step.FIX: Word("fix", "定位"),
    Step.BUTTON: Word("button", "按钮"),
    Step.PICTURE: Word("camera picture", "摄像头画面"),
}

#: What each kind of device has to show; a picture only where a camera is bound or the device is one.
NEEDS: dict[Kind, tuple[Step, ...]] = {
    Kind.TAXI: (Step.REPORT, Step.FIX, Step.BUTTON, Step.PICTURE),
    Kind.EBIKE: (Step.REPORT, Step.FIX),
    Kind.BUTTON: (Step.REPORT, Step.BUTTON, Step.PICTURE),
    Kind.CAMERA: (Step.PICTURE,),
    Kind.READER: (Step.REPORT,),
    Kind.UNIT: (Step.REPORT, Step.FIX, Step.BUTTON),
    Kind.GATEWAY: (Step.REPORT,),
}


def needs(kind: Kind, *, cameras: bool) -> tuple[Step, ...]:
    """The steps of a live test of such a device; `cameras`: whether one is bound to it or its site."""
    return tuple(step for step in NEEDS[kind] if step is not Step.PICTURE or kind is Kind.CAMERA or cameras)


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation.

    Attributes:
        id: unique for ever.
        device: what is installed. by: who installs it.
        how: `register`, `swap` or `again`.
        began_ms: when; opened_ms: when it was last opened (again); renewals: how often it was.
        ended_ms: 0 while open. note: what was said at its end.
        lat, lon, acc_m: where the installer's phone was, None where it did not say.
        seen_ms: when each step was seen, our clock.
        skipped: steps that its installer said the device has not.
        armed_ms: until when presses are tests, 0 never. alarm: the test's alarm, "" none yet.
    """

    id: str
    device: str
    by: str
    how: str
    began_ms: int
    opened_ms: int
    renewals: int = 0
    ended_ms: int = 0
    note: str = ""
    lat: float | None = None
    lon: float | None = None
    acc_m: float | None = None
    seen_ms: Mapping[Step, int] = field(default_factory=dict)
    skipped: tuple[Step, ...] = ()
    armed_ms: int = 0
    alarm: str = ""

    @property
    def until_ms(self) -> int:
        """End of its window."""
        return self.opened_ms + WINDOW_MS

    def is_open(self, now_ms: int) -> bool:
        """Whether its installer may look at the device now."""
        return not self.ended_ms and now_ms < self.until_ms

    def missing(self, wanted: tuple[Step, ...]) -> tuple[Step, ...]:
        """Of `wanted`, what was neither seen nor skipped."""
        return tuple(step for step in wanted if step not in self.seen_ms and step not in self.skipped)


@dataclass(frozen=True, slots=True)
class TestPress:
    """A window in which presses of a device are marked as tests."""

    __test__ = False  # no test of pytest's

    device: str
    by: str
    from_ms: int
    until_ms: int

    def marks(self, kind: str, received_ms: int) -> bool:
        """Whether a press of that kind which came in then is a test."""
        return kind in PRESSED_KINDS and self.from_ms <= received_ms < self.until_ms
