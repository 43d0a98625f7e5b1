"""Which past stretch is shown, and what is worked out of many runs. Expected values are by hand."""

from __future__ import annotations

from datetime import date, timedelta
from math import sqrt
from threading import Thread

import pytest

from observability.dashboard import past
from observability.dashboard.chosen import DAY, WINDOW, choose
from observability.dashboard.pages import history
from observability.dashboard.past import Accuracy, Use, WindowUse, accuracy, by_type, distribution
from orchestration.market_calendar import Calendars
from orchestration.simulation.research_windows import ResearchWindow
from orchestration.state.summaries import Length
from tests.calendars import ny, nyse_2026

YEAR = Calendars({"XNYS": nyse_2026()})
FRIDAY_EVENING = ny("2026-11-20T18:30")

# --- which stretch ----------------------------------------------------------------------------------------


def test_without_a_day_the_last_window_that_is_over_is_shown() -> None:
    # PREP of Friday's window lasts until 08:00: a minute before, Thursday's was the last to end.
    assert choose(YEAR, FRIDAY_EVENING).day == date(2026, 11, 20)
    assert choose(YEAR, ny("2026-11-20T08:00")).day == date(2026, 11, 20)
    assert choose(YEAR, ny("2026-11-20T07:59")).day == date(2026, 11, 19)


def test_a_plain_night_reaches_from_two_hours_after_the_close_to_eight() -> None:
    chosen = choose(YEAR, FRIDAY_EVENING, "2026-11-20")

    assert (chosen.start, chosen.end) == (ny("2026-11-19T18:00"), ny("2026-11-20T08:00"))
    assert chosen.title == "Overnight window before Fri 2026-11-20"
    assert [(span.name, span.end) for span in chosen.spans(YEAR)] == [
        ("research", ny("2026-11-20T04:00")),
        ("prep", ny("2026-11-20T08:00")),
    ]


def test_a_date_without_a_session_means_the_window_that_it_lies_in() -> None:
    # Thanksgiving, 26 November 2026: Wednesday 18:00 to Friday 08:00, before a day that closes at 13:00.
    holiday = choose(YEAR, FRIDAY_EVENING, "2026-11-26")
    short = choose(YEAR, FRIDAY_EVENING, "2026-11-27", DAY)

    assert (holiday.day, holiday.kind) == (date(2026, 11, 27), "holiday")
    assert (holiday.start, holiday.end) == (ny("2026-11-25T18:00"), ny("2026-11-27T08:00"))
    assert (short.start, short.end) == (ny("2026-11-27T08:00"), ny("2026-11-27T15:00"))
    assert short.title == "Trading day Fri 2026-11-27"


def test_the_neighbours_of_a_window_are_trading_days() -> None:
    chosen = choose(YEAR, FRIDAY_EVENING, "2026-11-23")

    assert (chosen.before, chosen.after) == (date(2026, 11, 20), date(2026, 11, 24))


def test_a_date_beyond_the_calendar_is_a_day_from_midnight_to_midnight() -> None:
    beyond = choose(YEAR, FRIDAY_EVENING, "2030-05-06")
    before = choose(YEAR, FRIDAY_EVENING, "1999-01-01")

    assert (beyond.start, beyond.end) == (ny("2030-05-06T00:00"), ny("2030-05-07T00:00"))
    assert (beyond.before, beyond.after, beyond.kind) == (date(2026, 12, 31), None, "")
    # The first day's window began before anything is known.
    assert before.end <= ny("2026-01-02T08:00")
    assert before.start < before.end


@pytest.mark.parametrize("day", ["tomorrow", "2026-13-01", "2026-11-20T00:00", "<b>"])
def test_what_is_no_date_is_told_so(day: str) -> None:
    with pytest.raises(LookupError, match="is no date"):
        choose(YEAR, FRIDAY_EVENING, day)


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_a_date_without_neighbours_is_told_to_be_too_far(day: str) -> None:
    with pytest.raises(LookupError, match="too far away: expected a year from"):
        choose(YEAR, FRIDAY_EVENING, day)


def test_a_part_that_there_is_not_is_told_so() -> None:
    with pytest.raises(LookupError, match="no part 'night'"):
        choose(YEAR, FRIDAY_EVENING, "2026-11-20", "night")
    assert choose(YEAR, FRIDAY_EVENING, "2026-11-20", WINDOW).part == WINDOW


# --- research hours ---------------------------------------------------------------------------------------


def used(day: str, kind: str, hours: float, of: float) -> WindowUse:
    prep = ny(f"{day}T04:00")
    start = prep - timedelta(hours=of)
    cycle = date.fromisoformat(day)
    window = ResearchWindow(cycle=cycle, kind=kind, start=start, prep=prep, open=start, close=prep)
    return WindowUse(window=window, use=Use(name=day, hours=of, used=hours))


def test_hours_in_use_are_added_up_by_budget_type() -> None:
    uses = [
        used("2026-11-19", "overnight", 5.0, 10.0),
        used("2026-11-20", "overnight", 10.0, 10.0),
        used("2026-11-23", "weekend", 14.0, 56.0),
    ]

    found = {each.name: (each.windows, each.used, each.hours, each.share) for each in by_type(uses)}

    # 15 of 20 h, 14 of 56 h, 29 of 76 h.
    assert found == {
        "overnight": (2, 15.0, 20.0, 0.75),
        "weekend": (1, 14.0, 56.0, 0.25),
        "all": (3, 29.0, 76.0, 29 / 76),
    }


def test_no_window_has_no_kinds_and_no_share() -> None:
    assert by_type([]) == []
    assert Use(name="none", hours=0.0, used=0.0).share == 0.0


def test_the_chart_of_use_goes_from_old_to_new() -> None:
    newest_first = [used("2026-11-20", "overnight", 10.0, 10.0), used("2026-11-19", "overnight", 5.0, 10.0)]

    chart = history.uses_chart(newest_first, "America/New_York")

    assert chart["series"][0]["values"] == [50.0, 100.0]
    assert chart["x"] == sorted(chart["x"])


# --- estimates --------------------------------------------------------------------------------------------


def test_an_estimate_is_off_by_the_geometric_mean_either_way() -> None:
    # Estimated one minute each: 2 min is twice that, 30 s half, 1 min is right: the root of 2 * 2 * 1.
    runs = [Length(120.0, 1.0, 1.5), Length(30.0, 1.0, 1.5), Length(60.0, 1.0, 1.5)]

    found = accuracy("job", runs)

    assert found is not None
    assert (found.runs, found.estimated_s, found.actual_s) == (3, 60.0, 60.0)
    assert found.factor == pytest.approx(4 ** (1 / 3))
    assert found.within == pytest.approx(2 / 3)


def test_runs_without_an_estimate_say_nothing_of_it() -> None:
    assert accuracy("job", [Length(120.0, None, None)]) is None
    found = accuracy("job", [Length(120.0, None, 1.0), Length(60.0, 1.0, None)])
    assert found is not None
    assert (found.runs, found.factor, found.within) == (1, 1.0, 0.0)


def test_a_share_within_the_bound_is_judged_by_what_was_promised() -> None:
    assert [history.level_of(share) for share in (None, 0.95, 0.88, 0.8, 0.5)] == [
        *("info", "ok", "ok", "warn", "fail")
    ]


def test_the_chart_of_estimates_is_a_point_for_each_task_in_minutes() -> None:
    found = [
        Accuracy(task="long", runs=9, estimated_s=3600.0, actual_s=1800.0, factor=2.0, within=1.0),
        Accuracy(task="short", runs=9, estimated_s=6.0, actual_s=12.0, factor=2.0, within=0.9),
        Accuracy(task="none", runs=9, estimated_s=60.0, actual_s=0.0, factor=9.0, within=None),
    ]

    chart = history.accuracy_chart(found)

    assert chart["x"] == [0.1, 1.0, 60.0]
    # What took no time is drawn at a millisecond: a logarithm needs something.
    assert chart["series"][0]["values"] == [0.2, pytest.approx(0.001 / 60, rel=1e-3), 30.0]
    assert "Of 3 tasks 0 are" in history.accuracy_words(found)
    assert history.accuracy_words([]) == "No run with an estimate has succeeded yet."


# --- distributions ----------------------------------------------------------------------------------------


def test_a_quantile_is_the_least_value_that_so_many_stay_within() -> None:
    found = distribution(range(1, 101))

    assert found is not None
    assert list(found.quantiles) == [5, 25, 50, 75, 90, 99]
    assert (found.count, found.least, found.most) == (100, 1, 100)


def test_every_value_is_in_one_bin_and_what_is_far_out_in_the_last() -> None:
    found = distribution([*range(1, 1001), 10**9])

    assert found is not None
    assert sum(count for _, count in found.bins) == 1001
    # 2 * 1001 ** (1/3) = 20.01; 0.99 of 1001 values lie up to the 991st.
    assert len(found.bins) == 21
    assert found.bins[-1][0] < 991


def test_values_that_are_all_the_same_are_one_bin() -> None:
    found = distribution([3.0] * 7)

    assert found is not None
    assert found.bins == ((3.0, 7),)


def test_no_values_have_no_distribution() -> None:
    assert distribution([]) is None


# --- what is kept -----------------------------------------------------------------------------------------


def test_what_was_worked_out_is_kept_until_the_version_changes() -> None:
    kept, made = past.Kept(), []

    def make() -> int:
        made.append(1)
        return len(made)

    assert [kept.get("a", version, make) for version in (1, 1, 2, 2)] == [1, 1, 2, 2]


def test_no_more_is_kept_than_there_is_room_for() -> None:
    kept = past.Kept()
    for number in range(3 * past.MOST_KEPT):
        kept.get(number, 0, lambda: 0)

    assert len(kept._found) == past.MOST_KEPT


def test_readers_at_once_are_one_work() -> None:
    kept, made = past.Kept(), []
    readers = [Thread(target=kept.get, args=("a", 1, lambda: made.append(sqrt(2)))) for _ in range(20)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)

    assert len(made) == 1
