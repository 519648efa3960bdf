"""A small plot as SVG: false alarms against delay, one panel beside the other. Pure: numbers in, text out."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 460, 380, 62, 48, 16, 50
_COLOURS = ("#b45309", "#1d4ed8", "#047857", "#7c3aed")


@dataclass(frozen=True, slots=True)
class Curve:
    """Points joined by a line: x seconds, y alarms per bike-month, a label each; for so many fixes."""

    fixes: int
    x: list[float]
    y: list[float]
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves on one pair of axes; `floor` is one alarm in all that was tried: a y of 0 stands a little below it."""

    title: str
    curves: list[Curve]
    floor: float


def trade_off_svg(panels: list[Panel]) -> str:
    """The picture; every panel has the same axes: x linear from 0, y logarithmic."""
    everything = [curve for panel in panels for curve in panel.curves]
    most_x = max(x for curve in everything for x in curve.x if np.isfinite(x)) * 1.08
    low = min(panel.floor for panel in panels) / 3.0
    high = max(*(y for curve in everything for y in curve.y), low * 100.0) * 1.6
    box = f'viewBox="0 0 {_WIDTH * len(panels)} {_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="system-ui, sans-serif" font-size="12" fill="#1f2937">',
        f'<rect width="{_WIDTH * len(panels)}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({number * _WIDTH} 0)">')
        parts += _panel(panel, most_x, low, high)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, most_x: float, low: float, high: float) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        down = np.log(max(y, low * 1.3) / low) / np.log(high / low)
        return _LEFT + x / most_x * (right - _LEFT), bottom - down * (bottom - _TOP)

    parts = [f'<text x="{_LEFT}" y="22" font-size="14" font-weight="600">{escape(panel.title)}</text>']
    for power in range(int(np.ceil(np.log10(low))), int(np.floor(np.log10(high))) + 1):
        y = at(0.0, 10.0**power)[1]
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for seconds in range(0, int(most_x) + 1, 30 if most_x < 300 else 60):
        here = at(float(seconds), low)[0]
        parts.append(f'<line x1="{here:.1f}" x2="{here:.1f}" y1="{_TOP}" y2="{bottom}" stroke="#f3f4f6"/>')
        parts.append(f'<text x="{here:.1f}" y="{bottom + 18}" text-anchor="middle">{seconds}</text>')
    y = at(0.0, panel.floor)[1]
    parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#9ca3af" stroke-dasharray="4 4"/>')
    parts.append(f'<text x="{_LEFT + 4}" y="{y + 14:.1f}" fill="#6b7280">below: none at all</text>')
    for number, curve in enumerate(panel.curves):
        colour = _COLOURS[(curve.fixes - 1) % len(_COLOURS)]
        points = [at(x, y) for x, y in zip(curve.x, curve.y, strict=True)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for (x, y), label in zip(points, curve.labels, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
            parts.append(f'<text x="{x + 5:.1f}" y="{y - 4:.1f}" font-size="10" fill="{colour}">{escape(label)}</text>')
        parts.append(
            f'<text x="{right - 4}" y="{_TOP + 14 + 16 * number}" text-anchor="end" fill="{colour}">'
            f"{curve.fixes} {'fix' if curve.fixes == 1 else 'fixes'}</text>"
        )
    parts.append(
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 10}" text-anchor="middle">seconds to the alarm, median</text>'
    )
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">false alarms per bike-month</text>'
    )
    return parts
