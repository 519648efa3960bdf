"""IMEIs: the check digit finds what people type wrong, and says what."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import UsageError
from model.imei import check_imei, doubtful_imei, luhn_digit, plain_digits

DIGITS = st.text("0123456789", min_size=14, max_size=14).filter(lambda digits: digits.strip("0") != "")


def whole(digits: str) -> str:
    return digits + str(luhn_digit(digits))


@pytest.mark.parametrize("imei", ["490154203237518", "356938035643809", "49-015420-323751-8", " 490154 203237 518 "])
def test_known_ones_hold(imei: str) -> None:
    assert check_imei(imei) == plain_digits(imei)
    assert doubtful_imei(imei) == ""


@given(DIGITS)
def test_what_is_whole_is_taken_as_it_is(digits: str) -> None:
    assert check_imei(whole(digits)) == whole(digits)


@given(DIGITS, st.integers(0, 14), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(digits: str, place: int, by: int) -> None:
    imei = whole(digits)
    wrong = imei[:place] + str((int(imei[place]) + by) % 10) + imei[place + 1 :]
    with pytest.raises(UsageError) as caught:
        check_imei(wrong)
    assert "digit" in str(caught.value)
    assert doubtful_imei(wrong)


@given(DIGITS, st.integers(0, 12))
def test_two_neighbours_swapped_are_found_but_for_nought_and_nine(digits: str, place: int) -> None:
    imei = whole(digits)
    one, two = imei[place], imei[place + 1]
    swapped = imei[:place] + two + one + imei[place + 2 :]
    if one == two or {one, two} == {"0", "9"}:
        assert check_imei(swapped) == swapped  # what Luhn cannot see
        return
    with pytest.raises(UsageError):
        check_imei(swapped)


@pytest.mark.parametrize(
    ("given_text", "words"),
    [
        ("49015420323751", "14 digits, 1 too few"),
        ("", "0 digits"),
        ("49015420323751X", "'X' in the IMEI is no digit"),
        ("4901542032375180", "16 digits: an IMEISV"),
        ("49015420323751812", "2 too many"),
        ("490154203237519", "last digit is 9, but 49015420323751 has the check digit 8"),
        ("0" * 15, "zeros"),
        ("٤90154203237518", "no digit"),
    ],
)
def test_the_words_say_what_is_wrong(given_text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check_imei(given_text)
    assert caught.value.mend or "zeros" in words


@given(st.text(max_size=40))
def test_any_text_is_taken_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert len(check_imei(text)) == 15


def test_none_is_not_doubtful() -> None:
    assert doubtful_imei("") == ""
