"""`Answering`: what desks ask of this machine's cameras, made and told.

Every machine sees every wish; it makes those of the shares it holds, also those that another machine was making when it died. Invariants: a
wish is begun once while the share stays here, and only if it is still wanted; what fails because a worker ended is tried again while
there is time; a machine that has lost the share says nothing: the next one does. What it makes is in the bucket before it is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from lucheng.logs import logger
from lucheng.video.sharing.asks import CLIP, RECORDED, Answer, Ask, File, Picture
from model.errors import LuchengError
from model.grant import Grant, Purpose
from store.nats.reading import Reader
from store.nats.terms import Message
from store.nats.watching import watch

if TYPE_CHECKING:
    from lucheng.video.recorded import RecordingClips
    from lucheng.video.requests import Requests
    from model.video import Clip
    from store.nats.cameras import VideoNames
    from store.nats.files import Files
    from store.nats.link import Link

LOOK_EVERY_S = 0.5
#: Wishes that are known at a time, whoever makes them.
DEFAULT_MAX_KNOWN = 20_000
#: What failed is tried again after so long, until so long after a clip's end, or after a snapshot was asked for.
AGAIN_S = 1.0
AGAIN_FOR_MS = 10_000
#: Clips that are brought to the servers at a time.
DEFAULT_THREADS = 4

_log = logger(__name__)
_decoder = msgspec.json.Decoder(Ask)
_encoder = msgspec.json.Encoder()


class Answering:
    """See the module.

    Args:
        link: the way to the servers, for what is small. names: what things are called.
        files: the bucket, on another link.
        requests: asks the workers.
        holds: whether a share is certainly ours. run: the name of our lease.
        recorded: cuts clips out of our recordings.
        machine: our name, for people.
        max_known: see the constant.
    """

    def __init__(
        self,
        link: Link,
        names: VideoNames,
        files: Files,
        requests: Requests,
        *,
        holds: Callable[[int], bool],
        run: Callable[[], str],
        recorded: RecordingClips,
        machine: str,
        max_known: int = DEFAULT_MAX_KNOWN,
    ) -> None:
        self._link = link
        self._names = names
        self._files = files
        self._requests = requests
        self._holds = holds
        self._run = run
        self._recorded = recorded
        self._machine = machine
        self._max_known = max_known
        self._asks = Reader(link, names.asks)
        self._lock = threading.Lock()
        #: By name: its place in the stream, the wish, when it may be begun (monotonic), whether it was.
        self._known: dict[str, _Known] = {}
        self._look = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="video-asks", daemon=True)
        self._telling = ThreadPoolExecutor(DEFAULT_THREADS, "video-asks")
        self._end_watch: Callable[[], None] = lambda: None
        #: Wishes begun, told, and tried again, since the start.
        self.begun = self.told = self.again = 0

    def start(self) -> None:
        """Answer from now on."""
        self._end_watch = self._link.start(watch(self._link, self._names.asks, self._names.ask_subject("*", "*"), self))
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more, and tell what is made."""
        self._stop.set()
        self._look.set()
        self._end_watch()
        self._thread.join()
        self._telling.shutdown(wait=True, cancel_futures=True)

    # -- told by the watch, on the link's loop --------------------------------------------------

    def begin(self) -> None:
        """See `watching.Watcher`."""

    def put(self, subject: str, position: int, headers: Mapping[str, str], payload: bytes) -> None:
        """See `watching.Watcher`."""
        del subject, headers
        try:
            ask = _decoder.decode(payload)
        except msgspec.MsgspecError:
            return  # of a newer lucheng: whoever understands it makes it
        with self._lock:
            found = self._known.get(ask.wish)
            if found is not None and (found.position >= position or (found.begun and not found.told)):
                found.position = max(found.position, position)  # another desk wants what is being made already
                return
            if len(self._known) >= self._max_known:
                self._known.pop(next(iter(self._known)))
            self._known[ask.wish] = _Known(position, ask)
        self._look.set()

    def whole(self) -> None:
        """See `watching.Watcher`."""

    # -- the thread ---------------------------------------------------------------------------

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._look.wait(LOOK_EVERY_S)
            self._look.clear()
            try:
                self.look()
            except LuchengError as error:
                _log.warning("clips wait for the nats-servers", why=error.message)
                self._stop.wait(LOOK_EVERY_S)
            except Exception as error:  # the next look may do better; what was asked stays in the stream
                _log.exception("clips not looked at", error=type(error).__name__)
                self._stop.wait(LOOK_EVERY_S)

    def look(self) -> None:
        """Begin what is ours and was not begun. Raises Away, Refusal."""
        now_s, now_ms = self._link.clock.monotonic_s(), self._link.clock.now_ms()
        with self._lock:
            for wish in [wish for wish, one in self._known.items() if one.ask.until_ms < now_ms]:
                del self._known[wish]
            due = [
                one
                for one in self._known.values()
                if not one.begun and one.not_before_s <= now_s and self._ours(one.ask)
            ]
        for one in due:
            if self._link.call(self._asks.get(one.position)) is None:  # it was stored, or asked anew
                with self._lock:
                    if self._known.get(one.ask.wish) is one:
                        del self._known[one.ask.wish]
                continue
            one.begun = True
            self.begun += 1
            self._make(one)

    def _ours(self, ask: Ask) -> bool:
        return ask.machine == self._run() if ask.machine else self._holds(ask.share)

    def _make(self, one: _Known) -> None:
        ask = one.ask
        if ask.kind == RECORDED:
            self._telling.submit(self._cut, one)
        elif ask.kind == CLIP:
            self._requests.clip(ask.camera, ask.from_ms, ask.to_ms, lambda clip, note: self._clip_made(one, clip, note))
        else:
            self._requests.snapshot(
                ask.camera, lambda jpeg, time_ms, note: self._made(one, jpeg, Picture(time_ms), note)
            )

    def _cut(self, one: _Known) -> None:
        """Out of recordings: they are read under the grant of who asks, and audited here."""
        ask, allowed = one.ask, one.ask.allowed
        clip, note = None, ""
        try:
            if allowed is not None:
                why = Purpose(allowed.code, allowed.ref, allowed.note)
                grant = Grant(allowed.who, allowed.role, why, frozenset([ask.camera]), allowed.from_ms, allowed.to_ms)
                clip = self._recorded.clip_for(grant, ask.camera, ask.from_ms, ask.to_ms)
        except LuchengError as error:
            note = error.message
        self._clip_made(one, clip, note)

    def _clip_made(self, one: _Known, clip: Clip | None, note: str) -> None:
        if clip is None:
            self._made(one, None, None, note)
            return
        picture = Picture(
            clip.from_ms, clip.to_ms, clip.codec, clip.width_px, clip.height_px, clip.frames, clip.transcoded
        )
        self._made(one, clip.data, picture, note or clip.note)

    def _made(self, one: _Known, data: bytes | None, picture: Picture | None, note: str) -> None:
        """It was made, or was not; on a thread of the requests."""
        if not self._ours(one.ask):
            one.begun = False  # whoever has the camera now makes it; we do if it comes back
            return
        begun_ms = one.ask.to_ms if one.ask.kind == CLIP else one.asked_ms
        passes = data is None and one.ask.kind != RECORDED
        if passes and self._link.clock.now_ms() < begun_ms + AGAIN_FOR_MS and not self._stop.is_set():
            with self._lock:
                self.again += 1
            one.not_before_s = self._link.clock.monotonic_s() + AGAIN_S
            one.begun = False
            return
        try:
            self._telling.submit(self._tell, one, data, picture, note)
        except RuntimeError:
            return  # the end: it stays in the stream

    def _tell(self, one: _Known, data: bytes | None, picture: Picture | None, note: str) -> None:
        ask = one.ask
        try:
            file = None
            if data is not None:
                try:
                    file = File(**asdict(self._files.put(f"{ask.wish}-{one.position}-{self._machine}", data)))
                except LuchengError as error:
                    picture, note = None, f"it could not be brought to the desk: {error.message}"
            answer = _encoder.encode(Answer(ask.wish, self._machine, note, file, picture if file else None))
            message = Message(self._names.answer_subject(ask.wish), answer, {})
            self._link.call(
                self._link.persist(
                    lambda: self._link.publish([message]),
                    what="What was made cannot be told",
                )
            )
            one.told = True
            with self._lock:
                self.told += 1
        except LuchengError as error:
            _log.error("a clip did not reach the desk", camera=ask.camera, error=error.message)
            one.begun = False  # it is still wanted: made again


class _Known:
    """A wish, and how far it is here."""

    def __init__(self, position: int, ask: Ask) -> None:
        self.position = position
        self.ask = ask
        self.asked_ms = ask.from_ms
        self.not_before_s = float("-inf")
        self.begun = self.told = False
