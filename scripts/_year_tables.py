"""The tables of a simulated year's page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from observability.report_document import FAIL, INFO, OK, WARN, Table
from scripts._year_facts import Figures, TaskScore, Year
from scripts._year_numbers import NONE, hours, megabytes, named, points, ratio, share
from scripts._year_targets import AIM, COVERAGE, MANY_RUNS, MOST_OVER, Target, aim_of

Row = tuple[str, Callable[[Figures], str]]
"""A row of a table with a column for each policy: its name, and what it shows of one."""


def target_table(found: Sequence[Target]) -> Table:
    """Return what was to be reached, and what was."""
    words = {OK: "reached", WARN: "short of the aim", FAIL: "missed", INFO: "not judged"}
    rows = tuple((each.what, each.wanted, each.reached, words[each.level]) for each in found)
    levels = tuple("" if each.level == INFO else each.level for each in found)
    return Table(("Target", "Wanted", "Found", "So"), rows, levels)


def use_table(year: Year) -> Table:
    """Return the research hours in use by policy and budget type, core and filler apart."""
    rows, levels = [], []
    for name, figures in year.policies.items():
        for kind in year.kinds:
            used = figures.utilisation[kind]
            rows.append(
                (
                    name,
                    named(kind),
                    hours(figures.research_hours[kind]),
                    share(figures.core_utilisation[kind]),
                    share(figures.filler_utilisation[kind]),
                    share(used),
                    aim_of(name, kind),
                )
            )
            levels.append(OK if name != "unified" or used is None or used >= AIM else WARN)
    head = ("Policy", "Research time", "#Hours", "#Core", "#Filler", "#All", "#Aim")
    return Table(head, tuple(rows), tuple(levels))


def demand_table(year: Year) -> Table:
    """Return what was finished of the finite demand, against what could be."""
    rows: list[tuple[str, ...]] = []
    levels = []
    for name, demand in ((name, figures.demand) for name, figures in year.policies.items()):
        if demand is None:
            continue
        rows.append(
            (
                name,
                f"{demand.finished:,} of {demand.demanded:,}",
                share(demand.share),
                f"{demand.bound.finished:,} ({share(demand.bound.share)})",
                f"{hours(demand.hours_finished)} of {hours(demand.bound.hours_finished)}",
                f"{len(demand.missed_though_possible):,}",
                hours(demand.mean_hours_to_finish),
                ratio(demand.time_ratio),
            )
        )
        levels.append(FAIL if name == "unified" and demand.missed_though_possible else OK)
    head = ("Policy", "#Finished", "#Share", "#At best", "#Hours, of best", "#Missed though possible")
    return Table((*head, "#Hours it took", "#Of the least"), tuple(rows), tuple(levels))


def missed_table(year: Year, most: int) -> Table:
    """Return what the main policy missed though it was possible, at most so many rows."""
    demand = year.main.demand
    missed = demand.missed_though_possible[:most] if demand is not None else ()
    rows = tuple((each.window, each.task, each.why) for each in missed)
    return Table(("Window", "Task", "What became of it"), rows)


def safety_table(year: Year) -> Table:
    """Return lateness, conflicts, intrusions and deadlines, a column for each policy."""
    rows: tuple[Row, ...] = (
        ("trading tasks late because of research", lambda f: f"{f.late_trading_tasks:,}"),
        ("trading tasks late, whatever the reason", lambda f: f"{f.late_duties:,}"),
        ("memory conflicts", lambda f: f"{f.memory_conflicts:,}"),
        ("conflicting tasks that overlapped", lambda f: f"{f.overlapping_conflicts:,}"),
        ("research in trading hours", lambda f: f"{hours(f.intrusions.trading_hours)} h"),
        ("research in PREP, before the open", lambda f: f"{hours(f.intrusions.prep_hours)} h"),
        ("research runs in either", lambda f: f"{f.intrusions.runs:,}"),
        ("deadlines met", lambda f: f"{f.deadlines.met:,}"),
        ("deadlines missed", lambda f: f"{f.deadlines.missed:,}"),
        ("tasks starved for more than 24 h", lambda f: f"{len(f.starved):,}"),
    )
    return _by_policy(year, "", rows)


def box_table(year: Year) -> Table:
    """Return memory, slots and what the simulation itself cost, a column for each policy."""
    rows: tuple[Row, ...] = (
        ("memory promised at once, at most", lambda f: megabytes(f.memory.promised_peak_mb)),
        ("memory promised, on average", lambda f: megabytes(f.memory.promised_mean_mb)),
        ("memory available, at least", lambda f: megabytes(f.memory.available_least_mb)),
        ("slots used, on average", lambda f: ratio(f.slots.mean_used)),
        ("share of the slots", lambda f: share(f.slots.share)),
        ("share of the slots in research hours", lambda f: share(f.slots.research_share)),
        ("runs", lambda f: f"{sum(f.runs.values()):,}"),
        ("decisions", lambda f: f"{f.decisions:,}"),
        ("seconds to simulate", lambda f: f"{f.wall_seconds:,.1f}"),
        ("of the processor", lambda f: f"{f.cpu_seconds:,.1f}"),
        ("memory of the simulation", lambda f: megabytes(f.peak_rss_mb)),
    )
    return _by_policy(year, "", rows)


def runs_table(year: Year) -> Table:
    """Return how runs ended, a column for each policy."""
    outcomes = _keys(figures.runs for figures in year.policies.values())
    return _by_policy(year, "Outcome", [(named(each), _count_of(each)) for each in outcomes])


def _count_of(outcome: str) -> Callable[[Figures], str]:
    return lambda figures: f"{figures.runs.get(outcome, 0):,}"


def waiting_table(year: Year) -> Table:
    """Return the hours that due tasks waited by reason, a column for each policy."""
    reasons = _keys(figures.waiting_hours for figures in year.policies.values())
    rows: list[Row] = [(REASONS.get(each, named(each).lower()), _waited_for(each)) for each in reasons]
    rows.append(("idle hours with a ready task", lambda f: hours(f.idle_hours_with_ready_task)))
    return _by_policy(year, "Waiting for", rows)


REASONS = {
    "BACKOFF": "the pause after a failure",
    "DEPENDENCY": "what it depends on",
    "DEPENDENCY_FAILED": "what it depends on has failed",
    "WONT_FIT": "too little of the window left",
    "CONFLICT": "a task that it conflicts with",
    "MEMORY": "memory",
    "SLOTS": "a free slot",
    "RESERVED": "room reserved for others",
    "NO_NETWORK": "the network",
    "THERMAL": "the box to cool down",
}


def _waited_for(reason: str) -> Callable[[Figures], str]:
    return lambda figures: hours(figures.waiting_hours.get(reason, 0.0))


def pooled_table(year: Year) -> Table:
    """Return how durations were predicted by policy, all tasks together."""
    rows = tuple(
        (name, f"{told.runs:,}", share(told.coverage), share(told.over_estimate))
        for name, told in ((name, figures.prediction) for name, figures in year.policies.items())
    )
    return Table(("Policy", "#Runs", "#Within the prediction", "#Over-estimate"), rows)


def prediction_table(scores: Mapping[str, TaskScore]) -> Table:
    """Return how tasks were predicted, beside three plain rules at the same coverage."""
    rows, levels = [], []
    for task, score in sorted(scores.items(), key=lambda item: -item[1].runs):
        rivals = score.rivals
        rows.append(
            (
                task,
                f"{score.runs:,}",
                share(score.coverage),
                share(score.over_estimate),
                # Of few runs the dials, set in hindsight, say nothing.
                *(NONE if score.ratio is None else share(rivals.get(rule)) for rule in RULES),
                ratio(score.ratio),
            )
        )
        is_fine = (score.coverage or 0.0) >= COVERAGE and (score.ratio or 0.0) <= MOST_OVER
        levels.append(OK if score.runs < MANY_RUNS or is_fine else FAIL)
    head = ("Task", "#Runs", "#Within", "#Over-estimate", *(f"#{title}" for title in RULES.values()))
    return Table((*head, "#Over the best"), tuple(rows), tuple(levels))


RULES = {
    "average_plus_errors": "Average + err.",
    "rolling_quantile": "Quantile",
    "conformal": "Conformal",
}


def ablated_use_table(year: Year) -> Table:
    """Return the research hours in use without each part of unified, as differences from unified if it is
    there."""
    rows = [("unified", *(share(base.utilisation[kind]) for kind in year.kinds)) for base in _base(year)]
    for name, figures in year.ablations.items():
        cells = [share(figures.utilisation[kind]) for kind in year.kinds]
        for base in _base(year):
            cells = [points(figures.utilisation[kind], base.utilisation[kind]) for kind in year.kinds]
        rows.append((named(name), *cells))
    return Table(("", *(f"#{named(kind)}" for kind in year.kinds)), tuple(rows))


def ablated_rest_table(year: Year) -> Table:
    """Return what else is otherwise without each part of unified, beside unified if it is there."""
    known = [*(("unified", base) for base in _base(year)), *year.ablations.items()]
    rows = tuple((named(name), *_rest(figures)) for name, figures in known)
    head = ("", "#Demand finished", "#Hours it took", "#Late", "#Intruding hours", "#Within the prediction")
    return Table((*head, "#Over-estimate"), rows)


def _base(year: Year) -> list[Figures]:
    return [year.policies["unified"]] if "unified" in year.policies else []


def _rest(figures: Figures) -> tuple[str, ...]:
    demand = figures.demand
    return (
        NONE if demand is None else f"{demand.finished:,}",
        NONE if demand is None else hours(demand.mean_hours_to_finish),
        f"{figures.late_trading_tasks:,}",
        hours(figures.intrusions.trading_hours + figures.intrusions.prep_hours),
        share(figures.prediction.coverage),
        share(figures.prediction.over_estimate),
    )


def special_table(year: Year) -> Table:
    """Return half days, holidays and clock changes, with the use of the research window about each."""
    used_by = {
        name: {(each.day, each.window): each.utilisation for each in figures.special_days}
        for name, figures in year.policies.items()
    }
    rows = []
    for special in year.main.special_days:
        used = tuple(share(known.get((special.day, special.window))) for known in used_by.values())
        rows.append((f"{special.day:%a} {special.day}", special.what, special.window, *used))
    return Table(("Day", "What", "Research window", *(f"#{name}" for name in year.policies)), tuple(rows))


def trace_table(year: Year) -> Table:
    """Return what became of a recorded trace, a column for each policy."""
    rows: tuple[Row, ...] = (
        ("submitted", lambda f: f"{f.trace.submitted:,}" if f.trace else NONE),
        ("finished", lambda f: f"{f.trace.finished:,}" if f.trace else NONE),
        ("hours waited, on average", lambda f: hours(f.trace.mean_wait_hours) if f.trace else NONE),
        ("hours waited, at most", lambda f: hours(f.trace.longest_wait_hours) if f.trace else NONE),
        ("bounded slowdown", lambda f: ratio(f.trace.bounded_slowdown) if f.trace else NONE),
    )
    return _by_policy(year, "", rows)


def _by_policy(year: Year, title: str, rows: Sequence[Row]) -> Table:
    cells = tuple((name, *(shown(figures) for figures in year.policies.values())) for name, shown in rows)
    return Table((title, *(f"#{name}" for name in year.policies)), cells)


def _keys(maps: Iterable[Mapping[str, float]]) -> list[str]:
    """Return the keys of all maps, that of the largest sum first."""
    sums: defaultdict[str, float] = defaultdict(float)
    for each in maps:
        for key, value in each.items():
            sums[key] += value
    return sorted(sums, key=lambda key: -sums[key])
