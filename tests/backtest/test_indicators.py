"""Indicators against published tables, exact sums and themselves: told bar by bar they say the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.strategy_contract import of_closes
from trading.backtest.errors import HistoryError
from trading.backtest.history import Floats, SymbolBars
from trading.backtest.indicators import (
    BollingerBand,
    Column,
    ExponentialMovingAverage,
    Momentum,
    RollingDeviation,
    Rsi,
    SimpleMovingAverage,
    Told,
    mean_and_deviation,
    window_sums,
)
from trading.backtest.strategy import Indicator

EXAMPLE = [22.27, 22.19, 22.08, 22.17, 22.18, 22.13, 22.23, 22.43, 22.24, 22.29, 22.15, 22.39, 22.38, 22.61]
EXAMPLE += [23.36, 24.05, 23.75, 23.83, 23.95, 23.63, 23.82, 23.87, 23.65, 23.19, 23.10, 23.33, 22.68, 23.10]
EXAMPLE += [22.40, 22.17]
"""Closes of the worked example in StockCharts' ChartSchool, "Moving Averages - Simple and Exponential"."""


class Twofold(Indicator, Protocol):
    """An indicator that can also be told one close after the other."""

    def told(self) -> Told: ...


KINDS: list[Callable[[int], Twofold]] = [
    lambda bars: SimpleMovingAverage(bars=bars),
    lambda bars: ExponentialMovingAverage(bars=bars),
    lambda bars: Rsi(bars=bars),
    lambda bars: RollingDeviation(bars=bars + 1),
    lambda bars: BollingerBand(bars=bars + 1, deviations=-2.0),
    lambda bars: Momentum(bars=bars),
]
IDS = ["simple", "exponential", "rsi", "deviation", "band", "momentum"]
every_kind = pytest.mark.parametrize(
    "kind", KINDS, ids=["simple", "exponential", "rsi", "dev", "band", "mom"]
)
prices = st.one_of(st.integers(1, 300).map(lambda cents: cents / 100), st.floats(1e-3, 1e6))


def bars_of(closes: Sequence[float] | Floats) -> SymbolBars:
    return of_closes("X", closes)


def test_a_simple_average_is_that_of_the_published_table() -> None:
    """Which is of closes with four decimals: what both roundings make of it is below 0.01."""
    means = SimpleMovingAverage(bars=10)(bars_of(EXAMPLE))

    assert means[9:20].tolist() == pytest.approx(
        [22.22, 22.21, 22.23, 22.26, 22.31, 22.42, 22.61, 22.77, 22.91, 23.08, 23.21], abs=0.01
    )


def test_an_exponential_average_is_that_of_the_published_table() -> None:
    means = ExponentialMovingAverage(bars=10)(bars_of(EXAMPLE))

    published = [22.22, 22.21, 22.24, 22.27, 22.33, 22.52, 22.80, 22.97, 23.13, 23.28, 23.34, 23.43, 23.51]
    published += [23.53, 23.47, 23.40, 23.39, 23.26, 23.23, 23.08, 22.92]
    assert means[9:].tolist() == pytest.approx(published, abs=0.01)


def test_the_relative_strength_index_is_that_of_the_published_table() -> None:
    """StockCharts' ChartSchool, "Relative Strength Index", spreadsheet cs-rsi.xls: 14 days."""
    closes = [44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826]
    closes += [45.8931, 46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439]
    closes += [46.2122, 46.2521, 45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672]
    closes += [43.4205, 42.6628, 43.1314]

    index = Rsi(bars=14)(bars_of(closes))

    published = [70.5328, 66.3186, 66.5498, 69.4063, 66.3552, 57.9749, 62.9296, 63.2571, 56.0593, 62.3771]
    published += [54.7076, 50.4228, 39.9898, 41.4605, 41.8689, 45.4632, 37.3040, 33.0795, 37.7730]
    assert np.isnan(index[:14]).all()
    assert index[14:].tolist() == pytest.approx(published, abs=0.001)


def test_bands_stand_around_the_mean_by_deviations_with_divisor_n() -> None:
    """2, 4, 4, 4, 5, 5, 7, 9 has mean 5 and deviation 2, as 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32 = 8 * 4."""
    bars = bars_of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])

    assert RollingDeviation(bars=8)(bars)[-1] == pytest.approx(2.0, rel=1e-15)
    assert BollingerBand(bars=8, deviations=2.0)(bars)[-1] == pytest.approx(9.0, rel=1e-15)
    assert BollingerBand(bars=8, deviations=-1.5)(bars)[-1] == pytest.approx(2.0, rel=1e-15)


def test_momentum_is_the_return_since_the_close_of_so_many_bars_ago() -> None:
    returns = Momentum(bars=2)(bars_of([100.0, 90.0, 110.0, 99.0]))

    assert returns.tolist() == pytest.approx([math.nan, math.nan, 0.10, 0.10], nan_ok=True)


def test_an_index_of_rises_alone_is_100_and_of_falls_alone_0() -> None:
    rises = [1.0 + at for at in range(20)]

    assert Rsi(bars=5)(bars_of(rises))[-1] == 100.0
    assert Rsi(bars=5)(bars_of(rises[::-1]))[-1] == 0.0


def test_an_index_without_moves_is_in_the_middle_however_long_they_are_gone() -> None:
    """The means of rises and falls go on halving: what is left of them in the end is rounding."""
    closes = [1.0, 2.0, 1.0] + [1.5] * 3000

    index = Rsi(bars=2)(bars_of(closes))

    assert Rsi(bars=2)(bars_of([3.0] * 9))[-1] == 50.0
    assert set(index[100:]) == {50.0}


@pytest.mark.parametrize("bars", [1, 2, 14, 200])
def test_the_strength_index_of_a_long_history_is_wilder_s_recurrence_in_both_forms(bars: int) -> None:
    """Longer than a block of growing weights; here U = (U (n - 1) + rise) / n is done as written."""
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(5).normal(0.0, 0.01, 3000)))
    rises, falls = np.maximum(np.diff(closes), 0.0), np.maximum(-np.diff(closes), 0.0)
    up, down = float(np.mean(rises[:bars])), float(np.mean(falls[:bars]))
    expected = [100.0 * up / (up + down)]
    for rise, fall in zip(rises[bars:].tolist(), falls[bars:].tolist(), strict=True):
        up, down = (up * (bars - 1) + rise) / bars, (down * (bars - 1) + fall) / bars
        expected.append(100.0 * up / (up + down))

    index = Rsi(bars=bars)
    told = index.told()

    np.testing.assert_allclose(index(bars_of(closes))[bars:], expected, rtol=1e-12, atol=1e-11)
    np.testing.assert_array_equal([told(close) for close in closes.tolist()], index(bars_of(closes)))


@every_kind
@given(closes=st.lists(prices, min_size=1, max_size=70), bars=st.sampled_from([1, 2, 3, 7, 15, 16, 17, 30]))
def test_told_bar_by_bar_an_indicator_says_the_same_to_the_last_bit(
    kind: Callable[[int], Twofold], closes: list[float], bars: int
) -> None:
    indicator = kind(bars)
    told = indicator.told()

    np.testing.assert_array_equal([told(close) for close in closes], indicator(bars_of(closes)))


@every_kind
@given(closes=st.lists(prices, min_size=2, max_size=60), kept=st.integers(1, 60), bars=st.integers(1, 20))
def test_an_indicator_knows_no_future_and_is_silent_for_its_warm_up(
    kind: Callable[[int], Twofold], closes: list[float], kept: int, bars: int
) -> None:
    indicator, history = kind(bars), bars_of(closes)
    values = indicator(history)

    kept = min(kept, len(history))
    np.testing.assert_array_equal(indicator(history.part(0, kept)), values[:kept])
    assert np.isnan(values[: indicator.warmup]).all()
    assert np.isfinite(values[indicator.warmup :]).all()


@given(closes=st.lists(prices, min_size=1, max_size=60), bars=st.integers(2, 20))
def test_mean_and_deviation_are_the_exact_ones(closes: list[float], bars: int) -> None:
    """Against fractions, which do not round."""
    means, deviations = mean_and_deviation(np.array(closes), bars)

    for end in range(bars, len(closes) + 1):
        window = [Fraction(close) for close in closes[end - bars : end]]
        mean = sum(window) / bars
        variance = sum((each - mean) ** 2 for each in window) / bars
        assert means[end - 1] == pytest.approx(float(mean), rel=1e-13)
        tolerance = 1e-7 * float(max(window))  # The root turns 1e-14 of a square into 1e-7.
        assert deviations[end - 1] == pytest.approx(math.sqrt(variance), rel=1e-9, abs=tolerance)


@given(price=prices, bars=st.integers(2, 40))
def test_a_constant_price_is_its_own_mean_and_has_no_deviation(price: float, bars: int) -> None:
    means, deviations = mean_and_deviation(np.full(100, price), bars)

    assert set(means[bars - 1 :]) == {price}
    assert set(deviations[bars - 1 :]) == {0.0}


def test_sums_do_not_drift_in_a_million_bars() -> None:
    """Prices rise to a million and crash to a cent: nothing of the millions is left in a later sum."""
    values = np.exp(np.linspace(0.0, math.log(1e6), 1_000_000))
    values[900_000:] = np.random.default_rng(1).uniform(0.01, 0.02, 100_000)

    sums = window_sums(values, 50)

    ends = [50, 70_001, 500_007, 900_000, 900_051, 999_999, 1_000_000]
    exact = [math.fsum(values[end - 50 : end]) for end in ends]
    assert [sums[end - 1] for end in ends] == pytest.approx(exact, rel=1e-14)


def test_deviations_do_not_drown_in_a_high_price() -> None:
    """A price of a million that moves by a cent: of squares of prices, 1e12, no digit of 1e-4 would be
    left."""
    closes = 1e6 + 0.01 * np.random.default_rng(2).integers(-5, 6, 1000).astype(np.float64)

    deviations = mean_and_deviation(closes, 20)[1]

    exact = [float(np.std(closes[end - 20 : end] - 1e6)) for end in range(20, 1001)]
    np.testing.assert_allclose(deviations[19:], exact, rtol=1e-12)


def test_a_column_is_read_as_it_stands() -> None:
    bars = bars_of([1.0, 2.0])
    with_column = SymbolBars(
        symbol="X",
        stamps=bars.stamps,
        open=bars.open,
        high=bars.high,
        low=bars.low,
        close=bars.close,
        volume=bars.volume,
        extras={"yield": np.array([math.nan, 0.04])},
    )

    assert Column(name="yield")(with_column)[1] == 0.04
    with pytest.raises(HistoryError, match=r"bars of X have no column 'pe': .* there are yield"):
        Column(name="pe")(with_column)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SimpleMovingAverage(bars=0), "bars is 0: expected a whole number from 1 up"),
        (lambda: ExponentialMovingAverage(bars=-1), "bars is -1: expected a whole number from 1 up"),
        (lambda: Rsi(bars=True), "bars is True: expected a finite number"),
        (lambda: RollingDeviation(bars=1), "bars is 1: expected a whole number from 2 up"),
        (lambda: BollingerBand(bars=20, deviations=math.inf), "deviations is inf: expected a finite number"),
        (lambda: Momentum(bars=0), "bars is 0: expected a whole number from 1 up"),
    ],
)
def test_an_indicator_that_cannot_be_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
