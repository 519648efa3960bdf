"""A data folder whose people and devices lie in PostgreSQL: opened by the settings, refused on the wrong side, copied both ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.sections import Settings
from lucheng.database_choice import MARK_FILE
from lucheng.people_moving import STORES, copy_people
from lucheng.rooms import AUDIT_FILE, DESK_FILE, REGISTRY_FILE, Rooms, open_rooms
from model.clock import FakeClock
from model.desk import AlarmFilter, UnitState
from model.errors import Conflict, LuchengError, NotFound, SettingsError, WriterLocked
from store.database import Place, connect, exists, transaction
from store.database.copying import UNFINISHED
from tests.lucheng.service_process import answer, lucheng
from tests.postgres import PASSWORD, PostgresServer
from tests.store.desk.conformance import GRANT, T0, press


@pytest.fixture
def on_server(postgres_server: PostgresServer, tmp_path: Path) -> Settings:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    server = postgres_server.server()
    return Settings.model_validate(
        {"database": {"url": server.url, "password_file": str(secret), "prefix": server.prefix, "wait_s": 5}}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def live(rooms: Rooms) -> None:
    """A life of an alarm, and of what stands around it."""
    rooms.registry.ensure([f"button/{number}" for number in range(41)])
    rooms.desk.take(
        [press(number, device=f"button/{number}") for number in range(1, 41)], consumer="points", position=40
    )
    (first, *_) = rooms.desk.list_alarms(GRANT, AlarmFilter(), limit=40)
    alarm_id = first.alarm.id
    rooms.desk.set_unit("unit/1", "li", level=1, state=UnitState.FREE)
    version = rooms.desk.acknowledge(alarm_id, first.alarm.version, "li").alarm.version
    version = rooms.desk.dispatch(alarm_id, version, "li", "unit/1").alarm.version
    version = rooms.desk.arrive(alarm_id, version, "li").alarm.version
    rooms.desk.audit_system_events(rooms.audit)
    rooms.desk.report_stolen("ebike/1", "receipt 7", "li")


def everything(rooms: Rooms) -> list[object]:
    """What people see; the audit's own rows of these reads go on growing."""
    alarms = rooms.desk.list_alarms(GRANT, AlarmFilter(), limit=100)
    return [
        alarms,
        rooms.desk.events(0, limit=1_000),
        rooms.desk.units(),
        rooms.desk.cases(),
        rooms.desk.answers(limit=100),
        rooms.registry.list(limit=100),
        rooms.registry.version(),
        rooms.audit.rows(limit=40),
    ]


@pytest.fixture
def lived(folder: Path) -> Iterator[list[object]]:
    with open_rooms(folder, Settings(), write=True, clock=FakeClock(T0)) as rooms:
        live(rooms)
        yield everything(rooms)


def test_rooms_on_a_server_live_there_alone(folder: Path, tmp_path: Path, on_server: Settings) -> None:
    with open_rooms(folder, on_server, write=True, clock=FakeClock(T0)) as rooms:
        live(rooms)
        seen = everything(rooms)
        assert not [name for name in (REGISTRY_FILE, DESK_FILE, AUDIT_FILE) if (folder / name).exists()]
        with open_rooms(tmp_path / "other", on_server, write=True, clock=FakeClock(T0)) as beside:
            assert everything(beside)[:7] == seen[:7]  # another machine sees the same
            beside.registry.ensure(["taxi/9"])
            assert rooms.registry.has("taxi/9")
        with open_rooms(folder, on_server, write=False, clock=FakeClock(T0)) as reader:
            assert everything(reader)[:5] == seen[:5]
    for name in ("data", "other"):  # each machine signs what it wrote itself
        with open_rooms(tmp_path / name, on_server, write=True, clock=FakeClock(T0)) as rooms:
            assert rooms.audit.verify() is None
    with pytest.raises(Conflict, match="lie in PostgreSQL"):
        open_rooms(folder, Settings(), write=True)


def test_a_folder_with_people_of_its_own_is_not_opened_on_a_server(
    folder: Path, on_server: Settings, postgres_server: PostgresServer
) -> None:
    open_rooms(folder, Settings(), write=True).close()
    with pytest.raises(Conflict, match="own files") as raised:
        open_rooms(folder, on_server, write=True)
    assert "store copy" in raised.value.mend
    assert not exists(Place(postgres_server.server(on_server.database.prefix).place("x").server, "x"))


def test_copied_there_and_back_it_is_the_same(folder: Path, on_server: Settings) -> None:
    with open_rooms(folder, Settings(), write=True, clock=FakeClock(T0)) as rooms:
        live(rooms)
        before = everything(rooms)
        with pytest.raises(WriterLocked):
            copy_people(folder, on_server, to_server=True)
    told: list[tuple[int, int]] = []
    done = copy_people(folder, on_server, to_server=True, progress=lambda *now: told.append(now))
    assert done["desk"] > 80
    assert told[-1][0] == told[-1][1]
    with pytest.raises(NotFound):
        copy_people(folder, on_server, to_server=True)
    with pytest.raises(Conflict):
        open_rooms(folder, Settings(), write=True)
    with open_rooms(folder, on_server, write=True, clock=FakeClock(T0)) as rooms:
        assert everything(rooms) == before
        (event, *_) = rooms.desk.take([press(99, device="button/99")])
        assert event.alarm.alarm.id == "A2025-000041"  # numbers go on
        rooms.registry.ensure(["button/99"])
        assert rooms.audit.verify() is None
        after = everything(rooms)
    copy_people(folder, on_server, to_server=False)
    assert not (folder / MARK_FILE).exists()
    assert (folder / f"{DESK_FILE}.old").exists()
    with open_rooms(folder, Settings(), write=True, clock=FakeClock(T0)) as rooms:
        assert everything(rooms) == after
        assert rooms.audit.verify() is None
        (event, *_) = rooms.desk.take([press(100, device="button/100")])
        assert (event.number, event.alarm.alarm.id) == (after_event(after) + 1, "A2025-000042")


@pytest.mark.soak
def test_the_command_copies_and_says_what_it_did(folder: Path, on_server: Settings) -> None:
    database = on_server.database
    env = {
        "LUCHENG_DATABASE__URL": str(database.url),
        "LUCHENG_DATABASE__PASSWORD_FILE": str(database.password_file),
        "LUCHENG_DATABASE__PREFIX": database.prefix,
    }
    with open_rooms(folder, Settings(), write=True) as rooms:
        rooms.registry.ensure(["taxi/1", "taxi/2"])
    done = answer(folder, "store", "copy", "--from", "sqlite", "--to", "postgres", env=env)
    assert done["registry"] >= 2
    listed = answer(folder, "device", "list", env=env)
    assert [one["device"] for one in listed] == ["taxi/1", "taxi/2"]
    assert "PostgreSQL" in lucheng(folder, "device", "list").stderr
    told = lucheng(folder, "store", "copy", "--from", "postgres", "--to", "sqlite", env=env)
    assert told.returncode == 0, told.stderr
    assert len(answer(folder, "device", "list")) == 2
    assert lucheng(folder, "store", "copy", "--from", "sqlite", "--to", "influx2", env=env).returncode == 2


def after_event(seen: list[object]) -> int:
    events = seen[1]
    assert isinstance(events, list)
    return int(events[-1].number)


class Broken(Exception):
    """The copy is broken off."""


def test_broken_off_anywhere_it_goes_on(folder: Path, on_server: Settings) -> None:
    with open_rooms(folder, Settings(), write=True, clock=FakeClock(T0)) as rooms:
        live(rooms)
        before = everything(rooms)
    for to_server in (True, False):
        breaks = 0
        while True:
            calls = 0

            def stop(_done: int, _total: int, after: int = breaks * 3 + 1) -> None:
                nonlocal calls
                calls += 1
                if calls > after:
                    raise Broken

            try:
                copy_people(folder, on_server, to_server=to_server, progress=stop, step_rows=17)
            except Broken:
                breaks += 1
            else:
                break
        assert breaks > 3
        with open_rooms(folder, on_server if to_server else Settings(), write=True, clock=FakeClock(T0)) as rooms:
            assert everything(rooms)[:7] == before[:7]
            assert rooms.audit.verify() is None


def test_another_store_at_the_target_is_left_alone(folder: Path, tmp_path: Path, on_server: Settings) -> None:
    with open_rooms(tmp_path / "other", on_server, write=True, clock=FakeClock(T0)) as rooms:
        rooms.registry.ensure(["taxi/1"])
    open_rooms(folder, Settings(), write=True, clock=FakeClock(T0)).close()
    with pytest.raises(Conflict, match="another store"):
        copy_people(folder, on_server, to_server=True)
    open_rooms(folder, Settings(), write=True, clock=FakeClock(T0)).close()
    with open_rooms(tmp_path / "other", on_server, write=True, clock=FakeClock(T0)) as rooms:
        assert rooms.registry.has("taxi/1")


def test_a_source_that_is_written_to_meanwhile_is_noticed(folder: Path, on_server: Settings) -> None:
    with open_rooms(folder, Settings(), write=True, clock=FakeClock(T0)) as rooms:
        live(rooms)

    def write(done: int, total: int) -> None:
        if done == total:
            connection = connect(folder / DESK_FILE)
            with transaction(connection):
                connection.execute("UPDATE units SET level = level + 1")
            connection.close()

    with pytest.raises(Conflict, match="while it was copied"):
        copy_people(folder, on_server, to_server=True, progress=write)


def test_every_table_can_be_copied(tmp_path: Path) -> None:
    """Each has a primary key, by which a copy goes on."""
    from store.database import migrate
    from store.database.copying import _layout

    for file, migrations in STORES:
        path = tmp_path / Path(file).name
        connection = connect(path)
        migrate(connection, migrations, path)
        assert _layout(connection)
        connection.close()
        assert not path.name.endswith(UNFINISHED)


def test_what_cannot_be_copied_is_said(folder: Path, on_server: Settings) -> None:
    with pytest.raises(SettingsError):
        copy_people(folder, Settings(), to_server=True)
    folder.mkdir()
    for to_server in (True, False):
        with pytest.raises(NotFound):
            copy_people(folder, on_server, to_server=to_server)


@pytest.mark.parametrize(
    "url", ["host/db", "postgresql://host/db", "postgresql://u:secret@host/db", "postgresql://u@host", "mysql://u@h/d",
            "postgresql://u@host/db?options=-c%20fsync%3Doff"]
)  # fmt: skip
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate({"database": {"url": url}})
    assert "secret@" not in str(raised.value.errors(include_input=False))


def test_away_it_says_try_again(folder: Path, tmp_path: Path, own_postgres_server: PostgresServer) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    settings = Settings.model_validate(
        {"database": {"url": own_postgres_server.url, "password_file": str(secret), "wait_s": 0.5}}
    )
    own_postgres_server.stop()
    with pytest.raises(LuchengError) as raised:
        open_rooms(folder, settings, write=True)
    assert raised.value.mend
    own_postgres_server.start()
    open_rooms(folder, settings, write=True).close()
