"""The array form of a strategy: all its decisions at once, then the fills they lead to."""

from __future__ import annotations

from collections.abc import Mapping

from trading.backtest.config import BacktestConfig
from trading.backtest.history import PriceHistory
from trading.backtest.result import BacktestResult
from trading.backtest.strategy import IStrategy
from trading.backtest.strategy_run import Observer


def run_arrays(
    strategy: IStrategy,
    history: PriceHistory,
    capital: float,
    config: BacktestConfig,
    metadata: Mapping[str, object],
    *,
    observer: Observer | None = None,
    isolated: bool = False,
) -> BacktestResult:
    """Return what the strategy's array signals made of the capital: the result of its `on_bar`.

    metadata: goes into every trade's. observer: told of signals, fills, rejections and failures, as in
    `StrategyRun` (the sparse way then, if it wants to hear of fills); isolated: whether an exception of the
    strategy is reported in the result (flat equity) instead of raised.

    Raises:
        StrategyError: if it has no array form, or answers in another shape than asked for.
        LookAheadError: if a decision changes with bars to come.
    """
    raise NotImplementedError
