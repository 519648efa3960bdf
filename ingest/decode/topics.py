"""Topics to devices: `lucheng/v1/{kind}/{name}/up/{stream}` and those of trackers, remembered.

Trackers with JSON of their own have theirs: `owntracks/{kind}/{name}` with its subtopics, `teltonika/{kind}/{name}/data`.
Purpose: one dict lookup per message. The topic is the identity: it is what the broker's ACL checks.
Invariants: only topics of enabled devices are remembered, at most `limits.topics`; a change of the
directory's version empties the memory. It reads no payload.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ingest.decode.limits import DEFAULT_LIMITS, TEXT_CHARS, DecodeLimits
from model.codes import Reason
from model.device import check_device_id
from model.errors import LuchengError, UsageError

#: Last levels that OwnTracks writes besides its place (owntracks/booklet, docs/tech/json.md); it reads `cmd`.
OWNTRACKS_SUBTOPICS = (
    "event",
    "waypoint",
    "waypoints",
    "status",
    "step",
    "steps",
    "beacon",
    "dump",
    "info",
    "request",
)
#: Subscription filters: points and records on one connection, alarms on their own.
POINT_TOPICS = (
    "lucheng/v1/+/+/up/point",
    "lucheng/v1/gateway/+/up/records",
    "lucheng/v1/reader/+/up/sighting",
    # Heartbeats are read of buttons: everything else is heard by its points, and the broker keeps the last status of every device.
    "lucheng/v1/button/+/up/status",
    # One by one, for `cmd` is what we send ourselves.
    "owntracks/+/+",
    *(f"owntracks/+/+/{last}" for last in OWNTRACKS_SUBTOPICS),
    "teltonika/+/+/data",
)
#: Replies to commands are waited for as alarms are: not behind points.
ALARM_TOPICS = ("lucheng/v1/+/+/up/alarm", "lucheng/v1/+/+/up/reply")


class Stream(StrEnum):
    """Last level of a topic of ours that is decoded here, or the protocol of a tracker's topic."""

    POINT = "point"
    RECORDS = "records"
    ALARM = "alarm"
    STATUS = "status"
    SIGHTING = "sighting"
    REPLY = "reply"
    OWNTRACKS = "owntracks"
    TELTONIKA = "teltonika"


#: Streams that are a protocol, not a last level.
TRACKERS = frozenset({Stream.OWNTRACKS, Stream.TELTONIKA})
_OWNTRACKS_FORM = "The topic is not owntracks/{kind}/{name}, alone or with one of " + ", ".join(OWNTRACKS_SUBTOPICS)
_TELTONIKA_FORM = "The topic is not teltonika/{kind}/{name}/data"

#: Streams that one kind of device alone may send.
_ONLY_FROM = {Stream.RECORDS: "gateway", Stream.SIGHTING: "reader"}


class DirectoryView(Protocol):
    """What is needed of `devices.directory.Directory`."""

    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def slot_of(self) -> Mapping[str, int]: ...
    @property
    def disabled(self) -> Collection[str]: ...
    @property
    def enabled(self) -> npt.NDArray[np.bool_]: ...
    @property
    def gateway_of_slot(self) -> npt.NDArray[np.int32]: ...
    @property
    def version(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message that is no `point` goes."""

    stream: Stream
    slot: int
    device: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a message goes nowhere. `device` is "" when the topic names none."""

    reason: Reason
    device: str
    detail: str


#: A slot (a `point` of that device), or what else to do.
Hit = int | Route | Rejected
Unknown = Literal["quarantine", "register"]
#: Registers these device ids and brings the directory up to date; those it could not, it leaves out.
Register = Callable[[Sequence[str]], object]


class TopicTable:
    """Remembers which topic is whose.

    Args:
        directory: who is registered.
        unknown: whether a device that is not is quarantined or registered.
        register: called with all new ids of one batch; needed for `register`.
        limits: see `DecodeLimits.topics`.
    """

    def __init__(
        self,
        directory: DirectoryView,
        *,
        unknown: Unknown = "quarantine",
        register: Register | None = None,
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> None:
        if unknown == "register" and register is None:
            raise UsageError("Unknown devices are to be registered by nobody.", mend="Pass `register`.")
        self._directory = directory
        self._register = register if unknown == "register" else None
        self._limit = limits.topics
        self._known: dict[bytes, int | Route] = {}
        self._version = directory.version

    def __len__(self) -> int:
        return len(self._known)

    def resolve(self, topics: Sequence[bytes]) -> list[Hit]:
        """What each topic means, in order."""
        if self._directory.version != self._version:
            self._version = self._directory.version
            self._known.clear()
        hits = list(map(self._known.get, topics))
        if None in hits:
            return self._resolve_missing(topics, hits)
        return hits  # type: ignore[return-value] # no None is left

    def _resolve_missing(self, topics: Sequence[bytes], hits: list[int | Route | None]) -> list[Hit]:
        if self._register is not None:
            self._register_new(topics, hits)
        if len(self._known) > self._limit:
            self._known.clear()
        out: list[Hit] = []
        for topic, hit in zip(topics, hits, strict=True):
            if hit is not None:
                out.append(hit)
                continue
            found = self._look_up(topic)
            if not isinstance(found, Rejected):
                self._known[topic] = found
            out.append(found)
        return out

    def _register_new(self, topics: Sequence[bytes], hits: list[int | Route | None]) -> None:
        assert self._register is not None
        missing = dict.fromkeys(topic for topic, hit in zip(topics, hits, strict=True) if hit is None)
        found = (self._look_up(topic) for topic in missing)
        new = dict.fromkeys(
            hit.device for hit in found if isinstance(hit, Rejected) and hit.reason == Reason.UNKNOWN_DEVICE
        )
        if not new:
            return
        try:
            self._register(list(new))
        except LuchengError:
            return  # they stay unknown and are quarantined as such
        # Slots are permanent, so what `hits` holds stays true; only the version moved.

    def _look_up(self, topic: bytes) -> Hit:
        read = _read(topic)
        if isinstance(read, Rejected):
            return read
        stream, device = read
        slot = self._directory.slot_of.get(device)
        if slot is None:
            if device in self._directory.disabled:
                return Rejected(Reason.DISABLED_DEVICE, device, "The device is disabled")
            return Rejected(Reason.UNKNOWN_DEVICE, device, "No such device is registered")
        if stream is Stream.POINT:
            return slot
        sender = _ONLY_FROM.get(stream)
        if sender is not None and device.partition("/")[0] != sender:
            return Rejected(Reason.BAD_TOPIC, device, f"A {stream} comes from a {sender} only")
        return Route(stream, slot, device)


def _read(topic: bytes) -> tuple[Stream, str] | Rejected:
    """Stream and device id of a topic, or why it is none of ours."""
    form = "The topic is not lucheng/v1/{kind}/{name}/up/{stream}"
    try:
        levels = topic.decode().split("/")
        if levels[0] == "owntracks":
            form = _OWNTRACKS_FORM
            if len(levels) not in (3, 4) or (len(levels) == 4 and levels[3] not in OWNTRACKS_SUBTOPICS):
                raise ValueError
            return Stream.OWNTRACKS, check_device_id(f"{levels[1]}/{levels[2]}")
        if levels[0] == "teltonika":
            form = _TELTONIKA_FORM
            if len(levels) != 4 or levels[3] != "data":
                raise ValueError
            return Stream.TELTONIKA, check_device_id(f"{levels[1]}/{levels[2]}")
        if len(levels) != 6 or levels[:2] != ["lucheng", "v1"] or levels[4] != "up":
            raise ValueError
        device = check_device_id(f"{levels[2]}/{levels[3]}")
        stream = Stream(levels[5])
        if stream in TRACKERS:
            raise ValueError
    except (ValueError, UsageError):
        return Rejected(Reason.BAD_TOPIC, "", form)
    return stream, device


def shown_topic(topic: bytes) -> str:
    """A topic for people: bounded, and printable whatever it is."""
    return topic[:TEXT_CHARS].decode(errors="backslashreplace")
