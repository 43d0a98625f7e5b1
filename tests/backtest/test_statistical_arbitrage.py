"""Statistical arbitrage: factors, residuals and their return by second methods, and the book made of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backtest.strategy_contract import StrategyContract, of_closes
from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import HistoryError
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.strategies.ornstein_uhlenbeck import (
    component_factors,
    mean_factor,
    regressed,
    reversion,
)
from trading.backtest.strategies.statistical_arbitrage import (
    StatisticalArbitrage,
    StatisticalArbitrageParameters,
)
from trading.backtest.strategy import IStrategy

NAMES = tuple("ABCDEFGH")


def reverting(bars: int = 300, stocks: int = 8, seed: int = 2) -> Floats:
    """Closes of stocks with exposures 0.5 to 1.5 to one market, each with a residual price that returns with
    0.8 a bar; shape (bars, stocks)."""
    random = np.random.default_rng(seed)
    market = np.cumsum(random.normal(0.0, 0.01, bars))
    own = np.zeros((bars, stocks))
    for at in range(1, bars):
        own[at] = 0.8 * own[at - 1] + random.normal(0.0, 0.01, stocks)
    prices: Floats = 50.0 * np.exp(np.outer(market, np.linspace(0.5, 1.5, stocks)) + own)
    return prices


def history_of(prices: Floats) -> PriceHistory:
    return PriceHistory(of_closes(name, prices[:, at]) for at, name in enumerate(NAMES[: prices.shape[1]]))


class TestStatisticalArbitrage(StrategyContract):
    def make(self) -> IStrategy:
        return StatisticalArbitrage(StatisticalArbitrageParameters(window=20, entry=1.0))


class TestStatisticalArbitrageOnComponents(StrategyContract):
    def make(self) -> IStrategy:
        return StatisticalArbitrage(
            StatisticalArbitrageParameters(components=1, window=20, component_window=40, entry=1.0)
        )


def test_the_first_components_are_those_of_a_singular_value_decomposition() -> None:
    returns = np.random.default_rng(1).normal(0.0, [0.01, 0.02, 0.03, 0.02], (80, 4))
    standard = (returns - returns.mean(axis=0)) / returns.std(axis=0, ddof=1)
    expected = np.linalg.svd(standard)[2][:2] / returns.std(axis=0, ddof=1)

    factors = component_factors(returns, 2)

    for found, known in zip(factors, expected, strict=True):
        assert found * np.sign(found[0]) == pytest.approx(known * np.sign(known[0]), rel=1e-9)


def test_a_stock_that_never_moved_has_no_part_in_the_components() -> None:
    returns = np.random.default_rng(1).normal(0.0, 0.01, (80, 4))
    returns[:, 2] = 0.0

    assert component_factors(returns, 1)[0, 2] == 0.0


def test_exposures_and_residuals_are_those_of_lines_through_each_stock() -> None:
    returns = np.random.default_rng(4).normal(0.0, 0.01, (60, 3))
    market = returns @ mean_factor(returns).T

    exposures, residuals = regressed(returns, market)

    for stock in range(3):
        slope, level = np.polyfit(market[:, 0], returns[:, stock], 1)
        assert exposures[0, stock] == pytest.approx(slope, rel=1e-9)
        assert residuals[:, stock] == pytest.approx(
            returns[:, stock] - level - slope * market[:, 0], abs=1e-12
        )


def test_the_score_is_that_of_a_line_through_each_sum_and_the_one_before() -> None:
    residuals = np.diff(reverting(61, 4), axis=0) / 50.0
    expected, means = [], []
    for sums in np.cumsum(residuals, axis=0).T:
        slope, level = np.polyfit(sums[:-1], sums[1:], 1)
        left = sums[1:] - level - slope * sums[:-1]
        means.append(level / (1 - slope))
        sigma = np.sqrt(left @ left / (59 - 2) / (1 - slope**2))
        expected.append((sums[-1], sigma, -1 / np.log(slope)))
    centre = np.mean(means)

    found = reversion(residuals)

    for stock, (last, sigma, bars) in enumerate(expected):
        assert found.score[stock] == pytest.approx((last - means[stock] + centre) / sigma, rel=1e-7)
        assert found.bars[stock] == pytest.approx(bars, rel=1e-7)


def test_a_residual_that_runs_away_or_never_moves_has_no_score() -> None:
    growing = 1.05 ** np.arange(60) - 1.05 ** np.arange(-1, 59)

    found = reversion(np.column_stack([growing, np.zeros(60)]))

    assert np.isnan(found.score).all()
    assert np.isinf(found.bars).all()


@pytest.mark.parametrize("components", [0, 1])
def test_the_first_book_buys_what_lags_and_has_no_exposure_to_the_factor(components: int) -> None:
    rules = StatisticalArbitrageParameters(components=components, window=60, component_window=60, weight=0.05)
    prices = reverting()

    weights = StatisticalArbitrage(rules).signals(history_of(prices))

    row = int(np.flatnonzero(~np.isnan(weights).all(axis=1))[0])
    book = np.nan_to_num(weights[row])
    returns = np.diff(np.log(prices[row - 60 : row + 1]), axis=0)
    factors = component_factors(returns, 1) if components else mean_factor(returns)
    market = (returns @ factors.T)[:, 0]
    exposures = [np.polyfit(market, returns[:, stock], 1)[0] for stock in range(8)]
    # The factor's portfolio has the exposure 1 to itself, so what is sold of it takes all of the exposure.
    assert book @ exposures == pytest.approx(0.0, abs=1e-9)
    scores = reversion(regressed(returns, market[:, None])[1]).score
    begun = np.abs(scores) > rules.entry
    assert begun.any()
    assert (np.sign(book[begun]) == -np.sign(scores[begun])).all()


def test_all_weights_together_stay_within_the_gross_limit() -> None:
    rules = StatisticalArbitrageParameters(window=40, weight=0.4, gross=0.8)

    weights = StatisticalArbitrage(rules).signals(history_of(reverting()))

    held = np.zeros(8)
    most = 0.0
    for row in weights:
        held = np.where(np.isnan(row), held, row)
        most = max(most, float(np.abs(held).sum()))
    assert most == pytest.approx(0.8, rel=1e-9)


def test_nothing_is_asked_for_while_no_position_begins_or_ends() -> None:
    weights = StatisticalArbitrage(StatisticalArbitrageParameters()).signals(history_of(reverting()))

    decided = np.isfinite(weights[60:]).any(axis=1)
    assert 10 < np.count_nonzero(decided) < 200


def test_residuals_that_return_are_earned() -> None:
    strategy = StatisticalArbitrage(StatisticalArbitrageParameters(window=40))

    result = BacktestEngine().run(strategy, history_of(reverting()), 1_000_000)

    assert result.metrics.sharpe_ratio > 2
    assert len(result.rejections) < len(result.fills) / 100


def test_walks_that_take_too_long_to_return_are_left_alone() -> None:
    rules = StatisticalArbitrageParameters(window=40, slowest=1e-3)

    assert np.isnan(StatisticalArbitrage(rules).signals(history_of(reverting()))).all()


def test_a_stock_takes_part_once_it_has_a_whole_window_and_is_closed_when_it_misses_a_bar() -> None:
    prices, days = reverting(), np.arange(300)
    late = np.arange(150, 300)
    gap = np.delete(days, 200)
    bars = [of_closes(name, prices[:, at]) for at, name in enumerate(NAMES[:4])]
    bars += [of_closes("LATE", prices[150:, 4], late), of_closes("GAP", prices[gap, 5], gap)]

    weights = StatisticalArbitrage(StatisticalArbitrageParameters(window=40)).signals(PriceHistory(bars))

    asked_late, asked_gap = weights[:, 4], weights[:, 5]
    assert np.isnan(asked_late[:190]).all()
    assert np.isfinite(asked_late[190:]).any()
    last = asked_gap[:200][np.isfinite(asked_gap[:200])][-1]
    assert last != 0.0
    assert asked_gap[200] == 0.0
    # The bars of instants 201 to 240 make the first whole window after it: 40 returns.
    assert np.isnan(asked_gap[201:241]).all()
    assert np.isfinite(asked_gap[241:]).any()


def test_two_stocks_have_nothing_in_common_that_could_be_told() -> None:
    weights = StatisticalArbitrage(StatisticalArbitrageParameters()).signals(history_of(reverting(stocks=2)))

    assert np.isnan(weights).all()


def test_only_the_named_symbols_are_traded() -> None:
    rules = StatisticalArbitrageParameters(symbols=("A", "C", "E"), window=40)
    prices = reverting()

    weights = StatisticalArbitrage(rules).signals(history_of(prices))

    alone = StatisticalArbitrage(StatisticalArbitrageParameters(window=40))
    chosen = [0, 2, 4]
    of_three = PriceHistory(of_closes(NAMES[at], prices[:, at]) for at in chosen)
    assert np.array_equal(weights[:, chosen], alone.signals(of_three), equal_nan=True)
    assert np.isnan(np.delete(weights, chosen, axis=1)).all()


def test_a_symbol_that_is_not_in_the_history_is_refused() -> None:
    strategy = StatisticalArbitrage(StatisticalArbitrageParameters(symbols=("A", "ZZ"), window=40))

    with pytest.raises(HistoryError, match="statistical_arbitrage trades ZZ: the history has A, B"):
        BacktestEngine().run(strategy, history_of(reverting()), 1e5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"symbols": ("A", "A")}, "expected each one once"),
        ({"components": -1}, "components is -1: expected a whole number from 0 up"),
        ({"window": 12, "components": 3}, "window is 12: expected a whole number from 13 up"),
        ({"component_window": 50}, "component_window is 50: expected a whole number from 60 up"),
        ({"exit": 1.25}, "exit is 1.25: expected a number from 0 to below entry = 1.25"),
        ({"slowest": 0.0}, "slowest is 0.0: expected a number above 0"),
        ({"gross": 1.5}, "gross is 1.5: expected a share above 0, up to 1"),
        ({"band": -0.1}, "band is -0.1: expected a number from 0 up"),
    ],
)
def test_parameters_that_cannot_be_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StatisticalArbitrageParameters(**given)  # type: ignore[arg-type]  # parametrized
