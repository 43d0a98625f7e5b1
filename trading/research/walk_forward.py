"""Windows of time, each tested on bars that come after those it may learn from; their returns, stitched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from trading.backtest.engine import BacktestEngine
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.result import BacktestResult
from trading.backtest.strategy import ArrayStrategy, IStrategy
from trading.execution.checking import whole
from trading.research.statistics.bootstrap import sharpe


class Training(Enum):
    """ROLLING: always as long, the oldest bars are dropped. ANCHORED: from the first bar on, ever longer."""

    ROLLING = "rolling"
    ANCHORED = "anchored"


@dataclass(frozen=True, slots=True)
class Window:
    """Instants train_start to train_stop - 1 to learn from, test_start to test_stop - 1 to be tested on."""

    train_start: int
    train_stop: int
    test_start: int
    test_stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """How a history is cut into windows.

    train: instants to learn from (ANCHORED: at least). test: instants tested, which no other window tests.
    embargo: instants between the two that neither sees, for what is learned from a bar may depend on the next
    few.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    train: int = 504
    test: int = 252
    embargo: int = 5
    training: Training = Training.ROLLING

    def __post_init__(self) -> None:
        for name, least in (("train", 1), ("test", 1), ("embargo", 0)):
            whole(name, getattr(self, name), least)

    def instants(self, windows: int) -> int:
        """Return how many instants so many windows take."""
        return self.train + self.embargo + windows * self.test

    def windows(self, instants: int) -> tuple[Window, ...]:
        """Return the windows of a history of that length, the oldest first; none if it is too short.

        The last test ends with the history, each begins where the one before it ended; what does not make a
        whole window is left at the beginning, where bars are oldest.
        """
        count = max(0, (instants - self.train - self.embargo) // self.test)
        first = instants - count * self.test
        return tuple(self._window(first + number * self.test) for number in range(count))

    def _window(self, test_start: int) -> Window:
        stop = test_start - self.embargo
        start = stop - self.train if self.training is Training.ROLLING else 0
        return Window(
            train_start=start, train_stop=stop, test_start=test_start, test_stop=test_start + self.test
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowRun:
    """What a strategy did in one window's test. returns: per instant, shape (test instants,)."""

    window: Window
    returns: Floats
    result: BacktestResult


def run_window(
    engine: BacktestEngine, strategy: IStrategy, history: PriceHistory, window: Window, capital: float
) -> WindowRun:
    """Run a strategy on one window's test, from cash.

    It is shown the `warmup` instants before the test too, so that its first decision, after the close of the
    instant before the test, is filled at the test's first open. It sees nothing later than the test.

    Raises:
        HistoryError, StrategyError: as `BacktestEngine.run`.
    """
    start = max(0, window.test_start - 1 - strategy.warmup)
    part = history.part(start, window.test_stop)
    result = engine.run(strategy, part, capital, arrays=isinstance(strategy, ArrayStrategy))
    tested = returns_of(result.equity, capital)[window.test_start - start :]
    return WindowRun(window=window, returns=tested, result=result)


def chosen_forward(trials: Floats, plan: WalkForward) -> Floats:
    """Return what it earned to use, in each test, the trial that was best in the training before it.

    trials: returns of a search's trials, shape (periods, trials). Best is the highest Sharpe ratio per period
    over the training alone, of equals the first. Returns shape (tested periods,): empty if there are too few.
    """
    tested = [np.empty(0)]
    for window in plan.windows(len(trials)):
        ratios = sharpe(trials[window.train_start : window.train_stop].T)
        tested.append(trials[window.test_start : window.test_stop, int(np.argmax(ratios))])
    return np.concatenate(tested)


def returns_of(equity: Floats, start: float) -> Floats:
    """Return the return of each instant, shape of `equity`; start: the equity before the first.

    Equity that is gone (0 or below, as a short position may leave it) is a return of -1, and 0 from then on.
    """
    before = np.concatenate([[start], equity[:-1]])
    gone = np.maximum.accumulate(equity <= 0.0)
    returns: Floats = np.where(gone, 0.0, equity / np.where(before > 0.0, before, 1.0) - 1.0)
    if gone.any():
        returns[int(np.argmax(gone))] = -1.0
    return returns


def stitched(returns: Sequence[Floats], start: float = 1.0) -> Floats:
    """Return the equity of windows one after the other, shape (all their instants,), from a start of `start`:
    each goes on with what the one before it had left."""
    growth: Floats = 1.0 + np.concatenate(list(returns))
    return start * growth.cumprod()
