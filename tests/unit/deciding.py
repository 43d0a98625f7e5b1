"""A small box for tests of the core: New York's 2026, a few hand-made runs, one turn at an instant.

The night before Friday 2026-11-20: research from 18:00, PREP from 04:00; then 08:00, 09:30 and 16:00.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from orchestration.agenda import Agenda
from orchestration.decide import decide
from orchestration.decisions import Decision, Policy, Reason, Resources
from orchestration.explain import Why, why_not
from orchestration.policies import policy_for
from orchestration.runs import ActiveRun, RunKey, SchedulerState, TaskRecord
from orchestration.types import TaskCategory, TaskPriority, TaskSpec
from tests.calendars import calendars_2026, ny

CALENDARS = calendars_2026()
UNIFIED = policy_for("unified")
NIGHT = ny("2026-11-19T20:00")  # Thursday evening: RESEARCH, 8 h to PREP
SESSION = ny("2026-11-20T11:00")  # Friday: TRADING
THURSDAY, FRIDAY, MONDAY = "2026-11-19", "2026-11-20", "2026-11-23"


def box(
    *, total_mb: float = 4000.0, available_mb: float = 3600.0, slots: int = 4, **changes: object
) -> Resources:
    """Return a healthy box; `changes` are fields of `Resources`."""
    healthy: dict[str, object] = {"clock_synced": True, "network_up": True, "broker": True, **changes}
    return Resources(total_mb=total_mb, available_mb=available_mb, slots=slots, **healthy)  # type: ignore[arg-type]  # names are checked by the call


def duty(name: str = "duty", **fields: object) -> TaskSpec:
    """Return a duty: risk, HIGH, a minute long."""
    common: dict[str, object] = {
        "category": TaskCategory.RISK,
        "priority": TaskPriority.HIGH,
        "estimated_minutes": 1,
        "timeout_minutes": 5,
    }
    return TaskSpec(name=name, **{**common, **fields})  # type: ignore[arg-type]  # names are checked by the call


def research(name: str = "research", **fields: object) -> TaskSpec:
    """Return a research task of an hour."""
    common: dict[str, object] = {
        "category": TaskCategory.RESEARCH,
        "estimated_minutes": 60,
        "timeout_minutes": 600,
    }
    return TaskSpec(name=name, **{**common, **fields})  # type: ignore[arg-type]  # names are checked by the call


def active(task: str, started: datetime, minutes: float = 60, mb: float = 100, **fields: object) -> ActiveRun:
    """Return a run of `task` predicted to end `minutes` after `started`."""
    key = RunKey(task, FRIDAY, "once", 1)
    end = started + timedelta(minutes=minutes)
    return ActiveRun(key=key, started_at=started, predicted_end=end, reserved_mb=mb, **fields)  # type: ignore[arg-type]  # names are checked by the call


def known(*runs: ActiveRun, **fields: object) -> SchedulerState:
    """Return a state in which `runs` are running."""
    return SchedulerState(
        running_tasks={run.task: run for run in runs},
        estimated_memory_used=sum(run.reserved_mb for run in runs),
        **fields,  # type: ignore[arg-type]  # names are checked by the call
    )


def remembering(**records: TaskRecord) -> SchedulerState:
    """Return a state with `records` by task and nothing running."""
    return SchedulerState(records=dict(records))


def turn(
    *specs: TaskSpec,
    at: datetime,
    state: SchedulerState | None = None,
    resources: Resources | None = None,
    policy: Policy = UNIFIED,
    agenda: Agenda | None = None,
) -> Decision:
    """Return what is decided at `at`."""
    return decide(
        policy, state or SchedulerState(), at, resources or box(), by_name(*specs), CALENDARS, agenda
    )


def why(
    task: str,
    *specs: TaskSpec,
    at: datetime,
    state: SchedulerState | None = None,
    resources: Resources | None = None,
    policy: Policy = UNIFIED,
) -> Why:
    """Return why `task` does not run at `at`."""
    return why_not(
        policy, state or SchedulerState(), at, resources or box(), by_name(*specs), CALENDARS, task
    )


def by_name(*specs: TaskSpec) -> Mapping[str, TaskSpec]:
    """Return the specs by name; the same mapping for the same specs, which an agenda knows again."""
    return _TABLES.setdefault(tuple(id(spec) for spec in specs), {spec.name: spec for spec in specs})


_TABLES: dict[tuple[int, ...], Mapping[str, TaskSpec]] = {}


def started(decision: Decision) -> list[str]:
    """Return the tasks it starts, in order."""
    return [start.key.task for start in decision.starts]


def stopped(decision: Decision) -> list[str]:
    """Return the tasks it stops, in order."""
    return [stop.task for stop in decision.stops]


def reasons(decision: Decision, task: str) -> list[Reason]:
    """Return why it leaves `task` out, the worst reason first."""
    return [gate.reason for gate in decision.blocked[task].failures]
