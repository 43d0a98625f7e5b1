"""The bars of a backtest: checked once, kept as arrays that cannot be written to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain, repeat
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from trading.backtest.bars import Bar
from trading.backtest.errors import HistoryError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume")
ONLY_SYMBOL = "ASSET"
"""What the symbol of a single frame is called, when the frame does not say: frame.attrs["symbol"]."""
DAY = 86_400_000_000_000
"""Nanoseconds."""

_new_bar = cast("Callable[[type[Bar], tuple[object, ...]], Bar]", tuple.__new__)
"""Ten times as fast as Bar(...), and as good: the fields come in their order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SymbolBars:
    """One symbol's bars as arrays of one length, oldest first.

    stamps: nanoseconds since 1970-01-01 UTC of the labels, rising. volume: shares, from 0 up. dividends:
    cash per share on its ex-date, 0 for none; splits: new shares per old, 1 for none; None: the prices are
    adjusted, or there were none. Where a day has both, the split comes first and the dividend is per new
    share. extras: further columns, NaN allowed, for indicators to read. All are kept as int64 or float64.

    A high below the close, or a low above it, is let pass: real bars have them (SPY on 2015-03-05), and the
    quality check reports them.

    Raises:
        HistoryError: for a bar that cannot be used, naming symbol, date and value.
    """

    symbol: str
    stamps: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    dividends: Floats | None = None
    splits: Floats | None = None
    extras: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock()
        if not len(self.stamps):
            raise HistoryError(f"{self.symbol} has no bars: expected at least one")
        _check_order(self.symbol, self.stamps)
        for name in PRICES:
            values = getattr(self, name)
            self._check(name, values, np.isfinite(values) & (values > 0), "a price above 0")
        self._check("volume", self.volume, np.isfinite(self.volume) & (self.volume >= 0), "shares from 0 up")
        if self.dividends is not None:
            self._check("dividend", self.dividends, np.isfinite(self.dividends), "cash per share")
        if self.splits is not None:
            usable = np.isfinite(self.splits) & (self.splits > 0)
            self._check("split", self.splits, usable, "new shares per old, above 0")

    def _lock(self) -> None:
        """Keep every column as one that cannot be written to: a strategy or an indicator may be handed it."""
        kind = np.asarray(self.stamps).dtype
        if kind.kind not in "iu":
            raise HistoryError(f"dates of {self.symbol} are {kind}: expected whole nanoseconds since 1970")
        object.__setattr__(self, "stamps", _locked(self.stamps, np.int64))
        for name in (*COLUMNS, "dividends", "splits"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _locked(getattr(self, name), np.float64))
        extras = {name: _locked(column, np.float64) for name, column in self.extras.items()}
        object.__setattr__(self, "extras", extras)

    def _check(self, name: str, values: Floats, usable: NDArray[np.bool_], expected: str) -> None:
        if values.shape != self.stamps.shape:
            raise HistoryError(
                f"{name} of {self.symbol} has {values.size} values for {self.stamps.size} dates"
            )
        if not usable.all():
            at = int(np.argmin(usable))
            raise HistoryError(
                f"{name} of {self.symbol} on {said(self.stamps[at])} is {values[at]:g}: expected {expected}"
            )

    def __len__(self) -> int:
        return len(self.stamps)

    def part(self, start: int, stop: int, *, copy: bool = False) -> SymbolBars:
        """Return bars start to stop - 1: views, or copies that lead nowhere else."""
        part = object.__new__(SymbolBars)
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value = _cut(value, start, stop, copy)
            elif isinstance(value, Mapping):
                value = {key: _cut(column, start, stop, copy) for key, column in value.items()}
            object.__setattr__(part, name, value)
        return part

    def as_bars(self, values: Sequence[Floats] = ()) -> Iterator[Bar]:
        """Yield the bars one by one, made as they are asked for: a million at once would take 300 MB.

        values: what declared indicators say, each of shape (n,).
        """
        told: Iterable[tuple[float, ...]] = repeat(())
        if values:
            told = zip(*(each.data for each in values), strict=True)
        columns = (self.stamps, self.open, self.high, self.low, self.close, self.volume)
        # Numbers from memoryviews are Python's own; those from arrays would be numpy's, slow to reckon with.
        rows = zip(repeat(self.symbol), *(each.data for each in columns), told, strict=False)
        return map(_new_bar, repeat(Bar), rows)


class PriceHistory:
    """Bars of one or more symbols on a common timeline: the instants at which any of them has a bar.

    stamps: shape (instants,), the union of the symbols' labels. rows[symbol]: for each of its bars, the
    instant it belongs to.

    Raises:
        HistoryError: if a symbol is there twice, or there is none.
    """

    def __init__(self, bars: Iterable[SymbolBars]) -> None:
        given = list(bars)
        self.bars: dict[str, SymbolBars] = {each.symbol: each for each in given}
        if not given:
            raise HistoryError("there are no bars of any symbol: expected at least one")
        if len(self.bars) != len(given):
            raise HistoryError(f"symbols are {[each.symbol for each in given]}: expected each one once")
        first = given[0].stamps
        self.aligned = all(np.array_equal(first, each.stamps) for each in given[1:])
        if self.aligned:
            self.stamps = first
            everywhere = _locked(np.arange(len(first)), np.int64)
            self.rows: dict[str, Ints] = dict.fromkeys(self.bars, everywhere)
        else:
            self.stamps = _locked(np.unique(np.concatenate([each.stamps for each in given])), np.int64)
            self.rows = {
                each.symbol: _locked(np.searchsorted(self.stamps, each.stamps), np.int64) for each in given
            }
        self._closes: Floats | None = None

    @classmethod
    def from_frames(cls, historical_data: pd.DataFrame | Mapping[str, pd.DataFrame]) -> PriceHistory:
        """Return the bars of a pandas frame, or of frames by symbol.

        Each has a DatetimeIndex (naive, or aware and then turned to UTC) and the columns open, high, low,
        close and volume; dividend and split if the prices are not adjusted; other columns of numbers become
        extras.

        Raises:
            HistoryError: for a frame or a bar that cannot be used, naming symbol, date and value.
        """
        if isinstance(historical_data, Mapping):
            return cls(_from_frame(symbol, frame) for symbol, frame in historical_data.items())
        named = getattr(historical_data, "attrs", {}).get("symbol", ONLY_SYMBOL)
        return cls([_from_frame(named, historical_data)])

    def __repr__(self) -> str:
        first, last = said(self.stamps[0]), said(self.stamps[-1])
        return f"<PriceHistory of {', '.join(self.bars)}: {len(self)} instants from {first} to {last}>"

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.bars)

    def __len__(self) -> int:
        return len(self.stamps)

    def head(self, instants: int) -> PriceHistory:
        """Return what was known at the close of the first `instants` instants: no symbol listed later."""
        return self.part(0, instants)

    def between(self, start: date | None, end: date | None) -> PriceHistory:
        """Return the bars labelled from `start` to the end of `end` (UTC dates); None: no bound.

        An instant (a datetime, a Timestamp) stands for the date it is on, in UTC if it is aware.

        Raises:
            HistoryError: if no bar is left. ValueError: for a start or end that is no date.
        """
        first = _nanoseconds("start", start) if start is not None else np.iinfo(np.int64).min
        last = _nanoseconds("end", end) + DAY - 1 if end is not None else np.iinfo(np.int64).max
        kept = []
        for bars in self.bars.values():
            low, high = np.searchsorted(bars.stamps, [first, last + (last < np.iinfo(np.int64).max)])
            if high > low:
                kept.append(bars.part(int(low), int(high)))
        if not kept:
            raise HistoryError(
                f"no bars of {', '.join(self.bars)} from {start} to {end}: there are bars from "
                f"{said(self.stamps[0])} to {said(self.stamps[-1])}"
            )
        return PriceHistory(kept)

    def part(self, start: int, stop: int) -> PriceHistory:
        """Return instants start to stop - 1.

        Raises:
            HistoryError: if there is none.
        """
        kept = []
        for name, bars in self.bars.items():
            first, last = np.searchsorted(self.rows[name], [start, stop])
            if last > first:
                kept.append(bars.part(int(first), int(last)))
        return PriceHistory(kept)

    @property
    def closes(self) -> Floats:
        """The last close of each symbol at each instant, shape (instants, symbols); NaN before its first."""
        if self._closes is None:
            columns = [self.marks(symbol) for symbol in self.bars]
            self._closes = columns[0][:, None] if len(columns) == 1 else np.column_stack(columns)
            self._closes.setflags(write=False)
        return self._closes

    def marks(self, symbol: str) -> Floats:
        """Return the symbol's last close at each instant, shape (instants,); NaN before its first bar."""
        bars, rows = self.bars[symbol], self.rows[symbol]
        if len(bars) == len(self.stamps):
            return bars.close
        counts = np.searchsorted(rows, np.arange(len(self.stamps)), side="right")
        return np.where(counts > 0, bars.close[np.maximum(counts - 1, 0)], np.nan)

    def instants(self, values: Mapping[str, Sequence[Floats]]) -> Iterator[tuple[Bar, ...]]:
        """Yield, in time order, the bars of each instant in the symbols' order.

        values: what declared indicators say, by symbol, each of the shape of that symbol's bars.
        """
        streams = [bars.as_bars(values.get(name, ())) for name, bars in self.bars.items()]
        if self.aligned:
            return zip(*streams, strict=True)
        return self._merged(streams)

    def _merged(self, streams: list[Iterator[Bar]]) -> Iterator[tuple[Bar, ...]]:
        rows = np.concatenate([self.rows[name] for name in self.bars])
        order = np.argsort(rows, kind="stable")
        ends = np.searchsorted(rows[order], np.arange(len(self.stamps)), side="right").tolist()
        every = list(chain.from_iterable(streams))
        sorted_bars = [every[at] for at in order.tolist()]
        start = 0
        for end in ends:
            yield tuple(sorted_bars[start:end])
            start = end

    @property
    def fingerprint(self) -> str:
        """SHA-256 over symbols, labels and every number: the same bars have the same one."""
        digest = hashlib.sha256()
        for bars in self.bars.values():
            digest.update(f"{bars.symbol}:{len(bars)};".encode())
            for column in (bars.stamps, *(getattr(bars, name) for name in COLUMNS)):
                digest.update(np.ascontiguousarray(column).tobytes())
            for name, extra in _optional(bars):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(extra).tobytes())
        return digest.hexdigest()


def said(stamp: Any) -> str:
    """Return a label as text: a date, with its time of day if it is not midnight."""
    at = datetime.fromtimestamp(int(stamp) // 10**9, tz=UTC)
    return f"{at:%Y-%m-%d}" if int(stamp) % DAY == 0 else f"{at:%Y-%m-%d %H:%M:%S}Z"


def _optional(bars: SymbolBars) -> Iterator[tuple[str, Floats]]:
    if bars.dividends is not None:
        yield "dividend", bars.dividends
    if bars.splits is not None:
        yield "split", bars.splits
    yield from sorted(bars.extras.items())


def _nanoseconds(name: str, day: date) -> int:
    if not isinstance(day, date):
        raise ValueError(f"{name} is {day!r}: expected a datetime.date")
    if isinstance(day, datetime):
        day = (day if day.tzinfo is None else day.astimezone(UTC)).date()
    return (day - date(1970, 1, 1)).days * DAY


def _locked(values: NDArray[Any], dtype: type[Any]) -> NDArray[Any]:
    locked = np.asarray(values, dtype=dtype).view()
    locked.setflags(write=False)
    return locked


def _cut(values: NDArray[Any], start: int, stop: int, copy: bool) -> NDArray[Any]:
    cut = values[start:stop].copy() if copy else values[start:stop]
    cut.setflags(write=False)
    return cut


def _check_order(symbol: str, stamps: Ints) -> None:
    if stamps.ndim != 1:
        raise HistoryError(f"dates of {symbol} have the shape {stamps.shape}: expected one dimension")
    steps = stamps[1:] <= stamps[:-1]
    if steps.any():
        at = int(np.argmax(steps)) + 1
        what = "is there twice" if stamps[at] == stamps[at - 1] else f"stands after {said(stamps[at - 1])}"
        raise HistoryError(f"date {said(stamps[at])} of {symbol} {what}: expected rising dates")


def _from_frame(symbol: str, frame: pd.DataFrame) -> SymbolBars:
    import pandas as pd

    if not isinstance(symbol, str) or not symbol:
        raise HistoryError(f"symbol is {symbol!r}: expected its name as text")
    if not isinstance(frame, pd.DataFrame):
        raise HistoryError(f"bars of {symbol} are a {type(frame).__name__}: expected a pandas DataFrame")
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise HistoryError(
            f"bars of {symbol} have no column {', '.join(missing)}: expected {', '.join(COLUMNS)}"
        )
    if not isinstance(frame.index, pd.DatetimeIndex):
        raise HistoryError(
            f"index of the bars of {symbol} is a {type(frame.index).__name__}: expected a DatetimeIndex"
        )
    columns = {
        str(name): _column(symbol, name, frame[name]) for name in frame.columns if _wanted(frame, name)
    }
    return SymbolBars(
        symbol=symbol,
        stamps=_stamps(symbol, frame.index),
        **{name: columns[name] for name in COLUMNS},
        dividends=columns.get("dividend"),
        splits=columns.get("split"),
        extras={k: v for k, v in columns.items() if k not in (*COLUMNS, "dividend", "split")},
    )


def _stamps(symbol: str, index: pd.DatetimeIndex) -> Ints:
    import pandas as pd

    naive = index if index.tz is None else index.tz_convert("UTC").tz_localize(None)
    if naive.hasnans:
        row = int(np.argmax(naive.isna()))
        raise HistoryError(f"date of {symbol} in row {row} is NaT: expected a date in every row")
    beyond = (naive < pd.Timestamp.min) | (naive > pd.Timestamp.max)
    if beyond.any():
        raise HistoryError(
            f"date of {symbol} in row {int(np.argmax(beyond))} is {naive[beyond][0]}: expected one between "
            f"{pd.Timestamp.min:%Y-%m-%d} and {pd.Timestamp.max:%Y-%m-%d}, as nanoseconds reach no further"
        )
    return naive.as_unit("ns").asi8.copy()


def _wanted(frame: pd.DataFrame, name: Any) -> bool:
    from pandas.api.types import is_any_real_numeric_dtype

    return name in (*COLUMNS, "dividend", "split") or is_any_real_numeric_dtype(frame[name])


def _column(symbol: str, name: Any, values: pd.Series) -> Floats:
    if values.ndim != 1:
        raise HistoryError(
            f"bars of {symbol} have the column {name} {values.shape[1]} times: expected it once"
        )
    if values.dtype.kind not in "iuf":
        # Text that looks like a number, or a truth value, would be taken for one below.
        for day, value in values.items():
            if not _is_number(value):
                on = str(day).removesuffix(" 00:00:00")
                raise HistoryError(f"{name} of {symbol} on {on} is {value!r}: expected a number")
    return np.array(values.to_numpy(dtype=np.float64, na_value=np.nan))


def _is_number(value: object) -> bool:
    """Return whether it is a number or stands for none (None, NaN, NA), which the checks of prices find."""
    import pandas as pd

    return (
        value is None or value is pd.NA or (isinstance(value, Real | Decimal) and not isinstance(value, bool))
    )
