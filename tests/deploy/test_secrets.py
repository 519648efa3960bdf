"""What deploy/secrets.sh and certs.sh make: once, whole, and taken by those who read it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from config.settings import read_secret
from devices.registry import Registry
from devices.secrets import SealedSecrets
from model.clock import SystemClock
from tests.nats import need_nats_server

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SECRETS = [
    "postgres-password",
    "influx-token",
    "influx-password",
    "nats-password",
    "nats-routes-password",
    "mqtt-password",
    "bridge-password",
]


def make(folder: Path, *options: str) -> str:
    done = subprocess.run(
        [str(DEPLOY / "secrets.sh"), *options, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    said = make(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    words = {name: read_secret(folder / name) for name in SECRETS}
    assert len(set(words.values())) == len(SECRETS)
    assert all(re.fullmatch(r"p[0-9a-f]{48}", word) for word in words.values())
    assert not any(word in said for word in words.values())
    before = hashes(folder)
    assert not any(name.startswith(".") or name.endswith(".part") for name in before)
    assert make(folder, "--name", "another.name") == ""
    assert hashes(folder) == before
    other = tmp_path / "other"
    make(other)
    assert all(read_secret(other / name) != word for name, word in words.items())


def test_what_is_missing_is_made_anew_and_nothing_else(tmp_path: Path) -> None:
    """A run that was broken off leaves no half file under a name, and the next one goes on."""
    folder = tmp_path / "secrets"
    make(folder)
    before = hashes(folder)
    (folder / "influx-token").unlink()
    (folder / ".mqtt-password.part").write_text("half")
    assert [Path(line).name for line in make(folder).split()] == ["influx-token"]
    after = hashes(folder)
    assert {name for name in before if after[name] != before[name]} == {"influx-token"}


def test_the_secret_key_is_one_that_opens(tmp_path: Path) -> None:
    make(tmp_path / "secrets")
    key = tmp_path / "keys" / "secret.key"
    key.parent.mkdir(mode=0o700)
    shutil.copy(tmp_path / "secrets" / "secret-key", key)
    key.chmod(0o600)
    before = key.read_bytes()
    registry = Registry(tmp_path / "registry.db", clock=SystemClock())
    try:
        secrets = SealedSecrets(registry.file, key)
        secrets.set("camera/7:rtsp", "rtsp://somebody:something@10.1.1.1/")
        assert secrets.get("camera/7:rtsp") == "rtsp://somebody:something@10.1.1.1/"
    finally:
        registry.close()
    assert key.read_bytes() == before


def test_nats_server_takes_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make(folder)
    nats = tmp_path / "nats"
    nats.mkdir()
    for source, name in (
        (DEPLOY / "compose" / "nats.conf", "nats.conf"),
        (ROOT / "config" / "files" / "nats" / "lucheng.conf", "lucheng.conf"),
        (folder / "nats-auth.conf", "auth.conf"),
        (folder / "nats-routes.conf", "routes.conf"),
    ):
        shutil.copy(source, nats / name)
    done = subprocess.run(
        [need_nats_server(), "-t", "-c", str(nats / "nats.conf")],
        env={"NATS_NAME": "nats1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert read_secret(folder / "nats-password") in (folder / "nats-auth.conf").read_text()
    assert read_secret(folder / "nats-routes-password") in (folder / "nats-routes.conf").read_text()


@pytest.mark.parametrize("names", ["m1,10.0.0.11", "desk.city.local"])
def test_certificates_hold(tmp_path: Path, names: str) -> None:
    first = names.split(",", maxsplit=1)[0]
    made = subprocess.run([str(DEPLOY / "certs.sh"), str(tmp_path), names], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    for purpose in ("sslserver", "sslclient"):
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / f"{first}.pem")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    text = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / f"{first}.pem"), "-noout", "-ext", "subjectAltName"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in names.split(","):
        assert name in text
    for key in ("ca-key", f"{first}.key"):
        assert (tmp_path / key).stat().st_mode & 0o077 == 0
    before = hashes(tmp_path)
    subprocess.run([str(DEPLOY / "certs.sh"), str(tmp_path), names], check=True, capture_output=True)
    assert hashes(tmp_path) == before
