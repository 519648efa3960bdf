"""Broker addresses, and that no password shows."""

from __future__ import annotations

import pytest

from ingest.mqtt.broker_url import BrokerUrl, parse_broker_url
from model.errors import UsageError


@pytest.mark.parametrize(
    ("text", "wanted", "shown"),
    [
        ("mqtt://h", BrokerUrl("h", 1883, tls=False), "mqtt://h:1883"),
        ("mqtts://h/", BrokerUrl("h", 8883, tls=True), "mqtts://h:8883"),
        (" mqtt://u:p%40ss@1.2.3.4:99 ", BrokerUrl("1.2.3.4", 99, False, "u", "p@ss"), "mqtt://u@1.2.3.4:99"),
        ("mqtt://taxi%2F1@[::1]:5", BrokerUrl("::1", 5, False, "taxi/1"), "mqtt://taxi/1@[::1]:5"),
    ],
)
def test_parse(text: str, wanted: BrokerUrl, shown: str) -> None:
    assert parse_broker_url(text) == wanted
    assert parse_broker_url(text).shown == shown


@pytest.mark.parametrize(
    "text", ["", "http://u:canary@h", "mqtt://", "mqtt://u:canary@h:x", "mqtt://h:99999", "mqtt://h/path", "mqtt://h:0"]
)
def test_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_broker_url(text)
    assert "canary" not in str(caught.value)


def test_the_password_is_in_no_repr() -> None:
    assert "canary" not in repr(parse_broker_url("mqtt://u:canary@h"))
