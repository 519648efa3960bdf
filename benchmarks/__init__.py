"""Benchmarks: each prints its question, the machine, a baseline of the same run, the ratio. Never a timed test."""
