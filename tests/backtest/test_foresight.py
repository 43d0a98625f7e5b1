"""Foresight where no decision shows it, as one is withheld."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import LookAheadError
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.result import BacktestResult
from trading.backtest.strategy import IStrategy, Strategy

DAY = 86_400 * 10**9


def priced(symbol: str, close: Sequence[float] | Floats, first: int = 0) -> SymbolBars:
    """Return daily bars that open, rise and fall nowhere but at their close."""
    closes = np.asarray(close, dtype=np.float64)
    return SymbolBars(
        symbol=symbol,
        stamps=(first + np.arange(len(closes))) * DAY,
        open=closes,
        high=closes,
        low=closes,
        close=closes,
        volume=np.full(len(closes), 1e9),
    )


def walk(bars: int, seed: int = 1) -> PriceHistory:
    random = np.random.default_rng(seed)
    return PriceHistory([priced("WALK", 100 * np.exp(np.cumsum(random.normal(0, 0.01, bars))))])


class InArrays(Strategy):
    """Answers what a function of the history says."""

    def __init__(self, answer: Callable[[PriceHistory], Floats], warmup: int = 0) -> None:
        super().__init__(None)
        self.answer = answer
        self.warmup = warmup

    def signals(self, history: PriceHistory) -> Floats:
        return self.answer(history)


def run_arrays(strategy: IStrategy, history: PriceHistory) -> BacktestResult:
    return BacktestEngine().run(strategy, history, 1e5, arrays=True)


# A decision withheld


def sold_at_the_highest_of_all(history: PriceHistory) -> Floats:
    """Buy on the first bar, and sell on the one with the highest close there will ever be."""
    weights = np.full(len(history), np.nan)
    weights[int(np.argmax(history.closes[:, 0]))] = 0.0
    weights[0] = 1.0
    return weights


def bought_at_the_lowest_of_all(history: PriceHistory) -> Floats:
    weights = np.full(len(history), np.nan)
    weights[int(np.argmin(history.closes[:, 0]))] = 1.0
    return weights


def bought_unless_it_will_fall(history: PriceHistory) -> Floats:
    """Buy at a new high of 20 bars, unless the close 60 bars on is known and below; sell at a new low."""
    close = pd.Series(history.closes[:, 0])
    falls = (close.shift(-60) < close).to_numpy()
    high, low = (close == close.rolling(20).max()).to_numpy(), (close == close.rolling(20).min()).to_numpy()
    weights = np.full(len(close), np.nan)
    weights[low] = 0.0
    weights[high & ~falls] = 1.0
    return weights


@pytest.mark.parametrize("instants", [250, 500, 3000, 9000, 10_001, 60_000])
@pytest.mark.parametrize(
    "cheat", [sold_at_the_highest_of_all, bought_at_the_lowest_of_all, bought_unless_it_will_fall]
)
def test_foresight_that_withholds_or_delays_a_decision_is_refused(
    cheat: Callable[[PriceHistory], Floats], instants: int
) -> None:
    with pytest.raises(LookAheadError, match=r"in_arrays looks ahead: for WALK on "):
        run_arrays(InArrays(cheat), walk(instants))


@pytest.mark.parametrize("instants", [500, 9000, 60_000])
@pytest.mark.parametrize("seed", [2, 3, 4, 5, 6, 8, 9, 11, 12, 13])
def test_to_sell_at_the_highest_of_all_is_refused_on_many_histories(instants: int, seed: int) -> None:
    """Not on all: where the first bar, or one of the next few, has the highest close (seeds 7 and 10), the
    whole history says at every cut what is known by then."""
    with pytest.raises(LookAheadError):
        run_arrays(InArrays(sold_at_the_highest_of_all), walk(instants, seed))


def test_a_withheld_decision_is_named_with_what_was_decided_on_the_shorter_history() -> None:
    # Of the first bar alone, and of the first two, the second's close is the highest: 3 comes later.
    history = PriceHistory([priced("ABC", [1.0, 2.0, 1.5, 1.5, 1.5, 1.5, 1.5, 3.0])])

    with pytest.raises(LookAheadError) as refused:
        run_arrays(InArrays(sold_at_the_highest_of_all), history)

    assert "for ABC on 1970-01-02 (instant 1) it decides nothing when it is given all" in str(refused.value)
    assert "but a weight of 0 when it is given those up to 1970-01-02" in str(refused.value)
