"""The log past one machine, by the settings: the way to the nats-servers, their streams, and the logs and partitions in them.

Invariants: servers that acknowledge before it is on their disks are refused, unless `nats.require_sync` says otherwise; alarms have a
connection of their own, so that they never wait behind points. It starts nothing; who opened something closes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.errors import SettingsError
from store.log.jetstream import JetStreamLog
from store.nats.link import Link
from store.nats.ownership import DEFAULT_GROUP, Partition
from store.nats.partitions import Partitions
from store.nats.snapshots import SHARES_PER_PARTITION, ObjectSnapshots
from store.nats.streams import Names, Plan, servers_without_sync, set_up
from store.nats.terms import Patience, Servers

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.sections import Settings
    from model.clock import Clock


def plan_of(settings: Settings) -> Plan:
    """What the streams are to be."""
    nats = settings.nats
    return Plan(
        Names(nats.prefix),
        partitions=nats.partitions,
        point_replicas=nats.point_replicas,
        alarm_replicas=nats.alarm_replicas,
        max_point_bytes=nats.max_point_bytes,
        max_alarm_bytes=nats.max_alarm_bytes,
        max_snapshot_bytes=nats.max_snapshot_bytes,
    )


def open_link(settings: Settings, clock: Clock, name: str) -> Link:
    """A connection to the servers of the settings.

    Raises:
        SettingsError: there are no servers in the settings, or the password cannot be read.
        StoreError: none of the servers was reached in time.
    """
    from config.settings import read_secret  # noqa: PLC0415 needed by those alone whose log is on nats-servers

    nats = settings.nats
    if nats.urls is None:
        raise SettingsError("There are no nats-servers in the settings.", mend="Set nats.urls.")
    password = read_secret(nats.password_file) if nats.password_file is not None else None
    return Link(
        Servers(tuple(nats.urls.split(",")), nats.username, password, nats.ca_file),
        clock=clock,
        patience=Patience(
            attempt_s=nats.attempt_timeout_s,
            give_up_s=nats.give_up_s,
            retry_min_ms=nats.retry_min_ms,
            retry_max_ms=nats.retry_max_ms,
            ping_s=nats.ping_s,
        ),
        max_pending_messages=nats.max_pending_messages,
        max_pending_bytes=nats.max_pending_bytes,
        name=name,
    )


def prepare(settings: Settings, link: Link) -> None:
    """Refuse servers that promise too little, then make the streams or bring them up to the settings.

    Raises:
        SettingsError: a server does not sync, or the streams were made for other partitions.
        StoreError: the servers cannot give what is asked; TryAgain: no server's monitoring answers.
    """
    nats = settings.nats
    if nats.require_sync:
        lax = servers_without_sync((nats.monitor_urls or "").split(",") if nats.monitor_urls else [], nats.ca_file)
        if lax:
            raise SettingsError(
                f"The nats-servers at {', '.join(lax)} acknowledge before it is on the disk.",
                mend="Set sync_interval: always in their jetstream block; or nats.require_sync = false, with what it costs.",
            )
    link.call(set_up(link, plan_of(settings)))


def open_alarms(settings: Settings, clock: Clock, *, read_only: bool = False) -> JetStreamLog:
    """The alarms' log, on a connection of its own; others may append too. Raises as `open_link`."""
    names = Names(settings.nats.prefix)
    return _opened(settings, clock, "lucheng-alarms", names.alarms, names.alarms_subject, read_only=read_only)


def open_points(settings: Settings, clock: Clock, partition: int) -> JetStreamLog:
    """One partition's log of points, to be read and trimmed by who holds it. Raises as `open_link`."""
    names = Names(settings.nats.prefix)
    name = f"lucheng-points-{partition}"
    return _opened(settings, clock, name, names.points(partition), names.partition_subject(partition), read_only=False)


def open_partitions(settings: Settings, link: Link) -> Partitions:
    """All partitions, to be appended to. Raises SettingsError, StoreError."""
    return Partitions(link, plan_of(settings))


def stand_by(settings: Settings, link: Link, partition: int, worker: str, *, group: str = DEFAULT_GROUP) -> Partition:
    """This worker's part in a partition: it waits until the partition is its own. Raises StoreError."""
    nats = settings.nats
    names = Names(nats.prefix)
    return Partition(
        link,
        names,
        names.points(partition),
        worker=worker,
        group=group,
        ttl_s=nats.take_over_s,
        max_silence_s=nats.hung_after_s,
    )


def open_snapshots(settings: Settings, link: Link, partition: int, epoch: Callable[[], int]) -> ObjectSnapshots:
    """The states of one partition's worker, on a link of who calls.

    Args:
        settings: section `nats`.
        link: the way to the servers.
        partition: its number.
        epoch: of the turn that holds it (`Turn.epoch`), asked at every change.
    """
    nats = settings.nats
    names = Names(nats.prefix)
    return ObjectSnapshots(
        link,
        names,
        names.points(partition),
        epoch=epoch,
        max_snapshot_bytes=nats.max_snapshot_bytes // nats.partitions // SHARES_PER_PARTITION,
    )


def _opened(settings: Settings, clock: Clock, name: str, stream: str, subject: str, *, read_only: bool) -> JetStreamLog:
    link = open_link(settings, clock, name)
    try:
        return JetStreamLog(
            link,
            Names(settings.nats.prefix),
            stream,
            subject,
            exclusive=False,
            read_only=read_only,
            max_record_bytes=settings.nats.max_message_bytes,
        )
    except BaseException:
        link.close()
        raise
