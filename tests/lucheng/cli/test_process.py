"""The command as a process of its own: pipes that close, signals, languages, and what a start loads."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import load
from lucheng.rooms import open_rooms
from tests.lucheng.cli.test_commands import FROM, TO, fill

TIMEOUT_S = 60
COMMAND = (sys.executable, "-m", "lucheng")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A filled data folder."""
    with open_rooms(tmp_path / "data", load(), write=True) as rooms:
        fill(rooms)
    return tmp_path / "data"


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command with these arguments and environment variables beside our own."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, **env},
        check=False,
    )


def test_json_is_alone_on_standard_output(data: Path) -> None:
    done = run("where", "--data", str(data), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["device"] for row in json.loads(done.stdout)] == ["taxi/1"]


def test_a_reader_that_goes_away_ends_it_quietly(data: Path) -> None:
    with open_rooms(data, load(), write=True) as rooms:
        rooms.registry.ensure([f"taxi/{number}" for number in range(20_000)])
    with subprocess.Popen(
        [*COMMAND, "device", "list", "--data", str(data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"device\t")
        process.stdout.close()
        said = process.stderr.read()
        status = process.wait(TIMEOUT_S)
    assert (status, said) == (1, b"")


def test_an_interrupt_ends_it_in_a_word(data: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "address"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [*COMMAND, "device", "add", "camera/1", "--data", str(data), "--rtsp-file", str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        writer = os.open(pipe, os.O_WRONLY)  # returns when the command has opened its end and waits for us
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=TIMEOUT_S)
        os.close(writer)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in said


def test_errors_and_help_speak_the_locales_language(data: Path) -> None:
    window = ("track", "taxi/404", "--from", FROM, "--to", TO, "--data", str(data))
    assert run(*window, LC_ALL="zh_CN.UTF-8").stderr.startswith("lucheng: 错误：There is no device taxi/404.")
    assert run(*window, LC_ALL="C").stderr.startswith("lucheng: error: ")
    assert "设备登记" in run("--help", LC_ALL="zh_CN.UTF-8").stdout


def test_a_name_in_another_script_does_not_end_a_command(data: Path) -> None:
    with open_rooms(data, load(), write=True) as rooms:
        from devices.details import DeviceDetails

        rooms.registry.add("taxi/2", DeviceDetails(plate="蒙B12345"))
    done = run("device", "list", "--data", str(data), PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "taxi/2" in done.stdout


HEAVY = ("numpy", "fastapi", "uvicorn", "pydantic", "httpx", "shapely", "cryptography", "paho", "asyncio")


@pytest.mark.parametrize(
    ("command", "unloaded"),
    [
        ("['--help']", HEAVY),
        ("['where', '--data', DATA]", ("fastapi", "uvicorn", "httpx", "shapely", "paho", "pydantic_settings")),
    ],
)
def test_a_start_loads_only_what_it_needs(data: Path, command: str, unloaded: tuple[str, ...]) -> None:
    program = (
        "import sys\nfrom lucheng.cli.root import app\n"
        f"DATA = {str(data)!r}\n"
        f"app({command}, standalone_mode=False)\n"
        f"print('loaded:', sorted(set(sys.modules) & set({unloaded!r})))\n"
    )
    # A setting in the environment would load what reads settings from there.
    env = {name: value for name, value in os.environ.items() if not name.startswith("LUCHENG_")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=env
    )
    assert done.stdout.splitlines()[-1] == "loaded: []", done.stderr
