"""Research time in use, against a grid of minutes: the union of the runs, and never more than there is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestration.simulation.meters import ResearchMeter
from orchestration.simulation.research_windows import (
    ModeSpan,
    ResearchWindow,
    by_mode,
    covered,
    mode_spans,
    research_windows,
    union,
)
from orchestration.types import Interval, OperatingMode, TaskSpec
from tests.calendars import calendars_2026

BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
CALENDARS = calendars_2026()
LENGTH = 200
CORE, FILLER = TaskSpec(name="core"), TaskSpec(name="filler", opportunistic=True)
minutes = st.integers(0, LENGTH)


def at(minute: int) -> datetime:
    return BEGIN + timedelta(minutes=minute)


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int]:
    first, second = draw(minutes), draw(minutes)
    return min(first, second), max(first, second)


several = st.lists(spans(), max_size=6)


def cells(found: list[tuple[int, int]]) -> set[int]:
    return {minute for start, end in found for minute in range(start, end)}


@given(st.lists(spans(), max_size=8), spans())
def test_a_union_covers_the_minutes_that_a_grid_has(
    runs: list[tuple[int, int]], part: tuple[int, int]
) -> None:
    joined = union(Interval(at(start), at(end)) for start, end in runs)

    assert covered(joined, at(part[0]), at(part[1])) == timedelta(minutes=len(cells(runs) & cells([part])))
    assert all(a.end < b.start for a, b in pairwise(joined))


@given(
    st.lists(spans(), max_size=6), st.lists(spans(), max_size=6), st.lists(minutes, min_size=2, max_size=6)
)
def test_utilisation_is_the_grid_s_share_and_never_above_one(
    core: list[tuple[int, int]], filler: list[tuple[int, int]], edges: list[int]
) -> None:
    edges = sorted(set(edges))
    windows = [
        ResearchWindow(
            cycle=date(2026, 1, 1) + timedelta(days=start),
            kind="overnight",
            start=at(start),
            prep=at(end),
            open=at(start),
            close=at(end),
        )
        for start, end in zip(edges[::2], edges[1::2], strict=False)
    ]
    meter = ResearchMeter(windows)
    for spec, runs in ((CORE, core), (FILLER, filler)):
        for start, end in runs:
            meter.note_useful(spec, Interval(at(start), at(end)))

    found = meter.report()

    inside = cells(list(zip(edges[::2], edges[1::2], strict=False)))
    used = {name: found[f"{name}utilisation"]["all"] for name in ("", "core_", "filler_")}  # type: ignore[index]  # a table
    if not inside:
        assert set(used.values()) == {None}
        return
    in_use, by_core = len(inside & cells(core + filler)), len(inside & cells(core))
    assert used[""] <= 1
    assert abs(used[""] - in_use / len(inside)) < 1e-9
    assert abs(used["core_"] - by_core / len(inside)) < 1e-9
    assert abs(used["filler_"] - (in_use - by_core) / len(inside)) < 1e-9


@given(st.lists(st.sampled_from(OperatingMode), min_size=1, max_size=8), spans())
def test_the_hours_of_a_run_are_split_among_the_modes_it_touches(
    modes: list[OperatingMode], run: tuple[int, int]
) -> None:
    step = LENGTH // len(modes)
    timeline = [ModeSpan(at(i * step), at((i + 1) * step), mode) for i, mode in enumerate(modes)]

    split = dict.fromkeys(OperatingMode, 0.0)
    for mode, hours in by_mode(timeline, at(run[0]), at(run[1])):
        split[mode] += hours

    grid = dict.fromkeys(OperatingMode, 0.0)
    for minute in range(*run):
        if minute < step * len(modes):
            grid[modes[minute // step]] += 1 / 60
    assert all(abs(split[mode] - grid[mode]) < 1e-9 for mode in OperatingMode)


@given(st.integers(0, 300), st.integers(1, 60))
def test_windows_and_modes_agree_on_the_research_hours_of_a_stretch(first: int, days: int) -> None:
    begin = datetime(2026, 1, 5, 13, tzinfo=UTC) + timedelta(days=first)
    end = begin + timedelta(days=days)

    windows, modes = research_windows(CALENDARS, begin, end), mode_spans(CALENDARS, begin, end)

    research = [span.end - span.start for span in modes if span.mode is OperatingMode.RESEARCH]
    hours = sum(research, timedelta(0)) / timedelta(hours=1)
    assert abs(sum(window.hours for window in windows) - hours) < 1e-6
    assert (modes[0].start, modes[-1].end) == (begin, end)
