"""A state machine against a dictionary: whatever happens, what can be read is what was stored and is counted."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from model.batch import PointBatch, fixed, identity
from model.clock import FakeClock
from model.seams import Outcome
from store.series.embedded import EmbeddedSeries
from tests.store.series.conformance import DAY_MS, HOUR_MS, T0, ListAudit, grant

#: A point of the model: slot, time, seq, latitude in 1e-6°, speed in 0.1 km/h (None: not sent).
Row = tuple[int, int, int, int, int | None]
Key = tuple[int, int, int]

_ROW = st.tuples(
    st.sampled_from([0, 1, 2, 1023, 1024, 5000]),
    st.one_of(
        st.integers(T0 - 2 * HOUR_MS, T0 + 3 * HOUR_MS),
        st.sampled_from([T0, T0 + 1, T0 + HOUR_MS, T0 + HOUR_MS - 1]),
    ),
    st.sampled_from([-1, 0, 7, 1 << 40]),
    st.integers(-90_000_000, 90_000_000),
    st.one_of(st.none(), st.integers(0, 2000)),
)


def batch_of(rows: list[Row]) -> PointBatch:
    return PointBatch.of(
        len(rows),
        {
            "slot": [row[0] for row in rows],
            "time_ms": [row[1] for row in rows],
            "seq": [row[2] for row in rows],
            "lat": [row[3] / 1e6 for row in rows],
            "lon": 109.84,
            "speed_kmh": [np.nan if row[4] is None else row[4] / 10 for row in rows],
        },
    )


class Machine(RuleBasedStateMachine):
    """`known` maps key to (stored day, row)."""

    @initialize()
    def start(self) -> None:
        self.folder = TemporaryDirectory()
        self.known: dict[Key, tuple[int, Row]] = {}
        self.position = 0
        self.expired = 0
        self.stored_ms = T0
        self.open()

    def open(self, **limits: int) -> None:
        self.store = EmbeddedSeries(
            Path(self.folder.name) / "series.db",
            audit=ListAudit(),
            clock=FakeClock(T0),
            max_open_rows=40,
            max_open_batches=4,
            max_seal_rows=16,
            max_patches=2,
            max_fleet_batch_rows=5,
            max_lookup_keys=30,
        )

    @rule(rows=st.lists(_ROW, max_size=30), later_ms=st.sampled_from([0, 0, 0, HOUR_MS, DAY_MS]))
    def commit(self, rows: list[Row], later_ms: int) -> None:
        self.stored_ms += later_ms
        batch = batch_of(rows)
        keys: list[Key] = list(zip(batch.slot.tolist(), batch.time_ms.tolist(), identity(batch).tolist(), strict=True))
        there = self.store.contains(batch).tolist()
        assert there == [key in self.known for key in keys]
        fresh: list[int] = []
        for row, key in enumerate(keys):
            if key not in self.known:
                self.known[key] = (self.stored_ms // DAY_MS, rows[row])
                fresh.append(row)
        self.position += 1
        duplicate = len(rows) - len(fresh)
        points = batch.take(np.array(fresh, np.int64))
        self.store.commit(Outcome(self.position, points, duplicate=duplicate), stored_ms=self.stored_ms)

    @rule()
    def replay(self) -> None:
        self.store.commit(Outcome(self.position, batch_of([(0, T0, -1, 1, 1)])), stored_ms=self.stored_ms)

    @rule()
    def flush(self) -> None:
        self.store.flush()

    @rule(hours=st.integers(-3, 5))
    def seal(self, hours: int) -> None:
        self.store.seal(T0 + hours * HOUR_MS)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.open()

    @rule(days=st.integers(-1, 1))
    def retain(self, days: int) -> None:
        day = self.stored_ms // DAY_MS + days
        gone = [key for key, (stored_day, _) in self.known.items() if stored_day < day]
        for key in gone:
            del self.known[key]
        self.expired += len(gone)
        assert self.store.retain(day * DAY_MS) == len(gone)

    @invariant()
    def counts_are_exact(self) -> None:
        totals = self.store.totals()
        assert totals.stored == len(self.known)
        assert totals.position == self.position
        assert totals.gauges.get("expired", 0) == self.expired

    @invariant()
    def everything_is_read(self) -> None:
        batches = list(self.store.fleet(grant(), 0, 1 << 60))
        assert all(0 < len(batch) <= 5 for batch in batches)
        batch = PointBatch.concat(batches)
        lat, speed = fixed(batch.lat, 1e6), fixed(batch.speed_kmh, 10)
        missing = np.isnan(batch.speed_kmh)
        found = {
            (slot, time_ms, ident): (slot, time_ms, seq, lat6, None if gap else speed10)
            for slot, time_ms, ident, seq, lat6, gap, speed10 in zip(
                batch.slot.tolist(), batch.time_ms.tolist(), identity(batch).tolist(), batch.seq.tolist(),
                lat.tolist(), missing.tolist(), speed.tolist(), strict=True,
            )
        }  # fmt: skip
        assert len(found) == len(batch)
        assert found == {key: row for key, (_, row) in self.known.items()}

    @invariant()
    def tracks_and_latest_agree(self) -> None:
        newest: dict[int, tuple[int, int]] = {}
        for slot, time_ms, _ in self.known:
            seq = max(row[2] for key, (_, row) in self.known.items() if key[:2] == (slot, time_ms))
            newest[slot] = max(newest.get(slot, (time_ms, seq)), (time_ms, seq))
        latest = self.store.latest(grant(), None)
        told = zip(latest.slot.tolist(), zip(latest.time_ms.tolist(), latest.seq.tolist(), strict=True), strict=True)
        assert dict(told) == newest
        track = self.store.track(grant(), "taxi/1", 1, T0, T0 + HOUR_MS)
        mine = sorted((row[1], row[2]) for _, row in self.known.values() if row[0] == 1 and T0 <= row[1] < T0 + HOUR_MS)
        assert list(zip(track.time_ms.tolist(), track.seq.tolist(), strict=True)) == mine

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert self.store.check() == []
            self.store.close()
            self.folder.cleanup()


def test_the_store_is_what_a_dictionary_says() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
