"""Health: how the box, its books and its alerts are. What is unknown is said to be, never taken for fine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from observability.dashboard import told, upkeep
from observability.dashboard.box_state import Line, box_lines, used_by_process
from observability.dashboard.page import Page
from observability.dashboard.recovery import problem_of
from observability.dashboard.render import SEVERITIES
from observability.dashboard.source import Source
from orchestration.errors import OrchestratorError
from orchestration.state.history import AlertRow, recent_alerts, recent_events

ALERTS_SHOWN, EVENTS_SHOWN = 30, 30
RSS_BUDGETS_MB: Final = {"daemon": 50, "dashboard": 80}
"""What each may take; both are measured and tested."""

RUNGS: Final[Mapping[str, str]] = {
    "cgroup": "a memory cgroup of its own: the kernel holds each run to its limit",
    "watch": "the daemon's own watch, ten times a second; `orchestratorctl check` says what to add for more",
}
"""How each run's memory is limited, in words."""


def make(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the page shows; of a box whose database cannot be read all that does not stand in it."""
    try:
        recorded = _recorded(source)
    except (OrchestratorError, OSError) as error:
        recorded = _unrecorded(source, error)
    return {**_of_the_box(source, recorded["holder"]), **recorded}


def _of_the_box(source: Source, holder: Mapping[str, Any] | None) -> dict[str, Any]:
    now, settings = source.now(), source.desk.settings
    return {
        "box": box_lines(source.health(), settings.max_temperature_c),
        "reserve_mb": settings.memory_reserve_mb,
        "daemon": used_by_process(holder["pid"], now) if holder else None,
        "own": used_by_process(None, now),
        "budgets": RSS_BUDGETS_MB,
        "learned": upkeep.learned(source.state_dir / "adaptive"),
        "severities": SEVERITIES,
    }


def _recorded(source: Source) -> dict[str, Any]:
    """Return what follows from the database. Raises OrchestratorError, OSError."""
    view, now, engine = source.view(), source.now(), source.engine
    checked = upkeep.newest_of(
        upkeep.newest_report(engine, view, task, "items") for task in ("health_check", "pre_market_check")
    )
    verified = upkeep.newest_report(engine, view, "verify_backups", "backups")
    tables = source.desk.box.tables
    today = now.astimezone(source.zone).date()
    return {
        "view": view,
        "problem": None,
        "holder": view["daemon"],
        "resources": view["resources"],
        "rung": RUNGS.get(view["rung"], view["rung"]),
        "databases": upkeep.databases(source.state_dir, checked),
        "backups": upkeep.backups(source.desk.settings.backup_dir, verified, now),
        "verified": verified,
        "calendar": upkeep.calendar_line(view, today),
        "disagreements": tables.disagreements(today),
        "overrides": [each for each in tables.overrides if each.day >= today],
        "checked": checked,
        "items": upkeep.item_lines(checked),
        "events": recent_events(engine, EVENTS_SHOWN),
        **_alerts(source, now),
    }


def _unrecorded(source: Source, error: Exception) -> dict[str, Any]:
    """Return what is known without a view: the files, the backups, and how to go on."""
    settings, now = source.desk.settings, source.now()
    database = source.desk.box.database
    problem = problem_of(error, database, settings.backup_dir)
    found = upkeep.databases(source.state_dir, None)
    if problem.is_damage:
        said = Line(name="performance.db", level="fail", text="damaged")
        found = [
            replace(each, check=said, checked_at=now) if database and each.name == database.name else each
            for each in found
        ]
    return {
        "view": None,
        "problem": problem,
        "holder": source.desk.daemon.holder(),
        "resources": source.resources(),
        "databases": found,
        "backups": upkeep.backups(settings.backup_dir, None, now),
        "verified": None,
    }


def _alerts(source: Source, now: datetime) -> dict[str, Any]:
    known = told.deliveries(source.state_dir / told.NAME)
    rows = recent_alerts(source.engine, ALERTS_SHOWN)
    return {
        "deliveries": known,
        "recent": [(row, stood(row, now), known.of(row)) for row in rows],
    }


def stood(alert: AlertRow, now: datetime) -> timedelta:
    """Return how long an alert stood, or has stood so far."""
    return max(timedelta(0), (alert.cleared_at or now) - alert.raised_at)


PAGES = (Page(path="/health", template="health.html", make=make, title="Health"),)
