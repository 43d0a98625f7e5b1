"""Drawing in SVG by hand: scales, ticks and marks. Pure and light.

Colours are the report page's variables, so that a drawing follows its dark mode; alone it has the light ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from html import escape

INK, DIM = "var(--ink,#1d2329)", "var(--dim,#5b6670)"
LINE, PAPER = "var(--line,#dfe3e6)", "var(--card,#fff)"
BLUE = "var(--info,#3b6ea5)"

TICK_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 240)
MOST_TIME_TICKS = 9


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels: `low` lies at `start`, `high` at `end`; straight in between and beyond."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def scale_over(values: Iterable[float], start: float, end: float, *, room: float = 0.06) -> Scale:
    """Return a scale that holds all `values`, with `room` of their range to spare on both sides."""
    known = list(values)
    low, high = min(known), max(known)
    spare = (high - low) * room or abs(high) * 0.001 or 1.0
    return Scale(low - spare, high + spare, start, end)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round values (steps of 1, 2 or 5) within [low, high], at most `most` of them."""
    rough = (high - low) / most
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10, 20) if power * digit >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    found: list[float] = []
    while (first + len(found)) * step <= high + step * 1e-9:
        found.append((first + len(found)) * step)
    return found[:most]


def time_ticks(start: datetime, end: datetime, zone: tzinfo) -> list[tuple[datetime, str]]:
    """Return round times within [start, end] with their label in the zone's time."""
    step = next(
        (m for m in TICK_MINUTES if end - start <= MOST_TIME_TICKS * timedelta(minutes=m)), TICK_MINUTES[-1]
    )
    local = start.astimezone(zone)
    at = local.replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    while at <= end:
        if at >= start:
            found.append((at, f"{at:%H:%M}"))
        at += timedelta(minutes=step)
    return found


def short(value: float) -> str:
    """Return a count as an axis wants it: 950, 12.5k, 3M."""
    for unit, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{sign}"
    return f"{value:.3g}"


def with_digits(values: Sequence[float]) -> list[str]:
    """Return axis labels with the decimals that tell the values apart, the same for all."""
    if len(values) < 2:
        return [f"{value:g}" for value in values]
    digits = max(0, -math.floor(math.log10(values[1] - values[0]) + 1e-9))
    return [f"{value:,.{digits}f}" for value in values]


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places near the `wanted` ones, in the same order, at least `gap` apart and, if there is room,
    within [low, high]: labels that do not cover each other."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [min(max(wanted[i], low), high) for i in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    if places and places[-1] > high:
        places[-1] = high
        for i in range(len(places) - 2, -1, -1):
            places[i] = min(places[i], places[i + 1] - gap)
    found = [0.0] * len(wanted)
    for i, place in zip(order, places, strict=True):
        found[i] = place
    return found


def text(
    x: float, y: float, words: str, *, anchor: str = "start", colour: str = INK, bold: bool = False
) -> str:
    weight = ";font-weight:600" if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="fill:{colour};font-size:12px{weight}">'
        f"{escape(words)}</text>"
    )


def line(
    x1: float, y1: float, x2: float, y2: float, *, colour: str = LINE, width: float = 1, dashes: str = ""
) -> str:
    dashed = f";stroke-dasharray:{dashes}" if dashes else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'style="stroke:{colour};stroke-width:{width:g}{dashed}"/>'
    )


def box(
    x1: float, y1: float, x2: float, y2: float, *, fill: str, stroke: str = "none", title: str = ""
) -> str:
    told = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect x="{min(x1, x2):.1f}" y="{min(y1, y2):.1f}" width="{abs(x2 - x1):.1f}" '
        f'height="{abs(y2 - y1):.1f}" style="fill:{fill};stroke:{stroke}">{told}</rect>'
    )


def path(points: Sequence[tuple[float, float]], *, colour: str, width: float = 1.5, dashes: str = "") -> str:
    """A line through the points."""
    dashed = f";stroke-dasharray:{dashes}" if dashes else ""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{places}" style="fill:none;stroke:{colour};stroke-width:{width:g}{dashed}"/>'


def mark(points: Sequence[tuple[float, float]], *, fill: str = BLUE, title: str = "") -> str:
    """A filled shape with a rim of paper, so that marks that overlap can be counted."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    told = f"<title>{escape(title)}</title>" if title else ""
    return f'<polygon points="{places}" style="fill:{fill};stroke:{PAPER};stroke-width:1">{told}</polygon>'


def drawing(width: float, height: float, parts: Iterable[str]) -> str:
    """Return the whole <svg>."""
    return f'<svg viewBox="0 0 {width:g} {height:g}">{"".join(parts)}</svg>'
