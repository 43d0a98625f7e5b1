"""The box's own history as a workload of the simulation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.changes import RunEnded, RunPlanned
from orchestration.errors import StoreError
from orchestration.runs import ActiveRun, Outcome, RunKey, StopCause, TaskResult
from orchestration.simulation.own_history import HistoryModel, recorded_runs, telling_runs
from orchestration.simulation.stand_ins import Fortune
from orchestration.state.store import SqlStore
from orchestration.types import TaskSpec
from tests.unit.living import Fortunes

AT = datetime(2026, 11, 20, tzinfo=UTC)
STUDY = TaskSpec(name="study", memory_mb=500)
STATED = Fortunes({"study": [Fortune(99.0, 500)], "other": [Fortune(77.0, 500)]})


def result(
    number: int, minutes: float, outcome: Outcome = Outcome.SUCCEEDED, stop_cause: StopCause | None = None
) -> TaskResult:
    return TaskResult(
        key=RunKey("study", "2026-11-20", f"manual:{number}", 1),
        outcome=outcome,
        started_at=AT,
        ended_at=AT + timedelta(minutes=minutes),
        duration_s=minutes * 60,
        peak_memory_mb=100.0 + minutes,
        stop_cause=stop_cause,
    )


def database(tmp_path: Path, results: Sequence[TaskResult]) -> Path:
    path = tmp_path / "performance.db"
    with closing(SqlStore(path)) as store:
        for number, ended in enumerate(results):
            at = AT + timedelta(hours=number)
            run = ActiveRun(key=ended.key, started_at=at, predicted_end=at, reserved_mb=500)
            store.commit([RunPlanned(run=run), RunEnded(result=ended)])
    return path


def model_of(path: Path) -> HistoryModel:
    return HistoryModel(telling_runs(path), STATED)


def test_only_runs_that_ended_by_themselves_tell_what_a_task_needs(tmp_path: Path) -> None:
    results = [
        result(1, 10),
        result(2, 3, Outcome.FAILED),
        result(3, 20, Outcome.CHECKPOINTED),
        result(4, 30, Outcome.KILLED, StopCause.RECLAIM),
        result(5, 40, Outcome.TIMED_OUT, StopCause.TIMEOUT),
        result(6, 50, Outcome.UNKNOWN),
    ]

    found = recorded_runs(database(tmp_path, results))

    assert sorted(found["study"]) == [(3.0, 103.0, True), (10.0, 110.0, False)]


def test_duration_peak_and_failure_are_drawn_together(tmp_path: Path) -> None:
    path = database(tmp_path, [result(n, 10 + n) for n in range(5)] + [result(9, 1, Outcome.FAILED)])
    model = model_of(path)

    drawn = {model.draw(STUDY, 1, f"2026-11-{day}.once") for day in range(10, 30)}

    assert drawn <= {*(Fortune(10 + n, 110 + n, 0) for n in range(5)), Fortune(1, 101, 1)}
    assert len(drawn) > 3


def test_the_same_occasion_and_attempt_draw_the_same_run_in_any_order(tmp_path: Path) -> None:
    path = database(tmp_path, [result(n, 10 + n) for n in range(9)])
    days = [f"2026-11-{day}.once" for day in range(10, 30)]

    forth = {day: model_of(path).draw(STUDY, 1, day) for day in days}
    model = model_of(path)

    back = {day: (model.draw(STUDY, 7, day), model.draw(STUDY, 8, day)) for day in reversed(days)}

    assert {day: first for day, (first, _) in back.items()} == forth
    assert any(first != second for first, second in back.values()), "a second attempt has its own luck"


def test_an_occasion_has_the_same_luck_under_a_timetable(tmp_path: Path) -> None:
    """A timetable calls the slot of a task that runs once a cycle by its instant, others call it `once`."""
    path = database(tmp_path, [result(n, 10 + n) for n in range(9)])
    days = [f"2026-11-{day}" for day in range(10, 30)]

    once = [model_of(path).draw(STUDY, 1, f"{day}.once") for day in days]
    by_the_clock = [model_of(path).draw(STUDY, 1, f"{day}.{day}T0100") for day in days]

    assert by_the_clock == once


def test_what_goes_on_until_it_is_stopped_is_not_drawn_from_its_failures(tmp_path: Path) -> None:
    # Only failures of it end by themselves: drawn from these it would fail every time.
    path = database(tmp_path, [result(n, 1, Outcome.FAILED) for n in range(5)])
    endless = STUDY.but(extendable=True, opportunistic=True)

    assert model_of(path).draw(endless, 1, "2026-11-10.once").minutes == 99


def test_a_task_without_a_history_is_drawn_from_the_stated_workload(tmp_path: Path) -> None:
    model = model_of(database(tmp_path, [result(n, 10) for n in range(5)]))

    assert model.draw(TaskSpec(name="other"), 1, "").minutes == 77
    assert model.draw(STUDY, 1, "2026-11-10.once").minutes == 10


def test_a_history_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"performance\.db: no task has 5 runs"):
        telling_runs(database(tmp_path, [result(1, 10)]))


def test_a_missing_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no database at"):
        telling_runs(tmp_path / "none.db")
