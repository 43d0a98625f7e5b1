"""Monte Carlo of trades: what shuffling keeps, what resampling changes, and how likely ruin is."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.research.statistics.trade_monte_carlo import TradeDraw, trade_monte_carlo

TRADES = st.lists(st.floats(-1.2, 1.5), min_size=2, max_size=12)


def test_shuffling_changes_the_way_but_not_the_end() -> None:
    trades = [0.5, -0.4, 0.1, -0.2, 0.3]

    found = trade_monte_carlo(trades, seed=1, runs=200, draw=TradeDraw.SHUFFLE)

    # 1.5 * 0.6 * 1.1 * 0.8 * 1.3
    assert found.final_equity == pytest.approx([1.0296] * 200)
    assert len(np.unique(found.max_drawdown.round(9))) > 1


def test_shuffled_drawdowns_are_those_of_all_orders() -> None:
    """The mean over all 24 orders of four trades, each walked through by itself."""
    trades = [0.2, -0.3, 0.1, -0.1]
    depths = []
    for order in permutations(trades):
        equity = peak = 1.0
        depth = 0.0
        for trade in order:
            equity *= 1 + trade
            peak = max(peak, equity)
            depth = min(depth, equity / peak - 1)
        depths.append(depth)

    found = trade_monte_carlo(trades, seed=2, runs=4000, draw=TradeDraw.SHUFFLE)

    assert float(found.max_drawdown.mean()) == pytest.approx(sum(depths) / 24, abs=0.002)
    assert set(found.max_drawdown.round(9)) == {round(depth, 9) for depth in depths}


def test_resampled_trades_end_where_the_mean_trade_leads() -> None:
    # The mean of a product of independent factors is the product of their means: (1 + 0.01)^20.
    trades = [0.06, -0.04] * 10

    found = trade_monte_carlo(trades, seed=3, runs=8000)

    assert float(found.final_equity.mean()) == pytest.approx(1.01**20, rel=0.01)


def test_ruin_is_as_likely_as_counted_by_hand() -> None:
    # Two trades drawn from {-0.4, +0.1}: below 0.5 only after two losses (0.36), one draw in four.
    found = trade_monte_carlo([-0.4, 0.1], seed=4, runs=8000, ruin_below=0.5)

    assert found.ruin_probability == pytest.approx(0.25, abs=0.015)
    assert found.ruin_probability == (found.lowest_equity < 0.5).mean()


def test_what_is_lost_altogether_stays_lost() -> None:
    found = trade_monte_carlo([-1.5, 2.0], seed=5, runs=50, draw=TradeDraw.SHUFFLE)

    assert set(found.final_equity) == {0.0}
    assert set(found.max_drawdown) == {-1.0}
    assert found.ruin_probability == 1.0


@given(trades=TRADES, seed=st.integers(0, 10_000), draw=st.sampled_from(TradeDraw))
def test_every_run_is_possible_whatever_the_trades(trades: list[float], seed: int, draw: TradeDraw) -> None:
    found = trade_monte_carlo(trades, seed=seed, runs=10, draw=draw)

    assert 0 <= found.ruin_probability <= 1
    assert (found.max_drawdown >= -1).all()
    assert (found.max_drawdown <= 0).all()
    assert (found.lowest_equity <= np.minimum(found.final_equity, 1.0)).all()


@pytest.mark.parametrize("draw", list(TradeDraw))
def test_neither_the_chunks_nor_the_number_of_runs_change_a_run(draw: TradeDraw) -> None:
    trades = list(np.random.default_rng(1).normal(0.01, 0.05, 40))

    whole = trade_monte_carlo(trades, seed=6, runs=70, draw=draw)
    chunked = trade_monte_carlo(trades, seed=6, runs=70, draw=draw, memory_limit_mb=0.01)
    fewer = trade_monte_carlo(trades, seed=6, runs=30, draw=draw)

    assert np.array_equal(whole.max_drawdown, chunked.max_drawdown)
    assert np.array_equal(whole.final_equity[:30], fewer.final_equity)


@pytest.mark.parametrize(
    ("trades", "settings", "message"),
    [
        ([0.1], {}, r"trade_returns has shape \(1,\): expected one dimension of at least 2 values"),
        ([0.1, math.inf], {}, r"trade_returns\[1\] is inf: expected finite numbers"),
        ([0.1, 0.2], {"runs": 0}, "runs is 0: expected a whole number from 1 up"),
        ([0.1, 0.2], {"seed": -3}, "seed is -3: expected a whole number from 0 up"),
        ([0.1, 0.2], {"ruin_below": 1.0}, r"ruin_below is 1\.0: expected a number between 0 and 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name_and_value(
    trades: list[float], settings: dict[str, float], message: str
) -> None:
    asked = {"seed": 1, **settings}

    with pytest.raises(ValueError, match=message):
        trade_monte_carlo(trades, **asked)  # type: ignore[arg-type] # wrong on purpose
