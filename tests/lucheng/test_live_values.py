"""What a running service says of itself is what the table says it may say."""

from __future__ import annotations

from pathlib import Path

from lucheng.live_values import LIVE_VALUES
from tests.conftest import Mosquitto, free_port
from tests.lucheng.service_process import ServiceProcess, lucheng


def test_every_value_of_a_service_that_has_all_open_is_in_the_table(tmp_path: Path, mosquitto: Mosquitto) -> None:
    ports = {f"LUCHENG_GATEWAY__{name}_PORT": str(free_port()) for name in ("JT", "GT06", "OSMAND")}
    env = {"LUCHENG_GATEWAY__LISTEN": "127.0.0.1", **ports}
    with ServiceProcess(tmp_path / "data", mosquitto.url, env=env).start() as service:
        live = service.status()["live"]
        metrics = service.client().metrics()
        shown = lucheng(service.data, "status").stdout
    assert set(live) == {one.name for one in LIVE_VALUES}
    assert all(one.words.en and one.words.zh for one in LIVE_VALUES)
    assert {name for name in live if f'lucheng_live{{name="{name}"}}' in metrics} == set(live)
    lines = dict(line.split("\t") for line in shown.splitlines())
    assert lines["live.gateway_sessions"] == "0"
    assert not [name for name, value in lines.items() if value.endswith(".0")]
