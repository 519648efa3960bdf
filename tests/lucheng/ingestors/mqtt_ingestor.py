"""An ingestor of MQTT in a process of its own, until it is killed: reads a broker, writes the log in streams, acknowledges after that.

Arguments: broker (mqtt://user:password@host:port), nats-server, prefix, registry. Prints `ready` once it is subscribed.
"""

from __future__ import annotations

import os
import sys
import threading

from devices.registry import Registry
from ingest.decode.decoder import Decoder
from ingest.decode.topics import ALARM_TOPICS, POINT_TOPICS
from ingest.mqtt.broker_url import parse_broker_url
from ingest.mqtt.connection import MqttLimits, MqttSource
from lucheng.app import inbound
from lucheng.inbound import Inbound
from model.clock import SystemClock
from store.log.committer import Committer
from store.log.jetstream import JetStreamLog
from store.nats.streams import Names
from tests.nats import link_to
from tests.postgres import where_told


def fatal(error: BaseException) -> None:
    print(error, file=sys.stderr, flush=True)
    os._exit(1)


def main(broker: str, url: str, prefix: str, registry: str) -> None:
    clock, names = SystemClock(), Names(prefix)
    directory = Registry(where_told(registry), clock=clock, read_only=True).directory()
    log = JetStreamLog(link_to([url]), names, names.alarms, names.alarms_subject, exclusive=False)
    committer = Committer(log, clock=clock, on_fatal=fatal, max_delay_ms=5)
    way = Inbound(Decoder(directory), committer, committer, clock)
    way.use(inbound(way))
    source = MqttSource(
        parse_broker_url(broker),
        "lucheng",
        (*POINT_TOPICS, *ALARM_TOPICS),
        way.on_batch,
        limits=MqttLimits(backoff_first_s=0.1, backoff_max_s=0.5),
    )
    source.start()
    source.wait_subscribed(60)
    print("ready", flush=True)
    threading.Event().wait()


main(*sys.argv[1:])
