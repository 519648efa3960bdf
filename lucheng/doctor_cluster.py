"""What `lucheng doctor` looks at past one machine: who is there, whose clock and whose secret key are off, what no process holds.

Invariants: it changes nothing and raises nothing; where `nats.mode` is off nothing is said. It asks the servers, so it says the same on every
machine, but for this machine's own key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lucheng.finding import Finding, State
from lucheng.rooms import SECRET_KEY_FILE
from model.clock import Clock
from model.codes import Word
from model.errors import LuchengError

if TYPE_CHECKING:
    from config.sections import Settings
    from lucheng.cluster.status import ClusterStatus

#: How long the servers are asked for, seconds.
_GIVE_UP_S = 5.0
_COPY = f"copy {SECRET_KEY_FILE} of a machine that has it, mode 0600: docs/operations/machines.md"


def cluster(data_dir: Path, settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Everything that several processes need of each other."""
    if settings.nats.mode != "log":
        return
    from lucheng.cluster.status import cluster_status  # noqa: PLC0415 loads what talks to the servers
    from lucheng.nats_choice import open_link  # noqa: PLC0415 as above

    impatient = settings.model_copy(
        update={"nats": settings.nats.model_copy(update={"give_up_s": min(_GIVE_UP_S, settings.nats.give_up_s)})}
    )
    try:
        link = open_link(impatient, clock, "lucheng-doctor")
        try:
            found = cluster_status(impatient, link)
        finally:
            link.close()
    except LuchengError as error:
        yield Finding("nats-servers", State.MISSING, Word(error.message, error.message), error.mend or "start them")
        return
    yield Finding("nats-servers", State.OK, Word(settings.nats.urls or "", settings.nats.urls or ""))
    yield from _nodes(found)
    yield from _keys(data_dir / SECRET_KEY_FILE, found)


def _nodes(found: ClusterStatus) -> Iterator[Finding]:
    names = ", ".join(node.name for node in found.nodes) or "-"
    yield Finding(
        "processes", State.OK, Word(f"{len(found.nodes)} there: {names}", f"在线 {len(found.nodes)} 个：{names}")
    )
    for node in found.clocks_off():
        words = Word(
            f"the clock of {node.host} ({node.name}) is {node.skew_ms} ms ahead of the nats-servers'",
            f"{node.host}（{node.name}）的时钟比 nats-server 快 {node.skew_ms} 毫秒",
        )
        yield Finding("clocks", State.WARN, words, f"timedatectl set-ntp true, on {node.host}")
    free = found.without_holder() if found.nodes else []
    if free:
        names = ", ".join(row.stream for row in free)
        words = Word(f"nobody who is there holds {names}", f"{names} 无在线进程负责")
        yield Finding("streams", State.WARN, words, "start a process with role analyze, and one with role desk")
    servers = sorted({name for row in found.copies_behind() for name in row.copies_behind})
    if servers:
        names = ", ".join(servers)
        words = Word(f"copies of streams on {names} are behind or away", f"{names} 上的流副本落后或离线")
        yield Finding(
            "copies", State.WARN, words, f"start nats-server on {names}, and stop no other until it has caught up"
        )


def _keys(path: Path, found: ClusterStatus) -> Iterator[Finding]:
    from devices.secrets import key_mark  # noqa: PLC0415 cryptography costs 0.1 s

    try:
        mine = key_mark(path)
    except LuchengError as error:
        yield Finding("secret key", State.MISSING, Word(error.message, f"密钥文件不可用：{error.message}"), error.mend)
        return
    odd = found.keys_differ()
    usual = {node.key for node in found.nodes if node.key} - {node.key for node in odd}
    for node in odd:
        words = Word(
            f"the secret key of {node.host} ({node.name}) is not the one of the others",
            f"{node.host}（{node.name}）的密钥与其他机器不同",
        )
        yield Finding("secret keys", State.WARN, words, f"{_COPY}, on {node.host}")
    if mine and usual and mine not in usual:
        words = Word(f"{path} is not the key that the others have", f"{path} 与其他机器的密钥不同")
        yield Finding("secret key", State.MISSING, words, _COPY)
    elif not mine and usual:
        words = Word(f"{path} is missing, and others have one", f"缺少 {path}，其他机器已有密钥")
        yield Finding("secret key", State.WARN, words, _COPY)
    elif mine:
        yield Finding("secret key", State.OK, Word(f"{path}, mark {mine}", f"{path}，标记 {mine}"))
