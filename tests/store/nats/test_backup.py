"""A stream as files and back: while it is written, on one server and on three, and what is refused."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from pathlib import Path

import pytest

from model.errors import BadInput, Conflict
from model.seams import NewRecord, RecordKind
from store.log.jetstream import JetStreamLog
from store.nats.backup import ABOUT_NAME, DATA_NAME, back_up, look, restore
from store.nats.link import Link
from store.nats.terms import Refusal
from tests.nats import NatsCluster, NatsServer, link_to, names_of, open_jetstream_log


def record(number: int, size_bytes: int = 100) -> NewRecord:
    return NewRecord(RecordKind.POINTS, 1, number.to_bytes(8, "big") * (size_bytes // 8))


def payloads(log: JetStreamLog) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    position = 0
    while records := log.read(position, max_records=1_000, max_bytes=1 << 24):
        found |= {one.position: one.payload for one in records}
        position = records[-1].position
    return found


@pytest.fixture(params=[1, 3])
def servers(request: pytest.FixtureRequest) -> tuple[list[str], int]:
    """Addresses of one server or three, and how many copies a stream has."""
    found = request.getfixturevalue("nats_server" if request.param == 1 else "nats_cluster")
    assert isinstance(found, NatsServer | NatsCluster)
    return ([found.url] if isinstance(found, NatsServer) else found.urls), request.param


def drop(link: Link, stream: str) -> None:
    link.call(link.api(f"STREAM.DELETE.{stream}"))


@pytest.mark.soak
def test_a_stream_that_is_written_comes_back_as_it_was(servers: tuple[list[str], int], tmp_path: Path) -> None:
    urls, replicas = servers
    stop, written = threading.Event(), []
    stream = names_of(tmp_path).alarms
    with closing(open_jetstream_log(urls, tmp_path, replicas=replicas)) as log, closing(link_to(urls)) as link:
        written += [log.append([record(number, 10_000)]) for number in range(1, 301)]
        log.set_consumed("reader", 100)
        log.trim()

        def write() -> None:
            while not stop.is_set():
                written.append(log.append([record(len(written) + 1)]))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            kept = back_up(link, stream, tmp_path / "backup")
        finally:
            stop.set()
            writer.join()
        assert 300 <= kept.last <= written[-1]
        assert (kept.first, kept.messages) == (101, kept.last - 100)
        assert look(tmp_path / "backup") == kept
        before = payloads(log)
        with pytest.raises(Conflict, match="was written already"):
            restore(link, tmp_path / "backup")
        drop(link, stream)
        assert restore(link, tmp_path / "backup") == kept
    with closing(open_jetstream_log(urls, tmp_path, replicas=replicas)) as log:
        after = payloads(log)
        assert after == {position: payload for position, payload in before.items() if position <= kept.last}
        assert log.check() == []
        assert log.append([record(9)]) == kept.last + 1


def test_an_empty_stream_gives_way_and_a_half_made_or_damaged_back_up_is_none(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    stream = names_of(tmp_path).alarms
    folder = tmp_path / "backup"
    with closing(open_jetstream_log([nats_server.url], tmp_path)) as log, closing(link_to([nats_server.url])) as link:
        log.append([record(number, 50_000) for number in range(1, 11)])
        kept = back_up(link, stream, folder)
        with pytest.raises(Conflict, match="not empty"):
            back_up(link, stream, folder)
        with pytest.raises(Refusal, match="not found"):
            back_up(link, "nobody", tmp_path / "nobody")
        with pytest.raises(BadInput, match="no whole back-up"):
            look(tmp_path / "nobody")
        drop(link, stream)
    with closing(open_jetstream_log([nats_server.url], tmp_path)), closing(link_to([nats_server.url])) as link:
        about = (folder / ABOUT_NAME).read_text()
        whole = (folder / DATA_NAME).read_bytes()
        for damaged in (whole[:-1], whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]):
            (folder / DATA_NAME).write_bytes(damaged)
            with pytest.raises(BadInput, match="not as it was written"):
                restore(link, folder)
        (folder / DATA_NAME).write_bytes(whole)
        for text in ("{", "[]", json.dumps({key: value for key, value in json.loads(about).items() if key != "state"})):
            (folder / ABOUT_NAME).write_text(text)
            with pytest.raises(BadInput, match="damaged"):
                restore(link, folder)
        (folder / ABOUT_NAME).write_text(about)
        assert restore(link, folder) == kept
    with closing(open_jetstream_log([nats_server.url], tmp_path)) as log:
        assert len(payloads(log)) == 10
