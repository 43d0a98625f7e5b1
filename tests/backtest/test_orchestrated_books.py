"""Several strategies side by side: what each does alone, and the same money added up twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.backtest.test_engine import Decided, Decisions, random_walk
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission
from trading.backtest.engine import BacktestEngine
from trading.backtest.orchestrator import StrategyOrchestrator
from trading.backtest.orchestrator_config import OrchestratorConfig

CONFIG = BacktestConfig(commission=Commission(bps=10))


def decided(name: str, seed: int, bars: int = 300) -> Decided:
    random = np.random.default_rng(seed)
    weights = tuple([None, 1.0, 0.0][pick] for pick in random.integers(0, 3, bars))
    return Decided(Decisions(weights), name)


@pytest.fixture
def config(tmp_path: Path) -> OrchestratorConfig:
    return OrchestratorConfig(backtest=CONFIG, log_dir=tmp_path)


def test_a_strategy_fares_side_by_side_as_it_does_alone(config: OrchestratorConfig) -> None:
    history = random_walk(300)

    together = StrategyOrchestrator([(decided("a", 1), 0.5), (decided("b", 2), 0.3)], config)
    result = together.run(history, 100_000)

    alone = BacktestEngine(CONFIG).run(decided("b", 2), history, 0.3 * 100_000)
    inside = result.get_strategy_result("b")
    assert np.array_equal(inside.equity, alone.equity)
    assert inside.fills == alone.fills
    assert inside.metrics == alone.metrics


def test_the_total_is_the_sum_of_the_strategies_and_of_what_nobody_has(config: OrchestratorConfig) -> None:
    together = StrategyOrchestrator([(decided("a", 1), 0.5), (decided("b", 2), 0.3)], config)

    result = together.run(random_walk(300), 100_000)

    strategies = [each.equity for each in result.strategy_results.values()]
    np.testing.assert_allclose(result.equity, strategies[0] + strategies[1] + 20_000, rtol=1e-12)
