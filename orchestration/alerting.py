"""What a loop does about alerts: it looks for what is one, raises, clears, and has it delivered at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from hardware.health import BoxHealth
from observability.alert_rules import AlertRules
from orchestration import absences, halt, reports, transitions
from orchestration.absences import Absence
from orchestration.alarms import LOOK_EVERY_S, Alarms, Facts
from orchestration.changes import Change
from orchestration.decisions import RaiseAlert, Resources
from orchestration.market_calendar import Calendars
from orchestration.narration import DELIVERY
from orchestration.runs import FAILURES, SchedulerState, TaskRecord, TaskResult
from orchestration.slots import tries

if TYPE_CHECKING:
    from orchestration.loop import Loop

DISAGREEMENTS_TOLD = 5
"""How many days of calendar and broker an alert stands for at once, the next ones first."""
LOOK_AT_LEAST_EVERY = timedelta(seconds=3 * LOOK_EVERY_S)
"""How long a loop that looks for alerts may sleep."""
AGAIN_AFTER_S = 30.0
"""How soon after a run of the delivering task another one is asked for: what comes between goes together."""
DOWN = "down"


class Alerting:
    """The alerts of one loop. Without rules (a simulation) it looks for none of the box, and hurries nothing.

    health: how the box is. halted: why trading is halted, None if it is not.
    """

    def __init__(
        self, loop: Loop, *, health: Callable[[], BoxHealth], halted: Callable[[], str | None]
    ) -> None:
        self._loop, self.health, self.halted = loop, health, halted
        self._alarms = Alarms()
        self._began_s = loop.world.clock.monotonic()
        self._disagreeing: tuple[date | None, Calendars | None, tuple[str, ...]] = (None, None, ())
        self._told: tuple[tuple[str, ...], AlertRules | None] | None = None
        self._away: tuple[datetime, bool, dict[str, TaskRecord]] | None = None
        self._delivered, self._asked_s = 0, -AGAIN_AFTER_S

    def was_away(self, since: datetime, *, orderly: bool) -> None:
        """Let it be told that the daemon before this one gave its last sign of life at `since`."""
        self._away = since, orderly, self._loop.state.records

    def look(self, resources: Resources, now: datetime) -> None:
        """Raise and clear what the facts say, and have it delivered."""
        loop = self._loop
        self._say_disagreements(now)
        self._say_halt(now)
        rules = loop.narrator.rules
        if rules is None:
            return
        at_s = loop.world.clock.monotonic()
        if self._alarms.is_due(at_s, loop.state.waiting_since):
            self._say_of_the_box(rules, resources, now, at_s)
        # In the second turn: the first starts the duties that are due, and is not to wait.
        if self._away is not None and resources.clock_synced and loop.decision is not None:
            self._say_absence(rules, now, at_s)
        elif DOWN in loop.narrator.standing:
            self._clear_absence(rules, now, at_s)
        self._deliver(now, at_s)

    def wake_at(self, now: datetime) -> datetime | None:
        """Return when the next turn must be at the latest; None: nothing here asks for one."""
        narrator = self._loop.narrator
        if narrator.rules is None:
            return None
        if self._away is not None and self._loop.resources is not None and self._loop.resources.clock_synced:
            return now
        if narrator.news == self._delivered or self._loop.start_each_once:
            return now + LOOK_AT_LEAST_EVERY
        waited = self._loop.world.clock.monotonic() - self._asked_s
        return now + timedelta(seconds=max(0.0, AGAIN_AFTER_S - waited))

    # --- what happened to a task --------------------------------------------------------------------------

    def of_result(self, result: TaskResult, state: SchedulerState, now: datetime) -> list[Change]:
        """Return the rows of the alerts that a result raises and clears. state: the one after it."""
        task, narrator = result.key.task, self._loop.narrator
        record = state.record(task)
        rows: list[Change] = []
        if result.success:
            texts = reports.alerts_told(result) if result.report else {}
            told = [
                RaiseAlert(key=f"told:{task}:{name}", text=text, task=task) for name, text in texts.items()
            ]
            rows += [row for alert in told for row in narrator.alert(alert, now)]
            return [*rows, *narrator.clear_about(task, now, {alert.key for alert in told})]
        if record.quarantined_until is not None and now < record.quarantined_until:
            text = f"{task} failed repeatedly and rests until {record.quarantined_until:%H:%M}Z"
            rows += narrator.alert(RaiseAlert(key=f"quarantined:{task}", text=text, task=task), now)
        if record.unknown_since is not None:
            text = f"{task} ended in an unknown state; it waits for a reconciliation"
            alert = RaiseAlert(key=f"unknown:{task}", text=text, task=task, severity="error")
            rows += narrator.alert(alert, now)
        elif record.settled and result.outcome in FAILURES and self._often_enough(task, record):
            how = result.detail or reports.error_told(result) or f"exit {result.exit_code}"
            text = f"{task} {result.outcome} ({how}) after {tries(record)}"
            rows += narrator.alert(RaiseAlert(key=f"failed:{task}", text=text, task=task), now)
        return rows

    def _often_enough(self, task: str, record: TaskRecord) -> bool:
        """Whether as many of its occasions in a row have failed for good as its rule says."""
        rules = self._loop.narrator.rules
        rule = None if rules is None else rules.rule_for(f"failed:{task}", task)
        return rule is None or "times" not in rule.limits or record.given_up >= rule.number("times")

    # --- calendar and halt --------------------------------------------------------------------------------

    def disagreements(self, now: datetime) -> tuple[str, ...]:
        """Return the days, in words, on which calendar and broker differ from today on."""
        today, calendars = now.date(), self._loop.calendars
        if self._disagreeing[0] != today or self._disagreeing[1] is not calendars:
            self._disagreeing = today, calendars, self._loop.tables.disagreements(today)
        return self._disagreeing[2]

    def _say_disagreements(self, now: datetime) -> None:
        """Let an alert stand for each of the next days on which calendar and broker disagree."""
        lines = self.disagreements(now)
        # By other rules it may be an alert now.
        if (lines, self._loop.narrator.rules) == self._told:
            return
        self._told = lines, self._loop.narrator.rules
        alerts = [
            RaiseAlert(
                key=f"calendar:{line[:10]}",
                text=f"calendar and broker disagree, the more careful holds: {line}",
            )
            for line in lines[:DISAGREEMENTS_TOLD]
        ]
        self._write(self._loop.narrator.keep("calendar", alerts, now))

    def _say_halt(self, now: datetime) -> None:
        """Let an alert stand as long as trading is halted."""
        reason, narrator = self.halted(), self._loop.narrator
        if reason is None:
            self._write(narrator.clear(halt.ALERT, now))
            return
        text = f"trading is halted: {reason}"
        self._write(narrator.alert(RaiseAlert(key=halt.ALERT, text=text, severity="critical"), now))

    # --- the box, and the daemon itself -------------------------------------------------------------------

    def _say_of_the_box(self, rules: AlertRules, resources: Resources, now: datetime, at_s: float) -> None:
        loop = self._loop
        waiting = {task: b for task, b in loop.narrator.held.items() if b.waits_its_turn}
        facts = Facts(
            at_s=at_s,
            today=now.date(),
            health=self.health(),
            network_up=resources.network_up,
            is_known=loop.calendars.stretch(now).is_known,
            horizon=loop.calendars.horizon(),
            store_fault=loop.store_fault,
            waiting=waiting,
            duties={task for task in waiting if task in loop.specs and loop.specs[task].is_duty},
        )
        verdict = self._alarms.look(facts, rules, loop.narrator.standing)
        for alert in verdict.fresh:
            self._write(loop.narrator.alert(alert, now))
        for key in verdict.over:
            self._write(loop.narrator.clear(key, now))

    def _say_absence(self, rules: AlertRules, now: datetime, at_s: float) -> None:
        """Tell once from when to when the daemon was away, if it was so for as long as the rule says."""
        loop, rule = self._loop, rules.rule_for(DOWN)
        assert self._away is not None
        (since, orderly, records), self._away = self._away, None
        # The wall clock may have been set right since the start.
        absence = Absence(since, now - timedelta(seconds=at_s - self._began_s), orderly)
        if rule is None or absence.length < rule.span("for"):
            return
        missed = absences.missed_duties(absence, loop.specs, records, loop.calendars, loop.policy)
        # One of an earlier absence may still stand.
        self._write(loop.narrator.clear(DOWN, now))
        self._write(loop.narrator.alert(RaiseAlert(key=DOWN, text=absences.told(absence, missed)), now))

    def _clear_absence(self, rules: AlertRules, now: datetime, at_s: float) -> None:
        rule = rules.rule_for(DOWN)
        if rule is None or at_s - self._began_s >= rule.span("keep").total_seconds():
            self._write(self._loop.narrator.clear(DOWN, now))

    def _write(self, rows: list[Change]) -> None:
        for row in rows:
            self._loop.later(row)

    # --- delivery -----------------------------------------------------------------------------------------

    def _deliver(self, now: datetime, at_s: float) -> None:
        """Ask for a run of the delivering task when there is news; while one runs, for another after it."""
        loop = self._loop
        news = loop.narrator.news
        if news == self._delivered or loop.start_each_once:
            return
        spec = loop.specs.get(DELIVERY)
        if spec is not None and spec.enabled:
            if at_s - self._asked_s < AGAIN_AFTER_S:
                return
            self._asked_s = at_s
            loop.state = transitions.with_manual(loop.state, DELIVERY, f"alert{now:%Y%m%dT%H%M%S%f}")
        self._delivered = news
