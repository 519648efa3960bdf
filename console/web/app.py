"""The console's application: `/api/v1` over the operations, the live side, sessions, live pictures; and the pages.

Invariants: what is asked passes `console.web.gate` before anything else, by the doors that are built here from the same tables as
the routes; every route of the application has its door and its row in the table of permissions, else it is not built; errors are
`application/problem+json`. The document of the API (`openapi`) is made from the same routes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from console.web.again import Again
from console.web.asked import PREFIX, operation_doors, visit_of
from console.web.doors import Door, Doors
from console.web.gate import API, Gate, GateLimits
from console.web.live_routes import LivePictures, live_routes
from console.web.pages import Pages
from console.web.permissions import OPEN_ROUTES, PERMISSIONS
from console.web.problems import problem_answer
from console.web.session_routes import Entrance, session_routes
from console.web.watching import Visitor
from model.errors import LuchengError

if TYPE_CHECKING:
    from console.operations import Operations
    from model.clock import Clock
    from model.seams import Audit
    from store.accounts.answers import AnswerStore


@dataclass(frozen=True, slots=True)
class WebParts:
    """What the application is made of.

    Attributes:
        operations: what is asked.
        entrance: sessions and the first set-up.
        live: routes of the live side, by who asks; see `lucheng.live_side`.
        pictures: live pictures of cameras, None where there are none.
        answers: where answers to changes are kept; secret: key of the hashes of what was asked.
        audit, clock: of the service.
        pages: the pages' files.
        tile_origins: where a base map's tiles come from.
        limits: of every request.
    """

    operations: Operations
    entrance: Entrance
    live: Callable[[Callable[[Request], Visitor]], Sequence[APIRouter]]
    pictures: LivePictures | None
    answers: Callable[[], AnswerStore]
    secret: bytes
    audit: Audit
    clock: Clock
    pages: Pages = field(default_factory=Pages)
    tile_origins: tuple[str, ...] = ()
    limits: GateLimits = field(default_factory=GateLimits)


def make_api(parts: WebParts) -> tuple[FastAPI, Doors]:
    """The routes below `/api/v1`, without the gate before them, and their doors."""
    api = FastAPI(title="lucheng", version="1", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    doors = Doors()
    for router in (session_routes(parts.entrance), *parts.live(visit_of)):
        for route in router.routes:
            assert isinstance(route, APIRoute)
            assert route.methods is not None
            (verb,) = route.methods
            doors.add(Door(verb, PREFIX + route.path, route.name))
        api.include_router(router, prefix=PREFIX)
    if parts.pictures is not None:
        live_routes(api, doors, parts.pictures)
    operation_doors(api, parts.operations, doors, stall_s=parts.limits.stall_s)
    for kind in (LuchengError, RequestValidationError, HTTPException, Exception):
        api.add_exception_handler(kind, _problem)
    _check_doors(api.routes, doors)
    return api, doors


def make_web(parts: WebParts, *, hosts: frozenset[str], origins: frozenset[str]) -> Gate:
    """The whole application as it answers under these names.

    Args:
        parts: what it is made of.
        hosts: what `Host` may say.
        origins: what `Origin` may say.
    """
    api, doors = make_api(parts)
    again = Again(api, answers=parts.answers, secret=parts.secret)
    return Gate(
        _Split(again, parts.pages),
        doors=doors,
        sessions=parts.entrance.sessions,
        audit=parts.audit,
        clock=parts.clock,
        hosts=hosts,
        origins=origins,
        cookie=parts.entrance.cookie,
        tile_origins=parts.tile_origins,
        limits=parts.limits,
    )


def _problem(request: Request, error: Exception) -> Response:
    return problem_answer(request.scope, error)


def _check_doors(routes: Sequence[BaseRoute], doors: Doors) -> None:
    """Every route has a door of its name, and every door a row in the table: a route that was forgotten stops the start."""
    names = {door.name for door in doors.all}
    for route in routes:
        name = getattr(route, "name", None)  # an included router has none; its routes got their doors with it
        assert name is None or name in names, f"{name} has no door"
    for name in names:
        assert name in PERMISSIONS or name in OPEN_ROUTES, f"{name} is not in the table of permissions"


class _Split:
    """What is below `/api/` to the API, the rest to the pages."""

    def __init__(self, api: ASGIApp, pages: ASGIApp) -> None:
        self._api = api
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        mine: Any = self._api if scope["path"].startswith(API) else self._pages
        await mine(scope, receive, send)
