"""A small index of the stored bars, so that what is stored can be told without pandas.

Light: standard library only. It lives in data_dir/bars/index.json and is written by `BarStore` alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

from trading.marketdata.files import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is stored of one symbol.

    first, last: dates of the first and last bar. source: who delivered it; fingerprint: the source's own
    mark of the version that was stored (empty: none). ends_on: the date at which the source itself ends, None
    if it goes on. size, mtime_ns: of the Parquet file, to see a change from outside.
    """

    first: date
    last: date
    rows: int
    source: str
    fetched_at: datetime
    fingerprint: str = ""
    ends_on: date | None = None
    size: int = 0
    mtime_ns: int = 0


def bars_folder(data_dir: Path) -> Path:
    """Return where the daily bars are."""
    return Path(data_dir) / "bars" / "daily"


def index_path(data_dir: Path) -> Path:
    """Return where the index is."""
    return Path(data_dir) / "bars" / "index.json"


def read_index(data_dir: Path) -> dict[str, Entry]:
    """Return the entries by symbol whose file is as it was when it was indexed.

    A missing or unreadable index, or a file that changed since, is simply not in the answer.
    """
    try:
        plain = json.loads(index_path(data_dir).read_text(encoding="utf-8"))
        entries = {str(symbol): _entry(value) for symbol, value in plain["symbols"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {symbol: entry for symbol, entry in entries.items() if _is_current(data_dir, symbol, entry)}


def write_index(data_dir: Path, entries: Mapping[str, Entry]) -> None:
    """Replace the index; writes nothing when it is the same."""
    plain = {"version": 1, "symbols": {symbol: _plain(entries[symbol]) for symbol in sorted(entries)}}
    content = (json.dumps(plain, indent=1) + "\n").encode()
    path = index_path(data_dir)
    if not path.exists() or path.read_bytes() != content:
        replace_file(path, content)


def _is_current(data_dir: Path, symbol: str, entry: Entry) -> bool:
    try:
        stat = (bars_folder(data_dir) / f"{symbol}.parquet").stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (entry.size, entry.mtime_ns)


def _entry(plain: Mapping[str, object]) -> Entry:
    ends_on = plain["ends_on"]
    return Entry(
        first=date.fromisoformat(str(plain["first"])),
        last=date.fromisoformat(str(plain["last"])),
        rows=int(str(plain["rows"])),
        source=str(plain["source"]),
        fetched_at=datetime.fromisoformat(str(plain["fetched_at"])),
        fingerprint=str(plain["fingerprint"]),
        ends_on=date.fromisoformat(str(ends_on)) if ends_on else None,
        size=int(str(plain["size"])),
        mtime_ns=int(str(plain["mtime_ns"])),
    )


def _plain(entry: Entry) -> dict[str, object]:
    plain = asdict(entry)
    for name in ("first", "last", "fetched_at", "ends_on"):
        value = plain[name]
        plain[name] = value.isoformat() if value else None
    return plain
