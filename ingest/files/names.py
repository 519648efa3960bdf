"""The devices of a file: names to dense numbers, a column at a time.

Purpose: a table that lives as long as its file, looked up by a hash of the name's words and verified word by word, so that equal
names get equal numbers and different names never share one. Invariants: numbers are dense and never change;
a name that is not allowed never gets one. It does not give slots (the registry does).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ingest.files.fields import Index, Text, words_of
from model.device import check_device_id
from model.errors import BadInput, UsageError

#: Distinct devices in one file; a city of 300,000 fits three times.
DEFAULT_MAX_DEVICES = 1_000_000
#: Longest name, bytes: a kind, a slash and 64 characters.
_MAX_NAME_BYTES = 72
_TABLE_BITS = 20
_FIRST_ROOM = 1024
_MIX = np.uint64(0x9E3779B97F4A7C15)
_TURN = np.uint64(29)
#: What a bare name in a file of whole ids is one of.
BARE_KIND = "taxi/"


class NameTable:
    """Numbers of the device names of one file.

    Args:
        prefix: put before every name, e.g. `taxi/`; "" where names are whole ids, or bare ones of taxis.
        max_devices: distinct names at most; one more raises BadInput.
    """

    def __init__(self, prefix: str, max_devices: int) -> None:
        self._prefix = prefix
        self._max_devices = max_devices
        self.ids: list[str] = []
        self._numbers: dict[bytes, int] = {}
        self._by_id: dict[str, int] = {}
        # Direct-mapped: the number that last used this hash; a loser is found through the dictionary.
        self._direct = np.full(1 << _TABLE_BITS, -1, np.int32)
        self._words: list[npt.NDArray[np.uint64]] = []

    def number(self, name: bytes) -> int:
        """Number of one name.

        Raises UsageError when the name is not allowed, BadInput when there are too many.
        """
        known = self._numbers.get(name)
        if known is not None:
            return known
        try:
            text = name.decode("ascii")
            device = check_device_id(text if "/" in text and not self._prefix else (self._prefix or BARE_KIND) + text)
        except UnicodeDecodeError as error:
            raise UsageError(f"{name[:80]!r} is no device name.", mend="Use A-Z a-z 0-9 _ - and dots.") from error
        same = self._by_id.get(device)
        if same is not None:  # `9` and `taxi/9` of one file
            self._numbers[name] = same
            return same
        if len(self.ids) >= self._max_devices:
            raise BadInput(
                f"The file names more than {self._max_devices} devices.", mend="Split it, or raise limits.file_devices."
            )
        number = len(self.ids)
        self.ids.append(device)
        self._numbers[name] = self._by_id[device] = number
        return number

    def lookup(self, text: Text, start: Index, end: Index) -> tuple[Index, npt.NDArray[np.bool_]]:
        """Numbers of a column of names.

        Returns: numbers int64 (n,), ok bool (n,): False where the name is not allowed (the row reader says why).
        """
        length = end - start
        ok = (length > 0) & (length <= _MAX_NAME_BYTES)
        count = -(-int(np.where(ok, length, 0).max(initial=0)) // 8)
        words = words_of(text, start, end, count)
        key = np.zeros(len(start), np.uint64)
        for word in words:
            key = (key ^ word) * _MIX
            key ^= key >> _TURN
        place = (key >> np.uint64(64 - _TABLE_BITS)).view(np.int64)
        number = self._direct[place].astype(np.int64)
        hit = self._same(number, words)
        missed = np.flatnonzero(ok & ~hit)
        if len(missed):
            number[missed], ok[missed] = self._learn(text, start, end, missed, words, place)
        return number, ok

    def _same(self, number: Index, words: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.bool_]:
        hit = number >= 0
        if not self._words:
            return np.zeros(len(number), np.bool_)
        for k in range(max(len(words), len(self._words))):
            kept = self._words[k][number] if k < len(self._words) else 0
            hit &= kept == (words[k] if k < len(words) else 0)
        return hit

    def _learn(
        self,
        text: Text,
        start: Index,
        end: Index,
        missed: Index,
        words: list[npt.NDArray[np.uint64]],
        place: Index,
    ) -> tuple[Index, npt.NDArray[np.bool_]]:
        """Numbers of rows whose name is new or lost its place in the direct table."""
        columns = np.stack([word[missed] for word in words], axis=1)
        _, first, inverse = np.unique(columns, axis=0, return_index=True, return_inverse=True)
        numbers = np.empty(len(first), np.int64)
        for k, row in enumerate(missed[first].tolist()):
            try:
                numbers[k] = self.number(text.cut(int(start[row]), int(end[row])))
            except UsageError:
                numbers[k] = -1
        self._keep(numbers, missed[first], words, place)
        found = numbers[inverse.reshape(-1)]
        return found, found >= 0

    def _keep(self, numbers: Index, rows: Index, words: list[npt.NDArray[np.uint64]], place: Index) -> None:
        size = len(self.ids)
        capacity = len(self._words[0]) if self._words else _FIRST_ROOM
        if size > capacity:
            grown = max(2 * capacity, size)
            self._words = [np.concatenate((kept, np.zeros(grown - capacity, np.uint64))) for kept in self._words]
            capacity = grown
        while len(self._words) < len(words):
            self._words.append(np.zeros(capacity, np.uint64))
        good = numbers >= 0
        kept, rows = numbers[good], rows[good]
        for k, word in enumerate(words):
            self._words[k][kept] = word[rows]
        self._direct[place[rows]] = kept
