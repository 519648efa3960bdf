"""Live pictures by the console's own server: from ten seconds before, without a hole, for as long as one may (S6, S19, S21)."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.lucheng.video.camera_city import FPS, WORKER_S, LiveFilm, frames_of
from tests.web.city import PASSWORD
from tests.web.filmed_city import FAR, GATE, YARD, FilmedCity, films

LEAD_S = 5


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilmedCity]:
    with FilmedCity(tmp_path_factory.mktemp("lead"), films()) as made:
        made.fill()
        yield made


class Person:
    """Somebody with a session."""

    def __init__(self, city: FilmedCity, user: str) -> None:
        self.origin = f"http://127.0.0.1:{city.web_port}"
        self._port = city.web_port
        self.cookie = ""
        self.ask("POST", "/session", {"user": user, "password": PASSWORD})

    def ask(self, verb: str, path: str, body: Any = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WORKER_S)
        headers = {"origin": self.origin, "cookie": self.cookie, "content-type": "application/json"}
        connection.request(verb, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        if answer.headers.get("set-cookie"):
            self.cookie = answer.headers["set-cookie"].split(";")[0]
        data = answer.read()
        connection.close()
        return answer.status, data

    def look(self, camera: str, **query: Any) -> Connection:
        return connect(
            f"ws://127.0.0.1:{self._port}/api/v1/cameras/{camera}/live?{urlencode(query)}",
            additional_headers={"cookie": self.cookie, "origin": self.origin},
            compression=None,
            max_size=None,
            close_timeout=0.5,
        )


@pytest.mark.parametrize("camera", [GATE, YARD])
def test_a_look_begins_before_it_and_goes_on_live_without_a_hole(filmed: FilmedCity, camera: str) -> None:
    filmed.wait_ring(camera, LEAD_S + 2)
    begun_ms = int(time.time() * 1000)
    with Person(filmed, "chen").look(camera, purpose="patrol", from_ms=begun_ms - LEAD_S * 1000) as socket:
        film = LiveFilm(socket)
        heads = film.media((LEAD_S + 3) * FPS)
    assert heads[0]["time_ms"] <= begun_ms - (LEAD_S - 2) * 1000
    assert heads[0]["key"] is True
    steps = [later["time_ms"] - earlier["time_ms"] for earlier, later in pairwise(heads)]
    assert min(steps) > 0, "a picture comes twice"
    assert max(steps) < 1_000, "a hole"
    assert heads[-1]["time_ms"] > begun_ms
    inits = [head for head in film.heads if head["t"] == "init"]
    assert len({head["codec"] for head in inits}) == 1
    assert frames_of(film.data)  # what is after the last `init` is a film
    clips = [row["detail"] for row in filmed.call("audit_list", limit=200) if row["action"] == "read.camera_clip"]
    assert any(one["to_ms"] - one["from_ms"] <= 2 * LEAD_S * 1000 for one in clips)


def test_where_there_is_nothing_of_that_time_it_is_live(filmed: FilmedCity) -> None:
    for from_ms in (0, int(time.time() * 1000) + 3_600_000):
        with Person(filmed, "chen").look(GATE, purpose="patrol", from_ms=from_ms) as socket:
            assert LiveFilm(socket).media(3)


def test_what_makes_no_sense_and_what_is_not_his_is_refused_in_words(filmed: FilmedCity) -> None:
    chen, zhao = Person(filmed, "chen"), Person(filmed, "zhao")
    for query in (
        {"purpose": "patrol", "from_ms": "x"},
        {"purpose": ""},
        {"purpose": "alarm:A0000-1"},
        {"purpose": "nonsense"},
    ):
        with chen.look(GATE, **query) as socket:
            assert json.loads(socket.recv(WORKER_S))["t"] == "refused", query
    with pytest.raises(InvalidStatus) as found:
        zhao.look(GATE, purpose="patrol")
    assert found.value.response.status_code == 403
    assert FAR != GATE


def test_a_role_that_is_lowered_ends_the_pictures(filmed: FilmedCity) -> None:
    wang, zheng = Person(filmed, "wang"), Person(filmed, "zheng")
    with wang.look(GATE, purpose="patrol") as socket:
        film = LiveFilm(socket)
        assert film.media(3)
        assert zheng.ask("POST", "/accounts/wang/role", {"role": "technician"})[0] == 200
        assert film.until("refused")
    with pytest.raises(InvalidStatus) as found:
        wang.look(GATE, purpose="patrol")
    assert found.value.response.status_code == 401
