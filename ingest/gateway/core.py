"""`Core`: what all sides of the gateway share: sessions, writing, quarantine; `Round`: what one turn brought.

Invariants: one session for a terminal number, the newer wins; a link is believed only for a registered, enabled terminal;
what a round owes is written after all of it is durable; everything that was refused is in `quarantined` and counted.
Only the gateway's thread calls anything here but `later`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingest.gateway.links import JT808, NOBODY, PROTOCOL_NAMES, UNKNOWN, Link, LinkTable
from ingest.gateway.masking import shown_frame
from ingest.gateway.media import Photos
from ingest.gateway.parts import Parts
from ingest.gateway.rising import Rising
from ingest.gateway.stats import GatewayStats
from model.batch import PointBatch
from model.codes import Reason
from model.quarantine import Quarantined
from model.signal import Signal

if TYPE_CHECKING:
    from ingest.gateway.limits import GatewayLimits
    from ingest.gateway.seams import Claims, GatewayEvents, Terminal, Terminals
    from model.clock import Clock


@dataclass(slots=True)
class Round:
    """What one turn brought.

    Attributes:
        now_s, received_ms: when it was read.
        batches: points.
        quarantined, signals: as in `Decoded`.
        frames: frames read.
        answers: what is written after the commit, by link.
        then: called on the gateway's thread after the commit.
    """

    now_s: float
    received_ms: int
    batches: list[PointBatch] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    frames: int = 0
    answers: list[tuple[Link, list[bytes]]] = field(default_factory=list)
    then: list[Callable[[], None]] = field(default_factory=list)

    @property
    def durable_needed(self) -> bool:
        """Whether there is anything to be made durable."""
        return bool(self.batches or self.quarantined or self.signals)


class Core:
    """Shared by the sides of one gateway.

    Args:
        limits, clock, terminals, events, require_auth: as `Gateway` got them.
        wake: wakes the gateway's thread; from any thread.
        claims: sessions across several gateways; None where this is the only one.
    """

    def __init__(
        self,
        limits: GatewayLimits,
        clock: Clock,
        terminals: Terminals,
        events: GatewayEvents,
        *,
        require_auth: bool,
        wake: Callable[[], None],
        claims: Claims | None = None,
    ) -> None:
        self.limits = limits
        self.clock = clock
        self.terminals = terminals
        self.events = events
        self.require_auth = require_auth
        self.stats = GatewayStats()
        self.table = LinkTable(limits.max_connections + limits.udp_links)
        self.rising = Rising()
        self.parts = Parts(
            message_bytes=limits.max_media_bytes,
            total_bytes=limits.max_open_bytes,
            timeout_s=limits.part_timeout_s,
            retries=limits.part_retries,
            offline_s=limits.part_offline_s,
            memory=limits.part_memory,
            memory_s=limits.part_memory_s,
            terminal_messages=limits.part_messages,
        )
        self.photos = Photos(
            photo_bytes=limits.max_media_bytes,
            total_bytes=limits.max_open_bytes,
            wait_s=limits.part_timeout_s * (limits.part_retries + 1),
        )
        self.by_number: dict[str, Link] = {}
        self.by_slot: dict[int, Link] = {}
        #: Host from which a number authenticated last, for its datagrams.
        self.trusted: dict[str, str] = {}
        self.dirty: list[Link] = []
        self.ending: list[Link] = []
        self._later: deque[Callable[[], None]] = deque()
        self._wake = wake
        self._claims = claims
        self._sessions = 0

    # -- any thread ---------------------------------------------------------------------------

    def later(self, call: Callable[[], None]) -> None:
        """Have `call` called on the gateway's thread."""
        self._later.append(call)
        self._wake()

    @property
    def waiting_calls(self) -> int:
        """How many calls wait for the gateway's thread."""
        return len(self._later)

    def run_later(self) -> None:
        """Call what `later` was given; on the gateway's thread."""
        for _ in range(len(self._later)):
            self._later.popleft()()

    # -- writing ------------------------------------------------------------------------------

    def put(self, link: Link, frames: list[bytes]) -> None:
        """Write `frames` to `link` at the end of this turn, after what was put before."""
        if link.open or link.sock is None:
            if not link.out:
                self.dirty.append(link)
            link.out += frames

    def end(self, link: Link) -> bool:
        """Close `link` at the end of this turn; False where that was said before."""
        if not link.open or link.ended:
            return False
        link.ended = True
        self.ending.append(link)
        return True

    # -- sessions -----------------------------------------------------------------------------

    def name(self, link: Link, number: str, key: int, code: int) -> None:
        """`link` says it is `number`; nothing of it counts yet."""
        link.number = number
        link.code = code
        self.table.number[link.index] = key
        self.table.code[link.index] = code

    def forget_name(self, link: Link) -> None:
        """`link` left its session and may greet anew."""
        self.disbelieve(link)
        self.name(link, "", NOBODY, UNKNOWN)

    def believe(self, link: Link, terminal: Terminal) -> None:
        """From now on `link` is that terminal; an older link of the same number ends."""
        link.terminal = terminal
        self.table.slot[link.index] = terminal.slot
        if link.sock is None:
            return
        older = self.by_number.get(link.number)
        if older is link:
            return
        if older is not None:
            self.stats.replaced += 1
            older.orders.clear()
            self.end(older)
            before = older.terminal
            if before is not None and before.slot != terminal.slot and self.by_slot.get(before.slot) is older:
                del self.by_slot[before.slot]
                self.events.offline(before.slot, before.device)
        self.by_number[link.number] = link
        self.by_slot[terminal.slot] = link
        self._trust(link)
        self._sessions += 1
        link.session = self._sessions
        if self._claims is not None:
            self._claims.claim(
                link.session,
                link.number,
                slot=terminal.slot,
                device=terminal.device,
                protocol=PROTOCOL_NAMES[link.code],
                address=link.address,
                since_ms=self.clock.now_ms(),
            )
        self.events.online(terminal.slot, terminal.device, PROTOCOL_NAMES[link.code])

    def disbelieve(self, link: Link) -> None:
        """The session of `link` is over."""
        terminal = link.terminal
        link.terminal = None
        link.orders.clear()
        self.table.slot[link.index] = -1
        if terminal is not None and self.by_number.get(link.number) is link:
            del self.by_number[link.number]
            if self._claims is not None:
                self._claims.release(link.number, link.session)
            if self.by_slot.get(terminal.slot) is link:
                del self.by_slot[terminal.slot]
                self.events.offline(terminal.slot, terminal.device)

    def taken(self, number: str, session: int) -> None:
        """The terminal connected to another gateway since: what it sent here until now counts, then its link ends."""
        link = self.by_number.get(number)
        if link is not None and link.session == session:
            self.stats.replaced += 1
            link.orders.clear()
            self.end(link)

    def vouched(self, link: Link) -> bool:
        """Whether that number is authenticated over TCP from the host that `link` comes from."""
        known = self._claims.host_of(link.number) if self._claims is not None else ""
        return (known or self.trusted.get(link.number)) == link.address.rpartition(":")[0]

    def check_again(self) -> None:
        """End sessions whose terminal is registered no more, was disabled, or may not use its token any more."""
        for link in [link for link in self.table.links if link is not None and link.terminal is not None]:
            assert link.terminal is not None
            now = self.terminals.find(link.number)
            if (
                now is None
                or not now.enabled
                or now.slot != link.terminal.slot
                or (self.require_auth and link.code == JT808 and not self.terminals.bound(now.slot))
            ):
                self.end(link)

    def _trust(self, link: Link) -> None:
        self.trusted.pop(link.number, None)
        self.trusted[link.number] = link.address.rpartition(":")[0]
        if len(self.trusted) > self.limits.udp_numbers:
            del self.trusted[next(iter(self.trusted))]

    # -- quarantine ---------------------------------------------------------------------------

    def refuse(self, round_: Round, link: Link, reason: Reason, detail: str, raw: bytes, *, rows: int = 1) -> None:
        """Something of `link` cannot be trusted. One that is not believed has a limit of such frames."""
        self.stats.bad[reason] += rows
        if link.terminal is None:
            link.strange += 1
            if link.strange >= self.limits.strangers_kept:
                self.end(link)
            if link.strange > self.limits.strangers_kept:
                return
        if link.side == "jt":
            raw = shown_frame(raw, reason)
        round_.quarantined.append(self.entry(round_, link.source, link.device, reason, detail, raw, rows=rows))

    def entry(
        self, round_: Round, source: str, device: str, reason: Reason, detail: str, raw: bytes, *, rows: int = 1
    ) -> Quarantined:
        """A quarantine entry within the limits."""
        return Quarantined(
            reason=reason,
            rows=rows,
            received_ms=round_.received_ms,
            source=source,
            device=device,
            detail=detail[: self.limits.detail_chars],
            raw=raw[: self.limits.quarantine_raw_bytes],
        )
