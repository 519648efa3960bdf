"""Servers of a city of processes, as the cluster's own tests have them."""

from __future__ import annotations

from tests.lucheng.cluster.conftest import city_influxd, city_postgres, processes

__all__ = ["city_influxd", "city_postgres", "processes"]
