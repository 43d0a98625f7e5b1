"""Probabilistic and deflated Sharpe ratios against the papers' own numbers, and what must hold of any."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.research.statistics.deflated_sharpe import (
    SharpeSample,
    deflated_sharpe_ratio,
    effective_trials,
    expected_maximum_sharpe,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_sample,
)

# Bailey and Lopez de Prado (2014), "a numerical example": 250 days a year, five years, an annualised Sharpe
# ratio of 2.5 with skew -3 and kurtosis 10, and trials whose annualised ratios have a variance of 1/2.
PAPER_2014 = SharpeSample(periods=1250, sharpe=2.5 / math.sqrt(250), skew=-3.0, kurtosis=10.0)
PAPER_2014_VARIANCE = 0.5 / 250


def noise(seed: int, periods: int = 200) -> list[float]:
    return [float(x) for x in np.random.default_rng(seed).normal(0.0005, 0.01, periods)]


def test_the_2014_papers_hurdle_of_100_trials_is_reproduced() -> None:
    hurdle = expected_maximum_sharpe(trials=100, trial_sharpe_variance=PAPER_2014_VARIANCE)

    assert hurdle == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(("trials", "published"), [(100, 0.9004), (46, 0.9505)])
def test_the_2014_papers_deflated_ratios_are_reproduced(trials: int, published: float) -> None:
    hurdle = expected_maximum_sharpe(trials=trials, trial_sharpe_variance=PAPER_2014_VARIANCE)

    assert probabilistic_sharpe_ratio(PAPER_2014, benchmark=hurdle) == pytest.approx(published, abs=5e-5)


def test_with_normal_returns_the_2014_papers_discovery_survives_88_trials() -> None:
    normal = SharpeSample(periods=1250, sharpe=2.5 / math.sqrt(250))
    hurdle = expected_maximum_sharpe(trials=88, trial_sharpe_variance=PAPER_2014_VARIANCE)

    assert probabilistic_sharpe_ratio(normal, benchmark=hurdle) == pytest.approx(0.9505, abs=5e-5)


@pytest.mark.parametrize(("skew", "kurtosis", "published"), [(0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)])
def test_the_2012_papers_fund_of_two_years_is_less_sure_once_its_crashes_count(
    skew: float, kurtosis: float, published: float
) -> None:
    """24 months, a Sharpe ratio of 0.458 a month (1.59 a year)."""
    fund = SharpeSample(periods=24, sharpe=0.458, skew=skew, kurtosis=kurtosis)

    assert probabilistic_sharpe_ratio(fund) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize(("periods_per_year", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_the_2012_papers_track_records_are_reproduced(periods_per_year: int, years: float) -> None:
    """Years until an annualised ratio of 2 is surely (95 %) above 1, of daily, weekly and monthly returns."""
    root = math.sqrt(periods_per_year)
    sample = SharpeSample(periods=100, sharpe=2 / root)

    length = minimum_track_record_length(sample, benchmark=1 / root)

    assert length / periods_per_year == pytest.approx(years, abs=5e-3)


def test_a_track_record_of_the_minimum_length_is_just_as_sure_as_asked() -> None:
    sample = SharpeSample(periods=2, sharpe=0.1, skew=-1.0, kurtosis=6.0)
    length = minimum_track_record_length(sample, benchmark=0.02, confidence=0.9)

    as_long = SharpeSample(periods=math.ceil(length), sharpe=0.1, skew=-1.0, kurtosis=6.0)
    shorter = SharpeSample(periods=math.ceil(length) - 1, sharpe=0.1, skew=-1.0, kurtosis=6.0)

    assert (
        probabilistic_sharpe_ratio(shorter, benchmark=0.02)
        < 0.9
        <= probabilistic_sharpe_ratio(as_long, benchmark=0.02)
    )


def test_no_track_record_is_long_enough_for_a_ratio_that_is_not_above_the_benchmark() -> None:
    assert minimum_track_record_length(SharpeSample(periods=100, sharpe=0.1), benchmark=0.1) == math.inf


def test_the_moments_of_five_returns_are_those_worked_out_by_hand() -> None:
    # 0, 0, 0, 0, 1: mean 0.2, deviations -0.2 (four) and 0.8; m2 = 0.16, m3 = 0.096, m4 = 0.0832.
    # Sharpe: 0.2 / sqrt(0.8 / 4) = 0.2 / sqrt(0.2). g1 = 0.096 / 0.064 = 1.5, times sqrt(20) / 3 = sqrt(5).
    # g2 = 0.0832 / 0.0256 - 3 = 0.25; G2 = 4 / (3 * 2) * (6 * 0.25 + 6) = 5, and 3 more.
    sample = sharpe_sample([0.0, 0.0, 0.0, 0.0, 1.0])

    assert sample.sharpe == pytest.approx(0.2 / math.sqrt(0.2), rel=1e-14)
    assert (sample.skew, sample.kurtosis) == pytest.approx((math.sqrt(5), 8.0), rel=1e-13)


@given(
    sharpe=st.floats(-0.5, 0.5),
    benchmark=st.floats(-1, 1),
    skew=st.floats(-2, 2),
    spare=st.floats(0.5, 20),
    periods=st.integers(2, 10_000),
)
def test_a_probabilistic_ratio_is_a_probability_and_a_half_at_its_own_ratio(
    sharpe: float, benchmark: float, skew: float, spare: float, periods: int
) -> None:
    # No distribution has a kurtosis below skew^2 + 1 (Pearson).
    sample = SharpeSample(periods=periods, sharpe=sharpe, skew=skew, kurtosis=skew**2 + 1 + spare)

    assert 0 <= probabilistic_sharpe_ratio(sample, benchmark=benchmark) <= 1
    assert probabilistic_sharpe_ratio(sample, benchmark=sharpe) == 0.5


@given(seed=st.integers(0, 1000), trials=st.integers(1, 10_000), variance=st.floats(1e-6, 0.1))
def test_the_deflated_ratio_falls_with_every_trial_more(seed: int, trials: int, variance: float) -> None:
    fewer, more = (
        deflated_sharpe_ratio(noise(seed), trials=n, trial_sharpe_variance=variance)
        for n in (trials, trials + 1)
    )

    assert more.expected_maximum > fewer.expected_maximum
    assert more.probability < fewer.probability or more.probability == fewer.probability == 0


def test_one_trial_is_not_deflated() -> None:
    deflated = deflated_sharpe_ratio(noise(1), trials=1, trial_sharpe_variance=0.01)

    assert deflated.expected_maximum == 0
    assert deflated.probability == probabilistic_sharpe_ratio(sharpe_sample(noise(1)))


def test_the_expected_maximum_is_what_the_best_of_many_without_skill_shows() -> None:
    """The mean maximum of 50 normal ratios over 20,000 seeded searches; the formula is an approximation."""
    maxima = np.random.default_rng(11).normal(0.0, 0.05, (20_000, 50)).max(axis=1)

    expected = expected_maximum_sharpe(trials=50, trial_sharpe_variance=0.05**2)

    assert expected == pytest.approx(float(maxima.mean()), rel=0.02)


def test_equal_trials_amount_to_one_and_independent_ones_to_nearly_all() -> None:
    independent = np.random.default_rng(3).normal(0, 0.01, (5000, 20))
    alike = np.repeat(independent[:, :1], 20, axis=1) * np.linspace(0.5, 2, 20)

    assert effective_trials(alike) == pytest.approx(1.0)
    assert effective_trials(independent) == pytest.approx(20.0, rel=0.02)


def test_trials_half_correlated_amount_to_half_their_number_and_half_a_trial() -> None:
    # Three orthogonal series of unit variance; each trial is one of them plus a common one: correlation 1/2.
    common, *own = np.array(
        [[1, 1, 1, 1, -1, -1, -1, -1], [1, 1, -1, -1] * 2, [1, -1] * 4, [1, -1, -1, 1] * 2]
    )

    # N = 1/2 + (1 - 1/2) * 3 = 2
    assert effective_trials(np.stack([common + each for each in own], axis=1)) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        ([0.01, 0.02, -0.01], r"returns has shape \(3,\): expected one dimension of at least 4 values"),
        ([0.01, 0.02, math.nan, 0.0], r"returns\[2\] is nan: expected finite numbers"),
        ([[0.01, 0.02], [0.0, 0.1]], r"returns has shape \(2, 2\)"),
        ([0.1] * 30, r"returns are all 0\.1: expected some that vary"),
    ],
)
def test_returns_without_a_sharpe_ratio_are_refused_by_name_and_value(
    returns: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        deflated_sharpe_ratio(returns, trials=10, trial_sharpe_variance=0.01)


@pytest.mark.parametrize(
    ("trials", "variance", "message"),
    [
        (0, 0.01, "trials is 0: expected a number from 1 up"),
        (math.nan, 0.01, "trials is nan"),
        (10, -0.01, r"trial_sharpe_variance is -0\.01: expected a number from 0 up"),
    ],
)
def test_trials_that_cannot_be_are_refused_by_name_and_value(
    trials: float, variance: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        deflated_sharpe_ratio(noise(1), trials=trials, trial_sharpe_variance=variance)


def test_moments_of_no_distribution_are_refused() -> None:
    with pytest.raises(ValueError, match=r"skew 3\.0 and kurtosis 1\.0 leave sharpe 0\.5 no variance"):
        SharpeSample(periods=10, sharpe=0.5, skew=3.0, kurtosis=1.0)
    with pytest.raises(ValueError, match="skew is nan: expected a finite number"):
        SharpeSample(periods=10, sharpe=0.5, skew=math.nan)


def test_a_confidence_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"confidence is 1\.0: expected a number from 0\.5 to below 1"):
        minimum_track_record_length(SharpeSample(periods=10, sharpe=0.1), confidence=1.0)


def test_a_trial_that_does_not_vary_has_no_correlation() -> None:
    trials = np.random.default_rng(1).normal(0, 0.01, (20, 3))
    trials[:, 1] = 0.0

    with pytest.raises(ValueError, match=r"returns\[:, 1\] do not vary: expected trials that do"):
        effective_trials(trials)
