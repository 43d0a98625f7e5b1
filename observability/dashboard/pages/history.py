"""History: what came of a past window or trading day, and how well hours are used and durations foretold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from operator import attrgetter
from typing import Any

from observability.dashboard import past
from observability.dashboard.chosen import PARTS, WINDOW, Chosen, choose
from observability.dashboard.lanes import LEVELS, PLANNER, lanes, plan_for
from observability.dashboard.page import Page
from observability.dashboard.reasons import phrase, reason
from observability.dashboard.source import Source
from observability.dashboard.timeline import timeline
from orchestration.decisions import Reason
from orchestration.narration import HELD
from orchestration.runs import Outcome
from orchestration.slots import iso
from orchestration.state.codec import gate_to_dict
from orchestration.state.history import WaitRow
from orchestration.state.summaries import (
    BriefRun,
    BusySpan,
    busy_between,
    reports_of,
    runs_between,
)

MOST_DRAWN = 3000
"""With more runs than this neighbours of one task are drawn as one."""
MOST_FAILURES = 50
MOST_HELD = 40
WINDOWS = (10, 30, 60)
"""How many windows' use is shown, the first without being asked."""
FAILED = frozenset(outcome.value for outcome in Outcome if LEVELS.get(outcome, "fail") != "ok") - {
    Outcome.CHECKPOINTED.value
}
MISSED = frozenset({Reason.DEADLINE_PASSED})
"""Why a slot that was skipped is one that went wrong; the hour's end is everyday for what fills time."""
NOT_STARTED = "not_started"
PROMISED, POOR = 0.9, 0.75
"""Shares of runs within the bound of their estimates: what is foretold of nine in ten, and what is poor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """A run that came to no good end, or a slot that was never started. at: when it began, was skipped.

    run_id: None of a slot. how: the run's outcome, `NOT_STARTED` of a slot.
    """

    task: str
    at: datetime
    run_id: str | None
    how: str
    why: str


def make(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the page shows. Raises LookupError for a day or a number that cannot be."""
    now, calendars = source.now(), source.calendars
    chosen = choose(calendars, now, wanted.get("day", ""), wanted.get("part", ""))
    count = _count(wanted.get("windows", str(WINDOWS[0])))
    happened = busy_between(source.engine, chosen.start, chosen.end, MOST_DRAWN)
    failures = runs_between(source.engine, chosen.start, chosen.end, FAILED, MOST_FAILURES)
    held, missed = past.waits(source, chosen.start, chosen.end, MISSED)
    uses = past.use_of(source, past.windows_before(source, now, count))
    accuracies = past.accuracies(source)
    return {
        "chosen": chosen,
        "begins": past.record_begins(source),
        "parts": PARTS,
        "figure": _figure(source, chosen, happened, now),
        "counts": _counts(happened),
        "use": _use_of(source, chosen),
        "is_merged": any(span.runs > 1 for span in happened),
        "missed": len(missed),
        "mishaps": mishaps(failures, missed, source.zone, now),
        "most_failures": MOST_FAILURES,
        "held": held[:MOST_HELD],
        "held_more": len(held) - MOST_HELD,
        "uses": uses,
        "types": past.by_type(uses),
        "windows": count,
        "choices": WINDOWS,
        "uses_chart": uses_chart(uses, source.zone.key),
        "accuracies": accuracies,
        "accuracy_chart": accuracy_chart(accuracies),
        "accuracy_words": accuracy_words(accuracies),
        "recent": past.RECENT,
        "level_of": level_of,
        "levels": LEVELS,
    }


def _count(text: str) -> int:
    if text not in map(str, WINDOWS):
        raise LookupError(
            f"there is no such number of windows: expected one of {', '.join(map(str, WINDOWS))}"
        )
    return int(text)


def _figure(source: Source, chosen: Chosen, happened: Sequence[BusySpan], now: datetime) -> Any:
    """Return the timeline; None where nothing was planned or ran."""
    plan = None
    if chosen.part == WINDOW:
        reports = reports_of(source.engine, PLANNER, chosen.day.isoformat())
        plan = plan_for(reports, iso(chosen.end))
    found = lanes(plan, happened, now, source.zone)
    if not found:
        return None
    return timeline(
        found,
        start=chosen.start,
        end=chosen.end,
        zone=source.zone,
        label=f"{chosen.title}: what was planned and what happened",
        spans=chosen.spans(source.calendars),
        now=now,
    )


def _counts(happened: Iterable[BusySpan]) -> Mapping[str, int]:
    """Return how many runs there were, by how they ended: done, unfinished, failed, running."""
    words = {"ok": "done", "info": "put off", "warn": "stopped", "fail": "failed", "run": "running"}
    found = Counter(dict.fromkeys(words.values(), 0))
    for span in happened:
        found[words[LEVELS.get(span.outcome, "fail")]] += span.runs
    return found


def mishaps(
    failures: Iterable[BriefRun], missed: Iterable[WaitRow], zone: tzinfo, now: datetime
) -> list[Mishap]:
    """Return what went wrong, the newest `MOST_FAILURES` first."""
    found = [
        Mishap(task=run.task, at=run.start, run_id=run.run_id, how=str(run.outcome), why=_why_failed(run))
        for run in failures
    ]
    found += [
        Mishap(task=slot.task, at=slot.at, run_id=None, how=NOT_STARTED, why=_why_missed(slot, zone, now))
        for slot in missed
    ]
    return sorted(found, key=attrgetter("at", "task"), reverse=True)[:MOST_FAILURES]


def _why_failed(run: BriefRun) -> str:
    code = "not recorded" if run.exit_code is None else f"exit code {run.exit_code}"
    return run.detail or run.stop_cause or code


def _why_missed(slot: WaitRow, zone: tzinfo, now: datetime) -> str:
    """Return why a slot was skipped, and what had held it back until then where that is known."""
    gate, *before = slot.failures
    text = reason(gate_to_dict(gate), zone, now)
    cause = before[0] if before and before[0].reason in HELD else None
    return text if cause is None else f"{text}. Until then: {phrase(cause, zone)}"


def _use_of(source: Source, chosen: Chosen) -> past.Use | None:
    """Return the use of the chosen window; None for a trading day, and where the record begins after it."""
    if chosen.part != WINDOW:
        return None
    now = source.now()
    windows = past.windows_before(source, min(chosen.end, now), 1) if chosen.start < now else []
    uses = past.use_of(source, [window for window in windows if window.cycle == chosen.day])
    return uses[0].use if uses else None


def level_of(within: float | None) -> str:
    """Return how a share of runs within the bound is judged."""
    if within is None:
        return "info"
    return "ok" if within >= PROMISED - 0.02 else "warn" if within >= POOR else "fail"


def uses_chart(uses: Sequence[past.WindowUse], zone: str) -> Mapping[str, Any]:
    """Return the share of each window's research hours in use, oldest first, for a chart."""
    ordered = uses[::-1]
    return {
        "kind": "bars",
        "time": True,
        "zone": zone,
        "unit": "%",
        "x": [int(each.window.start.timestamp()) for each in ordered],
        "series": [
            {"label": "in use", "level": "info", "values": [round(100 * u.use.share, 1) for u in ordered]}
        ],
    }


def accuracy_chart(accuracies: Sequence[past.Accuracy]) -> Mapping[str, Any]:
    """Return a point for each task, its estimate across and what it took up, both logarithmic."""
    ordered = sorted(accuracies, key=lambda each: each.estimated_s)
    x = [_minutes(each.estimated_s) for each in ordered]
    actual = [_minutes(each.actual_s) for each in ordered]
    return {
        "kind": "points",
        "log": True,
        "unit": "min",
        "across": "min",
        "x": x,
        "series": [
            {"label": "took (median)", "level": "info", "values": actual},
            {"label": "as estimated", "level": "dim", "kind": "line", "values": x},
        ],
    }


def _minutes(seconds: float) -> float:
    """Return minutes with four figures of meaning; a logarithm needs something above nothing."""
    return float(f"{max(seconds, 0.001) / 60:.4g}")


def accuracy_words(accuracies: Sequence[past.Accuracy]) -> str:
    """Return the chart in a sentence."""
    if not accuracies:
        return "No run with an estimate has succeeded yet."
    near = sum(each.factor <= 1.5 for each in accuracies)
    told = [each.within for each in accuracies if each.within is not None]
    bound = (
        f" {100 * sum(told) / len(told):.0f} % of runs stayed within what nine in ten should." if told else ""
    )
    return f"Of {len(accuracies)} tasks {near} are mostly within half as much again of their estimate.{bound}"


PAGES = (Page(path="/history", template="history.html", make=make, title="History"),)
