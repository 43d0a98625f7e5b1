"""The schema made at once is the one that the migrations lead to; other revisions are migrated or refused."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from orchestration.changes import ValueSaved
from orchestration.errors import StoreError
from orchestration.runs import Estimate, Outcome, RunKey, RunStatus, StopCause
from orchestration.state import schema
from orchestration.state.history import alerts_open, load_readonly, recent_runs, why_rows
from orchestration.state.migrate import configuration, main, migrate
from orchestration.state.store import SqlStore

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "state"
NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


def shape(path: Path) -> dict[str, object]:
    """Return tables with their columns, and indexes with theirs, as SQLite sees them."""
    found: dict[str, object] = {}
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT type, name, tbl_name FROM sqlite_master WHERE type IN ('table', 'index')"
        for kind, name, table in connection.execute(query).fetchall():
            if kind == "table":
                found[name] = set(connection.execute(f"PRAGMA table_info({name})").fetchall())
                for row in connection.execute(f"PRAGMA index_list({name})").fetchall():
                    found[f"{name}.{row[1]}"] = row[2:]  # unique, origin, partial
            else:
                columns = [row[2] for row in connection.execute(f"PRAGMA index_info({name})")]
                found[name] = (table, columns)
        found["version"] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return found


def names_only(table: dict[str, object]) -> dict[str, object]:
    """Forget the order in which columns were declared."""
    return {
        name: {row[1:] for row in rows} if isinstance(rows, set) else rows for name, rows in table.items()
    }


def test_making_the_tables_at_once_equals_migrating_to_them(tmp_path: Path) -> None:
    at_once, migrated = tmp_path / "at_once.db", tmp_path / "migrated.db"
    SqlStore(at_once).close()

    migrate(str(migrated))

    assert names_only(shape(at_once)) == names_only(shape(migrated))


def test_the_known_revisions_are_those_that_exist() -> None:
    scripts = ScriptDirectory.from_config(configuration("sqlite://"))

    assert tuple(s.revision for s in reversed(list(scripts.walk_revisions()))) == schema.REVISIONS


def test_an_older_database_is_brought_up_to_date_by_a_child(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    with closing(sqlite3.connect(path)) as connection:  # as it was before the first revision
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY NOT NULL)")

    with closing(SqlStore(path)) as store:
        store.commit([ValueSaved(key="mode", value="1", at=NOW)])

        assert store.load().values == {"mode": "1"}
        assert not store.created
    assert (tmp_path / "performance.db.nothing").is_file()  # the copy from before


def test_a_failed_migration_says_why(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY NOT NULL);"
            "CREATE TABLE task_runs (something TEXT);"
        )

    with pytest.raises(StoreError, match="table task_runs already exists"):
        SqlStore(path)


def test_a_newer_revision_is_refused_with_the_way_back(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    SqlStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = path.read_bytes()

    with pytest.raises(StoreError, match=r"(?s)'9999'.*roll back.*migrate --to 0002"):
        SqlStore(path)

    assert path.read_bytes() == before


def test_tables_without_a_revision_are_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE sessions (something TEXT)")

    with pytest.raises(StoreError, match="not made by this program"):
        SqlStore(path)


def test_the_command_migrates_a_url_from_stdin_and_tells(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.state.migrate", "-"],
        input=f"sqlite:///{tmp_path}/new.db\n",
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "from nothing to 0002\n"


@pytest.mark.parametrize(
    ("revision", "to", "said"),
    [("9999", "0001", "only a newer version"), ("0001", "0007", "revision '0007' is not known")],
)
def test_the_command_refuses_what_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], revision: str, to: str, said: str
) -> None:
    path = tmp_path / "performance.db"
    SqlStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()

    code = main([str(path), "--to", to])

    assert code == 1
    assert said in capsys.readouterr().err


def test_the_command_takes_a_path_and_has_nothing_to_keep_of_an_up_to_date_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "performance.db"
    SqlStore(path).close()

    assert main([str(path)]) == 0

    assert capsys.readouterr().out == "from 0002 to 0002\n"
    assert [file.name for file in tmp_path.iterdir()] == ["performance.db"]


def test_the_command_keeps_the_file_from_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "performance.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY NOT NULL)")

    assert main([f"sqlite:///{path}"]) == 0

    assert capsys.readouterr().out == f"from nothing to 0002; the old file is kept as {path}.nothing\n"
    assert (tmp_path / "performance.db.nothing").stat().st_mode & 0o777 == 0o600


def test_the_command_says_that_a_file_is_no_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "performance.db"
    path.write_text("hello" * 1000)

    assert main([str(path)]) == 1
    assert "is damaged" in capsys.readouterr().err


def test_a_database_of_revision_0001_loads_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((GOLDEN / "revision_0001.sql").read_text(encoding="utf-8"))
    os.chmod(path, 0o600)

    with closing(SqlStore(path)) as store:
        stored = store.load()

    record = stored.records["run_nightly_research"]
    assert record.last_outcome is Outcome.CHECKPOINTED
    assert record.last_success_at == datetime(2026, 11, 19, 7, 15, 30, 250000, tzinfo=UTC)
    assert record.recent_failures == (datetime(2026, 11, 20, 1, 0, tzinfo=UTC),)
    assert record.estimate == Estimate(
        log_mean=4.5, log_error=0.25, runs=12, memory_mb=900.5, memory_floor_mb=1500.0, at_least_minutes=30.0
    )
    assert stored.records["execute_orders"].unknown_since == datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    assert stored.values == {"paused": '"research"'}
    planned, running = stored.open_runs
    assert (planned.status, planned.run.key.attempt) == (RunStatus.PLANNED, 2)
    assert (running.status, running.pid) == (RunStatus.RUNNING, 4711)
    assert running.run.key == RunKey("run_nightly_research", "2026-11-23", "once", 1)
    assert running.run.stopping is StopCause.RECLAIM
    (session,) = stored.sessions["XNYS"]
    assert (session.day, session.is_early_close) == (date(2026, 11, 27), True)
    assert session.close == datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    assert stored.session_source == {"XNYS": "pandas_market_calendars 5.1"}
    assert stored.alerts == {"disk.low"}
    engine = load_readonly(path)
    (alert,) = alerts_open(engine)
    assert (alert.key, alert.acknowledged_at) == ("disk.low", None)
    (ended,) = recent_runs(engine, task="daily_report")
    assert (ended.outcome, ended.report) == (Outcome.SUCCEEDED, {"pages": 3})
    (wait,) = why_rows(engine, "optimize_execution")
    assert (wait.reason, wait.failures[0].needed, wait.slot) == ("MEMORY", 900.0, "2026-11-20T02:00:00Z")


def test_a_migration_goes_back_without_losing_the_alerts(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((GOLDEN / "revision_0001.sql").read_text(encoding="utf-8"))
    before = shape(path)

    migrate(str(path))
    migrate(str(path), "0001")

    assert shape(path) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT key FROM alerts").fetchall() == [("disk.low",), ("heat",)]
