"""`--simulate` as a process: pages, reports, workloads from outside, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import daily_orchestrator
from orchestration.changes import RunEnded, RunPlanned
from orchestration.runs import ActiveRun, RunKey, TaskResult
from orchestration.simulation.command import EX_INTERRUPTED, write_whole
from orchestration.state.store import SqlStore

ROOT = Path(daily_orchestrator.__file__).parent
AT = datetime(2026, 11, 20, tzinfo=UTC)
Run = Callable[..., "subprocess.CompletedProcess[str]"]
TRACE = "task,submit,duration,memory,dependencies\nbuild,0,3600,100,\ntry_it,0,1800,100,build\n"


@pytest.fixture
def simulate(tmp_path: Path) -> Run:
    """Run `daily_orchestrator.py --simulate` with the built-in tasks and a state directory of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    env |= {
        "ORCHESTRATOR_STATE_DIR": str(tmp_path / "state"),
        "ORCHESTRATOR_LOG_DIR": str(tmp_path / "logs"),
        "ORCHESTRATOR_PANEL": "null",
        "USE_UNIFIED_SCHEDULER": "true",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "daily_orchestrator.py", "--simulate", *arguments)
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=90, start_new_session=True
        )

    return run


def figures(folder: Path) -> Any:
    """Return a report without what differs from run to run: what the simulation itself took."""
    found = json.loads((folder / "report.json").read_text())
    for part in (*found["policies"].values(), *found["ablations"].values()):
        for name in ("wall_seconds", "cpu_seconds", "peak_rss_mb"):
            assert part.pop(name) > 0
    return found


def test_a_page_is_printed_and_nothing_is_written(simulate: Run, tmp_path: Path) -> None:
    done = simulate("2026-11-21", "--days", "1")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("policy unified, 1 days in ")
    assert not (tmp_path / "state").exists()


def test_processes_side_by_side_report_what_one_process_does(simulate: Run, tmp_path: Path) -> None:
    stretch = ("2026-11-21", "--days", "1", "--policy", "all", "--seed", "5")

    alone = simulate(*stretch, "--report", str(tmp_path / "a"))
    beside = simulate(*stretch, "--jobs", "2", "--report", str(tmp_path / "b"))

    assert (alone.returncode, beside.returncode) == (0, 0), alone.stderr + beside.stderr
    assert alone.stdout.splitlines() == [
        f"wrote {tmp_path / 'a' / 'report.json'}",
        f"written: {tmp_path / 'a' / 'report.html'}",
    ]
    found = figures(tmp_path / "a")
    assert found == figures(tmp_path / "b")
    assert list(found["policies"]) == ["timetable", "phases", "unified"]
    assert sorted(os.listdir(tmp_path / "a")) == ["report.html", "report.json"], (
        "nothing half-written is left"
    )


def test_a_trace_from_outside_is_run_through_the_loop(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(TRACE)

    done = simulate("2026-11-21", "--days", "1", "--tasks", str(tmp_path / "trace.csv"))

    assert (done.returncode, done.stderr) == (0, "")
    assert "trace: 2 of 2 submitted tasks finished" in done.stdout


def test_the_box_s_own_history_says_what_tasks_take(simulate: Run, tmp_path: Path) -> None:
    """Five recorded runs of an hour are drawn from instead of the stated three minutes."""
    path = tmp_path / "performance.db"
    with closing(SqlStore(f"sqlite:///{path}")) as store:
        for number in range(5):
            key = RunKey("walk_forward_study", "2026-11-20", f"manual:{number}", 1)
            run = ActiveRun(key=key, started_at=AT, predicted_end=AT, reserved_mb=100)
            end = AT + timedelta(hours=1)
            store.commit([RunPlanned(run=run, pool="local", predicted_minutes=60, log="")])
            result = TaskResult(key=key, started_at=AT, ended_at=end, duration_s=3600, exit_code=0)
            store.commit([RunEnded(result=result)])

    done = simulate("2026-11-21", "--days", "1", "--history", str(path), "--report", str(tmp_path / "r"))

    assert done.returncode == 0, done.stderr
    found = figures(tmp_path / "r")
    assert found["simulated"]["workload"] == "history"
    [run] = [r for r in found["policies"]["unified"]["timeline"]["runs"] if r["task"] == "walk_forward_study"]
    took = datetime.fromisoformat(run["end"]) - datetime.fromisoformat(run["start"])
    assert abs(took - timedelta(hours=1)) < timedelta(seconds=1)


def test_an_old_report_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half of it \ud800")

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["2026-11-20", "--policy", "best"], "invalid choice: 'best'"),
        (["2026-11-20", "--jobs", "0"], "'0' is not a number of processes"),
        (["2026-11-20", "--week", "soon"], "'soon' is not a date"),
        (["0000"], "'0000' is not a date"),
        (["9999"], "'9999' is too far ahead"),
        (["2026-11-20", "--tasks", "a", "--history", "b"], "not allowed with"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        daily_orchestrator.main(["--simulate", *arguments])

    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1999"], "does not cover 1999-01-01 to 2000-01-01"),
        (["2026-11-20", "--tasks", "nowhere.csv"], "nowhere.csv: the trace cannot be read"),
        (["2026-11-20", "--history", "nowhere.db"], "--history: "),
        (["2026-11-20", "--report", "/dev/null/here"], "--report /dev/null/here: "),
        (["2026-11-20", "--week", "2026-12-01"], "no day of its week is simulated"),
    ],
)
def test_what_cannot_be_simulated_is_refused_before_it_begins(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ORCHESTRATOR_PANEL", "null")

    assert daily_orchestrator.main(["--simulate", *arguments]) == daily_orchestrator.EX_CONFIG
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_ends_a_simulation_and_its_processes_in_one_line(tmp_path: Path, jobs: str) -> None:
    arguments = ("--simulate", "2026", "--policy", "all", "--jobs", jobs)
    env = {"ORCHESTRATOR_STATE_DIR": str(tmp_path), "ORCHESTRATOR_PANEL": "null", "PATH": os.environ["PATH"]}
    terminal, its_end = os.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as watched:
        process = subprocess.Popen(
            (sys.executable, "daily_orchestrator.py", *arguments),
            cwd=ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=its_end,
            start_new_session=True,
        )
        os.close(its_end)
        shown = watched.read(200)
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(OSError):  # how a terminal says that nobody is at its other end any more
            while more := watched.read(4096):
                shown += more

    assert process.wait(timeout=60) == EX_INTERRUPTED
    assert shown.startswith(b"\rsimulating ")
    assert shown.endswith(b"\r\x1b[Ksimulation stopped: there is no report of it\r\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_an_interrupt_while_the_page_is_drawn_leaves_the_report_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ORCHESTRATOR_PANEL", "null")
    monkeypatch.setattr(subprocess, "run", interrupted)
    report = tmp_path / "report.json"

    code = daily_orchestrator.main(["--simulate", "2026-11-21", "--days", "1", "--report", str(tmp_path)])

    assert code == EX_INTERRUPTED
    assert json.loads(report.read_text())["simulated"]["days"] == 1
    said = capsys.readouterr()
    assert said.out == f"wrote {report}\n"
    assert said.err == (
        f"stopped while the page was drawn: python -m scripts.simulation_report {report} draws it anew\n"
    )


@pytest.mark.slow
def test_thanksgiving_week_leaves_no_trading_day_late_and_no_research_hour_idle(
    simulate: Run, tmp_path: Path
) -> None:
    done = simulate("2026-11-23", "--days", "14", "--ablations", "--jobs", "2", "--report", str(tmp_path))

    assert done.returncode == 0, done.stderr
    found = figures(tmp_path)
    unified = found["policies"]["unified"]
    assert (unified["late_trading_tasks"], unified["memory_conflicts"]) == (0, 0)
    assert unified["overlapping_conflicts"] == 0
    assert unified["utilisation"]["all"] >= 0.95
    assert unified["demand"]["missed_though_possible"] == []
    assert found["ablations"]["without_backfill"]["utilisation"]["all"] < unified["utilisation"]["all"]
    assert {day["what"] for day in unified["special_days"]} == {"Thanksgiving", "half day"}
