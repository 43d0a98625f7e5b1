"""Several strategies over one history, each with its share of the capital and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from trading.backtest.account import Account, Fill
from trading.backtest.allocation import StrategyAllocation, money
from trading.backtest.array_form import run_arrays
from trading.backtest.combined import check_sum, combined_equity
from trading.backtest.config import check_kind
from trading.backtest.engine import (
    as_history,
    capital_of,
    check_fits,
    check_strategy,
    result_of,
    warn_of_splits,
)
from trading.backtest.events import EventLog
from trading.backtest.history import Floats, PriceHistory, said
from trading.backtest.lockstep import Progress, indicator_values, run_together
from trading.backtest.orchestrator_config import OrchestratorConfig
from trading.backtest.orchestrator_result import COMPARED, OrchestratorResult
from trading.backtest.performance.calculator import PerformanceCalculator
from trading.backtest.performance.metrics import PerformanceMetrics
from trading.backtest.rebalancing import Treasurer
from trading.backtest.rejections import Reason, Rejection
from trading.backtest.result import BacktestResult
from trading.backtest.signals import Signal
from trading.backtest.specification import described_history, described_strategy, versions
from trading.backtest.strategy import IStrategy
from trading.backtest.strategy_run import Failure, StrategyRun
from trading.backtest.view import View
from trading.execution.checking import positive

if TYPE_CHECKING:
    import pandas as pd

Weight = float | Decimal
THREADS = 2
"""How many array forms are asked at once."""
SLACK = 1e-9
"""How much above 1 the sum of weights may be: what 0.1 + 0.2 and its like are off."""


class StrategyOrchestrator:
    """Runs strategies side by side: each sees each bar once, in time order, and trades its own share.

    strategies: pairs of a strategy and its weight, the share of the capital it gets; names differ. A signal
    that costs more than the strategy has available is rejected and logged; capital returns when a position
    is closed. A strategy that raises is stopped, its positions are closed at the next open, and the others
    go on.

    Raises:
        ValueError: for no strategies, what is none (StrategyError), two of one name, a weight that is not
            above 0, weights of more than 1 in sum (unless the configuration does not validate them), or a
            config that is none.
    """

    def __init__(
        self, strategies: Sequence[tuple[IStrategy, Weight]], config: OrchestratorConfig | None = None
    ) -> None:
        check_kind("config", config, OrchestratorConfig | None, "an OrchestratorConfig or None")
        self.config = config or OrchestratorConfig()
        self.strategies = [_pair(each) for each in strategies]
        _check_names([strategy.name for strategy, _ in self.strategies])
        _check_weights(self.strategies, self.config.validate_weights)

    def run(
        self,
        historical_data: PriceHistory | pd.DataFrame | Mapping[str, pd.DataFrame],
        initial_capital: float | Decimal,
        *,
        progress: Progress | None = None,
    ) -> OrchestratorResult:
        """Return what became of the capital, in total and by strategy.

        historical_data: bars, a frame of one symbol, or frames by symbol (`PriceHistory.from_frames`).
        progress: told the share done, about a hundred times on the way, in arrays after each strategy.

        Raises:
            HistoryError: if the bars cannot be used, or are too few for a strategy's warm-up.
            ValueError: if the capital is no finite number above 0.
            BooksError: if the strategies' equities do not add up to the total on some bar: a fault of ours.
        """
        history = as_history(historical_data)
        capital = capital_of(initial_capital)
        for strategy, _ in self.strategies:
            check_fits(strategy, history)
        warn_of_splits(history)
        with EventLog(self.config.log_dir, self.config.logging_level) as log:
            started = {
                "strategies": {strategy.name: weight for strategy, weight in self.strategies},
                "initial_capital": capital,
                "symbols": list(history.symbols),
                "instants": len(history),
            }
            log.write("INFO", "backtest_started", None, started)
            result = self._run(history, capital, log, progress)
            metrics = result.aggregate_metrics
            completed = {
                "final_equity": result.final_equity,
                "total_return": metrics.total_return,
                "max_drawdown": metrics.max_drawdown,
                "failures": result.failures,
            }
            log.write("INFO", "backtest_completed", None, completed)
        return result

    def _run(
        self, history: PriceHistory, capital: float, log: EventLog, progress: Progress | None
    ) -> OrchestratorResult:
        if self.config.arrays:
            return self._run_arrays(history, capital, log, progress)
        shared, books = View(history), _Books(history, log)
        runs = [
            self._begun(strategy, weight * capital, shared, books) for strategy, weight in self.strategies
        ]
        reserve = capital - sum(run.account.initial for run in runs)
        rebalancing = self.config.rebalancing
        treasurer = None if rebalancing is None else Treasurer(rebalancing, runs, reserve)
        run_together(history, runs, treasurer, progress)
        flows = {} if treasurer is None else treasurer.flows
        results = {
            run.name: result_of(run, {"strategy_id": run.name}, flows.get(run.name, ())) for run in runs
        }
        reserves = np.full(len(history), reserve) if treasurer is None else treasurer.reserves(len(history))
        return self._result(history, capital, results, reserves)

    def _begun(self, strategy: IStrategy, share: float, shared: View, books: _Books) -> StrategyRun:
        """Return the run of a strategy: already stopped, if its declared indicators fail."""
        values: dict[str, list[Floats]] = {}
        failed = None
        try:
            values = indicator_values(strategy, shared.history)
        except Exception as error:
            failed = error
        view = View(shared.history, values) if values else shared
        run = StrategyRun(strategy, share, view, self.config.backtest, observer=books, isolated=True)
        if failed is not None:
            run.fail(failed)
        return run

    def _run_arrays(
        self, history: PriceHistory, capital: float, log: EventLog, progress: Progress | None
    ) -> OrchestratorResult:
        """The same from the strategies' array forms: none depends on another."""
        books = _Books(history, log)

        def asked(pair: tuple[IStrategy, float]) -> BacktestResult:
            (strategy, weight), rules = pair, self.config.backtest
            told = {"strategy_id": strategy.name}
            result = run_arrays(
                strategy, history, weight * capital, rules, told, observer=books, isolated=True
            )
            result.metrics  # noqa: B018  # worked out here, beside those of another
            return result

        # Numpy lets another thread work. Where each fill is written down Python does most, and in order.
        with ThreadPoolExecutor(1 if log.wants("INFO") else THREADS) as pool:
            results = {}
            for result in pool.map(asked, self.strategies):
                results[result.strategy_id] = result
                if progress is not None:
                    progress(len(results) / len(self.strategies))
        reserve = capital - sum(result.initial_capital for result in results.values())
        return self._result(history, capital, results, np.full(len(history), reserve))

    def _result(
        self,
        history: PriceHistory,
        capital: float,
        results: dict[str, BacktestResult],
        reserves: Floats,
    ) -> OrchestratorResult:
        equity = np.zeros(len(history))
        for result in results.values():
            equity += result.equity
        equity += reserves
        check_sum(equity, combined_equity(results.values(), capital, history), history)
        return OrchestratorResult(
            aggregate_metrics=_aggregate(equity, capital, history, results),
            strategy_results=results,
            comparison_table={
                name: {key: getattr(result.metrics, key) for key in COMPARED}
                for name, result in results.items()
            },
            initial_capital=capital,
            equity=equity,
            reserve=reserves,
            stamps=history.stamps,
            allocations={name: _allocation(result) for name, result in results.items()},
            specified=lambda: self._specification(history, capital),
        )

    def _specification(self, history: PriceHistory, capital: float) -> dict[str, Any]:
        return {
            "strategies": [
                {"weight": weight, **described_strategy(strategy)} for strategy, weight in self.strategies
            ],
            "config": self.config.to_dict(),
            "history": described_history(history),
            "initial_capital": capital,
            "versions": versions(),
        }


class _Books:
    """Writes down what the runs do."""

    def __init__(self, history: PriceHistory, log: EventLog) -> None:
        self.history = history
        self.log = log
        self.follows_fills = log.wants("INFO")

    def signalled(self, run: StrategyRun, signal: Signal) -> None:
        sizes = ("weight", "quantity", "change", "limit", "stop")
        # As floats: a Decimal, or a number of numpy's, would be written down as text.
        asked = {name: float(size) for name in sizes if (size := getattr(signal, name)) is not None}
        self._write("INFO", "strategy_signal", run, {"symbol": signal.symbol, **asked})

    def filled(self, run: StrategyRun, fill: Fill) -> None:
        if fill.used < 0.0:
            details = {"symbol": fill.symbol, "released": -fill.used, **_capital(run.account)}
            self._write("INFO", "capital_released", run, details)

    def rejected(self, run: StrategyRun, rejection: Rejection) -> None:
        if rejection.reason is Reason.CAPITAL:
            details = {"symbol": rejection.symbol, "requested": rejection.requested, **_capital(rejection)}
            self._write("WARNING", "capital_limit_hit", run, details)

    def failed(self, run: StrategyRun, failure: Failure) -> None:
        self._write("ERROR", "strategy_failed", run, {"error": failure.error, "trace": failure.trace})

    def _write(self, level: str, event: str, run: StrategyRun, details: dict[str, object]) -> None:
        at = said(self.history.stamps[run.view.row]) if run.view.row >= 0 else None
        self.log.write(level, event, run.name, {"at": at, **details})


def _capital(of: Account | Rejection) -> dict[str, object]:
    return {"allocated": of.allocated, "used": of.used, "available": of.available}


def _allocation(result: BacktestResult) -> StrategyAllocation:
    """Return a strategy's capital at the end."""
    allocation = StrategyAllocation(result.strategy_id, money("initial_capital", result.initial_capital))
    allocation.follow(result.allocated, result.used)
    return allocation


def _aggregate(
    equity: Floats, capital: float, history: PriceHistory, results: Mapping[str, BacktestResult]
) -> PerformanceMetrics:
    exposed = np.zeros(len(history), dtype=np.bool_)
    for result in results.values():
        exposed |= result.exposed()
    figures = [result.figures for result in results.values()]
    return PerformanceCalculator().calculate_metrics(
        equity,
        initial_capital=capital,
        stamps=history.stamps,
        trade_pnls=np.concatenate([each.pnls for each in figures]),
        trade_bars=np.concatenate([each.bars for each in figures]),
        traded_value=sum(each.traded_value for each in figures),
        exposed_bars=int(np.count_nonzero(exposed)),
    )


def _pair(given: object) -> tuple[IStrategy, float]:
    """Return a strategy and its weight, checked."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError(f"strategies holds {given!r}: expected pairs (strategy, weight)")
    strategy, weight = given
    check_strategy(strategy)
    return strategy, positive(f"weight of {strategy.name}", weight)


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise ValueError("strategies is empty: expected at least one (strategy, weight)")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"strategies are called {', '.join(names)}: expected each name once, not {twice[0]!r}"
        )


def _check_weights(strategies: Sequence[tuple[IStrategy, float]], validate: bool) -> None:
    total = sum(weight for _, weight in strategies)
    if validate and total > 1.0 + SLACK:
        raise ValueError(f"weights sum to {total:.12g}: expected at most 1")
