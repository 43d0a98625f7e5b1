"""Tonight: the window's plan beside what came of it, and every task that waits, with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from markupsafe import Markup

from observability.dashboard import reasons
from observability.dashboard.lanes import PLANNER, RECURS, lanes, modes, plan_for
from observability.dashboard.page import Page
from observability.dashboard.source import Source
from observability.dashboard.timeline import Lane, timeline
from orchestration.ctl import words
from orchestration.ctl.desk import View
from orchestration.ctl.health import BAD
from orchestration.ctl.present import running
from orchestration.decisions import Reason
from orchestration.state.summaries import busy_between, reports_of

MOST = 1500
"""Of more runs than these in the window those of an hour are one."""
SOON = timedelta(seconds=1)
KINDS = {"overnight": "The night", "weekend": "The weekend", "holiday": "The holiday"}


def make(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the page shows."""
    view, now = source.view(), source.now()
    start, prep, end = (
        datetime.fromisoformat(view[name]) for name in ("research_start", "prep_start", "research_end")
    )
    plan = plan_for(reports_of(source.engine, PLANNER, view["cycle"]), view["research_end"])
    happened = busy_between(source.engine, start, now + SOON, MOST) if now >= start else []
    found = lanes(plan, happened, now, source.zone)
    kind = KINDS.get(view["budget"]["budget_type"], "The long weekend")
    picture: Markup | None = None
    if found and start < end:
        spans = modes(start, prep, end)
        picture = timeline(found, start=start, end=end, zone=source.zone, label=kind, spans=spans, now=now)
    return {
        "view": view,
        "kind": kind,
        "known": view["calendar_known"] and start < end,
        "begun": now >= start,
        "plan": plan,
        "picture": picture,
        "score": score(found),
        "planner": PLANNER if PLANNER in source.specs else None,
        "queue": [row(task, source, now) for task in queue(view)],
        "disabled": [task for task in view["tasks"] if not task["enabled"]],
    }


def score(found: Sequence[Lane]) -> dict[str, int]:
    """Return how many of the planned tasks are done, run, failed, or are to come; what recurs is left out."""
    counts = {"planned": 0, "done": 0, "running": 0, "failed": 0, "to_come": 0}
    for lane in found:
        if (
            not lane.planned
            or len(lane.actual) > RECURS
            or any(" runs, " in bar.title for bar in lane.planned)
        ):
            continue
        levels = [bar.level for bar in lane.actual]
        state = "running" if "run" in levels else "done" if "ok" in levels else "to_come"
        if state == "to_come" and "fail" in levels:
            state = "failed"
        counts["planned"] += 1
        counts[state] += 1
    return counts


def queue(view: View) -> list[dict[str, Any]]:
    """Return the enabled tasks: those that run, those that could, the others by when they could run."""
    return sorted((task for task in view["tasks"] if task["enabled"]), key=words.by_urgency)


def row(task: Mapping[str, Any], source: Source, now: datetime) -> dict[str, Any]:
    """Return a line of the queue. reasons: every condition that fails, in words, the worst first."""
    failures = task["failures"]
    level = {"running": "run", "ready": "ok"}.get(task["status"], "info")
    if any(failure["reason"] in BAD for failure in failures):
        level = "warn"
    return {
        **task,
        "level": level,
        "when": when(task, source.zone, now),
        "reasons": [reasons.reason(_held(failure, source), source.zone, now) for failure in failures],
    }


def _held(failure: Mapping[str, Any], source: Source) -> Mapping[str, Any]:
    """Return a failing condition; a conflict with research lasts no longer than that goes on before PREP."""
    if failure["reason"] != Reason.CONFLICT:
        return failure
    named = failure["detail"].replace(",", " ").split()
    ends = [run.cut_at or run.predicted_end for run in running(source.view()) if run.task in named]
    return {**failure, "clears_at": max(ends, key=datetime.fromisoformat)} if ends else failure


def when(task: Mapping[str, Any], zone: tzinfo, now: datetime) -> str:
    """Return when a task will be ready, in words."""
    if task["status"] == "running":
        return f"runs since {words.instant(task['last_started_at'], zone, now)}"
    if task["status"] == "ready":
        return "now"
    if task["next_at"] is not None and datetime.fromisoformat(task["next_at"]) <= now:
        return "as soon as that is over"
    return words.next_start(dict(task), zone, now)


PAGES = (Page(path="/tonight", template="tonight.html", make=make, title="Tonight"),)
