"""Small charts as inline SVG: pure text, coloured by the page's own style sheet (so light and dark are one drawing).

Invariants: every text is escaped; every number is written with a fixed number of decimals, so that equal values give
equal bytes; a value that is None leaves a hole and not a zero. No chart scales beyond its view box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 420, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 12, 26
_ROW, _LABEL = 24, 148
_TICKS = 4
#: Characters of a label beside a bar; a wider letter counts for two.
_LABEL_WIDTH = 22

Value = float | None


def columns(labels: Sequence[str], values: Sequence[Value], *, title: str, most: float | None = None) -> str:
    """Upright bars, one for each label; every second or third label is written where there are many.

    `most` is the top of the scale, by default one that holds the values.
    """
    step = _step(most if most is not None else max((v for v in values if v is not None), default=0.0))
    top = step * _TICKS
    wide, high = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    each = wide / max(len(values), 1)
    parts = [_open(HEIGHT, title)]
    for tick in range(_TICKS + 1):
        y = _TOP + high * (1 - tick / _TICKS)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(step * tick)}</text>'
        )
    every = next(step for least, step in ((13, 3), (9, 2), (0, 1)) if len(labels) >= least)
    for at, (label, value) in enumerate(zip(labels, values, strict=True)):
        x = _LEFT + at * each
        if value is not None:
            tall = high * min(value / top, 1.0) if top else 0.0
            parts.append(
                f'<rect class="bar" x="{x + each * 0.12:.1f}" y="{_TOP + high - tall:.1f}" width="{each * 0.76:.1f}"'
                f' height="{tall:.1f}"><title>{escape(label)}: {_number(value)}</title></rect>'
            )
        if at % every == 0:
            parts.append(
                f'<text class="tick" x="{x + each / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(label)}</text>'
            )
    return "".join((*parts, "</svg>"))


def bars(labels: Sequence[str], values: Sequence[Value], *, title: str, decimals: int = 0) -> str:
    """Lying bars with their values beside them."""
    high = max(HEIGHT, len(values) * _ROW + 16)
    most = max((v for v in values if v is not None), default=0.0)
    span = max(most, 1e-9)
    wide = WIDTH - _LABEL - 60
    parts = [_open(high, title)]
    for at, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = 10 + at * _ROW
        parts.append(
            f'<text class="label" x="{_LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(_short(label))}'
            f"<title>{escape(label)}</title></text>"
        )
        long = 0.0 if value is None else wide * value / span
        shown = "–" if value is None else f"{value:,.{decimals}f}"
        parts.append(f'<rect class="bar" x="{_LABEL}" y="{y}" width="{long:.1f}" height="17"/>')
        parts.append(f'<text class="value" x="{_LABEL + long + 6:.1f}" y="{y + 13}">{shown}</text>')
    return "".join((*parts, "</svg>"))


def histogram(values: Sequence[float], bins: int) -> tuple[list[str], list[float]]:
    """Labels (where each bin begins) and counts of equal bins of a round width from 0 on."""
    most = max(values, default=0.0)
    width = _round_up(most / bins) if most > 0 else 1.0
    counts = [0.0] * bins
    for value in values:
        counts[min(int(value / width), bins - 1)] += 1
    return [_number(width * at) for at in range(bins)], counts


def _open(high: int, title: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {high}" role="img" aria-label="{escape(title)}">'


def _step(most: float) -> float:
    """A round step of which `_TICKS` hold the greatest value."""
    return _round_up(most / _TICKS) if most > 0 else 1.0


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next((one * power for one in (1.0, 2.0, 2.5, 5.0, 10.0) if value <= one * power * (1 + 1e-9)), 10.0 * power)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}".rstrip("0")


def _short(label: str) -> str:
    """At most so wide, with an ellipsis; letters beyond Latin are two wide."""
    room = _LABEL_WIDTH
    for at, letter in enumerate(label):
        room -= 2 if ord(letter) > 0x2E7F else 1
        if room < 0:
            return label[: max(at - 1, 0)] + "…"
    return label
