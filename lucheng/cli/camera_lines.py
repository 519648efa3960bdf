"""Cameras as people read them: words for states and health, and what has changed between two looks. Pure.

Invariants: whatever a device or a person wrote is one line without control characters, so that it cannot drive the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lucheng.cli.camera_texts import HEALTH_WORDS
from lucheng.cli.output import cell
from lucheng.cli.texts import in_language, text
from model.camera import STATE_WORDS, CameraState

Row = Mapping[str, Any]

#: Of what a change is told.
WATCHED = ("state", "health", "loss", "mode", "recording")


def state_word(state: str) -> str:
    """The word for a state; "" where no service says how a camera is."""
    return in_language(STATE_WORDS[CameraState(state)]) if state else ""


def health_word(name: str) -> str:
    """The word for a health flag; its name where there is none."""
    found = HEALTH_WORDS.get(name)
    return name if found is None else in_language(found)


def table_row(row: Row) -> dict[str, Any]:
    """A camera with words in the place of names."""
    return {**row, "state": state_word(row["state"]), "health": [health_word(name) for name in row["health"]]}


def change_line(row: Row, clock: str) -> str:
    """How a camera is now, as a line."""
    parts = [
        clock,
        row["camera"],
        row["name"],
        state_word(row["state"]),
        *(f"{key}={cell(row[key])}" for key in ("mode", "fps", "bitrate_kbps", "lag_ms") if row[key] not in (None, "")),
        " ".join(health_word(name) for name in row["health"]),
        row["loss"],
        row["detail"],
    ]
    return " ".join(filter(None, (cell(part) for part in parts)))


def gone_line(camera: str, clock: str) -> str:
    """A camera is not set up any more, as a line."""
    return f"{clock} {text('camera.gone', camera=camera)}"


class Changes:
    """Which cameras are other than when they were last looked at.

    Args:
        only: these alone; empty: all.
    """

    def __init__(self, only: Sequence[str] = ()) -> None:
        self._only = frozenset(only)
        self._seen: dict[str, tuple[Any, ...]] = {}

    def look(self, rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
        """Rows that are new or other than before, and cameras that are gone, of a list of all."""
        now: dict[str, tuple[Any, ...]] = {}
        changed = []
        for row in rows:
            camera = row["camera"]
            if self._only and camera not in self._only:
                continue
            now[camera] = tuple(cell(row[key]) for key in WATCHED)
            if self._seen.get(camera) != now[camera]:
                changed.append(row)
        gone = [camera for camera in self._seen if camera not in now]
        self._seen = now
        return changed, gone

    def missing(self) -> list[str]:
        """Those asked for that the last look did not find."""
        return sorted(self._only - self._seen.keys())
