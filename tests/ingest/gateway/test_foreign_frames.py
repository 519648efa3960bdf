"""Frames of other people's devices and encoders, and plain noise, over real sockets: all of it ends somewhere."""

from __future__ import annotations

import json
import os
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from ingest.gt06 import codec as gt06
from ingest.jt808 import codec as jt808
from ingest.jt808.messages import CATALOGUE as CATALOGUE_808
from ingest.jt905 import codec as jt905
from ingest.jt905.messages import CATALOGUE as CATALOGUE_905
from ingest.wire.message import Way
from ingest.wire.reader import Malformed
from model.codes import Reason
from tests.ingest.gateway.conftest import ANSWER_S, House, Opener, Phone, position

#: Read by columns and not by the table: what is wrong with them is judged elsewhere.
POSITIONS = (0x0200, 0x0201, 0x0202, 0x0203, 0x0704)
#: Read by hand.
BY_HAND = (0x0800, 0x0801)


def frames_of(name: str) -> list[bytes]:
    """All frames of a file; skips where it is not there."""
    root = Path(os.environ.get("LUCHENG_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
    file = root / "frames" / name
    if not file.exists():
        pytest.skip(f"{file.name} is not there (LUCHENG_TEST_DATA)")
    rows = json.loads(file.read_text())
    # Rows of another kind are printed texts of other protocols.
    return [bytes.fromhex(row.get("hex") or row["data"]) for row in rows if row.get("kind", "binary") == "binary"]


def refused(codec: Any, raw: bytes) -> bool:
    """Whether a reader of the tables would refuse the frame."""
    try:
        frame = codec.read_frame(raw)
        codec.decode_body(frame)
    except Malformed:
        return True
    table = CATALOGUE_808 if codec is jt808 else CATALOGUE_905
    return not frame.checksum_ok or table.by_id[frame.message_id].way is Way.DOWN


@pytest.mark.parametrize(
    ("file", "codec", "protocol"),
    [
        ("jt808-golden.json", jt808, "jt808"),
        ("jt808-devices.json", jt808, "jt808"),
        ("jt905.json", jt905, "jt905"),
    ],
)
def test_every_foreign_frame_ends_somewhere(open_house: Opener, file: str, codec: Any, protocol: str) -> None:
    house = open_house(require_auth=False)
    for raw in frames_of(file):
        try:
            frame = codec.read_frame(raw)
        except Malformed:
            continue  # other marks or lengths: no number to register
        if not frame.number or not frame.checksum_ok or len(frame.number) > 19:
            continue
        if frame.number not in house.registry.known:
            house.registry.add(frame.number, protocol)
        version = frame.version or 2013
        phone = Phone(house.gateway.jt_port, frame.number, version=version, protocol=protocol)
        before = len(house.log.reasons)
        phone.send(raw, phone.frame(0x0002, serial=60_001))
        while True:  # answers of the frame itself may come before or after
            answer = phone.get()
            if answer.message_id == 0x8001 and answer.body[:4] == (60_001).to_bytes(2, "big") + b"\0\2":
                break
        house.settled(lambda: house.gateway.stats.unanswered == 0, "the commit")
        if frame.message_id not in POSITIONS + BY_HAND and frame.total == 1:
            assert (len(house.log.reasons) > before) is refused(codec, raw), raw.hex()
        phone.sock.close()
    assert house.gateway.stats.frames > 20
    assert house.log.points > 0


def test_every_foreign_tracker_frame_ends_somewhere(house: House) -> None:
    imei = "358657100000005"
    house.registry.add(imei, "gt06")
    (login,) = gt06.write_frames(0x01, bytes.fromhex(imei.zfill(16)), serial=1)
    (heartbeat,) = gt06.write_frames(0x13, bytes.fromhex("4004040001"), serial=60_001)
    frames = frames_of("gt06.json")
    for raw in frames:
        with socket.create_connection(("127.0.0.1", house.gateway.gt06_port), timeout=ANSWER_S) as sock:
            sock.sendall(login + raw + heartbeat)
            got = b""
            while (60_001).to_bytes(2, "big") not in got:
                data = sock.recv(4096)
                assert data, raw.hex()
                got += data
    assert house.log.points > 20
    assert house.gateway.stats.bad[Reason.BAD_CHECKSUM] + house.gateway.stats.bad[Reason.IDENTITY_MISMATCH] > 0


@pytest.mark.parametrize("seed", range(5))
def test_noise_never_stops_a_connection_or_a_neighbour(house: House, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    phone, neighbour = house.authenticated(), house.authenticated("13800000002")
    good = phone.frame(0x0200, position())
    for serial in range(100, 150):
        kind = chance.randrange(4)
        if kind == 0:
            noise = chance.randbytes(chance.randrange(1, 300))
        elif kind == 1:  # a bit flipped
            at = chance.randrange(8 * len(good))
            noise = good[: at // 8] + bytes((good[at // 8] ^ 1 << at % 8,)) + good[at // 8 + 1 :]
        elif kind == 2:  # cut short
            noise = good[: chance.randrange(1, len(good))]
        else:  # lengths that promise more, a checksum that holds
            plain = bytearray(chance.randbytes(chance.randrange(12, 60)))
            checksum = 0
            for byte in plain:
                checksum ^= byte
            body = bytes((*plain, checksum)).replace(b"\x7d", b"\x7d\1").replace(b"\x7e", b"\x7d\2")
            noise = b"\x7e" + body + b"\x7e"
        phone.send(noise, b"\x7e", phone.frame(0x0002, serial=serial))
        neighbour.send(neighbour.frame(0x0200, position(), serial=serial))
        assert neighbour.general() == (serial, 0x0200, 0)
        answer = phone.get()
        while answer.body[:4] != serial.to_bytes(2, "big") + b"\0\2":
            answer = phone.get()
    assert house.gateway.stats.sessions == 2
    assert house.log.reasons
