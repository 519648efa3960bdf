"""A load generator that costs next to nothing: `python -m simulator.firehose --broker URL --mode json1 …`.

Purpose: keep a broker's backlog full while the program under test gets the processor. PUBLISH packets of fixed width are made thousands at a
time by writing digits into a byte matrix, sent through one raw socket at QoS 1, and PUBACKs are counted by their bytes. Invariants: every packet is
valid MQTT 3.1.1 and every payload valid by `mqtt.md`; never more than `window` messages are unacknowledged, and packet
ids are not used again before their PUBACK; each device sends a point every 10 s of its own time, the last one now.

Modes: `json1` one point of 125 bytes a message; `json50` an array of 50 points of one device; `records` 500 28-byte records of a gateway.
Device ids are `taxi/000000` … and the gateway's `gateway/000000` …; records carry the registry numbers
from `first_number` on.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import ssl
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.errors import LuchengError, TryAgain, UsageError
from simulator.payloads import RECORD, TOPIC_ROOT
from simulator.publisher import Broker

Bytes = npt.NDArray[np.uint8]

DEFAULT_WINDOW = 8000
DEFAULT_TIMEOUT_S = 60.0
#: Messages made at a time.
CHUNK_MESSAGES = {"json1": 8192, "json50": 256, "records": 64}
POINTS_PER_MESSAGE = {"json1": 1, "json50": 50, "records": 500}
STEP_MS = 10_000
POINT_BYTES = 125
MAX_DEVICES = 1_000_000
_SEND_MESSAGES = 256
_PUBLISH_QOS1 = 0x32
_PUBACK = 0x40
_RATE_TICK_S = 0.005
#: `#` stands for a digit that is written per point; numbers have a fixed width without leading zeros.
_POINT = b'{"seq":1######,"ts":#############,"lat":40.#####,"lon":109.8####,"speed_kmh":##.#,"heading_deg":1##,"ignition":true,"sat":11}'


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send.

    Attributes:
        mode: `json1`, `json50` or `records`.
        messages: how many messages.
        devices: how many devices they are spread over.
        start_ms: time of the first points, UTC ms.
        first_number: registry number of the first device (records).
        gateways: gateways that records are spread over; each carries its own equal share of the devices.
        seed: of the places.
    """

    mode: str
    messages: int
    devices: int
    start_ms: int
    first_number: int = 1
    gateways: int = 1
    seed: int = 1

    @property
    def points(self) -> int:
        """Points in all messages."""
        return self.messages * POINTS_PER_MESSAGE[self.mode]


def span_ms(mode: str, messages: int, devices: int, gateways: int = 1) -> int:
    """Device time that so many messages cover, at most."""
    senders = gateways if mode == "records" else devices
    points = -(-messages // senders) * POINTS_PER_MESSAGE[mode]
    if mode == "records":
        points = -(-points // max(1, devices // gateways))
    return points * STEP_MS


def _write_digits(target: Bytes, values: npt.NDArray[np.int64], width: int) -> None:
    """Write numbers as `width` digits into the last axis of `target`, shape (..., width)."""
    for k in range(width - 1, -1, -1):
        values, digit = np.divmod(values, 10)
        target[..., k] = digit + ord("0")


def _spans(template: bytes) -> list[tuple[int, int]]:
    """Start and length of each run of `#`."""
    raw = np.frombuffer(template, np.uint8) == ord("#")
    edges = np.flatnonzero(np.diff(raw.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b - a)) for a, b in edges.reshape(-1, 2)]


def _points(
    device: npt.NDArray[np.int64], count: npt.NDArray[np.int64], plan: Plan
) -> tuple[npt.NDArray[np.int64], ...]:
    """Time ms, lat and lon (1e-5°) past 40° and 109.8°, speed 0.1 km/h (10 to 69.9: nobody speeds), heading of each device's count-th point."""
    phase_ms = device * 7919 % STEP_MS
    mixed = (device + plan.seed) * 2_654_435_761
    lat = (mixed % 50_000 + 40_000 + count * 7) % 100_000
    lon = (mixed // 7 % 9_000 + count * 11) % 10_000
    return (
        plan.start_ms + count * STEP_MS + phase_ms,
        lat,
        lon,
        100 + (mixed + count * 13) % 600,
        (device + count) % 100,
    )


def _json_matrix(plan: Plan, device: npt.NDArray[np.int64], first: npt.NDArray[np.int64], per: int) -> Bytes:
    """Payloads of `per` points each, shape (n, payload bytes)."""
    count = first[:, None] + np.arange(per)
    time_ms, lat, lon, speed, heading = _points(device[:, None], count, plan)
    cell = np.frombuffer(_POINT, np.uint8)
    gap = b"," if per > 1 else b""
    cells = np.empty((len(device), per, len(cell) + len(gap)), np.uint8)
    cells[:, :, : len(cell)] = cell
    cells[:, :, len(cell) :] = np.frombuffer(gap, np.uint8)
    values = (count % 1_000_000, time_ms, lat, lon, speed // 10, speed % 10, heading)
    for (start, width), value in zip(_spans(_POINT), values, strict=True):
        _write_digits(cells[:, :, start : start + width], value, width)
    flat = cells.reshape(len(device), -1)
    if per == 1:
        return flat
    out = np.empty((len(device), flat.shape[1] + 1), np.uint8)
    out[:, 0] = ord("[")
    out[:, 1:] = flat
    out[:, -1] = ord("]")
    return out


def _record_matrix(plan: Plan, first_row: npt.NDArray[np.int64], gateway: npt.NDArray[np.int64]) -> Bytes:
    """Payloads of 500 records each, shape (n, 14000); a gateway's devices report in turn."""
    share = plan.devices // plan.gateways
    row = first_row[:, None] + np.arange(POINTS_PER_MESSAGE["records"])
    device = gateway[:, None] * share + row % share
    time_ms, lat, lon, speed, heading = _points(device, row // share, plan)
    cells = np.zeros(row.shape, RECORD)
    cells["id"] = device + plan.first_number
    cells["ts"] = time_ms
    cells["lat"] = lat * 10 + 40_000_000
    cells["lon"] = lon * 10 + 109_800_000
    cells["speed"] = speed
    cells["heading"] = (heading + 100) * 10
    cells["status"] = 1
    cells["sat"] = 9
    return cells.view(np.uint8).reshape(len(first_row), -1)


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def packets(plan: Plan) -> Iterator[Bytes]:
    """PUBLISH packets of the plan, matrices (n, packet bytes) of whole packets in order."""
    if plan.mode not in POINTS_PER_MESSAGE:
        raise UsageError(f"There is no mode {plan.mode[:20]!r}.", mend="Use json1, json50 or records.")
    if not 1 <= plan.gateways <= plan.devices <= MAX_DEVICES:
        raise UsageError(f"Devices must be 1 to {MAX_DEVICES}, and no fewer than gateways.", mend="Change --devices.")
    stream = "records" if plan.mode == "records" else "point"
    kind = "gateway" if plan.mode == "records" else "taxi"
    topic = f"{TOPIC_ROOT}/{kind}/######/up/{stream}".encode()
    per = POINTS_PER_MESSAGE[plan.mode]
    senders = plan.gateways if plan.mode == "records" else plan.devices
    for begin in range(0, plan.messages, CHUNK_MESSAGES[plan.mode]):
        message = np.arange(begin, min(begin + CHUNK_MESSAGES[plan.mode], plan.messages), dtype=np.int64)
        sender = message % senders
        first = message // senders * per
        body = _record_matrix(plan, first, sender) if plan.mode == "records" else _json_matrix(plan, sender, first, per)
        head = (
            bytes([_PUBLISH_QOS1]) + _varint(2 + len(topic) + 2 + body.shape[1]) + struct.pack(">H", len(topic)) + topic
        )
        out = np.empty((len(message), len(head) + 2 + body.shape[1]), np.uint8)
        out[:, : len(head)] = np.frombuffer(head, np.uint8)
        start, width = _spans(head)[-1]
        _write_digits(out[:, start : start + width], sender, width)
        packet_id = message % 65_535 + 1
        out[:, len(head)] = packet_id >> 8
        out[:, len(head) + 1] = packet_id & 0xFF
        out[:, len(head) + 2 :] = body
        yield out


class Firehose:
    """One raw MQTT 3.1.1 connection.

    Args:
        broker_url: `mqtt[s]://user:password@host:port`.
        client_id: client id.
        window: unacknowledged messages, at most 65,000 (packet ids are 16 bits).
        timeout_s: how long the broker may say nothing while we wait for it.

    Raises TryAgain when the broker does not answer or hangs up, UsageError when it refuses us.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        client_id: str = "lucheng-firehose",
        window: int = DEFAULT_WINDOW,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._broker = Broker.parse(broker_url)
        self._window = min(window, 65_000)
        self._timeout_s = timeout_s
        self._rest = b""
        self.sent = 0
        self.acknowledged = 0
        self._began_s = 0.0
        try:
            raw = socket.create_connection((self._broker.host, self._broker.port), timeout_s)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = (
                ssl.create_default_context().wrap_socket(raw, server_hostname=self._broker.host)
                if self._broker.tls
                else raw
            )
        except OSError as error:
            raise TryAgain(f"The broker does not answer: {error}.", mend="Start it, or check --broker.") from error
        self._socket = tls
        self._socket.sendall(self._connect_packet(client_id))
        answer = self._receive()
        while len(answer) < 4:
            answer += self._receive()
        if answer[:1] != b"\x20" or answer[3]:
            raise UsageError(f"The broker refuses the connection (code {answer[3]}).", mend="Check user and password.")
        self._rest = answer[4:]

    def _connect_packet(self, client_id: str) -> bytes:
        flags = 0x02
        texts = [client_id.encode()]
        if self._broker.user:
            flags |= 0xC0
            texts += [self._broker.user.encode(), self._broker.password.encode()]
        body = struct.pack(">H4sBBH", 4, b"MQTT", 4, flags, 0)
        body += b"".join(struct.pack(">H", len(text)) + text for text in texts)
        return b"\x10" + _varint(len(body)) + body

    def send(self, matrix: Bytes, rate_per_s: float = 0) -> None:
        """Send whole packets; with a rate, no faster than that many messages a second."""
        view = np.ascontiguousarray(matrix).data.cast("B")
        width = matrix.shape[1]
        if not self.sent:
            self._began_s = time.monotonic()
        batch = min(
            _SEND_MESSAGES, self._window, max(1, int(rate_per_s * _RATE_TICK_S)) if rate_per_s else _SEND_MESSAGES
        )
        for at in range(0, len(matrix), batch):
            count = min(batch, len(matrix) - at)
            while self.sent + count - self.acknowledged > self._window:
                self._acknowledge(self._receive())
            if rate_per_s:
                ahead_s = self.sent / rate_per_s - (time.monotonic() - self._began_s)
                if ahead_s > 0:
                    time.sleep(ahead_s)
            self._socket.sendall(view[at * width : (at + count) * width])
            self.sent += count
            while select.select([self._socket], [], [], 0)[0]:
                self._acknowledge(self._receive())

    def drain(self) -> None:
        """Wait for the last PUBACK."""
        while self.acknowledged < self.sent:
            self._acknowledge(self._receive())

    def close(self) -> None:
        """Say goodbye and close."""
        try:
            self._socket.sendall(b"\xe0\x00")
        finally:
            self._socket.close()

    def _receive(self) -> bytes:
        try:
            got = self._socket.recv(65_536)
        except OSError as error:
            raise TryAgain(f"The broker says nothing any more: {error}.", mend="Look at its log.") from error
        if not got:
            raise TryAgain("The broker closed the connection.", mend="Look at its log.")
        return got

    def _acknowledge(self, got: bytes) -> None:
        """Count PUBACKs: four bytes each, and nothing else may come."""
        got = self._rest + got
        whole = len(got) // 4
        self._rest = got[whole * 4 :]
        if got[: whole * 4 : 4].count(_PUBACK) != whole:
            raise TryAgain("The broker answered with something that is no PUBACK.", mend="Look at its log.")
        self.acknowledged += whole


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; prints one JSON line with what was done and what it cost."""
    parser = argparse.ArgumentParser(
        prog="simulator.firehose", description="Publish made-up points as fast as a broker takes them."
    )
    parser.add_argument("--broker", required=True, help="mqtt://user:password@host:port")
    parser.add_argument("--mode", choices=sorted(POINTS_PER_MESSAGE), default="json1")
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--first-number", type=int, default=1, help="registry number of the first device (records)")
    parser.add_argument("--rate", type=float, default=0, help="messages a second; 0: as fast as possible")
    parser.add_argument("--window", type=int, default=DEFAULT_WINDOW, help="unacknowledged messages")
    parser.add_argument(
        "--start-ms", type=int, default=0, help="time of the first points; 0: so that the last is of now"
    )
    parser.add_argument("--client-id", default="lucheng-firehose")
    given = parser.parse_args(arguments)
    # A program of its own: the clock enters here.
    start_ms = given.start_ms or time.time_ns() // 1_000_000 - span_ms(
        given.mode, given.messages, given.devices, given.gateways
    )
    plan = Plan(given.mode, given.messages, given.devices, start_ms, given.first_number, given.gateways)
    try:
        hose = Firehose(given.broker, client_id=given.client_id, window=given.window)
        began_s, began_cpu_s = time.monotonic(), time.process_time()
        for matrix in packets(plan):
            hose.send(matrix, given.rate)
        hose.drain()
        seconds, cpu_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
        hose.close()
    except LuchengError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    done = {
        "messages": plan.messages,
        "points": plan.points,
        "acknowledged": hose.acknowledged,
        "seconds": round(seconds, 3),
        "cpu_s": round(cpu_s, 3),
        "messages_per_s": round(plan.messages / max(seconds, 1e-9)),
    }
    sys.stdout.write(json.dumps(done) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
