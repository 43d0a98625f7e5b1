"""Once a week: renew the list of symbols, DATA_DIR/symbols.json, and say what is new in it.

The box wants what its source offers. Listed are those symbols and those whose bars are stored: active ones,
ended ones (their bars stop well before the others'), missing ones (no longer offered), and new names of
missing ones (their bars are the same). Light where the stored bars are the source's present ones; of other
symbols the bars are fetched, for their dates.

Exit codes: 0 the list is right; 1 the source is not there, or the list cannot be written; 2 wrong arguments;
75 asked to stop (the list stays as it was).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from scripts._job import EX_TEMPFAIL, StopRequest, finish, now, parse, parser
from scripts.refresh_eod_data import chosen
from trading.marketdata.bars import BarStore
from trading.marketdata.errors import BarStoreError, SourceError
from trading.marketdata.refresh import holds_present
from trading.marketdata.sources import Source, open_source
from trading.marketdata.universe import (
    Change,
    Span,
    Standing,
    Universe,
    changes,
    could_be_renamed,
    read_universe,
    renew,
    universe_path,
    with_rename,
    write_universe,
)

if TYPE_CHECKING:
    import pandas as pd

REPORTED = 200
"""Changes carried in the result file; all are printed."""


class Stopped(Exception):
    """The job was asked to stop before it had seen all symbols."""


@dataclass(slots=True)
class Dates:
    """What was learned of the source: the dates of its bars, None where they cannot be read; and why not."""

    offered: dict[str, Span | None] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "data_dir")
    made.add_argument("--source", help="sample, or csv:FOLDER (default: ORCHESTRATOR_DATA_SOURCE)")
    arguments = parse(made, argv)
    stop = StopRequest()
    store = BarStore(arguments.data_dir)
    before = read_universe(arguments.data_dir)
    if before is None and (path := universe_path(arguments.data_dir)).exists():
        print(f"{path} cannot be read: it is made anew, and what changed is not told", flush=True)
    try:
        source = open_source(arguments.source)
        dates = look_up(store, source, chosen(None, source.symbols()), stop)
        stored = {symbol: Span(first=e.first, last=e.last) for symbol, e in store.entries().items()}
        after = renew(before, source.name, dates.offered, stored, now())
        after = find_renames(before, after, store, source, stop)
    except Stopped:
        text = "refresh_symbols: stopped early; the list stays as it was"
        return finish(EX_TEMPFAIL, {"source": arguments.source}, text)
    except SourceError as error:
        return finish(1, {"source": arguments.source, "error": str(error)}, f"refresh_symbols: {error}")
    try:
        is_new = write_universe(arguments.data_dir, after)
    except OSError as error:
        text = f"the list of symbols cannot be written to {arguments.data_dir} ({error})"
        return finish(1, {"source": arguments.source, "error": str(error)}, text)
    return conclude(after, changes(before, after), dates.unreadable, source.remark, is_new=is_new)


def look_up(store: BarStore, source: Source, symbols: list[str], stop: Callable[[], bool]) -> Dates:
    """Return the dates of the source's bars: from the index where it holds them, else by fetching them.

    Raises Stopped, and SourceError when the source went away meanwhile.
    """
    found, entries = Dates(), store.entries()
    for symbol in symbols:
        if stop():
            raise Stopped
        entry = entries.get(symbol)
        if entry is not None and holds_present(entry, source, symbol):
            found.offered[symbol] = Span(first=entry.first, last=entry.last)
            continue
        found.offered[symbol] = None
        try:
            index = source.fetch(symbol).frame.index
            found.offered[symbol] = Span(first=index.min().date(), last=index.max().date())
        except SourceError as error:
            found.unreadable[symbol] = error.problems[0]
    return found


def find_renames(
    before: Universe | None, after: Universe, store: BarStore, source: Source, stop: Callable[[], bool]
) -> Universe:
    """Return the list with the new names told of missing symbols. Raises Stopped."""
    for old, new in could_be_renamed(before, after):
        if stop():
            raise Stopped
        if after.listings[old].renamed_to:
            continue
        if is_one_share(store, source, old, new):
            after = with_rename(after, old, new)
    return after


def is_one_share(store: BarStore, source: Source, old: str, new: str) -> bool:
    """Return whether the bars stored as `old` are those that the source offers as `new`."""
    from trading.marketdata.revisions import is_continued

    try:
        frame: pd.DataFrame = source.fetch(new).frame
        return is_continued(store.read(old), frame)
    except (SourceError, BarStoreError):
        return False


def conclude(
    after: Universe, found: list[Change], unreadable: Mapping[str, str], remark: str, *, is_new: bool
) -> int:
    """Write the result, say what changed and the sum, return the exit code."""
    for change in found:
        print(f"{change.symbol:<8} {change.what:<8} {change.text}", flush=True)
    for symbol, why in unreadable.items():
        print(f"{symbol:<8} cannot be read: {why}", flush=True)
    counts = {str(standing): len(after.symbols(standing)) for standing in Standing}
    report = {
        "source": after.source,
        "remark": remark,
        "newest": after.newest,
        "counts": counts,
        "changes": [asdict(change) for change in found[:REPORTED]],
        "changes_total": len(found),
        "unreadable": dict(unreadable),
        "written": is_new,
    }
    said = ", ".join(f"{count} {standing}" for standing, count in counts.items() if count)
    text = f"{len(after.listings)} symbols: {said}; the newest bars of {after.source} are of {after.newest}"
    text += f"; {len(found)} changes" if found else "; nothing new"
    return finish(0, report, f"{text}\n{remark}" if remark else text)


if __name__ == "__main__":
    sys.exit(main())
