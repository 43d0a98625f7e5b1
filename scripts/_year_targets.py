"""What a simulated year was to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from observability.report_document import FAIL, INFO, OK, WARN
from scripts._year_facts import Figures, TaskScore, Year
from scripts._year_numbers import hours, named, ratio, share, whole

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


def remarks(year: Year) -> list[str]:
    """Return what speaks against the main policy though no target names it, in words."""
    main, found = year.main, list[str]()
    if other := main.late_duties - main.late_trading_tasks:
        found.append(f"{other:,} trading tasks started late for other reasons than research")
    if main.deadlines.missed:
        deadlines = main.deadlines.met + main.deadlines.missed
        found.append(f"{main.deadlines.missed:,} of {deadlines:,} deadlines were missed")
    intruding = main.intrusions.trading_hours + main.intrusions.prep_hours
    if main.intrusions.runs:
        found.append(f"research ran into trading hours or PREP for {hours(intruding)} h")
    if main.starved:
        found.append(f"passed over for more than 24 h of their own windows: {', '.join(main.starved)}")
    return found


def aim_of(policy: str, kind: str) -> str:
    """Return what a policy's use of a kind of research hours was to be; empty where nothing was said."""
    if policy == "timetable" and kind in TIMETABLE:
        return f"near {whole(TIMETABLE[kind])}"
    return whole(AIM) if policy == "unified" else ""


def judged(scores: Mapping[str, TaskScore]) -> dict[str, TaskScore]:
    """Return the scores of the tasks that ran often enough to be judged by themselves."""
    return {task: score for task, score in scores.items() if score.runs >= MANY_RUNS}


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
        yield Target(
            what="runs within their predicted duration, all tasks",
            wanted=f"at least {whole(COVERAGE)}",
            reached=share(pooled),
            level=OK if pooled >= COVERAGE else FAIL,
        )
    often = judged(unified.prediction.tasks)
    covered = {task: score.coverage for task, score in often.items() if score.coverage is not None}
    if covered:
        low = {task: value for task, value in covered.items() if value < COVERAGE}
        yield Target(
            what=f"the same, each task of {MANY_RUNS} runs or more",
            wanted=f"at least {whole(COVERAGE)}",
            reached=_each(low, share) or f"{share(min(covered.values()))} at worst",
            level=FAIL if low else OK,
        )
    ratios = {task: score.ratio for task, score in often.items() if score.ratio is not None}
    if ratios:
        high = {task: value for task, value in ratios.items() if value > MOST_OVER}
        yield Target(
            what="their over-estimate, over the best plain rule's at the same coverage",
            wanted=f"at most {MOST_OVER}",
            reached=_each(high, ratio) or f"{ratio(max(ratios.values()))} at worst",
            level=FAIL if high else OK,
        )


def _each(missed: Mapping[str, float], shown: Callable[[float], str]) -> str:
    return ", ".join(f"{task} {shown(value)}" for task, value in sorted(missed.items()))


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
        level = OK if abs(used - known) <= NEAR else FAIL
        yield Target(
            what=f"the fixed timetable's use of {'nights' if kind == 'overnight' else 'weekends'}",
            wanted=f"near {whole(known)}" + ("" if is_judged else " in a year"),
            reached=share(used),
            level=level if is_judged else INFO,
        )


def _at_most(what: str, value: float, most: float, reached: str, shown: str) -> Target:
    level = OK if value <= most else FAIL
    return Target(what=what, wanted=f"at most {shown}", reached=reached, level=level)
