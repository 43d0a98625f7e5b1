"""A run's equity and drawdowns as drawings for the inside of a page.

No line is told by its colour alone: each has dashes of its own and its name at its end. Each drawing comes
with its content in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from trading.backtest.history import Floats, Ints, said
from trading.backtest.reports import numbers
from trading.backtest.reports.axes import Amounts, amounts, dates
from trading.backtest.reports.facts import Curve, Reported
from trading.backtest.reports.thinning import thinned
from trading.execution.comparison.marks import DARK, LIGHT, mark_of
from trading.execution.svg import DIM, INK, LINE, Scale, apart, drawing, line, mark, path, text, ticks

WIDTH, LEFT, RIGHT, TOP = 960.0, 82.0, 715.0, 16.0
"""Pixels: of the drawing, and where the panel begins and ends. Right of it the lines have their names."""
EQUITY_HEIGHT, DRAWDOWN_HEIGHT = 330.0, 220.0
"""Of the panels, at least: many strategies need more for their names."""
COLUMNS = 430
"""In which each curve keeps its lowest and its highest point: one for three half pixels."""
GAP = 15.0
"""Pixels from one name to the next."""

Place = Callable[[float], float]
"""From a value to its pixel."""


class Drawing(NamedTuple):
    """An <svg>, and what it shows in words."""

    svg: str
    words: str


def equity_picture(run: Reported, is_log: bool | None = None) -> Drawing:
    """Return the equity of all together and of each strategy over the bars.

    is_log: whether the axis is logarithmic; None: if the total's range is so wide that it tells more.
    """
    curves = run.equities
    scale = amounts([curve.values for curve in curves], is_log)
    bottom = _bottom(EQUITY_HEIGHT, curves)

    def y(value: float) -> float:
        return bottom - scale.at(value) * (bottom - TOP)

    rules = [(y(value), label) for value, label in scale.marks]
    ends = [numbers.short_money(float(curve.values[-1])) for curve in curves]
    parts = [*_level_rules(rules), *_date_rules(run.stamps, bottom), *_lines(curves, y, ends, bottom)]
    return Drawing(_styled(bottom, parts, curves), _equity_words(run, scale))


def drawdown_picture(run: Reported) -> Drawing:
    """Return how far below its former peak each curve lay, that of all together filled."""
    curves = run.drawdowns
    bottom = _bottom(DRAWDOWN_HEIGHT, curves)
    lowest = min(float(curve.values.min()) for curve in curves)
    y = Scale(100 * min(lowest * 1.1, -1e-4), 0.0, bottom, TOP)

    def place(value: float) -> float:
        return y(100 * value)

    rules = [(y(value), f"{value + 0.0:g} %") for value in ticks(y.low, y.high, 5)]
    ends = [numbers.percent(float(curve.values.min())) for curve in curves]
    parts = [_area(curves[0].values, place), *_level_rules(rules), *_date_rules(run.stamps, bottom)]
    parts += [*_lines(curves, place, ends, bottom), *_deepest(curves[0].values, place)]
    return Drawing(_styled(bottom, parts, curves), _drawdown_words(run, curves))


def _bottom(height: float, curves: Sequence[Curve]) -> float:
    return TOP + max(height, GAP * len(curves))


def _across(bars: int) -> Scale:
    return Scale(0, max(bars - 1, 1), LEFT, RIGHT)


def _points(values: Floats, y: Place) -> list[tuple[float, float]]:
    x = _across(len(values))
    return [(x(at), y(values.item(at))) for at in thinned(values, COLUMNS).tolist()]


def _lines(curves: Sequence[Curve], y: Place, ends: Sequence[str], bottom: float) -> list[str]:
    """Every curve, the first on top of the others, with its name and a value."""
    parts = []
    for i, curve in reversed(list(enumerate(curves))):
        points = _points(curve.values, y)
        width, dashes = (1.8, "") if i == 0 else (1.3, _dashes(i - 1))
        parts.append(path(points, colour=_colour(i), width=width, dashes=dashes))
    last = [y(float(curve.values[-1])) for curve in curves]
    places = apart(last, GAP, TOP + 4, bottom - 2)
    for i, (curve, at, place, end) in enumerate(zip(curves, last, places, ends, strict=True)):
        parts.append(line(RIGHT, at, RIGHT + 10, place, colour=_colour(i)))
        dashes = "" if i == 0 else _dashes(i - 1)
        sample = [(RIGHT + 12, place), (RIGHT + 32, place)]
        parts.append(path(sample, colour=_colour(i), width=2, dashes=dashes))
        parts.append(text(RIGHT + 37, place + 4, f"{numbers.short_name(curve.name)} {end}", bold=i == 0))
    return parts


def _level_rules(rules: Sequence[tuple[float, str]]) -> list[str]:
    parts = []
    for at, label in rules:
        parts.append(line(LEFT, at, RIGHT, at))
        parts.append(text(LEFT - 7, at + 4, label, anchor="end", colour=DIM))
    return parts


def _date_rules(stamps: Ints, bottom: float) -> list[str]:
    x = _across(len(stamps))
    parts = [line(LEFT, bottom, RIGHT, bottom, colour=DIM)]
    for at, label in dates(stamps):
        parts.append(line(x(at), TOP, x(at), bottom))
        parts.append(text(x(at), bottom + 18, label, anchor="middle", colour=DIM))
    return parts


def _area(values: Floats, y: Place) -> str:
    """What lies between a curve and 0."""
    points = [(LEFT, y(0.0)), *_points(values, y), (RIGHT, y(0.0))]
    places = " ".join(f"{x:.1f},{at:.1f}" for x, at in points)
    return f'<polygon points="{places}" style="fill:{LINE};stroke:none"/>'


def _deepest(values: Floats, y: Place) -> list[str]:
    """A mark at the lowest point."""
    at = int(np.argmin(values))
    depth = values.item(at)
    if depth == 0.0:
        return []
    x, low = _across(len(values))(at), y(depth)
    shape = [(x, low - 5), (x + 5, low), (x, low + 5), (x - 5, low)]
    return [mark(shape, fill=INK, title=numbers.percent(depth))]


def _colour(index: int) -> str:
    """The first curve, the total, is ink; the others have the colours of their marks."""
    return INK if index == 0 else f"var(--c{index},{mark_of(index - 1).colour})"


def _dashes(index: int) -> str:
    dashes = mark_of(index).dashes
    return "" if isinstance(dashes, str) else " ".join(f"{2 * length:g}" for length in dashes[1])


def _styled(bottom: float, parts: Sequence[str], curves: Sequence[Curve]) -> str:
    """The whole <svg>, with the lines' colours in light and in dark."""
    roles = {colour: role for role, colour in LIGHT.items()}
    chosen = {i: roles[mark_of(i - 1).colour] for i in range(1, len(curves))}
    light, dark = (
        ";".join(f"--c{i}:{palette[role]}" for i, role in chosen.items()) for palette in (LIGHT, DARK)
    )
    css = f".curves{{{light}}}@media(prefers-color-scheme:dark){{.curves{{{dark}}}}}" if chosen else ""
    svg = drawing(WIDTH, bottom + 26, [f"<style>{css}</style>", *parts] if css else parts)
    return svg.replace("<svg ", '<svg class="curves" ', 1)


def _equity_words(run: Reported, scale: Amounts) -> str:
    first, last = said(run.stamps[0]), said(run.stamps[-1])
    high, low = int(np.argmax(run.equity)), int(np.argmin(run.equity))
    words = (
        f"Equity from {first} to {last}: {numbers.money(run.initial_capital)} became "
        f"{numbers.money(float(run.equity[-1]))}; the highest was {numbers.money(run.equity.item(high))} on "
        f"{said(run.stamps[high])}, the lowest {numbers.money(run.equity.item(low))} on "
        f"{said(run.stamps[low])}."
    )
    if run.is_portfolio:
        each = "; ".join(
            f"{name} {numbers.money(result.initial_capital)} to {numbers.money(result.final_equity)}"
            for name, result in run.strategies.items()
        )
        words += f" By strategy: {each}."
    return words + (" The axis is logarithmic: equal slopes are equal growth." if scale.is_log else "")


def _drawdown_words(run: Reported, curves: Sequence[Curve]) -> str:
    each = "; ".join(
        f"{curve.name} {numbers.percent(float(curve.values.min()))} on "
        f"{said(run.stamps[int(np.argmin(curve.values))])}"
        for curve in curves
    )
    return f"How far the equity lay below its highest so far. The deepest: {each}."
