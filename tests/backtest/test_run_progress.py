"""How far a run is: told about a hundred times, whatever its form, and changing nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backtest.test_array_form import made_bars, walk
from trading.backtest import BacktestEngine, OrchestratorConfig, StrategyOrchestrator
from trading.backtest.history import PriceHistory
from trading.backtest.strategies.moving_average import (
    DeclaredMovingAverageCross,
    MovingAverageCross,
    MovingAverageParameters,
)
from trading.backtest.strategy import IStrategy

CROSS = MovingAverageParameters(fast=3, slow=7)
QUIET = OrchestratorConfig(log_dir=None)


def uneven() -> PriceHistory:
    """Two symbols, one of them listed later: 250 instants."""
    random = np.random.default_rng(3)
    return PriceHistory(
        [made_bars("A", np.arange(250), random), made_bars("LATE", np.arange(90, 250), random)]
    )


@pytest.mark.parametrize(
    "strategies",
    [
        [MovingAverageCross(CROSS)],
        [MovingAverageCross(CROSS, "one"), MovingAverageCross(CROSS, "two")],
        [MovingAverageCross(CROSS), DeclaredMovingAverageCross(CROSS)],
    ],
    ids=["one", "two", "two with bars of their own"],
)
@pytest.mark.parametrize("history", [walk(250), uneven()], ids=["one symbol", "two symbols"])
def test_every_hundredth_of_a_run_is_told_and_nothing_else_changes(
    strategies: list[IStrategy], history: PriceHistory
) -> None:
    orchestrator = StrategyOrchestrator([(each, 1 / len(strategies)) for each in strategies], QUIET)
    told: list[float] = []

    result = orchestrator.run(history, 1e5, progress=told.append)

    # Three instants at a time are the least that makes no more than a hundred steps of 250.
    assert told == pytest.approx([*np.arange(3, 250, 3) / 250, 1.0])
    np.testing.assert_array_equal(result.equity, orchestrator.run(history, 1e5).equity)


def test_a_run_of_three_bars_is_told_of_three_times() -> None:
    told: list[float] = []

    BacktestEngine().run(
        MovingAverageCross(MovingAverageParameters(fast=1, slow=2)), walk(3), 1e5, progress=told.append
    )

    assert told == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_in_arrays_each_strategy_is_a_step() -> None:
    strategies = [(MovingAverageCross(CROSS, str(at)), 0.25) for at in range(4)]
    told: list[float] = []

    StrategyOrchestrator(strategies, OrchestratorConfig(arrays=True, log_dir=None)).run(
        walk(250), 1e5, progress=told.append
    )

    assert told == [0.25, 0.5, 0.75, 1.0]


def test_one_strategy_in_arrays_is_told_of_at_its_end() -> None:
    told: list[float] = []

    BacktestEngine().run(MovingAverageCross(CROSS), walk(250), 1e5, arrays=True, progress=told.append)

    assert told == [1.0]


def test_who_is_told_may_end_the_run() -> None:
    def enough(share: float) -> None:
        if share > 0.5:
            raise TimeoutError("enough")

    with pytest.raises(TimeoutError, match="enough"):
        BacktestEngine().run(MovingAverageCross(CROSS), walk(250), 1e5, progress=enough)
