"""What GBK cannot say is refused by name."""

from __future__ import annotations

import pytest

import ingest.jt808.commands as jt808
import ingest.jt905.commands as jt905
from ingest.wire.texts import gbk_text
from model.errors import Refused


def test_what_gbk_has_goes_out() -> None:
    assert gbk_text("请靠边停车 ok\0!") == "请靠边停车 ok !"


@pytest.mark.parametrize("text", ["停车 🚓", "\u0600", "a\ud800"])
def test_what_it_has_not_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="GBK"):
        gbk_text(text)
    args = {"text": text, "urgent": False, "speak": True}
    with pytest.raises(Refused, match="GBK"):
        jt808.orders("text", args, version=2019, phone_number="")
    with pytest.raises(Refused, match="GBK"):
        jt905.orders("text", args, phone_number="")
