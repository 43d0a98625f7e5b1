"""A candidate with all that its tests need: its bars, its rules, its study, and how it did, run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from trading.backtest.engine import BacktestEngine
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.strategies.buy_and_hold import BuyAndHold, BuyAndHoldParameters
from trading.backtest.strategies.registry import SearchSpace
from trading.backtest.strategy import IStrategy
from trading.research.candidates import Candidate
from trading.research.objective import ResearchSettings, annual_sharpe, objective
from trading.research.validation.stress import stressed
from trading.research.validation.study import StudyReturns
from trading.research.walk_forward import Window, WindowRun, run_window


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replay:
    """A strategy run again: in the windows of its study's tests, and on the bars after the study.

    new: None where there are no such bars.
    """

    tested: tuple[WindowRun, ...]
    new: WindowRun | None

    @property
    def runs(self) -> tuple[WindowRun, ...]:
        return self.tested if self.new is None else (*self.tested, self.new)

    @property
    def tested_returns(self) -> Floats:
        """Of the study's tests, stitched, shape (periods,): what the search judged by."""
        return _joined(self.tested)

    @property
    def returns(self) -> Floats:
        """All of them, the new ones last, shape (periods,)."""
        return _joined(self.runs)

    @property
    def trade_returns(self) -> Floats:
        """What each closed trade added to the equity before it, as a fraction of that, shape (trades,)."""
        return np.array([each for run in self.runs for each in _trade_returns(run)], dtype=np.float64)

    @property
    def fee_bps(self) -> float:
        """Fees in basis points of the traded value; 0 without a trade."""
        fills = [fill for run in self.runs for fill in run.result.fills]
        traded = sum(abs(fill.quantity) * fill.price for fill in fills)
        return 1e4 * sum(fill.fee for fill in fills) / traded if traded else 0.0

    @property
    def objective(self) -> float:
        """What the search would say of it."""
        fills = sum(len(run.result.fills) for run in self.tested)
        return objective([annual_sharpe(run.returns) for run in self.tested], fills)


class Subject:
    """What is judged.

    studied: the bars the search was given. later: bars from before the end of those to beyond it; None: there
    are none. make: the strategy of these parameters. space: what the search varied. study: what its trials
    earned; None: that is gone.
    """

    def __init__(
        self,
        *,
        candidate: Candidate,
        settings: ResearchSettings,
        studied: PriceHistory,
        later: PriceHistory | None,
        make: Callable[[Mapping[str, Any]], IStrategy],
        space: SearchSpace,
        study: StudyReturns | None,
    ) -> None:
        self.candidate = candidate
        self.settings = settings.without_look_ahead_check()
        self.studied, self.later = studied, later
        self.space, self.study = space, study
        self.make = make

    @cached_property
    def replay(self) -> Replay:
        """The candidate itself, at the costs it was found with."""
        return self.run()

    @property
    def new_instants(self) -> int:
        """How many instants of `later` the search has not seen."""
        return 0 if self.later is None else int((self.later.stamps > self._study_end).sum())

    def run(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        cost_factor: float = 1.0,
        with_new: bool = True,
    ) -> Replay:
        """Run it with other parameters (None: its own), or with costs times `cost_factor`.

        Raises:
            HistoryError, StrategyError: as `BacktestEngine.run`. ValueError: if the parameters cannot be.
        """
        strategy = self.make(self.candidate.parameters if parameters is None else parameters)
        return self._run(strategy, cost_factor, with_new)

    def held(self) -> Replay:
        """Run, on the same days at the same costs, who buys every symbol at once and holds it."""
        return self._run(BuyAndHold(BuyAndHoldParameters()), 1.0, True)

    def _run(self, strategy: IStrategy, cost_factor: float, with_new: bool) -> Replay:
        engine = BacktestEngine(stressed(self.settings.config, cost_factor))
        plan, capital = self.settings.plan, self.settings.capital
        return Replay(
            tested=tuple(
                run_window(engine, strategy, self.studied, window, capital)
                for window in plan.windows(len(self.studied))
            ),
            new=self._after(self._study_end, engine, strategy) if with_new else None,
        )

    def run_since(self, stamp: int) -> WindowRun | None:
        """Run it, from cash, on the instants after `stamp` (as in `PriceHistory.stamps`); None if there is
        none."""
        strategy = self.make(self.candidate.parameters)
        return self._after(stamp, BacktestEngine(self.settings.config), strategy)

    @property
    def _study_end(self) -> int:
        return int(self.studied.stamps[-1])

    def _after(self, stamp: int, engine: BacktestEngine, strategy: IStrategy) -> WindowRun | None:
        if self.later is None:
            return None
        instants = len(self.later)
        first = int(np.searchsorted(self.later.stamps, stamp, side="right"))
        if first == instants:
            return None
        window = Window(train_start=0, train_stop=first, test_start=first, test_stop=instants)
        return run_window(engine, strategy, self.later, window, self.settings.capital)


def _joined(runs: tuple[WindowRun, ...]) -> Floats:
    return np.concatenate([run.returns for run in runs]) if runs else np.empty(0)


def _trade_returns(run: WindowRun) -> list[float]:
    result = run.result
    before = np.concatenate([[result.initial_capital], result.equity])
    return [trade.pnl / float(before[trade.entry_row]) for trade in result.trades]
