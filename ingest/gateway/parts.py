"""Messages that come in parts, put together again.

Purpose: a state machine without sockets: parts go in, whole messages, requests for missing parts and messages given up
come out. Invariants: parts may come in any order and more than once; a whole message comes out once, with the parts of
one message only; nothing depends on the connection, so a terminal may go on after it came back; bytes held are bounded
for one message and for all. It neither answers nor stores anything.

Which message a part belongs to: parts have consecutive serials (JT/T 808-2019 4.4.3), so serial - (index - 1) names the
message. Two deviations of terminals are allowed for. Another message may take a serial in between: the part follows the
last one, its serial no further than a part of the terminal's next message could be. And a part that was asked for may
come with a fresh serial instead of its own, which the standard forbids (8.5: the same frames again): over an ordered
connection only, where a newer message's first part comes before its others, and so never for a first part.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

#: What a part costs besides its bytes.
PART_OVERHEAD_BYTES = 160
#: Serials that other messages may take between two parts of one.
SERIALS_BETWEEN = 8
#: Parts asked for at once: what the one byte of their number in 8003 can say.
ASKED_AT_ONCE = 255
#: Messages of one terminal of which parts are missing: each of its parts is held against all of them.
DEFAULT_TERMINAL_MESSAGES = 64


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Attributes:
        number: of the terminal.
        message_id, total, index, serial: of its header; index from 1.
        body: its share of the body.
        version: edition of the terminal.
        ordered: whether its connection keeps the order in which frames were sent.
    """

    number: str
    message_id: int
    total: int
    index: int
    serial: int
    body: bytes
    version: int = 0
    ordered: bool = False

    @property
    def base(self) -> int:
        """Serial of the first part, if serials are consecutive."""
        return (self.serial - self.index + 1) & 0xFFFF


@dataclass(slots=True, eq=False)
class Open:
    """A message, as far as it has come. `serials` has those of all parts; `body` is there once it is whole."""

    number: str
    message_id: int
    total: int
    base: int
    version: int
    fed_s: float
    due_s: float
    held: dict[int, bytes] = field(default_factory=dict)
    serials: dict[int, int] = field(default_factory=dict)
    bases: set[int] = field(default_factory=set)
    asked: set[int] = field(default_factory=set)
    asks: int = 0
    size_bytes: int = 0
    last_index: int = 0
    last_serial: int = 0

    @property
    def missing(self) -> list[int]:
        """Indices that have not come."""
        return self.first_missing(self.total)

    def first_missing(self, most: int) -> list[int]:
        """The first `most` of them: a total that was made up costs no more than what has come."""
        indices = (index for index in range(1, self.total + 1) if index not in self.held)
        return list(islice(indices, most))

    def gaps(self) -> Iterator[tuple[int, int]]:
        """The missing ones as runs, first and last index of each."""
        begin = 1
        for index in [*sorted(self.held), self.total + 1]:
            if index > begin:
                yield begin, index - 1
            begin = index + 1

    @property
    def body(self) -> bytes:
        """What has come, in order."""
        return b"".join(self.held[index] for index in sorted(self.held))

    def followed_by(self, part: Part) -> bool:
        """Whether it is the next part, with room for another message's serial in front of it."""
        step = (part.serial - self.last_serial) & 0xFFFF
        return part.index == self.last_index + 1 and step <= min(SERIALS_BETWEEN, self.total)

    def brought_again(self, part: Part) -> bool:
        """Whether it is a part that was asked for, under a serial later than all that the message had."""
        later = (part.serial - (self.base + self.total - 1)) & 0xFFFF
        return part.ordered and part.index > 1 and part.index in self.asked and 0 < later < 0x8000


class What(Enum):
    """What became of a part."""

    KEPT = "kept"
    WHOLE = "whole"
    REPEATED = "repeated"
    #: A repeat of a message that was whole before.
    FINISHED = "finished"
    #: Its index is not among its total.
    NONSENSE = "nonsense"
    #: The message is over its limit.
    TOO_LARGE = "too large"


@dataclass(slots=True)
class Finished:
    """A message that was whole. `durable` is set by whoever stored it; `tag` is the caller's."""

    serials: tuple[int, ...]
    hashes: dict[int, int]
    since_s: float
    durable: bool = False
    tag: object = None


@dataclass(frozen=True, slots=True)
class Added:
    """What a part did.

    Attributes:
        what: see `What`.
        message: the open or whole message; None for FINISHED and NONSENSE.
        finished: memory of the whole message, for WHOLE and FINISHED.
        lost: messages that were given up to make room, or because the terminal began anew.
    """

    what: What
    message: Open | None = None
    finished: Finished | None = None
    lost: tuple[Lost, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """A message given up, and why."""

    message: Open
    why: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Parts to ask for again; `last` when it is the last time."""

    message: Open
    missing: list[int]
    last: bool


_Kind = tuple[str, int, int]


class Parts:
    """All messages of which parts are missing. One thread.

    Args:
        message_bytes, total_bytes: limits of one message and of all that are open.
        timeout_s: how long the next part may take before the missing ones are asked for.
        retries: how often they are, without one coming.
        offline_s: how long a message waits while its terminal is not connected.
        memory, memory_s: whole messages remembered, and for how long.
        terminal_messages: of one terminal that may be open; beyond, its stalest is given up.
    """

    def __init__(
        self,
        *,
        message_bytes: int,
        total_bytes: int,
        timeout_s: float,
        retries: int,
        offline_s: float = 300.0,
        memory: int = 10_000,
        memory_s: float = 300.0,
        terminal_messages: int = DEFAULT_TERMINAL_MESSAGES,
    ) -> None:
        self._message_bytes = message_bytes
        self._total_bytes = total_bytes
        self._timeout_s = timeout_s
        self._retries = retries
        self._offline_s = offline_s
        self._memory = memory
        self._memory_s = memory_s
        self._terminal_messages = terminal_messages
        self._open: dict[_Kind, list[Open]] = {}
        #: By when they were fed last, oldest first.
        self._fed: OrderedDict[int, Open] = OrderedDict()
        #: The same of each terminal.
        self._fed_of: dict[str, OrderedDict[int, Open]] = {}
        self._finished: OrderedDict[tuple[_Kind, int], Finished] = OrderedDict()
        self.open_bytes = 0

    def __len__(self) -> int:
        return len(self._fed)

    def add(self, part: Part, now_s: float) -> Added:
        """Take one part in."""
        if not 1 <= part.index <= part.total:
            return Added(What.NONSENSE)
        kind = (part.number, part.message_id, part.total)
        found, began_anew = self._find(kind, part)
        if found is None:
            done = self._finished.get((kind, part.base))
            if done is not None and done.hashes.get(part.index) == hash(part.body):
                return Added(What.FINISHED, finished=done)
        lost: list[Lost] = []
        if began_anew is not None:
            self._forget(began_anew)
            lost.append(Lost(began_anew, "the terminal began a new message with the same serials"))
        if found is None:
            found = Open(part.number, part.message_id, part.total, part.base, part.version, now_s, 0.0)
            self._open.setdefault(kind, []).append(found)
            self._fed[id(found)] = found
            mine = self._fed_of.setdefault(part.number, OrderedDict())
            mine[id(found)] = found
            if len(mine) > self._terminal_messages:
                stalest = next(iter(mine.values()))
                self._forget(stalest)
                lost.append(Lost(stalest, "too many messages of this terminal wait for parts"))
        if part.index in found.held:
            return Added(What.REPEATED, found, lost=tuple(lost))
        self._keep(found, part, now_s)
        if found.size_bytes > self._message_bytes:
            self._forget(found)
            return Added(What.TOO_LARGE, found, lost=tuple(lost))
        if len(found.held) == found.total:
            self._forget(found)
            return Added(What.WHOLE, found, self._remember(kind, found, now_s), tuple(lost))
        while self.open_bytes > self._total_bytes:
            stalest = next(iter(self._fed.values()))
            self._forget(stalest)
            lost.append(Lost(stalest, "too many messages wait for parts"))
        return Added(What.KEPT, found, lost=tuple(lost))

    def due(self, now_s: float, connected: Callable[[str], bool]) -> list[Ask | Lost]:
        """What has waited too long: parts to ask for, messages to give up."""
        made: list[Ask | Lost] = []
        while self._finished and next(iter(self._finished.values())).since_s + self._memory_s <= now_s:
            self._finished.popitem(last=False)
        for message in list(self._fed.values()):
            if message.due_s > now_s:
                continue
            if not connected(message.number):
                if now_s - message.fed_s >= self._offline_s:
                    self._forget(message)
                    made.append(Lost(message, "the terminal did not come back"))
                else:
                    message.due_s = now_s + self._timeout_s
            elif message.asks >= self._retries:
                self._forget(message)
                made.append(Lost(message, f"asked for {message.asks} times"))
            else:
                message.asks += 1
                message.due_s = now_s + self._timeout_s
                missing = message.first_missing(ASKED_AT_ONCE)
                message.asked.update(missing)
                made.append(Ask(message, missing, message.asks == self._retries))
        return made

    def clear(self) -> list[Lost]:
        """Give up all of them."""
        lost = [Lost(message, "the gateway stopped") for message in self._fed.values()]
        for one in lost:
            self._forget(one.message)
        return lost

    def _find(self, kind: _Kind, part: Part) -> tuple[Open | None, Open | None]:
        """The open message it belongs to; and one that it shows to be over."""
        candidates = self._open.get(kind, ())
        for one in candidates:
            if part.base in one.bases:
                if one.held.get(part.index, part.body) == part.body:
                    return one, None
                return None, one
        for one in candidates:
            held = one.held.get(part.index)
            if held is not None:
                if held == part.body and part.serial == one.serials[part.index]:
                    return one, None
                continue
            if one.followed_by(part) or one.brought_again(part):
                return one, None
        return None, None

    def _keep(self, message: Open, part: Part, now_s: float) -> None:
        cost = len(part.body) + PART_OVERHEAD_BYTES
        message.held[part.index] = part.body
        message.serials[part.index] = part.serial
        # A part that was asked for may come with any serial: that says nothing of the others.
        if part.index not in message.asked:
            message.bases.add(part.base)
        message.last_index = part.index
        message.last_serial = part.serial
        message.size_bytes += len(part.body)
        message.asks = 0
        self.open_bytes += cost
        self._touch(message, now_s)

    def _touch(self, message: Open, now_s: float) -> None:
        message.fed_s = now_s
        message.due_s = now_s + self._timeout_s
        self._fed.move_to_end(id(message))
        self._fed_of[message.number].move_to_end(id(message))

    def _forget(self, message: Open) -> None:
        kind = (message.number, message.message_id, message.total)
        del self._fed[id(message)]
        mine = self._fed_of[message.number]
        del mine[id(message)]
        if not mine:
            del self._fed_of[message.number]
        same = self._open[kind]
        same.remove(message)
        if not same:
            del self._open[kind]
        self.open_bytes -= message.size_bytes + PART_OVERHEAD_BYTES * len(message.held)

    def _remember(self, kind: _Kind, message: Open, now_s: float) -> Finished:
        serials = tuple(message.serials[index] for index in range(1, message.total + 1))
        hashes = {index: hash(body) for index, body in message.held.items()}
        done = Finished(serials, hashes, now_s)
        for base in message.bases or {message.base}:
            self._finished[kind, base] = done
            self._finished.move_to_end((kind, base))
        while len(self._finished) > self._memory:
            self._finished.popitem(last=False)
        return done
