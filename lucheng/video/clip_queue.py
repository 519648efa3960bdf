"""Which clips and snapshots are made next: shared, bounded, severity 1 first.

Invariants: what waits and what is being made is bounded by number, whatever comes; a piece of severity 1 gives way to
none, and a piece of another gives way only to one that is more severe; half of what is made at a time is kept for severity
1; several alarms that want about the same of a camera share one piece; each alarm that was let in is handed out again
exactly once: with its piece, or as left out. It makes nothing and reads no clock. Any thread may call anything.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from devices.nearby import NearCamera

DEFAULT_MAX_WAITING = 400
DEFAULT_MAX_AT_ONCE = 16
DEFAULT_MAX_LENGTH_MS = 300_000
#: Alarms that share one piece.
DEFAULT_MAX_SHARED = 1_000
#: An alarm is content with a clip that is being made already when it holds its moment and so much of its window.
SHARED_PART = 0.6
#: … and with a snapshot that was asked for so shortly before.
SHARED_SNAPSHOT_MS = 2_000


class Kind(Enum):
    """What is made."""

    SNAPSHOT = "snapshot"
    CLIP = "clip"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An alarm's lap that wants a piece."""

    alarm: str
    lap: int
    severity: int


@dataclass(eq=False, slots=True)
class Piece:
    """One clip or snapshot.

    Attributes:
        kind, camera: of what.
        from_ms, to_ms: its window, UTC ms; of a snapshot both are the alarm's moment.
        wanted: by whom, the first asked first.
        severity: the highest (lowest number) of them.
        number: grows with every piece.
        late: what it shows is past, after a restart: recordings are looked at first.
        not_before_ms: it is not begun before, UTC ms.
        until_s: monotonic time at which it is given up; set by who makes it.
    """

    kind: Kind
    camera: NearCamera
    from_ms: int
    to_ms: int
    wanted: list[Wanted]
    severity: int
    number: int = 0
    late: bool = False
    not_before_ms: int = 0
    until_s: float = 0.0
    state: str = "waiting"


@dataclass(slots=True)
class Answer:
    """What became of a wish: `how` is `queued`, `shared` or the reason why it was left out; `out` were pushed out for it."""

    how: str
    out: list[Piece] = field(default_factory=list)

    @property
    def taken(self) -> bool:
        """Whether it will be made."""
        return self.how in ("queued", "shared")


class ClipQueue:
    """See the module.

    Args:
        max_waiting: pieces of each kind that wait.
        max_at_once: pieces of each kind that are being made.
        max_length_ms: longest clip, also of several alarms together.
        max_shared: alarms that share one piece.
    """

    def __init__(
        self,
        *,
        max_waiting: int = DEFAULT_MAX_WAITING,
        max_at_once: int = DEFAULT_MAX_AT_ONCE,
        max_length_ms: int = DEFAULT_MAX_LENGTH_MS,
        max_shared: int = DEFAULT_MAX_SHARED,
    ) -> None:
        self._max_waiting = max_waiting
        self._max_at_once = max_at_once
        self._max_lower = max_at_once - max_at_once // 2
        self._max_length_ms = max_length_ms
        self._max_shared = max_shared
        self._lock = threading.Lock()
        self._heaps: dict[Kind, list[tuple[int, int, Piece]]] = {kind: [] for kind in Kind}
        self._of_camera: dict[tuple[Kind, str], list[Piece]] = {}
        self._waiting: Counter[tuple[Kind, int]] = Counter()
        self._making: dict[Kind, set[Piece]] = {kind: set() for kind in Kind}
        self._number = 0

    def sizes(self) -> dict[str, int]:
        """How many wait and are being made, by kind."""
        with self._lock:
            found = {f"{kind.value}s_waiting": self._count(kind) for kind in Kind}
            return found | {f"{kind.value}s_being_made": len(self._making[kind]) for kind in Kind}

    def add(self, piece: Piece, moment_ms: int) -> Answer:
        """Let a wish in, by one alarm whose moment lies at `moment_ms`; see the module."""
        with self._lock:
            shared = self._shared(piece, moment_ms)
            if shared is not None:
                if len(shared.wanted) >= self._max_shared:
                    return Answer("shared_by_too_many")
                self._join(shared, piece)
                return Answer("shared")
            out: list[Piece] = []
            if self._count(piece.kind) >= self._max_waiting:
                weakest = self._weakest(piece)
                if weakest is None:
                    return Answer("too_many_waiting")
                self._forget(weakest)
                out.append(weakest)
            self._number += 1
            piece.number = self._number
            self._of_camera.setdefault((piece.kind, piece.camera.device), []).append(piece)
            self._waiting[piece.kind, piece.severity] += 1
            heapq.heappush(self._heaps[piece.kind], (piece.severity, piece.number, piece))
            return Answer("queued", out)

    def next(self, kind: Kind, now_ms: int) -> Piece | None:
        """The next to be made, counted as being made from here on; None when none may be begun now."""
        heap, making = self._heaps[kind], self._making[kind]
        early: list[tuple[int, int, Piece]] = []
        found: Piece | None = None
        with self._lock:
            lower = sum(1 for one in making if one.severity > 1)
            while heap and len(making) < self._max_at_once and found is None:
                entry = heapq.heappop(heap)
                severity, _, piece = entry
                if piece.state != "waiting" or piece.severity != severity:
                    continue  # it went, or its severity changed and it stands here twice
                if severity > 1 and lower >= self._max_lower:
                    early.append(entry)
                    break
                if piece.not_before_ms > now_ms:
                    early.append(entry)
                    continue
                found = piece
            for entry in early:
                heapq.heappush(heap, entry)
            if found is not None:
                self._waiting[kind, found.severity] -= 1
                found.state = "making"
                making.add(found)
        return found

    def end(self, piece: Piece) -> list[Wanted] | None:
        """It was made, or cannot be: nobody joins it any more. By whom it was wanted; None when it had ended before."""
        with self._lock:
            if piece.state != "making":
                return None
            piece.state = "ended"
            self._unshare(piece)
            return piece.wanted

    def free(self, piece: Piece) -> None:
        """Another may be begun in its place."""
        with self._lock:
            self._making[piece.kind].discard(piece)

    def overdue(self, now_s: float) -> list[Piece]:
        """Those being made whose time is up."""
        with self._lock:
            return [
                one
                for pieces in self._making.values()
                for one in pieces
                if one.state == "making" and now_s > one.until_s
            ]

    def withdraw(self, alarm: str) -> int:
        """The alarm wants nothing any more of what only waits; from how many pieces it was taken."""
        count = 0
        with self._lock:
            waiting = [one for heap in self._heaps.values() for _, _, one in heap if one.state == "waiting"]
            for piece in {id(one): one for one in waiting}.values():
                left = [one for one in piece.wanted if one.alarm != alarm]
                if len(left) == len(piece.wanted):
                    continue
                count += 1
                piece.wanted = left
                if left:
                    self._rank(piece, min(one.severity for one in left))
                else:
                    self._forget(piece)
        return count

    def drain(self) -> list[Piece]:
        """Everything that waits, taken out."""
        with self._lock:
            waiting = [one for heap in self._heaps.values() for _, _, one in heap if one.state == "waiting"]
            found = list({id(one): one for one in waiting}.values())
            for piece in found:
                self._forget(piece)
            return found

    def _count(self, kind: Kind) -> int:
        return sum(self._waiting[kind, severity] for severity in (1, 2, 3))

    def _shared(self, piece: Piece, moment_ms: int) -> Piece | None:
        for one in self._of_camera.get((piece.kind, piece.camera.device), ()):
            if piece.kind is Kind.SNAPSHOT:
                if abs(one.from_ms - moment_ms) <= SHARED_SNAPSHOT_MS:
                    return one
            elif one.state == "waiting":
                overlap = piece.from_ms <= one.to_ms and piece.to_ms >= one.from_ms
                length_ms = max(piece.to_ms, one.to_ms) - min(piece.from_ms, one.from_ms)
                if overlap and length_ms <= self._max_length_ms:
                    return one
            elif one.from_ms <= moment_ms <= one.to_ms:
                overlap_ms = min(piece.to_ms, one.to_ms) - max(piece.from_ms, one.from_ms)
                if overlap_ms >= SHARED_PART * (piece.to_ms - piece.from_ms):
                    return one
        return None

    def _join(self, one: Piece, piece: Piece) -> None:
        one.wanted.extend(piece.wanted)
        if one.state != "waiting":
            return
        if one.kind is Kind.CLIP:
            one.from_ms, one.to_ms = min(one.from_ms, piece.from_ms), max(one.to_ms, piece.to_ms)
            one.late = one.late and piece.late
            one.not_before_ms = min(one.not_before_ms, piece.not_before_ms)
        self._rank(one, min(one.severity, piece.severity))

    def _rank(self, one: Piece, severity: int) -> None:
        """It is as severe as that from now on; where it stood before it is passed over."""
        if severity == one.severity:
            return
        self._waiting[one.kind, one.severity] -= 1
        one.severity = severity
        self._waiting[one.kind, one.severity] += 1
        heapq.heappush(self._heaps[one.kind], (one.severity, one.number, one))

    def _weakest(self, piece: Piece) -> Piece | None:
        """The newest of the least severe that wait, when it is less severe than `piece`."""
        worst = max((severity for severity in (1, 2, 3) if self._waiting[piece.kind, severity]), default=0)
        if worst <= piece.severity:
            return None
        waiting: Iterable[Piece] = (
            one
            for severity, _, one in self._heaps[piece.kind]
            if one.state == "waiting" and severity == one.severity == worst
        )
        return max(waiting, key=lambda one: one.number)

    def _forget(self, piece: Piece) -> None:
        piece.state = "ended"
        self._waiting[piece.kind, piece.severity] -= 1
        self._unshare(piece)
        heap = self._heaps[piece.kind]
        if len(heap) > 4 * self._max_waiting + 16:
            heap[:] = [entry for entry in heap if entry[2].state == "waiting" and entry[0] == entry[2].severity]
            heapq.heapify(heap)

    def _unshare(self, piece: Piece) -> None:
        key = piece.kind, piece.camera.device
        left = [one for one in self._of_camera.get(key, ()) if one is not piece]
        if left:
            self._of_camera[key] = left
        else:
            self._of_camera.pop(key, None)
