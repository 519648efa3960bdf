"""Texts of the commands `terminal` and `evidence`, in both languages; `texts.TEXTS` holds them with all others."""

from __future__ import annotations

from model.codes import Word

TERMINAL_TEXTS: dict[str, Word] = {
    "terminal": Word(
        "Terminals that speak JT/T 808, JT/T 905 or GT06: list, reports, release, simulate.",
        "车载终端（JT/T 808、JT/T 905、GT06）：列表、上报、解除绑定、模拟。",
    ),
}
