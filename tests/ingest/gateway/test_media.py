"""Photos and batches in parts over real sockets: losses asked for, answered once they are durable."""

from __future__ import annotations

from ingest.gateway.media import piece905
from model.codes import Reason
from tests.ingest.gateway.conftest import LIMITS, NUMBER, House, Phone, batch, position

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 76 + b"\xff\xd9"
HEAD = (77).to_bytes(4, "big") + b"\0\0\2\3"


def photo(phone: Phone, serial: int = 500) -> list[bytes]:
    """0801 in 20 parts or so."""
    frames = phone.parts(0x0801, HEAD + position(lat=40.5) + JPEG, 980, serial)
    assert len(frames) == 20
    return frames


def asked(phone: Phone) -> tuple[int, list[int]]:
    """The next frame asks for parts: serial of the first, and their numbers."""
    frame = phone.get()
    assert frame.message_id == 0x8003
    width = 2 if frame.version == 2019 else 1
    count = int.from_bytes(frame.body[2 : 2 + width], "big")
    rest = frame.body[2 + width :]
    assert len(rest) == 2 * count
    return int.from_bytes(frame.body[:2], "big"), [
        int.from_bytes(rest[at : at + 2], "big") for at in range(0, len(rest), 2)
    ]


def test_a_photo_in_20_parts_with_three_lost(house: House) -> None:
    phone = house.authenticated()
    house.events.at_once = False
    frames = photo(phone)
    for index, frame in enumerate(frames, 1):
        if index not in (3, 4, 17):
            phone.send(frame)
            assert phone.general() == (499 + index, 0x0801, 0)
    house.pass_s(LIMITS.part_timeout_s)
    assert asked(phone) == (500, [3, 4, 17])
    assert house.events.pieces == []
    for index in (17, 3, 4):
        phone.send(frames[index - 1])
        assert phone.general() == (499 + index, 0x0801, 0)
    house.settled(lambda: house.events.waiting, "the photo")
    assert phone.quiet()  # nothing says that it has come before it is durable
    house.events.commit()
    answer = phone.get()
    assert (answer.message_id, answer.body) == (0x8800, HEAD[:4])
    (piece,) = house.events.pieces
    assert piece.data == JPEG
    assert (piece.device, piece.kind, piece.format, piece.event, piece.channel) == (
        "taxi/0",
        "image",
        "jpg",
        "robbery",
        3,
    )
    assert (piece.lat, piece.lon, piece.source) == (40.5, 109.84, "jt808:77")
    assert piece.time_ms == 1_759_982_400_000
    # A part that is sent again after all is answered again, and makes no second photo.
    phone.send(frames[4])
    assert phone.general() == (504, 0x0801, 0)
    assert phone.get().message_id == 0x8800
    assert len(house.events.pieces) == 1


def test_a_photo_goes_on_after_a_reconnect(house: House) -> None:
    phone = house.authenticated(version=2019)
    frames = photo(phone)
    phone.send(*frames[:10])
    for _ in range(10):
        assert phone.general()[2] == 0
    phone.sock.close()
    house.settled(lambda: house.gateway.connected(0) == "", "the end")
    house.pass_s(LIMITS.part_timeout_s)
    again = house.authenticated(version=2019)
    again.send(*frames[11:])
    for _ in range(9):
        assert again.general()[2] == 0
    house.pass_s(LIMITS.part_timeout_s)
    assert asked(again) == (500, [11])
    again.send(frames[10])
    assert again.general() == (510, 0x0801, 0)
    assert again.get().message_id == 0x8800
    assert house.events.pieces[0].data == JPEG


def test_a_photo_that_stays_incomplete(house: House) -> None:
    phone = house.authenticated()
    frames = photo(phone)
    phone.send(*frames[:18])
    for _ in range(18):
        assert phone.general()[2] == 0
    for count in range(LIMITS.part_retries):
        house.pass_s(LIMITS.part_timeout_s)
        if count + 1 < LIMITS.part_retries:
            assert asked(phone) == (500, [19, 20])
        else:  # the last time in the words of 8800
            last = phone.get()
            assert last.message_id == 0x8800
            assert last.body == HEAD[:4] + b"\2\0\x13\0\x14"
    house.pass_s(LIMITS.part_timeout_s)
    house.settled(lambda: house.log.reasons, "the quarantine")
    assert house.log.reasons == [Reason.INCOMPLETE]
    entry = house.log.taken[-1].quarantined[0]
    assert (entry.device, entry.source) == ("taxi/0", f"jt808/{NUMBER}")
    assert "parts 19-20 of 20 are missing; asked for 3 times" in entry.detail
    assert house.events.pieces == []
    assert house.gateway.stats.lost == 1
    assert house.gateway.stats.parts_asked == 6


def test_a_batch_in_parts_is_answered_only_when_all_of_it_is_durable(house: House) -> None:
    phone = house.authenticated()
    house.log.at_once = False
    items = [position(time=f"2510091200{second:02d}", alarm=int(second == 9)) for second in range(40)]
    frames = phone.parts(0x0704, batch(*items, blind=True), 200, 65_534)
    phone.send(frames[1], frames[0], *frames[3:], frames[3])
    phone.send(phone.frame(0x0002, serial=9))
    assert phone.general() == (9, 0x0002, 0)  # nothing else was answered until then
    phone.send(frames[2])
    house.settled(lambda: house.log.waiting, "the batch")
    assert phone.quiet()
    house.log.commit()
    total = len(frames)
    got = [phone.general() for _ in range(total)]
    assert got == [((65_534 + index) & 0xFFFF, 0x0704, 4) for index in range(total)]
    assert house.log.points == 40
    assert [decoded.urgent for decoded in house.log.taken if len(decoded.batch)] == [True]
    phone.send(frames[5])  # a part again: it is known, and answered
    assert phone.general() == ((65_534 + 5) & 0xFFFF, 0x0704, 0)
    assert house.log.points == 40


def test_a_photo_of_2011_has_no_place(house: House) -> None:
    phone = house.authenticated()
    phone.send(phone.frame(0x0801, HEAD + b"\xff\xd8\xff" + bytes(100)))
    assert phone.general()[2] == 0
    assert phone.get().message_id == 0x8800
    (piece,) = house.events.pieces
    assert (piece.lat, piece.time_ms, piece.data[:3]) == (None, 0, b"\xff\xd8\xff")


def test_a_taxis_photo_by_offset(house: House) -> None:
    house.events.at_once = False
    phone = house.phone("108000000316", protocol="jt905")
    place = bytes.fromhex("00000e008000018100f857a403f88e4e00ac6d100101081347").rjust(25, b"\0")
    whole = place + JPEG
    size = len(whole).to_bytes(4, "big")
    pieces = [
        (2).to_bytes(2, "big") + (9).to_bytes(4, "big") + b"\1" + size + at.to_bytes(4, "big") + whole[at : at + 5000]
        for at in range(0, len(whole), 5000)
    ]
    assert piece905(pieces[0]).data == whole[:5000]
    order = [1, 0, 1, *range(2, len(pieces))]
    for place_in_order, index in enumerate(order):
        phone.send(phone.frame(0x0800, pieces[index], serial=place_in_order))
        if place_in_order < len(order) - 1:
            assert phone.general() == (place_in_order, 0x0800, 0)
    house.settled(lambda: house.events.waiting, "the photo")
    assert phone.quiet()
    house.events.commit()
    assert phone.general() == (len(order) - 1, 0x0800, 0)
    (piece,) = house.events.pieces
    assert piece.data == JPEG
    assert (piece.event, piece.channel, piece.source) == ("alarm", 1, "jt905:9")
    phone.send(phone.frame(0x0800, pieces[0][:7] + size + (10**6).to_bytes(4, "big") + b"x", serial=99))
    assert phone.general() == (99, 0x0800, 2)
    assert house.log.reasons == [Reason.BAD_BODY]


def test_a_taxis_photo_that_stays_incomplete(house: House) -> None:
    phone = house.phone("108000000316", protocol="jt905")
    piece = (2).to_bytes(2, "big") + (9).to_bytes(4, "big") + b"\1" + (1000).to_bytes(4, "big") + bytes(4) + bytes(500)
    phone.send(phone.frame(0x0800, piece))
    assert phone.general()[2] == 0
    house.pass_s(LIMITS.part_timeout_s * (LIMITS.part_retries + 1))
    house.settled(lambda: house.log.reasons, "the quarantine")
    assert house.log.reasons == [Reason.INCOMPLETE]
    assert "500 of 1000 bytes came" in house.log.details[0]
