"""The demo's box: the real loop with a real store and real orders, over processes that are simulated.

Time passes as fast as it can for the days of history, and afterwards at a pace that can be watched.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from hardware.health import BoxHealth, disk_free
from hardware.panel import NullPanel
from orchestration import VERSION, halt
from orchestration.changes import Change, OpenRun, Stored, ValueSaved
from orchestration.clock import SystemClock, VirtualClock
from orchestration.control import ControlDb
from orchestration.ctl.beside import view_beside
from orchestration.ctl.box import Box
from orchestration.ctl.desk import Desk
from orchestration.decisions import Resources, StartRun
from orchestration.instance import InstanceLock
from orchestration.launching import LaunchSettings, log_path
from orchestration.loop import Loop, World
from orchestration.ports import Launch, RunExit, Store, Wake
from orchestration.runs import EX_TEMPFAIL, Estimate
from orchestration.service import DAEMON_KEY
from orchestration.simulation.box import simulated_launch
from orchestration.simulation.stand_ins import (
    Ended,
    Fortune,
    QuietNarrator,
    QuietNotifier,
    SimulatedRun,
    SimulatedRunner,
    Started,
    SteadySensors,
)
from orchestration.simulation.workload import StatedWorkload
from orchestration.state.store import SqlStore
from orchestration.types import TaskSpec

STEP_S = 0.05
"""Real seconds between two looks at the clock while time is shown passing."""
MOST_BEHIND_S = 1.0
"""Real seconds that the box may be behind its pace and still make up for."""
GATHERED = 400
"""Changes that history writes at a time: each commit waits for the disk."""
SAID_EVERY = timedelta(minutes=10)
"""How often a long run says how far it is."""


class Work(Protocol):
    """What the simulated jobs do beside taking time."""

    def started(self, task: str, at: datetime) -> None: ...

    def ended(self, task: str, at: datetime) -> Mapping[str, object]:
        """Do what a success of `task` does; return the report of its result file."""
        ...

    def close(self) -> None:
        """End what is still under way."""
        ...


@dataclass(slots=True)
class DemoModel:
    """A `Model`: the stated workload, with a few things gone wrong. day_of: from an instant to its day.

    failing: tasks that fail on a day, by day and task. growing: tasks that outgrow their memory then.
    """

    stated: StatedWorkload
    failing: frozenset[tuple[str, str]] = frozenset()
    growing: frozenset[tuple[str, str]] = frozenset()

    def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
        found = self.stated.draw(spec, number, occasion)
        cycle = occasion.partition(".")[0]
        if (cycle, spec.name) in self.failing:
            return found._replace(minutes=min(found.minutes, 0.4 * spec.estimated_minutes), exit_code=1)
        if (cycle, spec.name) in self.growing:
            return found._replace(peak_mb=3.0 * spec.memory_mb)
        return found


class DemoRunner(SimulatedRunner):
    """A `SimulatedRunner` whose runs write logs and result files' reports. work: what the jobs do."""

    def __init__(self, clock: VirtualClock, specs: Mapping[str, TaskSpec], model: DemoModel, work: Work):
        super().__init__(clock, specs, model, rung="simulated")
        self.observe = self._observed
        self._work = work
        self._said: dict[str, datetime] = {}
        self.used: Mapping[str, float] = {}

    def _observed(self, event: Started | Ended) -> None:
        if isinstance(event, Started):
            run = self.runs[event.run_id]
            minutes = f"about {run.spec.estimated_minutes:g} min"
            self._say(run, f"{run.spec.name}: begins ({minutes}, at most {run.launch.memory_mb:.0f} MB)")
            self._said[event.run_id] = event.at
            self._work.started(event.task, event.at)
        else:
            self._said.pop(event.run_id, None)

    def _exit(self, run: SimulatedRun) -> RunExit:
        found = super()._exit(run)
        if found.exit_code == 0:
            report = self._work.ended(run.spec.name, self.clock.now())
            self._say(run, f"{run.spec.name}: done", *(f"  {key}: {report[key]}" for key in report))
            return replace(found, report=report)
        for line in last_words(found, run):
            self._say(run, line)
        return found

    def say(self) -> None:
        """Let long runs say how far they are; note what each uses, for readers in other threads."""
        self.used = dict(self.usage())
        now, now_s = self.clock.now(), self.clock.monotonic()
        for run_id, at in list(self._said.items()):
            run = self.runs.get(run_id)
            if run is not None and now - at >= SAID_EVERY:
                self._said[run_id] = now
                share = (now_s - run.started_s) / max(run.ends_s - run.started_s, 1.0)
                how_far = f"{share:4.0%} done, " if share < 1 and run.ends_s < 1e12 else ""
                self._say(run, f"{run.spec.name}: {how_far}{self.used.get(run_id, 0.0):.0f} MB in use")

    def _say(self, run: SimulatedRun, *lines: str) -> None:
        path = Path(run.launch.log)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as log:
            log.writelines(f"{self.clock.now():%Y-%m-%d %H:%M:%S} {line}\n" for line in lines)


def last_words(found: RunExit, run: SimulatedRun) -> list[str]:
    """Return what a run that did not succeed writes at its end."""
    if found.exit_code == EX_TEMPFAIL:
        return ["asked to stop: what is done is kept", f"about {run.left_minutes:.0f} min are left"]
    if found.out_of_memory:
        return [f"using {found.peak_memory_mb or 0:.0f} MB", "Killed"]
    if found.stop_cause is not None:
        return ["Terminated"]
    return [
        "Traceback (most recent call last):",
        f'  File "scripts/{run.spec.name}.py", line 88, in main',
        "    answer = source.fetch(symbols)",
        "TimeoutError: no answer within 30 s (a failure of the demo)",
    ]


@dataclass
class DemoSensors(SteadySensors):
    """Sensors of a small box: warmer the more runs it has, too hot between `hot`."""

    clock: VirtualClock | None = None
    hot: tuple[datetime, datetime] | None = None

    def read(self, used_mb: Mapping[str, float]) -> Resources:
        found = super().read(used_mb)
        now = None if self.clock is None else self.clock.now()
        is_hot = now is not None and self.hot is not None and self.hot[0] <= now < self.hot[1]
        warm = 47.0 + 5.0 * len(used_mb)
        return replace(found, too_hot=is_hot, temperature_c=82.5 if is_hot else min(warm, 68.0))

    def health(self, used_mb: Mapping[str, float], disk: Path) -> BoxHealth:
        """Return how the box is, of the same readings. disk: the folder whose free space is told."""
        found, (free_mb, free_pct) = self.read(used_mb), disk_free(disk)
        was_hot = self.clock is not None and self.hot is not None and self.hot[0] <= self.clock.now()
        limited = ("soft temperature limit",)
        return BoxHealth(
            temperature_c=found.temperature_c,
            throttled_now=limited if found.too_hot else (),
            throttled_since_boot=limited if was_hot else (),
            under_voltage=False,
            clock_synced=found.clock_synced,
            clock_source="the demo",
            disk_free_mb=free_mb,
            disk_free_pct=free_pct,
        )


class ReadersClock:
    """What the dashboard goes by: the box's hour, and real seconds."""

    def __init__(self, box: VirtualClock) -> None:
        self._box, self._real = box, SystemClock()

    def now(self) -> datetime:
        return self._box.now()

    def monotonic(self) -> float:
        return self._real.monotonic()

    def sleep(self, seconds: float) -> None:
        self._real.sleep(seconds)


class GatheringStore:
    """A `Store` that writes many turns at once: what history is made with. A crash would lose some of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: list[Change] = []

    def load(self) -> Stored:
        return self._store.load()

    def commit(self, changes: Sequence[Change]) -> None:
        self._changes += changes
        if len(self._changes) >= GATHERED:
            self.flush()

    def flush(self) -> None:
        """Write what is gathered."""
        self._store.commit(self._changes)
        self._changes = []

    def prune(self, now: datetime) -> int:
        return 0

    def close(self) -> None:
        self.flush()
        self._store.close()


@dataclass
class PacedWaiter:
    """A `Waiter` for simulated runs that lets a reader watch. ordered, over: set by other threads.

    pace: virtual seconds in a real one; None: time jumps. each_step: called as time passes.
    """

    clock: VirtualClock
    runner: DemoRunner
    pace: float | None = None
    ordered: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    real: SystemClock = field(default_factory=SystemClock)
    _seen_s: float = float("-inf")

    def wait(self, until: datetime, fds: Sequence[int], tick_at: float | None) -> Wake:
        target, wake = self._target(until)
        while True:
            if self.over.is_set():
                return Wake.STOP
            if self.ordered.is_set():
                self.ordered.clear()
                return Wake.COMMAND
            left_s = target - self.clock.monotonic()
            if left_s <= 0:
                return wake
            self._pass(left_s)

    def _target(self, until: datetime) -> tuple[float, Wake]:
        now_s = self.clock.monotonic()
        target = now_s + max(0.0, (until - self.clock.now()).total_seconds())
        end = self.runner.next_end_s()
        return (max(now_s, end), Wake.CHILD) if end is not None and end <= target else (target, Wake.TIMER)

    def _pass(self, left_s: float) -> None:
        """Let time pass: all that is left, or as much as has passed outside."""
        if self.pace is not None:
            self.ordered.wait(min(STEP_S, left_s / self.pace))
            now = self.real.monotonic()
            passed = min(now - self._seen_s, MOST_BEHIND_S) * self.pace
            self._seen_s = now
            left_s = min(left_s, passed)
        # A microsecond more, as a float second may lie between two.
        self.clock.advance(timedelta(seconds=left_s) + timedelta(microseconds=1))
        self.runner.say()


class DemoBox:
    """A box under a folder, which is held as a daemon holds it. Make it, `live` it, `close` it."""

    def __init__(
        self,
        environ: Mapping[str, str],
        start: datetime,
        model: DemoModel,
        make_work: Callable[[DemoBox], Work],
        hot: tuple[datetime, datetime] | None = None,
    ) -> None:
        self.clock, self._environ = VirtualClock(start), environ
        self.sensors = sensors = DemoSensors(
            total_mb=2600.0, slots=3, foreign_mb=380.0, clock=self.clock, hot=hot
        )
        readers = ReadersClock(self.clock)
        settings = Desk(environ).settings
        self.box = Box(settings, readers, sensors)
        self.desk = Desk(environ, clock=readers, box=self.box)
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        self.lock = InstanceLock(settings.state_dir, clock=self.clock, version=VERSION)
        self.lock.acquire()
        self.store = SqlStore(settings.state_url, now=self.clock.now)
        self.work = make_work(self)
        self.runner = DemoRunner(self.clock, self.box.registry.specs, model, self.work)
        self.waiter = PacedWaiter(self.clock, self.runner)
        self.loop = self._loop(sensors)

    def _loop(self, sensors: DemoSensors) -> Loop:
        settings, box = self.desk.settings, self.box
        halt_file = settings.state_dir / halt.FILE_NAME
        world = World(
            clock=self.clock,
            waiter=self.waiter,
            runner=self.runner,
            store=self.store,
            panel=NullPanel(),
            sensors=sensors,
            inbox=ControlDb(settings.state_dir / "control.db"),
            notifier=QuietNotifier(),
        )
        loop = Loop(
            world=world,
            policy=box.policy,
            specs=box.registry.specs,
            tables=box.tables,
            launching=LaunchSettings(root=Path("/"), log_dir=settings.log_dir, values={}, environ={}),
            narrator=QuietNarrator(),
            make_launch=launch_with_log,
            halted=lambda: halt.reason_of(halt_file),
        )
        said = {"policy": box.policy.name, "rung": self.runner.rung, "version": VERSION}
        loop.later(ValueSaved(key=DAEMON_KEY, value=json.dumps(said), at=self.clock.now()))
        return loop

    def live(self, until: datetime | None = None, pace: float | None = None) -> None:
        """Let the box work until an instant (None: until `end`), at a pace or (None) as fast as it can."""
        store, self.waiter.pace = GatheringStore(self.store), pace
        self.loop.world.store = store if pace is None else self.store
        while not self.waiter.over.is_set() and (until is None or self.clock.now() < until):
            self.loop.turn()
            self.loop.wait(until)
        self.loop.flush()
        store.flush()

    def used(self, runs: tuple[OpenRun, ...]) -> Mapping[str, float]:
        """Return the MB that open runs use; asked for by readers in other threads."""
        return self.runner.used

    def health(self) -> BoxHealth:
        """Return how the simulated box is, never the machine it is shown on; also for other threads."""
        return self.sensors.health(self.runner.used, self.desk.settings.state_dir)

    def written(self) -> None:
        """Let the database hold all that has happened: while history is made, it is behind."""
        store = self.loop.world.store
        if isinstance(store, GatheringStore):
            store.flush()

    def planned(self) -> Mapping[str, object]:
        """Return what plan_window would report now."""
        from scripts.plan_window import plan_of, report_of

        self.written()
        # A desk of its own: the readers' is not for two threads.
        box = Box(self.desk.settings, self.clock, self.loop.world.sensors)
        desk = Desk(self._environ, clock=self.clock, box=box)
        view = view_beside(desk, self.used)
        try:
            return report_of(plan_of(desk, view), view) if view["calendar_known"] else {}
        finally:
            if box.engine is not None:
                box.engine.dispose()

    def order(self) -> None:
        """Wake the loop: somebody has left an order."""
        self.waiter.ordered.set()

    def end(self) -> None:
        """Let `live` return soon."""
        self.waiter.over.set()

    def close(self) -> None:
        """Close the store and give the folder up."""
        self.work.close()
        self.store.close()
        self.lock.release()


def launch_with_log(start: StartRun, spec: TaskSpec, estimate: Estimate, settings: LaunchSettings) -> Launch:
    """Return what a simulated process of the demo needs: its name, its limit and where it writes."""
    launch = simulated_launch(start, spec, estimate, settings)
    return replace(launch, log=str(log_path(settings, spec, start.key.run_id)))
