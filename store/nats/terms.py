"""What is said to nats-servers and what they say: messages, answers, refusals, and how long anybody waits.

It knows no connection.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats.aio.msg import Msg

from model.errors import StoreError, TryAgain

#: How long a single request may take before it is tried again, seconds.
DEFAULT_ATTEMPT_TIMEOUT_S = 1.0
#: How long the servers may be away before whoever waits for them is told StoreError, seconds.
DEFAULT_GIVE_UP_S = 60.0
#: Error codes that pass: no leader, a stream that moves, a batch that was cut off, a store that is full until it is trimmed.
PASSING = frozenset({10002, 10004, 10008, 10009, 10023, 10047, 10077, 10118, 10119, 10158, 10176, 10210})
#: First and longest wait before the same is tried again, milliseconds; it doubles in between.
DEFAULT_RETRY_MIN_MS = 20
DEFAULT_RETRY_MAX_MS = 250
#: Seconds between two pings; a server that answers two of them with nothing is left for another.
DEFAULT_PING_S = 2

MEND = (
    "Look at the nats-servers (`nats server report jetstream`) and at nats.urls; what was not acknowledged comes again."
)


#: Answers to one request as they come; None: the connection they would come by was lost.
Replies = asyncio.Queue[Msg | None]


class Away(TryAgain):
    """No answer: the servers are not there, have no leader, or were too slow. What was asked may have been done."""

    code = "nats_away"


class Refusal(StoreError):
    """JetStream's answer is no. `number` is its error code."""

    code = "nats_refused"

    def __init__(self, number: int, words: str) -> None:
        super().__init__(f"The nats-server refuses: {words} ({number}).", mend=MEND)
        self.number = number
        self.words = words


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are and how they are met.

    Attributes:
        urls: any of them is enough; the others are learnt from it.
        username, password: None without.
        ca_file: certificate authority for tls:// (PEM); None: the system's.
    """

    urls: tuple[str, ...]
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long anything is waited for; the defaults are named above.

    Attributes:
        attempt_s: one request.
        give_up_s: until whoever waits is told StoreError.
        retry_min_ms, retry_max_ms: between two attempts.
        ping_s: between two pings.
    """

    attempt_s: float = DEFAULT_ATTEMPT_TIMEOUT_S
    give_up_s: float = DEFAULT_GIVE_UP_S
    retry_min_ms: int = DEFAULT_RETRY_MIN_MS
    retry_max_ms: int = DEFAULT_RETRY_MAX_MS
    ping_s: int = DEFAULT_PING_S


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be published."""

    subject: str
    payload: bytes
    headers: Mapping[str, str]


def status_of(message: Msg) -> int:
    """The status that a message carries in place of a payload; 0 for an ordinary one."""
    found = (message.headers or {}).get("Status")
    return int(found) if found else 0


def answer_of(message: Msg) -> dict[str, Any]:
    """The JSON of an answer. Raises Refusal when it is an error."""
    try:
        found = json.loads(message.data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StoreError(f"The nats-server answers what is no answer: {message.data[:100]!r}.", mend=MEND)
    error = found.get("error")
    if error:
        raise Refusal(int(error.get("err_code", 0)), str(error.get("description", "")))
    return found
