"""S5: path traversal in every name that reaches a disk, by the command line, the API, MQTT, files and imports.

No name of anybody becomes a path: the files of the data folder have fixed names. So the proof is the same everywhere:
the attempt is refused (or quarantined), and on the disk there is no file that was not there before.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from model.clock import SystemClock
from simulator.publisher import Publisher
from tests.conftest import Mosquitto
from tests.lucheng.attacks.conftest import now_ms, point
from tests.lucheng.in_process import answer, lucheng
from tests.lucheng.service_process import ServiceProcess

Tree = Callable[[], set[str]]
#: What a name might be that somebody hopes is joined to a path, put in a shell, or written as a line.
NAMES = (
    "..",
    "../x",
    "../../etc/passwd",
    "taxi/..",
    "taxi/../x",
    "taxi/../../x",
    "taxi/a/../../x",
    "/etc/passwd",
    "taxi//etc/passwd",
    "taxi/.hidden",
    "taxi/a/b",
    "taxi/..%2f..%2fx",
    "taxi/a\\..\\x",
    "taxi/a\nlucheng:$7$1$AAAA$AAAA",
    "taxi/a:b",
    "taxi/a b",
    "taxi/$(touch x)",
    "taxi/a;touch x",
    "~/x",
    "taxi/" + "a" * 300,
    "\u2024\u2024/x",
    "taxi/\uff0e\uff0e\uff0fx",
)
#: Every file that lucheng makes in a data folder.
KNOWN = {
    "lock", "api.sock", "registry.db", "points.log.db.mark", "alarms.log.db.mark", "points.log.db", "alarms.log.db", "series.db", "desk.db", "audit.db",
    "audit.checkpoints", "keys", "keys/secret.key", "keys/audit.key", "commands.db", "reports.db", "approvals.db", "evidence",
    "evidence/evidence.db", "recordings", "recordings/recordings.db", "accounts.db",
}  # fmt: skip


def below(data: Path) -> set[str]:
    """Files of a data folder, without those that SQLite puts beside its own."""
    names = {str(path.relative_to(data)) for path in data.rglob("*")}
    return {name for name in names if not name.endswith(("-wal", "-shm"))}


@pytest.fixture
def service(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[ServiceProcess]:
    """A service that takes in whoever names himself, on a broker that lets everybody say everything."""
    with ServiceProcess(tmp_path / "data", mosquitto.url, env={"LUCHENG_DEVICES__UNKNOWN": "register"}) as made:
        yield made.start()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder that nobody has open."""
    folder = tmp_path / "data"
    answer(folder, "device", "add", "taxi/1")
    answer(folder, "where")
    return folder


#: Those that every command is tried with; the others go to one command of each kind that takes a name.
EVERYWHERE = ("../../etc/passwd", "taxi/a/../../x", "/etc/passwd", "taxi/a\nlucheng:$7$1$AAAA$AAAA", "taxi/a;touch x")


@pytest.mark.soak
def test_no_command_takes_a_path_for_a_name(data: Path, tree: Tree) -> None:
    before = tree()
    window = ("--from", "2000-01-01", "--to", "2040-01-01")
    for name in NAMES:
        commands: list[tuple[str, ...]] = [
            ("device", "add", "--", name),
            ("track", *window, "--", name),
            ("command", "send", "--", name, "query"),
        ]
        if name in EVERYWHERE:
            commands += [
                ("device", "show", "--", name),
                ("device", "disable", "--", name),
                ("device", "credentials", "--", name),
                ("where", "--", name),
                ("command", "send", "--alarm", name, "--", "taxi/1", "query"),
                ("command", "list", "--", name),
                ("command", "show", "--", name),
                ("command", "approve", "--", name),
                ("device", "add", "--gateway", name, "--", "taxi/2"),
                ("device", "add", "--site", name, "--", "taxi/2"),
                ("site", "add", "--lat", "40", "--lon", "109", "--camera", name, "--", "school"),
            ]
        for command in commands:
            done = lucheng(data, *command)
            assert done.returncode in (1, 2), (command, done.stdout)
            assert done.stdout == ""
        if "/" in name or ".." in name:
            assert lucheng(data, "site", "add", "--lat", "40", "--lon", "109", "--", name).returncode == 2, name
    for shape in ("../../x", "csv/../x", "/etc/passwd"):
        assert lucheng(data, "track", "taxi/1", *window, "--format", shape).returncode == 2
        assert lucheng(data, "ingest", str(data), "--format", shape).returncode in (1, 2)
    assert [row["device"] for row in answer(data, "device", "list")] == ["taxi/1"]
    assert answer(data, "site", "list") == []
    assert tree() == before
    assert below(data) <= KNOWN


def test_no_import_takes_a_path_for_a_name(data: Path, tmp_path: Path) -> None:
    rows = tmp_path / "devices.csv"
    rows.write_text("id,name\n" + "".join(f'"{name}",x\n' for name in NAMES if "\n" not in name) + "taxi/2,fine\n")
    points = tmp_path / "points.csv"
    points.write_text(
        "ts_utc,cab_id,lat,lon,occupied\n"
        + "".join(f"1212130800,{name.removeprefix('taxi/')},37.7,-122.4,0\n" for name in NAMES if "\n" not in name)
        + "1212130800,good,37.7,-122.4,0\n"
    )
    before = {path.name for path in tmp_path.iterdir()}
    counts = answer(data, "device", "import", str(rows))["counts"]
    assert counts["added"] == 1
    assert counts["refused"] == len(NAMES) - 1
    totals = answer(data, "ingest", str(points), "--format", "cabspotting")
    # A name that only looked like a path before its prefix was taken off is a name like any other.
    assert totals["stored"] + sum(totals["quarantined"].values()) == len(NAMES)
    devices = {row["device"] for row in answer(data, "device", "list")}
    assert {"taxi/1", "taxi/2", "taxi/good"} <= devices
    assert all(device.count("/") == 1 and ".." not in device for device in devices)
    assert {path.name for path in tmp_path.iterdir()} == before
    assert below(data) <= KNOWN


def ask(path: Path, verb: str, target: str, body: object = None) -> tuple[int, bytes]:
    """One HTTP request on the service's socket, its target as it is, not as a client would tidy it."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{verb} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(str(path))
        line.sendall(head.encode() + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
        told = b""
        while piece := line.recv(65_536):
            told += piece
    head_bytes, _, rest = told.partition(b"\r\n\r\n")
    return int(head_bytes.split()[1]), rest


def test_no_request_takes_a_path_for_a_name(service: ServiceProcess, tmp_path: Path, tree: Tree) -> None:
    answer(service.data, "device", "add", "taxi/1")
    before = tree()
    for name in NAMES:
        for form in (quote(name, safe="/"), quote(name, safe=""), quote(name, safe="/").replace(".", "%2e")):
            for verb, target, body in (
                ("GET", f"/v1/devices/{form}", None),
                ("POST", f"/v1/devices/{form}/disable", {}),
                ("POST", f"/v1/devices/{form}/credentials", {"action": "new"}),
                ("GET", f"/v1/track?device={form}&from_ms=0&to_ms=4000000000000", None),
                ("GET", f"/v1/where?devices={form}", None),
            ):
                status, told = ask(service.socket, verb, target, body)
                assert 400 <= status < 500, (verb, target, told)
                assert b"root:" not in told
        status, told = ask(service.socket, "POST", "/v1/devices", {"device": name})
        assert 400 <= status < 500, (name, told)
    for target in (
        "/../../../../etc/passwd",
        "/v1/../../etc/passwd",
        "//etc/passwd",
        "/static/../registry.db",
        "/%2e%2e/registry.db",
    ):
        status, told = ask(service.socket, "GET", target)
        assert 400 <= status < 500, target
        assert b"root:" not in told
        assert b"SQLite" not in told
    for path in (
        "../data/registry.db",
        "points.csv",
        "~/x",
        str(tmp_path),
        str(tmp_path / "absent"),
        "/etc/shadow",
        "/dev/zero",
        "/proc/self/mem",
    ):
        status, told = ask(service.socket, "POST", "/v1/ingest", {"path": path, "file_format": "csv"})
        assert 400 <= status < 500, (path, told)
        assert b"root:" not in told
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (str(pipe), str(tmp_path / "a\0b")):
        status, told = ask(service.socket, "POST", "/v1/ingest", {"path": path, "file_format": "csv"})
        assert 400 <= status < 500, (path, told)
    pipe.unlink()
    assert [row["device"] for row in answer(service.data, "device", "list")] == ["taxi/1"]
    assert tree() == before


def test_no_topic_takes_a_path_for_a_name(service: ServiceProcess, tree: Tree) -> None:
    before = tree()
    sendable = [name for name in NAMES if not set(name) & {"\n"}]
    with Publisher(service.broker or "", clock=SystemClock()) as publisher:
        for name in sendable:
            publisher.publish("any", f"lucheng/v1/{name}/up/point", point(now_ms()).encode())
            publisher.publish("any", f"lucheng/v1/taxi/{name}/up/point", point(now_ms()).encode())
        publisher.publish("any", "lucheng/v1/taxi/good/up/point", point(now_ms()).encode())
        assert publisher.drain(20)
    now = service.wait_quiet()
    assert now["stored"] == 1
    assert now["received"] == 1 + sum(now["quarantined"].values())
    assert now["quarantined"]["bad_topic"] > 10
    assert [row["device"] for row in answer(service.data, "device", "list")] == ["taxi/good"]
    for row in answer(service.data, "quarantine", "list"):
        assert answer(service.data, "quarantine", "show", str(row["number"]))["reason"] == row["reason"]
    assert {name for name in tree() - before if not name.endswith(("-wal", "-shm", "mosquitto.db"))} <= {
        f"data/{name}" for name in KNOWN
    }


def test_broker_files_are_written_under_their_own_names_and_never_through_a_link(data: Path, tmp_path: Path) -> None:
    answer(data, "device", "credentials", "taxi/1")
    secret, out = tmp_path / "secret", tmp_path / "out"
    secret.write_text("mine")
    out.mkdir()
    for name in ("passwords", "acl", ".passwords.new", ".acl.new"):
        (out / name).symlink_to(secret)
    made = answer(data, "broker", "files", "--out", str(out))
    assert {str(out / "passwords"), str(out / "acl")} <= set(made["files"])
    assert secret.read_text() == "mine"
    for name in made["files"]:
        assert not (out / name).is_symlink()
        assert (out / name).stat().st_mode & 0o777 == 0o600
    assert {str(path) for path in out.iterdir()} == set(made["files"])
    users = [line.split(":")[0] for line in (out / "passwords").read_text().splitlines()]
    assert "taxi/1" in users
    assert all(user.count("/") <= 1 for user in users)
    done = lucheng(data, "broker", "files", "--out", str(secret))
    assert done.returncode == 2
    assert secret.read_text() == "mine"
