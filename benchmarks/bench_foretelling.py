"""How well the cycles of a simulated box are foretold, each from those before it alone.

    python -m benchmarks.bench_foretelling [--seeds 1 2 3 4 5] [--keep FOLDER]

Half a year of all built-in tasks but those of every few minutes under the stated workload: log-normal
durations with heavy tails, growth over the year, 5 % failures. The plans are of what the job plans: of tasks
that do not recur at a clock time. "at best" is what each task's own median duration and success rate of the
whole half year would have reached, known in hindsight. --keep leaves seed N's performance.db in FOLDER/N,
for scripts.adaptive_optimization.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from adaptive.accuracy import prediction_accuracy
from adaptive.history import load_outcomes, recorded_waves
from adaptive.measures import accuracy_score, executed_spans, timed_spans
from adaptive.recorded import RecordedWave, recorded_plans
from adaptive.types import ScheduledTask, WaveTask
from orchestration.policies.unified import UNIFIED
from orchestration.reports import SessionTables
from orchestration.simulation.box import build
from orchestration.simulation.workload import StatedWorkload
from orchestration.state.store import SqlStore
from orchestration.types import TaskSpec
from scripts._year_seeds import seldom

FIRST = datetime(2026, 1, 2, 12, tzinfo=UTC)
HALF_A_YEAR = timedelta(days=182)
TOGETHER = 5
"""Cycles that the job compares: a trading week."""
TARGET = 0.90


class Foretold(NamedTuple):
    """cycles: how many. whole: prediction_accuracy of all; together: of every five in a row. single: the
    accuracy_score of all runs, likeness: its part of the durations; the last two at best."""

    cycles: int
    whole: float
    together: tuple[float, ...]
    single: float
    likeness: float
    best_single: float
    best_likeness: float


def simulated(database: Path, specs: dict[str, TaskSpec], seed: int) -> None:
    """Record half a year into `database`."""
    with closing(SqlStore(database)) as store:
        model = StatedWorkload(seed=seed, first=FIRST.date())
        box = build(specs, UNIFIED, SessionTables(), FIRST, model=model, store=store)
        box.run_until(FIRST + HALF_A_YEAR)


def foretold(seed: int, folder: Path) -> Foretold:
    """Return how well the cycles of one half year, simulated in `folder`, were foretold."""
    specs = seldom()
    tasks = {
        name: WaveTask(task_id=name, expected_ms=spec.estimated_minutes * 60_000.0)
        for name, spec in specs.items()
        if not spec.recurs
    }
    database = folder / "performance.db"
    simulated(database, specs, seed)
    waves = recorded_waves(load_outcomes(database))
    recorded = recorded_plans(waves, tasks, len(waves))
    executed = [task for wave in recorded for task in wave.executed]
    best = in_hindsight(executed)
    return Foretold(
        cycles=len(recorded),
        whole=accuracy(recorded),
        together=tuple(accuracy(recorded[n : n + TOGETHER]) for n in range(len(recorded) - TOGETHER + 1)),
        single=accuracy_score(executed) or 0.0,
        likeness=likeness(executed),
        best_single=accuracy_score(best) or 0.0,
        best_likeness=likeness(best),
    )


def accuracy(recorded: Sequence[RecordedWave]) -> float:
    executed = {wave.result.wave: wave.executed for wave in recorded}
    return prediction_accuracy([wave.result for wave in recorded], executed) or 0.0


def likeness(executed: Sequence[ScheduledTask]) -> float:
    """Return the mean of the smaller over the larger of planned and actual durations."""
    pairs = [(span.planned_ms, span.actual_ms) for span in timed_spans(executed)]
    return fmean(min(pair) / max(pair) for pair in pairs)


def in_hindsight(executed: Sequence[ScheduledTask]) -> list[ScheduledTask]:
    """Return the runs as if each had been foretold by its task's median and success rate of all of them."""
    lengths: dict[str, list[float]] = defaultdict(list)
    successes: dict[str, list[bool]] = defaultdict(list)
    for span in timed_spans(executed):
        lengths[span.task.task_id].append(span.actual_ms)
    for span in executed_spans(executed):
        successes[span.task.task_id].append(span.succeeded)
    return [
        replace(
            task,
            scheduled_end_time=task.scheduled_start_time + median(lengths.get(task.task_id) or [0.0]),
            confidence=fmean(successes[task.task_id]),
        )
        for task in executed
    ]


def report(seed: int, folder: Path) -> bool:
    """Print one seed's figures; return whether the target is reached."""
    folder.mkdir(parents=True, exist_ok=True)
    found = foretold(seed, folder)
    weeks = found.together
    reached = sum(week >= TARGET for week in weeks) / len(weeks)
    print(
        f"foretelling: seed {seed}: {found.cycles} cycles, prediction_accuracy {found.whole:.3f} "
        f"(target {TARGET}); of five in a row {reached:.0%} reach {TARGET}, the worst {min(weeks):.2f}; "
        f"schedule_accuracy {found.single:.3f}, at best {found.best_single:.3f}; "
        f"durations {found.likeness:.3f}, at best {found.best_likeness:.3f}",
        flush=True,
    )
    return found.whole >= TARGET


def main(arguments: list[str] | None = None) -> int:
    """Print every seed's figures; exit 1 if the cycles of one are foretold below the target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    chosen = parser.parse_args(arguments)
    with TemporaryDirectory() as unkept:
        good = [report(seed, (chosen.keep or Path(unkept)) / str(seed)) for seed in chosen.seeds]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
