"""Fetch daily bars, check them, and store what can be used.

Exit codes: 0 all symbols are up to date; 1 a symbol was refused or could not be fetched (its stored bars are
untouched); 2 wrong arguments; 75 asked to stop (the next run goes on from there).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence

from scripts._job import EX_TEMPFAIL, StopRequest, finish, now, parse, parser
from trading.marketdata.bars import BarStore
from trading.marketdata.errors import SourceError
from trading.marketdata.findings import Finding, Severity
from trading.marketdata.refresh import Refresher, Status, SymbolRefresh
from trading.marketdata.sessions import ClosedSessions
from trading.marketdata.sources import open_source

SHOWN = 12
"""Findings printed per symbol; all are in the findings file."""
REPORTED = 200
"""Findings carried in the result file."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "data_dir")
    made.add_argument("--source", help="sample, or csv:FOLDER (default: ORCHESTRATOR_DATA_SOURCE)")
    made.add_argument("--symbols", help="only these, with commas between (default: all the source has)")
    made.add_argument(
        "--accept-loss", action="store_true", help="store a history even if it lacks bars that are stored"
    )
    arguments = parse(made, argv)
    stop = StopRequest()
    try:
        source = open_source(arguments.source)
        symbols = chosen(arguments.symbols, source.symbols())
    except SourceError as error:
        return finish(1, {"source": arguments.source, "error": str(error)}, f"refresh_eod_data: {error}")
    if source.remark:
        print(source.remark, flush=True)
    instant = now()
    refresher = Refresher(
        store=BarStore(arguments.data_dir),
        source=source,
        sessions=ClosedSessions(instant),
        now=instant,
        accept_loss=arguments.accept_loss,
    )
    return carry_out(refresher, symbols, stop)


def carry_out(refresher: Refresher, symbols: Sequence[str], stop: Callable[[], bool]) -> int:
    """Refresh `symbols`, saying what happens to each; write the result and return the exit code."""
    source, done = refresher.source, []
    try:
        for result in refresher.run(symbols, stop):
            done.append(result)
            print(line(result), flush=True)
    except OSError as error:
        stored = [result.symbol for result in done]
        report = {"source": source.name, "error": str(error), "done": stored}
        folder = refresher.store.data_dir
        return finish(
            1, report, f"bars cannot be written to {folder} ({error}); {len(done)} symbols are done"
        )
    return conclude(source.name, source.remark, symbols, done)


def chosen(wanted: str | None, there: Sequence[str]) -> list[str]:
    """Return the symbols to refresh. Raises SourceError when nothing is left, or one is not there."""
    symbols = sorted({s.strip().upper() for s in wanted.split(",") if s.strip()}) if wanted else list(there)
    unknown = [s for s in symbols if s not in there]
    if unknown or not symbols:
        what = f"the source has no {', '.join(unknown)}" if unknown else "the source has no symbols at all"
        raise SourceError(f"{what}; it has {', '.join(there) or 'nothing'}")
    return symbols


def line(result: SymbolRefresh) -> str:
    """Return what happened to one symbol, its findings and notes below."""
    dates = f"{result.first}..{result.last}" if result.last else "nothing stored"
    counts = f"+{result.added} bars, {result.revised} revised" if result.status is Status.WRITTEN else ""
    rows = [f"{result.symbol:<8} {result.status:<10} {dates}  {counts}".rstrip()]
    rows += [f"         note: {note}" for note in result.notes[:SHOWN]]
    worth = [f for f in result.findings if f.severity is not Severity.INFO]
    rows += [f"         {f.severity}: {f.check} {f.day or ''} {f.text}" for f in worth[:SHOWN]]
    if len(worth) > SHOWN:
        rows.append(f"         and {len(worth) - SHOWN} more findings")
    return "\n".join(rows)


def conclude(source: str, remark: str, symbols: Sequence[str], done: Sequence[SymbolRefresh]) -> int:
    """Write the result, say the sum, return the exit code."""
    counts = Counter(result.status for result in done)
    findings: list[Finding] = [f for result in done for f in result.findings]
    bad = [result for result in done if result.is_bad]
    left = list(symbols[len(done) :])
    report = {
        "source": source,
        "remark": remark,
        "symbols": {r.symbol: {"status": r.status, "last": r.last, "added": r.added} for r in done},
        "counts": {str(status): count for status, count in counts.items()},
        "left": left,
        "findings": [f.as_json() for f in findings[:REPORTED]],
        "findings_total": len(findings),
    }
    said = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "nothing done"
    text = f"{len(done)} of {len(symbols)} symbols from {source}: {said}; {len(findings)} findings"
    if left:
        text += f"; stopped early, {len(left)} left for the next run"
        return finish(EX_TEMPFAIL, report, text)
    return finish(1 if bad else 0, report, text)


if __name__ == "__main__":
    sys.exit(main())
