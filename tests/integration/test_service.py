"""The daemon in this process: its command line, one turn, a stay that is handed over, refusals."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

import daily_orchestrator
from config import Settings
from daily_orchestrator import TradingOrchestrator
from orchestration.changes import SessionsSaved
from orchestration.control import ControlDb
from orchestration.errors import SpecError
from orchestration.instance import InstanceLock
from orchestration.state.store import SqlStore
from orchestration.task_specs import TASK_SPECS
from orchestration.types import Session

NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)
TOKYO = """
[[task]]
name = "tokyo"
argv = ["/bin/true"]
calendar = "XTKS"
window = "open..close"
every = "30m"
"""

QUICK = """
[[task]]
name = "quick"
argv = ["/bin/echo", "hello"]
priority = "critical"
"""
SLOW = """
[[task]]
name = "slow"
argv = ["/bin/sleep", "30"]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A box whose built-in tasks are switched off, with one quick task of its own."""
    off = "".join(f'[[task]]\nname = "{spec.name}"\nenabled = false\n' for spec in TASK_SPECS if spec.enabled)
    (tmp_path / "tasks.toml").write_text(off + QUICK)
    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ORCHESTRATOR_LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setenv("ORCHESTRATOR_TASKS", str(tmp_path / "tasks.toml"))
    monkeypatch.setenv("ORCHESTRATOR_PANEL", "null")
    monkeypatch.setenv("USE_UNIFIED_SCHEDULER", "true")
    return tmp_path


def add(home: Path, text: str) -> None:
    with (home / "tasks.toml").open("a") as file:
        file.write(text)


def weekdays_from(first: date, days: int) -> list[date]:
    return [day for n in range(days) if (day := first + timedelta(days=n)).weekday() < 5]


def session_of(exchange: str, day: date) -> Session:
    """Return a session from 00:00 to 06:30 UTC, as in Tokyo."""
    start = datetime.combine(day, time(), UTC)
    return Session(exchange=exchange, day=day, open=start, close=start + timedelta(hours=6, minutes=30))


def open_alerts(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "state" / "performance.db")) as connection:
        return [row[0] for row in connection.execute("SELECT key FROM alerts WHERE cleared_at IS NULL")]


def test_one_turn_runs_what_is_due_and_prints_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = daily_orchestrator.main(["--once"])

    page = capsys.readouterr().out
    assert code == 0
    assert "policy unified" in page
    assert "quick                     succeeded" in page
    assert (home / "state" / "performance.db").exists()


def test_a_turn_whose_task_fails_ends_with_1(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(home, '[[task]]\nname = "bad"\nargv = ["/bin/false"]\n')

    assert daily_orchestrator.main(["--once"]) == 1
    assert "bad                       failed" in capsys.readouterr().out


def test_a_bounded_wait_ends_and_says_what_was_left(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(home, SLOW)
    monkeypatch.setenv("ORCHESTRATOR_ONCE_WAIT", "1s")

    assert daily_orchestrator.main(["--once"]) == 0
    page = capsys.readouterr().out
    assert "left     still running" in page
    assert "slow" in page

    # The next start takes it over; an orderly stop of it ends the run.
    orch = TradingOrchestrator()
    ControlDb(home / "state" / "control.db").post("stop", {"run": "slow"})
    assert orch.run(once=True) == 1
    assert "slow                      killed" in capsys.readouterr().out


def test_the_daemon_stays_until_it_is_told_to_hand_over(home: Path) -> None:
    (home / "state").mkdir()
    ControlDb(home / "state" / "control.db").post("handover")
    orch = TradingOrchestrator()

    assert orch.run() == 0
    assert orch.shutdown_event.is_set()
    assert "daemon.started" in (home / "logs" / "orchestrator.log").read_text()


def test_a_second_daemon_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "state").mkdir()
    lock = InstanceLock(home / "state")
    lock.acquire()
    try:
        assert daily_orchestrator.main(["--once"]) == daily_orchestrator.EX_TEMPFAIL
    finally:
        lock.release()
    assert "cannot start" in capsys.readouterr().err


def test_a_check_looks_at_everything_and_starts_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daily_orchestrator.main(["--once"])
    capsys.readouterr()

    assert daily_orchestrator.main(["--check"]) == 0
    page = capsys.readouterr().out
    assert "policy unified" in page
    assert "tasks" in page
    assert "database" in page


def test_a_simulation_is_printed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert daily_orchestrator.main(["--simulate", "2026-11-20", "--days", "1"]) == 0
    assert "policy unified, 1 days in" in capsys.readouterr().out


def test_wrong_settings_tasks_and_databases_are_refused_with_their_own_codes(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (home / "tasks.toml").read_text()
    (home / "tasks.toml").write_text("[[task]\n")
    assert daily_orchestrator.main(["--check"]) == daily_orchestrator.EX_CONFIG
    (home / "tasks.toml").write_text(good)

    monkeypatch.setenv("USE_TASK_SCHEDULER", "maybe")
    assert daily_orchestrator.main(["--check"]) == daily_orchestrator.EX_CONFIG
    monkeypatch.delenv("USE_TASK_SCHEDULER")

    (home / "state").mkdir(exist_ok=True)
    (home / "state" / "performance.db").write_bytes(b"not a database at all" * 100)
    assert daily_orchestrator.main(["--once"]) == daily_orchestrator.EX_DATA
    (home / "file").write_text("")
    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", str(home / "file" / "state"))
    assert daily_orchestrator.main(["--once"]) == daily_orchestrator.EX_CANTCREAT
    assert "Traceback" not in capsys.readouterr().err


def test_a_changed_task_file_is_read_again(home: Path) -> None:
    orch = TradingOrchestrator(Settings.from_env())
    add(home, SLOW)

    specs = orch.reread()

    assert specs is not None
    assert "slow" in specs


def test_a_task_file_that_became_invalid_is_refused_and_the_old_one_kept(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "state").mkdir()
    orch = TradingOrchestrator()
    (home / "tasks.toml").write_text("[[task]\n")
    ControlDb(home / "state" / "control.db").post("reload")

    assert orch.run(once=True) == 0
    assert "quick                     succeeded" in capsys.readouterr().out
    assert "settings.refused" in (home / "logs" / "orchestrator.log").read_text()


def test_a_panel_that_is_missing_warns_and_stops_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_PANEL", "gpio")
    if any(Path("/dev").glob("gpiochip*")):
        pytest.skip("this box has GPIO")

    assert daily_orchestrator.main(["--once"]) == 0
    assert "panel.missing" in (home / "logs" / "orchestrator.log").read_text()
    assert "mode" in capsys.readouterr().out


def test_the_overrides_are_taken_though_the_task_file_is_wrong(home: Path) -> None:
    orch = TradingOrchestrator()
    (home / "tasks.toml").write_text("[[task]\n")
    (home / "state").mkdir()
    (home / "state" / "overrides.csv").write_text("2026-12-01, closed, storm\n")

    with pytest.raises(SpecError, match=r"tasks\.toml"):
        orch.reread()

    assert [str(override.day) for override in orch.tables.overrides] == ["2026-12-01"]
    assert orch.calendars.home.on(date(2026, 12, 1)) is None
    assert "quick" in orch.specs
    assert "tasks_invalid" in orch.box_faults()


def test_a_file_that_cannot_be_used_is_a_fault_and_an_alert_until_it_is_mended(home: Path) -> None:
    (home / "state").mkdir()
    good = (home / "tasks.toml").read_text()
    control = ControlDb(home / "state" / "control.db")

    orch = TradingOrchestrator()
    (home / "tasks.toml").write_text("[[task]\n")
    control.post("reload")
    orch.run(once=True)

    assert "tasks_invalid" in orch.box_faults()
    assert open_alerts(home) == ["settings:refused"]
    (home / "tasks.toml").write_text(good)
    TradingOrchestrator().run(once=True)
    assert open_alerts(home) == []


def test_a_task_of_a_stored_exchange_is_known_after_a_restart(home: Path) -> None:
    tokyo = tuple(session_of("XTKS", day) for day in weekdays_from(date(2026, 1, 1), days=800))
    state = home / "state"
    state.mkdir()
    with closing(SqlStore(f"sqlite:///{state / 'performance.db'}")) as store:
        store.commit([SessionsSaved(exchange="XTKS", sessions=tokyo, source="test", at=NOON)])
    add(home, TOKYO)

    assert "tokyo" in TradingOrchestrator().specs


def test_a_stored_table_that_cannot_be_read_is_no_reason_to_end_before_the_database_is_looked_at(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "state").mkdir()
    (home / "state" / "performance.db").write_bytes(b"not a database at all" * 100)

    assert TradingOrchestrator().tables.stored == {}
    assert daily_orchestrator.main(["--check"]) == daily_orchestrator.EX_DATA


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        (["--simulate", "20x"], "'20x' is not a date; write YYYY-MM-DD"),
        (["--simulate", "2026-11-20", "--days", "0"], "'0' is not a number of days from 1 to 3660"),
        (["--simulate", "2026-11-20", "--days", "many"], "'many' is not a number of days"),
        (["--policy", "all", "--jobs", "2"], "--policy, --jobs: only with --simulate DAY"),
    ],
)
def test_a_simulation_that_cannot_be_is_refused_in_words(
    argument: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        daily_orchestrator.main(argument)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_reader_that_goes_away_is_not_a_fault_of_the_state_directory(home: Path) -> None:
    command = [sys.executable, daily_orchestrator.__file__, "--check"]
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)

    assert done.returncode == daily_orchestrator.EX_BROKEN_PIPE
    assert done.stderr == ""


def test_jobs_are_not_told_where_the_secrets_lie(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_CREDENTIALS_DIR", str(home))
    monkeypatch.setenv("ORCHESTRATOR_ALERT_COMMAND", "notify --password hunter2")

    exported = TradingOrchestrator().launching().exported

    assert "ORCHESTRATOR_STATE_DIR" in exported
    assert not {"ORCHESTRATOR_CREDENTIALS_DIR", "ORCHESTRATOR_ALERT_COMMAND"} & exported.keys()
