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
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from console.live.viewer import Dropped, Told, Viewer, Waiting
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
        self._dropped = Dropped()
        self._counts = {"pieces": 0, "feeds_ended": 0, "turned_away": 0}

    # -- viewers ------------------------------------------------------------------------------

    def open(self, camera: str, mode: str, loop: asyncio.AbstractEventLoop | None = None) -> Viewer:
        """A viewer of `camera` (device id) in `mode` (`mp4`, `jpeg`), woken on `loop`; None: it is polled with `take`.

        Raises TryAgain (too many look already, or the hub ends) and NotFound (there is no such camera).
        """
        assert mode in MODES
        with self._lock:
            self._check_room(camera)
            feed = self._by_key.setdefault((camera, mode), _Feed(camera, mode))
            waiting = Waiting(self._max_viewer_bytes, self._max_pending, self._dropped)
            viewer = Viewer(camera, mode, waiting, self._lock, loop, self.leave)
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
        ended: Callable[[], None] | None = None
        with self._lock:
            feed = self._by_key.get((viewer.camera, viewer.mode))
            if feed is None or viewer not in feed.viewers:
                return
            feed.viewers.remove(viewer)
            self._viewers -= 1
            viewer.open = False
            viewer.waiting.clear()
            if not feed.viewers:
                if feed.running:
                    feed.end_at_s = self._clock.monotonic_s() + self._linger_s
                else:
                    ended = self._drop(feed)
        viewer.wake()
        _end(ended)

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
                viewer.waiting.tell(Told("closed"))
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
        """`live_viewers` and `live_feeds` now; what was counted since the start under `live_` and its name."""
        with self._lock:
            feeds = sum(feed.running for feed in self._by_key.values())
            counts = {f"live_{name}": float(count) for name, count in self._counts.items()}
            return {
                "live_viewers": float(self._viewers),
                "live_feeds": float(feeds),
                **counts,
                "live_skips": float(self._dropped.skips),
                "live_dropped": float(self._dropped.pieces),
                "live_dropped_bytes": float(self._dropped.size_bytes),
            }

    def kept_bytes(self) -> int:
        """Bytes that feeds and viewers keep now; a piece that several keep counts for each."""
        with self._lock:
            feeds = self._by_key.values()
            return sum(feed.cache_bytes + sum(viewer.waiting.size_bytes for viewer in feed.viewers) for feed in feeds)

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
            viewer.waiting.want_init()
            viewer.waiting.tell(Told("ended", feed.why))
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
                viewer.waiting.want_init()
            return
        feed.failures = 0
        feed.why = ""
        if fragment.kind == "jpeg":
            small = len(fragment.data) <= self._max_cache_bytes
            feed.cache = [fragment] if small else []
            feed.cache_bytes = len(fragment.data) if small else 0
            for viewer in feed.viewers:
                viewer.waiting.put_picture(fragment)
            return
        if feed.init is None:
            return  # no player could begin with it
        self._keep(feed, fragment)
        for viewer in feed.viewers:
            viewer.waiting.put(feed.init, fragment)

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
            viewer.waiting.tell(Told("ended", feed.why))
        for fragment in feed.cache:
            if feed.mode == "jpeg":
                viewer.waiting.put_picture(fragment)
            elif feed.init is not None:
                viewer.waiting.put(feed.init, fragment)
        if feed.cache_cut:
            viewer.waiting.want_key()


def _end(end: Callable[[], None] | None) -> None:
    """End a feed; one that cannot be ended is logged, for its viewers have gone on already."""
    if end is None:
        return
    try:
        end()
    except Exception:
        _log.exception("live.feed_not_ended")
