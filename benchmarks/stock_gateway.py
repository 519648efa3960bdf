"""The baseline of `benchmarks.gateway`: asyncio and struct, frame by frame, answers after one SQLite commit for what gathered.

What one writes first: a Protocol for each connection, split at 7E, unescape, xor, `struct.unpack`, a row for each position,
`executemany` with a commit that waits for the disk (as ours does) every 50 ms or 5,000 rows, then the answers. It takes any
token, keeps no additional items but as bytes, knows no duplicates, no alarms and no rules.
"""

from __future__ import annotations

import asyncio
import sqlite3
import struct
from datetime import UTC, datetime, timedelta, timezone
from functools import reduce
from operator import xor
from pathlib import Path

COMMIT_ROWS, COMMIT_S = 5_000, 0.05
_HEAD = struct.Struct(">HH6sH")
_BODY_808 = struct.Struct(">IIIIhHH6s")
_BODY_905 = struct.Struct(">IIIIHB6s")
_ANSWER = struct.Struct(">HHB")
_BEIJING = timezone(timedelta(hours=8))
_SCHEMA = (
    "CREATE TABLE points (number TEXT, ts INTEGER, received INTEGER, lat REAL, lon REAL, speed REAL, heading REAL,"
    " alarm INTEGER, status INTEGER, items BLOB)"
)
Row = tuple[str, int, int, float, float, float, float, int, int, bytes]


class Kept:
    """The one database, and what waits for its commit.

    Args:
        file: the database.
    """

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(_SCHEMA)
        self.rows: list[Row] = []
        self.answers: list[tuple[asyncio.Transport, bytes]] = []
        self._due: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        """Commit when enough has gathered, or in a moment."""
        if len(self.rows) >= COMMIT_ROWS:
            self.commit()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(COMMIT_S, self.commit)

    def commit(self) -> None:
        """One commit, then every answer."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._database.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self.rows)
        self._database.commit()
        self.rows.clear()
        for transport, frame in self.answers:
            transport.write(frame)
        self.answers.clear()


class Terminal(asyncio.Protocol):
    """One connection.

    Args:
        kept: where rows go.
        taxi: whether JT/T 905 is spoken, else JT/T 808-2013.
    """

    def __init__(self, kept: Kept, *, taxi: bool) -> None:
        self._kept = kept
        self._taxi = taxi
        self._left = b""
        self._serial = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *frames, self._left = (self._left + data).split(b"\x7e")
        for frame in frames:
            if frame:
                self._frame(frame.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d"))

    def _frame(self, plain: bytes) -> None:
        if reduce(xor, plain):
            return
        message_id, _props, number, serial = _HEAD.unpack_from(plain)
        body = plain[_HEAD.size : -1]
        if message_id == 0x0100:
            self._transport.write(self._made(0x8100, number, struct.pack(">HB", serial, 0) + b"token"))
            return
        answer = self._made(0x8001, number, _ANSWER.pack(serial, message_id, 0))
        if message_id not in (0x0200, 0x0704):
            self._transport.write(answer)
            return
        name = number.hex().lstrip("0")
        if message_id == 0x0200:
            self._position(name, body)
        else:
            at = 3
            for _ in range(int.from_bytes(body[:2], "big")):
                size = int.from_bytes(body[at : at + 2], "big")
                self._position(name, body[at + 2 : at + 2 + size])
                at += 2 + size
        self._kept.answers.append((self._transport, answer))
        self._kept.soon()

    def _position(self, name: str, body: bytes) -> None:
        if self._taxi:
            alarm, status, lat, lon, speed, heading, bcd = _BODY_905.unpack_from(body)
            units, heading, rest = 600_000, heading * 2, body[_BODY_905.size :]
        else:
            alarm, status, lat, lon, _alt, speed, heading, bcd = _BODY_808.unpack_from(body)
            units, rest = 1_000_000, body[_BODY_808.size :]
        digits = bcd.hex()
        year, month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(0, 12, 2))
        time = datetime(2000 + year, month, day, hour, minute, second, tzinfo=_BEIJING)
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        place = (lat / units, lon / units, speed / 10, float(heading))
        self._kept.rows.append((name, int(time.timestamp() * 1000), now_ms, *place, alarm, status, rest))

    def _made(self, message_id: int, number: bytes, body: bytes) -> bytes:
        plain = _HEAD.pack(message_id, len(body), number, self._serial) + body
        self._serial = (self._serial + 1) & 0xFFFF
        plain += bytes((reduce(xor, plain),))
        return b"\x7e" + plain.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02") + b"\x7e"


async def serve(port: int, file: Path, *, taxi: bool) -> None:
    """Take terminals for ever; says `ready` when it listens, and is ended by a signal."""
    kept = Kept(file)
    server = await asyncio.get_running_loop().create_server(
        lambda: Terminal(kept, taxi=taxi), "127.0.0.1", port, backlog=4_096
    )
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


def run(port: int, file: Path, *, taxi: bool) -> None:
    """`serve` with an event loop of its own."""
    asyncio.run(serve(port, file, taxi=taxi))
