"""The duty of commands over real stores and the real gate: sent once, ended in time, given for what the desk tells."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from config.desk import Desk as DeskSettings
from config.gateway import Commands, Operators
from config.sections import Settings
from console.device_operations import Caller
from lucheng.commanding import COUNTS, CommandDuty, confirms
from model.command import Command, CommandState, Reply
from model.errors import Refused, StoreError, TryAgain
from tests.conftest import wait_until
from tests.console.conftest import House
from tests.console.test_operations import damage_audit

SETTINGS = Settings(
    operators=Operators(users={"sup": "supervisor", "app": "approver"}), desk=DeskSettings(phone_number="110")
)
PROTOCOLS = {"taxi/1": "jt808", "taxi/2": "jt905", "taxi/4": "gt06"}


class Crash(BaseException):
    """The process ends."""


class Recorder:
    """A carrier that writes down what it is given."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.online: dict[str, str] = {}
        self.sent: list[Command] = []
        self.ended: list[str] = []
        self.raising: BaseException | None = None

    def via(self, device: str, slot: int) -> str:
        assert slot == self.house.rooms.registry.get(device).slot
        return self.online.get(device, "")

    def send(self, command: Command, slot: int) -> None:
        assert slot == self.house.rooms.registry.get(command.device).slot
        stored = self.house.rooms.commands.get(command.id)
        assert stored == command, "it leaves before it is durable"
        assert command.state is CommandState.SENT
        assert self.house.actions()[-1][0] == "command.sent", "it leaves before it is audited"
        if self.raising is not None:
            raise self.raising
        self.sent.append(command)

    def end_listen(self, command: Command, slot: int) -> None:
        assert slot >= 0
        if self.raising is not None:
            raise self.raising
        self.ended.append(command.id)


class Town:
    """A house with a duty over it."""

    def __init__(self, folder: Path, stack: ExitStack, settings: Settings = SETTINGS) -> None:
        self.folder, self.stack, self.settings = folder, stack, settings
        self.open()
        for device in ("taxi/1", "taxi/2", "taxi/3", "taxi/4", "ebike/1", "button/1"):
            self.house.ask("device_add", device=device)

    def open(self) -> None:
        self.house = House(self.folder / "data", self.settings)
        self.stack.callback(self.house.rooms.close)
        self.carrier = Recorder(self.house)
        self.fatal: list[BaseException] = []
        self.duty = CommandDuty(
            self.house.rooms.commands,
            self.house.rooms.desk,
            self.house.operations,
            self.carrier,
            slot_of=self.slot_of,
            protocol_of=lambda device: PROTOCOLS.get(device, ""),
            settings=self.settings.commands,
            clock=self.house.clock,
            on_fatal=self.fatal.append,
            max_replies=5,
        )
        self.duty.turn()

    def slot_of(self, device: str) -> int | None:
        return self.house.rooms.registry.directory().slot(device)

    def restart(self) -> None:
        """As after a crash: nothing is said to the duty."""
        now_ms = self.house.clock.now_ms()
        self.house.rooms.close()
        self.open()
        self.house.clock.step_wall(now_ms - self.house.clock.now_ms())

    def give(self, name: str = "snapshot", device: str = "taxi/1", who: str = "sup", **arguments: Any) -> str:
        arguments = {"reason": "why", **arguments}
        made = self.house.operations.command_send(Caller(who, "cli", "socket"), device=device, name=name, **arguments)
        return str(made["command"])

    def state(self, command: str) -> CommandState:
        return self.house.rooms.commands.get(command).state

    def given(self, name: str) -> list[Command]:
        """What the desk gave by itself, oldest first."""
        rows = self.house.rooms.commands.list(limit=1_000)
        return [one for one in reversed(rows) if one.by == "system" and one.name == name]

    def audited(self, action: str) -> list[dict[str, Any]]:
        rows = self.house.rooms.audit.rows(limit=10_000)
        return [{"who": row.who, "target": row.target, **row.detail} for row in rows if row.action == action]

    def pass_s(self, seconds: float) -> None:
        self.house.clock.advance(seconds)
        self.duty.turn()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with ExitStack() as stack:
        yield Town(tmp_path, stack)


# -- sending ----------------------------------------------------------------------------------


def test_it_waits_for_its_device_and_goes_once(town: Town) -> None:
    first, second = town.give(), town.give("text", args={"text": "x"})
    other = town.give(device="taxi/2")
    for _ in range(3):
        town.pass_s(1)
    assert town.carrier.sent == []
    town.carrier.online = {"taxi/1": "jt808"}
    for _ in range(3):
        town.duty.turn()
    assert [one.id for one in town.carrier.sent] == [first, second]
    assert [one.via for one in town.carrier.sent] == ["jt808"] * 2
    assert town.state(other) is CommandState.QUEUED
    (row, _) = town.audited("command.sent")
    assert (row["who"], row["target"], row["command"], row["via"]) == ("system", "taxi/1", first, "jt808")
    assert town.duty.counts() == {**dict.fromkeys(COUNTS, 0), "sent": 2}


def test_many_who_wait_offline_do_not_stand_before_the_others(town: Town) -> None:
    for _ in range(20):
        town.give(expires_s=3_600)
    last = town.give(device="taxi/2")
    town.carrier.online = {"taxi/2": "jt905"}
    town.duty.turn()
    assert [one.id for one in town.carrier.sent] == [last]


def test_answers_reach_their_command_alone(town: Town) -> None:
    town.carrier.online = {"taxi/1": "mqtt"}
    command = town.give("query")
    town.duty.turn()
    town.duty.reply(Reply(command, ok=True, device="taxi/2"))
    town.duty.reply(Reply("K1999-000001", ok=True, device="taxi/1"))
    town.duty.turn()
    assert town.state(command) is CommandState.SENT
    town.duty.reply(Reply(command, ok=True, detail="there", data={"lat": 1.5}, device="taxi/1"))
    town.duty.reply(Reply(command, ok=False, device="taxi/1"))
    town.duty.turn()
    done = town.house.rooms.commands.get(command)
    assert (done.state, done.detail, done.reply) == (CommandState.ACCEPTED, "there", {"lat": 1.5})
    assert town.duty.counts() == {**dict.fromkeys(COUNTS, 0), "sent": 1, "answered": 1, "answered_nothing": 3}
    for number in range(9):
        town.duty.reply(Reply(f"K{number}", ok=True, device="taxi/1"))
    town.duty.turn()
    assert (town.duty.counts()["replies_lost"], town.duty.counts()["answered_nothing"]) == (4, 8)


def test_what_is_not_sent_or_not_answered_in_time_expires(town: Town) -> None:
    waits, asked = town.give(expires_s=30), town.give("set_parameter", args={"id": "1", "value": "2"}, expires_s=30)
    town.carrier.online = {"taxi/2": "jt905"}
    sent = town.give(device="taxi/2", expires_s=30)
    town.pass_s(29)
    assert [town.state(one) for one in (waits, asked, sent)] == ["queued", "queued", "sent"]
    town.carrier.online["taxi/1"] = "jt808"
    town.pass_s(1)
    assert [town.state(one) for one in (waits, asked, sent)] == ["expired", "expired", "sent"]
    assert len(town.carrier.sent) == 1
    town.pass_s(58)
    assert town.state(sent) is CommandState.SENT
    town.pass_s(2)
    assert town.state(sent) is CommandState.EXPIRED
    town.duty.reply(Reply(sent, ok=True, device="taxi/2"))
    town.duty.turn()
    assert town.state(sent) is CommandState.EXPIRED


@pytest.mark.parametrize("error", [Refused("no such thing", mend="m"), TryAgain("busy", mend="m")])
def test_what_a_protocol_does_not_have_is_refused(town: Town, error: BaseException) -> None:
    town.carrier.online = {"taxi/1": "gt06"}
    town.carrier.raising = error
    command = town.give()
    town.duty.turn()
    done = town.house.rooms.commands.get(command)
    assert (done.state, done.detail) == (CommandState.REFUSED, str(error.args[0]))
    assert (done.sent_ms, done.via) == (0, ""), "nothing has left"
    ((row),) = town.audited("command.refused")
    assert (row["command"], row["tried"], row["why"]) == (command, "send", done.detail)
    town.carrier.raising = None
    town.duty.turn()
    assert town.carrier.sent == []


def test_a_protocol_that_breaks_stops_nobody_else_and_nothing_is_sent_again(town: Town) -> None:
    town.carrier.online = {"taxi/1": "gt06", "taxi/2": "jt905"}
    town.carrier.raising = ValueError("a bug")
    first, second = town.give(), town.give(device="taxi/2")
    town.duty.turn()
    town.carrier.raising = None
    town.duty.turn()
    assert town.carrier.sent == []
    assert [town.state(one) for one in (first, second)] == ["sent", "sent"]
    town.pass_s(60)
    assert [town.state(one) for one in (first, second)] == ["expired", "expired"]


@pytest.mark.parametrize("moment", ["before the bytes", "after the bytes"])
def test_s23_killed_between_the_step_and_the_bytes_it_is_never_sent_again(town: Town, moment: str) -> None:
    command = town.give()
    town.carrier.online = {"taxi/1": "jt808"}
    inner = town.carrier.send

    def crashing(sent: Command, slot: int) -> None:
        if moment == "after the bytes":
            inner(sent, slot)
        raise Crash

    town.carrier.send = crashing  # type: ignore[method-assign, assignment]
    with pytest.raises(Crash):
        town.duty.turn()
    before = len(town.carrier.sent)
    town.restart()
    town.carrier.online = {"taxi/1": "jt808"}
    for _ in range(3):
        town.duty.turn()
    assert before + len(town.carrier.sent) <= 1
    assert town.carrier.sent == []
    assert town.state(command) is CommandState.SENT
    town.duty.reply(Reply(command, ok=True, device="taxi/1"))
    town.duty.turn()
    assert town.state(command) is CommandState.ACCEPTED


# -- the gate at the moment of sending --------------------------------------------------------


def test_s21_power_is_not_cut_of_what_has_begun_to_move(town: Town) -> None:
    town.house.put("taxi/1", [town.house.clock.now_ms()], speed_kmh=0.0)
    moving, standing = town.give("cut_power"), town.give("cut_power")
    for command in (moving, standing):
        town.house.operations.command_approve(Caller("app", "cli", "socket"), command)
    town.carrier.online = {"taxi/1": "jt905"}
    town.house.clock.advance(5)
    town.house.put("taxi/1", [town.house.clock.now_ms()], speed_kmh=12.0)
    town.duty.turn()
    assert town.carrier.sent == []
    done = town.house.rooms.commands.get(moving)
    assert done.state is CommandState.REFUSED
    assert "moves" in done.detail
    assert [row["tried"] for row in town.audited("command.refused")] == ["send", "send"]
    town.house.clock.advance(5)
    town.house.put("taxi/1", [town.house.clock.now_ms()], speed_kmh=0.0)
    again = town.give("cut_power")
    town.duty.turn()
    assert town.carrier.sent == [], "nobody has approved it"
    town.house.operations.command_approve(Caller("app", "cli", "socket"), again)
    town.duty.turn()
    assert [one.id for one in town.carrier.sent] == [again]


def test_a_listen_in_does_not_go_out_for_an_alarm_that_was_closed_meanwhile(town: Town) -> None:
    sos = town.house.alarm("taxi/3", kind="sos")
    listen = town.give("listen_in", "taxi/3")
    close(town, sos)
    town.carrier.online = {"taxi/3": "mqtt"}
    town.duty.turn()
    assert "not open" in town.house.rooms.commands.get(listen).detail
    assert [one.name for one in town.carrier.sent] == ["snapshot"]


def test_a_disabled_device_is_told_nothing(town: Town) -> None:
    command = town.give()
    town.house.ask("device_disable", device="taxi/1")
    town.carrier.online = {"taxi/1": "jt808"}
    town.duty.turn()
    assert "disabled" in town.house.rooms.commands.get(command).detail
    assert town.carrier.sent == []


def test_s20_what_cannot_be_audited_is_not_sent(town: Town) -> None:
    command = town.give()
    town.carrier.online = {"taxi/1": "jt808"}
    damage_audit(town.house)
    for _ in range(3):
        town.duty.turn()
    assert town.carrier.sent == []
    assert town.state(command) is CommandState.QUEUED
    town.pass_s(300)
    assert town.state(command) is CommandState.EXPIRED


# -- listen-ins -------------------------------------------------------------------------------


def close(town: Town, alarm: str) -> None:
    house = town.house
    house.ask("alarm_ack", alarm=alarm)
    house.ask("alarm_resolve", alarm=alarm, outcome="real")
    house.ask("alarm_close", alarm=alarm, reason="done")


def listening(town: Town, **arguments: Any) -> tuple[str, str]:
    """A listen-in that runs on taxi/3; its id and that of its alarm."""
    sos = town.house.alarm("taxi/3", kind="sos")
    town.carrier.online = {"taxi/3": "jt808"}
    listen = town.give("listen_in", "taxi/3", **arguments)
    town.duty.turn()
    assert listen in [one.id for one in town.carrier.sent]
    return listen, sos


def test_s21_a_listen_in_ends_when_its_alarm_is_closed(town: Town) -> None:
    listen, sos = listening(town)
    town.duty.reply(Reply(listen, ok=True, device="taxi/3"))
    town.pass_s(60)
    assert town.carrier.ended == []
    close(town, sos)
    town.duty.turn()
    town.duty.turn()
    assert town.carrier.ended == [listen]
    ended = town.house.rooms.commands.get(listen)
    assert (ended.state, ended.ended_ms) == (CommandState.ACCEPTED, town.house.clock.now_ms())
    ((row),) = town.audited("command.listen_end")
    assert (row["command"], row["alarm"], row["told"], row["target"]) == (listen, sos, True, "taxi/3")


def test_a_listen_in_ends_after_its_minutes_whatever_was_answered(town: Town) -> None:
    listen, _ = listening(town, args={"minutes": 2})
    town.pass_s(119)
    assert town.state(listen) is CommandState.EXPIRED, "no answer, and yet it may run"
    assert town.carrier.ended == []
    town.pass_s(1)
    assert town.carrier.ended == [listen]
    assert town.house.rooms.commands.listening() == []


def test_a_listen_in_that_a_person_hangs_up_ends_at_once_or_as_soon_as_its_terminal_is_reached(town: Town) -> None:
    listen, _ = listening(town)
    town.carrier.online = {}
    stopped = town.house.operations.command_stop(Caller("sup", "cli", "socket"), listen)
    assert (stopped["listening"], stopped["stopped_by"]) == (True, "sup")
    town.pass_s(5)
    assert town.audited("command.listen_end") == [], "nobody has told the terminal"
    town.carrier.online = {"taxi/3": "jt808"}
    town.duty.turn()
    assert town.carrier.ended == [listen]
    assert town.house.rooms.commands.get(listen).stopped_by == "sup"
    assert [row["told"] for row in town.audited("command.listen_end")] == [True]


def test_a_listen_in_whose_terminal_is_away_is_ended_when_it_is_back(town: Town) -> None:
    listen, sos = listening(town)
    close(town, sos)
    town.carrier.online = {}
    for _ in range(3):
        town.pass_s(1)
    assert town.audited("command.listen_end") == []
    town.carrier.online = {"taxi/3": "jt808"}
    town.carrier.raising = OSError("broken")
    town.duty.turn()
    town.carrier.raising = None
    town.duty.turn()
    assert town.carrier.ended == [listen]
    assert [row["told"] for row in town.audited("command.listen_end")] == [True]


def test_a_terminal_that_stays_away_ends_it_by_itself(town: Town) -> None:
    listen, _ = listening(town)
    town.carrier.online = {}
    town.pass_s(601)
    assert town.carrier.ended == []
    assert [row["told"] for row in town.audited("command.listen_end")] == [False]
    assert not town.house.rooms.commands.get(listen).listening


def test_a_listen_in_is_ended_also_over_a_restart_and_without_an_audit(town: Town) -> None:
    listen, sos = listening(town)
    close(town, sos)
    town.restart()
    town.carrier.online = {"taxi/3": "jt808"}
    damage_audit(town.house)
    town.duty.turn()
    assert town.carrier.ended == [listen]
    assert not town.house.rooms.commands.get(listen).listening


# -- what the desk's events ask for -----------------------------------------------------------


def test_a_taxi_that_raises_sos_is_asked_for_a_photo_once_each_lap(town: Town) -> None:
    sos = town.house.alarm("taxi/1", kind="sos")
    town.house.alarm("taxi/1", kind="sos", number=2)
    town.house.alarm("ebike/1", kind="sos", number=3)
    town.house.alarm("taxi/2", kind="overspeed", number=4)
    town.duty.turn()
    (photo,) = town.given("snapshot")
    assert (photo.device, photo.alarm, photo.state) == ("taxi/1", sos, CommandState.QUEUED)
    town.house.alarm("taxi/1", kind="sos", number=5)
    town.duty.turn()
    assert len(town.given("snapshot")) == 1
    close(town, sos)
    assert town.house.alarm("taxi/1", kind="sos", number=6) == sos, "opened again: a new lap"
    town.duty.turn()
    assert [one.alarm for one in town.given("snapshot")] == [sos, sos]
    sent = [row for row in town.audited("command.send") if row["command"] == "snapshot"]
    assert [(row["who"], row["via"], row["target"]) for row in sent] == [("system", "service", "taxi/1")] * 2


def test_a_photo_is_asked_for_once_over_a_crash(town: Town) -> None:
    town.house.alarm("taxi/1", kind="sos")
    town.duty.turn()
    town.restart()
    town.duty.turn()
    assert len(town.given("snapshot")) == 1, "the place in the events was not yet written down"
    town.house.alarm("taxi/2", kind="sos")
    town.restart()
    assert [one.device for one in town.given("snapshot")] == ["taxi/1", "taxi/2"], "what came while nobody looked"
    town.pass_s(10)
    town.duty.turn()
    assert town.house.rooms.commands.position("desk") == town.house.rooms.desk.last_event()


def test_no_photo_of_what_is_over_or_was_before_there_were_commands(tmp_path: Path) -> None:
    with ExitStack() as stack:
        house = House(tmp_path / "data", SETTINGS)
        house.ask("device_add", device="taxi/1")
        house.alarm("taxi/1", kind="sos")
        house.rooms.close()
        town = Town.__new__(Town)
        town.folder, town.stack, town.settings = tmp_path, stack, SETTINGS
        town.open()
        assert town.given("snapshot") == []
        town.house.ask("device_add", device="taxi/2")
        town.house.alarm("taxi/2", kind="sos")
        town.pass_s(299)
        (late,) = town.given("snapshot")
        assert late.expires_ms == town.house.clock.now_ms() + 1_000
        town.house.ask("device_add", device="taxi/3")
        town.house.alarm("taxi/3", kind="sos")
        town.pass_s(300)
        assert len(town.given("snapshot")) == 1


def test_no_photo_when_the_setting_says_so(tmp_path: Path) -> None:
    with ExitStack() as stack:
        town = Town(tmp_path, stack, Settings(commands=Commands(snapshot_on_sos=False)))
        town.house.alarm("taxi/1", kind="sos")
        town.duty.turn()
        assert town.given("snapshot") == []


def test_a_photo_that_is_refused_holds_nothing_up(town: Town) -> None:
    town.house.ask("device_disable", device="taxi/1")
    town.house.alarm("taxi/1", kind="sos")
    town.house.alarm("taxi/9", kind="sos", number=2)
    town.house.alarm("taxi/2", kind="sos", number=3)
    town.duty.turn()
    assert [one.device for one in town.given("snapshot")] == ["taxi/2"]
    assert [row["target"] for row in town.audited("command.refused")] == ["taxi/1", "taxi/9"]


def test_terminals_are_told_that_the_desk_has_their_alarm(town: Town) -> None:
    alarms = {device: town.house.alarm(device, kind="sos", number=n) for n, device in enumerate(
        ("taxi/1", "taxi/2", "taxi/3", "taxi/4", "button/1"))}  # fmt: skip
    alarms["fast"] = town.house.alarm("taxi/1", kind="overspeed", number=9)
    for alarm in alarms.values():
        close(town, alarm)
    town.duty.turn()
    told = [(one.device, one.args["alarm_kind"], one.args["state"], one.alarm) for one in town.given("confirm_alarm")]
    assert told == [
        ("taxi/1", "sos", "acknowledged", alarms["taxi/1"]),
        ("taxi/1", "sos", "closed", alarms["taxi/1"]),
        ("taxi/2", "sos", "acknowledged", alarms["taxi/2"]),
        ("taxi/2", "sos", "closed", alarms["taxi/2"]),
    ]


def test_what_can_be_confirmed() -> None:
    assert [confirms(protocol, "sos") for protocol in ("jt808", "jt905", "gt06", "mqtt", "")] == [True, True] + [
        False
    ] * 3
    assert not confirms("jt905", "driving_warning")
    assert not confirms("jt808", "overspeed")


# -- the thread -------------------------------------------------------------------------------


def test_the_thread_sends_answers_and_stops(town: Town) -> None:
    town.duty.start()
    try:
        town.carrier.online = {"taxi/1": "jt808"}
        command = town.give()
        wait_until(lambda: town.state(command) is CommandState.SENT)
        town.duty.reply(Reply(command, ok=True, device="taxi/1"))
        wait_until(lambda: town.state(command) is CommandState.ACCEPTED)
        offline = town.give(device="taxi/2")
        town.carrier.online["taxi/2"] = "jt905"
        town.duty.wake()
        wait_until(lambda: town.state(offline) is CommandState.SENT)
        town.duty.reply(Reply(offline, ok=True, device="taxi/2"))
    finally:
        town.duty.stop(drain_s=20)
    assert town.state(offline) is CommandState.ACCEPTED, "answers that are there are written down"
    assert town.fatal == []
    assert not [one for one in threading.enumerate() if one.name == "commands"]


def test_a_store_that_failed_is_told_once(town: Town) -> None:
    town.duty.start()
    town.house.rooms.commands.close()
    town.duty.wake()
    wait_until(lambda: bool(town.fatal))
    town.duty.stop(drain_s=20)
    (error,) = town.fatal
    assert isinstance(error, StoreError)
