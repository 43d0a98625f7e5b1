"""Fetch intraday bars, check them, and store the sessions that can be used.

Exit codes: 0 all that the source has is stored (a source without intraday bars has nothing: that is no
failure); 1 sessions were refused or could not be fetched (stored ones are untouched); 2 wrong arguments; 75
asked to stop (the next run goes on from there).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence

from scripts._job import EX_TEMPFAIL, StopRequest, finish, now, parse, parser
from trading.marketdata.errors import SourceError
from trading.marketdata.findings import Severity
from trading.marketdata.intraday import IntradayStore
from trading.marketdata.intraday_refresh import IntradayRefresher, SeriesRefresh, due_batches
from trading.marketdata.sources import open_intraday_source
from trading.marketdata.sources.source import Batch

SHOWN = 12
"""Findings printed per series."""
REPORTED = 200
"""Findings carried in the result file."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "data_dir")
    made.add_argument("--source", help="sample, or csv:FOLDER (default: ORCHESTRATOR_DATA_SOURCE)")
    made.add_argument(
        "--accept-loss", action="store_true", help="store a session even if more of its bars are stored"
    )
    arguments = parse(made, argv)
    stop = StopRequest()
    try:
        source = open_intraday_source(arguments.source)
        batches = source.batches() if source else []
        due = due_batches(arguments.data_dir, source) if source else []
    except SourceError as error:
        return finish(1, {"source": arguments.source, "error": str(error)}, f"refresh_intraday_data: {error}")
    if source is None or not batches:
        remark = f"{arguments.source} has no intraday bars: nothing fetched"
        return finish(0, {"source": arguments.source, "remark": remark, "batches": 0}, remark)
    if not due:
        return nothing_to_do(source.name, len(batches), IntradayStore(arguments.data_dir))
    refresher = IntradayRefresher(
        store=IntradayStore(arguments.data_dir),
        source=source,
        now=now(),
        accept_loss=arguments.accept_loss,
    )
    return carry_out(refresher, due, stop)


def nothing_to_do(source: str, batches: int, store: IntradayStore) -> int:
    """Say how far the stored bars go; return 0."""
    last = max((entry.last for entry in store.entries().values()), default=None)
    text = f"nothing new from {source}: {batches} files, " + (
        f"the last session stored is {last}" if last else "no bar of them lies within a session"
    )
    return finish(0, {"source": source, "batches": batches, "last": last}, text)


def carry_out(refresher: IntradayRefresher, due: Sequence[Batch], stop: Callable[[], bool]) -> int:
    """Take in the batches, saying what happens to each series; write the result, return the exit code."""
    name, done, was_cut = refresher.source.name, [], False

    def should_stop() -> bool:
        nonlocal was_cut
        was_cut = was_cut or stop()
        return was_cut

    try:
        for result in refresher.run(due, should_stop):
            done.append(result)
            print(line(result), flush=True)
    except OSError as error:
        folder = refresher.store.data_dir
        report = {"source": name, "error": str(error), "done": [r.symbol for r in done]}
        return finish(
            1, report, f"intraday bars cannot be written to {folder} ({error}); {len(done)} series are done"
        )
    return conclude(name, len(due), done, stopped=was_cut)


def line(result: SeriesRefresh) -> str:
    """Return what happened to one series, its findings and notes below."""
    counts = {
        "sessions added": result.added,
        "replaced": result.replaced,
        "refused": result.refused,
        "bars outside the sessions": result.outside,
        "bars of sessions that are not closed": result.later,
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    what = f"{result.symbol} {result.minutes}min" if result.symbol else result.batch
    rows = [f"{what:<14} {result.status:<10} {said}".rstrip()]
    rows += [f"         note: {note}" for note in result.notes[:SHOWN]]
    rows += [f"         {f.severity}: {f.check} {f.day} {f.text}" for f in result.findings[:SHOWN]]
    if len(result.findings) > SHOWN:
        rows.append(f"         and {len(result.findings) - SHOWN} more findings")
    return "\n".join(rows)


def conclude(source: str, due: int, done: Sequence[SeriesRefresh], *, stopped: bool) -> int:
    """Write the result, say the sum, return the exit code."""
    statuses = Counter(str(result.status) for result in done)
    findings = [f for result in done for f in result.findings]
    sums = {
        name: sum(getattr(result, name) for result in done)
        for name in ("added", "replaced", "refused", "outside", "later")
    }
    report = {
        "source": source,
        "batches": due,
        "counts": dict(statuses),
        **sums,
        "problems": [note for result in done if result.is_bad for note in result.notes][:REPORTED],
        "findings": [f.as_json() for f in findings[:REPORTED]],
        "findings_total": len(findings),
    }
    refused = sum(f.severity is Severity.REFUSE for f in findings)
    text = (
        f"{len(done)} series of {due} files from {source}: {sums['added']} sessions added, "
        f"{sums['replaced']} replaced, {sums['refused']} refused; {sums['outside']} bars outside the sessions"
        f" left out; {len(findings)} findings, {refused} of them refusals"
    )
    if stopped:
        return finish(EX_TEMPFAIL, report, f"{text}; stopped early, the next run goes on")
    return finish(1 if any(result.is_bad for result in done) else 0, report, text)


if __name__ == "__main__":
    sys.exit(main())
