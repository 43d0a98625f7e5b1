"""What a scheduler that knew everything could finish in one window: a bound, not a schedule. Pure.

It solves a relaxation. Dropped: waiting between attempts, the time that checkpoints take, the loop's own
turns, room for duties, and that a run which cannot be interrupted keeps its place to its end. Kept: the
window's length, dependencies, conflicts, slots and memory. No schedule can do better: what is missing here
was never possible. Not every set that the bound allows has a schedule.

The least time of a set of tasks is the largest of three figures:
- the work: the sum of minutes x slots taken, over the slots there are;
- the memory: the sum of minutes x MB, over the MB there are;
- for each set of tasks of which no two can run at once (they conflict, one needs the other's success, or the
  two together are too large for the box): min head + sum of minutes + min tail. A task's head is the longest
  chain of dependencies before it, its tail the longest behind it (J. Carlier, "The one-machine sequencing
  problem", European Journal of Operational Research 11, 1982). A chain is such a set, and so is a clique of
  conflicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from math import inf

MOST_TASKS = 12  # every subset is tried: 2 ** 12 of them at worst
ROUNDING_MINUTES = 1e-6  # sums of floats that should be the window's length may come out this much above it


@dataclass(frozen=True, slots=True, kw_only=True)
class Demanded:
    """One task that a window is asked to finish.

    minutes: all it will take, failed attempts included; inf if it never succeeds. cpus: slots it takes.
    memory_mb: the least that it is ever promised. dependencies: tasks of the same window whose success it
    waits for; names that are not demanded count as met. conflicts: tasks that must not run beside it; one
    side's word is enough.
    """

    task: str
    minutes: float
    cpus: int = 1
    memory_mb: float = 0.0
    dependencies: frozenset[str] = frozenset()
    conflicts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("minutes", "cpus", "memory_mb"):
            value = getattr(self, name)
            if not value >= 0:
                raise ValueError(f"{name} of {self.task!r} is {value}: expected a number of at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowBound:
    """What could be finished in a window at best.

    possible: the set with the most hours in it; hours: those hours, failed attempts included; minutes: the
    least time in which `possible` can be done. most: the largest number of tasks of any set, which need not
    be `possible`.
    """

    possible: frozenset[str]
    most: int
    hours: float
    minutes: float


def least_minutes(tasks: Sequence[Demanded], slots: int, memory_mb: float) -> float:
    """Return the minutes that no schedule of all of `tasks` can undercut; inf if they can never all be done.

    Raises:
        ValueError: if a task is there twice, or dependencies go round in a circle.
    """
    return _least(_in_order(tasks), slots, memory_mb)


def bound_of(tasks: Sequence[Demanded], minutes: float, slots: int, memory_mb: float) -> WindowBound:
    """Return what of `tasks` could be finished in a window of `minutes`, by trying every set of them that
    contains what its members depend on.

    Raises:
        ValueError: as `least_minutes`, or if there are more than 12 tasks.
    """
    if len(tasks) > MOST_TASKS:
        raise ValueError(f"tasks are {len(tasks)}: expected at most {MOST_TASKS}, as every subset is tried")
    most_hours: tuple[Demanded, ...] = ()
    most = 0
    for chosen in _sets_that_fit(_in_order(tasks), minutes, slots, memory_mb):
        most = max(most, len(chosen))
        most_hours = max(most_hours, chosen, key=lambda some: (_total(some), len(some)))
    return WindowBound(
        possible=frozenset(d.task for d in most_hours),
        most=most,
        hours=_total(most_hours) / 60,
        minutes=_least(most_hours, slots, memory_mb),
    )


def _sets_that_fit(
    tasks: Sequence[Demanded], minutes: float, slots: int, memory_mb: float
) -> Sequence[tuple[Demanded, ...]]:
    """Return the sets, closed under dependencies, whose least time is within `minutes`; the whole set alone
    if that fits. What does not fit is not added to: more tasks never take less time."""

    def fits(some: Sequence[Demanded]) -> bool:
        return _least(some, slots, memory_mb) <= minutes + ROUNDING_MINUTES

    if fits(tasks):
        return [tuple(tasks)]
    demanded = {d.task for d in tasks}
    found: list[tuple[Demanded, ...]] = [()]
    for task in tasks:  # what it depends on has had its turn
        needed = task.dependencies & demanded
        larger = [(*some, task) for some in found if needed <= {d.task for d in some}]
        found += [some for some in larger if fits(some)]
    return found


def _least(tasks: Sequence[Demanded], slots: int, memory_mb: float) -> float:
    """Return `least_minutes` of tasks that stand in the order of their dependencies."""
    if any(d.minutes == inf or d.cpus > slots or d.memory_mb > memory_mb for d in tasks):
        return inf
    work = sum(d.minutes * d.cpus for d in tasks) / slots if slots else 0.0
    memory = sum(d.minutes * d.memory_mb for d in tasks) / memory_mb if memory_mb else 0.0
    return max(work, memory, _longest_apart(tasks, slots, memory_mb))


def _longest_apart(tasks: Sequence[Demanded], slots: int, memory_mb: float) -> float:
    """Return the largest min head + sum + min tail over the sets of tasks of which no two can run at once."""
    before = _ancestors(tasks)
    heads = _heads(tasks)
    tails = _tails(tasks)

    def apart(a: Demanded, b: Demanded) -> bool:
        return (
            a.task in b.conflicts
            or b.task in a.conflicts
            or a.task in before[b.task]
            or b.task in before[a.task]
            or a.cpus + b.cpus > slots
            or a.memory_mb + b.memory_mb > memory_mb
        )

    def longest(head: float, total: float, tail: float, others: Sequence[Demanded]) -> float:
        best = head + total + tail if total else 0.0
        for i, d in enumerate(others):
            rest = [other for other in others[i + 1 :] if apart(d, other)]
            least_head, least_tail = min(head, heads[d.task]), min(tail, tails[d.task])
            best = max(best, longest(least_head, total + d.minutes, least_tail, rest))
        return best

    return longest(inf, 0.0, inf, tasks)


def _ancestors(tasks: Sequence[Demanded]) -> Mapping[str, frozenset[str]]:
    """Return, by task, everything whose success it waits for, directly or not."""
    found: dict[str, frozenset[str]] = {}
    for d in tasks:
        direct = [name for name in d.dependencies if name in found]
        found[d.task] = frozenset(direct).union(*(found[name] for name in direct))
    return found


def _heads(tasks: Sequence[Demanded]) -> Mapping[str, float]:
    """Return, by task, the minutes of the longest chain of dependencies before it."""
    ends: dict[str, float] = {}
    heads: dict[str, float] = {}
    for d in tasks:
        heads[d.task] = max((ends[name] for name in d.dependencies if name in ends), default=0.0)
        ends[d.task] = heads[d.task] + d.minutes
    return heads


def _tails(tasks: Sequence[Demanded]) -> Mapping[str, float]:
    """Return, by task, the minutes of the longest chain of tasks behind it."""
    tails = {d.task: 0.0 for d in tasks}
    for d in reversed(tasks):
        for name in d.dependencies & tails.keys():
            tails[name] = max(tails[name], tails[d.task] + d.minutes)
    return tails


def _in_order(tasks: Sequence[Demanded]) -> tuple[Demanded, ...]:
    """Return the tasks so that each stands behind what it depends on; the same whatever the order given."""
    by_name = {d.task: d for d in sorted(tasks, key=lambda d: d.task)}
    if len(by_name) < len(tasks):
        raise ValueError(f"tasks are {sorted(d.task for d in tasks)}: expected each once")
    waits_for = {name: sorted(d.dependencies & by_name.keys()) for name, d in by_name.items()}
    try:
        return tuple(by_name[name] for name in TopologicalSorter(waits_for).static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ValueError(f"dependencies are {circle}: expected no circle") from error


def _total(tasks: Iterable[Demanded]) -> float:
    return sum(d.minutes for d in tasks)
