"""Moving capital between strategies on a schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trading.backtest.budgets import Budget, budget_from
from trading.backtest.curves import stepped
from trading.backtest.history import Floats
from trading.backtest.signals import Signal
from trading.backtest.strategy_run import StrategyRun
from trading.backtest.view import equity_of
from trading.execution.checking import whole

LEAST = 1e-9
"""The part of all capital below which nothing is moved: what rounding left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalancing:
    """When and by what rule capital moves: after every `every` instants, to the budget's shares.

    Free capital moves at once. What is bound in positions is freed by reducing them at the next open, by the
    same part each, and moves at that instant's close; who gets capital enlarges its positions by the same
    part each at the open after. A strategy that has been stopped gets nothing more.

    Raises:
        ValueError: if `every` is no whole number from 1 up.
    """

    budget: Budget
    every: int = 21

    def __post_init__(self) -> None:
        whole("every", self.every, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule and its rule as values that JSON knows."""
        return {"every": self.every, "budget": self.budget.to_dict()}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Rebalancing:
        """Return what `to_dict` was made from. Raises ValueError for what it does not know."""
        return cls(budget=budget_from(saved["budget"]), every=saved["every"])


class Treasurer:
    """Carries a rebalancing out, called after the close of each instant.

    reserve: the cash that no strategy has. flows: by strategy, what it was given (above 0) or gave, with the
    instant.
    """

    def __init__(self, rebalancing: Rebalancing, runs: Sequence[StrategyRun], reserve: float) -> None:
        self.rebalancing = rebalancing
        self.runs = runs
        self.reserve = reserve
        self.flows: dict[str, list[tuple[int, float]]] = {run.name: [] for run in runs}
        self._began_with = reserve
        self._reserves: list[tuple[int, float]] = []
        self._initial = np.array([run.account.initial for run in runs])
        self._initial /= reserve + self._initial.sum()
        self._equities = np.array([run.account.initial for run in runs])
        """After the last instant's flows."""
        self._values: list[Floats] = []
        self._owed = np.zeros(len(runs))
        """What each still has to give once it is free, and what it is still to get, below 0."""

    def __call__(self, row: int) -> None:
        """Note how the strategies fared, and move what is free and owed."""
        equities = np.array([equity_of(run.account, run.view) for run in self.runs])
        before = self._values[-1] if self._values else np.ones(len(self.runs))
        alive = self._equities > 0.0
        self._values.append(np.where(alive, before * equities / np.where(alive, self._equities, 1.0), before))
        if (row + 1) % self.rebalancing.every == 0:
            self._plan(equities)
        if np.any(np.abs(self._owed) > LEAST * (self.reserve + equities.sum())):
            equities = self._move(row, equities)
        self._equities = equities

    def reserves(self, instants: int) -> Floats:
        """Return the reserve after each instant, shape (instants,)."""
        rows = [row for row, _ in self._reserves]
        return stepped(rows, [cash for _, cash in self._reserves], self._began_with, instants)

    def _plan(self, equities: Floats) -> None:
        """Say what each has to give or to get, and reduce the positions of those that lack free capital."""
        values = np.array(self._values)
        total = float(equities.sum()) + self.reserve
        shares = self.rebalancing.budget.weights(values, self._initial)
        going = np.array([run.failure is None for run in self.runs])
        self._owed = equities - np.where(going, shares, 0.0) * total
        for run, owed, equity in zip(self.runs, self._owed, equities, strict=True):
            bound = owed - max(run.account.available, 0.0)
            if run.failure is None and bound > LEAST * total:
                _scale(run, 1.0 - bound / equity)

    def _move(self, row: int, equities: Floats) -> Floats:
        """Collect what is free of what is owed, and share it out among those who are still to get some."""
        given = np.array(
            [
                min(owed, max(run.account.available, 0.0)) if owed > 0.0 else 0.0
                for run, owed in zip(self.runs, self._owed, strict=True)
            ]
        )
        pool = self.reserve + float(given.sum())
        wanted = np.where(self._owed < 0.0, -self._owed, 0.0)
        part = min(1.0, pool / wanted.sum()) if wanted.any() else 0.0
        got = wanted * part
        for at, run in enumerate(self.runs):
            amount = float(got[at] - given[at])
            if amount:
                run.account.adjust(row, amount)
                self.flows[run.name].append((row, amount))
            if got[at] > 0.0 and equities[at] > 0.0:
                _scale(run, 1.0, float(equities[at]))
        self.reserve = pool - float(got.sum())
        self._reserves.append((row, self.reserve))
        self._owed = self._owed - given + got
        moved: Floats = equities + got - given
        return moved


def _scale(run: StrategyRun, part: float, equity: float | None = None) -> None:
    """Order, for the next open, that each position be `part` of its present share of the equity.

    equity: what the shares are of, None for the present one. What the strategy itself has ordered for a
    symbol goes before.
    """
    whole_of = equity_of(run.account, run.view) if equity is None else equity
    ordered = {order.symbol for order in run.waiting}
    for symbol, position in run.account.positions.items():
        if symbol not in ordered:
            weight = position.quantity * run.view.close(symbol) / whole_of
            run.order(Signal.hold(symbol, weight * part, reason="rebalanced"))
