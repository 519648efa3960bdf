"""Who is there: each process of the cluster says so in a bucket of the nats-servers, and everybody reads it.

Invariants: the servers drop what is older than `expire_s`, so nobody needs a clock to know who has gone; the servers stamp what is
written, so how far each host's clock is off is measured against one clock, less the way there (a millisecond). It decides
nothing: who holds a partition is the pin's business, and where the bucket cannot be read nobody stops working.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from lucheng.logs import logger
from model.errors import LuchengError
from store.nats.streams import Names, key_value_stream, made
from store.nats.terms import Away, Message, Refusal, status_of

if TYPE_CHECKING:
    from config.cluster import Cluster
    from model.clock import Clock
    from store.nats.link import Link

#: Processes that are read, and the length of what each says.
MAX_NODES = 1_000
MAX_NODE_BYTES = 64 * 1024
_NS = 1_000_000_000
_END_OF_BATCH, _NOT_FOUND = 204, 404
_STAMP, _KEY = "Nats-Time-Stamp", "Nats-Subject"

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Node:
    """One process of the cluster, as it last said.

    Attributes:
        name: unlike all others. host, pid: where it runs.
        roles: what it does.
        since_ms, now_ms: its start and when it said this, by its own clock, UTC ms.
        holds: streams it works on, and since when.
        listening: whether all its sources stand; None where it has none.
        values: what else it says of itself, by name.
        key: the mark of its secret key (`devices.secrets.key_mark`), "" without one.
        stamped_ms: when the servers took this, by theirs; 0 until then.
    """

    name: str
    host: str
    pid: int
    roles: tuple[str, ...]
    since_ms: int
    now_ms: int
    holds: dict[str, int] = field(default_factory=dict)
    listening: bool | None = None
    values: dict[str, float] = field(default_factory=dict)
    stamped_ms: int = 0
    key: str = ""

    @property
    def skew_ms(self) -> int:
        """How far its clock is ahead of the servers'."""
        return self.now_ms - self.stamped_ms if self.stamped_ms else 0

    def to_bytes(self) -> bytes:
        """As the bucket holds it."""
        said = {
            "name": self.name,
            "host": self.host,
            "pid": self.pid,
            "roles": list(self.roles),
            "since_ms": self.since_ms,
            "now_ms": self.now_ms,
            "holds": self.holds,
            "listening": self.listening,
            "values": self.values,
            "key": self.key,
        }
        return json.dumps(said).encode()

    @classmethod
    def from_bytes(cls, raw: bytes, stamped_ms: int) -> Node | None:
        """What `to_bytes` wrote; None for what is none."""
        try:
            said = json.loads(raw[:MAX_NODE_BYTES])
            listening = said.get("listening")
            return cls(
                name=str(said["name"]),
                host=str(said["host"]),
                pid=int(said["pid"]),
                roles=tuple(str(role) for role in said["roles"]),
                since_ms=int(said["since_ms"]),
                now_ms=int(said["now_ms"]),
                holds={str(stream): int(since) for stream, since in said.get("holds", {}).items()},
                listening=None if listening is None else bool(listening),
                values={str(name): float(value) for name, value in said.get("values", {}).items()},
                stamped_ms=stamped_ms,
                key=str(said.get("key", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


class Roll:
    """The bucket.

    Args:
        link: the way to the servers.
        names: what the streams are called.
    """

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._stream = f"KV_{names.prefix}_nodes"
        self._keys = f"$KV.{names.prefix}_nodes."

    def prepare(self, replicas: int, expire_s: float) -> None:
        """Make the bucket. Raises StoreError."""
        age = round(expire_s * _NS)
        config = key_value_stream(self._stream, replicas) | {
            "max_age": age,
            "duplicate_window": min(age, 2 * _NS),
            "allow_direct": True,
        }
        self._link.call(made(self._link, config))

    def say(self, node: Node) -> None:
        """Write what `node` says. Raises Away, Refusal."""
        self._link.call(self._link.publish([Message(self._keys + node.name, node.to_bytes(), {})]))

    def leave(self, name: str) -> None:
        """Say no more: gone at once. Raises Away, Refusal."""
        headers = {"KV-Operation": "PURGE", "Nats-Rollup": "sub"}
        self._link.call(self._link.publish([Message(self._keys + name, b"", headers)]))

    def read(self) -> list[Node]:
        """Who is there, by name. Raises Away."""
        return self._link.call(self._read())

    def read_patiently(self) -> list[Node]:
        """The same, for as long as the link is patient; nobody where the bucket was never made. Raises StoreError."""
        try:
            return self._link.call(self._link.persist(self._read, what="Nobody tells who is there"))
        except Refusal:
            return []

    async def _read(self) -> list[Node]:
        request = json.dumps({"multi_last": [self._keys + "*"], "batch": MAX_NODES}).encode()
        found: list[Node] = []
        async with self._link.answers(f"$JS.API.DIRECT.GET.{self._stream}", request) as replies:
            while True:
                message = await self._link.next_of(replies)
                status = status_of(message)
                if status in {_END_OF_BATCH, _NOT_FOUND}:
                    return sorted(found, key=lambda node: node.name)
                headers = message.headers or {}
                if status or _STAMP not in headers:
                    raise Away(f"The nats-server did not read {self._stream} (status {status}).")
                node = Node.from_bytes(message.data, _ms_of(headers[_STAMP]))
                if node is not None and headers.get(_KEY) == self._keys + node.name:
                    found.append(node)


class Registration:
    """Says every `beat_s` that this process is there, and knows who else is. Its thread begins with `start`.

    Args:
        roll: the bucket, prepared.
        describe: what this process says now; called on the thread; must not block.
        settings: section `cluster`.
        clock: source of time.
    """

    def __init__(self, roll: Roll, describe: Callable[[], Node], settings: Cluster, clock: Clock) -> None:
        self._roll = roll
        self._describe = describe
        self._settings = settings
        self._clock = clock
        self._nodes: tuple[Node, ...] = ()
        self._read_at_s = float("-inf")
        self._changed = threading.Event()
        self._stop = threading.Event()
        self._named_skew = self._named_away = False
        self._thread = threading.Thread(target=self._loop, name="nodes", daemon=True)

    def start(self) -> None:
        """Be there: returns when it was said and read once, or could not be."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Be gone."""
        self._stop.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(5)
        try:
            self._roll.leave(self._describe().name)
        except LuchengError:
            return  # it expires by itself

    def now(self) -> None:
        """Something has changed: say it at once."""
        self._changed.set()

    def nodes(self) -> Sequence[Node] | None:
        """Who is there; None when that is not known."""
        if self._clock.monotonic_s() - self._read_at_s > self._settings.expire_s:
            return None
        return self._nodes

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._changed.wait(self._settings.beat_s)
            self._changed.clear()
            if not self._stop.is_set():
                self._beat()

    def _beat(self) -> None:
        try:
            mine = self._describe()
            self._roll.say(mine)
            began_s = self._clock.monotonic_s()
            self._nodes = tuple(self._roll.read())
            self._read_at_s = began_s
        except LuchengError as error:
            if not self._named_away:
                _log.warning("the others are not known", reason=error.message)
            self._named_away = True
            return
        self._named_away = False
        self._look_at_clock(mine.name)

    def _look_at_clock(self, name: str) -> None:
        mine = next((node for node in self._nodes if node.name == name), None)
        if mine is None:
            return
        off = abs(mine.skew_ms) > self._settings.max_clock_skew_ms
        if off and not self._named_skew:
            _log.error("this host's clock is not the nats-servers'", host=mine.host, ahead_ms=mine.skew_ms)
        self._named_skew = off


def node_name(settings: Cluster) -> str:
    """The name of this process."""
    if settings.node is not None:
        return settings.node
    host = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in socket.gethostname())
    return f"{host.strip('-')[:36] or 'host'}-{os.getpid()}"


def _ms_of(stamp: str) -> int:
    """UTC ms of RFC 3339 with nanoseconds."""
    return int(datetime.fromisoformat(stamp).timestamp() * 1000)
