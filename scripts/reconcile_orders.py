"""After a run that worked orders was lost: ask the broker what became of every order that is in doubt.

Sends nothing. Runs every two minutes while the market is open, and does nothing while the executor itself
is at work or nothing is in doubt. Exit codes: 0 nothing is in doubt; 1 the keys are refused, or the
ledger cannot be read; 2 wrong arguments; 75 the broker does not answer, or has not said yet: run again.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from orchestration.clock import SystemClock
from scripts._execution import CANNOT, NO_DAY, cannot, kill_switch, ledger_of, the_only_worker, venue_of
from scripts._job import EX_TEMPFAIL, StopRequest, finish, parse, parser, settings
from scripts._portfolio import NOTHING_TRADED
from scripts._session_hours import SessionBook
from trading.execution.brokers.broker import Broker
from trading.execution.ledger.ledger import Ledger
from trading.execution.smart.bookkeeping import Bookkeeper
from trading.execution.smart.recovery import Reconciler, is_in_doubt
from trading.execution.smart.rules import ExecutorRules
from trading.execution.turn_lock import AnotherWorker

LONGEST = timedelta(seconds=40)
"""How long the broker is asked again before the next run goes on."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    arguments = parse(made, argv)
    stop, clock = StopRequest(), SystemClock()
    if not arguments.state_dir.exists():
        return finish(0, {"in_doubt": 0}, NOTHING_TRADED)
    try:
        with the_only_worker(arguments.state_dir, clock), ledger_of(arguments.state_dir) as ledger:
            if not ledger.open_children():
                return finish(0, {"in_doubt": 0}, "no order is open or in doubt")
            configured = settings(made)
            hours = SessionBook(configured, clock.now().date()).around(clock.now())
            if not hours:
                return finish(1, {"error": NO_DAY}, f"reconcile_orders: {NO_DAY}")
            with venue_of(configured, ledger.facts, hours, clock) as venue:
                left = asyncio.run(settle(ledger, arguments.state_dir, venue.broker, clock, stop))
    except AnotherWorker:
        return finish(0, {"at_work": True}, "the executor is at work; it reconciles by itself")
    except CANNOT as error:
        return cannot("reconcile_orders", error)
    if left:
        return finish(EX_TEMPFAIL, {"in_doubt": left}, f"still in doubt: {', '.join(left)}")
    return finish(0, {"in_doubt": 0}, "every order is accounted for")


async def settle(
    ledger: Ledger, state_dir: Path, broker: Broker, clock: SystemClock, stop: StopRequest
) -> list[str]:
    """Compare every open order with the broker; return the ids of those that are still in doubt."""
    rules = ExecutorRules()
    books = Bookkeeper(ledger, kill_switch(state_dir), clock.now)
    for parent_id in sorted({child.parent_id for child in ledger.open_children()}):
        books.load(ledger.parent(parent_id))
    reconciler = Reconciler(books, broker, rules)
    give_up = clock.monotonic() + LONGEST.total_seconds()
    try:
        await broker.connect()
        await reconciler.recover()
        while in_doubt(books) and clock.monotonic() < give_up and not stop():
            for desk in books.desks.values():
                await reconciler.look_up_due(desk)
            await asyncio.sleep(rules.poll.total_seconds())
    finally:
        await broker.close()
    return in_doubt(books)


def in_doubt(books: Bookkeeper) -> list[str]:
    """Return the ids of the children in doubt."""
    children = (child for desk in books.desks.values() for child in desk.children.values())
    return [child.client_order_id for child in children if is_in_doubt(child)]


if __name__ == "__main__":
    sys.exit(main())
