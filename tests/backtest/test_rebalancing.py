"""Capital that moves between strategies on a schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tests.backtest.test_engine import DAY, Decided, Decisions, random_walk
from trading.backtest import (
    BacktestConfig,
    Bar,
    Commission,
    OrchestratorConfig,
    OrchestratorResult,
    PriceHistory,
    Rebalancing,
    Signal,
    StrategyOrchestrator,
    SymbolBars,
)
from trading.backtest.budgets import (
    Budget,
    ConstantMix,
    DrawdownControl,
    EqualRiskContribution,
    InverseVolatility,
)
from trading.backtest.strategy import Signals, State, Strategy


@dataclass(frozen=True, slots=True)
class Only:
    symbol: str
    fails_at: int | None = None


class Holder(Strategy):
    """Buys one symbol with all it has on the first day, and raises on a day if it is told to."""

    parameters: Only

    def on_bar(self, bar: Bar, state: State) -> Signals:
        if state.row == self.parameters.fails_at:
            raise RuntimeError("no more")
        if state.row == 0 and bar.symbol == self.parameters.symbol:
            return [Signal.hold(bar.symbol, 1.0)]
        return None


def priced(**closes: list[float]) -> PriceHistory:
    """Symbols whose bars open and close at these prices."""
    made = []
    for symbol, prices in closes.items():
        price = np.array(prices)
        stamps = np.arange(len(price), dtype=np.int64) * DAY
        volume = np.full(len(price), 1e6)
        made.append(
            SymbolBars(
                symbol=symbol, stamps=stamps, open=price, high=price, low=price, close=price, volume=volume
            )
        )
    return PriceHistory(made)


def run(
    history: PriceHistory, budget: Budget, every: int, *holders: Holder, fee: float = 0.0
) -> OrchestratorResult:
    config = OrchestratorConfig(
        rebalancing=Rebalancing(budget=budget, every=every),
        backtest=BacktestConfig(commission=Commission(bps=fee)),
        log_dir=None,
    )
    return StrategyOrchestrator([(each, 1 / len(holders)) for each in holders], config).run(history, 1000.0)


def holder(symbol: str, fails_at: int | None = None) -> Holder:
    return Holder(Only(symbol, fails_at), symbol)


def test_what_has_won_gives_half_of_its_gain_to_what_has_not() -> None:
    # 500 each; UP doubles on the third day: 1000 and 500. After its close both should have 750: UP sells a
    # quarter at the next open (250), which moves at that close, and FLAT buys for it at the open after.
    history = priced(UP=[10.0, 10.0, 20.0, 20.0, 20.0, 20.0], FLAT=[5.0] * 6)

    result = run(history, ConstantMix(), 3, holder("UP"), holder("FLAT"))

    up, flat = (result.get_strategy_result(name) for name in ("UP", "FLAT"))
    assert up.equity.tolist() == pytest.approx([500, 500, 1000, 750, 750, 750])
    assert flat.equity.tolist() == pytest.approx([500, 500, 500, 750, 750, 750])
    assert [row for row, _ in up.flows] == [3]
    assert up.flows[0][1] == pytest.approx(-250)
    assert [(fill.row, fill.symbol) for fill in flat.fills] == [(1, "FLAT"), (4, "FLAT")]
    assert [fill.quantity for fill in flat.fills] == pytest.approx([100, 50])


def test_capital_that_moved_is_neither_won_nor_lost() -> None:
    history = priced(UP=[10.0, 10.0, 20.0, 20.0, 20.0, 20.0], FLAT=[5.0] * 6)

    result = run(history, ConstantMix(), 3, holder("UP"), holder("FLAT"))

    assert result.comparison_table["UP"]["total_return"] == pytest.approx(1.0)
    assert result.comparison_table["FLAT"]["total_return"] == pytest.approx(0.0)
    assert result.aggregate_metrics.total_return == pytest.approx(0.5)


def test_what_a_drawdown_takes_waits_in_the_reserve() -> None:
    # DOWN loses 10 %, half of the limit: its half of the 950 that are left is halved again, 237.5.
    history = priced(DOWN=[10.0, 10.0, 9.0, 9.0, 9.0], FLAT=[5.0] * 5)

    result = run(history, DrawdownControl(limit=0.2, floor=0.1), 3, holder("DOWN"), holder("FLAT"))

    assert result.get_strategy_result("DOWN").equity[-1] == pytest.approx(237.5)
    assert result.get_strategy_result("FLAT").equity[-1] == pytest.approx(475.0)
    assert result.reserve.tolist() == pytest.approx([0, 0, 0, 237.5, 237.5])
    assert result.final_equity == pytest.approx(950.0)


def test_a_strategy_that_was_stopped_gives_its_capital_back() -> None:
    history = priced(UP=[10.0] * 8, FLAT=[5.0] * 8)

    result = run(history, ConstantMix(), 4, holder("UP", fails_at=2), holder("FLAT"))

    assert result.failures == {"UP": "RuntimeError: no more"}
    assert result.get_strategy_result("UP").equity[-1] == pytest.approx(0.0)
    assert result.reserve[-1] == pytest.approx(500.0)


@pytest.mark.parametrize(
    "budget",
    [
        ConstantMix(),
        InverseVolatility(lookback=10),
        EqualRiskContribution(lookback=10),
        DrawdownControl(limit=0.1, base=InverseVolatility(lookback=10)),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_no_money_appears_or_vanishes_when_capital_moves(budget: Budget, seed: int) -> None:
    """The orchestrator itself holds the sum against the fills of all on every bar; the reserve is never
    overdrawn."""
    history = random_walk(200, seed)
    random = np.random.default_rng(seed)
    strategies = [
        Decided(Decisions(tuple([None, 1.0, 0.0][pick] for pick in random.integers(0, 3, 200))), f"s{number}")
        for number in range(3)
    ]
    config = OrchestratorConfig(
        rebalancing=Rebalancing(budget=budget, every=7),
        backtest=BacktestConfig(commission=Commission(bps=10)),
        log_dir=None,
    )

    result = StrategyOrchestrator([(each, 0.3) for each in strategies], config).run(history, 1000.0)

    parts = sum(each.equity for each in result.strategy_results.values())
    np.testing.assert_allclose(result.equity, parts + result.reserve, rtol=1e-12)
    assert result.reserve.min() > -1e-9
    assert any(each.flows for each in result.strategy_results.values())
    for each in result.strategy_results.values():
        assert not [refused for refused in each.rejections if refused.reason.name == "CAPITAL"]
