"""What the learned order is worth: half a year with the weights that the job proposes, and without them.

    python -m benchmarks.bench_learned_order [--seeds 1 2 3 4 5]

The weights are those that adaptive_optimization would propose after the half year of bench_foretelling; the
same half year is then run with them from its first day, and without any.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from adaptive.beliefs import Beliefs
from adaptive.heuristics import DEFAULT_WEIGHTS, prospects_of
from adaptive.history import load_outcomes
from adaptive.types import WaveTask
from benchmarks.bench_foretelling import FIRST, HALF_A_YEAR, simulated
from orchestration.policies.unified import UNIFIED
from orchestration.reports import SessionTables
from orchestration.simulation.box import build
from orchestration.simulation.comparison import room_of
from orchestration.simulation.measures import Measures, first_week
from orchestration.simulation.stand_ins import Ended, Started, SteadySensors
from orchestration.simulation.workload import StatedWorkload
from orchestration.types import TaskSpec
from scripts._year_seeds import seldom
from scripts.adaptive_optimization import preferences

COUNTED = "validate_candidates"


class Half(NamedTuple):
    """What came of a half year. late: duties that started late; research: finished within their windows of
    what was wanted there; hours: of it; succeeded: runs; counted: of COUNTED."""

    late: int
    research: int
    hours: float
    succeeded: int
    counted: int


def learned_order(specs: Mapping[str, TaskSpec], seed: int, agents: tuple[str, ...]) -> dict[str, float]:
    """Return each task's weight after a simulated half year."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "performance.db"
        simulated(database, dict(specs), seed)
        beliefs = Beliefs.from_outcomes(load_outcomes(database))
    tasks = tuple(
        WaveTask(task_id=name, expected_ms=spec.estimated_minutes * 60_000.0, priority=int(spec.priority))
        for name, spec in specs.items()
        if not spec.recurs and not spec.is_duty
    )
    return preferences(prospects_of(tasks, agents, beliefs), DEFAULT_WEIGHTS)


def half_year(specs: Mapping[str, TaskSpec], seed: int, weights: Mapping[str, float]) -> Half:
    """Run the half year with these weights."""
    tables, sensors, end = SessionTables(), SteadySensors(), FIRST + HALF_A_YEAR
    calendars = tables.calendars(FIRST.date())
    workload = StatedWorkload(seed=seed, first=FIRST.date())
    box = build(specs, UNIFIED, tables, FIRST, model=workload, sensors=sensors)
    state = box.loop.state
    liked = {name: replace(state.record(name), preference=weight) for name, weight in weights.items()}
    box.loop.state = replace(state, records={**state.records, **liked})
    week = first_week(FIRST, end, calendars, None)
    measures = Measures(box, specs, calendars, FIRST, end, room_of(sensors, UNIFIED), week)
    measures.attach()
    good: Counter[str] = Counter()
    told = box.runner.observe

    def observe(event: Started | Ended) -> None:
        told(event)
        if isinstance(event, Ended) and event.exit.exit_code == 0:
            good[event.task] += 1

    box.runner.observe = observe
    while box.clock.now() < end:
        box.run_until(min(box.clock.now() + timedelta(days=1), end))
    measures.finish()
    report: dict[str, Any] = measures.report(StatedWorkload(seed=seed, first=FIRST.date()))
    return Half(
        late=report["late_trading_tasks"] + report["late_duties"],
        research=report["demand"]["finished"],
        hours=report["demand"]["hours_finished"],
        succeeded=good.total(),
        counted=good[COUNTED],
    )


def main(arguments: list[str] | None = None) -> int:
    """Print both halves of every seed; exit 1 if a duty was late with the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    specs = seldom()
    agents = tuple(f"local/{number}" for number in range(1, SteadySensors().slots + 1))
    late = 0
    for seed in parser.parse_args(arguments).seeds:
        weights = learned_order(specs, seed, agents)
        plain, ordered = half_year(specs, seed, {}), half_year(specs, seed, weights)
        late += ordered.late
        print(
            f"learned order: seed {seed}: {ordered.late} duties late (target 0), without {plain.late}; "
            f"research finished in its window {ordered.research}, without {plain.research} "
            f"({ordered.hours:.0f} h, {plain.hours:.0f} h); runs that succeeded {ordered.succeeded}, "
            f"without {plain.succeeded}; of {COUNTED} {ordered.counted}, without {plain.counted}",
            flush=True,
        )
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
