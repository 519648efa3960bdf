"""Which ingestor holds which terminal: one bucket that every process sees whole, and whose keys the ingestors write.

A terminal's session belongs to its newest connection across all ingestors. An ingestor writes the terminal's key by compare and set; the
sequence of that message is the session's **epoch**, which grows with every taking. Whoever held it sees the higher epoch and lets go.
An ingestor says that it lives once in a while; what it holds counts as long as it does, so the entries of one that died end with it.

Invariants: of two that took one terminal, exactly the one with the higher epoch holds it; an entry is ended by its own holder, or by
anybody once that has been silent for long; a process that sees nothing of the servers believes nobody. It knows no sockets.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from store.nats.link import Link
from store.nats.streams import Names
from store.nats.watching import watch

#: Seconds without a word of an ingestor after which what it holds is nobody's.
DEFAULT_GONE_S = 6.0
#: The header by which every NATS tool knows that a key was deleted, and when the servers drop a message.
OPERATION, DELETED, LIVES = "KV-Operation", "DEL", "Nats-TTL"


@dataclass(frozen=True, slots=True)
class Session:
    """A terminal that is connected somewhere.

    Attributes:
        number: of the terminal.
        slot, device: as registered.
        protocol: that it speaks.
        address: of its connection, `host:port`.
        run: of the ingestor that holds it.
        since_ms: when it came, by that ingestor's clock.
        epoch: number of the taking; 0 in the entry itself, which cannot know it.
    """

    number: str
    slot: int
    device: str
    protocol: str
    address: str
    run: str
    since_ms: int
    epoch: int = 0


@dataclass(slots=True)
class Ingestor:
    """An ingestor that says that it lives.

    Attributes:
        run: its own word for this start of the process; what it is asked by.
        name: for people.
        mqtt: whether it can write to a broker now.
        mark: of the secret that terminals' tokens are made from; different marks accept different tokens.
        heard_s: when it was last heard, monotonic.
        doubted_s: when it did not answer, monotonic; it is not asked again until it is heard.
    """

    run: str
    name: str
    mqtt: bool = False
    mark: str = ""
    heard_s: float = 0.0
    doubted_s: float = field(default=-1.0)


class SessionView:
    """Who is connected where, as this process sees it. Any thread may ask anything; nothing blocks.

    Args:
        link: the way to the servers.
        names: what the bucket is called.
        gone_s: see `DEFAULT_GONE_S`.
        on_change: told of every entry: number, the session, None when it ended; on the link's loop, must not block.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        *,
        gone_s: float = DEFAULT_GONE_S,
        on_change: Callable[[str, Session | None], None] = lambda _number, _session: None,
    ) -> None:
        self._link = link
        self._names = names
        self._gone_s = gone_s
        self._on_change = on_change
        self._terminals = names.terminal_subject("")
        self._ingestors_at = names.ingestor_subject("")
        self._by_number: dict[str, Session] = {}
        self._by_slot: dict[int, Session] = {}
        self._ingestors: dict[str, Ingestor] = {}
        self._unseen: set[str] = set()
        self._whole = threading.Event()
        #: The newest message of the bucket that was seen.
        self.last = 0
        self._end = link.start(watch(link, names.sessions, names.sessions_pattern, self))

    def close(self) -> None:
        """Watch no more."""
        self._end()

    def wait_whole(self, timeout_s: float) -> bool:
        """Wait until everything was seen once; False when it is not in time."""
        return self._whole.wait(timeout_s)

    # -- asking -------------------------------------------------------------------------------

    def entry(self, number: str) -> Session | None:
        """What the bucket says of a terminal, whether its ingestor lives or not."""
        return self._by_number.get(number)

    def of_slot(self, slot: int) -> Session | None:
        """The session of a device, if its ingestor lives."""
        found = self._by_slot.get(slot)
        return found if found is not None and self.lives(found.run) else None

    def sessions(self) -> list[Session]:
        """All of ingestors that live."""
        return [one for one in list(self._by_number.values()) if self.lives(one.run)]

    def stale(self, silent_s: float) -> list[Session]:
        """Entries whose ingestor has not been heard for so long, or never."""
        now_s = self._link.clock.monotonic_s()
        return [
            one
            for one in list(self._by_number.values())
            if (who := self._ingestors.get(one.run)) is None or now_s - who.heard_s >= silent_s
        ]

    def ingestors(self) -> list[Ingestor]:
        """Those that live."""
        return [one for one in list(self._ingestors.values()) if self.lives(one.run)]

    def lives(self, run: str) -> bool:
        """Whether that ingestor has been heard lately, and answered what it was asked since."""
        found = self._ingestors.get(run)
        if found is None or found.doubted_s >= found.heard_s:
            return False
        return self._link.clock.monotonic_s() - found.heard_s < self._gone_s

    def doubt(self, run: str) -> None:
        """It did not answer: it counts as gone until it is heard again."""
        found = self._ingestors.get(run)
        if found is not None:
            found.doubted_s = self._link.clock.monotonic_s()

    # -- told by the watch, on the link's loop --------------------------------------------------

    def begin(self) -> None:
        """See `watching.Watcher`."""
        self._unseen = set(self._by_number)

    def put(self, subject: str, position: int, headers: Mapping[str, str], payload: bytes) -> None:
        """See `watching.Watcher`."""
        self.last = max(self.last, position)
        gone = OPERATION in headers
        if subject.startswith(self._ingestors_at):
            self._heard(subject.removeprefix(self._ingestors_at), payload, gone=gone)
        elif subject.startswith(self._terminals):
            number = subject.removeprefix(self._terminals)
            self._unseen.discard(number)
            self._set(number, None if gone else _session_of(payload, position))

    def whole(self) -> None:
        """See `watching.Watcher`."""
        for number in self._unseen:
            self._set(number, None)
        self._unseen = set()
        self._whole.set()

    def _heard(self, run: str, payload: bytes, *, gone: bool) -> None:
        told = None if gone else _told(payload)
        if told is None:
            self._ingestors.pop(run, None)
            return
        found = self._ingestors.setdefault(run, Ingestor(run, ""))
        found.name, found.mark = str(told.get("name", "")), str(told.get("mark", ""))
        found.mqtt = bool(told.get("mqtt"))
        found.heard_s = self._link.clock.monotonic_s()

    def _set(self, number: str, session: Session | None) -> None:
        before = self._by_number.get(number)
        if before is not None and session is not None and before.epoch >= session.epoch:
            return  # told again
        if before is not None and self._by_slot.get(before.slot) is before:
            del self._by_slot[before.slot]
        if session is not None:
            self._by_number[number] = session
            self._by_slot[session.slot] = session
        elif before is not None:
            del self._by_number[number]
        else:
            return
        self._on_change(number, session)


def payload_of(session: Session) -> bytes:
    """A session as its key holds it."""
    fields = asdict(session)
    del fields["epoch"]
    return json.dumps(fields, ensure_ascii=False).encode()


def _session_of(payload: bytes, position: int) -> Session | None:
    """The session in a message; None when it holds none that this program can read."""
    told = _told(payload)
    try:
        return Session(epoch=position, **told) if told is not None else None
    except TypeError:
        return None


def _told(payload: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(payload)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
