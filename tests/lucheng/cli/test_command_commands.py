"""`command` as people type it: in this process and through a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import load
from console.api import make_app
from console.server import ApiServer
from lucheng.cli.command_commands import read_args, read_span_s
from lucheng.cli.texts import TEXTS
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms, operating_system_user
from model.command import STATE_WORDS
from model.command_table import COMMANDS
from model.errors import UsageError
from tests.lucheng.cli.test_alarm_commands import columns, take
from tests.lucheng.cli.test_commands import Result

ME = operating_system_user()


@pytest.fixture(params=["in process", "through the service"])
def house(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder with a taxi that has an open sos, and an e-bike; the alarm's id. Whoever runs this is a supervisor."""
    monkeypatch.setenv("LUCHENG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LUCHENG_OPERATORS__USERS", json.dumps({ME: "supervisor"}))
    monkeypatch.setenv("LUCHENG_DESK__PHONE_NUMBER", "110")
    monkeypatch.chdir(tmp_path)
    with open_rooms(tmp_path / "data", load(), write=True) as rooms:
        rooms.registry.ensure(["taxi/1", "ebike/1"])
        alarm = take(rooms, "taxi/1", "sos")
        if request.param == "through the service":
            with ApiServer(make_app(operations_of(rooms)), rooms.socket_path):
                yield alarm
            return
    yield alarm


def test_a_command_given_listed_shown_and_taken_back(house: str) -> None:
    sent = Result("command", "send", "taxi/1", "snapshot", "--arg", "count=3", "--expires", "5m")
    assert sent.status == 0, sent.err
    assert sent.out.splitlines()[0].endswith("-000001 take a photo for taxi/1: queued")
    (row,) = Result("command", "list", "--json").json()
    command = row["command"]
    assert (row["device"], row["name"], row["state"], row["by"]) == ("taxi/1", "snapshot", "queued", ME)
    assert row["args"] == {"channel": 1, "count": 3, "interval_s": 0}
    (line,) = columns("command", "list", "taxi/1")
    assert (line["command"], line["name"], line["state"]) == (command, "take a photo", "queued")
    assert not line["asked"].endswith("Z")
    assert columns("command", "list", "ebike/1") == []
    shown = Result("command", "show", command).out
    assert "args.count\t3" in shown
    assert "reply" not in shown
    assert Result("command", "show", command, "--json").json() == row
    assert Result("command", "reject", command).status == 2
    assert "refused" in Result("command", "reject", command, "--reason", "not needed").out
    assert [one["state"] for one in Result("command", "list", "--state", "refused", "--json").json()] == ["refused"]
    assert [one["detail"] for one in Result("command", "list", "--all", "--json").json()] == [f"{ME}: not needed"]


def test_a_listen_in_says_that_there_is_no_sound_here(house: str) -> None:
    refused = Result("command", "send", "taxi/1", "listen_in")
    assert (refused.status, refused.out) == (1, "")
    assert "needs a reason" in refused.err
    sent = Result("command", "send", "taxi/1", "listen_in", "--reason", "cry for help", "--alarm", house[:9])
    assert (sent.status, sent.err) == (0, "")
    assert "there is no sound here" in sent.out
    row = Result("command", "list", "--json").json()[0]
    assert (row["alarm"], row["args"]) == (house, {"minutes": 10})
    assert "no sound" in Result("command", "send", "taxi/1", "call").out


def test_nobody_approves_his_own(house: str, monkeypatch: pytest.MonkeyPatch) -> None:
    restore = Result(
        "command", "send", "ebike/1", "cut_power", "--arg", "restore=yes", "--reason", "found", "--json"
    ).json()
    assert restore["state"] == "queued"
    refused = Result("command", "send", "ebike/1", "cut_power", "--reason", "stolen")
    assert refused.status == 1
    assert "told no place" in refused.err
    again = Result("command", "approve", restore["command"])
    assert again.status == 1
    assert "cannot approve" in again.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("taxi/1", "explode"), "no command"),
        (("taxi", "snapshot"), "is not a device id"),
        (("taxi/1", "snapshot", "--arg", "count"), "key=value"),
        (("taxi/1", "snapshot", "--arg", "count=3", "--arg", "count=4"), "twice"),
        (("taxi/1", "snapshot", "--arg", "count=three"), "whole number"),
        (("taxi/1", "snapshot", "--arg", "zoom=3"), "It takes: channel, count"),
        (("taxi/1", "snapshot", "--expires", "soon"), "no span"),
        (("taxi/1", "snapshot", "--expires", "8d"), "cannot wait"),
        (("taxi/1", "text", "--arg", "text=x", "--arg", "urgent=perhaps"), "true or false"),
    ],
)
def test_calls_that_are_none(house: str, arguments: tuple[str, ...], word: str) -> None:
    done = Result("command", "send", *arguments)
    assert (done.status, done.out) == (2, "")
    assert word in done.err
    assert Result("command", "list", "--all", "--json").json() == []


def test_arguments_have_the_types_of_the_table() -> None:
    given = ["text=a=b", "urgent=True", "speak=0"]
    assert read_args("text", given) == {"text": "a=b", "urgent": True, "speak": False}
    assert read_args("snapshot", ["count=02", "channel=-1"]) == {"count": 2, "channel": -1}
    assert read_args("set_parameter", ["id=0x0029", "value=30"]) == {"id": "0x0029", "value": "30"}
    with pytest.raises(UsageError):
        read_args("snapshot", ["count=\u0663"])
    spans: dict[str, Any] = {"90": 90, "90s": 90, " 5m ": 300, "2h": 7_200, "1d": 86_400}
    assert {span: read_span_s(span) for span in spans} == spans
    for wrong in ("", "m", "-5m", "5 m", "1w", "1.5h", "\u0663m", "9" * 20):
        with pytest.raises(UsageError):
            read_span_s(wrong)


def test_every_command_and_state_has_words_in_both_languages() -> None:
    for words in (*[kind.words for kind in COMMANDS.values()], *STATE_WORDS.values()):
        assert words.en
        assert words.zh
    for kind in COMMANDS.values():
        assert all(arg.words.en and arg.words.zh for arg in kind.args)
        assert kind.name in TEXTS["command.name"].en
