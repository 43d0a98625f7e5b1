"""Policies compared over the same stretch, the same tasks, the same demand and the same luck."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any

from orchestration.decisions import Policy
from orchestration.reports import SessionTables
from orchestration.simulation.box import Simulation, build
from orchestration.simulation.measures import Measures, first_week
from orchestration.simulation.meters import Room
from orchestration.simulation.replay import Replay, Trace, replayed
from orchestration.simulation.stand_ins import Model, SteadySensors
from orchestration.types import TaskSpec

DAY = timedelta(days=1)
HEAR_EVERY_S = 0.2
KB, MB = 1024, 1e6
Progress = Callable[[str, float], None]
"""Called with the name of what is simulated, and the share of it that is done (0 to 1)."""


def without(policy: Policy) -> dict[str, Policy]:
    """Return `policy` with one of its parts left out at a time, by the name of the ablation."""
    return {
        "without_backfill": replace(policy, backfill=False),
        "without_reservation": replace(policy, reserve=False),
        "without_extension": replace(policy, extend=False),
        "without_learned_estimates": replace(policy, learn=False),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is simulated, whatever the policy.

    first: the first local day of the exchange, days: how many. make_model: a new model of the workload: each
    policy has its own, and so has the clairvoyant bound. workload: stated, history or trace. trace: run
    instead of `specs`, in its own time. week: a day of the week whose timeline is kept; None: the first.
    """

    specs: Mapping[str, TaskSpec]
    tables: SessionTables
    first: date
    days: int
    seed: int
    make_model: Callable[[], Model]
    workload: str = "stated"
    trace: Trace | None = None
    week: date | None = None
    sensors: SteadySensors = field(default_factory=SteadySensors)

    @property
    def begin(self) -> datetime:
        """Midnight before the first day, by the exchange's clock."""
        return self._midnight(self.first)

    @property
    def end(self) -> datetime:
        """Midnight after the last day."""
        return self._midnight(self.first + self.days * DAY)

    def _midnight(self, day: date) -> datetime:
        zone = self.tables.calendars(self.first).home.zone
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def compare(
    study: Study,
    policies: Mapping[str, Policy],
    ablations: Mapping[str, Policy] | None = None,
    *,
    jobs: int = 1,
    progress: Progress = lambda name, share: None,
) -> dict[str, object]:
    """Return the report on `policies` and `ablations`, by name: its keys are those of docs/research-time.md.

    jobs: how many are simulated at once, each in a process of its own; with 1 they are simulated in this one.
    A policy's peak memory is its process's, so with fewer processes than policies the largest until then.

    Interrupted (Ctrl-C) it leaves no process behind.

    Raises:
        ValueError: if `jobs` is below 1, or a policy and an ablation share a name.
    """
    ablations = ablations or {}
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}: expected at least 1")
    if both := sorted(policies.keys() & ablations.keys()):
        raise ValueError(f"ablations are called {', '.join(both)}: expected other names than policies have")
    everything = {**policies, **ablations}
    if jobs == 1 or len(everything) == 1:
        found = {
            name: measured(study, policy, partial(progress, name)) for name, policy in everything.items()
        }
    else:
        found = _side_by_side(study, everything, jobs, progress)
    return {
        "simulated": {
            "from": study.begin.isoformat(),
            "to": study.end.isoformat(),
            "days": study.days,
            "seed": study.seed,
            "workload": study.workload,
            "tasks": len(study.trace.rows if study.trace is not None else study.specs),
        },
        "policies": {name: found[name] for name in policies},
        "ablations": {name: found[name] for name in ablations},
    }


def measured(
    study: Study, policy: Policy, progress: Callable[[float], None] = lambda share: None
) -> dict[str, object]:
    """Run the study's stretch under `policy` and return what came of it."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    calendars, begin, end = study.tables.calendars(study.first), study.begin, study.end
    simulation, replay = _box(study, policy)
    specs = study.specs if study.trace is None else {n: row.spec for n, row in study.trace.rows.items()}
    measures = Measures(
        simulation,
        specs,
        calendars,
        begin,
        end,
        room_of(study.sensors, policy),
        first_week(begin, end, calendars, study.week),
    )
    measures.attach()
    for day in range(1, study.days + 1):
        simulation.run_until(min(begin + day * DAY, end))
        progress(day / study.days)
    simulation.run_until(end)
    measures.finish()
    oracle = study.make_model() if replay is None else None
    return {
        **measures.report(oracle),
        **({} if replay is None else {"trace": replay.report()}),
        "wall_seconds": time.perf_counter() - wall_s,
        "cpu_seconds": time.process_time() - cpu_s,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KB / MB,
    }


def room_of(sensors: SteadySensors, policy: Policy) -> Room:
    """Return what a simulated box has, as the measures see it."""
    return Room(
        slots=sensors.slots,
        total_mb=sensors.total_mb,
        foreign_mb=sensors.foreign_mb,
        reserve_mb=policy.rules.reserve_mb,
    )


def _box(study: Study, policy: Policy) -> tuple[Simulation, Replay | None]:
    if study.trace is not None:
        replay = replayed(study.trace, policy, study.tables, study.begin, sensors=study.sensors)
        return replay.simulation, replay
    model = study.make_model()
    box = build(
        study.specs,
        policy,
        study.tables,
        study.begin,
        model=model,
        sensors=study.sensors,
        keep_events=False,
    )
    return box, None


# --- in processes of their own ------------------------------------------------------------------------------


def _side_by_side(
    study: Study, policies: Mapping[str, Policy], jobs: int, progress: Progress
) -> dict[str, dict[str, object]]:
    """Simulate several policies at once. The study reaches the processes by the fork: it is not pickled."""
    context = multiprocessing.get_context("fork")
    told, stop = context.SimpleQueue(), context.Event()
    with ProcessPoolExecutor(
        min(jobs, len(policies)), context, initializer=_take, initargs=(study, policies, told, stop)
    ) as pool:
        futures = {name: pool.submit(_measured_there, name) for name in policies}
        waiting: set[Future[dict[str, object]]] = set(futures.values())
        try:
            while waiting:
                done, waiting = wait(waiting, HEAR_EVERY_S, FIRST_EXCEPTION)
                while not told.empty():
                    progress(*told.get())
                for future in done:
                    future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return {name: future.result() for name, future in futures.items()}


_THERE: dict[str, Any] = {}
"""What a process that simulates was given when it was forked."""


def _take(
    study: Study, policies: Mapping[str, Policy], told: SimpleQueue[tuple[str, float]], stop: Event
) -> None:
    # A terminal's Ctrl-C reaches every process; the one that waits for the others says what comes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave, args=(stop,), daemon=True).start()
    _THERE.update(study=study, policies=policies, told=told)


def _leave(stop: Event) -> None:
    """End this process as soon as nobody waits for it any more."""
    stop.wait()
    os._exit(1)


def _measured_there(name: str) -> dict[str, object]:
    tell = _THERE["told"].put
    return measured(_THERE["study"], _THERE["policies"][name], lambda share: tell((name, share)))
