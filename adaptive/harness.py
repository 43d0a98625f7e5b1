"""One run of the whole: load, optimise, apply the safety gates, execute, feed back, monitor, report.

`AdaptiveHarness(...).run()` takes all steps; each may be taken by itself, as the daemon's job does with waves
that were executed already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any, Protocol

from adaptive import measures, outputs, safety
from adaptive.accuracy import prediction_accuracy
from adaptive.attempts import CountedPools
from adaptive.feedback import PATTERNS_FILE, OptimizationFeedbackLoop
from adaptive.files import read_array
from adaptive.heuristics import WEIGHTS_FILE
from adaptive.history import load_outcomes
from adaptive.monitor import OptimizationMonitor
from adaptive.optimizer import AdaptiveOptimizer, stored_weights
from adaptive.runs import Pools
from adaptive.scheduler import AdaptiveScheduler
from adaptive.types import Executed, OptimizationResult, Outcome, Pool, ScheduledTask, Status, Strategy, Wave

Record = Mapping[str, Any]
Refused = Mapping[int, tuple[str, ...]]
"""What the safety gates found wrong, by wave."""
NONE_REFUSED: Refused = MappingProxyType({})

DRY_RUN, FOR_REAL = "dry_run", "executed"


class Clock(Protocol):
    """`clock.SystemClock` and `clock.VirtualClock` are."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FedBack:
    """Planned against actual. comparisons, events, signals: records of schedule_comparisons.jsonl,
    optimization_feedback.jsonl and learning_signals.jsonl."""

    comparisons: Sequence[Record]
    events: Sequence[Record]
    signals: Sequence[Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the monitor says. metrics, anomalies: records of their files; health: of system_health.json."""

    metrics: Sequence[Record]
    anomalies: Sequence[Record]
    health: Record


class AdaptiveHarness:
    """Optimises waves for a pool, from what was recorded, and writes all that there is to say of it.

    source: a performance.db, or a folder of inputs; it is only read. folder: where the output files go; what
    earlier runs learned (weights, patterns) lies there, too, and this one begins from it. pool: the agents,
    and memory for all. waves: numbered from 1. clock: gives instants, and measures. dry_run: executes in
    simulation only. seed: of that. pools: where the waves run otherwise.

    Raises:
        ValueError: if it is no dry run and there are no pools, or two waves have one number.
    """

    def __init__(
        self,
        source: Path,
        folder: Path = outputs.OUTPUTS,
        *,
        pool: Pool,
        waves: Sequence[Wave],
        clock: Clock,
        strategy: Strategy = Strategy.WEIGHTED,
        dry_run: bool = True,
        seed: int = 1,
        pools: Pools | None = None,
    ) -> None:
        if not dry_run and pools is None:
            raise ValueError("pools is None: expected pools to run the tasks in, unless dry_run is set")
        self.waves = {wave.number: wave for wave in waves}
        if len(self.waves) < len(waves):
            raise ValueError(f"waves have numbers {[wave.number for wave in waves]}: expected each once")
        self.source, self.folder, self.pool = source, folder, pool
        self.clock, self.strategy, self.seed = clock, Strategy(strategy), seed
        self.dry_run, self.pools = dry_run, pools
        self.optimizer = AdaptiveOptimizer(pool, strategy=strategy)
        self.feedback = OptimizationFeedbackLoop()
        self.watcher = OptimizationMonitor()
        self.outcomes: tuple[Outcome, ...] = ()
        self._attempts: dict[int, tuple[ScheduledTask, ...]] = {}
        self._has_learned = False

    @property
    def timestamp(self) -> str:
        """The present instant as the files have it."""
        return self.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def run(self) -> dict[str, Any]:
        """Take every step; return the optimization_summary.

        Raises:
            AdaptiveFileError: if an input, or what an earlier run left, is broken; nothing is written then.
        """
        begun = self.clock.monotonic()
        self.load()
        results = self.optimise()
        refused = self.apply_safety_gates(results)
        executed = self.execute(results, refused)
        fed_back = self.feed_back(results, executed, refused)
        watched = self.monitor(results, executed)
        took_ms = (self.clock.monotonic() - begun) * 1000.0
        return self.report(results, executed, fed_back, watched, took_ms)

    # --- the steps ----------------------------------------------------------------------------------------

    def load(self) -> None:
        """Learn what the source and the earlier runs tell. Raises AdaptiveFileError if any is broken."""
        if self.source.is_dir():
            self.optimizer.load_data(self.source)
            self._add_learned_patterns()
        else:
            self.outcomes = load_outcomes(self.source)
            self.optimizer.update_confidence_estimates(self.outcomes)
        if (self.folder / WEIGHTS_FILE).exists():
            self.optimizer.weights = stored_weights(self.folder / WEIGHTS_FILE)
        self.feedback = OptimizationFeedbackLoop(self.optimizer.weights)

    def optimise(self) -> list[OptimizationResult]:
        """Return each wave's schedule."""
        return [self.optimizer.calculate_optimal_schedule(wave) for wave in self.waves.values()]

    def apply_safety_gates(self, results: Sequence[OptimizationResult]) -> dict[int, tuple[str, ...]]:
        """Return what is wrong with each schedule that may not run; those that may are left out.

        Never more memory or slots than the pool has, never a task in a window it may not use or beyond its
        end, dependencies and conflicts held: `adaptive.safety`.
        """
        found = {
            result.wave: safety.violations(result, self.waves[result.wave], self.pool) for result in results
        }
        return {wave: wrong for wave, wrong in found.items() if wrong}

    def execute(
        self, results: Sequence[OptimizationResult], refused: Refused = NONE_REFUSED
    ) -> dict[int, tuple[ScheduledTask, ...]]:
        """Carry the schedules out, by wave; every task of one that was refused is skipped.

        Raises:
            Exception: whatever the pools raise when nothing can be run.
        """
        scheduler = AdaptiveScheduler(
            self.pool, beliefs=self.optimizer.beliefs, seed=self.seed, clock=self.clock
        )
        executed = {}
        for result in results:
            if result.wave in refused:
                skipped = (replace(place, status=Status.SKIPPED) for place in result.schedule)
                executed[result.wave] = tuple(skipped)
            else:
                executed[result.wave] = self._carried_out(result, scheduler)
        return executed

    def feed_back(
        self,
        results: Sequence[OptimizationResult],
        executed: Executed,
        refused: Refused = NONE_REFUSED,
        *,
        learn: bool | None = None,
    ) -> FedBack:
        """Hold what was planned against what came; with `learn`, move the weights by it.

        learn: None: unless it is a dry run. A simulation, drawn from the beliefs, has nothing to teach.
        """
        compared = [
            self.feedback.evaluate_schedule_outcome(result, executed[result.wave]) for result in results
        ]
        if not self.dry_run if learn is None else learn:
            self._has_learned = True
            self.feedback.update_heuristic_weights(compared)
        told = [
            signal
            for result in results
            if result.wave in self.waves
            for signal in self.optimizer.generate_schedule_recommendations(result)
        ]
        return FedBack(
            comparisons=compared,
            events=self.feedback.generate_feedback_events(compared, self.timestamp),
            signals=[*_refusals(refused), *told, *self.feedback.generate_learning_signals(compared)],
        )

    def monitor(self, results: Sequence[OptimizationResult], executed: Executed) -> Watched:
        """Return the metrics, what is out of the ordinary, and how healthy the whole is."""
        metrics = self.watcher.calculate_metrics(results, executed, self.timestamp)
        found = self.watcher.detect_anomalies(executed, self.timestamp, self.pool.agents)
        health = self.watcher.generate_system_health(metrics, found, self.timestamp)
        return Watched(metrics=metrics, anomalies=found, health=health)

    def report(
        self,
        results: Sequence[OptimizationResult],
        executed: Executed,
        fed_back: FedBack,
        watched: Watched,
        took_ms: float,
    ) -> dict[str, Any]:
        """Write every output file, each whole, and return the optimization_summary.

        The weights come last: a run that could not report counts for nothing. What was executed for real is
        added to the patterns; a simulation, drawn from the beliefs, has nothing to teach them, nor the
        weights, which stay as they are in the file.

        Raises:
            AdaptiveFileError, OSError: if a file cannot be written.
        """
        summary = self._summary(results, executed, watched, took_ms)
        outputs.write_schedules(self.folder, executed, self._agents(executed))
        records = {
            outputs.SIGNALS: fed_back.signals,
            outputs.COMPARISONS: fed_back.comparisons,
            outputs.FEEDBACK: fed_back.events,
            outputs.METRICS: watched.metrics,
            outputs.ANOMALIES: watched.anomalies,
        }
        outputs.write_records(self.folder, records)
        outputs.write_documents(self.folder, summary, watched.health)
        if not self.dry_run:
            self.update_coordination(executed)
        if self._has_learned or not (self.folder / WEIGHTS_FILE).exists():
            self.update_heuristics()
        return summary

    def update_heuristics(self) -> None:
        """Write the weights that the next run begins from."""
        self.feedback.update_heuristics(self.folder, self.timestamp)

    def update_coordination(self, executed: Executed) -> None:
        """Add what was executed, attempt by attempt, to the patterns that the next run begins from, if its
        source is a folder (a database has these runs itself)."""
        kinds = {task.task_id: task.learns_as for wave in self.waves.values() for task in wave.tasks}
        tasks = [task for wave, done in executed.items() for task in self._attempts.get(wave, done)]
        self.feedback.update_coordination(self.folder, tasks, kinds)

    # --- parts --------------------------------------------------------------------------------------------

    def _carried_out(
        self, result: OptimizationResult, scheduler: AdaptiveScheduler
    ) -> tuple[ScheduledTask, ...]:
        wave = self.waves[result.wave]
        if self.dry_run or self.pools is None:
            return scheduler.execute_schedule(result, wave)
        counted = CountedPools(self.pools)
        executed = scheduler.execute_schedule(result, wave, dry_run=False, pools=counted)
        self._attempts[wave.number] = counted.attempts(executed)
        return executed

    def _add_learned_patterns(self) -> None:
        learned = self.folder / PATTERNS_FILE
        if not learned.exists() or learned.samefile(self.source / PATTERNS_FILE):
            return
        for pattern in read_array(learned, "coordination_patterns"):
            self.optimizer.beliefs.learn_pattern(pattern)

    def _agents(self, executed: Executed) -> tuple[str, ...]:
        """Return the pool's agents, and after them others that have executed something."""
        seen = {task.agent_id for tasks in executed.values() for task in tasks}
        return (*self.pool.agents, *sorted(seen.difference(self.pool.agents)))

    def _summary(
        self, results: Sequence[OptimizationResult], executed: Executed, watched: Watched, took_ms: float
    ) -> dict[str, Any]:
        return {
            "phase": DRY_RUN if self.dry_run else FOR_REAL,
            "timestamp": self.timestamp,
            "total_waves_optimized": len(results),
            "total_agents": len(self._agents(executed)),
            "total_tasks": sum(len(result.schedule) + len(result.skipped) for result in results),
            "optimization_strategy": self.strategy.value,
            "overall_metrics": overall_metrics(results, executed),
            "optimization_results": [
                {
                    "wave": result.wave,
                    "strategy": result.strategy.value,
                    "expected_success_rate": result.expected_success_rate,
                    "agent_assignments": {
                        agent: list(tasks) for agent, tasks in result.agent_assignments.items()
                    },
                }
                for result in results
            ],
            "system_health_score": watched.health["overall_health_score"],
            "execution_time_ms": took_ms,
        }


def overall_metrics(results: Sequence[OptimizationResult], executed: Executed) -> dict[str, float]:
    """Return how the executed waves were expected to come out, and how they did; 0 where nothing is known.

    Rates are means over tasks; throughput is successes over the seconds until the waves' last ends, summed
    over the waves. prediction_accuracy: of whole waves (adaptive.accuracy); that of single tasks is the
    metric schedule_accuracy.
    """
    done = [r for r in results if measures.executed_spans(executed[r.wave])]
    planned = [place for result in done or results for place in result.schedule]
    tasks = [task for result in done for task in executed[result.wave]]
    planned_s = sum(result.makespan_ms for result in done or results) / 1000.0
    expected = sum(place.confidence for place in planned)
    actual_s = sum(measures.elapsed_ms(executed[result.wave]) for result in done) / 1000.0
    succeeded = sum(span.succeeded for span in measures.executed_spans(tasks))
    return {
        "expected_success_rate": fmean(place.confidence for place in planned) if planned else 0.0,
        "actual_success_rate": measures.success_rate(tasks) or 0.0,
        "prediction_accuracy": prediction_accuracy(done, executed) or 0.0,
        "expected_throughput": expected / planned_s if planned_s > 0 else 0.0,
        "actual_throughput": succeeded / actual_s if actual_s > 0 else 0.0,
        "schedule_adherence": measures.adherence(tasks) or 0.0,
    }


def _refusals(refused: Refused) -> list[dict[str, Any]]:
    return [
        {
            "signal_id": f"GATE_{wave}_{number:03d}",
            "type": "schedule_refused",
            "confidence": 1.0,
            "description": f"wave {wave} was not executed: {wrong}",
            "recommendation": "See which step made this schedule; the gates mend nothing.",
        }
        for wave, found in refused.items()
        for number, wrong in enumerate(found, start=1)
    ]
