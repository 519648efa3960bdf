"""What the sections of the settings are made of: how a setting is described, and the types of their values.

Invariant: a value that cannot be right is refused here, in words that follow the setting's name. It
reads no file and no environment.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from model.alarm import SYSTEM
from model.errors import UsageError
from model.grant import Purpose

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
DAY_MS = 86_400_000
#: `devices.unknown` is `LUCHENG_DEVICES__UNKNOWN` in the environment.
ENV_PREFIX = "LUCHENG_"
ENV_DELIMITER = "__"

#: What a terminal can dial (JT/T 808: STRING[20]).
MAX_PHONE_CHARS = 20
#: Of an operating-system user.
MAX_USER_CHARS = 64

#: What each URL scheme means: (default port, TLS).
BROKER_SCHEMES = {"mqtt": (1883, False), "mqtts": (8883, True)}


def setting(default: Any, en: str, zh: str, *, ge: float | None = None, le: float | None = None) -> Any:
    """A field with both descriptions and its bounds (inclusive)."""
    return Field(default=default, description=en, json_schema_extra={"zh": zh}, ge=ge, le=le)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("is no time zone of this machine; write a name such as Asia/Shanghai") from error
    return name


def _known_purpose(text: str) -> str:
    try:
        Purpose.parse(text)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return text


def split_url(url: str) -> SplitResult:
    """The parts of a broker URL; ValueError (which never repeats the URL: it may hold a password) when it is none."""
    form = "has to look like mqtt://user:password@host:1883, or mqtts:// for TLS"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(form) from error
    if parts.scheme not in BROKER_SCHEMES or not parts.hostname or port == 0:
        raise ValueError(form)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"{form}, with nothing after the port")
    if parts.password is not None and not parts.username:
        raise ValueError(f"{form}; there is a password without a user")
    return parts


def _broker_url(url: str) -> str:
    split_url(url)
    return url


def _ip_address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError("has to be an IP address, e.g. 127.0.0.1") from error
    return text


def _no_wildcards(text: str) -> str:
    if not text or any(letter in text for letter in "/+#") or not text.isprintable():
        raise ValueError("has to be a text without /, +, # and control characters")
    return text


def _phone_number(text: str) -> str:
    if text and not (len(text) <= MAX_PHONE_CHARS and set(text) <= set("0123456789+-") and any(map(str.isdigit, text))):
        raise ValueError(f"has to be a telephone number: digits, + and -, at most {MAX_PHONE_CHARS} characters")
    return text


def _user_name(text: str) -> str:
    if not 0 < len(text) <= MAX_USER_CHARS or not text.isprintable() or text != text.strip():
        raise ValueError(f"has to name operating-system users, 1 to {MAX_USER_CHARS} characters each")
    if text == SYSTEM:
        raise ValueError(f"has to name people; {SYSTEM!r} is the desk itself")
    return text


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _path_of_text(value: object) -> object:
    # A path stands as text in a file, which strict validation would refuse.
    return (Path(value) if value else None) if isinstance(value, str) else value


Zone = Annotated[str, AfterValidator(_known_zone)]
PurposeText = Annotated[str, AfterValidator(_known_purpose)]
BrokerUrl = Annotated[str, AfterValidator(_broker_url)]
IpAddress = Annotated[str, AfterValidator(_ip_address)]
ClientId = Annotated[str, AfterValidator(_no_wildcards)]
PhoneNumber = Annotated[str, AfterValidator(_phone_number)]
UserName = Annotated[str, AfterValidator(_user_name)]
OptionalPath = Annotated[Path | None, BeforeValidator(_path_of_text)]
OptionalText = Annotated[str | None, BeforeValidator(_empty_is_none)]
OptionalUrl = Annotated[BrokerUrl | None, BeforeValidator(_empty_is_none)]


class Section(BaseModel):
    """Base of every section: closed and unchangeable."""

    model_config = ConfigDict(extra="forbid", frozen=True)
