"""The routes of the live stream: `GET /events`, `PUT /events/{stream}/viewport`.

Who may take a route is decided before it is reached, by its name, in the console's table of permissions; `visitor` says who asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from console.web.events import MEDIA_TYPE, EventHub, EventResponse
from console.web.plane import MAX_ZOOM, MIN_ZOOM
from console.web.positions import SHOWN_KINDS
from console.web.watching import EVENTS_ROUTE, VIEWPORT_ROUTE, Visitor, Wanted
from model.errors import UsageError

_MAX_NUMBER_DIGITS = 18
#: Bounds of what is looked at at all; the setting's is lower.
_MAX_NAMES = 1_000
_MAX_PURPOSE_CHARS = 600


class ViewportBody(BaseModel):
    """What the map shows."""

    model_config = ConfigDict(extra="forbid")

    bbox: Annotated[list[float], Field(min_length=4, max_length=4, description="west, south, east, north; WGS-84")]
    zoom: Annotated[float, Field(ge=MIN_ZOOM, le=MAX_ZOOM, description="of 512-pixel tiles")]
    kinds: Annotated[list[str], Field(max_length=_MAX_NAMES)] = [kind.value for kind in SHOWN_KINDS]
    follow: Annotated[list[str], Field(max_length=_MAX_NAMES, description="devices shown wherever they are")] = []


class ViewportAnswer(BaseModel):
    """What the stream shows from now on."""

    follow: list[str]


def event_routes(hub: EventHub, visitor: Callable[[Request], Visitor]) -> APIRouter:
    """The routes over `hub`; `visitor` says who asks, and raises for nobody."""
    router = APIRouter(tags=["events"])

    async def events(
        request: Request,
        after: Annotated[int | None, Query(ge=0, description="number of the last alarm event that is known")] = None,
        purpose: Annotated[str | None, Query(max_length=_MAX_PURPOSE_CHARS)] = None,
    ) -> Response:
        who = await asyncio.to_thread(visitor, request)
        stream = await hub.open(who, _resumed(request.headers.get("last-event-id"), after), purpose)
        return EventResponse(hub, stream)

    def events_viewport(request: Request, stream: str, body: ViewportBody) -> ViewportAnswer:
        wanted = Wanted(body.bbox, body.zoom, body.kinds, body.follow)
        return ViewportAnswer(follow=hub.set_viewport(visitor(request), stream, wanted))

    router.add_api_route(
        "/events",
        events,
        methods=["GET"],
        name=EVENTS_ROUTE,
        response_class=Response,
        responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
    )
    router.add_api_route("/events/{stream}/viewport", events_viewport, methods=["PUT"], name=VIEWPORT_ROUTE)
    return router


def _resumed(header: str | None, after: int | None) -> int | None:
    """The number to go on from: the browser's own word when it comes back (its address is still the first one's)."""
    if not header:
        return after
    if not (header.isascii() and header.isdigit() and len(header) <= _MAX_NUMBER_DIGITS):
        raise UsageError("Last-Event-ID is no number.", mend="Send the id of the last alarm event.")
    return int(header)
