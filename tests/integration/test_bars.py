"""The bar store, its index and the record of findings on a real disk."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.bar_frames import SESSIONS, steady
from trading.marketdata.bars import SCHEMA_VERSION, BarStore
from trading.marketdata.errors import BarStoreError
from trading.marketdata.findings import Finding, FindingLog, Severity
from trading.marketdata.index import index_path

NOW = datetime(2024, 7, 1, 12, 0, tzinfo=UTC)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store, frame = BarStore(tmp_path), steady().assign(dividend=0.0, split=1.0)

    store.write("ABC", frame, "csv:/bars", fetched_at=NOW, fingerprint="v1", ends_on=date(2024, 5, 17))

    pd.testing.assert_frame_equal(
        store.read("ABC"), frame, check_freq=False, check_index_type=False, check_column_type=False
    )
    assert store.symbols() == ["ABC"]
    meta = store.meta("ABC")
    assert (meta.source, meta.fetched_at, meta.schema_version) == ("csv:/bars", NOW, SCHEMA_VERSION)
    assert (meta.fingerprint, meta.ends_on) == ("v1", date(2024, 5, 17))


def test_a_frame_without_a_column_is_not_stored(tmp_path: Path) -> None:
    with pytest.raises(BarStoreError, match="no column adj_close"):
        BarStore(tmp_path).write("ABC", steady().drop(columns="adj_close"), "x", fetched_at=NOW)
    with pytest.raises(BarStoreError, match="no rows"):
        BarStore(tmp_path).write("ABC", steady(0), "x", fetched_at=NOW)


@pytest.mark.parametrize("symbol", ["", "../ABC", "a/b", ".ABC", "abc", "A" * 25, "A\n"])
def test_a_symbol_that_is_no_file_name_is_refused(tmp_path: Path, symbol: str) -> None:
    with pytest.raises(BarStoreError, match="cannot be stored"):
        BarStore(tmp_path).path(symbol)


@pytest.mark.parametrize("symbol", ["BRK.B", "^GSPC", "EURUSD=X", "BF-B"])
def test_symbols_of_all_markets_are_file_names(tmp_path: Path, symbol: str) -> None:
    store = BarStore(tmp_path)

    store.write(symbol, steady(), "x", fetched_at=NOW)

    assert store.symbols() == [symbol]


def test_the_last_date_is_known_with_and_without_the_index(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    assert store.last_date("ABC") is None
    store.write("ABC", steady(), "x")

    assert store.last_date("ABC") == SESSIONS[99].date()
    index_path(tmp_path).unlink()
    assert store.last_date("ABC") == SESSIONS[99].date()


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"symbols": {"ABC": {}}}', '{"symbols": {"ABC": 3}}'])
def test_a_damaged_index_is_as_none(tmp_path: Path, content: str) -> None:
    store = BarStore(tmp_path)
    store.write("ABC", steady(), "x", fetched_at=NOW)
    index_path(tmp_path).write_text(content)

    assert store.entries() == {}


def test_a_file_that_changed_from_outside_is_not_in_the_index(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.write("ABC", steady(), "x", fetched_at=NOW)
    os.utime(store.path("ABC"), (0, 0))

    assert store.entries() == {}
    store.mark("ABC", "v2")
    assert store.entries()["ABC"].fingerprint == "v2"
    assert store.entries()["ABC"].last == SESSIONS[99].date()


@pytest.mark.parametrize("content", [b"", b"PAR1 no parquet"])
def test_a_damaged_file_is_an_error_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    store = BarStore(tmp_path)
    store.write("ABC", steady(), "x", fetched_at=NOW)
    store.path("ABC").write_bytes(content)

    with pytest.raises(BarStoreError, match="refresh_eod_data"):
        store.read("ABC")
    with pytest.raises(BarStoreError, match="refresh_eod_data"):
        store.meta("ABC")


def test_a_parquet_file_of_something_else_is_an_error(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.folder.mkdir(parents=True)
    pd.DataFrame({"x": [1]}).to_parquet(store.path("ABC"))

    with pytest.raises(BarStoreError, match="no column"):
        store.read("ABC")


def test_a_symbol_that_is_not_stored_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(BarStoreError, match="is not stored"):
        BarStore(tmp_path).read("ABC")


def test_a_write_that_fails_leaves_the_old_bars(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.write("ABC", steady(), "x", fetched_at=NOW)
    before = store.path("ABC").read_bytes()

    with pytest.raises(ValueError, match="could not convert"):
        store.write("ABC", steady().astype({"open": object}).assign(open="a"), "x", fetched_at=NOW)

    assert store.path("ABC").read_bytes() == before
    assert [p.name for p in store.folder.iterdir()] == ["ABC.parquet"]


def finding(check: str, symbol: str = "ABC", day: date | None = None) -> Finding:
    return Finding(check=check, symbol=symbol, text="x", severity=Severity.WARN, day=day)


def test_findings_keep_the_instant_they_were_first_seen(tmp_path: Path) -> None:
    log = FindingLog(tmp_path)
    assert log.replace(["ABC"], [finding("gap")], NOW) == 1

    assert log.replace(["ABC"], [finding("gap"), finding("stale")], NOW + timedelta(days=1)) == 1

    assert {f.check: f.seen for f in log.read()} == {"gap": NOW, "stale": NOW + timedelta(days=1)}


def test_findings_that_no_longer_hold_are_gone_and_other_symbols_stay(tmp_path: Path) -> None:
    log = FindingLog(tmp_path)
    log.replace(["ABC", "XYZ"], [finding("gap"), finding("gap", "XYZ")], NOW)

    log.replace(["ABC"], [], NOW)

    assert [f.symbol for f in log.read()] == ["XYZ"]


def test_revisions_are_kept_for_a_year(tmp_path: Path) -> None:
    log = FindingLog(tmp_path)
    log.replace(["ABC"], [finding("revision", day=date(2024, 1, 5))], NOW)

    log.replace(["ABC"], [], NOW + timedelta(days=364))
    assert len(log.read()) == 1
    log.replace(["ABC"], [], NOW + timedelta(days=365))
    assert log.read() == []


def test_a_revision_that_happens_again_is_seen_anew(tmp_path: Path) -> None:
    log, again = FindingLog(tmp_path), NOW + timedelta(days=200)
    revision = finding("revision", day=date(2024, 1, 5))
    log.replace(["ABC"], [revision], NOW)

    assert log.replace(["ABC"], [revision], again) == 1

    assert [f.seen for f in log.read()] == [again]


def test_two_jobs_that_record_at_once_lose_nothing(tmp_path: Path) -> None:
    def record(job: int) -> None:
        for n in range(15):
            FindingLog(tmp_path).replace([f"J{job}N{n}"], [finding("gap", f"J{job}N{n}")], NOW)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(record, (1, 2)))

    assert len(FindingLog(tmp_path).read()) == 30


def test_findings_on_offered_and_on_stored_bars_do_not_replace_each_other(tmp_path: Path) -> None:
    log = FindingLog(tmp_path)
    log.replace(["ABC"], [finding("gap")], NOW)
    log.replace(["ABC"], [finding("duplicate")], NOW, offered=True)
    log.replace(["ABC"], [finding("gap")], NOW)

    assert {f.check for f in log.read()} == {"gap", "offered_duplicate"}
    log.replace(["ABC"], [], NOW, offered=True)
    assert {f.check for f in log.read()} == {"gap"}


def test_recording_the_same_findings_writes_nothing(tmp_path: Path) -> None:
    log = FindingLog(tmp_path)
    log.replace(["ABC"], [finding("gap")], NOW)
    before = log.path.stat()

    log.replace(["ABC"], [finding("gap")], NOW + timedelta(days=1))

    after = log.path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_lines_that_are_no_findings_are_passed_over(tmp_path: Path) -> None:
    log = FindingLog(tmp_path)
    log.replace(["ABC"], [finding("gap")], NOW)
    with log.path.open("a") as file:
        file.write('not json\n{"check": "x"}\n[1]\n')

    assert [f.check for f in log.read()] == ["gap"]
