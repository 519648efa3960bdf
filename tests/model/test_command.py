"""The life of a command: sent at most once, approved by another, nothing leads back; arguments checked by the table."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model.command import (
    DEFAULT_DETAIL_CHARS,
    DEFAULT_REPLY_BYTES,
    DONE,
    STATE_WORDS,
    Command,
    CommandState,
    answer,
    approve,
    end,
    expire,
    reject,
    send,
    turn_down,
)
from model.command_table import (
    COMMANDS,
    MAX_EXPIRES_S,
    MAX_LISTEN_S,
    checked_args,
    kind_of,
    needs_approval,
    needs_standing,
)
from model.errors import LuchengError, Refused, UsageError
from model.role import ROLE_WORDS, Role

T0 = 1_795_334_400_000


def given_command(name: str = "snapshot", state: CommandState = CommandState.QUEUED, **args: Any) -> Command:
    return Command(
        id="K2026-000001",
        device="taxi/1",
        name=name,
        args=checked_args(kind_of(name), args),
        by="li",
        role="supervisor",
        reason="",
        alarm="",
        state=state,
        version=1,
        asked_ms=T0,
        expires_ms=T0 + 300_000,
    )


# -- the table --------------------------------------------------------------------------------


def test_the_table_is_whole() -> None:
    assert set(COMMANDS) == {
        "snapshot", "listen_in", "call", "text", "confirm_alarm", "track_faster", "arm", "disarm", "siren", "cut_power",
        "query", "set_parameter", "message",
    }  # fmt: skip
    for name, kind in COMMANDS.items():
        assert kind.name == name
        assert kind.kinds
        assert kind.roles
        assert 0 < kind.expires_s <= MAX_EXPIRES_S
        assert Role.AUDITOR not in kind.roles, "an auditor reads the audit alone"
        assert kind.words.zh
        for arg in kind.args:
            assert arg.required or arg.default is not None
    assert {kind.name for kind in COMMANDS.values() if kind.alarm_kind} == {"listen_in"}
    assert {kind.name for kind in COMMANDS.values() if kind.needs_approval} == {"cut_power"}
    assert set(STATE_WORDS) == set(CommandState)
    assert set(ROLE_WORDS) == set(Role)


def test_defaults_are_filled_in() -> None:
    assert checked_args(kind_of("snapshot"), {"count": 3}) == {"channel": 1, "count": 3, "interval_s": 0}
    assert checked_args(kind_of("arm"), {}) == {}


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("snapshot", {"count": 0}),
        ("snapshot", {"count": 11}),
        ("snapshot", {"count": True}),
        ("snapshot", {"count": "2"}),
        ("snapshot", {"zoom": 2}),
        ("listen_in", {"minutes": MAX_LISTEN_S // 60 + 1}),
        ("listen_in", {"minutes": 0}),
        ("text", {}),
        ("text", {"text": ""}),
        ("text", {"text": "x" * 501}),
        ("text", {"text": "刀\ud800"}),
        ("text", {"text": "x", "urgent": 1}),
        ("query", {"what": "everything"}),
        ("query", {"what": None}),
        ("set_parameter", {"id": "0x0001"}),
    ],
)
def test_wrong_arguments_are_named(name: str, args: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        checked_args(kind_of(name), args)
    assert caught.value.mend
    assert name in caught.value.message


def test_what_is_no_command() -> None:
    with pytest.raises(UsageError, match="is no command"):
        kind_of("self_destruct")


def test_giving_power_back_needs_nobody() -> None:
    kind = kind_of("cut_power")
    assert (needs_approval(kind, {"restore": False}), needs_standing(kind, {"restore": False})) == (True, True)
    assert (needs_approval(kind, {"restore": True}), needs_standing(kind, {"restore": True})) == (False, False)
    assert not needs_approval(kind_of("snapshot"), {})


# -- single steps -----------------------------------------------------------------------------


def test_s21_nobody_approves_his_own() -> None:
    asked = given_command("cut_power", CommandState.ASKED)
    with pytest.raises(Refused, match="li asked for"):
        approve(asked, "li")
    queued = approve(asked, "wang")
    assert (queued.state, queued.approved_by, queued.version) == (CommandState.QUEUED, "wang", 2)
    with pytest.raises(Refused, match="nothing to approve"):
        approve(queued, "zhao")


def test_it_is_sent_once_and_not_too_late() -> None:
    queued = given_command()
    sent = send(queued, "jt808", T0 + 5)
    assert (sent.state, sent.via, sent.sent_ms, sent.ends_ms) == (CommandState.SENT, "jt808", T0 + 5, 0)
    for wrong in (sent, given_command(state=CommandState.ASKED), turn_down(queued, "no", T0)):
        with pytest.raises(Refused):
            send(wrong, "jt808", T0 + 6)
    with pytest.raises(Refused, match="expired"):
        send(queued, "jt808", queued.expires_ms)
    with pytest.raises(Refused, match="too late"):
        reject(sent, "li", "changed my mind", T0)


def test_a_listen_in_ends_after_its_minutes_and_never_after_more_than_ten() -> None:
    assert send(given_command("listen_in", minutes=3), "jt808", T0).ends_ms == T0 + 180_000
    forged = replace(given_command("listen_in"), args={"minutes": 1_000})
    running = send(forged, "jt808", T0)
    assert running.ends_ms == T0 + MAX_LISTEN_S * 1_000
    for heard in (running, expire(running, T0 + 60_000), answer(running, ok=True, detail="", reply={}, now_ms=T0),
                  answer(running, ok=False, detail="", reply={}, now_ms=T0)):  # fmt: skip
        assert heard is not None
        assert heard.listening, "whatever was answered, it is ended by us"
        ended = end(heard, T0 + 9)
        assert (ended.ended_ms, ended.listening) == (T0 + 9, False)
        with pytest.raises(Refused):
            end(ended, T0 + 10)
    never_left = turn_down(running, "no such thing", T0)
    assert not never_left.listening
    with pytest.raises(Refused):
        end(never_left, T0)
    with pytest.raises(Refused):
        end(given_command(), T0)


def test_answers_that_change_nothing() -> None:
    queued = given_command()
    sent = send(queued, "mqtt", T0)
    done = answer(sent, ok=True, detail="taken", reply={"photo": 1}, now_ms=T0 + 9)
    assert done is not None
    assert (done.state, done.detail, done.reply, done.done_ms) == (CommandState.ACCEPTED, "taken", {"photo": 1}, T0 + 9)
    for before in (queued, done, expire(sent, T0), turn_down(queued, "no", T0)):
        assert answer(before, ok=True, detail="", reply={"photo": 1}, now_ms=T0) is None
        assert answer(before, ok=False, detail="", reply={}, now_ms=T0) is None
    more = answer(done, ok=True, detail="", reply={"media_id": 7}, now_ms=T0 + 20)
    assert more is not None
    assert (more.reply, more.state, more.done_ms) == ({"photo": 1, "media_id": 7}, CommandState.ACCEPTED, T0 + 9)


def test_what_is_over_stays_over() -> None:
    for over in (turn_down(given_command(), "x", T0), expire(given_command(), T0)):
        for step in (expire, lambda it, now: turn_down(it, "x", now)):
            with pytest.raises(Refused):
                step(over, T0)


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(st.text(alphabet=st.characters()), st.floats(), st.binary(max_size=9), st.integers(), st.none()),
        max_size=4,
    )
)
@settings(max_examples=60)
def test_whatever_a_device_answers_is_kept_as_plain_json(reply: dict[str, Any]) -> None:
    done = answer(send(given_command(), "mqtt", T0), ok=True, detail="d", reply=reply, now_ms=T0)
    assert done is not None
    json.dumps(done.reply, allow_nan=False, ensure_ascii=False).encode()


def test_long_answers_are_cut_and_say_so() -> None:
    sent = send(given_command(), "mqtt", T0)
    done = answer(sent, ok=True, detail="d" * 9_999, reply={"text": "长" * DEFAULT_REPLY_BYTES}, now_ms=T0)
    assert done is not None
    assert len(done.detail) == DEFAULT_DETAIL_CHARS
    assert done.reply["cut_bytes"] > DEFAULT_REPLY_BYTES
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"x": deep}
    deeper = answer(sent, ok=True, detail="", reply=deep, now_ms=T0)
    assert deeper is not None
    assert deeper.reply == {"cut_bytes": 0}
    while deep:  # freed level by level: the interpreter would do it in one go
        deep = deep.pop("x")


# -- any walk ---------------------------------------------------------------------------------

_WAYS: dict[CommandState, frozenset[CommandState]] = {
    CommandState.ASKED: frozenset({CommandState.QUEUED, CommandState.REFUSED, CommandState.EXPIRED}),
    CommandState.QUEUED: frozenset({CommandState.SENT, CommandState.REFUSED, CommandState.EXPIRED}),
    CommandState.SENT: frozenset({CommandState.ACCEPTED, CommandState.REFUSED, CommandState.EXPIRED}),
    **{state: frozenset() for state in DONE},
}


class CommandMachine(RuleBasedStateMachine):
    """Anybody may try anything at any time; the life goes one way."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = T0
        self.command = given_command("cut_power", CommandState.ASKED)
        self.sends = 0

    @rule(name=st.sampled_from(["cut_power", "listen_in", "text"]), asked=st.booleans())
    def another(self, name: str, asked: bool) -> None:
        args = {"text": "x"} if name == "text" else {}
        state = CommandState.ASKED if asked else CommandState.QUEUED
        self.command = replace(given_command(name, state, **args), expires_ms=self.now_ms + 60_000)
        self.sends = 0

    @rule(seconds=st.sampled_from([-3_600, 0, 1, 61, 900]))
    def time_jumps(self, seconds: int) -> None:
        self.now_ms += seconds * 1_000

    @rule(who=st.sampled_from(["li", "wang"]), how=st.sampled_from(
        ["approve", "reject", "send", "answer", "no", "turn_down", "expire", "end"]))  # fmt: skip
    def somebody_tries(self, who: str, how: str) -> None:
        one, now = self.command, self.now_ms
        steps: dict[str, Any] = {
            "approve": lambda: approve(one, who),
            "reject": lambda: reject(one, who, "why", now),
            "send": lambda: send(one, "jt808", now),
            "answer": lambda: answer(one, ok=True, detail="", reply={}, now_ms=now),
            "no": lambda: answer(one, ok=False, detail="", reply={}, now_ms=now),
            "turn_down": lambda: turn_down(one, "rule", now),
            "expire": lambda: expire(one, now),
            "end": lambda: end(one, now),
        }
        try:
            after: Command | None = steps[how]()
        except LuchengError as error:
            assert error.mend  # noqa: PT017 (whether it is refused depends on the walk)
            return
        if after is None:
            assert how in ("answer", "no")
            return
        assert after.version == one.version + 1
        assert after.state in _WAYS[one.state] or (how == "end" and after.state is one.state)
        assert replace(after, version=1, state=one.state, approved_by="", via="", sent_ms=0, done_ms=0, ends_ms=0,
                       ended_ms=0, detail="", reply={}) == replace(one, version=1, approved_by="", via="", sent_ms=0,
                       done_ms=0, ends_ms=0, ended_ms=0, detail="", reply={}), "what was asked for is not changed"  # fmt: skip
        self.sends += how == "send"
        self.command = after

    @invariant()
    def holds(self) -> None:
        one = self.command
        assert self.sends <= 1
        assert bool(one.sent_ms) == bool(self.sends)
        assert one.done == bool(one.done_ms)
        assert one.approved_by != one.by
        assert not one.ends_ms or (one.name == "listen_in" and one.ends_ms - one.sent_ms <= MAX_LISTEN_S * 1_000)
        assert not one.ended_ms or one.ends_ms


TestCommandMachine = CommandMachine.TestCase
TestCommandMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
