"""The commands in this process: what they print, their exit status, and what they never print."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from config.settings import load
from console.api import make_app
from console.server import ApiServer
from lucheng.cli.root import app
from lucheng.cli.texts import TEXTS, language
from lucheng.operating import operations_of
from lucheng.rooms import Rooms, open_rooms
from model.batch import PointBatch
from model.batch_codec import encode
from model.codes import Reason
from model.quarantine import Quarantined
from model.seams import NewRecord, Outcome, RecordKind
from model.signal import Signal

START_MS = 1_795_334_400_000  # 2026-11-22T08:00:00Z, 16:00 in the city
FROM, TO = "2026-11-22 16:00", "2026-11-22T09:00:00Z"
HEADER = "device,time,lat,lon,speed_kmh\n"
CLI = CliRunner()


class Result:
    """What a command did."""

    def __init__(self, *arguments: str, stdin: bytes = b"") -> None:
        done = CLI.invoke(app, list(arguments), input=stdin)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        self.status = done.exit_code
        self.out = done.stdout
        self.err = done.stderr

    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


def fill(rooms: Rooms) -> None:
    """A taxi with two points, an e-bike with one, something quarantined and a signal."""
    for device, count in (("taxi/1", 2), ("ebike/1", 1)):
        (slot,) = rooms.registry.ensure([device]).tolist()
        columns = {"slot": slot, "time_ms": START_MS + 60_000 * np.arange(count), "received_ms": START_MS}
        batch = PointBatch.of(count, {**columns, "lat": 40.65, "lon": 109.84, "speed_kmh": 31.5})
        position = rooms.points_log.append([NewRecord(RecordKind.POINTS, count, encode(batch))])
        rooms.series.commit(Outcome(position, batch), stored_ms=START_MS)
    bad = Quarantined(Reason.NOT_JSON, 1, START_MS, "lucheng/v1/taxi/1/up/point", "taxi/1", "no\x1b[31m JSON", b"\xff{")
    position = rooms.points_log.append([NewRecord(RecordKind.QUARANTINE, 1, msgspec.msgpack.encode([bad]))])
    rooms.series.commit(Outcome(position, PointBatch.empty(), quarantined=[bad]), stored_ms=START_MS)
    rooms.signals.add([Signal("s1", "taxi/1", "sos", "bit", START_MS, START_MS, 40.65, 109.84, 1, False, "=1+1", 1)])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A filled data folder that `LUCHENG_DATA` names."""
    folder = tmp_path / "data"
    with open_rooms(folder, load(), write=True) as rooms:
        fill(rooms)
    monkeypatch.setenv("LUCHENG_DATA", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture(params=["in process", "through the service"])
def either(request: pytest.FixtureRequest, data: Path) -> Iterator[Path]:
    """The same folder, once stopped and once with a service that holds the writer lock and answers."""
    if request.param == "in process":
        yield data
        return
    with open_rooms(data, load(), write=True) as rooms, ApiServer(make_app(operations_of(rooms)), rooms.socket_path):
        yield data


# -- data -------------------------------------------------------------------------------------


def test_track_as_json(either: Path) -> None:
    found = Result("track", "taxi/1", "--from", FROM, "--to", TO, "--json").json()
    assert found["device"] == "taxi/1"
    assert [point["time"] for point in found["points"]] == ["2026-11-22T08:00:00.000Z", "2026-11-22T08:01:00.000Z"]
    assert (found["points"][0]["lat"], found["points"][0]["speed_kmh"]) == (40.65, 31.5)
    assert found["points"][0]["heading_deg"] is None
    half_open = Result("track", "taxi/1", "--from", str(START_MS), "--to", str(START_MS + 60_000), "--json").json()
    assert len(half_open["points"]) == 1


def test_track_in_every_format(either: Path) -> None:
    window = ("track", "taxi/1", "--from", FROM, "--to", TO)
    table = Result(*window).out.splitlines()
    assert table[0].split("\t")[0] == "time"
    assert table[1].startswith("2026-11-22 16:00:00.000\t40.65\t109.84\t31.5")
    rows = list(csv.DictReader(io.StringIO(Result(*window, "--format", "csv").out)))
    assert [row["speed_kmh"] for row in rows] == ["31.5", "31.5"]
    made = json.loads(Result(*window, "--format", "geojson").out)
    assert made["features"][0]["geometry"]["coordinates"] == [[109.84, 40.65]] * 2
    for shape, tag in (("gpx", "trkpt"), ("kml", "when")):
        root = ElementTree.fromstring(Result(*window, "--format", shape).out)
        assert len([node for node in root.iter() if node.tag.endswith("}" + tag)]) == 2


def test_where(either: Path) -> None:
    assert [row["device"] for row in Result("where", "--json").json()] == ["taxi/1"]
    assert [row["device"] for row in Result("where", "taxi/1", "--json").json()] == ["taxi/1"]
    assert Result("where").out.splitlines()[1].startswith("taxi/1\t2026-11-22 16:01:00.000")
    refused = Result("where", "ebike/1")
    assert (refused.status, refused.out) == (1, "")
    assert "subject_request:REF" in refused.err
    shown = Result("where", "ebike/1", "--purpose", "subject_request:R-1", "--json").json()
    assert [row["device"] for row in shown] == ["ebike/1"]


def test_lists_and_their_json(either: Path) -> None:
    (bad,) = Result("quarantine", "list", "--json").json()
    assert (bad["reason"], bad["received"]) == ("not_json", "2026-11-22T08:00:00.000Z")
    shown = Result("quarantine", "show", str(bad["number"]), "--json").json()
    assert (shown["encoding"], shown["raw"]) == ("base64", "/3s=")
    (raised,) = Result("signal", "list", "--json").json()
    assert (raised["kind"], raised["device"]) == ("sos", "taxi/1")
    assert Result("signal", "list", "--from", TO, "--json").json() == []
    assert Result("status", "--json").json()["received"] == 4
    assert Result("audit", "list", "--json").json()[0]["action"] == "read.audit"
    assert Result("audit", "verify", "--json").json()["ok"] is True
    assert Result("store", "check", "--json").json()["ok"] is True
    for command in (("quarantine", "list"), ("signal", "list"), ("audit", "list"), ("audit", "verify"), ("status",)):
        done = Result(*command)
        assert done.status == 0
        assert done.out
        assert "\x1b" not in done.out


def test_a_device_from_add_to_disable(either: Path) -> None:
    assert Result("device", "add", "taxi/2", "--plate", "蒙B1", "--json").json()["number"] == 3
    again = Result("device", "add", "taxi/2")
    assert (again.status, again.out) == (1, "")
    assert Result("device", "show", "taxi/2", "--json").json()["plate"] == "蒙B1"
    made = Result("device", "credentials", "taxi/2", "--json").json()
    assert len(made["password"]) >= 20
    said = Result("device", "credentials", "taxi/2")
    assert said.status == 0
    assert Result("device", "credentials", "taxi/2", "--revoke").status == 0
    assert Result("device", "disable", "taxi/2", "--json").json()["enabled"] is False
    assert [row["device"] for row in Result("device", "list", "--disabled", "--json").json()] == ["taxi/2"]
    assert Result("device", "enable", "taxi/2").status == 0
    assert len(Result("device", "list", "--json").json()) == 3
    assert len(Result("device", "list", "--limit", "1", "--json").json()) == 1
    assert [row["device"] for row in Result("device", "list", "蒙b", "--kind", "taxi", "--json").json()] == ["taxi/2"]


def test_an_import_with_and_without_dry_run(either: Path, tmp_path: Path) -> None:
    file = tmp_path / "devices.csv"
    file.write_text("id,plate\ntaxi/7,A7\nnix,\n")
    assert Result("device", "import", str(file), "--dry-run", "--json").json()["counts"]["added"] == 1
    assert Result("device", "show", "taxi/7").status == 1
    done = Result("device", "import", str(file))
    assert done.status == 0
    assert "refused" in done.out
    assert Result("device", "show", "taxi/7").status == 0
    file.write_text("id\nnix\n")
    assert Result("device", "import", str(file)).status == 1


def test_sites(either: Path) -> None:
    assert Result("site", "add", "s1", "--lat", "40.6", "--lon", "109.8", "--json").json()["site"] == "s1"
    assert [row["site"] for row in Result("site", "list", "--json").json()] == ["s1"]


def test_broker_files_at_first_alone_and_then_beside_a_service(data: Path, tmp_path: Path) -> None:
    Result("device", "credentials", "taxi/1")
    command = ("broker", "files", "--out", str(tmp_path / "out"), "--json")
    with open_rooms(data, load(), write=True):
        assert Result(*command).status == 75  # the service may be signed in under the password that would change
    made = Result(*command).json()
    assert sorted(Path(name).name for name in made["files"]) == ["acl", "passwords", "service-password"]
    for name in made["files"]:
        assert Path(name).stat().st_mode & 0o077 == 0
    assert "taxi/1:$7$" in (tmp_path / "out" / "passwords").read_text()
    with open_rooms(data, load(), write=True):
        assert Result(*command).json() == made


def test_ingest_once_and_twice(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text(
        HEADER
        + "taxi/9,2026-11-22T08:00:00Z,40.1,109.1,5\ntaxi/9,rubbish,40.1,109.1,5\ntaxi/9,2026-11-22T08:01:00Z,40.2,109.2,6\n"
    )
    first = Result("ingest", str(file), "--format", "csv", "--json").json()
    second = Result("ingest", str(file), "--format", "csv", "--json").json()
    assert (first["received"], first["stored"], sum(first["quarantined"].values())) == (3, 2, 1)
    assert (second["stored"], second["duplicate"], second["in_flight"]) == (0, 2, 0)
    assert len(Result("track", "taxi/9", "--from", FROM, "--to", TO, "--json").json()["points"]) == 2
    assert [row["action"] for row in Result("audit", "list", "--json").json()].count("ingest.file") == 2


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("track", "taxi/404", "--from", FROM, "--to", TO), 1),
        (("track", "taxi", "--from", FROM, "--to", TO), 2),
        (("track", "taxi/1", "--from", "soon", "--to", TO), 2),
        (("track", "taxi/1", "--from", TO, "--to", FROM), 2),
        (("track", "taxi/1", "--from", FROM), 2),
        (("track", "taxi/1", "--from", FROM, "--to", TO, "--format", "pdf"), 2),
        (("track", "taxi/1", "--from", FROM, "--to", TO, "--purpose", "fun"), 2),
        (("track", "ebike/1", "--from", FROM, "--to", TO), 1),
        (("where", "../../etc/passwd"), 2),
        (("quarantine", "show", "999"), 1),
        (("quarantine", "show", "x"), 2),
        (("quarantine", "list", "--limit", "0"), 2),
        (("quarantine", "list", "--reason", "'; --"), 2),
        (("signal", "list", "--kind", "nix"), 2),
        (("device", "add", "taxi/../x"), 2),
        (("device", "add", "taxi/5", "--lat", "91", "--lon", "0"), 2),
        (("device", "import", "nix.csv"), 1),
        (("ingest", "nix.csv", "--format", "csv"), 1),
        (("publish", "nix.csv", "--format", "csv", "--broker", "http://x"), 1),
        (("nix",), 2),
        (("device",), 2),
        (("--nix",), 2),
        (("config", "check", "--config", "nix.toml"), 2),
        (("where", "--data", "nix"), 1),
        (("broker", "files", "--out", "points.txt"), 2),
    ],
)
def test_the_exit_status_says_whose_fault_it_is(
    data: Path, tmp_path: Path, arguments: tuple[str, ...], status: int
) -> None:
    (tmp_path / "points.txt").write_text("")
    done = Result(*arguments)
    assert (done.status, done.out if arguments != ("device",) else "") == (status, "")
    assert "Traceback" not in done.err


def test_an_error_is_a_line_and_its_mend(data: Path) -> None:
    done = Result("track", "taxi/404", "--from", FROM, "--to", TO)
    first, second = done.err.splitlines()
    assert first == "lucheng: error: There is no device taxi/404."
    assert "lucheng device list" in second


def test_a_held_writer_lock_without_a_service_is_try_again(data: Path) -> None:
    with open_rooms(data, load(), write=True):
        assert Result("device", "add", "taxi/5").status == 75
        assert Result("where", "--json").status == 0


def test_s20_an_audit_that_cannot_be_written_gives_no_data(data: Path) -> None:
    (data / "audit.db").unlink()
    for extra in data.glob("audit.db-*"):
        extra.unlink()
    (data / "audit.db").mkdir()
    for command in (
        ("where", "--json"),
        ("track", "taxi/1", "--from", FROM, "--to", TO),
        ("signal", "list"),
        ("device", "add", "taxi/8"),
    ):
        done = Result(*command)
        assert (done.status, done.out) == (1, "")
        assert "audit" in done.err


def test_s17_the_stream_address_of_a_camera_is_never_printed(data: Path, tmp_path: Path) -> None:
    canary = "rtsp://admin:canary-8c1f@10.0.0.9/"
    file = tmp_path / "rtsp.txt"
    file.write_text(canary + "\n")
    said = [Result("device", "add", "camera/1", "--rtsp-file", str(file), "--json")]
    said += [Result("device", "add", "camera/2", "--rtsp-file", "-", stdin=canary.encode())]
    said += [Result("device", "add", "taxi/3", "--rtsp-file", str(file))]
    said += [Result(*command) for command in (("device", "show", "camera/1"), ("audit", "list"), ("device", "list"))]
    assert [done.status for done in said] == [0, 0, 2, 0, 0, 0]
    for done in said:
        assert "canary" not in done.out + done.err
    for path in data.rglob("*"):
        assert path.is_dir() or b"canary" not in path.read_bytes(), path


def test_s17_a_brokers_password_is_never_printed(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "city.toml"
    config.write_text('[mqtt]\nurl = "mqtt://desk:canary-8c1f@127.0.0.1:1"\n')
    points = tmp_path / "points.csv"
    points.write_text(HEADER + "taxi/9,2026-11-22T08:00:00Z,40.1,109.1,5\n")
    said = [Result("config", "show", "--config", str(config))]
    said += [Result("config", "show", "--json", "--config", str(config))]
    said += [Result("publish", str(points), "--format", "csv", "--broker", "mqtt://desk:canary-8c1f@127.0.0.1:1")]
    config.write_text('[mqtt]\nurl = "http://desk:canary-8c1f@127.0.0.1:1"\n')
    said += [Result("config", "check", "--config", str(config))]
    assert [done.status for done in said] == [0, 0, 75, 2]
    for done in said:
        assert "canary" not in done.out + done.err


@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        st.one_of(
            st.sampled_from(
                ["track", "where", "device", "list", "show", "--json", "--from", "--to", "--data", "--limit", "taxi/1"]
            ),
            st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12),
        ),
        max_size=6,
    )
)
def test_no_arguments_make_a_command_raise(data: Path, words: list[str]) -> None:
    done = Result(*words)
    assert done.status in (0, 1, 2, 75)
    assert "Traceback" not in done.err


# -- where things are -------------------------------------------------------------------------


def test_data_and_config_stand_before_or_after_the_command(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LUCHENG_DATA")
    for arguments in (
        ("--data", str(data), "where", "--json"),
        ("where", "--data", str(data), "--json"),
        ("where", "--json", f"--data={data}"),
    ):
        assert len(Result(*arguments).json()) == 1
    config = tmp_path / "city.toml"
    config.write_text('[city]\ntime_zone = "UTC"\n')
    for arguments in (("--config", str(config), "where"), ("where", "--config", str(config))):
        assert "2026-11-22 08:01:00.000" in Result(*arguments, "--data", str(data)).out
    data.rename(tmp_path / "lucheng-data")
    assert len(Result("where", "--json").json()) == 1


def test_config_commands(data: Path, tmp_path: Path) -> None:
    assert Result("config", "check").status == 0
    assert Result("config", "show", "--json").json()["city"]["time_zone"] == "Asia/Shanghai"
    assert "[city]" in Result("config", "show").out
    assert Result("config", "schema").json()["properties"]["city"]
    config = tmp_path / "city.toml"
    config.write_text("[city]\nnaem = 1\n")
    done = Result("config", "check", "--config", str(config))
    assert done.status == 2
    assert f"{config}:2" in done.err


def test_help_reads_in_groups_and_names_every_command() -> None:
    done = Result("--help")
    assert done.status == 0
    names = "run demo ingest publish track where status quarantine signal device site jurisdiction broker audit store config doctor"
    for name in names.split():
        assert f" {name} " in done.out
        assert Result(name, "--help").status == 0


def test_the_version_is_the_packages() -> None:
    assert Result("--version").out.strip() == "0.1.0"


# -- texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "chosen"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8"}, "zh"),
        ({"LC_ALL": "", "LANG": "zh"}, "zh"),
    ],
)
def test_the_language_is_the_locales(env: dict[str, str], chosen: str) -> None:
    assert language(env) == chosen


def test_every_text_is_there_in_both_languages_with_the_same_fields() -> None:
    for key, word in TEXTS.items():
        assert word.en.strip(), key
        assert word.zh.strip(), key
        fields = [sorted(part.split("}")[0] for part in text.split("{")[1:]) for text in (word.en, word.zh)]
        assert len(fields[0]) == len(fields[1]), key
