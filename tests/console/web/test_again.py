"""A change that is asked twice is done once: keys, answers, and what cannot be said again."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from console.web.again import Again
from console.web.gate import DOOR_KEY, VISIT_KEY
from console.web.problems import WebProblem
from model.errors import TryAgain
from tests.console.web.web_house import Answer, WebHouse, until

BUTTON = {"device": "button/7"}


def added(web: WebHouse) -> int:
    """How often a device was added, or tried."""
    return sum(action == "device.add" for _, action, _ in web.audit())


def add(web: WebHouse, key: str, body: Any = None, **more: Any) -> Answer:
    return web.ask(
        "POST", "/devices", BUTTON if body is None else body, **{"by": "technician", **more}, idempotency_key=key
    )


def test_the_same_change_gets_the_same_answer_and_is_made_once(web: WebHouse) -> None:
    first = add(web, "k")
    assert first.status == 200
    again = add(web, "k")
    assert (again.status, again.raw) == (200, first.raw)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert added(web) == 1
    assert add(web, "other").code == "conflict"  # another key is another change


def test_an_error_that_decides_is_kept_and_one_that_does_not_is_asked_anew(web: WebHouse) -> None:
    add(web, "k1")
    assert add(web, "k2").code == "conflict"
    assert add(web, "k2").headers["idempotency-replayed"] == "true"
    assert add(web, "k3", {"device": "nothing"}).code == "usage"
    assert add(web, "k3", {"device": "button/8"}).status == 200  # nothing was done under it


def test_another_change_under_the_same_key_is_refused(web: WebHouse) -> None:
    add(web, "k")
    assert add(web, "k", {"device": "button/8"}).code == "key_reused"
    assert (
        web.ask("POST", "/sites", {"site": "s", "lat": 1, "lon": 1}, by="technician", idempotency_key="k").code
        == "key_reused"
    )


def test_a_key_is_its_users_own(web: WebHouse) -> None:
    first = add(web, "k")
    other = add(web, "k", by="admin")
    assert first.status == 200
    assert other.code == "conflict"  # done, and refused by the desk, not answered with another's answer


def test_answers_are_forgotten_after_a_day(web: WebHouse) -> None:
    first = add(web, "k")
    assert first.status == 200
    web.clock.advance(86_399)
    assert add(web, "k", by="technician", cookie=fresh(web)).headers.get("idempotency-replayed") == "true"
    web.clock.advance(2)
    assert add(web, "k", by="technician", cookie=fresh(web)).code == "conflict"


def fresh(web: WebHouse) -> str:
    web.cookies.pop("technician", None)
    return web.cookie("technician")


def test_two_at_once_are_one(web: WebHouse) -> None:
    web.cookie("technician")
    found: list[Answer] = []
    threads = [threading.Thread(target=lambda: found.append(add(web, "k"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.code for one in found} <= {"", "under_way"}
    assert len({one.raw for one in found if one.status == 200}) == 1
    assert added(web) == 1


def test_what_holds_a_secret_is_given_once(web: WebHouse) -> None:
    add(web, "k")
    made = web.ask("POST", "/devices/button/7/credentials", {}, by="technician", idempotency_key="s")
    assert made.json["password"]
    again = web.ask("POST", "/devices/button/7/credentials", {}, by="technician", idempotency_key="s")
    assert again.code == "answered_once"
    assert made.json["password"].encode() not in (web.rooms.data_dir / "answers.db").read_bytes()
    assert sum(action == "credential.new" for _, action, _ in web.audit()) == 1


def test_a_password_cannot_be_tried_on_what_is_kept(web: WebHouse) -> None:
    """What is kept of a request is a hash under a key of the service, not of the body alone."""
    body = {"user": "he", "role": "operator", "password": "a password of his own"}
    assert web.ask("POST", "/accounts", body, by="admin", idempotency_key="k").status == 200
    import hashlib

    kept = (web.rooms.data_dir / "answers.db").read_bytes()
    wal = web.rooms.data_dir / "answers.db-wal"
    kept += wal.read_bytes() if wal.exists() else b""
    raw = json.dumps(body).encode()
    assert hashlib.sha256(raw).digest() not in kept
    assert b"password of his" not in kept


def test_a_question_by_post_is_asked_and_audited_each_time(web: WebHouse) -> None:
    body = {"area": "40.65,109.84,500", "from_ms": 0, "to_ms": 1_000, "purpose": "case:AJ-1", "devices": ["taxi/7"]}
    web.rooms.registry.ensure(["taxi/7"])
    web.cookie("officer")
    before = len(web.audit())
    first = web.ask("POST", "/search/inside", body, by="officer", idempotency_key="q")
    between = len(web.audit())
    second = web.ask("POST", "/search/inside", body, by="officer", idempotency_key="q")
    assert "idempotency-replayed" not in second.headers
    assert first.status == second.status
    assert len(web.audit()) - between == between - before > 0


def test_a_key_has_its_form(web: WebHouse) -> None:
    for key in ("", "a" * 129, "schl\u00fcssel"):
        assert add(web, key).status == 422
    assert add(web, "a" * 128).status == 200


def test_the_answer_survives_a_restart_and_what_was_cut_off_is_told(tmp_path: Path) -> None:
    with WebHouse(tmp_path / "data") as web:
        first = add(web, "k")
        visitor, body = "technician", json.dumps(BUTTON).encode()
        # as if the service had been killed in the midst of it
        web.rooms.answers.begin(visitor, "cut", _print(web, body))
    with WebHouse(tmp_path / "data", people=False) as web:
        assert add(web, "k").raw == first.raw
        assert add(web, "cut").code == "outcome_unknown"
        assert added(web) == 1


def _print(web: WebHouse, body: bytes) -> bytes:
    again = web.side.server._switch.app._app._api  # type: ignore[union-attr]
    assert isinstance(again, Again)
    made: bytes = again._print({"path": "/api/v1/devices", "query_string": b"", "headers": []}, body)
    return made


def test_a_change_whose_client_has_gone_is_ended_and_told_to_who_asks_again(web: WebHouse) -> None:
    cookie = web.cookie("technician")
    body = json.dumps(BUTTON).encode()
    connection = http.client.HTTPConnection("127.0.0.1", web.port)
    headers = {"cookie": cookie, "origin": web.origin, "content-type": "application/json", "idempotency-key": "k"}
    connection.request("POST", "/api/v1/devices", body, headers)
    connection.sock.close()
    until(lambda: add(web, "k").status == 200)
    assert added(web) == 1


# -- the middleware by itself: what no operation does on demand ------------------------------


class Door:
    verb, question, secret = "POST", False, False


async def ask(app: Any, web: WebHouse, *, cancelled: bool = False) -> list[Any]:
    """What is sent for a change under the key `k`."""
    import asyncio

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    class Visit:
        user = "wang"

    scope = {
        "type": "http", "path": "/x", "query_string": b"", "headers": [(b"idempotency-key", b"k")],
        "state": {DOOR_KEY: Door(), VISIT_KEY: Visit()},
    }  # fmt: skip
    again = Again(app, answers=lambda: web.rooms.answers, secret=b"s")
    work = asyncio.ensure_future(again(scope, receive, send))
    if cancelled:
        await asyncio.sleep(0.05)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await asyncio.gather(*again._under_way)
    else:
        await work
    return sent


def test_an_answer_that_is_too_late_for_its_client_is_kept_all_the_same(web: WebHouse) -> None:
    import asyncio

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.2)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"done"})

    async def both() -> tuple[list[Any], list[Any]]:
        return await ask(slow, web, cancelled=True), await ask(slow, web)

    nothing, answer = asyncio.run(both())
    assert nothing == []
    assert answer[1]["body"] == b"done"
    assert dict(answer[0]["headers"])[b"idempotency-replayed"] == b"true"


def test_a_long_answer_goes_through_and_is_not_kept(web: WebHouse) -> None:
    import asyncio

    async def long(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(64):
            await send({"type": "http.response.body", "body": b"x" * 4_096, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    sent = asyncio.run(ask(long, web))
    assert sum(len(one.get("body", b"")) for one in sent) == 64 * 4_096
    assert len(sent) > 10  # in pieces, not held back to its end
    with pytest.raises(WebProblem) as found:
        asyncio.run(ask(long, web))
    assert found.value.problem == "answered_once"
    assert (web.rooms.data_dir / "answers.db").stat().st_size < 64 * 4_096


def test_what_breaks_is_neither_answered_nor_forgotten(web: WebHouse) -> None:
    import asyncio

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise TryAgain("no")

    with pytest.raises(TryAgain):
        asyncio.run(ask(broken, web))
    known = web.rooms.answers.begin("wang", "k", b"")
    assert known is not None
    assert known.status == 0
