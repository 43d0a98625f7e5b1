"""Pairs trading: the relation of two prices by hand and by statsmodels, and what is done with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.strategy_contract import StrategyContract, of_closes
from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import HistoryError
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.strategies.cointegration import PairFit, dickey_fuller, fit_pair
from trading.backtest.strategies.pairs import Pairs, PairsParameters
from trading.backtest.strategy import IStrategy

RULES = PairsParameters(symbols=("Y", "X"), window=60, refit=1000, entry=2.0, exit=0.5, stop=4.0)


def tied(bars: int, seed: int = 3, ratio: float = 0.8, noise: float = 0.01) -> tuple[Floats, Floats]:
    """Two cointegrated price series: log(first) = 0.5 + ratio * log(second) + an AR(1) with 0.7."""
    random = np.random.default_rng(seed)
    second = 4.0 + np.cumsum(random.normal(0.0, 0.01, bars))
    spread = np.zeros(bars)
    for at in range(1, bars):
        spread[at] = 0.7 * spread[at - 1] + random.normal(0.0, noise)
    return np.exp(0.5 + ratio * second + spread), np.exp(second)


def known_fit(first: Floats, second: Floats) -> PairFit:
    fit = fit_pair(first, second, 1)
    assert fit is not None
    return fit


def asked_at(
    scores: Sequence[float], rules: PairsParameters = RULES
) -> tuple[PairFit, list[dict[str, float]]]:
    """Let the window pass, then put the spread at each score in turn; return the estimate and the answers."""
    first, second = tied(rules.window)
    decider = Pairs(rules).decider()
    for closes in zip(first, second, strict=True):
        decider.decide(dict(zip(("Y", "X"), closes, strict=True)))
    fit, price = known_fit(first, second), float(second[-1])
    dear = [np.exp(fit.intercept + fit.ratio * np.log(price) + score * fit.deviation) for score in scores]
    return fit, [dict(decider.decide({"Y": close, "X": price})) for close in dear]


class TestPairs(StrategyContract):
    def make(self) -> IStrategy:
        # Walks are not cointegrated: hardly any relation is refused, so that there is something to see.
        return Pairs(PairsParameters(window=40, refit=7, significance=0.9, entry=1.0, exit=0.2))


def test_the_ratio_the_intercept_and_the_deviation_are_those_of_least_squares_by_hand() -> None:
    """log x = -1, -1, 1, 1, ... and the spread e, -e, e, -e, ... share nothing, nor with a constant: what is
    left of log y = 1 + 2 log x + spread is the spread. Eight squares of e over 8 - 2."""
    away = np.tile([-1.0, -1.0, 1.0, 1.0], 2)
    spread = np.tile([0.1, -0.1], 4)

    fit = known_fit(np.exp(1 + 2 * away + spread), np.exp(away))

    assert (fit.ratio, fit.intercept) == pytest.approx((2.0, 1.0), rel=1e-12)
    assert fit.deviation == pytest.approx(0.1 * np.sqrt(8 / 6), rel=1e-12)
    # At log y = 1 + 2 * 0 + 0.2 the spread is 0.2.
    assert fit.score(float(np.exp(1.2)), 1.0) == pytest.approx(0.2 / fit.deviation, rel=1e-9)


def test_the_statistic_of_a_series_without_lags_is_the_t_of_a_regression_by_hand() -> None:
    """u = 1, 0, -1, 1: d = -1, -1, 2 on 1, 0, -1: b = (-1 - 2) / 2 = -1.5; left over 0.5, -1, 0.5: 1.5 over
    3 - 1; t = -1.5 / sqrt(0.75 / 2)."""
    assert dickey_fuller(np.array([1.0, 0.0, -1.0, 1.0]), 0) == pytest.approx(
        -1.5 / np.sqrt(0.375), rel=1e-12
    )


@pytest.mark.parametrize("lags", [0, 1, 4])
def test_statistic_and_p_value_are_those_of_statsmodels(lags: int) -> None:
    from statsmodels.tsa.stattools import coint

    first, second = tied(120, seed=lags)
    expected = coint(np.log(first), np.log(second), maxlag=lags, autolag=None)

    fit = fit_pair(first, second, lags)

    assert fit is not None
    assert fit.statistic == pytest.approx(expected[0], rel=1e-9)
    assert fit.p_value == pytest.approx(expected[1], rel=1e-9)


def test_the_critical_value_is_the_one_of_a_fitted_spread() -> None:
    """MacKinnon (2010), table 2: -3.33613 for two series with a constant, -2.86154 for one as observed."""
    at = PairFit(ratio=1.0, intercept=0.0, deviation=1.0, statistic=-3.33613)

    assert at.p_value == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([10.0] * 20, np.arange(1.0, 21.0)),
        (np.arange(1.0, 21.0), [10.0] * 20),
        (2 * np.arange(1.0, 21.0), np.arange(1.0, 21.0)),
        ([1.0, 2.0, 3.0], [2.0, 3.0, 5.0]),
    ],
)
def test_series_without_a_spread_are_no_pair(first: Sequence[float], second: Sequence[float]) -> None:
    assert fit_pair(np.array(first), np.array(second), 1) is None


def test_a_position_begins_beyond_entry_and_ends_within_exit() -> None:
    fit, asked = asked_at([1.9, 2.1, 3.9, 0.6, 0.4, -1.9, -2.1, -0.6, 0.1])
    share = 1 / (1 + fit.ratio)

    assert asked == [
        {},
        {"Y": pytest.approx(-share), "X": pytest.approx(share * fit.ratio)},
        {},
        {},
        {"Y": 0.0, "X": 0.0},
        {},
        {"Y": pytest.approx(share), "X": pytest.approx(-share * fit.ratio)},
        {},
        {"Y": 0.0, "X": 0.0},
    ]


def test_beyond_the_stop_it_gives_up_until_the_next_estimate() -> None:
    _, asked = asked_at([2.1, 4.1, 2.1, 0.0, 2.1])

    assert [bool(each) for each in asked] == [True, True, False, False, False]
    assert asked[1] == {"Y": 0.0, "X": 0.0}


def test_a_spread_that_is_beyond_the_stop_already_is_left_alone() -> None:
    _, asked = asked_at([4.1, 3.9])

    assert asked[0] == {}
    assert asked[1]["Y"] < 0


def test_a_position_ends_when_a_new_estimate_finds_no_cointegration() -> None:
    """From bar 61 on the first symbol runs away for good. Its stop is out of reach."""
    rules = PairsParameters(symbols=("Y", "X"), window=60, refit=30, stop=1e9)
    first, second = tied(90)
    first[60:] *= np.exp(0.02 * np.arange(1, 31))
    decider = Pairs(rules).decider()

    asked = [decider.decide({"Y": y, "X": x}) for y, x in zip(first, second, strict=True)]

    weights = [(row, each["Y"]) for row, each in enumerate(asked) if row >= 59 and each]
    assert weights[0][1] < 0
    assert weights[1:] == [(89, 0.0)]


def test_what_is_not_cointegrated_is_not_traded() -> None:
    random = np.random.default_rng(8)
    walks = [of_closes(name, 50 * np.exp(np.cumsum(random.normal(0, 0.02, 200)))) for name in ("Y", "X")]

    weights = Pairs(PairsParameters(window=100, entry=1.0, significance=0.001)).signals(PriceHistory(walks))

    assert np.isnan(weights).all()


def test_two_that_move_against_each_other_are_no_hedge() -> None:
    first, second = tied(200, ratio=-0.8)
    history = PriceHistory([of_closes("Y", first), of_closes("X", second)])

    assert known_fit(first, second).p_value < 0.05
    assert np.isnan(Pairs(PairsParameters(window=100)).signals(history)).all()


def test_the_other_leg_is_let_go_when_one_has_had_no_bar_for_five_instants() -> None:
    fit, _ = asked_at([])
    decider = Pairs(RULES).decider()
    first, second = tied(60)
    for y, x in zip(first, second, strict=True):
        decider.decide({"Y": y, "X": x})
    price = float(second[-1])
    decider.decide({"Y": float(np.exp(fit.intercept + 3 * fit.deviation) * price**fit.ratio), "X": price})

    asked = [decider.decide({"X": price, "OTHER": 1.0}) for _ in range(6)]

    assert asked == [{}, {}, {}, {}, {"Y": 0.0, "X": 0.0}, {}]


def test_without_names_the_first_two_that_have_a_bar_are_the_pair() -> None:
    first, second = tied(200)
    days = np.arange(20, 220)
    history = PriceHistory(
        [of_closes("LATE", first, days), of_closes("Y", first), of_closes("X", second)],
    )

    weights = Pairs(PairsParameters(window=60)).signals(history)

    assert np.isnan(weights[:, 0]).all()
    assert np.isfinite(weights[:, 1:]).any(axis=0).all()


def test_a_pair_that_is_not_in_the_history_is_refused() -> None:
    history = PriceHistory([of_closes("Y", [1.0] * 100), of_closes("X", [1.0] * 100)])

    with pytest.raises(HistoryError, match="pairs trades KO, PEP: the history has Y, X"):
        BacktestEngine().run(Pairs(PairsParameters(symbols=("KO", "PEP"), window=50)), history, 1e5)


def test_a_spread_that_returns_is_earned_within_the_capital() -> None:
    first, second = tied(500, noise=0.02)
    history = PriceHistory([of_closes("Y", first), of_closes("X", second)])

    result = BacktestEngine().run(Pairs(PairsParameters(window=100)), history, 100_000)

    assert len(result.trades) > 10
    assert result.metrics.win_rate > 0.8
    assert result.final_equity > 110_000
    assert not result.rejections


@given(seed=st.integers(0, 10**6), weight=st.floats(0.1, 1.0))
def test_both_legs_together_never_take_more_than_the_weight(seed: int, weight: float) -> None:
    first, second = tied(120, seed=seed, noise=0.02)
    rules = PairsParameters(window=50, refit=10, significance=0.5, entry=1.0, weight=weight)

    weights = Pairs(rules).signals(PriceHistory([of_closes("Y", first), of_closes("X", second)]))

    decided = weights[~np.isnan(weights).any(axis=1)]
    assert np.isin(np.abs(decided).sum(axis=1).round(12), [0.0, round(weight, 12)]).all()
    assert (decided[:, 0] * decided[:, 1] <= 0).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"symbols": ("A",)}, r"symbols is \('A',\): expected two different ones"),
        ({"symbols": ("A", "A")}, "expected two different ones"),
        ({"window": 7}, "window is 7: expected a whole number from 8 up"),
        ({"refit": 0}, "refit is 0: expected a whole number from 1 up"),
        ({"significance": 1.0}, "significance is 1.0: expected a number above 0 and below 1"),
        ({"exit": 2.0}, "exit, entry, stop are 2.0, 2.0, 4.0: expected them to rise"),
        ({"weight": 1.5}, "weight is 1.5: expected a share above 0, up to 1"),
    ],
)
def test_parameters_that_cannot_be_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PairsParameters(**given)  # type: ignore[arg-type]  # parametrized
