"""The operations as routes below `/api/v1`: `console.routes.ROUTES`, in the shape of docs/design/console.md.

Invariants: a route's arguments are the operation's own, bounded; who asks is the session's, looked at anew when the work begins; a
list is a page, bytes are given in ranges, what is long goes out in pieces and stops where the right to it ends (S19); history is read
for a purpose that was said. What names a file of the service's machine has no route. No rule of the house is decided here.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import time
import types
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from fastapi import APIRouter, Body, FastAPI, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask

from console.blob import Blob
from console.exports.spool import Exported
from console.kept_rows import MAX_LIST_ROWS
from console.live.bytes_answer import BytesAnswer
from console.operations import Operations, Track
from console.routes import ROUTES, TOLD_HEADER, Route
from console.web.doors import Door, Doors
from console.web.gate import VISIT_KEY
from console.web.paging import PAGED, page, read_cursor
from console.web.permissions import NOBODY, PERMISSIONS
from console.web.problems import WebProblem
from model.errors import UsageError

if TYPE_CHECKING:
    from console.web.sessions import Visit

PREFIX = "/api/v1"
#: Purpose of what belongs to the shift itself, where none was said.
SHIFT_PURPOSE = "patrol"
#: Read for a purpose that somebody said, or not at all.
NEEDS_PURPOSE = frozenset(
    {
        "track", "trips", "report_supervision", "replay", "search_inside", "search_both", "search_then", "search_company",
        "search_met", "search_cameras", "export_tracks", "signal_list", "terminal_reports", "quarantine_show",
        "evidence_show", "evidence_read", "camera_timeline", "camera_recordings", "camera_recording_read", "camera_snapshot",
    }
)  # fmt: skip
#: … unless they name the alarm, which is the purpose then.
ALARM_IS_PURPOSE = frozenset({"alarm_show", "evidence_list", "camera_clip"})
#: Asked by POST because they are long; they change nothing, so each is asked anew.
QUESTIONS = frozenset(
    {
        "search_inside", "search_both", "search_then", "search_company", "search_met", "export_tracks", "audit_export",
        "camera_probe",
    }
)  # fmt: skip
#: Their answer holds what is given once only.
SECRET = frozenset({"device_credentials"})
#: Whole numbers beyond what JavaScript counts exactly are no time and no number of ours.
MAX_NUMBER = (1 << 53) - 1
#: A long answer asks so often whether its reader still may.
RECHECK_S = 1.0
_VERSION = re.compile(r'"([0-9]{1,15})"', re.ASCII)


def operation_doors(api: FastAPI, operations: Operations, doors: Doors, *, stall_s: float) -> None:
    """Add every operation that somebody may ask by web to the application and to its doors."""
    api.state.operations, api.state.stall_s = operations, stall_s
    router, made = _operation_routes()
    for door in made:
        doors.add(door)
    api.include_router(router)


@cache
def _operation_routes() -> tuple[APIRouter, tuple[Door, ...]]:
    """The routes, which find the operations in their application: made once, for FastAPI takes half a second for them."""
    router, doors = APIRouter(), []
    for route in ROUTES:
        if PERMISSIONS.get(route.name, NOBODY) == NOBODY:
            continue
        path = PREFIX + route.path.removeprefix("/v1")
        method = getattr(Operations, route.name)
        door = Door(
            route.verb,
            path,
            route.name,
            slow=route.slow,
            upload=bool(route.raw),
            secret=route.name in SECRET,
            question=route.name in QUESTIONS,
            versioned="version" in inspect.signature(method).parameters,
        )
        doors.append(door)
        router.add_api_route(
            path,
            _endpoint(method, route),
            methods=[route.verb],
            name=route.name,
            response_class=Response,
            tags=[path.split("/")[3]],
            **_described(method, route),
        )
    return router, tuple(doors)


def visit_of(request: Request) -> Visit:
    """Who asks. Raises WebProblem (401)."""
    visit: Visit | None = request.scope["state"].get(VISIT_KEY)
    if visit is None:
        raise WebProblem("not_signed_in")
    return visit


def _endpoint(method: Callable[..., Any], route: Route) -> Callable[..., Any]:
    """A FastAPI endpoint with the parameters of the operation: in the path, the query or the body."""
    parameters, versioned = _parameters(method, route)

    def answer(request: Request, arguments: dict[str, Any]) -> Response:
        visit = visit_of(request)
        _check_version(request, arguments, versioned=versioned)
        if "cursor" in arguments:
            cursor = arguments.pop("cursor")
            if cursor is not None:
                arguments[PAGED[route.name].parameter] = read_cursor(route.name, cursor)
        _say_why(route.name, arguments)
        state = request.app.state
        result = getattr(state.operations, route.name)(visit.caller_now(), **arguments)
        return _answer(route, request, visit, result, arguments, state.stall_s)

    async def with_body(*, request: Request, **arguments: Any) -> Response:
        arguments[route.raw] = await request.body()
        return await asyncio.to_thread(answer, request, arguments)

    def without_body(*, request: Request, **arguments: Any) -> Response:
        return answer(request, arguments)

    endpoint: Any = with_body if route.raw else without_body
    endpoint.__signature__ = inspect.Signature(parameters)
    endpoint.__annotations__ = {}
    endpoint.__name__ = route.name
    made: Callable[..., Any] = endpoint
    return made


def _parameters(method: Callable[..., Any], route: Route) -> tuple[list[inspect.Parameter], bool]:
    """Those of the endpoint, and whether the operation is decided on a version."""
    own = list(inspect.signature(method).parameters.items())[2:]
    asked = types.SimpleNamespace(__annotations__={name: one.annotation for name, one in own})
    hints = get_type_hints(asked, method.__globals__, include_extras=True)
    made = [inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)]
    for name, parameter in own:
        if name == route.raw:
            continue
        bounds = _bounds(name, hints[name])
        where: Any = Query(**bounds) if route.verb == "GET" or route.raw else Body(embed=True, **bounds)
        if "{" + name in route.path:
            where = Path(**bounds)
        made.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=parameter.default,
                annotation=Annotated[hints[name], where],
            )
        )
    if route.name in PAGED:
        cursor = Annotated[str | None, Query(max_length=400, description="`next` of the page before")]
        made.append(inspect.Parameter("cursor", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=cursor))
    return made, "version" in hints


def _bounds(name: str, hint: Any) -> dict[str, Any]:
    """What an argument of that type may be at most."""
    kinds = set(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else {hint}
    if name == "limit":
        return {"ge": 1, "le": MAX_LIST_ROWS}
    if int in kinds:
        return {"ge": -MAX_NUMBER, "le": MAX_NUMBER}
    return {"allow_inf_nan": False} if float in kinds else {}


def _described(method: Callable[..., Any], route: Route) -> dict[str, Any]:
    """What the document says of a route besides its arguments."""
    told = inspect.getdoc(method) or ""
    extra: dict[str, Any] = {
        "summary": told.partition("\n")[0],
        "operation_id": route.name,
        "responses": {200: {"description": "Done", "content": _content(str(method.__annotations__["return"]))}},
    }
    if route.raw:
        extra["openapi_extra"] = {
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        }
    return extra


def _content(returned: str) -> dict[str, Any]:
    """What an operation's answer is in HTTP, by its annotation."""
    if returned in ("Blob", "Exported"):
        return {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    row: dict[str, Any] = {"type": "object", "additionalProperties": True}
    if returned.startswith("list["):
        items = {"type": "array", "items": row}
        following = {"type": ["string", "null"], "description": "`cursor` of the next page; null: there is none."}
        row = {"type": "object", "required": ["items", "next"], "properties": {"items": items, "next": following}}
    return {"application/json": {"schema": row}}


def _check_version(request: Request, arguments: dict[str, Any], *, versioned: bool) -> None:
    """Take the version of `If-Match` into the arguments. Raises UsageError."""
    given = request.headers.get("if-match")
    if given is None:
        return
    found = _VERSION.fullmatch(given.strip())
    if found is None or not versioned:
        raise UsageError("If-Match names no version here.", mend='Write If-Match: "VERSION", for what has a version.')
    version = int(found[1])
    if arguments.get("version") not in (None, version):
        raise UsageError("If-Match and the body name two versions.", mend="Give one of them.")
    arguments["version"] = version


def _say_why(route: str, arguments: dict[str, Any]) -> None:
    """The shift's purpose where none was said and none is needed. Raises WebProblem (purpose_needed)."""
    if "purpose" not in arguments or arguments["purpose"]:
        return
    arguments["purpose"] = None
    if route in NEEDS_PURPOSE:
        raise WebProblem("purpose_needed")
    if route in ALARM_IS_PURPOSE:
        if not arguments.get("alarm"):
            raise WebProblem("purpose_needed")
        return
    arguments["purpose"] = SHIFT_PURPOSE


def _answer(
    route: Route, request: Request, visit: Visit, result: Any, arguments: dict[str, Any], stall_s: float
) -> Response:
    if result is None:
        return Response(status_code=204)
    if isinstance(result, Track):
        return StreamingResponse(_while_allowed(result.json_pieces(), visit, route), media_type="application/json")
    if isinstance(result, Blob):
        return BytesAnswer(result, request.headers.get("range", ""), stall_s=stall_s)
    if isinstance(result, Exported):
        told = {
            TOLD_HEADER: json.dumps(result.told),
            "content-length": str(result.size),
            "content-disposition": f'attachment; filename="{result.name}"',
        }
        return StreamingResponse(
            _while_allowed(result.pieces(), visit, route),
            media_type=result.media_type,
            headers=told,
            background=BackgroundTask(result.close),
        )
    if isinstance(result, list) and route.verb == "GET":
        result = page(route.name, result, arguments)
    return Response(msgspec.json.encode(result), media_type="application/json")


def _while_allowed(pieces: Iterator[bytes], visit: Visit, route: Route) -> Iterator[bytes]:
    """The pieces for as long as their reader may. Raises WebProblem in the midst of them, which breaks the answer off."""
    next_s = time.monotonic() + RECHECK_S
    for piece in pieces:
        if time.monotonic() >= next_s:
            if not visit.may(route.name):
                raise WebProblem("forbidden")
            next_s = time.monotonic() + RECHECK_S
        yield piece
