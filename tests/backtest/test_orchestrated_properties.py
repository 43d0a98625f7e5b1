"""Portfolios made up by chance: what must hold whatever the strategies, bars, costs and rules are."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backtest.strategy_contract import walk
from trading.backtest import (
    BacktestConfig,
    BacktestEngine,
    Bar,
    Commission,
    Financing,
    OrchestratorConfig,
    PriceHistory,
    Rebalancing,
    Signal,
    Slippage,
    Strategy,
    StrategyOrchestrator,
    SymbolBars,
    Timing,
    rerun,
)
from trading.backtest.budgets import (
    Budget,
    ConstantMix,
    DrawdownControl,
    EqualRiskContribution,
    InverseVolatility,
)
from trading.backtest.strategy import Signals, State

BUDGETS: tuple[Budget, ...] = (
    ConstantMix(),
    InverseVolatility(lookback=5),
    EqualRiskContribution(lookback=5),
    DrawdownControl(limit=0.1, base=InverseVolatility(lookback=5)),
)


@dataclass(frozen=True, slots=True)
class Seed:
    seed: int


class Erratic(Strategy):
    """Asks for anything that can be asked for, and raises now and then."""

    parameters: Seed

    def on_start(self, state: State) -> None:
        self.random = np.random.default_rng(self.parameters.seed)

    def on_bar(self, bar: Bar, state: State) -> Signals:
        if self.random.random() < 0.002:
            raise RuntimeError("now")
        near = bar.close * float(self.random.uniform(0.97, 1.03))
        some = float(self.random.normal(0.0, 300.0))
        weight = float(self.random.normal(0.2, 0.6))
        name = bar.symbol
        wishes: list[Signals] = [
            [Signal.hold(name, weight)],
            [Signal.close(name)],
            [Signal(symbol=name, change=some)],
            [Signal(symbol=name, quantity=some, limit=near, valid_bars=3)],
            [Signal(symbol=name, weight=weight, stop=near)],
            [Signal(symbol=name, weight=weight, timing=Timing.CLOSE)],
            [Signal.hold(each, 1.0 / len(state.symbols)) for each in state.symbols],
            [
                Signal(symbol=name, quantity=0.0, stop=bar.close * 0.97, group="exit"),
                Signal(symbol=name, quantity=0.0, limit=bar.close * 1.03, group="exit"),
            ],
        ]
        return wishes[int(self.random.integers(len(wishes)))] if self.random.random() < 0.3 else None


def some_bars(number: int, instants: int, random: np.random.Generator) -> SymbolBars:
    """Return a symbol that has bars on some of the days, and perhaps splits and dividends."""
    days = np.arange(instants)
    if random.random() < 0.5:
        days = np.sort(random.choice(days, max(1, int(instants * random.uniform(0.3, 1.0))), replace=False))
    bars = walk(f"S{number}", int(random.integers(1_000_000)), days)
    if random.random() < 0.4:
        splits = np.where(random.random(len(bars)) < 0.02, 2.0, 1.0)
        dividends = np.where(random.random(len(bars)) < 0.05, 1.0, 0.0)
        bars = replace(bars, splits=splits, dividends=dividends)
    return bars


def some_rules(random: np.random.Generator) -> BacktestConfig:
    def one_of(*choices: Any) -> Any:
        return choices[int(random.integers(len(choices)))]

    return BacktestConfig(
        commission=Commission(bps=one_of(0.0, 10.0), per_trade=one_of(0.0, 1.0), minimum=one_of(0.0, 2.0)),
        slippage=Slippage(
            spread_bps=one_of(0.0, 5.0),
            impact=one_of(None, 1.0),
            max_participation=one_of(None, 0.0002, 0.01),
        ),
        financing=Financing(cash_rate=one_of(0.0, 0.05), borrow_rate=one_of(0.0, 0.05)),
        fractional=one_of(True, True, False),
        shorting=one_of(True, True, False),
        timing=one_of(Timing.OPEN, Timing.CLOSE),
        delisting_recovery=one_of(0.0, 0.5, 1.0),
    )


def some_portfolio(
    seed: int, rebalancing: Rebalancing | None
) -> tuple[list[tuple[Erratic, float]], PriceHistory, OrchestratorConfig]:
    random = np.random.default_rng(seed)
    instants, symbols = int(random.integers(1, 120)), int(random.integers(1, 4))
    history = PriceHistory(some_bars(number, instants, random) for number in range(symbols))
    count = int(random.integers(1, 5))
    weights = random.dirichlet(np.ones(count)) * random.uniform(0.3, 1.0)
    strategies = [(Erratic(Seed(seed + at), f"s{at}"), float(each)) for at, each in enumerate(weights)]
    rules = OrchestratorConfig(backtest=some_rules(random), rebalancing=rebalancing, log_dir=None)
    return strategies, history, rules


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_every_strategy_fares_inside_as_it_does_alone(seed: int) -> None:
    strategies, history, rules = some_portfolio(seed, None)

    result = StrategyOrchestrator(strategies, rules).run(history, 100_000)

    for strategy, weight in strategies:
        inside = result.get_strategy_result(strategy.name)
        try:
            alone = BacktestEngine(rules.backtest).run(strategy, history, weight * 100_000)
        except RuntimeError:
            assert inside.failure is not None
            continue
        assert inside.equity.tobytes() == alone.equity.tobytes()
        assert (inside.fills, inside.rejections) == (alone.fills, alone.rejections)
        assert inside.metrics == alone.metrics


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), budget=st.sampled_from((None, *BUDGETS)), every=st.integers(1, 20))
def test_the_parts_are_the_whole_and_it_runs_again_from_what_is_saved(
    seed: int, budget: Budget | None, every: int
) -> None:
    """The orchestrator itself holds the whole against the fills of all on every bar."""
    rebalancing = None if budget is None else Rebalancing(budget=budget, every=every)
    strategies, history, rules = some_portfolio(seed, rebalancing)

    result = StrategyOrchestrator(strategies, rules).run(history, 100_000)

    parts = np.sum([each.equity for each in result.strategy_results.values()], axis=0)
    np.testing.assert_allclose(result.equity, parts + result.reserve, rtol=1e-12)
    for each in result.allocations.values():
        assert each.available_capital == each.allocated_capital - each.used_capital
    saved = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert rerun(saved["specification"], history).equity.tobytes() == result.equity.tobytes()
