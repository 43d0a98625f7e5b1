"""What several strategies came to, each and together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from trading.backtest.allocation import StrategyAllocation
from trading.backtest.errors import StrategyError
from trading.backtest.history import Floats, Ints
from trading.backtest.performance.definitions import definitions_to_dict
from trading.backtest.performance.metrics import PerformanceMetrics
from trading.backtest.result import BacktestResult
from trading.backtest.specification import if_any

if TYPE_CHECKING:
    import pandas as pd

COMPARED = ("total_return", "sharpe_ratio", "win_rate", "max_drawdown")


def _unsaid() -> dict[str, Any]:
    raise StrategyError("the result was put together without saying what it was made from")


@dataclass(frozen=True)
class OrchestratorResult:
    """The outcome of an orchestrated backtest.

    aggregate_metrics: of all together. strategy_results: by strategy_id, in the order given.
    comparison_table: by strategy_id its total_return, sharpe_ratio, win_rate and max_drawdown.

    equity: the sum of the strategies' equities and of the reserve after each instant, shape (instants,).
    reserve: cash that no strategy has (weights below 1 in sum), the same shape. stamps: the instants' labels.
    allocations: the capital of each at the end. specified: works out the specification.

    The first three are enough: without the others there was no reserve, and capital, equity and stamps are
    those of the strategies.

    Raises:
        ValueError: if the strategies' equities are wanted and are not of the same instants.
    """

    aggregate_metrics: PerformanceMetrics
    strategy_results: dict[str, BacktestResult]
    comparison_table: dict[str, dict[str, float]]
    _: KW_ONLY
    initial_capital: float = 0.0
    equity: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    reserve: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    stamps: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    allocations: Mapping[str, StrategyAllocation] = field(default_factory=dict)
    specified: Callable[[], dict[str, Any]] = field(default=_unsaid, repr=False)

    def __post_init__(self) -> None:
        results = list(self.strategy_results.values())
        if self.equity.size or not results:
            return
        stamps = results[0].stamps
        if not all(np.array_equal(stamps, each.stamps) for each in results):
            raise ValueError("strategy_results are of different instants: expected results of the same bars")
        put = partial(object.__setattr__, self)
        put("equity", np.sum([each.equity for each in results], axis=0))
        put("reserve", np.zeros(len(stamps)))
        put("stamps", stamps)
        put("initial_capital", sum(each.initial_capital for each in results))

    @cached_property
    def specification(self) -> dict[str, Any]:
        """All that the run was made from, as values that JSON knows; `trading.backtest.rerun` runs it again.

        Raises:
            StrategyError: if a strategy has a parameter that cannot be saved.
        """
        return self.specified()

    @property
    def unspecified(self) -> str | None:
        """Why there is no specification; None: there is one."""
        return if_any(lambda: self.specification)[1]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that the strategies had bars of."""
        return next((each.symbols for each in self.strategy_results.values()), ())

    @property
    def final_equity(self) -> float:
        """The sum of the strategies' equities, and of the reserve, at the end."""
        return float(self.equity[-1]) if self.equity.size else self.initial_capital

    @property
    def failures(self) -> dict[str, str]:
        """Why strategies were stopped, by strategy_id; empty if none was."""
        results = self.strategy_results.items()
        return {name: each.failure.error for name, each in results if each.failure is not None}

    @property
    def equity_curve(self) -> pd.Series:
        """The equity of all together by the instants' labels (naive UTC)."""
        import pandas as pd

        return pd.Series(self.equity, index=pd.DatetimeIndex(self.stamps, name="date"), name="aggregate")

    def get_strategy_result(self, strategy_id: str) -> BacktestResult:
        """Return one strategy's result.

        Raises:
            KeyError: naming the strategies there are.
        """
        try:
            return self.strategy_results[strategy_id]
        except KeyError:
            known = ", ".join(self.strategy_results)
            raise KeyError(f"no strategy is called {strategy_id!r}; there are {known}") from None

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result as values that JSON knows, the metrics' definitions with it.

        Where a parameter cannot be saved, `specification` is None and `unspecified` says why.
        """
        specification, unspecified = if_any(lambda: self.specification)
        return {
            "initial_capital": self.initial_capital,
            "final_equity": self.final_equity,
            "aggregate_metrics": self.aggregate_metrics.to_dict(),
            "definitions": definitions_to_dict(),
            "comparison_table": {
                name: {key: _number(value) for key, value in row.items()}
                for name, row in self.comparison_table.items()
            },
            "strategy_results": {name: each.to_dict() for name, each in self.strategy_results.items()},
            "equity": self.equity.tolist(),
            "reserve": self.reserve.tolist(),
            "stamps": self.stamps.tolist(),
            "allocations": {
                name: {
                    "allocated_capital": str(each.allocated_capital),
                    "used_capital": str(each.used_capital),
                    "available_capital": str(each.available_capital),
                }
                for name, each in self.allocations.items()
            },
            "failures": self.failures,
            "specification": specification,
            "unspecified": unspecified,
        }


def _number(value: float) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return value if value - value == 0.0 else None
