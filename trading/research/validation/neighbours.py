"""The parameters next to those that a search has found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from trading.backtest.strategies.registry import Between, SearchSpace

STEP: Final = 0.1
"""A neighbour's distance, in parts of the searched range, where the search knows no steps."""


def neighbours_in(space: SearchSpace, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return `parameters` with one number at a time a step lower or higher, inside the searched bounds.

    The step is the search's own; a tenth of the range without one (of its logarithm where that is searched),
    at least 1 for whole numbers. Choices have no neighbours; empty: no number was searched.
    """
    return [
        {**parameters, name: near}
        for name, bounds in space.items()
        if isinstance(bounds, Between) and name in parameters
        for near in _beside(bounds, parameters[name])
    ]


def _beside(bounds: Between, value: float) -> Iterator[float]:
    for sign in (-1, 1):
        near = _moved(bounds, value, sign)
        if bounds.is_whole:
            near = min(round(near), value - 1) if sign < 0 else max(round(near), value + 1)
        near = min(max(near, bounds.low), bounds.high)
        if near != value:
            yield near


def _moved(bounds: Between, value: float, sign: int) -> float:
    if bounds.log:
        return float(value * (bounds.high / bounds.low) ** (sign * STEP))
    return value + sign * (bounds.step if bounds.step is not None else STEP * (bounds.high - bounds.low))
