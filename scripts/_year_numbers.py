"""The figures of a simulated year, as a page shows them."""

from __future__ import annotations

NONE = "–"


def named(name: str) -> str:
    """Return a key as a reader wants it: "holiday_weekend" is "holiday weekend"."""
    return name.replace("_", " ")


def share(value: float | None) -> str:
    """Return a share as a percentage, cut after its first decimal: nothing is rounded up to an aim."""
    if value is None:
        return NONE
    return f"{int(1000 * value + 1e-9) / 10:.1f} %"


def whole(value: float) -> str:
    """Return a share that is a whole percentage."""
    return f"{value:.0%}".replace("%", " %")


def points(value: float | None, base: float | None) -> str:
    """Return by how many percentage points a share differs from another."""
    if value is None or base is None:
        return NONE
    difference = round(100 * (value - base), 1)
    return f"{difference:+.1f}" if difference else "0"


def hours(value: float | None) -> str:
    """Return hours, with a decimal where there are few."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}"


def ratio(value: float | None) -> str:
    """Return how many times as much, with three decimals."""
    return NONE if value is None else f"{value:.3f}"


def megabytes(value: float | None) -> str:
    """Return MB, whole."""
    return NONE if value is None else f"{value:,.0f} MB"
