"""What was planned is held against what came of it, and weights move slowly and within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive import measures
from adaptive.coordination import merged_patterns
from adaptive.feedback import OptimizationFeedbackLoop, wilson_interval
from adaptive.findings import certainty
from adaptive.heuristics import DEFAULT_WEIGHTS
from adaptive.types import OptimizationResult, ScheduledTask, Status, Strategy
from tests.scripted_waves import carried_out

AT = "2026-11-20T23:00:00Z"


def ran(
    task_id: str = "a",
    planned: tuple[float, float] = (0.0, 1000.0),
    actual: tuple[float, float] | None = (0.0, 1000.0),
    status: Status = Status.COMPLETED,
    *,
    agent: str = "local/0",
    confidence: float = 0.9,
    wave: int = 1,
) -> ScheduledTask:
    return carried_out(task_id, agent, planned, actual, status, confidence=confidence, wave=wave)


SKIPPED = ran("z", actual=None, status=Status.SKIPPED)
FOUR = (
    ran("a", (0, 1000), (0, 2000)),
    ran("b", (1000, 2000), (2000, 2500)),
    ran("c", (0, 2000), (0, 4000), Status.FAILED, agent="local/1"),
    ran("d", (2000, 4000), (4000, 5000), Status.RETRIED, agent="local/1"),
)


def result(schedule: Sequence[ScheduledTask] = FOUR, wave: int = 1) -> OptimizationResult:
    return OptimizationResult(
        wave=wave,
        strategy=Strategy.WEIGHTED,
        agent_assignments={"local/0": ("a", "b"), "local/1": ("c", "d")},
        schedule=tuple(replace(each, actual_start_time=None, actual_end_time=None) for each in schedule),
        expected_success_rate=0.9,
        expected_throughput=0.9,
        makespan_ms=4000.0,
        objective=1.0,
        bound=1.0,
        method="milp",
    )


def compared(
    wave: int,
    success: float = 0.9,
    throughput: float = 1.0,
    delta: float | None = None,
    accuracy: float = 0.95,
    planned: float = 0.9,
) -> dict[str, Any]:
    return {
        "wave": wave,
        "planned_success_rate": planned,
        "actual_success_rate": success,
        "planned_throughput": 1.0,
        "actual_throughput": throughput,
        "confidence_delta": success - planned if delta is None else delta,
        "accuracy_score": accuracy,
    }


UNTOLD = dict.fromkeys(
    ("actual_success_rate", "actual_throughput", "confidence_delta", "accuracy_score"), None
)


def loop_that_saw(waves: Sequence[int], tasks: int = 4, **settings: Any) -> OptimizationFeedbackLoop:
    """Return a loop that knows that so many tasks were executed in each of these waves."""
    loop = OptimizationFeedbackLoop(**settings)
    for wave in waves:
        loop.evaluate_schedule_outcome(result(wave=wave), [ran(str(k), wave=wave) for k in range(tasks)])
    return loop


# --- comparing --------------------------------------------------------------------------------------------


def test_a_comparison_holds_the_plan_against_what_came_of_it() -> None:
    comparison = OptimizationFeedbackLoop().evaluate_schedule_outcome(result(), [*FOUR, SKIPPED])

    # 3 of 4 succeeded, the retried one too; 3 in 5 s. Durations of those completed at once: 1000 against
    # 2000 and 1000 against 500, 0.5 each. Brier: three times 0.1 ** 2 and once 0.9 ** 2 over 4 = 0.21.
    assert comparison == {
        "wave": 1,
        "planned_success_rate": 0.9,
        "actual_success_rate": 0.75,
        "planned_throughput": 0.9,
        "actual_throughput": pytest.approx(0.6),
        "confidence_delta": pytest.approx(-0.15),
        "accuracy_score": pytest.approx((0.5 + 0.79) / 2),
    }


def test_a_wave_of_which_nothing_was_executed_has_no_actual_figures() -> None:
    comparison = OptimizationFeedbackLoop().evaluate_schedule_outcome(result(), [SKIPPED])

    assert {name: comparison[name] for name in UNTOLD} == UNTOLD


def test_a_plan_that_comes_true_to_the_letter_is_accurate_by_one() -> None:
    executed = [ran("a", confidence=1.0), ran("b", status=Status.FAILED, confidence=0.0)]

    assert measures.accuracy_score(executed) == 1.0


def test_half_as_long_and_twice_as_long_are_as_wrong_as_each_other() -> None:
    short, long = ran(actual=(0.0, 500.0)), ran(actual=(0.0, 2000.0))

    assert measures.accuracy_score([short]) == measures.accuracy_score([long])


def test_a_failures_and_a_retrys_length_is_not_held_against_the_plan() -> None:
    failed = ran(actual=(0.0, 1.0), status=Status.FAILED, confidence=0.0)

    assert measures.accuracy_score([failed]) == 1.0
    assert measures.timed_spans([ran(status=Status.RETRIED)]) == ()


def test_what_another_wave_came_to_is_refused_by_task() -> None:
    with pytest.raises(ValueError, match="wave of 'a' is 1: expected 2"):
        OptimizationFeedbackLoop().evaluate_schedule_outcome(result(wave=2), FOUR)


def test_a_task_that_ended_before_it_started_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="actual_end_time of 'a'"):
        measures.success_rate([ran("a", actual=(5.0, 4.0))])


@given(
    spans=st.lists(
        st.tuples(
            st.floats(0, 1e6),
            st.floats(0, 1e6),
            st.floats(0, 1),
            st.sampled_from([*Status][:3]),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_accuracy_and_adherence_lie_between_nothing_and_one(
    spans: list[tuple[float, float, float, Status, bool]],
) -> None:
    tasks = [
        ran(str(k), (0.0, planned), (0.0, took) if was_run else None, status, confidence=confidence)
        for k, (planned, took, confidence, status, was_run) in enumerate(spans)
    ]

    for value in (measures.accuracy_score(tasks), measures.adherence(tasks)):
        assert value is None or 0.0 <= value <= 1.0


# --- explaining -------------------------------------------------------------------------------------------


def test_an_event_tells_what_most_waves_show_with_the_waves_that_do() -> None:
    comparisons = [compared(1, success=0.6), compared(2, success=0.7), compared(3)]

    events = OptimizationFeedbackLoop().generate_feedback_events(comparisons, AT)

    shortfall = next(each for each in events if each["feedback_type"] == "success_shortfall")
    assert shortfall["feedback_id"] == "FB_1-3_001"
    assert shortfall["supporting_evidence"] == [
        "wave 1: planned_success_rate 0.9, actual_success_rate 0.6",
        "wave 2: planned_success_rate 0.9, actual_success_rate 0.7",
    ]
    # Mean of 0.3 and 0.2. Two of three: P(Beta(3, 2) > 1/2) = (1 + 4 + 6) / 16.
    assert shortfall["description"] == (
        "In 2 of 3 waves fewer tasks succeed than planned, by 25% of the tasks."
    )
    assert shortfall["confidence"] == 11 / 16
    assert shortfall["timestamp"] == AT


def test_what_only_half_of_the_waves_show_is_no_finding() -> None:
    events = OptimizationFeedbackLoop().generate_feedback_events(
        [compared(1, throughput=0.5, accuracy=0.88), compared(2, accuracy=0.88)], AT
    )

    assert events == []


@pytest.mark.parametrize(
    ("comparison", "kind"),
    [
        (compared(1, throughput=0.7, accuracy=0.88), "throughput_shortfall"),
        (compared(1, delta=-0.2), "overconfidence"),
        (compared(1, success=1.0, planned=0.8), "underconfidence"),
        (compared(1, accuracy=0.6), "inaccurate_predictions"),
        (compared(1), "plan_confirmed"),
    ],
)
def test_each_kind_of_finding_has_its_sign(comparison: dict[str, Any], kind: str) -> None:
    events = OptimizationFeedbackLoop().generate_feedback_events([comparison], AT)

    assert [event["feedback_type"] for event in events] == [kind]


def test_the_certainty_of_a_finding_grows_with_the_waves_that_agree() -> None:
    # P(Beta(n + 1, 1) > 1/2) = 1 - 1 / 2 ** (n + 1).
    assert [certainty(n, n) for n in (1, 2, 3)] == [0.75, 0.875, 0.9375]
    assert certainty(2, 4) == 0.5


def test_a_signal_rests_on_two_waves_at_least() -> None:
    loop = OptimizationFeedbackLoop()

    assert loop.generate_learning_signals([compared(4, success=0.5)]) == []
    signals = loop.generate_learning_signals([compared(4, success=0.5), compared(5, success=0.5)])

    assert [set(each) for each in signals] == [
        {"signal_id", "type", "confidence", "description", "recommendation"}
    ] * 2
    assert [each["type"] for each in signals] == ["success_shortfall", "overconfidence"]


def test_waves_without_a_run_say_nothing() -> None:
    nothing = [{**compared(wave), **UNTOLD} for wave in (1, 2)]
    loop = OptimizationFeedbackLoop()

    assert loop.generate_feedback_events(nothing, AT) == []
    assert loop.generate_learning_signals(nothing) == []
    assert loop.update_heuristic_weights(nothing) == DEFAULT_WEIGHTS


# --- weights ----------------------------------------------------------------------------------------------


def test_one_wave_moves_no_weight_however_bad_it_was() -> None:
    loop = loop_that_saw([1], tasks=100)

    assert loop.update_heuristic_weights([compared(1, success=0.0, throughput=0.1)]) == DEFAULT_WEIGHTS


def test_one_bad_wave_among_good_ones_does_not_gain_success_any_weight() -> None:
    loop = loop_that_saw([1, 2, 3])

    weights = loop.update_heuristic_weights([compared(1, success=0.0), compared(2), compared(3)])

    assert weights["H16_001"] == DEFAULT_WEIGHTS["H16_001"]


def test_too_few_tasks_move_no_weight() -> None:
    bad = [compared(1, success=0.0), compared(2, success=0.0)]

    assert loop_that_saw([1, 2], tasks=2).update_heuristic_weights(bad) == DEFAULT_WEIGHTS
    assert loop_that_saw([1, 2], tasks=3).update_heuristic_weights(bad) != DEFAULT_WEIGHTS


def test_a_wave_that_the_loop_did_not_see_counts_as_one_task() -> None:
    bad = [compared(wave, success=0.0) for wave in range(1, 6)]

    assert OptimizationFeedbackLoop().update_heuristic_weights(bad[:4]) == DEFAULT_WEIGHTS
    assert OptimizationFeedbackLoop().update_heuristic_weights(bad) != DEFAULT_WEIGHTS


def test_success_that_falls_short_twice_gains_weight_by_what_both_waves_agree_on() -> None:
    loop = loop_that_saw([1, 2])

    weights = loop.update_heuristic_weights([compared(1, success=0.8), compared(2, success=0.4)])

    # Short by 0.1 and 0.5, of 0.25 for a full step: surprises 0.4 and 1; the median with 0 is 0.4.
    # Throughput came as expected. Confidences off by 0.1 and 0.5: surprises 0 and -1; the median is 0.
    assert weights == pytest.approx(
        {"H16_001": 0.4 + 0.1 * 0.4, "H16_002": 0.3, "H16_003": 0.2, "H16_004": 0.1}
    )


def test_throughput_that_falls_short_gains_weight_and_kept_confidences_do() -> None:
    loop = loop_that_saw([1, 2])

    weights = loop.update_heuristic_weights([compared(1, throughput=0.5), compared(2, throughput=0.75)])

    # Missing 0.5 and 0.25, of 0.5 for a full step: 1 and 0.5. Confidences came true: 1 and 1.
    assert weights["H16_002"] == pytest.approx(0.3 + 0.1 * 0.5)
    assert weights["H16_003"] == pytest.approx(0.2 + 0.1)


def test_a_weight_without_news_goes_back_to_its_default() -> None:
    loop = loop_that_saw([1, 2], weights={"H16_004": 0.6})

    weights = loop.update_heuristic_weights([compared(1), compared(2)])

    assert weights["H16_004"] == pytest.approx(0.1 + 0.98 * 0.5)


@given(
    weights=st.fixed_dictionaries({}, optional={key: st.floats(0, 50) for key in DEFAULT_WEIGHTS}),
    waves=st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 100), st.floats(-1, 1), st.floats(0, 1)), max_size=6
    ),
    rounds=st.integers(1, 30),
)
def test_weights_stay_within_their_bounds_whatever_happens(
    weights: dict[str, float], waves: list[tuple[float, float, float, float]], rounds: int
) -> None:
    loop = loop_that_saw(range(len(waves)), weights=weights, bounds=(0.05, 1.0), learning_rate=1.0)
    comparisons = [compared(wave, *figures) for wave, figures in enumerate(waves)]

    for _ in range(rounds):
        new = loop.update_heuristic_weights(comparisons)

        assert set(new) == set(DEFAULT_WEIGHTS)
        assert all(0.05 <= weight <= 1.0 for weight in new.values())


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 0.0},
        {"decay": 1.0},
        {"bounds": (0.5, 0.5)},
        {"weights": {"H99_001": 0.5}},
        {"least_evidence": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(settings))} (is|has)"):
        OptimizationFeedbackLoop(**settings)


# --- strategies -------------------------------------------------------------------------------------------


def test_a_strategy_seen_once_never_leads_whatever_it_reached() -> None:
    table = OptimizationFeedbackLoop().evaluate_strategy_effectiveness(
        {
            Strategy.THROUGHPUT: [compared(1, success=1.0, accuracy=1.0)],
            Strategy.SUCCESS: [
                compared(2, success=0.3, accuracy=0.3),
                compared(3, success=0.3, accuracy=0.3),
            ],
        }
    )

    assert table["maximize_success"]["rank"] == 1
    assert table["maximize_throughput"]["rank"] is None


def test_a_strategys_row_holds_means_a_count_and_an_interval() -> None:
    row = OptimizationFeedbackLoop().evaluate_strategy_effectiveness(
        {"weighted": [compared(1, success=0.8, accuracy=0.9), compared(2, success=0.6, throughput=0.5)]}
    )["weighted"]

    # Effects: (0.9 + 0.8 + 1) / 3 = 0.9 and (0.95 + 0.6 + 0.5) / 3 = 0.68333; their mean is 0.79167.
    assert row["waves"] == 2
    assert row["accuracy_score"] == pytest.approx(0.925)
    assert row["success_rate"] == pytest.approx(0.7)
    assert row["throughput"] == pytest.approx(0.75)
    assert row["effectiveness"] == pytest.approx(0.791667, abs=1e-6)
    assert row["lower"] < row["effectiveness"] < row["upper"]


def test_more_waves_of_the_same_quality_rank_higher() -> None:
    table = OptimizationFeedbackLoop().evaluate_strategy_effectiveness(
        {"a": [compared(k) for k in range(2)], "b": [compared(k) for k in range(20)]}
    )

    assert (table["b"]["rank"], table["a"]["rank"]) == (1, 2)


def test_a_strategy_of_which_nothing_was_executed_has_no_figures() -> None:
    table = OptimizationFeedbackLoop().evaluate_strategy_effectiveness({"a": [{**compared(1), **UNTOLD}]})

    assert table["a"]["waves"] == 0
    assert table["a"]["effectiveness"] is None


def test_the_interval_is_wilsons() -> None:
    # 8 of 10 by hand, z2 = 3.8415: centre 0.8 + 0.19207, half 1.95996 sqrt(0.016 + 0.0096036), over 1.38415.
    assert wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


# --- coordination -----------------------------------------------------------------------------------------


def test_a_pattern_holds_one_task_on_one_agent_with_its_record() -> None:
    patterns = merged_patterns(
        [], [ran("a#1"), ran("a#2", status=Status.FAILED), SKIPPED], {"a#1": "a", "a#2": "a"}
    )

    # Two runs, one success; confidence 2 / (2 + 2).
    assert patterns == [
        {
            "pattern_type": "task_on_agent",
            "agent_assignments": {"local/0": ["a"]},
            "success_rate": 0.5,
            "confidence": 0.5,
        }
    ]


def test_the_next_waves_runs_are_added_to_a_patterns() -> None:
    first = merged_patterns([], [ran(), ran(status=Status.FAILED)], {})

    (pattern,) = merged_patterns(first, [ran(), ran()], {})

    assert pattern["success_rate"] == pytest.approx(3 / 4)
    assert pattern["confidence"] == pytest.approx(4 / 6)


def test_another_ones_patterns_are_left_as_they_are() -> None:
    foreign = {
        "pattern_type": "pair",
        "agent_assignments": {"x": ["a"]},
        "success_rate": 1.0,
        "confidence": 1.0,
    }

    assert merged_patterns([foreign], [], {}) == [foreign]


def test_old_runs_count_for_fifty_at_most_so_that_a_change_shows() -> None:
    known = merged_patterns([], [ran()] * 400, {})

    (pattern,) = merged_patterns(known, [ran(status=Status.FAILED)] * 50, {})

    assert pattern["success_rate"] == pytest.approx(0.5)
