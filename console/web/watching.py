"""What one open stream of events may see: its viewport, asked for, allowed, noted, and taken away again.

Invariants: nothing is shown before the audit has a row that covers it (a viewport is noted with half its size around it, so that
moving the map a little is no new row; what it follows is noted by name); an e-bike is followed only while `console.ebikes`
allows it for the purpose with which the stream was opened; a stream's viewport is set by whoever opened it and by nobody
else. It sends nothing.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from console.device_operations import Caller
from console.ebikes import OpenCases, is_ebike, shows_ebike
from console.web.plane import Box, checked_zoom
from console.web.positions import SHOWN_KINDS, Positions
from console.web.views import Board, View, Viewport
from model.device import check_device_id
from model.errors import LuchengError, NotFound, Refused, TryAgain, UsageError
from model.grant import Purpose
from store.audit import purpose_text

if TYPE_CHECKING:
    from model.clock import Clock
    from model.seams import Audit

DEFAULT_MAX_FOLLOW = 16
DEFAULT_MAX_CHANGES_PER_S = 10
#: A viewport is noted in the audit with so much of its own size on each side.
AUDITED_MARGIN = 0.5
#: Names of the routes, as the table of permissions has them.
EVENTS_ROUTE, VIEWPORT_ROUTE = "events", "events_viewport"


class Visitor(Protocol):
    """Who asks, as the console's accounts know him; kept as long as a stream is open."""

    @property
    def caller(self) -> Caller:
        """His name and role when he asked."""
        ...

    def may(self, route: str) -> bool:
        """Whether he still may, asked anew: his session stands, and his role has the route. Any thread."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A viewport as it is asked for."""

    bbox: Sequence[float]
    zoom: float
    kinds: Sequence[str] = tuple(kind.value for kind in SHOWN_KINDS)
    follow: Sequence[str] = ()


class Watched:
    """One stream's viewport. Its methods are called by one thread at a time (`lock`), but for `view` and `seen`.

    Attributes:
        id: names the stream to the one who opened it; not to be guessed.
        view, seen: what is shown, and the number of the frame that was sent last; for the stream's own loop.
    """

    def __init__(self, visitor: Visitor, purpose: Purpose, *, said: bool) -> None:
        self.id = secrets.token_urlsafe(18)
        self.visitor = visitor
        self.purpose = purpose
        self.said = said
        self.lock = threading.Lock()
        self.wanted: View | None = None
        self.names: dict[int, str] = {}
        self.view: View | None = None
        self.seen = 0
        self.covered: tuple[Box, frozenset[str], frozenset[str]] | None = None
        self.changes: list[float] = []
        self.over = False


class Permits:
    """Decides what a stream's viewport may be.

    Args:
        board, positions: what is shown.
        audit: where it is noted first.
        open_cases: of an e-bike.
        default_purpose: of a stream for which none was given.
        clock: source of time.
        max_follow: devices that one stream follows.
        max_changes_per_s: how often a stream's viewport may change.
    """

    def __init__(
        self,
        board: Board,
        positions: Positions,
        *,
        audit: Audit,
        open_cases: OpenCases,
        default_purpose: str,
        clock: Clock,
        max_follow: int = DEFAULT_MAX_FOLLOW,
        max_changes_per_s: int = DEFAULT_MAX_CHANGES_PER_S,
    ) -> None:
        self._board = board
        self._positions = positions
        self._audit = audit
        self._open_cases = open_cases
        self._default_purpose = default_purpose
        self._clock = clock
        self._max_follow = max_follow
        self._max_changes_per_s = max_changes_per_s

    def watched(self, visitor: Visitor, purpose: str | None) -> Watched:
        """For a new stream. Raises UsageError (no purpose)."""
        return Watched(visitor, Purpose.parse(purpose or self._default_purpose), said=purpose is not None)

    def set(self, watched: Watched, visitor: Visitor, wanted: Wanted, put: Callable[[View], None]) -> list[str]:
        """Give the stream a viewport: allowed, noted, then `put`; what it follows. May be called on any thread.

        Raises UsageError, NotFound (a device that is followed), Refused (an e-bike), TryAgain (too often), AuditUnwritable.
        """
        caller = visitor.caller
        with watched.lock:
            if watched.over:
                raise no_such_stream()
            self._check_rate(watched)
            box, zoom = Box.of(wanted.bbox), checked_zoom(wanted.zoom)
            kinds = _kinds(wanted.kinds)
            names = self._followed(watched, caller, wanted.follow)
            self._note(watched, caller, box, kinds, names)
            viewport = Viewport(box, zoom, kinds, tuple(sorted(names)), watched.said)
            self._show(watched, viewport, names, put)
            return sorted(names.values())

    def recheck(self, watched: Watched, put: Callable[[View], None]) -> bool:
        """Take away what may not be shown any more; False when the stream itself may not go on."""
        if not _may(watched.visitor, EVENTS_ROUTE):
            return False
        with watched.lock:
            view = watched.wanted
            if view is None or watched.over:
                return True
            if not _may(watched.visitor, VIEWPORT_ROUTE):
                return False
            kept = {slot: name for slot, name in watched.names.items() if self._allowed(watched, name)}
            if len(kept) < len(watched.names):
                self._show(watched, replace(view.viewport, follow=tuple(sorted(kept))), kept, put)
        return True

    def leave(self, watched: Watched) -> None:
        """The stream has ended."""
        with watched.lock:
            watched.over = True
            if watched.wanted is not None:
                self._board.leave(watched.wanted)
                watched.wanted = None

    def _show(self, watched: Watched, viewport: Viewport, names: dict[int, str], put: Callable[[View], None]) -> None:
        before = watched.wanted
        if before is not None and before.viewport == viewport:
            return
        view = self._board.join(viewport)
        watched.wanted, watched.names = view, names
        if before is not None:
            self._board.leave(before)
        put(view)

    def _check_rate(self, watched: Watched) -> None:
        now_s = self._clock.monotonic_s()
        watched.changes = [at for at in watched.changes if at > now_s - 1.0]
        if len(watched.changes) >= self._max_changes_per_s:
            raise TryAgain(
                f"The viewport changed {self._max_changes_per_s} times within a second.", mend="Say the last one again."
            )
        watched.changes.append(now_s)

    def _followed(self, watched: Watched, caller: Caller, devices: Sequence[str]) -> dict[int, str]:
        """Name by slot."""
        if len(devices) > self._max_follow:
            raise UsageError(f"{len(devices)} devices are followed.", mend=f"Follow {self._max_follow} at most.")
        names: dict[int, str] = {}
        for device in devices:
            slot = self._positions.directory.slot(check_device_id(device))
            if slot is None:
                raise NotFound(f"{device} is not registered.", mend="Follow devices of the list.")
            if not self._allowed(watched, device):
                self._audit.append(
                    caller.who, caller.role, "read.refused", device, purpose_text(watched.purpose), {"via": caller.via}
                )
                raise Refused(
                    f"The place of {device} is its owner's.",
                    mend="Open the stream with the purpose case:CASE of its open case.",
                )
            names[slot] = device
        return names

    def _allowed(self, watched: Watched, device: str) -> bool:
        if not is_ebike(device):
            return True
        try:
            return watched.said and shows_ebike(device, watched.purpose, self._open_cases)
        except LuchengError:
            return False

    def _note(self, watched: Watched, caller: Caller, box: Box, kinds: tuple[str, ...], names: dict[int, str]) -> None:
        """Note what is going to be shown, unless the stream's last row covers it."""
        kind_set, name_set = frozenset(kinds), frozenset(names.values())
        if watched.covered is not None:
            noted, noted_kinds, noted_names = watched.covered
            if noted.holds(box) and kind_set <= noted_kinds and name_set <= noted_names:
                return
        around = box.grown(AUDITED_MARGIN)
        detail = {
            "via": caller.via,
            "bbox": [round(value, 5) for value in around],
            "kinds": sorted(kind_set),
            "follow": sorted(name_set),
        }
        target = ",".join(sorted(name_set)) or "*"
        self._audit.append(caller.who, caller.role, "read.live_map", target, purpose_text(watched.purpose), detail)
        watched.covered = around, kind_set, name_set


def no_such_stream() -> NotFound:
    """The same for one that never was, is over, or is somebody else's."""
    return NotFound("There is no such stream.", mend="Open the events again; their hello names it.")


def _kinds(given: Sequence[str]) -> tuple[str, ...]:
    known = [kind.value for kind in SHOWN_KINDS]
    for kind in given:
        if kind not in known:
            raise UsageError(
                f"{kind[:40]!r} is no kind that the map shows moving.",
                mend=f"Use {', '.join(known)}; an e-bike is followed by its id.",
            )
    return tuple(kind for kind in known if kind in given)


def _may(visitor: Visitor, route: str) -> bool:
    """Whether he may; no when it cannot be told."""
    try:
        return visitor.may(route)
    except LuchengError:
        return False
