"""What devices answer to commands, written down by an ingestor that gives none itself.

Invariants: an answer is handed over without waiting, and written by a thread of its own, in order; while the database is away it waits,
bounded; only the command's own device may answer, and only once, as the commands' store decides. It sends nothing and knows no rule.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from lucheng.commanding import DEFAULT_MAX_REPLIES
from lucheng.logs import logger
from model.errors import LuchengError, StoreError, TryAgain

if TYPE_CHECKING:
    from model.clock import Clock
    from model.command import Reply
    from store.commands.store import CommandStore

#: Between two attempts while the store cannot be written.
RETRY_S = 0.25
_NAMES = ("answered", "answered_nothing", "replies_lost")

_log = logger(__name__)


class ReplyKeeper:
    """Writes answers down.

    Args:
        commands: the store that all desks share.
        clock: when an answer came.
        on_fatal: called once when the store failed for good.
        max_replies: answers that wait; of more the oldest are lost, counted, and their commands expire.
    """

    def __init__(
        self,
        commands: CommandStore,
        clock: Clock,
        *,
        on_fatal: Callable[[BaseException], None],
        max_replies: int = DEFAULT_MAX_REPLIES,
    ) -> None:
        self._commands = commands
        self._clock = clock
        self._on_fatal = on_fatal
        self._max_replies = max_replies
        self._replies: deque[tuple[Reply, int]] = deque()
        self._some = threading.Condition()
        self._stopping = False
        self._counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._loop, name="replies", daemon=True)

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self, *, drain_s: float) -> None:
        """Write down what is there, then stop."""
        with self._some:
            self._stopping = True
            self._some.notify_all()
        self._thread.join(drain_s)

    def reply(self, reply: Reply) -> None:
        """A device answered; from any thread, never blocks."""
        with self._some:
            self._replies.append((reply, self._clock.now_ms()))
            if len(self._replies) > self._max_replies:
                self._replies.popleft()
                self._counts["replies_lost"] += 1
            self._some.notify()

    def counts(self) -> dict[str, int]:
        """What was done since the start, by names of `commanding.COUNTS`."""
        return {name: self._counts[name] for name in _NAMES}

    def _loop(self) -> None:
        while True:
            with self._some:
                while not self._replies and not self._stopping:
                    self._some.wait()
                if not self._replies:
                    return
                reply, now_ms = self._replies[0]
            try:
                after = self._commands.reply(reply, now_ms)
            except TryAgain as error:
                _log.warning("an answer waits for the database", command=reply.command, error=str(error))
                with self._some:
                    self._some.wait(RETRY_S)
                continue
            except StoreError as error:
                _log.error("answers are kept no more", error=str(error))
                self._on_fatal(error)
                return
            except LuchengError as error:
                _log.warning("an answer is not kept", command=reply.command, error=str(error))
                after = None
            except BaseException as error:
                _log.error("answers are kept no more", error=str(error), exc_info=True)
                self._on_fatal(error)
                return
            self._counts["answered_nothing" if after is None else "answered"] += 1
            with self._some:
                if self._replies and self._replies[0][0] is reply:
                    self._replies.popleft()
