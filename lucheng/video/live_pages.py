"""The live view's server, put together: hub, pages, token, and a copy of clips that a browser would not play.

Invariants: where no port is set nothing listens; the token is written to a file of its owner alone, anew at each start
unless the settings name one. It decides nothing about who may see what.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from console.device_operations import Caller
from console.live.app import LivePages
from console.live.desk import OperationsDesk, PieceFacts
from console.live.server import LiveServer
from console.live.streams import StreamLimits
from console.live.tokens import TOKEN_NAME, new_token_file, read_token_file
from lucheng.rooms import operating_system_user

if TYPE_CHECKING:
    from console.live.hub import LiveHub
    from console.operations import Operations
    from lucheng.rooms import Rooms

#: Connections besides those of viewers, of which each has a page, too.
OTHER_CONNECTIONS = 32
#: Width of a viewing copy, pixels.
COPY_WIDTH_PX = 1280


def open_live_server(
    rooms: Rooms, operations: Operations, hub: LiveHub, facts: Callable[[dict[str, Any]], PieceFacts]
) -> LiveServer | None:
    """The server, listening; None where `live.port` is 0.

    Args:
        rooms: the open data folder.
        operations: of the service.
        hub: the feeds of all cameras; closed with the server.
        facts: what is known of a piece of evidence besides its row.

    Raises Conflict (the port), Refused (the token file), StoreError.
    """
    settings = rooms.settings.live
    if not settings.port:
        return None
    if settings.token_file is not None:
        token = read_token_file(settings.token_file)
    else:
        token = new_token_file(rooms.data_dir / TOKEN_NAME)
    pages = LivePages(
        hub=hub,
        desk=OperationsDesk(operations, facts=facts),
        clock=rooms.clock,
        caller=Caller(operating_system_user(), "cli", "live"),
        zone=ZoneInfo(rooms.settings.city.time_zone),
        view_copy=_view_copy,
        limits=StreamLimits(stall_s=settings.stall_s),
    )
    server = LiveServer(
        pages,
        token,
        port=settings.port,
        listen=settings.listen,
        max_connections=2 * settings.max_viewers + OTHER_CONNECTIONS,
    )
    server.start()
    return server


def camera_page(server: LiveServer, device: str) -> str:
    """Address of a camera's page, with the token in it."""
    return server.page_url(f"camera/{quote(device)}")


def alarm_page(server: LiveServer, alarm: str) -> str:
    """Address of an alarm's page, with the token in it."""
    return server.page_url(f"alarm/{quote(alarm)}")


def _view_copy(data: bytes) -> bytes:
    from ingest.video.clip import viewing_copy  # noqa: PLC0415 only where somebody looks at H.265
    from model.video import Clip  # noqa: PLC0415

    whole = Clip(data, hashlib.sha256(data).hexdigest(), 0, 0, "hevc", 0, 0, 0)
    return viewing_copy(whole, max_width_px=COPY_WIDTH_PX).data
