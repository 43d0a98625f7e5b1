"""Which algorithm works an order: by its size, and by what that size means in its market. Pure and light."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime

from trading.execution.facts import MarketFacts
from trading.execution.orders import ParentOrder
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.plan import Choice, SessionHours
from trading.execution.smart.planning import Interval, intervals_of

AUTO = "auto"
LADDER = ("market", "twap", "vwap", "adaptive", "iceberg")
"""From the plainest to the most careful; a rule only ever moves an order to the right."""
SIZES = (500, 2_000, 5_000, 10_001)
"""Shares from which the next algorithm of the ladder is taken: 10,000 are still adaptive."""
DAILY_SHARES = (0.001, 0.005, 0.02, 0.10)
"""The same for the order's share of a day's volume. One slice trades about 1 / 78 of the day, so at 0.1 % an
order fills an eighth of it: that is what a market order may be at most."""
CAPACITY_SHARES = (0.25, 0.50)
"""Part of all the caps' room from which vwap and adaptive are taken: little may then go wrong."""
WIDE_SPREAD = 0.005
"""Spread over price from which nothing is sent at once: crossing it costs 25 basis points or more."""


def choose(
    order: ParentOrder, facts: MarketFacts, hours: SessionHours, start: datetime, end: datetime
) -> Choice:
    """Return the algorithm for an order that is worked in [start, end), with the rule and its numbers.

    A person's choice (`order.algorithm` other than "auto") wins. Otherwise the most careful of what these
    ask for: the size table; the share of daily volume; the slices the caps need, and the part of their
    room; the spread.

    Raises:
        ValueError: for an unknown algorithm, or if `start` is not earlier than `end`.
    """
    intervals = intervals_of(order, facts, hours, start, end)
    numbers = _numbers(order, facts, intervals)
    if order.algorithm != AUTO:
        if order.algorithm not in ALGORITHMS:
            known = ", ".join([AUTO, *ALGORITHMS])
            raise ValueError(f"algorithm is {order.algorithm!r}: expected one of {known}")
        rule = f"{order.algorithm} was asked for by the order"
        return Choice(algorithm=order.algorithm, rule=rule, numbers=tuple(numbers.items()))
    wishes = _wishes(numbers)
    by_size, reason = wishes[0]
    level, why = max(wishes, key=lambda wish: wish[0])  # the first of equals
    rule = f"{LADDER[by_size]} by size ({reason})"
    if level > by_size:
        rule += f", raised to {LADDER[level]} ({why})"
    return Choice(algorithm=LADDER[level], rule=rule, numbers=tuple(numbers.items()))


def _numbers(order: ParentOrder, facts: MarketFacts, intervals: Sequence[Interval]) -> dict[str, float]:
    """Return what the rules look at, and the volatility, with which the cost is judged afterwards.

    slices_needed: one more than there are if all of them do not suffice.
    """
    room, needed = 0, 0
    for interval in intervals:
        if room < order.quantity:
            room += interval.cap // order.lot_size * order.lot_size
            needed += 1
    capacity = sum(interval.cap for interval in intervals)
    return {
        "quantity": order.quantity,
        "daily_volume": facts.daily_volume,
        "share_of_daily_volume": order.quantity / facts.daily_volume,
        "slices_needed": needed if room >= order.quantity else needed + 1,
        "capacity": capacity,
        "spread_over_price": facts.daily_spread / facts.price,
        "daily_volatility": facts.daily_volatility,
    }


def _wishes(numbers: dict[str, float]) -> list[tuple[int, str]]:
    """Return (place on the ladder, why) by each rule, the size table first."""
    quantity, capacity = numbers["quantity"], numbers["capacity"]
    part = numbers["share_of_daily_volume"]
    needed = int(numbers["slices_needed"])
    used = quantity / capacity if capacity else 2.0  # no room at all: the plan will say so
    spread = numbers["spread_over_price"]
    return [
        (bisect_right(SIZES, quantity), f"{quantity:,.0f} shares"),
        (bisect_right(DAILY_SHARES, part), f"{part:.2%} of a day's volume"),
        (int(needed > 1), f"its cap needs {needed} slices"),
        (_used_level(used), f"{used:.0%} of what the caps have room for"),
        (int(spread >= WIDE_SPREAD), f"the spread is {spread:.2%} of the price"),
    ]


def _used_level(used: float) -> int:
    level = bisect_right(CAPACITY_SHARES, used)
    return level + 1 if level else 0
