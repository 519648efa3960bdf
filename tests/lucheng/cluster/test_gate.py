"""How a stream is, asked of three real nats-servers: a copy that is away is named until it has caught up."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from lucheng.cluster.gate import MAX_COPY_LAG_ENTRIES, StreamState, stream_state
from model.errors import LuchengError
from store.nats.link import Link
from tests.conftest import wait_until
from tests.nats import NatsCluster, NatsServer, link_to, open_jetstream_log
from tests.store.log.stress import numbered


def state(link: Link, stream: str) -> StreamState | None:
    """None while there is no leader."""
    try:
        return link.call(stream_state(link, stream))
    except LuchengError:
        return None


def follower(cluster: NatsCluster, stream: str) -> NatsServer:
    leader = cluster.leader_of(stream)
    return next(server for server in cluster.servers if server is not leader)


def test_a_copy_that_is_away_is_named_until_it_has_caught_up(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    with closing(open_jetstream_log(nats_cluster.urls, tmp_path, replicas=3)) as log:
        log.append([numbered(1)])
        away = follower(nats_cluster, log.stream)
        with closing(link_to([server.url for server in nats_cluster.servers if server is not away])) as link:
            wait_until(lambda: (now := state(link, log.stream)) and not now.copies_behind, what="three copies")
            assert (now := state(link, log.stream)) is not None
            assert (now.lag_records, now.last) == (1, 1)
            away.kill()
            for number in range(2, 2 * MAX_COPY_LAG_ENTRIES):
                log.append([numbered(number)])
            wait_until(lambda: (now := state(link, log.stream)) and now.copies_behind == (away.name,), timeout_s=60)
            away.start()
            wait_until(lambda: (now := state(link, log.stream)) and not now.copies_behind, timeout_s=60)
