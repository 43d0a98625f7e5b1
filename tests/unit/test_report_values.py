"""The figures of a report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from observability.report_facts import RunFact
from scripts._report_values import Window, share_busy, shown_seconds, shown_span

START = datetime(2026, 11, 19, 23, 0, tzinfo=UTC)
WINDOW = Window("2026-11-20", START, START + timedelta(hours=10))


def run(start_h: float | None, end_h: float | None) -> RunFact:
    return RunFact(
        run_id="x",
        task="x",
        attempt=1,
        status="ended",
        started_at=None if start_h is None else START + timedelta(hours=start_h),
        ended_at=None if end_h is None else START + timedelta(hours=end_h),
        outcome="succeeded",
        exit_code=0,
        duration_s=None,
        peak_memory_mb=None,
        predicted_minutes=None,
        detail="",
    )


@pytest.mark.parametrize(
    ("runs", "hours"),
    [
        ([], 0.0),
        ([run(1, 3), run(2, 4)], 3.0),  # an overlap counts once
        ([run(1, 5), run(2, 3), run(6, 7)], 5.0),  # one inside another; a hole
        ([run(-2, 1), run(9, 12)], 2.0),  # only what lies in the window
        ([run(None, 2)], 0.0),  # never started
        ([run(4, None)], 2.0),  # still going, six hours into the window
    ],
)
def test_busy_time_is_counted_once_and_inside_the_window(runs: list[RunFact], hours: float) -> None:
    assert share_busy(runs, WINDOW, START + timedelta(hours=6)) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 01 s"), (3600, "1 h 00 min"), (18720, "5 h 12 min")],
)
def test_spans_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert shown_seconds(seconds) == text


def test_a_span_below_a_minute_is_in_seconds() -> None:
    assert shown_span(timedelta(seconds=4)) == "4 s"
