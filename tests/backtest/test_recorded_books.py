"""Recorded books come back as they were written, and a file that is wrong says where."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.backtest.hand_made_books import book, series
from trading.backtest.books.book import BookSeries
from trading.backtest.books.recorded import read_books, write_books
from trading.backtest.books.simulated import ZeroIntelligence, simulate_books
from trading.backtest.errors import HistoryError

HEADER = (
    "stamp_ns,bid_price_1,bid_size_1,ask_price_1,ask_size_1,bid_price_2,bid_size_2,ask_price_2,ask_size_2"
)
ROWS = [
    "1294065000000000001,126.70,300,126.72,100,126.69,500,126.73,900",
    "1294065000000000002,126.70,250,126.72,100,126.69,500,,",
    "1294065000500000000,126.71,100,126.72,100,126.70,250,,0",
]


def csv_file(folder: Path, rows: list[str], header: str = HEADER, name: str = "books.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def same(one: BookSeries, other: BookSeries) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in one.__slots__]
    return all(b is None if a is None else np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def test_a_csv_recording_is_read_by_its_columns(tmp_path: Path) -> None:
    books = read_books(csv_file(tmp_path, ROWS))

    assert list(books) == [
        book([(126.70, 300), (126.69, 500)], [(126.72, 100), (126.73, 900)], 1294065000000000001),
        book([(126.70, 250), (126.69, 500)], [(126.72, 100)], 1294065000000000002),
        book([(126.71, 100), (126.70, 250)], [(126.72, 100)], 1294065000500000000),
    ]
    assert books.bought is None


@pytest.mark.parametrize("name", ["books.csv", "books.csv.gz", "books.parquet"])
def test_what_is_written_is_read_back_to_the_last_bit(tmp_path: Path, name: str) -> None:
    simulated = simulate_books(ZeroIntelligence(tick=1 / 3), events=200, seed=5, start_ns=10**18 + 1)

    write_books(tmp_path / name, simulated)

    assert same(read_books(tmp_path / name), simulated)


@pytest.mark.parametrize("name", ["books.csv", "books.parquet"])
def test_empty_levels_and_absent_trades_come_back(tmp_path: Path, name: str) -> None:
    books = series([book([(10.0, 1.0)], [(11.0, 2.0), (12.0, 0.1)], at) for at in range(2)], levels=3)

    write_books(tmp_path / name, books)

    assert same(read_books(tmp_path / name), books)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x,126.70,300,126.72,100,,,,", "line 3: stamp_ns is 'x': expected whole nanoseconds"),
        ("1.5,126.70,300,126.72,100,,,,", "line 3: stamp_ns is '1.5': expected whole nanoseconds"),
        (",126.70,300,126.72,100,,,,", "line 3: stamp_ns is '': expected whole nanoseconds"),
        ("1294065000000000002,126.70,many,126.72,100,,,,", "line 3: bid_size_1 is 'many': expected a number"),
        ("1294065000000000002,NA,300,126.72,100,,,,", "line 3: bid_price_1 is 'NA': expected a number"),
        ("1294065000000000002,126.70,300,126.72,100,,", "line 3: has 7 cells: expected 9"),
        ("1294065000000000002,126.70,300,126.72,100,,,,,7", "line 3: has 10 cells: expected 9"),
        ("", "line 3: has 0 cells: expected 9"),
        (
            "1294065000000000002,126.73,300,126.72,100,,,,",
            "line 3: ask_price_1 is 126.72: expected a price abo",
        ),
        ("1294065000000000002,126.70,-3,126.72,100,,,,", "line 3: bid_size_1 is -3: expected shares above 0"),
        ("1294065000000000002,,,126.72,100,,,,", "line 3: levels of the bid side is 0: expected at least 1"),
        ("7,126.70,300,126.72,100,,,,", "line 3: stamp_ns is 7: expected at least that of the row before"),
    ],
)
def test_a_wrong_line_is_named_with_field_and_value(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(HistoryError, match=said):
        read_books(csv_file(tmp_path, [ROWS[0], row, ROWS[2]]))


def test_a_wrong_row_of_a_parquet_file_is_named(tmp_path: Path) -> None:
    frame = pd.read_csv(csv_file(tmp_path, ROWS))
    frame.loc[1, "ask_size_1"] = 0
    frame.to_parquet(tmp_path / "books.parquet")

    with pytest.raises(HistoryError, match="row 1: ask_size_1 is 0: expected shares above 0"):
        read_books(tmp_path / "books.parquet")


def test_a_parquet_column_of_text_is_refused(tmp_path: Path) -> None:
    frame = pd.read_csv(csv_file(tmp_path, ROWS)).astype({"bid_price_1": str})
    frame.to_parquet(tmp_path / "books.parquet")

    with pytest.raises(HistoryError, match="column bid_price_1 has the type str: expected numbers"):
        read_books(tmp_path / "books.parquet")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER.replace("stamp_ns", "ts"), "no column stamp_ns"),
        (HEADER.replace("ask_size_2", "other"), "no column ask_size_2; the columns are stamp_ns"),
        ("stamp_ns," + ",".join("abcdefgh"), "no column bid_price_1"),
        (HEADER.replace("bid_size_2", "bought"), "no column bid_size_2, sold"),
    ],
)
def test_missing_columns_are_named(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(HistoryError, match=said):
        read_books(csv_file(tmp_path, ROWS[:1], header))


def test_a_recording_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="there are no rows"):
        read_books(csv_file(tmp_path, []))


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "books.parquet").write_bytes(b"no parquet")
    whole = gzip.compress(("\n".join([HEADER, *ROWS * 500])).encode())
    (tmp_path / "torn.csv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + b"\n\xff,1\n")

    for name in ("absent.csv", "absent.parquet", "books.parquet", "torn.csv.gz", "latin.csv"):
        with pytest.raises(HistoryError, match=f"{name}: cannot be read"):
            read_books(tmp_path / name)


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    books = series([book([(10.0, 1.0)], [(11.0, 2.0)])])

    with pytest.raises(
        HistoryError, match=r"books.xlsx: expected a name that ends in .csv, .csv.gz or .parq"
    ):
        write_books(tmp_path / "books.xlsx", books)
