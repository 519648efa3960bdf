"""What the gateway needs of each protocol's codec, in one shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ingest.gateway.links import GT06, JT808, JT905
from ingest.gt06 import codec as gt06_codec
from ingest.gt06 import commands as gt06_commands
from ingest.gt06.messages import CATALOGUE as GT06_TABLE
from ingest.jt808 import codec as jt808_codec
from ingest.jt808 import commands as jt808_commands
from ingest.jt808.messages import CATALOGUE as JT808_TABLE
from ingest.jt905 import codec as jt905_codec
from ingest.jt905 import commands as jt905_commands
from ingest.jt905.messages import CATALOGUE as JT905_TABLE
from ingest.wire.message import Catalogue
from ingest.wire.orders import Answer, Out


@dataclass(frozen=True, slots=True)
class Dialect:
    """One protocol.

    Attributes:
        name: `jt808`, `jt905`, `gt06`.
        catalogue: its messages; its values are read by `decode_body` of the codec.
        orders: (name, args, version=, phone_number=) to the messages that carry the order; raises Refused.
        answer_of: (message id, values) to what it answers, or None.
        write_frames: (message id, body, number=, serial=, version=) to frames.
    """

    name: str
    catalogue: Catalogue
    orders: Callable[..., list[Out]]
    answer_of: Callable[[int, dict[str, Any]], Answer | None]
    write_frames: Callable[..., list[bytes]]


DIALECTS: dict[int, Dialect] = {
    JT808: Dialect("jt808", JT808_TABLE, jt808_commands.orders, jt808_commands.answer_of, jt808_codec.write_frames),
    JT905: Dialect("jt905", JT905_TABLE, jt905_commands.orders, jt905_commands.answer_of, jt905_codec.write_frames),
    GT06: Dialect("gt06", GT06_TABLE, gt06_commands.orders, gt06_commands.answer_of, gt06_codec.write_frames),
}
