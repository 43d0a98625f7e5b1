"""While the market is open: work the session's orders; never send one twice.

Stays until the session ends, so that orders entered later are worked too. A run that was killed is no
danger to the next one: it first asks the broker what became of everything that was sent. Orders that end with
shares left are told as alerts. Exit codes: 0 the session's orders are in their final states; 1 the session is
over and the broker has not said what became of an order, or the keys are refused; 2 wrong arguments; 75 asked
to stop, or the broker cannot be reached now: run again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Mapping

from orchestration.clock import SystemClock
from scripts._execution import (
    CANNOT,
    LOCK_WAIT,
    Venue,
    cannot,
    kill_switch,
    ledger_of,
    note_held_before,
    the_only_worker,
    told,
    venue_of,
)
from scripts._job import EX_TEMPFAIL, StopRequest, finish, parse, parser, settings
from scripts._session_hours import SessionBook
from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import ParentState
from trading.execution.smart.executor import Executor
from trading.execution.smart.plan import SessionHours
from trading.execution.smart.rules import Ended, ExecutorRules, StopPolicy

CODES: Mapping[Ended, int] = {Ended.DONE: 0, Ended.STOPPED: EX_TEMPFAIL, Ended.UNRESOLVED: 1}


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    made.add_argument(
        "--no-stay", action="store_true", help="end when the orders that are there now are done"
    )
    made.add_argument(
        "--on-stop",
        choices=[str(p) for p in StopPolicy],
        default="cancel",
        help="what becomes of open orders when the job is asked to stop (default: cancel)",
    )
    arguments = parse(made, argv)
    configured, stop, clock = settings(made), StopRequest(), SystemClock()
    try:
        book = SessionBook(configured, clock.now().date())
        hours = book.next_session(clock.now())
        if hours is None or clock.now() < hours.open - ExecutorRules().after_close:
            return finish(0, {"orders": 0}, "the market is closed; nothing to work")
        with (
            the_only_worker(arguments.state_dir, clock, LOCK_WAIT),
            ledger_of(arguments.state_dir) as ledger,
            venue_of(configured, ledger.facts, book.around(clock.now()), clock) as venue,
        ):
            ended = asyncio.run(work(arguments, ledger, venue, book, hours, clock, stop))
            return conclude(ledger, hours, venue, ended)
    except CANNOT as error:
        return cannot("execute_orders", error)


async def work(
    arguments: argparse.Namespace,
    ledger: Ledger,
    venue: Venue,
    book: SessionBook,
    hours: SessionHours,
    clock: SystemClock,
    stop: Callable[[], bool],
) -> Ended:
    """Run the executor until the session is over, the orders are done or `stop()` says so."""
    executor = Executor(
        ledger=ledger,
        broker=venue.broker,
        market=venue.market,
        clock=clock,
        kill=kill_switch(arguments.state_dir),
        hours=book,
        session=hours.day,
        rules=ExecutorRules(on_stop=StopPolicy(arguments.on_stop)),
        stay=not arguments.no_stay,
    )
    try:
        await venue.connect()
        note_held_before(ledger, await venue.broker.positions(), clock.now())
        return await executor.run(stop)
    finally:
        await venue.close()


def conclude(ledger: Ledger, hours: SessionHours, venue: Venue, ended: Ended) -> int:
    """Say what became of the orders; return the exit code."""
    orders = ledger.parents(session=hours.day)
    states = Counter(str(order.state) for order in orders)
    report = {
        "session": hours.day.isoformat(),
        "ended": str(ended),
        "broker": venue.broker.name,
        "remark": venue.remark,
        "orders": len(orders),
        "states": dict(states),
        "filled": {order.parent_id: ledger.filled(order.parent_id) for order in orders},
        "alerts": told(fallen_short(ledger, hours), hours.day),
    }
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no orders"
    lines = [
        f"{hours.day} at {venue.broker.name}: {ended}; {counts}",
        *([venue.remark] if venue.remark else []),
    ]
    return finish(CODES[ended], report, "\n".join(lines))


SHORT = (ParentState.EXPIRED, ParentState.KILLED, ParentState.REJECTED)


def fallen_short(ledger: Ledger, hours: SessionHours) -> dict[str, str]:
    """Return what is said of the orders that have ended since the open with shares left, by parent_id. An
    order that a person cancelled is none; neither is one that was refused, and told, before the open."""
    ended = [o for o in ledger.parents(states=SHORT) if o.completed_at and o.completed_at >= hours.open]
    return {
        order.parent_id: f"{order.parent_id} is {order.state}, {ledger.filled(order.parent_id)} of "
        f"{order.quantity} shares filled: {order.reason}"
        for order in ended
    }


if __name__ == "__main__":
    sys.exit(main())
