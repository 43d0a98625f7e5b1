"""Stand-ins for the world: processes, waiting, sensors that run in virtual time. Product code: `--simulate`
and `orchestratorctl plan` run on them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import exp, isfinite
from typing import NamedTuple, Protocol

from orchestration.clock import VirtualClock
from orchestration.decisions import Resources
from orchestration.narration import Narrator
from orchestration.ports import Fate, Launch, Recovered, RunExit, Wake
from orchestration.runs import EX_TEMPFAIL, ActiveRun, StopCause, TaskResult
from orchestration.types import TaskSpec

SIGTERM_EXIT = -15


class Fortune(NamedTuple):
    """What a simulated run will do: how long it takes, its peak memory, its exit code.

    minutes: infinite for one that goes on until it is stopped, at the end of its window at the latest.
    """

    minutes: float
    peak_mb: float
    exit_code: int = 0


class Model(Protocol):
    """Says what each simulated run will do."""

    def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
        """Return the fortune of the `number`-th run (from 1) of `spec`. occasion: the cycle and slot that it
        is for (2026-11-20.once), for fortunes that must not depend on what else was run. Not asked when a
        checkpointed run goes on: that has its fortune."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormalModel:
    """Durations log-normal around the spec's estimate, peaks around its memory, a share of failures.

    The same seed draws the same fortunes, whatever the order in which tasks run. spread: standard deviation
    of ln(minutes). failure_rate: 0 to 1.
    """

    seed: int = 1
    spread: float = 0.35
    memory_spread: float = 0.1
    failure_rate: float = 0.05

    def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
        dice = random.Random(f"{self.seed}/{spec.name}/{number}")
        minutes = spec.estimated_minutes * exp(dice.gauss(0.0, self.spread))
        peak = 0.8 * spec.memory_mb * exp(dice.gauss(0.0, self.memory_spread))
        failed = dice.random() < self.failure_rate
        if failed:
            minutes *= dice.random()
        return Fortune(minutes, peak, 1 if failed else 0)


@dataclass(slots=True)
class SimulatedRun:
    """A process that exists only in the mind of the runner. Seconds are monotonic."""

    launch: Launch
    spec: TaskSpec
    fortune: Fortune
    started_s: float
    ends_s: float
    exit_code: int
    stop_cause: StopCause | None = None
    out_of_memory: bool = False
    left_minutes: float = 0.0


class Started(NamedTuple):
    """One start as the simulation saw it, for its report and its invariants."""

    run_id: str
    task: str
    at: datetime


class Ended(NamedTuple):
    """One end as the simulation saw it."""

    run_id: str
    task: str
    at: datetime
    exit: RunExit


@dataclass
class SimulatedRunner:
    """A `Runner` whose processes are fortunes drawn from a model.

    An interruptible task that is asked to stop checkpoints within `checkpoint_s` and resumes in the same
    cycle with what was left; any other dies of SIGTERM. A run that outgrows its limit is killed for memory.
    """

    clock: VirtualClock
    specs: Mapping[str, TaskSpec]
    model: Model
    checkpoint_s: float = 5.0
    observe: Callable[[Started | Ended], None] = lambda event: None
    rung: str = "simulated"
    runs: dict[str, SimulatedRun] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _unfinished: dict[tuple[str, str], Fortune] = field(default_factory=dict)
    _ends: list[tuple[float, str]] = field(default_factory=list)

    def start(self, launch: Launch) -> int:
        spec = self.specs[launch.task]
        number = self._numbers[spec.name] = self._numbers.get(spec.name, 0) + 1
        occasion = occasion_of(launch.run_id)
        fortune = self._unfinished.pop((spec.name, occasion.partition(".")[0]), None)
        if fortune is None:
            fortune = self.model.draw(spec, number, occasion)
        now = self.clock.monotonic()
        seconds, code, killed = fortune.minutes * 60, fortune.exit_code, False
        if fortune.peak_mb > launch.memory_mb:
            # Memory grows evenly to its peak; the limit is met on the way.
            seconds, code, killed = seconds * launch.memory_mb / fortune.peak_mb, -9, True
        run = SimulatedRun(launch, spec, fortune, now, now + max(seconds, 1e-3), code, out_of_memory=killed)
        self.runs[launch.run_id] = run
        heapq.heappush(self._ends, (run.ends_s, launch.run_id))
        self.observe(Started(launch.run_id, spec.name, self.clock.now()))
        return number

    def stop(self, run_id: str, cause: StopCause, grace: timedelta) -> None:
        run = self.runs.get(run_id)
        now = self.clock.monotonic()
        if run is None or run.ends_s <= now:
            return
        run.stop_cause = cause
        if run.spec.interruptible:
            run.left_minutes = max(0.0, (run.ends_s - now) / 60)
            code, after = EX_TEMPFAIL, min(self.checkpoint_s, grace.total_seconds())
        else:
            code, after = SIGTERM_EXIT, 0.1
        if now + after < run.ends_s:
            run.ends_s, run.exit_code, run.out_of_memory = now + after, code, False
            heapq.heappush(self._ends, (run.ends_s, run_id))

    def tick(self) -> float | None:
        return None

    def reap(self) -> list[RunExit]:
        now, exits = self.clock.monotonic(), []
        while self._ends and self._ends[0][0] <= now:
            ends_s, run_id = heapq.heappop(self._ends)
            run = self.runs.get(run_id)
            if run is None or run.ends_s != ends_s:
                continue
            del self.runs[run_id]
            if run.exit_code == EX_TEMPFAIL:
                cycle = occasion_of(run_id).partition(".")[0]
                self._unfinished[run.spec.name, cycle] = run.fortune._replace(minutes=run.left_minutes)
            exit_ = self._exit(run)
            self.observe(Ended(run_id, run.spec.name, self.clock.now(), exit_))
            exits.append(exit_)
        return exits

    def _exit(self, run: SimulatedRun) -> RunExit:
        return RunExit(
            run_id=run.launch.run_id,
            exit_code=run.exit_code,
            ended_at=self.clock.now(),
            duration_s=run.ends_s - run.started_s,
            peak_memory_mb=min(run.fortune.peak_mb, run.launch.memory_mb),
            out_of_memory=run.out_of_memory,
            stop_cause=run.stop_cause,
        )

    def usage(self) -> Mapping[str, float]:
        now = self.clock.monotonic()
        return {
            run_id: min(
                run.launch.memory_mb,
                run.fortune.peak_mb * min(1.0, (now - run.started_s) / _ramp_s(run.fortune)),
            )
            for run_id, run in self.runs.items()
        }

    def fds(self) -> Sequence[int]:
        return ()

    def recover(self, run_ids: Sequence[str]) -> list[Recovered]:
        """What still runs is adopted, the rest is lost: the box lost its power."""
        return [
            Recovered(run_id=run_id, fate=Fate.ADOPTED)
            if run_id in self.runs
            else Recovered(
                run_id=run_id,
                fate=Fate.LOST,
                exit=RunExit(run_id=run_id, exit_code=None, ended_at=self.clock.now()),
            )
            for run_id in run_ids
        ]

    def forget(self, run_id: str) -> None:
        self.runs.pop(run_id, None)

    def lose_all(self) -> None:
        """Every process is gone without a trace, as after a power cut."""
        self.runs.clear()
        self._ends.clear()

    def next_end_s(self) -> float | None:
        """Return the monotonic second at which the next run ends, None if nothing runs."""
        while self._ends:
            ends_s, run_id = self._ends[0]
            run = self.runs.get(run_id)
            if run is not None and run.ends_s == ends_s:
                return ends_s
            heapq.heappop(self._ends)
        return None


def occasion_of(run_id: str) -> str:
    """Return the cycle and slot of a run's name, empty where it has none."""
    parts = run_id.split(".")
    return ".".join(parts[1:3]) if len(parts) >= 4 else ""


def _ramp_s(fortune: Fortune) -> float:
    """Return the seconds in which memory grows to its peak: all of a run, an hour of an endless one."""
    return max(fortune.minutes * 60, 1e-3) if isfinite(fortune.minutes) else 3600.0


class Happening(NamedTuple):
    """Something that befalls the simulated box at an instant; `act` is called with the wall clock there."""

    at_s: float
    wake: Wake
    act: Callable[[], None]


class VirtualWaiter:
    """A `Waiter` that jumps: to the next end of a run, the next happening, or `until`."""

    def __init__(
        self, clock: VirtualClock, runner: SimulatedRunner, happenings: Sequence[Happening] = ()
    ) -> None:
        self._clock, self._runner = clock, runner
        self._happenings = sorted(happenings, key=lambda h: h.at_s)

    def wait(self, until: datetime, fds: Sequence[int], tick_at: float | None) -> Wake:
        now_s = self._clock.monotonic()
        target, wake = now_s + max(0.0, (until - self._clock.now()).total_seconds()), Wake.TIMER
        end = self._runner.next_end_s()
        if end is not None and end <= target:
            target, wake = max(now_s, end), Wake.CHILD
        if self._happenings and self._happenings[0].at_s <= target:
            happening = self._happenings.pop(0)
            self._advance(now_s, happening.at_s)
            happening.act()
            return happening.wake
        self._advance(now_s, target)
        return wake

    def _advance(self, now_s: float, target_s: float) -> None:
        # A microsecond more than a float second may hold, so that the instant is not just before its cause.
        if target_s > now_s:
            self._clock.advance(timedelta(seconds=target_s - now_s))
        while self._clock.monotonic() < target_s:
            self._clock.advance(timedelta(microseconds=1))


@dataclass
class SteadySensors:
    """`Sensors` of a box with fixed memory, whose runs use what they use. foreign_mb: taken by others."""

    total_mb: float = 4000.0
    slots: int = 4
    foreign_mb: float = 400.0
    clock_synced: bool | None = True
    network_up: bool | None = True
    broker: bool = True
    too_hot: bool | None = False

    def read(self, used_mb: Mapping[str, float]) -> Resources:
        return Resources(
            total_mb=self.total_mb,
            available_mb=max(0.0, self.total_mb - self.foreign_mb - sum(used_mb.values())),
            slots=self.slots,
            used_mb=dict(used_mb),
            clock_synced=self.clock_synced,
            network_up=self.network_up,
            too_hot=self.too_hot,
            broker=self.broker,
        )


class QuietNotifier:
    """A `Notifier` that nobody listens to."""

    def ready(self, status: str) -> None: ...

    def alive(self, status: str) -> None: ...

    def reloading(self) -> None: ...

    def stopping(self, status: str) -> None: ...


class QuietNarrator(Narrator):
    """A `Narrator` whose rows are kept and whose lines nobody reads: those of runs are not even made."""

    def __init__(self) -> None:
        super().__init__(QuietLog(), QuietLog())

    def started(self, run: ActiveRun, pid: int, predicted_min: float, lateness_s: float | None) -> None: ...

    def ended(self, result: TaskResult, predicted_min: float | None) -> None: ...


class QuietLog:
    """A log that keeps nothing."""

    def info(self, event: str, **keys: object) -> None: ...

    def warning(self, event: str, **keys: object) -> None: ...

    def error(self, event: str, **keys: object) -> None: ...
