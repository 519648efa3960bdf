"""What every request has to pass before anything looks at it: host, origin, token; and the headers of every answer.

Invariants: a name that is not of this machine's loopback is refused (a page elsewhere cannot make its own name point here);
what changes something, a WebSocket, and whatever another site's page asks for is refused unless it comes from our own page;
without the token or a session there is nothing, not even a 404; a token in an address is turned into a session at once and the
browser sent on without it. No answer may be cached, framed, sniffed or embedded elsewhere, and no page may run a script or
load anything but our own. Nothing of a request is logged.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.live.tokens import MAX_TOKEN_CHARS, Keys

TOKEN_FIELD = "token"  # noqa: S105 a field's name
#: Where the token is handed over in a form; needs no session.
ENTER_PATH = "/enter"
_BEARER = "bearer "
_SAFE_METHODS = frozenset({"GET", "HEAD"})
DEFAULT_MAX_BODY_BYTES = 8 << 10
DEFAULT_BODY_TIMEOUT_S = 10.0
MAX_QUERY_BYTES = 4 << 10
#: All names and values of a request's head; a head that comes in one piece is whole before it is counted.
MAX_HEADER_BYTES = 16 << 10

#: Styles and scripts are files of ours; `blob:` is how a player is given what came over the WebSocket.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{style}; img-src 'self'; media-src 'self' blob:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


#: Makes the page that asks for the token: (the request, status, seconds to wait).
SignIn = Callable[[Scope, int, int], Response]


def cookie_name(port: int) -> str:
    """Of the session; browsers do not keep cookies of two ports apart."""
    return f"lucheng_live_{port}"


def hosts_of(listen: str, port: int) -> frozenset[str]:
    """What `Host` may say."""
    names = {"127.0.0.1", "localhost", "[::1]", f"[{listen}]" if ":" in listen else listen}
    return frozenset(f"{name}:{port}" for name in names) | (frozenset(names) if port == 80 else frozenset())


class Guard:
    """The checks, around the application.

    Args:
        app: what is guarded.
        keys: says which tokens and sessions are right.
        hosts: what `Host` may say, from `hosts_of`.
        cookie: name of the session's cookie.
        sign_in: makes the page that asks for the token.
        max_body_bytes: largest body.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Keys,
        hosts: frozenset[str],
        cookie: str,
        sign_in: SignIn,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    ) -> None:
        self._app = app
        self._keys = keys
        self._hosts = hosts
        self._origins = frozenset(f"http://{host}" for host in hosts)
        self._cookie = cookie
        self._sign_in = sign_in
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        headers = Headers(scope=scope)
        refusal = self._foreign(scope, headers)
        if refusal is None and scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", ENTER_PATH):
            refusal = self._entered(scope, (await read_form(receive, self._max_body_bytes)).get(TOKEN_FIELD, ""))
        elif refusal is None:
            refusal = self._unknown(scope, headers)
        if refusal is not None:
            await _refuse(scope, receive, _Sealed(send), refusal)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, _Sealed(send))

    def _foreign(self, scope: Scope, headers: Headers) -> Response | None:
        """A refusal when the request is not for us, another site's page makes it, or it is too large."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("This is not the address of the live view.\n", 421)
        if sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEADER_BYTES:
            return PlainTextResponse("The request's head is too large.\n", 431)
        if self._from_elsewhere(scope, headers):
            return PlainTextResponse("Another site's page asks for this, or it is not said which page does.\n", 403)
        if scope["type"] == "http":
            if len(scope["query_string"]) > MAX_QUERY_BYTES:
                return PlainTextResponse("The address is too long.\n", 414)
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length[:10]) > self._max_body_bytes or "transfer-encoding" in headers:
                return PlainTextResponse("The request's body is too large.\n", 413)
        return None

    def _from_elsewhere(self, scope: Scope, headers: Headers) -> bool:
        """Whether a page that is not ours asks; what changes something has to say that ours does, or bring the token itself."""
        origins = headers.getlist("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if changes and not origins and not headers.get("authorization", "").lower().startswith(_BEARER):
            return True
        site = headers.get("sec-fetch-site", "none")
        # A form of ours says `null`, because our pages send no referrer; the browser's own word of where it came from tells
        # it from a page in a sandbox. Source: Fetch, "append a request Origin header"; Fetch Metadata.
        own_form = origins == ["null"] and scope["type"] == "http" and site == "same-origin"
        if not own_form and any(origin.lower() not in self._origins for origin in origins):
            return True
        elsewhere = site not in ("none", "same-origin")
        opened = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
        return elsewhere and not opened

    def _unknown(self, scope: Scope, headers: Headers) -> Response | None:
        """A refusal, or the way into a session, when there is none."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in query if name == TOKEN_FIELD]
        if tokens and scope["type"] == "http" and scope["method"] == "GET":
            return self._enter(scope, tokens[0], [pair for pair in query if pair[0] != TOKEN_FIELD])
        given = headers.get("authorization", "")
        if given:
            token = given[len(_BEARER) :].strip() if given.lower().startswith(_BEARER) else ""
            return None if self._opens(token) else self._closed(scope)
        return None if self._has_session(headers) else self._closed(scope)

    def _has_session(self, headers: Headers) -> bool:
        jar = SimpleCookie()
        try:
            jar.load(headers.get("cookie", ""))
        except CookieError:
            return False
        morsel = jar.get(self._cookie)
        return morsel is not None and self._keys.holds(morsel.value)

    def _opens(self, token: str) -> bool:
        return 0 < len(token) <= MAX_TOKEN_CHARS and self._keys.opens(token)

    def _closed(self, scope: Scope) -> Response:
        wait_s = math.ceil(self._keys.wait_s())
        made = self._sign_in(scope, 429 if wait_s else 401, wait_s)
        made.headers["www-authenticate"] = "Bearer"
        if wait_s:
            made.headers["retry-after"] = str(wait_s)
        return made

    def _enter(self, scope: Scope, token: str, query: list[tuple[str, str]]) -> Response:
        if not self._opens(token):
            return self._closed(scope)
        path = scope["path"] if scope["path"].startswith("/") and not scope["path"].startswith("//") else "/"
        return self._session(path + (f"?{urlencode(query)}" if query else ""))

    def _entered(self, scope: Scope, token: str) -> Response:
        return self._session("/") if self._opens(token) else self._closed(scope)

    def _session(self, path: str) -> Response:
        """Send the browser on to `path` with a session."""
        made = RedirectResponse(path, 303)
        made.set_cookie(self._cookie, self._keys.new_session(), path="/", httponly=True, samesite="strict")
        return made


async def read_form(receive: Receive, max_bytes: int = DEFAULT_MAX_BODY_BYTES) -> dict[str, str]:
    """The fields of a form (`application/x-www-form-urlencoded`), the last of each name; none when it is over its limits."""
    body = b""
    try:
        async with asyncio.timeout(DEFAULT_BODY_TIMEOUT_S):
            while (message := await receive())["type"] == "http.request":
                body += message.get("body", b"")
                if len(body) > max_bytes:
                    return {}
                if not message.get("more_body", False):
                    break
            return dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=20))
    except (TimeoutError, ValueError):
        return {}


class _Sealed:
    """Adds the headers of every answer."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("content-security-policy", POLICY.format(style=""))
        await self._send(message)


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: Response) -> None:
    refusal.headers["connection"] = "close"
    await refusal(scope, receive, send)  # a Response refuses a WebSocket before it is accepted
