"""The job adaptive_optimization on databases that the daemon's own store wrote."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from math import exp
from pathlib import Path
from typing import Any

import pytest

from adaptive.accuracy import prediction_accuracy
from adaptive.files import read_json
from adaptive.history import load_outcomes, recorded_waves
from adaptive.recorded import recorded_plans
from adaptive.types import Pool, WaveTask
from config import Settings
from orchestration.clock import SystemClock
from orchestration.learned import lessons
from orchestration.policies.unified import UNIFIED
from orchestration.reports import SessionTables
from orchestration.runs import Outcome, TaskResult, week_of
from orchestration.simulation.box import build
from orchestration.simulation.workload import StatedWorkload
from orchestration.state.store import SqlStore
from orchestration.task_specs import TASK_SPECS
from scripts import adaptive_optimization
from scripts._next_window import PlannedBox
from tests.adaptive_box import a_run, cycle_of, nights_of, read_outputs, record
from tests.calendars import nyse_2026

WOBBLE = (0.9, 1.0, 1.1)
SHIFTED = [minutes * WOBBLE[n % 3] for n, minutes in enumerate([30.0] * 30 + [8.0] * 12)]
STEADY = [20.0 * WOBBLE[n % 3] for n in range(42)]


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = tmp_path / "tasks.toml"
    tasks.write_text("")
    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("ORCHESTRATOR_TASKS", str(tasks))


def run(folder: Path) -> int:
    return adaptive_optimization.main(["--state-dir", str(folder)])


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """42 nights; validate_strategies came down from 30 to 8 minutes, the others stayed as they were."""
    failing = [
        change for night in range(42) for change in a_run("walk_forward_study", night, 3.0, Outcome.FAILED)
    ]
    record(
        tmp_path,
        [
            *nights_of("validate_strategies", SHIFTED, after=5),
            *nights_of("bootstrap_backtests", STEADY, after=50),
            *failing,
        ],
    )
    return tmp_path


def proposed(result_file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result_file.read_text())
    return found


def test_it_proposes_a_duration_only_where_the_history_speaks_for_it(
    recorded: Path, result_file: Path
) -> None:
    assert run(recorded) == 0

    estimates = proposed(result_file)["estimates"]
    assert set(estimates) == {"validate_strategies"}
    assert exp(estimates["validate_strategies"]["log_mean"]) == pytest.approx(8.0, rel=0.1)


def test_what_fails_is_liked_less_than_what_succeeds(recorded: Path, result_file: Path) -> None:
    run(recorded)

    weights = proposed(result_file)["weights"]
    assert weights["walk_forward_study"] < weights["bootstrap_backtests"] < weights["validate_strategies"]
    assert (min(weights.values()), max(weights.values())) == (0.0, 1.0)


def test_the_daemon_takes_the_result_file_as_it_is(recorded: Path, result_file: Path) -> None:
    run(recorded)

    taught, refused = lessons(TaskResult(report=proposed(result_file)))

    assert refused is None
    assert set(taught.durations) == {"validate_strategies"}
    assert len(taught.preferences) > 3


def test_its_files_are_in_the_state_directory_and_valid(recorded: Path, result_file: Path) -> None:
    run(recorded)

    found = read_outputs(recorded / "adaptive")
    # 42 nights are recorded, the newest five of them foretold, and one is planned.
    waves = [each["wave"] for each in found["schedule_comparisons.jsonl"]]
    assert waves == [38, 39, 40, 41, 42, 43]
    assert found["schedule_comparisons.jsonl"][-1]["actual_success_rate"] is None
    planned = [t for name, told in found.items() if name.startswith("wave_43/") for t in told]
    assert {"validate_strategies", "bootstrap_backtests"} <= {task["task_id"] for task in planned}
    assert {task["status"] for task in planned} == {None}
    assert len(found["optimization_metrics.jsonl"]) == 5


def test_starts_that_the_daemon_never_planned_are_no_part_of_the_health(
    recorded: Path, result_file: Path
) -> None:
    run(recorded)

    found = read_outputs(recorded / "adaptive")
    metrics = {each["metric_name"]: each for each in found["optimization_metrics.jsonl"]}
    assert (metrics["schedule_adherence"]["value"], metrics["schedule_adherence"]["status"]) == (
        None,
        "missing",
    )
    health = found["system_health.json"]
    scores = dict(health["component_scores"])
    assert scores.pop("schedule_adherence") is None
    assert health["overall_health_score"] == pytest.approx(sum(scores.values()) / 3)
    assert proposed(result_file)["summary"]["overall"]["schedule_adherence"] is None


def test_the_weights_move_once_in_a_cycle_however_often_it_runs(recorded: Path, result_file: Path) -> None:
    """All went as foretold, so what moves is a weight that is far from its default: 0.9 for 0.4."""
    path = recorded / "adaptive" / "heuristic_weights.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"H16_001": 0.9, "updated_at": "2026-01-05T23:00:00Z"}))
    told = []
    for _ in range(2):
        run(recorded)
        told.append(read_json(path, "heuristic_weights"))
    # As if they had been moved a week ago.
    path.write_text(json.dumps({**told[1], "updated_at": "2026-01-05T23:00:00Z"}))
    run(recorded)
    told.append(read_json(path, "heuristic_weights"))

    # A tenth of the way back each time that it moves.
    assert [each["H16_001"] for each in told] == pytest.approx([0.85, 0.85, 0.805])


def test_a_severe_anomaly_is_an_alert(tmp_path: Path, result_file: Path) -> None:
    """Ten tasks that all succeeded for a month all fail last night."""
    names = [
        *("validate_strategies", "validate_candidates", "bootstrap_backtests", "walk_forward_study"),
        *("daily_report", "cleanup_logs", "backup_databases", "data_quality", "refresh_eod_data"),
        "execution_report",
    ]
    nights = [
        nights_of(name, [5.0 + 0.01 * n for n in range(30)], after=6.0 * k) for k, name in enumerate(names)
    ]
    bad = [a_run(name, 30, 5.0, Outcome.FAILED, after=6.0 * k) for k, name in enumerate(names)]
    record(tmp_path, [change for changes in (*nights, *bad) for change in changes])

    assert run(tmp_path) == 0

    alerts = proposed(result_file)["alerts"]
    assert set(alerts) == {"success_drop"}
    assert "0 of 10 tasks succeeded" in alerts["success_drop"]


def test_failing_nights_are_seen_although_weekly_tasks_ran_in_every_week(
    tmp_path: Path, result_file: Path
) -> None:
    """Forty nights of nine tasks; in each of the newest five, two of three fail. Seven tasks run weekly: as
    texts, their six cycles (2026-W36 to 2026-W41) come after those of all nights."""
    nightly = [
        *("validate_strategies", "validate_candidates", "bootstrap_backtests", "walk_forward_study"),
        *("daily_report", "cleanup_logs", "backup_databases", "data_quality", "execution_report"),
    ]
    weekly = [
        *("refresh_history", "refresh_symbols", "refresh_volume_profiles", "refresh_sessions"),
        *("train_models", "weekly_report", "vacuum_databases"),
    ]
    nights = [
        a_run(name, night, 5.0, Outcome.FAILED if night >= 35 and k % 3 else Outcome.SUCCEEDED, after=6.0 * k)
        for night in range(40)
        for k, name in enumerate(nightly)
    ]
    weekends = [
        a_run(name, night, 5.0, after=60.0 + 6.0 * k, cycle=week_of(date.fromisoformat(cycle_of(night))))
        for night in range(3, 40, 7)
        for k, name in enumerate(weekly)
    ]
    record(tmp_path, [change for changes in (*nights, *weekends) for change in changes])

    assert run(tmp_path) == 0

    told = read_outputs(tmp_path / "adaptive")
    rates = [(each["wave"], each["actual_success_rate"]) for each in told["schedule_comparisons.jsonl"][:-1]]
    # Night 38 was the last weekend's: 3 of 9 and 7 of 7 are 10 of 16.
    assert rates == [(36, 3 / 9), (37, 3 / 9), (38, 3 / 9), (39, 10 / 16), (40, 3 / 9)]
    drops = [each for each in told["scheduling_anomalies.jsonl"] if each["anomaly_type"] == "success_drop"]
    assert "Wave 36: 3 of 9 tasks succeeded" in drops[0]["description"]
    assert "3 of 9 tasks succeeded" in proposed(result_file)["alerts"]["success_drop"]


def test_an_uneventful_history_raises_no_alert(tmp_path: Path, result_file: Path) -> None:
    nights = [nights_of(f"validate_{name}", STEADY) for name in ("strategies", "candidates")]
    record(tmp_path, [change for changes in nights for change in changes])

    run(tmp_path)

    assert proposed(result_file)["alerts"] == {}


@pytest.mark.parametrize("nights", [None, 0, 1, 4])
def test_too_little_history_is_a_success_with_a_remark(
    tmp_path: Path, result_file: Path, nights: int | None
) -> None:
    """None: the daemon has never run here."""
    if nights is not None:
        record(tmp_path, nights_of("validate_strategies", STEADY[:nights]))

    assert run(tmp_path) == 0

    report = proposed(result_file)
    assert report["remark"].startswith(f"{nights or 0} runs to learn from")
    assert "weights" not in report
    assert not (tmp_path / "adaptive").exists()


def contents(folder: Path) -> dict[Path, bytes]:
    """Return all files but the result and what SQLite keeps beside a database for its readers."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "result.json")
    return {path: path.read_bytes() for path in files if not path.name.startswith("performance.db-")}


def harm_database(folder: Path) -> None:
    path = folder / "performance.db"
    for beside in folder.glob("performance.db-*"):
        beside.unlink()
    path.write_bytes(path.read_bytes()[:5000])


def harm_row(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "performance.db")) as connection, connection:
        connection.execute("UPDATE task_runs SET started_at = 'at dawn' WHERE task = 'walk_forward_study'")


def harm_weights(folder: Path) -> None:
    (folder / "adaptive").mkdir()
    (folder / "adaptive" / "heuristic_weights.json").write_text('{"H16_001": "much"}')


def harm_tasks(folder: Path) -> None:
    (folder / "tasks.toml").write_text(
        '[[task]]\nname = "mine"\nargv = ["/bin/true"]\ndependencies = ["no"]\n'
    )


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (harm_database, "performance.db: the estimates cannot be read"),
        (harm_row, "at dawn"),
        (harm_weights, "heuristic_weights.json, line 1, field H16_001"),
        (harm_tasks, "no task is called 'no'"),
    ],
)
def test_a_broken_input_fails_the_job_by_its_name_and_changes_no_file(
    recorded: Path, result_file: Path, harm: Any, words: str
) -> None:
    harm(recorded)
    before = contents(recorded)

    assert run(recorded) == 1

    assert words in proposed(result_file)["error"]
    assert contents(recorded) == before


def test_a_job_that_is_out_of_time_leaves_the_earlier_files(
    recorded: Path, result_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2026-01-01T00:00:00Z")

    assert run(recorded) == 75

    assert "weights" not in proposed(result_file)
    assert not (recorded / "adaptive").exists()


# --- the next window --------------------------------------------------------------------------------------


@pytest.fixture
def box(recorded: Path) -> PlannedBox:
    return PlannedBox.read(Settings.from_env(), recorded / "performance.db", SystemClock())


@pytest.mark.parametrize(
    ("now", "phase", "hours"),
    [
        # Friday at noon: the weekend of 56 h, which ends in PREP from Monday 02:00 on.
        ("2026-11-20T17:00:00", "WEEKEND", 56.0),
        # In that weekend: the night to Tuesday.
        ("2026-11-21T17:00:00", "OVERNIGHT", 10.0),
        # Wednesday's night leads to Thanksgiving: from 18:00 to Friday 04:00.
        ("2026-11-25T17:00:00", "HOLIDAY", 34.0),
    ],
)
def test_the_window_planned_is_the_next_that_begins(
    box: PlannedBox, now: str, phase: str, hours: float
) -> None:
    wave = box.next_wave(7, datetime.fromisoformat(now).replace(tzinfo=UTC))

    assert (wave.number, wave.window) == (7, phase)
    assert wave.window_ms == hours * 3_600_000.0


def test_only_the_windows_own_research_is_planned(box: PlannedBox) -> None:
    night = box.next_wave(1, datetime(2026, 11, 23, 17, tzinfo=UTC))
    weekend = box.next_wave(1, datetime(2026, 11, 20, 17, tzinfo=UTC))

    names = {task.task_id for task in night.tasks}
    assert {"run_nightly_research", "validate_candidates", "optimize_parameters"} <= names
    assert "run_weekend_research" not in names
    assert "daily_report" not in names
    assert "run_weekend_research" in {task.task_id for task in weekend.tasks}


def test_conflicts_hold_inside_the_wave_and_dependencies_from_outside_are_met(box: PlannedBox) -> None:
    wave = box.next_wave(1, datetime(2026, 11, 23, 17, tzinfo=UTC))
    tasks = {task.task_id: task for task in wave.tasks}

    assert "validate_candidates" in tasks["run_nightly_research"].conflicts
    assert "refresh_eod_data" not in tasks["run_nightly_research"].conflicts
    # It depends on refresh_eod_data, a task of the evening.
    assert tasks["validate_strategies"].dependencies == frozenset()


def test_memory_is_what_the_daemon_would_reserve(box: PlannedBox) -> None:
    wave = box.next_wave(1, datetime(2026, 11, 23, 17, tzinfo=UTC))
    tasks = {task.task_id: task for task in wave.tasks}

    # Nothing is recorded of its peaks: the spec's figure.
    assert tasks["run_nightly_research"].memory_mb == 800.0


def test_the_pool_is_what_the_box_has_less_the_reserve(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_SLOTS", "3")
    monkeypatch.setenv("ORCHESTRATOR_MEMORY_RESERVE_MB", "0")
    whole = PlannedBox.read(Settings.from_env(), recorded / "performance.db", SystemClock()).pool
    monkeypatch.setenv("ORCHESTRATOR_MEMORY_RESERVE_MB", "700")
    kept = PlannedBox.read(Settings.from_env(), recorded / "performance.db", SystemClock()).pool

    assert kept == Pool(agents=("local/1", "local/2", "local/3"), memory_mb=whole.memory_mb - 700)


def test_the_order_of_all_but_duties_may_be_learned(box: PlannedBox) -> None:
    """A liked research task must not pass the data that it is equal to but for the liking."""
    names = {task.task_id for task in box.orderable()}

    assert {"run_weekend_research", "refresh_volume_profiles", "daily_report"} <= names
    assert names.isdisjoint({"monitor_positions", "execute_orders", "pre_market_check"})


def test_duties_that_recur_are_no_part_of_the_waves(box: PlannedBox) -> None:
    assert "monitor_positions" not in box.tasks()
    assert "daily_report" in box.tasks()


# --- how good it is ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_cycles_of_a_simulated_history_are_foretold_with_more_than_ninety_percent(tmp_path: Path) -> None:
    """Two months of the built-in tasks under the stated workload: heavy tails, growth, 5 % failures."""
    start = datetime(2026, 6, 1, 12, tzinfo=UTC)
    # Duties of every minute are no part of the waves and would take all of the time.
    specs = {spec.name: spec for spec in TASK_SPECS if spec.every is None and spec.reconciled_by is None}
    specs = {name: spec.but(dependencies=spec.dependencies & specs.keys()) for name, spec in specs.items()}
    tables = SessionTables({"XNYS": tuple(nyse_2026().table)})
    with closing(SqlStore(tmp_path / "performance.db")) as store:
        box = build(specs, UNIFIED, tables, start, model=StatedWorkload(seed=1), store=store)
        box.run_until(start + timedelta(days=60))
    tasks = {
        name: WaveTask(task_id=name, expected_ms=spec.estimated_minutes * 60_000.0)
        for name, spec in specs.items()
    }

    waves = recorded_waves(load_outcomes(tmp_path / "performance.db"))
    # The first two weeks are learned from only.
    foretold = recorded_plans(waves, tasks, len(waves) - 10)

    assert len(foretold) > 25
    executed = {each.result.wave: each.executed for each in foretold}
    accuracy = prediction_accuracy([each.result for each in foretold], executed)
    assert accuracy is not None
    assert accuracy > 0.9
