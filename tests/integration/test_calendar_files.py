"""The shipped list, the override file, and the calendars built from them."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path

import pytest

from orchestration.calendar_source import accept, build_calendars, load_shipped, read_overrides
from orchestration.errors import CalendarError
from orchestration.sessions import Override
from orchestration.types import Offsets
from tests.calendars import NEW_YORK, ny, nyse_2026, tokyo_november

TODAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("day", "close"),
    [
        ("2025-01-09", None),
        ("2026-07-02", 16),
        ("2026-07-03", None),
        ("2026-11-27", 13),
        ("2026-12-24", 13),
        ("2027-12-23", 16),
        ("2027-12-24", None),
        ("2027-12-31", 16),
    ],
)
def test_the_shipped_list_is_right_on_special_days(day: str, close: int | None) -> None:
    closes = {s.day.isoformat(): s.close.astimezone(NEW_YORK).hour for s in load_shipped()}

    assert closes.get(day) == close


def test_the_shipped_list_reaches_five_years_and_would_be_accepted() -> None:
    shipped = load_shipped()

    assert shipped[0].day <= date(2025, 1, 2)
    assert shipped[-1].day >= date(2030, 12, 31)
    accept(shipped, shipped, TODAY)
    # 2026 as the exchange published it, day by day.
    assert [s for s in shipped if s.day.year == 2026] == list(nyse_2026().table)


def test_without_stored_tables_the_shipped_list_serves() -> None:
    calendars = build_calendars({}, today=TODAY)

    assert calendars.horizon() == date(2030, 12, 31)
    assert calendars.stretch(ny("2026-11-20T18:00")).is_known


def test_a_stored_table_serves_while_it_covers_today() -> None:
    stored = {"XNYS": nyse_2026().table, "JPX": tokyo_november().table, "XLON": ()}

    assert build_calendars(stored, today=TODAY).horizon() == date(2026, 12, 31)
    assert build_calendars(stored, today=date(2027, 1, 4)).horizon() == date(2030, 12, 31)
    assert build_calendars(stored, today=TODAY).exchange("XTKS").has_breaks


def test_overrides_and_offsets_reach_the_calendars() -> None:
    closed = Override(day=date(2026, 11, 19), is_closed=True)

    calendars = build_calendars({}, [closed], Offsets(ready_at_minutes=420), today=TODAY)

    assert calendars.is_holiday(date(2026, 11, 19))
    assert calendars.stretch(ny("2026-11-20T06:00")).research_end == ny("2026-11-20T07:00")


def test_a_table_of_an_exchange_without_a_known_zone_is_refused() -> None:
    with pytest.raises(CalendarError, match="no zone is known for exchange 'XXXX'"):
        build_calendars({"XXXX": nyse_2026().table}, today=TODAY)


def test_no_override_file_means_no_overrides(tmp_path: Path) -> None:
    assert read_overrides(tmp_path / "none.csv") == ()


def test_overrides_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text(
        "# date, what, why\n\n2026-11-19, closed, storm, said the exchange\n"
        "2026-11-24, close=13:00\n2026-11-25, open=10:00 close=13:00, late start\n"
    )

    first, second, third = read_overrides(path)

    assert (first.day, first.is_closed, first.reason) == (
        date(2026, 11, 19),
        True,
        "storm, said the exchange",
    )
    assert (second.open, second.close) == (None, time(13))
    assert (third.open, third.close, third.where) == (time(10), time(13), f"{path}:5")


def test_every_problem_of_an_override_file_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text(
        "2026-11-19 closed\n19.11.2026, closed\n2026-11-19, shut\n2026-11-19, close=25:00\n"
        "2026-11-19, close=1 pm\n2026-11-19,,why\n2026-11-20, closed\n2026-11-20, close=13:00\n"
    )

    with pytest.raises(CalendarError) as caught:
        read_overrides(path)

    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{path}:{n}" for n in (1, 2, 3, 4, 5, 6, 8)]
    assert "'2026-11-19 closed' has no second field" in lines[0]
    assert "'19.11.2026' is not a date; write YYYY-MM-DD" in lines[1]
    assert "'shut' is not understood; write closed, open=HH:MM or close=HH:MM" in lines[2]
    assert "close='25:00' is not a time of day" in lines[3]
    assert "close='1' is not a time of day" in lines[4]
    assert "the second field is empty" in lines[5]
    assert f"2026-11-20 was given before ({path}:7)" in lines[6]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(CalendarError, match="UTF-8"):
        read_overrides(path)
