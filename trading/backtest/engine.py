"""One strategy over a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from trading.backtest.config import BacktestConfig, check_kind
from trading.backtest.curves import equity_curve
from trading.backtest.errors import HistoryError, StrategyError
from trading.backtest.history import PriceHistory, SymbolBars, said
from trading.backtest.lockstep import Progress, indicator_values, run_together
from trading.backtest.result import BacktestResult
from trading.backtest.specification import described_history, described_strategy, versions
from trading.backtest.strategy import IStrategy, snake_case
from trading.backtest.strategy_run import StrategyRun
from trading.backtest.view import View
from trading.execution.checking import positive, whole

if TYPE_CHECKING:
    import pandas as pd


class BacktestEngine:
    """Runs a strategy on bars by one rule: what it decides after the close of a bar is an order, filled from
    the next bar on; equity is cash and positions at the closes; what is open at the end is marked.

    config: costs and further rules; None for none of them.

    Raises:
        ValueError: for a config that is none.
    """

    def __init__(self, config: BacktestConfig | None = None) -> None:
        check_kind("config", config, BacktestConfig | None, "a BacktestConfig or None")
        self.config = config or BacktestConfig()

    def run(
        self,
        strategy: IStrategy,
        historical_data: PriceHistory | pd.DataFrame | Mapping[str, pd.DataFrame],
        initial_capital: float | Decimal,
        *,
        arrays: bool = False,
        progress: Progress | None = None,
    ) -> BacktestResult:
        """Return what the strategy made of the capital.

        historical_data: bars, a frame of one symbol, or frames by symbol (`PriceHistory.from_frames`).
        initial_capital: cash. arrays: whether the strategy's array form is asked for all its decisions at
        once; the result is that of its bars, faster. progress: told the share done, about a hundred times on
        the way, in arrays at the end alone.

        Raises:
            HistoryError: if the bars cannot be used, or are too few for the strategy's warm-up.
            StrategyError: if the strategy breaks its protocol, or has no array form; LookAheadError if that
                changes with bars to come. What the strategy itself raises is passed on.
            ValueError: if the capital is no finite number above 0.
        """
        history = as_history(historical_data)
        capital = capital_of(initial_capital)
        check_strategy(strategy)
        check_fits(strategy, history)
        warn_of_splits(history)
        if arrays:
            from trading.backtest.array_form import run_arrays

            result = run_arrays(strategy, history, capital, self.config, {})
            if progress is not None:
                progress(1.0)
            return result
        run = StrategyRun(strategy, capital, View(history, indicator_values(strategy, history)), self.config)
        run_together(history, [run], progress=progress)
        return result_of(run, {})


def result_of(
    run: StrategyRun, metadata: Mapping[str, object], flows: Sequence[tuple[int, float]] = ()
) -> BacktestResult:
    """Return the result of a run that has ended. metadata: goes into every trade's. flows: capital that was
    given or taken away."""
    history = run.view.history
    return BacktestResult(
        strategy_id=run.name,
        initial_capital=run.account.initial,
        history=history,
        equity=equity_curve(run.account, history),
        record=run.account.record,
        allocated=run.account.allocated,
        used=run.account.used,
        payments=run.account.payments,
        flows=flows,
        rejections=run.rejections,
        failure=run.failure,
        specification=lambda: specified(run.strategy, run.config, history, run.account.initial, arrays=False),
        metadata=metadata,
    )


def specified(
    strategy: IStrategy, config: BacktestConfig, history: PriceHistory, capital: float, *, arrays: bool
) -> dict[str, Any]:
    """Return all that a run is made from, as values that JSON knows."""
    return {
        "strategy": described_strategy(strategy),
        "config": config.to_dict(),
        "history": described_history(history),
        "initial_capital": capital,
        "arrays": arrays,
        "versions": versions(),
    }


def as_history(
    historical_data: PriceHistory | pd.DataFrame | Mapping[str, pd.DataFrame],
) -> PriceHistory:
    """Return the bars as a history. Raises HistoryError as `PriceHistory.from_frames`."""
    if isinstance(historical_data, PriceHistory):
        return historical_data
    return PriceHistory.from_frames(historical_data)


def capital_of(given: float | Decimal) -> float:
    """Return the initial capital as a float. Raises ValueError if it is no finite number above 0."""
    return positive("initial_capital", given)  # type: ignore[arg-type]  # a Decimal is as good as a float


def check_strategy(strategy: object) -> None:
    """Refuse what is no strategy. One without a name gets that of its class, in snake_case.

    Raises:
        StrategyError: naming what it lacks, or its name if that is no text. ValueError: if its warm-up is no
            whole number from 0 up.
    """
    if isinstance(strategy, type):
        raise StrategyError(f"{strategy.__name__} is a class: expected a strategy made of it")
    missing = [each for each in ("name", "parameters", "warmup", "on_bar") if not hasattr(strategy, each)]
    if missing == ["name"]:
        _give_name(strategy)
        missing = []
    if missing or not isinstance(strategy, IStrategy):
        raise StrategyError(
            f"{strategy!r} has no {', '.join(missing)}: expected a strategy, which trading.backtest.Strategy "
            f"is a base for"
        )
    if not isinstance(strategy.name, str):
        raise StrategyError(f"name of {strategy!r} is {strategy.name!r}: expected text")
    whole(f"warmup of {strategy.name}", strategy.warmup, 0)


def warn_of_splits(history: PriceHistory) -> None:
    """Log a warning if prices jump on splits: the account turns shares and orders, but rules see the jump."""
    jumping = [bars.symbol for bars in history.bars.values() if _splits(bars)]
    if jumping:
        # Loaded by those alone who need it.
        from observability.logs import get_logger

        get_logger("backtest").warning(
            "prices.jump",
            symbols=", ".join(jumping),
            splits=sum(_splits(history.bars[symbol]) for symbol in jumping),
            detail="rules see traded prices, splits as moves; take adjusted ones for rules of price",
        )


def _splits(bars: SymbolBars) -> int:
    return 0 if bars.splits is None else int(np.count_nonzero(bars.splits[1:] != 1.0))


def _give_name(strategy: object) -> None:
    try:
        strategy.name = snake_case(type(strategy).__name__)  # type: ignore[attr-defined]  # it has none yet
    except AttributeError:
        raise StrategyError(f"{strategy!r} has no name and cannot be given one: expected a name") from None


def check_fits(strategy: IStrategy, history: PriceHistory) -> None:
    """Refuse a history that lacks a symbol of the strategy's parameters (`symbols`, if they have them), or
    in which one of these, or else every symbol, has too few bars for what it must see first.

    Symbols that the parameters do not name may have fewer, as some are listed later than others: of those the
    strategy decides nothing until they have enough.

    Raises:
        HistoryError: naming the missing symbols, or one that is too short with its count and dates.
    """
    named = tuple(getattr(strategy.parameters, "symbols", ()))
    missing = [name for name in named if name not in history.bars]
    if missing:
        known = ", ".join(history.symbols)
        raise HistoryError(f"{strategy.name} trades {', '.join(missing)}: the history has {known}")
    for bars in (history.bars[name] for name in named):
        if len(bars) <= strategy.warmup:
            raise HistoryError(f"{_needs(strategy)}: {bars.symbol}, which it trades, {_has(bars)}")
    longest = max(history.bars.values(), key=len)
    if len(longest) <= strategy.warmup:
        among = f"the longest of {len(history.bars)} symbols"
        raise HistoryError(f"{_needs(strategy)}: {longest.symbol}, {among}, {_has(longest)}")


def _needs(strategy: IStrategy) -> str:
    return f"{strategy.name} needs more than {strategy.warmup} bars"


def _has(bars: SymbolBars) -> str:
    return f"has {len(bars)}, from {said(bars.stamps[0])} to {said(bars.stamps[-1])}"
