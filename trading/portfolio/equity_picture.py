"""The equity at each close, its range within the sessions and its peak, as a drawing. Pure and light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import accumulate
from typing import NamedTuple

from trading.execution.svg import (
    BLUE,
    DIM,
    INK,
    LINE,
    Scale,
    apart,
    drawing,
    line,
    path,
    scale_over,
    text,
    ticks,
    with_digits,
)
from trading.portfolio.pnl import EquityDay, SessionPnl

WIDTH, LEFT, RIGHT = 960.0, 96.0, 800.0
"""Pixels: of the drawing, and where the panel begins and ends. Right of it the lines have their names."""
TOP, BOTTOM = 20.0, 260.0
MOST_LABELS = 8


class Drawing(NamedTuple):
    """An <svg>, and what it shows in words."""

    svg: str
    words: str


def equity_picture(sessions: Sequence[SessionPnl], ranges: Mapping[date, EquityDay]) -> Drawing | None:
    """Return the drawing of profit since the ledger began [$]; None: fewer than two sessions.

    sessions: the oldest first. ranges: by session, where the limits were checked in it. Profit and not
    equity, so that capital put in or taken out does not look like a gain or a loss.
    """
    if len(sessions) < 2:
        return None
    closes = [float(each.profit) for each in sessions]
    seen = [ranges[each.session] for each in sessions if each.session in ranges]
    y = scale_over([0.0, *closes, *(float(v) for r in seen for v in (r.low, r.high))], BOTTOM, TOP)
    x = Scale(0, len(sessions) - 1, LEFT, RIGHT)
    # The start counts as a peak, as it does for the drawdown.
    peaks = list(accumulate((max(0.0, value) for value in closes), max))
    parts = [*_grid(sessions, x, y), *_ranges(sessions, ranges, x, y)]
    parts.append(path([(x(i), y(v)) for i, v in enumerate(peaks)], colour=DIM, dashes="6 4"))
    parts.append(path([(x(i), y(v)) for i, v in enumerate(closes)], colour=BLUE, width=2))
    parts += _names(closes[-1], peaks[-1], y)
    return Drawing(drawing(WIDTH, BOTTOM + 26, parts), _words(sessions, peaks[-1]))


def _grid(sessions: Sequence[SessionPnl], x: Scale, y: Scale) -> list[str]:
    values = ticks(min(y.low, y.high), max(y.low, y.high), 6)
    parts = []
    for value, label in zip(values, with_digits(values), strict=True):
        parts.append(line(LEFT, y(value), RIGHT, y(value), colour=INK if value == 0 else LINE))
        parts.append(text(LEFT - 8, y(value) + 4, label, anchor="end", colour=DIM))
    step = -(-len(sessions) // MOST_LABELS)
    for i in range(0, len(sessions), step):
        day = sessions[i].session
        parts.append(text(x(i), BOTTOM + 20, f"{day:%m-%d}", anchor="middle", colour=DIM))
    return parts


def _ranges(
    sessions: Sequence[SessionPnl], ranges: Mapping[date, EquityDay], x: Scale, y: Scale
) -> list[str]:
    return [
        line(x(i), y(float(seen.low)), x(i), y(float(seen.high)), colour=BLUE, width=1)
        for i, each in enumerate(sessions)
        if (seen := ranges.get(each.session)) is not None
    ]


def _names(last: float, peak: float, y: Scale) -> list[str]:
    values, names = [last], ["profit"]
    if peak > last:
        values, names = [last, peak], ["profit", "its peak"]
    places = apart([y(value) for value in values], 15, TOP, BOTTOM)
    return [
        text(RIGHT + 8, place + 4, f"{name} {value:,.0f} $")
        for value, name, place in zip(values, names, places, strict=True)
    ]


def _words(sessions: Sequence[SessionPnl], peak: float) -> str:
    first, last = sessions[0], sessions[-1]
    low = min(sessions, key=lambda each: each.profit)
    return (
        f"Profit since the ledger began, at the close of {len(sessions)} sessions from {first.session} to "
        f"{last.session}: {last.profit:,.0f} $ at the end, {Decimal(peak):,.0f} $ at the peak, "
        f"{low.profit:,.0f} $ at the lowest ({low.session}). Upright lines: the range within a session."
    )
