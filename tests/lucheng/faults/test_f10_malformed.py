"""F10: a flood of malformed messages among good traffic: no crash, no growth, each counted by its reason, good points stored."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from config.sections import Settings
from lucheng.rooms import open_rooms
from model.codes import Reason
from simulator.firehose import Bytes, Firehose
from tests.conftest import Mosquitto
from tests.lucheng.faults.judge import GRANT, Stored, judge
from tests.lucheng.faults.sender import SenderProcess
from tests.lucheng.service_process import ServiceProcess

MAX_GROWTH_BYTES = 50 * 2**20
KEPT_PER_REASON = 1_000
PAYLOAD_BYTES = 4_096
GATEWAY_RECORD_BYTES = 28
HOUR_MS = 3_600_000
GOOD_RATE = 300
STEADY_RATE, STEADY_S = 4_000.0, 2.0
#: Unacknowledged messages of the flood, also the broker's queue for us.
WINDOW = 4_000
POINT = "lucheng/v1/taxi/bad/up/point"
ALARM = "lucheng/v1/button/bad/up/alarm"
RECORDS = "lucheng/v1/gateway/bad/up/records"


def _kinds(now_ms: int) -> list[tuple[str, bytes, Reason, int]]:
    """Topic, payload, the reason it must be counted under, and how many points it stands for."""

    def point(more: str = "", *, ts: object = now_ms, lat: object = 40.65, lon: object = 109.84) -> bytes:
        return f'{{"ts":{ts},"lat":{lat},"lon":{lon}{more}}}'.encode()

    return [
        (POINT, b"", Reason.NOT_JSON, 1),
        (POINT, b"{", Reason.NOT_JSON, 1),
        (POINT, os.urandom(64).replace(b"{", b"\xff").replace(b"[", b"\xff") + b"\xff", Reason.NOT_JSON, 1),
        (POINT, b'{"ts":1,"lat":1,"lon":1,"note":"\xc3\x28"}', Reason.NOT_JSON, 1),
        (POINT, b"[" * 3_000, Reason.NOT_JSON, 1),
        (POINT, b'{"a":' * 700, Reason.NOT_JSON, 1),
        (POINT, b'"taxi"', Reason.WRONG_TYPE, 1),
        (POINT, point(ts='"now"'), Reason.WRONG_TYPE, 1),
        (POINT, point(',"speed_kmh":[]'), Reason.WRONG_TYPE, 1),
        (POINT, b'{"ts":1}', Reason.MISSING_FIELD, 1),
        (POINT, b"[" + b",".join([b'{"lat":1}'] * 40) + b"]", Reason.MISSING_FIELD, 40),
        (POINT, point(lat="91.5"), Reason.OUT_OF_RANGE, 1),
        (POINT, point(ts="1" * 30), Reason.OUT_OF_RANGE, 1),
        (POINT, point(lat="0", lon="0"), Reason.NULL_ISLAND, 1),
        (POINT, point(ts=now_ms + 48 * HOUR_MS + 7 * 60_000), Reason.FUTURE, 1),
        (POINT, point(ts=now_ms - 40 * 24 * HOUR_MS), Reason.STALE_CLOCK, 1),
        (POINT, point(',"id":"taxi/other"'), Reason.IDENTITY_MISMATCH, 1),
        (POINT, point(',"datum":"mars"'), Reason.BAD_DATUM, 1),
        (POINT, point(',"x":"' + "x" * PAYLOAD_BYTES + '"'), Reason.TOO_LARGE, 1),
        (POINT.replace("bad", "nobody"), point(), Reason.UNKNOWN_DEVICE, 1),
        (POINT.replace("bad", "off"), point(), Reason.DISABLED_DEVICE, 1),
        (POINT.replace("taxi", "spaceship"), point(), Reason.BAD_TOPIC, 1),
        (ALARM, f'{{"id":"1","ts":{now_ms},"kind":"apocalypse"}}'.encode(), Reason.UNKNOWN_ALARM, 1),
        (ALARM, b"\x00\x01", Reason.NOT_JSON, 1),
        (RECORDS, b"x" * (2 * GATEWAY_RECORD_BYTES + 1), Reason.BAD_RECORD_LENGTH, 1),
        (RECORDS, b"\xff" * (3 * GATEWAY_RECORD_BYTES), Reason.IDENTITY_MISMATCH, 3),
    ]


def _packets(topic: str, payload: bytes, first_id: int, count: int) -> Bytes:
    """`count` PUBLISH packets at QoS 1 (MQTT 3.1.1, 3.3), one a row, with packet ids from `first_id` on."""
    body = struct.pack(">H", len(topic)) + topic.encode() + b"\0\0" + payload
    left, head = len(body), bytearray([0x32])
    while True:
        left, low = divmod(left, 128)
        head.append(low | (0x80 if left else 0))
        if not left:
            break
    one = np.frombuffer(bytes(head) + body, np.uint8)
    out = np.tile(one, (count, 1))
    ids = (first_id + np.arange(count)) % 65_535 + 1
    at = len(head) + 2 + len(topic)
    out[:, at], out[:, at + 1] = ids >> 8, ids & 0xFF
    return out


class _Flood:
    """Sends kinds in turn and counts what it sent, by reason.

    Args:
        mosquitto: the broker.
        rate_per_s: messages a second; 0: as fast as the broker takes them.
    """

    def __init__(self, mosquitto: Mosquitto, rate_per_s: float = 0) -> None:
        self.hose = Firehose(mosquitto.url, window=WINDOW, client_id=f"flood-{rate_per_s}")
        self.rows: Counter[Reason] = Counter()
        self.messages = 0
        self._rate_per_s = rate_per_s

    def send(self, messages: int, burst: int) -> None:
        """Send `messages` of all kinds, `burst` of a kind at a time."""
        kinds = _kinds(time.time_ns() // 1_000_000)
        end, turn = self.messages + messages, 0
        while self.messages < end:
            topic, payload, reason, rows = kinds[turn % len(kinds)]
            turn += 1
            count = min(burst, end - self.messages)
            self.hose.send(_packets(topic, payload, self.messages, count), self._rate_per_s)
            self.messages += count
            self.rows[reason] += rows * count
        self.hose.drain()


def _p99_lag_ms(service: ServiceProcess, going_on: Callable[[], bool]) -> float:
    """p99 of how far the pipeline is behind, asked again and again."""
    lags_ms = []
    while going_on():
        lags_ms.append(service.status()["live"]["lag_ms"])
        time.sleep(0.02)
    return float(np.percentile(lags_ms, 99))


def _steady(service: ServiceProcess, mosquitto: Mosquitto, rows: Counter[Reason]) -> tuple[float, float]:
    """p99 of the lag without a flood and in a steady one that this machine can take."""
    end_s = time.monotonic() + STEADY_S
    calm_ms = _p99_lag_ms(service, lambda: time.monotonic() < end_s)
    flood = _Flood(mosquitto, STEADY_RATE)
    sending = threading.Thread(target=flood.send, args=(int(STEADY_RATE * STEADY_S), 20))
    sending.start()
    steady_ms = _p99_lag_ms(service, sending.is_alive)
    sending.join()
    flood.hose.close()
    rows.update(flood.rows)
    return calm_ms, steady_ms


def _flood(mosquitto: Mosquitto, folder: Path, messages: int) -> None:
    data = folder / "data"
    good = [f"taxi/{number}" for number in range(50)]
    with open_rooms(data, Settings(), write=True) as rooms:
        rooms.registry.ensure(["taxi/bad", "taxi/off", "button/bad", "button/1", "gateway/bad", *good])
        # Taxis in distress, whose names the sender derives from how much it has sent.
        rooms.registry.ensure([f"taxi/sos-{number}" for number in range(250, 100_000, 250)])
        rooms.registry.disable("taxi/off")
    env = {
        "LUCHENG_SERIES__MAX_QUARANTINE_ROWS_PER_REASON": str(KEPT_PER_REASON),
        "LUCHENG_LIMITS__PAYLOAD_BYTES": str(PAYLOAD_BYTES),
    }
    with (
        ServiceProcess(data, mosquitto.url, env=env).start() as service,
        SenderProcess(mosquitto.url, folder / "ledger", rate=GOOD_RATE) as sender,
    ):
        flood = _Flood(mosquitto)
        flood.send(len(_kinds(0)) * 100, 100)  # what every code path needs once is no growth
        service.wait_status(lambda now: now["received"] >= sum(flood.rows.values()), "the first of the flood")
        before_bytes = service.rss_bytes()
        calm_ms, steady_ms = _steady(service, mosquitto, flood.rows)
        began_s = time.monotonic()
        flood.send(messages, 250)
        sent_s = time.monotonic() - began_s
        service.wait_status(lambda now: now["received"] >= sum(flood.rows.values()), "the whole flood")
        sent = sender.stop()
        state = service.wait_quiet()
        grown_bytes = service.rss_bytes() - before_bytes
        flood.hose.close()
        assert service.starts == 1
        assert state["live"]["mqtt_points_failures"] == state["live"]["mqtt_alarms_failures"] == 0
        assert service.terminate()[0] == 0
    print(
        f"{flood.messages} malformed messages in {sent_s:.1f} s; RSS grew {grown_bytes / 2**20:.1f} MB;"
        f" p99 of the lag {calm_ms:.0f} ms in calm, {steady_ms:.0f} ms in a steady flood of {STEADY_RATE:.0f}/s"
    )
    assert grown_bytes < MAX_GROWTH_BYTES
    assert state["quarantined"] == {reason.name.lower(): rows for reason, rows in flood.rows.items()}
    print(judge(data, sent, at_least=GOOD_RATE))
    assert "taxi/bad" not in {device for device, _ in Stored.read(data).points}
    with open_rooms(data, Settings(), write=False) as rooms:
        for reason in flood.rows:
            kept = rooms.series.quarantine_list(GRANT, reason=reason, limit=10 * KEPT_PER_REASON)
            assert 0 < len(kept) <= KEPT_PER_REASON
            assert all(len(row.entry.raw) <= PAYLOAD_BYTES for row in kept)


@pytest.mark.soak
def test_a_flood_of_malformed_messages(mosquitto: Mosquitto, tmp_path: Path) -> None:
    _flood(mosquitto, tmp_path, 20_000)


@pytest.mark.soak
def test_a_million_malformed_messages(mosquitto: Mosquitto, tmp_path: Path) -> None:
    _flood(mosquitto, tmp_path, 1_000_000)
