"""The wheel, installed alone in a clean environment, runs the demo and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import psutil
import pytest

import model

ROOT = Path(model.__file__).parents[1]
INSTALL_TIMEOUT_S = 600
DEMO_TIMEOUT_S = 120


def clean_env(folder: Path) -> dict[str, str]:
    """The environment of a user who has no source: no path into it, no settings, a home of their own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LUCHENG_", "PYTHON", "PYTEST", "VIRTUAL_ENV", "COVERAGE"))
    }
    return kept | {"TERM": "dumb", "LUCHENG_CACHE_DIR": str(folder / "cache"), "LUCHENG_DEMO__CAMERAS": "1"}


def run(command: list[str], folder: Path, timeout_s: int) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=folder, env=clean_env(folder), capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)], folder, INSTALL_TIMEOUT_S)
    (only,) = folder.glob("lucheng-*.whl")
    return only


def test_the_wheel_holds_the_rooms_and_the_shipped_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for room in ("model", "store", "config", "devices", "ingest", "analytics", "console", "simulator", "lucheng"):
        assert f"{room}/__init__.py" in names
    shipped = {path.name for path in (ROOT / "config" / "files").rglob("*") if path.is_file()}
    assert {Path(name).name for name in names if name.startswith("config/files/")} == shipped
    assert {"city.toml", "mosquitto.conf", "lucheng.service"} <= shipped
    assert {"console/live/static/live.js", "console/live/static/live.css"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "benchmarks/", "docs/")) for name in names)


@pytest.mark.soak
def test_the_demo_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile"]
    run([*pip, "--require-hashes", "-r", str(ROOT / "requirements" / "run.txt")], tmp_path, INSTALL_TIMEOUT_S)
    run([*pip, "--no-deps", str(wheel)], tmp_path, INSTALL_TIMEOUT_S)
    where = run([str(python), "-c", "import lucheng; print(lucheng.__file__)"], tmp_path, DEMO_TIMEOUT_S)
    assert Path(where.stdout.strip()).is_relative_to(environment)

    empty = tmp_path / "empty"
    empty.mkdir()
    command = [str(environment / "bin" / "lucheng"), "demo", "--seconds", "5", "--taxis", "20", "--bikes", "20"]
    run(command, empty, DEMO_TIMEOUT_S)
    left = [
        process.info
        for process in psutil.process_iter(["pid", "cmdline"])
        if any(str(tmp_path) in part for part in process.info["cmdline"] or [])
    ]
    assert left == []
