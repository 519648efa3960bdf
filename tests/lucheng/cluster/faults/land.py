"""A city on three machines under load: what the tests of faults share. It asserts nothing but that what is waited for comes."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pytest

from lucheng.cluster.demo.machine import Machine
from lucheng.cluster.demo.machines import Machines
from lucheng.cluster.demo.programs import built, postgres_programs
from model.errors import LuchengError, UsageError
from tests.conftest import wait_until
from tests.lucheng.faults.judge import Verdict, judge
from tests.lucheng.faults.sender import SenderProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 200
#: Of a device's connection and of a fault's end, on a machine that others use too.
PATIENCE_S = 120.0
_RAISED = ("raise", "signal")


def need_servers() -> None:
    """Skip, or fail with CI=true, where a server's program is missing; each is asked for in its own words."""
    try:
        built("nats-server")
        built("influxd")
        postgres_programs()
    except UsageError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


class Feed:
    """A console that listens: when it heard of which alarm."""

    def __init__(self, machine: Machine) -> None:
        self._client = machine.client()
        self._stop = threading.Event()
        self.heard_s: list[float] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()

    def _listen(self) -> None:
        after: int | None = None
        while not self._stop.is_set():
            try:
                for event in self._client.watch(after=after, purpose="test", every_line=True):
                    if self._stop.is_set():
                        return
                    if "action" in event:
                        after = event["number"]
                        if event["action"] in _RAISED:
                            self.heard_s.append(time.monotonic())
            except LuchengError:
                self._stop.wait(0.2)

    def silence_s(self, since_s: float) -> float:
        """The longest time from one alarm to the next, from then until now."""
        moments = [since_s, *(moment for moment in self.heard_s if moment > since_s), time.monotonic()]
        return max(after - before for before, after in pairwise(moments))

    def wait_more(self, count: int) -> None:
        """Wait until so many more alarms were heard of."""
        before = len(self.heard_s)
        wait_until(lambda: len(self.heard_s) >= before + count, PATIENCE_S, "more alarms on a console")


class Land:
    """The machines, a fleet that reports to them, and a console on the first machine.

    Args:
        machines: that run. folder: for the fleet's ledger.
    """

    def __init__(self, machines: Machines, folder: Path) -> None:
        self.machines = machines
        self.witness = machines.machine("m1")
        self.sender = SenderProcess(machines.mqtt_url, folder / "ledger", rate=RATE)
        self.link = machines.link(name="test")

    def stored(self) -> int:
        """Rows that are stored, as the witness says."""
        found: int = self.witness.client().call("status")["stored"]
        return found

    def wait_flowing(self, rows: int) -> None:
        """Wait until so many more are stored."""
        before = self.stored()
        wait_until(lambda: self.stored() > before + rows, PATIENCE_S, f"{rows} more rows")

    def duty(self) -> Machine:
        """The machine that has the desk on duty."""
        status = self.machines.wait_held(self.link, [machine.name for machine in self.machines.machines])
        return self.machines.machine(status.streams[-1].holder)

    def to_be_cut(self) -> Machine:
        """A machine with work, which is not the witness: the one with the desk on duty where that is another."""
        duty = self.duty()
        return duty if duty is not self.witness else self.machines.machine("m2")

    def revive(self, machine: Machine) -> list[str]:
        """As systemd does: start what ended itself; names of that."""
        ended = [program.name for program in machine.programs if not program.alive]
        machine.boot()
        machine.lucheng.wait(machine.ready, timeout_s=PATIENCE_S)
        return ended

    def _settled(self) -> Callable[[], bool]:
        before: list[int] = []

        def look() -> bool:
            try:
                status = self.machines.status(self.link)
                service = self.witness.client().call("status")
            except LuchengError:
                return False
            now = [row.last for row in status.streams if row.lag_records <= 2]
            done = len(now) == len(status.streams) and service["in_flight"] == 0
            same = [service["received"], service["stored"]] == before
            before[:] = [service["received"], service["stored"]]
            return done and same

        return look

    def verdict(self, at_least: int) -> Verdict:
        """Let everything come to an end, in order, and judge it."""
        sent = self.sender.stop()
        wait_until(self._settled(), 2 * PATIENCE_S, "everything to be stored")
        self.link.close()
        ended = self.machines.stop_roles()
        assert ended == [0, 0, 0], [machine.lucheng.said[-1500:] for machine in self.machines.machines]
        return judge(self.witness.data, sent, at_least=at_least, settings=self.machines.settings())


@contextmanager
def land(folder: Path, **options: Any) -> Iterator[Land]:
    """A city under load, every stream held, rows stored."""
    need_servers()
    began_s = time.monotonic()
    with Machines(folder, **options) as machines:
        apart = machines.network.apart
        print(
            f"three machines run after {time.monotonic() - began_s:.1f} s, {'namespaces' if apart else machines.network.why}"
        )
        made = Land(machines, folder)
        try:
            made.duty()
            with made.sender:
                made.wait_flowing(3 * RATE)
                yield made
        except BaseException:
            for machine in machines.machines:
                for program in machine.programs:
                    print(f"{program.name}: {program.said[-1500:]}")
            raise
        finally:
            made.link.close()


def cut_off(city: Land, victim: Machine, seconds: float) -> None:
    """Pull a machine's cable, or freeze it where it has none, for so long; everything goes on meanwhile and after."""
    with Feed(city.witness) as feed:
        feed.wait_more(2)
        others = [machine.name for machine in city.machines.machines if machine is not victim]
        cut_s = time.monotonic()
        if city.machines.network.apart:
            victim.pull()
        else:
            victim.freeze()
        city.machines.wait_held(city.link, others, timeout_s=PATIENCE_S)
        held_s = time.monotonic() - cut_s
        feed.wait_more(5)
        time.sleep(max(0.0, seconds - (time.monotonic() - cut_s)))
        silence_s = feed.silence_s(cut_s)
        victim.thaw()
        victim.plug()
        back_s = time.monotonic()
        time.sleep(5)
        ended = city.revive(victim)
        city.duty()
        feed.wait_more(5)
        print(
            f"{victim.name} cut off for {back_s - cut_s:.1f} s: everything held by others after {held_s:.1f} s, longest time "
            f"without an alarm {silence_s:.1f} s, and {feed.silence_s(back_s):.1f} s after it came back; ended itself: {ended}"
        )


def beat_s(values: list[float]) -> str:
    """Median and slowest of times, in words."""
    return f"median {statistics.median(values):.2f} s, slowest {max(values):.2f} s" if values else "none"


def slow_disk(delay_ms: int) -> list[str]:
    """What stands before a command whose every fsync then takes so much longer; skips where that cannot be had."""
    command = [
        *("strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fsync,fdatasync"),
        *("-e", f"inject=fsync,fdatasync:delay_exit={delay_ms * 1000}"),
    ]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
        why = tried.stderr.strip() if tried.returncode else ""
    except OSError as error:
        why = str(error)
    if why:
        message = f"no strace that may delay what a process does (apt-get install strace): {why[:200]}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return command
