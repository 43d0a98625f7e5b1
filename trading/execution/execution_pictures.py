"""How one order was worked, and how a day's orders kept to their plans, as drawings. Pure and light.

Nothing is told by colour alone: what was planned is an outline, what came about is filled; lines differ in
their dashes and are named where they end. Each drawing comes with its content in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import NamedTuple

from trading.execution.markets.traded import Bar
from trading.execution.order_records import OrderRecord
from trading.execution.orders import Fill, Side
from trading.execution.svg import (
    BLUE,
    DIM,
    INK,
    LINE,
    Scale,
    apart,
    box,
    drawing,
    line,
    mark,
    path,
    scale_over,
    short,
    text,
    ticks,
    time_ticks,
    with_digits,
)

WIDTH, LEFT, RIGHT = 960.0, 66.0, 812.0
"""Pixels: of the drawing, and where the panels begin and end. Right of them the lines have their names."""
PRICE, OWN, MARKET = (30.0, 210.0), (262.0, 372.0), (424.0, 514.0)
"""Top and bottom of an order's three panels."""
PIECE = timedelta(minutes=5)
"""Where there is no slice, fills are summed over so long."""
MOST_OUT = 4.0
"""Standard deviations at which the axis of a day's drawing ends; what lies beyond is shown at its edge."""
ROW, NAMES, TOP = 26.0, 270.0, 44.0
"""Pixels of a day's drawing: height of a row, width of its name, where the first row begins."""

Span = tuple[datetime, datetime]


class Drawing(NamedTuple):
    """An <svg>, and what it shows in words."""

    svg: str
    words: str


def order_picture(record: OrderRecord, zone: tzinfo) -> Drawing | None:
    """Return an order's drawing: price with its fills, shares planned and filled, the market's volume.

    None: it has no plan that could be done. zone: in which times are shown.
    """
    if record.plan is None:
        return None
    spans = _spans(record)
    axis = _TimeAxis(spans, zone)
    parts = [*_price_panel(record, axis), *_own_panel(record, spans, axis)]
    parts += _market_panel(record, spans, axis)
    return Drawing(drawing(WIDTH, MARKET[1] + 26, parts), _order_words(record, axis))


class _TimeAxis:
    """The times of an order's slices, left to right, for all panels."""

    def __init__(self, spans: Sequence[Span], zone: tzinfo) -> None:
        self.start, self.end, self.zone = spans[0][0], spans[-1][1], zone
        self._scale = Scale(self.start.timestamp(), self.end.timestamp(), LEFT, RIGHT)
        self._ticks = time_ticks(self.start, self.end, zone)

    def __call__(self, at: datetime) -> float:
        return min(RIGHT, max(LEFT, self._scale(at.timestamp())))

    def grid(self, panel: tuple[float, float]) -> list[str]:
        return [line(self(at), panel[0], self(at), panel[1]) for at, _ in self._ticks]

    def labels(self, y: float) -> list[str]:
        return [text(self(at), y, label, anchor="middle", colour=DIM) for at, label in self._ticks]

    def clock(self, at: datetime, form: str = "%H:%M") -> str:
        return format(at.astimezone(self.zone), form)


def _spans(record: OrderRecord) -> list[Span]:
    """The first plan's slices, and pieces of time wherever else there was a fill, in order; but one, none at
    the ends in which nothing was planned or filled."""
    spans = [(each.start, each.end) for each in record.plan.slices] if record.plan else []
    for fill in record.fills:
        if any(start <= fill.at < end for start, end in spans):
            continue
        start = spans[0][0] + (fill.at - spans[0][0]) // PIECE * PIECE
        before = max((end for _, end in spans if end <= fill.at), default=start)
        after = min((first for first, _ in spans if first > fill.at), default=start + PIECE)
        spans.append((max(start, before), min(start + PIECE, after)))
        spans.sort()
    planned = {each.start for each in record.plan.slices if each.quantity} if record.plan else set()
    busy = [i for i, span in enumerate(spans) if span[0] in planned or _filled_in(record.fills, span)]
    return spans[max(0, busy[0] - 1) : busy[-1] + 2] if busy else spans


# An order's panels


def _price_panel(record: OrderRecord, axis: _TimeAxis) -> list[str]:
    bars = [bar for bar in record.bars if bar.end > axis.start and bar.start < axis.end]
    levels = _levels(record)
    prices = [float(price) for _, price, _ in levels] + [float(fill.price) for fill in record.fills]
    prices += [float(price) for bar in bars for price in (bar.low, bar.high)]
    if not prices:
        return [text(LEFT, PRICE[0] - 12, "Price: work never began", bold=True)]
    y = scale_over(prices, PRICE[1], PRICE[0])
    parts = [*_head("Price [$]", PRICE[0] - 12, _price_key(record)), *axis.grid(PRICE), *_rules(PRICE, y, 5)]
    if bars:
        parts.append(path([(axis(bar.end), y(float(bar.close))) for bar in bars], colour=DIM))
    places = apart([y(float(price)) for _, price, _ in levels], 15, PRICE[0] + 4, PRICE[1] - 4)
    for (name, price, dashes), place in zip(levels, places, strict=True):
        at = y(float(price))
        parts.append(line(LEFT, at, RIGHT, at, colour=INK, width=1.2, dashes=dashes))
        parts.append(line(RIGHT, at, RIGHT + 9, place, colour=INK))
        parts.append(text(RIGHT + 12, place + 4, f"{name} {_price(price)}"))
    return parts + _fill_marks(record.fills, axis, y)


def _levels(record: OrderRecord) -> list[tuple[str, Decimal, str]]:
    """Name, price and dashes of the lines across the price panel."""
    lines = (
        ("arrival", record.order.arrival_price, "7 4"),
        ("average", record.measures.average_price, "2 3"),
        ("VWAP", record.window.vwap, "10 3 2 3"),
        ("limit", record.order.limit_price, "16 3"),
    )
    return [(name, price, dashes) for name, price, dashes in lines if price is not None]


def _price_key(record: OrderRecord) -> list[tuple[str, str]]:
    found = []
    if record.fills:
        shape = mark(_triangle(8, -4, 5, record.order.side))
        found.append((shape, f"our {_DEEDS[record.order.side][0]}, larger for more shares"))
    if record.bars:
        found.append((path([(0, -4), (16, -4)], colour=DIM), "the market"))
    return found


_DEEDS = {Side.BUY: ("purchases", "bought"), Side.SELL: ("sales", "sold")}


def _fill_marks(fills: Sequence[Fill], axis: _TimeAxis, y: Scale) -> list[str]:
    most = max((fill.quantity for fill in fills), default=1)
    found = []
    for fill in fills:
        size = 3.5 + 3.5 * (fill.quantity / most) ** 0.5
        told = f"{axis.clock(fill.at, '%H:%M:%S')}: {fill.quantity:,} at {_price(fill.price)} $"
        found.append(mark(_triangle(axis(fill.at), y(float(fill.price)), size, fill.side), title=told))
    return found


def _triangle(x: float, y: float, size: float, side: Side) -> list[tuple[float, float]]:
    """Pointing up for a purchase, down for a sale."""
    tip = -size * side.sign
    return [(x, y + tip), (x - size, y - tip), (x + size, y - tip)]


def _own_panel(record: OrderRecord, spans: Sequence[Span], axis: _TimeAxis) -> list[str]:
    slices = {each.start: each for each in record.plan.slices} if record.plan else {}
    planned = {span: float(slices[span[0]].quantity) if span[0] in slices else 0.0 for span in spans}
    filled = {span: float(_filled_in(record.fills, span)) for span in spans}
    key = [(_OUTLINE, "planned first"), (_SOLID, "filled")]
    return [*_head("Own shares, slice by slice", OWN[0] - 12, key), *_columns(OWN, axis, planned, filled)]


def _market_panel(record: OrderRecord, spans: Sequence[Span], axis: _TimeAxis) -> list[str]:
    slices = {each.start: each for each in record.plan.slices} if record.plan else {}
    expected = {span: slices[span[0]].expected_volume if span[0] in slices else 0.0 for span in spans}
    traded = {span: _volume_in(record.bars, span) for span in spans} if record.bars else {}
    key = [(_OUTLINE, "expected"), (_SOLID, "traded")][: 2 if traded else 1]
    head = _head("The whole market's shares", MARKET[0] - 12, key)
    return [*head, *_columns(MARKET, axis, expected, traded), *axis.labels(MARKET[1] + 18)]


def _columns(
    panel: tuple[float, float], axis: _TimeAxis, outlined: Mapping[Span, float], solid: Mapping[Span, float]
) -> list[str]:
    """Two heights for each span: one filled, one as an outline that runs over all of them."""
    most = max([*outlined.values(), *solid.values(), 1.0])
    y = Scale(0, most * 1.06, panel[1], panel[0])
    parts = [*axis.grid(panel), *_rules(panel, y, 3)]
    for (start, end), shares in solid.items():
        if shares:
            told = f"{axis.clock(start)} to {axis.clock(end)}: {shares:,.0f}"
            left, right = axis(start) + 1, axis(end) - 1
            parts.append(box(left, y(0), max(right, left + 1), y(shares), fill=BLUE, title=told))
    steps = [
        (axis(at), y(shares if is_inside else 0))
        for (start, end), shares in outlined.items()
        for at, is_inside in ((start, False), (start, True), (end, True), (end, False))
    ]
    return [*parts, path(_joined(steps), colour=INK, width=1.3)]


def _joined(steps: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The outline of columns, without the lines between neighbours: each step has four corners, the last of
    one and the first of the next fall out where they are one point."""
    found: list[tuple[float, float]] = []
    for point in steps:
        if found and point == found[-1]:
            found.pop()
        else:
            found.append(point)
    return found


_OUTLINE = path([(0, 0), (0, -9), (14, -9), (14, 0)], colour=INK, width=1.3)
_SOLID = box(0, 0, 14, -9, fill=BLUE)


def _head(title: str, y: float, key: Iterable[tuple[str, str]]) -> list[str]:
    """A panel's title, and after it what its marks mean."""
    parts, x = [text(LEFT, y, title, bold=True)], LEFT + 7.2 * len(title) + 18
    for shape, meaning in key:
        parts.append(f'<g transform="translate({x:.1f} {y:.1f})">{shape}</g>')
        parts.append(text(x + 20, y, meaning, colour=DIM))
        x += 20 + 6.3 * len(meaning) + 16
    return parts


def _rules(panel: tuple[float, float], y: Scale, most: int) -> list[str]:
    """Level lines at round values with their labels, and the panel's base."""
    values = ticks(y.low, y.high, most)
    labels = with_digits(values) if y.low else [short(value) for value in values]
    parts = [line(LEFT, panel[1], RIGHT, panel[1], colour=DIM)]
    for value, label in zip(values, labels, strict=True):
        parts.append(line(LEFT, y(value), RIGHT, y(value)))
        parts.append(text(LEFT - 7, y(value) + 4, label, anchor="end", colour=DIM))
    return parts


def _filled_in(fills: Iterable[Fill], span: Span) -> int:
    return sum(fill.quantity for fill in fills if span[0] <= fill.at < span[1])


def _volume_in(bars: Iterable[Bar], span: Span) -> float:
    """The market's shares within a span, of bars that lie partly within their part."""
    total = 0.0
    for bar in bars:
        inside = (min(bar.end, span[1]) - max(bar.start, span[0])) / bar.length
        total += bar.volume * max(0.0, inside)
    return total


def _order_words(record: OrderRecord, axis: _TimeAxis) -> str:
    order, measures = record.order, record.measures
    done = f"{measures.filled:,} of {order.quantity:,} shares {_DEEDS[order.side][1]}"
    if not record.fills:
        return f"{done}: {order.reason or 'nothing was filled'}."
    first, last = (axis.clock(record.fills[i].at) for i in (0, -1))
    when = f"at {first}" if first == last else f"from {first} to {last}"
    parts = [f"{done} {when} at {_price(measures.average_price)} $ on average"]
    parts += [
        f"{abs(bps):.1f} bp {'worse' if bps > 0 else 'better'} than {name}"
        for name, bps in (
            ("at arrival", measures.slippage_arrival_bps),
            ("VWAP", measures.slippage_vwap_bps),
        )
        if bps is not None
    ]
    planned = [each for each in (record.plan.slices if record.plan else ()) if each.quantity]
    largest = max(planned, key=lambda each: each.quantity)
    size = f"{largest.quantity:,} shares at {axis.clock(largest.start)}"
    plan = f"one slice of {size}" if len(planned) == 1 else f"{len(planned)} slices, the largest {size}"
    return f"{', '.join(parts)}. The first plan had {plan}."


def _price(price: Decimal | None) -> str:
    """As many decimals as tell prices apart: four below 10 $, else two."""
    return "–" if price is None else f"{price:,.{4 if price < 10 else 2}f}"


# A day's orders


def day_picture(records: Iterable[OrderRecord]) -> Drawing | None:
    """Return how dear each order was against its plan, in the plan's own standard deviations, a row each.

    None: no order has a cost and a plan with risk.
    """
    shown = [(each, z) for each in records if (z := each.measures.z_score) is not None]
    if not shown:
        return None
    bottom = TOP + ROW * len(shown)
    x = Scale(-MOST_OUT, MOST_OUT, NAMES, RIGHT - 40)
    parts = [box(x(-2), TOP, x(2), bottom, fill=LINE)]
    parts.append(text(x(-MOST_OUT), 16, "◂ cheaper than planned", colour=DIM))
    parts.append(text(x(MOST_OUT), 16, "dearer than planned ▸", anchor="end", colour=DIM))
    for z in range(-int(MOST_OUT), int(MOST_OUT) + 1):
        parts.append(line(x(z), TOP - 4, x(z), bottom, colour=DIM if z == 0 else LINE))
        parts.append(text(x(z), TOP - 10, f"{z:+d}σ" if z else "plan", anchor="middle", colour=DIM))
    for row, (record, z) in enumerate(shown):
        parts += _day_row(record, z, x, TOP + ROW * (row + 0.5))
    within = sum(abs(z) <= 2 for _, z in shown)
    words = (
        f"{within} of {len(shown)} orders cost what was planned within two standard deviations (the band; "
        f"95 % should). In standard deviations: "
        + "; ".join(f"{_name(record)} {z:+.1f}" for record, z in shown)
        + "."
    )
    return Drawing(drawing(WIDTH, bottom + 8, parts), words)


def _day_row(record: OrderRecord, z: float, x: Scale, y: float) -> list[str]:
    measures, at = record.measures, x(min(MOST_OUT, max(-MOST_OUT, z)))
    if abs(z) > MOST_OUT:
        out = 7 if z > 0 else -7
        shape = [(at + out, y), (at - out, y - 7), (at - out, y + 7)]
    else:
        shape = [(at, y - 7), (at + 7, y), (at, y + 7), (at - 7, y)]
    figures = f"{measures.realised_bps or 0:,.1f} bp, plan {measures.expected_cost_bps or 0:,.1f}"
    return [
        text(NAMES - 14, y + 4, _name(record), anchor="end"),
        line(x(0), y, at, y, colour=INK, width=1.5),
        mark(shape, title=f"{z:+.2f} standard deviations"),
        text(RIGHT - 18, y + 4, figures),
    ]


def _name(record: OrderRecord) -> str:
    order = record.order
    return f"{order.symbol} {order.side} {order.quantity:,} ({record.measures.algorithm})"
