"""The pictures of a simulated year: what is on them, and where."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts._shapes import DARK, LIGHT, Box, Drawing, Line, Shape, Words, svg
from scripts._year_facts import Run, Week, Year, built
from scripts._year_pictures import (
    LANE,
    MOST_LANES,
    SHORTEST_PX,
    WEEK_LEFT,
    WEEK_RIGHT,
    WIDTH,
    demand_picture,
    packed,
    pictures,
    utilisation_picture,
    week_picture,
)
from tests.simulated_years import Json, policy_json, run_json, timeline_json, year_json

NONE = dict.fromkeys(("overnight", "weekend", "holiday", "holiday_weekend", "all"))
# Bars of shares begin at 150 px and end, where they are whole, 90 px before the right edge of 960 px.
WHOLE = 960 - 90 - 150
A_DAY = (WIDTH - WEEK_LEFT - WEEK_RIGHT) / 7


def year(**policies: Json) -> Year:
    return built(Year, year_json(10, "stated", **policies), "")


def drawn(drawing: Drawing | None) -> Drawing:
    assert drawing is not None
    return drawing


def week_of(*runs: Json, **changes: Any) -> Drawing:
    return drawn(week_picture(year(unified=policy_json(timeline=timeline_json(*runs, **changes)))))


def bars(drawing: Drawing, fill: str) -> list[Box]:
    """Return the boxes of a colour, without the legend's at the top."""
    return [s for s in drawing.shapes if isinstance(s, Box) and s.fill == fill and s.y > 30]


def run_box(drawing: Drawing, task: str) -> Box:
    (found,) = (s for s in drawing.shapes if isinstance(s, Box) and s.title.startswith(f"{task}:"))
    return found


def texts(drawing: Drawing) -> list[str]:
    return [shape.text for shape in drawing.shapes if isinstance(shape, Words)]


# --- hours in use -------------------------------------------------------------------------------------------


def test_a_bar_of_core_research_is_as_long_as_its_share() -> None:
    overnight = {**NONE, "overnight": 0.5}
    figures = policy_json(utilisation=overnight, core_utilisation=overnight)
    figures["research_hours"] = dict.fromkeys(NONE, 0.0) | {"overnight": 32.0}

    drawing = utilisation_picture(year(unified=figures))

    assert [bar.width for bar in bars(drawing, "s0")] == [pytest.approx(0.5 * WHOLE)]


def test_filler_goes_on_where_core_research_ends() -> None:
    drawing = utilisation_picture(year(unified=policy_json()))

    core, filler = bars(drawing, "s0")[0], bars(drawing, "pale")[0]
    assert filler.x == pytest.approx(core.x + core.width)
    assert filler.x + filler.width == pytest.approx(150 + 0.96 * WHOLE)


def test_the_aim_is_marked_at_95_percent() -> None:
    drawing = utilisation_picture(year(unified=policy_json()))

    (aim,) = (s for s in drawing.shapes if isinstance(s, Line) and s.dashes)
    assert aim.x1 == aim.x2 == pytest.approx(150 + 0.95 * WHOLE)


def test_kinds_of_windows_without_hours_are_left_out() -> None:
    drawing = utilisation_picture(year(unified=policy_json()))

    assert not any("holiday" in text for text in texts(drawing))
    assert "weekend, 56.0 h" in texts(drawing)


# --- the demand ---------------------------------------------------------------------------------------------


def test_a_policy_that_finishes_all_that_was_possible_reaches_the_mark() -> None:
    drawing = drawn(demand_picture(year(unified=policy_json())))

    bar = next(s for s in drawing.shapes if isinstance(s, Box))
    (mark,) = (s for s in drawing.shapes if isinstance(s, Line) and s.width > 2 and s.y1 < bar.y < s.y2)
    assert bar.x + bar.width == pytest.approx(mark.x1)


def test_without_a_finite_demand_there_is_no_picture_of_it() -> None:
    assert demand_picture(year(unified=policy_json(demand=None))) is None


def test_a_policy_that_never_finished_a_window_has_no_time_to_show() -> None:
    never = policy_json()["demand"] | {"mean_hours_to_finish": None, "time_ratio": None}

    drawing = drawn(demand_picture(year(timetable=policy_json(demand=never), unified=policy_json())))

    assert texts(drawing).count("timetable") == 1
    assert texts(drawing).count("unified") == 2


# --- one week -----------------------------------------------------------------------------------------------


def test_a_run_lies_at_its_time_of_the_week() -> None:
    # Tuesday noon is a day and a half after the week's Monday began; it runs for 12 hours.
    box = run_box(week_of(run_json("study", "17T12:00", "18T00:00")), "study")

    assert box.x == pytest.approx(WEEK_LEFT + 1.5 * A_DAY)
    assert box.width == pytest.approx(0.5 * A_DAY)


def test_a_run_beyond_the_week_is_cut_to_it() -> None:
    box = run_box(week_of(run_json("study", "15T12:00", "24T12:00")), "study")

    assert box.x == WEEK_LEFT
    assert box.x + box.width == pytest.approx(WIDTH - WEEK_RIGHT)


def test_the_shortest_run_can_be_seen() -> None:
    assert run_box(week_of(run_json("study", "17T12:00", "17T12:00")), "study").width == SHORTEST_PX


def test_what_failed_is_half_as_high() -> None:
    box = run_box(week_of(run_json("study", "17T12:00", "18T00:00", outcome="failed")), "study")

    assert box.fill == "s5"
    assert box.height == 6 < LANE - 4


def test_trading_and_prep_hours_are_shaded_and_research_hours_are_not() -> None:
    drawing = week_of()

    # PREP from 02:00 to 09:30 of the first day, 7.5 h; trading hours from then until 18:00, 8.5 h.
    (prep,) = (box for box in bars(drawing, "prep") if box.height > 20)
    (trading,) = (box for box in bars(drawing, "trading") if box.height > 20)
    assert prep.width == pytest.approx(7.5 / 24 * A_DAY)
    assert trading.x == pytest.approx(prep.x + prep.width)
    assert trading.width == pytest.approx(8.5 / 24 * A_DAY)


def test_every_policy_has_the_same_lines_for_the_same_tasks() -> None:
    one = policy_json(timeline=timeline_json(run_json("study", "17T12:00", "18T00:00")))
    other = policy_json(timeline=timeline_json(run_json("refresh", "16T12:00", "17T00:00")))

    drawing = drawn(week_picture(year(timetable=one, unified=other)))

    labels = [text for text in texts(drawing) if text in ("study", "refresh", "core research")]
    assert labels[1:] == ["core research", "refresh", "study"] * 2  # the first is the legend's


def test_tasks_that_run_more_than_hourly_are_left_out_and_named() -> None:
    often = [run_json("health_check", f"17T12:{minute:02}", f"17T12:{minute:02}") for minute in range(60)]
    more = [run_json("health_check", f"18T{hour:02}:00", f"18T{hour:02}:00") for hour in range(24)] * 5

    drawing = week_of(*often, *more, run_json("study", "17T12:00", "18T00:00"))

    assert "health_check" not in texts(drawing)
    assert "Left out, as they run more than hourly: health_check." in drawing.words


def test_a_day_with_25_hours_is_wider_by_one() -> None:
    # Clocks went back on Sunday, 1 November 2026, at 06:00 UTC.
    changes = {"from": "2026-10-31T04:00:00+00:00", "to": "2026-11-03T05:00:00+00:00", "modes": []}
    drawing = week_of(run_json("study", "01T12:00", "01T18:00"), **changes)

    days = [s.x1 for s in drawing.shapes if isinstance(s, Line)]
    widths = [b - a for a, b in pairwise([*days, WIDTH - WEEK_RIGHT])]
    assert widths == pytest.approx([width * (WIDTH - WEEK_RIGHT - WEEK_LEFT) / 73 for width in (24, 25, 24)])


def test_a_week_in_which_nothing_ran_has_no_picture() -> None:
    empty = timeline_json() | {"runs": []}

    assert week_picture(year(unified=policy_json(timeline=empty))) is None


def test_many_tasks_share_lines() -> None:
    runs = [run_json(f"job_{i}", f"17T{i % 24:02}:00", f"17T{i % 24:02}:30") for i in range(48)]

    drawing = week_of(*runs)

    assert "48 tasks" in texts(drawing)
    assert "job_7" not in texts(drawing)
    # Two of them at a time: two lines.
    assert len({box.y for box in bars(drawing, "s0")}) == 2


@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 3000)), max_size=80))
def test_runs_that_share_a_line_do_not_overlap(spans: list[tuple[int, int]]) -> None:
    whole = built(Week, timeline_json(), "")
    minute = timedelta(minutes=1)
    runs = tuple(
        Run(
            task=f"job_{i}",
            start=whole.from_ + start * minute,
            end=whole.from_ + (start + length) * minute,
            kind="core",
            outcome="succeeded",
        )
        for i, (start, length) in enumerate(spans)
    )

    lanes = packed(Week(from_=whole.from_, to=whole.to, runs=runs, modes=()), "core")

    assert len(lanes) <= MOST_LANES
    assert all(a.end <= b.start for lane in lanes for a, b in pairwise(lane.runs))
    shown = sum(len(lane.runs) for lane in lanes)
    left_out = re.search(r"and (\d+) runs more", lanes[-1].label) if lanes else None
    assert shown + (int(left_out[1]) if left_out else 0) == len(runs)


# --- all of them --------------------------------------------------------------------------------------------


@pytest.fixture(params=["several", "one"])
def every(request: pytest.FixtureRequest) -> list[Drawing]:
    given = (
        {"timetable": policy_json(), "unified": policy_json()}
        if request.param == "several"
        else {"phases": policy_json()}
    )
    return pictures(year(**given))


def test_nothing_lies_beyond_a_picture_s_edge(every: list[Drawing]) -> None:
    for drawing in every:
        for shape in drawing.shapes:
            left, top, right, bottom = _reach(shape)
            assert min(left, top) >= 0, shape
            assert right <= drawing.width, shape
            assert bottom <= drawing.height, shape


def _reach(shape: Shape) -> tuple[float, float, float, float]:
    match shape:
        case Box():
            return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
        case Line():
            return min(shape.x1, shape.x2), shape.y1, max(shape.x1, shape.x2), shape.y2
        case Words():
            # Letters of DejaVu Sans are 0.6 em wide on average, rather less in running text.
            wide = 0.6 * shape.size * len(shape.text)
            left = shape.x - {"start": 0, "middle": wide / 2, "end": wide}[shape.anchor]
            return left, shape.y - shape.size, left + wide, shape.y


def test_a_picture_is_well_formed_and_has_a_colour_for_light_and_dark(every: list[Drawing]) -> None:
    assert LIGHT.keys() == DARK.keys()
    for drawing in every:
        text = svg(drawing)
        ElementTree.fromstring(text)
        assert set(re.findall(r"var\(--y-(\w+)\)", text)) <= LIGHT.keys()


def test_names_from_a_report_cannot_break_a_picture() -> None:
    drawing = week_of(run_json("<b>&\"'", "17T12:00", "18T00:00"))

    assert "<b>&\"'" in "".join(ElementTree.fromstring(svg(drawing)).itertext())
