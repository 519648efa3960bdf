"""Benchmarks: each prints its question, the machine, a baseline of the same run, the ratio. Never a timed test."""

import os

# Their services run beside whatever runs here already; a benchmark that looks at pages says at which port.
os.environ.setdefault("LUCHENG_WEB__PORT", "0")
