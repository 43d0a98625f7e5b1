"""The metrics themselves, each a family with its samples.

Names and units follow the conventions (base units, `_total` for counters); docs/metrics.md explains each. No
label takes a value that the box did not choose itself: tasks, outcomes and reasons are lists with an end.
"""

from __future__ import annotations

import platform
import shutil
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Protocol

import psutil
from sqlalchemy import Engine, select

from hardware.patterns import ERRORS
from observability.totals import LATENESS_BOUNDS_S, Totals
from orchestration.decisions import Reason
from orchestration.pulse import last_written
from orchestration.runs import Outcome
from orchestration.state import schema
from orchestration.state.backups import connect_readonly
from orchestration.state.codec import from_instant, to_instant
from orchestration.types import OperatingMode, Phase, TaskSpec

PREFIX = "orchestrator"
MB = 1_000_000
BUDGET_TYPES = ("overnight", "weekend", "holiday", "holiday_weekend")
SEVERITIES = ("info", "warning", "error", "critical")
DATABASES = ("performance", "ledger", "control")
BY_THE_HOUR = frozenset(
    {
        Reason.DISABLED,
        Reason.WRONG_MODE,
        Reason.WRONG_PHASE,
        Reason.OUTSIDE_WINDOW,
        Reason.NOT_DUE,
        Reason.ALREADY_RAN,
    }
)
"""The calendar's everyday doing: a task that waits for its hour is not blocked."""
BLOCKING = tuple(reason for reason in Reason if reason not in BY_THE_HOUR)


class Seen(Protocol):
    """What is needed of the dashboard's `Source`."""

    def now(self) -> datetime: ...

    def view(self) -> dict[str, Any]: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def specs(self) -> Mapping[str, TaskSpec]: ...

    @property
    def state_dir(self) -> Path: ...

    @property
    def ledger_file(self) -> Path: ...


def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Any:
    """Return an empty family. Untyped here, as prometheus_client is not loaded for its names alone."""
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=list(labels))


def counter(name: str, text: str, labels: Sequence[str] = ()) -> Any:
    """Return an empty family; its samples end in `_total`."""
    from prometheus_client.core import CounterMetricFamily

    return CounterMetricFamily(f"{PREFIX}_{name}", text, labels=list(labels))


def states(name: str, text: str, known: Iterable[str], present: str | None) -> Any:
    """Return a state set: 1 for the present state, 0 for the others."""
    from prometheus_client.core import StateSetMetricFamily

    return StateSetMetricFamily(f"{PREFIX}_{name}", text, {each: each == present for each in known})


def one(name: str, text: str, value: float | bool | None) -> Any:
    """Return a gauge with one sample; without one where the value is not known."""
    made = gauge(name, text)
    if value is not None:
        made.add_metric([], float(value))
    return made


def each(name: str, text: str, label: str, values: Mapping[str, float | bool | None]) -> Any:
    """Return a gauge with a sample for each known value."""
    made = gauge(name, text, [label])
    for key, value in values.items():
        if value is not None:
            made.add_metric([key], float(value))
    return made


def every(source: Seen, view: Mapping[str, Any], totals: Totals) -> Iterator[Any]:
    """Yield every family."""
    specs = {name: spec for name, spec in source.specs.items() if spec.enabled}
    yield from daemon_families(view, source.state_dir)
    yield from window_families(view, source)
    yield from task_families(view, specs, totals)
    yield from count_families(specs, totals)
    yield from box_families(view, source.state_dir)
    yield from alert_families(view, totals)
    yield from book_families(source.ledger_file)


def daemon_families(view: Mapping[str, Any], state_dir: Path) -> Iterator[Any]:
    """Yield whether the daemon runs, since when, what it takes, and what it is for at this hour."""
    who = view["daemon"]
    yield one("up", "Whether the daemon runs.", who is not None)
    since = who and who.get("since")
    started = None if not since else datetime.fromisoformat(since).timestamp()
    yield one("daemon_start_time_seconds", "When the daemon was started, seconds since 1970.", started)
    wrote = last_written(state_dir)
    yield one(
        "daemon_last_write_timestamp_seconds",
        "When the daemon last wrote its state, or that it lives.",
        None if wrote is None else wrote.timestamp(),
    )
    resident, cpu = _process(who and who.get("pid"))
    yield one("daemon_resident_memory_bytes", "What the daemon itself holds in memory.", resident)
    used = counter("daemon_cpu_seconds", "Processor time of the daemon since its start.")
    if cpu is not None:
        used.add_metric([], cpu)
    yield used
    yield _info(view, who)
    yield states("mode", "What the box is for at this hour.", map(str, OperatingMode), view["mode"])
    yield states("phase", "The market's part of the day.", map(str, Phase), view["phase"])
    yield one("calendar_known", "Whether a session table covers today.", view["calendar_known"])
    horizon = datetime.fromisoformat(f"{view['calendar_horizon']}T00:00:00+00:00").timestamp()
    yield one("calendar_horizon_timestamp_seconds", "The last day that the calendar knows.", horizon)
    yield one("paused", "Whether a person has paused research or everything.", bool(view["paused"]))


def _info(view: Mapping[str, Any], who: Mapping[str, Any] | None) -> Any:
    from prometheus_client.core import InfoMetricFamily

    build = {
        "version": str((who or {}).get("version") or ""),
        "python": platform.python_version(),
        "policy": str(view["policy"]),
        "memory_limits": str(view["rung"]),
    }
    return InfoMetricFamily(f"{PREFIX}_build", "The daemon's version, and how it works.", build)


def _process(pid: object) -> tuple[float | None, float | None]:
    """Return the resident bytes and the processor seconds of a process; None where it cannot be asked."""
    if not isinstance(pid, int):
        return None, None
    try:
        process = psutil.Process(pid)
        spent = process.cpu_times()
        return float(process.memory_info().rss), float(spent.user + spent.system)
    except psutil.Error:
        return None, None


def window_families(view: Mapping[str, Any], source: Seen) -> Iterator[Any]:
    """Yield the research time of the present window, or where none is open of the next one."""
    start, end = from_instant(view["research_start"]), from_instant(view["prep_start"])
    now = from_instant(view["at"])
    span, passed = (end - start).total_seconds(), (min(now, end) - start).total_seconds()
    passed, budget = max(0.0, passed), view["budget"]
    names = {name for name, spec in source.specs.items() if spec.is_research}
    used = research_used_s(source.engine, names, start, min(now, end)) if passed else 0.0
    kind = str(budget["budget_type"])
    yield states("budget_type", "What kind of window the research budget is of.", BUDGET_TYPES, kind)
    yield one(
        "window_extended", "Whether the window has more than 12 hours of research.", budget["is_extended"]
    )
    text = "Research time of the whole window, from its start to the preparation of trading."
    yield one("window_research_available_seconds", text, span)
    yield one("window_research_elapsed_seconds", "Research time of the window that has passed.", passed)
    text = "Research time of the window in which at least one research task ran."
    yield one("window_research_used_seconds", text, used)
    text = "Research time used, as a part of what has passed."
    yield one("window_utilisation_ratio", text, used / passed if passed else None)
    left = 3600 * budget["research_hours"]
    yield one("research_budget_remaining_seconds", "Research time that is left in the window.", left)
    text = "Research time that is left, as a part of the window's."
    yield one("research_budget_remaining_ratio", text, budget["budget_pct_remaining"])


def research_used_s(engine: Engine, tasks: Collection[str], start: datetime, end: datetime) -> float:
    """Return for how long within [start, end) at least one run of `tasks` was under way."""
    runs = schema.task_runs.c
    # The tasks are picked out here: asked for in the query, SQLite reads all their history, not the window.
    query = (
        select(runs.task, runs.planned_at, runs.started_at, runs.ended_at)
        .where(runs.planned_at >= to_instant(start))
        .order_by(runs.planned_at)
    )
    with engine.connect() as connection:
        rows = [row for row in connection.execute(query) if row.task in tasks]
    used, reached = timedelta(0), start
    for _, planned_at, started_at, ended_at in rows:
        begun = max(from_instant(started_at or planned_at), reached)
        over = min(end, end if ended_at is None else from_instant(ended_at))
        if over > begun:
            used, reached = used + (over - begun), over
    return used.total_seconds()


def task_families(view: Mapping[str, Any], specs: Mapping[str, TaskSpec], totals: Totals) -> Iterator[Any]:
    """Yield how each enabled task stands."""
    tasks = {task["name"]: task for task in view["tasks"] if task["name"] in specs}
    running = {run["task"]: run for run in view["running"]}
    about = gauge("task_info", "What a task is: always 1.", ["task", "category", "priority", "duty"])
    for name, spec in specs.items():
        about.add_metric([name, spec.category.value, spec.priority.name, str(spec.is_duty).lower()], 1)
    yield about
    yield each("task_running", "Whether a task runs.", "task", {name: name in running for name in tasks})
    yield _blocked(tasks)

    def of(name: str, text: str, key: str, scale: float = 1.0) -> Any:
        found = {task: row[key] for task, row in tasks.items()}
        return each(name, text, "task", {t: None if v is None else scale * v for t, v in found.items()})

    def at(name: str, text: str, key: str) -> Any:
        found = {task: row[key] for task, row in tasks.items()}
        return each(
            name,
            text,
            "task",
            {t: None if v is None else from_instant(v).timestamp() for t, v in found.items()},
        )

    yield of("task_predicted_duration_seconds", "How long a task is likely to take.", "predicted_minutes", 60)
    text = "What a task stays below in nine cases of ten."
    yield of("task_predicted_high_duration_seconds", text, "predicted_high_minutes", 60)
    yield of("task_memory_reserved_bytes", "Memory that is kept for a task's next run.", "reserve_mb", MB)
    last = {name: totals.last[name] for name in specs if name in totals.last}
    text = "How long a task's last run took."
    yield each("task_last_duration_seconds", text, "task", {name: run.seconds for name, run in last.items()})
    peaks = {name: None if run.peak_mb is None else MB * run.peak_mb for name, run in last.items()}
    yield each("task_memory_peak_bytes", "The peak memory of a task's last run.", "task", peaks)
    yield at("task_last_start_timestamp_seconds", "When a task was last started.", "last_started_at")
    yield at("task_last_success_timestamp_seconds", "When a task last succeeded.", "last_success_at")


def _blocked(tasks: Mapping[str, Mapping[str, Any]]) -> Any:
    text = "Whether a task whose hour it is is held back, by reason."
    made = gauge("task_blocked", text, ["task", "reason"])
    for name, task in tasks.items():
        found = {gate["reason"] for gate in task["failures"]}
        if found & BY_THE_HOUR:
            found = set()
        for reason in BLOCKING:
            made.add_metric([name, reason.value.lower()], float(reason in found))
    return made


def count_families(specs: Mapping[str, TaskSpec], totals: Totals) -> Iterator[Any]:
    """Yield what has happened; every count is there from the beginning, as 0."""
    from prometheus_client.core import HistogramMetricFamily, SummaryMetricFamily

    text = "When the counters of runs, slots and alerts began at 0."
    yield one("counting_since_timestamp_seconds", text, totals.since.timestamp())
    runs = counter("task_runs", "Runs that have ended, by how.", ["task", "result"])
    for name in specs:
        for outcome in Outcome:
            runs.add_metric([name, outcome.value], totals.runs[name, outcome.value])
    yield runs
    seconds = SummaryMetricFamily(
        f"{PREFIX}_task_duration_seconds", "How long ended runs took.", labels=["task"]
    )
    for name in specs:
        seconds.add_metric([name], totals.durations[name], totals.seconds.get(name, 0.0))
    yield seconds
    missed = counter("task_deadlines_missed", "Slots whose deadline passed before a start.", ["task"])
    for name in specs:
        missed.add_metric([name], totals.skipped[name, Reason.DEADLINE_PASSED.value])
    yield missed
    skipped = counter("slots_skipped", "Occasions to run that passed unused, by reason.", ["reason"])
    for reason in Reason:
        skipped.add_metric(
            [reason.value.lower()],
            sum(count for (task, why), count in totals.skipped.items() if why == reason and task in specs),
        )
    yield skipped
    late = HistogramMetricFamily(f"{PREFIX}_duty_lateness_seconds", "How late trading duties were started.")
    late.add_metric([], list(_buckets(totals)), totals.lateness_s)
    yield late


def _buckets(totals: Totals) -> Iterator[tuple[str, float]]:
    count = 0
    for bound, more in zip((*map(str, LATENESS_BOUNDS_S), "+Inf"), totals.lateness, strict=True):
        count += more
        yield bound, float(count)


def box_families(view: Mapping[str, Any], state_dir: Path) -> Iterator[Any]:
    """Yield memory, heat, disk, clock, network and the databases' sizes."""
    has, running = view["resources"], view["running"]
    yield one("memory_available_bytes", "What a new process could get.", MB * has["available_mb"])
    yield one("memory_size_bytes", "The memory of the box.", MB * has["total_mb"])
    reserved = MB * sum(run["reserved_mb"] for run in running)
    yield one("memory_reserved_bytes", "What is reserved for the runs that are under way.", reserved)
    used = MB * sum(run["used_mb"] or 0.0 for run in running)
    yield one("memory_used_by_runs_bytes", "What the runs that are under way use.", used)
    yield one("temperature_celsius", "The box's hottest sensor.", has["temperature_c"])
    yield one("too_hot", "Whether it is too hot for research to start.", has["too_hot"])
    yield one("clock_synchronised", "Whether the clock is known to be right.", has["clock_synced"])
    yield one("network_up", "Whether there is a way to the network.", has["network_up"])
    pressure = has["memory_pressure_pct"]
    text = "Part of the last ten seconds in which something waited for memory."
    yield one("memory_pressure_ratio", text, None if pressure is None else pressure / 100)
    free: int | None = None
    size: int | None = None
    with suppress(OSError):
        disk = shutil.disk_usage(state_dir)
        size, free = disk.total, disk.free
    yield one("disk_free_bytes", "Free room on the disk of the state.", free)
    yield one("disk_size_bytes", "The size of the disk of the state.", size)
    sizes = {name: _size(state_dir / f"{name}.db") for name in DATABASES}
    yield each("database_size_bytes", "A database with its write-ahead log.", "database", sizes)


def _size(file: Path) -> float | None:
    """Return the bytes of a database and of its log; None if there is none."""
    try:
        size = file.stat().st_size
    except OSError:
        return None
    with suppress(OSError):
        size += file.with_name(f"{file.name}-wal").stat().st_size
    return float(size)


def alert_families(view: Mapping[str, Any], totals: Totals) -> Iterator[Any]:
    """Yield the alerts, the fault on the LEDs, and whether trading is halted."""
    alerts = view["alerts"]
    open_ = {severity: sum(row["severity"] == severity for row in alerts) for severity in SEVERITIES}
    yield each("alerts_open", "Alerts that stand.", "severity", open_)
    unseen = sum(row["acknowledged_at"] is None for row in alerts)
    yield one("alerts_unacknowledged", "Alerts that stand and that nobody has acknowledged.", unseen)
    raised = counter("alerts_raised", "Alerts raised.", ["severity"])
    for severity in SEVERITIES:
        raised.add_metric([severity], totals.alerts[severity])
    yield raised
    fault = view["fault"]
    shown = fault if fault in ERRORS or fault is None else "unknown_fault"
    faults = {name: name == shown for name in ERRORS}
    yield each("fault", "Whether the LEDs show this fault.", "fault", faults)
    yield one("trading_halted", "Whether trading is halted.", view["halted"] is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the jobs' books say, in the account's currency. profit: since the ledger began, as the risk limits
    saw it last; the others are of the last books that were closed. None: no such row."""

    profit: Decimal | None = None
    equity: Decimal | None = None
    closed_at: datetime | None = None
    pnl: Mapping[str, Decimal] | None = None
    positions: int | None = None
    gross: Decimal | None = None


def read_books(ledger: Path) -> Books:
    """Return what the ledger says; nothing where there is none, or an older one without these tables."""
    if not ledger.exists():
        return Books()
    try:
        with closing(connect_readonly(ledger, 1.0)) as connection:
            connection.row_factory = sqlite3.Row
            return _books(connection)
    except (sqlite3.Error, InvalidOperation, ValueError):
        return Books()


def _books(connection: sqlite3.Connection) -> Books:
    day = connection.execute("SELECT * FROM equity_days ORDER BY session DESC LIMIT 1").fetchone()
    closed = connection.execute("SELECT * FROM pnl_sessions ORDER BY session DESC LIMIT 1").fetchone()
    profit = None if day is None else Decimal(day["last"])
    equity = None if profit is None else Decimal(day["capital"]) + profit
    if closed is None:
        return Books(profit=profit, equity=equity)
    query = "SELECT quantity, price FROM pnl_daily WHERE session = ? AND quantity != 0"
    held = connection.execute(query, (closed["session"],)).fetchall()
    return Books(
        profit=profit,
        equity=equity,
        closed_at=from_instant(closed["closed_at"]),
        pnl={kind: Decimal(closed[kind]) for kind in ("realised", "unrealised", "fees")},
        positions=len(held),
        gross=sum((abs(row["quantity"]) * Decimal(row["price"]) for row in held), Decimal(0)),
    )


def book_families(ledger: Path) -> Iterator[Any]:
    """Yield positions, profit and equity, as far as there are books."""
    books = read_books(ledger)

    def money(value: Decimal | None) -> float | None:
        return None if value is None else float(value)

    text = "Positions at the last close of the books, by strategy and symbol."
    yield one("positions_open", text, books.positions)
    yield one(
        "positions_gross_usd",
        "What those positions are worth, short ones counted as positive.",
        money(books.gross),
    )
    text = "Profit since the ledger began, at the last close of the books."
    yield each("pnl_usd", text, "kind", {kind: money(value) for kind, value in (books.pnl or {}).items()})
    text = "Profit since the ledger began, as the risk limits saw it last."
    yield one("profit_usd", text, money(books.profit))
    yield one("equity_usd", "Capital and profit, as the risk limits saw it last.", money(books.equity))
    closed_at = None if books.closed_at is None else books.closed_at.timestamp()
    yield one("books_closed_timestamp_seconds", "When the books were last closed.", closed_at)
