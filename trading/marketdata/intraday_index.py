"""What intraday bars are stored, and from which batches, without reading bars.

Light: standard library only. data_dir/bars/intraday/MINUTES/SYMBOL/index.json tells of one series and is
written by `IntradayStore` alone; data_dir/bars/intraday/batches.json tells what has been taken in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

from trading.marketdata.files import replace_file

Series = tuple[str, int]
"""A symbol and the length of its bars in minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One file: its first and last session, how many there are, how many of them closed early, its bars.
    size, mtime_ns: of the file, to see a change from outside."""

    first: date
    last: date
    days: int
    early_days: int
    rows: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntradayEntry:
    """What is stored of one series. source, fetched_at: who delivered the newest part, and when. months: by
    name ("2026-11"), rising, never empty."""

    symbol: str
    minutes: int
    source: str
    fetched_at: datetime
    months: Mapping[str, Month]

    @property
    def first(self) -> date:
        """The first session with bars."""
        return min(month.first for month in self.months.values())

    @property
    def last(self) -> date:
        """The last session with bars."""
        return max(month.last for month in self.months.values())

    @property
    def days(self) -> int:
        """How many sessions have bars."""
        return sum(month.days for month in self.months.values())

    @property
    def rows(self) -> int:
        """How many bars there are."""
        return sum(month.rows for month in self.months.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBatch:
    """A batch of a source that is stored whole: its fingerprint then, and the series it had bars of."""

    fingerprint: str
    series: tuple[Series, ...]


def intraday_folder(data_dir: Path) -> Path:
    """Return where the intraday bars are."""
    return Path(data_dir) / "bars" / "intraday"


def series_folder(data_dir: Path, series: Series) -> Path:
    """Return where the bars of one series are."""
    symbol, minutes = series
    return intraday_folder(data_dir) / str(minutes) / symbol


def read_entries(data_dir: Path) -> dict[Series, IntradayEntry]:
    """Return what is stored, by series, sorted. A series whose files changed since is not in the answer."""
    paths = intraday_folder(data_dir).glob("*/*/index.json")
    found = [(path.parent.name, int(path.parts[-3])) for path in paths if path.parts[-3].isdigit()]
    entries = {series: read_entry(data_dir, series) for series in sorted(found)}
    return {series: entry for series, entry in entries.items() if entry is not None}


def read_entry(data_dir: Path, series: Series) -> IntradayEntry | None:
    """Return what is stored of one series; None: nothing, or its index is missing, torn or outdated."""
    folder = series_folder(data_dir, series)
    try:
        plain = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        months = {str(name): _month(value) for name, value in sorted(plain["months"].items())}
        stats = {path.stem: path.stat() for path in month_files(folder)}
        entry = IntradayEntry(
            symbol=series[0],
            minutes=series[1],
            source=str(plain["source"]),
            fetched_at=datetime.fromisoformat(plain["fetched_at"]),
            months=months,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    present = {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}
    indexed = {name: (month.size, month.mtime_ns) for name, month in months.items()}
    return entry if months and present == indexed else None


def write_entry(data_dir: Path, entry: IntradayEntry) -> None:
    """Replace the index of one series."""
    plain = {
        "source": entry.source,
        "fetched_at": entry.fetched_at.isoformat(),
        "months": {
            name: {**asdict(month), "first": month.first.isoformat(), "last": month.last.isoformat()}
            for name, month in entry.months.items()
        },
    }
    path = series_folder(data_dir, (entry.symbol, entry.minutes)) / "index.json"
    replace_file(path, (json.dumps(plain, indent=1) + "\n").encode())


def month_files(folder: Path) -> list[Path]:
    """Return the files of a series' folder that hold bars, oldest first."""
    return sorted(folder.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9].parquet"))


def read_batches(data_dir: Path, source: str) -> dict[str, TakenBatch]:
    """Return the batches of `source` that are stored, by name; none when the record cannot be read."""
    try:
        return {name: _taken(plain) for name, plain in _read_all_batches(data_dir)[source].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_batches(data_dir: Path, source: str, batches: Mapping[str, TakenBatch]) -> None:
    """Replace the record of the batches of `source`; those of other sources stay."""
    plain = {name: _plain_batch(batches[name].fingerprint, batches[name].series) for name in sorted(batches)}
    everything = {**_read_all_batches(data_dir), source: plain}
    content = (json.dumps(everything, indent=1) + "\n").encode()
    replace_file(intraday_folder(data_dir) / "batches.json", content)


def _read_all_batches(data_dir: Path) -> dict[str, dict[str, dict[str, object]]]:
    try:
        plain = json.loads((intraday_folder(data_dir) / "batches.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return plain if isinstance(plain, dict) else {}


def _plain_batch(fingerprint: str, series: Iterable[Series]) -> dict[str, object]:
    return {"fingerprint": fingerprint, "series": [[symbol, minutes] for symbol, minutes in series]}


def _taken(plain: Mapping[str, object]) -> TakenBatch:
    listed = plain["series"]
    if not isinstance(listed, list):
        raise ValueError(f"series is {listed!r}: expected a list")
    series = tuple((str(symbol), int(minutes)) for symbol, minutes in listed)
    return TakenBatch(fingerprint=str(plain["fingerprint"]), series=series)


def _month(plain: Mapping[str, object]) -> Month:
    counts = {name: int(str(plain[name])) for name in ("days", "early_days", "rows", "size", "mtime_ns")}
    dates = {name: date.fromisoformat(str(plain[name])) for name in ("first", "last")}
    return Month(**dates, **counts)  # type: ignore[arg-type]  # two dicts, each of one type
