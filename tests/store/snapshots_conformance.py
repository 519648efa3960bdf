"""What every keeper of snapshots has to do, wherever they lie: `model.seams.Snapshots`, and the half of it that the embedded store is."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

#: A state that no single message holds.
LARGE = bytes(range(256)) * 12_000


class KeepsSnapshots(ABC):
    """Put and read. A test class fixes what `opened` opens; the same folder again is the same place."""

    @abstractmethod
    def opened(self, folder: Path) -> Any:
        """A keeper of snapshots."""

    def test_what_was_put_last_is_read(self, tmp_path: Path) -> None:
        kept = self.opened(tmp_path)
        assert kept.snapshot("analysis") is None
        for position, blob in ((5, b"old"), (9, LARGE), (9, LARGE[1:]), (12, b""), (3, b"of before")):
            kept.put_snapshot("analysis", position, blob)
            assert kept.snapshot("analysis") == (position, blob)

    def test_it_is_there_after_a_restart_and_names_are_apart(self, tmp_path: Path) -> None:
        kept = self.opened(tmp_path)
        kept.put_snapshot("analysis", 9, b"state" * 1000)
        kept.put_snapshot("analysis-2", 1 << 60, b"other")
        again = self.opened(tmp_path)
        assert again.snapshot("analysis") == (9, b"state" * 1000)
        assert again.snapshot("analysis-2") == (1 << 60, b"other")

    def test_a_reader_sees_one_whole_state_while_another_is_put(self, tmp_path: Path) -> None:
        kept = self.opened(tmp_path)
        kept.put_snapshot("analysis", 0, bytes(1_500_000))
        done = threading.Event()
        seen: list[tuple[int, bytes]] = []

        def read() -> None:
            while not done.is_set():
                found = kept.snapshot("analysis")
                assert found is not None
                seen.append(found)

        reader = threading.Thread(target=read)
        reader.start()
        for position in range(1, 25):
            kept.put_snapshot("analysis", position, bytes((position,)) * 1_500_000)
        done.set()
        reader.join()
        assert all(blob == bytes((position,)) * 1_500_000 for position, blob in seen)
        positions = [position for position, _ in seen]
        assert positions == sorted(positions)
        assert len(set(positions)) > 1


class ForgetsSnapshots(KeepsSnapshots):
    """And forget: what lies beside a store whose server may be set back."""

    def test_what_is_forgotten_is_gone_and_may_come_again(self, tmp_path: Path) -> None:
        kept = self.opened(tmp_path)
        kept.forget_snapshot("analysis")
        kept.put_snapshot("analysis", 3, b"state")
        kept.put_snapshot("other", 4, LARGE)
        kept.forget_snapshot("analysis")
        assert kept.snapshot("analysis") is None
        assert kept.snapshot("other") == (4, LARGE)
        kept.put_snapshot("analysis", 2, b"again")
        assert self.opened(tmp_path).snapshot("analysis") == (2, b"again")

    def test_what_is_beyond_a_position_is_forgotten(self, tmp_path: Path) -> None:
        kept = self.opened(tmp_path)
        kept.put_snapshot("analysis", 3, b"state")
        kept.put_snapshot("other", 4, b"of a store that was set back")
        kept.forget_beyond(3)
        again = self.opened(tmp_path)
        assert again.snapshot("analysis") == (3, b"state")
        assert again.snapshot("other") is None
