"""After the close: compare the ledger with the broker, order by order and position by position.

Every order in doubt is looked up; then each symbol's shares by our fills, beyond those held before the
first of them, must be the broker's. Differences are written into the ledger. Exit codes: 0 both agree; 1
they differ (the text says where), or the keys are refused; 2 wrong arguments; 75 the broker does not
answer: run again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

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
from scripts._session_hours import SessionBook
from scripts.reconcile_orders import settle
from trading.execution.brokers.broker import Broker
from trading.execution.ledger.ledger import Ledger


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    arguments = parse(made, argv)
    configured, stop, clock = settings(made), StopRequest(), SystemClock()
    try:
        hours = SessionBook(configured, clock.now().date()).around(clock.now())
        if not hours:
            return finish(1, {"error": NO_DAY}, f"reconcile_positions: {NO_DAY}")
        with (
            the_only_worker(arguments.state_dir, clock, LOCK_WAIT),
            ledger_of(arguments.state_dir) as ledger,
            venue_of(configured, ledger.facts, hours, clock) as venue,
        ):
            left = asyncio.run(settle(ledger, arguments.state_dir, venue.broker, clock, stop))
            theirs = asyncio.run(positions(venue.broker))
            return conclude(ledger, theirs, left, clock)
    except CANNOT as error:
        return cannot("reconcile_positions", error)


async def positions(broker: Broker) -> Mapping[str, int]:
    """Return what the broker says we hold."""
    try:
        await broker.connect()
        return await broker.positions()
    finally:
        await broker.close()


def differences(ledger: Ledger, theirs: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return the symbols of our fills whose shares differ: (by the ledger, at the broker)."""
    ours = ledger.positions()
    expected = {s: ours.get(s, 0) + held_before(ledger, s) for s in sorted(ledger.symbols_filled())}
    return {s: (e, theirs.get(s, 0)) for s, e in expected.items() if e != theirs.get(s, 0)}


def conclude(ledger: Ledger, theirs: Mapping[str, int], left: list[str], clock: SystemClock) -> int:
    """Write down and say what differs; return the exit code."""
    found, broken = differences(ledger, theirs), ledger.verify()
    if found:
        with ledger.writing(clock.now()) as book:
            for symbol, (ours, broker) in found.items():
                book.event("positions.differ", symbol=symbol, ledger=ours, broker=broker)
    lines = [f"{s}: the ledger has {a} shares, the broker {b}" for s, (a, b) in found.items()]
    lines += [f"{name}: still in doubt" for name in left]
    lines += broken
    symbols = len(ledger.symbols_filled())
    report = {"symbols": symbols, "differences": found, "in_doubt": left, "ledger": broken}
    if lines:
        return finish(1, report, "\n".join(["ledger and broker differ:", *lines]))
    return finish(0, report, f"ledger and broker agree on {symbols} symbols")


if __name__ == "__main__":
    sys.exit(main())
