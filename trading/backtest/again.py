"""A run made again, of one strategy or of several, from the specification that its result carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trading.backtest.config import BacktestConfig
from trading.backtest.engine import BacktestEngine, as_history
from trading.backtest.errors import StrategyError
from trading.backtest.history import PriceHistory
from trading.backtest.orchestrator import StrategyOrchestrator
from trading.backtest.orchestrator_config import OrchestratorConfig
from trading.backtest.orchestrator_result import OrchestratorResult
from trading.backtest.result import BacktestResult
from trading.backtest.specification import check_same, strategy_from

if TYPE_CHECKING:
    import pandas as pd

COMMON = ("history", "config", "initial_capital")
OF_ONE = ("strategy", "arrays", *COMMON)
OF_SEVERAL = ("strategies", *COMMON)


def rerun(
    saved: Mapping[str, Any] | None,
    historical_data: PriceHistory | pd.DataFrame | Mapping[str, pd.DataFrame],
) -> BacktestResult | OrchestratorResult:
    """Run what a saved specification says again. It writes no log of events.

    saved: a result's `specification`; that of an orchestrated one gives an orchestrated one.

    Raises:
        HistoryError: if these are other bars than it was made from.
        StrategyError: if a strategy cannot be made again, or the result had no specification (None), as one
            had parameters that cannot be saved.
        ValueError: if it is no specification, naming what it lacks.
    """
    if saved is None:
        raise StrategyError(
            "saved is None: expected the specification of a result; this one has none, and says why under "
            "unspecified"
        )
    missing = [each for each in (OF_SEVERAL if "strategies" in saved else OF_ONE) if each not in saved]
    if missing:
        raise ValueError(f"saved has no {', '.join(missing)}: expected the specification of a result")
    history = as_history(historical_data)
    check_same(saved["history"], history)
    if "strategies" not in saved:
        engine = BacktestEngine(BacktestConfig.from_dict(saved["config"]))
        strategy = strategy_from(saved["strategy"])
        return engine.run(strategy, history, saved["initial_capital"], arrays=saved["arrays"])
    config = OrchestratorConfig.from_dict(saved["config"], log_dir=None)
    strategies = [(strategy_from(each), each["weight"]) for each in saved["strategies"]]
    return StrategyOrchestrator(strategies, config).run(history, saved["initial_capital"])
