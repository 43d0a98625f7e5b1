"""Is everything fine? What a look at the view says, the worst first. Values in, words out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from orchestration.halt import ALERT

HORIZON_WARNING = timedelta(days=30)
BAD = {
    "NEEDS_RECONCILE": "needs reconciling: orchestratorctl reconcile {task}",
    "QUARANTINED": "is quarantined after repeated failures: orchestratorctl runs --task {task}",
    "DEPENDENCY_FAILED": "waits for a task that failed: orchestratorctl why {task}",
    "DEADLINE_PASSED": "missed its deadline: orchestratorctl why {task}",
}
"""Reasons that want a person; the others are the box's everyday life."""


def complaints(view: dict[str, Any], alerts: Sequence[dict[str, Any]]) -> list[str]:
    """Return what is not fine, in words; empty: everything is. alerts: the open ones (key, text)."""
    found = []
    halted = view.get("halted")
    if halted:
        found.append(f"TRADING IS HALTED: {halted}; back with orchestratorctl resume --trading")
    if view["daemon"] is None:
        found.append("no daemon is running")
    found += [f"alert: {alert['text']}" for alert in alerts if not (halted and alert["key"] == ALERT)]
    found += _of_calendar(view)
    resources = view["resources"]
    if resources["clock_synced"] is not True:
        found.append("the clock is not known to be right: no trading task starts")
    if resources["network_up"] is False:
        found.append("the network is down")
    if resources["too_hot"]:
        found.append(f"too hot ({resources['temperature_c']} C): no research starts")
    if view["paused"]:
        what = "everything" if view["paused"] == "all" else "research and maintenance"
        found.append(f"paused: {what}; orchestratorctl resume")
    told = {str(alert.get("task")) for alert in alerts}
    for task in view["tasks"]:
        if task["enabled"] and task["name"] not in told:
            found += _of_task(task)
    return found


def _of_calendar(view: dict[str, Any]) -> list[str]:
    if not view["calendar_known"]:
        return ["no session is known for today: orchestratorctl run refresh_sessions"]
    today = datetime.fromisoformat(view["at"]).date()
    left = date.fromisoformat(view["calendar_horizon"]) - today
    if left < HORIZON_WARNING:
        return [f"the calendar ends in {left.days} days: orchestratorctl run refresh_sessions"]
    return []


def _of_task(task: dict[str, Any]) -> list[str]:
    reasons = [failure["reason"] for failure in task["failures"]]
    worst = next((reason for reason in reasons if reason in BAD), None)
    return [] if worst is None else [f"{task['name']} " + BAD[worst].format(task=task["name"])]
