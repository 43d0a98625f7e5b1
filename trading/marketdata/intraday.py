"""Intraday bars on disk: per length and symbol one Parquet file a month, replaced whole.

A month's file, not one file for all time: a day's new bars then rewrite some hundred kilobytes, and an SD
card is spared. Importing this module loads neither pandas nor pyarrow; reading and writing do.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.clock import SystemClock
from trading.marketdata.bars import BarStore
from trading.marketdata.errors import BarStoreError
from trading.marketdata.files import locked, replacing
from trading.marketdata.intraday_index import (
    IntradayEntry,
    Month,
    Series,
    intraday_folder,
    month_files,
    read_entries,
    read_entry,
    series_folder,
    write_entry,
)

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
NUMBERS = ("open", "high", "low", "close", "volume")
PLACED = ("day", "minute", "session_minutes", "is_early")
COLUMNS = (*NUMBERS, *PLACED)
FULLNESS = 0.9
"""A stored day is not replaced by one that has less than this share of its bars: a torn file, most often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What became of the days given to `IntradayStore.merge`. kept: stored ones with clearly more bars."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    kept: tuple[date, ...] = ()


class IntradayStore:
    """Reads and writes data_dir/bars/intraday/MINUTES/SYMBOL/YYYY-MM.parquet.

    A frame has a DatetimeIndex named `ts`, the START of each bar in UTC, rising without duplicates, and the
    columns open, high, low, close [$], volume [shares] (floats); day (the session's date, naive midnight),
    minute (from the session's open to the bar's start), session_minutes (from its open to its close) and
    is_early (it closed early). Only bars within a session are stored; minutes without a trade have none.
    """

    def __init__(self, data_dir: Path | str) -> None:
        self.data_dir = Path(data_dir)

    def folder(self, symbol: str, minutes: int) -> Path:
        """Return where a series is. Raises BarStoreError for a name that could not be a file's."""
        BarStore(self.data_dir).path(symbol)
        return series_folder(self.data_dir, (symbol, minutes))

    def entries(self) -> dict[Series, IntradayEntry]:
        """Return what is stored by (symbol, minutes), without reading any bars."""
        return read_entries(self.data_dir)

    def entry(self, symbol: str, minutes: int) -> IntradayEntry | None:
        """Return what is stored of one series; None: nothing. An outdated index is made again."""
        folder = self.folder(symbol, minutes)
        entry = read_entry(self.data_dir, (symbol, minutes))
        return entry if entry is not None or not month_files(folder) else self._indexed_again(symbol, minutes)

    def lengths(self, symbol: str) -> list[IntradayEntry]:
        """Return what is stored of a symbol, the shortest bars first; empty: nothing."""
        BarStore(self.data_dir).path(symbol)
        folders = intraday_folder(self.data_dir).glob(f"*/{glob.escape(symbol)}")
        minutes = sorted(int(path.parent.name) for path in folders if path.parent.name.isdigit())
        found = [self.entry(symbol, each) for each in minutes]
        return [entry for entry in found if entry is not None]

    def read(
        self,
        symbol: str,
        minutes: int,
        *,
        first: date | None = None,
        last: date | None = None,
        columns: Sequence[str] = COLUMNS,
    ) -> pd.DataFrame:
        """Return the bars of the sessions from `first` to `last`, both included; None: no bound.

        columns: which to read (`day` comes with them). The frame is empty when the series has no bars there.

        Raises:
            BarStoreError: if nothing of the series is stored, or a file is damaged.
        """
        import pandas as pd

        paths = month_files(self.folder(symbol, minutes))
        if not paths:
            raise BarStoreError(
                f"{self.folder(symbol, minutes)}: no {minutes}-minute bars of {symbol} are stored; "
                f"run scripts/refresh_intraday_data.py with a source that has them"
            )
        # The newest file lends its columns when no month is touched.
        months = [p for p in paths if _touches(p.stem, first, last)] or paths[-1:]
        names = list(columns) if "day" in columns else ["day", *columns]
        frame = pd.concat([read_month(path, names) for path in months])
        if first is not None:
            frame = frame[frame["day"] >= pd.Timestamp(first)]
        if last is not None:
            frame = frame[frame["day"] <= pd.Timestamp(last)]
        return frame

    def merge(
        self,
        symbol: str,
        minutes: int,
        frame: pd.DataFrame,
        source: str,
        *,
        fetched_at: datetime | None = None,
        accept_loss: bool = False,
    ) -> Merged:
        """Put whole sessions into the store; stored ones of the same dates are replaced whole.

        frame: as the class says; it must have bars. fetched_at: aware UTC, None for now. accept_loss: let a
        day be replaced even by one with clearly fewer bars. Months in which nothing changes are not written.

        Raises:
            BarStoreError: if the frame is not one of bars, or a stored file is damaged.
            OSError: if a file cannot be written.
        """
        folder = self.folder(symbol, minutes)
        missing = [name for name in COLUMNS if name not in frame.columns]
        if missing or not len(frame):
            what = f"no column {', '.join(missing)}" if missing else "no rows"
            raise BarStoreError(f"intraday bars of {symbol} cannot be stored: {what}")
        at = fetched_at or SystemClock().now()
        with locked(self.data_dir / "bars" / ".lock"):
            entry = self.entry(symbol, minutes)
            months = dict(entry.months) if entry else {}
            result = Merged()
            for name, part in frame.groupby(frame["day"].dt.strftime("%Y-%m")):
                path = folder / f"{name}.parquet"
                old = read_month(path) if path.exists() else part.iloc[:0]
                whole, merged = merge_days(old, part[list(COLUMNS)], accept_loss=accept_loss)
                result = _sum(result, merged)
                if merged.added or merged.replaced:
                    _write_month(path, whole, source, at)
                    months[str(name)] = month_of(path, whole)
            if result.added or result.replaced:
                self._write_entry(symbol, minutes, source, at, months)
        return result

    def _write_entry(
        self, symbol: str, minutes: int, source: str, at: datetime, months: dict[str, Month]
    ) -> IntradayEntry:
        entry = IntradayEntry(
            symbol=symbol,
            minutes=minutes,
            source=source,
            fetched_at=at.astimezone(UTC),
            months=dict(sorted(months.items())),
        )
        write_entry(self.data_dir, entry)
        return entry

    def _indexed_again(self, symbol: str, minutes: int) -> IntradayEntry:
        paths = month_files(self.folder(symbol, minutes))
        months = {path.stem: month_of(path, read_month(path, PLACED)) for path in paths}
        source, at = _marks(paths[-1])
        return self._write_entry(symbol, minutes, source, at, months)


def merge_days(
    old: pd.DataFrame, new: pd.DataFrame, *, accept_loss: bool = False
) -> tuple[pd.DataFrame, Merged]:
    """Return `old` with the days of `new` in place of its own, and what became of each day."""
    import pandas as pd

    stored = {_date(day): bars for day, bars in old.groupby("day")}
    added, replaced, unchanged, kept = 0, 0, 0, []
    for stamp, bars in new.groupby("day"):
        day = _date(stamp)
        before = stored.get(day)
        if before is not None and before.equals(bars):
            unchanged += 1
        elif before is not None and len(bars) < FULLNESS * len(before) and not accept_loss:
            kept.append(day)
        else:
            added += before is None
            replaced += before is not None
            stored[day] = bars
    whole = pd.concat([stored[day] for day in sorted(stored)])
    return whole, Merged(added=added, replaced=replaced, unchanged=unchanged, kept=tuple(kept))


def read_month(path: Path, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Return the bars of one file. Raises BarStoreError if it is damaged."""
    import pandas as pd
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(
            path, columns=["ts", *columns], memory_map=False, use_threads=False, partitioning=None
        )
        frame: pd.DataFrame = table.to_pandas()
        frame.index = pd.DatetimeIndex(frame.pop("ts"), name="ts").as_unit("s")
        if "day" in frame:
            frame["day"] = pd.to_datetime(frame["day"]).astype("datetime64[s]")
        if not len(frame):
            raise ValueError("no rows")
    except (OSError, ArrowException, KeyError, ValueError) as error:
        raise BarStoreError(
            f"{path}: cannot be read as intraday bars ({error}); "
            f"move it away and run scripts/refresh_intraday_data.py again"
        ) from error
    return frame[list(columns)]


def month_of(path: Path, frame: pd.DataFrame) -> Month:
    """Return what the index says of one file that holds `frame`."""
    days, stat = frame.drop_duplicates("day"), path.stat()
    return Month(
        first=days["day"].iloc[0].date(),
        last=days["day"].iloc[-1].date(),
        days=len(days),
        early_days=int(days["is_early"].sum()),
        rows=len(frame),
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
    )


def _date(stamp: object) -> date:
    import pandas as pd

    day: date = pd.Timestamp(stamp).date()  # type: ignore[arg-type]  # a label of `day`; a date by construction
    return day


def _touches(month: str, first: date | None, last: date | None) -> bool:
    return (first is None or month >= f"{first:%Y-%m}") and (last is None or month <= f"{last:%Y-%m}")


def _sum(one: Merged, other: Merged) -> Merged:
    return Merged(
        added=one.added + other.added,
        replaced=one.replaced + other.replaced,
        unchanged=one.unchanged + other.unchanged,
        kept=one.kept + other.kept,
    )


def _marks(path: Path) -> tuple[str, datetime]:
    """The source of a file and when it was fetched. Raises BarStoreError if the file does not say."""
    from pyarrow import ArrowException, parquet

    try:
        raw: dict[bytes, bytes] = parquet.read_schema(path).metadata or {}
        return raw[b"source"].decode(), datetime.fromisoformat(raw[b"fetched_at"].decode())
    except (OSError, ArrowException, KeyError, ValueError) as error:
        raise BarStoreError(f"{path}: does not say where it is from ({error}); move it away") from error


def _write_month(path: Path, frame: pd.DataFrame, source: str, at: datetime) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    types = {
        "ts": pa.timestamp("ms", tz="UTC"),
        **dict.fromkeys(NUMBERS, pa.float64()),
        "day": pa.date32(),
        "minute": pa.int32(),
        "session_minutes": pa.int32(),
        "is_early": pa.bool_(),
    }
    columns = {"ts": frame.index, **{name: frame[name] for name in COLUMNS}}
    columns["day"] = frame["day"].dt.date
    arrays = [pa.array(columns[name], type=kind) for name, kind in types.items()]
    marks = {"source": source, "fetched_at": at.astimezone(UTC).isoformat()}
    marks["schema_version"] = str(SCHEMA_VERSION)
    table = pa.Table.from_arrays(arrays, names=list(types)).replace_schema_metadata(marks)
    with replacing(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd")
