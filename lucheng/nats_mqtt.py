"""What devices say over the MQTT listener of nats-servers: into the logs, as from a broker, and who may come in by it.

Invariants: the same decoding, the same logs, acknowledged after the commit; points and alarms have a reader each, so that alarms never
wait behind points; devices are let in only once both readers are there, because what is published before that is kept by nobody. A
device may publish and hear its own topics alone, under its own name as client id. It judges no values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ingest.decode.topics import ALARM_TOPICS, POINT_TOPICS
from ingest.mqtt.messages import QOS1_BIT, Messages
from lucheng.logs import logger
from model.device import check_device_id
from model.errors import LuchengError
from store.nats.calls import Answer, serve
from store.nats.mqtt_inbox import DEFAULT_TTL_S, MqttInbox, subject_of
from store.nats.nkeys import SERVER, BadClaims, key_of, read_signed, signed, text_of

if TYPE_CHECKING:
    from lucheng.inbound import Inbound
    from model.clock import Clock
    from store.nats.link import Link

#: Names of the consumers, on the servers.
POINTS, ALARMS = "lucheng_points", "lucheng_alarms"
#: Under this label the key of the door is derived from the data folder's secret key.
KEY_LABEL = "nats mqtt door"
#: How long a device may stay before it has to come in again, seconds: how long one that was disabled or revoked stays at most.
DEFAULT_VALID_S = 3_600
#: Devices that are checked at a time, and that wait for it; more are turned away and come again.
DEFAULT_THREADS, DEFAULT_MAX_WAITING = 4, 1_000
_ASKED = "$SYS.REQ.USER.AUTH"
_QUEUE = "lucheng-door"
_WAIT_S = 0.5
#: Where the servers hand out what a subscription of QoS 1 gets.
_DELIVERED = "$MQTT.sub.>"

_log = logger(__name__)


class NatsMqttSource:
    """One reader, on a thread of its own.

    Args:
        link: the way to the servers.
        name: `POINTS` or `ALARMS`.
        way: where its messages go.
        ttl_s: seconds without a word of the reader after which another one goes on.
        on_fatal: called once when it cannot go on.
    """

    def __init__(
        self,
        link: Link,
        name: str,
        way: Inbound,
        *,
        ttl_s: float = DEFAULT_TTL_S,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._way = way
        self._on_fatal = on_fatal
        self._stop = threading.Event()
        self.inbox = MqttInbox(link, name=name, topics=POINT_TOPICS if name == POINTS else ALARM_TOPICS, ttl_s=ttl_s)
        #: Messages handed on since the start.
        self.received = 0
        self._thread = threading.Thread(target=self._loop, name=f"mqtt-{name}", daemon=True)

    def start(self) -> None:
        """Read until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more; what is not durable yet comes to another reader, or again."""
        self._stop.set()
        self._thread.join()
        self.inbox.close()

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                batch = self.inbox.next(_WAIT_S)
                if batch is None:
                    continue
                messages = Messages.of(batch.items)
                messages.heads = bytearray(head | QOS1_BIT for head in messages.heads)
                self.received += len(messages)
                self._way.on_batch(messages, batch.done)
        except BaseException as error:
            _log.error("messages of devices are read no more", error=str(error), exc_info=True)
            self._on_fatal(error)


class MqttDoor:
    """Answers the servers' question who a device is and what it may do (auth callout).

    Args:
        link: the way to the servers, as a user that the servers do not ask about.
        secret: 32 bytes, the same for every ingestor (`KEY_LABEL`).
        check: whether a password is that of an enabled device, as `devices.password_check` has it.
        ready: whether what devices publish is kept.
        clock: source of time.
        account: of the servers, in which devices are.
        valid_s: see `DEFAULT_VALID_S`.
    """

    def __init__(
        self,
        link: Link,
        secret: bytes,
        *,
        check: Callable[[str, str], bool],
        ready: Callable[[], bool],
        clock: Clock,
        account: str = "$G",
        valid_s: int = DEFAULT_VALID_S,
        max_waiting: int = DEFAULT_MAX_WAITING,
    ) -> None:
        self._key = key_of(secret)
        self._check = check
        self._ready = ready
        self._clock = clock
        self._account = account
        self._valid_s = valid_s
        self._room = threading.BoundedSemaphore(max_waiting)
        self.let_in = 0
        self.turned_away = 0
        self._pool = ThreadPoolExecutor(DEFAULT_THREADS, thread_name_prefix="mqtt-door")
        self._end = link.start(serve(link, _ASKED, self._asked, queue=_QUEUE))

    @property
    def issuer(self) -> str:
        """What stands as `issuer` in the servers' configuration."""
        return text_of(self._key)

    def close(self) -> None:
        """Answer nobody any more; another ingestor does."""
        self._end()
        self._pool.shutdown(cancel_futures=True)

    def _asked(self, payload: bytes, answer: Answer) -> None:
        if not self._room.acquire(blocking=False):
            self.turned_away += 1
            return  # the servers turn it away when nobody answers

        def work() -> None:
            try:
                answer(self._answer(payload).encode())
            except BadClaims as error:
                _log.warning("somebody who is no nats-server asks who a device is", error=str(error))
            except Exception as error:
                _log.error(
                    "a device could not be checked", error=str(error), exc_info=not isinstance(error, LuchengError)
                )
            finally:
                self._room.release()

        self._pool.submit(work)

    def _answer(self, payload: bytes) -> str:
        """The signed answer. Raises BadClaims, LuchengError."""
        asked: dict[str, Any] = read_signed(payload.decode("ascii", "replace"), SERVER).get("nats", {})
        options, client = asked.get("connect_opts", {}), asked.get("client_info", {})
        user, user_key = str(options.get("user", "")), str(asked.get("user_nkey", ""))
        why = self._why_not(user, str(options.get("pass", "")), client)
        told: dict[str, Any] = {"type": "authorization_response", "version": 2}
        if why:
            self.turned_away += 1
            told["error"] = why
        else:
            self.let_in += 1
            told["jwt"] = signed(self._user(user, user_key), self._key)
        now_s = self._clock.now_ms() // 1_000
        server = str(asked.get("server_id", {}).get("id", ""))
        return signed({"iat": now_s, "aud": server, "sub": user_key, "nats": told}, self._key)

    def _why_not(self, user: str, password: str, client: dict[str, Any]) -> str:
        """Why it may not come in; "" when it may."""
        if client.get("type") != "mqtt":
            return "devices come by MQTT"
        if not self._ready():
            return "nobody keeps what devices say yet"
        try:
            check_device_id(user)
        except LuchengError:
            return "the user name is no device"
        if "." in user or client.get("mqtt_id") != user:
            return "the client id is not the device's own"
        return "" if self._check(user, password) else "the password is not the device's"

    def _user(self, device: str, user_key: str) -> dict[str, Any]:
        """The claims of a device: what it may say and hear."""
        now_s = self._clock.now_ms() // 1_000
        says = [f"lucheng/v1/{device}/up/", f"owntracks/{device}", f"owntracks/{device}/+", f"teltonika/{device}/data"]
        hears = [f"lucheng/v1/{device}/down", f"owntracks/{device}/cmd", f"teltonika/{device}/commands"]
        return {
            "iat": now_s,
            "exp": now_s + self._valid_s,
            "name": device,
            "sub": user_key,
            "aud": self._account,
            "nats": {
                "pub": {"allow": [_own(topic) for topic in says]},
                "sub": {"allow": [*(subject_of(topic) for topic in hears), f"{subject_of(hears[0])}.>", _DELIVERED]},
                "subs": -1,
                "data": -1,
                "payload": -1,
                "allowed_connection_types": ["MQTT"],
                "type": "user",
                "version": 2,
            },
        }


def _own(topic: str) -> str:
    return subject_of(topic.rstrip("/")) + (".>" if topic.endswith("/") else "")
