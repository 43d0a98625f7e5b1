"""The control command against a real daemon in a state directory of its own, and without one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from orchestration.ctl.desk import Desk
from orchestration.ctl.main import app
from tests.integration.running import LIMIT_S, wait_for

ROOT = Path(__file__).resolve().parents[2]
CTL = (sys.executable, "-m", "orchestration.ctl.main")

TASKS = """
[[task]]
name = "sleeper"
description = "Runs until it is stopped."
argv = ["/bin/sh", "-c", "echo 'asleep now'; exec sleep 600"]
every = "10m"
memory_mb = 50

[[task]]
name = "greeter"
description = "Says hello and ends."
argv = ["/bin/sh", "-c", "echo hello $ORCHESTRATOR_TASK"]
cron = "0 3 1 1 *"
memory_mb = 20

[[task]]
name = "behind"
description = "Waits for two things at once."
argv = ["/bin/true"]
every = "10m"
dependencies = ["greeter"]
conflicts = ["sleeper"]
memory_mb = 20
"""
QUIET = """
[[task]]
name = "{name}"
enabled = false
"""


class Said(NamedTuple):
    """How a command ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class RealBox:
    """A state directory, its environment, and the daemon in it."""

    folder: Path
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the daemon in a session of its own and wait for its first turn."""
        with (self.folder / "daemon.out").open("ab") as out:
            self.process = subprocess.Popen(
                (sys.executable, str(ROOT / "daily_orchestrator.py")),
                env=self.environ,
                cwd=self.folder,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            wait_for(self._is_up, "the daemon's first turn")
        except BaseException:
            self.stop()
            raise

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "daemon.out").read_text()
        return self.json("status")["daemon"] is not None

    def stop(self) -> None:
        """End the daemon by its pid."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            self.process.wait(LIMIT_S)
            self.process = None

    def call(self, *words: str) -> Said:
        """Run the command line in this process: it talks to the real daemon all the same."""
        result = CliRunner().invoke(app, list(words), obj=Desk(self.environ, timeout_s=LIMIT_S))
        return Said(result.exit_code, result.stdout, result.stderr)

    def spawn(self, *words: str) -> Said:
        """Run the command line as a process."""
        done = subprocess.run(
            (*CTL, *words), env=self.environ, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str) -> Any:
        done = self.call(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def running(self) -> list[str]:
        return [run["task"] for run in self.json("status")["running"]]


def _builtin_names() -> list[str]:
    from orchestration.task_specs import TASK_SPECS

    return [spec.name for spec in TASK_SPECS if spec.enabled]


def _environ(folder: Path) -> dict[str, str]:
    tasks = TASKS + "".join(QUIET.format(name=name) for name in _builtin_names() if name != "daily_report")
    # daily_report depends on tasks that are off here; it waits for its hour and never starts.
    tasks += '[[task]]\nname = "daily_report"\ndependencies = []\nsetup = false\n'
    (folder / "tasks.toml").write_text(tasks)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "ORCHESTRATOR_STATE_DIR": str(folder / "state"),
        "ORCHESTRATOR_LOG_DIR": str(folder / "logs"),
        "ORCHESTRATOR_TASKS": str(folder / "tasks.toml"),
        "ORCHESTRATOR_PANEL": "null",
        "ORCHESTRATOR_ASSUME_CLOCK_SYNCED": "true",
        "ORCHESTRATOR_SLOTS": "8",
        "ORCHESTRATOR_STOP_GRACE": "2s",
        "ORCHESTRATOR_STOP_TIMEOUT": "10s",
        "USE_UNIFIED_SCHEDULER": "true",
    }


@pytest.fixture
def idle_box(tmp_path: Path) -> RealBox:
    """A box on which no daemon has ever run."""
    return RealBox(tmp_path, _environ(tmp_path))


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBox]:
    """A daemon that runs `sleeper`, for the tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("box")
    made = RealBox(folder, _environ(folder))
    try:
        made.start()
        wait_for(lambda: made.running() == ["sleeper"], "sleeper runs")
        yield made
    finally:
        made.stop()


# --- with a daemon, changing nothing ----------------------------------------------------------------------


def test_status_shows_the_daemon_its_runs_and_how_memory_is_limited(box: RealBox) -> None:
    found = box.json("status")

    assert box.process is not None
    assert found["daemon"]["pid"] == box.process.pid
    assert found["source"] == "daemon"
    assert found["policy"] == "unified"
    assert found["rung"] in ("cgroup", "watch")
    (run,) = found["running"]
    assert run["reserved_mb"] == 50.0
    assert f"process {box.process.pid}, up" in box.spawn("status").stdout


def test_what_is_shown_is_of_this_instant(box: RealBox) -> None:
    seen = datetime.fromisoformat(box.json("status")["at"])

    assert abs(datetime.now(UTC) - seen) < timedelta(seconds=10)


def test_tasks_lists_every_task(box: RealBox) -> None:
    names = {task["name"]: task["status"] for task in box.json("tasks")["tasks"]}

    assert names["sleeper"] == "running"
    assert names["greeter"] == "waiting"
    assert re.search(r"^sleeper +running", box.call("tasks").stdout, re.MULTILINE)


def test_why_names_every_condition_and_what_it_is_about(box: RealBox) -> None:
    found = box.json("why", "behind")

    assert found["status"] == "waiting"
    reasons = {gate["reason"]: gate["detail"] for gate in found["failures"]}
    assert "greeter" in reasons["DEPENDENCY"]
    assert "sleeper" in reasons["CONFLICT"]
    shown = box.call("why", "behind").stdout
    assert re.search(r"1\. DEPENDENCY.*\n.*2\. CONFLICT", shown)


def test_why_then_tells_what_was_recorded(box: RealBox) -> None:
    now = datetime.now(UTC)

    then = box.json("why", "behind", "--at", now.isoformat())
    since = box.json("why", "behind", "--since", (now - timedelta(hours=1)).isoformat())
    ran = box.json("why", "sleeper", "--at", now.isoformat())

    assert then["recorded"] is True
    assert then["running"] is None
    assert then["waits"][0]["reason"] == "DEPENDENCY"
    assert "DEPENDENCY" in {row["reason"] for row in since["waits"]}
    assert ran["running"]["task"] == "sleeper"
    assert "it was running: sleeper." in box.call("why", "sleeper", "--at", now.isoformat()).stdout
    assert "CONFLICT" in box.call("why", "behind", "--since", (now - timedelta(hours=1)).isoformat()).stdout


def test_why_of_a_time_before_the_first_start_says_that_nothing_is_recorded(box: RealBox) -> None:
    before = (datetime.now(UTC) - timedelta(days=30)).isoformat()

    assert "nothing is recorded" in box.call("why", "behind", "--at", before).stdout
    assert box.call("why", "behnd", "--at", before).returncode == 1


def test_the_plan_holds_the_live_runs_as_running(box: RealBox) -> None:
    runs = box.json("plan")

    first = next(run for run in runs if run["task"] == "sleeper")
    (live,) = box.json("status")["running"]
    assert (first["kind"], first["run_id"]) == ("running", live["run_id"])
    assert first["start"][:19] == live["started_at"][:19]
    assert all(run["start"] >= first["end"] for run in runs if run["task"] == "behind")
    assert "runs now" in box.call("plan", "--days", "1").stdout


def test_runs_shows_what_runs_and_the_end_of_its_log(box: RealBox) -> None:
    (row,) = box.json("runs", "--task", "sleeper", "--limit", "1")
    wait_for(lambda: box.json("runs", row["run_id"])["log_tail"], "the first line of sleeper's output")

    detail = box.json("runs", row["run_id"])

    assert row["outcome"] is None
    assert row["status"] in ("planned", "running")
    assert detail["log_tail"] == ["asleep now"]
    assert "asleep now" in box.call("runs", "sleeper").stdout
    assert "sleeper" in box.call("runs").stdout
    assert box.call("runs", "no.such.run").returncode == 1
    assert "Did you mean 'sleeper'?" in box.call("runs", "--task", "sleper").stderr


def test_logs_shows_the_daemon_s_lines_of_one_task(box: RealBox) -> None:
    shown = box.call("logs", "--task", "sleeper", "--level", "info").stdout
    raw = [json.loads(line) for line in box.call("logs", "--task", "sleeper", "--json").stdout.splitlines()]

    assert "run.started task=sleeper" in shown
    assert {line["task"] for line in raw} == {"sleeper"}


def test_logs_follows(box: RealBox) -> None:
    process = subprocess.Popen(
        (*CTL, "logs", "-f", "-n", "1"),
        env=box.environ,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process, ExitStack() as at_the_end:
        at_the_end.callback(process.kill)
        assert process.stdout is not None
        process.stdout.readline()  # the last line there was: it is at the end now
        box.json("reload")
        # How many other lines come with it is the daemon's affair; without it the test's time limit strikes.
        while "command.done" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        code = process.wait(LIMIT_S)

    assert code == 0


def test_check_finds_the_box_in_order(box: RealBox) -> None:
    found = box.json("check")

    topics = {row["topic"]: row["level"] for row in found["findings"]}
    assert found["ok"] is True
    assert {topics[name] for name in ("daemon", "settings", "tasks", "calendar", "clock", "database")} == {
        "ok"
    }
    assert topics["backups"] == "warning"
    assert "make one with orchestratorctl run backup_databases" in box.call("check").stdout


def test_a_refusal_has_exit_code_1_and_the_nearest_name(box: RealBox) -> None:
    done = box.call("run", "greter", "--json")

    assert done.returncode == 1
    assert json.loads(done.stdout)["ok"] is False
    assert "Did you mean 'greeter'?" in done.stderr
    assert box.call("stop", "greeter").returncode == 1
    assert box.call("reconcile", "greeter").returncode == 1
    assert "nothing waits to be reconciled" in box.call("reconcile").stdout


def test_task_names_complete_in_the_shell(box: RealBox) -> None:
    words = {"COMP_WORDS": "orchestratorctl why slee", "COMP_CWORD": "2"}
    environ = {**box.environ, **words, "_ORCHESTRATORCTL_COMPLETE": "complete_bash"}

    done = subprocess.run(CTL, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)

    assert done.stdout.split() == ["sleeper"]


# --- with a daemon, changing it ---------------------------------------------------------------------------


def test_orders_are_carried_out_by_a_real_daemon(idle_box: RealBox) -> None:
    box = idle_box
    try:
        box.start()
        wait_for(lambda: box.running() == ["sleeper"], "sleeper runs")

        assert box.json("pause")["ok"] is True
        assert box.json("status")["paused"] == "research"
        assert box.json("resume")["ok"] is True
        assert box.json("pause", "--all")["ok"] is True
        assert "paused: everything" in box.call("status").stdout
        assert box.json("resume")["ok"] is True
        assert box.json("pause", "greeter")["ok"] is True
        assert "PAUSED" in box.call("why", "greeter").stdout
        assert box.json("resume", "greeter")["ok"] is True

        assert "will run as soon as" in box.json("run", "greeter")["text"]
        ended = ["succeeded"]
        wait_for(
            lambda: [r["outcome"] for r in box.json("runs", "--task", "greeter")] == ended, "greeter ran"
        )
        assert box.json("runs", "greeter")["log_tail"] == ["hello greeter"]

        (live,) = box.json("runs", "--task", "sleeper", "--limit", "1")
        assert box.json("stop", live["run_id"])["ok"] is True
        wait_for(lambda: _outcome(box, live["run_id"]) == "killed", "sleeper is stopped")
        assert box.json("runs", live["run_id"])["stop_cause"] == "operator"

        (box.folder / "tasks.toml").write_text(TASKS.replace("greeter", "welcomer"))
        assert box.json("reload")["ok"] is True
        wait_for(lambda: box.call("why", "welcomer").returncode == 0, "the new task file is in force")
    finally:
        box.stop()


def _outcome(box: RealBox, run: str) -> object:
    """Return how a run, or the latest of a task, ended; None while there is none or it has not."""
    done = box.call("runs", run, "--json")
    return json.loads(done.stdout)["outcome"] if done.returncode == 0 else None


def test_handover_waits_for_the_end_and_the_next_daemon_takes_the_run_over(idle_box: RealBox) -> None:
    box = idle_box
    try:
        box.start()
        wait_for(lambda: box.running() == ["sleeper"], "sleeper runs")
        (before,) = box.json("status")["running"]

        text = box.json("handover")["text"]

        assert "leaves 1 run(s) to the next one" in text
        assert "has ended" in text
        assert box.process is not None
        assert box.process.wait(LIMIT_S) == 0
        assert box.call("pause").returncode == 3
        # Without a daemon what was recorded is shown, and that it is nobody's word.
        seen = box.json("status")
        assert (seen["daemon"], [run["run_id"] for run in seen["running"]]) == (None, [before["run_id"]])

        box.start()
        (after,) = box.json("status")["running"]
        assert after["run_id"] == before["run_id"]
        box.json("stop", "sleeper")
        wait_for(lambda: _outcome(box, before["run_id"]) == "killed", "sleeper is stopped")
    finally:
        box.stop()


def test_a_daemon_that_hangs_gives_exit_code_4_and_does_nothing_later(idle_box: RealBox) -> None:
    box = idle_box
    try:
        box.start()
        assert box.process is not None
        os.kill(box.process.pid, signal.SIGSTOP)
        try:
            done = box.spawn("--timeout", "0.3", "pause")
        finally:
            os.kill(box.process.pid, signal.SIGCONT)

        assert done.returncode == 4
        assert "withdrawn" in done.stderr
        assert box.json("status")["paused"] is None
    finally:
        box.stop()


# --- without a daemon -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("status",), ("why", "sleeper"), ("plan",), ("check",)])
def test_what_only_shows_works_where_nothing_ever_ran(idle_box: RealBox, words: tuple[str, ...]) -> None:
    done = idle_box.spawn(*words)

    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    "words", [("pause",), ("resume",), ("run", "sleeper"), ("stop", "sleeper"), ("handover",), ("reload",)]
)
def test_an_order_without_a_daemon_ends_with_3_and_is_not_kept(
    idle_box: RealBox, words: tuple[str, ...]
) -> None:
    done = idle_box.call(*words, "--json")

    assert done.returncode == 3
    assert json.loads(done.stdout)["ok"] is False
    assert not (idle_box.folder / "state" / "control.db").exists()


def test_the_calendar_is_quick_and_needs_nothing(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ORCHESTRATOR_STATE_DIR": str(tmp_path)}
    argv = (sys.executable, "-X", "importtime", "-m", "orchestration.ctl.main")

    done = subprocess.run(
        (*argv, "calendar", "--at", "2026-11-27T18:00:00Z", "--json"),
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )

    assert json.loads(done.stdout)["is_early_close"] is True
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {"sqlalchemy", "pandas", "numpy", "structlog", "psutil", "rich.table", "orchestration.registry"}
    assert loaded & heavy == set()


def test_a_task_file_that_cannot_be_used_ends_with_78_and_check_with_1(idle_box: RealBox) -> None:
    (idle_box.folder / "tasks.toml").write_text('[[task]]\nname = "sleeper"\nevry = "10m"\n')

    shown, checked = idle_box.call("tasks"), idle_box.call("check", "--json")

    assert shown.returncode == 78
    assert "Did you mean 'every'?" in shown.stderr
    assert checked.returncode == 1
    levels = {row["topic"]: row["level"] for row in json.loads(checked.stdout)["findings"]}
    assert (levels["tasks"], levels["calendar"]) == ("problem", "ok")


def test_the_operator_s_corrections_hold_for_the_calendar(idle_box: RealBox) -> None:
    (idle_box.folder / "state").mkdir()
    (idle_box.folder / "state" / "overrides.csv").write_text("2026-12-01, closed, storm\n")

    assert idle_box.json("calendar", "--at", "2026-12-01T16:00:00Z")["is_trading_day"] is False


def test_a_damaged_database_is_named_by_check_and_does_not_silence_the_calendar(idle_box: RealBox) -> None:
    (idle_box.folder / "state").mkdir()
    (idle_box.folder / "state" / "performance.db").write_bytes(b"not a database at all" * 100)

    asked = idle_box.call("calendar", "--at", "2026-11-27T18:00:00Z", "--json")
    checked = idle_box.call("check", "--json")

    assert json.loads(asked.stdout)["is_early_close"] is True
    assert "the shipped list answers" in asked.stderr
    assert checked.returncode == 1
    (problem,) = [row for row in json.loads(checked.stdout)["findings"] if row["level"] == "problem"]
    assert "is damaged" in problem["text"]
    assert idle_box.call("runs").returncode == 1
