"""Intraday bars from CSV files into the store: stamps, sessions, checks, days replaced whole, the index."""

from __future__ import annotations

import gzip
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.intraday_files import HEADER, SHARED, clock, session, write_intraday
from trading.marketdata.errors import BarStoreError, SourceError
from trading.marketdata.intraday import COLUMNS, IntradayStore
from trading.marketdata.intraday_index import month_files
from trading.marketdata.intraday_refresh import IntradayRefresher, SeriesRefresh, due_batches
from trading.marketdata.refresh import Status
from trading.marketdata.sources import open_intraday_source
from trading.marketdata.sources.csv_intraday import CsvIntraday, bar_start

NOW = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]

needs_shared = pytest.mark.skipif(
    not (SHARED / "intraday").is_dir(), reason="the shared price data is not here (ORCHESTRATOR_SHARED_DATA)"
)


def refresh(
    source: Path, data: Path, *, now: datetime = NOW, accept_loss: bool = False
) -> list[SeriesRefresh]:
    csv = CsvIntraday(str(source))
    store = IntradayStore(data)
    refresher = IntradayRefresher(store=store, source=csv, now=now, accept_loss=accept_loss)
    return list(refresher.run(due_batches(data, csv), lambda: False))


def one(results: list[SeriesRefresh]) -> SeriesRefresh:
    (result,) = results
    return result


def volumes(data: Path, symbol: str = "ABC", minutes: int = 1) -> list[float]:
    return IntradayStore(data).read(symbol, minutes)["volume"].tolist()


FULL = [100.0] * 390


# Stamps


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2011-03-11 09:30:00", "2011-03-11T14:30:00"),  # the Friday before the clocks changed: EST, UTC-5
        ("2011-03-14 09:30:00", "2011-03-14T13:30:00"),  # the Monday after: EDT, UTC-4
        ("2011-03-14T09:30", "2011-03-14T13:30:00"),
        ("2011-03-14T14:30:00Z", "2011-03-14T14:30:00"),
        ("2011-03-14 14:30:00+01:00", "2011-03-14T13:30:00"),
    ],
)
def test_a_stamp_is_new_york_wall_clock_unless_it_has_an_offset(text: str, utc: str) -> None:
    assert bar_start(text) == datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text", ["2026-11-20", "09:30", "", "noon", "2026-11-20 09:30:00.5", "0001-01-01 09:30"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not like 2026-11-20 09:30:00"):
        bar_start(text)


# Files


def test_the_name_gives_symbol_and_length_or_the_stamps_do(tmp_path: Path) -> None:
    write_intraday(tmp_path, "abc_5min_2026.csv", session("2026-11-20", [1, 2], 5))
    write_intraday(tmp_path, "BRK.B.csv", session("2026-11-20", [1, 2, 3], 15))

    found = [one for batch in CsvIntraday(str(tmp_path)).batches() for one in fetch(tmp_path, batch.name)]

    assert found == [("BRK.B", 15, 3), ("ABC", 5, 2)]


def fetch(folder: Path, name: str) -> list[tuple[str, int, int]]:
    return [(s.symbol, s.minutes, len(s.frame)) for s in CsvIntraday(str(folder)).fetch_batch(name)]


def test_a_file_may_hold_many_symbols_and_be_packed_and_newest_first(tmp_path: Path) -> None:
    rows = [f"{s},{line}" for line in reversed(session("2026-11-20", [1, 2, 3])) for s in ("abc", "XYZ")]
    path = write_intraday(tmp_path, "all_1min.csv", rows, "symbol," + HEADER)
    path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()

    series = CsvIntraday(str(tmp_path)).fetch_batch("all_1min.csv.gz")

    assert [(s.symbol, s.frame["volume"].tolist()) for s in series] == [
        ("ABC", [1, 2, 3]),
        ("XYZ", [1, 2, 3]),
    ]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["2026-11-20,1,1,1,1,1"], "X_1min.csv:2: ts '2026-11-20' is not like"),
        (["2026-11-20 09:30:00,1,1,1,1,nan"], "X_1min.csv:2: volume 'nan' is not a finite number"),
        (["2026-11-20 09:30:00,1,1,1,1"], "X_1min.csv:2: 5 fields, expected 6"),
        ([], "X_1min.csv:1: no rows"),
        (session("2026-11-20", [1, 2, 3], 15), "the name says 1 min, but no stamps are nearer than 15 min"),
    ],
)
def test_a_file_that_cannot_be_read_is_not_used(tmp_path: Path, lines: list[str], says: str) -> None:
    write_intraday(tmp_path, "X_1min.csv", lines)

    with pytest.raises(SourceError, match=r"X_1min\.csv") as caught:
        CsvIntraday(str(tmp_path)).fetch_batch("X_1min.csv")

    assert says in str(caught.value)
    failed = one(refresh(tmp_path, tmp_path / "data"))
    assert (failed.batch, failed.status, failed.is_bad) == ("X_1min.csv", Status.FAILED, True)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (session("2026-11-20", [1]), "one bar tells no length"),
        (session("2026-11-19", [1]) + session("2026-11-20", [1]), "bars of 1440 minutes"),
        (["2026-11-20 09:30:00,1,1,1,1,1", "2026-11-20 09:30:30,1,1,1,1,1"], "bars of 0.5 minutes"),
    ],
)
def test_a_length_that_cannot_be_told_is_an_error(tmp_path: Path, lines: list[str], says: str) -> None:
    write_intraday(tmp_path, "X.csv", lines)

    with pytest.raises(SourceError, match=says):
        CsvIntraday(str(tmp_path)).fetch_batch("X.csv")


def test_a_header_without_a_column_is_an_error_that_names_it(tmp_path: Path) -> None:
    write_intraday(tmp_path, "X_1min.csv", ["2026-11-20 09:30:00,1"], "ts,close")

    with pytest.raises(SourceError, match="no column open, high, low, volume"):
        CsvIntraday(str(tmp_path)).fetch_batch("X_1min.csv")


def test_a_source_without_the_folder_has_nothing_and_one_that_is_not_there_is_an_error(
    tmp_path: Path,
) -> None:
    assert CsvIntraday(str(tmp_path)).batches() == []
    with pytest.raises(SourceError, match="there is no such folder"):
        CsvIntraday(str(tmp_path / "nowhere")).batches()
    with pytest.raises(SourceError, match="needs a folder"):
        CsvIntraday("")
    assert open_intraday_source("sample") is None


# Sessions


def test_bars_outside_the_sessions_are_left_out_and_counted(tmp_path: Path) -> None:
    """Five before the bell, one at the close, and a Saturday's."""
    early = [f"2026-11-20 09:{minute}:00,10,10,10,10,7" for minute in range(25, 30)]
    lines = [*early, *session("2026-11-20", [*FULL, 9]), "2026-11-14 11:00:00,10,10,10,10,7"]
    write_intraday(tmp_path, "ABC_1min.csv", lines)

    result = one(refresh(tmp_path, tmp_path / "data"))

    assert (result.status, result.added, result.outside, result.refused) == (Status.WRITTEN, 1, 7, 0)
    assert volumes(tmp_path / "data") == FULL


def test_a_file_without_a_bar_in_a_session_is_done_with_and_stores_nothing(tmp_path: Path) -> None:
    write_intraday(tmp_path, "ABC_1min.csv", session("2026-11-14", FULL[:10]))

    result = one(refresh(tmp_path, tmp_path / "data"))

    assert (result.status, result.outside, result.is_bad) == (Status.UNCHANGED, 10, False)
    assert not IntradayStore(tmp_path / "data").entries()
    assert due_batches(tmp_path / "data", CsvIntraday(str(tmp_path))) == []


def test_a_stored_bar_knows_its_session(tmp_path: Path) -> None:
    """2024-11-29, the day after Thanksgiving, closed at 13:00: 210 minutes."""
    write_intraday(tmp_path, "ABC_1min.csv", session("2024-11-27", FULL) + session("2024-11-29", FULL))

    result = one(refresh(tmp_path, tmp_path / "data"))

    frame = IntradayStore(tmp_path / "data").read("ABC", 1)
    by_day = frame.groupby(frame["day"].dt.date)
    assert {day: len(bars) for day, bars in by_day} == {date(2024, 11, 27): 390, date(2024, 11, 29): 210}
    assert frame[frame["is_early"]]["session_minutes"].unique().tolist() == [210]
    assert frame["minute"].iloc[389] == 389
    assert str(frame.index[0]) == "2024-11-27 14:30:00+00:00"
    assert list(frame.columns) == list(COLUMNS)
    assert result.outside == 180


def test_a_session_that_has_not_closed_is_left_for_the_next_run(tmp_path: Path) -> None:
    lines = session("2026-11-19", FULL) + session("2026-11-20", FULL[:100])
    write_intraday(tmp_path, "ABC_1min.csv", lines)
    at_noon = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)

    result = one(refresh(tmp_path, tmp_path / "data", now=at_noon))

    assert (result.added, result.later, result.is_bad) == (1, 100, False)
    # The file has not changed since, and is looked at again all the same.
    assert one(refresh(tmp_path, tmp_path / "data")).added == 1


# Checks


def broken(change: str) -> list[str]:
    """A day with one thing wrong at its eleventh bar, after a good one."""
    lines = session("2026-11-20", FULL)
    stamp = f"2026-11-20 {clock(10)}"
    if change == "order":
        lines[10], lines[11] = lines[11], lines[10]
    elif change == "duplicate":
        lines[11] = lines[10]
    else:
        lines[10] = {
            "high_low": f"{stamp},10,9,11,10,100",
            "not_positive": f"{stamp},10,10,10,10,-100",
            "off_grid": f"2026-11-20 {clock(10)[:-2]}30,10,10,10,10,100",
        }[change]
    return session("2026-11-19", FULL) + lines


@pytest.mark.parametrize("check", ["order", "duplicate", "high_low", "not_positive", "off_grid"])
def test_a_day_with_a_bad_bar_is_refused_whole_and_the_others_are_stored(tmp_path: Path, check: str) -> None:
    write_intraday(tmp_path, "ABC_1min.csv", broken(check))

    result = one(refresh(tmp_path, tmp_path / "data"))

    assert [(f.check, f.day) for f in result.findings] == [(check, date(2026, 11, 20))]
    assert (result.added, result.refused, result.is_bad) == (1, 1, True)
    assert len(volumes(tmp_path / "data")) == 390
    assert due_batches(tmp_path / "data", CsvIntraday(str(tmp_path))), "it is tried again until it is right"


def test_missing_values_are_refused_from_any_source(tmp_path: Path) -> None:
    from trading.marketdata.intraday_quality import check_days, place
    from trading.marketdata.sessions import closed_hours

    write_intraday(tmp_path, "ABC_1min.csv", session("2026-11-20", FULL))
    (series,) = CsvIntraday(str(tmp_path)).fetch_batch("ABC_1min.csv")
    frame = series.frame.copy()
    frame.iloc[5, 4] = float("nan")

    found = check_days("ABC", 1, place(frame, closed_hours(date(2026, 11, 1), NOW)))

    assert [f.check for f in found] == ["missing_value"]


def test_bars_stamped_by_their_ends_are_noticed(tmp_path: Path) -> None:
    """From 09:31 to 16:00 instead of from 09:30 to 15:59, on three sessions."""
    days = ["2026-11-18", "2026-11-19", "2026-11-20"]
    lines = [line for day in days for line in session(day, [*FULL, 100])[1:]]
    write_intraday(tmp_path, "ABC_1min.csv", lines)

    result = one(refresh(tmp_path, tmp_path / "data"))

    assert (result.status, result.refused) == (Status.REFUSED, 3)
    assert {f.check for f in result.findings} == {"ends_stamped"}
    assert not IntradayStore(tmp_path / "data").entries()


def test_a_day_cut_short_is_stored_with_a_warning(tmp_path: Path) -> None:
    write_intraday(tmp_path, "ABC_1min.csv", session("2026-11-20", FULL[:200]))

    result = one(refresh(tmp_path, tmp_path / "data"))

    assert [(f.check, f.value) for f in result.findings] == [("cut_short", 190.0)]
    assert (result.added, result.is_bad) == (1, False)


# The store


def test_new_days_are_merged_and_old_ones_replaced_whole(tmp_path: Path) -> None:
    write_intraday(tmp_path, "ABC_1min.csv", session("2026-10-30", FULL) + session("2026-11-19", FULL))
    refresh(tmp_path, tmp_path / "data")
    october, november = month_files(IntradayStore(tmp_path / "data").folder("ABC", 1))
    before = october.stat().st_mtime_ns, november.stat().st_mtime_ns

    write_intraday(tmp_path, "ABC_1min.csv", session("2026-11-19", [7.0] * 380) + session("2026-11-20", FULL))
    result = one(refresh(tmp_path, tmp_path / "data"))

    assert (result.added, result.replaced, result.refused) == (1, 1, 0)
    assert volumes(tmp_path / "data") == FULL + [7.0] * 380 + FULL
    assert october.stat().st_mtime_ns == before[0], "a month without news is not written"
    assert november.stat().st_mtime_ns != before[1]


def test_the_same_bars_again_write_nothing(tmp_path: Path) -> None:
    lines = session("2026-10-30", FULL) + session("2026-11-20", FULL)
    write_intraday(tmp_path, "ABC_1min.csv", lines)
    refresh(tmp_path, tmp_path / "data")
    before = IntradayStore(tmp_path / "data").entries()
    write_intraday(tmp_path, "ABC_1min.csv", lines[::-1])

    result = one(refresh(tmp_path, tmp_path / "data", now=NOW + timedelta(hours=1)))

    assert (result.status, result.added, result.replaced) == (Status.UNCHANGED, 0, 0)
    assert IntradayStore(tmp_path / "data").entries() == before


def test_a_torn_file_does_not_take_a_stored_day_s_place(tmp_path: Path) -> None:
    write_intraday(tmp_path, "ABC_1min.csv", session("2026-11-20", FULL))
    refresh(tmp_path, tmp_path / "data")
    write_intraday(tmp_path, "ABC_1min.csv", session("2026-11-20", FULL[:350]))

    result = one(refresh(tmp_path, tmp_path / "data"))

    assert (result.status, result.refused, len(volumes(tmp_path / "data"))) == (Status.REFUSED, 1, 390)
    assert "2026-11-20 has clearly more bars in the store" in result.notes[0]
    one(refresh(tmp_path, tmp_path / "data", accept_loss=True))
    assert len(volumes(tmp_path / "data")) == 350


def test_the_index_tells_what_is_stored_without_pandas(tmp_path: Path) -> None:
    write_intraday(tmp_path, "ABC_1min.csv", session("2024-10-31", FULL) + session("2024-11-29", FULL))
    refresh(tmp_path, tmp_path / "data")
    code = (
        "import sys; from trading.marketdata.intraday import IntradayStore; "
        f"e = IntradayStore({str(tmp_path / 'data')!r}).entries()['ABC', 1]; "
        "print(e.first, e.last, e.days, e.rows, [m.early_days for m in e.months.values()], "
        "sorted({'pandas', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )

    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert child.stdout.strip() == "2024-10-31 2024-11-29 2 600 [0, 1] []"


def test_a_lost_index_is_made_again_from_the_files(tmp_path: Path) -> None:
    write_intraday(tmp_path, "ABC_1min.csv", session("2026-11-19", FULL) + session("2026-11-20", FULL))
    refresh(tmp_path, tmp_path / "data")
    store = IntradayStore(tmp_path / "data")
    before = store.entries()["ABC", 1]
    (store.folder("ABC", 1) / "index.json").write_text("torn")
    assert store.entries() == {}

    assert store.entry("ABC", 1) == before
    assert store.entries() == {("ABC", 1): before}


def test_a_file_removed_by_hand_is_fetched_again(tmp_path: Path) -> None:
    write_intraday(tmp_path, "ABC_1min.csv", session("2026-11-20", FULL))
    refresh(tmp_path, tmp_path / "data")
    assert due_batches(tmp_path / "data", CsvIntraday(str(tmp_path))) == []
    (path,) = month_files(IntradayStore(tmp_path / "data").folder("ABC", 1))
    path.unlink()

    assert one(refresh(tmp_path, tmp_path / "data")).added == 1


def test_a_damaged_file_is_named_and_never_overwritten(tmp_path: Path) -> None:
    write_intraday(tmp_path, "ABC_1min.csv", session("2026-11-19", FULL))
    refresh(tmp_path, tmp_path / "data")
    store = IntradayStore(tmp_path / "data")
    (path,) = month_files(store.folder("ABC", 1))
    path.write_bytes(b"torn")

    write_intraday(tmp_path, "ABC_1min.csv", session("2026-11-19", FULL) + session("2026-11-20", FULL))
    result = one(refresh(tmp_path, tmp_path / "data"))

    assert (result.status, result.is_bad) == (Status.FAILED, True)
    assert "2026-11.parquet: cannot be read" in result.notes[0]
    assert path.read_bytes() == b"torn"
    with pytest.raises(BarStoreError, match="move it away"):
        store.read("ABC", 1)


def test_only_the_days_asked_for_are_read(tmp_path: Path) -> None:
    days = ["2026-10-30", "2026-11-18", "2026-11-19", "2026-11-20"]
    write_intraday(tmp_path, "ABC_1min.csv", [line for day in days for line in session(day, FULL)])
    refresh(tmp_path, tmp_path / "data")
    store = IntradayStore(tmp_path / "data")

    frame = store.read("ABC", 1, first=date(2026, 11, 18), last=date(2026, 11, 19), columns=["volume"])

    assert frame["day"].dt.date.unique().tolist() == [date(2026, 11, 18), date(2026, 11, 19)]
    assert list(frame.columns) == ["day", "volume"]
    assert store.read("ABC", 1, first=date(2027, 1, 1)).empty


def test_bars_that_are_not_stored_are_an_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BarStoreError, match=r"run scripts/refresh_intraday_data\.py"):
        IntradayStore(tmp_path).read("ABC", 1)
    with pytest.raises(BarStoreError, match="cannot be stored"):
        IntradayStore(tmp_path).read("../ABC", 1)
    with pytest.raises(BarStoreError, match="no column high, low, close, volume, day"):
        IntradayStore(tmp_path).merge("ABC", 1, pd.DataFrame(columns=["open"]), "x")


# Real bars


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> tuple[IntradayStore, list[SeriesRefresh]]:
    data = tmp_path_factory.mktemp("data")
    return IntradayStore(data), refresh(SHARED, data)


@needs_shared
def test_every_session_around_the_clock_change_has_its_390_minutes(
    shared_store: tuple[IntradayStore, list[SeriesRefresh]],
) -> None:
    """43 sessions of 390 bars in January and March 2011; extended hours are the rest of 31,757 rows. The
    clocks changed on 2011-03-13."""
    store, results = shared_store

    bars = store.read("SPY", 1, last=date(2011, 12, 31))

    counts = bars.groupby(bars["day"].dt.date).size()
    assert (len(counts), set(counts)) == (43, {390})
    assert next(r.outside for r in results if r.batch.startswith("SPY")) == 31757 - 43 * 390
    first = bars[bars["minute"] == 0]
    assert str(first.index[first["day"] == "2011-03-11"][0]) == "2011-03-11 14:30:00+00:00"
    assert str(first.index[first["day"] == "2011-03-14"][0]) == "2011-03-14 13:30:00+00:00"


@needs_shared
def test_minutes_without_a_trade_stay_without_a_bar(
    shared_store: tuple[IntradayStore, list[SeriesRefresh]],
) -> None:
    """Up to 57 of 390 minutes a day are missing in SLV, TZA, TRV and AMT."""
    store, _ = shared_store

    missing = {
        symbol: 390 - store.read(symbol, 1, first=date(2019, 1, 1)).groupby("day").size().min()
        for symbol in ("SLV", "TZA", "TRV", "AMT", "SPY")
    }

    assert max(missing.values()) == 57
    assert min(missing[s] for s in ("SLV", "TZA", "TRV", "AMT")) > 0
    assert missing["SPY"] == 0


@needs_shared
def test_a_session_that_a_source_lacks_is_not_made_up(
    shared_store: tuple[IntradayStore, list[SeriesRefresh]],
) -> None:
    """DFS lacks 2019-01-04; the other symbols have 30 sessions of 26 bars."""
    store, results = shared_store

    entries = store.entries()

    assert (entries["DFS", 15].days, entries["DFS", 15].first) == (29, date(2019, 1, 7))
    assert (entries["SPY", 15].days, entries["SPY", 15].rows) == (30, 780)
    assert not any(result.is_bad or result.findings for result in results)
