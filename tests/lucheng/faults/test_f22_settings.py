"""F22: a typo in the settings, a missing secret: refuses to start, says file, line and the mend, before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lucheng import service_process
from tests.lucheng.in_process import answer, lucheng

COMMANDS = (
    ("run",),
    ("run", "--broker", "mqtt://127.0.0.1:1"),
    ("ingest", "{file}", "--format", "cabspotting"),
    ("device", "add", "taxi/1"),
    ("track", "taxi/abc", "--from", "2000-01-01", "--to", "2040-01-01"),
    ("where", "--json"),
    ("demo", "--seconds", "1"),
    ("doctor",),
    ("config", "check"),
    ("config", "show"),
)


@dataclass(frozen=True)
class Wrong:
    """Settings that are wrong, and what has to be said of them."""

    toml: str
    line: int
    says: tuple[str, ...]


WRONG = {
    "typo-in-a-key": Wrong(
        "[clean]\n# a comment\nmax_sped_kmh = 150\n", 3, ("clean.max_sped_kmh", "clean.max_speed_kmh")
    ),
    "typo-in-a-section": Wrong("\n\n[clen]\nmax_speed_kmh = 150\n", 3, ("clen", "clean")),
    "wrong-type": Wrong('[clean]\nmax_speed_kmh = "fast"\n', 2, ("clean.max_speed_kmh", "number", "'fast'")),
    "out-of-range": Wrong("[series]\nretention_days = -3\n", 2, ("series.retention_days",)),
    "no-toml": Wrong("[clean]\nmax_speed_kmh = \n", 2, ()),
    "missing-secret": Wrong(
        '[mqtt]\nurl = "mqtt://127.0.0.1:1"\nusername = "desk"\npassword_file = "absent.secret"\n',
        4,
        ("mqtt.password_file", "absent.secret"),
    ),
    "empty-secret": Wrong(
        '[mqtt]\nurl = "mqtt://127.0.0.1:1"\nusername = "desk"\npassword_file = "empty.secret"\n',
        4,
        ("mqtt.password_file", "empty.secret"),
    ),
}


def command_of(parts: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    return tuple(part.replace("{file}", str(folder / "points.csv")) for part in parts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of points and an empty secret."""
    (tmp_path / "points.csv").write_text("ts_utc,cab_id,lat,lon,occupied\n1212130800,abc,37.7,-122.4,1\n")
    (tmp_path / "empty.secret").touch(mode=0o600)
    return tmp_path


def stamps(data: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in data.rglob("*")}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_settings_stop_every_command_before_anything_is_opened(name: str, folder: Path) -> None:
    wrong, data = WRONG[name], folder / "data"
    config = folder / "city.toml"
    config.write_text(wrong.toml)
    for parts in COMMANDS:
        done = lucheng(data, *command_of(parts, folder), "--config", str(config))
        assert done.returncode == 2, (parts, done.stderr)
        assert done.stdout == ""
        assert f"city.toml:{wrong.line}: " in done.stderr, (parts, done.stderr)
        for word in wrong.says:
            assert word in done.stderr, (parts, done.stderr)
        assert not data.exists(), parts


def test_an_existing_folder_is_not_touched_either(folder: Path) -> None:
    data, config = folder / "data", folder / "city.toml"
    assert answer(data, "ingest", str(folder / "points.csv"), "--format", "cabspotting")["stored"] == 1
    before = stamps(data)
    config.write_text(WRONG["typo-in-a-key"].toml)
    for parts in COMMANDS:
        assert lucheng(data, *command_of(parts, folder), "--config", str(config)).returncode == 2
    assert stamps(data) == before


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("LUCHENG_CLEAN__MAX_SPED_KMH", "LUCHENG_CLEAN__MAX_SPEED_KMH"),
        ("LUCHENG_MQTTT__URL", "LUCHENG_MQTT__URL"),
        ("LUCHENG_NONSENSE", "LUCHENG_NONSENSE"),
    ],
)
def test_an_unknown_variable_is_named_with_what_may_be_meant(variable: str, says: str, folder: Path) -> None:
    data = folder / "data"
    for parts in COMMANDS:
        done = lucheng(data, *command_of(parts, folder), env={variable: "1"})
        assert done.returncode == 2, (parts, done.stderr)
        assert variable in done.stderr
        assert says in done.stderr
        assert not data.exists(), parts


def test_a_wrong_value_in_the_environment_is_named(folder: Path) -> None:
    done = lucheng(folder / "data", "config", "check", env={"LUCHENG_CLEAN__MAX_SPEED_KMH": "fast"})
    assert done.returncode == 2
    assert "LUCHENG_CLEAN__MAX_SPEED_KMH" in done.stderr
    assert "number" in done.stderr


def test_a_missing_settings_file_is_named(folder: Path) -> None:
    done = lucheng(folder / "data", "run", "--config", str(folder / "absent.toml"))
    assert done.returncode == 2
    assert "absent.toml" in done.stderr
    assert not (folder / "data").exists()


def test_the_service_as_a_process_refuses_to_start(folder: Path) -> None:
    config = folder / "city.toml"
    config.write_text(WRONG["missing-secret"].toml)
    done = service_process.lucheng(folder / "data", "--config", str(config), "run")
    assert done.returncode == 2
    assert "city.toml:4: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "data").exists()
    config.write_text("[clean]\nmax_speed_kmh = 150\n")
    assert lucheng(folder / "data", "config", "check", "--config", str(config)).returncode == 0
