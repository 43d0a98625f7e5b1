"""What each strategy decides on prices that can be followed by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests.backtest.strategy_contract import asked, asked_weights, of_closes, walk
from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import HistoryError
from trading.backtest.history import PriceHistory
from trading.backtest.strategies.bollinger import BollingerParameters, BollingerReversion
from trading.backtest.strategies.buy_and_hold import BuyAndHold, BuyAndHoldParameters
from trading.backtest.strategies.momentum import (
    CrossSectionalMomentum,
    CrossSectionalMomentumParameters,
    TimeSeriesMomentum,
    TimeSeriesMomentumParameters,
)
from trading.backtest.strategies.moving_average import (
    DeclaredMovingAverageCross,
    MovingAverageCross,
    MovingAverageParameters,
)
from trading.backtest.strategies.rsi import RsiParameters, RsiReversion
from trading.backtest.strategy import IStrategy

Wish = tuple[int, str, float | None]


def of(**closes: Sequence[float]) -> PriceHistory:
    return PriceHistory(of_closes(symbol, each) for symbol, each in closes.items())


def wishes(strategy: IStrategy, history: PriceHistory) -> list[Wish]:
    """Return what is asked for: (instant, symbol, weight)."""
    return [(row, signal.symbol, signal.weight) for row, signal in asked(strategy, history)]


def test_buy_and_hold_earns_what_the_price_does() -> None:
    """Bought at the second bar's open, 10, and worth 15 a share at the end."""
    result = BacktestEngine().run(BuyAndHold(BuyAndHoldParameters()), of(X=[10, 12, 15]), 1000.0)

    assert result.final_equity == pytest.approx(1500.0)
    assert len(result.fills) == 1


def test_symbols_share_the_equity_and_a_later_one_takes_its_share_on_its_first_day() -> None:
    history = PriceHistory(
        [of_closes("A", [1.0] * 6), of_closes("B", [1.0] * 6), of_closes("LATE", [1.0] * 3, [3, 4, 5])]
    )

    asked_for = wishes(BuyAndHold(BuyAndHoldParameters()), history)

    third = 1 / 3
    assert asked_for == [(0, "A", 0.5), (0, "B", 0.5), (3, "A", third), (3, "B", third), (3, "LATE", third)]


def test_the_same_wish_is_the_same_signal_in_every_strategy_and_run() -> None:
    """Signals never change, so two strategies may ask with one."""
    history = of(X=[1, 2, 3, 2, 1, 2, 3])
    one, two = (MovingAverageCross(MovingAverageParameters(fast=1, slow=2), name) for name in ("one", "two"))

    signals = [signal for strategy in (one, two, one) for _, signal in asked(strategy, history)]

    assert len(signals) == 9
    assert len({id(signal) for signal in signals}) == 2


def test_only_the_symbols_asked_for_are_traded() -> None:
    history = of(A=[1.0] * 3, B=[1.0] * 3, C=[1.0] * 3)

    assert wishes(BuyAndHold(BuyAndHoldParameters(symbols=("B",))), history) == [(0, "B", 1.0)]


@pytest.mark.parametrize(
    "strategy",
    [
        BuyAndHold(BuyAndHoldParameters(symbols=("A", "MSTF"))),
        CrossSectionalMomentum(CrossSectionalMomentumParameters(lookback=1, skip=0, symbols=("MSTF",))),
    ],
)
def test_a_symbol_without_bars_is_refused_by_name(strategy: IStrategy) -> None:
    with pytest.raises(HistoryError, match="trades MSTF: the history has A, MSFT"):
        asked(strategy, of(A=[1.0] * 3, MSFT=[1.0] * 3))


CROSSING = [10, 10, 10, 13, 13, 7, 7, 10, 10, 10, 10]
"""Means of 2 and 3 bars, from bar 2 on: 10 = 10, 11.5 > 11, 13 > 12, 10 < 11, 7 < 9, 8.5 > 8, 10 > 9,
10 = 10, 10 = 10."""


@pytest.mark.parametrize("kind", [MovingAverageCross, DeclaredMovingAverageCross])
def test_a_crossing_is_followed_from_the_bar_it_is_seen_at(kind: type[MovingAverageCross]) -> None:
    strategy = kind(MovingAverageParameters(fast=2, slow=3))

    asked_for = wishes(strategy, of(X=CROSSING))

    assert asked_for == [(3, "X", 1.0), (5, "X", 0.0), (7, "X", 1.0), (9, "X", 0.0)]


def test_a_crossing_is_sold_short_where_that_is_wanted_and_equal_averages_are_flat() -> None:
    strategy = MovingAverageCross(MovingAverageParameters(fast=2, slow=3, shorting=True))

    asked_for = wishes(strategy, of(X=CROSSING))

    assert asked_for == [(3, "X", 1.0), (5, "X", -1.0), (7, "X", 1.0), (9, "X", 0.0)]


@pytest.mark.parametrize("price", [0.1, 1 / 3, 100.07, 12345.678901])
@pytest.mark.parametrize("average", ["simple", "exponential"])
def test_rounding_makes_no_crossing_of_a_price_that_stands_still(price: float, average: str) -> None:
    """The means of 3 and 7 times 0.1 are not the same floats; on paper they are equal."""
    strategy = MovingAverageCross(MovingAverageParameters(fast=3, slow=7, average=average, shorting=True))

    assert wishes(strategy, of(X=[price] * 60)) == []


def test_time_series_momentum_asks_every_so_many_bars_what_the_past_returned() -> None:
    """Return over 2 bars at bars 2, 5 and 8: 12/10 up; 9/11 down; 9/9 none."""
    closes = [10, 11, 12, 11, 10, 9, 9, 8, 9, 9]
    rules = TimeSeriesMomentumParameters(lookback=2, rebalance=3, shorting=True)

    asked_for = wishes(TimeSeriesMomentum(rules), of(X=closes))

    assert asked_for == [(2, "X", 1.0), (5, "X", -1.0), (8, "X", 0.0)]


def test_cross_sectional_momentum_holds_what_rose_most_but_for_the_last_bar() -> None:
    """Returns from 2 bars ago to the bar before, at instants 2 and 4: A 10 %, B 20 %, C 0 %; then A 9/11,
    B 1, C 2: from A and B to B and C."""
    history = of(A=[10, 11, 11, 9, 9], B=[10, 12, 12, 12, 1], C=[10, 10, 10, 20, 20])
    rules = CrossSectionalMomentumParameters(lookback=2, skip=1, hold=2, rebalance=2)

    asked_for = wishes(CrossSectionalMomentum(rules), history)

    assert asked_for == [(2, "A", 0.5), (2, "B", 0.5), (4, "A", 0.0), (4, "C", 0.5)]


def test_of_equal_returns_the_first_symbols_are_held_and_a_symbol_without_a_bar_is_none() -> None:
    history = PriceHistory(
        [
            of_closes("AWAY", [1.0, 9.0, 9.0], [0, 1, 3]),
            of_closes("B", [2.0, 2.0, 2.0, 2.0]),
            of_closes("C", [3.0, 3.0, 3.0, 3.0]),
        ]
    )
    rules = CrossSectionalMomentumParameters(lookback=2, skip=0, hold=1, rebalance=5)

    assert wishes(CrossSectionalMomentum(rules), history) == [(2, "B", 1.0)]


def test_an_oversold_index_is_bought_until_it_has_recovered() -> None:
    """Index of 2 bars: U and D are means of the first two changes, then half old and half new.
    bar 2: U 0, D 1: 0 (below 30: in). bar 3: U 0.5, D 0.5: 50 (stays). bar 4: U 0.75, D 0.25: 75 (out).
    bar 5: U 0.375, D 0.625: 37.5. bar 6: U 0.1875, D 0.8125: 18.75 (in)."""
    closes = [10, 9, 8, 9, 10, 9, 8]

    asked_for = wishes(RsiReversion(RsiParameters(bars=2, low=30, exit=50)), of(X=closes))

    assert asked_for == [(2, "X", 1.0), (4, "X", 0.0), (6, "X", 1.0)]


def test_an_overbought_index_is_sold_short_where_that_is_wanted() -> None:
    """The same upside down in changes: 100, 50, 25, 62.5, 81.25; short above 70 until below 50."""
    closes = [10, 11, 12, 11, 10, 11, 12]
    rules = RsiParameters(bars=2, low=30, exit=50, shorting=True)

    asked_for = wishes(RsiReversion(rules), of(X=closes))

    # At bar 4 the index is 25: below 50 it would be covered, and below 30 it is bought.
    assert asked_for == [(2, "X", -1.0), (4, "X", 1.0), (5, "X", 0.0), (6, "X", -1.0)]


def test_a_close_below_its_band_is_bought_until_it_is_above_the_mean() -> None:
    """3 bars, width 1.2. bar 3: 10, 10, 7: mean 9, deviation 1.414, band 7.30: in. bar 4: 10, 7, 8: mean
    8.33: stays. bar 5: 7, 8, 9: mean 8: out. bar 6: 8, 9, 9: mean 8.67, nothing to leave."""
    asked_for = wishes(
        BollingerReversion(BollingerParameters(bars=3, width=1.2)), of(X=[10, 10, 10, 7, 8, 9, 9])
    )

    assert asked_for == [(3, "X", 1.0), (5, "X", 0.0)]


def test_a_close_on_its_band_has_not_passed_it() -> None:
    """Of two closes each is exactly one deviation from the mean, whatever rounding makes of it."""
    strategy = BollingerReversion(BollingerParameters(bars=2, width=1.0, shorting=True))

    assert wishes(strategy, PriceHistory([walk("X", 3)])) == []


def test_a_run_leaves_nothing_in_a_strategy_that_could_not_be_pickled() -> None:
    """Research sends strategies to other processes."""
    import pickle

    strategy = MovingAverageCross(MovingAverageParameters(fast=2, slow=3))
    BacktestEngine().run(strategy, of(X=CROSSING), 1000.0)

    again = pickle.loads(pickle.dumps(strategy))

    assert wishes(again, of(X=CROSSING)) == wishes(strategy, of(X=CROSSING))


@pytest.mark.parametrize("fast", [1, 2, 5, 16, 40])
@pytest.mark.parametrize("slow", [41, 50])
def test_both_forms_agree_at_every_width_of_the_windows(fast: int, slow: int) -> None:
    """One bar, narrow and wide ones are summed up in different ways."""
    strategy = MovingAverageCross(MovingAverageParameters(fast=fast, slow=slow, shorting=True))
    history = PriceHistory([walk("X", 9)])

    np.testing.assert_array_equal(strategy.signals(history), asked_weights(strategy, history))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: BuyAndHoldParameters(symbols=("A", "A")),
            "symbols is .*: expected each one once",
        ),
        (lambda: MovingAverageParameters(fast=0), "fast is 0: expected a whole number from 1 up"),
        (lambda: MovingAverageParameters(fast=50), "fast is 50: expected fewer bars than slow = 50"),
        (lambda: MovingAverageParameters(average="hull"), "average is 'hull': expected one of simple, expon"),
        (lambda: TimeSeriesMomentumParameters(lookback=0), "lookback is 0: expected a whole number from 1"),
        (lambda: TimeSeriesMomentumParameters(rebalance=0), "rebalance is 0: expected a whole number"),
        (lambda: CrossSectionalMomentumParameters(skip=252), "skip is 252: expected fewer bars than lookb"),
        (lambda: CrossSectionalMomentumParameters(hold=0), "hold is 0: expected a whole number from 1 up"),
        (lambda: RsiParameters(low=50.0), "low is 50.0: expected a level above 0 and below 50"),
        (lambda: RsiParameters(exit=20.0), "exit is 20.0: expected a level from low = 30.0 to below 100"),
        (lambda: BollingerParameters(bars=1), "bars is 1: expected a whole number from 2 up"),
        (lambda: BollingerParameters(width=math.nan), "width is nan: expected a finite number"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_whole_numbers_given_as_floats_are_kept_as_ints() -> None:
    """Searches and JSON hand over 20.0; a window counts in ints."""
    rules = MovingAverageParameters(fast=5.0, slow=20.0)  # type: ignore[arg-type]  # on purpose

    assert (rules.fast, rules.slow) == (5, 20)
    assert type(rules.fast) is int
