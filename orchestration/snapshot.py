"""What the daemon knows, as JSON for the control command: the last decision, and every task's reasons.

The same gates that decided; `orchestratorctl` and the dashboard print this and work nothing out themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from orchestration import estimates
from orchestration.agenda import Agenda
from orchestration.decisions import Decision, Policy, Resources
from orchestration.explain import Why, why_not
from orchestration.market_calendar import Calendars
from orchestration.runs import ActiveRun, SchedulerState
from orchestration.slots import iso
from orchestration.state.codec import gate_to_dict
from orchestration.types import ResearchBudget, TaskSpec


def snapshot(
    policy: Policy,
    state: SchedulerState,
    decision: Decision,
    resources: Resources,
    specs: Mapping[str, TaskSpec],
    calendars: Calendars,
    agenda: Agenda | None = None,
) -> dict[str, object]:
    """Return everything worth showing at the instant of `decision`. Instants are ISO text in UTC."""
    now = decision.at
    agenda = Agenda() if agenda is None else agenda
    whys = {
        name: why_not(policy, state, now, resources, specs, calendars, name, agenda) for name in sorted(specs)
    }
    return {
        "at": iso(now),
        "policy": policy.name,
        "mode": decision.mode.value,
        "phase": decision.stretch.phase.value,
        "window": decision.window.id,
        "cycle": decision.stretch.cycle.isoformat(),
        "calendar_known": decision.stretch.is_known,
        "calendar_horizon": calendars.horizon().isoformat(),
        "research_start": iso(decision.stretch.research_start),
        "prep_start": iso(decision.stretch.prep_start),
        "research_end": iso(decision.stretch.research_end),
        "next_change": iso(decision.stretch.end),
        "wake_at": iso(decision.wake_at),
        "budget": budget_dict(decision.budget),
        "paused": state.paused,
        "manual": dict(state.manual),
        "resources": resources_dict(resources),
        "running": [run_dict(run, resources, now) for run in state.running_tasks.values()],
        "tasks": [task_dict(specs[name], why, state, _deadline(agenda, name)) for name, why in whys.items()],
    }


def _deadline(agenda: Agenda, name: str) -> datetime | None:
    found = agenda.by_name[name].timing
    return None if found is None or found.slot is None else found.slot.deadline


def budget_dict(budget: ResearchBudget) -> dict[str, object]:
    """Return a budget's fields and its percentage."""
    return {
        "total_hours": round(budget.total_hours, 4),
        "research_hours": round(budget.research_hours, 4),
        "budget_type": budget.budget_type,
        "is_extended": budget.is_extended,
        "budget_pct_remaining": round(budget.budget_pct_remaining, 4),
    }


def resources_dict(resources: Resources) -> dict[str, object]:
    """Return what the box has; null is unknown."""
    return {
        "total_mb": round(resources.total_mb),
        "available_mb": round(resources.available_mb),
        "slots": resources.slots,
        "clock_synced": resources.clock_synced,
        "network_up": resources.network_up,
        "too_hot": resources.too_hot,
        "temperature_c": resources.temperature_c,
        "memory_pressure_pct": resources.pressure,
        "broker": resources.broker,
    }


def run_dict(run: ActiveRun, resources: Resources, now: datetime) -> dict[str, object]:
    """Return one running run."""
    used = resources.used_mb.get(run.run_id)
    return {
        "run_id": run.run_id,
        "task": run.task,
        "started_at": iso(run.started_at),
        "running_s": round((now - run.started_at).total_seconds(), 1),
        "predicted_end": iso(run.predicted_end),
        "reserved_mb": round(run.reserved_mb, 1),
        "used_mb": None if used is None else round(used, 1),
        "stopping": None if run.stopping is None else run.stopping.value,
    }


def task_dict(
    spec: TaskSpec, why: Why, state: SchedulerState, deadline: datetime | None
) -> dict[str, object]:
    """Return one task with what stands in its way. deadline: of the occasion that is due now."""
    record = state.record(spec.name)
    prediction = estimates.predict(spec, record.estimate, 0.9)
    return {
        "name": spec.name,
        "description": spec.description,
        "category": spec.category.value,
        "priority": spec.priority.name,
        "enabled": spec.enabled,
        "status": why.status,
        "failures": [gate_to_dict(gate) for gate in why.failures],
        "next_at": None if why.next_at is None else iso(why.next_at),
        "deadline": None if deadline is None else iso(deadline),
        "predicted_minutes": round(prediction.median, 3),
        "predicted_high_minutes": round(prediction.high, 3),
        "reserve_mb": round(estimates.reserve_mb(spec, record.estimate), 1),
        "runs_learned": record.estimate.runs,
        "last_outcome": None if record.last_outcome is None else record.last_outcome.value,
        "last_started_at": None if record.last_started_at is None else iso(record.last_started_at),
        "last_success_at": None if record.last_success_at is None else iso(record.last_success_at),
        "paused": record.paused,
    }
