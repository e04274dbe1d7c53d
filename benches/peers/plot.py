"""Draws bars on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Callable

ROW, LABEL, WIDTH, VALUE = 24, 330, 420, 120
TITLE, AXIS = 30, 26
OURS, THEIRS = "#2a7f62", "#8a99a8"


@dataclass(frozen=True)
class Bar:
    """One bar, with a whisker from the lowest to the highest."""

    label: str
    value: float
    lowest: float
    highest: float
    shown: Callable[[float], str]
    ours: bool


@dataclass(frozen=True)
class Chart:
    """Bars that share a scale."""

    title: str
    bars: list[Bar]


def svg(charts: list[Chart]) -> str:
    """Draws charts one below the other."""
    height = sum(TITLE + len(chart.bars) * ROW + AXIS for chart in charts)
    width = LABEL + WIDTH + VALUE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    top = 0
    for chart in charts:
        parts += _chart(chart, top)
        top += TITLE + len(chart.bars) * ROW + AXIS
    return "\n".join([*parts, "</svg>", ""])


def _chart(chart: Chart, top: int) -> list[str]:
    # From a power of ten strictly below all to one above all: a bar has a length, and its whisker stays inside.
    low = math.ceil(math.log10(min(bar.lowest for bar in chart.bars))) - 1
    high = max(math.ceil(math.log10(max(bar.highest for bar in chart.bars))), low + 1)

    def x(value: float) -> float:
        return LABEL + WIDTH * (math.log10(value) - low) / (high - low)

    bottom = top + TITLE + len(chart.bars) * ROW
    parts = [f'<text x="{LABEL}" y="{top + 20}" font-weight="bold">{escape(chart.title)}</text>']
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top + TITLE}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle" fill="#555">{_power(power)}</text>')
    for row, bar in enumerate(chart.bars):
        parts += _bar(bar, top + TITLE + row * ROW, x)
    return parts


def _bar(bar: Bar, top: int, x: Callable[[float], float]) -> list[str]:
    colour = OURS if bar.ours else THEIRS
    middle = top + ROW // 2
    return [
        f'<text x="{LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect x="{LABEL}" y="{top + 4}" width="{x(bar.value) - LABEL:.1f}" height="{ROW - 8}" fill="{colour}"/>'
        f'<line x1="{x(bar.lowest):.1f}" x2="{x(bar.highest):.1f}" y1="{middle}" y2="{middle}" stroke="#222"/>'
        f'<text x="{x(bar.highest) + 6:.1f}" y="{middle + 4}">{bar.shown(bar.value)}</text>'
    ]


def _power(power: int) -> str:
    return f"{10**power:,}".replace(",", " ") if power >= 0 else f"{10.0**power:g}"
