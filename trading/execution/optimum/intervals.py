"""How many intervals an order needs, without the error of a float ceil. Light: standard library only."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from trading.execution.checking import positive


def exactly(value: float | int | Fraction) -> Fraction:
    """Return the number that a person reads in `value`: 0.29 is 29/100, not the float's binary neighbour."""
    if isinstance(value, (int, Fraction)):
        return Fraction(value)
    return Fraction(Decimal(repr(float(value))))  # half the time of Fraction's own reading


def calculate_optimal_intervals(
    order_size: float, expected_interval_volume: float, max_participation_rate: float = 0.10
) -> int:
    """Return the fewest equal intervals into which the order fits: ceil(order / (rate * volume)), exactly.

    order_size, expected_interval_volume [shares]; max_participation_rate: share of the volume in (0, 1].
    The arguments are read as decimals: 290 shares at 0.29 of 100 need 10 intervals, where floats say 11.
    This is the *least* horizon under the cap, at least 1; `optimize_schedule` decides what to do in it.

    Raises:
        ValueError: if an argument is no finite number above 0, or the rate is above 1.
    """
    positive("order_size", order_size)
    positive("expected_interval_volume", expected_interval_volume)
    if positive("max_participation_rate", max_participation_rate) > 1:
        raise ValueError(f"max_participation_rate is {max_participation_rate!r}: expected above 0, at most 1")
    cap = exactly(max_participation_rate) * exactly(expected_interval_volume)
    return math.ceil(exactly(order_size) / cap)
