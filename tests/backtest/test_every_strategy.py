"""What holds for every strategy of the registry, whichever it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backtest.strategy_contract import StrategyContract, of_closes, walk
from trading.backtest import (
    BacktestConfig,
    Commission,
    Financing,
    OrchestratorConfig,
    OrchestratorResult,
    PriceHistory,
    Slippage,
    StrategyOrchestrator,
    SymbolBars,
)
from trading.backtest.strategies.registry import STRATEGIES, made
from trading.backtest.strategy import IStrategy

DAYS = 330
COSTS = BacktestConfig(
    commission=Commission(per_trade=1.0, bps=5.0),
    slippage=Slippage(spread_bps=4.0, impact=0.5),
    financing=Financing(cash_rate=0.02, borrow_rate=0.03),
    delisting_recovery=0.5,
    check_look_ahead=False,
)
"""Without the look-ahead check, which the contract makes and which would ask nine times for the arrays."""
QUICK: dict[str, dict[str, Any]] = {
    "moving_average": {"fast": 5, "slow": 20},
    "declared_moving_average": {"fast": 5, "slow": 20},
    "time_series_momentum": {"lookback": 30, "rebalance": 7},
    "cross_sectional_momentum": {"lookback": 40, "skip": 5, "hold": 2, "rebalance": 9},
    "pairs": {"window": 40, "refit": 21, "significance": 0.9, "entry": 1.0, "exit": 0.2},
    "learned": {"horizon": 2, "window": 100, "refit": 60, "entry": 0.51},
}
"""Parameters with which they trade often within a year; the others do so with their own."""
CONTRACTS = ("test_strategies_by_contract", "test_pairs", "test_statistical_arbitrage", "test_learning")
"""The modules in which strategies are held to the contract."""


def quick(name: str) -> IStrategy:
    if name == "learned":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed: `make setup-learn`")
    return made(name, **QUICK.get(name, {}))


@cache
def unaligned() -> PriceHistory:
    """Symbols that begin, pause and end on days of their own, with the columns of an order book."""
    days = np.arange(DAYS)
    given = [
        walk("LATE", 5, days[20:]),
        walk("WHOLE", 6, days),
        walk("GAPS", 7, days[(days % 7 > 0) & (days % 70 > 5)]),
        walk("ENDED", 8, days[:-40]),
        of_closes("FLAT", [7.5] * DAYS),
    ]
    return PriceHistory(with_a_book(bars, seed) for seed, bars in enumerate(given))


def with_a_book(bars: SymbolBars, seed: int) -> SymbolBars:
    scores = np.random.default_rng(seed).uniform(-1.0, 1.0, (2, len(bars)))
    return replace(bars, extras={"queue_imbalance": scores[0], "queue_imbalance_5": scores[1]})


def orchestrated(strategy: IStrategy, *, arrays: bool) -> OrchestratorResult:
    config = OrchestratorConfig(backtest=COSTS, arrays=arrays, log_dir=None)
    return StrategyOrchestrator([(strategy, 0.5)], config).run(unaligned(), 100_000)


@pytest.mark.parametrize("name", STRATEGIES)
def test_arrays_come_to_what_the_bars_do_with_costs_and_gaps(name: str) -> None:
    strategy = quick(name)

    told, at_once = (orchestrated(strategy, arrays=each) for each in (False, True))

    one, other = (each.get_strategy_result(name) for each in (told, at_once))
    assert told.failures == at_once.failures == {}
    assert len(one.fills) > 5
    assert other.fills == one.fills
    assert other.rejections == one.rejections
    np.testing.assert_allclose(at_once.equity, told.equity, rtol=1e-12)


def test_every_strategy_inherits_the_contract() -> None:
    for each in CONTRACTS:
        import_module(f"tests.backtest.{each}")

    held = {type(contract().make()) for contract in contracts(StrategyContract)}

    assert [name for name, each in STRATEGIES.items() if each.strategy not in held] == []


def contracts(base: type[StrategyContract]) -> Iterator[type[StrategyContract]]:
    for each in base.__subclasses__():
        yield each
        yield from contracts(each)


def printed() -> str:
    """Return a digest of all that strategies of several symbols come to, in both forms."""
    digest = sha256()
    for name in ("buy_and_hold", "bollinger", "statistical_arbitrage"):
        for arrays in (False, True):
            result = orchestrated(made(name), arrays=arrays).to_dict()
            digest.update(json.dumps(result).encode())
    return digest.hexdigest()


def test_the_order_of_hashes_changes_nothing() -> None:
    """Sets of names come in another order in every process; a result must not."""
    program = "from tests.backtest.test_every_strategy import printed; print(printed())"
    root = Path(__file__).parents[2]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for seed in ("1", "2")
    ]

    told = {child.communicate(timeout=60)[0] for child in children}

    assert told == {printed() + "\n"}
