"""How long a thread may hold the interpreter: short turns while there is room, long ones when the processor is full.

Purpose: an alarm goes through half a dozen threads, and at each it may wait for one turn of whoever decodes points. Short
turns make that wait short; but when there is more to do than a core can, they cost a quarter of the throughput, and
an alarm waits behind the work itself. Invariants: it looks at the process's own CPU time alone; it is called by one thread.
"""

from __future__ import annotations

import sys
import time

#: Turn while the process uses less than `BUSY_CORES`, seconds.
SHORT_TURN_S = 0.0002
#: Turn while it uses more.
LONG_TURN_S = 0.001
BUSY_CORES = 0.85


class Turns:
    """Sets the interpreter's switch interval by how busy the process was since the last look."""

    def __init__(self) -> None:
        self._wall_s = time.monotonic()
        self._cpu_s = time.process_time()
        sys.setswitchinterval(LONG_TURN_S)

    def look(self) -> float:
        """Decide anew; the turn from now on, seconds."""
        wall_s, cpu_s = time.monotonic(), time.process_time()
        passed_s, used_s = wall_s - self._wall_s, cpu_s - self._cpu_s
        self._wall_s, self._cpu_s = wall_s, cpu_s
        turn_s = LONG_TURN_S if used_s >= BUSY_CORES * passed_s else SHORT_TURN_S
        sys.setswitchinterval(turn_s)
        return turn_s
