"""The present in a few values, for the first page and for `top`: is all well, what runs, what comes next.

From a view (`beside.view_beside`) alone; words where a person reads them, instants as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from hardware import patterns
from hardware.patterns import Fault, Pattern
from orchestration.ctl import words
from orchestration.ctl.desk import View
from orchestration.ctl.health import Complaint, of_people, of_the_box, says_the_same
from orchestration.types import RESEARCH_CATEGORIES

NAMED = 2
"""So many tasks of one instant are named; the others are counted."""
AT_PHASE_END = {
    "PRE_MARKET": "the market opens",
    "MARKET_OPEN": "the market closes",
    "POST_MARKET": "research time begins",
}


class Coming(NamedTuple):
    """What happens next, and when."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether all is well. level: ok, warn or fail. wrong: what is not, the worst first. alerts: how many no
    person has seen; others: the texts of those of them that say something else than `wrong`. seen: how many
    stand that a person has seen."""

    level: str
    wrong: tuple[str, ...]
    alerts: int
    others: tuple[str, ...]
    seen: int

    @property
    def headline(self) -> str:
        """The worst of it in a line."""
        if self.wrong:
            rest = [f"{len(self.wrong) - 1} more"] if len(self.wrong) > 1 else []
            rest += [_alerts(len(self.others))] if self.others else []
            return self.wrong[0][:1].upper() + ", and ".join([self.wrong[0][1:], *rest])
        if self.alerts:
            return _alerts(self.alerts)
        return "All is well" if not self.seen else f"All is well but for {_alerts(self.seen)}, seen already"


def _alerts(count: int) -> str:
    return f"{count} open alert{'' if count == 1 else 's'}"


def verdict(view: View) -> Verdict:
    """Return whether all is well, of a view. What the LEDs and an alert say, too, is counted once."""
    alerts = view["alerts"]
    fresh = [alert for alert in alerts if alert["acknowledged_at"] is None]
    fault = patterns.ERRORS.get(view.get("fault") or "")
    found = [*of_people(view), *of_the_box(view, alerts), *map(Complaint, view["complaints"])]
    if fault:
        found = _with_fault(found, fault)
    bad = view["daemon"] is None or view["halted"] or fault
    bad = bad or any(alert["severity"] in ("error", "critical") for alert in fresh)
    return Verdict(
        level="fail" if bad else "warn" if found or fresh else "ok",
        wrong=tuple(each.text for each in found),
        alerts=len(fresh),
        others=tuple(alert["text"] for alert in _others(fresh, found)),
        seen=len(alerts) - len(fresh),
    )


def _with_fault(found: Sequence[Complaint], fault: Fault) -> list[Complaint]:
    """Return the complaints with what the LEDs show: its remedy alone where one of them is about it."""
    place = next((place for place, each in enumerate(found) if each.about == fault.name), None)
    if place is None:
        return [*found, Complaint(f"{fault.meaning}; {fault.remedy}", fault.name)]
    text = found[place].text
    if fault.remedy.strip("`") not in text:
        text = f"{text}; {fault.remedy}"
    return [*found[:place], Complaint(text, fault.name), *found[place + 1 :]]


def _others(alerts: Sequence[dict[str, Any]], found: Sequence[Complaint]) -> list[dict[str, Any]]:
    """Return the alerts but one for each complaint that says the same."""
    left = list(alerts)
    for about in (each.about for each in found if each.about is not None):
        same = next((alert for alert in left if says_the_same(alert, about)), None)
        if same is not None:
            left.remove(same)
    return left


def down_since(view: View, zone: tzinfo) -> str | None:
    """Return in words since when no daemon runs, None if one does."""
    if view["daemon"] is not None:
        return None
    seen = view["last_seen"]
    if seen is None:
        return "No daemon has left a sign of life."
    now = datetime.fromisoformat(view["at"])
    at = min(now, datetime.fromisoformat(seen))
    return f"The last sign of life was {words.away(at, now)}, on {words.instant(at, zone, now)}."


def coming(view: View) -> list[Coming]:
    """Return what happens next, the soonest first: changes of mode or phase, deadlines, tasks' next hours."""
    now = datetime.fromisoformat(view["at"])
    found = [Coming(datetime.fromisoformat(view["next_change"]), next_mode(view))]
    hours: dict[str, list[str]] = {}
    for task in view["tasks"]:
        if not task["enabled"] or task["status"] == "running":
            continue
        if task["deadline"] is not None:
            at = datetime.fromisoformat(task["deadline"])
            found.append(Coming(at, f"{task['name']} is to be done"))
        if task["next_at"] is not None:
            hours.setdefault(task["next_at"], []).append(task["name"])
    found += [Coming(datetime.fromisoformat(at), _may_start(names)) for at, names in hours.items()]
    return sorted(entry for entry in found if entry.at > now)


def next_mode(view: View) -> str:
    """Return what the next change of mode or phase is."""
    change = view["next_change"]
    if change == view["prep_start"] and view["mode"] == "research":
        return "PREP begins"
    if view["phase"] in AT_PHASE_END:
        return AT_PHASE_END[view["phase"]]
    return "the trading day begins" if change == view["research_end"] else "the next phase begins"


def _may_start(names: Sequence[str]) -> str:
    named, rest = ", ".join(names[:NAMED]), len(names) - NAMED
    return f"{named} may start" if rest <= 0 else f"{named} and {rest} more may start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A run beside its prediction. minutes: the median it was foretold; share: of that, what has passed (more
    than 1: it takes longer). overdue: it should have ended; said: how far it is, in words. ahead: the clock
    was set back since it began, so that nothing is known of how far it is; share is 0 then.
    memory_share: used of reserved; None: not known. cut_at: PREP, where it stops research that is not done.
    """

    run_id: str
    task: str
    started_at: str
    running_s: float
    minutes: float
    predicted_end: str
    share: float
    overdue: bool
    ahead: bool
    said: str
    used_mb: float | None
    reserved_mb: float
    memory_share: float | None
    stopping: str | None
    cut_at: str | None


def running(view: View) -> list[Running]:
    """Return what runs, the one with the longest way to go last."""
    now = datetime.fromisoformat(view["at"])
    minutes = {task["name"]: task["predicted_minutes"] for task in view["tasks"]}
    research = {task["name"] for task in view["tasks"] if task["category"] in RESEARCH_CATEGORIES}
    prep = view["prep_start"] if view["mode"] == "research" and view["policy"] == "unified" else None
    found = [
        _running(run, minutes.get(run["task"], 0.0), now, prep if run["task"] in research else None)
        for run in view["running"]
    ]
    return sorted(found, key=lambda run: (run.predicted_end, run.task))


def _running(run: dict[str, Any], minutes: float, now: datetime, prep: str | None) -> Running:
    ahead = run["running_s"] < 0
    share = 0.0 if ahead else run["running_s"] / (60 * minutes) if minutes > 0 else 1.0
    overdue = datetime.fromisoformat(run["predicted_end"]) < now
    used, reserved = run["used_mb"], run["reserved_mb"]
    return Running(
        run_id=run["run_id"],
        task=run["task"],
        started_at=run["started_at"],
        running_s=run["running_s"],
        minutes=minutes,
        predicted_end=run["predicted_end"],
        share=share,
        overdue=overdue,
        ahead=ahead,
        said=_said(run, share, minutes, overdue, now),
        used_mb=used,
        reserved_mb=reserved,
        memory_share=None if used is None or reserved <= 0 else used / reserved,
        stopping=run["stopping"],
        cut_at=prep if prep is not None and _is_before(prep, run["predicted_end"]) else None,
    )


def _is_before(one: str, other: str) -> bool:
    return datetime.fromisoformat(one) < datetime.fromisoformat(other)


def _said(run: dict[str, Any], share: float, minutes: float, overdue: bool, now: datetime) -> str:
    passed, usual = words.lasted(run["running_s"]), words.duration(60 * minutes)
    if run["running_s"] < 0:
        return f"{passed}; usually {usual}"
    if overdue:
        return f"OVERDUE: {passed}, usually {usual}; was to be done {words.away(run['predicted_end'], now)}"
    return f"{passed}, longer than the usual {usual}" if share > 1 else f"{passed} of about {usual}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """The research hours of the window that is under way or comes next. used, left, whole: hours."""

    used: float
    left: float
    whole: float
    begun: bool


def research_hours(view: View) -> Hours:
    """Return how much of the research budget has passed and is left."""
    now, start, prep = (datetime.fromisoformat(view[name]) for name in ("at", "research_start", "prep_start"))
    whole = max(0.0, (prep - start) / timedelta(hours=1))
    left = min(whole, view["budget"]["research_hours"])
    return Hours(used=whole - left, left=left, whole=whole, begun=now >= start)


def window_share(view: View) -> float | None:
    """Return how much of the phase's window has passed, 0 to 1; None where it is not known."""
    if view["window_start"] is None or view["window_end"] is None:
        return None
    now, start, end = (datetime.fromisoformat(view[name]) for name in ("at", "window_start", "window_end"))
    return min(1.0, max(0.0, (now - start) / (end - start))) if end > start else None


def leds(view: View) -> Mapping[str, Pattern]:
    """Return what each LED shows, from the left; all are dark where no daemon runs."""
    panel = view["panel"] if view["daemon"] else None
    if panel is None:
        return dict.fromkeys(patterns.LEDS, patterns.OFF)
    return patterns.shown(panel["mode"], extended=panel["extended"], error=panel["error"])
