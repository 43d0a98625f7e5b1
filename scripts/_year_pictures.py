"""A simulated year in pictures: hours used, demand finished, and one week run by run. Pure and light.

Core research is filled and filler an outline with a pale fill, so that no one needs the colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scripts._shapes import Box, Drawing, Line, Shape, Words, width_of
from scripts._year_facts import Demand, Figures, Run, Week, Year
from scripts._year_numbers import hours, named, share, whole
from scripts._year_targets import AIM
from trading.execution.svg import Scale, short, ticks

ZONE = ZoneInfo("America/New_York")
WIDTH = 960.0
LEFT, RIGHT, ROW = 150.0, 90.0, 20.0
KINDS = ("core", "filler", "duty", "upkeep")
KIND_NAMES = {"core": "core research", "filler": "filler", "duty": "duties", "upkeep": "upkeep"}
FILLS = {"core": ("s0", ""), "filler": ("pale", "s2"), "duty": ("s1", ""), "upkeep": ("s6", "")}
FAILED_FILL = "s5"
GOOD_OUTCOMES = ("succeeded", "checkpointed", "running")


def pictures(year: Year) -> list[Drawing]:
    """Return the pictures that the report's figures allow."""
    found = [utilisation_picture(year) if year.kinds else None, demand_picture(year), week_picture(year)]
    return [drawing for drawing in found if drawing is not None]


# --- research hours in use ----------------------------------------------------------------------------------


def utilisation_picture(year: Year) -> Drawing:
    """Draw the share of the research hours in use, by budget type and policy."""
    x = Scale(0, 1, LEFT, WIDTH - RIGHT)
    shapes: list[Shape] = list(_legend(LEFT, 16, (("core research", "core"), ("filler", "filler"))))
    top, y = 34.0, 34.0
    bars: list[Shape] = []
    for kind in year.kinds:
        length = hours(max(each.research_hours[kind] for each in year.policies.values()))
        bars.append(Words(x=10, y=y + 13, text=f"{named(kind)}, {length} h", bold=True))
        y += ROW
        for name, figures in year.policies.items():
            bars += _used_bar(x, y, name, figures, kind)
            y += ROW
        y += 8
    shapes += _grid(x, top, y, [0, 0.2, 0.4, 0.6, 0.8, 1.0], whole)
    shapes += bars
    shapes += [
        Line(x1=x(AIM), y1=top, x2=x(AIM), y2=y, colour="ink", width=1.2, dashes=(5, 3)),
        Words(x=x(AIM), y=top - 4, text=f"aim {whole(AIM)}", anchor="middle", size=11),
    ]
    told = [
        f"{name}: " + ", ".join(f"{named(kind)} {share(figures.utilisation[kind])}" for kind in year.kinds)
        for name, figures in year.policies.items()
    ]
    return Drawing(
        name="utilisation",
        title="Used by kind of window and policy",
        words="Share of the research hours in use. " + "; ".join(told) + ".",
        width=WIDTH,
        height=y + 22,
        shapes=tuple(shapes),
    )


def _used_bar(x: Scale, y: float, name: str, figures: Figures, kind: str) -> Iterator[Shape]:
    core, used = figures.core_utilisation[kind] or 0.0, figures.utilisation[kind] or 0.0
    yield Words(x=LEFT - 8, y=y + 13, text=name, anchor="end")
    yield Box(x=x(0), y=y + 2, width=x(core) - x(0), height=ROW - 5, fill="s0")
    if used > core:
        yield Box(x=x(core), y=y + 2, width=x(used) - x(core), height=ROW - 5, fill="pale", edge="s2")
    yield Words(x=WIDTH - RIGHT + 12, y=y + 13, text=share(figures.utilisation[kind]))


# --- the finite demand --------------------------------------------------------------------------------------


def demand_picture(year: Year) -> Drawing | None:
    """Draw the hours of demand that were finished, and how long it took; None where nothing was demanded."""
    asked = {name: figures.demand for name, figures in year.policies.items() if figures.demand is not None}
    if not any(demand.demanded for demand in asked.values()):
        return None
    above = _bound_bars(
        {name: (demand.hours_finished, demand.bound.hours_finished) for name, demand in asked.items()},
        "Hours of demand finished in their windows",
        "all that was possible",
        0.0,
    )
    took = {
        name: (demand.mean_hours_to_finish, demand.bound.mean_hours_to_finish)
        for name, demand in asked.items()
        if demand.mean_hours_to_finish is not None and demand.bound.mean_hours_to_finish is not None
    }
    title = "Hours from a window's start until all of it was finished, where it was"
    below = _bound_bars(took, title, "the least possible", above.bottom + 16) if took else None
    return Drawing(
        name="demand",
        title="Finished, and how soon",
        words=" ".join(_demand_words(name, demand) for name, demand in asked.items()),
        width=WIDTH,
        height=(below or above).bottom,
        shapes=above.shapes + (below.shapes if below else ()),
    )


def _demand_words(name: str, demand: Demand) -> str:
    told = (
        f"{name}: {hours(demand.hours_finished)} of the {hours(demand.bound.hours_finished)} h that a"
        " clairvoyant could finish"
    )
    if demand.time_ratio is None:
        return f"{told}."
    return f"{told}, in {demand.time_ratio:.3f} times the least time where all was finished."


class _Panel(NamedTuple):
    """A part of a drawing, and where it ends."""

    shapes: tuple[Shape, ...]
    bottom: float


def _bound_bars(
    values: Mapping[str, tuple[float, float]], title: str, bound_title: str, top: float
) -> _Panel:
    """Draw a bar for each policy's first value and a mark for the second, its bound."""
    most = max(max(pair) for pair in values.values()) or 1.0
    x = Scale(0, most * 1.02, LEFT, WIDTH - RIGHT)
    first = top + 30
    y, bars = first, list[Shape]()
    for name, (value, bound) in values.items():
        bars += [
            Words(x=LEFT - 8, y=y + 13, text=name, anchor="end"),
            Box(x=x(0), y=y + 2, width=x(value) - x(0), height=ROW - 5, fill="s0"),
            Line(x1=x(bound), y1=y - 1, x2=x(bound), y2=y + ROW - 2, colour="ink", width=2.5),
            Words(x=WIDTH - RIGHT + 12, y=y + 13, text=f"{hours(value)} h"),
        ]
        y += ROW + 2
    key = WIDTH - RIGHT - width_of(bound_title)
    head: list[Shape] = [
        Words(x=10, y=top + 17, text=title, bold=True),
        Line(x1=key - 8, y1=top + 6, x2=key - 8, y2=top + 20, colour="ink", width=2.5),
        Words(x=key, y=top + 17, text=bound_title),
    ]
    grid = _grid(x, first - 2, y, ticks(0, most * 1.02, 8), short)
    return _Panel((*head, *grid, *bars), y + 22)


# --- one week -----------------------------------------------------------------------------------------------

LANE, WEEK_LEFT, WEEK_RIGHT = 14.0, 190.0, 12.0
MOST_TASKS = 16
"""Of a kind: more tasks than these share lanes."""
MOST_LANES = 24
SHORTEST_PX, NARROW_PX = 1.5, 4.0
"""Runs are drawn no shorter than the one; an outline needs more than the other."""


class _Lane(NamedTuple):
    """One line of a week's panel."""

    label: str
    runs: tuple[Run, ...]


def week_picture(year: Year) -> Drawing | None:
    """Draw the chosen week under each policy, one below the other; None where nothing ran in it."""
    weeks = {name: _without_frequent(figures.timeline) for name, figures in year.policies.items()}
    frequent = sorted({task for _, tasks in weeks.values() for task in tasks})
    if not any(week.runs for week, _ in weeks.values()):
        return None
    known = _tasks_by_kind(week for week, _ in weeks.values())
    shapes, y = list(_week_legend()), 48.0
    for name, (week, _) in weeks.items():
        panel = _week_panel(name, week, _lanes(week, known), y)
        shapes += panel.shapes
        y = panel.bottom + 14
    first = next(iter(weeks.values()))[0]
    left_out = f" Left out, as they run more than hourly: {', '.join(frequent)}." if frequent else ""
    return Drawing(
        name="week",
        title=f"{_day(first.from_)} to {_day(first.to - timedelta(seconds=1))}, days of New York",
        words=" ".join(_week_words(name, week) for name, (week, _) in weeks.items()) + left_out,
        width=WIDTH,
        height=y,
        shapes=tuple(shapes),
    )


def _without_frequent(week: Week) -> tuple[Week, list[str]]:
    """Return the week without the tasks that ran more often than hourly, and these: they would be bands."""
    counts: dict[str, int] = {}
    for run in week.runs:
        counts[run.task] = counts.get(run.task, 0) + 1
    most = (week.to - week.from_) / timedelta(hours=1)
    frequent = [task for task, count in counts.items() if count > max(most, 2)]
    kept = tuple(run for run in week.runs if run.task not in frequent)
    return Week(from_=week.from_, to=week.to, runs=kept, modes=week.modes), frequent


def _tasks_by_kind(weeks: Iterable[Week]) -> dict[str, list[str]]:
    """Return the tasks of each kind that ran under any policy, in the order of their first start."""
    first: dict[tuple[str, str], datetime] = {}
    for week in weeks:
        for run in week.runs:
            key = (run.kind, run.task)
            first[key] = min(run.start, first.get(key, run.start))
    ordered = sorted(first, key=lambda key: (first[key], key))
    return {kind: [task for of, task in ordered if of == kind] for kind in KINDS}


def _lanes(week: Week, known: Mapping[str, Sequence[str]]) -> dict[str, list[_Lane]]:
    """Return the lanes of each kind: the same tasks under each policy, or, of many, packed ones."""
    return {
        kind: packed(week, kind)
        if len(tasks) > MOST_TASKS
        else [_Lane(task, tuple(run for run in week.runs if run.task == task)) for task in tasks]
        for kind, tasks in known.items()
        if tasks
    }


def packed(week: Week, kind: str) -> list[_Lane]:
    """Put the runs of a kind into as few lanes as hold them without an overlap; what more are needed for is
    left out, and the last lane says so."""
    lanes: list[list[Run]] = []
    left_out = 0
    for run in sorted((run for run in week.runs if run.kind == kind), key=lambda run: run.start):
        lane = next((lane for lane in lanes if lane[-1].end <= run.start), None)
        if lane is not None:
            lane.append(run)
        elif len(lanes) < MOST_LANES:
            lanes.append([run])
        else:
            left_out += 1
    labels = [f"{len({run.task for lane in lanes for run in lane})} tasks"] + [""] * (len(lanes) - 1)
    if left_out:
        labels[-1] = f"and {left_out} runs more"
    return [_Lane(label, tuple(lane)) for label, lane in zip(labels, lanes, strict=False)]


def _week_panel(name: str, week: Week, lanes: Mapping[str, Sequence[_Lane]], top: float) -> _Panel:
    rows = sum(len(group) + 1 for group in lanes.values())
    start, bottom = top + 24, top + 24 + LANE * rows + 2
    x = Scale(week.from_.timestamp(), week.to.timestamp(), WEEK_LEFT, WIDTH - WEEK_RIGHT)
    shapes: list[Shape] = [Words(x=10, y=top + 15, text=name, bold=True, size=13)]
    shapes += _shades(week, x, start, bottom)
    shapes += _days(week, x, top + 18, bottom)
    y = start
    for kind, group in lanes.items():
        title = KIND_NAMES[kind]
        shapes.append(Words(x=WEEK_LEFT - 8, y=y + 11, text=title, anchor="end", size=11, bold=True))
        y += LANE
        for lane in group:
            shapes.append(
                Words(x=WEEK_LEFT - 8, y=y + 10.5, text=lane.label, anchor="end", size=11, colour="dim")
            )
            shapes += [_run_box(run, week, x, y) for run in lane.runs]
            y += LANE
    return _Panel(tuple(shapes), bottom)


def _run_box(run: Run, week: Week, x: Scale, y: float) -> Box:
    left = x(max(run.start, week.from_).timestamp())
    right = max(x(min(run.end, week.to).timestamp()), left + SHORTEST_PX)
    failed = run.outcome not in GOOD_OUTCOMES
    fill, edge = (FAILED_FILL, "") if failed else FILLS[run.kind]
    if edge and right - left <= NARROW_PX:
        fill, edge = edge, ""
    # What failed is half as high, so that it needs no colour to be told.
    return Box(
        x=left,
        y=y + (6 if failed else 2),
        width=right - left,
        height=6 if failed else LANE - 4,
        fill=fill,
        edge=edge,
        title=f"{run.task}: {_instant(run.start)} to {_instant(run.end)}, {named(run.outcome)}",
    )


def _shades(week: Week, x: Scale, top: float, bottom: float) -> Iterator[Shape]:
    """Shade the hours that are not for research; an empty panel is research time."""
    for span in week.modes:
        if span.mode in ("trading", "prep"):
            left, right = x(span.start.timestamp()), x(span.end.timestamp())
            yield Box(x=left, y=top, width=right - left, height=bottom - top, fill=span.mode)


def _days(week: Week, x: Scale, top: float, bottom: float) -> Iterator[Shape]:
    """Mark each midnight of New York, and name the day that follows it."""
    day = week.from_.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    while day < week.to:
        following = day + timedelta(days=1)  # local: a day of the clock change has 23 or 25 hours
        ends = [max(day, week.from_).timestamp(), min(following, week.to).timestamp()]
        if day >= week.from_:
            yield Line(x1=x(ends[0]), y1=top, x2=x(ends[0]), y2=bottom, colour="dim", width=0.6)
        if x(ends[1]) - x(ends[0]) > 50:
            middle = sum(map(x, ends)) / 2
            yield Words(x=middle, y=top, text=_day(day), anchor="middle", colour="dim", size=11)
        day = following


def _week_legend() -> Iterator[Shape]:
    yield from _legend(10, 16, [(KIND_NAMES[kind], kind) for kind in KINDS])
    at = 500.0
    yield Box(x=at, y=12, width=22, height=6, fill=FAILED_FILL)
    yield Words(x=at + 28, y=18, text="failed or killed", size=11)
    for x, name, role in ((10.0, "trading hours", "trading"), (150.0, "PREP, before the open", "prep")):
        yield Box(x=x, y=28, width=22, height=12, fill=role, edge="line")
        yield Words(x=x + 28, y=38, text=name, size=11)
    yield Words(x=330, y=38, text="(unshaded: research time)", size=11, colour="dim")


def _week_words(name: str, week: Week) -> str:
    told = []
    for kind in KINDS:
        runs = [run for run in week.runs if run.kind == kind]
        took = sum((run.end - run.start for run in runs), timedelta(0)) / timedelta(hours=1)
        if runs:
            count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
            told.append(f"{count} of {KIND_NAMES[kind]} ({hours(took)} h)")
    return f"{name}: {', '.join(told) or 'nothing ran'}."


# --- shared -------------------------------------------------------------------------------------------------


def _legend(x: float, y: float, entries: Iterable[tuple[str, str]]) -> Iterator[Shape]:
    for name, kind in entries:
        fill, edge = FILLS[kind]
        yield Box(x=x, y=y - 8, width=22, height=10, fill=fill, edge=edge)
        yield Words(x=x + 28, y=y + 2, text=name, size=11)
        x += 28 + width_of(name, 11) + 22


def _grid(
    x: Scale, top: float, bottom: float, values: Sequence[float], label: Callable[[float], str]
) -> Iterator[Shape]:
    for value in values:
        yield Line(x1=x(value), y1=top, x2=x(value), y2=bottom)
        yield Words(x=x(value), y=bottom + 15, text=label(value), anchor="middle", colour="dim", size=11)


def _day(at: datetime) -> str:
    local = at.astimezone(ZONE)
    return f"{local:%a} {local.day} {local:%b}"


def _instant(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%a %H:%M}"
