"""The block bootstrap: published lengths, intervals that cover, the same resamples in any chunks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.research.statistics.arguments import FloatArray
from trading.research.statistics.block_length import optimal_block_length
from trading.research.statistics.bootstrap import (
    Resampling,
    bootstrap_intervals,
    cagr,
    max_drawdown,
    mean_return,
    resampled,
    sharpe,
)

ALL = {"mean": mean_return, "sharpe": sharpe, "max_drawdown": max_drawdown, "cagr": cagr()}


def autoregressive(coefficient: float, noise: npt.NDArray[np.float64]) -> FloatArray:
    series = np.array(noise)
    for i in range(1, len(series)):
        series[i] += coefficient * series[i - 1]
    return series


def returns_of(seed: int, periods: int = 120) -> FloatArray:
    return np.random.default_rng(seed).normal(0.001, 0.01, periods)


def taken_by(resampling: Resampling, *, length: float, periods: int, count: int) -> FloatArray:
    """Return which periods each resample takes, shape (count, periods): the returns are their own numbers."""
    taken: list[FloatArray] = []

    def keep(samples: FloatArray) -> FloatArray:
        taken.extend(samples)
        return np.zeros(len(samples))

    own_numbers = np.arange(float(periods))
    resampled(
        own_numbers, {"": keep}, seed=1, numbers=range(count), resampling=resampling, block_length=length
    )
    return np.array(taken)


def test_the_block_lengths_of_archs_own_test_are_reproduced() -> None:
    """arch 8.0, tests/bootstrap/test_block_length.py."""
    noise = np.random.RandomState(0).standard_normal(10_100)

    found = optimal_block_length(autoregressive(0.3, noise)[100:])

    assert found.stationary == pytest.approx(13.635665, rel=1e-7)
    assert found.circular == pytest.approx(15.60894, rel=1e-6)


def test_the_block_lengths_of_a_square_wave_are_those_worked_out_by_hand() -> None:
    # n = 16: R(k) = (16 - 3 k) / 16 up to k = 8, and the band is 2 sqrt(log10(16) / 16) = 0.549.
    # R(2) = 0.625 is outside, R(3) .. R(7) = 0.44, 0.25, 0.06, -0.13, -0.31 inside: m = 3, M = 6.
    # h = 1, 1, 1, 2/3, 1/3, 0 for k = 1 .. 6.
    # G = 2 (1 * 13 + 2 * 10 + 3 * 7 + 4 * 4 * 2/3 + 5 * 1 * 1/3) / 16 = 8.291667
    # g0 = 1 + 2 (13 + 10 + 7 + 4 * 2/3 + 1/3) / 16 = 5.125
    # b = (2 G^2 * 16 / (2 * g0^2))^(1/3) = 3.473; circular: times (3/2)^(1/3).
    wave = [1.0] * 8 + [-1.0] * 8

    found = optimal_block_length(wave)

    by_hand = (16 * (8.291666666666666 / 5.125) ** 2) ** (1 / 3)
    assert found.stationary == pytest.approx(by_hand, rel=1e-12)
    assert found.circular == pytest.approx(by_hand * 1.5 ** (1 / 3), rel=1e-12)


def test_blocks_grow_with_the_dependence() -> None:
    noise = np.random.default_rng(1).standard_normal(2000)

    weak, strong = (optimal_block_length(autoregressive(c, noise)).stationary for c in (0.1, 0.8))

    assert 1 <= weak < strong


def test_returns_that_do_not_vary_need_no_blocks() -> None:
    assert optimal_block_length([0.01] * 50).stationary == 1.0


def test_a_stationary_resample_follows_the_series_in_blocks_of_the_mean_length() -> None:
    taken = taken_by(Resampling.STATIONARY, length=8.0, periods=200, count=400)

    followed = np.diff(taken, axis=1) % 200 == 1
    # A block ends with probability 1/8, and one time in 200 the next begins where it ended.
    assert followed.mean() == pytest.approx(1 - (1 / 8) * (1 - 1 / 200), abs=0.005)
    # On a ring no period is favoured.
    assert np.bincount(taken.astype(int).ravel(), minlength=200).std() < 50


@pytest.mark.parametrize("resampling", [Resampling.CIRCULAR, Resampling.MOVING])
def test_blocks_of_fixed_length_are_stretches_of_the_series(resampling: Resampling) -> None:
    taken = taken_by(resampling, length=6.5, periods=30, count=50)

    blocks = taken[:, :28].reshape(50, 4, 7)  # 6.5 is rounded up
    assert (np.diff(blocks, axis=2) % 30 == 1).all()
    wraps = (np.diff(blocks, axis=2) < 0).any()
    assert wraps == (resampling is Resampling.CIRCULAR)


@pytest.mark.parametrize("resampling", list(Resampling))
def test_the_size_of_the_chunks_changes_nothing(resampling: Resampling) -> None:
    returns = returns_of(1)

    whole = bootstrap_intervals(returns, ALL, seed=5, resamples=60, resampling=resampling)
    one_by_one = bootstrap_intervals(
        returns, ALL, seed=5, resamples=60, resampling=resampling, memory_limit_mb=1e-6
    )

    assert whole == one_by_one


def test_a_run_that_was_stopped_goes_on_to_the_same_resamples() -> None:
    returns = returns_of(2)

    whole = resampled(returns, ALL, seed=3, numbers=range(50), block_length=5.0)
    first = resampled(returns, ALL, seed=3, numbers=range(20), block_length=5.0)
    rest = resampled(returns, ALL, seed=3, numbers=range(20, 50), block_length=5.0)

    assert np.array_equal(whole, np.concatenate([first, rest]))
    assert resampled(returns, ALL, seed=3, numbers=range(50, 50), block_length=5.0).shape == (0, 4)


def test_another_seed_gives_other_resamples() -> None:
    one, other = (resampled(returns_of(2), ALL, seed=s, numbers=range(5)) for s in (1, 2))

    assert not np.isclose(one, other).all()


def covered(returns_made: Callable[[np.random.Generator], FloatArray], runs: int) -> float:
    """Return the share of `runs` seeded series whose 90 % interval of the mean holds the true mean, 0."""
    draw = np.random.default_rng(2024)
    hits = 0
    for seed in range(runs):
        found = bootstrap_intervals(
            returns_made(draw), {"mean": mean_return}, seed=seed, resamples=200, confidence=0.9
        )["mean"]
        hits += found.low <= 0 <= found.high
    return hits / runs


def test_an_interval_covers_the_mean_of_independent_returns_as_often_as_it_says() -> None:
    # The standard error of a share of 0.9 over 150 series is 0.024.
    share = covered(lambda draw: draw.normal(0, 0.01, 150), runs=150)

    assert share == pytest.approx(0.9, abs=0.06)


@pytest.mark.slow
def test_blocks_cover_the_mean_of_dependent_returns_where_single_periods_do_not() -> None:
    draw = np.random.default_rng(7)
    hits = {None: 0, 1.0: 0}
    for seed in range(400):
        series = autoregressive(0.5, draw.normal(0, 0.01, 500))[100:]
        for length in hits:
            found = bootstrap_intervals(
                series, {"mean": mean_return}, seed=seed, resamples=300, confidence=0.9, block_length=length
            )["mean"]
            hits[length] += found.low <= 0 <= found.high

    # Single periods take the mean's error for sqrt((1 + 0.5) / (1 - 0.5)) = 1.7 times too small: 66 %.
    assert hits[1.0] / 400 == pytest.approx(0.66, abs=0.06)
    assert hits[None] / 400 > 0.83


def test_the_standard_error_of_a_mean_is_the_textbooks() -> None:
    returns = returns_of(4, 400)

    found = bootstrap_intervals(returns, {"mean": mean_return}, seed=1, block_length=1.0)["mean"]

    assert found.standard_error == pytest.approx(float(returns.std()) / math.sqrt(400), rel=0.05)
    assert found.estimate == pytest.approx(float(returns.mean()))


def test_the_statistics_are_those_worked_out_by_hand() -> None:
    # Equity 1, 1.5, 0.75, 0.9: mean 0.2 / 3, squares 0.25 + 0.25 + 0.04 = 0.54, deepest 0.75 / 1.5 - 1; three
    # periods a year make the total the yearly growth. The second sample loses at first alone, 1 to 0.9.
    samples = np.array([[0.5, -0.5, 0.2], [-0.1, 0.05, 0.05]])

    assert mean_return(samples)[0] == pytest.approx(0.2 / 3)
    assert sharpe(samples)[0] == pytest.approx((0.2 / 3) / math.sqrt((0.54 - 0.04 / 3) / 2))
    assert max_drawdown(samples) == pytest.approx([-0.5, -0.1])
    assert cagr(3.0)(samples)[0] == pytest.approx(-0.1)


def test_what_is_lost_altogether_stays_lost() -> None:
    samples = np.array([[0.1, -1.5, 0.5]])

    assert (max_drawdown(samples)[0], cagr()(samples)[0]) == (-1.0, -1.0)


def test_a_resample_that_missed_every_trade_has_a_ratio_of_0() -> None:
    assert sharpe(np.zeros((1, 5)))[0] == 0.0
    assert sharpe(np.full((1, 3), 0.1))[0] == 0.0


@given(seed=st.integers(0, 10_000), periods=st.integers(10, 60))
def test_an_interval_is_in_order_and_a_drawdown_between_all_and_nothing(seed: int, periods: int) -> None:
    found = bootstrap_intervals(returns_of(seed, periods), ALL, seed=seed, resamples=20)

    assert all(interval.low <= interval.high for interval in found.values())
    assert -1 <= found["max_drawdown"].low <= found["max_drawdown"].high <= 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resamples": 1}, "resamples is 1: expected a whole number from 2 up"),
        ({"confidence": 95}, "confidence is 95: expected a number between 0 and 1"),
        ({"block_length": 0.5}, r"block_length is 0\.5: expected from 1 to the 120 periods"),
        ({"block_length": 121.0}, r"block_length is 121\.0: expected from 1 to the 120 periods"),
        ({"seed": -1}, "seed is -1: expected a whole number from 0 up"),
        ({"memory_limit_mb": -1.0}, r"memory_limit_mb is -1\.0: expected a number above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name_and_value(
    settings: dict[str, float], message: str
) -> None:
    asked = {"seed": 1, **settings}

    with pytest.raises(ValueError, match=message):
        bootstrap_intervals(returns_of(1), ALL, **asked)  # type: ignore[arg-type] # wrong on purpose


def test_too_few_returns_for_a_length_of_their_own_are_refused() -> None:
    with pytest.raises(ValueError, match=r"returns has shape \(9,\): expected one dimension of at least 10"):
        bootstrap_intervals([0.01] * 9, ALL, seed=1)
    with pytest.raises(ValueError, match="periods_per_year is 0"):
        cagr(0)
