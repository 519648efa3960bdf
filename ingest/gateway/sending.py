"""Orders out: the messages of an order to one terminal, with our serials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.gateway import orders
from ingest.gateway.dialects import DIALECTS

if TYPE_CHECKING:
    from ingest.gateway.core import Core
    from ingest.gateway.links import Link
    from ingest.gateway.orders import Pending

#: Messages in parts that are kept for a terminal that asks for parts again.
KEPT_PARTED = 4


def send_step(core: Core, link: Link, pending: Pending, now_s: float) -> None:
    """Write the next message of `pending`."""
    out = pending.outs[pending.at + 1]
    first = core.table.take_serial(link, 0)
    frames = DIALECTS[link.code].write_frames(
        out.message_id, out.body, number=link.number, serial=first, version=link.version
    )
    core.table.take_serial(link, len(frames))
    orders.sent(link, pending, first, len(frames), now_s)
    if len(frames) > 1:
        link.parted[first] = frames
        while len(link.parted) > KEPT_PARTED:
            del link.parted[next(iter(link.parted))]
    core.stats.orders += 1
    core.put(link, frames)
