"""Operations by web: pages of lists, versions, purposes, the audit before the bytes, files, and what nobody gets (S5, S6, S9, S20)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from console.web.app import make_api
from console.web.asked import NEEDS_PURPOSE, RECHECK_S, _while_allowed
from console.web.paging import PAGED
from console.web.problems import WebProblem
from lucheng.reference_api import openapi, parts_without_a_service
from model.evidence import NewEvidence
from model.role import Role
from store.database import DEFAULT_BUSY_TIMEOUT_MS
from tests.console.conftest import START_MS
from tests.console.web.web_house import Answer, WebHouse, allowed, filled

DOORS = make_api(parts_without_a_service())[1].all
CLIP = bytes(range(256)) * 40
WINDOW = {"from_ms": START_MS - 60_000, "to_ms": START_MS + 60_000}


def everything(web: WebHouse, path: str, by: str, limit: int, **query: Any) -> list[dict[str, Any]]:
    """A whole list by its cursors."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(200):
        asked = {"limit": limit, **query} | ({"cursor": cursor} if cursor else {})
        answer = web.ask("GET", path, by=by, query=asked)
        assert answer.status == 200, answer
        assert set(answer.json) == {"items", "next"}
        assert len(answer.json["items"]) <= limit
        rows += answer.json["items"]
        cursor = answer.json["next"]
        if cursor is None:
            return rows
    raise AssertionError("it has no end")


# -- pages of lists --------------------------------------------------------------------------


def test_alarms_come_in_pages_in_their_order(web: WebHouse) -> None:
    kinds = ("one_key", "overspeed", "offline")
    made = []
    for number in range(23):
        if number % 5:
            web.clock.advance(1.0)  # several of one millisecond, too
        made.append(web.house.alarm(f"taxi/{number}", kinds[number % 3], number))
    rows = everything(web, "/alarms", "operator", 5, folded="false")
    assert sorted(row["alarm"] for row in rows) == sorted(made)
    assert [row["severity"] for row in rows] == sorted(row["severity"] for row in rows)
    whole = web.ask("GET", "/alarms", by="operator", query={"folded": "false", "limit": 100})
    assert [row["alarm"] for row in whole.json["items"]] == [row["alarm"] for row in rows]
    # what goes or comes between two pages moves nothing
    first = web.ask("GET", "/alarms", by="operator", query={"folded": "false", "limit": 10}).json
    gone = first["items"][3]["alarm"]
    for step, body in (("ack", {}), ("resolve", {"outcome": "false"}), ("close", {"reason": "x"})):
        assert web.ask("POST", f"/alarms/{gone}/{step}", body, by="operator").status == 200
    asked = {"folded": "false", "limit": 100, "cursor": first["next"]}
    rest = web.ask("GET", "/alarms", by="operator", query=asked).json["items"]
    assert [row["alarm"] for row in first["items"] + rest] == [row["alarm"] for row in rows]


def test_a_folded_list_is_given_at_once(web: WebHouse) -> None:
    for number in range(30):
        web.house.alarm(f"taxi/{number}", "overspeed", number)
    answer = web.ask("GET", "/alarms", by="operator", query={"limit": 1})
    assert (len(answer.json["items"]), answer.json["next"]) == (1, None)


def test_every_list_goes_on_to_its_end(web: WebHouse) -> None:
    ask = web.house.ask
    for number in range(7):
        ask("device_add", device=f"button/{number}")
        ask("site_add", site=f"s-{number}", lat=40.6, lon=109.8)
        ask("camera_set", camera=f"camera/{number}", add=True, url=f"rtsp://10.0.0.{number}/x")
        web.house.signal(number, f"button/{number}", "one_key")
        web.rooms.evidence.put(photo(number))
    counts = {
        ("/devices", "technician", "device"): 14, ("/sites", "technician", "site"): 7, ("/cameras", "technician", "camera"): 7,
        ("/signals", "officer", "number"): 7, ("/evidence", "officer", "evidence"): 7, ("/accounts", "admin", "user"): len(Role),
    }  # fmt: skip
    for (path, by, key), count in counts.items():
        rows = (
            everything(web, path, by, 3, purpose="case:C-1")
            if path in ("/signals", "/evidence")
            else everything(web, path, by, 3)
        )
        assert len({row[key] for row in rows}) == len(rows) == count, path
    rows = everything(web, "/audit", "auditor", 10)
    assert len({row["number"] for row in rows}) == len(rows) > 20


def test_a_cursor_is_of_one_list_and_of_nobodys_making(web: WebHouse) -> None:
    web.house.ask("device_add", device="button/1")
    cursor = web.ask("GET", "/devices", by="admin", query={"limit": 1}).json["next"]
    assert cursor
    assert web.ask("GET", "/terminals", by="admin", query={"cursor": cursor}).code == "usage"
    for wrong in (
        "x",
        "",
        cursor[:-2],
        "WyJkZXZpY2VfbGlzdCIsIjEiXQ",
        "WyJkZXZpY2VfbGlzdCIsOTk5OTk5OTk5OTk5OTk5OTk5OTk5XQ",
        "é",
        "a" * 401,
        "' OR 1=1",
    ):
        answer = web.ask("GET", "/devices", by="admin", query={"cursor": wrong})
        assert answer.code == "usage", wrong
    for limit in (0, -1, 10_001, 10**20):
        assert web.ask("GET", "/devices", by="admin", query={"limit": limit}).code == "usage"


def test_every_list_that_can_go_on_says_so_in_the_document() -> None:
    told = openapi()["paths"]
    for door in DOORS:
        if door.name in PAGED:
            names = [one["name"] for one in told[door.path.replace(":path}", "}")]["get"]["parameters"]]
            assert {"cursor", "limit"} <= set(names)


# -- versions --------------------------------------------------------------------------------


def test_who_comes_second_is_told_who_was_first_and_how_it_stands(web: WebHouse) -> None:
    alarm = web.house.alarm("button/7")
    version = web.ask("GET", f"/alarms/{alarm}", by="operator").json["version"]
    match = {"if_match": f'"{version}"'}
    assert web.ask("POST", f"/alarms/{alarm}/ack", {}, by="operator", **match).status == 200
    second = web.ask("POST", f"/alarms/{alarm}/ack", {}, by="supervisor", **match, accept_language="zh")
    assert (second.status, second.code, second.json["who"]) == (409, "conflict", "operator")
    assert second.json["current"]["owner"] == "operator"
    assert second.json["current"]["version"] > version
    assert second.json["title"] == "他人已先处理"
    in_body = web.ask("POST", f"/alarms/{alarm}/ack", {"version": version}, by="supervisor")
    assert (in_body.status, in_body.json["who"]) == (409, "operator")
    assert [one for one in web.audit() if one[1] == "alarm.refused"]


def test_a_version_is_given_once_and_where_there_is_one(web: WebHouse) -> None:
    alarm = web.house.alarm("button/7")
    for match in ("1", "*", 'W/"1"', '"x"', '"1", "2"', '"-1"', ""):
        assert web.ask("POST", f"/alarms/{alarm}/ack", {}, by="operator", if_match=match).code == "usage", match
    two = web.ask("POST", f"/alarms/{alarm}/ack", {"version": 2}, by="operator", if_match='"1"')
    assert two.code == "usage"
    assert web.ask("POST", "/units", {"unit": "unit/1", "level": 1}, by="operator", if_match='"1"').code == "usage"


# -- purposes --------------------------------------------------------------------------------


def test_history_is_read_for_a_purpose_that_was_said(web: WebHouse) -> None:
    web.house.put("taxi/1", [START_MS - 1000])
    told = openapi()["paths"]
    for door in DOORS:
        if door.name not in NEEDS_PURPOSE:
            continue
        by = next(role.value for role in Role if role in allowed(door.name))
        verb = told[door.path.replace(":path}", "}")][door.verb.lower()]
        asked = {
            "device": "taxi/1", "devices": ["taxi/1"], "area": "40.65,109.84,500", "first": "40.65,109.84,500", "second": "40.7,109.84,500",
            "date": "2026-11-22", "camera": "camera/7", **WINDOW,
        }  # fmt: skip
        if door.verb == "GET":
            names = {one["name"] for one in verb.get("parameters", ())}
            answer = web.ask(
                "GET", filled(door.path), by=by, query={name: value for name, value in asked.items() if name in names}
            )
        else:
            answer = web.ask("POST", filled(door.path), asked, by=by)
        assert (answer.status, answer.code) == (422, "purpose_needed"), door


def test_the_shift_is_the_purpose_of_what_belongs_to_it(web: WebHouse) -> None:
    web.house.alarm("button/7")
    assert web.ask("GET", "/alarms", by="operator").status == 200
    row = list(web.rooms.audit.rows(limit=100))[-1]
    assert (row.who, row.role, row.purpose, row.detail.get("via", "web")) == (
        "operator",
        "operator",
        "patrol",
        "web",
    )


# -- the audit before the bytes --------------------------------------------------------------


READS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("officer", "/where", {}),
    ("officer", "/track", {"device": "taxi/1", "purpose": "case:C-1", **WINDOW}),
    ("officer", "/trips", {"device": "taxi/1", "purpose": "case:C-1", **WINDOW}),
    ("officer", "/replays", {"devices": ["taxi/1"], "purpose": "case:C-1", **WINDOW}),
    ("operator", "/alarms", {}),
    ("officer", "/signals", {"purpose": "case:C-1"}),
    ("officer", "/evidence", {"purpose": "case:C-1"}),
    ("supervisor", "/quarantine", {"purpose": "maintenance"}),
    ("supervisor", "/cameras", {}),
    ("auditor", "/audit", {}),
    ("operator", "/map/units", {}),
)


@pytest.mark.parametrize(("by", "path", "query"), READS)
def test_without_an_audit_there_is_no_data(web: WebHouse, by: str, path: str, query: dict[str, Any]) -> None:
    web.house.put("taxi/1", [START_MS - 1000], lat=40.123456)
    web.house.alarm("button/7")
    web.cookie(by)
    assert web.ask("GET", path, by=by, query=query).status == 200
    before = len(web.audit())
    web.clock.advance(120.0)  # what is noted once a minute is noted again
    web.ask("GET", path, by=by, query=query)
    assert len(web.audit()) > before  # it is a read that is audited at all
    web.clock.advance(120.0)
    with locked(web):
        answer = web.ask("GET", path, by=by, query=query)
    assert (answer.status, answer.code) == (500, "audit_unwritable"), answer
    assert b"40.12" not in answer.raw


class locked:  # noqa: N801 used as a function
    """Somebody else writes to the audit and does not stop."""

    def __init__(self, web: WebHouse) -> None:
        self._connection = sqlite3.connect(web.rooms.data_dir / "audit.db", isolation_level=None)
        self._audit = web.rooms.audit._connection

    def _waits_for(self, limit_ms: int) -> None:
        assert self._audit is not None
        self._audit.execute(f"PRAGMA busy_timeout={limit_ms:d}")

    def __enter__(self) -> None:
        self._waits_for(50)
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()
        self._waits_for(DEFAULT_BUSY_TIMEOUT_MS)


def test_nothing_changes_and_nobody_signs_in_without_an_audit(web: WebHouse) -> None:
    web.cookie("admin")
    with locked(web):
        assert web.sign_in("operator").code == "audit_unwritable"
        made = {"user": "x", "role": "operator", "password": "a long password"}
        assert web.ask("POST", "/accounts", made, by="admin", idempotency_key="k").code == "audit_unwritable"
        assert web.ask("GET", "/devices", by="operator" if "operator" in web.cookies else "admin").status == 200
    assert web.ask("POST", "/accounts", made, by="admin", idempotency_key="k").status == 200  # asked again, it is done


# -- files -----------------------------------------------------------------------------------


def photo(number: int, data: bytes = b"", device: str = "taxi/1") -> NewEvidence:
    """A photo that was taken just now."""
    data = data or f"photo {number}".encode()
    return NewEvidence(
        device, "image", "jpg", data, START_MS, START_MS + number, 40.65, 109.84, 1, "robbery", f"jt808:{number}"
    )


def test_bytes_are_given_whole_and_in_ranges_and_saved_not_shown(web: WebHouse) -> None:
    web.house.put("taxi/1", [START_MS])
    kept = web.rooms.evidence.put(photo(1, CLIP))
    path = f"/evidence/{kept.id}/bytes"
    query = {"purpose": "case:C-1"}

    def part(asked: str | None) -> Answer:
        return web.ask("GET", path, by="officer", query=query, range=asked)

    whole = part(None)
    assert (whole.status, whole.raw) == (200, CLIP)
    assert "filename=" in whole.headers["content-disposition"]
    for asked, start, end in (
        ("bytes=0-9", 0, 10),
        ("bytes=100-", 100, len(CLIP)),
        ("bytes=-5", len(CLIP) - 5, len(CLIP)),
        (f"bytes=5-{10**14}", 5, len(CLIP)),
    ):
        answer = part(asked)
        assert (answer.status, answer.raw) == (206, CLIP[start:end]), asked
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CLIP)}"
    assert part(f"bytes={10**14}-").status == 416
    assert part(f"bytes={len(CLIP)}-").status == 416
    for passed_over in (
        "bytes=9-1",
        "bytes=0-1,3-4",
        "x",
        f"bytes=0-{'9' * 400}",
        "bytes=" + ",".join(["0-1"] * 1_000),
    ):
        assert part(passed_over).status == 200, passed_over
    assert sum(action == "read.evidence" for _, action, _ in web.audit()) >= 12  # each of them


def test_a_file_is_taken_in_as_it_is(web: WebHouse) -> None:
    csv = "id,name\nbutton/7,门卫室\nnothing,x\n".encode()
    dry = web.ask("POST", "/import/devices", csv, by="technician", query={"dry_run": "true"}, content_type="text/csv")
    assert (dry.status, dry.json["dry_run"], len(dry.json["rows"])) == (200, True, 2)
    assert web.ask("GET", "/devices", by="technician").json["items"] == []
    done = web.ask("POST", "/import/devices", csv, by="technician", content_type="text/csv", idempotency_key="k")
    assert done.json["rows"][0]["device"] == "button/7"
    again = web.ask("POST", "/import/devices", csv, by="technician", content_type="text/csv", idempotency_key="k")
    assert again.raw == done.raw


def test_an_export_is_given_in_pieces_with_its_digest(web: WebHouse) -> None:
    web.house.put("taxi/1", [START_MS - 1000 * number for number in range(60)])
    body = {"devices": ["taxi/1"], "form": "csv", "purpose": "case:C-1", **WINDOW}
    answer = web.ask("POST", "/export/tracks", body, by="supervisor", idempotency_key="k")
    if answer.code == "approval_needed":  # an export is a second person's to allow
        assert answer.json["approval"] == ""
        assert (
            web.ask("POST", "/export/tracks", body, by="supervisor", accept_language="zh").json["title"]
            == "需要第二人审批"
        )
        return
    assert answer.status == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sha256" in answer.headers["lucheng-told"]


# -- what nobody gets ------------------------------------------------------------------------

NAMES = (
    "..",
    "../x",
    "../../etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "camera/..%2f..",
    "x\\..\\y",
    "%00",
    "x%0a",
    "~root",
    "//etc/passwd",
)


@pytest.mark.parametrize("name", NAMES)
def test_no_name_becomes_a_path(shared_web: WebHouse, name: str) -> None:
    """S5 by web."""
    before = {path for path in shared_web.rooms.data_dir.rglob("*") if not path.name.endswith(("-wal", "-shm"))}
    for path in (
        f"/evidence/{name}/bytes?purpose=case:1", f"/recordings/{name}/bytes?camera=camera/1&purpose=case:1", f"/cameras/{name}",
        f"/cameras/{name}/snapshot?purpose=case:1", f"/devices/{name}", f"/fences/{name}", f"/alarms/{name}", f"/replays/{name}/frames",
        f"//assets/{name}", f"//{name}", f"//assets/../{name}", f"//index.html/{name}",
    ):  # fmt: skip
        answer = shared_web.ask("GET", path, by="supervisor")
        assert b"root:" not in answer.raw
        assert answer.status in (200, 400, 403, 404, 405, 422, 503), (path, answer)
        assert answer.status != 200 or answer.headers["content-type"].startswith("text/html"), path
    after = {path for path in shared_web.rooms.data_dir.rglob("*") if not path.name.endswith(("-wal", "-shm"))}
    assert after == before


def test_a_camera_that_is_not_his_is_seen_by_nobody(web: WebHouse) -> None:
    """S6 by web: pictures, clips, recordings and live streams by id."""
    web.house.ask("camera_set", camera="camera/7", add=True, url="rtsp://10.0.0.7/x")
    asked: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("GET", "/cameras/camera/7/snapshot", {"purpose": "alarm:A-1"}),
        ("GET", "/cameras/camera/7/mjpeg", {"purpose": "alarm:A-1"}),
        ("GET", "/recordings", {"camera": "camera/7", "purpose": "alarm:A-1", **WINDOW}),
        ("POST", "/clip/cameras", {"camera": "camera/7", "purpose": "alarm:A-1", **WINDOW}),
    )
    for verb, path, given in asked:
        query, body = (given, None) if verb == "GET" else (None, given)
        for by in ("operator", "officer"):
            answer = web.ask(verb, path, body, by=by, query=query)
            assert answer.status in (403, 404, 422), (by, path, answer)
        for by in ("auditor", "admin"):
            assert web.ask(verb, path, body, by=by, query=query).code == "forbidden"
    assert [one for one in web.audit() if one[1] == "read.refused"]


SQL = (
    "' OR '1'='1",
    "x'; DROP TABLE device; --",
    '" OR 1=1 --',
    "%' OR 1=1 --",
    "1) UNION SELECT password FROM account --",
    "\\",
    "%",
    "_",
    "\x1a",
)


#: Where a list begins, and what is said of it.
NO_FILTERS = frozenset({"after", "before", "purpose", "approval", "language"})


@pytest.mark.parametrize("text", SQL)
def test_no_text_becomes_sql(shared_web: WebHouse, text: str) -> None:
    """S9 by web: every filter, sort and search of every list."""
    shared_web.house.put("taxi/1", [START_MS])
    told = openapi()["paths"]
    for door in DOORS:
        if door.verb != "GET" or "{" in door.path or door.name in ("events", "session_show", "setup_show"):
            continue
        by = next((role.value for role in Role if role in allowed(door.name)), "")
        for parameter in told[door.path]["get"].get("parameters", ()):
            asked: dict[str, Any] = {"purpose": "case:C-1", parameter["name"]: text}
            answer = shared_web.ask("GET", door.path.removeprefix("/api/v1"), by=by, query=asked)
            assert answer.status in (200, 400, 403, 404, 422), (door.name, parameter["name"], answer)
            assert b"argon2" not in answer.raw
            if answer.status == 200 and parameter["name"] not in NO_FILTERS and isinstance(answer.json, dict):
                assert not answer.json.get("items"), (door.name, parameter["name"])
    with closing(sqlite3.connect(shared_web.rooms.data_dir / "registry.db")) as connection:
        assert connection.execute("SELECT count(*) FROM device").fetchone()


def test_an_answer_ends_where_the_right_to_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """S19 for what is long."""
    now_s = [0.0]
    monkeypatch.setattr("console.web.asked.time.monotonic", lambda: now_s[0])

    class Visit:
        allowed = True

        def may(self, _route: str) -> bool:
            return self.allowed

    visit: Any = Visit()
    route: Any = next(door for door in DOORS if door.name == "track")
    pieces = _while_allowed(iter([b"1", b"2", b"3"]), visit, route)
    assert next(pieces) == b"1"
    visit.allowed = False
    now_s[0] += RECHECK_S
    with pytest.raises(WebProblem):
        next(pieces)


def test_a_role_that_is_lowered_ends_the_open_stream(web: WebHouse) -> None:
    """S19 for the stream of events: it is told why, and ends."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    connection.request("GET", "/api/v1/events", headers={"cookie": web.cookie("operator")})
    stream = connection.getresponse()
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert b"hello" in stream.readline() + stream.readline()
    assert web.ask("POST", "/accounts/operator/role", {"role": "technician"}, by="admin").status == 200
    rest = stream.read()
    assert b"event: close" in rest
    assert b"forbidden" in rest
    connection.close()
