"""Any walk of people, devices, senders, crashes and restarts: no byte leaves twice, and what was answered stands."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model.clock import FakeClock, SystemClock
from model.command import DONE, Command, CommandState, Reply, approve, end, expire, reject, send
from model.errors import Conflict, Refused
from store.commands.store import CommandStore

T0 = 1_795_334_400_000
DEVICES = ("taxi/1", "taxi/2")
PROJECT = Path(__file__).parents[3]


class StoreMachine(RuleBasedStateMachine):
    """One store, restarted at will; bytes leave only after the step to `sent` is durable."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock(T0)
        self.left: Counter[str] = Counter()
        self.last: dict[str, Command] = {}
        self.store = self._open()

    def _open(self) -> CommandStore:
        return CommandStore(Path(self.folder.name) / "commands.db", clock=self.clock, max_queued_per_device=3)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(device=st.sampled_from(DEVICES), name=st.sampled_from(["snapshot", "listen_in", "cut_power"]))
    def give(self, device: str, name: str) -> None:
        args = {"minutes": 1} if name == "listen_in" else {}
        state = CommandState.ASKED if name == "cut_power" else CommandState.QUEUED
        waiting = sum(one.device == device and one.state in ("asked", "queued") for one in self.last.values())
        try:
            made = self.store.create(
                name=name,
                device=device,
                args=args,
                by="li",
                role="r",
                expires_ms=self.clock.now_ms() + 60_000,
                state=state,
            )
        except Refused:
            assert waiting == 3
            return
        assert waiting < 3
        assert made.id not in self.last
        self.last[made.id] = made

    @rule(pick=st.integers(0, 30), how=st.sampled_from(["approve", "reject", "end"]), stale=st.booleans())
    def somebody_acts(self, pick: int, how: str, stale: bool) -> None:
        if not self.last:
            return
        known = list(self.last.values())[pick % len(self.last)]
        now = self.clock.now_ms()
        try:
            after = {"approve": lambda: approve(known, "wang"), "reject": lambda: reject(known, "li", "x", now),
                     "end": lambda: end(known, now)}[how]()  # fmt: skip
        except Refused:
            return
        kept = self.store.step(known, after)
        self.last[kept.id] = kept
        if stale:
            try:
                self.store.step(known, after)
            except Conflict:
                return
            raise AssertionError("a step from an old version went through")

    @rule(device=st.sampled_from(DEVICES), crash=st.sampled_from(["", "before", "after"]))
    def the_sender_runs(self, device: str, crash: str) -> None:
        for one in self.store.queued(2, device=device):
            try:
                step = send(one, "jt808", self.clock.now_ms())
            except Refused:
                continue
            if crash == "before":
                self.restart()
                return
            self.last[one.id] = self.store.step(one, step)
            if crash == "after":  # durable, and the process dies before the bytes leave
                self.restart()
                return
            self.left[one.id] += 1

    @rule(pick=st.integers(0, 30), device=st.sampled_from(DEVICES), ok=st.booleans(), more=st.booleans())
    def a_device_answers(self, pick: int, device: str, ok: bool, more: bool) -> None:
        if not self.last:
            return
        before = list(self.last.values())[pick % len(self.last)]
        data = {"media": 1} if more else {}
        after = self.store.reply(Reply(before.id, ok=ok, data=data, device=device), self.clock.now_ms())
        if after is None:
            return
        assert device == before.device, "a stranger's answer counted"
        assert before.state is CommandState.SENT or (before.state is CommandState.ACCEPTED and ok and more)
        self.last[after.id] = after

    @rule(seconds=st.sampled_from([1, 30, 61, 600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        now = self.clock.now_ms()
        for one in self.store.due(now, 60_000):
            self.last[one.id] = self.store.step(one, expire(one, now))
        assert self.store.due(now, 60_000) == []

    @rule()
    def restart(self) -> None:
        changes = self.store.changes
        self.store.close()
        self.store = self._open()
        assert self.store.changes == changes

    @invariant()
    def holding(self) -> None:
        assert {one.id: one for one in self.store.list(limit=1_000)} == self.last, "a change was lost"
        assert max(self.left.values(), default=1) == 1, "a command was sent twice"
        for sent in self.left:
            assert self.last[sent].sent_ms
        queued = {one.id for one in self.store.queued(1_000)}
        assert queued == {one.id for one in self.last.values() if one.state is CommandState.QUEUED}
        assert set(self.store.waiting_devices()) == {self.last[one].device for one in queued}
        assert not queued & set(self.left)
        listening = {one.id for one in self.store.listening()}
        assert listening == {one.id for one in self.last.values() if one.listening}
        assert {one.id for one in self.store.list(open_only=True, limit=1_000)} == {
            one.id for one in self.last.values() if one.state not in DONE or one.listening
        }


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

#: A sender whose bytes are lines of a file; it says what it has sent, so that it can be killed in the middle of it.
_SENDER = """
import os, sys
from pathlib import Path
from model.clock import SystemClock
from model.command import send
from store.commands.store import CommandStore

store = CommandStore(Path(sys.argv[1]), clock=SystemClock())
wire = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for one in store.queued(10_000):
    now_ms = SystemClock().now_ms()
    store.step(one, send(one, "jt808", now_ms))
    os.write(1, b"s")
    os.write(wire, one.id.encode() + b"\\n")
    os.write(1, b"w")
"""


def test_a_sender_killed_at_any_moment_sends_nothing_twice(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    path, wire = tmp_path / "commands.db", tmp_path / "wire"
    store = CommandStore(path, clock=SystemClock(), max_queued_per_device=1_000)
    far_ms = SystemClock().now_ms() + 86_400_000
    ids = [
        store.create(name="snapshot", device="taxi/1", args={}, by="li", role="operator", expires_ms=far_ms).id
        for _ in range(60)
    ]
    store.close()
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", _SENDER, str(path), str(wire)],
            stdout=subprocess.PIPE,
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 14)):  # half of the moments lie between the step and the bytes
            if not process.stdout.read(1):
                break
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        process.stdout.close()
    lines = wire.read_text().splitlines() if wire.exists() else []
    store = CommandStore(path, clock=SystemClock())
    try:
        assert len(lines) == len(set(lines)), "a command was sent twice"
        assert set(lines) <= {one.id for one in store.sent(1_000)}, "sent before it was durable"
        assert [one.id for one in store.queued(1_000)] == [name for name in ids if name not in _sent(store)]
    finally:
        store.close()


def _sent(store: CommandStore) -> set[str]:
    return {one.id for one in store.sent(1_000)}
