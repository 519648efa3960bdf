"""The streams of one lucheng on its nats-servers: their names, what they promise, and making them.

Invariants: a stream never drops what it took: when it is full it refuses; what is there is only ever made safer or larger by
`set_up`, and a number of partitions that differs from what the streams were made for is refused. What is promised at each
setting: docs/design/log_jetstream.md.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from model.errors import SettingsError, StoreError, TryAgain
from store.nats.link import Link
from store.nats.terms import Refusal

#: Copies of each stream. Alarms: what one lost machine does not take along.
DEFAULT_ALARM_REPLICAS = 3
DEFAULT_POINT_REPLICAS = 3
DEFAULT_PARTITIONS = 8
MAX_PARTITIONS = 256
#: Bytes at which a stream takes no more.
DEFAULT_MAX_POINT_BYTES = 64 * 2**30
DEFAULT_MAX_ALARM_BYTES = 8 * 2**30
DEFAULT_MAX_SNAPSHOT_BYTES = 8 * 2**30
#: How long the servers remember a message's id, seconds; beyond how long anybody tries to publish it.
DUPLICATE_WINDOW_S = 600
#: Small streams, bytes.
_MAX_SMALL_BYTES = 64 * 2**20
#: Of the sessions: half a million terminals.
_MAX_SESSION_BYTES = 256 * 2**20
_MONITOR_TIMEOUT_S = 5.0
_NS = 1_000_000_000
_PARTITIONS_KEY = "lucheng.partitions"

STREAM_NOT_FOUND, MESSAGE_NOT_FOUND = 10059, 10037
#: What passes while a stream is made: no leader, not enough servers yet for its copies, or it is made and the one who answers does not know yet.
_PASSING_AT_START = frozenset({10004, 10005, 10008, 10009, 10118, STREAM_NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Names:
    """What everything of one lucheng is called on the servers.

    Attributes:
        prefix: so that several may share servers; letters, digits and `_`.
    """

    prefix: str = "lucheng"

    @property
    def alarms(self) -> str:
        """The stream of alarms."""
        return f"{self.prefix}_alarms"

    @property
    def alarms_subject(self) -> str:
        """What alarms are published to."""
        return f"{self.prefix}.alarms"

    def points(self, partition: int) -> str:
        """The stream of one partition's points."""
        return f"{self.prefix}_points_{partition}"

    def points_subject(self, slot: int) -> str:
        """What points of a device are published to; the servers map it to its partition."""
        return f"{self.prefix}.points.{slot}"

    def partition_subject(self, partition: int) -> str:
        """What the servers map it to."""
        return f"{self.prefix}.partition.{partition}"

    @property
    def marks(self) -> str:
        """The key-value stream of what consumers need no more."""
        return f"KV_{self.prefix}_marks"

    def marks_subject(self, stream: str, consumer: str = "") -> str:
        """The key of one consumer's mark; without one, the pattern of all of a stream."""
        return f"$KV.{self.prefix}_marks.{stream}.{consumer.encode().hex() if consumer else '*'}"

    @property
    def owners(self) -> str:
        """The key-value stream of who holds which partition."""
        return f"KV_{self.prefix}_owners"

    def owners_subject(self, stream: str, group: str) -> str:
        """The key of who holds a stream for a group of workers."""
        return f"$KV.{self.prefix}_owners.{group}.{stream}"

    @property
    def snapshots(self) -> str:
        """The bucket of the object store that holds what workers remember."""
        return f"{self.prefix}_snapshots"

    @property
    def sessions(self) -> str:
        """The key-value stream of which ingestor holds which terminal."""
        return f"KV_{self.prefix}_sessions"

    @property
    def sessions_pattern(self) -> str:
        """All its keys."""
        return f"$KV.{self.prefix}_sessions.>"

    def terminal_subject(self, number: str) -> str:
        """The key of one terminal; `*`: the pattern of all."""
        return f"$KV.{self.prefix}_sessions.terminal.{number}"

    def ingestor_subject(self, run: str) -> str:
        """The key by which an ingestor says that it lives; `*`: the pattern of all."""
        return f"$KV.{self.prefix}_sessions.ingestor.{run}"

    def hand_subject(self, run: str) -> str:
        """What an ingestor is asked by, to hand something to a device: a core subject, in no stream."""
        return f"{self.prefix}.hand.{run}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the streams are to be.

    Attributes:
        names: what they are called.
        partitions: streams of points; as in the servers' mapping.
        point_replicas, alarm_replicas: copies; marks, owners and snapshots have as many as alarms.
        max_point_bytes: of all partitions together; max_alarm_bytes; max_snapshot_bytes: of all snapshots together.
        max_message_bytes: of one record.
    """

    names: Names = Names()
    partitions: int = DEFAULT_PARTITIONS
    point_replicas: int = DEFAULT_POINT_REPLICAS
    alarm_replicas: int = DEFAULT_ALARM_REPLICAS
    max_point_bytes: int = DEFAULT_MAX_POINT_BYTES
    max_alarm_bytes: int = DEFAULT_MAX_ALARM_BYTES
    max_snapshot_bytes: int = DEFAULT_MAX_SNAPSHOT_BYTES


async def set_up(link: Link, plan: Plan) -> None:
    """Make every stream of the plan, or bring what is there up to it.

    Raises:
        SettingsError: the streams were made for another number of partitions.
        StoreError: the servers cannot give what is asked, e.g. too few of them for the replicas.
    """
    names = plan.names
    await made(link, log_stream(names.alarms, names.alarms_subject, plan.alarm_replicas, plan.max_alarm_bytes))
    for partition in range(plan.partitions):
        stream = log_stream(
            names.points(partition),
            names.partition_subject(partition),
            plan.point_replicas,
            plan.max_point_bytes // plan.partitions,
        )
        await made(link, stream | {"metadata": {_PARTITIONS_KEY: str(plan.partitions)}})
    for name in (names.marks, names.owners):
        await made(link, key_value_stream(name, plan.alarm_replicas))
    await made(link, sessions_stream(names.sessions, plan.alarm_replicas))
    await made(link, object_stream(names.snapshots, plan.alarm_replicas, plan.max_snapshot_bytes))


def log_stream(name: str, subject: str, replicas: int, max_bytes: int) -> dict[str, Any]:
    """The configuration of a log's stream: on disk, whole commits, nothing dropped, nothing deleted one by one."""
    return {
        "name": name,
        "subjects": [subject],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
        "max_bytes": max_bytes,
        "duplicate_window": DUPLICATE_WINDOW_S * _NS,
        "allow_direct": True,
        "allow_atomic": True,
        "deny_delete": True,
    }


def key_value_stream(name: str, replicas: int) -> dict[str, Any]:
    """The configuration of a key-value bucket, as every NATS tool knows it; read from the leader alone, so never old."""
    return {
        "name": name,
        "subjects": [f"$KV.{name.removeprefix('KV_')}.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
        "max_bytes": _MAX_SMALL_BYTES,
        "max_msgs_per_subject": 1,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "duplicate_window": 120 * _NS,
    }


def sessions_stream(name: str, replicas: int) -> dict[str, Any]:
    """The configuration of the bucket of sessions: an ingestor's word, and what tells that a session ended, pass away by themselves."""
    return key_value_stream(name, replicas) | {"max_bytes": _MAX_SESSION_BYTES, "allow_msg_ttl": True}


def object_stream(bucket: str, replicas: int, max_bytes: int) -> dict[str, Any]:
    """The configuration of a bucket of the object store, as every NATS tool knows it."""
    return {
        "name": f"OBJ_{bucket}",
        "subjects": [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
        "max_bytes": max_bytes,
        "duplicate_window": DUPLICATE_WINDOW_S * _NS,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
    }


async def made(link: Link, wanted: dict[str, Any]) -> None:
    """Make one stream, or bring what is there up to `wanted`. Raises as `set_up`."""
    name = wanted["name"]

    async def attempt() -> None:
        try:
            found = (await link.api(f"STREAM.INFO.{name}"))["config"]
        except Refusal as error:
            if error.number != STREAM_NOT_FOUND:
                raise
            await link.api(f"STREAM.CREATE.{name}", wanted)
            found = (await link.api(f"STREAM.INFO.{name}"))["config"]
        changed = found | {key: value for key, value in wanted.items() if key not in {"metadata", "max_bytes"}}
        for key in ("max_bytes", "num_replicas"):
            changed[key] = max(found[key], wanted[key])
        made_for = found.get("metadata", {}).get(_PARTITIONS_KEY)
        asked = wanted.get("metadata", {}).get(_PARTITIONS_KEY)
        if made_for != asked:
            raise SettingsError(
                f"The streams on the nats-servers were made for {made_for} partitions, nats.partitions is {asked}.",
                mend="Set it back; other partitions want new streams (nats.prefix) and the mapping changed with them.",
            )
        if changed != found:
            await link.api(f"STREAM.UPDATE.{name}", changed)

    await link.persist(
        attempt, what=f"The stream {name} cannot be made", again=lambda error: error.number in _PASSING_AT_START
    )


def servers_without_sync(monitor_urls: Sequence[str], ca_file: Path | None = None) -> list[str]:
    """Which of the servers, asked at their monitoring addresses, acknowledge before it is on the disk.

    One that does not answer is passed over while another does: a city that has lost a machine must start without it.

    Args:
        monitor_urls: http:// or https://.
        ca_file: certificate authority for https:// (PEM); None: the system's.

    Raises:
        TryAgain: none of them answers; StoreError: one answers something else.
    """
    context = ssl.create_default_context(cafile=ca_file)
    lax: list[str] = []
    away: list[str] = []
    for url in monitor_urls:
        address = f"{url.rstrip('/')}/jsz"
        if not address.startswith(("http://", "https://")):
            raise SettingsError(f"{url} is no address of a server's monitoring.", mend="Write http://host:8222.")
        try:
            with urllib.request.urlopen(address, timeout=_MONITOR_TIMEOUT_S, context=context) as answer:  # noqa: S310 the scheme is checked above
                found = json.load(answer)
        except (OSError, HTTPException) as error:
            away.append(f"The nats-server's monitoring at {url} does not answer: {error}.")
            continue
        except ValueError as error:
            raise StoreError(f"What answers at {url} is no nats-server.", mend="Mend nats.monitor_urls.") from error
        if not found.get("config", {}).get("sync_always"):
            lax.append(url)
    if away and len(away) == len(monitor_urls):
        raise TryAgain(away[0])
    return lax
