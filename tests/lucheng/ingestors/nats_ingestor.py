"""An ingestor of nats-servers' MQTT listener in a process of its own, until it is killed.

Arguments: nats-server, password, prefix, registry, key file. Prints the issuer of its door once what devices publish is kept.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from devices.credentials import Credentials
from devices.password_check import PasswordCheck
from devices.registry import Registry
from devices.secrets import SealedSecrets
from ingest.decode.decoder import Decoder
from lucheng.app import inbound
from lucheng.inbound import Inbound
from lucheng.nats_mqtt import ALARMS, KEY_LABEL, POINTS, MqttDoor, NatsMqttSource
from model.clock import SystemClock
from store.log.committer import Committer
from store.log.jetstream import JetStreamLog
from store.nats.link import Link
from store.nats.streams import Names
from store.nats.terms import Servers
from tests.postgres import where_told

TTL_S = 1.0


def fatal(error: BaseException) -> None:
    print(error, file=sys.stderr, flush=True)
    os._exit(1)


def main(url: str, password: str, prefix: str, registry_at: str, key_file: str) -> None:
    clock, names = SystemClock(), Names(prefix)

    def link() -> Link:
        return Link(Servers((url,), "lucheng", password), clock=clock)

    registry = Registry(where_told(registry_at), clock=clock)
    directory = registry.directory()
    log = JetStreamLog(link(), names, names.alarms, names.alarms_subject, exclusive=False)
    committer = Committer(log, clock=clock, on_fatal=fatal, max_delay_ms=5)
    sources = []
    for name in (POINTS, ALARMS):
        way = Inbound(Decoder(directory), committer, committer, clock)
        way.use(inbound(way))
        sources.append(NatsMqttSource(link(), name, way, ttl_s=TTL_S, on_fatal=fatal))
        sources[-1].start()
    door = MqttDoor(
        link(),
        SealedSecrets(registry.file, Path(key_file)).derived_key(KEY_LABEL),
        check=PasswordCheck(Credentials(registry.file), registry.file).check,
        ready=lambda: all(source.inbox.ready for source in sources),
        clock=clock,
    )
    print(door.issuer, flush=True)
    threading.Event().wait()


main(*sys.argv[1:])
