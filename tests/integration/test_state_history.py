"""Reading the history beside the daemon that writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from orchestration.changes import (
    AlertAcknowledged,
    AlertSaved,
    BlockedSaved,
    EventLogged,
    RunEnded,
    RunPlanned,
    RunStarted,
    ValueSaved,
)
from orchestration.decisions import Blocked, Gate, Reason
from orchestration.errors import StoreError
from orchestration.runs import ActiveRun, Outcome, RunKey, RunStatus, StopCause, TaskResult
from orchestration.state.history import (
    alerts_open,
    load_readonly,
    load_stored,
    recent_alerts,
    recent_events,
    recent_runs,
    revision,
    run_named,
    why_rows,
)
from orchestration.state.store import SqlStore

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with closing(SqlStore(tmp_path / "performance.db")) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "performance.db"


def planned(task: str, minutes: int) -> RunPlanned:
    at = NOW + minutes * MINUTE
    key = RunKey(task, "2026-11-23", f"{minutes}", 1)
    run = ActiveRun(key=key, started_at=at, predicted_end=at + 5 * MINUTE, reserved_mb=100.0)
    return RunPlanned(run=run, predicted_minutes=5.0, log=f"logs/{task}.log")


def test_a_run_is_read_with_all_that_was_recorded(store: SqlStore, path: Path) -> None:
    change = planned("job", 0)
    result = TaskResult(
        key=change.run.key,
        outcome=Outcome.TIMED_OUT,
        started_at=NOW + timedelta(milliseconds=2),
        ended_at=NOW + 3 * MINUTE,
        duration_s=179.5,
        peak_memory_mb=87.25,
        exit_code=-15,
        detail="stopped after 3 min",
        report={"rows": [1, 2]},
        stop_cause=StopCause.TIMEOUT,
    )
    started = RunStarted(run_id=change.run.run_id, pid=4711, started_at=NOW + timedelta(milliseconds=2))
    store.commit([change, started])
    store.commit([RunEnded(result=result)])

    (row,) = recent_runs(load_readonly(path))

    assert row.run_id == "job.2026-11-23.0.1"
    assert (row.status, row.outcome, row.exit_code) == (RunStatus.ENDED, Outcome.TIMED_OUT, -15)
    assert (row.planned_at, row.started_at) == (NOW, NOW + timedelta(milliseconds=2))
    assert (row.ended_at, row.duration_s, row.peak_memory_mb) == (NOW + 3 * MINUTE, 179.5, 87.25)
    assert (row.predicted_minutes, row.predicted_end, row.reserved_mb) == (5.0, NOW + 5 * MINUTE, 100.0)
    assert (row.stop_cause, row.detail, row.report) == (
        StopCause.TIMEOUT,
        "stopped after 3 min",
        {"rows": [1, 2]},
    )
    assert (row.pid, row.pool, row.log, row.filler) == (4711, "local", "logs/job.log", False)


def test_runs_come_newest_first_within_task_time_and_limit(store: SqlStore, path: Path) -> None:
    store.commit([planned("a", n) for n in range(5)] + [planned("b", 2)])
    engine = load_readonly(path)

    def minutes(**query: object) -> list[tuple[str, int]]:
        rows = recent_runs(engine, **query)  # type: ignore[arg-type]  # the queries below are typed by eye
        return [(row.key.task, int(row.key.slot)) for row in rows]

    assert minutes(task="a", limit=2) == [("a", 4), ("a", 3)]
    assert minutes(since=NOW + 2 * MINUTE, until=NOW + 3 * MINUTE) == [("b", 2), ("a", 2)]


def test_the_reasons_of_a_stretch_begin_with_the_one_that_held_then(store: SqlStore, path: Path) -> None:
    memory = Gate(Reason.MEMORY, False, "needs 900 MB, 300 MB free", 900.0, 300.0, None)
    conflict = Gate(Reason.CONFLICT, False, "with refresh_eod_data", clears_at=NOW + 9 * MINUTE)
    store.commit(
        [
            BlockedSaved(task="job", at=NOW, blocked=Blocked("job", (conflict,))),
            BlockedSaved(
                task="job", at=NOW + 2 * MINUTE, blocked=Blocked("job", (memory, conflict), NOW + 9 * MINUTE)
            ),
            BlockedSaved(task="job", at=NOW + 5 * MINUTE, blocked=None),
            BlockedSaved(task="job", at=NOW + 6 * MINUTE, blocked=Blocked("job", (memory,)), slot="s"),
            BlockedSaved(task="other", at=NOW + 4 * MINUTE, blocked=Blocked("other", (memory,))),
        ]
    )

    rows = why_rows(load_readonly(path), "job", since=NOW + 3 * MINUTE, until=NOW + 7 * MINUTE)

    assert [row.reason for row in rows] == ["MEMORY", None, "MEMORY"]
    assert rows[0].failures == (memory, conflict)
    assert rows[0].until == NOW + 9 * MINUTE
    assert [row.slot for row in rows] == [None, None, "s"]
    assert len(why_rows(load_readonly(path), "job")) == 4


def test_open_alerts_come_with_their_text(store: SqlStore, path: Path) -> None:
    def alert(key: str, *, cleared: bool = False) -> AlertSaved:
        return AlertSaved(at=NOW, key=key, severity="error", text=f"{key}!", task="job", cleared=cleared)

    store.commit([alert("disk"), alert("heat"), alert("heat", cleared=True)])

    (row,) = alerts_open(load_readonly(path))

    assert (row.key, row.severity, row.text, row.task) == ("disk", "error", "disk!", "job")
    assert (row.raised_at, row.cleared_at) == (NOW, None)


def test_events_come_newest_first_by_name_and_time(store: SqlStore, path: Path) -> None:
    names = ["mode.changed", "clock.stepped", "mode.changed"]
    store.commit(
        [EventLogged(at=NOW + n * MINUTE, name=name, detail={"n": n}) for n, name in enumerate(names)]
    )
    engine = load_readonly(path)

    assert [row.detail["n"] for row in recent_events(engine)] == [2, 1, 0]
    assert [row.detail["n"] for row in recent_events(engine, name="mode.changed", limit=1)] == [2]
    assert [row.at for row in recent_events(engine, since=NOW + 2 * MINUTE)] == [NOW + 2 * MINUTE]


def test_what_a_start_would_know_can_be_read_when_the_daemon_is_down(store: SqlStore, path: Path) -> None:
    store.commit([ValueSaved(key="mode", value='"prep"', at=NOW), planned("job", 0)])
    expected = store.load()
    store.close()

    assert load_stored(load_readonly(path)) == expected


def test_a_run_is_found_by_its_name(store: SqlStore, path: Path) -> None:
    store.commit([planned("job", 0), planned("job", 1)])
    engine = load_readonly(path)

    found = run_named(engine, "job.2026-11-23.1.1")

    assert found is not None
    assert found.planned_at == NOW + MINUTE
    assert run_named(engine, "job.2026-11-23.2.1") is None


def test_the_revision_can_be_read(store: SqlStore, path: Path) -> None:
    assert revision(load_readonly(path)) == "0002"
    store._connection.exec_driver_sql("DROP TABLE alembic_version")
    store._connection.commit()

    with pytest.raises(StoreError, match="alembic_version"):
        revision(load_readonly(path))


def test_a_row_that_makes_no_sense_is_an_error_of_ours(store: SqlStore, path: Path) -> None:
    store._connection.exec_driver_sql("INSERT INTO scheduler_state VALUES ('record/job', '[', NULL)")
    store._connection.commit()

    with pytest.raises(StoreError, match="record/job"):
        load_stored(load_readonly(path))


def test_the_history_cannot_be_written(store: SqlStore, path: Path) -> None:
    engine = load_readonly(path)

    with engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM task_runs")


def test_reading_does_not_keep_the_daemon_waiting(store: SqlStore, path: Path) -> None:
    store.commit([planned("job", 0)])
    with load_readonly(path).connect() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM task_runs")

        store.commit([planned("job", 1)])

    assert len(recent_runs(load_readonly(path))) == 2


def test_where_no_daemon_has_run_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has not run"):
        load_readonly(tmp_path / "performance.db")


def test_a_file_that_is_no_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "performance.db").write_text("hello" * 1000)

    with pytest.raises(StoreError, match="damaged"):
        load_readonly(tmp_path / "performance.db")


def test_an_alert_s_whole_life_is_read_newest_first(store: SqlStore, path: Path) -> None:
    def alert(key: str, minutes: int, *, cleared: bool = False) -> AlertSaved:
        return AlertSaved(
            at=NOW + minutes * MINUTE, key=key, severity="error", text=f"{key}!", cleared=cleared
        )

    store.commit([alert("disk", 0), AlertAcknowledged(at=NOW + MINUTE, key="disk"), alert("heat", 2)])
    # Seen a second time, and raised again while it stands: neither makes it unseen.
    store.commit([AlertAcknowledged(at=NOW + 3 * MINUTE, key="disk"), alert("disk", 4)])
    store.commit([alert("disk", 5, cleared=True), alert("disk", 6)])

    rows = recent_alerts(load_readonly(path))
    assert [(row.key, row.raised_at, row.acknowledged_at, row.cleared_at) for row in rows] == [
        ("disk", NOW + 6 * MINUTE, None, None),
        ("heat", NOW + 2 * MINUTE, None, None),
        ("disk", NOW, NOW + MINUTE, NOW + 5 * MINUTE),
    ]
    assert [row.key for row in recent_alerts(load_readonly(path), since=NOW + MINUTE)] == ["disk", "heat"]
