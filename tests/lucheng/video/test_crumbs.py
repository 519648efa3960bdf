"""Crumbs: whom a dead worker was busy with, read from memory that outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucheng.video.crumbs import Crumbs

ROWS = 4
PROJECT = Path(__file__).resolve().parents[3]
_WORKER = """
import sys, time
from lucheng.video.crumbs import Crumbs
crumbs = Crumbs(int(sys.argv[1]), int(sys.argv[2]))
with crumbs.enter(0, 1.0):
    pass
with crumbs.enter(2, 2.0):
    print("inside", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def crumbs() -> Iterator[Crumbs]:
    """Memory for four cameras."""
    made = Crumbs.make(ROWS)
    yield made
    made.close()


def test_nobody_is_suspect_before_anything_was_decoded(crumbs: Crumbs) -> None:
    assert crumbs.suspects() == []


def test_those_in_a_library_are_suspect_else_the_one_that_was_last(crumbs: Crumbs) -> None:
    with crumbs.enter(0, 1.0):
        assert crumbs.suspects() == [0]
        with crumbs.enter(3, 2.0):
            assert crumbs.suspects() == [0, 3]
        assert crumbs.suspects() == [0]
    assert crumbs.suspects() == [3]
    crumbs.clear(3)
    assert crumbs.suspects() == [0]


def test_an_error_in_the_library_ends_the_stay(crumbs: Crumbs) -> None:
    with pytest.raises(ValueError, match="bad"), crumbs.enter(1, 1.0):
        raise ValueError("bad picture")
    crumbs.write(2, 0, 2.0)
    assert crumbs.suspects() == [2]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, ROWS - 1), st.sampled_from(["in", "out", "clear"])), max_size=30))
def test_suspects_are_as_in_a_table(steps: list[tuple[int, str]]) -> None:
    crumbs = Crumbs.make(ROWS)
    inside: set[int] = set()
    last: dict[int, int] = {}
    for moment, (row, what) in enumerate(steps, 1):
        if what == "clear":
            crumbs.clear(row)
            inside.discard(row)
            last.pop(row, None)
            continue
        crumbs.write(row, int(what == "in"), float(moment))
        last[row] = moment
        inside = inside | {row} if what == "in" else inside - {row}
    newest = [max(last, key=lambda row: last[row])] if last else []
    assert crumbs.suspects() == (sorted(inside) or newest)
    crumbs.close()


def test_they_outlive_a_killed_process(crumbs: Crumbs) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(crumbs.descriptor), str(ROWS)],
        pass_fds=(crumbs.descriptor,),
        stdout=subprocess.PIPE,
        cwd=PROJECT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"inside\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert crumbs.suspects() == [2]


def test_close_releases_the_memory_once() -> None:
    crumbs = Crumbs.make(1)
    crumbs.close()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(crumbs.descriptor)
    taken = os.open(os.devnull, os.O_RDONLY)
    if taken != crumbs.descriptor:
        os.dup2(taken, crumbs.descriptor)
        os.close(taken)
    crumbs.close()  # the number is somebody else's now
    os.fstat(crumbs.descriptor)
    os.close(crumbs.descriptor)
