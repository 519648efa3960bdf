"""Every recorded frame of other people's terminals through a running gateway: where it ends, and how it is answered.

Invariants that are looked at: each frame ends as a position, a report, a reply, a piece of evidence, a word of the session,
or in the quarantine with its reason, once; received = stored + duplicate + quarantined + in flight; after each frame the same
connection is answered as before; answers carry the right serial and a checksum that holds; stored positions are those of
`decode_body`. `foreign` says what is expected.
"""

from __future__ import annotations

import base64
import json
import math
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.sections import Settings
from ingest.gateway.masking import shown_frame
from ingest.gt06 import codec as gt06
from lucheng.rooms import open_rooms
from model.batch import PointBatch
from model.clock import SystemClock
from model.codes import Reason
from simulator.publisher import Publisher
from tests.conftest import Mosquitto, free_port
from tests.ingest.frames import DATA
from tests.ingest.frames import frames as needed
from tests.lucheng.faults.judge import END_MS, GRANT
from tests.lucheng.service_process import ServiceProcess
from tests.lucheng.terminals.foreign import (
    CODECS,
    Answer,
    Fate,
    Place,
    Speaker,
    gt06_fate,
    jt_fate,
    jt_fates,
    judged,
    recorded,
    speaker_of,
)

#: Longest that is waited for an answer that has to come.
ANSWER_S = 30.0
#: Whose heartbeats show that a connection goes on where the recorded number is nobody's.
NEIGHBOUR, IMEI = "13900000099", "123456789012345"
HEARTBEAT, GT06_HEARTBEAT, GT06_LOGIN = 0x0002, 0x13, 0x01
GENERAL, REGISTERED, MEDIA_DONE, PARTS_WANTED = 0x8001, 0x8100, 0x8800, 0x8003
TEN_YEARS_MS = 315_360_000_000
#: Serials of our own heartbeats: far from those that were recorded.
FIRST_SERIAL = 40_000
MOST_KMH = Settings().clean.max_value_speed_kmh


class JtLine:
    """One connection to the JT port; sends a heartbeat behind everything and expects its answer."""

    def __init__(self, port: int, protocol: str, number: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        self._codec = CODECS[protocol]
        self._number = number
        self._serial = FIRST_SERIAL
        self._rest = b""
        self._got: list[Any] = []

    def exchange(self, raw: bytes, expected: Counter[Answer], number: str, version: int) -> Counter[Answer]:
        """Send it and a heartbeat; what was answered until both are answered as expected."""
        self._serial += 1
        beat = self._codec.write_frames(HEARTBEAT, b"", number=self._number, serial=self._serial, version=version)
        self._sock.sendall(raw + beat[0])
        mine = (GENERAL, self._serial, HEARTBEAT, 0)
        told: Counter[Answer] = Counter()
        while told[mine] < 1 or (expected - told):
            try:
                frame = self._next()
            except TimeoutError:
                pytest.fail(f"{raw.hex()}: expected {dict(expected)}, told {dict(told)}")
            answer = _answer_of(frame)
            assert frame.checksum_ok
            assert frame.number == (self._number if answer == mine else number)
            told[answer] += 1
        told[mine] -= 1
        return +told

    def parts_wanted(self) -> tuple[int, list[int]]:
        """The next message is 8003: the serial of the first part, and the missing ones."""
        frame = self._next()
        assert frame.message_id == PARTS_WANTED
        values = self._codec.decode_body(frame)
        return values["first_serial"], values["parts"]

    def _next(self) -> Any:
        while not self._got:
            data = self._sock.recv(65_536)
            assert data, "the gateway closed the connection"
            *pieces, self._rest = (self._rest + data).split(b"\x7e")
            self._got += [self._codec.read_frame(b"\x7e" + one + b"\x7e") for one in pieces if one]
        return self._got.pop(0)

    def close(self) -> None:
        """Nothing is left unread that was not asked about."""
        self._sock.shutdown(socket.SHUT_WR)
        while data := self._sock.recv(65_536):
            self._rest += data
        self._sock.close()
        assert not self._got
        assert self._rest.strip(b"\x7e") == b""


def _answer_of(frame: Any) -> Answer:
    """What is compared of an answer; the token of 8100 is nobody's business."""
    body = frame.body
    if frame.message_id == GENERAL:
        return (GENERAL, int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big"), body[4])
    if frame.message_id == REGISTERED:
        return (REGISTERED, int.from_bytes(body[:2], "big"), body[2])
    assert frame.message_id == MEDIA_DONE, hex(frame.message_id)
    return (MEDIA_DONE, int.from_bytes(body[:4], "big"))


class Gt06Line:
    """One connection to the GT06 port, logged in."""

    def __init__(self, port: int, imei: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        self._serial = FIRST_SERIAL
        self._rest = b""
        login = gt06.encode("login", {"imei": imei.zfill(16)}, serial=self._serial)[0]
        assert self._exchange(login, (GT06_LOGIN, self._serial), Counter()) == Counter()

    def exchange(self, raw: bytes, expected: Counter[Answer]) -> Counter[Answer]:
        """As `JtLine.exchange`."""
        self._serial += 1
        beat = bytes.fromhex("4006040002")
        frame = gt06.write_frames(GT06_HEARTBEAT, beat, serial=self._serial)[0]
        return self._exchange(raw + frame, (GT06_HEARTBEAT, self._serial), expected)

    def _exchange(self, raw: bytes, mine: Answer, expected: Counter[Answer]) -> Counter[Answer]:
        self._sock.sendall(raw)
        told: Counter[Answer] = Counter()
        while told[mine] < 1 or (expected - told):
            data = self._sock.recv(65_536)
            assert data, "the gateway closed the connection"
            frames, self._rest, junk = gt06.split(self._rest + data)
            assert not junk
            for one in map(gt06.read_frame, frames):
                assert one.checksum_ok
                told[one.message_id, one.serial] += 1
        told[mine] -= 1
        return +told

    def close(self) -> None:
        """Nothing more was said."""
        self._sock.shutdown(socket.SHUT_WR)
        assert self._rest + b"".join(iter(lambda: self._sock.recv(65_536), b"")) == b""
        self._sock.close()


@dataclass(slots=True)
class Replay:
    """Everything that was recorded, sent once, and what the service then holds.

    Attributes:
        speakers: what each terminal sent, and where each frame has to end.
        told: how each frame was answered, in the order of `speakers` and their `fates`.
        quarantine: reason, device and payload of every entry, in order.
        reports: (device, message, body); evidence: rows; signals: rows.
        points: what is stored, by device.
        status: the counters.
        asked_again: of what parts were missing, by number of the terminal.
    """

    speakers: list[Speaker]
    told: list[Counter[Answer]]
    now_ms: int
    asked_again: dict[str, tuple[int, list[int]]]
    quarantine: list[tuple[str, str, bytes]]
    reports: list[tuple[str, str, bytes]]
    evidence: list[dict[str, Any]]
    signals: list[dict[str, Any]]
    status: dict[str, Any]
    points: dict[str, PointBatch]

    @property
    def fates(self) -> list[tuple[Speaker, Fate]]:
        """Every frame with its terminal."""
        return [(speaker, fate) for speaker in self.speakers for fate in speaker.fates]


def speakers_of_all() -> tuple[list[Speaker], list[Speaker]]:
    """The terminals of the recorded JT frames by number; and frames of nobody, each for a connection of its own."""
    known: dict[tuple[str, str], Speaker] = {}
    nobody: list[Speaker] = []
    files = {"jt808-golden": "jt808", "jt808-devices": "jt808", "jt1078-signalling": "jt808", "jt905": "jt905"}
    for file, protocol in files.items():
        for raw in recorded(file):
            number = speaker_of(raw, protocol)
            if number:
                speaker = known.setdefault((protocol, number), Speaker(protocol, number))
                speaker.fates.append(jt_fate(raw, protocol))
            else:
                nobody.append(Speaker(protocol, "", jt_fates(raw, protocol, known=False)))
    return list(known.values()), nobody


def gt06_speakers() -> list[Speaker]:
    """One tracker for all frames but the logins, and one that logs in as each of those."""
    fates = [gt06_fate(raw) for raw in recorded("gt06")]
    others = [Speaker("gt06", gt06.read_frame(one.raw).number, []) for one in fates if one.what == "identity_mismatch"]
    return [Speaker("gt06", IMEI, fates), *others]


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """Everything, through a service of its own."""
    for name in ("jt808-golden", "jt808-devices", "jt1078-signalling", "jt905", "gt06", "owntracks"):
        needed(name)
    ports = {"JT_PORT": free_port(), "GT06_PORT": free_port()}
    env = {f"LUCHENG_GATEWAY__{name}": str(port) for name, port in ports.items()} | {
        "LUCHENG_GATEWAY__LISTEN": "127.0.0.1",
        "LUCHENG_GATEWAY__REQUIRE_AUTH": "false",
        "LUCHENG_GATEWAY__PART_TIMEOUT_S": "0.2",
        "LUCHENG_GATEWAY__PART_RETRIES": "1",
        "LUCHENG_COMMANDS__SNAPSHOT_ON_SOS": "false",
        "LUCHENG_CLEAN__MAX_LIVE_AGE_MS": str(TEN_YEARS_MS),
    }
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto")).start()
    try:
        data = tmp_path_factory.mktemp("city") / "data"
        with ServiceProcess(data, broker.url, env=env) as service:
            made = _replayed(service.start(), ports)
        made.points = _stored(data, {speaker.device for speaker in made.speakers} | set(PHONES))
        yield made
    finally:
        broker.stop()


#: Devices of the recorded bodies of OwnTracks.
PHONES = ("unit/owntracks-0", "unit/owntracks-1", "unit/owntracks-2")


def _replayed(service: ServiceProcess, ports: dict[str, int]) -> Replay:
    """Register everybody, send everything, and ask what there is."""
    client = service.client()
    known, nobody = speakers_of_all()
    trackers = gt06_speakers()
    numbers = [*known, Speaker("jt808", NEIGHBOUR)]
    assert len({one.number for one in numbers}) == len(numbers), "a number in two protocols: give one another device"
    for speaker in numbers:
        client.call("device_add", device=speaker.device, phone=speaker.number, protocol=speaker.protocol)
    for speaker in trackers:
        client.call("device_add", device=speaker.device, imei=speaker.number, protocol="gt06")
    for phone in PHONES:
        client.call("device_add", device=phone, protocol="owntracks")
    registered = len(numbers) + len(trackers) + len(PHONES)
    service.wait_status(lambda now: sum(now["devices"].values()) == registered, "the directory to know everybody")
    now_ms = time.time_ns() // 1_000_000
    told: list[Counter[Answer]] = []
    asked_again: dict[str, tuple[int, list[int]]] = {}
    for speaker in known:
        told += _say_jt(service, ports["JT_PORT"], speaker, asked_again)
    for speaker in nobody:
        told += _say_strange(ports["JT_PORT"], speaker)
    for speaker in trackers:
        line = Gt06Line(ports["GT06_PORT"], speaker.number)
        told += [line.exchange(fate.raw, fate.answers) for fate in speaker.fates]
        line.close()
    with Publisher(service.broker or "", clock=SystemClock()) as publisher:
        for phone, text in zip(PHONES, recorded_texts(), strict=True):
            publisher.publish("any", f"owntracks/{phone}", text.encode())
        assert publisher.drain(ANSWER_S)
    status = service.wait_quiet()
    pages = client.call("quarantine_list", limit=10_000)
    shown = [client.call("quarantine_show", number=row["number"]) for row in reversed(pages)]
    return Replay(
        speakers=[*known, *nobody, *trackers],
        told=told,
        now_ms=now_ms,
        asked_again=asked_again,
        quarantine=[(row["reason"], row["device"], _payload(row)) for row in shown],
        reports=[
            (row["device"], row["message"], base64.b64decode(row["raw_base64"]))
            for row in reversed(client.call("terminal_reports", limit=10_000))
        ],
        evidence=client.call("evidence_list"),
        signals=client.call("signal_list", limit=10_000),
        status=status,
        points={},
    )


def _payload(row: dict[str, Any]) -> bytes:
    raw: str = row["raw"]
    return base64.b64decode(raw) if row["encoding"] == "base64" else raw.encode()


def recorded_texts() -> list[str]:
    """The recorded bodies of OwnTracks."""
    made: list[str] = json.loads((DATA / "frames" / "owntracks.json").read_text(encoding="utf-8"))
    return made


def _say_jt(
    service: ServiceProcess, port: int, speaker: Speaker, asked_again: dict[str, tuple[int, list[int]]]
) -> list[Counter[Answer]]:
    """All frames of one number on its connection, which stays until its missing parts are given up."""
    line = JtLine(port, speaker.protocol, speaker.number)
    told = [line.exchange(fate.raw, fate.answers, speaker.number, _version(fate.raw)) for fate in speaker.fates]
    if any(fate.what == "part" for fate in speaker.fates):
        asked_again[speaker.number] = line.parts_wanted()
        given_up = len(asked_again)
        service.wait_status(lambda now: now["live"]["gateway_lost"] == given_up, "missing parts to be given up")
    line.close()
    return told


def _say_strange(port: int, speaker: Speaker) -> list[Counter[Answer]]:
    """A recorded piece that nobody can be said to have sent; then a neighbour goes on on the same connection."""
    line = JtLine(port, "jt808", NEIGHBOUR)
    expected = sum((fate.answers for fate in speaker.fates), Counter[Answer]())
    told = line.exchange(b"".join(fate.raw for fate in speaker.fates), expected, speaker.number, 2013)
    line.close()
    return [told, *[Counter()] * (len(speaker.fates) - 1)]


def _version(raw: bytes) -> int:
    return 2019 if raw[3] & 0x40 else 2013


def _stored(data: Path, devices: Iterable[str]) -> dict[str, PointBatch]:
    """The stored points of each device, read back through the store."""
    with open_rooms(data, Settings(), write=False) as rooms:
        ids = rooms.registry.directory().ids
        slots = {device: slot for slot, device in enumerate(ids)}
        return {
            device: rooms.series.track(GRANT, device, slots[device], 0, END_MS) for device in devices if device in slots
        }


# -- what became of it ------------------------------------------------------------------------


@pytest.mark.soak
def test_every_frame_is_answered_as_it_deserves_and_its_connection_goes_on(replay: Replay) -> None:
    """The exchange itself waited for a heartbeat's answer behind every frame."""
    wrong = [
        (speaker.number, fate.what, fate.raw.hex(), dict(fate.answers), dict(told))
        for (speaker, fate), told in zip(replay.fates, replay.told, strict=True)
        if told != fate.answers
    ]
    assert not wrong
    assert len(replay.fates) > 250
    whats = Counter(fate.what for _, fate in replay.fates)
    print(dict(whats))
    assert {"position", "report", "evidence", "session", "part", "bad_checksum", "bad_frame"} <= whats.keys()


def test_what_was_refused_is_in_the_quarantine_with_its_reason_and_its_bytes(replay: Replay) -> None:
    expected = Counter(
        (_reason(fate), raw if speaker.protocol == "gt06" else shown_frame(raw, Reason[_reason(fate).upper()]))
        for speaker, fate in replay.fates
        for raw in fate.kept
        if speaker.protocol != "gt06" or fate.what != "bad_frame"
    )
    found = Counter((reason, raw) for reason, _, raw in replay.quarantine if reason in FRAMED)
    # Bytes of a GT06 connection that are no frame may be kept in pieces; together they are what was sent.
    loose = [(reason, raw) for reason, _, raw in replay.quarantine if reason == "bad_frame" and raw[:1] != b"\x7e"]
    broken = b"".join(
        fate.raw for speaker, fate in replay.fates if speaker.protocol == "gt06" and fate.what == "bad_frame"
    )
    junk = Counter((reason, raw) for reason, raw in loose if (reason, raw) in expected)
    assert b"".join(raw for reason, raw in loose if (reason, raw) not in expected) == broken
    found -= Counter((reason, raw) for reason, raw in loose if (reason, raw) not in expected)
    assert found == expected
    assert junk
    parts = [(device, raw) for reason, device, raw in replay.quarantine if reason == "incomplete"]
    assert len(parts) == len(replay.asked_again)
    for number, (first_serial, missing) in replay.asked_again.items():
        frames = [CODECS["jt808"].read_frame(fate.raw) for fate in _of(replay, number).fates if fate.what == "part"]
        assert missing == sorted(set(range(1, frames[0].total + 1)) - {frame.index for frame in frames})
        assert first_serial == frames[0].serial - frames[0].index + 1
        assert (f"taxi/jt808-{number}", b"".join(frame.body for frame in frames)) in parts


#: Reasons that the gateway gives; the others are the analytics'.
FRAMED = {
    "bad_frame", "bad_checksum", "bad_body", "unknown_message", "unknown_device", "identity_mismatch", "encrypted", "unknown_alarm",
}  # fmt: skip


def _reason(fate: Fate) -> str:
    return fate.what if fate.what in FRAMED else "unknown_alarm"


def _of(replay: Replay, number: str) -> Speaker:
    return next(speaker for speaker in replay.speakers if speaker.number == number)


def test_stored_positions_are_those_of_the_codec(replay: Replay) -> None:
    wanted: dict[str, set[tuple[Any, ...]]] = {}
    refused: Counter[str] = Counter()
    places = 0
    for speaker, fate in replay.fates:
        for place in fate.places:
            places += 1
            reason = judged(place, replay.now_ms, TEN_YEARS_MS)
            if reason:
                refused[reason] += 1
            else:
                wanted.setdefault(speaker.device, set()).add(_row(place))
    for phone, text in zip(PHONES, recorded_texts(), strict=True):
        said = json.loads(text)
        place = Place(said["tst"] * 1000, said["lat"], said["lon"], said.get("vel"), said.get("cog"))
        places += 1
        reason = judged(place, replay.now_ms, TEN_YEARS_MS)
        if reason:
            refused[reason] += 1
        else:
            wanted.setdefault(phone, set()).add(_row(place))
    stored = {device: {_stored_row(batch, row) for row in range(len(batch))} for device, batch in replay.points.items()}
    assert {device: rows for device, rows in stored.items() if rows} == wanted
    kept = {reason: count for reason, count in replay.status["quarantined"].items() if reason not in FRAMED}
    kept.pop("incomplete")
    assert kept == dict(refused)
    assert replay.status["stored"] + replay.status["duplicate"] + refused.total() == places
    assert replay.status["stored"] == sum(map(len, wanted.values()))
    assert len(wanted) > 30


def _row(place: Place) -> tuple[Any, ...]:
    """As the store keeps it: 1e-6 of a degree, tenths of km/h and of degrees."""
    speed = None if place.speed_kmh is None or place.speed_kmh > MOST_KMH else round(place.speed_kmh * 10)
    heading = None if place.heading_deg is None or not 0 <= place.heading_deg <= 360 else round(place.heading_deg * 10)
    return (place.time_ms, round(place.lat * 1e6), round(place.lon * 1e6), speed, heading)


def _stored_row(batch: PointBatch, row: int) -> tuple[Any, ...]:
    speed, heading = float(batch.speed_kmh[row]), float(batch.heading_deg[row])
    return (
        int(batch.time_ms[row]),
        round(float(batch.lat[row]) * 1e6),
        round(float(batch.lon[row]) * 1e6),
        None if math.isnan(speed) else round(speed * 10),
        None if math.isnan(heading) else round(heading * 10),
    )


def test_reports_evidence_and_signals_are_what_was_told(replay: Replay) -> None:
    reports = Counter((speaker.device, *fate.report) for speaker, fate in replay.fates if fate.report)
    # Two that are equal, name no time and come within one millisecond are one.
    assert set(replay.reports) == set(reports)
    assert Counter(replay.reports) <= reports
    pieces = [fate for _, fate in replay.fates if fate.what == "evidence"]
    assert len(replay.evidence) == len(pieces) == 1
    alarms = sum(fate.alarm for _, fate in replay.fates)
    assert len([row for row in replay.signals if row["source"] == "message"]) == alarms
    assert alarms > 5


def test_nothing_is_lost(replay: Replay) -> None:
    status = replay.status
    assert status["in_flight"] == 0
    assert status["received"] == status["stored"] + status["duplicate"] + sum(status["quarantined"].values())
    assert len(replay.quarantine) == sum(status["quarantined"].values())
    live = status["live"]
    assert live["gateway_unanswered"] == 0
    assert live["terminal_events_turned_away"] == 0
    told = Counter((speaker.device, *fate.report) for speaker, fate in replay.fates if fate.report)
    assert live["gateway_reports"] == told.total()
    assert len(told) <= len(replay.reports) <= told.total()
    assert live["gateway_media"] == len(replay.evidence)
