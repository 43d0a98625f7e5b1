"""Once a week: fetch every symbol's whole history again, compare it with what is stored, take what changed.

The daily jobs ask a source's mark (a file's size and time) whether anything is new; this one asks the bars.
Revised bars, new adjustments and gaps that the source has filled since are stored and recorded as findings.

Exit codes: 0 all histories are compared; 1 a symbol was refused or could not be fetched (its stored bars are
untouched; the next run tries these alone); 2 wrong arguments; 75 asked to stop (the next run goes on behind
the last symbol done).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence

from scripts._job import EX_TEMPFAIL, StopRequest, finish, now, parse, parser
from scripts.refresh_eod_data import chosen, line
from trading.marketdata.bars import BarStore
from trading.marketdata.errors import SourceError
from trading.marketdata.history_pass import Done, HistoryPass
from trading.marketdata.refresh import Refresher
from trading.marketdata.sessions import ClosedSessions
from trading.marketdata.sources import open_source
from trading.marketdata.universe import ended_on

REPORTED = 200
"""Changed symbols listed in the result file; all are counted, and their findings are in the findings file."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "data_dir")
    made.add_argument("--source", help="sample, or csv:FOLDER (default: ORCHESTRATOR_DATA_SOURCE)")
    arguments = parse(made, argv)
    stop = StopRequest()
    try:
        source = open_source(arguments.source)
        symbols = chosen(None, source.symbols())
    except SourceError as error:
        return finish(1, {"source": arguments.source, "error": str(error)}, f"refresh_history: {error}")
    if source.remark:
        print(source.remark, flush=True)
    instant = now()
    refresher = Refresher(
        store=BarStore(arguments.data_dir),
        source=source,
        sessions=ClosedSessions(instant),
        now=instant,
        whole=True,
        ended=ended_on(arguments.data_dir),
    )
    return carry_out(refresher, symbols, stop)


def carry_out(refresher: Refresher, symbols: Sequence[str], stop: Callable[[], bool]) -> int:
    """Compare what the pass has not come to yet; write the result and return the exit code."""
    folder = refresher.store.data_dir
    history = HistoryPass(folder, refresher.source.name, refresher.now)
    due = [symbol for symbol in symbols if symbol not in history.done]
    if len(due) < len(symbols):
        print(f"goes on: {len(symbols) - len(due)} of {len(symbols)} symbols are done", flush=True)
    try:
        for result in refresher.run(due, stop):
            history.add(Done.of(result))
            print(line(result), flush=True)
        left = [symbol for symbol in symbols if symbol not in history.done]
        if not left:
            history.end(symbols)
    except OSError as error:
        report = {"source": refresher.source.name, "error": str(error), "done": len(history.done)}
        return finish(1, report, f"bars cannot be written to {folder} ({error}); the next run goes on")
    done = [history.done[symbol] for symbol in symbols if symbol in history.done]
    return conclude(refresher.source.name, refresher.source.remark, done, left)


def conclude(source: str, remark: str, done: Sequence[Done], left: Sequence[str]) -> int:
    """Write the result of the pass so far, earlier runs of it included; say the sum, return the exit code."""
    total = len(done) + len(left)
    counts = Counter(str(one.status) for one in done)
    names = ("added", "filled", "revised", "readjusted", "rebooked", "gaps")
    bars = {name: sum(getattr(one, name) for one in done) for name in names}
    changed = [one for one in done if one.is_changed]
    bad = [one.symbol for one in done if one.is_bad]
    report = {
        "source": source,
        "remark": remark,
        "done": len(done),
        "of": total,
        "progress": round(len(done) / total, 4),
        "counts": dict(counts),
        "bars": bars,
        "changed": [one.as_json() for one in changed[:REPORTED]],
        "changed_total": len(changed),
        "bad": bad,
        "left": list(left),
    }
    said = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "nothing done"
    text = f"{len(done)} of {total} histories from {source}: {said}; {sums(bars)}"
    if left:
        return finish(EX_TEMPFAIL, report, f"{text}; stopped early, {len(left)} left for the next run")
    return finish(1 if bad else 0, report, text)


def sums(bars: dict[str, int]) -> str:
    """Return the counts of bars in words."""
    said = ", ".join(f"{bars[name]} {name}" for name in bars if name != "gaps" and bars[name])
    return (f"bars: {said}" if said else "no bar differs") + f"; {bars['gaps']} sessions are missing"


if __name__ == "__main__":
    sys.exit(main())
