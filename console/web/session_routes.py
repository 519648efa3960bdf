"""Coming and going: `/session`, `/session/password`, `/setup`.

Invariants: a session's token is in its cookie alone, which no script reads and no other site's page sends; no password and no token
is in an answer, an address or an error. Who somebody is is decided by `console.web.sessions`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from console.web.asked import visit_of
from console.web.gate import SOURCE_KEY, VISIT_KEY
from console.web.problems import WebProblem
from console.web.sessions import MAX_TOKEN_CHARS, Sessions

_MAX_TEXT_CHARS = 1_024
_Text = Annotated[str, Field(max_length=_MAX_TEXT_CHARS)]


class Given(BaseModel):
    """Who signs in."""

    model_config = ConfigDict(extra="forbid")

    user: _Text
    password: _Text


class FirstGiven(Given):
    """Who is made the first administrator."""

    token: Annotated[str, Field(max_length=MAX_TOKEN_CHARS * 4)]


class PasswordGiven(BaseModel):
    """One's own password, changed."""

    model_config = ConfigDict(extra="forbid")

    old: _Text
    new: _Text


class SessionTold(BaseModel):
    """Who is signed in."""

    user: str
    role: str
    language: str
    name: str
    until: str


class SetupTold(BaseModel):
    """Whether the first administrator is still to be made."""

    needed: bool


@dataclass(frozen=True, slots=True)
class Entrance:
    """What the routes are made of.

    Attributes:
        sessions: decide.
        cookie: the session's name there. secure: by TLS alone, whatever the request says.
        setup_token: the one-time token now, "" none; set_up: called when it was used.
    """

    sessions: Sessions
    cookie: str
    secure: bool
    setup_token: Callable[[], str]
    set_up: Callable[[], None]


def session_routes(entrance: Entrance) -> APIRouter:
    """The routes, to be mounted under `/api/v1`; their names are those of the table of permissions."""
    router = APIRouter(tags=["session"])
    sessions = entrance.sessions

    def session_show(request: Request) -> SessionTold:
        return SessionTold(**sessions.told(visit_of(request)))

    def session_begin(request: Request, given: Given) -> Response:
        source = request.scope["state"][SOURCE_KEY]
        before = _token(request, entrance.cookie)
        token = sessions.sign_in(given.user, given.password, source)
        if before:
            sessions.sign_out(before)  # whoever signs in here anew leaves no session behind
        visit = sessions.visit(token)
        if visit is None:
            raise WebProblem("not_signed_in")
        answer = JSONResponse(sessions.told(visit))
        _set_cookie(request, answer, entrance, token)
        return answer

    def session_end(request: Request) -> Response:
        token = _token(request, entrance.cookie)
        if token:
            sessions.sign_out(token)
        answer = Response(status_code=204)
        answer.delete_cookie(entrance.cookie, path="/", httponly=True, samesite="strict")
        return answer

    def session_password(request: Request, given: PasswordGiven) -> Response:
        sessions.change_password(visit_of(request), given.old, given.new)
        return Response(status_code=204)

    def setup_show() -> SetupTold:
        return SetupTold(needed=sessions.setup_needed())

    def setup_do(request: Request, given: FirstGiven) -> Response:
        source = request.scope["state"][SOURCE_KEY]
        sessions.set_up(
            given.user, given.password, token=given.token, right_token=entrance.setup_token(), source=source
        )
        entrance.set_up()
        return Response(status_code=204)

    def add(verb: str, path: str, endpoint: Callable[..., Any], status: int = 200) -> None:
        told: dict[str, Any] = {"status_code": status}
        if endpoint is session_begin:
            told["response_model"] = SessionTold
        router.add_api_route(
            path, endpoint, methods=[verb], name=endpoint.__name__, operation_id=endpoint.__name__, **told
        )

    add("GET", "/session", session_show)
    add("POST", "/session", session_begin)
    add("DELETE", "/session", session_end, 204)
    add("POST", "/session/password", session_password, 204)
    add("GET", "/setup", setup_show)
    add("POST", "/setup", setup_do, 204)
    return router


def _token(request: Request, cookie: str) -> str:
    """The token of the session that a request has, "" none (any more)."""
    if request.scope["state"].get(VISIT_KEY) is None:
        return ""
    jar = SimpleCookie()
    jar.load(request.headers.get("cookie", ""))  # the gate has read it, too
    return jar[cookie].value


def _set_cookie(request: Request, answer: Response, entrance: Entrance, token: str) -> None:
    secure = entrance.secure or request.headers.get("origin", "").lower().startswith("https://")
    answer.set_cookie(
        entrance.cookie,
        token,
        max_age=entrance.sessions.limits.session_s,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
