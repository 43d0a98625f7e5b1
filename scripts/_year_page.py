"""The page of a simulated year: what was aimed at and what was reached, in tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from observability.report_document import (
    FAIL,
    INFO,
    OK,
    WARN,
    Block,
    Document,
    Heading,
    Notice,
    Picture,
    Text,
    Tile,
    Tiles,
)
from scripts._shapes import Drawing, svg
from scripts._year_facts import Year
from scripts._year_numbers import named, share
from scripts._year_pictures import ZONE, demand_picture, utilisation_picture, week_picture
from scripts._year_tables import (
    ablated_rest_table,
    ablated_use_table,
    box_table,
    demand_table,
    missed_table,
    pooled_table,
    prediction_table,
    runs_table,
    safety_table,
    special_table,
    target_table,
    trace_table,
    use_table,
    waiting_table,
)
from scripts._year_targets import AIM, MANY_RUNS, Target, judged, remarks, targets

LISTED = 30
"""Rows of what was missed, and of short tasks' predictions; more are counted."""
WORKLOADS = {
    "stated": "the stated workload",
    "history": "the box's own recorded runs",
    "trace": "a recorded trace",
}

WAIT_TERMS = (
    "Hours in which a task was due and waited, by its first reason, summed over tasks. Idle hours: a slot was"
    " free in research hours and a due research task waited for a reason other than its dependencies, a"
    " conflict, memory, slots or the pause after a failure."
)
USE_TERMS = (
    "Hours of RESEARCH mode during which at least one useful run of research was going: several at once "
    "count once, and what failed or was killed counts for nothing. Core: all but the opportunistic tasks; "
    "filler: what these add."
)
DEMAND_TERMS = (
    "Every policy is asked for the same in each window, with the same durations and the same failures; "
    "what is not finished by PREP lapses. At best: what a planner who knows every duration and failure "
    "beforehand could finish, in the least time; a relaxation, so no real planner need reach it. Times "
    "are averages over the windows in which the policy finished everything."
)
SLOWDOWN_TERMS = (
    "Bounded slowdown: time from submission to end over the time that the task ran, at least 1, on average."
)
TIMETABLE_TERMS = (
    "The fixed timetable starts no research that it does not name, so a trace's research never runs under it."
)
PREDICTION_TERMS = (
    "Within: runs that took no longer than was predicted when they started. Over-estimate: time promised "
    "and not used, over time used. Beside it that of three plain rules, each with its one dial set in "
    "hindsight so that as many runs stay within its predictions as within ours."
)
ABLATION_TERMS = (
    "The unified policy without one of its parts at a time. Above: research hours in use, as differences in"
    " percentage points from unified where it is there. Below: tasks of the demand finished; hours from a"
    " window's start until all of it was finished, where it was; trading tasks late because of research;"
    " hours of research in trading hours or PREP; and the predictions, as said before."
)
SPECIAL_TERMS = (
    "Share of the research hours in use of the window that the day lies in; of a half day, of the window "
    "that begins after its early close."
)


def page(year: Year) -> Document:
    """Return the whole page."""
    title = f"Research time, {stretch(year)}"
    return Document(title=title, subtitle=subtitle(year), blocks=(*summary(year), *details(year)))


def stretch(year: Year) -> str:
    """Return the simulated days, the last included; of a whole year the year."""
    first, after = (at.astimezone(ZONE).date() for at in (year.simulated.from_, year.simulated.to))
    if first == date(first.year, 1, 1) and after == date(first.year + 1, 1, 1):
        return str(first.year)
    return f"{first} to {after - timedelta(days=1)}"


def subtitle(year: Year) -> str:
    """Return what was simulated, in one line."""
    simulated = year.simulated
    workload = WORKLOADS.get(simulated.workload, simulated.workload)
    days = "1 day" if simulated.days == 1 else f"{simulated.days:g} days"
    count = f"{days}, {simulated.tasks:,} tasks, {workload}, seed {simulated.seed}"
    return f"{count}; policies: {', '.join(year.policies)}"


def summary(year: Year) -> Iterator[Block]:
    """Yield the figures that matter most, and what was reached of the targets."""
    yield _tiles(year)
    yield from _verdict(year, targets(year))


def details(year: Year) -> Iterator[Block]:
    """Yield everything else, in tables and pictures."""
    yield from _use(year)
    yield from _demand(year)
    yield from _trace(year)
    yield from _safety(year)
    yield from _predictions(year)
    yield from (Heading("What waited, and why"), waiting_table(year))
    yield Text(WAIT_TERMS)
    yield from _ablations(year)
    yield from _special_days(year)
    yield from _week(year)
    yield from (Heading("The box, and what the simulation took"), box_table(year), runs_table(year))


def _tiles(year: Year) -> Tiles:
    main = year.main
    tiles = [_use_tile(year, kind) for kind in year.kinds if kind != "all"]
    demand = main.demand
    if demand is not None and demand.demanded:
        level = FAIL if demand.missed_though_possible else OK
        tiles.append(
            Tile("Demand", f"{demand.finished:,}", level, f"finished; {demand.bound.finished:,} at best")
        )
    harm = main.late_trading_tasks + main.memory_conflicts + main.overlapping_conflicts
    tiles.append(Tile("Late or in conflict", f"{harm:,}", FAIL if harm else OK, "because of research"))
    return Tiles(tuple(tiles))


def _use_tile(year: Year, kind: str) -> Tile:
    used = year.main.utilisation[kind]
    level = INFO
    if year.main_name == "unified" and used is not None:
        level = OK if used >= AIM else WARN
    return Tile(named(kind).capitalize(), share(used), level, "of its hours in use")


def _verdict(year: Year, found: Sequence[Target]) -> Iterator[Block]:
    """Yield the targets, what was missed of them first."""
    if not found:
        return
    yield Heading("What falls short, and what does not")
    missed = [each for each in found if each.is_missed]
    for each in missed:
        yield Notice(each.level, f"{each.what}: {each.reached}, wanted {each.wanted}.")
    if not missed:
        yield Notice(OK, "Every target that can be judged by this report is reached.")
    yield from (
        Notice(INFO, f"No target, but worth knowing of {year.main_name}: {remark}.")
        for remark in remarks(year)
    )
    yield target_table(found)


def _use(year: Year) -> Iterator[Block]:
    if not year.kinds:
        return
    yield Heading("Research hours in use")
    yield _picture(utilisation_picture(year))
    yield use_table(year)
    yield Text(USE_TERMS)


def _demand(year: Year) -> Iterator[Block]:
    drawing = demand_picture(year)
    if drawing is None:
        return
    yield Heading("The finite demand, against a clairvoyant's bound")
    yield _picture(drawing)
    yield demand_table(year)
    yield Text(DEMAND_TERMS)
    demand = year.main.demand
    missed = demand.missed_though_possible if demand is not None else ()
    if missed:
        yield Text(f"What {year.main_name} did not finish though it was possible, {len(missed)} in all:")
        yield missed_table(year, LISTED)


def _trace(year: Year) -> Iterator[Block]:
    if any(figures.trace is not None for figures in year.policies.values()):
        yield Heading("What became of the trace")
        yield trace_table(year)
        yield Text(SLOWDOWN_TERMS)
        if "timetable" in year.policies:
            yield Text(TIMETABLE_TERMS)


def _safety(year: Year) -> Iterator[Block]:
    yield Heading("Duties, conflicts and intrusions")
    yield safety_table(year)
    for name, figures in year.policies.items():
        if figures.starved:
            yield Text(f"Starved under {name}: {', '.join(figures.starved)}.")


def _predictions(year: Year) -> Iterator[Block]:
    scores = year.main.prediction.tasks
    yield Heading("Predicted durations")
    yield pooled_table(year)
    many = judged(scores)
    few = {task: score for task, score in scores.items() if score.runs > 0 and task not in many}
    if many:
        yield Text(f"Tasks with {MANY_RUNS} runs or more, under {year.main_name}:")
        yield prediction_table(many)
    if few:
        listed = dict(sorted(few.items(), key=lambda item: -item[1].runs)[:LISTED])
        more = f" (the {LISTED} most frequent of {len(few)})" if len(few) > LISTED else ""
        yield Text(f"The others{more}, of which a share says less:")
        yield prediction_table(listed)
    yield Text(PREDICTION_TERMS)


def _ablations(year: Year) -> Iterator[Block]:
    if not year.ablations:
        return
    yield Heading("What each part is worth")
    yield ablated_use_table(year)
    yield ablated_rest_table(year)
    yield Text(ABLATION_TERMS)


def _special_days(year: Year) -> Iterator[Block]:
    if year.main.special_days:
        yield Heading("Special days")
        yield special_table(year)
        yield Text(SPECIAL_TERMS)


def _week(year: Year) -> Iterator[Block]:
    drawing = week_picture(year)
    if drawing is not None:
        yield Heading("Run by run")
        yield _picture(drawing)


def _picture(drawing: Drawing) -> Picture:
    return Picture(title=drawing.title, svg=svg(drawing), words=drawing.words)
