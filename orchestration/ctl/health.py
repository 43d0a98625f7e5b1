"""Is everything fine? What a look at the view says, the worst first. Values in, words out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from orchestration.halt import ALERT

HORIZON_WARNING = timedelta(days=30)
BAD = {
    "NEEDS_RECONCILE": "needs reconciling: orchestratorctl reconcile {task}",
    "QUARANTINED": "is quarantined after repeated failures: orchestratorctl runs --task {task}",
    "DEPENDENCY_FAILED": "waits for a task that failed: orchestratorctl why {task}",
    "DEADLINE_PASSED": "missed its deadline: orchestratorctl why {task}",
}
"""Reasons that want a person; the others are the box's everyday life."""
FAULT_OF = {"NEEDS_RECONCILE": "needs_reconcile", "QUARANTINED": "quarantined"}
"""What the LEDs call them, where they show them."""
ALERTS_OF = {
    "act_now": ALERT,
    "needs_reconcile": "unknown:",
    "duty_late": "late:",
    "clock_unsynced": "clock",
    "calendar_stale": "no_session",
    "calendar_ends": "horizon",
    "calendar_disagrees": "calendar:",
    "store_failing": "store",
    "disk_full": "disk",
    "undervoltage": "undervoltage",
    "overheating": "temperature",
    "memory_low": "memory:",
    "network_down": "network",
    "quarantined": "quarantined:",
}
"""From what a complaint is about to the key of the alert that says the same; one that ends in a colon is that
of a task or a day."""


class Complaint(NamedTuple):
    """What is not fine, in words. about: a key of `ALERTS_OF`, most of them faults of the LEDs, or None."""

    text: str
    about: str | None = None


def complaints(view: dict[str, Any], alerts: Sequence[dict[str, Any]]) -> list[str]:
    """Return what is not fine, in words; empty: everything is. alerts: the open ones (key, text)."""
    halted = view.get("halted")
    first, rest = of_people(view), of_the_box(view, alerts)
    texts = [f"alert: {alert['text']}" for alert in alerts if not (halted and alert["key"] == ALERT)]
    return [*(each.text for each in first), *texts, *(each.text for each in rest)]


def of_people(view: dict[str, Any]) -> list[Complaint]:
    """Return the worst: that trading is halted, that no daemon runs."""
    found = []
    halted = view.get("halted")
    if halted:
        text = f"TRADING IS HALTED: {halted}; back with orchestratorctl resume --trading"
        found.append(Complaint(text, "act_now"))
    if view["daemon"] is None:
        found.append(Complaint("no daemon is running"))
    return found


def of_the_box(view: dict[str, Any], alerts: Sequence[dict[str, Any]]) -> list[Complaint]:
    """Return the rest: the calendar, the box, a pause, tasks. alerts: tasks that they are of are left out."""
    found = _of_calendar(view)
    resources = view["resources"]
    if resources["clock_synced"] is not True:
        found.append(
            Complaint("the clock is not known to be right: no trading task starts", "clock_unsynced")
        )
    if resources["network_up"] is False:
        found.append(Complaint("the network is down", "network_down"))
    if resources["too_hot"]:
        text = f"too hot ({resources['temperature_c']} C): no research starts"
        found.append(Complaint(text, "overheating"))
    if view["paused"]:
        what = "everything" if view["paused"] == "all" else "research and maintenance"
        found.append(Complaint(f"paused: {what}; orchestratorctl resume"))
    told = {str(alert.get("task")) for alert in alerts}
    for task in view["tasks"]:
        if task["enabled"] and task["name"] not in told:
            found += _of_task(task)
    return found


def _of_calendar(view: dict[str, Any]) -> list[Complaint]:
    if not view["calendar_known"]:
        text = "no session is known for today: orchestratorctl run refresh_sessions"
        return [Complaint(text, "calendar_stale")]
    today = datetime.fromisoformat(view["at"]).date()
    left = date.fromisoformat(view["calendar_horizon"]) - today
    if left < HORIZON_WARNING:
        text = f"the calendar ends in {left.days} days: orchestratorctl run refresh_sessions"
        return [Complaint(text, "calendar_ends")]
    return []


def _of_task(task: dict[str, Any]) -> list[Complaint]:
    reasons = [failure["reason"] for failure in task["failures"]]
    worst = next((reason for reason in reasons if reason in BAD), None)
    if worst is None:
        return []
    return [Complaint(f"{task['name']} " + BAD[worst].format(task=task["name"]), FAULT_OF.get(worst))]


def says_the_same(alert: dict[str, Any], about: str) -> bool:
    """Whether an alert is the one of what a complaint is about."""
    key = ALERTS_OF.get(about, "")
    return bool(key) and (alert["key"].startswith(key) if key.endswith(":") else alert["key"] == key)
