"""The finite research demand: what each window asked for, what was finished in it, and what could be."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from operator import attrgetter
from statistics import fmean

from orchestration.decisions import Reason
from orchestration.runs import Outcome, week_of
from orchestration.simulation.bound import Demanded, bound_of, least_minutes
from orchestration.simulation.meters import Room
from orchestration.simulation.research_windows import HOUR, ResearchWindow
from orchestration.simulation.stand_ins import Fortune, Model
from orchestration.simulation.workload import CORE, fortunes_of
from orchestration.types import OncePer, TaskSpec

WORTH_TELLING_HOURS = 0.05
LOOP_TURN = timedelta(seconds=1)
"""A run that ends at the window's very end is seen a turn later."""


@dataclass
class DemandMeter:
    """Follows what the whole windows of a simulated stretch were asked to finish. Windows that were simulated
    in part are asked for nothing."""

    specs: Mapping[str, TaskSpec]
    windows: Sequence[ResearchWindow]
    _ended: dict[tuple[int, str], datetime] = field(default_factory=dict)
    _waits: dict[tuple[int, str, Reason], float] = field(default_factory=lambda: defaultdict(float))
    _outcomes: dict[tuple[int, str], list[str]] = field(default_factory=dict)

    def of(self, window: ResearchWindow) -> list[TaskSpec]:
        """Return the tasks that `window` is asked to finish."""
        known = (self.specs.get(task) for task in CORE[window.kind])
        return [spec for spec in known if spec is not None and spec.enabled] if window.is_whole else []

    def note_end(self, task: str, start: datetime, end: datetime, outcome: Outcome) -> None:
        """A run of `task` has ended."""
        place = self._place(end - LOOP_TURN)
        if place is None or task not in CORE[self.windows[place].kind]:
            return
        self._outcomes.setdefault((place, task), []).append(f"{outcome} after {(end - start) / HOUR:.1f} h")
        if outcome is Outcome.SUCCEEDED and end <= self.windows[place].prep + LOOP_TURN:
            self._ended.setdefault((place, task), end)

    def note_wait(self, task: str, reason: Reason, start: datetime, hours: float) -> None:
        """`task` has waited from `start` on."""
        place = self._place(start)
        if place is not None and task in CORE[self.windows[place].kind]:
            self._waits[place, task, reason] += hours

    def _place(self, at: datetime) -> int | None:
        place = bisect_right(self.windows, at, key=attrgetter("start")) - 1
        return place if place >= 0 else None

    def report(self, oracle: Model, room: Room) -> dict[str, object]:
        """Return the demand's part of a policy's report. oracle: a model of its own that draws what the
        simulated one drew."""
        return _summed(
            [
                self._judged(place, window, oracle, room)
                for place, window in enumerate(self.windows)
                if self.of(window)
            ]
        )

    def _judged(self, place: int, window: ResearchWindow, oracle: Model, room: Room) -> _Judged:
        """Hold one window against what a clairvoyant could have done in it."""
        specs = self.of(window)
        names = frozenset(spec.name for spec in specs)
        attempts = {spec.name: _foreseen(spec, window, oracle) for spec in specs}
        demanded = [_demanded(spec, attempts[spec.name], names) for spec in specs]
        minutes = (window.prep - window.start) / HOUR * 60
        bound = bound_of(demanded, minutes, room.slots, room.used_most_mb)
        least = least_minutes(demanded, room.slots, room.used_most_mb) / 60
        ends = {task: self._ended.get((place, task)) for task in sorted(names)}
        finished = {task: (end - window.start) / HOUR for task, end in ends.items() if end is not None}
        has_all = len(finished) == len(names) and 0 < least < inf
        return _Judged(
            hours={spec.name: _useful_minutes(spec, attempts[spec.name]) / 60 for spec in specs},
            possible=bound.possible,
            bound_hours=bound.minutes / 60,
            finished=finished,
            ratio=max(finished.values()) / least if has_all else None,
            missed=[
                {"window": window.name, "task": task, "why": self._why(place, task)}
                for task in sorted(bound.possible - finished.keys())
            ],
        )

    def _why(self, place: int, task: str) -> str:
        """Return what became of a task that was not finished, in words."""
        ran = self._outcomes.get((place, task), [])
        waits = self._waits.items()
        hours = {reason: waited for (at, name, reason), waited in waits if (at, name) == (place, task)}
        told = [
            f"waited {hours[reason]:.1f} h for {reason}"
            for reason in sorted(hours, key=lambda reason: -hours[reason])
            if hours[reason] >= WORTH_TELLING_HOURS
        ]
        return "; ".join([*ran, *told]) or "never due, or never started"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """One window. hours: needed by task, without failed attempts; possible: what a clairvoyant could finish,
    in bound_hours; finished: hours from the window's start by task. ratio: of the time taken, where all of it
    was finished."""

    hours: Mapping[str, float]
    possible: frozenset[str]
    bound_hours: float
    finished: Mapping[str, float]
    ratio: float | None
    missed: list[dict[str, str]]


def _foreseen(spec: TaskSpec, window: ResearchWindow, oracle: Model) -> list[Fortune]:
    """Return the attempts that a window's occasion of a task will take."""
    is_weekly = spec.once_per is OncePer.WEEK
    cycle = week_of(window.cycle) if is_weekly else window.cycle.isoformat()
    return fortunes_of(oracle, spec, f"{cycle}.once")


def _demanded(spec: TaskSpec, attempts: Sequence[Fortune], names: frozenset[str]) -> Demanded:
    succeeds = attempts[-1].exit_code == 0
    return Demanded(
        task=spec.name,
        minutes=sum(attempt.minutes for attempt in attempts) if succeeds else inf,
        cpus=spec.cpus,
        memory_mb=min(attempt.peak_mb for attempt in attempts),
        dependencies=frozenset(spec.dependencies & names),
        conflicts=frozenset(spec.conflicts & names),
    )


def _useful_minutes(spec: TaskSpec, attempts: Sequence[Fortune]) -> float:
    """Return what a task needs without its failures; what its spec says where it never succeeds."""
    return attempts[-1].minutes if attempts[-1].exit_code == 0 else spec.estimated_minutes


def _summed(asked: Sequence[_Judged]) -> dict[str, object]:
    demanded = sum(len(one.hours) for one in asked)
    finished = sum(len(one.finished) for one in asked)
    possible = sum(len(one.possible) for one in asked)
    # Compared over the same windows: those in which both finish everything.
    whole = [one for one in asked if one.ratio is not None]
    return {
        "windows": len(asked),
        "demanded": demanded,
        "finished": finished,
        "share": finished / demanded if demanded else None,
        "hours_demanded": sum(sum(one.hours.values()) for one in asked),
        "hours_finished": sum(one.hours[task] for one in asked for task in one.finished),
        "mean_hours_to_finish": fmean(max(one.finished.values()) for one in whole) if whole else None,
        "time_ratio": fmean(one.ratio for one in whole if one.ratio is not None) if whole else None,
        "bound": {
            "finished": possible,
            "share": possible / demanded if demanded else None,
            "hours_finished": sum(one.hours[task] for one in asked for task in one.possible),
            "mean_hours_to_finish": fmean(one.bound_hours for one in whole) if whole else None,
        },
        "missed_though_possible": [missed for one in asked for missed in one.missed],
    }
