"""Frames captured from real devices: decoded, or refused with the reason that a reader of the standard would give."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.jt.framing import split
from ingest.jt808.codec import Frame, decode_body, encode, read_frame
from ingest.jt808.messages import CATALOGUE
from ingest.jt808.parameters import PARAMETERS
from ingest.wire.reader import Malformed, Reader
from tests.ingest.jt808.conftest import frames_of

FRAMES = 57
#: Why the frame of that number is refused; all others decode.
REFUSED: dict[int, str] = {
    6: "number: 4eb6fb4afd9e holds no digit",  # the standard says BCD
    9: "frame: has a mark inside",  # its sender does not escape
    16: "body_size: says 65 bytes and 64 came",  # a maker's own header of one byte less
    17: "body_size: says 55 bytes and 54 came",
    22: "frame: has a mark inside",
    24: "message_id: 0x0210 is not in the table",
    25: "frame: has 7d followed by a0",
    27: "number: 4e5de66fba22 holds no digit",
    30: "message_id: 0x2070 is not in the table",
    33: "body_size: says 51 bytes and 50 came",
    34: "message_id: 0x1300 is not in the table",
    35: "body_size: says 40 bytes and 39 came",
    52: "frame: has 7d followed by 8b",
    53: "number: 4eb6fb4ad628 holds no digit",
    54: "frame: has a mark inside",
}
#: A text in brackets between the frames: another protocol.
TEXT = 26
#: Decoded, and not written back to the same bytes: zeros behind the plate are no part of it.
NOT_CANONICAL = {2}
#: Numbers of a maker where items belong: the position is read, its end kept as hex, with what is wrong.
BROKEN_END = {32: "items[4].value: needs 120 bytes and has 8"}
#: Items that makers fill with something else than the standard: kept as hex, with what is wrong.
ODD_ITEMS = {10: {0x06}, 18: {0x66}, 20: {0x66, 0x67}}


def frame_of(number: int) -> tuple[dict[str, Any], bytes]:
    entries = frames_of("jt808-devices.json")
    assert len(entries) == FRAMES
    return entries[number], bytes.fromhex(entries[number]["data"]) if entries[number]["kind"] == "binary" else b""


@pytest.mark.parametrize("number", [one for one in range(FRAMES) if one != TEXT])
def test_a_frame_of_a_device(number: int) -> None:
    _, raw = frame_of(number)
    if number in REFUSED:
        with pytest.raises(Malformed) as caught:
            decode_body(read_frame(raw))
        assert str(caught.value) == REFUSED[number]
        return
    frame = read_frame(raw)
    values = decode_body(frame)
    assert frame.checksum_ok
    odd = [item for item in values.get("items", []) if "error" in item]
    assert {item["id"] for item in odd if "rest" not in item} == ODD_ITEMS.get(number, set())
    assert [item["error"] for item in odd if "rest" in item] == [
        text for at, text in BROKEN_END.items() if at == number
    ]
    name = CATALOGUE.by_id[frame.message_id].name
    again = encode(name, values, number=frame.number, serial=frame.serial, version=frame.version)
    assert (again == [raw]) == (number not in NOT_CANONICAL)
    if number in NOT_CANONICAL:
        assert decode_body(read_frame(again[0])) == values


def test_a_text_between_the_frames_is_junk() -> None:
    entry, _ = frame_of(TEXT)
    assert split(entry["data"].encode()) == ([], b"", entry["data"].encode())


def test_what_their_senders_meant() -> None:
    """Values that the collection of frames states itself, where the standard has a field for them."""
    batch = decode_body(read_frame(frame_of(0)[1]))
    assert at(batch["positions"][0], 0x31) == 14
    alarm = decode_body(read_frame(frame_of(7)[1]))
    assert at(alarm, 0x14) == {"value": 4, "set": ["storage_fault"]}


def at(values: dict[str, Any], item: int) -> Any:
    return next(one["value"] for one in values["items"] if one["id"] == item)


def signalling() -> list[Frame]:
    return [read_frame(bytes.fromhex(raw)) for raw in frames_of("jt1078-signalling.json")]


def test_the_parts_of_a_list_of_recordings() -> None:
    """Every other part was captured; each holds whole recordings."""
    parts = [one for one in signalling() if one.message_id == 0x1205]
    assert [(one.total, one.index) for one in parts] == [(18, number) for number in range(1, 18, 2)]
    assert all(one.checksum_ok for one in parts)
    head, bodies = parts[0].body[:6], [parts[0].body[6:], *(one.body for one in parts[1:])]
    assert int.from_bytes(head[2:], "big") == 180
    for body in bodies:
        whole = head[:2] + (len(body) // 28).to_bytes(4, "big") + body
        values = decode_body(Frame(0x1205, parts[0].number, 0, whole, 2013))
        assert len(values["recordings"]) == 10
        for one in values["recordings"]:
            assert 1 <= one["channel"] <= 5
            assert one["begin"] < one["end"]
            assert one["begin"].startswith("2020-07-17T")
            assert 1_000_000 < one["size_bytes"] < 300_000_000
            assert (one["content"], one["stream"], one["storage"]) == ("both", "main", "main")


def test_the_first_part_of_all_parameters() -> None:
    frame = next(one for one in signalling() if one.message_id == 0x0104)
    assert (frame.total, frame.index, frame.checksum_ok) == (2, 1, True)
    with pytest.raises(Malformed, match="part 1 of 2"):
        decode_body(frame)
    reader = Reader(frame.body, frame.version)
    assert reader.take(2, "serial").hex() == "01a4"
    count = reader.take(1, "count")[0]
    read = []
    while reader.left:
        number, size = int.from_bytes(reader.take(4, "id"), "big"), reader.take(1, "length")[0]
        if not number:  # zeros fill the part up
            break
        read.append(PARAMETERS.read_one(number, reader.take(size, "value")))
    assert (count, len(read)) == (88, 84)
    assert [one for one in read if "error" in one or "raw" in one] == []
    values = {one["id"]: one["value"] for one in read}
    assert values[0x0001] == 10
    assert values[0x0013] == "183.230.82.18"
    assert values[0x0046] == 0x0FFFFFFF
    assert values[0x005B] == 5.0
    assert values[0x0083] == "渝D5F001"
    assert values[0x0075]["live_kbit_s"] == 192
    assert [one["channel"] for one in values[0x0077]] == [1, 2, 3, 4, 5, 6, 7]
