"""`lucheng demo` leaves neither a process nor a temporary folder behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import need_program, wait_until
from tests.lucheng.service_process import HANG_S, PROJECT


@contextmanager
def _demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A small demo whose temporary folder is made in `folder`."""
    need_program("mosquitto")
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "lucheng", "demo", "--taxis", "20", "--bikes", "20", "--json", *arguments],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Wait until broker, its keeper and the service run; return them."""
    found: list[psutil.Process] = []

    def complete() -> bool:
        assert process.poll() is None
        found[:] = psutil.Process(process.pid).children(recursive=True)
        words = [" ".join(child.cmdline()) for child in found if child.is_running()]
        return all(any(part in word for word in words) for part in ("broker_keeper", "mosquitto -c", "lucheng --data"))

    wait_until(complete, HANG_S, "the demo's processes")
    return found


def _service_answers(folder: Path) -> None:
    wait_until(lambda: list(folder.glob("*/api.sock")), HANG_S, "the demo's service")


def _gone(children: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive, [child.cmdline() for child in alive]


@pytest.mark.soak
def test_after_its_time(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    with _demo(folder, "--seconds", "4") as demo:
        children = _children(demo)
        assert list(folder.iterdir()), "it works somewhere else"
        out, said = demo.communicate(timeout=HANG_S * 2)
        assert demo.returncode == 0, said
        assert '"received"' in out
    _gone(children)
    assert list(folder.iterdir()) == []


@pytest.mark.soak
def test_interrupted(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    with _demo(folder) as demo:
        children = _children(demo)
        _service_answers(folder)
        time.sleep(1.0)
        demo.send_signal(signal.SIGINT)
        _, said = demo.communicate(timeout=HANG_S * 2)
        assert demo.returncode == 0, said
    _gone(children)
    assert list(folder.iterdir()) == []


def test_ended_while_it_starts(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    with _demo(folder) as demo:
        children = _children(demo)
        demo.terminate()
        _, said = demo.communicate(timeout=HANG_S * 2)
        assert "Traceback" not in said
    _gone(children)
    assert list(folder.iterdir()) == []


@pytest.mark.soak
def test_killed(tmp_path: Path) -> None:
    """Nothing can tidy up after a `kill -9`, but no process stays."""
    folder = tmp_path / "temporary"
    with _demo(folder) as demo:
        children = _children(demo)
        _service_answers(folder)
        demo.kill()
        demo.communicate()
        _gone(children)
