"""The plain rules that predictions are held against. Expected values are worked out in the comments."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import exp, inf, log1p, nan

import pytest

from orchestration.estimates import after_duration, predict
from orchestration.runs import NO_ESTIMATE
from orchestration.simulation.rivals import (
    RIVALS,
    Predictions,
    average_plus_errors,
    conformal,
    level_of,
    pooled,
    rolling_quantile,
    value_at,
)
from orchestration.types import TaskSpec


def predictions(*pairs: tuple[float, float]) -> Predictions:
    """Return the predictions of runs given as (predicted, actual)."""
    made = Predictions()
    for predicted, actual in pairs:
        made.add(predicted, actual)
    return made


def durations(runs: int, sigma: float, growth: float = 0.0) -> list[float]:
    """Return log-normal minutes around 2, growing by the fraction `growth` over all of the runs."""
    dice = random.Random(f"{sigma}/{growth}")
    return [2 * exp(dice.gauss(0, sigma) + log1p(growth * i / runs)) for i in range(runs)]


def ours(actual: list[float]) -> Predictions:
    """Return the predictions of orchestration.estimates, each made before the run that it is for."""
    spec = TaskSpec(name="task", estimated_minutes=2, timeout_minutes=0)
    estimate, made = NO_ESTIMATE, Predictions()
    for minutes in actual:
        made.add(predict(spec, estimate).high, minutes)
        estimate = after_duration(estimate, minutes)
    return made


def held(predicted: list[float], actual: list[float]) -> int:
    return sum(took <= promised * (1 + 1e-9) for promised, took in zip(predicted, actual, strict=True))


def test_coverage_and_over_estimate_leave_out_the_first_run() -> None:
    score = predictions((900, 1), (12, 10), (18, 20), (15, 10)).score()

    assert score["runs"] == 3
    assert score["coverage"] == pytest.approx(2 / 3)
    assert score["over_estimate"] == pytest.approx((2 + 0 + 5) / 40)


def test_the_average_and_its_errors_predict_as_worked_out_by_hand() -> None:
    # Averages 10, then (10 + 20) / 2 = 15. Errors 10 / 2 = 5, then (5 + |20 - 10|) / 2 = 7.5.
    # Needed: (20 - 10) / 5 = 2 and (12 - 15) / 7.5 = -0.4.
    assert list(average_plus_errors([10, 20, 12], covered=1)) == pytest.approx([10 - 0.4 * 5, 12])
    assert list(average_plus_errors([10, 20, 12], covered=2)) == pytest.approx([20, 15 + 2 * 7.5])


def test_the_rolling_quantile_predicts_as_worked_out_by_hand() -> None:
    # Before the runs: [10], [10, 20], [10, 12, 20]. Needed: 20 is twice the largest: 2; 12 is a fifth of the
    # way from 10 to 20: 0.2; 18 is 3/4 of the second of two steps: (1 + 0.75) / 2 = 0.875. The second
    # smallest of the three is 0.875; a window of one has but one quantile.
    assert list(rolling_quantile([10, 20, 12, 18], covered=2)) == pytest.approx([10, 18.75, 18])


def test_the_conformal_rule_predicts_as_worked_out_by_hand() -> None:
    # Averages 10, 15. Ratios 1 (the first run is its own average), 20 / 10 = 2, 12 / 15 = 0.8. Before the
    # runs: [1], [1, 2]. Needed: 2 / 1 = 2, and 0, as 0.8 is below the smallest.
    assert list(conformal([10, 20, 12], covered=1)) == pytest.approx([10 * 1, 15 * 1])
    assert list(conformal([10, 20, 12], covered=2)) == pytest.approx([10 * 1 * 2, 15 * 2 * 2])


@pytest.mark.parametrize("name", RIVALS)
def test_a_freak_is_forgotten(name: str) -> None:
    freak, steady = [7.0, 90.0], [7.0] * 110

    # Missed are the 90 and, by the conformal rule, the first run whose average is free of it.
    predicted = RIVALS[name](freak + steady, 109)

    # An average knows 50 runs, and 50 of its errors or ratios are known: the 103rd run is free of the 90.
    assert list(predicted[101:]) == pytest.approx([7.0] * 10)


def test_the_rolling_quantile_knows_fifty_runs() -> None:
    # The third run is as long as the longest before it, so to cover all is to predict the largest of the 50.
    predicted = rolling_quantile([100.0, 90.0, 100.0, *[7.0] * 60], covered=62)

    # For the 53rd run these are the 3rd to the 52nd.
    assert list(predicted[51:53]) == pytest.approx([100.0, 7.0])


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("covered", [1, 150, 280, 299])
def test_a_rule_covers_as_many_runs_as_it_is_asked_to(name: str, covered: int) -> None:
    actual = durations(300, 0.35)

    predicted = RIVALS[name](actual, covered)

    # A level cannot go below 0: the smallest of the 50 covers one run in 51 at least.
    assert held(list(predicted), actual[1:]) == covered or (covered == 1 and name != "average_plus_errors")


def test_the_level_read_off_is_the_one_that_a_search_finds() -> None:
    actual = durations(200, 0.35)

    def naive(level: float) -> list[float]:
        return [value_at(sorted(actual[max(0, i - 50) : i]), level) for i in range(1, len(actual))]

    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if held(naive(middle), actual[1:]) >= 170 else (middle, high)

    assert list(rolling_quantile(actual, covered=170)) == pytest.approx(naive(high))


@pytest.mark.parametrize("value", [3.0, 3.5, 4.0, 7.9, 8.0, 24.0])
def test_the_quantile_at_the_level_of_a_value_is_the_value(value: float) -> None:
    recent = [3.0, 4.0, 8.0]

    assert value_at(recent, level_of(recent, value)) == pytest.approx(value)


def test_a_value_below_all_others_needs_the_lowest_level() -> None:
    assert level_of([3.0, 4.0], 1.0) == 0.0


def test_the_ratio_is_to_the_best_of_the_rivals_at_our_coverage() -> None:
    actual = durations(40, 0.35)
    score = predictions(*((2.5, took) for took in actual)).score()

    covered = sum(took <= 2.5 for took in actual[1:])
    best = min(
        sum(max(0.0, p - a) for p, a in zip(rule(actual, covered), actual[1:], strict=True))
        for rule in RIVALS.values()
    ) / sum(actual[1:])
    assert set(score["rivals"]) == set(RIVALS)
    assert min(score["rivals"].values()) == pytest.approx(best)
    assert score["over_estimate"] is not None
    assert score["ratio"] == pytest.approx(score["over_estimate"] / best)


def test_few_runs_have_no_ratio() -> None:
    # The 30 that are counted come after the first.
    actual = durations(31, 0.35)

    assert ours(actual[:30]).score()["ratio"] is None
    assert ours(actual).score()["ratio"] is not None


def test_rivals_that_waste_nothing_leave_no_ratio() -> None:
    score = predictions(*[(8.0, 7.0)] * 40).score()

    assert score["rivals"] == {name: pytest.approx(0.0, abs=1e-9) for name in RIVALS}
    assert score["ratio"] is None


@pytest.mark.parametrize("made", [predictions(), predictions((5, 4))], ids=["no run", "the first alone"])
def test_without_runs_to_count_there_is_no_score(made: Predictions) -> None:
    empty = {"runs": 0, "coverage": None, "over_estimate": None}

    assert made.score() == {**empty, "rivals": {}, "ratio": None}
    assert pooled([made]) == empty


def test_a_prediction_that_never_held_is_scored() -> None:
    score = predictions(*((0.001, took) for took in durations(40, 0.35))).score()

    assert (score["coverage"], score["over_estimate"]) == (0.0, 0.0)


def test_pooled_runs_count_alike_for_the_coverage_and_by_minutes_for_the_over_estimate() -> None:
    short = predictions((1, 1), (2, 1), (2, 1), (0.5, 1))  # 2 of 3 held, 2 min of 3 too much
    long = predictions((1, 1), (110, 100))  # 1 of 1 held, 10 min of 100 too much

    assert pooled([short, long]) == {
        "runs": 4,
        "coverage": pytest.approx(3 / 4),
        "over_estimate": pytest.approx(12 / 103),
    }


@pytest.mark.parametrize(
    ("predicted", "actual"), [(nan, 1.0), (inf, 1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, inf)]
)
def test_what_is_no_length_of_time_is_refused(predicted: float, actual: float) -> None:
    with pytest.raises(ValueError, match="expected finite minutes"):
        Predictions().add(predicted, actual)


def test_a_run_of_no_time_counts_as_a_millisecond() -> None:
    score = predictions((1, 0), (1, 0), (1, 0)).score()

    assert score["over_estimate"] == pytest.approx(60_000 - 1)


MAKERS: dict[str, Callable[[], list[float]]] = {
    "log-normal 0.1": lambda: durations(3000, 0.1),
    "log-normal 0.35": lambda: durations(3000, 0.35),
    "log-normal 0.6": lambda: durations(3000, 0.6),
    "growing by 20 %": lambda: durations(3000, 0.35, growth=0.2),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_our_predictions_waste_at_most_15_percent_more_than_the_best_rival(kind: str) -> None:
    score = ours(MAKERS[kind]()).score()

    assert score["ratio"] is not None
    assert score["ratio"] <= 1.15
    assert score["coverage"] is not None
    assert score["coverage"] >= 0.85
