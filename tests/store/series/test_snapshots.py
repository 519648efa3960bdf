"""Snapshots beside the points on one machine, under the suite that those in the servers' object store pass, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from model.clock import FakeClock
from store.database import Where
from store.series.embedded import EmbeddedSeries
from store.series.influx.local import LocalFile
from tests.store.series.conformance import T0, ListAudit
from tests.store.series.influx.partitions import ledger_of
from tests.store.snapshots_conformance import ForgetsSnapshots, KeepsSnapshots


class _Closing:
    """Opens, closing what it opened before: one process at a time has a file of points."""

    @pytest.fixture(autouse=True)
    def _stack(self) -> Iterator[None]:
        with ExitStack() as self.stack:
            yield

    def closing(self, made: Any) -> Any:
        self.stack.close()
        self.stack.callback(made.close)
        return made


class TestEmbedded(_Closing, KeepsSnapshots):
    def opened(self, folder: Path) -> EmbeddedSeries:
        return self.closing(EmbeddedSeries(folder / "series.db", audit=ListAudit(), clock=FakeClock(T0)))  # type: ignore[no-any-return] # as made


class TestLocalFile(_Closing, ForgetsSnapshots):
    def opened(self, folder: Path) -> LocalFile:
        return self.closing(LocalFile(folder / "influx.db"))  # type: ignore[no-any-return] # as made


class TestLedger(_Closing, ForgetsSnapshots):
    """A partition's: they lie elsewhere, and its holder alone puts them."""

    @pytest.fixture(autouse=True)
    def _where(self, where: Callable[[str], Where]) -> None:
        self.where = where("series")

    def opened(self, folder: Path) -> Any:
        return self.closing(ledger_of(self.where, folder))
