"""Backtests: strategies on past bars, alone or side by side with a limit of capital each.

The names below are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trading.backtest.again import rerun
    from trading.backtest.allocation import StrategyAllocation
    from trading.backtest.bars import Bar
    from trading.backtest.config import BacktestConfig
    from trading.backtest.costs import Commission, Financing, Slippage
    from trading.backtest.engine import BacktestEngine
    from trading.backtest.errors import BacktestError, BooksError, HistoryError, LookAheadError, StrategyError
    from trading.backtest.historical_data import HistoricalDataManager, Prices
    from trading.backtest.history import PriceHistory, SymbolBars
    from trading.backtest.orchestrator import StrategyOrchestrator
    from trading.backtest.orchestrator_config import OrchestratorConfig
    from trading.backtest.orchestrator_result import OrchestratorResult
    from trading.backtest.performance.calculator import PerformanceCalculator
    from trading.backtest.performance.metrics import PerformanceMetrics
    from trading.backtest.rebalancing import Rebalancing
    from trading.backtest.reports.report_generator import ReportGenerator
    from trading.backtest.result import BacktestResult
    from trading.backtest.signals import Signal, Timing
    from trading.backtest.strategy import IStrategy, Strategy
    from trading.backtest.trades import Trade

_HOME = {
    "BacktestConfig": "config",
    "BacktestEngine": "engine",
    "BacktestError": "errors",
    "BacktestResult": "result",
    "Bar": "bars",
    "BooksError": "errors",
    "Commission": "costs",
    "Financing": "costs",
    "HistoricalDataManager": "historical_data",
    "HistoryError": "errors",
    "IStrategy": "strategy",
    "LookAheadError": "errors",
    "OrchestratorConfig": "orchestrator_config",
    "OrchestratorResult": "orchestrator_result",
    "PerformanceCalculator": "performance.calculator",
    "PerformanceMetrics": "performance.metrics",
    "PriceHistory": "history",
    "Prices": "historical_data",
    "Rebalancing": "rebalancing",
    "ReportGenerator": "reports.report_generator",
    "Signal": "signals",
    "Slippage": "costs",
    "Strategy": "strategy",
    "StrategyAllocation": "allocation",
    "StrategyError": "errors",
    "StrategyOrchestrator": "orchestrator",
    "SymbolBars": "history",
    "Timing": "signals",
    "Trade": "trades",
    "rerun": "again",
}

__all__ = [
    "BacktestConfig",
    "BacktestEngine",
    "BacktestError",
    "BacktestResult",
    "Bar",
    "BooksError",
    "Commission",
    "Financing",
    "HistoricalDataManager",
    "HistoryError",
    "IStrategy",
    "LookAheadError",
    "OrchestratorConfig",
    "OrchestratorResult",
    "PerformanceCalculator",
    "PerformanceMetrics",
    "PriceHistory",
    "Prices",
    "Rebalancing",
    "ReportGenerator",
    "Signal",
    "Slippage",
    "Strategy",
    "StrategyAllocation",
    "StrategyError",
    "StrategyOrchestrator",
    "SymbolBars",
    "Timing",
    "Trade",
    "rerun",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# Unseen by the checker of types, for which it would turn every misspelt name into an object.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
