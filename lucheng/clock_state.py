"""Whether the kernel holds this machine's clock for synchronised (NTP or PTP). Source: adjtimex(2), Linux."""

from __future__ import annotations

import ctypes
import sys

#: Returned for a clock that nobody steers.
_TIME_ERROR = 5
#: `struct timex` has 208 bytes on 64-bit Linux; room for more does no harm. All zeros: nothing is set, it is read.
_TIMEX_BYTES = 512


def synchronised() -> int:
    """1 yes, 0 no, -1 where the kernel does not tell."""
    if not sys.platform.startswith("linux"):
        return -1
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return -1
    return -1 if state < 0 else int(state != _TIME_ERROR)
