"""Runs as root inside the machine that test_systemd.py boots: drives the service and says what it saw.

Usage: systemd_probe.py; each call is the next step: begin, after-kill, after-hang. One line `PROBE {json}`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

STATE = Path("/var/lib/daily-orchestrator/performance.db")
SEEN = Path("/tmp/systemd-probe-steps")
STEPS = ("begin", "after-kill", "after-hang")
LONGEST_WAIT_S = 60.0
SLEEPER = "/bin/sleep 987"

COLUMNS = ("run_id", "task", "attempt", "status", "pid", "outcome", "exit_code")


def runs_of(task: str) -> list[dict[str, object]]:
    """Return the runs of `task` as the daemon has recorded them, the oldest first."""
    with sqlite3.connect(f"file:{STATE}?mode=ro", uri=True, timeout=10) as connection:
        rows = connection.execute(
            f"SELECT {', '.join(COLUMNS)} FROM task_runs WHERE task = ? ORDER BY planned_at", (task,)
        ).fetchall()
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def await_status(task: str, status: str) -> list[dict[str, object]]:
    """Wait until the last run of `task` has `status`; return its runs then, whatever they are in the end."""
    until = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < until:
        runs = runs_of(task)
        if runs and runs[-1]["status"] == status:
            return runs
        time.sleep(0.1)
    return runs_of(task)


def order(*arguments: str) -> str:
    """Give an order with the installed command, as the person would; return what a refusal said."""
    done = subprocess.run(["orchestratorctl", *arguments], capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else f"{done.returncode}: {done.stdout}{done.stderr}"


def processes_of(marker: str) -> list[int]:
    """Return the pids whose command line is exactly `marker`, its words joined by blanks."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if " ".join(word.decode(errors="replace") for word in words if word) == marker:
                found.append(int(entry.name))
    return sorted(found)


def await_process(marker: str) -> None:
    """Wait until there is such a process: a run is recorded before its command is executed."""
    until = time.monotonic() + LONGEST_WAIT_S
    while not processes_of(marker) and time.monotonic() < until:
        time.sleep(0.1)


def begin() -> dict[str, object]:
    """Run both examples of a person's own commands to their end, and leave a long run behind."""
    refused = {}
    # What disk_report depends on comes first; the last one is still there when the daemon is killed.
    for task in ("cleanup_logs", "hello_box", "disk_report", "long_sleep"):
        said = order("run", task)
        if said:
            refused[task] = said
        else:
            await_status(task, "running" if task == "long_sleep" else "ended")
    await_process(SLEEPER)
    return {"refused": refused}


def main() -> int:
    """Carry out the next step and print what is there after it."""
    step = STEPS[len(SEEN.read_text().split()) if SEEN.exists() else 0]
    with SEEN.open("a") as file:
        file.write(step + "\n")
    answer: dict[str, object] = {"step": step, **(begin() if step == "begin" else {})}
    # The daemon is READY when it has recovered; the runs it adopted are in the table.
    tasks = ("hello_box", "disk_report", "long_sleep")
    answer["runs"] = {task: runs_of(task) for task in tasks}
    answer["sleepers"] = processes_of(SLEEPER)
    answer["uid"] = [os.stat(f"/proc/{pid}").st_uid for pid in processes_of(SLEEPER)]
    print("PROBE " + json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
