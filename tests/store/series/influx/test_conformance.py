"""InfluxDB under the suite that every series store passes, against a real influxd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model.seams import Audit, SeriesStore
from tests.influx import Influxd, open_influx
from tests.store.series.conformance import OpenStore, SeriesConformance


class TestInflux(SeriesConformance):
    @pytest.fixture
    def open_store(self, influxd: Influxd) -> Iterator[OpenStore]:
        opened: list[SeriesStore] = []

        def open_one(folder: Path, audit: Audit) -> SeriesStore:
            opened.append(open_influx(influxd, folder, audit))
            return opened[-1]

        yield open_one
        for store in opened:
            store.close()
