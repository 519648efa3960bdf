"""The doctor sees what is missing and measures real brokers."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.settings import load
from lucheng import doctor
from lucheng.broker import EmbeddedBroker, answers_mqtt, find_mosquitto
from lucheng.doctor import examine, file_system
from lucheng.finding import Finding, State
from model.clock import FakeClock, SystemClock

WAIT_S = 20.0


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    for finding in findings:
        assert finding.found.en, finding
        assert finding.found.zh, finding
        assert (finding.state == State.OK) == (finding.mend == ""), finding
    return {finding.check: finding for finding in findings}


@contextmanager
def stock_mosquitto(folder: Path) -> Iterator[str]:
    """Mosquitto as Debian would run it: a window of 20, a queue of 1,000."""
    program = find_mosquitto()
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto is not installed, and with CI=true it has to be")
        pytest.skip("mosquitto is not installed")
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    conf = folder / "stock.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([program, "-c", str(conf)], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + WAIT_S
        while not answers_mqtt("127.0.0.1", port):
            assert time.monotonic() < end, "mosquitto does not answer"
            time.sleep(0.02)
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(WAIT_S)


def test_a_machine_without_a_broker_of_its_own(tmp_path: Path) -> None:
    found = by_check(examine(tmp_path / "not" / "there yet", load(env={})))
    assert list(found) == [
        "python", "mosquitto", "data folder", "file system", "free space", "open files", "clock", "terminal",
    ]  # fmt: skip
    assert found["python"].state == State.OK
    assert found["data folder"].state == State.OK
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


@pytest.mark.soak
def test_a_stock_mosquitto_is_measured_and_its_limits_named(tmp_path: Path) -> None:
    with stock_mosquitto(tmp_path) as url:
        found = by_check(examine(tmp_path, load(env={"LUCHENG_MQTT__URL": url})))
    assert found["broker"].state == State.OK
    assert found["broker window"].found.en.startswith("20 messages")
    assert "max_inflight_messages" in found["broker window"].mend
    assert found["broker queue"].state == State.WARN
    assert "max_queued_messages 0" in found["broker queue"].mend


def test_our_own_limits_pass(tmp_path: Path) -> None:
    program = "mosquitto" if find_mosquitto() or os.environ.get("CI") == "true" else "amqtt"
    with EmbeddedBroker(tmp_path, program=program, anonymous=True) as broker:  # type: ignore[arg-type]  # a literal either way
        found = by_check(examine(tmp_path, load(env={"LUCHENG_MQTT__URL": broker.url})))
    assert found["broker window"].found.en.startswith("2000 or more")
    assert found["broker queue"].found.en == "2000 of 2000 messages came"


def test_the_service_account_is_never_used_twice(tmp_path: Path) -> None:
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", b"x", salt, 101)
    stored = f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
    passwords, rules, secret = tmp_path / "passwords", tmp_path / "acl", tmp_path / "secret"
    passwords.write_text(f"lucheng:{stored}\ndoctor:{stored}\n")
    rules.write_text("user doctor\ntopic readwrite lucheng/v1/doctor/#\n")
    secret.write_text("x\n")
    secret.chmod(0o644)
    with EmbeddedBroker(tmp_path / "b", password_file=passwords, acl_file=rules) as broker:
        url = broker.url.replace("//", "//lucheng:x@")
        found = by_check(examine(tmp_path, load(env={"LUCHENG_MQTT__URL": url})))
        assert "doctor_username" in found["broker window"].mend
        env = {
            "LUCHENG_MQTT__URL": url,
            "LUCHENG_MQTT__DOCTOR_USERNAME": "doctor",
            "LUCHENG_MQTT__DOCTOR_PASSWORD_FILE": str(secret),
        }
        found = by_check(examine(tmp_path, load(env=env)))
        assert found["broker window"].state == State.OK
        assert found["secret file"].mend == f"chmod 600 {secret}"
        secret.write_text("wrong\n")
        found = by_check(examine(tmp_path, load(env=env)))
        assert found["broker window"].found.en.startswith("not measured")


def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        for scheme in ("mqtt", "mqtts"):
            found = by_check(examine(tmp_path, load(env={"LUCHENG_MQTT__URL": f"{scheme}://127.0.0.1:{port}"})))
            assert found["broker"].failed
            assert "broker window" not in found


def test_a_forced_mosquitto_that_is_missing_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_mosquitto", lambda: None)
    found = by_check(examine(tmp_path, load(env={})))
    assert found["mosquitto"].state == State.WARN
    assert found["mosquitto"].mend == "apt-get install mosquitto"
    assert by_check(examine(tmp_path, load(env={"LUCHENG_BROKER__PROGRAM": "mosquitto"})))["mosquitto"].failed
    assert by_check(examine(tmp_path, load(env={"LUCHENG_MQTT__URL": "mqtt://127.0.0.1:1"})))["mosquitto"].mend == ""


def test_an_old_python() -> None:
    (finding,) = doctor._python((3, 9, 2))
    assert finding.failed


def test_a_folder_that_cannot_be_written() -> None:
    found = {finding.check: finding for finding in doctor._folder(Path("/proc/1/none"))}
    assert found["data folder"].failed


@pytest.mark.parametrize(
    ("place", "want"),
    [("/data/x", "nfs4"), ("/data 2/x", "cifs"), ("/database", "ext4"), ("/run/x", "tmpfs"), ("/", "ext4")],
)
def test_the_file_system_of_a_place(place: str, want: str) -> None:
    mounts = (
        "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "23 22 0:40 / /data rw - nfs4 server:/x rw\n"
        "24 22 0:41 / /data\\0402 rw - cifs //server/x rw\n"
        "25 22 0:42 / /run rw - tmpfs tmpfs rw\n"
        "nonsense\n - \n"
    )
    assert file_system(Path(place), mounts) == want
    assert file_system(Path(place), "") == "unknown"


def test_a_network_folder_is_refused_and_a_volatile_one_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, want in (("nfs4", State.MISSING), ("tmpfs", State.WARN)):
        monkeypatch.setattr(doctor, "file_system", lambda _place, kind=kind: kind)
        found = {finding.check: finding for finding in doctor._folder(tmp_path)}
        assert found["file system"].state == want


class SteppingClock(FakeClock):
    """Its wall clock jumps an hour whenever somebody waits."""

    def sleep(self, duration_s: float) -> None:
        super().sleep(duration_s)
        self.step_wall(3_600_000)


def test_a_clock_that_is_wrong() -> None:
    (early,) = doctor._clock(FakeClock(now_ms=0), built_s=1_760_000_000)
    assert early.failed
    (stepped,) = doctor._clock(SteppingClock(), built_s=0)
    assert stepped.state == State.WARN
    assert "3600000 ms" in stepped.found.en
    (good,) = doctor._clock(SystemClock())
    assert good.state == State.OK


def test_the_language_is_the_locale(tmp_path: Path) -> None:
    finding = next(doctor._python((3, 11, 2)))
    assert finding.as_json({}) == {"check": "python", "state": "ok", "found": "Python 3.11.2", "mend": ""}
    (mount,) = [f for f in examine(tmp_path, load(env={})) if f.check == "data folder"]
    assert "可写" in mount.as_json({"LANG": "zh_CN.UTF-8"})["found"]
    assert "can be written" in mount.as_json({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"})["found"]
