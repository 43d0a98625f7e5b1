"""Daily bars on disk: one Parquet file per symbol, replaced whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.clock import SystemClock
from trading.marketdata.errors import BarStoreError
from trading.marketdata.files import locked, replacing
from trading.marketdata.index import Entry, bars_folder, read_index, write_index

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
PRICES = ("open", "high", "low", "close", "adj_close")
COLUMNS = (*PRICES, "volume")
OPTIONAL = ("dividend", "split")
"""Kept when the source knows them: cash per share on its ex-date (0: none), new shares per old (1: none)."""

_SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9._=^-]{0,23}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsMeta:
    """What a file says of itself. ends_on: the date at which its source itself ends, None if it goes on."""

    source: str
    fetched_at: datetime
    schema_version: int
    fingerprint: str = ""
    ends_on: date | None = None


class BarStore:
    """Reads and writes data_dir/bars/daily/SYMBOL.parquet.

    A frame has a naive DatetimeIndex named `date` (the exchange's session dates) and the float columns open,
    high, low, close (raw), adj_close (adjusted for splits and dividends) and volume [shares]; dividend
    [cash per share] and split [new shares per old] where the source knows them. Importing this module loads
    neither pandas nor pyarrow; reading and writing do.
    """

    def __init__(self, data_dir: Path | str) -> None:
        self.data_dir = Path(data_dir)
        self.folder = bars_folder(self.data_dir)

    def path(self, symbol: str) -> Path:
        """Return a symbol's file. Raises BarStoreError for a name that could not be a file's."""
        if not _SYMBOL.fullmatch(symbol):
            raise BarStoreError(
                f"symbol {symbol!r} cannot be stored: expected 1 to 24 of A-Z, 0-9, '.', '_', '=', '^', '-', "
                f"not beginning with a dot"
            )
        return self.folder / f"{symbol}.parquet"

    def symbols(self) -> list[str]:
        """Return the stored symbols, sorted."""
        return sorted(p.stem for p in self.folder.glob("*.parquet") if not p.name.startswith("."))

    def read(self, symbol: str) -> pd.DataFrame:
        """Return a symbol's bars. Raises BarStoreError if there are none or the file is damaged."""
        import pandas as pd

        frame: pd.DataFrame = self._table(symbol).to_pandas()

        frame.index = pd.DatetimeIndex(pd.to_datetime(frame.pop("date")), name="date").as_unit("s")
        return frame

    def meta(self, symbol: str) -> BarsMeta:
        """Return what the file says of its source. Raises BarStoreError if it cannot be read."""
        from pyarrow import ArrowException, parquet

        try:
            raw: dict[bytes, bytes] = parquet.read_schema(self.path(symbol)).metadata or {}
            ends_on = raw.get(b"ends_on", b"").decode()
            return BarsMeta(
                source=raw[b"source"].decode(),
                fetched_at=datetime.fromisoformat(raw[b"fetched_at"].decode()),
                schema_version=int(raw[b"schema_version"]),
                fingerprint=raw.get(b"fingerprint", b"").decode(),
                ends_on=date.fromisoformat(ends_on) if ends_on else None,
            )
        except (OSError, ArrowException, KeyError, ValueError) as error:
            raise self._unreadable(symbol, error) from error

    def last_date(self, symbol: str) -> date | None:
        """Return the date of the newest stored bar; None if the symbol is not stored."""
        entry = self.entries().get(symbol)
        if entry is not None:
            return entry.last
        if not self.path(symbol).exists():
            return None
        last: date = self.read(symbol).index[-1].date()
        return last

    def entries(self) -> dict[str, Entry]:
        """Return the index: what is stored, by symbol, without reading any bars."""
        return read_index(self.data_dir)

    def write(
        self,
        symbol: str,
        frame: pd.DataFrame,
        source: str,
        *,
        fetched_at: datetime | None = None,
        fingerprint: str = "",
        ends_on: date | None = None,
    ) -> None:
        """Replace a symbol's bars: after a power cut the old file is there, or the new one.

        fetched_at: aware UTC, None for now. fingerprint: the source's mark of this version. ends_on: the
        date at which the source itself ends. Raises BarStoreError when the frame is not one of bars.
        """
        path = self.path(symbol)
        self._check_shape(symbol, frame)
        at = fetched_at or SystemClock().now()
        marks = {"source": source, "fetched_at": at.astimezone(UTC).isoformat(), "fingerprint": fingerprint}
        marks["schema_version"] = str(SCHEMA_VERSION)
        marks["ends_on"] = ends_on.isoformat() if ends_on else ""
        with locked(self.data_dir / "bars" / ".lock"):
            with replacing(path) as temporary:
                _write_parquet(temporary, frame, marks)
            stat = path.stat()
            entry = Entry(
                first=frame.index[0].date(),
                last=frame.index[-1].date(),
                rows=len(frame),
                source=source,
                fetched_at=at,
                fingerprint=fingerprint,
                ends_on=ends_on,
                size=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
            )
            write_index(self.data_dir, {**self.entries(), symbol: entry})

    def mark(self, symbol: str, fingerprint: str) -> None:
        """Note that the source's version `fingerprint` holds the same bars as are stored."""
        with locked(self.data_dir / "bars" / ".lock"):
            entries = self.entries()
            if symbol not in entries:
                entries[symbol] = self._indexed_again(symbol)
            entries[symbol] = replace(entries[symbol], fingerprint=fingerprint)
            write_index(self.data_dir, entries)

    def _indexed_again(self, symbol: str) -> Entry:
        frame, meta, stat = self.read(symbol), self.meta(symbol), self.path(symbol).stat()
        return Entry(
            first=frame.index[0].date(),
            last=frame.index[-1].date(),
            rows=len(frame),
            source=meta.source,
            fetched_at=meta.fetched_at,
            ends_on=meta.ends_on,
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
        )

    def _table(self, symbol: str) -> Any:
        from pyarrow import ArrowException, parquet

        try:
            table = parquet.read_table(self.path(symbol), memory_map=False, use_threads=False)
        except (OSError, ArrowException) as error:
            raise self._unreadable(symbol, error) from error
        missing = {"date", *COLUMNS} - set(table.column_names)
        if missing or table.num_rows == 0:
            what = f"no column {', '.join(sorted(missing))}" if missing else "no rows"
            raise self._unreadable(symbol, what)
        return table

    def _unreadable(self, symbol: str, why: object) -> BarStoreError:
        path = self.path(symbol)
        if not path.exists():
            return BarStoreError(f"{path}: {symbol} is not stored; run scripts/refresh_eod_data.py first")
        return BarStoreError(
            f"{path}: cannot be read as bars ({why}); move it away and run scripts/refresh_eod_data.py again"
        )

    def _check_shape(self, symbol: str, frame: pd.DataFrame) -> None:
        missing = [name for name in COLUMNS if name not in frame.columns]
        if missing or len(frame) == 0:
            what = f"no column {', '.join(missing)}" if missing else "no rows"
            raise BarStoreError(f"bars of {symbol} cannot be stored: {what}; expected {', '.join(COLUMNS)}")


def _write_parquet(path: Path, frame: pd.DataFrame, marks: dict[str, str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    names = [*COLUMNS, *(name for name in OPTIONAL if name in frame.columns)]
    columns = [pa.array([stamp.date() for stamp in frame.index], type=pa.date32())]
    columns += [pa.array(frame[name].to_numpy(dtype="float64"), type=pa.float64()) for name in names]
    table = pa.Table.from_arrays(columns, names=["date", *names]).replace_schema_metadata(marks)
    parquet.write_table(table, path, compression="zstd")
