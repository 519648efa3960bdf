"""The embedded broker, with real mosquitto and real amqtt processes and real clients."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from devices.broker_files import acl_text
from ingest.decode.topics import ALARM_TOPICS, POINT_TOPICS
from lucheng import broker as broker_module
from lucheng.amqtt_rules import allowed, covers, password_fits, read_passwords, read_rules
from lucheng.broker import EmbeddedBroker, Program, answers_mqtt, find_mosquitto
from model.errors import TryAgain, UsageError

ROOT = Path(broker_module.__file__).parents[1]
WAIT_S = 20.0


def until(true: Callable[[], bool], what: str) -> None:
    """Poll until `true()`; fail with `what` after WAIT_S."""
    end = time.monotonic() + WAIT_S
    while not true():
        if time.monotonic() > end:
            pytest.fail(f"never happened: {what}")
        time.sleep(0.02)


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture(params=["mosquitto", "amqtt"])
def program(request: pytest.FixtureRequest) -> Program:
    chosen: Program = request.param
    if chosen == "mosquitto":
        need_mosquitto()
    return chosen


def need_mosquitto() -> None:
    if find_mosquitto() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto is not installed, and with CI=true it has to be")
        pytest.skip("mosquitto is not installed")


class Party:
    """A paho client with a manual acknowledgement and a list of what came."""

    def __init__(self, broker: EmbeddedBroker, client_id: str, *, user: str = "", password: str = "") -> None:
        self.got: list[paho.MQTTMessage] = []
        self.code: Any = None
        self._acknowledged = 0
        self._connected = threading.Event()
        self._subscribed = threading.Event()
        self.granted: list[int] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False, manual_ack=True)
        if user:
            self.client.username_pw_set(user, password)
        self.client.max_inflight_messages_set(1000)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = lambda _client, _data, message: self.got.append(message)
        self.client.connect(broker.listen, broker.port)
        self.client.loop_start()
        assert self._connected.wait(WAIT_S), "no CONNACK"

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self.code = code
        self._connected.set()
        if code.is_failure:
            self.client.loop_stop()

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, codes: Any, _properties: Any) -> None:
        self.granted = [code.value for code in codes]
        self._subscribed.set()

    def subscribe(self, topic: str) -> list[int]:
        self._subscribed.clear()
        self.client.subscribe(topic, 1)
        assert self._subscribed.wait(WAIT_S), "no SUBACK"
        return self.granted

    def publish(self, topic: str, count: int) -> None:
        sent = [self.client.publish(topic, str(number).encode(), 1) for number in range(count)]
        for info in sent:
            info.wait_for_publish(WAIT_S)
            assert info.is_published()

    def acknowledge(self) -> None:
        for message in self.got[self._acknowledged :]:
            self._acknowledged += 1
            self.client.ack(message.mid, message.qos)

    def numbers(self) -> list[int]:
        return [int(message.payload) for message in self.got]

    def leave(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def party() -> Iterator[Callable[..., Party]]:
    made: list[Party] = []

    def make(broker: EmbeddedBroker, client_id: str, **credentials: str) -> Party:
        made.append(Party(broker, client_id, **credentials))
        return made[-1]

    yield make
    for one in made:
        one.leave()


def test_it_answers_and_leaves_nothing(tmp_path: Path, program: Program) -> None:
    broker = EmbeddedBroker(tmp_path / "b", program=program, anonymous=True)
    with broker:
        pid = int(broker.pid_file.read_text())
        assert broker.program == program
        assert answers_mqtt("127.0.0.1", broker.port)
        assert broker.url == f"mqtt://127.0.0.1:{broker.port}"
        assert broker.start() is broker
        assert int(broker.pid_file.read_text()) == pid
        assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700
        port = broker.port
    assert not broker.alive
    assert not running(pid)
    assert not broker.pid_file.exists()
    broker.stop()
    with broker:
        assert broker.port == port, "the port stays over a restart"


OWNER = """
import sys, time
from pathlib import Path
from lucheng.broker import EmbeddedBroker
broker = EmbeddedBroker(Path(sys.argv[1]), program=sys.argv[2], anonymous=True).start()
print(broker._keeper.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["owner", "keeper"])
def test_nothing_is_left_after_kill_9(tmp_path: Path, program: Program, victim: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert owner.stdout is not None
        keeper = int(owner.stdout.readline())
        pid = int((tmp_path / "broker.pid").read_text())
        assert running(pid)
        os.kill(owner.pid if victim == "owner" else keeper, signal.SIGKILL)
        until(lambda: not running(pid), "the broker ends with its owner")
        until(lambda: not running(keeper) or victim == "keeper", "the keeper ends with its owner")
    finally:
        owner.kill()
        owner.wait()


def test_a_killed_broker_is_seen_and_started_again(tmp_path: Path, program: Program) -> None:
    with EmbeddedBroker(tmp_path, program=program, anonymous=True) as broker:
        port = broker.port
        os.kill(int(broker.pid_file.read_text()), signal.SIGKILL)
        until(lambda: not broker.alive, "the broker is seen dead")
        assert broker.start().alive
        assert broker.port == port
        assert answers_mqtt(broker.listen, port)


def test_qos_1_through_a_session_that_was_away(tmp_path: Path, program: Program, party: Callable[..., Party]) -> None:
    with EmbeddedBroker(tmp_path, program=program, anonymous=True) as broker:
        # amqtt forgets the session of a client without a name, so name them.
        desk = party(broker, "desk", user="desk", password="x")
        assert desk.subscribe("lucheng/v1/+/+/up/#") == [1]
        taxi = party(broker, "taxi/1", user="taxi/1", password="x")
        taxi.publish("lucheng/v1/taxi/1/up/point", 50)
        until(lambda: len(desk.got) == 50, "50 messages")
        assert all(message.qos == 1 for message in desk.got)
        desk.acknowledge()
        desk.leave()
        time.sleep(0.5)  # amqtt loses what it sends before it has noticed that the client left
        taxi.publish("lucheng/v1/taxi/1/up/point", 300)
        desk = party(broker, "desk", user="desk", password="x")
        until(lambda: len(set(desk.numbers())) >= 300, "300 messages kept for the session")
        assert set(desk.numbers()) == set(range(300))
        assert program == "amqtt" or desk.numbers() == list(range(300)), "mosquitto keeps the order and repeats nothing"
        assert not any(message.retain for message in desk.got)
        desk.acknowledge()


def test_thousands_are_kept_over_a_restart_and_the_window_is_wide(tmp_path: Path, party: Callable[..., Party]) -> None:
    need_mosquitto()
    broker = EmbeddedBroker(tmp_path, program="mosquitto", anonymous=True)
    assert broker.keeps_sessions
    with broker:
        desk = party(broker, "desk")
        desk.subscribe("lucheng/v1/#")
        desk.leave()
        party(broker, "taxi/1").publish("lucheng/v1/taxi/1/up/point", 3000)
    with broker:
        desk = party(broker, "desk")
        # Nothing is acknowledged, so what comes is the window: stock mosquitto would stop at 20.
        until(lambda: len(desk.got) == 3000, "3000 unacknowledged messages on their way at once")
        assert desk.numbers() == list(range(3000))


def hashed(password: str) -> str:
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def test_credentials_and_topics_are_the_files(tmp_path: Path, program: Program, party: Callable[..., Party]) -> None:
    passwords, rules = tmp_path / "passwd", tmp_path / "acl"
    lines = {user: f"{user}:{hashed(user + '!')}" for user in ("lucheng", "taxi/1", "taxi/2")}
    passwords.write_text("\n".join(lines.values()) + "\n")
    rules.write_text(
        "pattern write lucheng/v1/%u/up/#\npattern read lucheng/v1/%u/down/#\n\nuser lucheng\ntopic readwrite lucheng/v1/#\n"
    )
    for path in (passwords, rules):
        path.chmod(0o600)
    with EmbeddedBroker(tmp_path / "b", program=program, password_file=passwords, acl_file=rules) as broker:
        assert party(broker, "nobody").code.is_failure
        assert party(broker, "wrong", user="taxi/1", password="taxi/2!").code.is_failure
        assert party(broker, "unknown", user="taxi/3", password="taxi/3!").code.is_failure
        desk = party(broker, "desk", user="lucheng", password="lucheng!")
        assert desk.subscribe("lucheng/v1/+/+/up/#") == [1]
        # mosquitto ends the connection of a client that publishes where it must not; paho comes back by itself.
        thief = party(broker, "thief", user="taxi/1", password="taxi/1!")
        thief.publish("lucheng/v1/taxi/2/up/point", 1)
        thief.leave()
        one = party(broker, "one", user="taxi/1", password="taxi/1!")
        one.subscribe("#")
        two = party(broker, "two", user="taxi/2", password="taxi/2!")
        two.publish("lucheng/v1/taxi/2/up/point", 5)
        until(lambda: len(desk.got) == 5, "only the five of taxi/2 itself")
        desk.acknowledge()
        assert desk.numbers() == list(range(5))
        assert one.got == []
        two.leave()
        passwords.write_text(lines["lucheng"] + "\n")
        broker.reload()
        until(lambda: party(broker, "again", user="taxi/2", password="taxi/2!").code.is_failure, "taxi/2 is revoked")
        desk.leave()
        assert not party(broker, "desk", user="lucheng", password="lucheng!").code.is_failure


def test_what_cannot_work_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="password file"):
        EmbeddedBroker(tmp_path)
    with pytest.raises(UsageError, match="apt-get install mosquitto"):
        EmbeddedBroker(tmp_path, program="amqtt", listen="0.0.0.0", anonymous=True)
    with pytest.raises(UsageError, match="plain path"):
        EmbeddedBroker(tmp_path / "a\nlistener 1", anonymous=True)


def test_a_taken_port_says_so(tmp_path: Path, program: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        broker = EmbeddedBroker(tmp_path, program=program, port=port, anonymous=True, start_timeout_s=5)
        with pytest.raises(TryAgain, match=str(port)):
            broker.start()
        assert not broker.alive


def test_auto_takes_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(broker_module, "_EXTRA_PATH", ())
    assert EmbeddedBroker(tmp_path, anonymous=True).program == "amqtt"
    with pytest.raises(UsageError, match="apt-get install mosquitto"):
        EmbeddedBroker(tmp_path, program="mosquitto", anonymous=True)


def test_the_keepers_log_is_bounded(tmp_path: Path) -> None:
    keeper = ROOT / "lucheng" / "broker_keeper.py"
    chatter = "import sys\nfor number in range(5000): print('x' * 60, flush=True)"
    log = tmp_path / "broker.log"
    keep = subprocess.Popen(
        [sys.executable, str(keeper), str(log), "10000", "5", sys.executable, "-c", chatter], stdin=subprocess.PIPE
    )
    assert keep.wait(WAIT_S) == 0
    assert 0 < log.stat().st_size <= 10000
    assert (tmp_path / "broker.old").stat().st_size <= 10000


@pytest.mark.parametrize(
    ("rule", "topic", "want"),
    [
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "a/#", True),
        ("a/+", "a/b", True),
        ("a/+", "a/+", True),
        ("a/+", "a/#", False),
        ("a/+", "a/b/c", False),
        ("a/b", "a/+", False),
        ("#", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a/b", "a", False),
    ],
)
def test_a_rule_covers_a_topic(rule: str, topic: str, want: bool) -> None:
    assert covers(rule, topic) is want


_LEVEL = st.sampled_from(["a", "b", "+", "#", ""])


@given(
    st.lists(_LEVEL, min_size=1, max_size=4),
    st.lists(_LEVEL, min_size=1, max_size=4),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=4),
)
def test_a_covered_filter_reaches_no_name_that_the_rule_does_not(
    rule: list[str], wide: list[str], name: list[str]
) -> None:
    for levels in (rule, wide):
        if "#" in levels[:-1]:
            del levels[levels.index("#") + 1 :]
    if covers("/".join(rule), "/".join(wide)) and covers("/".join(wide), "/".join(name)):
        assert covers("/".join(rule), "/".join(name))


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_stored_text_lets_anybody_in_by_accident(stored: str, password: str) -> None:
    assert not password_fits(password, stored)
    assert not password_fits(password, f"$7$101${stored}")


@given(st.text(max_size=300))
def test_no_rules_file_raises(text: str) -> None:
    rules = read_rules(text.splitlines())
    allowed(rules, "taxi/1", "c", "lucheng/v1/taxi/1/up/point", write=True)
    read_passwords(text.splitlines())


def test_a_wildcard_in_a_name_gets_nothing() -> None:
    rules = read_rules(
        ["pattern write lucheng/v1/%u/up/#", "user x", "topic deny lucheng/v1/x/up/secret", "topic lucheng/#"]
    )
    assert allowed(rules, "taxi/1", "c", "lucheng/v1/taxi/1/up/point", write=True)
    assert not allowed(rules, "+/+", "c", "lucheng/v1/+/+/up/point", write=True)
    assert not allowed(rules, "x", "c", "lucheng/v1/x/up/secret", write=False)
    assert allowed(rules, "x", "c", "lucheng/v1/y", write=False)
    assert not allowed(rules, "taxi/1", "c", "lucheng/v1/taxi/1/up/point", write=False)


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("lucheng/v1/{}/up/reply", "lucheng/v1/{}/down/command"),
        ("owntracks/{}", "owntracks/{}/cmd"),
        ("owntracks/{}/event", "owntracks/{}/cmd"),
        ("teltonika/{}/data", "teltonika/{}/commands"),
    ],
)
def test_the_shipped_rules_mean_the_same_here(up: str, down: str) -> None:
    rules = read_rules(acl_text(("lucheng", "lucheng-alarms", "lucheng-desk")).splitlines())

    def may(user: str, topic: str, *, write: bool) -> bool:
        return allowed(rules, user, "client", topic, write=write)

    own, own_down = up.format("taxi/1"), down.format("taxi/1")
    assert may("taxi/1", own, write=True)
    assert may("taxi/1", own_down, write=False)
    assert may("lucheng", own, write=False)
    assert may("lucheng-desk", own_down, write=True)
    for user in ("taxi/2", "lucheng-player", "lucheng-desk"):
        assert not may(user, own, write=False)
    for user in ("taxi/2", "lucheng", "lucheng-alarms"):
        assert not may(user, own_down, write=True)
        assert not may(user, own, write=True)


@pytest.mark.parametrize(("account", "filters"), [("lucheng", POINT_TOPICS), ("lucheng-alarms", ALARM_TOPICS)])
def test_the_service_may_read_all_that_it_subscribes_to(account: str, filters: tuple[str, ...]) -> None:
    rules = read_rules(acl_text((account,)).splitlines())
    for topic in filters:
        assert allowed(rules, account, "client", topic, write=False), topic


def test_the_client_id_of_another_takes_nothing_from_it(tmp_path: Path, party: Callable[..., Party]) -> None:
    need_mosquitto()
    passwords = tmp_path / "passwords"
    passwords.write_text("".join(f"{user}:{hashed('x')}\n" for user in ("a", "b")))
    with EmbeddedBroker(tmp_path / "b", program="mosquitto", password_file=passwords) as broker:
        mine = party(broker, "mine", user="a", password="x")
        mine.subscribe("t")
        party(broker, "mine", user="b", password="x").publish("t", 5)
        until(lambda: len(mine.got) == 5, "the first client is still there")
        assert mine.client.is_connected()


def test_the_shipped_mosquitto_conf_runs(tmp_path: Path, party: Callable[..., Party]) -> None:
    need_mosquitto()
    passwords = tmp_path / "passwords"
    passwords.write_text(f"lucheng:{hashed('x')}\n")
    (tmp_path / "acl").write_text("user lucheng\ntopic readwrite lucheng/v1/#\n")
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    shipped = (ROOT / "config" / "files" / "mosquitto.conf").read_text(encoding="utf-8")
    adapted = shipped.replace("/etc/mosquitto/lucheng", str(tmp_path)).replace("listener 1883", f"listener {port}")
    assert adapted.count(str(port)) == 1
    assert "allow_anonymous true" not in shipped
    conf = tmp_path / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    conf.write_text(f"{adapted}\n{user}persistence_location {tmp_path}/\n")
    program = find_mosquitto()
    assert program is not None
    process = subprocess.Popen([program, "-c", str(conf)], stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: answers_mqtt("127.0.0.1", port) or process.poll() is not None, "the shipped broker answers")
        assert process.poll() is None, process.stderr and process.stderr.read()
        broker = EmbeddedBroker(tmp_path / "only for its address", port=port, anonymous=True)
        assert party(broker, "nobody").code.is_failure
        desk = party(broker, "desk", user="lucheng", password="x")
        desk.subscribe("lucheng/v1/#")
        desk.publish("lucheng/v1/taxi/1/up/point", 2000)
        until(lambda: len(desk.got) == 2000, "2000 unacknowledged messages on their way at once")
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)
