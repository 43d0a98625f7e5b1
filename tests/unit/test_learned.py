"""What a job proposes to the daemon's learning: taken up within bounds, or refused whole."""

from __future__ import annotations

from math import log

import pytest

from orchestration.learned import LearnedDuration, Lessons, after_lessons, lessons
from orchestration.runs import Estimate, Outcome, SchedulerState, TaskRecord, TaskResult

KNOWN = Estimate(log_mean=log(10), log_error=0.3, runs=40)


def state(estimate: Estimate = KNOWN, preference: float = 0.0) -> SchedulerState:
    return SchedulerState(records={"study": TaskRecord(estimate=estimate, preference=preference)})


def told(**report: object) -> tuple[Lessons, str | None]:
    return lessons(TaskResult(report=report))


def test_a_proposed_duration_replaces_the_level_and_keeps_the_count_of_runs() -> None:
    taught, refused = told(estimates={"study": {"log_mean": log(20), "log_error": 0.1}})

    estimate = after_lessons(state(), taught).record("study").estimate
    assert refused is None
    assert estimate.log_mean == pytest.approx(log(20))
    assert (estimate.log_error, estimate.runs) == (0.1, 40)


def test_a_level_moves_by_a_factor_of_four_at_most() -> None:
    wild = Lessons({"study": LearnedDuration(log(10_000), 0.1)})

    assert after_lessons(state(), wild).record("study").estimate.log_mean == pytest.approx(log(40))


def test_a_task_with_few_runs_of_its_own_is_not_told_how_long_it_takes() -> None:
    young = state(Estimate(log_mean=log(10), log_error=0.3, runs=4))

    assert after_lessons(young, Lessons({"study": LearnedDuration(log(20), 0.1)})) is young


def test_a_preference_moves_by_a_quarter_at_most() -> None:
    once = after_lessons(state(), Lessons(preferences={"study": 1.0}))

    assert once.record("study").preference == 0.25
    assert after_lessons(once, Lessons(preferences={"study": 1.0})).record("study").preference == 0.5


def test_what_names_a_task_that_never_ran_changes_nothing() -> None:
    before = state()

    assert after_lessons(before, Lessons({"other": LearnedDuration(1.0, 0.1)}, {"third": 1.0})) is before


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (
            {"estimates": {"study": {"log_mean": "long", "log_error": 0.1}}},
            "study.log_mean is 'long'",
        ),
        ({"estimates": {"study": {"log_mean": 1.0}}}, "estimates.study.log_error is None"),
        ({"estimates": {"study": {"log_mean": float("nan"), "log_error": 0.1}}}, "log_mean is nan"),
        ({"estimates": [1]}, "estimates is [1]: expected an object"),
        ({"weights": {"study": 1.5}}, "weights.study is 1.5: expected a number from 0 to 1"),
        ({"weights": {"study": True}}, "weights.study is True"),
    ],
)
def test_one_figure_that_is_no_number_refuses_the_whole(report: dict[str, object], words: str) -> None:
    good = {"weights": {"fine": 0.5}} if "weights" not in report else {}

    taught, refused = told(**report, **good)

    assert taught == Lessons()
    assert refused is not None
    assert words in refused


def test_only_a_success_teaches() -> None:
    failed = TaskResult(outcome=Outcome.FAILED, report={"weights": {"study": 1.0}})

    assert lessons(failed) == (Lessons(), None)
