"""One day's recorded bars for a replay: from the intraday store, or from CSV files as they came.

Importing this module is light; reading loads pandas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from trading.execution.markets.traded import Bar
from trading.execution.smart.plan import SessionHours
from trading.marketdata.errors import BarStoreError, SourceError
from trading.marketdata.intraday import NUMBERS, IntradayStore
from trading.marketdata.sources.csv_intraday import CsvIntraday

if TYPE_CHECKING:
    import pandas as pd

Row = tuple[datetime, float, float, float, float, float]
"""start (aware UTC), open, high, low, close [$/share], volume [shares]."""
Bars = dict[str, list[Bar]]
"""By symbol, oldest first: what a `BarMarket` is made of."""


def stored_bars(store: IntradayStore, symbols: Sequence[str], hours: SessionHours) -> Bars:
    """Return the bars of `symbols` within one session: the shortest stored of each that has that day.

    Raises:
        BarStoreError: if a symbol has none there, or a file is damaged.
    """
    return {symbol: _stored(store, symbol, hours) for symbol in symbols}


def _stored(store: IntradayStore, symbol: str, hours: SessionHours) -> list[Bar]:
    for entry in store.lengths(symbol):
        frame = store.read(symbol, entry.minutes, first=hours.day, last=hours.day, columns=NUMBERS)
        bars = bars_of(_rows(frame), timedelta(minutes=entry.minutes), hours)
        if bars:
            return bars
    raise BarStoreError(
        f"no intraday bars of {symbol} on {hours.day} are stored; replay another day, or run "
        f"scripts/refresh_intraday_data.py with a source that has them"
    )


def csv_bars(path: Path, symbols: Sequence[str], hours: SessionHours) -> Bars:
    """Return the bars of `symbols` within one session: the shortest of each that the files have.

    path: a CSV file as `CsvIntraday` says, a folder of such files, or one with a folder `intraday` in it.

    Raises:
        SourceError: if a symbol has no bars there, or a file cannot be read or is not of that form.
    """
    reader, names = _reader(path)
    found: dict[str, tuple[int, list[Bar]]] = {}
    for name in names:
        for series in reader.fetch_batch(name):
            bars = bars_of(_rows(series.frame), timedelta(minutes=series.minutes), hours)
            if series.symbol in symbols and bars:
                is_shorter = series.symbol not in found or series.minutes < found[series.symbol][0]
                found[series.symbol] = (series.minutes, bars) if is_shorter else found[series.symbol]
    missing = [symbol for symbol in symbols if symbol not in found]
    if missing:
        raise SourceError(f"{path}: no intraday bars of {', '.join(missing)} on {hours.day}")
    return {symbol: found[symbol][1] for symbol in symbols}


def _reader(path: Path) -> tuple[CsvIntraday, list[str]]:
    """Return a reader and the files it shall read."""
    reader = CsvIntraday(str(path.parent if path.is_file() else path))
    if path.is_file() or not reader.folder.is_dir():
        # The files are here, not in a folder `intraday` below.
        reader.folder = reader.folder.parent
    names = [path.name] if path.is_file() else [batch.name for batch in reader.batches()]
    return reader, names


def bars_of(rows: Iterable[Row], length: timedelta, hours: SessionHours) -> list[Bar]:
    """Return those of the rows that lie within the session as bars: prices as written, volume in whole
    shares."""
    return [
        Bar(start, _price(first), _price(high), _price(low), _price(last), round(volume), length)
        for start, first, high, low, last, volume in rows
        if hours.open <= start and start + length <= hours.close
    ]


def _price(value: float) -> Decimal:
    """The shortest decimal number that is this float: what the file said."""
    return Decimal(repr(value))


def _rows(frame: pd.DataFrame) -> list[Row]:
    import pandas as pd

    starts = pd.DatetimeIndex(frame.index).to_pydatetime().tolist()
    return list(zip(starts, *(frame[name].tolist() for name in NUMBERS), strict=True))
