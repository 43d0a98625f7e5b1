"""What a trading day with three minute tasks writes, jobs included; and that files and rows stay bounded.

    python -m benchmarks.bench_writes [--seconds 100]

The real daemon, with its built-in tasks, runs three tasks every second instead of every minute. What it and
its children wrote per run, times the 1,170 runs of a day, and what start and set-up wrote, is the day.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta

from benchmarks.box import MB, Box, Usage, box, load, task, verdict

TARGET_MB = 200.0
TASKS = 3
RUNS_A_DAY = TASKS * 390
SETTLED_RUNS = 15
JOB = """
printf '{"summary": "valued 12 positions", "equity": 104233.12, "alerts": []}' >"$ORCHESTRATOR_RESULT"
echo "12 positions valued, none out of bounds"
"""


def measure(made: Box, seconds: float) -> tuple[int, Usage, Usage, tuple[int, int], tuple[int, int]]:
    """Return the runs between two looks, what was written until each, and the files and bytes at each."""
    tables = [task(f"minute_{n}", ["/bin/sh", "-c", JOB], every="1s", priority="HIGH") for n in range(TASKS)]
    made.write_tasks(*tables, builtins=True)
    made.start()
    made.wait_until(lambda: made.ended() >= SETTLED_RUNS and _is_set_up(made), 60)
    first, before, files_before = made.ended(), made.usage(), made.tree()
    made.wait_until(lambda: False, seconds, every_s=1.0)
    last, after, files_after = made.ended(), made.usage(), made.tree()
    return last - first, before, after, files_before, files_after


def _is_set_up(made: Box) -> bool:
    """Whether the set-up tasks that a new box begins with have ended."""
    return not made.rows("SELECT 1 FROM task_runs WHERE status != 'ended' AND task NOT LIKE 'minute%'")


def rows_after_days(made: Box, days: int) -> tuple[int, int]:
    """Return the rows that `days` such days leave after pruning, and the most that retention allows."""
    from orchestration.changes import Change, RunEnded, RunPlanned
    from orchestration.runs import ActiveRun, Outcome, RunKey, TaskResult
    from orchestration.state.retention import RETENTION
    from orchestration.state.store import SqlStore

    store = SqlStore(made.folder / "rows.db")
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for day in range(days):
        changes: list[Change] = []
        for number in range(RUNS_A_DAY):
            at = began + timedelta(days=day, minutes=number // TASKS)
            key = RunKey(f"minute_{number % TASKS}", f"{at:%Y-%m-%d}", f"{at:%Y-%m-%dT%H:%M:%SZ}", 1)
            run = ActiveRun(key=key, started_at=at, predicted_end=at, reserved_mb=20.0)
            result = TaskResult(key=key, outcome=Outcome.SUCCEEDED, started_at=at, ended_at=at)
            changes += [RunPlanned(run=run), RunEnded(result=result)]
        store.commit(changes)
        store.prune(began + timedelta(days=day + 1))
    with store._transaction() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM task_runs").scalar_one()
    store.close()
    return int(rows), TASKS * RETENTION.runs_per_task


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=100.0)
    options = parser.parse_args(arguments)
    with box() as made:
        runs, before, after, files_before, files_after = measure(made, options.seconds)
        made.stop()
        rows, most = rows_after_days(made, 20)
    per_run = (after.to_disk - before.to_disk) / runs
    calls_per_run = (after.written - before.written) / runs
    day_mb = (before.to_disk + per_run * RUNS_A_DAY) / MB
    print(
        f"writes: {runs} runs; per run {per_run / 1e3:.1f} kB to the disk, {calls_per_run / 1e3:.1f} kB in"
        f" calls; start and set-up {before.to_disk / MB:.1f} MB; on disk {files_before[0]} files"
        f" {files_before[1] / MB:.1f} MB -> {files_after[0]} files {files_after[1] / MB:.1f} MB; {load()}"
    )
    good = verdict("bytes of a trading day", day_mb, "MB", TARGET_MB, f"{RUNS_A_DAY} runs and the set-up")
    new_files = files_after[0] - files_before[0]
    good = verdict("files left behind", new_files, "files", 10 * TASKS, f"by {runs} runs") and good
    return 0 if verdict("rows of 20 such days", rows, "rows", most + 1, "after pruning") and good else 1


if __name__ == "__main__":
    sys.exit(main())
