"""What the daemon refuses: a clear error on stderr, the documented exit code, no traceback, nothing lost."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config import Settings
from daily_orchestrator import TradingOrchestrator
from orchestration.clock import VirtualClock
from orchestration.decide import decide
from orchestration.decisions import Reason
from orchestration.runs import SchedulerState
from orchestration.simulation.stand_ins import SteadySensors
from tests.acceptance.daemon import ROOT, Daemon, task, wait_for

CANNOT_CREATE, TEMPORARY_FAILURE, DAMAGED, CONFIGURATION = 73, 75, 76, 78


def assert_refused(ended: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("daily_orchestrator: ")
    for word in words:
        assert word in ended.stderr


# --- a second instance ------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--once",)])
def test_a_second_instance_is_refused_with_the_pid_of_the_first(
    daemon: Daemon, arguments: tuple[str, ...]
) -> None:
    first = daemon.start()

    second = daemon.run_to_end(*arguments)

    assert_refused(second, TEMPORARY_FAILURE, f"process {first.pid}", str(daemon.state))
    assert first.poll() is None
    assert daemon.command_daemon("snapshot").ok


def test_the_lock_of_a_killed_daemon_keeps_nobody_out(daemon: Daemon) -> None:
    daemon.start()
    daemon.kill()

    daemon.start()

    assert daemon.stop() == 0


# --- settings and tasks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("USE_UNIFIED_SCHEDULER", "yes", ("USE_UNIFIED_SCHEDULER='yes'", "true or false")),
        ("USE_UNIFIED_SHEDULER", "true", ("USE_UNIFIED_SHEDULER", "USE_UNIFIED_SCHEDULER?")),
        ("ORCHESTRATOR_STATEDIR", "/nowhere", ("ORCHESTRATOR_STATEDIR", "ORCHESTRATOR_STATE_DIR?")),
        ("ORCHESTRATOR_ONCE_WAIT", "soon", ("ORCHESTRATOR_ONCE_WAIT='soon'", "15m")),
        ("ORCHESTRATOR_EXCHANGE", "XXXX", ("XXXX",)),
    ],
)
def test_a_bad_setting_is_refused_by_name(
    daemon: Daemon, variable: str, value: str, words: tuple[str, ...]
) -> None:
    ended = daemon.run_to_end("--once", environ={variable: value})

    assert_refused(ended, CONFIGURATION, *words)
    assert not daemon.state.exists()


CYCLE = (
    task("one", ["true"], dependencies=["two"]),
    task("two", ["true"], dependencies=["three"]),
    task("three", ["true"], dependencies=["one"]),
)


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        (("[[task]\nname =",), ("tasks.toml, line",)),
        (CYCLE, ("one -> two -> three -> one", "Take one")),
        (
            (task("one", ["true"], dependencies=["tow"]), task("two", ["true"])),
            ("'tow'", "Did you mean 'two'?"),
        ),
        ((task("one", ["true"], priorty="LOW"),), ("'priorty'", "Did you mean 'priority'?")),
        ((task("one", ["true"], window="open+30m..clse"),), ("one", "window", "clse")),
        ((task("one", ["true"], memory_mb=10_000_000),), ("one", "memory_mb")),
    ],
    ids=["malformed", "cycle", "unknown-task", "unknown-field", "unknown-anchor", "never-fits"],
)
def test_a_bad_task_file_is_refused_with_what_to_do(
    daemon: Daemon, tasks: tuple[str, ...], words: tuple[str, ...]
) -> None:
    daemon.write_tasks(*tasks)

    assert_refused(daemon.run_to_end("--once"), CONFIGURATION, str(daemon.tasks), *words)


def test_every_problem_of_a_task_file_is_said_at_once(daemon: Daemon) -> None:
    daemon.write_tasks(task("one", ["true"], priorty="LOW"), task("two", ["true"], dependencies=["nobody"]))

    assert_refused(daemon.run_to_end("--once"), CONFIGURATION, "'priorty'", "'nobody'")


def test_a_missing_task_file_and_a_bad_override_are_refused(daemon: Daemon) -> None:
    overrides = daemon.folder / "overrides.csv"
    overrides.write_text("2026-13-45, closed, nonsense\n")

    missing = daemon.run_to_end("--once", environ={"ORCHESTRATOR_TASKS": str(daemon.folder / "none.toml")})
    bad = daemon.run_to_end("--once", environ={"ORCHESTRATOR_OVERRIDES": str(overrides)})

    assert_refused(missing, CONFIGURATION, "none.toml", "no such task file")
    assert_refused(bad, CONFIGURATION, "overrides.csv", "2026-13-45")


@pytest.mark.parametrize("arguments", [(), ("--once",), ("--check",)])
def test_a_state_directory_that_cannot_be_made_is_refused(daemon: Daemon, arguments: tuple[str, ...]) -> None:
    (daemon.folder / "file").write_text("not a folder")

    ended = daemon.run_to_end(
        *arguments, environ={"ORCHESTRATOR_STATE_DIR": str(daemon.folder / "file" / "state")}
    )

    assert_refused(ended, CANNOT_CREATE, str(daemon.folder / "file"))
    assert (daemon.folder / "file").read_text() == "not a folder"


def test_a_log_folder_that_cannot_be_made_does_not_keep_the_daemon_from_working(daemon: Daemon) -> None:
    (daemon.folder / "file").write_text("not a folder")
    daemon.write_tasks(daemon.job("job", "true"))

    ended = daemon.run_to_end(
        "--once", environ={"ORCHESTRATOR_LOG_DIR": str(daemon.folder / "file" / "logs")}
    )

    assert "Traceback" not in ended.stderr
    assert str(daemon.folder / "file") in ended.stderr + ended.stdout


# --- the calendar and the clock ---------------------------------------------------------------------------


def orchestrator_at(folder: Path, instant: datetime) -> TradingOrchestrator:
    own = folder / "tasks.toml"
    own.write_text(task("trade", ["true"], category="trading", priority="HIGH", window="open..close"))
    settings = Settings.from_env(
        {
            "USE_UNIFIED_SCHEDULER": "true",
            "ORCHESTRATOR_STATE_DIR": str(folder / "state"),
            "ORCHESTRATOR_TASKS": str(own),
            "ORCHESTRATOR_PANEL": "null",
        }
    )
    return TradingOrchestrator(settings, clock=VirtualClock(instant), sensors=SteadySensors(16_000))


@pytest.mark.parametrize(
    "instant",
    [datetime(1970, 1, 1, 0, 0, 30, tzinfo=UTC), datetime(2040, 6, 5, 15, 0, tzinfo=UTC)],
    ids=["1970", "2040"],
)
def test_without_a_session_for_today_trading_is_refused_and_the_rest_goes_on(
    tmp_path: Path, instant: datetime
) -> None:
    orch = orchestrator_at(tmp_path, instant)

    decision = decide(
        orch.policy, SchedulerState(), instant, orch.sensors.read({}), orch.specs, orch.calendars
    )

    assert not decision.stretch.is_known
    assert decision.blocked["trade"].reason is Reason.CALENDAR_STALE
    started = {start.key.task for start in decision.starts}
    assert "refresh_sessions" in started
    assert not {name for name in started if orch.specs[name].category in ("trading", "risk")}
    assert decision.budget.research_hours == 0


# --- a damaged database -----------------------------------------------------------------------------------


def test_a_damaged_database_is_refused_kept_and_restored_by_the_words_of_the_message(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("job", "true"))
    daemon.start()
    daemon.wait_outcomes("job", "succeeded")
    assert daemon.stop() == 0
    backups = daemon.state / "backups"
    made = subprocess.run(
        [sys.executable, "-m", "scripts.backup_databases", "--state-dir", str(daemon.state)],
        cwd=ROOT,
        env=daemon.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    database = daemon.state / "performance.db"
    damaged = database.read_bytes()[:4096] + b"\xff" * 8192
    database.write_bytes(damaged)

    ended = daemon.run_to_end()

    [backup] = backups.glob("performance-*.db")
    assert_refused(ended, DAMAGED, str(database), "has been left as it is", str(backup))
    assert database.read_bytes() == damaged
    [command] = [line.strip() for line in ended.stderr.splitlines() if line.startswith("    ")]
    subprocess.run(["/bin/sh", "-c", command], check=True)
    daemon.start()
    assert daemon.stop() == 0
    assert daemon.outcomes("job") == ["succeeded"]
    assert (daemon.state / "performance.db.damaged" / "performance.db").read_bytes() == damaged


def test_a_damaged_database_without_a_backup_can_be_set_aside_by_the_words_of_the_message(
    daemon: Daemon,
) -> None:
    daemon.state.mkdir()
    (daemon.state / "performance.db").write_bytes(b"this is not a database at all, but long enough " * 100)

    ended = daemon.run_to_end("--once")

    assert_refused(ended, DAMAGED, "There is no whole backup")
    [command] = [line.strip() for line in ended.stderr.splitlines() if line.startswith("    ")]
    subprocess.run(["/bin/sh", "-c", command], check=True)
    daemon.start()
    wait_for(lambda: daemon.rows("SELECT 1 FROM events"), "a fresh history")
    assert daemon.stop() == 0
