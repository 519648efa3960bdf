"""`FarMaker`: clips and snapshots of cameras that other machines have, as the desk asks for them.

Implements `lucheng.video.seams.ClipMaker`. Invariants: what an alarm wants is asked under a name that any desk would give it, so a desk that takes the
duty over finds what was made already, and nothing is made twice; it is taken out of the streams (`kept`) when its evidence is
stored and not before; of several answers to one wish the first counts. It waits on no thread of its caller, but in `wait_…`.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from lucheng.logs import logger
from lucheng.video.requests import result_of
from lucheng.video.sharing.asks import CLIP, RECORDED, SNAPSHOT, Allowed, Answer, Ask, Picture, wish_of
from model.errors import LuchengError, StoreError, TryAgain
from model.video import Clip
from store.nats.files import StoredFile
from store.nats.partitions import partition_of
from store.nats.terms import Message
from store.nats.watching import watch

if TYPE_CHECKING:
    from lucheng.video.seams import ClipDone, SnapshotDone
    from lucheng.video.sharing.known import KnownCameras
    from store.nats.cameras import VideoNames
    from store.nats.files import Files
    from store.nats.link import Link

#: So long after its end somebody still wants a clip, and a snapshot.
DEFAULT_PATIENCE_MS = 60_000
#: Wishes of this desk that are open.
DEFAULT_MAX_OPEN = 2_000
#: Answers that nobody here has asked for yet: of another desk, or of the one that had the duty.
DEFAULT_MAX_UNCLAIMED = 5_000
DEFAULT_THREADS = 4

_Tell = Callable[[bytes | None, Picture | None, str], None]

_log = logger(__name__)
_decoder = msgspec.json.Decoder(Answer)
_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class _Open:
    """A wish of this desk: who is told, its place in the stream (0: not there yet), what came of it."""

    ask: Ask
    tell: _Tell
    position: int = 0
    answered: bool = False
    done: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class FarMaker:
    """See the module. Any thread may ask.

    Args:
        link: the way to the servers, for what is small. names: what things are called.
        files: the bucket, on another link.
        known: the cameras of the registry.
        shares: how many there are.
        max_clip_bytes: largest clip.
        wake: tells the machine that has a camera to decode it fully until then; best effort.
    """

    def __init__(
        self,
        link: Link,
        names: VideoNames,
        files: Files,
        known: KnownCameras,
        *,
        shares: int,
        max_clip_bytes: int,
        wake: Callable[[str, int], None],
    ) -> None:
        self._link = link
        self._names = names
        self._files = files
        self._known = known
        self._shares = shares
        self._max_clip_bytes = max_clip_bytes
        self.wake = wake
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        #: Answers that were seen and not taken out: place in the stream, and what they say.
        self._answers: OrderedDict[str, tuple[int, Answer]] = OrderedDict()
        self._working = ThreadPoolExecutor(DEFAULT_THREADS, "far-clips")
        self._end_watch: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Hear answers from now on."""
        self._end_watch = self._link.start(
            watch(self._link, self._names.answers, self._names.answer_subject("*"), self)
        )

    def stop(self) -> None:
        """Hear nothing more. What an alarm wanted stays asked: the next desk finds it."""
        self._end_watch()
        self._working.shutdown(wait=True, cancel_futures=True)

    # -- `ClipMaker` --------------------------------------------------------------------------

    def clip(self, camera: str, from_ms: int, to_ms: int, done: ClipDone) -> None:
        """A clip of a camera; `done(clip or None, note)`. It is open until `kept`."""
        self._ask(wish_of(CLIP, camera, from_ms, to_ms), CLIP, camera, from_ms, to_ms, _clip_teller(done))

    def snapshot(self, camera: str, done: SnapshotDone) -> None:
        """A JPEG of a camera's newest picture; `done(bytes or None, its time, note)`."""
        wish = secrets.token_hex(12)

        def tell(data: bytes | None, picture: Picture | None, note: str) -> None:
            done(data, picture.from_ms if picture is not None else 0, note)
            self._finish(wish)

        now_ms = self._link.clock.now_ms()
        self._ask(wish, SNAPSHOT, camera, now_ms, now_ms, tell)

    def kept(self, camera: str, from_ms: int, to_ms: int) -> None:
        """What was asked with `clip` is stored, or nobody wants it any more: take it out."""
        self._finish(wish_of(CLIP, camera, from_ms, to_ms))

    # -- what people ask ----------------------------------------------------------------------

    def wait_clip(self, device: str, from_ms: int, to_ms: int, timeout_s: float) -> Clip:
        """A clip, waiting for it. Raises TryAgain saying why there is none."""
        future: Future[tuple[Clip | None, str]] = Future()
        wish = secrets.token_hex(12)
        self._ask(wish, CLIP, device, from_ms, to_ms, _clip_teller(partial(_settle, future)))
        try:
            clip, note = result_of(future, timeout_s)
        finally:
            self._finish(wish)
        if clip is None:
            raise TryAgain(f"There is no clip of {device}: {note}.", mend="See `lucheng camera show`.")
        return clip

    def wait_snapshot(self, device: str, timeout_s: float) -> tuple[bytes, int]:
        """A snapshot, waiting for it. Raises TryAgain saying why there is none."""
        future: Future[tuple[tuple[bytes | None, int], str]] = Future()
        self.snapshot(device, lambda jpeg, time_ms, note: future.set_result(((jpeg, time_ms), note)))
        (jpeg, time_ms), note = result_of(future, timeout_s)
        if jpeg is None:
            raise TryAgain(f"There is no picture of {device}: {note}.", mend="See `lucheng camera show`.")
        return jpeg, time_ms

    def recorded(
        self, machines: Sequence[str], device: str, from_ms: int, to_ms: int, allowed: Allowed, timeout_s: float
    ) -> list[Clip]:
        """What these machines (their leases) have recorded of a window, in their order; who does not answer in time has nothing."""
        wishes = {secrets.token_hex(12): run for run in machines}
        futures: list[Future[tuple[Clip | None, str]]] = []
        for wish, run in wishes.items():
            future: Future[tuple[Clip | None, str]] = Future()
            futures.append(future)
            tell = _clip_teller(partial(_settle, future))
            self._ask(wish, RECORDED, device, from_ms, to_ms, tell, machine=run, allowed=allowed)
        wait(futures, timeout_s)
        for wish in wishes:
            self._finish(wish)
        found = [future.result()[0] for future in futures if future.done()]
        return [clip for clip in found if clip is not None]

    # -- asking -------------------------------------------------------------------------------

    def _ask(
        self,
        wish: str,
        kind: str,
        camera: str,
        from_ms: int,
        to_ms: int,
        tell: _Tell,
        *,
        machine: str = "",
        allowed: Allowed | None = None,
    ) -> None:
        setup = self._known.now().setups.get(camera)
        until_ms = max(to_ms, self._link.clock.now_ms()) + DEFAULT_PATIENCE_MS
        share = partition_of(setup.slot, self._shares) if setup is not None else 0
        limit = self._max_clip_bytes
        one = _Open(Ask(wish, kind, camera, share, from_ms, to_ms, limit, until_ms, machine, allowed), tell)
        with self._lock:
            full = len(self._open) >= DEFAULT_MAX_OPEN
            if not full:
                self._open[wish] = one
        if (setup is None and not machine) or full:
            why = f"{DEFAULT_MAX_OPEN} requests are waiting" if full else "it is no camera that is watched"
            self._submit(lambda: self._tell(one, None, None, why))
            return
        self._submit(lambda: self._put(one))

    def _put(self, one: _Open) -> None:
        """Into the stream, unless it was answered before we asked. On a thread of ours."""
        with self._lock:
            found = self._answers.get(one.ask.wish)
        if found is not None:
            self._take(one, found[1])
            return
        message = Message(self._names.ask_subject(one.ask.share, one.ask.wish), _encoder.encode(one.ask), {})
        try:
            answer = self._link.call(
                self._link.persist(
                    lambda: self._link.publish([message]),
                    what="Nobody can be asked for clips",
                )
            )
        except LuchengError as error:
            self._tell(one, None, None, error.message)
            return
        with one.lock:
            one.position = int(answer["seq"])
            done = one.done
        if done:
            self._remove(self._names.asks, one.position)

    # -- answers ------------------------------------------------------------------------------

    def begin(self) -> None:
        """See `watching.Watcher`; on the link's loop, as the next two."""

    def put(self, subject: str, position: int, headers: Mapping[str, str], payload: bytes) -> None:
        """See `watching.Watcher`."""
        del subject, headers
        try:
            answer = _decoder.decode(payload)
        except msgspec.MsgspecError:
            return
        with self._lock:
            before = self._answers.get(answer.wish)
            if before is not None and before[0] >= position:
                return
            self._answers[answer.wish] = (position, answer)
            while len(self._answers) > DEFAULT_MAX_UNCLAIMED:
                self._answers.popitem(last=False)
            one = self._open.get(answer.wish)
        if one is not None:
            self._submit(lambda: self._take(one, answer))

    def whole(self) -> None:
        """See `watching.Watcher`."""

    def _take(self, one: _Open, answer: Answer) -> None:
        """What was made, with its bytes."""
        file, picture = answer.file, answer.picture
        if file is None or picture is None:
            self._tell(one, None, None, answer.note)
            return
        try:
            data = self._files.read(StoredFile(file.name, file.nuid, file.chunks, file.size_bytes, file.sha256))
        except LuchengError as error:
            self._tell(one, None, None, error.message)
            return
        if data is None:
            self._tell(one, None, None, "its bytes were lost on the way")
        else:
            self._tell(one, data, picture, answer.note)

    def _tell(self, one: _Open, data: bytes | None, picture: Picture | None, note: str) -> None:
        with one.lock:
            first, one.answered = not one.answered, True
        if not first:
            return
        try:
            one.tell(data, picture, note)
        except Exception as error:  # who asked has failed; others still wait for their answers
            _log.exception("clip not handed over", camera=one.ask.camera, error=type(error).__name__)

    def _finish(self, wish: str) -> None:
        """Nobody wants it any more: ask, answer and bytes are taken out."""
        with self._lock:
            one = self._open.pop(wish, None)
            found = self._answers.pop(wish, None)
        position = 0
        if one is not None:
            with one.lock:
                one.done, position = True, one.position
        if position or found is not None:
            self._submit(lambda: self._clear(position, found))

    def _clear(self, position: int, found: tuple[int, Answer] | None) -> None:
        if position:
            self._remove(self._names.asks, position)
        if found is None:
            return
        self._remove(self._names.answers, found[0])
        file = found[1].file
        if file is not None:
            try:
                self._files.remove(StoredFile(file.name, file.nuid, file.chunks, file.size_bytes, file.sha256))
            except (TryAgain, StoreError) as error:
                _log.info("bytes of a clip stay until they are old", error=error.message)

    def _remove(self, stream: str, position: int) -> None:
        try:
            self._link.call(self._link.api(f"STREAM.MSG.DELETE.{stream}", {"seq": position, "no_erase": True}))
        except (TryAgain, StoreError) as error:  # it is told again, and known, or grows old
            _log.info("a wish stays until it is old", error=error.message)

    def _submit(self, work: Callable[[], None]) -> None:
        try:
            self._working.submit(work)
        except RuntimeError:
            return  # the end


def _settle(future: Future[tuple[Clip | None, str]], clip: Clip | None, note: str) -> None:
    future.set_result((clip, note))


def _clip_teller(done: ClipDone) -> _Tell:
    def tell(data: bytes | None, picture: Picture | None, note: str) -> None:
        done(None if data is None or picture is None else clip_of(data, picture, note), note)

    return tell


def clip_of(data: bytes, picture: Picture, note: str) -> Clip:
    """A clip as its machine made it."""
    return Clip(
        data,
        hashlib.sha256(data).hexdigest(),
        picture.from_ms,
        picture.to_ms,
        picture.codec,
        picture.width_px,
        picture.height_px,
        picture.frames,
        picture.transcoded,
        note,
    )
