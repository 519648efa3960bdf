"""Commands across ingestors, over real nats-servers, gateways and stores: they reach who holds the device, once, and its answer comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from ingest.gateway.gateway import Gateway
from ingest.mqtt.broker_url import parse_broker_url
from ingest.mqtt.down import DownLink
from lucheng.commanding import CommandDuty
from lucheng.device_protocols import DeviceProtocols
from lucheng.order_hands import AWAY, DONE, OrderHands, Question, Told
from lucheng.order_reach import DownReach, Reach
from lucheng.reply_keeper import ReplyKeeper
from model.clock import SystemClock
from model.command import CommandState
from model.errors import Refused, TryAgain
from store.nats.calls import Answer, Unanswered, asked, serve
from store.nats.claims import Claims
from store.nats.link import Link
from store.nats.sessions import SessionView
from store.nats.streams import made, sessions_stream
from tests.conftest import Mosquitto, wait_until
from tests.ingest.gateway.conftest import LIMITS, Events, Known, Log, Phone, Registry
from tests.lucheng.test_commanding import SETTINGS, Town
from tests.nats import NatsServer, link_to, names_of

NUMBER, TAXI = "13800000001", "taxi/1"
GONE_S = 1.0


class KeptEvents(Events):
    """What terminals tell; their answers go into the commands' store."""

    def __init__(self, keeper: ReplyKeeper) -> None:
        super().__init__()
        self.keeper = keeper

    def reply(self, reply: Any) -> None:
        super().reply(reply)
        self.keeper.reply(reply)


class Ingestor:
    """Everything of one ingestor but the process."""

    def __init__(self, country: Country, name: str, *, down: DownLink | None = None) -> None:
        self.phones: list[Phone] = []
        self.link = country.link()
        self.claims = Claims(
            self.link,
            country.names,
            name=name,
            gone_s=GONE_S,
            mqtt=lambda: down is not None and down.connected,
        )
        self.keeper = ReplyKeeper(
            country.town.house.rooms.commands, country.town.house.clock, on_fatal=country.fatal.append
        )
        self.keeper.start()
        self.events = KeptEvents(self.keeper)
        self.gateway = Gateway(
            LIMITS,
            clock=SystemClock(),
            terminals=country.registry,
            take=Log().take,
            events=self.events,
            jt_port=0,
            phone_number="110",
            claims=self.claims,
        )
        self.claims.use(self.gateway.taken)
        self.hands = OrderHands(self.link, country.names, self.claims, gateway=self.gateway, down=down)
        self.gateway.start()
        country.stack.callback(self.close)

    def phone(self) -> Phone:
        made = Phone(self.gateway.jt_port, NUMBER)
        made.authenticate()
        self.phones.append(made)
        return made

    def close(self) -> None:
        self.hands.close()
        self.gateway.stop()
        self.claims.close()
        self.keeper.stop(drain_s=5)
        for phone in self.phones:
            phone.sock.close()
        assert self.gateway.failure is None


class Country:
    """Ingestors, and one desk that commands by them."""

    def __init__(self, nats: NatsServer, folder: Path, stack: ExitStack) -> None:
        self.stack, self.nats = stack, nats
        self.names = names_of(folder)
        link = self.link()
        link.call(made(link, sessions_stream(self.names.sessions, 1)))
        self.town = Town(folder, stack, SETTINGS)
        self.fatal: list[BaseException] = []
        self.registry = Registry()
        slot = self.town.slot_of(TAXI)
        assert slot is not None
        self.slot = slot
        self.registry.known[NUMBER] = Known(slot, TAXI, "jt808")
        self.registry.registered.add(NUMBER)
        rooms = self.town.house.rooms
        self.view = SessionView(link, self.names, gone_s=GONE_S)
        stack.callback(self.view.close)
        assert self.view.wait_whole(10)
        self.down = DownReach(link, self.names, self.view)
        self.reach = Reach(
            link,
            self.names,
            self.view,
            DeviceProtocols(rooms, rooms.registry.directory()),
            self.down,
            clock=self.town.house.clock,
            timeout_s=1.0,
        )
        self.duty = CommandDuty(
            rooms.commands,
            rooms.desk,
            self.town.house.operations,
            self.reach,
            slot_of=self.town.slot_of,
            protocol_of=lambda _device: "",
            settings=SETTINGS.commands,
            clock=self.town.house.clock,
            on_fatal=self.fatal.append,
        )
        self.duty.turn()

    def link(self) -> Link:
        made = link_to([self.nats.url])
        self.stack.callback(made.close)
        return made

    def turns(self, condition: Callable[[], object], what: str) -> None:
        """The duty's thread, by hand, until `condition`."""

        def turned() -> bool:
            self.duty.turn()
            return bool(condition())

        wait_until(turned, 20, what)

    def held_by(self, ingestor: Ingestor) -> bool:
        found = self.view.of_slot(self.slot)
        return found is not None and found.run == ingestor.claims.run


@pytest.fixture
def country(nats_server: NatsServer, tmp_path: Path) -> Iterator[Country]:
    with ExitStack() as stack:
        made = Country(nats_server, tmp_path, stack)
        yield made
        assert not made.fatal


def accept(phone: Phone, serial: int, message_id: int) -> bytes:
    return phone.frame(0x0001, serial.to_bytes(2, "big") + message_id.to_bytes(2, "big") + b"\0")


def test_a_command_waits_for_its_terminal_wherever_it_comes_and_its_answer_comes_back(country: Country) -> None:
    first, second = Ingestor(country, "a"), Ingestor(country, "b")
    command = country.town.give()
    country.duty.turn()
    assert country.town.state(command) is CommandState.QUEUED
    phone = second.phone()
    country.turns(lambda: country.town.state(command) is CommandState.SENT, "it is sent")
    asked_for = phone.get()
    assert asked_for.message_id == 0x8801
    phone.send(accept(phone, asked_for.serial, 0x8801))
    wait_until(lambda: country.town.state(command) is CommandState.ACCEPTED, what="the answer in the store")
    for _ in range(3):
        country.duty.turn()
    assert phone.quiet()
    assert (first.hands.handed, second.hands.handed) == (0, 1)
    assert country.town.house.rooms.commands.get(command).via == "jt808"


def test_a_terminal_that_moves_takes_its_commands_along_and_nothing_else(country: Country) -> None:
    first, second = Ingestor(country, "a"), Ingestor(country, "b")
    old = first.phone()
    wait_until(lambda: country.held_by(first), what="it is at the first")
    before = country.town.give()
    country.turns(lambda: country.town.state(before) is CommandState.SENT, "it is sent to the first")
    order = old.get()
    new = second.phone()
    wait_until(lambda: country.held_by(second), what="it is at the second")
    assert old.closed()
    after = country.town.give("text", args={"text": "x"})
    country.turns(lambda: country.town.state(after) is CommandState.SENT, "it is sent to the second")
    again = new.get()
    assert again.message_id == 0x8300, "what went to the old connection does not go again"
    assert again.serial == 1, "serials are the connection's own: its authentication had the first"
    # The answer to what the old connection was told belongs to no order of this one.
    new.send(accept(new, order.serial, 0x8801), accept(new, again.serial, 0x8300))
    wait_until(lambda: country.town.state(after) is CommandState.ACCEPTED, what="the answer to the newer one")
    assert country.town.state(before) is CommandState.SENT
    country.town.house.clock.advance(SETTINGS.commands.reply_timeout_s + 1)
    country.duty.turn()
    assert country.town.state(before) is CommandState.EXPIRED
    wait_until(lambda: not first.gateway.sessions() and len(second.gateway.sessions()) == 1, what="one session")


def test_what_an_ingestor_took_and_did_not_answer_is_never_sent_again(country: Country) -> None:
    mute = Ingestor(country, "a")
    mute.phone()
    wait_until(lambda: country.held_by(mute), what="it is there")
    mute.hands.close()
    heard: list[bytes] = []
    end = mute.link.start(
        serve(mute.link, country.names.hand_subject(mute.claims.run), lambda told, _: heard.append(told))
    )
    threading.Event().wait(0.2)
    command = country.town.give()
    country.turns(lambda: country.town.state(command) is CommandState.SENT, "it is handed over")
    wait_until(lambda: len(heard) == 1, what="it was asked")
    for _ in range(3):
        country.duty.turn()
    assert country.town.state(command) is CommandState.SENT, "nobody knows, so it is not said to be refused"
    country.town.house.clock.advance(SETTINGS.commands.reply_timeout_s + 1)
    country.duty.turn()
    stored = country.town.house.rooms.commands.get(command)
    assert (stored.state, stored.detail) == (CommandState.EXPIRED, "no answer")
    assert len(heard) == 1
    end()


def test_an_ingestor_that_is_gone_is_said_to_have_sent_nothing(country: Country) -> None:
    gone = Ingestor(country, "a")
    gone.phone()
    wait_until(lambda: country.held_by(gone), what="it is there")
    gone.hands.close()  # its word still stands for a moment, as after a kill
    threading.Event().wait(0.2)
    lost = country.town.give()
    country.turns(lambda: country.town.state(lost) is CommandState.REFUSED, "nothing has left")
    assert "gone" in country.town.house.rooms.commands.get(lost).detail


def test_the_next_command_waits_until_another_ingestor_has_the_terminal(country: Country) -> None:
    first, second = Ingestor(country, "a"), Ingestor(country, "b")
    first.phone()
    wait_until(lambda: country.held_by(first), what="it is at the first")
    first.claims.close()
    wait_until(lambda: country.reach.via(TAXI, country.slot) == "", what="it is nowhere")
    command = country.town.give()
    country.duty.turn()
    assert country.town.state(command) is CommandState.QUEUED
    phone = second.phone()
    country.turns(lambda: country.town.state(command) is CommandState.SENT, "it is sent to the second")
    assert phone.get().message_id == 0x8801


def test_the_same_order_is_done_once_and_answered_twice(country: Country) -> None:
    one = Ingestor(country, "a")
    phone = one.phone()
    link = country.link()
    written = msgspec.msgpack.encode(
        Question("K1", country.slot, "snapshot", {"channel": 1, "count": 1, "interval_s": 0})
    )
    subject = country.names.hand_subject(one.claims.run)
    told = [msgspec.msgpack.decode(link.call(asked(link, subject, written, 5)), type=Told) for _ in range(2)]
    assert [answer.what for answer in told] == [DONE, DONE]
    assert phone.get().message_id == 0x8801
    phone.send(phone.frame(0x0002))
    assert phone.general()[1] == 0x0002
    assert phone.quiet()
    away = link.call(asked(link, subject, msgspec.msgpack.encode(Question("K2", 999, "snapshot")), 5))
    assert msgspec.msgpack.decode(away, type=Told).what == AWAY
    junk = msgspec.msgpack.decode(link.call(asked(link, subject, b"\xff", 5)), type=Told)
    assert "does not understand" in junk.why


def test_what_a_protocol_does_not_have_is_refused_in_its_words(country: Country) -> None:
    one = Ingestor(country, "a")
    phone = one.phone()
    wait_until(lambda: country.held_by(one), what="it is there")
    command = country.town.house.rooms.commands.get(country.town.give())
    from dataclasses import replace

    with pytest.raises(Refused, match="808"):
        country.reach.send(replace(command, name="cut_power", args={"restore": False}, via="jt808"), country.slot)
    with pytest.raises(TryAgain):
        country.reach.send(replace(command, via="jt808"), 999)
    country.reach.end_listen(replace(command, via="jt808"), country.slot)
    assert phone.get().message_id == 0x8103


def test_an_answer_that_comes_late_finds_nobody(country: Country) -> None:
    link, other = country.link(), country.link()
    answers: list[Answer] = []
    end = other.start(serve(other, "late.subject", lambda _told, answer: answers.append(answer)))
    threading.Event().wait(0.2)
    with pytest.raises(Unanswered):
        link.call(asked(link, "late.subject", b"x", 0.2))
    answers[0](b"too late")
    with pytest.raises(Unanswered):
        link.call(asked(link, "late.subject", b"x", 0.2))
    end()


class Subscriber:
    """A device at one broker."""

    def __init__(self, broker: Mosquitto, topic: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.ready = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="device")
        self.client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda _client, _data, message: self.got.append(
            (message.topic, bytes(message.payload))
        )
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self.ready.wait(10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_a_message_over_mqtt_reaches_the_device_at_whichever_broker_it_is_once(
    country: Country, tmp_path: Path
) -> None:
    brokers = [Mosquitto(tmp_path / f"m{count}").start() for count in range(2)]
    downs = [DownLink(parse_broker_url(broker.url), "desk") for broker in brokers]
    for broker, down in zip(brokers, downs, strict=True):
        country.stack.callback(broker.stop)
        down.start()
        country.stack.callback(down.stop)
    for count, down in enumerate(downs):
        Ingestor(country, f"m{count}", down=down)
    wait_until(lambda: sum(one.mqtt for one in country.view.ingestors()) == 2, what="both brokers are known")
    device = Subscriber(brokers[1], "lucheng/v1/ebike/1/down/#")
    country.stack.callback(device.close)
    command = country.town.give("siren", device="ebike/1")
    country.turns(lambda: country.town.state(command) is CommandState.SENT, "it is sent")
    assert country.town.house.rooms.commands.get(command).via == "mqtt"
    wait_until(lambda: device.got, what="the device hears it")
    had = threading.Event()
    wait_until(lambda: country.down.send("lucheng/v1/ebike/1/down/alarm_state", b"{}", had.set), what="it is taken on")
    assert had.wait(20)
    wait_until(lambda: len(device.got) == 2, what="both messages")
    assert [topic.rpartition("/")[2] for topic, _ in device.got] == ["command", "alarm_state"]
    brokers[0].kill()
    wait_until(lambda: sum(one.mqtt for one in country.view.ingestors()) == 1, 60, "one broker is gone")
    again = threading.Event()
    wait_until(
        lambda: country.down.send("lucheng/v1/ebike/1/down/alarm_state", b"{}", again.set), what="it is taken on"
    )
    assert again.wait(20)
    wait_until(lambda: len(device.got) == 3, what="it needs the living one alone")
    brokers[1].kill()
    wait_until(lambda: not country.down.connected, 60, "nobody is there")
    assert not country.down.send("x", b"", lambda: None)
