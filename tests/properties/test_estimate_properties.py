"""What holds for every history of durations and peaks."""

from __future__ import annotations

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bench_estimates import compare, histories
from orchestration.estimates import (
    LONGEST_MINUTES,
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

amounts = st.floats(min_value=0.0, max_value=1e300)
lessons = st.lists(st.tuples(st.sampled_from(["done", "cut", "peak", "killed"]), amounts), max_size=40)
specs = st.builds(
    lambda minutes, timeout, mb: TaskSpec(
        name="task", estimated_minutes=minutes, timeout_minutes=timeout, memory_mb=mb
    ),
    st.floats(min_value=0.0, max_value=1e6),
    st.floats(min_value=0.0, max_value=1e6),
    st.floats(min_value=1.0, max_value=1e5),
)
probabilities = st.floats(min_value=0.001, max_value=0.999)
LEARN = {
    "done": after_duration,
    "cut": after_lower_bound,
    "peak": after_peak,
    "killed": after_out_of_memory,
}


def learned(taught: list[tuple[str, float]]) -> Estimate:
    estimate = NO_ESTIMATE
    for kind, amount in taught:
        estimate = LEARN[kind](estimate, amount)
    return estimate


@given(lessons)
def test_learning_stays_finite_and_is_repeatable(taught: list[tuple[str, float]]) -> None:
    estimate = learned(taught)

    assert all(
        isfinite(value)
        for value in (
            estimate.log_mean,
            estimate.log_error,
            estimate.memory_mb,
            estimate.memory_floor_mb,
            estimate.at_least_minutes,
        )
    )
    assert estimate.log_error >= 0
    assert estimate.runs == sum(kind == "done" for kind, _ in taught)
    assert estimate == learned(taught)


@given(specs, lessons, probabilities, probabilities)
def test_quantiles_are_positive_finite_and_rise(
    spec: TaskSpec, taught: list[tuple[str, float]], p: float, q: float
) -> None:
    estimate = learned(taught)
    lower, higher = (quantile_minutes(spec, estimate, x) for x in sorted((p, q)))

    assert 0 < lower <= higher <= LONGEST_MINUTES


@given(specs, lessons, st.floats(min_value=0.5, max_value=0.999))
def test_a_prediction_is_positive_and_its_high_quantile_not_below_the_median(
    spec: TaskSpec, taught: list[tuple[str, float]], quantile: float
) -> None:
    prediction = predict(spec, learned(taught), quantile)

    assert 0 < prediction.median <= LONGEST_MINUTES
    assert prediction.high >= prediction.median * (1 - 1e-9)
    assert prediction.high <= LONGEST_MINUTES * (1 + 1e-9)


@given(specs, lessons, amounts, amounts, st.floats(min_value=0.0, max_value=1e9))
def test_a_chance_lies_between_0_and_1_and_falls_with_the_time_left(
    spec: TaskSpec, taught: list[tuple[str, float]], one: float, other: float, elapsed: float
) -> None:
    estimate = learned(taught)
    less, more = (chance_of_finishing(spec, estimate, m, elapsed) for m in sorted((one, other)))

    assert 0.0 <= less <= more + 1e-9 <= 1.0 + 1e-9


@given(specs, lessons, st.floats(min_value=0.01, max_value=1e4), st.floats(min_value=0.01, max_value=1e4))
def test_surviving_two_stretches_is_surviving_both(
    spec: TaskSpec, taught: list[tuple[str, float]], first: float, second: float
) -> None:
    estimate = learned(taught)
    first_half = 1 - chance_of_finishing(spec, estimate, first)
    second_half = 1 - chance_of_finishing(spec, estimate, second, elapsed=first)

    whole = 1 - chance_of_finishing(spec, estimate, first + second)

    assert whole == pytest.approx(first_half * second_half, abs=1e-9)


@given(specs, lessons)
def test_memory_figures_are_positive_and_leave_room(spec: TaskSpec, taught: list[tuple[str, float]]) -> None:
    estimate = learned(taught)
    reserved = reserve_mb(spec, estimate)

    assert reserved >= 1.2 * estimate.memory_floor_mb
    assert reserved >= min(spec.memory_mb, estimate.memory_mb or spec.memory_mb)
    assert limit_mb(spec, estimate) >= 1.5 * reserved
    assert limit_mb(spec, estimate) >= spec.memory_mb


def test_more_runs_are_covered_than_by_the_plain_formulas_at_the_same_price() -> None:
    """On histories that the constants were not fitted to."""
    result = compare([h for seed in ("report-1", "report-2", "report-3") for h in histories(seed, 10)])
    gains = {name: result.ours.coverage - coverage for name, (coverage, _) in result.at_our_price.items()}

    assert result.ours.coverage > 0.9
    assert gains["average + 20 %"] > 0.005
    assert gains["average + 2 errors"] > 0.03
    assert gains["rolling quantile"] > 0.0
