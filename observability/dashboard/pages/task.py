"""The tasks, and one task: its spec in words, why it does not run, its runs, and what they took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from observability.dashboard import past
from observability.dashboard.lanes import LEVELS
from observability.dashboard.page import Page
from observability.dashboard.pages.tonight import queue, row
from observability.dashboard.paging import Paging
from observability.dashboard.source import Source
from observability.dashboard.spec_words import told
from orchestration.runs import Outcome
from orchestration.spec_fields import did_you_mean
from orchestration.state.codec import from_instant, gate_to_dict
from orchestration.state.history import WaitRow
from orchestration.state.summaries import Taken, lengths_of, newest_waits, runs_named, taken_by

SIZE = 25
"""Runs on a page of them."""
DRAWN = 200
"""Runs whose durations are drawn one by one."""
WAITS = 30
QUANTILE_WORDS = ("1 in 20", "a quarter", "half", "three quarters", "9 in 10", "99 in 100")


def make_tasks(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the list of tasks shows."""
    view, now = source.view(), source.now()
    tasks = [row(task, source, now) for task in queue(view)]
    return {
        "tasks": tasks,
        "disabled": [task for task in view["tasks"] if not task["enabled"]],
        "counts": Counter(task["status"] for task in tasks),
        "paused": view["paused"],
        "levels": LEVELS,
    }


def make(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what a task's page shows; of one that is no longer among the tasks, what is recorded.

    Raises:
        LookupError: if there is no such task and no run of one; the message names the nearest.
    """
    name, now = wanted["task"], source.now()
    spec = source.specs.get(name)
    runs = taken_by(source.engine, name)
    if spec is None and not runs:
        raise LookupError(f"No task is called {name[:80]!r}{did_you_mean(name, source.specs)}")
    paging = Paging.of(wanted, len(runs), SIZE, f"/task/{name}")
    shown = runs[paging.offset : paging.offset + SIZE]
    return {
        "name": name,
        "spec": spec,
        "told": {} if spec is None else told(spec),
        "task": None if spec is None else _now(source, name),
        "open": runs_named(source.engine, [run.run_id for run in runs if run.outcome is None]),
        "runs": runs_named(source.engine, [run.run_id for run in shown]),
        "paging": paging,
        "outcomes": _outcomes(runs),
        "levels": LEVELS,
        "quantiles": QUANTILE_WORDS,
        **_spreads(runs, source.zone.key),
        "accuracy": past.accuracy(name, lengths_of(source.engine, [name], DRAWN).get(name, ())),
        "waits": newest_waits(source.engine, name, WAITS),
        "reasons": reasons,
        "now": now,
    }


def _now(source: Source, name: str) -> Mapping[str, Any] | None:
    """Return the task as it is now, None if the tasks have just changed."""
    found = [task for task in source.view()["tasks"] if task["name"] == name]
    return row(found[0], source, source.now()) if found else None


def reasons(wait: WaitRow) -> list[Mapping[str, Any]]:
    """Return the failing conditions of a recorded reason as the filter `reason` takes them."""
    return [gate_to_dict(gate) for gate in wait.failures]


def _outcomes(runs: Sequence[Taken]) -> list[tuple[str, int]]:
    """Return how many of the runs ended how, the most first."""
    return Counter(run.outcome or "running" for run in runs).most_common()


def _spreads(runs: Sequence[Taken], zone: str) -> Mapping[str, Any]:
    """Return the distributions of duration (of successes, in seconds) and of memory, with their charts."""
    done = [run for run in runs if run.outcome == Outcome.SUCCEEDED and run.duration_s is not None]
    lengths = past.distribution(run.duration_s for run in done if run.duration_s is not None)
    peaks = past.distribution(run.peak_memory_mb for run in runs if run.peak_memory_mb)
    newest = done[:DRAWN]
    return {
        "lengths": lengths,
        "peaks": peaks,
        "lengths_chart": None if lengths is None else spread_chart(lengths, *unit_of(lengths.most)),
        "peaks_chart": None if peaks is None else spread_chart(peaks, 1.0, "MB"),
        "course": course_chart(newest, zone) if len(newest) > 1 else None,
    }


def unit_of(seconds: float) -> tuple[float, str]:
    """Return the unit in which durations up to `seconds` are read, as its length in seconds and its sign."""
    return (1.0, "s") if seconds < 180 else (60.0, "min") if seconds < 3 * 3600 else (3600.0, "h")


def spread_chart(spread: past.Distribution, unit: float, sign: str) -> Mapping[str, Any]:
    """Return how many values lie where, for a chart."""
    return {
        "kind": "bars",
        "across": sign,
        "x": [_short(middle / unit) for middle, _ in spread.bins],
        "series": [{"label": "runs", "level": "info", "values": [count for _, count in spread.bins]}],
    }


def course_chart(newest: Sequence[Taken], zone: str) -> Mapping[str, Any]:
    """Return what the runs took beside what was foretold, oldest first, for a chart."""
    ordered = sorted(newest, key=lambda run: run.planned_at)
    unit, sign = unit_of(max(run.duration_s or 0.0 for run in ordered))
    estimates = [run.predicted_minutes for run in ordered]
    return {
        "time": True,
        "zone": zone,
        "unit": sign,
        "x": [round(from_instant(run.planned_at).timestamp()) for run in ordered],
        "series": [
            {
                "label": "took",
                "level": "info",
                "kind": "points",
                "values": [_short((run.duration_s or 0.0) / unit) for run in ordered],
            },
            {
                "label": "estimated",
                "level": "warn",
                "kind": "line",
                "values": [m and _short(60 * m / unit) for m in estimates],
            },
        ],
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


PAGES = (
    Page(path="/tasks", template="tasks.html", make=make_tasks, title="Tasks"),
    Page(path="/task/{task}", template="task.html", make=make),
)
