"""A recorded trace of another system, run through the loop and decide()."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.errors import SpecError
from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.simulation.replay import Replay, read_trace, replayed
from orchestration.simulation.stand_ins import SteadySensors

FRIDAY_EVENING = datetime(2026, 11, 20, 23, tzinfo=UTC)  # 18:00 in New York: a weekend of research begins


HEADER = "task,submit,duration,memory,dependencies"


def table(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def run(path: Path, hours: float = 50, slots: int = 2, total_mb: float = 4000) -> Replay:
    sensors = SteadySensors(slots=slots, total_mb=total_mb, foreign_mb=0)
    replay = replayed(
        read_trace(path), policy_for("unified"), SessionTables(), FRIDAY_EVENING, sensors=sensors
    )
    replay.simulation.run_until(FRIDAY_EVENING + timedelta(hours=hours))
    return replay


def minutes(replay: Replay, instants: dict[str, datetime]) -> dict[str, float]:
    return {task: round((at - FRIDAY_EVENING).total_seconds() / 60) for task, at in instants.items()}


def test_tasks_come_in_their_time_and_wait_for_a_slot_and_for_what_they_depend_on(tmp_path: Path) -> None:
    # Two slots. a and b take 60 minutes from 0; c comes at 10 and has to wait for a slot; d waits for c.
    path = table(tmp_path, "a,0,3600,100,", "b,0,3600,100,", "c,600,1800,100,", "d,600,600,100,a;c")

    replay = run(path)

    assert minutes(replay, replay.started) == {"a": 0, "b": 0, "c": 60, "d": 90}
    assert minutes(replay, replay.ended) == {"a": 60, "b": 60, "c": 90, "d": 100}


def test_memory_is_never_promised_twice(tmp_path: Path) -> None:
    # 4000 MB, of which 300 are never given away: two tasks of 2000 run one after the other.
    replay = run(table(tmp_path, "a,0,3600,2000,", "b,0,3600,2000,"))

    assert sorted(minutes(replay, replay.started).values()) == [0, 60]


def test_a_task_that_ends_in_the_next_cycle_does_not_run_again(tmp_path: Path) -> None:
    # From Monday 14:00 to 17:00 in New York: at the close a new cycle begins, in which nothing has run yet.
    path = table(tmp_path, "a,241200,10800,100,,maintenance", header=HEADER + ",category")

    replay = run(path, hours=24 * 7)

    assert minutes(replay, replay.ended) == {"a": 241200 / 60 + 180}
    assert replay.simulation.runner._numbers == {"a": 1}


def test_a_task_runs_once_however_long_the_trace(tmp_path: Path) -> None:
    replay = run(table(tmp_path, "a,0,60,100,", "b,300000,60,100,"), hours=24 * 7)

    assert replay.report()["finished"] == 2
    assert replay.simulation.runner._numbers == {"a": 1, "b": 1}


def test_research_of_a_trace_keeps_to_the_research_hours_and_maintenance_does_not(tmp_path: Path) -> None:
    monday_open = 64.5 * 3600  # 09:30 on Monday
    path = table(
        tmp_path,
        f"study,{monday_open},60,100,,research",
        f"upkeep,{monday_open},60,100,,maintenance",
        header="task,submit,duration,memory,dependencies,category",
    )

    replay = run(path, hours=80)

    started = minutes(replay, replay.started)
    assert started["upkeep"] == pytest.approx(64.5 * 60, abs=1)
    assert started["study"] == 72 * 60, "18:00 on Monday"


def test_instants_may_stand_where_seconds_do(tmp_path: Path) -> None:
    replay = run(table(tmp_path, "a,2026-11-21T00:00:00Z,600,100,"))

    assert minutes(replay, replay.started) == {"a": 60}


def test_the_report_says_how_long_tasks_waited(tmp_path: Path) -> None:
    # One slot: a runs 0 to 60 minutes, b waits an hour and runs another: 120 over 60 minutes is 2.
    report = run(table(tmp_path, "a,0,3600,100,", "b,0,3600,100,"), slots=1).report()

    assert report["mean_wait_hours"] == pytest.approx(0.5, abs=0.01)
    assert report["longest_wait_hours"] == pytest.approx(1.0, abs=0.01)
    assert report["bounded_slowdown"] == pytest.approx(1.5, abs=0.01)


def test_a_chain_outlives_the_cycle_that_its_first_task_ran_in(tmp_path: Path) -> None:
    four_days = 4 * 86_400
    replay = run(table(tmp_path, "a,0,600,100,", f"b,{four_days},600,100,a"), hours=24 * 6)

    assert replay.report()["finished"] == 2


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["A job,0,60,100,"], "line 2: task is 'A job'"),
        (["a,0,60,100,", "a,0,60,100,"], "line 3: task is 'a': that name was there already"),
        (["a,yesterday,60,100,"], "line 2: submit is 'yesterday'"),
        (["a,2026-11-20T18:00:00,60,100,"], "an instant with a zone"),
        (["a,0,-5,100,"], "line 2: duration is '-5': expected a number, 0 or more"),
        (["a,0,60,much,"], "memory is 'much'"),
        (["a,0,60,100,b"], "'a' depends on or conflicts with 'b', which is not in the table"),
        (["a,0,60,100,", "b,2026-11-21T00:00:00Z,60,100,"], "an instant in some rows and seconds in others"),
        ([], "has no rows"),
    ],
)
def test_a_wrong_table_is_refused_with_line_and_column(tmp_path: Path, rows: list[str], words: str) -> None:
    with pytest.raises(SpecError) as refused:
        read_trace(table(tmp_path, *rows))

    assert words in str(refused.value)


def test_unknown_and_missing_columns_are_told_with_those_that_are_expected(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"line 1: the columns are task, when: expected task, submit"):
        read_trace(table(tmp_path, "a,0", header="task,when"))


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        read_trace(table(tmp_path, "a,0,x,100,", "b,0,60,y,", "c,0,60,100,"))

    assert str(refused.value).count("line ") == 2
