"""What a schedule must keep before anything of it may run. Pure.

These gates trust no solver: they look at the finished schedule alone, and what breaks one is refused with the
reason, never mended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from adaptive.execution import SLACK_MB, SLACK_MS, conflicts_of
from adaptive.types import OptimizationResult, Pool, ScheduledTask, Wave, WaveTask

Gate = Callable[[Sequence[ScheduledTask], Wave, Pool], Iterable[str]]


def violations(result: OptimizationResult, wave: Wave, pool: Pool) -> tuple[str, ...]:
    """Return everything in which a wave's schedule goes beyond the pool, its windows or its tasks' rules.

    Words for people, a line each; empty if all of it may run.
    """
    schedule = sorted(result.schedule, key=lambda place: (place.scheduled_start_time, place.task_id))
    strangers = [*_unknown(schedule, wave), *_beyond_slots(schedule, pool)]
    # The other gates look tasks up by their id.
    return tuple(strangers or (said for gate in GATES for said in gate(schedule, wave, pool)))


def _unknown(schedule: Sequence[ScheduledTask], wave: Wave) -> Iterator[str]:
    known = {task.task_id for task in wave.tasks}
    seen: set[str] = set()
    for place in schedule:
        if place.task_id not in known:
            yield f"{place.task_id} is not a task of wave {wave.number}"
        if place.task_id in seen:
            yield f"{place.task_id} is scheduled twice"
        seen.add(place.task_id)


def _beyond_slots(schedule: Sequence[ScheduledTask], pool: Pool) -> Iterator[str]:
    for place in schedule:
        if place.agent_id not in pool.agents:
            yield f"{place.task_id} is on {place.agent_id}; the pool has {', '.join(pool.agents)}"


def _one_at_a_time(schedule: Sequence[ScheduledTask], wave: Wave, pool: Pool) -> Iterator[str]:
    for agent in pool.agents:
        own = [place for place in schedule if place.agent_id == agent]
        for before, after in pairwise(own):
            if after.scheduled_start_time < before.scheduled_end_time - SLACK_MS:
                yield f"{before.task_id} and {after.task_id} overlap on {agent}, which is one slot"


def _within_memory(schedule: Sequence[ScheduledTask], wave: Wave, pool: Pool) -> Iterator[str]:
    tasks = _tasks(wave)
    for place in schedule:  # memory is highest at some start
        at = place.scheduled_start_time
        needed = sum(tasks[other.task_id].memory_mb for other in schedule if _runs_at(other, at))
        if needed > pool.memory_mb + SLACK_MB:
            yield (
                f"{needed:g} MB are needed when {place.task_id} starts; the pool has {pool.memory_mb:g} MB"
            )


def _within_window(schedule: Sequence[ScheduledTask], wave: Wave, pool: Pool) -> Iterator[str]:
    tasks = _tasks(wave)
    for place in schedule:
        if why := wave.bars(tasks[place.task_id]):
            yield f"{place.task_id} {why}"
        if place.scheduled_start_time < -SLACK_MS:
            yield f"{place.task_id} starts {-place.scheduled_start_time:.0f} ms before the window"
        if wave.window_ms is not None and place.scheduled_end_time > wave.window_ms + SLACK_MS:
            late = place.scheduled_end_time - wave.window_ms
            yield f"{place.task_id} ends {late:.0f} ms after the window of {wave.window_ms:.0f} ms"


def _in_order(schedule: Sequence[ScheduledTask], wave: Wave, pool: Pool) -> Iterator[str]:
    tasks, places = _tasks(wave), {place.task_id: place for place in schedule}
    for place in schedule:
        for before in sorted(tasks[place.task_id].dependencies):
            first = places.get(before)
            if first is None:
                yield f"{place.task_id} depends on {before}, which is not in the schedule"
            elif place.scheduled_start_time < first.scheduled_end_time - SLACK_MS:
                yield f"{place.task_id} starts before {before} has ended, on which it depends"


def _apart(schedule: Sequence[ScheduledTask], wave: Wave, pool: Pool) -> Iterator[str]:
    conflicts = conflicts_of(wave.tasks)
    for place in schedule:
        for other in schedule:
            if place.task_id < other.task_id and other.task_id in conflicts[place.task_id]:
                begin = max(place.scheduled_start_time, other.scheduled_start_time)
                if begin < min(place.scheduled_end_time, other.scheduled_end_time) - SLACK_MS:
                    yield f"{place.task_id} and {other.task_id} overlap, which conflict"


GATES: tuple[Gate, ...] = (_one_at_a_time, _within_memory, _within_window, _in_order, _apart)


def _tasks(wave: Wave) -> dict[str, WaveTask]:
    return {task.task_id: task for task in wave.tasks}


def _runs_at(place: ScheduledTask, instant: float) -> bool:
    return place.scheduled_start_time <= instant < place.scheduled_end_time - SLACK_MS
