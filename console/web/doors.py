"""The routes as the gate sees them: which one a request takes, before anything of it is read.

Invariants: a path takes the first door that fits, as the application does; the gate decides by a door's name alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from starlette.routing import compile_path

#: WebSockets' verb.
SOCKET = "WS"


@dataclass(frozen=True, slots=True)
class Door:
    """One route.

    Attributes:
        verb: GET, POST, PUT, DELETE, or `SOCKET`. path: as Starlette has it, with the prefix.
        name: its name in the table of permissions.
        slow: its answer may take as long as the data is large, or goes on for ever.
        upload: its body is a file.
        secret: its answer holds a secret that is given once only.
        question: by POST, and yet it changes nothing.
        versioned: it is decided on a version.
    """

    verb: str
    path: str
    name: str
    slow: bool = False
    upload: bool = False
    secret: bool = False
    question: bool = False
    versioned: bool = False


class Doors:
    """All of them, in order."""

    def __init__(self) -> None:
        self.all: list[Door] = []
        self._patterns: list[tuple[re.Pattern[str], Door]] = []

    def add(self, door: Door) -> None:
        """One more, behind those that are there."""
        self.all.append(door)
        self._patterns.append((compile_path(door.path)[0], door))

    def find(self, verb: str, path: str) -> Door | None:
        """The door of a request; None: there is none by this verb."""
        for pattern, door in self._patterns:
            if door.verb == verb and pattern.match(path):
                return door
        return None

    def verbs(self, path: str) -> list[str]:
        """By which verbs a path can be taken."""
        return sorted({door.verb for pattern, door in self._patterns if pattern.match(path) and door.verb != SOCKET})

    def path_of(self, name: str, **values: Any) -> str:
        """The path of the first route of that name, filled in; for tests and links."""
        path = next(door.path for door in self.all if door.name == name)
        for key, value in values.items():
            path = re.sub(rf"{{{key}(:path)?}}", str(value), path)
        return path
