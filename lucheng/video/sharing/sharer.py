"""`Sharer`: this machine's part in the cameras of all: it takes shares, opens their cameras one after the other, and gives shares back.

Invariants: a camera is opened only while its share is ours by the table and our lease is certain; before a share is given away, and
before anybody may take it, every connection to its cameras has ended (by force at last); what it takes over is opened at
`video.max_opens_per_s`; a machine that has just come is given nothing until it has stayed for `video.settle_s`. It decides by `plan` and knows
nothing of pictures.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lucheng.logs import logger
from lucheng.video.sharing.opening import Opening
from lucheng.video.sharing.others import Others
from lucheng.video.sharing.plan import Picture, Seat, to_give, to_take
from model.errors import LuchengError, SettingsError
from store.nats.asking import Answerer, listen
from store.nats.leases import MARGIN_S, Lease
from store.nats.partitions import partition_of
from store.nats.shares import SharesView, read_table, write_table

if TYPE_CHECKING:
    from config.video import Video
    from lucheng.video.camera_watch import CameraWatch
    from lucheng.video.sharing.known import Known
    from model.camera import CameraSetup
    from store.nats.cameras import VideoNames
    from store.nats.link import Link
    from store.nats.shares import Table

LOOK_EVERY_S = 0.25
GUARD_EVERY_S = 0.1
#: A share that was free for so long may be taken by whoever has room.
LEFT_LYING_S = 3.0
#: A worker that does not let go of a camera of a share that is given away has so long.
GIVE_PATIENCE_S = 10.0
#: How often trouble is written down.
SAY_EVERY_S = 10.0

_log = logger(__name__)


@dataclass(slots=True)
class _Gift:
    """A share that is being given away: to whom, and since when."""

    to: str
    since_s: float


class Sharer:
    """See the module. Runs two threads: one decides, one watches over the lease.

    Args:
        link: the way to the servers.
        names: what things are called.
        machine: this machine's name, for people.
        settings: section `video`.
        watch: watches what is ours.
        known: the cameras of the registry, from memory.
        on_fatal: called when it cannot go on.
        answer: to what this machine is asked directly (not empty); on the link's loop.
    """

    def __init__(
        self,
        link: Link,
        names: VideoNames,
        *,
        machine: str,
        settings: Video,
        watch: CameraWatch,
        known: Callable[[], Known],
        on_fatal: Callable[[BaseException], None],
        answer: Answerer = lambda _subject, _question: None,
    ) -> None:
        self._answer = answer
        self._end_listening: Callable[[], None] = lambda: None
        self._link = link
        self._names = names
        self._machine = machine
        self._settings = settings
        self._watch = watch
        self._known = known
        self._on_fatal = on_fatal
        self._clock = link.clock
        self.view = SharesView(link, names, settings.shares)
        self._others = Others(link, names, self.view, lease_s=settings.lease_s, settle_s=settings.settle_s)
        self._opening = Opening(settings.max_opens_per_s, settings.max_cameras)
        self._lease = self._new_lease()
        self._begun = False
        self._held: frozenset[int] = frozenset()
        self._shown: tuple[tuple[str, ...], object] = ((), None)
        self._giving: dict[int, _Gift] = {}
        self._given_s = float("-inf")
        self._free_since_s: dict[int, float] = {}
        self._said_s = float("-inf")
        self._applying = threading.Lock()
        self._stop = threading.Event()
        #: Shares taken, given away and lost since the start.
        self.taken = self.given = self.let_go = 0
        self._threads = [
            threading.Thread(target=self._loop, name="video-shares", daemon=True),
            threading.Thread(target=self._guard, name="video-lease", daemon=True),
        ]

    # -- from outside -------------------------------------------------------------------------

    def start(self) -> None:
        """Take part from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self, close_within_s: float) -> None:
        """Close every camera, then let the others have them at once."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        with self._applying:
            self._held = frozenset()
            self._watch.close_all(close_within_s)
        self._lease.end()
        self._end_listening()
        self.view.close()

    @property
    def run(self) -> str:
        """The name of our lease."""
        return self._lease.run

    def until_s(self) -> float:
        """Monotonic time until which what we hold is ours as things stand."""
        return self._lease.until_s()

    def holds(self, share: int) -> bool:
        """Whether a share is certainly ours at this moment."""
        return share in self._held and self._lease.certain()

    def speaks_for(self, device: str) -> bool:
        """Whether a camera is certainly ours at this moment."""
        setup = self._known().setups.get(device)
        return setup is not None and self.holds(self.share_of(setup))

    def share_of(self, setup: CameraSetup) -> int:
        """The share of a camera, the same on every machine."""
        return partition_of(setup.slot, self._settings.shares)

    def held(self) -> frozenset[int]:
        """Shares that are ours."""
        return self._held

    def values(self) -> dict[str, float]:
        """State by name."""
        return {
            "video_shares": len(self._held),
            "video_shares_taken": self.taken,
            "video_shares_given": self.given,
            "video_shares_lost": self.let_go,
            "video_cameras_waiting": self._opening.waiting,
            "video_cameras_no_room": self._opening.no_room,
        }

    def status(self) -> dict[str, Any]:
        """For people: our lease, and what we hold."""
        return {"run": self.run, "shares": len(self._held), "cameras": len(self._shown[0])}

    # -- the lease ----------------------------------------------------------------------------

    def _new_lease(self) -> Lease:
        told = {"name": self._machine, "capacity": self._settings.max_cameras}
        return Lease(self._link, self._names, told, lease_s=self._settings.lease_s)

    def _begin_lease(self) -> None:
        if self._lease.lost:
            self._lease, self._begun = self._new_lease(), False
        if not self._begun:
            self._end_listening()
            subject = self._names.machine_subject(self.run)
            self._end_listening = self._link.start(
                listen(self._link, subject, lambda at, said: self._answer(at, said) if said else b"here")
            )
            self._lease.begin()
            self._begun = True

    def _guard(self) -> None:
        """Close everything as soon as the lease is not certain; on a thread that waits for nobody else."""
        while not self._stop.wait(GUARD_EVERY_S):
            if self._held and not self._lease.certain():
                with self._applying:
                    if self._held and not self._lease.certain():
                        _log.error("cameras let go: the nats-servers do not hear this machine", shares=len(self._held))
                        self.let_go += len(self._held)
                        self._held = frozenset()
                        self._opening.clear()
                        self._shown = ((), None)
                        self._watch.close_all(MARGIN_S / 2)

    # -- the thread ---------------------------------------------------------------------------

    def _loop(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self.look()
            except LuchengError as error:
                if isinstance(error, SettingsError):
                    self._on_fatal(error)
                    return
                self._say("cameras are shared no further for now", error.message)
            except Exception as error:  # the next look may do better; what is held stays held
                _log.exception("cameras not shared", error=type(error).__name__)

    def look(self) -> None:
        """One look: the lease, who is gone, what to take, what to give, what to watch. Raises Away, Refusal, SettingsError."""
        self._begin_lease()
        if not self._lease.certain() or not self.view.wait_whole(0):
            return
        known = self._known()
        table = self.view.table
        seats = self._others.seats(table, self.run)
        seats[self.run] = Seat(self._settings.max_cameras, settled=True)
        self._apply(table, known)
        weights = Counter(self.share_of(setup) for setup in known.setups.values())
        picture = self._picture(table, seats, weights)
        taking = to_take(picture)
        if taking and self._take(table, taking, seats):
            self._apply(self.view.table, known)
        self._give(self.view.table, picture, begin=not taking)

    def _picture(self, table: Table, seats: Mapping[str, Seat], weights: Mapping[int, int]) -> Picture:
        now_s = self._clock.monotonic_s()
        free = {share for share, run in enumerate(table.holders) if run not in seats and weights.get(share)}
        self._free_since_s = {share: self._free_since_s.get(share, now_s) for share in free}
        return Picture(
            holders=table.holders,
            weights=[weights.get(share, 0) for share in range(len(table.holders))],
            seats=seats,
            me=self.run,
            waiting={share for share, since_s in self._free_since_s.items() if now_s - since_s > LEFT_LYING_S},
            # a machine whose workers are starting would only keep the others from it
            may_open=self._opening.may_open() if self._watch.supervisor.ready() else 0,
        )

    # -- taking and giving --------------------------------------------------------------------

    def _take(self, table: Table, taking: list[int], seats: Mapping[str, Seat]) -> bool:
        holders = [run if run in seats else "" for run in table.holders]
        for share in taking:
            holders[share] = self.run
        if not self._write(table, holders):
            return False
        self.taken += len(taking)
        _log.info("cameras taken", shares=len(taking), held=sum(run == self.run for run in holders))
        return True

    def _give(self, table: Table, picture: Picture, *, begin: bool) -> None:
        now_s = self._clock.monotonic_s()
        if begin and not self._giving and now_s - self._given_s >= self._settings.give_every_s:
            found = to_give(picture)
            if found is not None:
                share, other = found
                self._giving[share] = _Gift(other, now_s)
        for share, gift in list(self._giving.items()):
            if gift.to not in picture.seats or table.holders[share] != self.run:
                del self._giving[share]  # it is watched again with the next look
            elif share not in self._held and not self._still_open(share, gift, now_s):
                del self._giving[share]
                holders = list(table.holders)
                holders[share] = gift.to
                if self._write(table, holders):
                    self.given += 1
                    self._given_s = now_s

    def _still_open(self, share: int, gift: _Gift, now_s: float) -> bool:
        setups = self._known().setups
        closing = {
            setup.device
            for device in self._watch.supervisor.closing()
            if (setup := setups.get(device)) is not None and self.share_of(setup) == share
        }
        if closing and now_s - gift.since_s > GIVE_PATIENCE_S:
            self._watch.supervisor.end_closing()
        return bool(closing)

    def _write(self, table: Table, holders: list[str]) -> bool:
        """Change the table; where somebody else has, see what it is now."""
        if not self._lease.certain():
            return False
        made = self._link.call(write_table(self._link, self._names, holders, table.revision))
        found = made or self._link.call(read_table(self._link, self._names))
        if found is not None:
            self.view.took(found)
        return made is not None

    # -- watching -----------------------------------------------------------------------------

    def _apply(self, table: Table, known: Known) -> None:
        """Watch the cameras of what is ours and is not being given away, as many as may be open."""
        held = frozenset(
            share for share, run in enumerate(table.holders) if run == self.run and share not in self._giving
        )
        with self._applying:
            if not self._lease.certain():
                return
            self._held = held
            ours = sorted(
                (setup for setup in known.setups.values() if self.share_of(setup) in held), key=lambda setup: setup.slot
            )
            cameras = self._opening.let_in([setup.device for setup in ours], self._clock.monotonic_s())
            if (cameras, known) == self._shown:
                return
            before, self._shown = self._shown[0], (cameras, known)
            self._watch.watch(
                {device: known.setups[device] for device in cameras},
                {device: why for device, why in known.parked.items() if device in set(cameras)},
                moved={device for device in before if device in known.setups},
            )

    def _say(self, what: str, why: str) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._said_s > SAY_EVERY_S:
            self._said_s = now_s
            _log.warning(what, why=why)
