"""Returns by calendar month and year (UTC), as a report prints them. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from trading.backtest.performance.curves import (
    Floats,
    Stamps,
    Unit,
    calendar_numbers,
    checked_capital,
    checked_equity,
    checked_stamps,
    last_of_each,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class YearOfReturns:
    """One row of the monthly table; returns are fractions, 0.02 for 2 %.

    months: twelve, January first; None for a month without bars, or one that began with no equity left.
    total: the whole year's, None likewise.
    """

    year: int
    months: tuple[float | None, ...]
    total: float | None


def monthly_table(equity: ArrayLike, stamps: ArrayLike, initial_capital: float) -> tuple[YearOfReturns, ...]:
    """Return a row for every year that has bars, the earliest first.

    A month's return is its last equity / the last one before it (`initial_capital` for the first month) - 1,
    so that a year's months multiply to its total.

    equity, stamps: shape (n,), stamps in nanoseconds since 1970-01-01 UTC.

    Raises:
        ValueError: for an empty or non-finite curve, stamps that do not ascend, a capital not above 0.
    """
    curve, capital = checked_equity(equity), checked_capital(initial_capital)
    labels = checked_stamps(stamps, len(curve))
    months = _returns_by(curve, labels, capital, "M")
    totals = _returns_by(curve, labels, capital, "Y")
    return tuple(
        YearOfReturns(
            year=1970 + year,
            months=tuple(months.get(12 * year + month) for month in range(12)),
            total=total,
        )
        for year, total in totals.items()
    )


def _returns_by(equity: Floats, stamps: Stamps, capital: float, unit: Unit) -> dict[int, float | None]:
    """Return the return of every month or year that has bars, by its number since 1970."""
    last = last_of_each(stamps, unit)
    numbers = calendar_numbers(stamps[last], unit)
    after = equity[last].tolist()
    return {
        number: (end - start) / start if start > 0 else None
        for number, start, end in zip(numbers.tolist(), [capital, *after], after, strict=False)
    }
