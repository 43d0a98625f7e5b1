"""A folder of CSV files, one per symbol: the way in for bars from any vendor."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TextIO

from trading.marketdata.errors import SourceError
from trading.marketdata.sources.csv_cells import MAX_PROBLEMS, Problems, column_name, number, opened
from trading.marketdata.sources.source import Fetched

REQUIRED = ("date", "open", "high", "low", "close", "volume")
ALIASES = {
    "adjclose": "adj_close",
    "adjusted_close": "adj_close",
    "dividends": "dividend",
    "dividend_amount": "dividend",
    "splits": "split",
    "stock_splits": "split",
    "split_ratio": "split",
    "split_coefficient": "split",
}
"""Header names that vendors use (in lower case, with _ between words), by the name they have here."""
KNOWN = (*REQUIRED, "adj_close", "dividend", "split")

__all__ = ["MAX_PROBLEMS", "CsvFolder"]


class CsvFolder:
    """SYMBOL.csv or SYMBOL.csv.gz in one folder; a header line with date, open, high, low, close, volume and,
    where there are any, adj_close, dividend and split, in any order and case; other columns are ignored.

    Dates are ISO (2026-11-20), numbers have a decimal point. Raises SourceError when no folder is given.
    """

    def __init__(self, argument: str = "") -> None:
        if not argument:
            raise SourceError("source 'csv' needs a folder; write --source csv:FOLDER")
        self.folder = Path(argument).expanduser().resolve()

    @property
    def name(self) -> str:
        return f"csv:{self.folder}"

    @property
    def remark(self) -> str:
        return ""

    def symbols(self) -> list[str]:
        return sorted(self._files())

    def fingerprint(self, symbol: str) -> str:
        stat = self._file(symbol).stat()
        return f"{stat.st_size} bytes, {stat.st_mtime_ns}"

    def fetch(self, symbol: str) -> Fetched:
        path, fingerprint = self._file(symbol), self.fingerprint(symbol)
        try:
            with opened(path) as file:
                rows = _Rows(path.name, file)
                rows.read()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise SourceError(f"{path}: cannot be read ({error}); replace the file") from error
        except csv.Error as error:
            raise SourceError(f"{path}: is not CSV ({error}); replace the file") from error
        if rows.problems:
            raise SourceError(rows.problems)
        return _frame(rows, fingerprint)

    def _file(self, symbol: str) -> Path:
        files = self._files()
        if symbol not in files:
            raise SourceError(f"{self.folder} has no {symbol}.csv or {symbol}.csv.gz")
        return files[symbol]

    def _files(self) -> dict[str, Path]:
        if not self.folder.is_dir():
            raise SourceError(
                f"{self.folder}: there is no such folder; write --source csv:FOLDER with one that is"
            )
        files: dict[str, Path] = {}
        for path in sorted(self.folder.iterdir()):
            match = re.fullmatch(r"([^.].*)\.csv(\.gz)?", path.name, re.IGNORECASE)
            if not match or not path.is_file():
                continue
            symbol = match[1].upper()
            if symbol in files:
                raise SourceError(f"{path}: {symbol} is also in {files[symbol].name}; remove one of the two")
            files[symbol] = path
        return files


class _Rows:
    """The rows of one file, and what is wrong with it, line by line."""

    def __init__(self, name: str, file: TextIO) -> None:
        self.reader = csv.reader(file)
        self.dates: list[date] = []
        self.values: dict[str, list[float]] = {}
        self.problems = Problems(name)

    def read(self) -> None:
        header = [column_name(cell, ALIASES) for cell in next(self.reader, [])]
        missing = [name for name in REQUIRED if name not in header]
        repeated = sorted({name for name in KNOWN if header.count(name) > 1})
        if missing or repeated:
            what = f"no column {', '.join(missing)}" if missing else f"two columns {', '.join(repeated)}"
            self.problems.note(1, f"{what}; expected {', '.join(REQUIRED)} (got {header})")
            return
        place = {name: header.index(name) for name in KNOWN if name in header}
        self.values = {name: [] for name in place if name != "date"}
        for row in self.reader:
            if row:
                self._take(row, place, len(header))
        if not self.dates and not self.problems:
            self.problems.note(1, "no rows after the header")

    def _take(self, row: Sequence[str], place: dict[str, int], width: int) -> None:
        try:
            if len(row) != width:
                raise ValueError(f"{len(row)} fields, expected {width}")
            day = _date(row[place["date"]])
            numbers = {name: _number(name, row[at]) for name, at in place.items() if name != "date"}
        except ValueError as error:
            self.problems.note(self.reader.line_num, error)
            return
        self.dates.append(day)
        for name, value in numbers.items():
            self.values[name].append(value)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"date {text!r} is not like 2026-11-20") from None


def _number(name: str, text: str) -> float:
    value = number(name, text)
    # Some vendors write 0 for "no split".
    return 1.0 if name == "split" and value == 0 else value


def _frame(rows: _Rows, fingerprint: str) -> Fetched:
    import pandas as pd

    frame = pd.DataFrame(rows.values, index=pd.DatetimeIndex(rows.dates, name="date").as_unit("s"))
    notes: tuple[str, ...] = ()
    if "adj_close" not in frame.columns:
        frame["adj_close"] = frame["close"]
        notes = ("the file has no adj_close; the raw close stands in, so returns across splits are wrong",)
    if len(frame) > 1 and frame.index.is_monotonic_decreasing:
        frame = frame.iloc[::-1]
    return Fetched(frame=frame, fingerprint=fingerprint, notes=notes)
