"""What has been recorded: the input files of a folder, and the runs in the daemon's performance.db.

The database is read as a file of SQLite, read-only and beside the daemon that writes it; nothing of the
daemon is imported.
"""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Final, NamedTuple

from adaptive.files import AdaptiveFileError, file_error, read_array, read_json, read_lines
from adaptive.positions import Fault
from adaptive.types import Outcome

REVISIONS: Final = ("0001", "0002")
"""The revisions of the daemon's schema that are understood here."""

NEWEST_RUNS: Final = 500
"""Of each task, as many are read: what a task of every minute did a day ago says little of its next run."""

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
"""A cycle that names a day; of what runs once a week or month it names that (2026-W47, 2026-11)."""

_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_NO_DATABASE: Final = "is not the daemon's performance.db (no table {}), expected a database that it wrote"

# A run that was asked to stop says nothing of its needs, unless it was its own fault: too long, too large.
_RUNS: Final = """
WITH telling AS (
    SELECT rowid AS place, row_number() OVER (PARTITION BY task ORDER BY planned_at DESC, run_id DESC) AS age
    FROM task_runs
    WHERE status = 'ended' AND started_at IS NOT NULL AND (duration_s IS NOT NULL OR ended_at IS NOT NULL)
      AND (outcome IN ('succeeded', 'failed') AND stop_cause IS NULL
           OR outcome IN ('timed_out', 'out_of_memory'))
)
SELECT run_id, task, cycle, slot, attempt, pool, outcome, started_at, ended_at, duration_s
FROM task_runs WHERE rowid IN (SELECT place FROM telling WHERE age <= ?)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The input files of a folder, as they are in the files; each is valid by its schema.

    summary: multi_agent_summary.json. patterns: coordination_patterns.json. health: system_health.json.
    signals: learning_signals.jsonl.
    """

    summary: dict[str, Any]
    patterns: list[dict[str, Any]]
    health: dict[str, Any]
    signals: list[dict[str, Any]]


def load_inputs(folder: Path) -> Inputs:
    """Return the four input files of `folder`.

    Raises:
        AdaptiveFileError: if one is missing, empty, half written or not valid; it names file, line and field.
    """
    return Inputs(
        summary=read_json(folder / "multi_agent_summary.json", "multi_agent_summary"),
        patterns=read_array(folder / "coordination_patterns.json", "coordination_patterns"),
        health=read_json(folder / "system_health.json", "input_system_health"),
        signals=read_lines(folder / "learning_signals.jsonl", "input_learning_signal"),
    )


def load_outcomes(database: Path, *, newest: int = NEWEST_RUNS, wait_s: float = 5.0) -> tuple[Outcome, ...]:
    """Return the runs of a performance.db that tell something of their tasks, by their start.

    Told are runs that ended by themselves, well or with a failure, and those that ran out of time or memory
    (failures); a run that was stopped, killed or lost is no word of its task, nor is one that was not
    measured and ended before it started, as the box's clock went back. One Outcome per run: a task that
    failed and was tried again has two, with attempts 1 and 2. kind: the daemon's task; task_id: the same, and
    "@" and its slot if it may run several times in a cycle. Durations are the monotonic ones.

    wave: the cycles (from one close to the next) that have runs in what is read, counted from 1 by their
    first start. What runs once a week or month is in the cycle in which it started; the runs of a week or
    month of which no cycle is known are a wave. A wave's start is that of its first run.

    agent_id: "POOL/k", k from 1: the lowest number that was free when the run started, so no more numbers
    than runs of those read were there at once.

    newest: how many runs of each task are read. wait_s: how long another process's lock is waited for.

    Raises:
        AdaptiveFileError: if there is no database, or it is damaged, locked, of another schema, or a row of
            it makes no sense (named by its run).
        ValueError: if `newest` is below 1.
    """
    if newest < 1:
        raise ValueError(f"newest is {newest}: expected 1 or more runs of each task")
    if not database.is_file():
        raise file_error(database, "is missing, expected the daemon's performance.db")
    try:
        with closing(_open(database, wait_s)) as connection:
            _check(database, connection)
            rows = connection.execute(_RUNS, (newest,))
            runs = sorted(_understood(database, rows))
    except sqlite3.Error as error:
        raise file_error(database, _in_words(error)) from error
    return tuple(_outcomes(runs))


def recorded_waves(outcomes: Iterable[Outcome]) -> dict[int, tuple[Outcome, ...]]:
    """Return the outcomes of each wave by its number, in their order."""
    waves: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        waves[outcome.wave].append(outcome)
    return {number: tuple(waves[number]) for number in sorted(waves)}


class _Run(NamedTuple):
    """A row as it is needed here; sorts by start. start_ms: since 1970."""

    start_ms: float
    run_id: str
    task: str
    cycle: str
    slot: str
    attempt: int
    pool: str
    success: bool
    duration_ms: float


def _open(database: Path, wait_s: float) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=wait_s)


def _check(database: Path, connection: sqlite3.Connection) -> None:
    """Raise AdaptiveFileError unless these are tables whose meaning is known here."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for needed in ("alembic_version", "task_runs"):
        if needed not in tables:
            raise file_error(database, _NO_DATABASE.format(needed))
    found = [revision for (revision,) in connection.execute("SELECT version_num FROM alembic_version")]
    if len(found) != 1 or found[0] not in REVISIONS:
        what = " and ".join(map(str, found)) or "none"
        raise file_error(database, f"has the schema's revision {what}, expected {' or '.join(REVISIONS)}")


def _understood(database: Path, rows: Iterable[Sequence[Any]]) -> Iterator[_Run]:
    for row in rows:
        try:
            run = _run(*row)
            if run is not None:
                yield run
        except (ValueError, TypeError) as error:
            fault = Fault(None, ("task_runs", str(row[0])), f"cannot be understood ({error})")
            raise AdaptiveFileError(database, (fault,)) from error


def _run(
    run_id: str,
    task: str,
    cycle: str,
    slot: str,
    attempt: int,
    pool: str,
    outcome: str,
    started_at: str,
    ended_at: str | None,
    duration_s: float | None,
) -> _Run | None:
    """Return a row as it is needed here; None if the clock went back within it and nothing else timed it."""
    start_ms = _milliseconds(started_at)
    duration_ms = duration_s * 1000 if duration_s is not None else _milliseconds(str(ended_at)) - start_ms
    if duration_s is None and duration_ms < 0:
        return None
    if _DAY.fullmatch(cycle):
        date.fromisoformat(cycle)  # or it is no day
    if not 0 <= duration_ms < float("inf"):
        raise ValueError(f"it took {duration_ms} ms, expected a finite duration that is not negative")
    return _Run(
        start_ms=start_ms,
        run_id=run_id,
        task=task,
        cycle=cycle,
        slot=slot,
        attempt=attempt,
        pool=pool,
        success=outcome == "succeeded",
        duration_ms=duration_ms,
    )


def _milliseconds(instant: str) -> float:
    at = datetime.fromisoformat(instant)
    if at.tzinfo is None:
        raise ValueError(f"{instant!r} has no zone, expected e.g. 2026-11-20T23:00:00Z")
    return at.timestamp() * 1000


def _outcomes(runs: Sequence[_Run]) -> Iterator[Outcome]:
    """Yield each run's Outcome. runs: by their start."""
    number: dict[str, int] = {}
    begin: dict[str, float] = {}
    for run, cycle, agent in zip(runs, _cycles(runs), _agents(runs), strict=True):
        started_ms = run.start_ms - begin.setdefault(cycle, run.start_ms)
        yield Outcome(
            task_id=run.task if run.slot == "once" else f"{run.task}@{run.slot}",
            kind=run.task,
            agent_id=agent,
            wave=number.setdefault(cycle, len(number) + 1),
            started_ms=started_ms,
            ended_ms=started_ms + run.duration_ms,
            success=run.success,
            attempts=run.attempt,
        )


def _cycles(runs: Sequence[_Run]) -> Iterator[str]:
    """Yield the day of the cycle in which each run started; the run's own week or month if no cycle of it is
    known. runs: by their start.

    A cycle is known from its runs that name it. Of those in the run's week or month it is the last that had
    begun when the run started; the first of all, if the run was there before any other.
    """
    begun: dict[str, float] = {}
    for run in runs:
        if _DAY.fullmatch(run.cycle):
            begun.setdefault(run.cycle, run.start_ms)
    days: dict[str, list[str]] = defaultdict(list)
    for day in sorted(begun):
        for period in _periods_of(day):
            days[period].append(day)
    for run in runs:
        there = days.get(run.cycle, [run.cycle])
        started = [day for day in there if begun.get(day, run.start_ms) <= run.start_ms]
        yield started[-1] if started else there[0]


def _periods_of(day: str) -> tuple[str, str, str]:
    """Return a day's names as a cycle: its own, its ISO week's and its month's."""
    year, week, _ = date.fromisoformat(day).isocalendar()
    return day, f"{year}-W{week:02d}", day[: len("2026-11")]


def _agents(runs: Iterable[_Run]) -> Iterator[str]:
    """Yield the agent of each run: greedy colouring of the intervals of each pool, in order of their start.

    By start order it needs as many agents as runs were ever there at once, and no assignment needs fewer.
    """
    free: dict[str, list[int]] = defaultdict(list)
    busy: dict[str, list[tuple[float, int]]] = defaultdict(list)
    known: dict[str, int] = defaultdict(int)
    for run in runs:
        pool = run.pool
        while busy[pool] and busy[pool][0][0] <= run.start_ms:
            heappush(free[pool], heappop(busy[pool])[1])
        if not free[pool]:
            known[pool] += 1
            heappush(free[pool], known[pool])
        agent = heappop(free[pool])
        heappush(busy[pool], (run.start_ms + run.duration_ms, agent))
        yield f"{pool}/{agent}"


def _in_words(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _LOCKED:
        return f"is locked by another process ({error}), expected to read it beside the daemon; try again"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return f"is damaged ({error}), expected a whole database; restore a backup"
    return f"cannot be read ({error}), expected the daemon's performance.db"
