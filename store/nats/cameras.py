"""What machines that share cameras meet in on the nats-servers: names, and the streams behind them.

| | |
|---|---|
| `KV_<prefix>_video` | the lease of each machine (`at.<run>`), and the table of shares (`shares`) |
| `<prefix>_video_asks` | clips and snapshots that were asked for and are not stored yet, a subject per share and wish |
| `<prefix>_video_made` | what came of them, a subject per wish, until it is stored |
| `OBJ_<prefix>_video` | their bytes, until they are stored |
| `<prefix>.video.at.<run>`, `<prefix>.video.rows`, `<prefix>.video.view.<view>` | core subjects, in no stream: asking a machine, how cameras are, live views |

Invariants: everything here is on its way and bounded in bytes, number and age; nothing of it is the only copy of what was stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from store.nats.link import Link
from store.nats.streams import key_value_stream, made, object_stream

#: Bytes of clips and snapshots that are on their way.
DEFAULT_MAX_FILE_BYTES = 4 * 2**30
#: How long a wish waits there: longer than the longest clip. What came of it is stored soon, or asked for again.
MAX_AGE_S = 3_600
MAX_MADE_AGE_S = 600
_MAX_ASKS = 100_000
_MAX_ASK_BYTES = 64 * 2**20
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class VideoNames:
    """What all that is called.

    Attributes:
        prefix: of the whole (`nats.prefix`).
    """

    prefix: str = "lucheng"

    @property
    def shares(self) -> str:
        """The key-value stream of leases and the table."""
        return f"KV_{self.prefix}_video"

    def lease_subject(self, run: str) -> str:
        """The key of one machine's lease."""
        return f"$KV.{self.prefix}_video.at.{run}"

    @property
    def table_subject(self) -> str:
        """The key of the table of shares."""
        return f"$KV.{self.prefix}_video.shares"

    @property
    def asks(self) -> str:
        """The stream of what was asked."""
        return f"{self.prefix}_video_asks"

    def ask_subject(self, share: int | str, wish: str) -> str:
        """What a camera's share is asked by; `*`, `*`: the pattern of all."""
        return f"{self.prefix}.video.ask.{share}.{wish}"

    @property
    def answers(self) -> str:
        """The stream of what came of it."""
        return f"{self.prefix}_video_made"

    def answer_subject(self, wish: str) -> str:
        """What a wish is answered by; `*`: the pattern of all."""
        return f"{self.prefix}.video.made.{wish}"

    @property
    def files(self) -> str:
        """The bucket of their bytes."""
        return f"{self.prefix}_video"

    def machine_subject(self, run: str) -> str:
        """What a machine is asked by directly."""
        return f"{self.prefix}.video.at.{run}"

    @property
    def rows_subject(self) -> str:
        """Where machines tell how their cameras are."""
        return f"{self.prefix}.video.rows"

    def view_subject(self, view: str) -> str:
        """Where the fragments of one live view go."""
        return f"{self.prefix}.video.view.{view}"


async def set_up_video(
    link: Link, names: VideoNames, *, replicas: int, max_file_bytes: int = DEFAULT_MAX_FILE_BYTES
) -> None:
    """Make the streams, or bring what is there up to it. Raises SettingsError, StoreError."""
    await made(link, key_value_stream(names.shares, replicas) | {"allow_msg_ttl": True})
    await made(link, _passing(names.asks, names.ask_subject("*", "*"), replicas, MAX_AGE_S))
    await made(link, _passing(names.answers, names.answer_subject("*"), replicas, MAX_MADE_AGE_S))
    # one copy: what is lost with a server is asked for again, and the machine that has the camera makes it again
    await made(link, object_stream(names.files, 1, max_file_bytes) | {"max_age": MAX_MADE_AGE_S * _NS})


def _passing(name: str, subject: str, replicas: int, max_age_s: int) -> dict[str, Any]:
    """A stream of what is done soon, taken out by who did it."""
    return {
        "name": name,
        "subjects": [subject],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
        "max_bytes": _MAX_ASK_BYTES,
        "max_msgs": _MAX_ASKS,
        "max_msgs_per_subject": 1,
        "max_age": max_age_s * _NS,
        "duplicate_window": 120 * _NS,
    }
