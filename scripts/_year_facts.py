"""What a simulated year's `report.json` holds, read and checked. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import date, datetime
from functools import cache
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

BUDGET_TYPES = ("overnight", "weekend", "holiday", "holiday_weekend", "all")
"""The kinds of research windows, and all of them together."""
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """The stretch. workload: stated, history or trace; tasks: how many there were."""

    from_: datetime
    to: datetime
    days: float
    seed: int
    workload: str
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Occasions with a deadline that succeeded by it, and that did not."""

    met: int
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intrusions:
    """Research runs in hours that are not for research: hours by mode, and the number of runs."""

    trading_hours: float
    prep_hours: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a clairvoyant could finish of the demand."""

    finished: int
    share: float | None
    hours_finished: float
    mean_hours_to_finish: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A task that a window asked for and that could have been finished in it, but was not."""

    window: str
    task: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The finite demand: tasks and hours, and the time taken where all of a window's was finished."""

    windows: int
    demanded: int
    finished: int
    share: float | None
    hours_demanded: float
    hours_finished: float
    mean_hours_to_finish: float | None
    time_ratio: float | None
    bound: Bound
    missed_though_possible: tuple[Missed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """MB: promised to running ones, and available. None: no time passed."""

    promised_peak_mb: float
    promised_mean_mb: float | None
    available_least_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Slots taken on average; their share of all, over all the time and over research hours."""

    mean_used: float | None
    share: float | None
    research_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """How one task was predicted. rivals: over-estimates of plain rules at the same coverage; ratio: ours
    over the best of them, None where there are too few runs."""

    runs: int
    coverage: float | None
    over_estimate: float | None
    rivals: Mapping[str, float]
    ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """How durations were predicted, pooled and by task."""

    runs: int
    coverage: float | None
    over_estimate: float | None
    tasks: Mapping[str, TaskScore]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialDay:
    """A half day, holiday or clock change, and what was used of the research window about it."""

    day: date
    what: str
    window: str
    utilisation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run on the timeline. kind: core, filler, duty or upkeep."""

    task: str
    start: datetime
    end: datetime
    kind: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of one operating mode."""

    mode: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """What ran in the chosen week."""

    from_: datetime
    to: datetime
    runs: tuple[Run, ...]
    modes: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of a recorded trace."""

    submitted: int
    finished: int
    mean_wait_hours: float | None
    longest_wait_hours: float | None
    bounded_slowdown: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One policy's year. Shares are 0 to 1, None where there are no such hours; demand: None of a trace."""

    utilisation: Mapping[str, float | None]
    core_utilisation: Mapping[str, float | None]
    filler_utilisation: Mapping[str, float | None]
    research_hours: Mapping[str, float]
    late_trading_tasks: int
    late_duties: int
    deadlines: Deadlines
    memory_conflicts: int
    overlapping_conflicts: int
    intrusions: Intrusions
    demand: Demand | None
    memory: Memory
    slots: Slots
    prediction: Prediction
    waiting_hours: Mapping[str, float]
    idle_hours_with_ready_task: float
    starved: tuple[str, ...]
    runs: Mapping[str, int]
    decisions: int
    wall_seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    special_days: tuple[SpecialDay, ...]
    timeline: Week
    trace: Replayed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """A whole report: one policy or several, and ablations of unified, if there are any."""

    simulated: Simulated
    policies: Mapping[str, Figures]
    ablations: Mapping[str, Figures]

    @property
    def main_name(self) -> str:
        """The policy that the page is about: unified, or else the last."""
        return "unified" if "unified" in self.policies else list(self.policies)[-1]

    @property
    def main(self) -> Figures:
        """The figures of the policy that the page is about."""
        return self.policies[self.main_name]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The budget types of which the stretch has hours."""
        return tuple(kind for kind in BUDGET_TYPES if self.main.research_hours.get(kind))


def read_year(path: Path) -> Year:
    """Return what a report file holds.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no such report; the message names the file and the field.
    """
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from None
    try:
        year = built(Year, found, "")
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    if not year.policies:
        raise ValueError(f"{path.name}: policies is empty: expected at least one")
    return year


def built(kind: type[Made], value: object, where: str) -> Made:
    """Return `value`, as JSON gave it, as the dataclass `kind`; keys that it does not name are left out.

    Raises:
        ValueError: if a field is absent or of another type; the message names it.
    """
    if not isinstance(value, dict):
        raise _wrong(where or "the whole", value, "an object")
    hints = _hints(kind)  # type: ignore[arg-type]  # every class can be hashed
    found = {}
    for each in fields(kind):  # type: ignore[arg-type]  # dataclasses only, as promised
        key = each.name.rstrip("_")
        inside = f"{where}.{key}" if where else key
        if key in value:
            found[each.name] = _value(hints[each.name], value[key], inside)
        elif _is_required(each):
            raise ValueError(f"{inside} is missing")
    return kind(**found)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)  # wanted again for each of some thousand runs


def _is_required(each: Field[Any]) -> bool:
    return each.default is MISSING


def _value(kind: Any, value: object, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:  # always X | None
        return None if value is None else _value(inner[0], value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(where, value, "a list")
        return tuple(_value(inner[0], each, f"{where}[{i}]") for i, each in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise _wrong(where, value, "an object")
        return {key: _value(inner[1], each, f"{where}.{key}") for key, each in value.items()}
    if is_dataclass(kind):
        return built(kind, value, where)  # type: ignore[arg-type]  # a class, not an instance
    return _plain(kind, value, where)


def _plain(kind: type, value: object, where: str) -> object:
    if kind is str and isinstance(value, str):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    if kind in (date, datetime) and isinstance(value, str):
        return _moment(kind, value, where)
    raise _wrong(where, value, _EXPECTED[kind])


_EXPECTED = {
    str: "a text",
    int: "a whole number",
    float: "a finite number",
    date: "a date as 2026-11-20",
    datetime: "an instant with its zone, as 2026-11-20T05:00:00+00:00",
}


def _moment(kind: type, text: str, where: str) -> date:
    try:
        found: date = datetime.fromisoformat(text) if kind is datetime else date.fromisoformat(text)
    except ValueError:
        raise _wrong(where, text, _EXPECTED[kind]) from None
    if isinstance(found, datetime) and found.tzinfo is None:
        raise _wrong(where, text, _EXPECTED[kind])
    return found


def _wrong(where: str, value: object, expected: str) -> ValueError:
    shown = json.dumps(value)
    return ValueError(f"{where} is {shown if len(shown) <= 40 else shown[:37] + '...'}: expected {expected}")
