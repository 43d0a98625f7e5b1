"""What the adaptive layer reads: the input files of a folder, and the runs that the daemon recorded."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adaptive.files import AdaptiveFileError, write_json
from adaptive.history import REVISIONS, load_inputs, load_outcomes, recorded_waves
from adaptive.monitor import OptimizationMonitor
from adaptive.types import Outcome as Learned
from orchestration.changes import Change, RunEnded, RunPlanned, RunStarted
from orchestration.runs import ActiveRun, Outcome, RunKey, StopCause, TaskResult
from orchestration.state import schema
from orchestration.state.store import SqlStore

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
INPUTS: dict[str, Any] = {
    "multi_agent_summary.json": {
        "total_agents": 2,
        "total_tasks": 12,
        "total_waves": 3,
        "success_rate": 0.9,
        "avg_execution_time_ms": 120.5,
        "avg_confidence_delta": -0.02,
        "retry_rate": 0.1,
        "agent_performance": {"local/1": {"success_rate": 0.95, "tasks": 6}},
        "timestamp": "2026-11-20T23:00:00",
    },
    "coordination_patterns.json": [
        {
            "pattern_type": "pairing",
            "agent_assignments": {"local/1": ["a", "b"]},
            "success_rate": 1.0,
            "confidence": 0.8,
        }
    ],
    "system_health.json": {
        "overall_health_score": 91,
        "health_status": "EXCELLENT",
        "component_scores": {"memory": 80.5, "disk": 99},
    },
}
SIGNALS = [
    {"signal_id": "s1", "type": "slow", "confidence": 0.7, "description": "late at night"},
    {"signal_id": "s2", "type": "fast", "confidence": 1, "description": "", "recommendation": "more of it"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, value in INPUTS.items():
        (tmp_path / name).write_text(json.dumps(value, indent=2))
    (tmp_path / "learning_signals.jsonl").write_text("\n".join(map(json.dumps, SIGNALS)))
    return tmp_path


def test_the_four_inputs_are_read_as_they_are(folder: Path) -> None:
    inputs = load_inputs(folder)

    assert [inputs.summary, inputs.patterns, inputs.health] == list(INPUTS.values())
    assert inputs.signals == SIGNALS


@pytest.mark.parametrize("name", [*INPUTS, "learning_signals.jsonl"])
@pytest.mark.parametrize("harm", ["missing", "empty", "half written"])
def test_an_input_that_is_not_whole_is_refused_by_its_name(folder: Path, name: str, harm: str) -> None:
    path = folder / name
    content = path.read_text()
    path.unlink()
    if harm != "missing":
        path.write_text("" if harm == "empty" else content[: len(content) // 2])

    with pytest.raises(AdaptiveFileError) as refusal:
        load_inputs(folder)

    assert refusal.value.path == path


def test_a_wrong_input_is_refused_by_line_and_field(folder: Path) -> None:
    summary = {**INPUTS["multi_agent_summary.json"], "retry_rate": "often"}
    (folder / "multi_agent_summary.json").write_text(json.dumps(summary, indent=2))

    # The brace is line 1, and retry_rate the seventh key.
    words = r'multi_agent_summary\.json, line 8, field retry_rate: is "often", expected a number from 0 to 1'
    with pytest.raises(AdaptiveFileError, match=words):
        load_inputs(folder)


def test_the_health_that_a_run_wrote_is_an_input_although_nothing_was_executed(folder: Path) -> None:
    health = OptimizationMonitor().generate_system_health([], [], "2026-11-20T23:00:00Z")
    write_json(folder / "system_health.json", health, "system_health")

    inputs = load_inputs(folder)

    assert set(inputs.health["component_scores"].values()) == {None}


def run(
    task: str,
    minute: float,
    minutes: float = 5.0,
    outcome: Outcome = Outcome.SUCCEEDED,
    *,
    cycle: str = "2026-11-23",
    slot: str = "once",
    attempt: int = 1,
    pool: str = "local",
    stop: StopCause | None = None,
    lost: bool = False,
) -> list[Change]:
    """Return what the daemon commits of a run that starts `minute` after NOW."""
    key = RunKey(task, cycle, slot, attempt)
    start = NOW + minute * MINUTE
    end = start + minutes * MINUTE
    planned = ActiveRun(key=key, started_at=start, predicted_end=end, reserved_mb=100.0)
    result = TaskResult(
        key=key,
        outcome=outcome,
        started_at=start,
        ended_at=end,
        duration_s=None if lost else minutes * 60.0,
        peak_memory_mb=87.5,
        stop_cause=stop,
    )
    return [
        RunPlanned(run=planned, predicted_minutes=6.0, pool=pool, log=f"logs/{task}.log"),
        RunStarted(run_id=key.run_id, pid=4711, started_at=start),
        RunEnded(result=result),
    ]


def recorded(folder: Path, *runs: Sequence[Change]) -> Path:
    path = folder / "performance.db"
    with closing(SqlStore(path)) as store:
        store.commit([change for changes in runs for change in changes])
    return path


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_a_run_is_told_with_all_that_was_recorded(tmp_path: Path) -> None:
    path = recorded(tmp_path, run("job", 0, 5.0))

    # 5 min = 300,000 ms.
    assert load_outcomes(path) == (
        Learned(
            task_id="job",
            kind="job",
            agent_id="local/1",
            wave=1,
            started_ms=0.0,
            ended_ms=300_000.0,
            success=True,
            attempts=1,
        ),
    )


def test_runs_that_ended_by_themselves_teach_success_and_failure(tmp_path: Path) -> None:
    path = recorded(
        tmp_path,
        run("fine", 0),
        run("broken", 1, outcome=Outcome.FAILED),
        run("endless", 2, outcome=Outcome.TIMED_OUT, stop=StopCause.TIMEOUT),
        run("greedy", 3, outcome=Outcome.OUT_OF_MEMORY, stop=StopCause.MEMORY),
    )

    assert [(found.kind, found.success) for found in load_outcomes(path)] == [
        ("fine", True),
        ("broken", False),
        ("endless", False),
        ("greedy", False),
    ]


@pytest.mark.parametrize(
    ("outcome", "stop"),
    [
        (Outcome.CHECKPOINTED, None),
        (Outcome.CHECKPOINTED, StopCause.WINDOW_END),
        (Outcome.KILLED, StopCause.OPERATOR),
        (Outcome.INTERRUPTED, None),
        (Outcome.UNKNOWN, None),
        (Outcome.SUCCEEDED, StopCause.WINDOW_END),
        (Outcome.FAILED, StopCause.RECLAIM),
    ],
)
def test_runs_that_were_stopped_or_lost_teach_nothing(
    tmp_path: Path, outcome: Outcome, stop: StopCause | None
) -> None:
    path = recorded(tmp_path, run("job", 0, outcome=outcome, stop=stop))

    assert load_outcomes(path) == ()


def test_open_runs_teach_nothing(tmp_path: Path) -> None:
    planned, started, _ = run("running", 0)

    path = recorded(tmp_path, [planned, started], run("planned", 1)[:1])

    assert load_outcomes(path) == ()


def test_each_attempt_is_an_outcome_of_its_own(tmp_path: Path) -> None:
    path = recorded(tmp_path, run("job", 0, outcome=Outcome.FAILED), run("job", 10, attempt=2))

    found = [(each.task_id, each.attempts, each.success) for each in load_outcomes(path)]
    assert found == [("job", 1, False), ("job", 2, True)]


def test_runs_of_several_slots_are_several_tasks_of_one_kind(tmp_path: Path) -> None:
    slots = ("2026-11-20T23:00:00Z", "2026-11-20T23:10:00Z")
    path = recorded(tmp_path, run("tick", 0, slot=slots[0]), run("tick", 10, slot=slots[1]))

    found = [(each.task_id, each.kind) for each in load_outcomes(path)]
    assert found == [(f"tick@{slot}", "tick") for slot in slots]


def test_without_a_measured_duration_the_clock_times_tell_it(tmp_path: Path) -> None:
    path = recorded(tmp_path, run("job", 0, 5.0, lost=True))

    (found,) = load_outcomes(path)
    assert found.duration_ms == 300_000.0


def test_a_run_within_which_the_clock_went_back_is_told_by_its_measured_duration_or_not_at_all(
    tmp_path: Path,
) -> None:
    path = recorded(tmp_path, run("measured", 0), run("lost", 10, lost=True), run("sane", 20))
    changed(path, "UPDATE task_runs SET ended_at = '1970-01-01T00:00:09Z' WHERE task <> 'sane'")

    found = {each.kind: each.duration_ms for each in load_outcomes(path)}
    assert found == {"measured": 300_000.0, "sane": 300_000.0}


def test_waves_are_the_cycles_that_ran_counted_in_time(tmp_path: Path) -> None:
    path = recorded(
        tmp_path,
        run("late", 8000, cycle="2026-12-01"),
        run("first", 0, cycle="2026-11-23"),
        run("second", 7, cycle="2026-11-23"),
        run("stopped", 3000, cycle="2026-11-25", outcome=Outcome.KILLED, stop=StopCause.OPERATOR),
    )

    waves = recorded_waves(load_outcomes(path))

    # In ms from the wave's first start: 7 min are 420,000.
    found = {number: [(each.kind, each.started_ms) for each in wave] for number, wave in waves.items()}
    assert found == {1: [("first", 0.0), ("second", 420_000.0)], 2: [("late", 0.0)]}


def test_weekly_and_monthly_runs_are_in_the_cycle_in_which_they_started(tmp_path: Path) -> None:
    """As texts, 2026-W48 comes after every day of the year, and 2026-11 before every one of November."""
    # Minutes from Friday, 2026-11-20, 23:00 UTC; 2026-W48 begins with Monday, 2026-11-23.
    path = recorded(
        tmp_path,
        run("friday_noon", -360, cycle="2026-11-20"),
        run("friday_evening", -170, cycle="2026-11-23"),
        run("friday_night", 0, cycle="2026-W48"),
        run("sunday", 2400, cycle="2026-W48"),
        run("monday_morning", 3700, cycle="2026-11-23"),
        run("monday_evening", 4150, cycle="2026-11-24"),
        run("monday_night", 4300, cycle="2026-11"),
        run("tuesday_evening", 5590, cycle="2026-11-25"),
    )

    waves = recorded_waves(load_outcomes(path))

    found = {number: [each.kind for each in wave] for number, wave in waves.items()}
    assert found == {
        1: ["friday_noon"],
        2: ["friday_evening", "friday_night", "sunday", "monday_morning"],
        3: ["monday_evening", "monday_night"],
        4: ["tuesday_evening"],
    }
    # From 20:10 on Friday to 15:00 on Sunday: 42 h 50 min.
    assert waves[2][2].started_ms == 2570 * 60_000.0


def test_a_weekly_run_before_any_other_of_its_week_is_in_the_weeks_first_cycle(tmp_path: Path) -> None:
    path = recorded(
        tmp_path,
        run("friday_noon", -360, cycle="2026-11-20"),
        run("friday_night", 0, cycle="2026-W48"),
        run("monday_morning", 3700, cycle="2026-11-23"),
        run("monday_evening", 4150, cycle="2026-11-24"),
    )

    waves = recorded_waves(load_outcomes(path))

    found = [[each.kind for each in wave] for wave in waves.values()]
    assert found == [["friday_noon"], ["friday_night", "monday_morning"], ["monday_evening"]]


def test_a_week_or_month_without_a_known_cycle_is_a_wave_in_its_place(tmp_path: Path) -> None:
    day = 24 * 60
    path = recorded(
        tmp_path,
        run("first", -56 * day, cycle="2026-W40"),
        run("october", -49 * day, cycle="2026-10"),
        run("before", -6 * day, cycle="2026-11-16"),
        run("weekend", 0, cycle="2026-W48"),
        run("sunday", day, cycle="2026-W48"),
        run("after", 10 * day, cycle="2026-12-01"),
        run("last", 14 * day, cycle="2026-W50"),
    )

    waves = recorded_waves(load_outcomes(path))

    found = [[each.kind for each in wave] for wave in waves.values()]
    assert found == [["first"], ["october"], ["before"], ["weekend", "sunday"], ["after"], ["last"]]
    assert list(waves) == [1, 2, 3, 4, 5, 6]


def test_a_weekly_run_is_not_in_an_earlier_days_cycle_that_was_made_good_late(tmp_path: Path) -> None:
    """The box was off: what Monday missed is made good on Tuesday night, in Wednesday's cycle."""
    path = recorded(
        tmp_path,
        run("tuesday_evening", 5590, cycle="2026-11-25"),
        run("of_monday", 5600, cycle="2026-11-23"),
        run("weekly", 5700, cycle="2026-W48"),
    )

    waves = recorded_waves(load_outcomes(path))

    assert [[each.kind for each in wave] for wave in waves.values()] == [
        ["tuesday_evening", "weekly"],
        ["of_monday"],
    ]


def test_agents_are_the_slots_that_the_runs_of_a_pool_need(tmp_path: Path) -> None:
    #   minute  0    5    10   15
    #   a       |---------|          local/1
    #   b       . |-------|          local/2
    #   c       .    |----.----|     local/3
    #   d       .         |----|     local/1, free again at 10
    #   e       . |---|              gpu/1
    path = recorded(
        tmp_path,
        run("a", 0, 10),
        run("b", 2, 8),
        run("e", 2, 4, pool="gpu"),
        run("c", 5, 10),
        run("d", 10, 5),
    )

    agents = {each.kind: each.agent_id for each in load_outcomes(path)}
    assert agents == {"a": "local/1", "b": "local/2", "c": "local/3", "d": "local/1", "e": "gpu/1"}


def test_of_each_task_the_newest_runs_are_read(tmp_path: Path) -> None:
    ticks = [run("tick", minute, 1, slot=f"{minute:02}") for minute in range(6)]
    path = recorded(tmp_path, *ticks, run("rare", 0))

    found = [each.task_id for each in load_outcomes(path, newest=2)]
    assert found == ["rare", "tick@04", "tick@05"]


def test_no_run_at_all_is_asked_for_in_vain(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="newest is 0: expected 1 or more"):
        load_outcomes(recorded(tmp_path), newest=0)


def test_a_history_without_runs_is_an_empty_one(tmp_path: Path) -> None:
    assert load_outcomes(recorded(tmp_path)) == ()


def test_the_history_is_read_beside_the_daemon_that_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    with closing(SqlStore(path)) as store:
        store.commit(run("job", 0))

        assert len(load_outcomes(path)) == 1

        store.commit(run("job", 10, attempt=2))
        assert len(load_outcomes(path)) == 2


def test_reading_changes_nothing(tmp_path: Path) -> None:
    path = recorded(tmp_path, run("job", 0))
    before = path.read_bytes()

    load_outcomes(path)

    assert path.read_bytes() == before


def test_the_daemons_newest_schema_is_the_one_that_is_understood() -> None:
    """A new revision of the schema has to be looked at here: does task_runs still mean the same?"""
    assert schema.HEAD in REVISIONS


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = recorded(tmp_path, run("job", 0))
    changed(path, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(
        AdaptiveFileError, match=r"performance\.db: has the schema's revision 9999, expected 0001"
    ):
        load_outcomes(path)


def test_a_missing_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdaptiveFileError, match=r"performance\.db: is missing"):
        load_outcomes(tmp_path / "performance.db")


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    changed(path, "CREATE TABLE cats (name TEXT)")

    with pytest.raises(
        AdaptiveFileError, match=r"is not the daemon's performance\.db \(no table alembic_version\)"
    ):
        load_outcomes(path)


@pytest.mark.parametrize("harm", [b"no database at all, but long enough to be one" * 30, b"half"])
def test_a_damaged_database_is_refused(tmp_path: Path, harm: bytes) -> None:
    path = recorded(tmp_path, *(run("job", n, attempt=n + 1) for n in range(30)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if harm == b"half" else harm)

    with pytest.raises(
        AdaptiveFileError, match=r"performance\.db: is damaged \(.*\), expected a whole database"
    ):
        load_outcomes(path)


def test_a_locked_database_is_refused_after_a_wait(tmp_path: Path) -> None:
    path = recorded(tmp_path, run("job", 0))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        # In WAL mode nobody keeps a reader out.
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(AdaptiveFileError, match=r"is locked by another process .* try again"):
            load_outcomes(path, wait_s=0.01)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("started_at = 'yesterday'", "Invalid isoformat string"),
        ("started_at = '2026-11-20T23:00:00'", "has no zone"),
        ("duration_s = -1", "it took -1000.0 ms"),
        ("duration_s = 9e999", "it took inf ms"),
        ("duration_s = 'long'", "not supported between"),
        ("cycle = '2026-11-31'", "day is out of range for month"),
    ],
)
def test_a_row_without_sense_is_refused_by_its_run(tmp_path: Path, change: str, words: str) -> None:
    path = recorded(tmp_path, run("job", 0))
    changed(path, f"UPDATE task_runs SET {change}")

    named = r"performance\.db, field task_runs\.job\.2026-11-23\.once\.1: cannot be understood"
    with pytest.raises(AdaptiveFileError, match=f"{named}.*{words}"):
        load_outcomes(path)
