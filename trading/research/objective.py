"""What the search maximises: how a strategy did, after costs, in the walk-forward tests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission, Slippage
from trading.backtest.engine import BacktestEngine
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.strategy import IStrategy
from trading.execution.checking import positive
from trading.research.statistics.bootstrap import sharpe
from trading.research.walk_forward import Training, WalkForward, run_window

IDLE: Final = -10.0
"""The objective of a strategy that never traded: below what one that trades comes to on real prices, so that
a search among losing strategies turns away from those that do nothing."""

DAYS_PER_YEAR: Final = 252.0

# A retail broker's usual fee, and a spread of 4 basis points: what large stocks cost when the market opens.
COSTS: Final = BacktestConfig(
    commission=Commission(per_share=0.005, minimum=1.0), slippage=Slippage(spread_bps=4.0)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchSettings:
    """What an objective is made from besides strategy and bars.

    plan: the windows. capital: cash at the start of each. config: costs and rules of the market.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    plan: WalkForward = field(default_factory=WalkForward)
    capital: float = 100_000.0
    config: BacktestConfig = COSTS

    def __post_init__(self) -> None:
        positive("capital", self.capital)

    def to_dict(self) -> dict[str, Any]:
        """Return every field as values that JSON knows."""
        return {
            "plan": {**asdict(self.plan), "training": self.plan.training.value},
            "capital": self.capital,
            "config": self.config.to_dict(),
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> ResearchSettings:
        """Return what `to_dict` was made from. Raises ValueError or KeyError for anything else."""
        plan = dict(saved["plan"])
        plan["training"] = Training(plan["training"])
        return cls(
            plan=WalkForward(**plan),
            capital=saved["capital"],
            config=BacktestConfig.from_dict(saved["config"]),
        )

    def without_look_ahead_check(self) -> ResearchSettings:
        """Return settings of the same results that do not ask again, on cut histories, for every answer: what
        a search finds is checked once, before it is promoted."""
        return replace(self, config=replace(self.config, check_look_ahead=False))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowScore:
    """One window's test. sharpe: annualised, 0 where nothing varies. returns: shape (test instants,)."""

    sharpe: float
    fills: int
    returns: Floats


def window_scores(
    strategy: IStrategy, history: PriceHistory, settings: ResearchSettings
) -> Iterator[WindowScore]:
    """Yield the windows' scores, the oldest first, each as soon as it is known.

    Raises:
        HistoryError, StrategyError: as `BacktestEngine.run`.
    """
    engine = BacktestEngine(settings.config)
    for window in settings.plan.windows(len(history)):
        run = run_window(engine, strategy, history, window, settings.capital)
        yield WindowScore(sharpe=annual_sharpe(run.returns), fills=len(run.result.fills), returns=run.returns)


def objective(sharpes: Sequence[float], fills: int) -> float:
    """Return the median of the windows' Sharpe ratios, so that one lucky window decides nothing; IDLE if
    nothing was ever traded.

    Raises:
        ValueError: if there is no window.
    """
    if not sharpes:
        raise ValueError("sharpes is empty: expected at least one window")
    return float(np.median(np.asarray(sharpes))) if fills else IDLE


def period_sharpe(returns: Floats) -> float:
    """Return the Sharpe ratio per period (ddof 1) of returns, shape (n,); 0 where they do not vary."""
    return float(sharpe(returns[None, :])[0]) if len(returns) > 1 else 0.0


def annual_sharpe(returns: Floats) -> float:
    """Return the Sharpe ratio per year of daily returns, shape (n,); 0 where they do not vary."""
    return period_sharpe(returns) * math.sqrt(DAYS_PER_YEAR)
