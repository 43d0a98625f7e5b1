"""What the history says, worked out for the pages: research hours in use, estimates held against what came.

What takes long is kept for as long as the databases stay as they are, for all readers; a window long over is
kept for good.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from math import ceil, exp, log
from statistics import fmean, median
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from observability.dashboard.reasons import phrase
from observability.dashboard.source import Source
from orchestration.decisions import Gate, Reason
from orchestration.narration import HELD
from orchestration.runs import week_of
from orchestration.simulation.research_windows import (
    BUDGET_TYPES,
    HOUR,
    ResearchWindow,
    covered,
    research_windows,
)
from orchestration.state.history import WaitRow
from orchestration.state.summaries import (
    Length,
    busy_in,
    lengths_of,
    oldest_run_at,
    tasks_recorded,
    waits_between,
)
from orchestration.types import Interval

T = TypeVar("T")
MOST_KEPT = 256
"""Of what takes long, by source; a window's figures are a hundred bytes."""
SETTLED = timedelta(days=1)
"""So long after its end a window's runs are known: one that was lost has been found by then."""
RECENT = 60
"""Runs of a task that its estimates are held against."""


class Kept:
    """What was worked out, by key; the oldest is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[object, tuple[object, Any]] = OrderedDict()

    def get(self, key: object, version: object, make: Callable[[], T]) -> T:
        """Return what is kept under `key` of this `version`, or make it. One makes it and others wait."""
        with self._lock:
            found = self._found.get(key)
            if found is None or found[0] != version:
                found = version, make()
                self._found[key] = found
                if len(self._found) > MOST_KEPT:
                    self._found.popitem(last=False)
            self._found.move_to_end(key)
            return cast(T, found[1])


_of_source: WeakKeyDictionary[Source, Kept] = WeakKeyDictionary()


def kept(source: Source) -> Kept:
    """Return what is kept of a source."""
    return _of_source.setdefault(source, Kept())


# --- the use of research hours ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Hours of research of a window, or of a budget type's windows, and those of them in use.

    In use: at least one research run was under way, as `window.ended` in the daemon's log counts it.
    windows: how many.
    """

    name: str
    hours: float
    used: float
    windows: int = 1

    @property
    def share(self) -> float:
        """The share in use, 0 to 1; 0 of no hours."""
        return self.used / self.hours if self.hours else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUse:
    """One window and its use so far."""

    window: ResearchWindow
    use: Use


def windows_before(source: Source, until: datetime, count: int) -> list[ResearchWindow]:
    """Return the last `count` research windows that begin before `until`, newest first, cut to `until`.

    Those that began before the oldest run on record are left out: that nothing ran in them is not known.
    """
    begins = record_begins(source)
    if begins is None:
        return []
    calendars, found = source.calendars, list[ResearchWindow]()
    # A window a trading day: where it is not enough, as after a holiday, a little further back.
    for days in (count * 7 // 5 + 4, count * 7 // 5 + 16):
        found = research_windows(calendars, until - timedelta(days=days), until)
        found = [window for window in found if window.open == window.start]
        if len(found) >= count:
            break
    return [window for window in found[::-1][:count] if window.start >= begins]


def record_begins(source: Source) -> datetime | None:
    """Return the instant of the oldest run on record; None: nothing has run yet."""
    return kept(source).get("begins", source.version(), partial(oldest_run_at, source.engine))


def use_of(source: Source, windows: Sequence[ResearchWindow]) -> list[WindowUse]:
    """Return how much of each window was used."""
    tasks = frozenset(name for name, spec in source.specs.items() if spec.is_research)
    now, store = source.now(), kept(source)

    def use(window: ResearchWindow) -> Use:
        version = "over" if window.prep + SETTLED < now else source.version()
        hours = store.get(("use", window, tasks), version, partial(_hours_used, source, tasks, window))
        return Use(name=str(window.cycle), hours=window.hours, used=hours)

    return [WindowUse(window=window, use=use(window)) for window in windows]


def _hours_used(source: Source, tasks: frozenset[str], window: ResearchWindow) -> float:
    """Return the hours of a window in which research was under way."""
    day = window.cycle
    cycles = {str(day), week_of(day), f"{day:%Y-%m}"}
    runs = [Interval(*span) for span in busy_in(source.engine, tasks, cycles, source.now())]
    return covered(runs, window.open, window.close) / HOUR


def by_type(uses: Iterable[WindowUse]) -> list[Use]:
    """Return the use by budget type, and of all of them together; types without a window are left out."""
    found = list(uses)
    kinds: list[tuple[str, list[Use]]] = [
        (kind, [each.use for each in found if each.window.kind == kind]) for kind in BUDGET_TYPES
    ]
    kinds.append(("all", [each.use for each in found]))
    return [
        Use(name=kind, hours=sum(u.hours for u in uses), used=sum(u.used for u in uses), windows=len(uses))
        for kind, uses in kinds
        if uses
    ]


# --- estimates against what came --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """A task's estimates against what its runs took. runs: how many of its newest successes had an estimate.

    estimated_s, actual_s: medians. factor: by how much an estimate was off, either way: the geometric mean
    (1.0: never). within: the share that stayed within what nine in ten should; None: none was told.
    """

    task: str
    runs: int
    estimated_s: float
    actual_s: float
    factor: float
    within: float | None


def accuracies(source: Source) -> list[Accuracy]:
    """Return every task's, by name; of its newest `RECENT` runs that succeeded."""

    def make() -> list[Accuracy]:
        names = tasks_recorded(source.engine)
        found = lengths_of(source.engine, names, RECENT)
        return [each for task, runs in found.items() if (each := accuracy(task, runs)) is not None]

    return kept(source).get("accuracies", source.version(), make)


def accuracy(task: str, runs: Iterable[Length]) -> Accuracy | None:
    """Return a task's; None without a run that had an estimate."""
    told = [(run.seconds, 60 * run.predicted_minutes) for run in runs if run.predicted_minutes]
    if not told:
        return None
    off = [abs(log(max(actual, 1e-3) / estimated)) for actual, estimated in told]
    high = [run.seconds <= 60 * run.high_minutes for run in runs if run.high_minutes is not None]
    return Accuracy(
        task=task,
        runs=len(told),
        estimated_s=median(estimated for _, estimated in told),
        actual_s=median(actual for actual, _ in told),
        factor=exp(fmean(off)),
        within=sum(high) / len(high) if high else None,
    )


# --- waiting ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Held:
    """How long a task was held back by one thing. words: what it was, without numbers; times: how often."""

    task: str
    reason: str
    words: str
    total: timedelta = timedelta()
    times: int = 0
    last: datetime | None = field(default=None)


def waits(
    source: Source, since: datetime, until: datetime, skipped: Collection[Reason] = frozenset()
) -> tuple[list[Held], list[WaitRow]]:
    """Return what held tasks back in [since, until) whose hour it was, the longest first, and the slots that
    were skipped in it for one of the reasons `skipped`, the newest first."""
    found: dict[tuple[str, str, str], Held] = {}
    said: dict[Gate, str] = {}
    spans, slots = waits_between(source.engine, HELD, skipped, since, min(until, source.now()))
    for span in spans:
        if span.gate not in said:
            said[span.gate] = phrase(span.gate, source.zone)
        key = span.task, span.gate.reason.value, said[span.gate]
        each = found.setdefault(key, Held(*key))
        each.total += span.end - span.start
        each.times += 1
        each.last = span.end
    held = sorted(found.values(), key=lambda each: (-each.total, each.task, each.reason, each.words))
    return held, slots


# --- distributions ----------------------------------------------------------------------------------------

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.99)
MOST_BINS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """How values are spread. quantiles: by `QUANTILES`. bins: (middle, how many), of the same width, up to
    the 0.99 quantile; what lies above is counted in the last."""

    count: int
    least: float
    most: float
    quantiles: tuple[float, ...]
    bins: tuple[tuple[float, int], ...]


def distribution(values: Iterable[float]) -> Distribution | None:
    """Return the spread of `values`; None of none.

    As many bins as twice the cube root of their number (the rule of Rice University), at most `MOST_BINS`.
    """
    ordered = sorted(values)
    if not ordered:
        return None
    bins = min(MOST_BINS, ceil(2 * len(ordered) ** (1 / 3)))
    # The smallest value that at least this share does not exceed.
    at = [ordered[max(0, ceil(q * len(ordered) - 1e-9) - 1)] for q in QUANTILES]
    low, high = ordered[0], max(at[-1], ordered[0])
    width = (high - low) / bins
    if width <= 0:
        spread: tuple[tuple[float, int], ...] = ((low, len(ordered)),)
    else:
        edges = [bisect_left(ordered, low + n * width) for n in range(bins)] + [len(ordered)]
        spread = tuple((low + (n + 0.5) * width, edges[n + 1] - edges[n]) for n in range(bins))
    return Distribution(
        count=len(ordered), least=ordered[0], most=ordered[-1], quantiles=tuple(at), bins=spread
    )
