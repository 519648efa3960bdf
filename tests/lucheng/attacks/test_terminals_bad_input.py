"""Bad input on the gateway's ports of a running service: nothing raises, nothing of a neighbour is lost, all of it is counted.

Beside every attack a neighbour drives on: its positions are answered and stored. `foreign` says what has to become of each
damaged frame, so that counts are compared with an expectation and not with themselves.
"""

from __future__ import annotations

import random
import socket
import ssl
from collections import Counter
from collections.abc import Iterator

import pytest

from ingest.gt06 import codec as gt06
from ingest.jt.framing import split, wrap
from ingest.jt808 import codec as jt808
from ingest.jt808.header import write_header
from tests.conftest import need_program
from tests.ingest.gateway.conftest import batch, position
from tests.lucheng.attacks.yard import HEARTBEAT, POSITION, Taxi, Yard, beijing, closed
from tests.lucheng.faults.judge import seeded
from tests.lucheng.terminals.foreign import FAILED, Fate, jt_fate, judged, speaker_of

NEIGHBOUR, ATTACKER, TRACKER = "13800000001", "13800000002", "358657100000005"
MAX_GROWTH_BYTES = 64 * 2**20
#: Bad frames of the memory test, and of its long form.
BAD_FRAMES, MANY_BAD_FRAMES = 5_000, 50_000


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """One service for all attacks of this module, with small limits."""
    need_program("mosquitto")
    settings = {
        "GATEWAY__GREETING_S": "1",
        "GATEWAY__MAX_UNSENT_BYTES": "4096",
        "GATEWAY__MAX_OPEN_BYTES": str(2**20),
        "GATEWAY__MAX_MEDIA_BYTES": str(2**19),
        "GATEWAY__PART_TIMEOUT_S": "0.2",
        "GATEWAY__PART_RETRIES": "1",
    }
    with Yard(tmp_path_factory.mktemp("yard") / "data", **settings) as made:
        made.add("taxi/neighbour", phone=NEIGHBOUR, protocol="jt808")
        made.add("taxi/attacker", phone=ATTACKER, protocol="jt808")
        made.add("ebike/tracker", imei=TRACKER, protocol="gt06")
        yield made


@pytest.fixture
def neighbour(yard: Yard) -> Iterator[Taxi]:
    """A terminal that drives on whatever others do; all its positions are there in the end."""
    before = len(yard.track("taxi/neighbour"))
    taxi = yard.taxi(NEIGHBOUR).enter()
    taxi.drive(_second(yard))
    yield taxi
    taxi.drive(_second(yard))
    yard.quiet()
    assert len(yard.track("taxi/neighbour")) - before == taxi.places
    assert yard.service.alive
    assert "Traceback" not in yard.service.said
    taxi.sock.close()


def _second(yard: Yard) -> int:
    """A second that no position had before."""
    yard.now_s += 1
    return yard.now_s - 10_000


def damaged(random_: random.Random, good: bytes) -> bytes:
    """The frame with something wrong in it."""
    kind = random_.randrange(7)
    raw = bytearray(good)
    if kind == 0:
        for _ in range(random_.randrange(1, 4)):
            raw[random_.randrange(len(raw))] ^= 1 << random_.randrange(8)
    elif kind == 1:
        del raw[random_.randrange(1, len(raw)) :]
    elif kind == 2:
        del raw[: random_.randrange(1, len(raw))]
    elif kind == 3:  # a length that is not that of the body, with a checksum that holds
        plain = jt808_plain(good)
        properties = int.from_bytes(plain[2:4], "big") & ~0x3FF | random_.randrange(1024)
        raw = bytearray(wrap(plain[:2] + properties.to_bytes(2, "big") + plain[4:]))
    elif kind == 4:
        raw[-2] ^= random_.randrange(1, 128)
    elif kind == 5:
        raw[1:1] = random_.randbytes(random_.randrange(1, 40))
    else:  # an unknown message, an encrypted one, another's number, a header alone
        plain = jt808_plain(good)
        raw = bytearray(
            random_.choice([
                wrap(b"\x0f\x77" + plain[2:]),
                wrap(plain[:2] + (int.from_bytes(plain[2:4], "big") | 1 << 10).to_bytes(2, "big") + plain[4:]),
                wrap(plain[:4] + bytes.fromhex("019999999999") + plain[10:]),
                wrap(plain[:2] + b"\0\0" + plain[4:12]),
            ])
        )  # fmt: skip
    return bytes(raw)


def jt808_plain(raw: bytes) -> bytes:
    """Header and body of a good frame without escapes."""
    frame = jt808.read_frame(raw)
    return write_header(frame.message_id, len(frame.body), number=frame.number, serial=frame.serial, version=2013) + (
        frame.body
    )


def fate_of(piece: bytes) -> Fate:
    """What has to become of a run of bytes between two marks on the attacker's connection."""
    number = speaker_of(piece, "jt808")
    if number is None or number == ATTACKER:
        return jt_fate(piece, "jt808")
    plain = _plain(piece)
    at = 17 if plain[2] & 0x40 else 12
    answer = (0x8001, int.from_bytes(plain[at - 2 : at], "big"), int.from_bytes(plain[:2], "big"), FAILED)
    return Fate(piece, "identity_mismatch", Counter([answer]), [piece])


def _plain(piece: bytes) -> bytes:
    return piece[1:-1].replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")


def test_every_damaged_frame_is_counted_and_every_good_one_between_them_stored(yard: Yard, neighbour: Taxi) -> None:
    random_ = seeded("damage")
    attacker = yard.taxi(ATTACKER).enter()
    before, at_s = yard.quiet(), yard.now_s - 2_000
    stream, good = b"", 0
    for number in range(600):
        whole = attacker.place(at_s + number, lat=40.0 + number / 10_000)
        stream += damaged(random_, whole) if number % 3 else whole
        good += number % 3 == 0
    attacker.serial = 50_000
    stream += b"\x7e" + attacker.frame(HEARTBEAT)  # a mark, so that the heartbeat is a frame of its own
    pieces, rest, junk = split(b"\x7e" + stream)  # the connection has ended with a mark before
    assert (rest, junk) == (b"\x7e", b"")
    fates = [fate_of(piece) for piece in pieces]
    expected = Counter(fate.what for fate in fates if fate.kept)
    answers = sum((fate.answers for fate in fates), Counter())
    print(dict(Counter(fate.what for fate in fates)))
    at = 0
    while at < len(stream):
        size = random_.choice((1, 2, 3, 50, 700, 4_000))
        attacker.send(stream[at : at + size])
        at += size
        if random_.randrange(10) == 0:
            neighbour.drive(_second(yard))
    told: Counter[tuple[int, ...]] = Counter()
    while answers - told:
        frame = attacker.get()
        assert frame.checksum_ok
        told[frame.message_id, *_words(frame.body)] += 1
    assert told == answers
    now = yard.quiet()
    places = [place for fate in fates for place in fate.places]
    reasons = [judged(place, yard.now_s * 1000) for place in places]  # a bit turned over may move one to the moon
    expected += Counter(reason for reason in reasons if reason)
    assert Counter(now["quarantined"]) - Counter(before["quarantined"]) == expected
    stored = now["stored"] + now["duplicate"] - before["stored"] - before["duplicate"]
    assert stored == reasons.count("") + neighbour.places - 1
    assert stored >= good
    assert {"bad_checksum", "bad_frame", "unknown_message", "encrypted", "identity_mismatch"} <= expected.keys()
    attacker.sock.close()


def _words(body: bytes) -> tuple[int, int, int]:
    return int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big"), body[4]


def test_a_frame_split_at_every_byte_and_two_glued(yard: Yard, neighbour: Taxi) -> None:
    attacker = yard.taxi(ATTACKER).enter()
    before = yard.quiet()
    whole = attacker.place(yard.now_s - 5_000)
    for at in range(1, len(whole)):
        frame = attacker.place(yard.now_s - 5_000 + at)
        attacker.send(frame[:at])
        attacker.send(frame[at:])
        assert attacker.general()[1:] == (POSITION, 0)
    for byte in attacker.place(yard.now_s - 4_000):
        attacker.send(bytes((byte,)))
    assert attacker.general()[1:] == (POSITION, 0)
    # Two that share their mark, and noise between them and a third.
    glued = attacker.place(yard.now_s - 3_999)[:-1] + attacker.place(yard.now_s - 3_998)
    attacker.send(glued + b"noise" + attacker.place(yard.now_s - 3_997))
    assert [attacker.general()[1:] for _ in range(3)] == [(POSITION, 0)] * 3
    neighbour.drive(_second(yard))
    now = yard.quiet()
    assert now["stored"] - before["stored"] == len(whole) - 1 + 4 + neighbour.places - 1
    assert Counter(now["quarantined"]) - Counter(before["quarantined"]) == {"bad_checksum": 1}
    attacker.sock.close()


def test_lengths_and_counts_that_promise_gigabytes(yard: Yard, neighbour: Taxi) -> None:
    attacker = yard.taxi(ATTACKER).enter()
    before = yard.quiet()
    # 0704 that says 65,535 positions and holds one; one position whose length says 65,535 bytes.
    one = position(time=beijing(yard.now_s - 3_000))
    attacker.send(attacker.frame(0x0704, b"\xff\xff\0" + batch(one)[3:]))
    assert attacker.general()[1:] == (0x0704, 0)
    attacker.send(attacker.frame(0x0704, b"\0\1\0\xff\xff" + one))
    assert attacker.general()[1:] == (0x0704, 2)
    # Texts and lists that say that they are longer than their message.
    for message_id, body in ((0x0704, b"\xff"), (0x0802, b"\0\1\xff\xff"), (0x0104, b"\0\1\xff\0\0\0\1\xff1")):
        attacker.send(attacker.frame(message_id, body))
        assert attacker.general()[1:] == (message_id, 2)
    # A text that is no GBK is a text all the same, or a body that does not fit: never the end of the connection.
    for message_id, body in ((0x0100, b"\0\1\0\1" + b"\xff" * 32 + b"\1\x81"), (0x0900, b"\x41\xff\xfe\x80")):
        fate = jt_fate(attacker.frame(message_id, body, serial=attacker.serial), "jt808")
        attacker.send(fate.raw)
        told = attacker.get()
        assert (told.message_id, told.body[:2]) == (
            (0x8100 if message_id == 0x0100 and fate.what == "session" else 0x8001),
            attacker.serial.to_bytes(2, "big"),
        )
        attacker.serial += 1
    # Parts of photos of 65,535 parts each, more than may be open.
    for number in range(1_200):
        attacker.send(_part(0x0801, 65_535, 1 + number % 7, serial=number * 50, body=bytes(1_000)))
    for number in range(40):  # part 0, and a part beyond its total
        attacker.send(_part(0x0801, 3, (0, 4)[number % 2], serial=60_000 + number, body=b"x"))
    yard.wait_live("gateway_lost", 1)
    # GT06: 65,535 bytes to come, over and over; the frame behind counts.
    with yard.raw(yard.gt06_port) as tracker:
        login = gt06.write_frames(0x01, bytes.fromhex(TRACKER.zfill(16)), serial=1)[0]
        tracker.sendall(login)
        assert tracker.recv(100)[3] == 0x01
        for serial in range(2, 60):
            tracker.sendall(b"\x79\x79\xff\xff" * 50 + gt06.write_frames(0x13, bytes(5), serial=serial)[0])
            assert int.from_bytes(tracker.recv(100)[4:6], "big") == serial
    neighbour.drive(_second(yard))
    attacker.sock.close()
    yard.service.wait_status(lambda now: now["live"]["gateway_sessions"] == 1, "the attacker's session to end")
    now = Counter(yard.quiet()["quarantined"]) - Counter(before["quarantined"])
    assert {"bad_body", "bad_frame", "incomplete"} <= now.keys()
    assert now["bad_frame"] >= 40 + 58


def _part(message_id: int, total: int, index: int, *, serial: int, body: bytes) -> bytes:
    """One part, whether there can be such a one or not."""
    head = bytearray(
        write_header(message_id, len(body), number=ATTACKER, serial=serial & 0xFFFF, version=2013, total=9, index=1)
    )
    head[-4:] = total.to_bytes(2, "big") + index.to_bytes(2, "big")
    return wrap(bytes(head) + body)


def _hello() -> bytes:
    """What a TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname="example.org").do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError


HTTP = b"GET /index.html HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n"


@pytest.mark.parametrize("side", ["jt", "gt06"])
def test_other_protocols_on_a_port(yard: Yard, neighbour: Taxi, side: str) -> None:
    port = yard.jt_port if side == "jt" else yard.gt06_port
    other = (
        gt06.write_frames(0x01, bytes.fromhex(TRACKER.zfill(16)), serial=1)[0]
        if side == "jt"
        else neighbour.place(yard.now_s)
    )
    before = yard.quiet()["quarantined"].get("bad_frame", 0)
    socks = []
    for said in (HTTP, _hello(), other, b"\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", bytes(300)):
        socks.append(yard.raw(port))
        socks[-1].sendall(said)
        neighbour.drive(_second(yard))
    assert all(map(closed, socks))  # they never said who they are
    found = yard.quiet()["quarantined"]["bad_frame"] - before
    assert found >= len(socks) - (side == "jt")  # one that looks like the beginning of a frame waits for its end
    rows = yard.cli("quarantine", "list", "--reason", "bad_frame", "--limit", str(found))
    raws = [yard.call("quarantine_show", number=row["number"])["raw"] for row in rows]
    assert {yard.cli("quarantine", "show", str(row["number"]))["reason"] for row in rows[-2:]} == {"bad_frame"}
    assert HTTP.decode() in raws  # for people to read, as it came
    assert any(str(raw).startswith("SSH-2.0-") for raw in raws)


def test_endless_bytes_without_a_mark_end_the_connection(yard: Yard, neighbour: Taxi) -> None:
    before = yard.live("gateway_overruns")
    begins = (
        (yard.jt_port, b""),
        (yard.jt_port, b"\x7e"),
        (yard.gt06_port, b""),
        (yard.gt06_port, b"\x79\x79\x1f\xff"),
    )
    for port, begin in begins:
        sock = yard.raw(port)
        sock.sendall(begin)
        assert _pushed_until_closed(sock, bytes(8_192)), f"16 MiB of nothing were read on port {port}"
    neighbour.drive(_second(yard))
    # Who has said who it is may say nonsense for longer: its marks bound it.
    attacker = yard.taxi(ATTACKER).enter()
    assert _pushed_until_closed(attacker.sock, b"\x55" * 8_192)
    yard.wait_live("gateway_overruns", before + 2)
    neighbour.drive(_second(yard))
    reasons = {row["reason"] for row in yard.cli("quarantine", "list", "--limit", "100")}
    assert {"too_large", "bad_frame"} <= reasons


def _pushed_until_closed(sock: socket.socket, data: bytes) -> bool:
    """Send it over and over; whether the other side had enough of it before 16 MiB."""
    try:
        for _ in range(2**24 // len(data)):
            sock.sendall(data)
    except ConnectionError:
        return True
    return False


def test_who_says_one_byte_at_a_time_and_never_who_it_is_is_closed(yard: Yard, neighbour: Taxi) -> None:
    before = yard.live("gateway_greeting_timeouts")
    # Frames that never end, so that there is nothing to refuse.
    begins = {yard.jt_port: b"\x7e\x02", yard.gt06_port: b"\x79\x79\x1f\xff"}
    slow = [(yard.raw(port), said) for port, said in begins.items() for _ in range(60)]
    left, turn = list(slow), 0
    while left:
        left = [(sock, said) for sock, said in left if _said(sock, said[turn : turn + 1] or b"\0")]
        turn += 1
        neighbour.drive(_second(yard))
    yard.wait_live("gateway_greeting_timeouts", before + len(slow))


def _said(sock: socket.socket, byte: bytes) -> bool:
    """Say one byte; whether the connection is still there."""
    sock.setblocking(False)
    try:
        sock.send(byte)
        return sock.recv(10) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_who_never_reads_its_answers_is_closed(yard: Yard, neighbour: Taxi) -> None:
    attacker = yard.taxi(ATTACKER).enter()
    before = yard.live("gateway_overruns")
    attacker.sock.close()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)  # before it connects, so that little is under way
        sock.connect(("127.0.0.1", yard.jt_port))
        attacker.sock = sock
        assert attacker.say_token(attacker.token) == 0
        beats = [attacker.frame(HEARTBEAT, serial=serial) for serial in range(500)]
        assert _pushed_until_closed(sock, b"".join(beats))
    yard.wait_live("gateway_overruns", before + 1)
    neighbour.drive(_second(yard))


def _flood(yard: Yard, neighbour: Taxi, frames: int) -> None:
    """Bad frames of a terminal that is believed; memory stays, the neighbour goes on, every one is counted."""
    random_ = seeded("flood")
    attacker = yard.taxi(ATTACKER).enter()
    good = attacker.place(yard.now_s - 1_000)
    kinds = [
        good[:-2] + bytes((good[-2] ^ 1,)) + b"\x7e",
        wrap(jt808_plain(good)[:-1]),
        wrap(b"\x0f\x77" + jt808_plain(good)[2:]),
        wrap(b"\x03\x01" + jt808_plain(good)[2:]),
        b"\x7e" + random_.randbytes(200).replace(b"\x7e", b"\x7f") + b"\x7e",
    ]

    def send(count: int) -> None:
        done = 0
        while done < count:
            some = min(500, count - done)
            attacker.send(b"".join(kinds[(done + one) % len(kinds)] for one in range(some)))
            done += some
            attacker.serial = 30_000 + done // 500
            attacker.send(attacker.frame(HEARTBEAT))
            attacker.answers_until(attacker.serial - 1)
            neighbour.drive(_second(yard))

    send(frames // 5)  # what is made at the first of each kind
    yard.quiet()
    before_bytes, before = yard.service.rss_bytes(), yard.live("gateway_bad")
    send(frames)
    yard.quiet()
    growth = yard.service.rss_bytes() - before_bytes
    print(
        f"{frames} bad frames: the service grew by {growth / 2**20:.1f} MiB to {yard.service.rss_bytes() / 2**20:.0f} MiB"
    )
    assert yard.live("gateway_bad") - before == frames
    assert growth < MAX_GROWTH_BYTES
    attacker.sock.close()


def test_a_flood_of_bad_frames_costs_no_memory(yard: Yard, neighbour: Taxi) -> None:
    _flood(yard, neighbour, BAD_FRAMES)


@pytest.mark.soak
def test_a_long_flood_of_bad_frames_costs_no_memory(yard: Yard, neighbour: Taxi) -> None:
    _flood(yard, neighbour, MANY_BAD_FRAMES)
