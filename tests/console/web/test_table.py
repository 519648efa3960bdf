"""S13: every route by every role, and by nobody; forged headers and bad tokens are nobody."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from console.routes import ROUTES
from console.web.app import make_api
from console.web.doors import SOCKET, Door
from console.web.permissions import NOBODY, OPEN_ROUTES, PERMISSIONS
from lucheng.reference_api import parts_without_a_service
from model.role import Role
from tests.console.web.web_house import WebHouse, allowed, filled

DOORS = make_api(parts_without_a_service())[1].all
#: What an upgrade to a WebSocket says.
UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec_websocket_version": "13",
    "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def taken(web: WebHouse, door: Door, **more: Any) -> Any:
    """A request by that door that says nothing of what it wants."""
    path = filled(door.path)
    if door.verb == SOCKET:
        return web.ask("GET", path, **{"origin": web.origin, **UPGRADE, **more})
    # no arguments: who may is told what is missing, who may not is told that
    body = None if door.verb == "GET" else b"{}"
    return web.ask(door.verb, path, body, **{"content_type": "application/json", **more})


def test_every_operation_and_every_route_stands_in_the_table() -> None:
    named = {door.name for door in DOORS}
    assert {route.name for route in ROUTES} <= set(PERMISSIONS)
    assert {name for name, roles in PERMISSIONS.items() if roles != NOBODY} <= named
    assert named - OPEN_ROUTES <= {name for name, roles in PERMISSIONS.items() if roles != NOBODY}


def test_nobody_who_decides_about_reads_makes_them_as_officer() -> None:
    for name, roles in PERMISSIONS.items():
        if Role.ADMIN in roles and name != "alarm_stats":
            assert not name.startswith(
                ("track", "trips", "replay", "search_in", "search_b", "export", "evidence", "alarm", "ebike")
            )
        if Role.AUDITOR in roles and roles != frozenset(Role):
            assert name.startswith(("audit", "session", "about")), name


@pytest.mark.parametrize("role", list(Role))
def test_each_role_gets_past_its_own_routes_and_no_others(shared_web: WebHouse, role: Role) -> None:
    wrong = []
    for door in DOORS:
        if door.name in OPEN_ROUTES or (door.name == "events" and role in allowed("events")):
            continue  # a stream goes on for ever: tests of its own
        answer = taken(shared_web, door, by=role.value)
        refused = answer.code == "forbidden" and answer.status == 403
        if refused is (role in allowed(door.name)) or answer.status in (401, 500):
            wrong.append((door.verb, door.path, answer))
    assert not wrong, "\n".join(map(str, wrong))


def test_without_a_session_there_are_the_open_routes_alone(shared_web: WebHouse) -> None:
    for door in DOORS:
        if door.name not in OPEN_ROUTES:
            answer = taken(shared_web, door)
            assert (answer.status, answer.code) == (401, "not_signed_in"), door
    # nor does somebody learn which routes there are
    assert shared_web.ask("GET", "/nothing").code == "not_signed_in"
    assert shared_web.ask("GET", "/nothing", by="admin").code == "not_found"
    assert (
        shared_web.ask("POST", "/ingest", {"path": "/etc/passwd", "file_format": "csv"}, by="admin").code == "not_found"
    )
    assert shared_web.ask("DELETE", "/devices", by="admin").headers["allow"] == "GET, POST"


FORGED = [
    {"x_forwarded_user": "admin"},
    {"x_user": "admin", "x_role": "admin"},
    {"remote_user": "admin"},
    {"authorization": "Basic YWRtaW46YWRtaW4="},
    {"authorization": "Bearer admin"},
    {"x_forwarded_for": "127.0.0.1", "x_real_ip": "127.0.0.1", "forwarded": "for=127.0.0.1;by=admin"},
]


@pytest.mark.parametrize("forged", FORGED)
def test_no_header_says_who_somebody_is(shared_web: WebHouse, forged: dict[str, str]) -> None:
    for path in ("/accounts", "/audit", "/devices", "/session"):
        assert shared_web.ask("GET", path, **forged).status == 401
        low = shared_web.ask("GET", "/accounts", by="operator", **forged)
        assert low.code == "forbidden"


def bad_tokens(web: WebHouse) -> list[str]:
    name, _, token = web.cookie("admin").partition("=")
    return [
        f"{name}=",
        f"{name}=admin",
        f"{name}={token[:-1]}",
        f"{name}={token}A",
        f"{name}={token.swapcase()}",
        f"{name}={'A' * 43}",
        f"{name}={'A' * 5_000}",
        f"{name}=' OR 1=1 --",
        f"{name}=../../keys/setup.token",
        f"lucheng={token}",
        f"lucheng_1={token}",
        "=;=;;",
        "\x7f\xff",
    ]


def test_no_other_token_opens_anything(shared_web: WebHouse) -> None:
    for cookie, path in itertools.product(bad_tokens(shared_web), ("/accounts", "/session")):
        assert shared_web.ask("GET", path, cookie=cookie).status == 401, cookie


def test_a_refusal_stands_in_the_audit_once_a_minute(web: WebHouse) -> None:
    for _ in range(3):
        assert web.ask("GET", "/accounts", by="operator").code == "forbidden"
    assert web.audit().count(("operator", "web.refused", "account_list")) == 1
    web.clock.advance(61.0)
    web.ask("GET", "/accounts", by="operator")
    assert web.audit().count(("operator", "web.refused", "account_list")) == 2
