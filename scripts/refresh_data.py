"""Before the market opens: store what the configured source has that is not stored yet.

The same as refresh_eod_data over all symbols, but quick where there is nothing to do: no bars are read and
pandas is not loaded. Exit codes: 0 up to date; 1 a symbol was refused or could not be fetched; 2 wrong
arguments; 75 asked to stop.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from scripts._job import StopRequest, finish, now, parse, parser
from scripts.refresh_eod_data import carry_out
from trading.marketdata.bars import BarStore
from trading.marketdata.errors import SourceError
from trading.marketdata.index import Entry
from trading.marketdata.refresh import Refresher, is_fresh
from trading.marketdata.sessions import ClosedSessions
from trading.marketdata.sources import open_source


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "data_dir")
    made.add_argument("--source", help="sample, or csv:FOLDER (default: ORCHESTRATOR_DATA_SOURCE)")
    arguments = parse(made, argv)
    stop = StopRequest()
    store = BarStore(arguments.data_dir)
    try:
        source = open_source(arguments.source)
        symbols = source.symbols()
        due = [symbol for symbol in symbols if not is_fresh(store, source, symbol)]
    except SourceError as error:
        return finish(1, {"source": arguments.source, "error": str(error)}, f"refresh_data: {error}")
    if not due:
        return nothing_to_do(source.name, source.remark, symbols, store.entries())
    if source.remark:
        print(source.remark, flush=True)
    instant = now()
    refresher = Refresher(store=store, source=source, sessions=ClosedSessions(instant), now=instant)
    return carry_out(refresher, due, stop)


def nothing_to_do(source: str, remark: str, symbols: Sequence[str], stored: Mapping[str, Entry]) -> int:
    """Say how far the stored bars go, and if the source itself has ended; return 0."""
    if not symbols:
        return finish(1, {"source": source, "error": "no symbols"}, f"refresh_data: {source} has no symbols")
    last = max(stored[symbol].last for symbol in symbols)
    report = {"source": source, "remark": remark, "counts": {"fresh": len(symbols)}, "last": last}
    text = f"nothing new from {source}: {len(symbols)} symbols, the last bar is of {last}"
    return finish(0, report, f"{text}\n{remark}" if remark else text)


if __name__ == "__main__":
    sys.exit(main())
