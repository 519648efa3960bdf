"""`LiveHub`: one feed for each camera and mode, however many look at it.

Invariants: a viewer is given `init`, then a piece that begins with a keyframe, then every piece after it, in order; what it
does not take in time is dropped to the next keyframe and it is told so, and no other viewer waits for it. What is kept is
bounded: for a feed the pieces since its last keyframe, for a viewer `max_viewer_bytes`. A feed begins with its first viewer
and ends `linger_s` after its last; one that ended by itself is asked for again, with back-off, while somebody looks. No lock
is held while the feeds are called. It decides nothing about who may look, and it never opens a piece.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from model.clock import Clock
from model.errors import LuchengError, NotFound, TryAgain
from model.video import Fragment, LiveFeeds

DEFAULT_MAX_VIEWERS = 64
DEFAULT_MAX_VIEWERS_PER_CAMERA = 16
DEFAULT_MAX_VIEWER_BYTES = 4 << 20
#: How long a feed goes on without a viewer: reloading a page costs nothing.
DEFAULT_LINGER_S = 5.0
DEFAULT_BACK_OFF_MIN_S = 1.0
DEFAULT_BACK_OFF_MAX_S = 30.0
#: Pieces that one viewer has not taken yet.
DEFAULT_MAX_PENDING = 1_024
#: Longest reason of a feed's end that is kept.
MAX_WHY_CHARS = 200
MODES = ("mp4", "jpeg")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What a viewer is told between the pieces.

    Attributes:
        what: `skipped` (pieces were dropped, the next one begins with a keyframe), `ended` (there is no feed now; it is asked
            for again), `closed` (the hub ends: the last thing).
        detail: why, in plain text.
    """

    what: str
    detail: str = ""


class Viewer:
    """One viewer's queue. `next` belongs to one task of its loop; the hub fills it from any thread.

    Attributes:
        skips: how often it was dropped to a keyframe.
    """

    def __init__(self, hub: LiveHub, feed: _Feed, loop: asyncio.AbstractEventLoop | None) -> None:
        self.camera = feed.camera
        self.mode = feed.mode
        self.skips = 0
        self._hub = hub
        self._feed = feed
        self._loop = loop
        self._woken = asyncio.Event()
        self._waking = False
        # Below: guarded by the hub's lock.
        self.queue: deque[Fragment | Told] = deque()
        self.queued_bytes = 0
        #: The pieces go on only with a keyframe.
        self.wants_key = True
        #: `init` goes before the next keyframe.
        self.wants_init = True
        #: It was too slow, and the pieces until the next keyframe are not for it.
        self.skipping = False
        self.open = True

    def take(self) -> Fragment | Told | None:
        """What comes next, None when nothing waits."""
        return self._hub.take(self)

    async def next(self) -> Fragment | Told | None:
        """What comes next, as soon as there is something; None after the viewer is closed."""
        while True:
            self._woken.clear()
            found = self._hub.take(self)
            if found is not None or not self.open:
                return found
            await self._woken.wait()

    def wake(self) -> None:
        """There is something; one call waits for the loop at most, however much is delivered."""
        if self._loop is None or self._waking:
            return
        self._waking = True
        try:
            self._loop.call_soon_threadsafe(self._rouse)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self.open = False

    def _rouse(self) -> None:
        self._waking = False  # before the task looks, so that nothing delivered after that is missed
        self._woken.set()

    def close(self) -> None:
        """It looks no more; twice is once."""
        self._hub.leave(self)


@dataclass(slots=True, eq=False)
class _Feed:
    """What is known of one camera in one mode; guarded by the hub's lock."""

    camera: str
    mode: str
    viewers: list[Viewer] = field(default_factory=list)
    #: Number of the last start: what an older one still delivers is not ours.
    run: int = 0
    running: bool = False
    end: Callable[[], None] | None = None
    init: Fragment | None = None
    cache: list[Fragment] = field(default_factory=list)
    cache_bytes: int = 0
    #: The cache holds the beginning of its pieces alone: they were too large.
    cache_cut: bool = False
    failures: int = 0
    #: Monotonic: when to start again, when to end for want of viewers (None: not).
    start_at_s: float | None = None
    end_at_s: float | None = None
    #: Why there is nothing, "" while there is or it is only beginning.
    why: str = ""

    def forget(self) -> None:
        """Keep no picture: it would look as if it were live."""
        self.init = None
        self.cache.clear()
        self.cache_bytes = 0
        self.cache_cut = False


class LiveHub:
    """See the module. Any thread may call anything; `tick` has to be called a few times a second.

    Args:
        feeds: where fragments come from.
        clock: its `monotonic_s` is what back-off and linger are measured with.
        max_viewers: at a time. max_viewers_per_camera: of one camera, both modes together.
        max_viewer_bytes: bytes that one viewer has not taken yet; half of it is kept of each feed for who comes next.
        max_pending: the same in pieces.
        linger_s: how long a feed goes on without a viewer.
        back_off_min_s, back_off_max_s: first and longest wait before a feed is asked for again.
    """

    def __init__(
        self,
        feeds: LiveFeeds,
        *,
        clock: Clock,
        max_viewers: int = DEFAULT_MAX_VIEWERS,
        max_viewers_per_camera: int = DEFAULT_MAX_VIEWERS_PER_CAMERA,
        max_viewer_bytes: int = DEFAULT_MAX_VIEWER_BYTES,
        max_pending: int = DEFAULT_MAX_PENDING,
        linger_s: float = DEFAULT_LINGER_S,
        back_off_min_s: float = DEFAULT_BACK_OFF_MIN_S,
        back_off_max_s: float = DEFAULT_BACK_OFF_MAX_S,
    ) -> None:
        self._feeds = feeds
        self._clock = clock
        self._max_viewers = max_viewers
        self._max_viewers_per_camera = max_viewers_per_camera
        self._max_viewer_bytes = max_viewer_bytes
        self._max_cache_bytes = max_viewer_bytes // 2
        self._max_pending = max_pending
        self._linger_s = linger_s
        self._back_off_min_s = back_off_min_s
        self._back_off_max_s = back_off_max_s
        self._lock = threading.Lock()
        self._by_key: dict[tuple[str, str], _Feed] = {}
        self._viewers = 0
        self._closed = False
        self._counts = {"pieces": 0, "skips": 0, "dropped": 0, "dropped_bytes": 0, "feeds_ended": 0, "turned_away": 0}

    # -- viewers ------------------------------------------------------------------------------

    def open(self, camera: str, mode: str, loop: asyncio.AbstractEventLoop | None = None) -> Viewer:
        """A viewer of `camera` (device id) in `mode` (`mp4`, `jpeg`), woken on `loop`; None: it is polled with `take`.

        Raises TryAgain (too many look already, or the hub ends) and NotFound (there is no such camera).
        """
        assert mode in MODES
        with self._lock:
            self._check_room(camera)
            feed = self._by_key.setdefault((camera, mode), _Feed(camera, mode))
            viewer = Viewer(self, feed, loop)
            feed.viewers.append(viewer)
            self._viewers += 1
            feed.end_at_s = None
            begin = not feed.running and feed.start_at_s is None
            if not begin:
                self._prime(feed, viewer)
        if begin:
            try:
                self._start(feed)
            except NotFound:
                self.leave(viewer)
                raise
        return viewer

    def _check_room(self, camera: str) -> None:
        of_camera = sum(len(feed.viewers) for mode in MODES if (feed := self._by_key.get((camera, mode))) is not None)
        if self._closed:
            raise TryAgain("The service is ending.", mend="Try again when it runs.")
        if self._viewers >= self._max_viewers:
            self._counts["turned_away"] += 1
            raise TryAgain(
                f"{self._max_viewers} viewers look at cameras already.", mend="Close one, or raise live.max_viewers."
            )
        if of_camera >= self._max_viewers_per_camera:
            self._counts["turned_away"] += 1
            raise TryAgain(
                f"{self._max_viewers_per_camera} viewers look at {camera} already.",
                mend="Close one, or raise live.max_viewers_per_camera.",
            )

    def leave(self, viewer: Viewer) -> None:
        """The viewer looks no more; twice is once."""
        feed = viewer._feed  # noqa: SLF001 one mechanism in two classes
        ended: Callable[[], None] | None = None
        with self._lock:
            if viewer not in feed.viewers:
                return
            feed.viewers.remove(viewer)
            self._viewers -= 1
            viewer.open = False
            viewer.queue.clear()
            viewer.queued_bytes = 0
            if not feed.viewers:
                if feed.running:
                    feed.end_at_s = self._clock.monotonic_s() + self._linger_s
                else:
                    ended = self._drop(feed)
        viewer.wake()
        _end(ended)

    def take(self, viewer: Viewer) -> Fragment | Told | None:
        """What the viewer gets next, None when nothing waits."""
        with self._lock:
            if not viewer.queue:
                return None
            found = viewer.queue.popleft()
            if isinstance(found, Fragment):
                viewer.queued_bytes -= len(found.data)
            return found

    # -- feeds --------------------------------------------------------------------------------

    def tick(self) -> None:
        """Ask for feeds whose wait is over, and end those that nobody looks at any more."""
        now_s = self._clock.monotonic_s()
        ended: list[Callable[[], None] | None] = []
        due: list[_Feed] = []
        with self._lock:
            for feed in list(self._by_key.values()):
                if feed.end_at_s is not None and now_s >= feed.end_at_s:
                    ended.append(self._drop(feed))
                elif feed.start_at_s is not None and now_s >= feed.start_at_s:
                    feed.start_at_s = None
                    due.append(feed)
        for end in ended:
            _end(end)
        for feed in due:
            with contextlib.suppress(NotFound):
                self._start(feed)

    def close(self) -> None:
        """End every feed and viewer; twice is once."""
        with self._lock:
            self._closed = True
            feeds = list(self._by_key.values())
            viewers = [viewer for feed in feeds for viewer in feed.viewers]
            for viewer in viewers:
                viewer.queue.append(Told("closed"))
                viewer.open = False
            ended = [self._drop(feed) for feed in feeds]
            for feed in feeds:
                feed.viewers.clear()
            self._viewers = 0
        for viewer in viewers:
            viewer.wake()
        for end in ended:
            _end(end)

    def live_values(self) -> dict[str, float]:
        """`live_viewers` and `live_feeds` now; since the start: pieces delivered to the hub, skips and what they dropped."""
        with self._lock:
            feeds = sum(feed.running for feed in self._by_key.values())
            counts = {f"live_{name}": float(count) for name, count in self._counts.items()}
            return {"live_viewers": float(self._viewers), "live_feeds": float(feeds), **counts}

    def kept_bytes(self) -> int:
        """Bytes that feeds and viewers keep now; a piece that several keep counts for each."""
        with self._lock:
            feeds = self._by_key.values()
            return sum(feed.cache_bytes + sum(viewer.queued_bytes for viewer in feed.viewers) for feed in feeds)

    def _start(self, feed: _Feed) -> None:
        """Ask for the feed; what fails is told and tried again, but NotFound is raised (told as well)."""
        with self._lock:
            if self._closed or feed.running or not feed.viewers:
                return
            feed.run += 1
            run = feed.run
            feed.running = True
        try:
            end = self._feeds.start(feed.camera, mode=feed.mode, deliver=partial(self._deliver, feed, run))
        except LuchengError as error:
            self._failed(feed, run, error.message)
            if isinstance(error, NotFound):
                raise
            return
        except Exception as error:  # a feed that breaks is no reason to end the viewers
            _log.exception("live.feed_not_started", camera=feed.camera)
            self._failed(feed, run, f"it failed ({type(error).__name__})")
            return
        with self._lock:
            ours = feed.running and feed.run == run
            if ours:
                feed.end = end
        if not ours:  # it ended before it had begun, or nobody looks any more
            _end(end)

    def _failed(self, feed: _Feed, run: int, why: str) -> None:
        with self._lock:
            woken = self._ended(feed, why) if feed.run == run and feed.running else []
        for viewer in woken:
            viewer.wake()

    def _ended(self, feed: _Feed, why: str) -> list[Viewer]:
        """The feed is no more: tell the viewers and plan the next try. The caller holds the lock and wakes who is returned."""
        feed.running = False
        feed.end = None
        feed.forget()
        feed.why = why[:MAX_WHY_CHARS]
        self._counts["feeds_ended"] += 1
        if not feed.viewers:
            self._drop(feed)
            return []
        wait_s = min(self._back_off_min_s * 2 ** min(feed.failures, 20), self._back_off_max_s)
        feed.failures += 1
        feed.start_at_s = self._clock.monotonic_s() + wait_s
        for viewer in feed.viewers:
            viewer.wants_key = viewer.wants_init = True
            self._tell(viewer, Told("ended", feed.why))
        return list(feed.viewers)

    def _drop(self, feed: _Feed) -> Callable[[], None] | None:
        """Forget the feed; what is returned ends it, to be called without the lock."""
        end, feed.end = feed.end, None
        feed.run += 1
        feed.running = False
        feed.start_at_s = feed.end_at_s = None
        feed.forget()
        if self._by_key.get((feed.camera, feed.mode)) is feed:
            del self._by_key[feed.camera, feed.mode]
        return end

    # -- pieces -------------------------------------------------------------------------------

    def _deliver(self, feed: _Feed, run: int, fragment: Fragment) -> None:
        """A fragment of start number `run`; on whichever thread has it."""
        ended: Callable[[], None] | None = None
        with self._lock:
            if feed.run != run or not feed.running:
                return
            if fragment.kind == "end":
                ended = feed.end
                woken = self._ended(feed, fragment.data.decode("utf-8", "replace"))
            else:
                self._counts["pieces"] += 1
                self._take_in(feed, fragment)
                woken = list(feed.viewers)
        for viewer in woken:
            viewer.wake()
        _end(ended)

    def _take_in(self, feed: _Feed, fragment: Fragment) -> None:
        if fragment.kind == "init":
            feed.forget()
            feed.init = fragment
            for viewer in feed.viewers:
                viewer.wants_key = viewer.wants_init = True
            return
        feed.failures = 0
        feed.why = ""
        if fragment.kind == "jpeg":
            small = len(fragment.data) <= self._max_cache_bytes
            feed.cache = [fragment] if small else []
            feed.cache_bytes = len(fragment.data) if small else 0
            for viewer in feed.viewers:
                self._put_picture(viewer, fragment)
            return
        if feed.init is None:
            return  # no player could begin with it
        self._keep(feed, fragment)
        for viewer in feed.viewers:
            self._put(feed, viewer, fragment)

    def _keep(self, feed: _Feed, fragment: Fragment) -> None:
        """Add to what a new viewer begins with."""
        if fragment.keyframe:
            feed.cache = []
            feed.cache_bytes = 0
            feed.cache_cut = False
        elif not feed.cache:
            return
        if feed.cache_cut or feed.cache_bytes + len(fragment.data) > self._max_cache_bytes:
            feed.cache_cut = True  # the first picture stands; the rest is waited for
            return
        feed.cache.append(fragment)
        feed.cache_bytes += len(fragment.data)

    def _prime(self, feed: _Feed, viewer: Viewer) -> None:
        """Give a new viewer what there is, so that it sees a picture at once."""
        if feed.why:
            self._tell(viewer, Told("ended", feed.why))
        for fragment in feed.cache:
            if feed.mode == "jpeg":
                self._put_picture(viewer, fragment)
            else:
                self._put(feed, viewer, fragment)
        if feed.cache_cut:
            viewer.wants_key = True

    def _put(self, feed: _Feed, viewer: Viewer, fragment: Fragment) -> None:
        if viewer.wants_key and not fragment.keyframe:
            if viewer.skipping:
                self._counts["dropped"] += 1
                self._counts["dropped_bytes"] += len(fragment.data)
            return
        head = [feed.init] if viewer.wants_init and feed.init is not None else []
        size = len(fragment.data) + sum(len(piece.data) for piece in head)
        if not self._fits(viewer, size, 1 + len(head)):
            self._skip(viewer)
            if not fragment.keyframe:
                return
            head = [feed.init] if viewer.wants_init and feed.init is not None else []
            size = len(fragment.data) + sum(len(piece.data) for piece in head)
            if not self._fits(viewer, size, 1 + len(head)):
                return
        viewer.queue.extend(head)
        viewer.queue.append(fragment)
        viewer.queued_bytes += size
        viewer.wants_key = viewer.wants_init = viewer.skipping = False

    def _fits(self, viewer: Viewer, size: int, pieces: int) -> bool:
        return viewer.queued_bytes + size <= self._max_viewer_bytes and len(viewer.queue) + pieces <= self._max_pending

    def _skip(self, viewer: Viewer) -> None:
        """Drop what the viewer has not taken; it goes on with a keyframe, and with an `init` where that was among it."""
        gone = [piece for piece in viewer.queue if isinstance(piece, Fragment)]
        viewer.wants_init = viewer.wants_init or any(piece.kind == "init" for piece in gone)
        viewer.wants_key = viewer.skipping = True
        viewer.queue.clear()
        viewer.queued_bytes = 0
        viewer.skips += 1
        self._counts["skips"] += 1
        self._counts["dropped"] += len(gone)
        self._counts["dropped_bytes"] += sum(len(piece.data) for piece in gone)
        self._tell(viewer, Told("skipped"))

    def _put_picture(self, viewer: Viewer, fragment: Fragment) -> None:
        """The newest picture wins: at most one waits."""
        if len(fragment.data) > self._max_viewer_bytes:
            return
        waiting = [piece for piece in viewer.queue if isinstance(piece, Fragment)]
        self._counts["dropped"] += len(waiting)
        self._counts["dropped_bytes"] += viewer.queued_bytes
        told = [piece for piece in viewer.queue if isinstance(piece, Told)]
        viewer.queue = deque([*told[-1:], fragment])
        viewer.queued_bytes = len(fragment.data)

    @staticmethod
    def _tell(viewer: Viewer, told: Told) -> None:
        """Say it once: the last one of its kind stands, so what is told cannot pile up."""
        if viewer.queue and isinstance(viewer.queue[-1], Told) and viewer.queue[-1].what == told.what:
            viewer.queue.pop()
        viewer.queue.append(told)


def _end(end: Callable[[], None] | None) -> None:
    """End a feed; one that cannot be ended is logged, for its viewers have gone on already."""
    if end is None:
        return
    try:
        end()
    except Exception:
        _log.exception("live.feed_not_ended")
