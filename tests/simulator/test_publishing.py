"""Publishing, playing, driving a city and the firehose, all against a real mosquitto."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.batch import PointBatch
from model.clock import FakeClock, SystemClock
from model.codes import Flag
from model.errors import BadInput, TryAgain, UsageError
from simulator.city import City, FaultMaker, Faults
from simulator.firehose import POINT_BYTES, POINTS_PER_MESSAGE, Firehose, Plan, packets
from simulator.load import run_city
from simulator.payloads import RECORD
from simulator.playing import Chunk, Played, TimeMode, play
from simulator.publisher import Broker, Publisher, read_credentials

CLOCK = SystemClock()
T0 = 1_212_130_800_000
Listen = Callable[[str, str], Any]


def recorded(rows: int = 300, devices: int = 3) -> list[Chunk]:
    """Two batches, times not in order across devices, like a file sorted by device."""
    ids = [f"taxi/{k + 1}" for k in range(devices)]
    index = np.sort(np.arange(rows) % devices).astype(np.int32)
    step = np.arange(rows) % (rows // devices)
    points = PointBatch.of(
        rows, {"time_ms": T0 + step * 1000, "lat": 40 + step * 1e-5, "lon": 109.0, "flags": int(Flag.BUFFERED)}
    )
    half = np.arange(rows) < rows // 2
    return [Chunk(ids, index[part], points.take(part)) for part in (half, ~half)]


def wait_for(listener: Any, count: int) -> None:
    done = threading.Event()
    for _ in range(2000):
        if len(listener.messages) >= count:
            break
        done.wait(0.01)
    assert len(listener.messages) == count


def test_a_file_is_played_on_each_devices_topic(mosquitto: Any, listen: Listen) -> None:
    listener = listen(mosquitto.url, "lucheng/#")
    progress: list[int] = []
    with Publisher(mosquitto.url, clock=CLOCK) as publisher:
        played = play(recorded(), publisher, clock=CLOCK, speed=0, progress=lambda p: progress.append(p.points))
    assert played == Played(300, 300, 300, drained=True)
    assert progress[-1] == 300
    wait_for(listener, 300)
    by_topic = defaultdict(list)
    for topic, payload, _ in listener.messages:
        by_topic[topic].append(json.loads(payload))
    assert sorted(by_topic) == [f"lucheng/v1/taxi/{k}/up/point" for k in (1, 2, 3)]
    for sent in by_topic.values():
        assert [p["ts"] for p in sent] == [T0 + k * 1000 for k in range(100)]
        assert all(p["buffered"] is True for p in sent)


def test_played_as_of_now_in_arrays_of_one_device(mosquitto: Any, listen: Listen) -> None:
    listener = listen(mosquitto.url, "lucheng/#")
    with Publisher(mosquitto.url, clock=CLOCK) as publisher:
        now = FakeClock()
        played = play(recorded(), publisher, clock=now, speed=0, time_mode=TimeMode.NOW, points_per_message=7)
    assert played == Played(300, 45, 45, drained=True)
    wait_for(listener, 45)
    sizes: list[int] = []
    times: dict[str, list[int]] = defaultdict(list)
    for topic, payload, _ in listener.messages:
        body = json.loads(payload)
        body = body if isinstance(body, list) else [body]
        sizes.append(len(body))
        times[topic] += [p["ts"] for p in body]
        assert not any(p.get("buffered") for p in body)
    assert max(sizes) <= 7
    assert sum(sizes) == 300
    for sent in times.values():
        assert np.diff(sent).tolist() == [1000] * 99
        assert sent[-1] == FakeClock().now_ms()


def test_a_file_out_of_order_goes_out_in_the_order_of_its_times(mosquitto: Any, listen: Listen) -> None:
    listener = listen(mosquitto.url, "lucheng/#")
    with Publisher(mosquitto.url, clock=CLOCK) as publisher:
        played = play(recorded(), publisher, clock=CLOCK, speed=0, time_order=True)
    assert played == Played(300, 300, 300, drained=True)
    wait_for(listener, 300)
    times = [json.loads(payload)["ts"] for _, payload, _ in listener.messages]
    assert times == sorted(times)


def test_live_points_carry_the_time_of_their_turn(mosquitto: Any, listen: Listen) -> None:
    listener = listen(mosquitto.url, "lucheng/#")
    now = FakeClock()
    begun_ms = now.now_ms()
    with Publisher(mosquitto.url, clock=CLOCK) as publisher:
        play(recorded(), publisher, clock=now, speed=20, time_mode=TimeMode.NOW)
    wait_for(listener, 300)
    times: dict[str, list[int]] = defaultdict(list)
    for topic, payload, _ in listener.messages:
        times[topic].append(json.loads(payload)["ts"])
    for sent in times.values():
        assert sent == [begun_ms + 50 * step for step in range(100)]
    assert max(map(max, times.values())) <= now.now_ms()


def test_pace_follows_the_clock_and_stop_ends_it(mosquitto: Any) -> None:
    clock = FakeClock()
    stop = threading.Event()
    seen: list[tuple[float, int]] = []

    def progress(played: Played) -> None:
        seen.append((clock.monotonic_s(), played.points))
        if played.points >= 150:
            stop.set()

    with Publisher(mosquitto.url, clock=CLOCK) as publisher:
        played = play(recorded(), publisher, clock=clock, speed=10, stop=stop, progress=progress)
    assert 150 <= played.points < 160
    assert played.acknowledged == played.messages
    for passed_s, points in seen:
        # Three devices, a point each second of theirs, ten times as fast.
        assert points == 3 * (int(passed_s * 10 + 1e-6) + 1)


def test_too_many_points_to_sort_and_bad_arguments(mosquitto: Any) -> None:
    with Publisher(mosquitto.url, clock=CLOCK) as publisher:
        with pytest.raises(UsageError, match="more than 100 points"):
            play(recorded(), publisher, clock=CLOCK, speed=1, max_points=100)
        with pytest.raises(UsageError):
            play(recorded(), publisher, clock=CLOCK, speed=-1)
        assert publisher.sent == 0
        assert play([], publisher, clock=CLOCK, speed=1).points == 0


def test_devices_with_their_own_credentials(secured_mosquitto: Any, listen: Listen, tmp_path: Path) -> None:
    url = secured_mosquitto.url
    listener = listen(url.replace("//", "//desk:desk-pass@"), "lucheng/#")
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"taxi/1": "one-pass", "taxi/2": ["taxi/2", "two-pass"], "taxi/3": "wrong"}))
    credentials = read_credentials(path)
    with Publisher(url, clock=CLOCK, credentials=credentials) as publisher:
        played = play(recorded(200, 2), publisher, clock=CLOCK, speed=0)
        assert played.acknowledged == 200
        with pytest.raises(UsageError, match="no credentials for taxi/9"):
            publisher.publish("taxi/9", "lucheng/v1/taxi/9/up/point", b"{}")
    wait_for(listener, 200)
    with (
        Publisher(url, clock=CLOCK, credentials=credentials) as publisher,
        pytest.raises(UsageError, match="refuses taxi/3"),
    ):
        publisher.publish("taxi/3", "lucheng/v1/taxi/3/up/point", b"{}")
    limited = Publisher(url, clock=CLOCK, credentials=credentials, max_connections=1)
    with limited, pytest.raises(UsageError, match="More than 1 devices"):
        play(recorded(20, 2), limited, clock=CLOCK, speed=0)
    with pytest.raises(UsageError, match="refuses us"):
        Publisher(url, clock=CLOCK)
    path.write_text('["taxi/1"]')
    with pytest.raises(BadInput, match="credentials map"):
        read_credentials(path)


def test_unacknowledged_messages_are_bounded_and_survive_a_broker_that_comes_back(mosquitto: Any) -> None:
    with Publisher(mosquitto.url, clock=CLOCK, window=10, stall_timeout_s=0.3) as publisher:
        play(recorded(30), publisher, clock=CLOCK, speed=0)
        mosquitto.kill()
        with pytest.raises(TryAgain, match="acknowledges nothing"):
            play(recorded(), publisher, clock=CLOCK, speed=0, drain_timeout_s=1)
        assert publisher.sent == 40
        mosquitto.start()
        assert publisher.drain(20)
        assert publisher.acknowledged == publisher.sent


def test_no_broker_and_bad_addresses() -> None:
    with pytest.raises(TryAgain, match="does not answer"):
        Publisher("mqtt://127.0.0.1:1", clock=CLOCK)
    with pytest.raises(TryAgain, match="does not answer"):
        Firehose("mqtt://127.0.0.1:1")
    for url in ("http://x", "mqtt://", "mqtt://u:topsecret@h:port", "mqtt://u:topsecret@h/path"):
        with pytest.raises(UsageError) as raised:
            Broker.parse(url)
        assert "topsecret" not in str(raised.value)
    assert "topsecret" not in repr(Broker.parse("mqtts://u:topsecret@host"))
    assert Broker.parse("mqtts://u:a%40b@host") == Broker("host", 8883, tls=True, user="u", password="a@b")


def test_a_city_lives_through_the_broker(mosquitto: Any, listen: Listen) -> None:
    listener = listen(mosquitto.url, "lucheng/#")
    city = City(1, taxis=20, bikes=30, buttons=5, units=2, start_ms=CLOCK.now_ms() - 200_000, presses_per_day=5000)
    faults = FaultMaker(len(city.ids), Faults(duplicates=0.05, late_batches=0.01, nan=0.01), 1)
    with Publisher(mosquitto.url, clock=CLOCK) as publisher:
        driven = run_city(publisher, city, clock=CLOCK, seconds=2, speed=100, faults=faults)
    assert driven.drained
    assert driven.acknowledged == driven.messages + driven.beats + driven.alarms
    wait_for(listener, driven.acknowledged)
    streams = Counter(topic.rsplit("/", 1)[1] for topic, _, _ in listener.messages)
    assert streams == {"point": driven.points, "status": driven.beats, "alarm": driven.alarms}
    assert min(driven.points, driven.beats, driven.alarms) > 5
    points = [json.loads(payload) for topic, payload, _ in listener.messages if topic.endswith("/point")]
    assert sum(1 for p in points if p["lat"] != p["lat"]) >= faults.injected.nan > 0
    same = Counter(
        (topic, json.loads(payload)["seq"]) for topic, payload, _ in listener.messages if topic.endswith("point")
    )
    assert sum(count - 1 for count in same.values()) == faults.injected.duplicates > 0


def test_a_new_subscriber_gets_the_retained_status(mosquitto: Any, listen: Listen) -> None:
    city = City(1, taxis=0, bikes=0, buttons=3, units=0, start_ms=T0)
    with Publisher(mosquitto.url, clock=CLOCK) as publisher:
        run_city(publisher, city, clock=FakeClock(), seconds=130)
    listener = listen(mosquitto.url, "lucheng/v1/button/+/up/status")
    wait_for(listener, 3)
    assert all(retain and json.loads(payload)["online"] for _, payload, retain in listener.messages)


@pytest.mark.parametrize(("mode", "messages"), [("json1", 9000), ("json50", 300), ("records", 70)])
def test_the_firehose_sends_valid_messages_only(mosquitto: Any, listen: Listen, mode: str, messages: int) -> None:
    listener = listen(mosquitto.url, "lucheng/#")
    command = [sys.executable, "-m", "simulator.firehose", "--broker", mosquitto.url, "--mode", mode]
    command += [
        "--messages",
        str(messages),
        "--devices",
        "40",
        "--gateways",
        "2",
        "--first-number",
        "11",
        "--window",
        "500",
    ]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=root, timeout=60)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["acknowledged"] == messages
    assert report["points"] == messages * POINTS_PER_MESSAGE[mode]
    wait_for(listener, messages)
    times: dict[str, list[int]] = defaultdict(list)
    seqs: dict[str, list[int]] = defaultdict(list)
    for topic, payload, _ in listener.messages:
        if mode == "records":
            rows = np.frombuffer(payload, RECORD)
            assert len(rows) == 500
            for number, ts in zip(rows["id"].tolist(), rows["ts"].tolist(), strict=True):
                times[str(number)].append(ts)
            assert bool(((rows["lat"] > 40_000_000) & (rows["lat"] < 41_000_000)).all())
            continue
        body = json.loads(payload)
        if mode == "json1":
            assert len(payload) == POINT_BYTES
            body = [body]
        assert len(body) == POINTS_PER_MESSAGE[mode]
        for point in body:
            assert 40 <= point["lat"] < 41
            assert 109.8 <= point["lon"] < 109.9
            assert 10 <= point["speed_kmh"] < 90
            times[topic].append(point["ts"])
            seqs[topic].append(point["seq"])
    assert len(times) == 40
    for sent in times.values():
        assert set(np.diff(sent).tolist()) == {10_000}
        assert max(sent) <= CLOCK.now_ms()
    for numbers in seqs.values():
        assert set(np.diff(numbers).tolist()) == {1}
    if mode == "records":
        assert {int(number) for number in times} == set(range(11, 51))


def test_the_firehose_is_repeatable_paced_and_refused(secured_mosquitto: Any, mosquitto: Any) -> None:
    plan = Plan("json1", 100, 10, T0)
    assert all(np.array_equal(a, b) for a, b in zip(packets(plan), packets(plan), strict=True))
    with pytest.raises(UsageError, match="refuses"):
        Firehose(secured_mosquitto.url)
    with pytest.raises(UsageError, match="no mode"):
        next(packets(Plan("xml", 1, 1, T0)))
    with pytest.raises(UsageError, match="Devices must be"):
        next(packets(Plan("json1", 1, 0, T0)))
    hose = Firehose(mosquitto.url, window=7)
    began_s = CLOCK.monotonic_s()
    for matrix in packets(plan):
        hose.send(matrix, rate_per_s=200)
    hose.drain()
    hose.close()
    assert hose.acknowledged == hose.sent == 100
    assert CLOCK.monotonic_s() - began_s >= 0.45
