"""`BrokerUrl`: where the broker is and who we are there.

Purpose: read `mqtt://user:pass@host:port`. Invariant: the password is in no text this module makes:
not in `repr`, not in `shown`, not in an error. It opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from model.errors import UsageError

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_MEND = "Write mqtt://user:password@host:port, or mqtts:// for TLS; percent-encode special characters."


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A broker's address and our credentials there.

    Attributes:
        host: name or address.
        port: TCP port.
        tls: whether the connection is encrypted.
        user: MQTT user name, "" for an anonymous connection.
        password: MQTT password, never shown.
    """

    host: str
    port: int
    tls: bool
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The address for logs and people, without the password."""
        who = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{who}{host}:{self.port}"


def parse_broker_url(text: str) -> BrokerUrl:
    """Read a broker URL. Raises UsageError, without repeating `text`, since it may hold a password."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        raise UsageError("The broker address has a bad host or port.", mend=_MEND) from None
    if parts.scheme not in _PORTS:
        raise UsageError("The broker address does not begin with mqtt:// or mqtts://.", mend=_MEND)
    if not host or parts.path not in {"", "/"} or parts.query or parts.fragment or port == 0:
        raise UsageError("The broker address is not a host with a port.", mend=_MEND)
    return BrokerUrl(
        host=host,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
