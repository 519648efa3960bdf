"""`FarLive`: live views of cameras that other machines have, as the desk's hub asks for them (`model.video.LiveFeeds`).

Invariants: what comes is bounded by what we have said to have seen; a piece that is missing ends the feed, and the hub asks for it anew, so
nobody is shown half a picture; a machine that says nothing for long is told of as gone. It asks the machine that has the camera
at the moment, and knows none by itself.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from lucheng.video.sharing.direct import OK, SEEN_EVERY_S, Said, Seen, Unseen, View, said_encoder, shown_decoder
from lucheng.video.worker_live import MODES
from model.errors import LuchengError, NotFound, Refused, TryAgain
from model.video import Fragment
from store.nats.asking import ask
from store.nats.terms import Away

if TYPE_CHECKING:
    from lucheng.video.sharing.known import KnownCameras
    from store.nats.cameras import VideoNames
    from store.nats.link import Link
    from store.nats.terms import Replies

#: One question to a machine, and how many of them it may leave unanswered.
ASK_TIMEOUT_S = 1.0
MAX_UNANSWERED = 3

_Taker = Callable[[Fragment], None]


class FarLive:
    """See the module. Any thread may call anything.

    Args:
        bulk: the connection for pictures. names: what things are called.
        known: the cameras of the registry.
        machine_of: the lease of the machine that has a camera, "" for none.
    """

    def __init__(self, bulk: Link, names: VideoNames, known: KnownCameras, machine_of: Callable[[str], str]) -> None:
        self._bulk = bulk
        self._names = names
        self._known = known
        self._machine_of = machine_of

    def start(self, camera: str, *, mode: str, deliver: _Taker) -> Callable[[], None]:
        """See `LiveFeeds.start`."""
        known = self._known.now()
        if mode not in MODES:
            raise Refused(f"{mode[:20]!r} is no kind of live view.", mend="Use one of " + ", ".join(MODES) + ".")
        if camera not in known.setups:
            raise NotFound(f"{camera} is no camera that is watched.", mend="`lucheng camera list` shows them.")
        if camera in known.parked:
            raise Refused(f"{camera} is set aside.", mend=f"Let it back with `lucheng camera unpark {camera}`.")
        run = self._machine_of(camera)
        if not run:
            raise TryAgain(f"No video machine watches {camera} now.", mend="Try again in a moment.")
        asked = View(camera, mode, secrets.token_hex(12))
        return self._bulk.start(self._follow(run, asked, deliver))

    async def _follow(self, run: str, asked: View, deliver: _Taker) -> None:
        why = "the connection to the nats-servers was lost"
        try:
            async with self._bulk.inbox(self._names.view_subject(asked.view)) as (_, pieces):
                if await self._say(run, asked) != OK:
                    why = "its video machine does not have it any more"
                else:
                    why = await self._take_all(run, asked.view, pieces, deliver)
        except LuchengError as error:
            why = error.message
        except asyncio.CancelledError:
            await self._bulk.tell(self._names.machine_subject(run), said_encoder.encode(Unseen(asked.view)))
            raise
        if why:
            deliver(Fragment(asked.camera, "end", keyframe=False, data=why.encode(), time_ms=0))

    async def _take_all(self, run: str, view: str, pieces: Replies, deliver: _Taker) -> str:
        """Hand on what comes; why it ended, "" when the machine has said so itself. Raises Away."""
        number, seen_bytes, unanswered = 0, 0, 0
        said_s = self._bulk.clock.monotonic_s()
        while True:
            if self._bulk.clock.monotonic_s() - said_s >= SEEN_EVERY_S:
                said_s = self._bulk.clock.monotonic_s()
                try:
                    if await self._say(run, Seen(view, seen_bytes)) != OK:
                        return "its video machine does not have it any more"
                    unanswered = 0
                except Away:
                    unanswered += 1
                    if unanswered >= MAX_UNANSWERED:
                        raise
            try:
                message = await asyncio.wait_for(pieces.get(), SEEN_EVERY_S)
            except TimeoutError:
                continue
            if message is None:
                raise Away("the connection to the nats-servers was lost")
            try:
                shown = shown_decoder.decode(message.data)
            except msgspec.MsgspecError:
                return "its video machine is of another version"
            if shown.number != number + 1:
                return "pieces were lost on the way"
            number, seen_bytes = shown.number, seen_bytes + len(shown.fragment.data)
            deliver(shown.fragment)
            if shown.fragment.kind == "end":
                return ""

    async def _say(self, run: str, what: Said) -> bytes | None:
        """Raises Away: no answer."""
        return await ask(
            self._bulk, self._names.machine_subject(run), said_encoder.encode(what), timeout_s=ASK_TIMEOUT_S
        )
