"""Partitions: the servers' own function, every device where the servers put it, appends to all of them at once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.errors import SettingsError, StoreError
from store.log.jetstream import JetStreamLog
from store.nats.link import Link
from store.nats.partitions import Partitions, partition_of, partitions_of
from store.nats.reading import Reader
from store.nats.streams import Names, Plan, set_up
from store.nats.terms import Patience
from tests.nats import NatsServer, link_to
from tests.store.log.stress import numbered
from tests.store.log_conformance import read_all

COUNT = 8
IMPATIENT = Patience(attempt_s=0.3, give_up_s=1.0)


def small(prefix: str = "lucheng", partitions: int = COUNT) -> Plan:
    return Plan(
        Names(prefix),
        partitions=partitions,
        point_replicas=1,
        alarm_replicas=1,
        max_point_bytes=1 << 30,
        max_alarm_bytes=1 << 28,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("partitions"))
    yield server.start()
    server.kill()


@pytest.fixture
def link(server: NatsServer) -> Iterator[Link]:
    link = link_to([server.url])
    yield link
    link.close()


def test_columns_and_single_slots_agree() -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    slots = [
        0,
        1,
        9,
        10,
        99,
        100,
        999_999_999,
        1_000_000_000,
        2**31 - 1,
        *(chance.randrange(2**31) for _ in range(500)),
    ]
    for count in (1, 3, 8, 256):
        column = partitions_of(np.array(slots, np.int32), count)
        assert column.tolist() == [partition_of(slot, count) for slot in slots]
    with pytest.raises(ValueError, match="no partition"):
        partitions_of(np.array([3, -1], np.int32), 4)


def test_devices_spread_evenly() -> None:
    counts = np.bincount(partitions_of(np.arange(100_000, dtype=np.int32), COUNT), minlength=COUNT)
    assert counts.min() > 0.9 * 100_000 / COUNT


def test_the_servers_put_each_device_where_we_say(link: Link) -> None:
    link.call(set_up(link, small()))
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for slot in [0, 7, 10, 12_345, 2**31 - 1, *(chance.randrange(2**31) for _ in range(200))]:
        said = link.call(link.ask(Names().points_subject(slot), b"x")).data.decode()
        assert f'"stream":"{Names().points(partition_of(slot, COUNT))}"' in said


def test_an_append_to_all_partitions(link: Link) -> None:
    plan = small()
    link.call(set_up(link, plan))
    before = [link.call(Reader(link, plan.names.points(p)).ends()).last for p in range(COUNT)]
    partitions = Partitions(link, plan)
    wanted = {p: [numbered(100 * p + n) for n in range(p % 3 + 1)] for p in range(COUNT)}
    first = partitions.append(wanted)
    assert first == {p: before[p] + len(wanted[p]) for p in range(COUNT)}
    assert partitions.append({2: [numbered(5)], 3: []}) == {2: first[2] + 1}
    assert partitions.append({}) == {}
    for partition in range(COUNT):
        names = plan.names
        log = JetStreamLog(link, names, names.points(partition), "", read_only=True, close_link=False)
        found = read_all(log, after=before[partition])
        assert [record.payload for record in found[: len(wanted[partition])]] == [r.payload for r in wanted[partition]]
        log.close()


def test_another_number_of_partitions_is_refused(link: Link) -> None:
    link.call(set_up(link, small()))
    with pytest.raises(SettingsError, match=r"made for 8 partitions, nats\.partitions is 4"):
        link.call(set_up(link, small(partitions=4)))


def test_a_mapping_that_differs_is_found_out(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats")
    conf = tmp_path / "nats" / "lucheng.conf"
    conf.write_text(conf.read_text().replace("partition(8,1)", "partition(5,1)"))
    try:
        link = link_to([server.start().url])
        link.call(set_up(link, small()))
        with pytest.raises(SettingsError, match="map lucheng"):
            Partitions(link, small())
        link.close()
    finally:
        server.kill()


def test_without_the_mapping_it_says_what_to_include(server: NatsServer, link: Link) -> None:
    plan = small("unmapped")
    link.call(set_up(link, plan))
    impatient = link_to([server.url], patience=IMPATIENT)
    with pytest.raises(SettingsError, match="Nothing takes what is published to unmapped"):
        Partitions(impatient, plan)
    impatient.close()


def test_a_failed_append_ends_it(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats").start()
    try:
        link = link_to([server.url], patience=IMPATIENT)
        link.call(set_up(link, small()))
        partitions = Partitions(link, small())
        server.kill()
        with pytest.raises(StoreError):
            partitions.append({0: [numbered(1)], 1: [numbered(2)]})
        server.start()
        with pytest.raises(StoreError):
            partitions.append({0: [numbered(3)]})
        link.close()
    finally:
        server.kill()
