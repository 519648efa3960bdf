"""Where terminals connect, as the service sees it: the gateway, the OsmAnd server, and how each device can be commanded.

Invariants: what they send takes the same way into the logs as what comes by MQTT, and is answered after the commit; a port
that is not set is not opened. A device is commanded by the session its terminal has; by MQTT when it speaks that; else it
waits. It decides no rule. As one of several ingestors (`claims`) it gives no commands: what a desk hands to it comes by `OrderHands`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from devices.credentials import Credentials
from devices.password_check import PasswordCheck
from ingest.gateway.gateway import Gateway
from ingest.gateway.proxy import networks_of
from ingest.gateway.seams import Order
from ingest.mqtt.commands import PROTOCOLS as MQTT_PROTOCOLS
from ingest.mqtt.commands import command_message, end_message
from ingest.trackers.http import OsmandServer
from lucheng.app import from_terminals
from lucheng.commanding import CommandDuty
from lucheng.device_protocols import DeviceProtocols
from lucheng.fresh_terminals import FreshTerminals
from lucheng.inbound import Inbound
from lucheng.limits import decoder_limits, gateway_limits
from lucheng.live_values import GATEWAY_COUNTERS
from lucheng.reply_keeper import ReplyKeeper
from lucheng.terminal_events import TerminalEvents
from model.errors import TryAgain

if TYPE_CHECKING:
    from devices.directory import Directory
    from ingest.decode.decoder import Decoded
    from ingest.mqtt.down import DownLink
    from lucheng.commanding import Rules
    from lucheng.rooms import Rooms
    from model.command import Command, Reply
    from store.log.committer import Committer
    from store.nats.claims import Claims

#: How long the end of a listen-in may take to reach a device by MQTT.
END_WITHIN_MS = 600_000


class TerminalLink:
    """The gateway and the OsmAnd server of a service; the carrier of its commands.

    Args:
        rooms: the open data folder.
        directory: who is registered.
        points, alarms: committers of the logs.
        down: the connection that writes `down` topics, None where there is none.
        on_registry_change, on_fatal: see `TerminalEvents`.
        claims: sessions across several ingestors; None where this is the only one.
    """

    def __init__(
        self,
        rooms: Rooms,
        directory: Directory,
        points: Committer,
        alarms: Committer,
        down: DownLink | None,
        *,
        on_registry_change: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
        claims: Claims | None = None,
    ) -> None:
        self._rooms = rooms
        self._directory = directory
        self._down = down
        self._points, self._alarms = points, alarms
        self._protocols = DeviceProtocols(rooms, directory)
        self.protocol_of = self._protocols.of
        self._on_fatal = on_fatal
        self._duty: CommandDuty | None = None
        self._keeper: ReplyKeeper | None = None
        settings = rooms.settings.gateway
        self.events = TerminalEvents(
            rooms,
            on_reply=self._replied,
            on_online=self._reachable,
            on_registry_change=on_registry_change,
            on_fatal=on_fatal,
        )
        if settings.jt_port or settings.gt06_port or settings.osmand_port:
            rooms.terminals.prepare()
        self.gateway: Gateway | None = None
        if settings.jt_port or settings.gt06_port:
            self.gateway = Gateway(
                gateway_limits(rooms.settings),
                clock=rooms.clock,
                terminals=rooms.terminals if claims is None else FreshTerminals(rooms.terminals, rooms.clock),
                take=self._take(),
                events=self.events,
                listen=settings.listen,
                jt_port=settings.jt_port or None,
                jt_udp=settings.jt_udp,
                gt06_port=settings.gt06_port or None,
                require_auth=settings.require_auth,
                phone_number=rooms.settings.desk.phone_number,
                balancers=networks_of(settings.proxy_sources) if settings.proxy_protocol else (),
                claims=claims,
            )
            if claims is not None:
                claims.use(self.gateway.taken)
        self.osmand: OsmandServer | None = None
        if settings.osmand_port:
            credentials = Credentials(rooms.registry.file, iterations=rooms.settings.devices.password_iterations)
            self.osmand = OsmandServer(
                settings.listen,
                settings.osmand_port,
                resolve=self._whose,
                check_token=PasswordCheck(credentials, rooms.registry.file).check,
                take=self._take(),
                clock=rooms.clock,
                require_token=settings.osmand_require_token,
                decode_limits=decoder_limits(rooms.settings),
            )

    def start(self, rules: Rules | None) -> None:
        """Give commands by these rules, and listen; None: a desk elsewhere gives them, and only their answers are kept here.

        Raises UsageError or TryAgain where a port cannot be had.
        """
        if rules is None:
            self._keeper = ReplyKeeper(self._rooms.commands, self._rooms.clock, on_fatal=self._on_fatal)
            self._keeper.start()
        else:
            self._duty = CommandDuty(
                self._rooms.commands,
                self._rooms.desk,
                rules,
                self,
                slot_of=self._directory.slot,
                protocol_of=self.protocol_of,
                settings=self._rooms.settings.commands,
                clock=self._rooms.clock,
                on_fatal=self._on_fatal,
            )
            self._duty.start()
        self.events.start()
        if self.gateway is not None:
            self.gateway.start()
        if self.osmand is not None:
            self.osmand.start()

    def check(self) -> None:
        """End the process when the gateway has ended by itself: its terminals would wait for answers for ever."""
        if self.gateway is not None and self.gateway.failure is not None:
            self._on_fatal(self.gateway.failure)

    def stop_reading(self) -> None:
        """Read nothing more; what is under way is made durable and answered."""
        if self.osmand is not None:
            self.osmand.stop()
        if self.gateway is not None:
            self.gateway.stop()

    def stop(self, *, drain_s: float) -> None:
        """Keep what waits, then end."""
        if self._duty is not None:
            self._duty.stop(drain_s=drain_s)
            self.events.stop(drain_s=drain_s)
        if self._keeper is not None:
            self.events.stop(drain_s=drain_s)
            self._keeper.stop(drain_s=drain_s)

    def keep_replies(self, replies: Sequence[Reply]) -> None:
        """What devices answered by MQTT, durably."""
        for reply in replies:
            if reply.command:  # a tracker's answer names no command
                self._rooms.commands.reply(reply, self._rooms.clock.now_ms())

    def _replied(self, reply: Reply) -> None:
        if self._duty is not None:
            self._duty.reply(reply)
        elif self._keeper is not None:
            self._keeper.reply(reply)

    def _reachable(self) -> None:
        if self._duty is not None:
            self._duty.wake()

    def _take(self) -> Callable[[Decoded, Callable[[], None]], None]:
        way = Inbound(None, self._points, self._alarms, self._rooms.clock)
        way.use(from_terminals(way))
        return way.on_decoded

    def _whose(self, wanted: str) -> tuple[int, str] | None:
        """An OsmAnd client's id: that of the device, its IMEI or its phone number."""
        slot = self._directory.slot_of.get(wanted)
        if slot is not None:
            return slot, wanted
        found = self._rooms.terminals.find(wanted.lstrip("0")) if wanted.isascii() and wanted.isdecimal() else None
        return (found.slot, found.device) if found is not None and found.enabled else None

    # -- the carrier ----------------------------------------------------------------------------

    def via(self, device: str, slot: int) -> str:
        """The protocol by which the device can be reached now; "" when it cannot."""
        if self.gateway is not None and (protocol := self.gateway.connected(slot)):
            return protocol
        by_mqtt = self._protocols.by_mqtt(device)
        return by_mqtt if by_mqtt and self._down is not None and self._down.connected else ""

    def speaks_mqtt(self, device: str) -> bool:
        """Whether a device is told things by MQTT: it is no terminal, as far as the registry and its sessions say."""
        return bool(self._protocols.by_mqtt(device))

    def send(self, command: Command, slot: int) -> None:
        """Hand a command over; see `lucheng.commanding.Carrier`."""
        if command.via in MQTT_PROTOCOLS:
            self._publish(*command_message(command, command.via))
        else:
            self._order(Order(command.id, slot, command.name, command.args), command.device)

    def end_listen(self, command: Command, slot: int) -> None:
        """End a listen-in."""
        if command.via in MQTT_PROTOCOLS:
            self._publish(*end_message(command, self._rooms.clock.now_ms() + END_WITHIN_MS))
        else:
            self._order(Order(f"{command.id}-end", slot, "end_listen_in", {}), command.device)

    def _order(self, order: Order, device: str) -> None:
        if self.gateway is None or not self.gateway.send(order):
            raise TryAgain(f"{device} has left.", mend="Give the command again when it is back.")

    def _publish(self, topic: str, payload: bytes) -> None:
        if self._down is None or not self._down.send(topic, payload, lambda: None):
            raise TryAgain("The broker takes nothing now.", mend="Give the command again.")

    # -- what people see ------------------------------------------------------------------------

    def sessions(self) -> Sequence[Mapping[str, Any]]:
        """The sessions of terminals now: `device`, `protocol`, `number`, `address`."""
        return self.gateway.sessions() if self.gateway is not None else ()

    def live_values(self) -> dict[str, float]:
        """State by name, for `status` and the metrics."""
        values: dict[str, float] = {
            "terminal_events_turned_away": self.events.turned_away,
            "terminal_events_refused": self.events.refused,
            "evidence_bytes": self._rooms.evidence.total_bytes,
        }
        if self._duty is not None:
            values |= {f"commands_{name}": count for name, count in self._duty.counts().items()}
        if self._keeper is not None:
            values |= {f"commands_{name}": count for name, count in self._keeper.counts().items()}
        if self.gateway is not None:
            stats = self.gateway.stats
            values |= {f"gateway_{name}": getattr(stats, name) for name in GATEWAY_COUNTERS}
            values["gateway_bad"] = sum(stats.bad.values())
            values |= {"gateway_jt_port": self.gateway.jt_port, "gateway_gt06_port": self.gateway.gt06_port}
        if self.osmand is not None:
            values["osmand_port"] = self.osmand.port
            values["osmand_answers"] = sum(self.osmand.answers.values())
        return values
