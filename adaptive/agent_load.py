"""Tasks moved from overloaded agents to the least loaded one, and the times that follow. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from statistics import fmean

from adaptive.beliefs import Beliefs
from adaptive.execution import SLACK_MS, in_dependency_order
from adaptive.timetable import Timetable
from adaptive.types import Pool, ScheduledTask, Wave, WaveTask


def rebalanced(
    places: Sequence[ScheduledTask],
    pool: Pool,
    beliefs: Beliefs,
    load_factor: float,
    load: Mapping[str, float],
    wave: Wave | None,
) -> Sequence[ScheduledTask]:
    """Return the places after all moves that help; see `AdaptiveScheduler.adjust_for_agent_load`.

    A task keeps its place in the order of starts and is timed as early as that and the rules allow. The very
    same places are returned if nothing moves, or if something would find no room after the moves.

    Raises:
        ValueError: if a task is not in `wave`.
    """
    loads = {agent: load.get(agent, 0.0) for agent in pool.agents}
    for place in places:
        loads[place.agent_id] += place.planned_ms
    now = {place.task_id: place for place in places}
    moved: set[str] = set()
    while (move := _next_move(now, loads, load_factor, beliefs)) is not None:
        loads[now[move.task_id].agent_id] -= now[move.task_id].planned_ms
        loads[move.agent_id] += move.planned_ms
        now[move.task_id] = move
        moved.add(move.task_id)
    if not moved:
        return places
    timed = _timed_anew(now, pool, wave or _as_planned(places))
    if timed is None:
        return places
    kinds = {task.task_id: task.learns_as for task in wave.tasks} if wave else {}
    return [
        replace(place, confidence=beliefs.success(kinds[place.task_id], place.agent_id).mean)
        if place.task_id in moved and place.task_id in kinds
        else place
        for place in timed
    ]


def when(place: ScheduledTask) -> tuple[float, float, str]:
    """Return what places are sorted by: start, end, id."""
    return place.scheduled_start_time, place.scheduled_end_time, place.task_id


def _length_on(place: ScheduledTask, agent: str, beliefs: Beliefs) -> float:
    return place.planned_ms * beliefs.speed(place.agent_id) / beliefs.speed(agent)


def _next_move(
    places: Mapping[str, ScheduledTask], loads: Mapping[str, float], load_factor: float, beliefs: Beliefs
) -> ScheduledTask | None:
    """Return the next task to move, on its new agent but with its old start; None if no move helps.

    Each move makes the larger of two loads smaller, so they come to an end.
    """
    limit = load_factor * fmean(loads.values()) + SLACK_MS
    target = min(loads, key=loads.__getitem__)
    for source in sorted(loads, key=lambda agent: -loads[agent]):
        if loads[source] <= limit:
            return None
        higher, best = inf, None
        for place in sorted((each for each in places.values() if each.agent_id == source), key=when):
            after = max(loads[source] - place.planned_ms, loads[target] + _length_on(place, target, beliefs))
            if after < higher:
                higher, best = after, place
        if best is not None and higher < loads[source] - SLACK_MS:
            end = best.scheduled_start_time + _length_on(best, target, beliefs)
            return replace(best, agent_id=target, scheduled_end_time=end)
    return None


def _timed_anew(places: Mapping[str, ScheduledTask], pool: Pool, wave: Wave) -> list[ScheduledTask] | None:
    """Return the places as early as their agents and order allow; None if one finds no room."""
    tasks = {task.task_id: task for task in wave.tasks}
    unknown = sorted(places.keys() - tasks.keys())
    if unknown:
        raise ValueError(f"assignments have task {unknown[0]!r}: expected tasks of wave {wave.number} only")
    table, found = Timetable(pool, wave), []
    chosen = [tasks[task_id] for task_id in places]
    for task in in_dependency_order(chosen, lambda task: when(places[task.task_id])):
        old = places[task.task_id]
        start = table.earliest_ms(task, old.agent_id, old.planned_ms)
        if start is None:
            return None
        taken = table.place(task, old.agent_id, start, old.planned_ms)
        found.append(replace(old, scheduled_start_time=start, scheduled_end_time=taken.end_ms))
    return found


def _as_planned(places: Sequence[ScheduledTask]) -> Wave:
    """Return a wave in which each task depends on all that end before it starts in the plan.

    What may then run at one time overlaps pairwise in the plan, and intervals that overlap pairwise have an
    instant in common (Helly 1923): the plan had room for all of them at once.
    """
    ordered = sorted(places, key=when)
    tasks = []
    for number, place in enumerate(ordered):
        start = place.scheduled_start_time + SLACK_MS
        before = frozenset(other.task_id for other in ordered[:number] if other.scheduled_end_time <= start)
        tasks.append(WaveTask(task_id=place.task_id, memory_mb=0.0, dependencies=before))
    return Wave(number=ordered[0].wave, tasks=tuple(tasks))
