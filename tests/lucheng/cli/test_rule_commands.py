"""`lucheng rules list`: the table, with the limits in force, and no data folder made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analytics.rules.table import RULES
from lucheng.cli.root import app

CLI = CliRunner()


def test_every_rule_with_the_limits_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCHENG_DATA", str(tmp_path / "data"))
    config = tmp_path / "city.toml"
    config.write_text("[rules]\nfatigue_drive_s = 7200\n", encoding="utf-8")
    done = CLI.invoke(app, ["rules", "list", "--json", "--config", str(config)])
    assert done.exit_code == 0, done.stderr
    rows = {row["rule"]: row for row in json.loads(done.stdout)}
    assert list(rows) == [entry.name for entry in RULES]
    assert rows["fatigue"]["limits"]["fatigue_drive_s"] == 7_200
    assert rows["fatigue"]["raises"] == ["fatigue"]
    assert (rows["fatigue"]["by"], rows["one_key"]["by"], rows["one_key"]["limits"]) == ("rule", "device", {})
    assert all(row["en"] and row["zh"] for row in rows.values())
    assert not (tmp_path / "data").exists()


def test_as_a_table() -> None:
    done = CLI.invoke(app, ["rules", "list"])
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split("\t") == ["rule", "on", "raises", "devices", "by", "limits", "when"]
    assert [line.split("\t")[0] for line in lines[1:]] == [entry.name for entry in RULES]
    assert "button_silent_s=180" in done.stdout
