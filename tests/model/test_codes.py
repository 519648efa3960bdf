"""The tables of codes: complete, without repeats, in both languages."""

from __future__ import annotations

import pytest

from model.codes import (
    ALARM_BY_BIT,
    ALARM_BY_NAME,
    ALARM_KINDS,
    MARK_WORDS,
    REASON_WORDS,
    Mark,
    Reason,
    alarm_names,
    mark_names,
)


def test_every_code_has_its_words() -> None:
    assert set(MARK_WORDS) == set(Mark)
    assert set(REASON_WORDS) == set(Reason)
    words = [*MARK_WORDS.values(), *REASON_WORDS.values(), *(kind.words for kind in ALARM_KINDS)]
    assert all(word.en and any("\u4e00" <= char <= "\u9fff" for char in word.zh) for word in words)


def test_alarm_kinds_have_their_own_bits_and_names() -> None:
    assert len(ALARM_BY_BIT) == len(ALARM_BY_NAME) == len(ALARM_KINDS)
    assert all(0 <= kind.bit < 64 and kind.severity in (1, 2, 3) for kind in ALARM_KINDS)


@pytest.mark.parametrize("name", ["sos", "one_key", "duress"])
def test_calls_for_help_latch_and_are_of_the_first_severity(name: str) -> None:
    assert ALARM_BY_NAME[name].latches
    assert ALARM_BY_NAME[name].severity == 1


def test_names_of_bits() -> None:
    assert alarm_names(0) == []
    assert alarm_names(0b11) == ["sos", "one_key"]
    assert alarm_names(1 << 63) == []
    assert mark_names(int(Mark.LATE | Mark.JUMP)) == ["late", "jump"]
