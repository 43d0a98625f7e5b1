"""After the close: compare the ledger with the broker, order by order and position by position.

Every order in doubt is looked up; then each symbol's shares by our fills, beyond those held before the
first of them, must be the broker's. Differences are written into the ledger, and all that was compared into
reports/reconciliation-YYYY-MM-DD.md and .html in the state directory. Exit codes: 0 both agree, or nothing
was ever traded, as there is no state directory yet; 1 they differ (the text says where), or the keys are
refused; 2 wrong arguments; 75 the broker does not answer: run again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestration.clock import SystemClock
from scripts._execution import (
    CANNOT,
    LOCK_WAIT,
    NO_DAY,
    cannot,
    held_before,
    ledger_of,
    the_only_worker,
    venue_of,
)
from scripts._job import StopRequest, finish, parse, parser, settings
from scripts._portfolio import NOTHING_TRADED
from scripts._reconciliation import Compared, Reconciliation, compose
from scripts._report import write_report
from scripts._session_hours import SessionBook
from scripts.reconcile_orders import settle
from trading.execution.brokers.broker import Broker
from trading.execution.ledger.ledger import Ledger


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    arguments = parse(made, argv)
    configured, stop, clock = settings(made), StopRequest(), SystemClock()
    if not arguments.state_dir.exists():
        return finish(0, {}, NOTHING_TRADED)
    try:
        book = SessionBook(configured, clock.now().date())
        hours, session = book.around(clock.now()), book.last_session(clock.now())
        if not hours:
            return finish(1, {"error": NO_DAY}, f"reconcile_positions: {NO_DAY}")
        with (
            the_only_worker(arguments.state_dir, clock, LOCK_WAIT),
            ledger_of(arguments.state_dir) as ledger,
            venue_of(configured, ledger.facts, hours, clock) as venue,
        ):
            left = asyncio.run(settle(ledger, arguments.state_dir, venue.broker, clock, stop))
            theirs = asyncio.run(positions(venue.broker))
            found = Reconciliation(
                day=(session or hours[0]).day,
                now=clock.now(),
                broker=venue.broker.name,
                compared=compared(ledger, theirs),
                others=others(ledger, theirs),
                in_doubt=left,
                faults=ledger.verify(),
            )
            return conclude(ledger, found, arguments.state_dir)
    except CANNOT as error:
        return cannot("reconcile_positions", error)


async def positions(broker: Broker) -> Mapping[str, int]:
    """Return what the broker says we hold."""
    try:
        await broker.connect()
        return await broker.positions()
    finally:
        await broker.close()


def compared(ledger: Ledger, theirs: Mapping[str, int]) -> list[Compared]:
    """Return every symbol of our fills as the ledger and the broker have it."""
    ours = ledger.positions()
    return [
        Compared(symbol=s, fills=ours.get(s, 0), before=held_before(ledger, s), broker=theirs.get(s, 0))
        for s in sorted(ledger.symbols_filled())
    ]


def differences(found: Sequence[Compared]) -> dict[str, tuple[int, int]]:
    """Return the symbols whose shares differ: (by the ledger, at the broker)."""
    return {each.symbol: (each.fills + each.before, each.broker) for each in found if each.difference}


def others(ledger: Ledger, theirs: Mapping[str, int]) -> dict[str, int]:
    """Return what the broker holds of symbols that have no fill of ours."""
    known = ledger.symbols_filled()
    return {symbol: shares for symbol, shares in theirs.items() if symbol not in known}


def conclude(ledger: Ledger, found: Reconciliation, state_dir: Path) -> int:
    """Write down and say what differs; return the exit code."""
    differing = differences(found.compared)
    if differing:
        with ledger.writing(found.now) as book:
            for symbol, (ours, broker) in differing.items():
                book.event("positions.differ", symbol=symbol, ledger=ours, broker=broker)
    lines = [f"{s}: the ledger has {a} shares, the broker {b}" for s, (a, b) in differing.items()]
    lines += [f"{name}: still in doubt" for name in found.in_doubt]
    lines += found.faults
    report: dict[str, object] = {
        "symbols": len(found.compared),
        "differences": differing,
        "in_doubt": found.in_doubt,
        "ledger": found.faults,
    }
    try:
        paths = write_report(compose(found), state_dir / "reports", f"reconciliation-{found.day}")
        report["report"] = paths[0]
    except OSError as error:
        # What was found is told all the same.
        print(f"the report cannot be written: {error}", file=sys.stderr)
    if lines:
        # The alert says it in these words.
        report["error"] = "; ".join(["ledger and broker differ", *lines])
        return finish(1, report, "\n".join(["ledger and broker differ:", *lines]))
    return finish(0, report, f"ledger and broker agree on {len(found.compared)} symbols")


if __name__ == "__main__":
    sys.exit(main())
