"""The broker's files against a real mosquitto: who gets in, what they may do, and how soon a change counts."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.broker_files import ACL_NAME, PASSWORDS_NAME, BrokerFiles, acl_text, reload
from devices.credentials import Credential, Credentials
from devices.registry import Registry
from model.clock import SystemClock
from model.errors import StoreError, TryAgain
from tests.devices.live_broker import Broker

Start = Callable[[], tuple[Broker, BrokerFiles]]
DENIED = ("connect", "Not authorized")


@pytest.mark.parametrize("start_broker", [False, True], indirect=True, ids=["global", "per_listener"])
def test_a_device_speaks_on_its_own_topics_alone(
    start_broker: Start, registry: Registry, credentials: Credentials
) -> None:
    """S2: device A publishes as B, in every way a topic can be written."""
    registry.ensure(["taxi/1", "taxi/12", "taxi/2", "ebike/1"])
    one = credentials.issue("taxi/1")
    service = credentials.renew_account("lucheng")
    broker, _ = start_broker()
    desk = broker.connected(service)
    desk.subscribe("lucheng/v1/+/+/up/#")
    for topic in ("owntracks/+/+", "owntracks/+/+/event", "teltonika/+/+/data"):
        desk.subscribe(topic)
    device = broker.connected(one)
    foreign = (
        "lucheng/v1/taxi/2/up/point",
        "lucheng/v1/taxi/12/up/point",
        "lucheng/v1/ebike/1/up/point",
        "lucheng/v1/taxi/1/down/command",
        "lucheng/v1/taxi/2/down/command",
        "lucheng/v1/taxi/1",
        "lucheng/v1/taxi/1/upper/point",
        "lucheng/v1/taxi/1/../2/up/point",
        "lucheng/v1/taxi//1/up/point",
        "/lucheng/v1/taxi/1/up/point",
        "owntracks/taxi/2",
        "owntracks/taxi/2/event",
        "owntracks/taxi/2/cmd",
        "owntracks/taxi/1/event/more",
        "owntracks/taxi",
        "teltonika/taxi/2/data",
        "teltonika/taxi/1/commands",
        "teltonika/taxi/2/commands",
        "teltonika/taxi/1",
        "$SYS/broker/uptime",
    )
    for topic in foreign:
        assert device.publish(topic, "forged") == "Not authorized", topic
        assert device.publish(topic, "forged", retain=True) == "Not authorized", topic
    for topic in (
        "lucheng/v1/taxi/1/up/point",
        "lucheng/v1/taxi/1/up/alarm",
        "lucheng/v1/taxi/1/up/reply",
        "owntracks/taxi/1",
        "owntracks/taxi/1/event",
        "teltonika/taxi/1/data",
    ):
        assert device.publish(topic, "mine") in ("Success", "No matching subscribers")
        # the broker is one thread: had a forged message come through, it would have come before this one
        assert desk.next() == (topic, "mine")


def test_a_device_hears_its_own_commands_alone(
    start_broker: Start, registry: Registry, credentials: Credentials
) -> None:
    """S2: device A subscribes to `#`, to B's topics, to $SYS, and through a shared subscription."""
    registry.add("taxi/1")
    registry.add("taxi/2")
    one, two = credentials.issue("taxi/1"), credentials.issue("taxi/2")
    service = credentials.renew_account("lucheng-desk")
    broker, _ = start_broker()
    desk, device, other = broker.connected(service), broker.connected(one), broker.connected(two)
    for topic in (
        "#",
        "+/+/#",
        "lucheng/v1/taxi/2/#",
        "lucheng/v1/+/+/down/#",
        "owntracks/#",
        "owntracks/+/+/cmd",
        "teltonika/#",
        "$SYS/#",
        "$share/x/lucheng/v1/+/+/up/#",
    ):
        device.subscribe(topic)
    other.publish("lucheng/v1/taxi/2/up/point", "secret")
    other.publish("owntracks/taxi/2", "secret")
    other.publish("teltonika/taxi/2/data", "secret")
    other.publish("lucheng/v1/taxi/2/up/status", "kept", retain=True)
    for foreign in ("lucheng/v1/taxi/2/down/command", "owntracks/taxi/2/cmd", "teltonika/taxi/2/commands"):
        desk.publish(foreign, "not yours")
    device.subscribe("lucheng/v1/taxi/2/up/status")  # a retained message is asked for anew
    own = ("lucheng/v1/taxi/1/down/command", "owntracks/taxi/1/cmd", "teltonika/taxi/1/commands")
    for topic in own:
        assert desk.publish(topic, "yours") == "Success"
    heard = [device.next()]
    while heard[-1][0] != own[-1]:  # a topic comes once for each subscription that it matches
        heard.append(device.next())
    assert set(heard) == {(topic, "yours") for topic in own}


@pytest.mark.parametrize("start_broker", [False, True], indirect=True, ids=["global", "per_listener"])
def test_nobody_takes_over_anothers_session(start_broker: Start, registry: Registry, credentials: Credentials) -> None:
    """S2: device A connects with B's client id, and with a last will on B's topic."""
    registry.add("taxi/1")
    registry.add("taxi/2")
    one, two = credentials.issue("taxi/1"), credentials.issue("taxi/2")
    service = credentials.renew_account("lucheng")
    broker, _ = start_broker()
    desk = broker.connected(service)
    desk.subscribe("#")
    victim = broker.connected(two, "taxi/2")
    for stolen in ("taxi/2", "any", "lucheng"):
        thief = broker.connected(one, stolen, will="lucheng/v1/taxi/2/up/status")
        thief.drop()
        assert thief.next()[0] == "disconnect"
    assert victim.publish("lucheng/v1/taxi/2/up/point", "still here") == "Success"
    assert desk.next() == ("lucheng/v1/taxi/2/up/point", "still here")
    # by now the broker has ended the thief's sessions for certain, and with them sent or refused their wills
    assert broker.connected(one).publish("lucheng/v1/taxi/1/up/point", "last") == "Success"
    assert desk.next() == ("lucheng/v1/taxi/1/up/point", "last")


def test_without_a_credential_nobody_comes_in(
    start_broker: Start, registry: Registry, credentials: Credentials
) -> None:
    """S1: no credentials, a wrong password, an unknown user, another's password, one that was never given."""
    registry.add("taxi/1")
    registry.add("taxi/2")
    registry.add("taxi/3")
    one = credentials.issue("taxi/1")
    credentials.issue("taxi/2")
    credentials.renew_account("lucheng")
    broker, _ = start_broker()
    attempts = [
        None,
        Credential("taxi/1", ""),
        Credential("taxi/1", one.password[:-1]),
        Credential("taxi/2", one.password),
        Credential("taxi/3", one.password),
        Credential("taxi/99", one.password),
        Credential("lucheng", one.password),
        Credential("taxi/+", one.password),
        Credential("#", one.password),
    ]
    for attempt in attempts:
        assert broker.open(attempt).next() == DENIED, attempt
    broker.connected(one)


@pytest.mark.parametrize("start_broker", [False, True], indirect=True, ids=["global", "per_listener"])
@pytest.mark.parametrize("how", ["revoke", "disable", "delete", "rotate"])
def test_ending_a_credential_ends_the_live_connection(
    start_broker: Start, registry: Registry, credentials: Credentials, how: str
) -> None:
    """S1: a revoked credential; the others' connections go on and a new device comes in by the same reload."""
    registry.add("taxi/1")
    registry.add("taxi/2")
    one, two = credentials.issue("taxi/1"), credentials.issue("taxi/2")
    service = credentials.renew_account("lucheng")
    broker, files = start_broker()
    desk, gone, stays = broker.connected(service), broker.connected(one), broker.connected(two)
    desk.subscribe("lucheng/v1/+/+/up/#")
    ending: dict[str, Callable[[str], object]] = {
        "revoke": credentials.revoke,
        "disable": registry.disable,
        "delete": registry.delete,
        "rotate": credentials.rotate,
    }
    begun_s = SystemClock().monotonic_s()
    ending[how]("taxi/1")
    registry.add("taxi/3")
    three = credentials.issue("taxi/3")
    assert files.sync(broker.pid_file)
    assert gone.next()[0] == "disconnect"
    print(f"{how}: the connection ended after {SystemClock().monotonic_s() - begun_s:.3f} s")
    assert broker.open(one).next() == DENIED
    new = broker.connected(three)
    assert new.publish("lucheng/v1/taxi/3/up/point", "new") == "Success"
    assert stays.publish("lucheng/v1/taxi/2/up/point", "stays") == "Success"
    assert [desk.next()[1], desk.next()[1]] == ["new", "stays"]


def test_a_gateway_and_the_player_have_their_places(
    start_broker: Start, registry: Registry, credentials: Credentials
) -> None:
    registry.add("gateway/g1")
    gateway = credentials.issue("gateway/g1")
    service, player = credentials.renew_account("lucheng"), credentials.renew_account("lucheng-player")
    alarms = credentials.renew_account("lucheng-alarms")
    broker, _ = start_broker()
    desk = broker.connected(service)
    second = broker.connected(alarms)
    for listener in (desk, second):
        listener.subscribe("lucheng/v1/+/+/up/#")
    sender, plays = broker.connected(gateway), broker.connected(player)
    assert sender.publish("lucheng/v1/gateway/g1/up/records", "28 bytes") == "Success"
    assert sender.publish("lucheng/v1/gateway/g2/up/records", "28 bytes") == "Not authorized"
    assert plays.publish("lucheng/v1/taxi/7/up/point", "played") == "Success"
    assert plays.publish("lucheng/v1/taxi/7/down/command", "played") == "Not authorized"
    for listener in (desk, second):
        assert listener.next() == ("lucheng/v1/gateway/g1/up/records", "28 bytes")
        assert listener.next() == ("lucheng/v1/taxi/7/up/point", "played")


def test_files_are_written_whole_private_and_only_when_needed(
    tmp_path: Path, registry: Registry, credentials: Credentials
) -> None:
    registry.add("taxi/1")
    registry.add("taxi/2")
    credentials.issue("taxi/1")
    folder = tmp_path / "broker"
    files = BrokerFiles(registry.file, folder, chunk_rows=1)
    assert files.write() == 1
    for name in (PASSWORDS_NAME, ACL_NAME):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == [ACL_NAME, PASSWORDS_NAME]
    assert not files.sync()
    registry.add("taxi/4")  # no credential: nothing for the broker
    assert not files.sync()
    credentials.issue("taxi/2")
    before = (folder / PASSWORDS_NAME).stat().st_ino
    assert files.sync()
    assert (folder / PASSWORDS_NAME).stat().st_ino != before
    lines = (folder / PASSWORDS_NAME).read_text().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["taxi/1", "taxi/2"]
    assert "user" not in acl_text(())


def test_a_link_in_the_way_is_not_followed(tmp_path: Path, registry: Registry) -> None:
    folder, elsewhere = tmp_path / "broker", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.write_text("mine")
    (folder / f".{PASSWORDS_NAME}.new").symlink_to(elsewhere)
    (folder / PASSWORDS_NAME).symlink_to(elsewhere)
    BrokerFiles(registry.file, folder).write()
    assert elsewhere.read_text() == "mine"
    assert not (folder / PASSWORDS_NAME).is_symlink()


def test_a_folder_that_cannot_be_written_leaves_the_old_files(tmp_path: Path, registry: Registry) -> None:
    folder = tmp_path / "broker"
    folder.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        BrokerFiles(registry.file, folder).write()


def test_reload_never_signals_a_stranger(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(TryAgain, match="names no process"):
        reload(pid_file)
    pid_file.write_text("nonsense")
    with pytest.raises(TryAgain, match="names no process"):
        reload(pid_file)
    pid_file.write_text(str(os.getpid()))
    with pytest.raises(TryAgain, match="not 'mosquitto'"):
        reload(pid_file)
    pid_file.write_text("1")
    with pytest.raises(TryAgain, match="not 'mosquitto'"):
        reload(pid_file)
    pid_file.write_text("999999999")
    with pytest.raises(TryAgain):
        reload(pid_file)


def test_a_failed_reload_is_tried_again(start_broker: Start, registry: Registry, credentials: Credentials) -> None:
    broker, files = start_broker()
    registry.add("taxi/1")
    one = credentials.issue("taxi/1")
    with pytest.raises(TryAgain):
        files.sync(broker.folder / "no-such-pid")
    assert files.sync(broker.pid_file)
    for _ in range(100):  # the broker reads its files between two turns of its loop
        listener = broker.open(one)
        if listener.next() == ("connect", "Success"):
            return
        SystemClock().sleep(0.05)
    pytest.fail("the new credential never counted")
