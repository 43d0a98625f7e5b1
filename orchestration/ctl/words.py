"""Instants, durations and sizes in words for the terminal. Instants are shown in the exchange's zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from orchestration.explain import sentence
from orchestration.state.codec import gate_from_dict
from orchestration.task_specs import ON_WHERE_SET

UNTIL_TOLD = {
    "PAUSED": "none until `orchestratorctl resume`",
    "NEEDS_RECONCILE": "none until a reconciliation: `orchestratorctl reconcile`",
    "": "none within the known calendar",
}
"""What is said where no instant is known, by the failing condition that holds the task."""
SET_BACK = "before the clock was set back"
"""What is said of something that has happened, at an instant that is yet to come."""


def instant(text: str | datetime | None, zone: tzinfo, now: datetime | None = None) -> str:
    """Return `text`, an ISO instant, as local time: `Fri 18:00 EST`; with the date if it is six or more days
    from `now`. None is "-"."""
    if text is None:
        return "-"
    at = datetime.fromisoformat(text) if isinstance(text, str) else text
    local = at.astimezone(zone)
    far = now is None or abs(at - now) >= timedelta(days=6)
    return f"{local:%a %Y-%m-%d %H:%M %Z}" if far else f"{local:%a %H:%M %Z}"


def duration(seconds: float | None) -> str:
    """Return a length of time with two figures of meaning: `4.2 s`, `3 min 20 s`, `5 h 10 min`, `2 d 3 h`.

    None is "-". Less than nothing, where the clock was set back, has a minus.
    """
    if seconds is None:
        return "-"
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, below, lesser in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {lesser}" if rest else "")
    return f"{whole} s"


def away(text: str | datetime | None, now: datetime) -> str:
    """Return how far off an instant is: `in 3 h 20 min`, `5 min ago`; empty for None."""
    if text is None:
        return ""
    at = datetime.fromisoformat(text) if isinstance(text, str) else text
    seconds = (at - now).total_seconds()
    return f"in {duration(seconds)}" if seconds >= 0 else f"{duration(-seconds)} ago"


def since(text: str | datetime | None, now: datetime) -> str:
    """Return how long ago something happened: `5 min ago`; of an instant that is yet to come, that it was
    before the clock was set back; empty for None."""
    found = away(text, now)
    return SET_BACK if found.startswith("in ") else found


def lasted(seconds: float) -> str:
    """Return for how long something has run; less than nothing where the clock was set back meanwhile."""
    return f"began {SET_BACK}" if seconds < 0 else duration(seconds)


def megabytes(mb: float | None) -> str:
    """Return a memory size; "-" for None."""
    return "-" if mb is None else f"{mb:,.0f} MB"


def known(value: object, unit: str = "") -> str:
    """Return a reading; unknown is said, never taken for fine."""
    return "unknown" if value is None else f"{value}{unit}"


def reason(raw: Mapping[str, Any], zone: tzinfo, now: datetime | None = None) -> str:
    """Return a failing gate (as JSON) as one line with its numbers and, where known, until when."""
    gate = gate_from_dict(raw)
    text = sentence(gate._replace(clears_at=None))
    return text if gate.clears_at is None else f"{text}, until {instant(gate.clears_at, zone, now)}"


def bar(part: float, whole: float, width: int = 10) -> str:
    """Return a bar of `width` cells, filled by part/whole; over-full ends in "!"."""
    share = part / whole if whole > 0 else 0.0
    filled = min(width, max(0, round(share * width)))
    return "█" * filled + "░" * (width - filled) + ("!" if share > 1 else "")


def next_start(task: dict[str, Any], zone: tzinfo, now: datetime) -> str:
    """Return when a waiting task could start, or what has to happen first; where no start is known but its
    conditions say when they end, before which instant it does not."""
    at = task["next_at"]
    if not task["enabled"]:
        setting = ON_WHERE_SET.get(task["name"])
        switch = f"ORCHESTRATOR_{setting.upper()}" if setting else "enabled = true for it in the task file"
        return f"none while it is disabled; set {switch}"
    if at is None:
        reasons = {failure["reason"] for failure in task["failures"]}
        held = next((text for reason, text in UNTIL_TOLD.items() if reason in reasons), None)
        return held or _not_before(task, zone, now) or UNTIL_TOLD[""]
    if datetime.fromisoformat(at) <= now:
        return "now, as soon as the above allows"
    return f"{instant(at, zone, now)} ({away(at, now)})"


def _not_before(task: dict[str, Any], zone: tzinfo, now: datetime) -> str | None:
    """Return the latest end that a failing condition names, None if none does."""
    named = [failure.get("clears_at") for failure in task["failures"]]
    latest = max((datetime.fromisoformat(at) for at in named if at is not None), default=now)
    return f"not before {instant(latest, zone, now)} ({away(latest, now)})" if latest > now else None


def by_urgency(task: dict[str, Any]) -> tuple[int, str, str]:
    """Return what tasks are sorted by: those that run, those that could, the others by when they could."""
    place = {"running": 0, "ready": 1}.get(task["status"], 2)
    return place, task["next_at"] or "9", task["name"]
