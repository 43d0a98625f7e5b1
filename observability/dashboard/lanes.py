"""A window's lanes for the timeline: what plan_window wrote down of it, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from observability.dashboard.timeline import Bar, Lane, Span
from orchestration.ctl import words
from orchestration.runs import Outcome
from orchestration.state.summaries import BusySpan

PLANNER = "plan_window"
LEVELS: Mapping[str | None, str] = {
    None: "run",
    Outcome.SUCCEEDED: "ok",
    # It goes on in its next run: neither done nor wrong.
    Outcome.CHECKPOINTED: "info",
    Outcome.KILLED: "warn",
    Outcome.INTERRUPTED: "warn",
}
"""Of a run's outcome; None: it is under way. Every other one is a failure."""
ENDS = {"checkpoint": ", then puts the rest off", "stopped": ", then is stopped", "beyond": ", and goes on"}
RECURS = 3
"""A task with more runs than this comes below those that a person waits for."""


def plan_for(reports: Iterable[Mapping[str, Any]], research_end: str) -> Mapping[str, Any] | None:
    """Return the plan of the window that ends at `research_end` (as the plan has it), None if there is none.

    reports: of plan_window's runs, newest first. The first plan made in the window counts: what was changed
    later has been changed against it. One made before the window counts if there is no other.
    """
    found = [
        report for report in reports if report.get("research_end") == research_end and report.get("runs")
    ]
    instant = datetime.fromisoformat
    within = [report for report in found if instant(report["made_at"]) >= instant(report["research_start"])]
    return within[-1] if within else next(iter(found), None)


def lanes(
    plan: Mapping[str, Any] | None, happened: Sequence[BusySpan], now: datetime, zone: tzinfo
) -> list[Lane]:
    """Return a lane for each task that was planned or ran, by their first start, the recurring ones last."""
    planned: dict[str, list[Bar]] = {}
    many = set()
    for row in plan["runs"] if plan else ():
        planned.setdefault(row["task"], []).append(planned_bar(row, zone))
        many |= {row["task"]} if row["count"] > RECURS else set()
    actual: dict[str, list[Bar]] = {}
    counts: dict[str, int] = {}
    for span in happened:
        actual.setdefault(span.task, []).append(actual_bar(span, now, zone))
        counts[span.task] = counts.get(span.task, 0) + span.runs
    many |= {task for task, count in counts.items() if count > RECURS}
    found = [
        Lane(label=task, planned=planned.get(task, ()), actual=actual.get(task, ()), link=f"/task/{task}")
        for task in {**planned, **actual}
    ]
    return sorted(found, key=lambda lane: (lane.label in many, _first(lane), lane.label))


def _first(lane: Lane) -> datetime:
    return min(bar.start for bar in (*lane.planned, *lane.actual))


def planned_bar(row: Mapping[str, Any], zone: tzinfo) -> Bar:
    """Return what a plan's row holds."""
    start, end = (datetime.fromisoformat(row[name]) for name in ("start", "end"))
    title = f"{_stretch(start, end, zone)}, {words.duration(60 * row['minutes'])}{ENDS.get(row['ends'], '')}"
    if row["count"] > 1:
        title = f"{row['count']} runs, {_stretch(start, end, zone)}"
    return Bar(start=start, end=end, title=title)


def actual_bar(span: BusySpan, now: datetime, zone: tzinfo) -> Bar:
    """Return a run, or some that ended alike; one that is under way ends now."""
    outcome = "running" if span.outcome is None else span.outcome.replace("_", " ")
    end = max(span.start, now) if span.end is None else span.end
    long = words.duration((end - span.start).total_seconds())
    title = f"{_stretch(span.start, end, zone)}, {long}, {outcome}"
    if span.outcome is None:
        title = f"since {span.start.astimezone(zone):%a %H:%M}, {long}, running"
    if span.runs > 1:
        title = f"{span.runs} runs, {_stretch(span.start, end, zone)}, {outcome}"
    return Bar(start=span.start, end=end, title=title, level=LEVELS.get(span.outcome, "fail"))


def _stretch(start: datetime, end: datetime, zone: tzinfo) -> str:
    begins, ends = start.astimezone(zone), end.astimezone(zone)
    return (
        f"{begins:%a %H:%M} to {ends:%H:%M}"
        if begins.date() == ends.date()
        else (f"{begins:%a %H:%M} to {ends:%a %H:%M}")
    )


def modes(research_start: datetime, prep_start: datetime, research_end: datetime) -> tuple[Span, ...]:
    """Return a window's two modes for the timeline."""
    return (
        Span(start=research_start, end=prep_start, name="research"),
        Span(start=prep_start, end=research_end, name="prep", shaded=True),
    )
