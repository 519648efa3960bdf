"""The golden pairs: every field equal, in its unit, and the same bytes back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from ingest.jt808.codec import decode_body, encode, read_frame
from ingest.jt808.messages import CATALOGUE
from ingest.wire.fields import Field, Int
from ingest.wire.groups import Editions, Group, Items, List, When
from tests.ingest.jt808.conftest import frames_of
from tests.ingest.jt808.golden_names import HEADER, NAMES, UNMAPPED, Each, Flat, Inner, Keyed

PAIRS = 69


def codes_of(fields: list[Field]) -> dict[str, list[Mapping[int, str]]]:
    """The code tables of all fields with words, by the field's name."""
    found: dict[str, list[Mapping[int, str]]] = {}
    todo = list(fields)
    while todo:
        one = todo.pop()
        if isinstance(one, When):
            todo.append(one.inner)
        elif isinstance(one, Editions):
            todo += one.forms.values()
        elif isinstance(one, (Group, List)):
            todo += one.fields
        elif isinstance(one, Items):
            todo += [inner for inners in one.table.values() for inner in inners]
        elif isinstance(one, Int) and one.values:
            found.setdefault(one.name, []).append(one.values)
    return found


class Comparison:
    """One pair compared; `wrong` says where it differs, `seen` which of our values were looked at."""

    def __init__(self, message_id: int) -> None:
        self.message_id = message_id
        self.codes = codes_of(list(CATALOGUE.by_id[message_id].fields))
        self.wrong: list[str] = []
        self.compared = 0

    def group(self, golden: dict[str, Any], ours: Any, names: Mapping[str, Any], place: str = "") -> None:
        for name, value in golden.items():
            here = f"{place}.{name}".removeprefix(".")
            if (self.message_id, here) in UNMAPPED:
                continue
            if name not in names:
                self.wrong.append(f"{here} is not in the table of names")
                continue
            self.one(value, ours, names[name], here)

    def one(self, golden: Any, ours: Any, name: Any, here: str) -> None:
        if isinstance(name, Flat):
            self.equal(golden, name.make(ours), here)
        elif isinstance(name, Inner):
            self.group(golden, at(ours, name.path), name.names, here)
        elif isinstance(name, Each):
            mine = at(ours, name.path)
            if len(mine) != len(golden):
                self.wrong.append(f"{here} has {len(mine)} elements, not {len(golden)}")
            for theirs, own in zip(golden, mine, strict=False):
                self.group(theirs, own, name.names, f"{here}[]")
        elif isinstance(name, Keyed):
            mine = {item["id"]: item["value"] for item in at(ours, name.path)}
            if sorted(mine) != sorted(map(int, golden)):
                self.wrong.append(f"{here} has the numbers {sorted(mine)}")
            for number, value in golden.items():
                self.one(value, mine[int(number)], name.by_number[int(number)], f"{here}[{number}]")
        else:
            path, scale = name if isinstance(name, tuple) else (name, 1)
            value = at(ours, path)
            if isinstance(value, str) and isinstance(golden, int):
                value = self.code(path, value)
            self.equal(golden, value * scale if scale != 1 else value, here)

    def code(self, path: str, word: str) -> Any:
        """The number of a word: of the only table of that name which has it."""
        tables = self.codes.get(path.rpartition(".")[2], [])
        found = {code for table in tables for code, known in table.items() if known == word}
        return found.pop() if len(found) == 1 else word

    def equal(self, golden: Any, ours: Any, here: str) -> None:
        self.compared += 1
        if not same(golden, ours):
            self.wrong.append(f"{here} is {ours!r}, not {golden!r}")


def at(ours: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        ours = ours[name]
    return ours


def same(golden: Any, ours: Any) -> bool:
    """Whether both say the same: bits as a number, bytes as hex, times as ISO 8601 with their zone, signs left out."""
    if isinstance(ours, dict) and set(ours) == {"value", "set"}:
        ours = ours["value"]
    if isinstance(golden, list) and isinstance(ours, str):
        return bytes(byte & 0xFF for byte in golden).hex() == ours
    if isinstance(golden, str) and isinstance(ours, str):
        return same_text(golden, ours)
    if isinstance(golden, int) and golden == -1:
        return ours in (0xFF, 0xFFFF, 0xFFFFFFFF, -1)
    if isinstance(golden, int) and isinstance(ours, float):
        return abs(golden - ours) < 1e-6
    return bool(golden == ours)


def same_text(golden: str, ours: str) -> bool:
    """Whether two texts are equal, or the same time, or the same digits but for zeros in front or behind."""
    if re.fullmatch(r"20\d\d-\d\d-\d\dT.*", golden):
        return f"{golden}+08:00" == ours
    if golden == ours or not re.fullmatch(r"[\d:]+", golden):
        return golden == ours
    plain, digits = golden.replace(":", ""), re.sub(r"\D", "", ours.removesuffix("+08:00"))
    return digits in (f"20{plain}", plain.zfill(len(digits)), plain[: len(digits)])


@pytest.mark.parametrize("number", range(PAIRS))
def test_every_field_of_the_golden_is_ours(number: int) -> None:
    pairs = frames_of("jt808-golden.json")
    assert len(pairs) == PAIRS
    raw, golden = bytes.fromhex(pairs[number]["hex"]), pairs[number]["fields"]
    frame = read_frame(raw)
    header = {name: golden[name] for name in HEADER}
    assert header == {
        "messageId": frame.message_id,
        "properties": len(frame.body),
        "protocolVersion": frame.protocol_version,
        "clientId": frame.number,
        "serialNo": frame.serial,
        "verified": frame.checksum_ok,
    }
    assert (frame.total, frame.index, frame.encrypted, frame.version) == (1, 1, False, 2013)
    values = decode_body(frame)
    comparison = Comparison(frame.message_id)
    fields = {name: value for name, value in golden.items() if name not in HEADER}
    comparison.group(fields, values, NAMES[frame.message_id])
    assert comparison.wrong == []
    assert comparison.compared or not fields


@pytest.mark.parametrize("number", range(PAIRS))
def test_every_golden_frame_is_written_back(number: int) -> None:
    raw = bytes.fromhex(frames_of("jt808-golden.json")[number]["hex"])
    frame = read_frame(raw)
    name = CATALOGUE.by_id[frame.message_id].name
    assert encode(name, decode_body(frame), number=frame.number, serial=frame.serial, version=frame.version) == [raw]


def test_the_table_of_names_holds_nothing_else() -> None:
    ids = {pair["fields"]["messageId"] for pair in frames_of("jt808-golden.json")}
    assert set(NAMES) == ids


def test_a_wrong_unit_or_name_is_seen() -> None:
    """The comparison itself: a scale that is off and a name that is missing do not pass."""
    pair = next(one for one in frames_of("jt808-golden.json") if one["fields"]["messageId"] == 0x8202)
    values = decode_body(read_frame(bytes.fromhex(pair["hex"])))
    off = Comparison(0x8202)
    off.group({"interval": 5, "other": 1}, values, {"interval": ("interval_s", 10)})
    assert off.wrong == ["interval is 50, not 5", "other is not in the table of names"]
