"""One ingestor in a process of its own, until it is killed: gateway, sessions, hands, the log in streams, the registry in a database.

Arguments: nats-server, prefix, registry, commands, key file, name. Prints a line of JSON: its port, its run.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from devices.registry import Registry
from devices.terminals import Terminals
from ingest.gateway.gateway import Gateway
from ingest.gateway.limits import GatewayLimits
from ingest.gateway.proxy import networks_of
from lucheng.app import from_terminals
from lucheng.fresh_terminals import FreshTerminals
from lucheng.inbound import Inbound
from lucheng.order_hands import OrderHands
from lucheng.reply_keeper import ReplyKeeper
from model.clock import SystemClock
from model.command import Reply
from model.evidence import NewEvidence, Report
from store.commands.store import CommandStore
from store.log.committer import Committer
from store.log.jetstream import JetStreamLog
from store.nats.claims import Claims
from store.nats.streams import Names
from tests.nats import link_to
from tests.postgres import where_told

GONE_S = 2.0


class Events:
    """What terminals tell: answers are kept, the rest is not asked for here."""

    def __init__(self, keeper: ReplyKeeper) -> None:
        self._keeper = keeper

    def online(self, slot: int, device: str, protocol: str) -> None:
        """Somebody came."""

    def offline(self, slot: int, device: str) -> None:
        """Somebody left."""

    def reply(self, reply: Reply) -> None:
        self._keeper.reply(reply)

    def media(self, new: NewEvidence, done: object) -> None:
        """Nothing sends any."""

    def report(self, report: Report, done: object) -> None:
        """Nothing sends any."""


def fatal(error: BaseException) -> None:
    print(json.dumps({"fatal": str(error)}), file=sys.stderr, flush=True)
    os._exit(1)


def main(url: str, prefix: str, registry: str, commands: str, key_file: str, name: str) -> None:
    clock, names = SystemClock(), Names(prefix)
    devices = Registry(where_told(registry), clock=clock)
    terminals = Terminals(devices.file, devices.directory(), key_file=Path(key_file))
    terminals.prepare()
    log = JetStreamLog(link_to([url]), names, names.alarms, names.alarms_subject, exclusive=False)
    committer = Committer(log, clock=clock, on_fatal=fatal, max_delay_ms=5)
    way = Inbound(None, committer, committer, clock)
    way.use(from_terminals(way))
    keeper = ReplyKeeper(CommandStore(where_told(commands), clock=clock), clock, on_fatal=fatal)
    keeper.start()
    link = link_to([url])
    claims = Claims(link, names, name=name, gone_s=GONE_S)
    gateway = Gateway(
        GatewayLimits(),
        clock=clock,
        terminals=FreshTerminals(terminals, clock),
        take=way.on_decoded,
        events=Events(keeper),
        jt_port=0,
        balancers=networks_of("127.0.0.0/8"),
        claims=claims,
    )
    claims.use(gateway.taken)
    OrderHands(link, names, claims, gateway=gateway)
    gateway.start()
    print(json.dumps({"port": gateway.jt_port, "run": claims.run}), flush=True)
    threading.Event().wait()


main(*sys.argv[1:])
