"""Texts that people send to terminals: what GBK has no letter for is refused, not sent as a question mark."""

from __future__ import annotations

from model.errors import Refused


def gbk_text(text: str) -> str:
    """The text, zero characters as blanks. Refused names the first character that a terminal cannot show."""
    try:
        text.encode("gbk")
    except UnicodeEncodeError as error:
        raise Refused(
            f"A terminal cannot show {text[error.start]!r}: its texts are GBK.", mend="Write it without that character."
        ) from error
    return text.replace("\0", " ")
