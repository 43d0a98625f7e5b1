"""Where the lines of a report's pictures begin, end and are labelled. Pure numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trading.backtest.history import Floats, Ints, said
from trading.backtest.performance.curves import Unit, calendar_numbers
from trading.execution.svg import ticks

MOST_DATES = 10
LOG_FROM = 3.0
"""How many times its lowest value a curve's highest must be for a logarithmic axis to tell more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The scale of the equity: values between low and high, straight or logarithmic; at: a value's place
    from 0 (low) to 1 (high). marks: round values with their labels."""

    low: float
    high: float
    is_log: bool

    def at(self, value: float) -> float:
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    @property
    def marks(self) -> list[tuple[float, str]]:
        values = _log_marks(self.low, self.high) if self.is_log else []
        if len(values) < 3:
            values = ticks(self.low, self.high, 6)
        digits = max(0, -math.floor(math.log10(max(min(np.diff(values), default=1.0), 1e-9)) + 1e-9))
        return [(value, f"{value:,.{digits}f}") for value in values]


def amounts(curves: Sequence[Floats], is_log: bool | None) -> Amounts:
    """Return the scale that holds all curves, the first being the total.

    is_log: None: logarithmic if the total's highest value is some times its lowest. Never if one is not
    above 0.
    """
    low = min(float(curve.min()) for curve in curves)
    high = max(float(curve.max()) for curve in curves)
    total = curves[0]
    wanted = is_log if is_log is not None else bool(total.max() > LOG_FROM * total.min())
    if wanted and low > 0 and high > low:
        return Amounts(low=low / (high / low) ** 0.04, high=high * (high / low) ** 0.04, is_log=True)
    spare = 0.05 * (high - low) or abs(high) * 0.01 or 1.0
    return Amounts(low=low - spare, high=high + spare, is_log=False)


def _log_marks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten; of many, the powers alone."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1,)):
        found = [digit * 10.0**power for power in powers for digit in digits]
        found = [value for value in found if low <= value <= high]
        if len(found) <= 9:
            break
    return found


def dates(stamps: Ints) -> list[tuple[int, str]]:
    """Return indices at which a year, month or day begins, with its label, at most `MOST_DATES`."""
    units: tuple[tuple[Unit, int], ...] = (("Y", 4), ("M", 7), ("D", 10))
    for unit, letters in units:
        numbers = calendar_numbers(stamps, unit)
        if unit == "Y":
            numbers = numbers + 1970
        starts = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
        if len(starts) < 2:
            continue
        every = _round_step(len(starts), unit)
        kept = [int(at) for at in starts if unit == "D" or numbers[at] % every == 0]
        kept = kept[::every] if unit == "D" else kept
        if len(kept) >= 2:
            return [(at, said(stamps[at])[:letters]) for at in kept]
    last = len(stamps) - 1
    return [(0, said(stamps[0])), (last, said(stamps[last]))][: 2 if last else 1]


def _round_step(count: int, unit: Unit) -> int:
    steps = {"Y": (1, 2, 5, 10, 20, 50), "M": (1, 2, 3, 6), "D": (1, 2, 5, 10, 20)}[unit]
    return next((step for step in steps if count <= step * MOST_DATES), steps[-1])
