"""The table of rules: complete, its own words, and nothing in it that is not there."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

from analytics.meaning.limits import RuleLimits
from analytics.rules.table import EVERY_RULE, RULES, TRIPS, WHICH_RULES
from model.codes import ALARM_BY_NAME, ALARM_KINDS
from model.device import Kind

LIMITS = {one.name for one in fields(RuleLimits)}


def test_every_kind_of_alarm_is_raised_by_somebody_and_nothing_else_is() -> None:
    raised = {kind for entry in RULES for kind in entry.raises}
    assert raised == set(ALARM_BY_NAME)
    assert len(raised) == len(ALARM_KINDS)


def test_every_limit_is_used_and_every_parameter_is_a_limit() -> None:
    used = {name for entry in RULES for name in entry.parameters} | set(EVERY_RULE) | set(WHICH_RULES)
    assert used | set(TRIPS) == LIMITS
    assert all(len(set(entry.parameters)) == len(entry.parameters) for entry in RULES)


def test_every_entry_has_a_name_of_its_own_devices_and_both_languages() -> None:
    assert [name for name, times in Counter(entry.name for entry in RULES).items() if times > 1] == []
    for entry in RULES:
        assert entry.kinds, entry.name
        assert set(entry.kinds) <= {kind.value for kind in Kind}
        assert entry.words.en
        assert any("\u4e00" <= letter <= "\u9fff" for letter in entry.words.zh), entry.name


def test_what_an_entry_makes_has_its_name_and_an_empty_memory_that_can_be_kept() -> None:
    for entry in RULES:
        if entry.make is None:
            assert len(entry.raises) == 1
            assert entry.parameters == ()
            continue
        rule = entry.make()
        assert rule.name == entry.name
        again = entry.make()
        again.restore(memoryview(rule.to_bytes()))
        assert again.to_bytes() == rule.to_bytes()
