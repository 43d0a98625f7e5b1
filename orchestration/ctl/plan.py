"""What the box will do: the daemon's own loop run ahead in virtual time, every run taking its median."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from orchestration import estimates
from orchestration.decisions import Decision, Policy, Resources, StartRun
from orchestration.ports import Launch
from orchestration.reports import SessionTables
from orchestration.runs import EX_TEMPFAIL, ActiveRun, SchedulerState
from orchestration.simulation.box import Simulation, build
from orchestration.simulation.stand_ins import Ended, Fortune, SteadySensors
from orchestration.slots import iso
from orchestration.types import OperatingMode, TaskSpec

SHORTEST_MINUTES = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run to come, or running already.

    end: when it ends if it takes its median. minutes: from start to end. memory_mb: reserved for it.
    kind: running (already), manual, duty, filler, research or upkeep. ends: done, checkpoint, stopped, or
    beyond (it goes on past the plan).
    """

    task: str
    run_id: str
    start: datetime
    end: datetime
    minutes: float
    memory_mb: float
    cpus: int
    kind: str
    ends: str = "done"

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON-ready values."""
        return {
            "task": self.task,
            "run_id": self.run_id,
            "start": iso(self.start),
            "end": iso(self.end),
            "minutes": round(self.minutes, 2),
            "memory_mb": round(self.memory_mb, 1),
            "cpus": self.cpus,
            "kind": self.kind,
            "ends": self.ends,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeSpan:
    """A stretch of the plan in one mode and phase."""

    start: datetime
    end: datetime
    mode: OperatingMode
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The runs of [start, end) by their start, the modes they lie in, and what was assumed."""

    start: datetime
    end: datetime
    runs: tuple[PlannedRun, ...]
    spans: tuple[ModeSpan, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MedianFortunes:
    """Every run takes its median prediction and succeeds; one that runs already takes what it has left.

    medians, peaks: by task; left: minutes left of the runs that are running, by task.
    """

    medians: Mapping[str, float]
    peaks: Mapping[str, float]
    left: Mapping[str, float]

    def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
        is_running = number == 1 and spec.name in self.left
        minutes = self.left[spec.name] if is_running else self.medians[spec.name]
        return Fortune(max(minutes, SHORTEST_MINUTES), self.peaks[spec.name], 0)


def minutes_left(spec: TaskSpec, state: SchedulerState, run: ActiveRun, now: datetime) -> float:
    """Return the median of what a run has left, given that it has taken this long already."""
    estimate = state.record(spec.name).estimate
    elapsed = max(0.0, (now - run.started_at).total_seconds() / 60)
    passed = estimates.chance_of_finishing(spec, estimate, elapsed)
    halfway = min(max((1 + passed) / 2, 0.5), 1 - 1e-9)
    whole = max(
        estimates.predict(spec, estimate, 0.5).median, estimates.quantile_minutes(spec, estimate, halfway)
    )
    # At its cap (the timeout) the law says nothing more; a tenth of what it has taken is a guess.
    return whole - elapsed if whole > elapsed else max(0.1 * elapsed, SHORTEST_MINUTES)


@dataclass
class LastingSensors(SteadySensors):
    """A box that stays as it is; its running runs use at least what they use now. held_mb: by run id."""

    held_mb: Mapping[str, float] = field(default_factory=dict)

    def read(self, used_mb: Mapping[str, float]) -> Resources:
        """See `SteadySensors`."""
        return super().read({run: max(mb, self.held_mb.get(run, 0.0)) for run, mb in used_mb.items()})


def sensors_like(view: Mapping[str, Any]) -> LastingSensors:
    """Return sensors of a box that stays as a snapshot says; memory that no run of ours uses is foreign."""
    resources = view["resources"]
    held = {run["run_id"]: float(run["used_mb"] or 0.0) for run in view["running"]}
    foreign = resources["total_mb"] - resources["available_mb"] - sum(held.values())
    return LastingSensors(
        total_mb=resources["total_mb"],
        slots=resources["slots"],
        foreign_mb=max(0.0, foreign),
        clock_synced=resources["clock_synced"],
        network_up=resources["network_up"],
        too_hot=resources["too_hot"],
        broker=resources["broker"],
        held_mb=held,
    )


def make_plan(
    specs: Mapping[str, TaskSpec],
    policy: Policy,
    tables: SessionTables,
    state: SchedulerState,
    view: Mapping[str, Any],
    now: datetime,
    until: datetime,
) -> Plan:
    """Return what the box will do in [now, until), from a state and a snapshot.

    state: its running runs are taken as running. view: what `snapshot` returned, for its resources.
    """
    running = {task: run for task, run in state.running_tasks.items() if task in specs}
    state = replace(state, running_tasks=running, manual=dict(view.get("manual", {})))
    model = MedianFortunes(
        medians={n: estimates.predict(s, state.record(n).estimate, 0.5).median for n, s in specs.items()},
        peaks={n: estimates.reserve_mb(s, state.record(n).estimate) for n, s in specs.items()},
        left={task: minutes_left(specs[task], state, run, now) for task, run in running.items()},
    )
    sensors = sensors_like(view)
    simulation = build(specs, policy, tables, now, model=model, sensors=sensors, state=state)
    for run in running.values():
        simulation.runner.start(_adopted(run))
    starts: dict[str, tuple[datetime, StartRun]] = {}
    spans: list[ModeSpan] = []

    def watch(decision: Decision) -> None:
        starts.update({start.key.run_id: (decision.at, start) for start in decision.starts})
        _add_span(spans, decision, until)

    simulation.watch = watch
    simulation.run_until(until)
    ends = _ends(simulation)
    runs = [_already(run, model, ends, now) for run in running.values()]
    runs += [_planned(at, start, specs, model, ends) for at, start in starts.values()]
    return Plan(
        start=now,
        end=until,
        runs=tuple(sorted(runs, key=lambda run: (run.start, run.task))),
        spans=tuple(spans),
        notes=tuple(notes_on(view)),
    )


def _adopted(run: ActiveRun) -> Launch:
    # It runs already: its limit is no concern of the plan's.
    return Launch(run_id=run.run_id, task=run.task, argv=("-",), env={}, cwd="/", memory_mb=1e9)


def _add_span(spans: list[ModeSpan], decision: Decision, until: datetime) -> None:
    if spans and decision.at < spans[-1].end:
        return
    stretch = decision.stretch
    start, end = max(stretch.start, decision.at), min(stretch.end, until)
    spans.append(ModeSpan(start=start, end=end, mode=stretch.mode, phase=stretch.phase.value))


def _ends(simulation: Simulation) -> dict[str, tuple[datetime, str]]:
    """Return when and how each run ends, by run id; a run that goes on past the plan is not there."""
    found = {}
    for event in simulation.events:
        if isinstance(event, Ended):
            code = event.exit.exit_code
            how = "done" if code == 0 else "checkpoint" if code == EX_TEMPFAIL else "stopped"
            found[event.run_id] = (event.at, how)
    return found


def _already(
    run: ActiveRun,
    model: MedianFortunes,
    ends: Mapping[str, tuple[datetime, str]],
    now: datetime,
) -> PlannedRun:
    end, how = ends.get(run.run_id) or (now + timedelta(minutes=model.left[run.task]), "beyond")
    return PlannedRun(
        task=run.task,
        run_id=run.run_id,
        start=run.started_at,
        end=end,
        minutes=(end - run.started_at) / timedelta(minutes=1),
        memory_mb=run.reserved_mb,
        cpus=run.cpus,
        kind="running",
        ends=how,
    )


def _planned(
    at: datetime,
    start: StartRun,
    specs: Mapping[str, TaskSpec],
    model: MedianFortunes,
    ends: Mapping[str, tuple[datetime, str]],
) -> PlannedRun:
    key = start.key
    end, how = ends.get(key.run_id) or (at + timedelta(minutes=model.medians[key.task]), "beyond")
    return PlannedRun(
        task=key.task,
        run_id=key.run_id,
        start=at,
        end=end,
        minutes=(end - at) / timedelta(minutes=1),
        memory_mb=start.memory_mb,
        cpus=start.cpus,
        kind=_kind(start, specs[key.task]),
        ends=how,
    )


def _kind(start: StartRun, spec: TaskSpec) -> str:
    if start.key.slot.startswith("manual:"):
        return "manual"
    if spec.is_duty:
        return "duty"
    if start.filler:
        return "filler"
    return "research" if spec.is_research else "upkeep"


def notes_on(view: Mapping[str, Any]) -> Sequence[str]:
    """Return what the plan takes for lasting that may change."""
    resources, notes = view["resources"], []
    if resources["clock_synced"] is not True:
        notes.append("The clock is not known to be right: as long as it is not, no trading task starts.")
    if resources["network_up"] is False:
        notes.append("The network is down: tasks that need it are not in the plan.")
    if resources["too_hot"]:
        notes.append("The box is too hot: no research starts until it has cooled.")
    if view["paused"]:
        what = "Nothing starts" if view["paused"] == "all" else "Only trading duties start"
        notes.append(f"Paused: {what} until `orchestratorctl resume`.")
    if not view["calendar_known"]:
        notes.append("No session is known for today: no trading task starts.")
    return notes
