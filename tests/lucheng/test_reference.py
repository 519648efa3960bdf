"""The reference documents are the tables in the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics.rules.table import RULES
from config.rules import Rules
from config.settings import keys
from lucheng.reference import ROOT, documents, main
from model.codes import ALARM_KINDS, Reason


def test_the_committed_documents_are_up_to_date() -> None:
    assert main(["--check"]) == 0
    assert {path.name for path in (ROOT / "docs" / "reference").iterdir()} == {
        Path(name).name for name in documents() if name.startswith("docs/")
    }


def test_a_change_is_noticed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert main(["--write", "--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    page = tmp_path / "docs/reference/reasons.md"
    page.write_text(page.read_text().replace("future", "past"))
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert "future" in capsys.readouterr().err


def test_nothing_is_left_out() -> None:
    pages = documents()
    assert all(f"`{key}`" in pages["docs/reference/settings.md"] for key in keys())
    assert all(f"`{reason.name.lower()}`" in pages["docs/reference/reasons.md"] for reason in Reason)
    assert all(f"`{kind.name}`" in pages["docs/reference/alarm-kinds.md"] for kind in ALARM_KINDS)
    rules = pages["docs/reference/rules.md"]
    assert all(f"| `{entry.name}` |" in rules and entry.words.zh in rules for entry in RULES)
    for name, field in Rules.model_fields.items():
        (line,) = [line for line in rules.splitlines() if line.startswith(f"| `{name}` | `")]
        assert str(field.description) in line
        assert not line.endswith(" |  |"), f"no rule uses {name}"
    for text in pages.values():
        widths = {line.count(" | ") for line in text.split("\n\n")[-1].splitlines() if line.startswith("| ")}
        assert len(widths) <= 1
