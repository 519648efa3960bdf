"""The shipped dashboards and rules for Prometheus: every metric, label and value that they name is one that lucheng has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own, for two calls

from config.sections import Settings
from console.metrics import CLUSTER_METRICS, METRICS, exposition
from lucheng.cluster.values import CLUSTER_VALUES
from lucheng.live_values import LIVE_VALUES
from model.device import Kind

FILES = Path(__file__).resolve().parents[2] / "config" / "files"
DASHBOARDS = sorted((FILES / "grafana" / "prometheus").glob("*.json"))
RULES = FILES / "prometheus" / "lucheng-alerts.yml"
#: Exposed name to its label.
KNOWN = {
    f"lucheng_{row.name}{'_total' if row.kind == 'counter' else ''}": row.label for row in (*METRICS, *CLUSTER_METRICS)
}
LIVE = {one.name for one in (*LIVE_VALUES, *CLUSTER_VALUES)}
NAMED = re.compile(r"\b(lucheng_\w+|up)\b(?:\{([^}]*)\})?")
LABEL = re.compile(r'\s*(\w+)\s*(=~|=)\s*"([^"]*)"\s*')
#: Values of labels that are not a metric's own table.
VALUES = {
    "log": {"points", "alarms"},
    "state": {"waiting", "unreviewed", "overdue"},
    "kind": {kind.value for kind in Kind},
}


def boards() -> Iterator[tuple[str, str]]:
    for file in DASHBOARDS:
        board = json.loads(file.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", target["expr"]


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    return found


EXPRESSIONS = [*boards(), *((f"{RULES.name}: {rule['alert']}", rule["expr"]) for rule in rules())]


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_every_metric_and_value_that_is_named_is_one_that_there_is(where: str, expression: str) -> None:
    assert expression.count("(") == expression.count(")"), where
    assert expression.count("{") == expression.count("}"), where
    found = NAMED.findall(expression)
    assert found, where
    for name, inside in found:
        assert name == "up" or name in KNOWN, name
        labels = {key: (how, value) for key, how, value in (match.groups() for match in LABEL.finditer(inside))}
        assert LABEL.sub("", inside).strip(" ,") == "", inside
        assert labels.pop("job")[1] in ("$job", "lucheng"), "of whatever else there is in Prometheus nothing is meant"
        if name == "up":
            continue
        assert set(labels) <= {KNOWN[name]}, f"{name} has no label {sorted(labels)}"
        for key, (how, value) in labels.items():
            check_value(name, key, how, value)


def check_value(name: str, key: str, how: str, value: str) -> None:
    if name == "lucheng_live":
        if how == "=":
            assert value in LIVE, value
        else:
            meant = re.findall(r"\(([^)]*)\)", value)[0].split("|")
            for one in meant:
                assert re.sub(r"\([^)]*\)", one, value) in LIVE, one
    elif key in VALUES:
        assert how == "="
        assert value in VALUES[key]


def test_what_is_shown_answers_the_questions_of_the_night() -> None:
    alerts = {rule["alert"]: rule for rule in rules()}
    assert {"LuchengPointsLag", "LuchengAlarmsLag", "LuchengDiskLow", "LuchengInvariantBroken"} <= set(alerts)
    for rule in alerts.values():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        for text in rule["annotations"].values():
            assert " · " in text, "both languages"
    assert len(DASHBOARDS) == 3
    for file in DASHBOARDS:
        board = json.loads(file.read_text(encoding="utf-8"))
        assert board["uid"].startswith("lucheng-prom-")
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert all(" · " in panel["title"] for panel in board["panels"])


def test_the_scrape_configuration_names_the_rules_and_the_job_that_they_mean() -> None:
    found = yaml.safe_load((FILES / "prometheus" / "scrape.yml").read_text(encoding="utf-8"))
    assert found["rule_files"] == [RULES.name]
    (job,) = found["scrape_configs"]
    assert job["job_name"] == "lucheng"
    (target,) = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host == Settings().metrics.listen
    Settings.model_validate({"metrics": {"port": int(port)}})


def test_no_metric_has_a_label_that_could_name_a_device_or_a_person() -> None:
    assert {row.label for row in METRICS} <= {"", "reason", "name", "log", "kind", "state"}
    assert {row.label for row in CLUSTER_METRICS} == {"role", "partition", "node"}
    text = exposition({"points_received": 3, "live": {"uptime_s": 1.0}}).decode()
    assert 'lucheng_live{name="uptime_s"} 1.0' in text
