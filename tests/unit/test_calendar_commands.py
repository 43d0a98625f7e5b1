"""The answers of the control command: keys, texts, streams and their speed."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from orchestration.ctl.calendar_commands import (
    answer_dates,
    answer_instants,
    calendar_answer,
    calendars_for,
    parse_day,
    when_answer,
)
from orchestration.errors import WhenError
from orchestration.market_calendar import Calendars
from tests.calendars import calendars_2026, tokyo_november


def replies(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_answer_at_an_early_close() -> None:
    answer = calendar_answer(calendars_2026(), datetime(2026, 11, 27, 18, tzinfo=UTC))

    assert answer == {
        "at": "2026-11-27T18:00:00Z",
        "mode": "trading",
        "phase": "POST_MARKET",
        "cycle": "2026-11-30",
        "calendar_known": True,
        "is_trading_day": True,
        "is_early_close": True,
        "is_market_open": False,
        "next_trading_day": "2026-11-30",
        "hours_until_trading": 68.5,
        "total_hours": 65.0,
        "research_hours": 59.0,
        "budget_type": "weekend",
        "is_extended": True,
        "budget_pct_remaining": 1.0,
        "window_start": "2026-11-27T20:00:00Z",
        "prep_start": "2026-11-30T07:00:00Z",
        "window_end": "2026-11-30T13:00:00Z",
    }


def test_what_the_table_does_not_know_is_null() -> None:
    answer = calendar_answer(calendars_2026(), datetime(2031, 1, 2, 15, tzinfo=UTC))

    assert answer["calendar_known"] is False
    for key in ("next_trading_day", "hours_until_trading", "window_start", "prep_start", "window_end"):
        assert answer[key] is None
    assert "NaN" not in json.dumps(answer)
    assert "Infinity" not in json.dumps(answer)


def test_when_prints_the_intervals_or_the_reason() -> None:
    calendars = calendars_2026()

    assert when_answer(calendars, "open+30m..close-15m", date(2026, 11, 27)) == {
        "intervals": [{"start": "2026-11-27T15:00:00Z", "end": "2026-11-27T17:45:00Z"}],
        "reason": None,
    }
    assert when_answer(calendars, "open..close", date(2026, 12, 25)) == {
        "intervals": [],
        "reason": "2026-12-25 is not a trading day of XNYS",
    }
    assert when_answer(calendars, "break_end", date(2026, 11, 20), "JPX") == {
        "intervals": [{"start": "2026-11-20T03:30:00Z", "end": "2026-11-20T03:30:00Z"}],
        "reason": None,
    }
    assert when_answer(calendars, "pre", date(2026, 12, 25))["intervals"] == []
    for spec in ("break_end", "break_end..close"):
        with pytest.raises(WhenError, match="no midday break"):
            when_answer(calendars, spec, date(2026, 11, 20))


def test_a_stream_answers_line_by_line_and_bad_lines_fail_the_whole() -> None:
    out = io.StringIO()

    status = answer_instants(
        calendars_2026(),
        ["2026-11-20T18:00:00-05:00\n", "\n", "yesterday\n", "2026-11-20T18:00:00\n", "2026-11-20T23:00:00Z"],
        out,
    )

    first, second, third, last = replies(out.getvalue())
    assert status == 1
    assert first == last
    assert first["research_hours"] == 56
    assert second == {"error": "'yesterday' is not an instant; write e.g. 2026-11-27T18:00:00Z"}
    assert "has no zone" in str(third["error"])


def test_a_stream_of_dates_and_expressions() -> None:
    out = io.StringIO()

    status = answer_dates(
        calendars_2026(),
        ["2026-11-27 open..close", "2026-11-27", "27.11.2026 open", "2026-11-27 opne..close"],
        out,
    )

    answers = replies(out.getvalue())
    assert status == 1
    assert answers[0]["reason"] is None
    assert [str(a["error"]).partition(";")[0].partition(" at ")[0] for a in answers[1:]] == [
        "'2026-11-27' has no expression",
        "'27.11.2026' is not a date",
        "'opne..close': unknown anchor 'opne'",
    ]
    assert answer_dates(calendars_2026(), ["2026-11-27 close"], io.StringIO()) == 0


def test_a_stream_asks_for_more_table_where_it_needs_it() -> None:
    asked: list[date] = []

    def widen(calendars: Calendars, day: date) -> Calendars:
        asked.append(day)
        return Calendars({**calendars_2026().tables, "XLON": tokyo_november()})

    out = io.StringIO()
    empty = Calendars({"XTKS": tokyo_november()})
    answer_instants(empty, ["2026-11-20T18:00:00Z", "2026-11-21T18:00:00Z"], out, widen)
    answer_dates(empty, ["2026-11-20 open..close", "2026-11-21 1:00..2:00"], out, "LSE", widen)
    answer_dates(empty, ["2026-11-20 open..close"], out, "JPX", widen)

    assert asked == [date(2026, 11, 20), date(2026, 11, 20)]
    assert "error" not in out.getvalue()


def test_thousands_of_lines_a_second() -> None:
    """The processor's time, so that a busy neighbour does not count."""
    start = datetime(2026, 1, 5, tzinfo=UTC)
    lines = [(start + timedelta(minutes=97 * i)).isoformat() for i in range(5000)]

    began = time.process_time()
    status = answer_instants(calendars_2026(), lines, io.StringIO())

    assert status == 0
    assert time.process_time() - began < 1.0


def test_known_days_and_years_without_rules_compile_nothing() -> None:
    calendars = calendars_2026()

    assert calendars_for("NYSE", date(2026, 1, 5), date(2026, 1, 5), calendars) is calendars
    assert calendars_for("24/7", date(2026, 1, 5), date(2026, 1, 5), calendars) is calendars
    assert calendars_for("NYSE", date(2500, 1, 5), date(2500, 1, 5), calendars) is calendars
    assert calendars_for("NYSE", date(1900, 1, 5), date(1900, 1, 5), calendars) is calendars


def test_a_date_is_a_date() -> None:
    assert parse_day("2026-11-20") == date(2026, 11, 20)
    with pytest.raises(ValueError, match="write YYYY-MM-DD"):
        parse_day("2026-13-01")
