"""Refreshing stored bars from a source: what is written, refused, revised, and what is left alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from tests.bar_frames import SESSIONS, bars, steady, write_csv
from trading.marketdata.bars import BarStore
from trading.marketdata.findings import FindingLog, Severity
from trading.marketdata.refresh import Refresher, Status, SymbolRefresh
from trading.marketdata.sessions import ClosedSessions, closed_sessions
from trading.marketdata.sources import open_source

NOW = datetime(2024, 7, 1, 12, 0, tzinfo=UTC)


class WeekdaySessions(ClosedSessions):
    """Every weekday up to the hundredth of SESSIONS has been a session."""

    def since(self, first: date) -> pd.DatetimeIndex:
        return SESSIONS[:100]


def refresher(tmp_path: Path, source: str = "", accept_loss: bool = False) -> Refresher:
    return Refresher(
        store=BarStore(tmp_path / "data"),
        source=open_source(source or f"csv:{tmp_path / 'csv'}"),
        sessions=WeekdaySessions(NOW),
        now=NOW,
        accept_loss=accept_loss,
    )


def refresh(tmp_path: Path, frame: pd.DataFrame, accept_loss: bool = False) -> SymbolRefresh:
    """Put `frame` into the source as ABC, with a time stamp that shows the change, and refresh it."""
    path = tmp_path / "csv" / "ABC.csv"
    before = path.stat().st_mtime_ns if path.exists() else 0
    write_csv(tmp_path / "csv", "ABC", frame)
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))
    return refresher(tmp_path, accept_loss=accept_loss).refresh("ABC")


def stored_files(tmp_path: Path) -> dict[str, tuple[int, int]]:
    """The inode and time stamp of every file of the data folder."""
    files = (p for p in (tmp_path / "data").rglob("*") if p.is_file())
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def test_a_first_refresh_stores_all_bars(tmp_path: Path) -> None:
    result = refresh(tmp_path, steady())

    assert (result.status, result.added, result.findings) == (Status.WRITTEN, 100, ())
    assert (result.first, result.last) == (SESSIONS[0].date(), SESSIONS[99].date())
    assert BarStore(tmp_path / "data").read("ABC")["close"].tolist() == steady()["close"].tolist()


def test_a_second_refresh_writes_no_byte(tmp_path: Path) -> None:
    refresh(tmp_path, steady())
    before = stored_files(tmp_path)

    result = refresher(tmp_path).refresh("ABC")

    assert result.status is Status.FRESH
    assert stored_files(tmp_path) == before


def test_a_touched_file_with_the_same_bars_leaves_the_bars_alone(tmp_path: Path) -> None:
    refresh(tmp_path, steady())
    bars_file = str(BarStore(tmp_path / "data").path("ABC"))
    before = stored_files(tmp_path)[bars_file]

    assert refresh(tmp_path, steady()).status is Status.UNCHANGED
    assert stored_files(tmp_path)[bars_file] == before
    assert refresher(tmp_path).refresh("ABC").status is Status.FRESH


def test_new_bars_are_added(tmp_path: Path) -> None:
    refresh(tmp_path, steady(90))

    result = refresh(tmp_path, steady(100))

    assert (result.status, result.added, result.revised) == (Status.WRITTEN, 10, 0)


def test_an_old_bar_that_changed_is_a_recorded_revision(tmp_path: Path) -> None:
    refresh(tmp_path, steady())
    revised = steady()
    revised.loc[SESSIONS[40], "close"] = 100.25

    result = refresh(tmp_path, revised)

    assert (result.status, result.revised) == (Status.WRITTEN, 1)
    (finding,) = [f for f in FindingLog(tmp_path / "data").read() if f.check == "revision"]
    assert (finding.day, finding.value, finding.expected) == (SESSIONS[40].date(), 100.25, 100.0)
    assert BarStore(tmp_path / "data").read("ABC")["close"][SESSIONS[40]] == 100.25


def test_a_new_adjustment_is_one_finding_for_information(tmp_path: Path) -> None:
    refresh(tmp_path, steady())
    adjusted = steady()
    adjusted.loc[SESSIONS[:50], "adj_close"] *= 0.99

    result = refresh(tmp_path, adjusted)

    assert result.revised == 0
    (finding,) = [f for f in result.findings if f.check == "readjusted"]
    assert (finding.value, finding.severity) == (50.0, Severity.INFO)


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda f: pd.concat([f, f.iloc[[5]]]).sort_index(), "duplicate"),
        (lambda f: f.iloc[[1, 0, *range(2, 100)]], "order"),
        (lambda f: f.assign(low=-1.0), "not_positive"),
        (lambda f: f.iloc[50:], "history_lost"),
    ],
)
def test_bars_that_cannot_be_used_never_replace_stored_ones(
    tmp_path: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame], check: str
) -> None:
    refresh(tmp_path, steady())
    kept = BarStore(tmp_path / "data").path("ABC").read_bytes()

    result = refresh(tmp_path, spoil(steady()))

    assert (result.status, result.is_bad, result.last) == (Status.REFUSED, True, SESSIONS[99].date())
    assert BarStore(tmp_path / "data").path("ABC").read_bytes() == kept
    assert f"offered_{check}" in {f.check for f in FindingLog(tmp_path / "data").read()}


def test_bars_that_cannot_be_used_are_not_stored_the_first_time_either(tmp_path: Path) -> None:
    result = refresh(tmp_path, steady().assign(low=-1.0))

    assert (result.status, result.last) == (Status.REFUSED, None)
    assert BarStore(tmp_path / "data").symbols() == []


def test_a_refusal_is_forgotten_when_good_bars_come(tmp_path: Path) -> None:
    refresh(tmp_path, steady().assign(low=-1.0))

    refresh(tmp_path, steady())

    assert FindingLog(tmp_path / "data").read() == []


def test_a_lost_history_is_stored_when_the_operator_accepts_it(tmp_path: Path) -> None:
    refresh(tmp_path, steady())

    assert refresh(tmp_path, steady(50, start=50), accept_loss=True).status is Status.WRITTEN
    assert BarStore(tmp_path / "data").entries()["ABC"].rows == 50


def test_lines_that_are_no_bars_keep_the_stored_ones(tmp_path: Path) -> None:
    refresh(tmp_path, steady())
    with (tmp_path / "csv" / "ABC.csv").open("a") as file:
        file.write("2024-05-20,1,1\n")

    result = refresher(tmp_path).refresh("ABC")

    assert (result.status, result.last) == (Status.FAILED, SESSIONS[99].date())
    assert result.notes == ("ABC.csv:102: 3 fields, expected 7",)
    (finding,) = FindingLog(tmp_path / "data").read()
    assert finding.check == "offered_bad_line"


def test_bars_of_another_source_are_replaced_and_that_is_said(tmp_path: Path) -> None:
    refresh(tmp_path, steady())
    write_csv(tmp_path / "other", "ABC", steady(50, start=50, price=20.0))

    result = refresher(tmp_path, f"csv:{tmp_path / 'other'}").refresh("ABC")

    assert (result.status, result.added) == (Status.WRITTEN, 50)
    assert "another source" in result.notes[0]


def test_a_damaged_file_is_replaced_and_that_is_said(tmp_path: Path) -> None:
    refresh(tmp_path, steady())
    BarStore(tmp_path / "data").path("ABC").write_bytes(b"torn")

    result = refresher(tmp_path).refresh("ABC")

    assert (result.status, result.added) == (Status.WRITTEN, 100)
    assert "damaged" in result.notes[0]


def test_a_new_column_is_a_change(tmp_path: Path) -> None:
    refresh(tmp_path, steady())

    assert refresh(tmp_path, steady().assign(dividend=0.0, split=1.0)).status is Status.WRITTEN
    assert refresh(tmp_path, steady()).status is Status.WRITTEN


def test_a_run_stops_before_the_next_symbol(tmp_path: Path) -> None:
    write_csv(tmp_path / "csv", "ABC", steady())
    write_csv(tmp_path / "csv", "XYZ", steady())
    done: list[str] = []

    for result in refresher(tmp_path).run(["ABC", "XYZ"], lambda: bool(done)):
        done.append(result.symbol)

    assert done == ["ABC"]


def test_warnings_are_recorded_and_do_not_hold_bars_back(tmp_path: Path) -> None:
    result = refresh(tmp_path, bars(SESSIONS[:100].delete(30), [100.0] * 99))

    assert result.status is Status.WRITTEN
    assert [f.check for f in FindingLog(tmp_path / "data").read()] == ["gap"]


def test_only_sessions_that_have_closed_count() -> None:
    # The day after Thanksgiving 2024 closed early, at 13:00 New York time (18:00 UTC); Thursday was none.
    first = date(2024, 11, 25)

    before = closed_sessions(first, datetime(2024, 11, 29, 17, 59, tzinfo=UTC))
    after = closed_sessions(first, datetime(2024, 11, 29, 18, 0, tzinfo=UTC))

    assert [d.day for d in before] == [25, 26, 27]
    assert [d.day for d in after] == [25, 26, 27, 29]


def test_sessions_reach_back_as_far_as_asked() -> None:
    sessions = ClosedSessions(datetime(2024, 11, 29, 17, 0, tzinfo=UTC))

    assert sessions.since(date(2024, 11, 28))[-1] == pd.Timestamp("2024-11-27")
    assert sessions.since(date(1999, 11, 1))[0] == pd.Timestamp("1999-10-18")
    assert sessions.since(date(2020, 1, 1))[0] == pd.Timestamp("1999-10-18")
