"""Faults of a city on three machines under load: a host cut off and back, a slow disk, PostgreSQL restarted; the judge finds everything once."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.lucheng.cluster.faults.land import RATE, Feed, Land, cut_off, land, slow_disk


def restart_postgres(city: Land, away_s: float) -> None:
    """Stop the database as a restart of its service does, and start it again."""
    with Feed(city.witness) as feed:
        feed.wait_more(2)
        postgres = city.machines.postgres
        stopped_s = time.monotonic()
        postgres.stop(signal.SIGINT)
        time.sleep(away_s)
        postgres.start()
        postgres.wait(postgres.ready)
        up_s = time.monotonic()
        feed.wait_more(3)
        for machine in city.machines.machines:
            assert machine.alive, f"{machine.name} ended: {machine.lucheng.said[-1500:]}"
        print(
            f"PostgreSQL away for {up_s - stopped_s:.1f} s: longest time without an alarm {feed.silence_s(stopped_s):.1f} s, "
            f"of it {feed.silence_s(up_s):.1f} s after it was back"
        )
    city.wait_flowing(RATE)


@pytest.mark.soak
def test_a_host_is_cut_off_and_the_database_restarted(tmp_path: Path) -> None:
    with land(tmp_path) as city:
        restart_postgres(city, 1.0)
        cut_off(city, city.to_be_cut(), 8.0)
        city.wait_flowing(RATE)
        print(city.verdict(5 * RATE))


@pytest.mark.soak
def test_a_host_is_cut_off_for_30_s(tmp_path: Path) -> None:
    with land(tmp_path) as city:
        for _ in range(2):
            cut_off(city, city.to_be_cut(), 30.0)
            city.wait_flowing(3 * RATE)
        print(city.verdict(30 * RATE))


@pytest.mark.soak
def test_hosts_without_namespaces_are_frozen_for_30_s(tmp_path: Path) -> None:
    with land(tmp_path, namespaces=False) as city:
        cut_off(city, city.to_be_cut(), 30.0)
        city.wait_flowing(3 * RATE)
        print(city.verdict(20 * RATE))


@pytest.mark.soak
def test_the_database_is_away_for_10_s(tmp_path: Path) -> None:
    with land(tmp_path) as city:
        restart_postgres(city, 10.0)
        city.wait_flowing(3 * RATE)
        print(city.verdict(5 * RATE))


@pytest.mark.soak
@pytest.mark.parametrize("delay_ms", [20, 200])
def test_one_server_has_a_slow_disk(tmp_path: Path, delay_ms: int) -> None:
    with land(tmp_path, wrap={"m2": slow_disk(delay_ms)}) as city, Feed(city.witness) as feed:
        began_s = time.monotonic()
        feed.wait_more(20)
        city.wait_flowing(10 * RATE)
        print(
            f"each fsync of one of three servers {delay_ms} ms slower: {len(feed.heard_s)} alarms, longest time without one "
            f"{feed.silence_s(began_s):.1f} s"
        )
        machine = city.machines.machine("m2")
        machine.kill()
        killed_s = time.monotonic()
        feed.wait_more(5)
        print(f"and killed: longest time without an alarm {feed.silence_s(killed_s):.1f} s")
        city.revive(machine)  # as slow as before: it may stay behind the others for as long as there is load
        city.wait_flowing(RATE)
        print(city.verdict(10 * RATE))
