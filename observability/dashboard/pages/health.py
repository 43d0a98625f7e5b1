"""Health: how the box, its books and its alerts are. What is unknown is said to be, never taken for fine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from hardware.health import read_health
from observability.dashboard import told, upkeep
from observability.dashboard.box_state import box_lines, used_by_process
from observability.dashboard.page import Page
from observability.dashboard.render import SEVERITIES
from observability.dashboard.source import Source
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
    """Return what the page shows."""
    view, now, settings = source.view(), source.now(), source.desk.settings
    engine, state_dir = source.engine, source.state_dir
    checked = upkeep.newest_of(
        upkeep.newest_report(engine, view, task, "items") for task in ("health_check", "pre_market_check")
    )
    verified = upkeep.newest_report(engine, view, "verify_backups", "backups")
    synced = settings.assume_clock_synced
    tables = source.desk.box.tables
    today = now.astimezone(source.zone).date()
    return {
        "view": view,
        "box": box_lines(
            read_health(disk=state_dir, now=now, assume_clock_synced=synced), settings.max_temperature_c
        ),
        "resources": view["resources"],
        "reserve_mb": settings.memory_reserve_mb,
        "rung": RUNGS.get(view["rung"], view["rung"]),
        "daemon": used_by_process(view["daemon"]["pid"], now) if view["daemon"] else None,
        "own": used_by_process(None, now),
        "budgets": RSS_BUDGETS_MB,
        "databases": upkeep.databases(state_dir, checked),
        "backups": upkeep.backups(settings.backup_dir, verified, now),
        "verified": verified,
        "calendar": upkeep.calendar_line(view, today),
        "disagreements": tables.disagreements(today),
        "overrides": [each for each in tables.overrides if each.day >= today],
        "checked": checked,
        "items": upkeep.item_lines(checked),
        "learned": upkeep.learned(state_dir / "adaptive"),
        "events": recent_events(engine, EVENTS_SHOWN),
        "severities": SEVERITIES,
        **_alerts(source, now),
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
