"""Where the attempts of an execution run: in virtual time, or for real in a pool. See `execution.Runs`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from queue import SimpleQueue
from random import Random
from threading import Thread
from typing import Protocol

from adaptive.execution import Ended
from adaptive.types import ScheduledTask, Status, WaveTask

Simulate = Callable[[WaveTask, ScheduledTask, Random], ScheduledTask]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRun:
    """How a real run ended. duration_ms: how long the task itself ran, 0 if it never did.

    detail: what went wrong, for people. is_final: trying again is useless or might do harm.
    """

    success: bool
    duration_ms: float
    detail: str = ""
    is_final: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.duration_ms < inf:
            raise ValueError(f"duration_ms is {self.duration_ms}: expected a finite number of at least 0")


class Pools(Protocol):
    """Runs tasks for real. Real: `daemon_pools.DaemonPools`. It is called from several threads at once."""

    def run(self, task: WaveTask, agent_id: str) -> PoolRun:
        """Run `task` once and return when it has ended. A failed task is an answer; an exception means
        that nothing can be run."""
        ...


class MonotonicClock(Protocol):
    """`clock.SystemClock` and `clock.VirtualClock` are."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


class SimulatedRuns:
    """Virtual time: attempts end when `simulate` says so, and waiting takes no time.

    What befalls an attempt is drawn from (seed, wave, task, attempt) alone: two schedules of one wave meet
    the same luck, and can be compared.
    """

    def __init__(self, simulate: Simulate, seed: int) -> None:
        self._simulate, self._seed = simulate, seed
        self._ends: list[tuple[float, int, Ended]] = []
        self._started = 0

    def start(self, task: WaveTask, place: ScheduledTask, attempt: int) -> None:
        """See `execution.Runs`."""
        rng = Random(f"{self._seed}/{place.wave}/{task.task_id}/{attempt}")
        played = self._simulate(task, place, rng)
        assert played.actual_start_time is not None
        assert played.actual_end_time is not None
        success = played.status is Status.COMPLETED
        ended = Ended(
            task_id=task.task_id,
            started_ms=played.actual_start_time,
            ended_ms=played.actual_end_time,
            success=success,
            detail="" if success else "it failed in the simulation",
        )
        self._started += 1
        heappush(self._ends, (ended.ended_ms, self._started, ended))

    def wait(self) -> Ended:
        """See `execution.Runs`."""
        return heappop(self._ends)[-1]


class PoolRuns:
    """Real time since its construction: each attempt waits for `pools` in a thread of its own."""

    def __init__(self, pools: Pools, clock: MonotonicClock) -> None:
        self._pools, self._clock = pools, clock
        self._begun = clock.monotonic()
        self._ends: SimpleQueue[Ended | Exception] = SimpleQueue()

    def start(self, task: WaveTask, place: ScheduledTask, attempt: int) -> None:
        """See `execution.Runs`."""
        # A daemon thread: an execution that is broken off does not wait for runs of hours.
        Thread(target=self._run, args=(task, place), name=f"run of {task.task_id}", daemon=True).start()

    def wait(self) -> Ended:
        """See `execution.Runs`. Raises what `pools.run` has raised."""
        ended = self._ends.get()
        if isinstance(ended, Exception):
            raise ended
        return ended

    def _run(self, task: WaveTask, place: ScheduledTask) -> None:
        try:
            run = self._pools.run(task, place.agent_id)
        except Exception as error:
            self._ends.put(error)
            return
        ended_ms = (self._clock.monotonic() - self._begun) * 1000.0
        asked_ms = place.actual_start_time or 0.0
        # The pool may have let it wait: it started when its own duration says.
        self._ends.put(
            Ended(
                task_id=task.task_id,
                started_ms=max(asked_ms, ended_ms - run.duration_ms),
                ended_ms=max(asked_ms, ended_ms),
                success=run.success,
                detail=run.detail,
                is_final=run.is_final,
            )
        )
