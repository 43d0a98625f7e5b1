"""The box's own history as a workload: what its runs took, drawn again."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from orchestration.errors import StoreError
from orchestration.runs import FAILURES, Outcome
from orchestration.simulation.stand_ins import Fortune, Model
from orchestration.simulation.workload import Attempts, is_endless
from orchestration.types import TaskSpec

LEAST_RUNS = 5
"""A task with fewer recorded runs is drawn from the stated workload."""
NEWEST_RUNS = 2_000
"""Of each task, as many are drawn from."""


class RecordedRun(NamedTuple):
    """A run that ended by itself. minutes; peak_mb: 0 where it was never measured."""

    minutes: float
    peak_mb: float
    failed: bool


@dataclass
class HistoryModel:
    """A `Model` that draws each run's duration, peak and failure together from a run of its task's history.

    runs: by task. stated: draws for tasks with fewer than five, and for those that go on until they are
    stopped: of these only failures end by themselves. The same occasion and attempt draws the same run,
    whatever the policy and the order in which tasks run.
    """

    runs: Mapping[str, Sequence[RecordedRun]]
    stated: Model
    seed: int = 1
    _attempts: Attempts = field(default_factory=Attempts)

    def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
        found = self.runs.get(spec.name, ())
        if len(found) < LEAST_RUNS or is_endless(spec):
            return self.stated.draw(spec, number, occasion)
        name, attempt = self._attempts.next_of(spec, occasion)
        dice = random.Random(f"{self.seed}/{spec.name}/{name}/{attempt}")
        run = found[dice.randrange(len(found))]
        return Fortune(run.minutes, run.peak_mb or 0.8 * spec.memory_mb, 1 if run.failed else 0)


def telling_runs(path: Path) -> dict[str, list[RecordedRun]]:
    """Return `recorded_runs` of a performance.db from which at least one task can be drawn.

    Raises:
        StoreError: if there is no database, it cannot be read, or it says too little; the message says which.
    """
    runs = recorded_runs(path)
    if not any(len(found) >= LEAST_RUNS for found in runs.values()):
        raise StoreError(f"{path}: no task has {LEAST_RUNS} runs in it that ended by themselves")
    return runs


def recorded_runs(path: Path) -> dict[str, list[RecordedRun]]:
    """Return the runs that ended by themselves, by task, the newest 2,000 of each; a run that was stopped or
    killed says nothing of what it needs."""
    from sqlalchemy import select

    from orchestration.state import history, schema
    from orchestration.state.unread import reading

    runs = schema.task_runs.c
    telling = [Outcome.SUCCEEDED.value, *(outcome.value for outcome in FAILURES - {Outcome.TIMED_OUT})]
    rows = (
        select(runs.task, runs.duration_s, runs.peak_memory_mb, runs.outcome)
        .where(runs.outcome.in_(telling), runs.stop_cause.is_(None), runs.duration_s.is_not(None))
        .order_by(runs.planned_at.desc())
    )
    found: dict[str, list[RecordedRun]] = defaultdict(list)
    engine = history.load_readonly(path)
    try:
        with reading(engine) as connection:
            for task, seconds, peak, outcome in connection.execute(rows):
                if len(found[task]) < NEWEST_RUNS:
                    failed = outcome != Outcome.SUCCEEDED.value
                    found[task].append(RecordedRun(seconds / 60, peak or 0.0, failed))
    finally:
        engine.dispose()
    return dict(found)
