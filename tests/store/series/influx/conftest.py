"""The server of these tests."""

from __future__ import annotations

from tests.influx import influxd

__all__ = ["influxd"]
