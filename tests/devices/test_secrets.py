"""Sealed secrets: open with the key, and with nothing else."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from devices.registry import Registry
from devices.secrets import SealedSecrets, key_mark, make_key_file
from model.errors import Corrupt, LuchengError, NotFound, Refused, UsageError

CANARY = "rtsp://admin:canary-7f3a@10.0.0.9:554/h264"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "secret.key"


@pytest.fixture
def sealed(registry: Registry, key_file: Path) -> SealedSecrets:
    return SealedSecrets(registry.file, key_file)


def test_a_secret_comes_back_and_stands_nowhere_in_clear(
    sealed: SealedSecrets, key_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """S17: a canary appears in no file, repr or log."""
    caplog.set_level(logging.DEBUG)
    sealed.set("camera/7:rtsp", CANARY)
    assert sealed.get("camera/7:rtsp") == CANARY
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"canary" not in everything
    assert "canary" not in repr(sealed) + str(sealed) + caplog.text
    sealed.set("camera/7:rtsp", "other")
    assert sealed.get("camera/7:rtsp") == "other"
    assert sealed.names() == ["camera/7:rtsp"]
    sealed.delete("camera/7:rtsp")
    for call in (sealed.get, sealed.delete):
        with pytest.raises(NotFound):
            call("camera/7:rtsp")


def test_a_missing_key_is_not_made_anew_beside_sealed_data(sealed: SealedSecrets, key_file: Path) -> None:
    sealed.set("camera/7:rtsp", CANARY)
    kept = key_file.read_bytes()
    key_file.unlink()
    for call in (lambda: sealed.get("camera/7:rtsp"), lambda: sealed.set("camera/8:rtsp", CANARY), sealed.rotate):
        with pytest.raises(Refused, match="Restore it from a back-up"):
            call()
    assert not key_file.exists()
    key_file.write_bytes(kept)
    key_file.chmod(0o644)
    with pytest.raises(Refused, match="chmod 600"):
        sealed.get("camera/7:rtsp")
    key_file.chmod(0o600)
    assert sealed.get("camera/7:rtsp") == CANARY


@pytest.mark.parametrize("raw", [b"", b"garbage", b"0123456789abcdef AAAA\n", b"\xff\xfe", b"\n\n"])
def test_a_damaged_key_file_is_refused(sealed: SealedSecrets, key_file: Path, raw: bytes) -> None:
    sealed.set("camera/7:rtsp", CANARY)
    key_file.write_bytes(raw)
    with pytest.raises(Refused, match="Restore it"):
        sealed.get("camera/7:rtsp")


def test_a_linked_or_foreign_key_file_is_refused(sealed: SealedSecrets, key_file: Path, tmp_path: Path) -> None:
    sealed.set("camera/7:rtsp", CANARY)
    moved = key_file.rename(tmp_path / "elsewhere.key")
    key_file.symlink_to(moved)
    with pytest.raises(Refused, match="cannot be read"):
        sealed.get("camera/7:rtsp")
    if os.geteuid() == 0:
        key_file.unlink()
        moved.rename(key_file)
        os.chown(key_file, 65534, 65534)
        with pytest.raises(Refused, match="another user"):
            sealed.get("camera/7:rtsp")


def test_a_sealed_value_that_was_changed_or_moved_does_not_open(sealed: SealedSecrets, registry: Registry) -> None:
    sealed.set("camera/7:rtsp", CANARY)
    sealed.set("camera/8:rtsp", "other")
    with registry.file.changing() as change:
        change.connection.execute("UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE name = 'camera/7:rtsp')")
    assert sealed.get("camera/7:rtsp") == CANARY
    with pytest.raises(Corrupt, match="camera/8:rtsp") as caught:
        sealed.get("camera/8:rtsp")
    assert "canary" not in str(caught.value)
    with registry.file.changing() as change:
        change.connection.execute("UPDATE secret SET sealed = ?", (b"\x00",))
    with pytest.raises(Corrupt):
        sealed.get("camera/7:rtsp")


def test_rotation_seals_everything_anew_and_forgets_the_old_key(
    sealed: SealedSecrets, key_file: Path, registry: Registry
) -> None:
    for number in range(5):
        sealed.set(f"camera/{number}:rtsp", f"{CANARY}{number}")
    old_key, old_rows = key_file.read_bytes(), _rows(registry)
    assert sealed.rotate() == 5
    assert [sealed.get(f"camera/{number}:rtsp") for number in range(5)] == [f"{CANARY}{number}" for number in range(5)]
    assert len(key_file.read_text().splitlines()) == 1
    assert not set(old_rows) & set(_rows(registry))
    key_file.write_bytes(old_key)
    with pytest.raises(Refused, match="another key"):
        sealed.get("camera/0:rtsp")


def test_a_rotation_that_fails_leaves_everything_readable(
    sealed: SealedSecrets, key_file: Path, registry: Registry
) -> None:
    sealed.set("camera/1:rtsp", CANARY)
    sealed.set("camera/2:rtsp", CANARY)
    with registry.file.changing() as change:
        change.connection.execute("UPDATE secret SET sealed = ? WHERE name = 'camera/2:rtsp'", (b"\x00",))
    for _ in range(3):
        with pytest.raises(Corrupt, match="camera/2:rtsp"):
            sealed.rotate()
        assert sealed.get("camera/1:rtsp") == CANARY
    assert len(key_file.read_text().splitlines()) == 2
    sealed.set("camera/2:rtsp", "anew")
    assert sealed.rotate() == 2
    assert len(key_file.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "name",
    ["", "camera/7", "../x:rtsp", ":rtsp", "camera/7:", "camera/7:RTSP", "a\n:rtsp", "\ud800:rtsp", "x" * 200 + ":a"],
)
def test_names_are_checked(sealed: SealedSecrets, name: str) -> None:
    """S5: no name reaches a disk, and none is taken that could."""
    for call in (lambda: sealed.set(name, "x"), lambda: sealed.get(name), lambda: sealed.delete(name)):
        with pytest.raises(UsageError):
            call()


@pytest.mark.parametrize("value", ["x" * 4097, "\ud800"])
def test_values_have_a_limit(sealed: SealedSecrets, value: str) -> None:
    with pytest.raises(LuchengError):
        sealed.set("camera/7:rtsp", value)
    assert sealed.names() == []


def _rows(registry: Registry) -> list[bytes]:
    with registry.file.reading() as connection:
        return [sealed for (sealed,) in connection.execute("SELECT sealed FROM secret")]


def test_machines_agree_on_the_key_of_who_was_first(registry: Registry, tmp_path: Path) -> None:
    files = [tmp_path / machine / "keys" / "secret.key" for machine in ("m1", "m2", "m3")]
    one, two, three = (SealedSecrets(registry.file, file) for file in files)
    assert one.agree("city:key", "m1") == "m1"
    assert one.agree("city:key", "again") == "m1"
    assert key_mark(files[1]) == ""
    with pytest.raises(Refused, match="missing"):
        two.agree("city:key", "m2")
    assert not files[1].exists()
    make_key_file(files[2])
    for name in ("city:key", "city:other"):  # also what nobody asked for yet
        with pytest.raises(Refused, match="under another key"):
            three.agree(name, "m3")
    files[1].parent.mkdir(parents=True)
    files[1].write_bytes(files[0].read_bytes())
    files[1].chmod(0o600)
    assert two.agree("city:key", "m2") == "m1"
    assert key_mark(files[0]) == key_mark(files[1]) != key_mark(files[2])
    assert len(key_mark(files[0])) == 16
    one.rotate()
    assert key_mark(files[0]) not in {key_mark(files[1]), ""}
    with pytest.raises(Refused, match="under another key"):
        two.agree("city:key", "m2")
