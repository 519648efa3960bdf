"""`JetStreamLog` on real nats-servers: the conformance suite, servers killed (F1), hung and away, damage (F6), other writers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from model.errors import Corrupt, StoreError, UsageError
from model.seams import NewRecord, RecordKind
from store.log.jetstream import JetStreamLog
from store.nats.messages import RECORD_HEADER
from store.nats.terms import Message, Patience
from tests.conftest import wait_until
from tests.nats import NatsCluster, NatsServer, link_to, names_of, open_jetstream_log
from tests.store.log.stress import Stress, judge, numbered
from tests.store.log_conformance import LogConformance, OpenLog, new_record, read_all

KILLS = 8
CLUSTER_KILLS = 2
IMPATIENT = Patience(attempt_s=0.3, give_up_s=1.0)


class TestJetStreamLog(LogConformance):
    @pytest.fixture
    def open_log(self, nats_server: NatsServer) -> OpenLog:
        def open_at(folder: Path) -> JetStreamLog:
            return open_jetstream_log([nats_server.url], folder)

        return open_at


class TestSharedJetStreamLog(LogConformance):
    """The same with other writers allowed."""

    @pytest.fixture
    def open_log(self, nats_server: NatsServer) -> OpenLog:
        def open_at(folder: Path) -> JetStreamLog:
            return open_jetstream_log([nats_server.url], folder, exclusive=False)

        return open_at


@pytest.fixture
def log(nats_server: NatsServer, tmp_path: Path) -> Iterator[JetStreamLog]:
    with closing(open_jetstream_log([nats_server.url], tmp_path)) as log:
        yield log


def seeded() -> random.Random:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


# --- F1: servers killed, hung, away ---


def test_a_server_killed_again_and_again_loses_nothing_acknowledged(
    own_nats_server: NatsServer, tmp_path: Path
) -> None:
    chance = seeded()
    urls = [own_nats_server.url]
    with closing(open_jetstream_log(urls, tmp_path)) as log:
        stress = Stress(log)
        stress.begin()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.05, 0.4))
            own_nats_server.restart()
            before = len(stress.acknowledged)
            wait_until(lambda before=before: len(stress.acknowledged) > before, what="appends")  # type: ignore[misc] # a default binds it
        stress.end()
    with closing(open_jetstream_log(urls, tmp_path)) as log:
        assert log.problems_at_open == []
        judge(log, stress.acknowledged)
    assert len(stress.acknowledged) > KILLS


@pytest.mark.soak
def test_the_leader_of_three_killed_and_hung(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    with closing(open_jetstream_log(nats_cluster.urls, tmp_path, replicas=3)) as log:
        stress = Stress(log)
        stress.begin()
        for number in range(CLUSTER_KILLS + 1):
            wait_until(lambda: nats_cluster.leader_of(log.stream), timeout_s=40, what="a leader")
            leader = nats_cluster.leader_of(log.stream)
            assert leader is not None
            hang = number == CLUSTER_KILLS
            if hang:
                leader.pause()
            else:
                leader.kill()
            before = len(stress.acknowledged)
            wait_until(lambda before=before: len(stress.acknowledged) > before + 20, timeout_s=50, what="appends")  # type: ignore[misc] # a default binds it
            if hang:
                leader.go_on()
            else:
                leader.start()
        stress.end()
    with closing(open_jetstream_log(nats_cluster.urls, tmp_path, replicas=3)) as log:
        judge(log, stress.acknowledged)


@pytest.mark.soak
def test_fifty_faults_of_three_servers(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """Any server, not the leader alone, killed or hung at any moment; the next fault comes when all are back."""
    chance = seeded()
    with closing(open_jetstream_log(nats_cluster.urls, tmp_path, replicas=3)) as log:
        stress = Stress(log)
        stress.begin()
        for number in range(50):
            time.sleep(chance.uniform(0.0, 1.0))
            victim = chance.choice(nats_cluster.servers)
            if chance.random() < 0.3:
                victim.pause()
                time.sleep(chance.uniform(0.1, 12.0))
                victim.go_on()
            else:
                victim.kill()
                time.sleep(chance.uniform(0.0, 3.0))
                victim.start()
            before = len(stress.acknowledged)
            wait_until(
                lambda before=before: stress.failure is not None or len(stress.acknowledged) > before,  # type: ignore[misc] # a default binds it
                timeout_s=60,
                what=f"appends after fault {number}",
            )
        stress.end()
    with closing(open_jetstream_log(nats_cluster.urls, tmp_path, replicas=3)) as log:
        judge(log, stress.acknowledged)


def test_answers_that_come_too_late_append_nothing_twice(own_nats_server: NatsServer, tmp_path: Path) -> None:
    """The server hangs for longer than an attempt: what was sent before and what is sent again both reach it."""
    chance = seeded()
    patience = Patience(attempt_s=0.1)
    with closing(open_jetstream_log([own_nats_server.url], tmp_path, patience=patience)) as log:
        stress = Stress(log)
        stress.begin()
        for _ in range(6):
            time.sleep(chance.uniform(0.02, 0.2))
            own_nats_server.pause()
            time.sleep(chance.uniform(0.05, 0.6))
            own_nats_server.go_on()
            before = len(stress.acknowledged)
            wait_until(lambda before=before: len(stress.acknowledged) > before, what="appends")  # type: ignore[misc] # a default binds it
        stress.end()
        judge(log, stress.acknowledged)


def test_many_writers_beside_a_server_that_dies_and_hangs(own_nats_server: NatsServer, tmp_path: Path) -> None:
    chance = seeded()
    urls = [own_nats_server.url]
    patience = Patience(attempt_s=0.2)
    logs = [open_jetstream_log(urls, tmp_path, exclusive=False, patience=patience) for _ in range(3)]
    writers = [Stress(log, start=1 + 1_000_000 * number) for number, log in enumerate(logs)]
    for writer in writers:
        writer.begin()
    for number in range(4):
        time.sleep(chance.uniform(0.1, 0.4))
        if number % 2:
            own_nats_server.restart()
        else:
            own_nats_server.pause()
            time.sleep(0.5)
            own_nats_server.go_on()
    for writer in writers:
        before = len(writer.acknowledged)
        wait_until(lambda before=before, writer=writer: len(writer.acknowledged) > before, what="appends")  # type: ignore[misc] # defaults bind
        writer.end()
    with closing(open_jetstream_log(urls, tmp_path, read_only=True)) as log:
        assert log.check() == []
        records = read_all(log, max_records=500, max_bytes=8 << 20)
        found = {int.from_bytes(record.payload[:8], "big"): record for record in records}
        assert len(found) == len(records)
        for writer in writers:
            own = sorted(n for n in found if writer.start <= n < writer.start + 1_000_000)
            assert own == sorted(writer.acknowledged)
            assert [found[n].position for n in own] == sorted(found[n].position for n in own)
            assert {n: found[n].position for n in own} == writer.acknowledged
            assert all(found[n].payload == numbered(n).payload for n in own)
        assert log.received_rows() == sum(record.rows for record in records)
    for one in logs:
        one.close()


def test_servers_away_for_too_long_end_writing_for_good(own_nats_server: NatsServer, tmp_path: Path) -> None:
    log = open_jetstream_log([own_nats_server.url], tmp_path, patience=IMPATIENT)
    assert log.append([new_record(1)]) == 1
    own_nats_server.kill()
    with pytest.raises(StoreError, match="could not take a record"):
        log.append([new_record(2)])
    with pytest.raises(StoreError, match="cannot be read"):
        log.read(0, max_records=1, max_bytes=1)
    own_nats_server.start()
    with pytest.raises(StoreError, match="could not take a record"):
        log.append([new_record(3)])
    with pytest.raises(StoreError):
        log.set_consumed("x", 1)
    wait_until(lambda: log.link.connected, what="a connection")
    assert [record.position for record in log.read(0, max_records=9, max_bytes=1 << 20)] == [1]
    log.close()
    with closing(open_jetstream_log([own_nats_server.url], tmp_path)) as log:
        assert log.append([new_record(2)]) == 2


def test_closing_ends_an_append_that_waits(own_nats_server: NatsServer, tmp_path: Path) -> None:
    log = open_jetstream_log([own_nats_server.url], tmp_path)
    log.append([new_record(1)])
    own_nats_server.kill()
    raised: list[Exception] = []

    def append() -> None:
        try:
            log.append([new_record(2)])
        except StoreError as error:
            raised.append(error)

    thread = threading.Thread(target=append)
    thread.start()
    time.sleep(0.1)
    log.close()
    thread.join(20)
    assert not thread.is_alive()
    assert len(raised) == 1


def test_no_server_at_all_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"No nats-server was reached at 127\.0\.0\.1:1:") as raised:
        link_to(["nats://user:hidden@127.0.0.1:1"], patience=IMPATIENT)
    assert "hidden" not in str(raised.value)


# --- other writers, other processes ---


def test_a_second_exclusive_writer_is_found_out(nats_server: NatsServer, tmp_path: Path, log: JetStreamLog) -> None:
    log.append([new_record(1)])
    with closing(open_jetstream_log([nats_server.url], tmp_path)) as other:
        assert other.append([new_record(2)]) == 2
        with pytest.raises(StoreError, match="Somebody else writes"):
            log.append([new_record(3)])
        assert other.append([new_record(4), new_record(5)]) == 4
        assert [r.payload for r in read_all(other)] == [new_record(n).payload for n in (1, 2, 4, 5)]


def test_marks_of_other_processes_hold_the_trim(nats_server: NatsServer, tmp_path: Path, log: JetStreamLog) -> None:
    log.append([new_record(n, rows=n) for n in range(1, 9)])
    with closing(open_jetstream_log([nats_server.url], tmp_path, exclusive=False)) as other:
        other.set_consumed("worker", 2)
        log.set_consumed("own", 8)
        assert log.consumed("worker") == 2
        assert log.trim() == 2
        assert [r.position for r in other.read(0, max_records=99, max_bytes=1 << 20)] == list(range(3, 9))
        assert other.received_rows() == log.received_rows() == 36
    with closing(open_jetstream_log([nats_server.url], tmp_path, read_only=True)) as reader:
        assert reader.received_rows() == 36
        assert reader.consumed("own") == 8
        with pytest.raises(StoreError, match="reading only"):
            reader.append([new_record(9)])


def test_what_does_not_fit_is_refused_and_nothing_is_written(log: JetStreamLog) -> None:
    with pytest.raises(UsageError, match="Split it"):
        log.append([new_record(1), NewRecord(RecordKind.POINTS, 1, bytes(9 << 20))])
    with pytest.raises(UsageError, match="does not go into the log"):
        log.append([NewRecord(RecordKind.POINTS, -1, b"")])
    with pytest.raises(UsageError, match="1001 records"):
        log.append([new_record(n) for n in range(1_001)])
    assert log.last_position() == 0
    assert log.append([new_record(n) for n in range(1_000)]) == 1_000
    assert len(read_all(log, max_records=300)) == 1_000
    assert log.check() == []


# --- F6: damage and loss ---


def test_a_flipped_byte_on_the_server_s_disk(own_nats_server: NatsServer, tmp_path: Path) -> None:
    urls = [own_nats_server.url]
    with closing(open_jetstream_log(urls, tmp_path)) as log:
        log.append([new_record(n, rows=10 * n, size_bytes=1_000) for n in range(1, 6)])
    own_nats_server.stop()
    (block,) = (own_nats_server.folder / "streams").rglob("*_alarms/msgs/1.blk")
    content = bytearray(block.read_bytes())
    content[content.index(new_record(3, size_bytes=1_000).payload) + 500] ^= 0x40
    block.write_bytes(content)
    own_nats_server.start()
    with closing(open_jetstream_log(urls, tmp_path)) as log:
        assert [record.position for record in log.read(0, max_records=9, max_bytes=1 << 20)] == [1, 2]
        with pytest.raises(Corrupt, match="records 3 to 3 are gone") as raised:
            log.read(2, max_records=9, max_bytes=1 << 20)
        assert raised.value.position == 3
        assert log.skip_corrupt(3) == 1
        assert [record.position for record in log.read(3, max_records=9, max_bytes=1 << 20)] == [4, 5]
        assert log.received_rows() == 10 + 20 + 1 + 40 + 50
        assert [problem.what for problem in log.check()] == ["records 3 to 3 are gone"]
        assert log.append([new_record(6)]) == 6


def test_what_is_no_record_is_passed_over(log: JetStreamLog) -> None:
    log.append([new_record(1)])
    names = names_of_log(log)

    def put(headers: dict[str, str]) -> None:
        log.link.call(log.link.publish([Message(names, b"something", headers)]))

    put({})
    put({RECORD_HEADER: "1 7 0000000000000000"})
    assert [r.position for r in log.read(0, max_records=9, max_bytes=1 << 20)] == [1]
    for position, rows in ((2, 1), (3, 7)):
        with pytest.raises(Corrupt, match=f"record {position} is damaged") as raised:
            log.read(position - 1, max_records=9, max_bytes=1 << 20)
        assert (raised.value.position, log.skip_corrupt(position)) == (position, rows)
    assert [problem.place.rpartition(" ")[2] for problem in log.check()] == ["2", "3"]


def names_of_log(log: JetStreamLog) -> str:
    """What the log's records are published to."""
    return f"{log.stream.removesuffix('_alarms')}.alarms"


def test_records_that_the_servers_lost_are_named_and_their_positions_stay_taken(
    own_nats_server: NatsServer, tmp_path: Path
) -> None:
    urls = [own_nats_server.url]
    with closing(open_jetstream_log(urls, tmp_path)) as log:
        log.append([new_record(n, rows=2) for n in range(1, 4)])
        names = names_of(tmp_path)
        log.link.call(log.link.api(f"STREAM.PURGE.{names.alarms}", {"seq": 1}))
    with closing(open_jetstream_log(urls, tmp_path, known_position=7)) as log:
        assert [problem.what for problem in log.problems_at_open] == [
            "records 4 to 7 are gone: the servers end before them"
        ]
        assert log.last_position() == 7
        assert log.append([new_record(8, rows=2)]) == 8
        skipped = []
        after = 3
        while after < 7:
            with pytest.raises(Corrupt, match="is gone") as raised:
                log.read(after, max_records=9, max_bytes=1 << 20)
            after = raised.value.position
            skipped.append((after, log.skip_corrupt(after)))
        assert skipped == [(n, 1) for n in range(4, 8)]
        assert [r.position for r in log.read(7, max_records=9, max_bytes=1 << 20)] == [8]
        assert log.received_rows() == 6 + 4 + 2
        log.set_consumed("x", 8)
        log.trim()
        assert log.received_rows() == 12
        assert log.check() == []
    with pytest.raises(StoreError, match="records 9 to 300000 are gone"):
        open_jetstream_log(urls, tmp_path, known_position=300_000)


def test_a_damaged_mark_is_never_ahead(nats_server: NatsServer, tmp_path: Path, log: JetStreamLog) -> None:
    log.append([new_record(n) for n in range(5)])
    log.set_consumed("sound", 4)
    log.set_consumed("hurt", 2)
    names = names_of(tmp_path)
    subject = names.marks_subject(log.stream, "hurt")
    log.link.call(log.link.publish([Message(subject, b"5 0 123", {})]))
    with closing(open_jetstream_log([nats_server.url], tmp_path, exclusive=False)) as again:
        assert (again.consumed("sound"), again.consumed("hurt")) == (4, 0)
        assert [problem.place for problem in again.check()] == [f"{log.stream} consumer hurt"]
        again.set_consumed("hurt", 1)
        assert again.check() == []
