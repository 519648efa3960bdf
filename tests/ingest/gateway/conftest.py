"""A gateway on free loopback ports, and all that it needs around it: a registry, a log that commits when told, terminals."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from devices.terminals import RegisterAnswer, Registering, Result
from ingest.decode.decoder import Decoded
from ingest.gateway.gateway import Gateway
from ingest.gateway.limits import GatewayLimits
from ingest.jt808 import codec
from ingest.jt905 import codec as codec905
from model.clock import FakeClock
from model.codes import Reason
from model.command import Reply
from model.evidence import NewEvidence, Report
from tests.conftest import wait_until

#: Longest that a test waits for something that has to come.
ANSWER_S = 10.0
NUMBER = "13800000001"
LIMITS = GatewayLimits(tick_ms=20, part_timeout_s=5.0, part_retries=3)


@dataclass(frozen=True)
class Known:
    """A registered terminal."""

    slot: int
    device: str
    protocol: str = ""
    enabled: bool = True
    plate: str = ""
    model: str = ""


class Registry:
    """Terminals by number; the token of a number is `token-{number}` once it registered."""

    def __init__(self) -> None:
        self.known: dict[str, Known] = {}
        self.registered: set[str] = set()
        self.asked: list[Registering] = []

    def add(self, number: str, protocol: str = "jt808", *, registered: bool = True, enabled: bool = True) -> Known:
        found = Known(len(self.known), f"taxi/{len(self.known)}", protocol, enabled)
        self.known[number] = found
        if registered:
            self.registered.add(number)
        return found

    def find(self, number: str) -> Known | None:
        return self.known.get(number)

    def register_all(self, asked: Sequence[Registering]) -> Sequence[RegisterAnswer]:
        self.asked += asked
        made = []
        for one in asked:
            if one.number in self.known:
                self.registered.add(one.number)
                made.append(RegisterAnswer(Result.OK, f"token-{one.number}"))
            else:
                made.append(RegisterAnswer(Result.NO_TERMINAL))
        return made

    def check(self, number: str, token: str) -> bool:
        return number in self.registered and token == f"token-{number}"

    def bound(self, device_slot: int) -> bool:
        return any(self.known[number].slot == device_slot for number in self.registered)


class Log:
    """Takes what was decoded; commits at once, or when told."""

    def __init__(self) -> None:
        self.at_once = True
        self.taken: list[Decoded] = []
        self.waiting: list[Callable[[], None]] = []

    def take(self, decoded: Decoded, done: Callable[[], None]) -> None:
        self.taken.append(decoded)
        if self.at_once:
            done()
        else:
            self.waiting.append(done)

    def commit(self) -> None:
        """Everything that waits is durable now."""
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done()

    @property
    def points(self) -> int:
        return sum(len(decoded.batch) for decoded in self.taken)

    def column(self, name: str) -> list[Any]:
        """A column of all points."""
        parts = [decoded.batch.column(name) for decoded in self.taken if len(decoded.batch)]
        return np.concatenate(parts).tolist() if parts else []

    @property
    def reasons(self) -> list[Reason]:
        return [one.reason for decoded in self.taken for one in decoded.quarantined]

    @property
    def details(self) -> list[str]:
        return [one.detail for decoded in self.taken for one in decoded.quarantined]


@dataclass
class Events:
    """Remembers what the gateway told; media and reports are durable at once, or when told."""

    told: list[tuple[Any, ...]] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    pieces: list[NewEvidence] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    at_once: bool = True
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def online(self, slot: int, device: str, protocol: str) -> None:
        self.told.append(("online", slot, protocol))

    def offline(self, slot: int, device: str) -> None:
        self.told.append(("offline", slot))

    def reply(self, reply: Reply) -> None:
        self.replies.append(reply)

    def media(self, new: NewEvidence, done: Callable[[], None]) -> None:
        self.pieces.append(new)
        self._keep(done)

    def report(self, report: Report, done: Callable[[], None]) -> None:
        self.reports.append(report)
        self._keep(done)

    def _keep(self, done: Callable[[], None]) -> None:
        if self.at_once:
            done()
        else:
            self.waiting.append(done)

    def commit(self) -> None:
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done()


class Phone:
    """A JT/T 808 or 905 terminal on a real socket."""

    def __init__(self, port: int, number: str = NUMBER, *, version: int = 2013, protocol: str = "jt808") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self.version = version
        self.codec: Any = codec905 if protocol == "jt905" else codec
        self.serial = 0
        self._rest = b""
        self._got: list[Any] = []

    def frame(self, message_id: int, body: bytes = b"", *, serial: int | None = None) -> bytes:
        """One frame, the next serial if none is given."""
        if serial is None:
            serial = self.serial
            self.serial += 1
        frames = self.codec.write_frames(message_id, body, number=self.number, serial=serial, version=self.version)
        assert len(frames) == 1
        made: bytes = frames[0]
        return made

    def parts(self, message_id: int, body: bytes, max_body: int, serial: int) -> list[bytes]:
        """All frames of a message that goes in parts."""
        made: list[bytes] = codec.write_frames(
            message_id, body, number=self.number, serial=serial, version=self.version, max_body=max_body
        )
        return made

    def send(self, *frames: bytes) -> None:
        self.sock.sendall(b"".join(frames))

    def get(self) -> Any:
        """The next frame that the gateway sends."""
        while not self._got:
            data = self.sock.recv(65536)
            assert data, "the gateway closed the connection"
            pieces = (self._rest + data).split(b"\x7e")
            self._rest = pieces.pop()
            self._got += [self.codec.read_frame(b"\x7e" + one + b"\x7e") for one in pieces if one]
        return self._got.pop(0)

    def general(self) -> tuple[int, int, int]:
        """The next frame is a general reply: serial, message id, result."""
        frame = self.get()
        assert frame.message_id == 0x8001, hex(frame.message_id)
        assert frame.checksum_ok
        assert frame.number == self.number
        return (
            int.from_bytes(frame.body[:2], "big"),
            int.from_bytes(frame.body[2:4], "big"),
            frame.body[4],
        )

    def authenticate(self) -> None:
        token = f"token-{self.number}".encode()
        body = token if self.version < 2019 else bytes((len(token),)) + token + bytes(35)
        self.send(self.frame(0x0102, body))
        assert self.general()[1:] == (0x0102, 0)

    def quiet(self) -> bool:
        """Whether nothing has come that is not taken yet, without waiting."""
        if self._got:
            return False
        self.sock.setblocking(False)
        try:
            self._rest += self.sock.recv(65536)
        except BlockingIOError:
            return not self._rest
        finally:
            self.sock.settimeout(ANSWER_S)
        return False

    def closed(self) -> bool:
        """Read until the gateway closes."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            return True
        return True


def position(
    *, lat: float = 40.65, lon: float = 109.84, time: str = "251009120000", alarm: int = 0, status: int = 3
) -> bytes:
    """The 28 bytes of a position."""
    fixed = b"".join(
        value.to_bytes(size, "big")
        for value, size in (
            (alarm, 4),
            (status, 4),
            (round(lat * 1e6), 4),
            (round(lon * 1e6), 4),
            (1000, 2),
            (315, 2),
            (90, 2),
        )
    )
    return fixed + bytes.fromhex(time)


def batch(*items: bytes, blind: bool = False) -> bytes:
    """The body of 0704."""
    return (
        len(items).to_bytes(2, "big")
        + bytes((blind,))
        + b"".join(len(item).to_bytes(2, "big") + item for item in items)
    )


@dataclass
class House:
    """A running gateway and what is around it."""

    gateway: Gateway
    registry: Registry
    log: Log
    events: Events
    clock: FakeClock
    phones: list[Phone] = field(default_factory=list)

    def phone(self, number: str = NUMBER, *, version: int = 2013, protocol: str = "jt808", known: bool = True) -> Phone:
        """A terminal that has connected, known to the registry."""
        if known and number not in self.registry.known:
            self.registry.add(number, protocol)
        made = Phone(self.gateway.jt_port, number, version=version, protocol=protocol)
        self.phones.append(made)
        return made

    def authenticated(self, number: str = NUMBER, *, version: int = 2013) -> Phone:
        """One that has authenticated."""
        phone = self.phone(number, version=version)
        phone.authenticate()
        return phone

    def pass_s(self, duration_s: float) -> None:
        """Let time pass, and have the gateway look at it."""
        self.clock.advance(duration_s)
        self.gateway.look()

    def settled(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, ANSWER_S, what)


Opener = Callable[..., House]


@pytest.fixture
def open_house() -> Iterator[Opener]:
    """Makes gateways; all are stopped in the end, and none may have failed."""
    made: list[House] = []

    def opened(limits: GatewayLimits = LIMITS, **more: Any) -> House:
        registry, log, events, clock = Registry(), Log(), Events(), FakeClock()
        asked: dict[str, Any] = {"jt_port": 0, "jt_udp": True, "gt06_port": 0, "phone_number": "04721234567", **more}
        gateway = Gateway(limits, clock=clock, terminals=registry, take=log.take, events=events, **asked).start()
        made.append(House(gateway, registry, log, events, clock))
        return made[-1]

    yield opened
    for house in made:
        house.log.at_once = True
        house.log.commit()
        for phone in house.phones:
            phone.sock.close()
        house.gateway.stop()
        assert house.gateway.failure is None


@pytest.fixture
def house(open_house: Opener) -> House:
    """A gateway with the limits of tests."""
    return open_house()
