"""A recorded trace of any other system, run through the loop and decide().

A table (CSV with a header) has one row for each submitted task:

    task           its name, unique in the table
    submit         when it came: an ISO 8601 instant with a zone, or seconds from the beginning
    duration       seconds that it takes
    memory         MB at its peak
    dependencies   names that must have succeeded first, separated by blanks or semicolons; may be empty

and, if these columns are there: cpus (1), estimate (seconds that whoever submitted it asked for; the median
duration of the table where it is empty), priority (NORMAL), category (research: held to the research budget;
maintenance runs at any hour), conflicts, interruptible (no).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from pathlib import Path
from statistics import mean, median
from typing import TypeVar

from orchestration.clock import VirtualClock
from orchestration.decisions import Decision, Policy, Resources
from orchestration.errors import SpecError
from orchestration.policies import specs_under
from orchestration.ports import Sensors, Wake
from orchestration.reports import SessionTables
from orchestration.simulation.box import Simulation, build
from orchestration.simulation.stand_ins import Fortune, Happening, SteadySensors
from orchestration.spec_fields import NAME
from orchestration.types import OncePer, TaskCategory, TaskPriority, TaskSpec

COLUMNS = ("task", "submit", "duration", "memory", "dependencies")
MAY_HAVE = ("cpus", "estimate", "priority", "category", "conflicts", "interruptible")
FOR_EVER = timedelta(days=36_500)
"""How old a success may be that a dependency is met by: a trace knows no cycles."""
MOST_COMPLAINTS = 20
SHORT_S = 10.0
"""Bounded slowdown counts a shorter run as this long (Feitelson, 2001), or seconds would rule the mean."""

Row = Mapping[str, str]
Kind = TypeVar("Kind", TaskCategory, TaskPriority)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedTask:
    """One row. submit: an instant, or seconds from the beginning. It takes duration_s and spec.memory_mb."""

    spec: TaskSpec
    submit: datetime | float
    duration_s: float


@dataclass(frozen=True)
class Trace:
    """The rows by name, in the order of the file. A trace is a `Model`: each run takes what its row says."""

    rows: Mapping[str, TracedTask]

    def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
        row = self.rows[spec.name]
        return Fortune(row.duration_s / 60, row.spec.memory_mb)

    def submissions(self, start: datetime) -> list[tuple[float, tuple[str, ...]]]:
        """Return (seconds after `start`, the tasks that come then), the first first; what came before `start`
        comes with it."""
        found: dict[float, list[str]] = {}
        for name, row in self.rows.items():
            at = row.submit
            seconds = (at - start).total_seconds() if isinstance(at, datetime) else at
            found.setdefault(max(0.0, seconds), []).append(name)
        return [(seconds, tuple(found[seconds])) for seconds in sorted(found)]


@dataclass
class Replay:
    """A trace on its way through a box. submitted, started, ended: instants by task; a task starts again
    where it had to make room, and has ended when it succeeded."""

    simulation: Simulation
    trace: Trace
    policy: Policy
    submitted: dict[str, datetime] = field(default_factory=dict)
    started: dict[str, datetime] = field(default_factory=dict)
    ended: dict[str, datetime] = field(default_factory=dict)

    def submit(self, names: Sequence[str]) -> None:
        """Let tasks come: from the next turn on the loop knows them, and forgets what has succeeded."""
        now = self.simulation.clock.now()
        self.submitted |= dict.fromkeys(names, now)
        self._know()

    def watch(self, decision: Decision) -> None:
        """Note what this turn has started."""
        for start in decision.starts:
            self.started[start.key.task] = decision.at

    def forget(self) -> None:
        """Let the loop forget what has succeeded."""
        loop = self.simulation.loop
        succeeded = ((name, loop.state.record(name).last_success_at) for name in loop.specs)
        over = {name: at for name, at in succeeded if at is not None}
        if over:
            self.ended |= over
            self._know()

    def _know(self) -> None:
        live = [name for name in self.submitted if name not in self.ended]
        known = {name: self.trace.rows[name].spec for name in live}
        self.simulation.loop.specs = specs_under(self.policy, known)

    def report(self) -> dict[str, object]:
        """Return what became of the trace: hours waited, and how long tasks took from submission to end over
        how long they ran (bounded slowdown). None where nothing has ended."""
        waits = [self.ended[t] - self.submitted[t] for t in self.ended]
        ran = [self.trace.rows[t].duration_s for t in self.ended]
        slowdowns = [max(1.0, w.total_seconds() / max(s, SHORT_S)) for w, s in zip(waits, ran, strict=True)]
        waited = [max(0.0, w.total_seconds() - s) / 3600 for w, s in zip(waits, ran, strict=True)]
        return {
            "submitted": len(self.submitted),
            "finished": len(self.ended),
            "mean_wait_hours": mean(waited) if waited else None,
            "longest_wait_hours": max(waited, default=None),
            "bounded_slowdown": mean(slowdowns) if slowdowns else None,
            "last_end": max(self.ended.values()).isoformat() if self.ended else None,
        }


@dataclass
class _Between:
    """`Sensors` that call `act` whenever they are read: after a turn has taken its results in, and before it
    decides. Later would be too late: where a run ends with its cycle, the next cycle would ask for it again.
    """

    sensors: Sensors
    act: Callable[[], None] = lambda: None

    def read(self, used_mb: Mapping[str, float]) -> Resources:
        self.act()
        return self.sensors.read(used_mb)


def replayed(
    trace: Trace,
    policy: Policy,
    tables: SessionTables,
    start: datetime,
    *,
    sensors: Sensors | None = None,
) -> Replay:
    """Return a box at `start` (aware UTC) to which the trace's tasks come in their time.

    `run_until` of its simulation runs it; add `Replay.watch` to what watches.
    """
    specs = {name: row.spec for name, row in trace.rows.items()}
    begin_s = VirtualClock(start).monotonic()
    made: list[Replay] = []

    def submission(names: tuple[str, ...]) -> Callable[[], None]:
        return lambda: made[0].submit(names)

    happenings = [
        Happening(begin_s + seconds, Wake.COMMAND, submission(names))
        for seconds, names in trace.submissions(start)
    ]
    between = _Between(sensors or SteadySensors())
    simulation = build(
        specs,
        policy,
        tables,
        start,
        model=trace,
        sensors=between,
        happenings=happenings,
        keep_events=False,
    )
    replay = Replay(simulation, trace, policy)
    simulation.watch, between.act = replay.watch, replay.forget
    made.append(replay)
    replay.submit(())
    return replay


def read_trace(path: Path) -> Trace:
    """Return the trace in a table.

    Raises:
        SpecError: with every complaint (20 at most): file, line, column, what is wrong and what was expected.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            table = list(csv.DictReader(lines))
            header = _header(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"{path}: the trace cannot be read: {error}") from error
    unknown = [name for name in header if name not in (*COLUMNS, *MAY_HAVE)]
    missing = [name for name in COLUMNS if name not in header]
    if missing or unknown:
        raise SpecError(
            f"{path}, line 1: the columns are {', '.join(header) or 'none'}: expected {', '.join(COLUMNS)}"
            f" and any of {', '.join(MAY_HAVE)}"
        )
    if not table:
        raise SpecError(f"{path}: the trace has no rows")
    return Trace(_checked_rows(path, table))


def _header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return next(csv.reader(lines), [])


def _checked_rows(path: Path, table: Sequence[Row]) -> dict[str, TracedTask]:
    rows: dict[str, TracedTask] = {}
    complaints: list[str] = []
    durations = [d for d in (_number_or_none(row["duration"]) for row in table) if d is not None]
    typical = median(durations) if durations else 60.0
    for line, row in enumerate(table, start=2):
        try:
            made = _traced(row, typical)
            if made.spec.name in rows:
                raise ValueError(f"task is {made.spec.name!r}: that name was there already")
            rows[made.spec.name] = made
        except ValueError as error:
            complaints.append(f"{path}, line {line}: {error}")
    kinds = {type(row.submit) for row in rows.values()}
    if len(kinds) > 1:
        complaints.append(f"{path}: submit is an instant in some rows and seconds in others")
    complaints += [
        f"{path}: task {row.spec.name!r} depends on or conflicts with {name!r}, which is not in the table"
        for row in rows.values()
        for name in sorted((row.spec.dependencies | row.spec.conflicts) - rows.keys())
        if not complaints
    ]
    if complaints:
        more = len(complaints) - MOST_COMPLAINTS
        rest = [f"and {more} more"] if more > 0 else []
        raise SpecError("\n".join([*complaints[:MOST_COMPLAINTS], *rest]))
    return rows


def _traced(row: Row, typical_s: float) -> TracedTask:
    name = row["task"] or ""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"task is {name!r}: expected lower case letters, digits and underscores, a letter first"
        )
    duration = _number(row, "duration")
    dependencies = _names(row["dependencies"])
    estimate = _number(row, "estimate") if row.get("estimate") else typical_s
    cpus = _number(row, "cpus") if row.get("cpus") else 1.0
    category = _one_of(row, "category", TaskCategory, TaskCategory.RESEARCH)
    spec = TaskSpec(
        name=name,
        category=category,
        priority=_one_of(row, "priority", TaskPriority, TaskPriority.NORMAL),
        argv=("-",),
        modes={"research"} if category is TaskCategory.RESEARCH else set(),
        dependencies=dependencies,
        dependency_max_age=dict.fromkeys(dependencies, FOR_EVER),
        conflicts=_names(row.get("conflicts")),
        memory_mb=_number(row, "memory"),
        estimated_minutes=max(estimate, 1.0) / 60,
        timeout_minutes=0,
        max_attempts=1_000,
        interruptible=_yes(row),
        idempotent=True,
        once_per=OncePer.CYCLE,
        cpus=int(cpus),
        tolerance=FOR_EVER,
    )
    return TracedTask(spec=spec, submit=_instant_or_seconds(row["submit"]), duration_s=duration)


def _number(row: Row, column: str) -> float:
    value = _number_or_none(row[column])
    if value is None:
        raise ValueError(f"{column} is {row[column]!r}: expected a number, 0 or more")
    return value


def _number_or_none(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None


def _names(text: str | None) -> frozenset[str]:
    return frozenset((text or "").replace(";", " ").split())


def _yes(row: Row) -> bool:
    text = (row.get("interruptible") or "no").lower()
    if text not in ("yes", "no"):
        raise ValueError(f"interruptible is {text!r}: expected yes or no")
    return text == "yes"


def _one_of(row: Row, column: str, known: type[Kind], other: Kind) -> Kind:
    text = row.get(column)
    if not text:
        return other
    found = {member.name: member for member in known}.get(text.upper())
    if found is None:
        raise ValueError(f"{column} is {text!r}: expected one of {', '.join(m.name for m in known)}")
    return found


def _instant_or_seconds(text: str | None) -> datetime | float:
    seconds = _number_or_none(text)
    if seconds is not None:
        return seconds
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(
            f"submit is {text!r}: expected seconds from the beginning, or an instant with a zone, as"
            " 2026-11-20T18:00:00Z"
        )
    return at
