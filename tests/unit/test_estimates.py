"""Learning and predicting durations and memory."""

from __future__ import annotations

import math
from math import exp, log

import pytest

from orchestration.estimates import (
    after_duration,
    after_lower_bound,
    after_out_of_memory,
    after_peak,
    chance_of_finishing,
    limit_mb,
    predict,
    quantile_minutes,
    reserve_mb,
)
from orchestration.runs import NO_ESTIMATE, Estimate
from orchestration.types import TaskSpec

SPEC = TaskSpec(name="task", estimated_minutes=10, timeout_minutes=600, memory_mb=100)


def learned(*minutes: float) -> Estimate:
    estimate = NO_ESTIMATE
    for one in minutes:
        estimate = after_duration(estimate, one)
    return estimate


def test_without_history_the_median_is_the_spec_s_figure_and_the_high_quantile_is_wide() -> None:
    prediction = predict(SPEC, NO_ESTIMATE)

    assert prediction.median == 10.0
    # error 0.55 -> 0.1 + 0.55 / 1.11 = 0.5955; scale 0.5955 / 1.3863 = 0.4296; logit(0.9) = 2.1972
    assert prediction.high == pytest.approx(10 * exp(0.4296 * 2.1972), rel=1e-3)


def test_the_first_run_counts_for_far_more_than_the_spec() -> None:
    prediction = predict(SPEC, learned(2.0))

    # (1 * ln 2 + 0.2 * ln 10) / 1.2 = 0.9614
    assert prediction.median == pytest.approx(exp(0.9614), rel=1e-3)


def test_the_spec_s_figure_fades_with_runs() -> None:
    medians = [predict(SPEC, learned(*[2.0] * runs)).median for runs in (1, 3, 10, 50)]

    assert medians == sorted(medians, reverse=True)
    assert medians[-1] == pytest.approx(2.0, rel=0.01)


def test_a_steady_task_is_predicted_with_a_small_margin() -> None:
    prediction = predict(SPEC, learned(*[30.0] * 60))

    assert prediction.median == pytest.approx(30.0, rel=0.01)
    # the floor of 0.1 on the error: exp(0.1 / (2 ln 2) * 2.1972) = 1.172
    assert prediction.high / prediction.median == pytest.approx(1.172, abs=0.01)


def test_a_varying_task_is_predicted_with_a_large_margin() -> None:
    steady = predict(SPEC, learned(*[30.0] * 40))
    varying = predict(SPEC, learned(*[15.0, 60.0] * 20))

    assert varying.high / varying.median > 1.8 * steady.high / steady.median


def test_the_second_run_moves_level_and_error_as_an_average_would() -> None:
    estimate = learned(1.0, exp(1.0))

    # ln 1 = 0, then a surprise of 1 at weight 0.8 / 2; error from 0.1 at weight 1 / 2
    assert estimate.log_mean == pytest.approx(0.4)
    assert estimate.log_error == pytest.approx(0.55)
    assert estimate.runs == 2


def test_one_freak_hardly_moves_the_median() -> None:
    before = learned(*[10.0] * 20)

    after = after_duration(before, 10_000.0)

    assert predict(SPEC, after).median < 1.15 * predict(SPEC, before).median


def test_a_new_level_is_learned_within_a_dozen_runs() -> None:
    estimate = learned(*[10.0] * 30, *[30.0] * 12)

    assert predict(SPEC, estimate).high > 30.0


def test_a_duration_of_nothing_counts_as_a_millisecond() -> None:
    assert learned(0.0) == learned(1 / 60_000)


@pytest.mark.parametrize("minutes", [-0.1, math.nan, math.inf])
def test_an_impossible_duration_is_refused(minutes: float) -> None:
    with pytest.raises(ValueError, match=r"duration is .* minutes: expected a finite number"):
        after_duration(NO_ESTIMATE, minutes)
    with pytest.raises(ValueError, match="duration"):
        after_lower_bound(NO_ESTIMATE, minutes)


def test_a_timeout_raises_the_prediction_above_what_the_run_was_given() -> None:
    estimate = after_lower_bound(learned(*[10.0] * 10), 60.0)

    # at least 60 minutes are taken for about 1.5 times that
    assert predict(SPEC, estimate).median == pytest.approx(90.0)


def test_the_longest_of_several_timeouts_counts() -> None:
    estimate = after_lower_bound(after_lower_bound(NO_ESTIMATE, 60.0), 30.0)

    assert estimate.at_least_minutes == 60.0


def test_a_timeout_below_what_is_known_changes_nothing() -> None:
    known = learned(*[100.0] * 10)

    assert predict(SPEC, after_lower_bound(known, 5.0)) == predict(SPEC, known)


@pytest.mark.parametrize("before", [NO_ESTIMATE, learned(10.0, 10.0)])
def test_a_completion_ends_what_the_timeout_had_taught(before: Estimate) -> None:
    estimate = after_duration(after_lower_bound(before, 60.0), 10.0)

    assert estimate.at_least_minutes == 0.0


def test_a_timeout_teaches_neither_level_nor_error() -> None:
    known = learned(10.0, 12.0)

    estimate = after_lower_bound(known, 60.0)

    assert (estimate.log_mean, estimate.log_error, estimate.runs) == (known.log_mean, known.log_error, 2)


def test_no_prediction_exceeds_the_timeout() -> None:
    spec = SPEC.but(timeout_minutes=20)
    estimate = learned(*[15.0, 60.0] * 10)

    assert predict(spec, estimate) == (20.0, 20.0)
    assert quantile_minutes(spec, estimate, 0.99) == 20.0


def test_a_timeout_below_the_spec_s_own_figure_does_not_lower_it() -> None:
    assert predict(SPEC.but(estimated_minutes=90, timeout_minutes=60), NO_ESTIMATE).median == 90.0


def test_a_timeout_of_nothing_means_none() -> None:
    assert predict(SPEC.but(timeout_minutes=0), learned(*[5000.0] * 20)).high > 5000


@pytest.mark.parametrize("quantile", [0.4, 1.0])
def test_a_high_quantile_below_the_median_or_certain_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match="quantile is"):
        predict(SPEC, NO_ESTIMATE, quantile)


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0])
def test_a_quantile_that_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="p is"):
        quantile_minutes(SPEC, NO_ESTIMATE, p)


def test_quantiles_agree_with_the_prediction() -> None:
    estimate = learned(5.0, 7.0, 6.0)

    assert quantile_minutes(SPEC, estimate, 0.9) == pytest.approx(predict(SPEC, estimate, 0.9).high)
    assert quantile_minutes(SPEC, estimate, 0.5) == pytest.approx(predict(SPEC, estimate, 0.9).median)


def test_the_chance_of_finishing_inverts_the_quantile() -> None:
    estimate = learned(5.0, 7.0, 6.0)

    chances = [
        chance_of_finishing(SPEC, estimate, quantile_minutes(SPEC, estimate, p)) for p in (0.1, 0.5, 0.9)
    ]

    assert chances == pytest.approx([0.1, 0.5, 0.9])


def test_the_chance_after_a_while_is_the_share_of_what_is_left() -> None:
    estimate = learned(*[10.0] * 5)
    done_at_10, done_at_15 = (chance_of_finishing(SPEC, estimate, m) for m in (10.0, 15.0))

    chance = chance_of_finishing(SPEC, estimate, 5.0, elapsed=10.0)

    # P(T <= 15 | T > 10) = (F(15) - F(10)) / (1 - F(10))
    assert chance == pytest.approx((done_at_15 - done_at_10) / (1 - done_at_10))


def test_the_longer_a_run_is_overdue_the_longer_it_still_takes() -> None:
    estimate = learned(*[10.0, 20.0] * 5)

    chances = [chance_of_finishing(SPEC, estimate, 10.0, elapsed=e) for e in (50, 500, 5_000, 1e12)]

    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.3
    assert chances[-1] < 1e-9


@pytest.mark.parametrize("minutes", [0.0, -5.0, math.nan])
def test_without_time_left_nothing_finishes(minutes: float) -> None:
    assert chance_of_finishing(SPEC, NO_ESTIMATE, minutes) == 0.0


@pytest.mark.parametrize("minutes", [1e6, 1e9, math.inf])
def test_with_all_the_time_in_the_world_everything_finishes(minutes: float) -> None:
    assert chance_of_finishing(SPEC, learned(*[1.0] * 50), minutes) == 1.0


def test_memory_is_the_spec_s_figure_until_a_peak_is_known() -> None:
    assert reserve_mb(SPEC, NO_ESTIMATE) == 100.0


def test_a_peak_above_the_spec_counts_at_once() -> None:
    assert reserve_mb(SPEC, after_peak(NO_ESTIMATE, 300.0)) == pytest.approx(330.0)


def test_a_spec_that_is_far_too_large_comes_down_gradually() -> None:
    spec, estimate, reserved = SPEC.but(memory_mb=2000), NO_ESTIMATE, []
    for _ in range(12):
        estimate = after_duration(after_peak(estimate, 100.0), 1.0)
        reserved.append(reserve_mb(spec, estimate))

    # 110 + 1890 * 0.7 after the first run, 110 + 1890 * 0.7 ** 12 after the twelfth
    assert reserved[0] == pytest.approx(1433.0)
    assert reserved == sorted(reserved, reverse=True)
    assert reserved[-1] == pytest.approx(136.2, abs=0.1)


def test_peaks_of_runs_that_did_not_complete_do_not_lower_the_spec_s_figure() -> None:
    assert reserve_mb(SPEC.but(memory_mb=2000), after_peak(NO_ESTIMATE, 100.0)) == 2000.0


def test_after_many_runs_only_the_peaks_count() -> None:
    estimate = Estimate(runs=60, memory_mb=100)

    assert reserve_mb(SPEC.but(memory_mb=2000), estimate) == pytest.approx(110.0)


def test_a_smaller_peak_draws_the_figure_a_tenth_of_the_way_down() -> None:
    estimate = after_peak(after_peak(NO_ESTIMATE, 500.0), 400.0)

    assert estimate.memory_mb == pytest.approx(490.0)


def test_an_unmeasured_peak_teaches_nothing() -> None:
    known = after_peak(NO_ESTIMATE, 500.0)

    assert after_peak(known, 0.0) is known


def test_after_an_out_of_memory_kill_more_than_its_limit_is_reserved() -> None:
    estimate = after_out_of_memory(after_peak(NO_ESTIMATE, 200.0), 400.0)

    assert reserve_mb(SPEC, estimate) == pytest.approx(480.0)
    assert limit_mb(SPEC, estimate) == pytest.approx(720.0)


def test_a_task_that_grows_is_survivable_within_a_few_kills() -> None:
    estimate, kills = after_peak(NO_ESTIMATE, 100.0), 0
    while limit_mb(SPEC, estimate) < 3000 and kills < 20:
        estimate = after_out_of_memory(estimate, limit_mb(SPEC, estimate))
        kills += 1

    # 165 MB at first, 1.8 times as much after each: 165 * 1.8 ** 5 = 3118
    assert kills == 5


def test_the_floor_of_a_kill_survives_smaller_peaks_but_not_for_ever() -> None:
    estimate = after_out_of_memory(NO_ESTIMATE, 1000.0)
    once = after_peak(estimate, 100.0)
    for _ in range(100):
        estimate = after_peak(estimate, 100.0)

    assert once.memory_floor_mb == pytest.approx(955.0)
    assert estimate.memory_floor_mb < 110.0


def test_a_peak_above_the_floor_keeps_the_floor() -> None:
    estimate = after_peak(after_out_of_memory(NO_ESTIMATE, 400.0), 450.0)

    assert estimate.memory_floor_mb == 400.0
    assert estimate.memory_mb == 450.0


def test_the_smaller_of_two_kills_does_not_lower_the_floor() -> None:
    assert after_out_of_memory(after_out_of_memory(NO_ESTIMATE, 400.0), 300.0).memory_floor_mb == 400.0


def test_the_kill_limit_leaves_room_above_the_reservation() -> None:
    assert limit_mb(SPEC.but(memory_mb=1000), NO_ESTIMATE) == 1500.0
    assert limit_mb(SPEC.but(memory_mb=20), NO_ESTIMATE) == 84.0


def test_the_kill_limit_is_never_below_what_the_spec_declares() -> None:
    assert limit_mb(SPEC.but(memory_mb=2000), Estimate(runs=60, memory_mb=100)) == 2000.0


@pytest.mark.parametrize("mb", [-1.0, math.nan, math.inf])
def test_an_impossible_amount_of_memory_is_refused(mb: float) -> None:
    with pytest.raises(ValueError, match="memory peak"):
        after_peak(NO_ESTIMATE, mb)
    with pytest.raises(ValueError, match="memory limit"):
        after_out_of_memory(NO_ESTIMATE, mb)


def test_the_level_is_kept_as_the_log_of_minutes() -> None:
    assert learned(7.0).log_mean == pytest.approx(log(7.0))
