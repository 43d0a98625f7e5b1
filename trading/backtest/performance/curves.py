"""Equity curves as checked arrays, and the returns in them. Pure numpy."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]
Unit = Literal["D", "M", "Y"]
"""Days, months or years."""


def checked_equity(equity: ArrayLike) -> Floats:
    """Return the curve as floats, shape (n,): equity after each bar.

    Raises:
        ValueError: if it is empty, not one-dimensional, or an entry is not a finite number.
    """
    return _finite("equity", equity, "at least one bar")


def checked_capital(initial_capital: float) -> float:
    """Return the start value as a float.

    Raises:
        ValueError: if it is not a finite number above 0.
    """
    capital = float(initial_capital)
    if not (np.isfinite(capital) and capital > 0):
        raise ValueError(f"initial_capital is {initial_capital!r}: expected a finite number above 0")
    return capital


def checked_stamps(stamps: ArrayLike, bars: int) -> Stamps:
    """Return the bars' labels, nanoseconds since 1970-01-01 UTC, shape (bars,).

    Raises:
        ValueError: if there is not one whole number per bar, each later than the one before.
    """
    array = np.asarray(stamps)
    if array.dtype.kind not in "iu":
        raise ValueError(f"stamps are {array.dtype}: expected whole numbers, nanoseconds since 1970 UTC")
    if array.shape != (bars,):
        raise ValueError(f"stamps have the shape {array.shape}: expected ({bars},), one per bar of equity")
    array = array.astype(np.int64, copy=False)
    backward = array[1:] <= array[:-1]
    if backward.any():
        at = int(np.argmax(backward)) + 1
        raise ValueError(f"stamps[{at}] is {array[at]}: expected one later than {array[at - 1]} before it")
    return array


def checked_numbers(name: str, numbers: ArrayLike) -> Floats:
    """Return finite numbers as floats, shape (k,), k = 0 allowed.

    Raises:
        ValueError: naming `name` and the entry that is not a finite number.
    """
    return _finite(name, numbers, None)


def calendar_numbers(stamps: Stamps, unit: Unit) -> Stamps:
    """Return the number, from 1970 on, of the UTC day, month or year in which each stamp lies."""
    return stamps.astype("datetime64[ns]").astype(f"datetime64[{unit}]").astype(np.int64)


def last_of_each(stamps: Stamps, unit: Unit) -> NDArray[np.intp]:
    """Return the index of the last bar of every UTC day, month or year that has bars, in order."""
    numbers = calendar_numbers(stamps, unit)
    return np.append(np.flatnonzero(numbers[1:] != numbers[:-1]), len(numbers) - 1)


def simple_returns(equity: Floats, initial_capital: float) -> Floats:
    """Return r[i] = E[i] / E[i-1] - 1 with E[-1] = `initial_capital`, shape (n,): the first bar counts.

    Once equity is not above 0 nothing is left to earn a return on: the return that leads there is kept
    (-1 or less), and those after it are 0, even if equity comes back.
    """
    before = np.concatenate(([initial_capital], equity[:-1]))
    ruined = first_ruin(equity)
    if ruined is None:
        return np.asarray((equity - before) / before)
    kept = slice(0, ruined + 1)
    returns = np.zeros(len(equity))
    returns[kept] = (equity[kept] - before[kept]) / before[kept]
    return returns


def first_ruin(equity: Floats) -> int | None:
    """Return the first index at which equity is not above 0; None if it always is."""
    gone = equity <= 0
    return int(np.argmax(gone)) if gone.any() else None


def _finite(name: str, numbers: ArrayLike, at_least: str | None) -> Floats:
    array = np.asarray(numbers, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} has the shape {array.shape}: expected one dimension")
    if at_least and not len(array):
        raise ValueError(f"{name} is empty: expected {at_least}")
    finite = np.isfinite(array)
    if not finite.all():
        at = int(np.argmin(finite))
        raise ValueError(f"{name}[{at}] is {float(array[at])!r}: expected a finite number")
    return array
