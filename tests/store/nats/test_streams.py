"""Making the streams: what is there is made safer or larger, never less; pending publishes are bounded."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from model.clock import SystemClock
from model.errors import SettingsError, StoreError, TryAgain
from store.nats.link import Link
from store.nats.streams import log_stream, made, servers_without_sync
from store.nats.terms import Away, Message, Patience, Servers
from tests.conftest import free_port
from tests.nats import NatsCluster, NatsServer, link_to

MIB = 1 << 20


def test_replicas_and_bytes_only_grow(nats_cluster: NatsCluster) -> None:
    with closing(link_to(nats_cluster.urls)) as link:

        def config() -> tuple[int, int]:
            found = link.call(link.api("STREAM.INFO.grows"))["config"]
            return found["num_replicas"], found["max_bytes"]

        link.call(made(link, log_stream("grows", "grows.in", 1, 16 * MIB)))
        assert config() == (1, 16 * MIB)
        link.call(made(link, log_stream("grows", "grows.in", 3, 32 * MIB)))
        assert config() == (3, 32 * MIB)
        link.call(made(link, log_stream("grows", "grows.in", 1, 16 * MIB)))
        assert config() == (3, 32 * MIB)


def test_more_replicas_than_servers_is_refused_in_words(nats_server: NatsServer) -> None:
    with (
        closing(link_to([nats_server.url], patience=Patience(attempt_s=0.5, give_up_s=1))) as link,
        pytest.raises(StoreError, match="replicas"),
    ):
        link.call(made(link, log_stream("wide", "wide.in", 3, 16 * MIB)))


def test_a_full_stream_refuses_and_keeps_what_it_has(nats_server: NatsServer) -> None:
    with closing(link_to([nats_server.url])) as link:
        link.call(made(link, log_stream("narrow", "narrow.in", 1, MIB)))
        message = Message("narrow.in", bytes(400_000), {})
        for _ in range(2):
            link.call(link.publish([message]))
        with pytest.raises(StoreError, match="maximum bytes"):
            link.call(link.publish([message]))
        assert link.call(link.api("STREAM.INFO.narrow"))["state"]["messages"] == 2


@pytest.mark.soak
def test_what_is_published_and_not_acknowledged_is_bounded(own_nats_server: NatsServer) -> None:
    """A server that hangs acknowledges nothing: two messages are on their way, the third waits here."""
    servers = Servers((own_nats_server.url,))
    with closing(Link(servers, clock=SystemClock(), max_pending_messages=2, max_pending_bytes=MIB)) as link:
        link.call(made(link, log_stream("slow", "slow.in", 1, 16 * MIB)))
        sent_before = link._client.stats["out_msgs"]
        own_nats_server.pause()

        async def three() -> tuple[int, list[object]]:
            tasks = [asyncio.create_task(link.publish([Message("slow.in", b"x", {})], timeout_s=5.0)) for _ in range(3)]
            await asyncio.sleep(0.3)
            on_their_way = link._client.stats["out_msgs"] - sent_before
            return on_their_way, list(await asyncio.gather(*tasks, return_exceptions=True))

        on_their_way, ended = link.call(three())
        own_nats_server.go_on()
        assert on_their_way == 2
        assert all(isinstance(one, Away) for one in ended)


def test_servers_that_cannot_be_asked_whether_they_sync() -> None:
    with pytest.raises(TryAgain, match="does not answer"):
        servers_without_sync([f"http://127.0.0.1:{free_port()}"])
    with pytest.raises(SettingsError, match="no address"):
        servers_without_sync(["file:///etc/hostname"])
