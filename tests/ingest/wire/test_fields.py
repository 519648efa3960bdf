"""Fields and groups: what is written is read again, and what cannot be is said by the field's name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.wire.fields import Bcd, BcdTime, Bytes, Field, Text, Values, u8, u16, u32
from ingest.wire.groups import Editions, Group, Items, List, if_left, read_fields, since, until, write_fields
from ingest.wire.reader import Malformed, Reader
from tests.ingest.wire.strategies import broken, refusal, values_of

FIELDS: tuple[Field, ...] = (
    u8("code", values={1: "one", 2: "two"}),
    u16("flags", bits={0: "first", 15: "last"}),
    u32("lat", scale=1_000_000),
    Bcd("digits", {2013: 6, 2019: 10}),
    BcdTime("time"),
    Text("fixed", 12),
    Text("short", length_size=1),
    Editions({2011: List("ids", (u16("id"),), count_size=1), 2019: List("ids", (u16("id"),), count_size=2)}),
    since(2019, u8("new")),
    until(2013, u8("old")),
    Group("inner", (u8("a"), Bytes("b", 2)), length_size=1),
    u8("count"),
    List("pairs", (u8("x"), u8("y")), count=lambda got: int(got["count"])),
    Items("items", {1: (u16("v"),), 2: (u8("p"), if_left(u8("q")))}, {1: "first", 2: "second"}),
)


def written(values: Values, version: int, fields: tuple[Field, ...] = FIELDS) -> bytes:
    out = bytearray()
    write_fields(fields, out, values, version)
    return bytes(out)


@pytest.mark.parametrize("version", [2011, 2013, 2019])
@given(data=st.data())
@settings(max_examples=40)
def test_what_was_written_is_read_again(data: st.DataObject, version: int) -> None:
    values = data.draw(values_of(FIELDS, version))
    body = written(values, version)
    reader = Reader(body, version)
    assert read_fields(FIELDS, reader) == values
    assert reader.left == 0


@given(data=st.data())
@settings(max_examples=60)
def test_anything_else_is_malformed_and_nothing_worse(data: st.DataObject) -> None:
    body = data.draw(broken(written(data.draw(values_of(FIELDS, 2013)), 2013)))
    why = refusal(lambda: read_fields(FIELDS, Reader(body, 2013)))
    if not why:  # whatever was read can be written
        written(read_fields(FIELDS, Reader(body, 2013)), 2013)


@pytest.mark.parametrize(
    ("field", "body", "place"),
    [
        (u16("size"), b"\1", "size"),
        (u8("level", at_most=3), b"\4", "level"),
        (Bcd("digits", 1), b"\x1a", "digits"),
        (BcdTime("time"), bytes.fromhex("261340000000"), "time"),
        (Text("name", length_size=1), b"\5ab", "name"),
        (List("ids", (u16("id"),), count_size=1), b"\2\0\1\0", "ids[1].id"),
        (List("ids", (u8("id"),), count_size=2), b"\xff\xff", "ids.count"),
        (Items("items", {}, {}), b"\1\4\0", "items[0].value"),
        (Group("inner", (u8("a"),), length_size=1), b"\2\0\0", "inner.length"),
    ],
)
def test_the_place_is_named(field: Field, body: bytes, place: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_fields((field,), Reader(body))
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (u8("n"), 256),
        (u8("n"), -1),
        (u8("n"), "x"),
        (u8("n"), None),
        (u8("n"), float("nan")),
        (u8("n"), True),
        (u8("n", values={1: "one"}), "two"),
        (Bcd("n", 1), "123"),
        (Bcd("n", 1), "1a"),
        (BcdTime("n"), "tomorrow"),
        (BcdTime("n"), "1999-01-01T00:00:00+08:00"),
        (Text("n", 2), "abc"),
        (Text("n"), 3),
        (Bytes("n", 2), "00"),
        (Bytes("n"), "0g"),
        (List("n", (u8("id"),), count_size=1), [0] * 256),
        (List("n", (u8("id"),), count_size=1), 1),
        (Items("n", {}, {}), [{"id": 1, "value": 2}]),
        (Group("n", (u8("a"),)), {}),
    ],
)
def test_what_has_no_place_is_malformed(field: Field, value: Any) -> None:
    with pytest.raises(Malformed):
        written({"n": value}, 2013, (field,))


def test_an_item_that_does_not_fit_is_kept_and_touches_no_other() -> None:
    items = Items("items", {1: (u16("v"),)}, {1: "first"})
    body = bytes.fromhex("0101aa010200077702beef")
    got = read_fields((items,), Reader(body))["items"]
    assert got[0] == {"id": 1, "name": "first", "raw": "aa", "error": "v: needs 2 bytes and has 1"}
    assert got[1] == {"id": 1, "name": "first", "value": 7}
    assert got[2] == {"id": 0x77, "raw": "beef"}
    assert written({"items": got}, 0, (items,)) == body


def test_editions_and_their_forms() -> None:
    both = Editions({2011: u8("n"), 2019: u16("n")})
    assert written({"n": 1}, 2013, (both,)) == b"\1"
    assert written({"n": 1}, 2019, (both,)) == b"\0\1"
    assert written({"n": 1}, 0, (both,)) == b"\1"
    shared = (until(2013, u8("n")), since(2019, u16("n")))
    assert written({"n": 1}, 2013, shared) == b"\1"
    assert written({"n": 1}, 2019, shared) == b"\0\1"


def test_times_are_beijing_time() -> None:
    body = bytes.fromhex("261122235959")
    assert read_fields((BcdTime("t"),), Reader(body))["t"] == "2026-11-22T23:59:59+08:00"
    assert written({"t": "2026-11-22T15:59:59+00:00"}, 0, (BcdTime("t"),)) == body
    assert read_fields((BcdTime("t"),), Reader(bytes(6)))["t"] is None
