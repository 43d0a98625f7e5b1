"""The array form of a strategy: all its decisions at once, then the fills they lead to."""

from __future__ import annotations

from collections.abc import Mapping

from trading.backtest.config import BacktestConfig
from trading.backtest.history import PriceHistory
from trading.backtest.result import BacktestResult
from trading.backtest.strategy import IStrategy


def run_arrays(
    strategy: IStrategy,
    history: PriceHistory,
    capital: float,
    config: BacktestConfig,
    metadata: Mapping[str, object],
) -> BacktestResult:
    """Return what the strategy's array signals made of the capital: the result of its `on_bar`.

    metadata: goes into every trade's.

    Raises:
        StrategyError: if it has no array form, or answers in another shape than asked for.
        LookAheadError: if a decision changes with bars to come.
    """
    raise NotImplementedError
