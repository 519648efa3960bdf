"""`ClipKeeper`: what was made for alarms becomes their evidence; what was not is written down, once.

Invariants: one piece is one file, and a row for each alarm that wanted it; whatever an alarm lacks stands in the audit
(`clip.missing`) and, of the newest alarms, in memory for whoever shows the alarm; nothing that fails here ends the
service. It runs on a thread of its own, since a disk may be slow; it asks no camera.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lucheng.logs import logger
from lucheng.video.clip_queue import Kind, Piece, Wanted
from model.alarm import SYSTEM
from model.errors import AuditUnwritable, LuchengError
from model.evidence import NewEvidence
from store.audit import NewAuditRow

if TYPE_CHECKING:
    from lucheng.video.seams import ClipAudit, RecordedClips
    from model.clock import Clock
    from model.video import Clip
    from store.evidence.folder import EvidenceFolder

#: Rows of the audit written at a time, and those that wait for it at most.
AUDIT_ROWS = 200
DEFAULT_MAX_UNWRITTEN = 50_000
#: Alarms whose clips are known in memory, of severity 1 and of the others each.
DEFAULT_MAX_KNOWN = 5_000
#: Rows of evidence made in one transaction.
SHARED_ROWS = 200
#: How often the audit is tried.
_EVERY_S = 0.5
_MAX_WHY_CHARS = 200

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class ClipNote:
    """How it stands with one clip or snapshot of an alarm.

    Attributes:
        camera: device id. kind: `clip` or `snapshot`.
        state: `waiting`, `kept` or `missing`.
        why: it is missing, or what of it is.
        evidence: its id, "" until it is kept and for those that share it.
    """

    camera: str
    kind: str
    state: str
    why: str = ""
    evidence: str = ""


_Notes = OrderedDict[str, dict[tuple[str, str], ClipNote]]


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a piece: its bytes or None, when it was taken, and what is missing."""

    piece: Piece
    wanted: list[Wanted]
    data: bytes | None
    time_ms: int
    note: str


def source_of(wanted: Wanted) -> str:
    """`clip:A2026-000001:1`: what the evidence of an alarm's lap says of where it comes from."""
    return f"clip:{wanted.alarm}:{wanted.lap}"


class ClipKeeper:
    """See the module.

    Args:
        evidence: where it is kept.
        audit: where it is written down.
        recorded: where a clip may be found that could not be made; None: nothing is recorded.
        clock: source of time.
        freed: called after each piece: another may be begun.
        ask: makes a clip of the past that is not recorded after all.
        found: takes one that is.
        max_unwritten, max_known: see the constants.
    """

    def __init__(
        self,
        evidence: EvidenceFolder,
        audit: ClipAudit,
        recorded: RecordedClips | None,
        clock: Clock,
        *,
        freed: Callable[[Piece], None],
        ask: Callable[[Piece], None],
        found: Callable[[Piece, Clip, str], None],
        max_unwritten: int = DEFAULT_MAX_UNWRITTEN,
        max_known: int = DEFAULT_MAX_KNOWN,
    ) -> None:
        self._evidence = evidence
        self._audit = audit
        self._recorded = recorded
        self._clock = clock
        self._freed = freed
        self._ask = ask
        self._found = found
        self._max_unwritten = max_unwritten
        self._max_known = max_known
        self._ready = threading.Condition()
        self._work: deque[Made | Piece] = deque()
        self._rows: deque[NewAuditRow] = deque()
        # alarms of severity 1 apart, so that no storm of others makes them forgotten
        self._known: tuple[_Notes, _Notes] = (OrderedDict(), OrderedDict())
        self._counts: Counter[str] = Counter()
        self._stopping = False
        self._busy = False
        self._tried_at_s = float("-inf")
        self._unaudited = False
        self._thread = threading.Thread(target=self._loop, name="clips-keep", daemon=True)

    def start(self) -> None:
        """Keep until `stop`."""
        self._thread.start()

    def stop(self, *, drain_s: float) -> None:
        """Keep and write down what is there, then end."""
        with self._ready:
            self._stopping = True
            self._ready.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=drain_s)

    def keep(self, made: Made) -> None:
        """Something was made, or was not; from any thread, never blocks."""
        with self._ready:
            self._work.append(made)
            self._ready.notify_all()

    def look_up(self, piece: Piece) -> None:
        """Look among the recordings before a camera is asked."""
        with self._ready:
            self._work.append(piece)
            self._ready.notify_all()

    def waits(self, wanted: Wanted, camera: str, kind: Kind) -> None:
        """An alarm's wish was let in."""
        self._know((wanted,), ClipNote(camera, kind.value, "waiting"))

    def missing(self, wanted: Iterable[Wanted], kind: Kind, cameras: list[str], why: str) -> None:
        """These alarms do not have this; from any thread, never blocks."""
        why = why[:_MAX_WHY_CHARS]
        asked = list(wanted)
        for camera in cameras:
            self._know(asked, ClipNote(camera, kind.value, "missing", why))
        self._note(asked, {"cameras": cameras, "what": kind.value, "why": why})

    def notes_of(self, alarm: str) -> list[ClipNote]:
        """How it stands with the clips of one of the newest alarms, by camera and kind; nothing of an older one."""
        with self._ready:
            return [note for known in self._known for _, note in sorted(known.get(alarm, {}).items())]

    def counts(self) -> dict[str, int]:
        """What was kept, shared and missing since the start, and what waits for the audit."""
        with self._ready:
            return {**self._counts, "notes_waiting": len(self._rows)}

    def wait_idle(self, timeout_s: float) -> bool:
        """Sleep until everything is kept and written down; False when the time is over."""
        with self._ready:
            return self._ready.wait_for(lambda: not (self._work or self._rows or self._busy), timeout_s)

    # -- the thread ---------------------------------------------------------------------------

    def _loop(self) -> None:
        while True:
            with self._ready:
                self._busy = False
                self._ready.notify_all()
                self._ready.wait_for(lambda: bool(self._work) or self._stopping or self._due(), _EVERY_S)
                found = self._work.popleft() if self._work else None
                stopping = self._stopping
                self._busy = True
            if found is not None:
                self._take(found)
            elif stopping:
                break
            self._write_rows()
        self._write_rows(now=True)
        with self._ready:
            self._busy = False
            self._ready.notify_all()

    def _due(self) -> bool:
        return bool(self._rows) and self._clock.monotonic_s() - self._tried_at_s >= _EVERY_S

    def _take(self, found: Made | Piece) -> None:
        try:
            if isinstance(found, Made):
                self._keep(found)
            else:
                self._look_up(found)
        except Exception as error:  # one piece must not stop the others, nor the service
            _log.error("a clip was not kept", error=str(error), exc_info=not isinstance(error, LuchengError))
            self._count("failed")
            if isinstance(found, Made):
                self.missing(found.wanted, found.piece.kind, [found.piece.camera.device], "it could not be kept")
        finally:
            if isinstance(found, Made):
                self._freed(found.piece)

    def _look_up(self, piece: Piece) -> None:
        clip = self._from_recordings(piece, piece.wanted[0].alarm)
        if clip is None:
            self._ask(piece)
        else:
            self._found(piece, clip, clip.note)

    def _keep(self, made: Made) -> None:
        piece, data, time_ms, note = made.piece, made.data, made.time_ms, made.note
        if data is None and piece.kind is Kind.CLIP:
            clip = self._from_recordings(piece, made.wanted[0].alarm)
            if clip is not None:
                data, time_ms, note = clip.data, clip.from_ms, clip.note
        camera = piece.camera
        if data is None:
            self._count(f"{piece.kind.value}s_missing", len(made.wanted))
            self.missing(made.wanted, piece.kind, [camera.device], note or "it could not be made")
            return
        first, *others = made.wanted
        try:
            kept = self._evidence.put(
                NewEvidence(
                    device=camera.device,
                    kind="video" if piece.kind is Kind.CLIP else "image",
                    format="mp4" if piece.kind is Kind.CLIP else "jpg",
                    data=data,
                    time_ms=time_ms,
                    received_ms=self._clock.now_ms(),
                    lat=camera.lat,
                    lon=camera.lon,
                    event="alarm",
                    source=source_of(first),
                    alarm=first.alarm,
                )
            )
            for start in range(0, len(others), SHARED_ROWS):
                uses = [(source_of(one), one.alarm) for one in others[start : start + SHARED_ROWS]]
                self._evidence.share(kept.id, uses)
        except LuchengError as error:
            _log.error("a clip cannot be kept", camera=camera.device, error=error.message)
            self._count(f"{piece.kind.value}s_missing", len(made.wanted))
            self.missing(made.wanted, piece.kind, [camera.device], f"it cannot be kept: {error.message}")
            return
        self._count(f"{piece.kind.value}s_kept")
        self._count(f"{piece.kind.value}s_shared", len(others))
        self._know((first,), ClipNote(camera.device, piece.kind.value, "kept", note, kept.id))
        self._know(others, ClipNote(camera.device, piece.kind.value, "kept", note))
        if note:
            what = f"part of the {piece.kind.value}"
            self._note(made.wanted, {"cameras": [camera.device], "what": what, "why": note[:_MAX_WHY_CHARS]})

    def _from_recordings(self, piece: Piece, alarm: str) -> Clip | None:
        if self._recorded is None:
            return None
        try:
            return self._recorded.clip(piece.camera.device, piece.from_ms, piece.to_ms, alarm=alarm)
        except LuchengError as error:
            _log.warning("recordings do not help", camera=piece.camera.device, error=error.message)
            return None

    # -- what is missing ----------------------------------------------------------------------

    def _know(self, wanted: Iterable[Wanted], note: ClipNote) -> None:
        with self._ready:
            for one in wanted:
                known = self._known[one.severity > 1]
                notes = known.setdefault(one.alarm, {})
                notes[note.camera, note.kind] = note
                known.move_to_end(one.alarm)
                if len(known) > self._max_known:
                    known.popitem(last=False)

    def _note(self, wanted: Iterable[Wanted], detail: dict[str, object]) -> None:
        rows = [
            NewAuditRow(SYSTEM, SYSTEM, "clip.missing", one.alarm, "", {**detail, "lap": one.lap}) for one in wanted
        ]
        with self._ready:
            room = max(self._max_unwritten - len(self._rows), 0)
            self._rows.extend(rows[:room])
            self._counts["not_noted"] += len(rows) - min(room, len(rows))
            self._ready.notify_all()

    def _write_rows(self, *, now: bool = False) -> None:
        """Write down what is missing, all that waits in pages; what cannot be written is tried again."""
        if not (now or self._due()):
            return
        self._tried_at_s = self._clock.monotonic_s()
        while self._rows:
            with self._ready:
                page = [self._rows[place] for place in range(min(AUDIT_ROWS, len(self._rows)))]
            try:
                self._audit.append_all(page)
            except AuditUnwritable as error:
                if not self._unaudited:
                    _log.error("what alarms lack is not written down yet", error=str(error))
                self._unaudited = True
                return
            except LuchengError as error:  # a row that no audit takes must not stand before the others for ever
                _log.error("what an alarm lacks cannot be written down", error=str(error))
            self._unaudited = False
            with self._ready:
                for _ in page:
                    self._rows.popleft()

    def _count(self, name: str, by: int = 1) -> None:
        with self._ready:
            self._counts[name] += by
