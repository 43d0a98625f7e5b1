"""A folder of CSV files with intraday bars: FOLDER/intraday beside the daily files of `csv:FOLDER`."""

from __future__ import annotations

import csv
import math
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from zoneinfo import ZoneInfo

from trading.marketdata.errors import SourceError
from trading.marketdata.sources.csv_cells import Problems, column_name, number, opened
from trading.marketdata.sources.source import Batch, IntradaySeries

if TYPE_CHECKING:
    import pandas as pd

ZONE = ZoneInfo("America/New_York")
"""Wall clock of stamps without an offset: the exchange's (XNYS)."""
NUMBERS = ("open", "high", "low", "close", "volume")
REQUIRED = ("ts", *NUMBERS)
ALIASES = {"timestamp": "ts", "datetime": "ts", "date_time": "ts", "ticker": "symbol"}
LONGEST = 390
"""Minutes; a longer bar is no intraday bar of a session of 6.5 hours."""

_NAMED = re.compile(r"(?P<symbol>[^.].*?)(_(?P<minutes>\d+)min(_.*?)?)?\.csv(\.gz)?", re.IGNORECASE)


class CsvIntraday:
    """FOLDER/intraday/*.csv[.gz], each a batch: a header line with ts, open, high, low, close, volume and, in
    files of several symbols, symbol; in any order and case; other columns are ignored.

    ts is the START of the bar in ISO (2026-11-20 09:30:00): New York wall clock, daylight saving
    included, or with an offset (2026-11-20T14:30:00Z). Names: SYMBOL_1min.csv, SYMBOL_1min_2026.csv.gz,
    SYMBOL.csv; a file with a symbol column may be called anything. Without `_Nmin` in the name the length of
    a bar is the most frequent distance between stamps. No folder `intraday`: no batches.

    Raises SourceError when no folder is given.
    """

    def __init__(self, argument: str = "") -> None:
        if not argument:
            raise SourceError("source 'csv' needs a folder; write --source csv:FOLDER")
        self._given = Path(argument).expanduser().resolve()
        self.folder = self._given / "intraday"

    @property
    def name(self) -> str:
        return f"csv:{self._given}"

    def batches(self) -> list[Batch]:
        if not self._given.is_dir():
            raise SourceError(
                f"{self._given}: there is no such folder; write --source csv:FOLDER with one that is"
            )
        if not self.folder.is_dir():
            return []
        paths = [p for p in sorted(self.folder.iterdir()) if _NAMED.fullmatch(p.name) and p.is_file()]
        stats = [(path, path.stat()) for path in paths]
        return [
            Batch(name=path.name, fingerprint=f"{stat.st_size} bytes, {stat.st_mtime_ns}")
            for path, stat in stats
        ]

    def fetch_batch(self, name: str) -> list[IntradaySeries]:
        path, match = self.folder / name, _NAMED.fullmatch(name)
        if match is None:
            raise SourceError(f"{path}: is not called like SYMBOL_1min.csv or SYMBOL_1min.csv.gz")
        try:
            with opened(path) as file:
                rows = _Rows(name, file, match["symbol"].upper())
                rows.read()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise SourceError(f"{path}: cannot be read ({error}); replace the file") from error
        if rows.problems:
            raise SourceError(rows.problems)
        minutes = bar_minutes(rows.columns, int(match["minutes"]) if match["minutes"] else None, path)
        return [
            IntradaySeries(symbol=symbol, minutes=minutes, frame=columns.frame())
            for symbol, columns in sorted(rows.columns.items())
        ]


class _Columns:
    """The bars of one symbol, 48 bytes each. stamps: seconds since 1970 (UTC)."""

    def __init__(self) -> None:
        self.stamps = array("q")
        self.numbers = {name: array("d") for name in NUMBERS}

    def frame(self) -> pd.DataFrame:
        import numpy as np
        import pandas as pd

        index = pd.DatetimeIndex(np.array(self.stamps, dtype="datetime64[s]"), tz="UTC", name="ts")
        values = {name: np.array(column) for name, column in self.numbers.items()}
        frame = pd.DataFrame(values, index=index)
        return frame.iloc[::-1] if len(frame) > 1 and index.is_monotonic_decreasing else frame

    def distances(self) -> Counter[int]:
        """How often each distance between neighbouring stamps occurs [s]; equal stamps are left out."""
        pairs = zip(self.stamps, self.stamps[1:], strict=False)
        return Counter(abs(after - before) for before, after in pairs if after != before)


class _Rows:
    """The rows of one file by symbol, and what is wrong with it, line by line."""

    def __init__(self, name: str, file: TextIO, symbol: str) -> None:
        self.reader = csv.reader(file)
        self.symbol = symbol
        self.columns: dict[str, _Columns] = {}
        self.problems = Problems(name)

    def read(self) -> None:
        header = [column_name(cell, ALIASES) for cell in next(self.reader, [])]
        missing = [name for name in REQUIRED if name not in header]
        repeated = sorted({name for name in (*REQUIRED, "symbol") if header.count(name) > 1})
        if missing or repeated:
            what = f"no column {', '.join(missing)}" if missing else f"two columns {', '.join(repeated)}"
            self.problems.note(1, f"{what}; expected {', '.join(REQUIRED)} (got {header})")
            return
        place = {name: header.index(name) for name in (*REQUIRED, "symbol") if name in header}
        for row in self.reader:
            if row:
                self._take(row, place, len(header))
        if not self.columns and not self.problems:
            self.problems.note(1, "no rows after the header")

    def _take(self, row: Sequence[str], place: Mapping[str, int], width: int) -> None:
        try:
            if len(row) != width:
                raise ValueError(f"{len(row)} fields, expected {width}")
            symbol = row[place["symbol"]].strip().upper() if "symbol" in place else self.symbol
            if not symbol:
                raise ValueError("symbol is empty")
            stamp = bar_start(row[place["ts"]])
            values = [number(name, row[place[name]]) for name in NUMBERS]
        except ValueError as error:
            self.problems.note(self.reader.line_num, error)
            return
        columns = self.columns.setdefault(symbol, _Columns())
        columns.stamps.append(stamp)
        for name, value in zip(NUMBERS, values, strict=True):
            columns.numbers[name].append(value)


def bar_start(text: str) -> int:
    """Return a stamp in seconds since 1970 (UTC); without an offset it is New York wall clock.

    The hour that a clock change repeats counts as the first, one that it skips as an hour later; no session
    has either. Raises ValueError for what is no instant of a whole second since then.
    """
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        instant = None
    has_clock = len(text.strip()) > len("2026-11-20")
    if instant is None or not has_clock or instant.microsecond or instant.year < 1970:
        raise ValueError(f"ts {text!r} is not like 2026-11-20 09:30:00")
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=ZONE)
    return int(instant.astimezone(UTC).timestamp())


def bar_minutes(series: Mapping[str, _Columns], named: int | None, path: Path) -> int:
    """Return the length of the bars: what the name says, else the most frequent distance between stamps.

    Raises SourceError when there is none, or when all stamps are farther apart than the name says.
    """
    distances: Counter[int] = Counter()
    for columns in series.values():
        distances.update(columns.distances())
    if named is None and not distances:
        raise SourceError(f"{path}: one bar tells no length; write it in the name, as SYMBOL_5min.csv")
    seconds = 60 * named if named is not None else min(distances, key=lambda s: (-distances[s], s))
    if seconds % 60 or not 60 <= seconds <= 60 * LONGEST:
        raise SourceError(f"{path}: bars of {seconds / 60:g} minutes; expected 1 to {LONGEST} whole minutes")
    step = math.gcd(*distances) if distances else seconds
    if named is not None and step > seconds:
        raise SourceError(
            f"{path}: the name says {named} min, but no stamps are nearer than {step // 60} min"
        )
    return seconds // 60
