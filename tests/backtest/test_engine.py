"""The base rule of a backtest, held against the rule written out plainly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission
from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import HistoryError
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.signals import Signal
from trading.backtest.strategies.moving_average import MovingAverageCross, MovingAverageParameters
from trading.backtest.strategy import Signals, State, Strategy

DAY = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Decisions:
    """Target weights by bar, None for nothing new."""

    weights: tuple[float | None, ...]


class Decided(Strategy):
    """Says at each bar what it was told to say."""

    parameters: Decisions

    def on_bar(self, bar: Bar, state: State) -> Signals:
        weight = self.parameters.weights[state.row]
        return None if weight is None else [Signal.hold(bar.symbol, weight)]


def random_walk(bars: int, seed: int = 1) -> PriceHistory:
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, bars)))
    open_ = np.concatenate([[100.0], close[:-1]]) * (1 + random.normal(0, 0.002, bars))
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    stamps = np.arange(bars, dtype=np.int64) * DAY
    return PriceHistory(
        [
            SymbolBars(
                symbol="WALK",
                stamps=stamps,
                open=open_,
                high=high,
                low=low,
                close=close,
                volume=np.full(bars, 1e6),
            )
        ]
    )


def plainly(history: PriceHistory, weights: tuple[float | None, ...], capital: float, fee: float) -> Floats:
    """All in or all out at the next open, the fee a fraction of the value, marked at the close."""
    (bars,) = history.bars.values()
    cash, shares, waiting, equity = capital, 0.0, None, []
    for at in range(len(bars)):
        open_ = float(bars.open[at])
        if waiting == 1.0 and shares == 0.0:
            shares = cash / (open_ * (1 + fee))
            cash = 0.0
        elif waiting == 0.0 and shares:
            cash, shares = shares * open_ * (1 - fee), 0.0
        waiting = weights[at]
        equity.append(cash + shares * float(bars.close[at]))
    return np.array(equity)


@pytest.mark.parametrize("seed", range(5))
def test_all_in_and_out_at_the_next_open_gives_the_equity_of_the_plain_rule(seed: int) -> None:
    history = random_walk(500, seed)
    random = np.random.default_rng(seed)
    weights = tuple([None, 1.0, 0.0][pick] for pick in random.integers(0, 3, 500))

    result = BacktestEngine(BacktestConfig(commission=Commission(bps=10))).run(
        Decided(Decisions(weights)), history, 100_000
    )

    expected = plainly(history, weights, 100_000.0, 0.001)
    np.testing.assert_allclose(result.equity, expected, rtol=1e-11)


@pytest.mark.parametrize("arrays", [False, True])
def test_a_symbol_that_the_history_lacks_is_named(arrays: bool) -> None:
    strategy = MovingAverageCross(MovingAverageParameters(symbols=("WALK", "WALTZ")))

    with pytest.raises(HistoryError, match="moving_average_cross trades WALTZ: the history has WALK"):
        BacktestEngine().run(strategy, random_walk(100), 1000.0, arrays=arrays)


def test_a_decision_on_the_last_bar_is_never_filled() -> None:
    history = random_walk(10)

    result = BacktestEngine().run(Decided(Decisions((None,) * 9 + (1.0,))), history, 1000.0)

    assert result.fills == []
    assert [each.reason.name for each in result.rejections] == ["NO_MORE_BARS"]
    assert result.final_equity == 1000.0
