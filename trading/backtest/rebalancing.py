"""Moving capital between strategies on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trading.backtest.history import Floats
from trading.backtest.strategy_run import StrategyRun


class Budget(Protocol):
    """A rule that says what share of the capital each strategy should have."""

    def weights(self, equities: Floats, initial: Floats) -> Floats:
        """Return the shares, shape (strategies,), each from 0 up, together at most 1.

        equities: each strategy's value of one unit of capital so far, shape (instants, strategies), capital
        given or taken left out. initial: the shares they began with, shape (strategies,).
        """

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as values that JSON knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalancing:
    """When and by what rule capital moves: after every `every` instants, to the budget's shares.

    Raises:
        ValueError: if `every` is no whole number from 1 up.
    """

    budget: Budget
    every: int = 21

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every is {self.every!r}: expected a whole number from 1 up")

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule and its rule as values that JSON knows."""
        return {"every": self.every, "budget": self.budget.to_dict()}


class Treasurer:
    """Carries a rebalancing out. `reserve`: the cash that no strategy has."""

    def __init__(self, rebalancing: Rebalancing, runs: Sequence[StrategyRun], reserve: float) -> None:
        self.rebalancing = rebalancing
        self.runs = runs
        self.reserve = reserve

    def __call__(self, row: int) -> None:
        """Move what is to be moved after the close of an instant."""
        raise NotImplementedError

    def reserves(self, instants: int) -> Floats:
        """Return the reserve after each instant, shape (instants,)."""
        raise NotImplementedError
