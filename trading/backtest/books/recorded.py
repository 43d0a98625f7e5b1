"""Recorded books as files: CSV or Parquet, one row for each snapshot, in time order.

    stamp_ns,bid_price_1,bid_size_1,ask_price_1,ask_size_1,bid_price_2,...,bought,sold

stamp_ns: whole nanoseconds since 1970-01-01 UTC. Levels count from 1, the best; each has its four columns.
A level that a snapshot does not have is left empty (Parquet: null), or has no price and size 0. bought and
sold, shares that buyers and sellers took by market order since the row before, are there both or neither.
Other columns are ignored. Files are .csv, .csv.gz or .parquet.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from trading.backtest.books.book import SIDES, TRADES, BookFault, BookSeries
from trading.backtest.errors import HistoryError

if TYPE_CHECKING:
    import pandas as pd

STAMP = "stamp_ns"
HEADER_LINES = 1
_LEVEL = re.compile(r"(?:bid|ask)_(?:price|size)_([1-9]\d*)")


def write_books(path: Path, books: BookSeries) -> None:
    """Write a recording that `read_books` reads back to the last bit.

    Raises:
        HistoryError: if the name ends neither in .csv, .csv.gz nor .parquet.
        OSError: if the file cannot be written.
    """
    frame = _frame(books)
    if _is_parquet(path):
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)


def read_books(path: Path) -> BookSeries:
    """Return the books of a recording.

    Raises:
        HistoryError: for the first value that cannot be, naming file, line (CSV, the header being line 1)
            or row (Parquet, from 0), field, value and what was expected; for missing columns; for a file
            that cannot be read.
    """
    frame = _read(path)
    levels = _levels(path, frame.columns)
    wanted = [STAMP, *(f"{name}_{level}" for name in SIDES for level in range(1, levels + 1))]
    if set(TRADES) & set(frame.columns):
        wanted += TRADES
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise HistoryError(
            f"{path}: no column {', '.join(missing)}; the columns are {', '.join(frame.columns)}"
        )
    if not len(frame):
        raise HistoryError(f"{path}: there are no rows: expected at least one snapshot")
    try:
        return _series(frame, levels)
    except BookFault as fault:
        where = f"row {fault.row}" if _is_parquet(path) else f"line {(fault.row or 0) + 1 + HEADER_LINES}"
        said = f"{fault.value:.12g}" if np.isfinite(fault.value) else "no number"
        raise HistoryError(f"{path}, {where}: {fault.field} is {said}: expected {fault.expected}") from None


def _series(frame: pd.DataFrame, levels: int) -> BookSeries:
    sides = {
        name: frame[[f"{name}_{level}" for level in range(1, levels + 1)]].to_numpy(dtype=np.float64)
        for name in SIDES
    }
    for side in ("bid", "ask"):
        empty = np.isnan(sides[f"{side}_price"]) & np.isnan(sides[f"{side}_size"])
        sides[f"{side}_size"] = np.where(empty, 0.0, sides[f"{side}_size"])
    trades = {name: frame[name].to_numpy(dtype=np.float64) for name in TRADES if name in frame.columns}
    return BookSeries(stamps=frame[STAMP].to_numpy(dtype=np.int64), **sides, **trades)


def _frame(books: BookSeries) -> pd.DataFrame:
    import pandas as pd

    columns = {STAMP: books.stamps}
    for level in range(books.levels):
        for name in SIDES:
            values = getattr(books, name)[:, level]
            columns[f"{name}_{level + 1}"] = (
                np.where(values == 0, np.nan, values) if name.endswith("size") else values
            )
    return pd.DataFrame(
        columns | {name: each for name in TRADES if (each := getattr(books, name)) is not None}
    )


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if _is_parquet(path):
            return _checked_types(path, pd.read_parquet(path))
        with _opened(path) as file:
            header = next(csv.reader(file), [])
        types = {name: "int64" if name == STAMP else "float64" for name in header if _is_ours(name)}
    except HistoryError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise HistoryError(f"{path}: cannot be read ({error})") from error
    try:
        return _read_csv(path, types)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _first_bad_cell(path, error) from error


def _read_csv(path: Path, types: dict[str, str]) -> pd.DataFrame:
    """Read with pyarrow, whose numbers are those that the digits say, to the last bit."""
    from pyarrow import csv as arrow

    table = arrow.read_csv(
        path,
        read_options=arrow.ReadOptions(use_threads=False),
        # A blank line would put the numbers of all lines after it out of step.
        parse_options=arrow.ParseOptions(ignore_empty_lines=False),
        convert_options=arrow.ConvertOptions(
            column_types=types, include_columns=list(types), null_values=[""]
        ),
    )
    if STAMP in types and table[STAMP].null_count:
        raise ValueError(f"a row has no {STAMP}")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _checked_types(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    for name in filter(_is_ours, frame.columns):
        kinds = "iu" if name == STAMP else "iuf"
        if frame[name].dtype.kind not in kinds:
            expected = "whole nanoseconds" if name == STAMP else "numbers"
            raise HistoryError(f"{path}: column {name} has the type {frame[name].dtype}: expected {expected}")
    return frame


def _first_bad_cell(path: Path, error: Exception) -> HistoryError:
    """Read a CSV file that was refused again, slowly, and return what is wrong with it and where."""
    try:
        with _opened(path) as file:
            rows = csv.reader(file)
            header = next(rows, [])
            for row in rows:
                fault = _bad_cell(header, row)
                if fault:
                    return HistoryError(f"{path}, line {rows.line_num}: {fault}")
    except (OSError, EOFError, ValueError, zlib.error, csv.Error):
        pass
    return HistoryError(f"{path}: cannot be read ({error})")


def _bad_cell(header: list[str], row: list[str]) -> str:
    if len(row) != len(header):
        return f"has {len(row)} cells: expected {len(header)}"
    for name, cell in zip(header, row, strict=True):
        if _is_ours(name) and not _is_usable(name, cell):
            expected = "whole nanoseconds" if name == STAMP else "a number, or nothing"
            return f"{name} is {cell!r}: expected {expected}"
    return ""


def _is_usable(name: str, cell: str) -> bool:
    try:
        int(cell) if name == STAMP else float(cell or "nan")
    except ValueError:
        return False
    return True


def _is_ours(name: str) -> bool:
    return name == STAMP or name in TRADES or _LEVEL.fullmatch(name) is not None


def _levels(path: Path, names: Iterable[str]) -> int:
    """Return the deepest level named. Raises HistoryError if there is none."""
    levels = [int(match[1]) for name in names if (match := _LEVEL.fullmatch(name))]
    if not levels:
        raise HistoryError(
            f"{path}: no column bid_price_1: expected stamp_ns and four columns for each level"
        )
    return max(levels)


def _is_parquet(path: Path) -> bool:
    if not path.name.endswith((".csv", ".csv.gz", ".parquet")):
        raise HistoryError(f"{path}: expected a name that ends in .csv, .csv.gz or .parquet")
    return path.suffix == ".parquet"


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8")
    return path.open(newline="", encoding="utf-8")
