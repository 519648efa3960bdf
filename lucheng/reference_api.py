"""The API's document, `docs/reference/openapi.json`, and the pages of its permissions and problems. Made from the routes themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.openapi.utils import get_openapi

from console.operations import Operations
from console.web.app import WebParts, make_api
from console.web.doors import SOCKET, Door
from console.web.event_routes import event_routes
from console.web.live_routes import LivePictures
from console.web.maps import map_routes
from console.web.permissions import NOBODY, OPEN_ROUTES, PERMISSIONS
from console.web.problems import MEDIA_TYPE, PROBLEMS
from console.web.session_routes import Entrance
from console.web.watching import Visitor
from model.errors import LuchengError
from model.role import ROLE_WORDS, Role

_Table = Callable[[Iterable[str], Iterable[Iterable[object]]], str]
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request gets the same answer for 24 h, and nothing is done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[ -~]+$"},
}
_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The version that the change was decided on; 409 where it is not the newest.",
    "schema": {"type": "string", "pattern": '^"[0-9]{1,15}"$'},
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457; docs/reference/problems.md has the codes.",
    "required": ["type", "code", "title", "detail", "mend", "status"],
    "properties": {
        "type": {"type": "string"},
        "code": {"type": "string"},
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "mend": {"type": "string"},
        "status": {"type": "integer"},
        "who": {"type": "string", "description": "Who was first."},
        "current": {"description": "The thing as it is now."},
        "approval": {"type": "string", "description": "The request that waits for a second person."},
    },
}


def parts_without_a_service() -> WebParts:
    """What the routes are made of, to be looked at and not to be asked."""
    nothing = cast("Any", None)

    def live(visitor: Callable[[Request], Visitor]) -> Sequence[APIRouter]:
        return [event_routes(nothing, visitor), map_routes(nothing, nothing, visitor)]

    return WebParts(
        operations=Operations.__new__(Operations),
        entrance=Entrance(nothing, "lucheng", secure=False, setup_token=str, set_up=lambda: None),
        live=live,
        pictures=LivePictures(nothing, nothing, nothing, nothing),
        answers=nothing,
        secret=b"",
        audit=nothing,
        clock=nothing,
        pages=nothing,
    )


def openapi() -> dict[str, Any]:
    """The document: OpenAPI 3.1, every route with its roles and what it answers."""
    api, doors = make_api(parts_without_a_service())
    made = get_openapi(
        title="lucheng",
        version="1",
        summary="The console's API. The contract in words: docs/design/console.md.",
        routes=api.routes,
    )
    by_place = {(door.verb.lower(), door.path.replace(":path}", "}")): door for door in doors.all}
    for path, verbs in made["paths"].items():
        for verb, told in verbs.items():
            _complete(told, by_place[verb, path])
    schemas = made["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    made["components"]["securitySchemes"] = {
        "session": {"type": "apiKey", "in": "cookie", "name": "lucheng_8480", "description": "lucheng_ and the port."}
    }
    return made


def _complete(told: dict[str, Any], door: Door) -> None:
    """Its name, who may, what is asked besides, and problems."""
    told["operationId"] = door.name
    answers = told["responses"]
    answers.pop("422", None)
    answers["default"] = {
        "description": "A problem",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if door.name in OPEN_ROUTES:
        told["security"] = []
        return
    told["security"] = [{"session": []}]
    told["x-roles"] = [role.value for role in Role if role in PERMISSIONS[door.name]]
    more = [_KEY] if door.verb == "POST" and not door.question else []
    if door.versioned:
        more.append(_MATCH)
    if more:
        told["parameters"] = [*told.get("parameters", ()), *more]


def openapi_text() -> str:
    """The document as it is committed."""
    return json.dumps(openapi(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def permissions_page(table: _Table) -> str:
    """Every route and the roles that may take it."""
    doors = {door.name: door for door in make_api(parts_without_a_service())[1].all}
    rows = []
    for name, roles in PERMISSIONS.items():
        door = doors.get(name)
        where = f"`{_verb(door)} {door.path}`" if door is not None else "not by web · 不经网页提供"
        rows.append((f"`{name}`", where, *("●" if role in roles else "" for role in Role)))
    assert all(name in doors for name, roles in PERMISSIONS.items() if roles != NOBODY)
    words = [f"{ROLE_WORDS[role].en}<br>{ROLE_WORDS[role].zh}" for role in Role]
    return (
        "# Who may take which route · 角色权限\n\nWhat is not here nobody may. It is the first question only: the operations ask "
        "theirs of purpose, alarm, window and approval behind it. Without a session: "
        + ", ".join(f"`{name}`" for name in sorted(OPEN_ROUTES))
        + ".\n未列出者一律拒绝；本表仅为第一道检查，其后还须满足查阅目的、警情、时间窗与审批要求。\n\n"
        + table(("route", "path", *words), rows)
    )


def _verb(door: Door) -> str:
    return "WebSocket" if door.verb == SOCKET else door.verb


def problems_page(table: _Table) -> str:
    """Every code that an answer of the console can have."""
    rows = (
        (f"`{code}`", kind.status, f"{kind.title.en}<br>{kind.title.zh}", f"{kind.mend.en}<br>{kind.mend.zh}")
        for code, kind in PROBLEMS.items()
    )
    missing = {kind.code for kind in _errors(LuchengError) if kind.__module__ == LuchengError.__module__} - set(
        PROBLEMS
    )
    assert not missing, f"no words for {missing}"
    return (
        "# Problems of the console's API · 控制台接口错误代码\n\n`application/problem+json` (RFC 9457): `type` is `urn:lucheng:problem:` and the "
        "code; `title` and `mend` are in the language of `Accept-Language`; `detail` says what exactly, in English.\n\n"
        + table(("code", "HTTP", "title", "what to do"), rows)
    )


def _errors(base: type[LuchengError]) -> list[type[LuchengError]]:
    return [base, *(one for child in base.__subclasses__() for one in _errors(child))]
