"""IMEI: fifteen digits of a mobile device, the last of them a check digit.

Pure. Source: 3GPP TS 23.003, 6.2.1 and annex B (the Luhn check digit is computed over the first fourteen digits).
"""

from __future__ import annotations

import re

from model.errors import UsageError

IMEI_DIGITS = 15
#: Digits of an IMEISV, which has a software version in the place of the check digit.
IMEISV_DIGITS = 16
#: What a label may have between digits.
_BETWEEN = re.compile(r"[\s./\-]")


def luhn_digit(digits: str) -> int:
    """The check digit of `digits` (any number of 0-9), by Luhn: every second digit from the right is doubled."""
    total = 0
    for place, letter in enumerate(reversed(digits)):
        digit = ord(letter) - 48
        if place % 2 == 0:
            digit *= 2
            digit -= 9 if digit > 9 else 0
        total += digit
    return -total % 10


def plain_digits(text: str) -> str:
    """`text` without what a label has between digits; what is no digit otherwise stays."""
    return _BETWEEN.sub("", text)


def check_imei(text: str) -> str:
    """The fifteen digits of an IMEI as typed or scanned; UsageError says in words which part cannot be right."""
    digits = plain_digits(text)
    wrong = next((letter for letter in digits if letter not in "0123456789"), "")
    if wrong:
        raise UsageError(
            f"{wrong!r} in the IMEI is no digit.", mend="An IMEI is 15 digits: look at the label again, or press *#06#."
        )
    if len(digits) == IMEISV_DIGITS:
        raise UsageError(
            "Those are 16 digits: an IMEISV, which ends in a software version and has no check digit.",
            mend="Type the 15 digits that are marked IMEI.",
        )
    if len(digits) != IMEI_DIGITS:
        few = len(digits) < IMEI_DIGITS
        raise UsageError(
            f"The IMEI has {len(digits)} digits, {abs(IMEI_DIGITS - len(digits))} too {'few' if few else 'many'}.",
            mend="An IMEI is 15 digits: look at the label again.",
        )
    if digits == "0" * IMEI_DIGITS:
        raise UsageError("An IMEI of zeros alone is nobody's.", mend="Look at the label again.")
    wanted = luhn_digit(digits[:-1])
    if wanted != int(digits[-1]):
        raise UsageError(
            f"The IMEI's last digit is {digits[-1]}, but {digits[:-1]} has the check digit {wanted}.",
            mend="One of the digits is wrong, or two are swapped: compare all of them with the label.",
        )
    return digits


def doubtful_imei(text: str) -> str:
    """What is doubtful about an IMEI that is taken over from elsewhere, in words; "" where nothing is or none is given."""
    if not text:
        return ""
    try:
        check_imei(text)
    except UsageError as error:
        return error.message
    return ""
