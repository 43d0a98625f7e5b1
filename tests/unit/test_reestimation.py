"""A better duration is proposed where the history proves it, and only there. Times are minutes."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive import reestimation
from adaptive.reestimation import Level, loss, reestimate
from orchestration.estimates import after_duration, predict
from orchestration.runs import NO_ESTIMATE, Estimate
from orchestration.task_specs import TASK_SPECS


def the_daemons_own(minutes: list[float]) -> tuple[float, float]:
    """Return what the daemon holds after these runs: the real rule, which the code under test never sees."""
    estimate: Estimate = NO_ESTIMATE
    for each in minutes:
        estimate = after_duration(estimate, each)
    return estimate.log_mean, estimate.log_error


def noisy(seed: int, runs: int, spread: float = 0.15, level: float = 20.0) -> list[float]:
    rng = Random(seed)
    return [level * exp(rng.gauss(0.0, spread)) for _ in range(runs)]


def test_a_level_that_rose_fourfold_ten_runs_ago_is_found() -> None:
    minutes = noisy(1, 50) + noisy(2, 10, level=80.0)

    found = reestimate(minutes, the_daemons_own(minutes))

    assert found is not None
    # The daemon is 0.88 ** 10 = 28 % of the way short of ln 80, at about 54.
    assert exp(the_daemons_own(minutes)[0]) < 62.0
    assert exp(found.log_mean) == pytest.approx(80.0, rel=0.2)  # a median of 5: 2.4 x 0.15 / sqrt(5)
    assert found.runs == 60


def test_a_level_that_fell_ten_runs_ago_is_found() -> None:
    minutes = noisy(1, 50) + noisy(2, 10, level=5.0)

    found = reestimate(minutes, the_daemons_own(minutes))

    assert found is not None
    assert exp(found.log_mean) == pytest.approx(5.0, rel=0.2)


def test_steady_growth_is_extrapolated_to_the_next_run() -> None:
    rng = Random(3)
    minutes = [10.0 * exp(0.03 * k + rng.gauss(0.0, 0.05)) for k in range(60)]

    found = reestimate(minutes, the_daemons_own(minutes))

    assert found is not None
    assert found.estimator == "trend"
    assert found.log_mean == pytest.approx(log(10.0) + 0.03 * 60, abs=0.08)


def test_a_task_that_always_takes_the_same_proposes_nothing() -> None:
    minutes = [12.0] * 60

    assert reestimate(minutes, the_daemons_own(minutes)) is None


def test_noise_alone_is_proposed_for_in_fewer_than_one_history_in_twenty() -> None:
    """Of 60 histories of each spread, none of which holds anything to learn."""
    proposed = 0
    for seed in range(60):
        for spread in (0.1, 0.3, 0.8):
            minutes = noisy(seed, 45, spread)
            proposed += reestimate(minutes, the_daemons_own(minutes)) is not None

    assert proposed / 180 < 0.05


def test_a_change_that_the_daemon_has_long_followed_proposes_nothing() -> None:
    minutes = noisy(1, 60) + noisy(2, 60, level=80.0)

    assert reestimate(minutes, the_daemons_own(minutes)) is None


def test_nineteen_runs_are_too_few_and_twenty_are_enough() -> None:
    minutes = [20.0, 21.0] * 10
    far_off = (log(100.0), 0.1)

    assert reestimate(minutes[:19], far_off) is None
    assert reestimate(minutes, far_off) is not None


def test_what_is_proposed_loses_less_by_a_twentieth_at_least() -> None:
    minutes = noisy(1, 50) + noisy(2, 10, level=80.0)

    found = reestimate(minutes, the_daemons_own(minutes))

    assert found is not None
    assert found.loss_after < 0.95 * found.loss_before


def test_taking_up_a_proposal_serves_the_runs_that_follow() -> None:
    """The daemon goes on by its own rule from either pair of numbers; 12 runs follow a shift of level."""
    kept = taken = 0.0
    for seed in range(20):
        minutes = noisy(seed, 50) + noisy(seed + 100, 10, level=80.0)
        own = the_daemons_own(minutes)
        found = reestimate(minutes, own)
        if found is None:
            continue
        old = Estimate(log_mean=own[0], log_error=own[1], runs=60)
        new = Estimate(log_mean=found.log_mean, log_error=found.log_error, runs=60)
        for each in noisy(seed + 200, 12, level=80.0):
            kept += loss(Level(old.log_mean, old.log_error), log(each))
            taken += loss(Level(new.log_mean, new.log_error), log(each))
            old, new = after_duration(old, each), after_duration(new, each)

    assert 0.0 < taken < 0.9 * kept


def test_the_loss_is_the_medians_miss_and_the_price_of_the_promise() -> None:
    # No error: the promise is level + 0.1 ln 9 / (2 ln 2) = level + 0.15850. A run 0.2 above the level misses
    # the median by 0.2 and the promise by 0.0415, which costs 0.9 x that; one at the level pays 0.1 x 0.1585.
    assert loss(Level(3.0, 0.0), 3.2) == pytest.approx(0.2 + 0.9 * 0.041504, abs=1e-6)
    assert loss(Level(3.0, 0.0), 3.0) == pytest.approx(0.1 * 0.158496, abs=1e-6)


def test_the_promise_judged_is_the_one_that_the_daemon_makes() -> None:
    """Far below its promise a run pays 0.1 of the distance: two such losses tell where the promise lies."""
    spec = next(each for each in TASK_SPECS if each.timeout_minutes > 100.0)
    level, many = Level(3.0, 0.4), 1_000_000
    daemons = predict(spec, Estimate(log_mean=3.0, log_error=0.4, runs=many))

    paid = loss(level, 3.0)

    assert paid / 0.1 == pytest.approx(log(daemons.high / daemons.median), rel=1e-3)


def test_a_freak_among_the_last_five_does_not_move_the_median() -> None:
    level = reestimation.recent_median(5)([log(x) for x in (20.0, 20.0, 20.0, 900.0, 20.0)])

    assert level.log_mean == pytest.approx(log(20.0))


def test_the_level_since_a_shift_forgets_what_was_before() -> None:
    values = [1.0, 1.1] * 10 + [3.0, 3.2] * 4

    # Median of 3.0 and 3.2; deviations of 0.1 each, widened by sqrt(9 / 7) for the next of eight.
    assert tuple(reestimation.since_shift(values)) == pytest.approx((3.1, 0.1 * (9 / 7) ** 0.5))


def test_a_negative_duration_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"minutes is -1\.0: expected"):
        reestimate([5.0, -1.0], (1.0, 0.1))


def test_numbers_that_are_no_mean_and_error_are_refused() -> None:
    with pytest.raises(ValueError, match="own is"):
        reestimate([5.0], (1.0, -0.1))


@given(minutes=st.lists(st.floats(0.0, 1e6), min_size=20, max_size=40), mean=st.floats(-5.0, 10.0))
def test_whatever_is_proposed_is_a_finite_level_with_an_error_of_at_least_nothing(
    minutes: list[float], mean: float
) -> None:
    found = reestimate(minutes, (mean, 0.2))

    if found is not None:
        assert min(map(log, (max(m, 1 / 60_000) for m in minutes))) - 10 < found.log_mean < 40.0
        assert 0.0 <= found.log_error < 40.0
