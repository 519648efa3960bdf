"""The registry: permanent slots, versions across processes, filters that are only ever values."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.details import DeviceDetails, details_of, unique_key
from devices.directory import Directory
from devices.registry import Registry
from devices.schema import MIGRATIONS
from model.clock import FakeClock
from model.device import Kind, check_device_id
from model.errors import Conflict, LuchengError, NotFound, Refused, SchemaTooNew, StoreError, UsageError
from tests.postgres import told


def detailed(field: str, text: str, **place: float) -> DeviceDetails:
    """Details with one text."""
    given: dict[str, Any] = {field: text, **place}
    return DeviceDetails(**given)


def same(left: Directory, right: Directory) -> None:
    """Two directories show the same."""
    assert left.ids == right.ids
    assert left.slot_of == right.slot_of
    assert set(left.disabled) == set(right.disabled)
    for name in ("enabled", "gateway_of_slot", "kind_of_slot"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert left.version == right.version


def test_a_device_is_found_as_it_was_added(registry: Registry) -> None:
    details = DeviceDetails(
        "east gate", "蒙B·12345", "860000000000001", "13900000001", "T1", "own-7", lat=40.65, lon=109.84
    )
    made = registry.add("button/7", details)
    assert (made.slot, made.number, made.kind, made.enabled) == (0, 1, Kind.BUTTON, True)
    assert details_of(made) == details
    assert made.created_ms == FakeClock().now_ms()
    assert registry.get("button/7") == made
    with pytest.raises(Conflict, match="registered already"):
        registry.add("button/7")
    with pytest.raises(NotFound, match="button/8"):
        registry.get("button/8")


def test_slots_are_dense_and_never_used_again(registry: Registry) -> None:
    assert [registry.add(f"taxi/{n}").slot for n in range(3)] == [0, 1, 2]
    registry.delete("taxi/2")
    registry.disable("taxi/1")
    assert registry.add("taxi/2").slot == 3
    assert registry.ensure(["taxi/1", "taxi/4", "taxi/2", "taxi/4"]).tolist() == [1, 4, 3, 4]
    assert not registry.get("taxi/1").enabled
    directory = registry.directory()
    assert directory.ids == ["taxi/0", "taxi/1", "taxi/2", "taxi/2", "taxi/4"]
    assert directory.slot("taxi/2") == 3
    assert directory.slot("taxi/1") == 1
    assert directory.slot_of == {"taxi/0": 0, "taxi/2": 3, "taxi/4": 4}
    assert set(directory.disabled) == {"taxi/1"}
    assert directory.slot("taxi/9") is None


def test_a_deleted_device_leaves_no_text(registry: Registry) -> None:
    registry.add("ebike/1", DeviceDetails("Zhang", "蒙B1", "860000000000001", "13900000001", owner_ref="Zhang San"))
    registry.delete("ebike/1")
    with registry.file.reading() as connection:
        row = connection.execute(
            "SELECT name, plate, imei, phone, owner_ref, plate_key, imei_key, phone_key FROM device"
        )
        assert set(row.fetchone()) == {""}


def test_ensure_is_all_or_nothing(registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"taxi/\.\./x"):
        registry.ensure(["taxi/1", "taxi/../x"])
    assert registry.count() == 0
    assert registry.ensure([]).dtype == np.int32
    assert registry.register_unknown("taxi/5") == 0


def test_the_registry_has_a_limit(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.db", clock=FakeClock(), max_devices=2)
    registry.ensure(["taxi/1", "taxi/2"])
    with pytest.raises(Refused, match="takes 2 devices"):
        registry.register_unknown("taxi/3")
    registry.delete("taxi/1")
    with pytest.raises(Refused):
        registry.add("taxi/3")


@pytest.mark.parametrize(
    ("field", "text", "alike"),
    [
        ("plate", "蒙B·12345", "蒙b 12345"),
        ("imei", "860000000000001", "86000000-0000001"),
        ("phone", "13900000001", "+86 139 0000 0001"),
    ],
)
def test_a_plate_imei_or_phone_belongs_to_one_enabled_device(
    registry: Registry, field: str, text: str, alike: str
) -> None:
    registry.add("taxi/1", detailed(field, text))
    with pytest.raises(Conflict, match=rf"The {field} .* belongs to taxi/1"):
        registry.add("taxi/2", detailed(field, alike))
    registry.disable("taxi/1")  # the terminal is replaced by another
    registry.add("taxi/2", detailed(field, alike))
    with pytest.raises(Conflict, match="belongs to taxi/2"):
        registry.enable("taxi/1")
    registry.update("taxi/2", DeviceDetails())
    assert registry.enable("taxi/1").enabled


def test_what_is_not_the_same_plate() -> None:
    assert unique_key("plate", "蒙B12345") != unique_key("plate", "蒙B12346")
    assert unique_key("plate", "--") == ""
    assert unique_key("plate", "ＡＢ１") == unique_key("plate", "ab1")


def test_gateways_are_bound_and_seen_in_the_directory(registry: Registry) -> None:
    registry.add("taxi/1")
    registry.add("gateway/g")
    registry.add("taxi/2", DeviceDetails(gateway="gateway/g"))
    directory = registry.directory()
    assert directory.gateway_of_slot.tolist() == [-1, -1, 1]
    assert registry.bind_gateway("taxi/1", "gateway/g").gateway == "gateway/g"
    assert registry.bind_gateway("taxi/2", "").gateway == ""
    registry.refresh(directory)
    assert directory.gateway_of_slot.tolist() == [1, -1, -1]
    for wrong in ("taxi/2", "gateway/none", "gateway"):
        with pytest.raises(LuchengError):
            registry.bind_gateway("taxi/1", wrong)
    with pytest.raises(UsageError, match="a gateway itself"):
        registry.bind_gateway("gateway/g", "gateway/g")
    registry.delete("gateway/g")
    registry.refresh(directory)
    assert directory.gateway_of_slot.tolist() == [-1, -1, -1]


def test_pages_and_filters(registry: Registry) -> None:
    registry.ensure([f"taxi/{n}" for n in range(5)] + ["ebike/1"])
    registry.disable("taxi/3")
    registry.update("taxi/4", DeviceDetails(name="100%_east"))
    assert [d.id for d in registry.list(kind=Kind.TAXI, limit=2)] == ["taxi/0", "taxi/1"]
    assert [d.id for d in registry.list(kind=Kind.TAXI, after=1, limit=2)] == ["taxi/2", "taxi/3"]
    assert [d.id for d in registry.list(enabled=False)] == ["taxi/3"]
    assert [d.id for d in registry.list(text="0%_e")] == ["taxi/4"]
    assert [d.id for d in registry.list(text="%")] == ["taxi/4"]
    assert registry.count(text="1") == 3
    for limit in (0, -1, 10_001):
        with pytest.raises(UsageError):
            registry.list(limit=limit)


@pytest.mark.parametrize(
    "attack",
    [
        "'; DROP TABLE device; --",
        "' OR '1'='1",
        '" OR 1=1',
        "%",
        "_",
        "\\",
        "' UNION SELECT hash FROM credential --",
        "\x00",
    ],
)
def test_sql_in_a_filter_is_a_text(registry: Registry, attack: str) -> None:
    """S9: nothing that is searched for reaches the statement."""
    registry.add("taxi/1", DeviceDetails(name="plain"))
    try:
        assert registry.list(text=attack) == []
        assert registry.count(text=attack) == 0
    except UsageError:
        assert attack == "\x00"
    with pytest.raises(LuchengError):
        registry.get(f"taxi/1{attack}")
    for field in ("site", "gateway"):
        with pytest.raises(LuchengError):
            registry.update("taxi/1", detailed(field, attack))
    assert registry.count() == 1


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "",
        "taxi/..",
        "taxi/.",
        "taxi/../../etc/passwd",
        "../taxi/1",
        "taxi/a/b",
        "/taxi/1",
        "taxi/1/",
        "taxi//1",
        "taxi/1\n",
        "taxi/\x001",
        "taxi/1 ",
        "taxi/.hidden",
        "taxi/a.",
        "taxi/+",
        "taxi/#",
        "taxi/a:b",
        "taxi/%2e%2e",
        "taxi\\1",
        "taxi/" + "a" * 65,
        "TAXI/1",
        "bus/1",
        "taxi/é",
        "taxi/\ud800",
        "$SYS/1",
        "taxi/１",
    ],
)
def test_no_name_can_leave_its_folder_or_its_topic(registry: Registry, name: str) -> None:
    """S5: path traversal, wildcards, line breaks in every name that reaches a disk, a topic or a password file."""
    for attempt in (registry.add, registry.get, registry.disable, registry.delete, registry.register_unknown):
        with pytest.raises(UsageError, match="not a device id"):
            attempt(name)
    assert registry.count() == 0


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80) | st.from_regex(r"(taxi|ebike)/[\w./+#:\-]{1,70}", fullmatch=True))
def test_any_text_is_a_safe_id_or_refused_in_words(text: str) -> None:
    try:
        device = check_device_id(text)
    except UsageError:
        return
    kind, _, name = device.partition("/")
    assert Path("base", kind, name).resolve().parent == Path("base", kind).resolve()
    assert not set(device) & set("+#:\\\n\r\0 $%")
    assert device.count("/") == 1


@pytest.fixture(scope="module")
def one_taxi(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry that the examples of a property share."""
    registry = Registry(tmp_path_factory.mktemp("registry") / "registry.db", clock=FakeClock())
    registry.add("taxi/1")
    return registry


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=120), st.floats(), st.floats())
def test_no_detail_raises_anything_but_a_lucheng_error(one_taxi: Registry, text: str, lat: float, lon: float) -> None:
    registry = one_taxi
    for field in ("name", "plate", "imei", "phone", "model", "owner_ref", "site", "gateway"):
        try:
            device = registry.update("taxi/1", detailed(field, text, lat=lat, lon=lon))
        except LuchengError:
            continue
        assert getattr(device, field) == text.strip()
    try:
        registry.list(text=text)
    except UsageError:
        assert len(text) > 100 or not text.isprintable()


def test_versions_are_seen_across_processes(registry: Registry) -> None:
    directory = registry.directory()
    before = registry.version()
    assert not registry.refresh(directory)
    program = (
        "import sys; from tests.postgres import where_told; from model.clock import SystemClock; from devices.registry import Registry\n"
        "Registry(where_told(sys.argv[1]), clock=SystemClock()).add('taxi/9')"
    )
    subprocess.run([sys.executable, "-c", program, told(registry.file.path)], check=True)
    assert registry.version() > before
    assert registry.refresh(directory)
    assert directory.slot("taxi/9") == 0
    registry.ensure(["taxi/9"])
    assert not registry.refresh(directory), "what changes nothing counts nothing"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "disable", "enable", "delete", "ensure", "bind"]), st.integers(0, 7)),
        max_size=30,
    )
)
def test_a_refreshed_directory_is_the_rebuilt_one(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    registry = Registry(tmp_path_factory.mktemp("registry") / "registry.db", clock=FakeClock())
    registry.add("gateway/g")
    directory = registry.directory()
    for step, number in steps:
        device = f"taxi/{number}"
        try:
            if step == "ensure":
                registry.ensure([device, f"ebike/{number}"])
            elif step == "bind":
                registry.bind_gateway(device, "gateway/g")
            else:
                getattr(registry, step)(device)
        except (NotFound, Conflict):
            continue
        registry.refresh(directory)
        same(directory, registry.directory())
    registry.close()


def test_a_reader_sees_a_slot_only_with_its_row(registry: Registry) -> None:
    """While one thread registers and refreshes, what `slot_of` says can be indexed at once."""
    directory, stop, faults = registry.directory(), threading.Event(), list[str]()

    def read() -> None:
        while not stop.wait(0.001):  # a reader that never rests would only starve the writer
            for device in directory.ids[-50:]:
                slot = directory.slot_of.get(device)
                enabled = directory.enabled
                if slot is not None and (directory.ids[slot] != device or slot >= len(enabled) or not enabled[slot]):
                    faults.append(device)

    reader = threading.Thread(target=read)
    reader.start()
    for start in range(0, 6_000, 300):
        registry.ensure([f"taxi/{n}" for n in range(start, start + 300)])
        registry.refresh(directory)
    stop.set()
    reader.join()
    assert faults == []
    assert len(directory) == 6_000


def test_a_reader_beside_the_writer_changes_nothing(registry: Registry) -> None:
    registry.add("taxi/1")
    reader = Registry(registry.file.path, clock=FakeClock(), read_only=True)
    registry.add("taxi/2")
    assert [device.id for device in reader.list()] == ["taxi/1", "taxi/2"]
    with pytest.raises(StoreError, match="read only"):
        reader.add("taxi/3")
    reader.close()
    with pytest.raises(StoreError):
        reader.get("taxi/1")


def test_a_newer_or_damaged_file_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    Registry(path, clock=FakeClock()).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    with pytest.raises(SchemaTooNew, match="newer"):
        Registry(path, clock=FakeClock())
    (tmp_path / "bad.db").write_bytes(b"this is not a database, whatever it is called" * 100)
    with pytest.raises(StoreError, match="damaged"):
        Registry(tmp_path / "bad.db", clock=FakeClock())
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    with pytest.raises(StoreError, match="older"):
        Registry(tmp_path / "old.db", clock=FakeClock(), read_only=True)
