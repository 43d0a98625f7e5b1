"""The timeline: instants become places, hours get words, and what is drawn can be read without seeing it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.dashboard.lanes import actual_bar, lanes, plan_for, planned_bar
from observability.dashboard.timeline import LABEL_WIDTH, RIGHT, WIDTH, Bar, Lane, Scale, Span, timeline
from orchestration.state.summaries import BusySpan

NEW_YORK = ZoneInfo("America/New_York")
START = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
"""Friday 18:00 in New York."""
NIGHT, WEEKEND = START + timedelta(hours=14), START + timedelta(hours=62)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def bar(start: float, end: float, level: str = "ok", title: str = "a run") -> Bar:
    return Bar(start=at(start), end=at(end), title=title, level=level)


def drawn(
    *found: Lane, end: datetime = NIGHT, now: datetime | None = None, spans: tuple[Span, ...] = ()
) -> str:
    return str(timeline(found, start=START, end=end, zone=NEW_YORK, label="The night", now=now, spans=spans))


def svg_of(markup: str) -> ElementTree.Element:
    found = re.search(r"<svg.*</svg>", markup, re.DOTALL)
    assert found is not None
    return ElementTree.fromstring(found[0].replace("&nbsp;", " "))


def texts(markup: str, kind: str) -> list[str]:
    return [e.text or "" for e in svg_of(markup).iter("text") if kind in (e.get("class") or "").split()]


def rects(markup: str, kind: str) -> list[ElementTree.Element]:
    return [e for e in svg_of(markup).iter("rect") if e.get("class") == kind]


# --- places -----------------------------------------------------------------------------------------------


def test_the_hours_are_spread_evenly() -> None:
    scale = Scale(start=START, end=NIGHT)

    # 960 wide, 190 for the names, 12 left free: 758 for 14 hours, so half of them lie at 190 + 379.
    assert (WIDTH, LABEL_WIDTH, RIGHT) == (960, 190, 12)
    assert (scale.x(START), scale.x(at(7)), scale.x(NIGHT)) == (190.0, 569.0, 948.0)


@given(st.floats(-1000, 1000))
def test_nothing_is_drawn_outside_the_picture(hours: float) -> None:
    assert LABEL_WIDTH <= Scale(start=START, end=NIGHT).x(at(hours)) <= WIDTH - RIGHT


def test_a_stretch_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="must lie before end"):
        timeline([], start=START, end=START, zone=NEW_YORK, label="nothing")


def test_a_run_that_reaches_beyond_is_cut_and_one_outside_is_left_out() -> None:
    markup = drawn(Lane(label="a", actual=[bar(-3, 1), bar(20, 21)]))

    (shown,) = rects(markup, "ok")
    assert float(shown.get("x") or 0) == LABEL_WIDTH


def test_a_run_of_a_second_can_still_be_seen() -> None:
    (shown,) = rects(drawn(Lane(label="a", actual=[bar(1, 1.0003)])), "ok")

    assert float(shown.get("width") or 0) == 3.0


def test_runs_that_would_touch_are_one_bar() -> None:
    checks = [bar(n / 4, n / 4 + 0.01) for n in range(248)]

    shown = rects(drawn(Lane(label="health_check", planned=checks), end=WEEKEND), "planned")

    assert len(shown) == 1
    assert "248 runs, Fri 18:00 to Mon 07:45" in "".join(shown[0].itertext())


def test_what_failed_among_many_is_drawn_by_itself_and_last() -> None:
    checks = [bar(n / 4, n / 4 + 0.01, "fail" if n == 40 else "ok") for n in range(248)]

    markup = drawn(Lane(label="health_check", actual=checks), end=WEEKEND)

    (failed,) = rects(markup, "fail")
    assert list(svg_of(markup).iter("rect"))[-1].get("class") == "fail"
    assert "a run" in "".join(failed.itertext())


# --- hours ------------------------------------------------------------------------------------------------


def test_a_night_has_the_exchange_s_hours() -> None:
    assert texts(drawn(), "tick")[:6] == ["19:00", "20:00", "21:00", "22:00", "23:00", "Sat 21"]


def test_a_weekend_has_its_days() -> None:
    ticks = texts(drawn(end=WEEKEND), "tick")

    assert ticks == ["Sat 21", "06:00", "12:00", "18:00", "Sun 22", "06:00", "12:00", "18:00", "Mon 23"]


def test_hours_stay_the_wall_clock_s_over_the_end_of_summer_time() -> None:
    start = datetime(2026, 10, 30, 22, 0, tzinfo=UTC)  # Friday 18:00 EDT; 57 hours of research follow
    markup = str(timeline([], start=start, end=start + timedelta(hours=63), zone=NEW_YORK, label="longer"))

    assert texts(markup, "tick")[4:6] == ["Sun 01", "06:00"]


def test_modes_are_told_by_words() -> None:
    spans = (
        Span(start=START, end=at(10), name="research"),
        Span(start=at(10), end=NIGHT, name="prep", shaded=True),
    )

    markup = drawn(spans=spans)

    assert [word for word in texts(markup, "tick") if word.isalpha()] == ["RESEARCH", "PREP"]
    assert len(rects(markup, "shade")) == 1


def test_a_mode_that_is_too_short_for_its_name_has_its_letter() -> None:
    spans = (Span(start=START, end=at(0.3), name="research"),)

    assert "R" in texts(drawn(spans=spans), "tick")


def test_now_is_marked_while_it_lies_inside() -> None:
    assert texts(drawn(now=at(3)), "nowword") == ["now"]
    assert texts(drawn(now=at(30)), "nowword") == []


# --- without colour, without eyes -------------------------------------------------------------------------


def test_a_picture_says_what_it_is_of() -> None:
    svg = svg_of(drawn())

    assert (svg.get("role"), svg.get("aria-label")) == ("img", "The night")


def test_levels_have_signs() -> None:
    lane = Lane(
        label="a",
        actual=[bar(0, 1, "fail"), bar(2, 3, "warn"), bar(4, 5, "run"), bar(6, 7), bar(8, 9, "info")],
    )
    markup = drawn(lane)

    assert sorted(texts(markup, "sign")) == sorted(["✗", "!", "▶", "…"])
    assert "✗ failed; ! stopped or lost; … put off, to go on later; ▶ running" in markup


def test_planned_and_actual_are_told_apart_without_colour() -> None:
    markup = drawn(Lane(label="a", planned=[bar(0, 1)], actual=[bar(0, 1)]))

    above, below = rects(markup, "planned")[0], rects(markup, "ok")[0]
    assert float(above.get("y") or 0) + float(above.get("height") or 0) < float(below.get("y") or 0)
    assert "outlined: planned; filled: what happened" in markup


def test_no_style_is_written_into_the_markup() -> None:
    assert "style=" not in drawn(Lane(label="a", planned=[bar(0, 1)], actual=[bar(0, 1)]), now=at(1))


def test_what_a_job_is_called_cannot_become_markup() -> None:
    markup = drawn(Lane(label="<b>x", actual=[bar(0, 1, title="<script>")], link="/task/<b>"))

    assert "<script>" not in markup
    assert "<b>x" not in markup


def test_a_name_that_is_too_long_is_cut_and_told_whole() -> None:
    name = "a_task_with_a_name_longer_than_its_place"

    (label,) = (e for e in svg_of(drawn(Lane(label=name))).iter("text") if e.get("x") == "0")
    assert (label.text or "").endswith("…")
    assert "".join(label.itertext()).endswith(name)


def test_the_table_says_the_same() -> None:
    lane = Lane(
        label="a",
        planned=[bar(0, 1, title="Fri 18:00 to 19:00")],
        actual=[bar(0, 2, "fail", "Fri 18:00 to 20:00, failed")],
        link="/task/a",
    )

    markup = drawn(lane)

    assert '<th scope="row"><a href="/task/a">a</a></th>' in markup
    assert '<td data-label="Planned">Fri 18:00 to 19:00</td>' in markup
    assert '<td data-label="What happened">✗ Fri 18:00 to 20:00, failed</td>' in markup


def test_the_table_counts_many_runs_by_how_they_ended() -> None:
    lane = Lane(label="a", actual=[*(bar(n, n + 0.1) for n in range(5)), bar(6, 7, "fail")])

    assert "6 runs, Fri 18:00 to Sat 01:00: ✓ 5, ✗ 1" in drawn(lane)


# --- lanes of what was planned and of what came -----------------------------------------------------------


def row(task: str, start: float, end: float, count: int = 1) -> dict[str, object]:
    return {
        "task": task,
        "start": at(start).isoformat(),
        "end": at(end).isoformat(),
        "minutes": 60 * (end - start),
        "ends": "done",
        "count": count,
    }


def ran(
    task: str, start: float, end: float | None, outcome: str | None = "succeeded", runs: int = 1
) -> BusySpan:
    return BusySpan(task, outcome, at(start), None if end is None else at(end), runs, f"{task}.1")


def test_planned_and_recorded_runs_of_a_task_share_a_lane() -> None:
    plan = {"runs": [row("late", 5, 6), row("checks", 0, 13, 56), row("early", 1, 2)]}
    happened = [ran("early", 1, 3), ran("unplanned", 2, 2.5)]

    found = lanes(plan, happened, at(4), NEW_YORK)

    # By their first start; what recurs comes below what a person waits for.
    assert [lane.label for lane in found] == ["early", "unplanned", "late", "checks"]
    assert (len(found[0].planned), len(found[0].actual)) == (1, 1)
    assert found[0].link == "/task/early"


@pytest.mark.parametrize(
    ("outcome", "level", "said"),
    [
        ("succeeded", "ok", "Fri 19:00 to 20:00, 1 h, succeeded"),
        ("checkpointed", "info", "Fri 19:00 to 20:00, 1 h, checkpointed"),
        ("interrupted", "warn", "Fri 19:00 to 20:00, 1 h, interrupted"),
        ("out_of_memory", "fail", "Fri 19:00 to 20:00, 1 h, out of memory"),
        ("of a later version", "fail", "Fri 19:00 to 20:00, 1 h, of a later version"),
    ],
)
def test_a_run_s_end_is_told_by_its_bar(outcome: str, level: str, said: str) -> None:
    found = actual_bar(ran("a", 1, 2, outcome), at(9), NEW_YORK)

    assert (found.level, found.title) == (level, said)


def test_a_run_that_goes_on_reaches_to_now() -> None:
    found = actual_bar(ran("a", 1, None, None), at(4), NEW_YORK)

    assert (found.level, found.end, found.title) == ("run", at(4), "since Fri 19:00, 3 h, running")


def test_a_plan_s_row_of_many_says_how_many() -> None:
    assert planned_bar(row("a", 0, 13, 56), NEW_YORK).title == "56 runs, Fri 18:00 to Sat 07:00"
    assert planned_bar(row("a", 0, 1), NEW_YORK).title == "Fri 18:00 to 19:00, 1 h"


def report(made: float, end: str = "2026-11-23T13:00:00Z") -> dict[str, object]:
    return {
        "research_start": START.isoformat(),
        "research_end": end,
        "made_at": at(made).isoformat(),
        "runs": [row("a", 1, 2)],
    }


def test_the_first_plan_made_in_a_window_is_the_one_it_is_held_against() -> None:
    end = "2026-11-23T13:00:00Z"
    later, first, before, other = report(30), report(0.1), report(-5), report(0.1, "2026-11-24T13:00:00Z")

    # Newest first, as they are read.
    assert plan_for([later, other, first, before], end) == first
    assert plan_for([before], end) == before
    assert plan_for([other, {"remark": "no window is known"}], end) is None
