"""Assign the tasks of a wave to agents, for success, throughput, confidence or a weighting of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

from adaptive.beliefs import Beliefs, Posterior
from adaptive.heuristics import (
    HEURISTICS,
    SOLE_HEURISTIC,
    WEIGHTS_FILE,
    Prospects,
    checked_weights,
    prospects_of,
    scores,
)
from adaptive.problem import Goal, Placement, Problem, Solution
from adaptive.recommendations import recommendations
from adaptive.scheduler import AdaptiveScheduler
from adaptive.types import OptimizationResult, Outcome, Pool, ScheduledTask, Strategy, Wave, WaveTask


def solved(problem: Problem) -> Solution:
    """Solve with the solvers of `adaptive.solving`, which bring numpy and scipy along: imported when used."""
    from adaptive.solving import solve

    return solve(problem)


class AdaptiveOptimizer:
    """Learns from outcomes which agent is good and fast at what, and assigns waves by it.

    pool: the agents and their memory. strategy: used where none is named. weights: by heuristic id, at least
    0; those not named have their default. deadline_s: seconds that solving one wave may take.

    Raises:
        ValueError: if a weight's heuristic is unknown, or a setting is out of its range.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        strategy: Strategy = Strategy.WEIGHTED,
        weights: Mapping[str, float] | None = None,
        deadline_s: float = 0.3,
        solver: Callable[[Problem], Solution] = solved,
    ) -> None:
        if not deadline_s >= 0.0:
            raise ValueError(f"deadline_s is {deadline_s}: expected seconds of at least 0")
        self.pool = pool
        self.strategy = Strategy(strategy)
        self.weights = checked_weights(weights or {})
        self.beliefs = Beliefs()
        self._deadline_s = deadline_s
        self._solver = solver

    def load_data(self, source: Path) -> None:
        """Start anew from a `performance.db`, or from a folder of inputs and, if it has them, weights.

        Raises:
            AdaptiveFileError: if a file of it is broken, or its weights name an unknown heuristic.
        """
        from adaptive.history import load_inputs, load_outcomes

        if not source.is_dir():
            self.beliefs = Beliefs.from_outcomes(load_outcomes(source))
            return
        beliefs = Beliefs.from_inputs(load_inputs(source))
        if (source / WEIGHTS_FILE).exists():
            self.weights = stored_weights(source / WEIGHTS_FILE)
        self.beliefs = beliefs

    def update_confidence_estimates(self, outcomes: Iterable[Outcome]) -> dict[tuple[str, str], Posterior]:
        """Learn these outcomes in their order; return the posterior of every (kind, agent) known by then."""
        for outcome in outcomes:
            self.beliefs.learn(outcome)
        return self.beliefs.posteriors()

    def calculate_optimal_schedule(self, wave: Wave, strategy: Strategy | None = None) -> OptimizationResult:
        """Return the best assignment and timetable by the strategy (None: the optimizer's own).

        What may not run in the wave's window is skipped with the reason, and so is what depends on it. A
        task's confidence is the posterior mean of its success once it has started: that what it depends on
        may fail first is not in it, nor in the expected rate (the mean over placed tasks) and throughput (the
        expected number of completed tasks over the makespan).

        Raises:
            ValueError: if there is no such strategy.
        """
        begin = perf_counter()
        chosen = self.strategy if strategy is None else Strategy(strategy)
        tasks, barred = admitted(wave)
        prospects = prospects_of(tasks, self.pool.agents, self.beliefs)
        solution = self._solver(self._problem(wave, prospects, chosen))
        return _result(
            wave,
            chosen,
            solution,
            schedule=tuple(self._scheduled(wave, prospects, each) for each in solution.placements),
            skipped={**barred, **solution.skipped},
            agents=self.pool.agents,
            solve_ms=1000.0 * (perf_counter() - begin),
        )

    def optimize_for_success(self, wave: Wave) -> OptimizationResult:
        """Make the expected number of successes large: the sum of the posterior means."""
        return self.calculate_optimal_schedule(wave, Strategy.SUCCESS)

    def optimize_for_throughput(self, wave: Wave) -> OptimizationResult:
        """Have the last task done as early as possible."""
        return self.calculate_optimal_schedule(wave, Strategy.THROUGHPUT)

    def optimize_for_confidence(self, wave: Wave) -> OptimizationResult:
        """Make the successes to be counted on large: the sum of the posteriors' 5 % quantiles."""
        return self.calculate_optimal_schedule(wave, Strategy.CONFIDENCE)

    def optimize_weighted(self, wave: Wave) -> OptimizationResult:
        """Make the sum of weight x score large, over the heuristics of `adaptive.heuristics`."""
        return self.calculate_optimal_schedule(wave, Strategy.WEIGHTED)

    def simulate_schedule(
        self, result: OptimizationResult, wave: Wave, seed: int = 1
    ) -> tuple[ScheduledTask, ...]:
        """Return the schedule with actual times and statuses drawn from the beliefs, nothing tried again.

        It is the scheduler's dry run with one attempt each, so the same seed meets the same luck there. A
        task starts as soon as it may, is SKIPPED if its planned duration no longer fits the window or what it
        depends on did not complete, and is left to end once it has started.

        Raises:
            ValueError: if the result is not of this wave.
        """
        once = AdaptiveScheduler(self.pool, beliefs=self.beliefs, max_attempts=1, seed=seed)
        return once.execute_schedule(result, wave)

    def generate_schedule_recommendations(self, result: OptimizationResult) -> list[dict[str, Any]]:
        """Return what stands out in a schedule as learning signals; see `recommendations`."""
        return recommendations(result, self.beliefs, self.pool.agents)

    def _problem(self, wave: Wave, prospects: Prospects, strategy: Strategy) -> Problem:
        sole = SOLE_HEURISTIC.get(strategy)
        weights = {sole: 1.0} if sole else self.weights
        is_timed = strategy is Strategy.THROUGHPUT
        nothing = tuple((0.0,) * len(self.pool.agents) for _ in prospects.tasks)
        return Problem(
            goal=Goal.MAKESPAN if is_timed else Goal.VALUE,
            tasks=prospects.tasks,
            agents=self.pool.agents,
            duration_ms=prospects.duration_ms,
            value=nothing if is_timed else scores(prospects, weights),
            memory_mb=self.pool.memory_mb,
            window_ms=wave.window_ms,
            deadline_s=self._deadline_s,
        )

    def _scheduled(self, wave: Wave, prospects: Prospects, placement: Placement) -> ScheduledTask:
        task = prospects.tasks[placement.task]
        return ScheduledTask(
            task_id=task.task_id,
            agent_id=self.pool.agents[placement.agent],
            wave=wave.number,
            scheduled_start_time=placement.start_ms,
            scheduled_end_time=placement.end_ms,
            priority=task.priority,
            confidence=prospects.posterior[placement.task][placement.agent].mean,
        )


def stored_weights(path: Path) -> dict[str, float]:
    """Return the weights of a heuristic_weights.json, with the default for each heuristic that it leaves out.

    Raises:
        AdaptiveFileError: if the file is broken or names an unknown heuristic.
    """
    from adaptive.files import read_json

    stored = read_json(path, "heuristic_weights", check=_unknown_heuristics)
    return checked_weights({key: float(stored[key]) for key in stored if key != "updated_at"})


def _unknown_heuristics(stored: Mapping[str, Any]) -> list[tuple[tuple[str], str]]:
    known = (*HEURISTICS, "updated_at")
    wrong = f"is not known here, expected only {', '.join(known)}"
    return [((key,), wrong) for key in stored if key not in known]


def admitted(wave: Wave) -> tuple[tuple[WaveTask, ...], dict[str, str]]:
    """Return the tasks that may run in the wave's window, and the reason by task id for the others.

    A wave without a window admits every task. A task whose dependency is left out, or is not in the wave,
    is left out, too.
    """
    barred = {task.task_id: why for task in wave.tasks if (why := wave.bars(task))}
    left = {task.task_id: task for task in wave.tasks if task.task_id not in barred}
    while missing := {
        task_id: min(task.dependencies - left.keys())
        for task_id, task in left.items()
        if task.dependencies - left.keys()
    }:
        for task_id, dependency in missing.items():
            barred[task_id] = f"depends on {dependency}, which is not in wave {wave.number} or left out of it"
            del left[task_id]
    return tuple(left.values()), barred


def _result(
    wave: Wave,
    strategy: Strategy,
    solution: Solution,
    *,
    schedule: Sequence[ScheduledTask],
    skipped: Mapping[str, str],
    agents: Sequence[str],
    solve_ms: float,
) -> OptimizationResult:
    in_order = sorted(schedule, key=lambda each: each.scheduled_start_time)
    successes = sum(each.confidence for each in in_order)
    makespan_ms = max((each.scheduled_end_time for each in in_order), default=0.0)
    return OptimizationResult(
        wave=wave.number,
        strategy=strategy,
        agent_assignments=MappingProxyType(
            {agent: tuple(each.task_id for each in in_order if each.agent_id == agent) for agent in agents}
        ),
        schedule=tuple(in_order),
        expected_success_rate=successes / len(in_order) if in_order else 0.0,
        expected_throughput=successes / (makespan_ms / 1000.0) if makespan_ms else 0.0,
        makespan_ms=makespan_ms,
        objective=solution.objective,
        bound=solution.bound,
        method=solution.method,
        skipped=MappingProxyType(dict(skipped)),
        solve_ms=solve_ms,
    )
