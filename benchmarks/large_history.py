"""A box as it is after a busy year: half a million runs with their reasons, events and alerts, made at once.

    python -m benchmarks.large_history FOLDER [--runs 500000]

Every task is at the most that retention keeps of it: some reach back two weeks, some more than a year. The
schema is made by the store, so it is the one the daemon writes; the rows are then inserted in bulk.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from math import exp, log
from pathlib import Path
from typing import Any

from orchestration.calendar_source import load_shipped
from orchestration.runs import RunKey
from orchestration.state.codec import to_instant
from orchestration.state.store import SqlStore
from orchestration.task_specs import TASK_SPECS

RUNS, TASKS, SEED = 500_000, 110, 1
SHORTEST_DAYS, LONGEST_DAYS = 13.0, 399.0
WAITS_DAYS, EVENTS_DAYS = 30.0, 90.0
OUTCOMES = ("succeeded",) * 94 + ("failed",) * 3 + ("checkpointed", "timed_out", "out_of_memory")
REPORT = json.dumps({"summary": "valued 12 positions", "rows": 4211, "sources": ["a", "b"], "alerts": []})
HELD = {
    "CONFLICT": "running: {other}",
    "MEMORY": "free MB",
    "SLOTS": "free slots",
    "DEPENDENCY": "waits for {other}",
}
Row = tuple[Any, ...]
BUILT_IN = {spec.name: spec.is_research for spec in TASK_SPECS}
RUN = "INSERT INTO task_runs VALUES (" + ", ".join("?" * 26) + ")"
DECISION = "INSERT INTO decisions (at, task, slot, reason, failures, until) VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One task of the box. days: how far its runs reach back; minutes: what one takes, about."""

    name: str
    days: float
    minutes: float
    research: bool


def write_large_history(
    folder: Path, now: datetime, *, runs: int = RUNS, tasks: int = TASKS, seed: int = SEED
) -> Path:
    """Write performance.db and tasks.toml of a box into `folder`; return the database. `now`: its newest end.

    The same arguments give the same rows. Raises FileExistsError if there is a database already.
    """
    path = folder / "performance.db"
    if path.exists():
        raise FileExistsError(f"{path} is there already")
    dice, made = random.Random(seed), list(_tasks(tasks))
    SqlStore(path).close()
    (folder / "tasks.toml").write_text("".join(map(_toml, made[len(BUILT_IN) :])))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        cycles = _cycles()
        each = [_runs_of(task, runs // len(made), now, cycles, dice, folder) for task in made]
        with connection:
            rows: Iterator[Row] = merge(*each, key=_planned_at)
            connection.executemany(RUN, rows)
            connection.executemany(DECISION, _decisions(connection, made, now, dice))
            _write_rest(connection, made, now)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def _tasks(count: int) -> Iterator[Made]:
    """Yield the built-in tasks and as many invented ones as it takes."""
    own = (f"own_job_{number:03d}" for number in range(max(0, count - len(BUILT_IN))))
    names = [*sorted(BUILT_IN), *own][:count]
    for number, name in enumerate(names):
        # Spread in steps that share no divisor with their number, so that neighbours differ.
        share = (number * 37 % count) / max(1, count - 1)
        days = exp(log(SHORTEST_DAYS) + share * (log(LONGEST_DAYS) - log(SHORTEST_DAYS)))
        is_research = BUILT_IN.get(name, number % 5 == 0)
        yield Made(name=name, days=days, minutes=0.05 * 2 ** (number % 9), research=is_research)


def _toml(task: Made) -> str:
    category = "research" if task.research else "maintenance"
    return (
        f'[[task]]\nname = "{task.name}"\ncategory = "{category}"\npriority = "low"\nevery = "15m"\n'
        f'argv = ["true"]\nestimated_minutes = {task.minutes}\n\n'
    )


def _cycles() -> tuple[list[datetime], list[str]]:
    """Return the closes in order, and each one's trading day."""
    sessions = load_shipped()
    return [s.close for s in sessions], [s.day.isoformat() for s in sessions]


def _runs_of(
    task: Made,
    count: int,
    now: datetime,
    cycles: tuple[list[datetime], list[str]],
    dice: random.Random,
    folder: Path,
) -> list[Row]:
    """Return one task's runs, the oldest first, as rows of task_runs."""
    closes, days = cycles
    step = timedelta(days=task.days / count)
    log_path = str(folder / "logs" / "runs" / f"{task.name}.log")
    rows: list[Row] = []
    for number in range(count, 0, -1):
        at = now - number * step + step * (0.4 * dice.random())
        outcome = dice.choice(OUTCOMES)
        seconds = min(60 * task.minutes * exp(dice.gauss(0.0, 0.3)), 0.5 * step.total_seconds())
        key = RunKey(task.name, days[bisect_right(closes, at)], f"{at:%Y-%m-%dT%H:%M:%SZ}", 1)
        start, end = to_instant(at), to_instant(at + timedelta(seconds=seconds))
        foretold = to_instant(at + timedelta(minutes=1.5 * task.minutes))
        bad = outcome in ("failed", "timed_out", "out_of_memory")
        rows.append(
            (
                *(key.run_id, *key, "ended", "local", 4000 + number % 9000),
                *(
                    start,
                    start,
                    end,
                    outcome,
                    1 if bad else 0,
                    seconds,
                    40.0 + 30.0 * dice.random(),
                    120.0,
                    1,
                ),
                *(
                    task.minutes,
                    foretold,
                    None,
                    None,
                    None,
                    0,
                    "exit code 1: no route to host" if bad else "",
                    REPORT,
                ),
                log_path,
            )
        )
    return rows


def _planned_at(row: Row) -> str:
    return str(row[8])


def _decisions(
    connection: sqlite3.Connection, made: Sequence[Made], now: datetime, dice: random.Random
) -> list[Row]:
    """Return what the daemon keeps of waiting: a row when a run starts, one when it ends, some before."""
    since = to_instant(now - timedelta(days=WAITS_DAYS))
    rows: list[Row] = []
    for task, start, end in connection.execute(
        "SELECT task, planned_at, ended_at FROM task_runs WHERE planned_at >= ? ORDER BY planned_at", (since,)
    ):
        if dice.random() < 0.1:
            waited = datetime.fromisoformat(start) - timedelta(seconds=dice.uniform(1, 20))
            rows.append(_held(task, to_instant(waited), dice.choice(made).name, dice))
        not_due = [
            {"reason": "NOT_DUE", "passed": False, "detail": "the next slot is later", "clears_at": end}
        ]
        rows.append((start, task, None, None, "[]", None))
        rows.append((end, task, None, "NOT_DUE", json.dumps(not_due), end))
    return sorted(rows, key=lambda row: str(row[0]))


def _held(task: str, at: str, other: str, dice: random.Random) -> Row:
    reason = dice.choice(tuple(HELD))
    gate: dict[str, object] = {"reason": reason, "passed": False, "detail": HELD[reason].format(other=other)}
    if reason in ("MEMORY", "SLOTS"):
        gate |= {"needed": 500.0, "available": 320.0}
    return at, task, None, reason, json.dumps([gate]), None


def _write_rest(connection: sqlite3.Connection, made: Sequence[Made], now: datetime) -> None:
    """Write what is learned, the window's beginnings and alerts."""
    at = to_instant(now)
    connection.executemany(
        "INSERT INTO task_estimates VALUES (?, ?, 0.3, 4000, 60.0, 0.0, 0.0, ?)",
        [(task.name, log(task.minutes), at) for task in made],
    )
    record = json.dumps({"v": 1, "last_started_at": at, "last_outcome": "succeeded"})
    connection.executemany(
        "INSERT INTO scheduler_state VALUES (?, ?, ?)", [(f"record/{task.name}", record, at) for task in made]
    )
    hours = [to_instant(now - timedelta(hours=hour)) for hour in range(int(24 * EVENTS_DAYS), 0, -1)]
    window = json.dumps({"window": "2026-11-23/WEEKEND", "mode": "research"})
    connection.executemany(
        "INSERT INTO events (at, name, detail) VALUES (?, 'window.started', ?)",
        [(hour, window) for hour in hours],
    )
    connection.executemany(
        "INSERT INTO alerts (key, severity, text, task, raised_at, cleared_at)"
        " VALUES (?, 'error', ?, ?, ?, ?)",
        [
            (f"failed:{task.name}", "failed three times", task.name, hours[n], hours[n + 1])
            for n, task in enumerate(made)
        ],
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    path = write_large_history(options.folder, datetime.now(UTC), runs=options.runs)
    print(f"{path}: {path.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
