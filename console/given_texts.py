"""What a caller gave as text: known words, bounded texts, ids; each checked once, before anything is asked of a store."""

from __future__ import annotations

from collections.abc import Sequence

from model.errors import UsageError

MAX_ID_CHARS = 64


def one_of(given: str, what: str, known: Sequence[str]) -> str:
    """`given` when it is known, else UsageError that lists what is."""
    if given in known:
        return given
    raise UsageError(f"{given[:40]!r} is no {what}.", mend="Use one of " + ", ".join(known) + ".")


def short(text: str, what: str, max_chars: int) -> str:
    """`text` when it is within its limit, else UsageError; what no file could hold (half a character) in escapes."""
    if len(text) > max_chars:
        raise UsageError(f"The {what} is longer than {max_chars} characters.", mend="Shorten it.")
    return text.encode("utf-8", "backslashreplace").decode()


def check_id(given: str, what: str) -> str:
    """`given` when it has the form of an id that the desk gives, else UsageError."""
    if 0 < len(given) <= MAX_ID_CHARS and given.isascii() and given.isprintable():
        return given
    raise UsageError(
        f"That is no id of {what}.", mend="The lists of `lucheng alarm` and `lucheng ebike case` have them."
    )
