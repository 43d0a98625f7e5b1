"""Weeks in seconds: the same loop and the same decide(), in virtual time, with simulated processes.

    result = simulate(specs, policy, tables, start, days=7, seed=1)

The same seed gives the same trace.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from hardware.panel import NullPanel
from orchestration.clock import VirtualClock
from orchestration.control import NoCommands
from orchestration.decisions import Decision, Policy, StartRun
from orchestration.estimates import limit_mb
from orchestration.launching import LaunchSettings
from orchestration.loop import Loop, World
from orchestration.ports import Launch, Sensors, Store
from orchestration.reports import SessionTables
from orchestration.runs import Estimate, SchedulerState
from orchestration.simulation.stand_ins import (
    Ended,
    Happening,
    LogNormalModel,
    Model,
    QuietNarrator,
    QuietNotifier,
    SimulatedRunner,
    Started,
    SteadySensors,
    VirtualWaiter,
)
from orchestration.state.memory import MemoryStore
from orchestration.types import TaskSpec

Event = Started | Ended
COLLECT_EVERY = 100_000
"""How many values are made and kept before cycles among them are looked for; Python's 700 are a few turns."""


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Look for cycles of garbage seldom: a turn makes hundreds of values, and its garbage has none."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass
class Simulation:
    """A simulated box. loop, clock, runner: to look into, or to meddle with in a happening.

    events: starts and ends in order; decisions: how many were taken. watch: called with each.
    """

    loop: Loop
    clock: VirtualClock
    runner: SimulatedRunner
    events: list[Event] = field(default_factory=list)
    decisions: int = 0
    watch: Callable[[Decision], None] | None = None

    def run_until(self, end: datetime) -> None:
        """Turn and wait until `end`."""
        with seldom_collecting():
            while self.clock.now() < end:
                decision = self.loop.turn()
                self.decisions += 1
                if self.watch is not None:
                    self.watch(decision)
                self.loop.wait(end)


def build(
    specs: Mapping[str, TaskSpec],
    policy: Policy,
    tables: SessionTables,
    start: datetime,
    *,
    model: Model | None = None,
    sensors: Sensors | None = None,
    store: Store | None = None,
    state: SchedulerState | None = None,
    happenings: Sequence[Happening] = (),
    keep_events: bool = True,
) -> Simulation:
    """Return a simulated box at `start` (aware UTC), ready to run."""
    clock = VirtualClock(start)
    events: list[Event] = []
    runner = SimulatedRunner(clock, specs, model or LogNormalModel())
    if keep_events:
        runner.observe = events.append
    world = World(
        clock=clock,
        waiter=VirtualWaiter(clock, runner, happenings),
        runner=runner,
        store=store or MemoryStore(keep_rows=False),
        panel=NullPanel(),
        sensors=sensors or SteadySensors(),
        inbox=NoCommands(),
        notifier=QuietNotifier(),
    )
    loop = Loop(
        world=world,
        policy=policy,
        specs=specs,
        tables=tables,
        launching=NOWHERE,
        narrator=QuietNarrator(),
        state=state,
        make_launch=simulated_launch,
    )
    return Simulation(loop, clock, runner, events)


NOWHERE = LaunchSettings(root=Path("/"), log_dir=Path("/"), values={}, environ={})


def simulated_launch(start: StartRun, spec: TaskSpec, estimate: Estimate, settings: LaunchSettings) -> Launch:
    """Return what a simulated process needs: its name and its limit."""
    limit = max(limit_mb(spec, estimate), start.memory_mb)
    return Launch(run_id=start.key.run_id, task=spec.name, argv=("-",), env={}, cwd="/", memory_mb=limit)


def simulate(
    specs: Mapping[str, TaskSpec],
    policy: Policy,
    tables: SessionTables,
    start: datetime,
    days: float = 7,
    seed: int = 1,
    **parts: object,
) -> Simulation:
    """Run a box for `days` from `start` and return it."""
    model = parts.pop("model", None) or LogNormalModel(seed=seed)
    simulation = build(specs, policy, tables, start, model=model, **parts)  # type: ignore[arg-type]
    simulation.run_until(start + timedelta(days=days))
    return simulation
