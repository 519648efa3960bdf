"""Token files, sessions and what wrong tokens cost."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from console.live.tokens import MIN_TOKEN_CHARS, Keys, new_token_file, read_token_file, remove_token_file
from model.clock import FakeClock
from model.errors import Refused, StoreError

GOOD = "a" * MIN_TOKEN_CHARS


def test_a_new_token_is_its_owners_alone_and_another_each_time(tmp_path: Path) -> None:
    path = tmp_path / "live.token"
    path.write_text("old")
    path.chmod(0o666)
    token = new_token_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_token_file(path) == token
    assert len(token) >= 43  # 256 bits
    newer = new_token_file(path)
    assert newer != token
    remove_token_file(path, token)  # it is another start's by now
    assert path.exists()
    remove_token_file(path, newer)
    assert list(tmp_path.iterdir()) == []


def test_a_new_token_is_not_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    for name in ("live.token", "live.token.new"):
        (tmp_path / name).symlink_to(target)
    new_token_file(tmp_path / "live.token")
    assert target.read_text() == "mine"
    assert not (tmp_path / "live.token").is_symlink()
    with pytest.raises(StoreError):
        new_token_file(tmp_path / "none" / "live.token")


def test_a_file_that_others_may_read_or_that_holds_no_token_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{GOOD}\nsecond line\n")
    path.chmod(0o600)
    assert read_token_file(path) == GOOD
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(Refused, match="read by others"):
            read_token_file(path)
    path.chmod(0o600)
    for text in ("", "short", "é" * 40, "x" * 300, "a b\tc" * 20):
        path.write_text(text)
        with pytest.raises(Refused, match="no token") as refused:
            read_token_file(path)
        assert not text or text not in str(refused.value)
    link = tmp_path / "link"
    link.symlink_to(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for other in (link, tmp_path, tmp_path / "none", tmp_path / "pipe"):
        with pytest.raises(Refused):
            read_token_file(other)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(GOOD)
    path.chmod(0o600)
    os.chown(path, 65_534, 65_534)
    with pytest.raises(Refused, match="read by others"):
        read_token_file(path)


def test_a_session_is_sealed_and_ends() -> None:
    clock = FakeClock()
    keys = Keys(GOOD, clock=clock, session_s=100)
    session = keys.new_session()
    assert keys.holds(session)
    assert GOOD not in session
    ends, seal = session.split(".")
    for forged in (
        "",
        ".",
        f"{int(ends) + 1}.{seal}",
        f"{ends}.{seal[:-1]}{(int(seal[-1], 16) + 1) % 16:x}",
        f"{ends}.",
        f"{ends}.{seal}é",
        GOOD,
        f"-1.{seal}",
    ):
        assert not keys.holds(forged)
    assert not Keys(GOOD, clock=clock).holds(session)  # of another start
    clock.advance(101)
    assert not keys.holds(session)


def test_wrong_tokens_wait_twice_as_long_each_and_are_forgotten() -> None:
    clock = FakeClock()
    keys = Keys(GOOD, clock=clock, free_wrongs=2, wait_min_s=1, wait_max_s=8)
    assert [keys.opens("wrong") for _ in range(2)] == [False, False]
    assert keys.opens(GOOD)
    waits = []
    for _ in range(6):
        assert not keys.opens("wrong")
        waits.append(keys.wait_s())
        assert not keys.opens(GOOD)
        clock.advance(keys.wait_s())
    assert waits == [1, 2, 4, 8, 8, 8]
    assert keys.opens(GOOD)
    clock.advance(17)
    assert not keys.opens("wrong")
    assert keys.wait_s() == 0
    assert GOOD not in repr(keys)
