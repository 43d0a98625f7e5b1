"""Puts a wave's tasks in order and on agents, carries the schedule out, and deals with what fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import exp, inf
from random import Random

from adaptive.agent_load import rebalanced, when
from adaptive.beliefs import Beliefs, Posterior
from adaptive.execution import (
    Execution,
    FailureAction,
    FailureDecision,
    carry_out,
    in_dependency_order,
)
from adaptive.measures import kept_starts
from adaptive.runs import MonotonicClock, PoolRuns, Pools, SimulatedRuns
from adaptive.timetable import Taken, Timetable
from adaptive.types import OptimizationResult, Pool, ScheduledTask, Status, Wave, WaveTask
from orchestration.clock import SystemClock

Assignments = Mapping[str, tuple[ScheduledTask, ...]]
"""The scheduled tasks of each agent, in the order in which they run."""


class AdaptiveScheduler:
    """Schedules waves on one pool, by what is believed of its agents.

    beliefs: None: nothing is known yet. load_factor: an agent with more than this many times the mean load is
    overloaded. max_attempts: of one task, the first included. seed: of simulated executions. clock: measures
    real ones.

    Raises:
        ValueError: if a number is out of its range.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        beliefs: Beliefs | None = None,
        load_factor: float = 1.25,
        max_attempts: int = 3,
        seed: int = 1,
        clock: MonotonicClock | None = None,
    ) -> None:
        if not load_factor >= 1.0:
            raise ValueError(f"load_factor is {load_factor}: expected at least 1, the mean load")
        if max_attempts < 1:
            raise ValueError(f"max_attempts is {max_attempts}: expected at least 1")
        self.pool = pool
        self.beliefs = Beliefs() if beliefs is None else beliefs
        self.load_factor = load_factor
        self.max_attempts = max_attempts
        self.seed = seed
        self._clock = clock or SystemClock()

    # --- order and places ---------------------------------------------------------------------------------

    def prioritize_tasks(self, tasks: Iterable[WaveTask]) -> tuple[WaveTask, ...]:
        """Return the tasks in the order in which they deserve a place, none before what it depends on.

        A task is as urgent as the most urgent one that waits for it. Among equals the likeliest success on
        its best agent comes first, then the shorter one, then the id.

        Raises:
            ValueError: if tasks wait for each other in a circle.
        """
        known = tuple(tasks)
        urgency = _urgencies(in_dependency_order(known, lambda task: ()))

        def key(task: WaveTask) -> tuple[float, float, float]:
            value = max(self._posterior(task, agent).mean for agent in self.pool.agents)
            takes_ms = min(self.beliefs.duration_ms(task, agent) for agent in self.pool.agents)
            return -urgency[task.task_id], -value, takes_ms

        return in_dependency_order(known, key)

    def assign_tasks_to_agents(
        self, chosen: OptimizationResult | Wave
    ) -> dict[str, tuple[ScheduledTask, ...]]:
        """Return each agent's tasks in the order in which they run; agents without any have an empty tuple.

        A result's schedule is taken as it is. A wave is filled greedily: the tasks by priority, each on the
        agent where it ends first; one that finds no place in the window or in the pool's memory, may not use
        the window, or waits for such a one, is left out.

        Raises:
            ValueError: if a result names an agent that is not in the pool, or tasks wait in a circle.
        """
        if isinstance(chosen, Wave):
            return self._by_agent(self._fill(chosen))
        return self._by_agent(chosen.schedule)

    def adjust_for_agent_load(
        self,
        assignments: Assignments,
        load: Mapping[str, float] | None = None,
        *,
        wave: Wave | None = None,
    ) -> dict[str, tuple[ScheduledTask, ...]]:
        """Return the assignments with tasks moved from overloaded agents to the least loaded one.

        An agent's load is the ms of its tasks and load[agent], the ms of whatever else it has to do. It is
        overloaded above load_factor times the mean. Tasks move one by one, each so that the larger of the two
        loads becomes as small as it can, for as long as that helps; all times are then computed anew.
        Everything stays as it is if no agent is overloaded, or the new times do not fit into the window.

        wave: whose dependencies, conflicts, memory and window the new times keep. None: what these are is
        not known, so what is apart in the plan stays apart and in its order, which keeps them all but the
        window.

        Raises:
            ValueError: if an agent is not in the pool, a task is not in `wave`, or a load is not a finite
                number of at least 0.
        """
        for agent in (*assignments, *(load or {})):
            self._check_agent(agent)
        for agent, ms in (load or {}).items():
            if not 0.0 <= ms < inf:
                raise ValueError(f"load[{agent!r}] is {ms}: expected a finite number of ms of at least 0")
        places = rebalanced(_flat(assignments), self.pool, self.beliefs, self.load_factor, load or {}, wave)
        return self._by_agent(places)

    # --- execution ----------------------------------------------------------------------------------------

    def execute_schedule(
        self,
        result: OptimizationResult | Assignments,
        wave: Wave,
        *,
        dry_run: bool = True,
        pools: Pools | None = None,
    ) -> tuple[ScheduledTask, ...]:
        """Return every task of the schedule with its actual times and status; see `execute`."""
        return self.execute(result, wave, dry_run=dry_run, pools=pools).scheduled

    def execute(
        self,
        result: OptimizationResult | Assignments,
        wave: Wave,
        *,
        dry_run: bool = True,
        pools: Pools | None = None,
    ) -> Execution:
        """Carry a schedule out and return what became of each task, with the attempts and the reasons.

        dry_run: simulate it, whether there are pools or not; the same seed gives the same. Otherwise the
        tasks run in `pools`. The rules are those of `execution.carry_out`.

        Raises:
            ValueError: if it is not a dry run and there are no pools, or the schedule does not fit the wave
                and the pool.
            Exception: whatever `pools` raises when nothing can be run.
        """
        schedule = result.schedule if isinstance(result, OptimizationResult) else _flat(result)
        if dry_run:
            simulated = SimulatedRuns(self.simulate_task_execution, self.seed)
            return carry_out(schedule, wave, self.pool, simulated, self.handle_task_failure)
        if pools is None:
            raise ValueError("pools is None: expected pools to run the tasks in, unless dry_run is set")
        real = PoolRuns(pools, self._clock)
        return carry_out(schedule, wave, self.pool, real, self.handle_task_failure)

    def simulate_task_execution(self, task: WaveTask, scheduled: ScheduledTask, rng: Random) -> ScheduledTask:
        """Return `scheduled` with an end and a status (completed or failed) drawn from the beliefs.

        It starts at its actual start time, or as scheduled if that is None. It succeeds with the posterior's
        mean probability. The duration is log-normal around the expected one; a failure comes at an even
        chance anywhere within it.
        """
        agent = scheduled.agent_id
        # The same three numbers are drawn in every case: what follows from the same seed stays the same.
        luck, deviation, share = rng.random(), rng.gauss(0.0, 1.0), rng.random()
        spread = self.beliefs.duration_spread(task.learns_as)
        takes_ms = self.beliefs.duration_ms(task, agent) * exp(spread * deviation)
        success = luck < self._posterior(task, agent).mean
        actual = scheduled.actual_start_time
        start = scheduled.scheduled_start_time if actual is None else actual
        return replace(
            scheduled,
            actual_start_time=start,
            actual_end_time=start + (takes_ms if success else share * takes_ms),
            status=Status.COMPLETED if success else Status.FAILED,
        )

    def handle_task_failure(
        self,
        task: WaveTask,
        agent_id: str,
        attempt: int,
        detail: str = "",
        *,
        left_ms: float | None = None,
        is_final: bool = False,
    ) -> FailureDecision:
        """Return what follows when an attempt has failed.

        Given up: the last attempt, one that must not be repeated (is_final), or one for whose repetition the
        window has no time. Reassigned: if some other agent's success rate with this kind lies, with 95 %
        certainty, above what is expected here with this failure counted; to the one whose certain rate is
        highest. Otherwise retried where it was.

        attempt: which one failed, from 1. detail: what went wrong. left_ms: of the window, None without one.

        Raises:
            ValueError: if the agent is not in the pool, or a number is out of its range.
        """
        self._check_agent(agent_id)
        if attempt < 1:
            raise ValueError(f"attempt is {attempt}: expected at least 1, the first attempt")
        if left_ms is not None and not left_ms >= 0.0:
            raise ValueError(f"left_ms is {left_ms}: expected None or at least 0")
        why = f" ({detail})" if detail else ""
        if is_final:
            return _give_up(agent_id, f"given up: it must not be repeated{why}")
        if attempt >= self.max_attempts:
            return _give_up(agent_id, f"given up after {attempt} of {self.max_attempts} attempts{why}")
        here = self._posterior(task, agent_id)
        expected = here.alpha / (here.strength + 1.0)
        best, certain = self._best_other(task, agent_id)
        goes_to = best if certain > expected else agent_id
        takes_ms = self.beliefs.duration_ms(task, goes_to)
        if left_ms is not None and takes_ms > left_ms:
            return _give_up(
                agent_id,
                f"given up: it takes {takes_ms:.0f} ms; {left_ms:.0f} ms are left of the window{why}",
            )
        count = f"attempt {attempt + 1} of {self.max_attempts}"
        if goes_to != agent_id:
            reason = (
                f"{count} goes to {best}: {task.learns_as} succeeds there at {certain:.0%} or more, "
                f"on {agent_id} at {expected:.0%}{why}"
            )
            return FailureDecision(action=FailureAction.REASSIGN, agent_id=best, reason=reason)
        reason = f"{count} stays on {agent_id}: no other agent is surely better than its {expected:.0%}{why}"
        return FailureDecision(action=FailureAction.RETRY, agent_id=agent_id, reason=reason)

    def calculate_schedule_adherence(self, executed: Sequence[ScheduledTask]) -> float:
        """Return how closely the starts kept to the plan, `measures.kept_starts`; 1 without any task."""
        return kept_starts(executed) if executed else 1.0

    # --- parts --------------------------------------------------------------------------------------------

    def _posterior(self, task: WaveTask, agent: str) -> Posterior:
        return self.beliefs.success(task.learns_as, agent)

    def _best_other(self, task: WaveTask, agent_id: str) -> tuple[str, float]:
        """Return the agent with the highest certain success rate but this one; a rate of 0 without others."""
        others = [agent for agent in self.pool.agents if agent != agent_id]
        rates = [(agent, self._posterior(task, agent).lower()) for agent in others]
        return max(rates, key=lambda pair: pair[1], default=(agent_id, 0.0))

    def _by_agent(self, places: Iterable[ScheduledTask]) -> dict[str, tuple[ScheduledTask, ...]]:
        found: dict[str, list[ScheduledTask]] = {agent: [] for agent in self.pool.agents}
        for place in places:
            self._check_agent(place.agent_id)
            found[place.agent_id].append(place)
        return {agent: tuple(sorted(mine, key=when)) for agent, mine in found.items()}

    def _check_agent(self, agent: str) -> None:
        if agent not in self.pool.agents:
            raise ValueError(f"agent_id is {agent!r}: expected one of {', '.join(self.pool.agents)}")

    def _fill(self, wave: Wave) -> list[ScheduledTask]:
        table = Timetable(self.pool, wave)
        for task in self.prioritize_tasks(wave.tasks):
            if wave.bars(task):
                continue
            options = []
            for number, agent in enumerate(self.pool.agents):
                takes_ms = self.beliefs.duration_ms(task, agent)
                start = table.earliest_ms(task, agent, takes_ms)
                if start is not None:
                    options.append((start + takes_ms, -self._posterior(task, agent).mean, number, start))
            if options:
                end, _, number, start = min(options)
                table.place(task, self.pool.agents[number], start, end - start)
        return [self._scheduled(place, wave.number) for place in table.taken]

    def _scheduled(self, place: Taken, wave: int) -> ScheduledTask:
        return ScheduledTask(
            task_id=place.task.task_id,
            agent_id=place.agent_id,
            wave=wave,
            scheduled_start_time=place.start_ms,
            scheduled_end_time=place.end_ms,
            priority=place.task.priority,
            confidence=self._posterior(place.task, place.agent_id).mean,
        )


def _urgencies(ordered: Sequence[WaveTask]) -> dict[str, int]:
    """Return each task's priority, or that of the most urgent one that waits for it, if higher."""
    found = {task.task_id: task.priority for task in ordered}
    for task in reversed(ordered):
        for before in task.dependencies & found.keys():
            found[before] = max(found[before], found[task.task_id])
    return found


def _flat(assignments: Assignments) -> tuple[ScheduledTask, ...]:
    return tuple(place for places in assignments.values() for place in places)


def _give_up(agent_id: str, reason: str) -> FailureDecision:
    return FailureDecision(action=FailureAction.GIVE_UP, agent_id=agent_id, reason=reason)
