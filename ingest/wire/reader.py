"""`Reader`: a body that is read from front to back; `Malformed`: what is wrong with it, and where."""

from __future__ import annotations


class Malformed(ValueError):
    """A body that does not fit its table.

    Attributes:
        place: name of the field, with those around it: `items[3].length`.
        what: what is wrong, in words.
    """

    def __init__(self, place: str, what: str) -> None:
        super().__init__(f"{place}: {what}" if place else what)
        self.place = place
        self.what = what

    def inside(self, outer: str) -> Malformed:
        """The same, seen from the field around it."""
        return Malformed(f"{outer}.{self.place}" if self.place else outer, self.what)


class Reader:
    """A body and how far it was read.

    Args:
        data: the bytes.
        version: edition of the standard the sender speaks (2011, 2013, 2019), 0 where there is but one.
    """

    __slots__ = ("at", "data", "version")

    def __init__(self, data: bytes, version: int = 0) -> None:
        self.data = data
        self.at = 0
        self.version = version

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return len(self.data) - self.at

    def take(self, count: int, place: str) -> bytes:
        """The next `count` bytes. Malformed when there are not so many."""
        if count > self.left:
            raise Malformed(place, f"needs {count} bytes and has {self.left}")
        at = self.at
        self.at += count
        return self.data[at : self.at]
