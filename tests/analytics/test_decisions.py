"""The table of decisions holds every mark and reason that the analytics give, with settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import analytics
from analytics.decisions import DECISIONS, VERDICT_ZH, Verdict, reference
from analytics.limits import CleanLimits
from model.codes import Mark, Reason
from model.errors import SettingsError

SOURCE = Path(str(analytics.__file__)).parent


def test_every_mark_and_reason_in_the_stages_is_decided_in_the_table() -> None:
    used: set[Mark | Reason] = set()
    for path in SOURCE.glob("*.py"):
        if path.name in {"decisions.py", "pipeline.py"}:
            continue
        text = path.read_text(encoding="utf-8")
        used |= {Mark[name] for name in re.findall(r"\bMark\.([A-Z_]+)\b", text)}
        used |= {Reason[name] for name in re.findall(r"\bReason\.([A-Z_]+)\b", text)}
    assert used == {rule.code for rule in DECISIONS if rule.code is not None}
    assert {rule.code for rule in DECISIONS if isinstance(rule.code, Mark)} == set(Mark)


def test_every_rule_names_a_stage_and_settings_that_exist_and_has_both_languages() -> None:
    for rule in DECISIONS:
        assert (SOURCE / f"{rule.stage}.py").exists()
        assert all(hasattr(CleanLimits(), name) for name in rule.settings)
        assert rule.words.en
        assert rule.words.zh
    assert set(VERDICT_ZH) == set(Verdict)


def test_the_reference_has_a_row_for_each_rule_with_its_values() -> None:
    text = reference()
    assert text.count("\n") == len(DECISIONS) + 2
    assert "`max_jump_speed_kmh` = 180" in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_jump_speed_kmh": -1.0},
        {"min_time_ms": 0},
        {"clock_tolerance_ms": 450_000},
        {"offset_points": 0},
        {"frozen_points": 300},
        {"max_offset_ms": 10**9},
    ],
)
def test_limits_that_make_no_sense_are_refused_with_a_mend(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError) as caught:
        CleanLimits(**wrong)
    assert caught.value.mend
