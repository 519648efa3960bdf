"""Signals: each id once, durable with the consumer's position, read under a grant alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from model.clock import FakeClock, SystemClock
from model.errors import AuditUnwritable, Corrupt, Refused, SchemaTooNew, StoreError, UsageError
from model.grant import Grant, Purpose
from model.signal import Signal, message_signal_id
from store.audit import AuditLog
from store.database import Where, connect, transaction
from store.signals import Signals
from tests.conftest import wait_until
from tests.postgres import told

PROJECT = Path(__file__).parents[2]
GRANT = Grant("li", "cli", Purpose("alarm", "A-1"), None, 0, 10**15)


def new_signal(number: int, *, device: str = "taxi/1", kind: str = "sos", time_ms: int | None = None) -> Signal:
    return Signal(
        id=message_signal_id(device, str(number)),
        device=device,
        kind=kind,
        source="message",
        time_ms=1_000 * number if time_ms is None else time_ms,
        received_ms=1_000 * number + 5,
        lat=40.65,
        lon=109.84,
        severity=1,
        late=number % 2 == 1,
        note=f"note {number} 求助",
        log_position=number,
    )


@pytest.fixture
def path(where: Callable[[str], Where]) -> Where:
    return where("desk")


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(AuditLog(tmp_path / "audit.db", clock=FakeClock())) as audit:
        yield audit


@pytest.fixture
def signals(path: Where, audit: AuditLog) -> Iterator[Signals]:
    with closing(Signals(path, clock=FakeClock(), audit=audit)) as signals:
        yield signals


def test_each_id_once_and_whole(signals: Signals) -> None:
    first = [new_signal(n) for n in range(1, 6)]
    assert signals.add(first) == 5
    assert signals.add([*first, new_signal(6), replace(first[0], note="another note, the same id")]) == 1
    assert signals.add([]) == 0
    no_place = replace(new_signal(7), lat=None, lon=None, note="")
    assert signals.add([no_place, no_place]) == 1
    assert [kept.signal for kept in signals.list(GRANT)] == [*first, new_signal(6), no_place]
    assert signals.count() == 7


def test_a_signal_with_odd_text_is_kept(signals: Signals) -> None:
    assert signals.add([replace(new_signal(1), note="\ud800<script>\x00'")]) == 1
    assert signals.list(GRANT)[0].signal.note == "\\ud800<script>\\x00'"


def test_filters_and_pages(signals: Signals) -> None:
    signals.add([new_signal(n, device=f"taxi/{n % 2}", kind="sos" if n % 3 else "duress") for n in range(1, 11)])
    late = new_signal(11, time_ms=3_500)
    signals.add([late])

    def times(**wanted: object) -> list[int]:
        return [kept.signal.time_ms // 100 for kept in signals.list(GRANT, **wanted)]  # type: ignore[arg-type]  # a table of filters

    assert times(device="taxi/0") == [20, 40, 60, 80, 100]
    assert times(kind="duress") == [30, 60, 90]
    assert times(device="taxi/0", kind="duress") == [60]
    assert times(from_ms=3_000, to_ms=5_000) == [30, 40, 35]
    assert times(device="' OR 1=1 --") == []
    page = signals.list(GRANT, limit=4)
    assert [kept.signal.time_ms // 1000 for kept in page] == [1, 2, 3, 4]
    assert times(after=page[-1].number, limit=4) == [50, 60, 70, 80]
    newest = signals.list(GRANT, limit=2, newest_first=True)
    assert [kept.signal.time_ms // 100 for kept in newest] == [35, 100]
    assert times(after=newest[-1].number, limit=2, newest_first=True) == [90, 80]
    for limit in (0, 10_001):
        with pytest.raises(UsageError):
            signals.list(GRANT, limit=limit)


def test_reading_takes_a_grant_and_is_audited_first(signals: Signals, audit: AuditLog) -> None:
    signals.add([new_signal(1), new_signal(2)])
    narrow = Grant("li", "cli", Purpose("alarm", "A-1", "look"), frozenset(["taxi/1"]), 0, 1_500)
    assert len(signals.list(narrow, device="taxi/1")) == 1
    row = audit.rows()[0]
    assert (row.who, row.action, row.target, row.purpose) == ("li", "read.signals", "taxi/1", "alarm:A-1:look")
    assert row.detail["count"] == 1
    for refused in ({"device": "taxi/2"}, {}, {"device": "taxi/1", "to_ms": 2_000}):
        with pytest.raises(Refused):
            signals.list(narrow, **refused)
    assert audit.last_number() == 1
    audit.close()
    with pytest.raises(AuditUnwritable):
        signals.list(GRANT)


def test_without_an_audit_nothing_is_read(path: Where) -> None:
    with closing(Signals(path, clock=FakeClock())) as signals:
        signals.add([new_signal(1)])
        with pytest.raises(AuditUnwritable):
            signals.list(GRANT)


def test_a_position_is_kept_with_the_signals(path: Where) -> None:
    with closing(Signals(path, clock=FakeClock())) as signals:
        assert signals.position("alarms") == 0
        assert signals.add([new_signal(1)], consumer="alarms", position=4) == 1
        assert signals.add([], consumer="alarms", position=6) == 0
        assert signals.add([new_signal(1)], consumer="alarms", position=5) == 0  # a replay goes not back
        signals.add([], consumer="other", position=1)
        with pytest.raises(UsageError):
            signals.add([], consumer="x" * 65, position=1)
    with closing(Signals(path, clock=FakeClock(), read_only=True)) as signals:
        assert (signals.position("alarms"), signals.position("other")) == (6, 1)
        assert signals.count() == 1
        with pytest.raises(StoreError, match="for reading only"):
            signals.add([new_signal(2)])


def test_kill_9_keeps_signals_and_position_together(path: Where) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    script = (
        "import sys; from tests.postgres import where_told; from model.clock import SystemClock\n"
        "from store.signals import Signals\n"
        "from tests.store.test_signals import new_signal\n"
        "signals = Signals(where_told(sys.argv[1]), clock=SystemClock())\n"
        "position = signals.position('alarms')\n"
        "while True:\n"
        "    batch = range(position + 1, position + 4)\n"
        "    assert signals.add([new_signal(n) for n in batch], consumer='alarms', position=batch[-1]) == 3\n"
        "    position = batch[-1]\n"
        "    print(position, flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    for _ in range(4):
        command = [sys.executable, "-c", script, told(path)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline()]
            time.sleep(chance.uniform(0, 0.1))
            child.kill()
            lines += child.stdout.readlines()
        acknowledged = max(int(line) for line in lines if line.endswith("\n"))
        with closing(Signals(path, clock=SystemClock(), read_only=True)) as signals:
            assert signals.position("alarms") >= acknowledged
            # what the server was still committing for the dead one comes whole, too
            wait_until(lambda: signals.count() == signals.position("alarms"), what="signals and position")


def test_closed_newer_and_damaged(path: Where) -> None:
    signals = Signals(path, clock=FakeClock())
    signals.close()
    signals.close()
    with pytest.raises(StoreError, match="closed"):
        signals.add([new_signal(1)])
    newer = "PRAGMA user_version = 99" if isinstance(path, Path) else "UPDATE lucheng_schema SET version = 99"
    with closing(connect(path)) as connection, transaction(connection):
        connection.execute(newer)
    with pytest.raises(SchemaTooNew):
        Signals(path, clock=FakeClock())
    if isinstance(path, Path):
        path.write_bytes(b"no database at all" * 100)
        with pytest.raises(Corrupt):
            Signals(path, clock=FakeClock())
