"""Learn from this box's own runs what they take and how they end, and what to start first in the next window.

Reads performance.db, foretells each of its newest cycles from those before it, compares, and plans the next
research window. To the daemon it proposes durations where they clearly beat its own, and how much it would
like each task to go before its equals; the daemon takes them up within bounds (docs/adaptive.md).
All the rest is in the state directory's folder adaptive/, for people and for the next run.

Exit codes: 0 done, or too little is recorded yet; 1 the database, the tasks, the calendar or what an earlier
run left cannot be used, or a file not written; 2 wrong arguments or settings; 75 asked to stop (the earlier
files stay).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from adaptive.files import AdaptiveFileError, read_json
from adaptive.harness import AdaptiveHarness, FedBack, Watched, overall_metrics
from adaptive.heuristics import WEIGHTS_FILE, Prospects, prospects_of, scores
from adaptive.history import recorded_waves
from adaptive.recorded import recorded_plans
from adaptive.reestimation import Reestimate, reestimate
from adaptive.types import Executed, OptimizationResult, Outcome
from orchestration.clock import SystemClock
from orchestration.errors import OrchestratorError
from orchestration.runs import Estimate
from scripts._job import EX_TEMPFAIL, StopRequest, finish, parse, parser, settings
from scripts._next_window import MINUTE_MS, PlannedBox

FOLDER = "adaptive"
LEAST_RUNS = 10
"""Told runs of tasks that do not recur; and a cycle before the one that is foretold."""
NEWEST_WAVES = 5
"""Cycles that are compared: a trading week."""
CONVERGENCE = "optimization_convergence"
ADHERENCE = "schedule_adherence"
OF_SLOTS = frozenset({"agent_overload"})
"""Anomalies that say nothing of recorded waves: which slot a run had is not recorded, and as each is taken to
have had the first that was free (adaptive.history), the first is always the busiest."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    arguments = parse(made, argv)
    stop, clock = StopRequest(), SystemClock()
    database: Path = arguments.state_dir / "performance.db"
    if not database.is_file():
        return too_little(0)
    try:
        box = PlannedBox.read(settings(made), database, clock)
        learning = Learning(box, database, arguments.state_dir / FOLDER, clock)
        if not learning.is_enough:
            return too_little(learning.runs)
        return learning.run(stop)
    except (AdaptiveFileError, OrchestratorError, OSError) as error:
        return finish(1, {"error": str(error)}, f"adaptive_optimization: {error}")


def too_little(runs: int) -> int:
    """Say that there is nothing to learn from yet."""
    remark = f"{runs} runs to learn from, {LEAST_RUNS} of two cycles are needed: nothing is proposed yet"
    return finish(0, {"runs": runs, "remark": remark}, remark)


class Learning:
    """One run of the job, over what is recorded at its construction.

    Raises:
        AdaptiveFileError: if the database or the weights of an earlier run are broken.
    """

    def __init__(self, box: PlannedBox, database: Path, folder: Path, clock: SystemClock) -> None:
        self._box, self._clock = box, clock
        self._harness = AdaptiveHarness(database, folder, pool=box.pool, waves=(), clock=clock)
        self._begun = clock.monotonic()
        self._harness.load()
        tasks = box.tasks()
        waves = recorded_waves(self._harness.outcomes)
        self._recorded = recorded_plans(waves, tasks, NEWEST_WAVES)
        self.runs = sum(outcome.kind in tasks for outcome in self._harness.outcomes)
        self._wave = box.next_wave(max(waves, default=0) + 1, clock.now())
        self._harness.waves = {self._wave.number: self._wave}

    @property
    def is_enough(self) -> bool:
        return bool(self._recorded) and self.runs >= LEAST_RUNS

    def run(self, stop: StopRequest) -> int:
        """Compare, plan, write, propose; return the exit code."""
        compared = [wave.result for wave in self._recorded]
        executed: Executed = {wave.result.wave: wave.executed for wave in self._recorded}
        plan = self._plan()
        if stop():
            return finish(EX_TEMPFAIL, {"runs": self.runs}, "asked to stop; the earlier files stay")
        results = [*compared, *plan]
        everything = {**executed, **{result.wave: result.schedule for result in plan}}
        fed_back = self._harness.feed_back(results, everything, learn=self._is_new_cycle())
        watched = self._watched(compared, plan, executed)
        proposed = {
            "estimates": {task: _numbers(each) for task, each in self.reestimates().items()},
            "weights": self.preferences(),
        }
        took_ms = (self._clock.monotonic() - self._begun) * 1000.0
        self._harness.report(results, everything, fed_back, watched, took_ms)
        return self._finish(proposed, overall_metrics(compared, executed), fed_back, watched)

    def _plan(self) -> list[OptimizationResult]:
        """Return the next window's schedule; none if the gates refuse it, or nothing may run there."""
        results = self._harness.optimise() if self._wave.tasks else []
        refused = self._harness.apply_safety_gates(results)
        for wrong in refused.get(self._wave.number, ()):
            print(f"the plan was refused: {wrong}", file=sys.stderr, flush=True)
        return [result for result in results if result.wave not in refused]

    def _is_new_cycle(self) -> bool:
        """Whether the weights have not moved in this cycle: to run again is no new evidence."""
        path = self._harness.folder / WEIGHTS_FILE
        if not path.exists():
            return True
        at = datetime.fromisoformat(read_json(path, "heuristic_weights")["updated_at"])
        stretch = self._box.calendars.stretch
        return stretch(at).cycle < stretch(self._clock.now()).cycle

    def _watched(
        self, compared: Sequence[OptimizationResult], plan: Sequence[OptimizationResult], executed: Executed
    ) -> Watched:
        """Return what the monitor says of the recorded waves; how near its bound a schedule came is known of
        the plan alone, as no solver placed the others. How well starts were kept is known of neither."""
        watched, at = self._harness.monitor(compared, executed), self._harness.timestamp
        planned = self._harness.watcher.calculate_metrics(plan, {}, at)
        metrics = [each for each in watched.metrics if each["metric_name"] != CONVERGENCE]
        metrics += [each for each in planned if each["metric_name"] == CONVERGENCE]
        found = [each for each in watched.anomalies if each["anomaly_type"] not in OF_SLOTS]
        health = self._harness.watcher.generate_system_health(metrics, found, at)
        return Watched(metrics=metrics, anomalies=found, health=health)

    def reestimates(self) -> dict[str, Reestimate]:
        """Return better numbers for the tasks whose history clearly has some."""
        return reestimates(self._harness.outcomes, self._box.estimates)

    def preferences(self) -> dict[str, float]:
        """Return how much each task should go before its equals, 0 to 1."""
        weights, beliefs = self._harness.feedback.weights, self._harness.optimizer.beliefs
        return preferences(prospects_of(self._box.orderable(), self._box.pool.agents, beliefs), weights)

    def _finish(
        self, proposed: Mapping[str, Any], overall: Mapping[str, float], fed_back: FedBack, watched: Watched
    ) -> int:
        told = "; ".join(f"{task} {each['from']}" for task, each in proposed["estimates"].items())
        health = watched.health
        text = (
            f"{self.runs} runs, {len(self._recorded)} cycles foretold with an accuracy of "
            f"{overall['prediction_accuracy']:.0%}; health {health['overall_health_score']:.0f} "
            f"({health['health_status']}); durations proposed: {told or 'none'}"
        )
        report = {
            **proposed,
            "alerts": alerts(watched.anomalies),
            "summary": {
                "runs": self.runs,
                "cycles": len(self._recorded),
                "overall": {**overall, ADHERENCE: None},  # the daemon plans no starts that could be kept
                "health": health["overall_health_score"],
                "anomalies": len(watched.anomalies),
                "heuristics": dict(self._harness.feedback.weights),
                "planned": {"window": self._wave.window, "tasks": len(self._wave.tasks)},
                "findings": [event["description"] for event in fed_back.events],
                "files": self._harness.folder,
            },
        }
        return finish(0, report, text)


def reestimates(outcomes: Iterable[Outcome], known: Mapping[str, Estimate]) -> dict[str, Reestimate]:
    """Return, by task, numbers that beat the daemon's own on the task's newest runs; only completed runs
    count."""
    minutes: dict[str, list[float]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.success:
            minutes[outcome.kind].append(outcome.duration_ms / MINUTE_MS)
    found = {
        task: reestimate(minutes[task], (own.log_mean, own.log_error))
        for task, own in known.items()
        if own.runs
    }
    return {task: better for task, better in found.items() if better is not None}


def preferences(prospects: Prospects, weights: Mapping[str, float]) -> dict[str, float]:
    """Return each task's weighted score on its best agent, from 0 for the least of all to 1 for the most.

    An order is all that is asked for, so what the scores have in common is left out; all alike, all are 0.
    """
    best = [max(row) for row in scores(prospects, weights)]
    least, span = min(best, default=0.0), max(best, default=0.0) - min(best, default=0.0)
    return {
        task.task_id: round((score - least) / span, 4) if span > 0.0 else 0.0
        for task, score in zip(prospects.tasks, best, strict=True)
    }


def alerts(anomalies: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return what a person should see: the severe anomalies, one text per kind, so that an alert stands for
    as long as any of its kind does."""
    severe: dict[str, list[str]] = defaultdict(list)
    for each in anomalies:
        if each["severity"] == "high":
            severe[each["anomaly_type"]].append(f"{each['description']} {each['recommendation']}")
    return {kind: " ".join(texts) for kind, texts in severe.items()}


def _numbers(found: Reestimate) -> dict[str, object]:
    """Return a proposal as the daemon reads it (orchestration.learned), and what speaks for it."""
    return {
        "log_mean": found.log_mean,
        "log_error": min(10.0, found.log_error),
        "runs": found.runs,
        "from": found.estimator,
        "loss": [round(found.loss_before, 4), round(found.loss_after, 4)],
    }


if __name__ == "__main__":
    sys.exit(main())
