"""The public facade: which tasks may run now, in which window and mode, and why the others may not.

Each method is a few lines over the pure core; nothing here decides anything of its own.

    orch = TradingOrchestrator()
    sched = TaskScheduler(orch)
    sched.get_current_window(); sched.get_ready_tasks()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Protocol

from orchestration import estimates, explain, gates, reclaim, transitions
from orchestration.agenda import Agenda
from orchestration.changes import RecordSaved, ValueSaved
from orchestration.compiled import compile_spec, conflicts_of
from orchestration.decide import Turn, active_run, decide
from orchestration.decisions import Decision, Policy, Resources, StartRun
from orchestration.market_calendar import Calendars
from orchestration.ports import Clock, Sensors, Store
from orchestration.runs import ActiveRun, RunKey, SchedulerState, TaskResult
from orchestration.snapshot import budget_dict
from orchestration.types import (
    MarketCalendar,
    OperatingMode,
    ResearchBudget,
    Stretch,
    TaskCategory,
    TaskPriority,
    TaskSpec,
    TimeWindow,
)

__all__ = [
    "MarketCalendar",
    "OperatingMode",
    "ResearchBudget",
    "SchedulerState",
    "TaskCategory",
    "TaskPriority",
    "TaskResult",
    "TaskScheduler",
    "TaskSpec",
    "TimeWindow",
]


class Orchestrator(Protocol):
    """What the facade needs of `TradingOrchestrator`."""

    @property
    def clock(self) -> Clock: ...

    @property
    def sensors(self) -> Sensors: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def specs(self) -> Mapping[str, TaskSpec]: ...

    @property
    def calendars(self) -> Calendars: ...

    @property
    def store(self) -> Store: ...

    def stored_state(self) -> SchedulerState: ...

    def start(self, start: StartRun) -> int: ...


class TaskScheduler:
    """Asks the core on behalf of an orchestrator. `.state` may be assigned to, field by field."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self.orchestrator = orchestrator
        self.state = orchestrator.stored_state()
        self._agenda = Agenda()

    # --- the calendar -------------------------------------------------------------------------------------

    def get_current_window(self) -> TimeWindow:
        """Return the window of the present phase."""
        return self._stretch().window

    def get_market_calendar(self) -> MarketCalendar:
        """Return what the calendar says of now."""
        return self.orchestrator.calendars.facts(self._now())

    def get_operating_mode(self) -> OperatingMode:
        """Return TRADING, RESEARCH or PREP."""
        return self._stretch().mode

    def calculate_research_budget(self) -> ResearchBudget:
        """Return the hours of research left in the window that contains now, else in the next one."""
        return self._stretch().budget_at(self._now())

    def calculate_research_window(self) -> timedelta:
        """Return the research hours left (56 h at Friday 18:00, 80 h before a Monday holiday)."""
        return timedelta(hours=self.calculate_research_budget().research_hours)

    def get_current_mode(self) -> dict[str, object]:
        """Return mode, phase, window, calendar and budget, as plain values."""
        stretch, calendar = self._stretch(), self.get_market_calendar()
        return {
            "mode": stretch.mode.value,
            "phase": stretch.phase.value,
            "window": stretch.window.id,
            "calendar": {
                "is_trading_day": calendar.is_trading_day,
                "is_early_close": calendar.is_early_close,
                "is_market_open": calendar.is_market_open,
                "next_trading_day": calendar.next_trading_day,
                "hours_until_trading": calendar.hours_until_trading,
            },
            "budget": budget_dict(self.calculate_research_budget()),
        }

    def _is_holiday(self, day: date | None = None) -> bool:
        """Whether `day` (today) is a weekday without a session; False where the calendar does not know."""
        return self.orchestrator.calendars.is_holiday(day or self._today())

    def _is_early_close(self, day: date | None = None) -> bool:
        """Whether the session of `day` (today) closes early; False where there is none."""
        return self.orchestrator.calendars.is_early_close(day or self._today())

    def _get_research_start(self, now: datetime | None = None) -> datetime:
        """Return the start of the research window that contains `now`, else of the next one."""
        return self._stretch(now).research_start

    def _get_next_trading_premarket(self, now: datetime | None = None) -> datetime:
        """Return 08:00 local of the next trading day."""
        return self._stretch(now).research_end

    # --- what may run -------------------------------------------------------------------------------------

    def get_ready_tasks(self) -> list[TaskSpec]:
        """Return the tasks that may start now, each by itself, in the order in which they would be started.

        `decide().starts` are those that start together, as far as slots and memory reach.
        """
        self._roll()
        orch, now, agenda = self.orchestrator, self._now(), self._agenda
        agenda.refresh(orch.policy, orch.specs, orch.calendars, self.state, now)
        turn = Turn(orch.policy, self.state, now, self._resources(), agenda)
        due = ((entry, entry.timing.slot) for entry in turn.in_order() if entry.timing is not None)
        return [
            entry.compiled.spec
            for entry, slot in due
            if slot is not None and not explain.failures_of(turn, entry, slot)
        ]

    def decide(self) -> Decision:
        """Return what the core decides now."""
        orch = self.orchestrator
        self._roll()
        return decide(
            orch.policy, self.state, self._now(), self._resources(), orch.specs, orch.calendars, self._agenda
        )

    def execute_next(self) -> str | None:
        """Start the first ready task and return its name; None when none is ready.

        This starts a real, supervised process; the next daemon adopts it. Raises AlreadyRunning while a
        daemon holds the state directory.
        """
        starts = self.decide().starts
        if not starts:
            return None
        self.orchestrator.start(starts[0])
        self.state = transitions.after_start(self.state, starts[0], active_run(starts[0], self._now()))
        return starts[0].key.task

    def _is_task_ready(self, spec: TaskSpec, window: TimeWindow) -> bool:
        """Whether `spec` may start in `window` as far as phase, completion, dependencies, conflicts and
        memory go, reading what was assigned to `.state`."""
        self._roll()
        if spec.phases and window.phase not in spec.phases:
            return False
        if spec.name in self.state.phase_completions.get(window.phase, set()) and not spec.recurs:
            return False
        now, stretch, resources = self._now(), self._stretch(), self._resources()
        orch = self.orchestrator
        compiled = compile_spec(spec, orch.calendars, orch.policy)
        compiled.conflicts = conflicts_of({**orch.specs, spec.name: spec})[spec.name]
        if any(name in self.state.running_tasks for name in compiled.conflicts):
            return False
        ledger = gates.open_ledger(self._listed(), resources, orch.policy.rules, stretch)
        need_mb = estimates.reserve_mb(spec, self.state.record(spec.name).estimate)
        return (
            spec.enabled
            and gates.dependency_gate(compiled, self.state, stretch, now) is None
            and gates.memory_gate(compiled, need_mb, ledger, resources) is None
            and gates.slots_gate(compiled, ledger) is None
        )

    def _roll(self) -> None:
        """Let a new window clear what counted in the last one; what was assigned before the first look
        counts in the present window."""
        stretch = self._stretch()
        if self.state.window is None:
            self.state.window, self.state.cycle = stretch.window, stretch.cycle
        self.state = transitions.after_window(self.state, stretch)

    def _listed(self) -> SchedulerState:
        """The state with only the runs that are full values: callers may assign bare names."""
        runs: object = self.state.running_tasks
        known = {n: r for n, r in runs.items() if isinstance(r, ActiveRun)} if isinstance(runs, dict) else {}
        return SchedulerState(running_tasks=known, estimated_memory_used=self.state.estimated_memory_used)

    def get_extended_window_tasks(self) -> list[TaskSpec]:
        """Return the research tasks worth an extended window: those too long for an ordinary night."""
        if not self.calculate_research_budget().is_extended:
            return []
        return [
            spec
            for spec in self.orchestrator.specs.values()
            if spec.enabled and spec.is_research and (spec.extendable or spec.interruptible)
        ]

    def backfill_with_opportunistic_tasks(self, remaining_minutes: float) -> list[TaskSpec]:
        """Return the opportunistic tasks that fill what is left of a window of `remaining_minutes`: those
        likely to end in it, and those that checkpoint, in the order of their priority."""
        rules = self.orchestrator.policy.rules
        fitting = []
        for spec in self.orchestrator.specs.values():
            if not (spec.enabled and spec.opportunistic) or spec.name in self.state.running_tasks:
                continue
            estimate = self.state.record(spec.name).estimate
            needed = estimates.quantile_minutes(spec, estimate, rules.finish_probability)
            if spec.interruptible:
                needed = spec.min_slice_minutes + rules.stop_grace.total_seconds() / 60
            if needed <= remaining_minutes:
                fitting.append(spec)
        return sorted(fitting, key=lambda s: (-int(s.priority), s.name))

    def should_extend_task(self, task_name: str) -> bool:
        """Whether a running extendable task past its estimate may go on: while the window lasts and nothing
        more important waits for its place. False for a task that is not running."""
        run = self.state.running_tasks.get(task_name)
        if run is None:
            return False
        stretch = self._stretch()
        decision = self.decide()
        wanted = any(stop.run_id == run.run_id for stop in decision.stops)
        compiled = compile_spec(
            self.orchestrator.specs[task_name], self.orchestrator.calendars, self.orchestrator.policy
        )
        return reclaim.may_extend(run, compiled, self._now(), stretch.prep_start, wanted)

    def _get_estimated_duration(self, spec: TaskSpec) -> timedelta:
        """Return the predicted (median) duration; the spec's figure without history."""
        if spec.name in self.state.avg_durations:
            return timedelta(minutes=self.state.avg_durations[spec.name])
        record = self.state.record(spec.name)
        if record.estimate.runs == 0:
            return timedelta(minutes=spec.estimated_minutes)
        return timedelta(minutes=estimates.predict(spec, record.estimate, 0.5).median)

    def _get_available_memory(self) -> float:
        """Return the MB that may still be promised: available - reserve - what is promised already."""
        orch = self.orchestrator
        return gates.open_ledger(
            self._listed(), self._resources(), orch.policy.rules, self._stretch()
        ).free_mb

    # --- what has happened --------------------------------------------------------------------------------

    def _record_completion(self, spec: TaskSpec, result: TaskResult) -> None:
        """Take a result in: its dependents are ready in the next `get_ready_tasks()`."""
        if not result.key.task:
            cycle = self._stretch().cycle.isoformat()
            key = RunKey(spec.name, cycle, "once", 1)
            result = replace(result, key=key)
        self._roll()
        self.state = transitions.after_result(self.state, spec, result, self._stretch(), self._now())

    def _save_state(self) -> None:
        """Write every task's record to the store."""
        now = self._now()
        self.orchestrator.store.commit(
            [
                *(RecordSaved(task=task, record=record) for task, record in self.state.records.items()),
                ValueSaved(key="paused", value=self.state.paused or "", at=now),
            ]
        )

    def _load_state(self) -> None:
        """Read the records and the open runs back from the store."""
        self.state = transitions.restored(self.orchestrator.store.load())

    # --- short cuts ---------------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return self.orchestrator.clock.now()

    def _today(self) -> date:
        return self.orchestrator.calendars.home.local_date(self._now())

    def _stretch(self, now: datetime | None = None) -> Stretch:
        return self.orchestrator.calendars.stretch(now or self._now())

    def _resources(self) -> Resources:
        return self.orchestrator.sensors.read({})
