"""`AlarmBinding`: each alarm that matters gets its nearest cameras: decoded at once, a snapshot now, a clip with pre-roll.

Purpose: followed are the desk's events; a new alarm, a new lap, one that came back in sight or became more severe is
bound once a lap. Invariants: the desk is never waited on and never waits: an event only sets a flag, and everything else
happens on threads of this room; whatever an alarm storm brings, what waits and what is made is bounded, severity 1 goes
first (`lucheng.video.clip_queue`), and what an alarm does not get is written down (`lucheng.video.clip_keeping`); an
e-bike's alarm whose place may not be given out brings no camera. After a restart what was pending is known again. It
makes no clip itself: a `ClipMaker` does.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lucheng.logs import logger
from lucheng.video.alarm_cameras import SEEN_KINDS, AlarmCameras
from lucheng.video.clip_counts import COUNTS
from lucheng.video.clip_keeping import ClipKeeper, ClipNote, Made, source_of
from lucheng.video.clip_queue import ClipQueue, Kind, Piece, Wanted
from lucheng.video.clip_recovery import Known, read_known
from model.alarm import Side, Work
from model.errors import LuchengError

if TYPE_CHECKING:
    from config.cameras import Clips
    from devices.nearby import Nearby, NearCamera
    from lucheng.video.seams import ClipAudit, ClipMaker, RecordedClips, SettingsOf
    from model.camera import CameraSettings
    from model.clock import Clock
    from model.desk import Desk, DeskAlarm, Event
    from model.video import Clip
    from store.evidence.folder import EvidenceFolder

#: How often what is due by time is looked at.
CLOCK_EVERY_S = 0.25
#: Events of the desk taken at a time; alarms bound at a time, and the pause after each, in which the desk goes first: no
#: shorter than this, and so many times as long as the work took, while none of severity 1 waits.
MAX_EVENTS = 500
SLICE = 10
GIVE_WAY_S = 0.003
GIVE_WAY_TIMES = 3.0
#: Alarms read ahead; the rest waits in the desk's own file.
MAX_BACKLOG = 20_000
#: Laps that are known to be bound.
MAX_SEEN = 50_000
#: A clip, or a snapshot, has to be there so long after its end.
DEFAULT_PATIENCE_S = 45.0
#: After a restart open alarms of so long are looked at.
DEFAULT_RECOVER_S = 3_600
#: How often recovery is tried when a store cannot be read.
_RECOVER_EVERY_S = 5.0
#: So long after a snapshot that failed it is asked for again, while cameras come back.
_AGAIN_MS = 1_000
#: A camera is woken again only for so much longer.
_WAKE_STEP_MS = 1_000

_RISES = frozenset({"raise", "signal", "restore"})

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class _Bound:
    """An alarm that is to be bound: when it happened for its cameras, and what is known of it after a restart."""

    alarm: DeskAlarm
    moment_ms: int
    known: Known | None = None


class AlarmBinding:
    """See the module.

    Args:
        desk: whose alarms.
        nearby: where cameras are.
        settings_of: settings of a camera that is set up, enabled and not set aside, from memory.
        maker: makes clips and snapshots.
        evidence: where they are kept.
        audit: where it is written down what is missing.
        clock: source of time.
        limits: section `clips`.
        recorded: cuts clips out of recordings; None: nothing is recorded.
        patience_s, recover_s: see the constants.
        settle_s: after the start cameras have so long to come back: a snapshot that fails is asked for again.
        on_kept: told of each piece whose evidence is stored, or that is missing for good.
    """

    def __init__(
        self,
        desk: Desk,
        nearby: Nearby,
        settings_of: SettingsOf,
        maker: ClipMaker,
        evidence: EvidenceFolder,
        audit: ClipAudit,
        *,
        clock: Clock,
        limits: Clips,
        recorded: RecordedClips | None = None,
        patience_s: float = DEFAULT_PATIENCE_S,
        recover_s: int = DEFAULT_RECOVER_S,
        settle_s: float = 0.0,
        on_kept: Callable[[Piece], None] = lambda _piece: None,
    ) -> None:
        self._desk = desk
        self._maker = maker
        self._evidence = evidence
        self._audit = audit
        self._clock = clock
        self._limits = limits
        self._recorded = recorded
        self._patience_s = patience_s
        self._recover_s = recover_s
        self._settle_s = settle_s
        self._on_kept = on_kept
        self._settled_at_s = float("-inf")
        self._max_length_ms = limits.max_length_s * 1_000
        self._cameras = AlarmCameras(
            nearby,
            settings_of,
            desk,
            max_cameras=limits.cameras,
            max_distance_m=limits.max_distance_m,
            max_severity=limits.max_severity,
        )
        self._queue = ClipQueue(
            max_waiting=limits.max_waiting, max_at_once=limits.max_at_once, max_length_ms=self._max_length_ms
        )
        self._keeper = ClipKeeper(
            evidence, audit, recorded, clock, freed=self._freed, ask=self._ask_clip, found=self._clip_done
        )
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._backlog: dict[int, deque[_Bound]] = {severity: deque() for severity in (1, 2, 3)}
        self._in_hand: list[_Bound] = []
        self._seen: OrderedDict[tuple[str, int], bool] = OrderedDict()
        self._woken: dict[str, int] = {}
        self._position = 0
        self._recovered = False
        self._recover_at_s = float("-inf")
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._end_telling: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._loop, name="clips", daemon=True)

    # -- from outside -------------------------------------------------------------------------

    def start(self) -> None:
        """Follow the desk from now on, and take up what was pending, until `stop`."""
        self._position = self._desk.last_event()
        self._settled_at_s = self._clock.monotonic_s() + self._settle_s
        self._end_telling = self._desk.tell_events(self._wake.set)
        self._keeper.start()
        self._thread.start()

    def stop(self, *, drain_s: float) -> None:
        """Keep what is made, then stop; what was pending is known again after the next start."""
        self._stop.set()
        self._wake.set()
        if self._end_telling is not None:
            self._end_telling()
        if self._thread.is_alive():
            self._thread.join(timeout=drain_s)
        self._keeper.stop(drain_s=drain_s)

    def counts(self) -> dict[str, int]:
        """What was done since the start and what is under way, by the names of `COUNTS`."""
        with self._lock:
            found = dict(self._counts)
        for more in (self._keeper.counts(), self._queue.sizes()):
            for name, value in more.items():
                found[name] = found.get(name, 0) + value
        return {name: found.get(name, 0) for name in COUNTS}

    def notes_of(self, alarm: str) -> list[ClipNote]:
        """How it stands with the clips of one of the newest alarms; nothing of an older one, whose audit tells."""
        return self._keeper.notes_of(alarm)

    # -- the thread ---------------------------------------------------------------------------

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            began_s = self._clock.monotonic_s()
            try:
                more = self.turn()
            except Exception as error:  # alarms without clips are better than no alarms
                _log.error(
                    "alarms wait for their clips", error=str(error), exc_info=not isinstance(error, LuchengError)
                )
                more = False
                self._stop.wait(CLOCK_EVERY_S)
            if more:
                took_s = min(self._clock.monotonic_s() - began_s, CLOCK_EVERY_S)
                self._stop.wait(GIVE_WAY_S if self._backlog[1] else max(GIVE_WAY_S, GIVE_WAY_TIMES * took_s))
            else:
                self._wake.wait(CLOCK_EVERY_S)

    def turn(self) -> bool:
        """A slice of what is to be done now; whether there is more. Raises StoreError where the desk cannot be read."""
        self._recover()
        self._collect()
        self._take_slice()
        for bound in self._in_hand:
            try:
                self._bind(bound)
            except Exception as error:  # one alarm must not stop the others
                self._count("failed")
                _log.error("an alarm was not bound", alarm=bound.alarm.alarm.id, error=str(error), exc_info=True)
        self._in_hand.clear()
        self._expire()
        self._begin()
        return any(self._backlog.values())

    def _collect(self) -> None:
        """Take over what the desk says is new."""
        while sum(len(waiting) for waiting in self._backlog.values()) < MAX_BACKLOG:
            events = self._desk.events(self._position, limit=MAX_EVENTS)
            for event in events:
                self._on_event(event)
                self._position = event.number
            if len(events) < MAX_EVENTS:
                break

    def _on_event(self, event: Event) -> None:
        alarm = event.alarm.alarm
        key = alarm.id, alarm.lap
        if event.action == "suppress":
            if key in self._seen:
                self._count("withdrawn", self._queue.withdraw(alarm.id))
                del self._seen[key]
        elif event.action in _RISES and self._wants(event.alarm) and key not in self._seen:
            self._see(key)
            old = event.time_ms - alarm.received_ms > self._max_length_ms
            self._backlog[alarm.severity].append(_Bound(event.alarm, event.time_ms if old else alarm.received_ms))

    def _wants(self, alarm: DeskAlarm) -> bool:
        one = alarm.alarm
        return (
            self._limits.cameras > 0
            and (one.severity <= self._limits.max_severity or one.kind in SEEN_KINDS)
            and one.side is not Side.SUPPRESSED
            and one.work is not Work.CLOSED
        )

    def _see(self, key: tuple[str, int]) -> None:
        self._seen[key] = True
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)

    def _take_slice(self) -> None:
        """Take what is bound next in hand; what is waiting or in hand is never in neither."""
        for waiting in self._backlog.values():
            while waiting and len(self._in_hand) < SLICE:
                self._in_hand.append(waiting[0])
                waiting.popleft()

    # -- binding ------------------------------------------------------------------------------

    def _bind(self, bound: _Bound) -> None:
        alarm = bound.alarm.alarm
        if (alarm.id, alarm.lap) not in self._seen:
            return  # suppressed meanwhile
        cameras = self._cameras.of(bound.alarm)
        if not cameras:
            self._count("no_camera" if self._cameras.shown(alarm.device) else "hidden")
            return
        self._count("alarms")
        wanted = Wanted(alarm.id, alarm.lap, alarm.severity)
        left: defaultdict[tuple[str, Kind], list[str]] = defaultdict(list)
        for camera, settings in cameras:
            for piece in self._pieces(camera, settings, wanted, bound):
                answer = self._queue.add(piece, bound.moment_ms)
                for out in answer.out:
                    self._count("pushed_out", len(out.wanted))
                    self._keeper.missing(out.wanted, out.kind, [out.camera.device], "a more severe alarm went first")
                if answer.taken:
                    self._keeper.waits(wanted, camera.device, piece.kind)
                    self._wake_camera(camera.device, piece.to_ms)
                else:
                    self._count(answer.how)
                    left[answer.how, piece.kind].append(camera.device)
        for (how, kind), names in left.items():
            self._keeper.missing((wanted,), kind, names, COUNTS[how].en)

    def _pieces(self, camera: NearCamera, settings: CameraSettings, wanted: Wanted, bound: _Bound) -> list[Piece]:
        """Snapshot and clip, without what the alarm has already or can have no more."""
        moment_ms, now_ms = bound.moment_ms, self._clock.now_ms()
        post_ms = min(round(settings.post_roll_s * 1_000), self._max_length_ms)
        pre_ms = min(round(settings.pre_roll_s * 1_000), self._max_length_ms - post_ms)
        window = moment_ms - pre_ms, moment_ms + post_ms
        pieces = []
        if bound.known is None or now_ms - moment_ms <= self._max_length_ms:
            pieces.append(Piece(Kind.SNAPSHOT, camera, now_ms, now_ms, [wanted], wanted.severity))
        clip = Piece(Kind.CLIP, camera, *window, [wanted], wanted.severity)
        if bound.known is not None:
            clip.late, clip.not_before_ms = True, window[1]  # the ring begins with the restart: all that it has by then
        pieces.append(clip)
        return [one for one in pieces if bound.known is None or not _settled(one, wanted, bound.known)]

    def _wake_camera(self, camera: str, until_ms: int) -> None:
        now_ms = self._clock.now_ms()
        if until_ms <= now_ms or until_ms - self._woken.get(camera, 0) < _WAKE_STEP_MS:
            return
        if len(self._woken) > MAX_BACKLOG:
            self._woken = {name: end_ms for name, end_ms in self._woken.items() if end_ms > now_ms}
        self._woken[camera] = until_ms
        try:
            self._maker.wake(camera, until_ms)
        except LuchengError as error:
            _log.warning("a camera was not woken", camera=camera, error=error.message)

    # -- making -------------------------------------------------------------------------------

    def _begin(self) -> None:
        now_ms = self._clock.now_ms()
        for kind in Kind:
            while (piece := self._queue.next(kind, now_ms)) is not None:
                self._time(piece)
                if kind is Kind.SNAPSHOT:
                    self._ask_snapshot(piece)
                elif piece.late and self._recorded is not None:
                    self._keeper.look_up(piece)
                else:
                    self._ask_clip(piece)

    def _time(self, piece: Piece) -> None:
        left_s = max(piece.to_ms - self._clock.now_ms(), 0) / 1_000
        piece.until_s = self._clock.monotonic_s() + left_s + self._patience_s

    def _ask_snapshot(self, piece: Piece) -> None:
        try:
            self._maker.snapshot(piece.camera.device, partial(self._done, piece))
        except Exception as error:  # it is answered all the same
            self._done(piece, None, 0, _words(error))

    def _ask_clip(self, piece: Piece) -> None:
        try:
            self._maker.clip(piece.camera.device, piece.from_ms, piece.to_ms, partial(self._clip_done, piece))
        except Exception as error:  # as above
            self._done(piece, None, 0, _words(error))

    def _clip_done(self, piece: Piece, clip: Clip | None, note: str) -> None:
        if clip is None:
            self._done(piece, None, 0, note)
        else:
            self._done(piece, clip.data, clip.from_ms, note or clip.note)

    def _done(self, piece: Piece, data: bytes | None, time_ms: int, note: str) -> None:
        """It was made, or was not; on any thread, twice is once."""
        wanted = self._queue.end(piece)
        if wanted is None:
            self._count("late_answers")
        elif data is None and piece.kind is Kind.SNAPSHOT and self._clock.monotonic_s() < self._settled_at_s:
            self._ask_again(piece, wanted)
        else:
            self._keeper.keep(Made(piece, wanted, data, time_ms, note))

    def _ask_again(self, piece: Piece, wanted: list[Wanted]) -> None:
        """The camera is not back yet after the start."""
        now_ms = self._clock.now_ms()
        again = Piece(Kind.SNAPSHOT, piece.camera, now_ms, now_ms, wanted, piece.severity)
        again.not_before_ms = now_ms + _AGAIN_MS
        self._queue.free(piece)
        answer = self._queue.add(again, now_ms)
        for left in [*answer.out, *([] if answer.taken else [again])]:
            self._keeper.missing(left.wanted, left.kind, [left.camera.device], "its camera was not back in time")

    def _freed(self, piece: Piece) -> None:
        self._on_kept(piece)
        self._queue.free(piece)
        self._wake.set()

    def _expire(self) -> None:
        for piece in self._queue.overdue(self._clock.monotonic_s()):
            self._count("no_answer")
            self._done(piece, None, 0, "it was not answered in time")

    # -- after a restart ----------------------------------------------------------------------

    def _recover(self) -> None:
        if self._recovered or self._clock.monotonic_s() - self._recover_at_s < _RECOVER_EVERY_S:
            return
        self._recover_at_s = self._clock.monotonic_s()
        now_ms = self._clock.now_ms()
        try:
            known = read_known(
                self._desk,
                self._evidence,
                self._audit,
                since_ms=max(now_ms - self._recover_s * 1_000, 0),
                before_ms=self._max_length_ms,
                severity=self._limits.max_severity,
            )
        except LuchengError as error:
            _log.error("it is not known yet which alarms lack their clips", error=str(error))
            return
        self._recovered = True
        for alarm in known.alarms:
            key = alarm.alarm.id, alarm.alarm.lap
            if self._wants(alarm) and key not in self._seen:
                self._see(key)
                self._backlog[alarm.alarm.severity].append(_Bound(alarm, alarm.alarm.received_ms, known))
                self._count("recovered")

    def _count(self, name: str, by: int = 1) -> None:
        with self._lock:
            self._counts[name] += by


def _settled(piece: Piece, wanted: Wanted, known: Known) -> bool:
    """Whether the alarm has it, or its lack was noted."""
    kind = "video" if piece.kind is Kind.CLIP else "image"
    camera = piece.camera.device
    return (source_of(wanted), camera, kind) in known.kept or (
        wanted.alarm, wanted.lap, camera, piece.kind.value,
    ) in known.noted  # fmt: skip


def _words(error: Exception) -> str:
    if not isinstance(error, LuchengError):
        _log.error("a camera could not be asked", error=str(error), exc_info=True)
    return error.message if isinstance(error, LuchengError) else type(error).__name__
