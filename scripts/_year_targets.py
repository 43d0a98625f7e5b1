"""What a simulated year was to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from observability.report_document import FAIL, INFO, OK, WARN
from scripts._year_facts import Figures, Year
from scripts._year_numbers import NONE, named, ratio, share, whole

AIM, COVERAGE = 0.95, 0.85
FLOORS = {"weekend": 0.60, "overnight": 0.70}
"""Of utilisation: below these it is a failure, between these and the aim it falls short."""
MOST_TIME, MOST_OVER = 1.05, 1.15
"""Times the clairvoyant's time, and times the best rival's over-estimate."""
MANY_RUNS = 200
"""A task with so many runs is judged by itself."""
TIMETABLE = {"weekend": 0.19, "overnight": 0.38}
NEAR = 0.03
MOST_SECONDS, MOST_MB = 60.0, 150.0
WHOLE_YEAR = 360
"""Days: a shorter stretch is not judged where the target speaks of a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target. level: OK, WARN (short of the aim, above the floor), FAIL, or INFO: not judged."""

    what: str
    wanted: str
    reached: str
    level: str

    @property
    def is_missed(self) -> bool:
        """Whether it was judged and not reached."""
        return self.level in (WARN, FAIL)


def targets(year: Year) -> list[Target]:
    """Return every target that the report's policies and workload allow to judge, in the order of a page."""
    found: list[Target] = []
    unified = year.policies.get("unified")
    if unified is not None:
        found += [*_of_utilisation(year, unified), *_of_demand(unified)]
        found += [*_of_safety(unified), *_of_predictions(unified)]
    found += _of_cost(year)
    timetable = year.policies.get("timetable")
    if timetable is not None and year.simulated.workload == "stated":
        found += _of_timetable(year, timetable)
    return found


def aim_of(policy: str, kind: str) -> str:
    """Return what a policy's use of a kind of research hours was to be; empty where nothing was said."""
    if policy == "timetable" and kind in TIMETABLE:
        return f"near {whole(TIMETABLE[kind])}"
    return whole(AIM) if policy == "unified" else ""


def _of_utilisation(year: Year, unified: Figures) -> Iterator[Target]:
    if year.simulated.workload == "trace":
        return  # what comes from outside fills what it fills
    for kind in (kind for kind in year.kinds if kind != "all"):
        used, floor = unified.utilisation[kind] or 0.0, FLOORS.get(kind)
        short = WARN if floor is not None and used >= floor else FAIL
        yield Target(
            what=f"{named(kind)} research hours in use",
            wanted=f"at least {whole(AIM)}" + (f" (floor {whole(floor)})" if floor is not None else ""),
            reached=share(used),
            level=OK if used >= AIM else short,
        )


def _of_demand(unified: Figures) -> Iterator[Target]:
    demand = unified.demand
    if demand is None or not demand.demanded:
        return
    missed, possible = len(demand.missed_though_possible), demand.bound.finished
    yield Target(
        what="demand finished wherever a clairvoyant could",
        wanted="all of it",
        reached=f"{possible - missed} of {possible} tasks",
        level=FAIL if missed else OK,
    )
    if demand.time_ratio is not None:
        what = "time to finish a window's demand, over the least possible"
        yield _at_most(what, demand.time_ratio, MOST_TIME, ratio(demand.time_ratio), f"{MOST_TIME}")


def _of_safety(unified: Figures) -> Iterator[Target]:
    counts = {
        "trading tasks late because of research": unified.late_trading_tasks,
        "memory conflicts": unified.memory_conflicts,
        "conflicting tasks that overlapped": unified.overlapping_conflicts,
    }
    for what, count in counts.items():
        yield Target(what=what, wanted="0", reached=f"{count:,}", level=FAIL if count else OK)


def _of_predictions(unified: Figures) -> Iterator[Target]:
    pooled = unified.prediction.coverage
    if pooled is not None:
        yield _covered("runs within their predicted duration, all tasks", pooled)
    judged = {task: score for task, score in unified.prediction.tasks.items() if score.runs >= MANY_RUNS}
    if not judged:
        return
    low = min(judged, key=lambda task: judged[task].coverage or 0.0)
    what = f"the same for each task of {MANY_RUNS} runs or more"
    yield _covered(what, judged[low].coverage or 0.0, low)
    high = max(judged, key=lambda task: judged[task].ratio or 0.0)
    worst = judged[high].ratio
    if worst is not None:
        what = "its over-estimate, over the best plain rule's at the same coverage"
        yield _at_most(what, worst, MOST_OVER, f"{ratio(worst)} at worst ({high})", f"{MOST_OVER}")


def _covered(what: str, coverage: float, worst: str = "") -> Target:
    return Target(
        what=what,
        wanted=f"at least {whole(COVERAGE)}",
        reached=share(coverage) + (f" at worst ({worst})" if worst else ""),
        level=OK if coverage >= COVERAGE else FAIL,
    )


def _of_cost(year: Year) -> Iterator[Target]:
    slowest = max(year.policies, key=lambda name: year.policies[name].wall_seconds)
    seconds = year.policies[slowest].wall_seconds
    told = f"{seconds:.1f} s at most ({slowest})"
    if year.simulated.days >= WHOLE_YEAR:
        yield _at_most("time to simulate the year, each policy", seconds, MOST_SECONDS, told, "60 s")
    largest = max(figures.peak_rss_mb for figures in year.policies.values())
    level = OK if largest < MOST_MB else FAIL
    yield Target(
        what="memory of the simulation", wanted="below 150 MB", reached=f"{largest:.0f} MB", level=level
    )


def _of_timetable(year: Year, timetable: Figures) -> Iterator[Target]:
    is_judged = year.simulated.days >= WHOLE_YEAR
    for kind, known in TIMETABLE.items():
        used = timetable.utilisation.get(kind)
        if used is None:
            continue
        level = OK if abs(used - known) <= NEAR else WARN
        yield Target(
            what=f"the fixed timetable's use of {'nights' if kind == 'overnight' else 'weekends'}",
            wanted=f"near {whole(known)}" + ("" if is_judged else " in a year"),
            reached=share(used),
            level=level if is_judged else INFO,
        )


def _at_most(what: str, value: float, most: float, reached: str, shown: str) -> Target:
    level = OK if value <= most else FAIL
    return Target(what=what, wanted=f"at most {shown}", reached=reached or NONE, level=level)
