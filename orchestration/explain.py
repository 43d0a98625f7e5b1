"""Why a task is not running: every gate that fails, with numbers, and the next instant it could run. Pure.

The same gate functions that `decide` decides with; never a second explainer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from orchestration import estimates
from orchestration.agenda import Agenda, Entry
from orchestration.compiled import CompiledSpec
from orchestration.decide import Turn
from orchestration.decisions import RANK, Gate, Policy, Resources
from orchestration.market_calendar import Calendars
from orchestration.runs import SchedulerState, TaskRecord
from orchestration.slots import Slot, iso, timing
from orchestration.types import Stretch, TaskSpec

SEARCH_STEPS = 400


class Why(NamedTuple):
    """What stands between a task and its next run.

    status: "running", "ready" (nothing does), or "waiting". failures: the gates that fail now, the worst
    first. next_at: the next instant its timing lets it run (None: not within the horizon); gates that wait
    for an event (a dependency, memory) may hold it longer.
    """

    task: str
    status: str
    failures: tuple[Gate, ...]
    next_at: datetime | None


def why_not(
    policy: Policy,
    state: SchedulerState,
    now: datetime,
    resources: Resources,
    specs: Mapping[str, TaskSpec],
    sessions: Calendars,
    task: str,
    agenda: Agenda | None = None,
) -> Why:
    """Return every failing gate of `task` at `now`. Raises KeyError for an unknown task."""
    agenda = Agenda() if agenda is None else agenda
    agenda.refresh(policy, specs, sessions, state, now)
    entry = agenda.by_name[task]
    found = entry.timing
    assert found is not None
    if task in state.running_tasks:
        return Why(task, "running", (), None)
    turn = Turn(policy, state, now, resources, agenda)
    for other in turn.in_order():
        if other is entry:
            break  # what is less important takes nothing from it
        turn.consider(other)
    slot = found.slot or Slot(agenda.ahead[0].cycle.isoformat(), "once", 1, None, now)
    failures = sorted([*found.failures, *failures_of(turn, entry, slot)], key=_rank)
    next_at = now if found.slot is not None else next_due(entry, sessions, agenda.ahead, state, now)
    return Why(task, "waiting" if failures else "ready", tuple(failures), next_at)


def _rank(gate: Gate) -> int:
    return RANK[gate.reason]


def failures_of(turn: Turn, entry: Entry, slot: Slot) -> list[Gate]:
    """Return the gates of dependencies, resources and the world outside that a task fails in `turn`."""
    c = entry.compiled
    estimate = turn.state.record(c.name).estimate
    need_mb = turn.reservation(c)
    prediction = estimates.predict(c.spec, estimate, turn.rules.high_quantile)
    return turn.failures(c, slot, need_mb, prediction)


def next_due(
    entry: Entry, calendars: Calendars, ahead: Sequence[Stretch], state: SchedulerState, now: datetime
) -> datetime | None:
    """Return the next instant from `now` on at which its timing makes it due; None beyond the horizon."""
    c: CompiledSpec = entry.compiled
    record: TaskRecord = state.record(c.name)
    at, rest = now, list(ahead)
    for _ in range(SEARCH_STEPS):
        while len(rest) > 1 and rest[0].end <= at:
            rest.pop(0)
        if rest[0].end <= at:
            return None
        found = timing(c, at, calendars, rest, record, None, state.paused)
        if found.slot is not None:
            return at
        at = found.valid_until
    return None


def sentence(gate: Gate) -> str:
    """Return a gate's answer as one line for people."""
    text = f"{gate.reason}: {gate.detail}" if gate.detail else str(gate.reason)
    if gate.needed is not None and gate.available is not None:
        text += f" (needs {gate.needed:g}, has {gate.available:g})"
    elif gate.needed is not None:
        text += f" (needs {gate.needed:g})"
    return f"{text}, until {iso(gate.clears_at)}" if gate.clears_at is not None else text
