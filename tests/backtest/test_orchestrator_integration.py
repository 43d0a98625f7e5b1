"""Whole portfolios on real prices; nothing of the engine is replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading.backtest import (
    BacktestConfig,
    BacktestEngine,
    BacktestResult,
    Commission,
    Financing,
    HistoricalDataManager,
    OrchestratorConfig,
    PriceHistory,
    Prices,
    Rebalancing,
    Slippage,
    StrategyOrchestrator,
    rerun,
)
from trading.backtest.budgets import EqualRiskContribution
from trading.backtest.look_ahead import check_look_ahead
from trading.backtest.strategies.buy_and_hold import BuyAndHold, BuyAndHoldParameters
from trading.backtest.strategies.moving_average import MovingAverageCross, MovingAverageParameters
from trading.backtest.strategies.registry import STRATEGIES, made
from trading.backtest.strategies.rsi import RsiParameters, RsiReversion
from trading.backtest.strategy import IStrategy
from trading.marketdata.bars import BarStore

SHARED = Path(os.environ.get("ORCHESTRATOR_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
COSTS = BacktestConfig(commission=Commission(bps=5))


def three() -> list[tuple[IStrategy, float]]:
    return [
        (MovingAverageCross(MovingAverageParameters(fast=20, slow=50)), 0.5),
        (RsiReversion(RsiParameters()), 0.3),
        (BuyAndHold(BuyAndHoldParameters()), 0.2),
    ]


@pytest.fixture
def config(tmp_path: Path) -> OrchestratorConfig:
    return OrchestratorConfig(backtest=COSTS, log_dir=tmp_path)


def test_three_strategies_on_thirteen_years_end_where_each_ends_alone(
    config: OrchestratorConfig, bundled_history: PriceHistory
) -> None:
    result = StrategyOrchestrator(three(), config).run(bundled_history, 100_000)

    total = 0.0
    for strategy, weight in three():
        alone = BacktestEngine(COSTS).run(strategy, bundled_history, weight * 100_000)
        assert alone.fills == result.get_strategy_result(strategy.name).fills
        total += alone.final_equity
    assert result.final_equity == pytest.approx(total, rel=1e-12)
    assert result.failures == {}


def test_buying_and_holding_earns_what_the_prices_say(
    config: OrchestratorConfig, bundled_history: PriceHistory
) -> None:
    """A third of the capital in each symbol at the second day's open, worth its last close in the end."""
    result = StrategyOrchestrator([(BuyAndHold(BuyAndHoldParameters()), 1.0)], config).run(
        bundled_history, 30_000
    )

    worth = sum(10_000 / (bars.open[1] * 1.0005) * bars.close[-1] for bars in bundled_history.bars.values())
    assert result.final_equity == pytest.approx(worth, rel=1e-4)


def test_no_strategy_of_the_three_knows_what_comes(bundled_history: PriceHistory) -> None:
    for strategy, _ in three():
        check_look_ahead(strategy, bundled_history.part(0, 400))


def test_a_saved_run_runs_again_to_the_same_end(
    config: OrchestratorConfig, bundled_history: PriceHistory
) -> None:
    result = StrategyOrchestrator(three(), config).run(bundled_history, 100_000)

    one = result.get_strategy_result("moving_average_cross")
    saved = json.loads(json.dumps(one.specification))
    again = rerun(saved, bundled_history)
    assert isinstance(again, BacktestResult)
    assert again.equity.tolist() == one.equity.tolist()
    assert again.fills == one.fills


def test_capital_that_follows_risk_is_conserved_on_real_prices(
    tmp_path: Path, bundled_history: PriceHistory
) -> None:
    rebalancing = Rebalancing(budget=EqualRiskContribution(), every=63)
    config = OrchestratorConfig(backtest=COSTS, rebalancing=rebalancing, log_dir=tmp_path)

    result = StrategyOrchestrator(three(), config).run(bundled_history, 100_000)

    parts = np.sum([each.equity for each in result.strategy_results.values()], axis=0)
    np.testing.assert_allclose(result.equity, parts + result.reserve, rtol=1e-12)
    # Buying and holding swings most; what it may have by risk is less than its fifth would be by size.
    last = {name: each.equity[-1] / result.final_equity for name, each in result.strategy_results.items()}
    assert len(result.get_strategy_result("buy_and_hold").flows) > 20
    assert all(0 < share < 1 for share in last.values())


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> HistoricalDataManager:
    """The forty stocks of the shared data in a bar store."""
    files = sorted((SHARED / "daily").glob("*.csv.gz"))
    if not files:
        pytest.skip(f"no shared data in {SHARED}")
    store = BarStore(tmp_path_factory.mktemp("store"))
    for file in files:
        frame = pd.read_csv(file, index_col="date", parse_dates=["date"])
        store.write(file.name.removesuffix(".csv.gz"), frame, "shared")
    return HistoricalDataManager(store.data_dir)


def seen(
    strategies: Sequence[tuple[IStrategy, float]], history: PriceHistory, config: OrchestratorConfig
) -> float:
    return StrategyOrchestrator(strategies, config).run(history, 1_000_000).final_equity


@pytest.mark.slow
def test_forty_stocks_over_twenty_years_come_to_the_same_from_bars_and_from_arrays(
    forty: HistoricalDataManager, config: OrchestratorConfig, tmp_path: Path
) -> None:
    history = forty.load()
    arrays = OrchestratorConfig(backtest=COSTS, arrays=True, log_dir=tmp_path)

    assert len(history.symbols) == 40
    assert seen(three(), history, arrays) == pytest.approx(seen(three(), history, config), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "book_imbalance"])
def test_every_strategy_comes_to_the_same_on_forty_stocks_from_bars_and_from_arrays(
    forty: HistoricalDataManager, name: str
) -> None:
    """With fees, spreads, impact and interest; the books' imbalance is not in daily bars."""
    if name == "learned":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed: `make setup-learn`")
    history = forty.load(start=date(2014, 1, 1))
    costs = BacktestConfig(
        commission=Commission(per_trade=1.0, bps=5.0),
        slippage=Slippage(spread_bps=4.0, impact=0.5, max_participation=0.1),
        financing=Financing(cash_rate=0.02, borrow_rate=0.03),
    )

    told, at_once = (
        StrategyOrchestrator(
            [(made(name), 1.0)], OrchestratorConfig(backtest=costs, arrays=arrays, log_dir=None)
        ).run(history, 1_000_000)
        for arrays in (False, True)
    )

    assert told.failures == at_once.failures == {}
    assert at_once.get_strategy_result(name).fills == told.get_strategy_result(name).fills
    np.testing.assert_allclose(at_once.equity, told.equity, rtol=1e-12)


@pytest.mark.slow
def test_traded_prices_with_splits_and_dividends_come_to_what_adjusted_prices_say(
    forty: HistoricalDataManager, tmp_path: Path
) -> None:
    """Buying KO and holding it: dividends as cash instead of reinvested, so somewhat less than the adjusted
    prices say, and nothing like the jump that its split of 2012 would be."""
    config = OrchestratorConfig(log_dir=tmp_path)
    hold = [(BuyAndHold(BuyAndHoldParameters()), 1.0)]

    adjusted = seen(hold, forty.load(["KO"]), config)
    traded = seen(hold, forty.load(["KO"], prices=Prices.TRADED), config)

    assert 0.6 * adjusted < traded < adjusted
