"""What every plan is made from: the intervals of the session, the market's volume and the cap in each, the
model's parameters, cost and risk. Pure and light."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from trading.execution.facts import MarketFacts
from trading.execution.model.calibration import linear_rule_params
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.orders import ParentOrder
from trading.execution.smart.plan import SessionHours
from trading.execution.volume_shapes import shape_between

SLICE = timedelta(minutes=5)
"""Length of a slice unless an order needs longer ones: one bar of the intraday data."""
EDGE = 0.2
"""A piece at the edge of a horizon that is shorter than this part of a slice is joined to its neighbour: a
slice of seconds has no cap worth a child."""
EARLY_CLOSE_VOLUME = 0.5
"""Part of a usual day's volume expected on a day that closes early. Careful, as half days of US stocks have
3.5 of 6.5 hours and few people; a cap that is too low only makes an order slower."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One slice before its quantity is known. days: its part of the session's trading time, which is one
    day; volume: expected of the whole market [shares]; cap: most shares of the order in it."""

    start: datetime
    end: datetime
    days: float
    volume: float
    cap: int


def trading_spans(hours: SessionHours, start: datetime, end: datetime) -> list[Span]:
    """Return the pieces of [start, end) in which the session trades: pauses are left out."""
    spans, at, last = [], max(start, hours.open), min(end, hours.close)
    for pause_start, pause_end in sorted(hours.pauses):
        spans.append((at, min(pause_start, last)))
        at = max(at, pause_end)
    return [(a, b) for a, b in [*spans, (at, last)] if a < b]


def session_days(hours: SessionHours, start: datetime, end: datetime) -> float:
    """Return the trading time within [start, end) in days: one session, pauses left out, is one day."""
    day = _length(trading_spans(hours, hours.open, hours.close))
    return _length(trading_spans(hours, start, end)) / day


def _length(spans: list[Span]) -> timedelta:
    return sum((end - start for start, end in spans), timedelta())


def cuts(hours: SessionHours, start: datetime, end: datetime, length: timedelta) -> list[Span]:
    """Return slices of `length` that cover the trading time of [start, end) and cross no pause.

    They lie on a grid that begins at the open (and anew after each pause), so a plan made later has the
    same ends; the first and the last one may be shorter, or longer by a piece of less than `EDGE`.
    """
    found: list[Span] = []
    for anchor, stop in trading_spans(hours, hours.open, hours.close):
        first, last = max(start, anchor), min(end, stop)
        if first >= last:
            continue
        at = anchor + ((first - anchor) // length + 1) * length
        marks = [first]
        while at < last:
            marks.append(at)
            at += length
        marks.append(last)
        if len(marks) > 2 and marks[1] - marks[0] < length * EDGE:
            del marks[1]
        if len(marks) > 2 and marks[-1] - marks[-2] < length * EDGE:
            del marks[-2]
        found += pairwise(marks)
    return found


def expected_volume(facts: MarketFacts, hours: SessionHours, start: datetime, end: datetime) -> float:
    """Return the shares the whole market is expected to trade within [start, end).

    The curve of the facts is stretched over the session's trading time and taken as even within a bucket.
    On an early close its own curve is used where there is one, with `EARLY_CLOSE_VOLUME` of a usual day.
    """
    shape, day = facts.shape, facts.daily_volume
    if hours.is_early_close:
        shape, day = facts.early_shape or facts.shape, day * EARLY_CLOSE_VOLUME
    first, last = max(start, hours.open), min(end, hours.close)
    return day * shape_between(shape, hours, first, last, 1)[0] if first < last else 0.0


def intervals_of(
    order: ParentOrder,
    facts: MarketFacts,
    hours: SessionHours,
    start: datetime,
    end: datetime,
    length: timedelta = SLICE,
) -> list[Interval]:
    """Return the slices of a horizon with the volume expected in each and the cap that follows; empty if
    nothing trades in it.

    Raises:
        ValueError: if `start` is not earlier than `end`, or an instant has no zone.
    """
    if start.tzinfo is None or end.tzinfo is None or start >= end:
        raise ValueError(f"end is {end}: expected an aware datetime later than start {start}")
    found = []
    for first, last in cuts(hours, start, end, length):
        volume = expected_volume(facts, hours, first, last)
        days = session_days(hours, first, last)
        cap = share_of(order.max_participation, volume)
        found.append(Interval(start=first, end=last, days=days, volume=volume, cap=cap))
    return found


def share_of(rate: float, volume: float) -> int:
    """Return the whole shares in `rate` of `volume`; 0.29 of 100 is 29, whatever binary fractions make of
    it."""
    return math.floor(rate * volume * (1 + 1e-12) + 1e-9)


def params_of(facts: MarketFacts, tau: float = 1.0) -> AlmgrenChrissParams:
    """Return the model's parameters by the rule of thumb (`model.calibration`). tau [days]."""
    return linear_rule_params(
        facts.daily_volume, facts.daily_spread, facts.daily_volatility, facts.price, tau=tau
    )


def cost_and_variance(
    params: AlmgrenChrissParams, intervals: Sequence[Interval], sizes: Sequence[int]
) -> tuple[float, float]:
    """Return E [$] and V [$^2] of trading `sizes`, one in each interval (Almgren and Chriss 2000, eq. 5, 8).

    E = gamma X^2 / 2 + epsilon X + sum (eta / tau_k - gamma / 2) n_k^2, V = sigma^2 sum tau_k x_k^2 with x_k
    the shares left after interval k: their formulas with a length of its own for each interval.
    """
    left = sum(sizes)
    cost = params.gamma * left * left / 2 + params.epsilon * left
    squares = 0.0
    for interval, size in zip(intervals, sizes, strict=True):
        left -= size
        cost += (params.eta / interval.days - params.gamma / 2) * size * size
        squares += interval.days * left * left
    return cost, params.sigma * params.sigma * squares
