"""Terminals: a number finds its device, the first terminal is bound durably, a token fails when it should."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from devices.details import DeviceDetails, details_of
from devices.importing import import_csv
from devices.registry import Registry
from devices.schema import MIGRATIONS
from devices.secrets import SealedSecrets
from devices.terminal_tokens import TOKEN_CHARS
from devices.terminals import MAX_REGISTRATIONS, RegisterAnswer, Registering, Result, Terminals
from model.clock import FakeClock
from model.device import PROTOCOLS
from model.errors import Conflict, NotFound, Refused, StoreError, UsageError
from store.database import connect, migrate
from tests.postgres import told

NOW_MS = 1_795_334_400_000
NUMBER = "13900000001"


@pytest.fixture
def terminals(registry: Registry, tmp_path: Path) -> Terminals:
    return Terminals(registry.file, registry.directory(), key_file=tmp_path / "keys" / "secret.key")


def asked(number: str = NUMBER, **said: Any) -> Registering:
    """A registration as a terminal sends it."""
    return replace(Registering(number, "蒙B12345", "T000001", "ACME", "M1", NOW_MS), **said)


def register(terminals: Terminals, number: str = NUMBER, **said: Any) -> RegisterAnswer:
    return terminals.register_all([asked(number, **said)])[0]


# -- the field protocol ---------------------------------------------------------------------------


def test_a_device_has_a_protocol(registry: Registry) -> None:
    made = registry.add("taxi/1", DeviceDetails(protocol=" JT808 "))
    assert (made.protocol, registry.get("taxi/1").protocol) == ("jt808", "jt808")
    assert registry.update("taxi/1", replace(details_of(made), protocol="jt905")).protocol == "jt905"
    assert registry.update("taxi/1", DeviceDetails()).protocol == ""
    with pytest.raises(UsageError, match="'modbus' is no protocol"):
        registry.add("taxi/2", DeviceDetails(protocol="modbus"))
    assert registry.count() == 1


def test_a_csv_file_brings_protocols(registry: Registry) -> None:
    rows = "".join(f"taxi/{n},{name}\n" for n, name in enumerate(PROTOCOLS))
    assert import_csv(registry, f"id,protocol\n{rows}taxi/x,Modbus\n".encode()).counts()["added"] == len(PROTOCOLS)
    assert [device.protocol for device in registry.list()] == list(PROTOCOLS)
    assert import_csv(registry, b"id,name\ntaxi/1,east\n").counts()["updated"] == 1
    assert registry.get("taxi/1").protocol == PROTOCOLS[1]
    report = import_csv(registry, "设备号,协议\ntaxi/1,\ntaxi/2,x\n".encode())
    assert [(row.outcome.value, row.reason[:20]) for row in report.rows] == [
        ("updated", ""),
        ("refused", "'x' is no protocol."),
    ]
    assert registry.get("taxi/1").protocol == ""


def test_a_registry_of_before_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    connection = connect(path)
    migrate(connection, MIGRATIONS[:2], path)
    connection.close()
    with pytest.raises(StoreError, match="older lucheng"):
        Registry(path, clock=FakeClock(), read_only=True)
    registry = Registry(path, clock=FakeClock())
    assert registry.add("taxi/1", DeviceDetails(protocol="gt06")).protocol == "gt06"
    registry.close()


# -- finding --------------------------------------------------------------------------------------


def test_a_number_finds_its_device(registry: Registry, terminals: Terminals) -> None:
    registry.add("taxi/1", DeviceDetails(plate="蒙B·12345", phone="+86 139 0000 0001", model="X", protocol="jt808"))
    registry.add("ebike/1", DeviceDetails(imei="0860000000000001"))
    registry.add("taxi/2", DeviceDetails(phone="none-yet"))
    found = terminals.find("013900000001")
    assert found is not None
    assert found == terminals.find(NUMBER) == terminals.find("00000000013900000001")
    assert found._asdict() == {
        "slot": 0, "device": "taxi/1", "protocol": "jt808", "enabled": True, "plate": "蒙B·12345", "model": "X",
    }  # fmt: skip
    bike = terminals.find("860000000000001")
    assert bike is not None
    assert (bike.device, bike.slot) == ("ebike/1", 1)
    for stranger in (
        "",
        "0",
        "000",
        "1390000000",
        "139000000011",
        "none-yet",
        "NONEYET",
        "１３９",
        "13900000001\n",
        "-1",
    ):
        assert terminals.find(stranger) is None


def test_a_change_is_seen_by_the_next_look(registry: Registry, tmp_path: Path) -> None:
    registry.add("taxi/1", DeviceDetails(phone=NUMBER))
    directory = registry.directory()
    terminals = Terminals(registry.file, directory, key_file=tmp_path / "secret.key")
    assert [terminals.find(NUMBER), len(terminals)][1] == 1

    def changed() -> None:
        assert registry.refresh(directory)

    registry.update("taxi/1", DeviceDetails(phone="13900000002", imei="860000000000001"))
    changed()
    assert terminals.find(NUMBER) is None
    assert terminals.find("13900000002") == terminals.find("860000000000001")
    registry.disable("taxi/1")
    changed()
    found = terminals.find("13900000002")
    assert found is not None
    assert not found.enabled
    registry.add("taxi/2", DeviceDetails(phone="13900000002"))  # the terminal went into another vehicle
    changed()
    found = terminals.find("13900000002")
    assert found is not None
    assert found.device == "taxi/2"
    registry.delete("taxi/2")
    changed()
    found = terminals.find("13900000002")
    assert found is not None
    assert (found.device, found.enabled) == ("taxi/1", False)
    registry.delete("taxi/1")
    changed()
    assert terminals.find("13900000002") is None
    assert len(terminals) == 0


def test_another_process_change_is_taken_over_by_a_refresh(
    registry: Registry, terminals: Terminals, tmp_path: Path
) -> None:
    assert terminals.find(NUMBER) is None
    code = (
        "import sys\nfrom tests.postgres import where_told\nfrom devices.details import DeviceDetails\n"
        "from devices.registry import Registry\nfrom model.clock import FakeClock\n"
        "registry = Registry(where_told(sys.argv[1]), clock=FakeClock())\n"
        f"registry.add('taxi/1', DeviceDetails(phone='{NUMBER}'))\nregistry.close()\n"
    )
    subprocess.run([sys.executable, "-c", code, told(registry.file.path)], check=True, timeout=60)
    assert terminals.refresh()
    assert not terminals.refresh()
    found = terminals.find(NUMBER)
    assert found is not None
    assert found.device == "taxi/1"


def test_a_look_never_waits_for_who_changes_the_registry(registry: Registry, tmp_path: Path) -> None:
    registry.add("taxi/1", DeviceDetails(phone=NUMBER))
    directory = registry.directory()
    terminals = Terminals(registry.file, directory, key_file=tmp_path / "secret.key")
    terminals.refresh()
    registry.disable("taxi/1")
    registry.refresh(directory)
    begun, done = threading.Event(), threading.Event()

    def change() -> None:
        with registry.file.changing():
            begun.set()
            assert done.wait(30)

    worker = threading.Thread(target=change)
    worker.start()
    try:
        assert begun.wait(30)
        found = terminals.find(NUMBER)
        assert found is not None
        assert found.enabled  # what was known before
    finally:
        done.set()
        worker.join()
    found = terminals.find(NUMBER)
    assert found is not None
    assert not found.enabled


class NumbersMachine(RuleBasedStateMachine):
    """Terminals kept in step by refreshes show what terminals that are built anew show."""

    directory_of: Callable[[], Path]

    def __init__(self) -> None:
        super().__init__()
        self.folder = self.directory_of()
        self.registry = Registry(self.folder / "registry.db", clock=FakeClock())
        self.directory = self.registry.directory()
        self.kept = Terminals(self.registry.file, self.directory, key_file=self.folder / "secret.key")

    def teardown(self) -> None:
        self.registry.close()

    devices = st.sampled_from(["taxi/1", "taxi/2", "taxi/3"])
    numbers = st.sampled_from(["", "1", "01", "2", "002", "3"])

    @rule(device=devices, phone=numbers, imei=numbers)
    def say(self, device: str, phone: str, imei: str) -> None:
        details = DeviceDetails(phone=phone, imei=imei)
        known = any(one.id == device for one in self.registry.list())
        with suppress(Conflict):  # a number that is another's; nothing has changed then
            self.registry.update(device, details) if known else self.registry.add(device, details)

    @rule(device=devices, what=st.sampled_from(["enable", "disable", "delete"]))
    def switch(self, device: str, what: str) -> None:
        with suppress(Conflict, NotFound):
            getattr(self.registry, what)(device)

    @rule()
    def look(self) -> None:
        self.registry.refresh(self.directory)

    @invariant()
    def the_same_as_anew(self) -> None:
        if self.directory.version != self.registry.version():
            return
        anew = Terminals(self.registry.file, self.directory, key_file=self.folder / "secret.key")
        for number in ("1", "2", "3"):
            assert self.kept.find(number) == anew.find(number)
        assert len(self.kept) == len(anew)


def test_kept_in_step_is_as_built_anew(tmp_path_factory: pytest.TempPathFactory) -> None:
    NumbersMachine.directory_of = staticmethod(lambda: tmp_path_factory.mktemp("registry"))
    run_state_machine_as_test(
        NumbersMachine,
        settings=settings(
            max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


# -- registering and authenticating ---------------------------------------------------------------


def test_the_first_terminal_is_bound_and_no_other(registry: Registry, terminals: Terminals) -> None:
    registry.add("taxi/1", DeviceDetails(plate="蒙B·12345", phone=NUMBER))
    first = register(terminals)
    assert (first.result, len(first.token), first.token.isascii()) == (Result.OK, TOKEN_CHARS, True)
    assert register(terminals, maker="other", model="firmware 2") == first
    other = register(terminals, terminal_id="T000002")
    assert (other.result, other.token) == (Result.TERMINAL_TAKEN, "")
    assert "T000001" in other.why
    assert terminals.check(NUMBER, first.token)
    assert terminals.check("0" + NUMBER, first.token)
    for wrong in ("", first.token[:-1], first.token + "x", first.token.swapcase(), "口令", "\ud800", "x" * 10_000):
        assert not terminals.check(NUMBER, wrong)
    assert not terminals.check("13900000009", first.token)
    (bound,) = terminals.list()
    assert (bound.device, bound.number, bound.terminal_id, bound.maker, bound.model, bound.generation, bound.registered_ms) == (
        "taxi/1", NUMBER, "T000001", "ACME", "M1", 1, NOW_MS,
    )  # fmt: skip


def test_what_is_refused_and_with_which_result(registry: Registry, terminals: Terminals) -> None:
    registry.add("taxi/1", DeviceDetails(plate="蒙B12345", phone=NUMBER))
    registry.add("taxi/2", DeviceDetails(phone="13900000002"))
    registry.add("taxi/3", DeviceDetails(phone="13900000003"))
    registry.disable("taxi/3")
    answers = terminals.register_all(
        [
            asked("13900000009"),
            asked("13900000003", plate=""),
            asked(plate="蒙B99999"),
            asked("13900000002"),  # says the plate of taxi/1
            asked(plate=""),
        ]
    )
    assert [answer.result for answer in answers] == [
        Result.NO_TERMINAL, Result.NO_TERMINAL, Result.NO_VEHICLE, Result.VEHICLE_TAKEN, Result.OK,
    ]  # fmt: skip
    assert all(bool(answer.token) != bool(answer.why) for answer in answers)
    assert [bound.device for bound in terminals.list()] == ["taxi/1"]
    assert register(terminals, "13900000002", plate="蒙B00002").result == Result.OK
    with pytest.raises(UsageError, match="registrations at once"):
        terminals.register_all([asked()] * (MAX_REGISTRATIONS + 1))


def test_two_terminals_in_one_call_the_first_is_bound(registry: Registry, terminals: Terminals) -> None:
    registry.add("taxi/1", DeviceDetails(phone=NUMBER))
    answers = terminals.register_all([asked(), asked(terminal_id="other"), asked()])
    assert [answer.result for answer in answers] == [Result.OK, Result.TERMINAL_TAKEN, Result.OK]
    assert answers[0] == answers[2]


def test_a_token_fails_after_a_release_and_while_disabled(registry: Registry, tmp_path: Path) -> None:
    registry.add("taxi/1", DeviceDetails(phone=NUMBER))
    directory = registry.directory()
    terminals = Terminals(registry.file, directory, key_file=tmp_path / "secret.key")
    first = register(terminals).token
    registry.disable("taxi/1")
    registry.refresh(directory)
    assert not terminals.check(NUMBER, first)
    assert register(terminals).result == Result.NO_TERMINAL
    registry.enable("taxi/1")
    registry.refresh(directory)
    assert terminals.check(NUMBER, first)
    terminals.release("taxi/1")
    assert not terminals.check(NUMBER, first)
    assert not terminals.list()
    with pytest.raises(NotFound, match="No terminal is bound"):
        terminals.release("taxi/1")
    with pytest.raises(NotFound, match="There is no device"):
        terminals.release("taxi/9")
    second = register(terminals, terminal_id="T000002").token
    assert second != first
    assert terminals.check(NUMBER, second)
    assert not terminals.check(NUMBER, first)
    assert register(terminals).result == Result.TERMINAL_TAKEN
    terminals.release("taxi/1")
    third = register(terminals).token  # the first terminal again: its old token stays dead
    assert third not in (first, second)


def test_an_id_that_is_given_again_has_other_tokens(registry: Registry, tmp_path: Path) -> None:
    directory = registry.directory()
    terminals = Terminals(registry.file, directory, key_file=tmp_path / "secret.key")
    tokens = []
    for _ in range(2):
        registry.add("taxi/1", DeviceDetails(phone=NUMBER))
        registry.refresh(directory)
        tokens.append(register(terminals).token)
        assert [terminals.check(NUMBER, token) for token in tokens] == [False] * (len(tokens) - 1) + [True]
        registry.delete("taxi/1")
        registry.refresh(directory)
        assert not terminals.check(NUMBER, tokens[-1])
        assert not terminals.list()
    assert tokens[0] != tokens[1]


def test_a_binding_outlives_the_process_and_reaches_others(registry: Registry, tmp_path: Path) -> None:
    registry.add("taxi/1", DeviceDetails(phone=NUMBER))
    directory = registry.directory()
    here = Terminals(registry.file, directory, key_file=tmp_path / "secret.key")
    there = Terminals(registry.file, directory, key_file=tmp_path / "secret.key")
    there.prepare()
    token = register(here).token
    assert not there.check(NUMBER, token)  # not looked yet
    registry.refresh(directory)
    assert there.check(NUMBER, token)
    assert register(there, terminal_id="other").result == Result.TERMINAL_TAKEN
    here.release("taxi/1")
    there.refresh()
    assert not there.check(NUMBER, token)
    reopened = Registry(registry.file.path, clock=FakeClock())
    again = Terminals(reopened.file, reopened.directory(), key_file=tmp_path / "secret.key")
    assert not again.check(NUMBER, token)
    reopened.close()


def test_nothing_secret_is_stored(registry: Registry, terminals: Terminals, tmp_path: Path) -> None:
    registry.add("taxi/1", DeviceDetails(phone=NUMBER))
    token = register(terminals).token
    with registry.file.reading() as connection:
        assert token not in repr(connection.execute("SELECT * FROM terminal").fetchall())
    key = tmp_path / "keys" / "secret.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert token not in repr(terminals)


def test_a_rotated_key_makes_other_tokens(registry: Registry, terminals: Terminals, tmp_path: Path) -> None:
    registry.add("taxi/1", DeviceDetails(phone=NUMBER))
    first = register(terminals).token
    SealedSecrets(registry.file, tmp_path / "keys" / "secret.key").rotate()
    assert not terminals.check(NUMBER, first)
    second = register(terminals).token  # the bound terminal registers again by itself
    assert second != first
    assert terminals.check(NUMBER, second)
    (tmp_path / "keys" / "secret.key").unlink()
    assert terminals.check(NUMBER, second)  # a running service goes on


def test_a_key_that_cannot_be_used_binds_nobody(registry: Registry, terminals: Terminals, tmp_path: Path) -> None:
    registry.add("taxi/1", DeviceDetails(phone=NUMBER))
    SealedSecrets(registry.file, tmp_path / "keys" / "secret.key").set("camera/7:rtsp", "x")
    (tmp_path / "keys" / "secret.key").chmod(0o644)
    for call in (terminals.prepare, lambda: register(terminals)):
        with pytest.raises(Refused, match="can be read by others"):
            call()
    assert not terminals.list()


def test_what_a_terminal_says_is_cut_and_printable(registry: Registry, tmp_path: Path) -> None:
    registry.add("taxi/1", DeviceDetails(phone=NUMBER))
    terminals = Terminals(registry.file, registry.directory(), key_file=tmp_path / "secret.key", max_text_chars=8)
    answer = register(terminals, terminal_id="\x00T\x1b[2J\ud8001 23456789", maker="m" * 99, model="\n")
    assert answer.result == Result.OK
    (bound,) = terminals.list()
    assert (bound.terminal_id, bound.maker, bound.model) == ("T[2J1", "m" * 8, "")
    assert register(terminals, terminal_id="\x00T\x1b[2J\ud8001 23456789") == answer


def test_a_list_has_pages(registry: Registry, terminals: Terminals) -> None:
    import_csv(registry, ("id,imei\n" + "".join(f"taxi/{n},{n + 1}\n" for n in range(5))).encode())
    terminals.register_all([asked(str(n + 1), plate="") for n in range(5)])
    first = terminals.list(limit=3)
    rest = terminals.list(after=first[-1].slot, limit=3)
    assert [bound.device for bound in (*first, *rest)] == [f"taxi/{n}" for n in range(5)]
    assert all(terminals.bound(n) for n in range(5))
    assert not terminals.bound(9)
    with pytest.raises(UsageError, match="page of 0"):
        terminals.list(limit=0)


def test_only_the_writer_binds(registry: Registry, terminals: Terminals, tmp_path: Path) -> None:
    registry.add("taxi/1", DeviceDetails(phone=NUMBER))
    terminals.prepare()
    reader = Registry(registry.file.path, clock=FakeClock(), read_only=True)
    looking = Terminals(reader.file, reader.directory(), key_file=tmp_path / "keys" / "secret.key")
    with pytest.raises(StoreError, match="read only"):
        register(looking)
    assert looking.list() == []
    reader.close()
