"""What a turn says: a line when a window, a reason or an alert changes, and nothing while nothing does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Protocol

from observability.alert_rules import AlertRules
from observability.alerts import Alert, AlertSink
from orchestration.changes import AlertSaved, BlockedSaved, Change, EventLogged
from orchestration.decisions import Blocked, Decision, Gate, RaiseAlert, Reason, SkipSlot
from orchestration.explain import sentence
from orchestration.runs import ActiveRun, TaskResult
from orchestration.types import OperatingMode, Stretch, TaskSpec


class Log(Protocol):
    """What is needed of a structlog logger."""

    def info(self, event: str, **keys: Any) -> Any: ...

    def warning(self, event: str, **keys: Any) -> Any: ...

    def error(self, event: str, **keys: Any) -> Any: ...


WORTH_A_LINE = frozenset(
    {
        Reason.MEMORY,
        Reason.SLOTS,
        Reason.CONFLICT,
        Reason.RESERVED,
        Reason.WONT_FIT,
        Reason.DEPENDENCY_FAILED,
        Reason.QUARANTINED,
        Reason.NEEDS_RECONCILE,
        Reason.CLOCK_UNSYNCED,
        Reason.CALENDAR_STALE,
        Reason.THERMAL,
        Reason.NO_NETWORK,
        Reason.DEADLINE_PASSED,
    }
)
"""Reasons that are logged when they appear; the others are the calendar's everyday doing."""


THE_HOUR = frozenset({Reason.WRONG_MODE, Reason.WRONG_PHASE, Reason.OUTSIDE_WINDOW, Reason.NOT_DUE})
HELD = WORTH_A_LINE | {Reason.DEPENDENCY, Reason.BACKOFF}
"""Reasons that hold back a task whose hour it is."""
NOT_YET_KEPT = HELD - {Reason.DEADLINE_PASSED}
"""Those of them whose occasion is kept as unused when the hour is over: a missed deadline's has been already,
under the name of its slot."""


DELIVERY = "send_alerts"
"""The task that delivers alerts."""
OVER_BY_SUCCESS = frozenset({"failed", "quarantined", "unknown", "deadline", "foretold", "told"})
"""The kinds of alerts about a task that a success of it clears."""
ABOUT_A_TASK = OVER_BY_SUCCESS | {"late", "memory"}
"""The kinds of alerts whose key goes on with a task's name."""
MOST_REFUSED = 1000


def _task_of(alert: str, kinds: AbstractSet[str] = ABOUT_A_TASK) -> str:
    """The task that an alert's key is about, empty if it is about the box, or of no kind of `kinds`."""
    kind, _, rest = alert.partition(":")
    return rest.partition(":")[0] if kind in kinds else ""


class Narrator:
    """Remembers what was said last, so that only changes are said. Returns the rows that keep them.

    held: the tasks that more than the calendar's everyday doing holds back, as when their reasons changed.
    rules: what is an alert, and how severe; None: all that is raised, as it is raised. news: how often an
    alert was raised or cleared, those about their own delivery left out.
    """

    def __init__(
        self,
        scheduler: Log,
        execute: Log,
        sink: AlertSink | None = None,
        rules: AlertRules | None = None,
    ) -> None:
        self.scheduler, self.execute, self._sink = scheduler, execute, sink
        self.rules, self.news = rules, 0
        self._refused: set[str] = set()
        self.held: dict[str, Blocked] = {}
        self._reasons: dict[str, list[tuple[Reason, str]]] = {}
        self._seen: dict[str, Blocked] = {}
        self._blocked: dict[str, Blocked] = {}
        self._held_in: dict[str, str] = {}
        self._held_back: tuple[str, Gate | None] = ("", None)
        self._alerts: set[str] = set()
        self._stretch: Stretch | None = None
        self._research_s = 0.0
        self._research_used_s = 0.0
        self._last: tuple[datetime, bool] | None = None

    def window(
        self, decision: Decision, specs: Mapping[str, TaskSpec], running: Mapping[str, ActiveRun]
    ) -> list[Change]:
        """Say when the window or the mode changes; a window's end says how much of it was used."""
        self._measure(decision, specs, running)
        stretch, old = decision.stretch, self._stretch
        self._stretch = stretch
        if old is stretch:
            return []
        if old is not None and old.window.id == stretch.window.id and old.mode is stretch.mode:
            return []
        if old is not None and old.mode is OperatingMode.RESEARCH and self._research_s > 0:
            used = 100 * self._research_used_s / self._research_s
            self.scheduler.info(
                "window.ended",
                window=old.window.id,
                mode=old.mode,
                utilisation_pct=round(used, 1),
                research_hours=round(self._research_s / 3600, 2),
            )
            self._research_s = self._research_used_s = 0.0
        keys = {
            "window": stretch.window.id,
            "mode": stretch.mode.value,
            "phase": stretch.phase.value,
            "cycle": stretch.cycle.isoformat(),
            "is_extended": decision.budget.is_extended,
            "budget_type": decision.budget.budget_type,
            "research_hours": round(decision.budget.research_hours, 2),
            "calendar_known": stretch.is_known,
        }
        self.scheduler.info("window.started", **keys)
        return [EventLogged(at=decision.at, name="window.started", detail=keys)]

    def _measure(
        self, decision: Decision, specs: Mapping[str, TaskSpec], running: Mapping[str, ActiveRun]
    ) -> None:
        """Add up the research hours, and those in which at least one research run was busy."""
        in_research = decision.mode is OperatingMode.RESEARCH
        if self._last is not None and self._stretch is not None:
            was_at, was_busy = self._last
            if self._stretch.mode is OperatingMode.RESEARCH:
                passed = max(0.0, (min(decision.at, self._stretch.end) - was_at).total_seconds())
                self._research_s += passed
                self._research_used_s += passed if was_busy else 0.0
        busy = in_research and any(task in specs and specs[task].is_research for task in running)
        self._last = (decision.at, busy)

    def blocked(self, decision: Decision) -> list[Change]:
        """Keep each task's reasons when they change; say those that are not just the hour."""
        rows: list[Change] = []
        seen, window = self._seen, decision.window.id
        fresh = [blocked for task, blocked in decision.blocked.items() if seen.get(task) is not blocked]
        for blocked in fresh:
            task = blocked.task
            seen[task] = blocked
            reasons = [(gate.reason, gate.skips) for gate in blocked.failures]
            if self._reasons.get(task) == reasons:
                continue
            rows += self._unused(task, blocked, decision)
            self._reasons[task] = reasons
            self._blocked[task] = blocked
            self._held_in[task] = window
            self.held.pop(task, None)
            if not WORTH_A_LINE.isdisjoint([reason for reason, _ in reasons]):
                self.held[task] = blocked
            rows.append(BlockedSaved(task=task, at=decision.at, blocked=blocked))
            if blocked.reason in WORTH_A_LINE:
                self._say_blocked(blocked)
        if len(self._reasons) == len(decision.blocked):
            return rows
        for task in sorted(self._reasons.keys() - decision.blocked.keys()):
            del self._reasons[task], self._seen[task]
            self._blocked.pop(task, None)
            self.held.pop(task, None)
            rows.append(BlockedSaved(task=task, at=decision.at, blocked=None))
        return rows

    def _unused(self, task: str, blocked: Blocked, decision: Decision) -> list[Change]:
        """An occasion that passed unused is kept with its reason: a window that ended while the task was
        held back, and a short day that has no instant of its window."""
        rows: list[Change] = []
        before = self._blocked.get(task)
        if before is not None and before.reason in NOT_YET_KEPT and blocked.reason in THE_HOUR:
            rows.append(self._kept_unused(before, self._held_in[task], decision.at))
        for gate in blocked.failures:
            if gate.skips:
                rows.append(self._kept_unused(Blocked(task, (gate,)), gate.skips, decision.at))
        return rows

    def _kept_unused(self, blocked: Blocked, slot: str, at: datetime) -> Change:
        gate = blocked.failures[0]
        self.scheduler.info(
            "slot.skipped", task=blocked.task, slot=slot, reason=gate.reason.value, detail=gate.detail
        )
        return BlockedSaved(task=blocked.task, at=at, blocked=blocked, slot=slot)

    def _say_blocked(self, blocked: Blocked) -> None:
        gate = blocked.failures[0]
        keys: dict[str, object] = {"task": blocked.task, "reason": gate.reason.value, "detail": gate.detail}
        if gate.needed is not None:
            keys["needed"] = gate.needed
        if gate.available is not None:
            keys["available"] = gate.available
        if blocked.until is not None:
            keys["until"] = blocked.until.isoformat()
        self.scheduler.info("task.blocked", **keys)

    def skipped(self, skip: SkipSlot, at: datetime) -> Change:
        """A slot passed unused: said, and kept with its reason and with what stood in its way until then."""
        before = self._blocked.get(skip.task)
        gates = (skip.gate, *(before.failures if before is not None else ()))
        # Its numbers of the last turn, where they are kept as they were when the reason came.
        latest = self._seen.get(skip.task)
        self._held_back = skip.task, latest.failures[0] if latest is not None else None
        # What is said here need not be said again when the hour is over.
        self._blocked.pop(skip.task, None)
        self.scheduler.warning(
            "slot.skipped",
            task=skip.task,
            slot=skip.slot,
            reason=skip.gate.reason.value,
            detail=skip.gate.detail,
        )
        return BlockedSaved(task=skip.task, at=at, blocked=Blocked(skip.task, gates), slot=skip.slot)

    def alert(self, alert: RaiseAlert, at: datetime) -> list[Change]:
        """Raise an alert once, if the rules let it be one."""
        key, task = alert.key, alert.task
        if key in self._alerts or key in self._refused:
            return []
        severity = self._severity(alert)
        if severity is None:
            return []
        self._alerts.add(key)
        self._note(key)
        text = alert.text + self._cause_of(alert)
        if self._sink is not None:
            self._sink.send(Alert(name=key, text=text, severity=severity, task=task))
        self.scheduler.error("alert.raised", alert=key, task=task, severity=severity, text=text)
        return [AlertSaved(at=at, key=key, severity=severity, text=text, task=task)]

    def _cause_of(self, alert: RaiseAlert) -> str:
        """What held back a task until its deadline passed, which was said just before; empty if unknown."""
        task, gate = self._held_back
        if not alert.key.startswith("deadline:") or alert.task != task:
            return ""
        if gate is None or gate.reason not in HELD:
            return ""
        return f"; until then it was held back by {sentence(gate._replace(clears_at=None))}"

    def _severity(self, alert: RaiseAlert) -> str | None:
        """Return how severe it is; None: by the rules it is no alert, which is remembered."""
        if self.rules is None:
            return alert.severity
        rule = self.rules.rule_for(alert.key, alert.task)
        if rule is not None:
            return rule.severity
        if len(self._refused) >= MOST_REFUSED:
            self._refused.clear()
        self._refused.add(alert.key)
        return None

    def _note(self, key: str) -> None:
        # News about the delivery itself would start it again and again.
        if _task_of(key) != DELIVERY:
            self.news += 1

    def take_rules(self, rules: AlertRules, at: datetime) -> list[Change]:
        """Go on by other rules; what is no alert by them is cleared."""
        self.rules = rules
        self._refused.clear()
        return self.clear_refused(at)

    def clear_refused(self, at: datetime) -> list[Change]:
        """Clear what stands and is no alert by the rules."""
        rules = self.rules
        if rules is None:
            return []
        none = sorted(key for key in self._alerts if rules.rule_for(key, _task_of(key) or None) is None)
        return [row for key in none for row in self.clear(key, at)]

    def clear(self, key: str, at: datetime) -> list[Change]:
        """Clear an alert that was raised."""
        if key not in self._alerts:
            return []
        self._alerts.discard(key)
        self._note(key)
        if self._sink is not None:
            self._sink.send(Alert(name=key, text="it is over", severity="info", cleared=True))
        self.scheduler.info("alert.cleared", alert=key)
        return [AlertSaved(at=at, key=key, severity="info", text="cleared", cleared=True)]

    @property
    def standing(self) -> AbstractSet[str]:
        """The keys of the alerts that stand."""
        return self._alerts

    def keep(self, kind: str, alerts: Sequence[RaiseAlert], at: datetime) -> list[Change]:
        """Let exactly `alerts` stand of a kind (keys "kind:..."): raise the new ones, clear the others."""
        if not alerts and not self._alerts:
            return []
        standing = {alert.key for alert in alerts}
        over = sorted(key for key in self._alerts - standing if key.startswith(f"{kind}:"))
        rows = [row for alert in alerts for row in self.alert(alert, at)]
        return [*rows, *(row for key in over for row in self.clear(key, at))]

    def remember(self, alerts: AbstractSet[str]) -> None:
        """Take the alerts that an earlier daemon left open as raised."""
        self._alerts |= alerts

    def forget_tasks(self, known: AbstractSet[str], at: datetime) -> list[Change]:
        """Clear the alerts of tasks that no longer exist."""
        gone = sorted(key for key in self._alerts if _task_of(key) not in {"", *known})
        return [row for key in gone for row in self.clear(key, at)]

    def clear_about(self, task: str, at: datetime, but: AbstractSet[str] = frozenset()) -> list[Change]:
        """Clear every alert about a task that its success ends, but those keys."""
        about = sorted(key for key in self._alerts - but if _task_of(key, OVER_BY_SUCCESS) == task)
        return [row for key in about for row in self.clear(key, at)]

    def started(self, run: ActiveRun, pid: int, predicted_min: float, lateness_s: float | None) -> None:
        """Say that a run was started."""
        keys: dict[str, object] = {"task": run.task, "run": run.run_id, "pid": pid}
        keys["reserved_mb"] = round(run.reserved_mb)
        keys["predicted_min"] = round(predicted_min, 5)
        if lateness_s is not None:
            keys["late_s"] = round(lateness_s, 3)
        self.execute.info("run.started", **keys)

    def ended(self, result: TaskResult, predicted_min: float | None) -> None:
        """Say how a run ended, and how long it took against its prediction."""
        keys: dict[str, object] = {"task": result.key.task, "run": result.key.run_id}
        keys["outcome"] = result.outcome.value
        keys["exit_code"] = result.exit_code
        if result.duration_s is not None:
            keys["minutes"] = round(result.duration_s / 60, 5)
        if predicted_min is not None:
            keys["predicted_min"] = round(predicted_min, 5)
        if result.peak_memory_mb is not None:
            keys["peak_mb"] = round(result.peak_memory_mb)
        if result.detail:
            keys["detail"] = result.detail
        say = (
            self.execute.info if result.success or result.outcome == "checkpointed" else self.execute.warning
        )
        say("run.ended", **keys)
