"""Check all stored bars and record what is found.

Exit codes: 0 checked (findings are a report, not a failure); 1 bars are stored that cannot be used; 2 wrong
arguments; 75 asked to stop before all were checked (those that were are recorded).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from scripts._job import EX_TEMPFAIL, StopRequest, finish, now, parse, parser
from trading.marketdata.bars import BarStore
from trading.marketdata.errors import BarStoreError
from trading.marketdata.findings import Finding, FindingLog, Severity, refusals
from trading.marketdata.sessions import ClosedSessions
from trading.marketdata.universe import ended_on

REPORTED = 200
"""Findings carried in the result file; all are in the findings file."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    arguments = parse(parser(__doc__, "data_dir"), argv)
    stop = StopRequest()
    instant = now()
    store = BarStore(arguments.data_dir)
    sessions = ClosedSessions(instant)
    ended = ended_on(arguments.data_dir)
    symbols, checked, findings = store.symbols(), [], []
    for symbol in symbols:
        if stop():
            break
        findings += check_stored(store, symbol, sessions, ended.get(symbol))
        checked.append(symbol)
    recorded = FindingLog(arguments.data_dir)
    gone = {f.symbol for f in recorded.read()} - set(symbols)
    new = recorded.replace({*checked, *gone}, findings, instant)
    print(table(checked, findings), flush=True)
    return conclude(arguments.data_dir, symbols, checked, findings, new)


def check_stored(
    store: BarStore, symbol: str, sessions: ClosedSessions, ended: date | None = None
) -> list[Finding]:
    """Return what is found in one symbol's stored bars; a file that cannot be read is a finding too.

    ended: the last date of a symbol that has ended, None if it goes on: then its age is no warning.
    """
    from trading.marketdata.quality import check_bars

    try:
        frame, meta = store.read(symbol), store.meta(symbol)
    except BarStoreError as error:
        return [Finding(check="unreadable", symbol=symbol, severity=Severity.REFUSE, text=str(error))]
    known = sessions.since(frame.index.min().date())
    return check_bars(symbol, frame, known, ends_on=meta.ends_on or ended)


def table(symbols: Sequence[str], findings: Sequence[Finding]) -> str:
    """Return the counts by symbol, then each finding that a person should look at."""
    counts = Counter((f.symbol, f.severity) for f in findings)
    rows = [f"{'symbol':<10}{'refuse':>8}{'warn':>8}{'info':>8}"]
    for symbol in symbols:
        refuse, warn, info = (counts[symbol, s] for s in (Severity.REFUSE, Severity.WARN, Severity.INFO))
        rows.append(f"{symbol:<10}{refuse:>8}{warn:>8}{info:>8}")
    worth = sorted(
        (f for f in findings if f.severity is not Severity.INFO),
        key=lambda f: (f.severity is not Severity.REFUSE, f.symbol),
    )
    rows += [
        f"{f.severity:<7} {f.symbol:<8} {f.check:<16} {f.day.isoformat() if f.day else '':<10} {f.text}"
        for f in worth
    ]
    return "\n".join(rows)


def conclude(
    data_dir: Path, symbols: Sequence[str], checked: Sequence[str], findings: Sequence[Finding], new: int
) -> int:
    """Write the result, say the sum, return the exit code."""
    counts = Counter(str(f.severity) for f in findings)
    report = {
        "data_dir": data_dir,
        "symbols": len(checked),
        "counts": dict(counts),
        "new": new,
        "findings": [f.as_json() for f in findings[:REPORTED]],
        "findings_total": len(findings),
    }
    said = ", ".join(f"{counts[s]} {s}" for s in Severity if counts[s]) or "nothing found"
    text = f"{len(checked)} of {len(symbols)} symbols checked: {said} ({new} new)"
    if len(checked) < len(symbols):
        return finish(EX_TEMPFAIL, report, text + "; stopped early")
    if not symbols:
        text = f"no bars are stored in {data_dir}; run scripts/refresh_eod_data.py first"
    return finish(1 if refusals(findings) else 0, report, text)


if __name__ == "__main__":
    sys.exit(main())
