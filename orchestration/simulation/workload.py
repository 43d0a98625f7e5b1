"""The stated workload: what the built-in tasks need in a simulated year, in figures that can be argued with.

The demand that policies are compared by is finite and the same for all of them: nightly research wants 8 h,
weekend research 36 h, the weekly refreshes 2.6 h, training and validations three quarters of an hour.
Everything else takes about what its spec says, with a heavy tail, and grows over the year.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from math import exp, inf
from statistics import NormalDist
from struct import Struct
from types import MappingProxyType
from typing import NamedTuple

from orchestration.runs import week_of
from orchestration.simulation.stand_ins import Fortune, Model
from orchestration.types import OncePer, TaskCategory, TaskSpec


class Need(NamedTuple):
    """What a run of a task wants. minutes: its median, infinite for one that goes on until it is stopped;
    spread: standard deviation of ln(minutes)."""

    minutes: float
    spread: float = 0.25


CORE_NIGHT = ("run_nightly_research",)
CORE_HOLIDAY = ("run_weekend_research",)
CORE_WEEKEND = (
    "run_weekend_research",
    "refresh_symbols",
    "refresh_history",
    "refresh_volume_profiles",
    "train_models",
    "validate_strategies",
    "validate_candidates",
)
CORE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "overnight": CORE_NIGHT,
        "weekend": CORE_WEEKEND,
        "holiday": CORE_HOLIDAY,
        "holiday_weekend": CORE_WEEKEND,
    }
)
"""What every policy is asked to finish in a window, by its budget type. It lapses with the window."""

STATED: Mapping[str, Need] = MappingProxyType(
    {
        "run_nightly_research": Need(480, 0.08),
        "run_weekend_research": Need(2160, 0.08),
        "refresh_symbols": Need(5),
        "refresh_history": Need(120),
        "refresh_volume_profiles": Need(30),
        "train_models": Need(15),
        "validate_strategies": Need(2),
        "validate_candidates": Need(30),
        # The orders are worked until shortly before the close, which the market sets and not the job.
        "execute_orders": Need(370, 0.02),
    }
)

SPREAD, RECURRING_SPREAD = 0.35, 0.25
MEMORY_LEVEL, MEMORY_SPREAD = 0.8, 0.1
TAIL_SHARE, LONGEST_TAIL = 0.02, 5.0
GROWTH = 0.2
"""Of the DATA tasks' minutes and memory in a year: there are more bars every day."""
RECURRING_FAILURES = 0.02
"""The failure rate of what recurs every few minutes, over the others': a check that fails one time in twenty
is quarantined (three times within ten minutes) twice a day, and a box like that is not kept."""
YEAR_DAYS = 365.0

_UNIFORMS = Struct("<5Q")
_RANGE = 2.0**64
_normal = NormalDist().inv_cdf


@dataclass(slots=True)
class Attempts:
    """Counts the fresh attempts at each task's latest occasion."""

    _latest: dict[str, tuple[str, int]] = field(default_factory=dict)

    def next_of(self, spec: TaskSpec, occasion: str) -> tuple[str, int]:
        """Return the occasion's name, the same under every policy, and this attempt's number, from 1."""
        name = occasion_name(spec, occasion)
        latest, tried = self._latest.get(spec.name, ("", 0))
        found = self._latest[spec.name] = name, tried + 1 if latest == name else 1
        return found


@dataclass(slots=True)
class StatedWorkload:
    """A `Model` of the stated workload.

    The same occasion and the same fresh attempt at it have the same fortune whatever the policy and the order
    in which tasks run. seed: of everything; failure_rate: share of fresh attempts that fail, 0 to 1, at a
    uniformly random point of their minutes; first: the day from which tasks grow.
    """

    seed: int = 1
    failure_rate: float = 0.05
    first: date = date(2026, 1, 1)
    _attempts: Attempts = field(default_factory=Attempts)

    def __post_init__(self) -> None:
        if not 0 <= self.failure_rate <= 1:
            raise ValueError(f"failure_rate is {self.failure_rate}: expected a share from 0 to 1")

    def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
        """Return the fortune of the next fresh attempt at `occasion`."""
        return self._fortune(spec, *self._attempts.next_of(spec, occasion))

    def _fortune(self, spec: TaskSpec, name: str, attempt: int) -> Fortune:
        length, peak, failing, when, tail = _dice(f"{self.seed}/{spec.name}/{name}/{attempt}")
        minutes = self._minutes(spec, name, length, tail)
        mb = MEMORY_LEVEL * spec.memory_mb * exp(MEMORY_SPREAD * _normal(peak)) * self._grown(spec, name)
        if failing >= self.failure_rate * (RECURRING_FAILURES if spec.every is not None else 1.0):
            return Fortune(minutes, mb, 0)
        # One without an end fails within what the spec expects of it.
        return Fortune(when * (minutes if minutes < inf else spec.estimated_minutes), mb, 1)

    def _minutes(self, spec: TaskSpec, name: str, length: float, tail: float) -> float:
        if is_endless(spec):
            return inf
        stated = STATED.get(spec.name)
        if stated is not None:
            return stated.minutes * exp(stated.spread * _normal(length))
        spread = SPREAD if spec.every is None else RECURRING_SPREAD
        minutes = spec.estimated_minutes * exp(spread * _normal(length)) * self._grown(spec, name)
        # Pareto with exponent 1: twice as long half as often.
        return minutes * min(LONGEST_TAIL, TAIL_SHARE / tail) if tail < TAIL_SHARE else minutes

    def _grown(self, spec: TaskSpec, name: str) -> float:
        if spec.category is not TaskCategory.DATA:
            return 1.0
        return 1.0 + GROWTH * max(0, (day_of(name) - self.first).days) / YEAR_DAYS


def _dice(key: str) -> tuple[float, ...]:
    """Return five independent numbers above 0 and below 1 for a key; a tenth of what random.Random costs."""
    drawn = _UNIFORMS.unpack(blake2b(key.encode(), digest_size=40).digest())
    # Halves keep off both ends, where the normal law has no quantile.
    return tuple(min((number + 0.5) / _RANGE, 1 - 1e-16) for number in drawn)


def is_endless(spec: TaskSpec) -> bool:
    """Return whether a run of it goes on until it is stopped: it fills time, as much as there is."""
    return spec.extendable and spec.opportunistic


def occasion_name(spec: TaskSpec, occasion: str) -> str:
    """Return the name under which policies share an occasion (`cycle.slot`).

    A policy with a timetable gives the slot of a task that runs once a cycle or week its instant, and calls a
    week by its day; the others say "once".
    """
    cycle, _, slot = occasion.partition(".")
    if spec.every is not None or spec.at is not None or spec.cron is not None or slot == "setup":
        return occasion
    if spec.once_per is OncePer.WEEK and "W" not in cycle:
        return week_of(day_of(cycle))
    return cycle


def day_of(name: str) -> date:
    """Return the day of a cycle or week (its Monday) that an occasion's name begins with."""
    cycle = name.partition(".")[0]
    if "W" in cycle:
        year, _, week = cycle.partition("-W")
        return date.fromisocalendar(int(year), int(week), 1)
    return date.fromisoformat(cycle)


def fortunes_of(model: Model, spec: TaskSpec, occasion: str) -> list[Fortune]:
    """Return the fresh attempts at an occasion up to the first success, at most as many as the spec allows.

    model: one that nothing else draws from: it counts what it is asked.
    """
    found: list[Fortune] = []
    while len(found) < spec.max_attempts and (not found or found[-1].exit_code != 0):
        found.append(model.draw(spec, len(found) + 1, occasion))
    return found
