"""Two hundred terminals behind HAProxy over three ingestors, one of which is killed: real processes, servers, PostgreSQL and balancer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from devices.details import DeviceDetails
from devices.registry import Registry
from lucheng.order_hands import DONE, Question, Told
from model.batch_codec import decode
from model.clock import SystemClock
from model.seams import RecordKind
from simulator.terminal.fleet import Fleet
from store.log.jetstream import JetStreamLog
from store.nats.calls import asked
from store.nats.sessions import SessionView
from store.nats.streams import key_value_stream, log_stream, made, sessions_stream
from tests.conftest import free_port, need_program, wait_until
from tests.nats import NatsServer, link_to, names_of
from tests.postgres import PostgresServer, told

PROJECT = Path(__file__).parents[3]
INGESTOR = Path(__file__).with_name("ingestor.py")
SHIPPED = PROJECT / "config" / "files" / "balancer" / "haproxy.cfg"
TERMINALS, INGESTORS = 200, 3
NUMBERS = [f"138{count:08d}" for count in range(TERMINALS)]
#: All have to be back by then (the order).
BACK_S = 60.0
TRACK_FASTER = {"interval_s": 5, "for_s": 60}


class Ingestor:
    """A process."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(INGESTOR), *arguments],
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the ingestor did not start"
        said = json.loads(line)
        self.port, self.run = int(said["port"]), str(said["run"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def balancer_config(port: int, ports: list[int]) -> str:
    """The shipped configuration, with the addresses of this test."""
    text = SHIPPED.read_text().partition("# GT06")[0]
    text = text.replace("bind :7611", f"bind 127.0.0.1:{port}").replace("maxconn 25000", "maxconn 1000")
    for count, ingestor in enumerate(ports, 1):
        text = text.replace(f"10.0.0.1{count}:7611", f"127.0.0.1:{ingestor}")
    assert "10.0.0" not in text
    return text


@contextlib.contextmanager
def balancer(folder: Path, ports: list[int]) -> Iterator[int]:
    """A real HAProxy; the port it listens on."""
    program, port = need_program("haproxy"), free_port()
    config = folder / "haproxy.cfg"
    config.write_text(balancer_config(port, ports))
    with (folder / "haproxy.log").open("ab") as log:
        process = subprocess.Popen([program, "-W", "-db", "-f", str(config)], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


class City:
    """Servers, ingestors and what a desk sees."""

    def __init__(self, nats: NatsServer, postgres: PostgresServer, folder: Path, stack: ExitStack) -> None:
        self.names = names_of(folder)
        self.link = link_to([nats.url])
        stack.callback(self.link.close)
        for config in (
            log_stream(self.names.alarms, self.names.alarms_subject, 1, 1 << 30),
            key_value_stream(self.names.marks, 1),
            sessions_stream(self.names.sessions, 1),
        ):
            self.link.call(made(self.link, config))
        server = postgres.server()
        stack.callback(server.close)
        self.registry = Registry(server.place("registry"), clock=SystemClock())
        stack.callback(self.registry.close)
        for count, number in enumerate(NUMBERS):
            self.registry.add(f"taxi/{count}", DeviceDetails(phone=number, plate="蒙B" + number[-5:], protocol="jt808"))
        directory = self.registry.directory()
        self.slot_of = {number: directory.slot_of[f"taxi/{count}"] for count, number in enumerate(NUMBERS)}
        self.ingestors: list[Ingestor] = []
        for name in range(INGESTORS):
            self.ingestors.append(
                Ingestor(
                    nats.url,
                    self.names.prefix,
                    told(server.place("registry")),
                    told(server.place("commands")),
                    str(folder / "secret.key"),
                    f"ingest{name}",
                )
            )
            stack.callback(self.ingestors[-1].kill)
        self.view = SessionView(self.link, self.names, gone_s=2.0)
        stack.callback(self.view.close)
        assert self.view.wait_whole(20)

    def held(self) -> dict[str, str]:
        """Who holds each terminal that is connected."""
        return {one.number: one.run for one in self.view.sessions()}

    def stored(self, nats: NatsServer) -> set[tuple[int, int]]:
        """Slot and time of every place in the log."""
        log = JetStreamLog(
            link_to([nats.url]),
            self.names,
            self.names.alarms,
            self.names.alarms_subject,
            exclusive=False,
            read_only=True,
        )
        found: set[tuple[int, int]] = set()
        after = 0
        with contextlib.closing(log):
            while records := log.read(after, max_records=1_000, max_bytes=1 << 24):
                for record in records:
                    if record.kind is RecordKind.POINTS:
                        batch = decode(record.payload)
                        found.update(zip(batch.slot.tolist(), batch.time_ms.tolist(), strict=True))
                after = records[-1].position
        return found


@pytest.fixture
def city(nats_server: NatsServer, postgres_server: PostgresServer, tmp_path: Path) -> Iterator[City]:
    with ExitStack() as stack:
        yield City(nats_server, postgres_server, tmp_path, stack)


def test_terminals_of_a_killed_ingestor_are_back_with_the_others(
    city: City, nats_server: NatsServer, tmp_path: Path
) -> None:
    runs = [one.run for one in city.ingestors]
    with (
        balancer(tmp_path, [one.port for one in city.ingestors]) as port,
        Fleet("127.0.0.1", port, NUMBERS, rate_per_s=400.0, outstanding=4) as fleet,
    ):
        fleet.connect(BACK_S)
        wait_until(lambda: len(city.held()) == TERMINALS, what="every terminal has a session")
        spread = [sum(run == one for run in city.held().values()) for one in runs]
        assert min(spread) > 0, spread
        sessions = city.view.sessions()
        assert {one.address.rpartition(":")[0] for one in sessions} == {"127.0.0.1"}
        assert len({one.address for one in sessions}) == TERMINALS, "each has its own address, by PROXY protocol"

        fleet.run(2.0)
        city.ingestors[0].kill()
        killed_s = time.monotonic()
        fleet.run(0.5)  # places go on, and those of the killed one notice
        fleet.connect(BACK_S)
        back_s = time.monotonic() - killed_s
        wait_until(
            lambda: len(held := city.held()) == TERMINALS and runs[0] not in held.values(),
            BACK_S,
            "every terminal is with the living, once",
        )
        print(f"{spread} terminals at each; all back {back_s:.1f} s after the kill")
        fleet.run(2.0)
        before = fleet.other
        for number, slot in city.slot_of.items():
            question = Question(f"K-{number}", slot, "track_faster", TRACK_FASTER)
            subject = city.names.hand_subject(city.held()[number])
            answer = city.link.call(asked(city.link, subject, msgspec.msgpack.encode(question), 5))
            assert msgspec.msgpack.decode(answer, type=Told).what == DONE
        fleet.run(3.0)
        assert fleet.other - before == TERMINALS, "each terminal heard its command, once"
        assert fleet.drain(30)
        answered = {(city.slot_of[number], time_ms) for number, times in fleet.ledger() for time_ms in times.tolist()}
    assert len(answered) > TERMINALS
    assert answered <= city.stored(nats_server), "nothing that was answered is lost"


def test_the_shipped_configuration_is_whole(tmp_path: Path) -> None:
    program = need_program("haproxy")
    made = subprocess.run([program, "-c", "-f", str(SHIPPED)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "warning" not in made.stderr.lower()
