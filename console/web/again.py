"""The same change asked twice is done once: `Idempotency-Key`.

Invariants: a change that carries a key is noted before it is done, and its answer is kept before it is sent, so that an answer lost
on its way can be had again for 24 hours, by the same person and for the same request alone; a change that has begun is ended even
where its client has gone; what was certainly not done may be asked again under its key; what holds a secret or is long is kept
as given, without its bytes. A question that is asked by POST is asked anew each time, and audited each time. Bodies are told apart by a
keyed hash: nobody can try passwords on what is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.web.gate import DOOR_KEY, VISIT_KEY, given_body
from console.web.problems import UNDONE_KEY, WebProblem
from model.errors import UsageError

if TYPE_CHECKING:
    from console.web.doors import Door
    from store.accounts.answers import AnswerStore, KeptAnswer

MAX_KEY_CHARS = 128
REPLAYED_HEADER = "idempotency-replayed"

_log = structlog.get_logger(__name__)


class Again:
    """Around the application, inside the gate.

    Args:
        app: what changes things.
        answers: where answers are kept.
        secret: key of the hashes of bodies; the same at each start.
    """

    def __init__(self, app: ASGIApp, *, answers: Callable[[], AnswerStore], secret: bytes) -> None:
        self._app = app
        self._answers = answers
        self._secret = secret
        #: Changes whose client may have gone.
        self._under_way: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        door: Door | None = state.get(DOOR_KEY)
        visit = state.get(VISIT_KEY)
        keys = Headers(scope=scope).getlist("idempotency-key") if scope["type"] == "http" else []
        if not keys or visit is None or door is None or door.verb != "POST" or door.question:
            await self._app(scope, receive, send)
            return
        key = _checked(keys)
        body: bytes = (await receive())["body"]  # the gate has read it whole
        fingerprint = await asyncio.to_thread(self._print, scope, body)
        known = await asyncio.to_thread(self._answers().begin, visit.user, key, fingerprint)
        if known is not None:
            await _known(known, fingerprint)(scope, receive, send)
            return
        kept = _Kept(self._answers, visit.user, key, send, secret=door.secret)
        work = asyncio.ensure_future(self._do(scope, given_body(body, receive), kept))
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            kept.leave()
            raise

    async def _do(self, scope: Scope, receive: Receive, kept: _Kept) -> None:
        try:
            await self._app(scope, receive, kept)
        finally:
            await kept.end(undone=bool(scope["state"].get(UNDONE_KEY)))

    def _print(self, scope: Scope, body: bytes) -> bytes:
        made = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in (
            scope["path"].encode(),
            scope["query_string"],
            Headers(scope=scope).get("if-match", "").encode("latin-1", "replace"),
            body,
        ):
            made.update(len(part).to_bytes(8, "big") + part)
        return made.digest()


class _Kept:
    """`send` that holds an answer back until it is kept; one that is too long to keep goes on as it comes."""

    def __init__(self, answers: Callable[[], AnswerStore], user: str, key: str, send: Send, *, secret: bool) -> None:
        self._answers = answers
        self._user = user
        self._key = key
        self._send = send
        self._secret = secret
        self._start: Message | None = None
        self._body = b""
        self._kept = False
        self._gone = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._kept:
            await self._pass(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False) or len(self._body) <= self._answers().max_answer_bytes:
            return  # `end` knows whether it was done
        assert self._start is not None
        await self._keep(None)
        await self._pass(self._start)
        await self._pass({"type": "http.response.body", "body": self._body, "more_body": True})

    async def end(self, *, undone: bool) -> None:
        """The application is done: keep what it said, then say it."""
        if self._kept:
            return
        if undone:
            await asyncio.to_thread(self._answers().forget, self._user, self._key)
            self._kept = True
        else:
            short = len(self._body) <= self._answers().max_answer_bytes and not self._secret
            await self._keep(self._body if short and self._start is not None else None)
        if self._start is not None:
            await self._pass(self._start)
            await self._pass({"type": "http.response.body", "body": self._body, "more_body": False})

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        self._gone = True

    async def _keep(self, body: bytes | None) -> None:
        self._kept = True
        if self._start is None:  # it failed without an answer: nobody knows what was done
            return
        headers = Headers(raw=self._start["headers"])
        media_type = headers.get("content-type", "")
        try:
            await asyncio.to_thread(
                self._answers().finish, self._user, self._key, self._start["status"], media_type, body
            )
        except Exception as error:  # the change is made; its answer must not be lost for want of a copy
            _log.error("web.answer_not_kept", error=type(error).__name__)

    async def _pass(self, message: Message) -> None:
        if not self._gone:
            await self._send(message)


def _checked(keys: list[str]) -> str:
    key = keys[0]
    if len(keys) != 1 or not 0 < len(key) <= MAX_KEY_CHARS or not (key.isascii() and key.isprintable()):
        raise UsageError("That is no key of a change.", mend=f"Give one of at most {MAX_KEY_CHARS} ASCII characters.")
    return key


def _known(known: KeptAnswer, fingerprint: bytes) -> Response:
    """What was answered before. Raises WebProblem where that cannot be said again."""
    if not hmac.compare_digest(known.print, fingerprint):
        raise WebProblem("key_reused")
    if known.status == 0:
        raise WebProblem("under_way" if known.here else "outcome_unknown", headers={"retry-after": "1"})
    if known.body is None:
        raise WebProblem("answered_once")
    answer = Response(known.body or b"", known.status, media_type=known.media_type or None)
    answer.headers[REPLAYED_HEADER] = "true"
    return answer
