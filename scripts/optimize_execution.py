"""Before the market opens: plan every order of the coming session, each by the cheapest schedule under
its limits.

What is known of each symbol is stored beside the orders, so that working them needs no price history. An
order that cannot be done is refused with the reason; one that cannot be judged, because nothing is known of
its symbol today, stays NEW, and the executor plans it by what was known before, or refuses it. Both are told
as alerts and keep no other order from being worked. Exit codes: 0 planned; 1 no trading day is known, or the
ledger cannot be used; 2 wrong arguments; 75 asked to stop.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestration.clock import SystemClock
from scripts._execution import CANNOT, NO_DAY, cannot, kill_switch, ledger_of, told
from scripts._job import EX_TEMPFAIL, StopRequest, finish, parse, parser, settings
from scripts._session_hours import SessionBook
from trading.execution.errors import PlanError
from trading.execution.facts_from_bars import market_facts
from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import ParentOrder, ParentState
from trading.execution.smart.bookkeeping import Bookkeeper
from trading.execution.smart.plan import ExecutionPlan, SessionHours
from trading.execution.smart.planner import first_plan
from trading.execution.volume_profiles import ProfileStore
from trading.marketdata.bars import BarStore


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir", "data_dir")
    arguments = parse(made, argv)
    stop, clock = StopRequest(), SystemClock()
    try:
        hours = SessionBook(settings(made), clock.now().date()).next_session(clock.now())
        if hours is None:
            return finish(1, {"error": NO_DAY}, f"optimize_execution: {NO_DAY}")
        with ledger_of(arguments.state_dir) as ledger:
            planner = Planner(ledger, arguments.state_dir, arguments.data_dir, hours, clock)
            return planner.run(stop)
    except CANNOT as error:
        return cannot("optimize_execution", error)


class Planner:
    """Plans the new orders of one session."""

    def __init__(
        self, ledger: Ledger, state_dir: Path, data_dir: Path, hours: SessionHours, clock: SystemClock
    ) -> None:
        self._ledger, self._hours, self._clock = ledger, hours, clock
        self._bars, self._profiles = BarStore(data_dir), ProfileStore(data_dir)
        self._books = Bookkeeper(ledger, kill_switch(state_dir), clock.now)
        self._lines: list[str] = []
        self._problems: dict[str, str] = {}

    def run(self, stop: StopRequest) -> int:
        """Plan; return the exit code."""
        orders = self._ledger.parents(session=self._hours.day, states=[ParentState.NEW])
        for order in orders:
            if stop():
                break
            self._plan(order)
        report = {
            "session": self._hours.day.isoformat(),
            "orders": len(orders),
            "plans": self._lines,
            "alerts": told({**self._refusals(), **self._problems}, self._hours.day),
        }
        lines = [*self._lines, *self._problems.values()]
        text = "\n".join(lines) or f"no new orders for {self._hours.day}"
        return finish(EX_TEMPFAIL if stop() else 0, report, text)

    def _refusals(self) -> dict[str, str]:
        """The session's refused orders, those of an earlier run of the job too: it told nothing if it was
        stopped."""
        refused = self._ledger.parents(session=self._hours.day, states=[ParentState.REJECTED])
        return {order.parent_id: f"{order.parent_id} is refused: {order.reason}" for order in refused}

    def _plan(self, order: ParentOrder) -> None:
        now = self._clock.now()
        try:
            facts = market_facts(order.symbol, self._bars, self._profiles, before=self._hours.day)
            plan = first_plan(order, facts, self._hours, now)
        except PlanError as error:
            self._problems[order.parent_id] = f"{order.parent_id} cannot be planned: {error}"
            return
        with self._ledger.writing(now) as book:
            book.put_facts(facts)
        self._books.put_first_plan(self._books.load(order), plan)
        self._lines.append(line_of(order, plan))


def line_of(order: ParentOrder, plan: ExecutionPlan) -> str:
    """Return one order's plan in a line, or why there is none."""
    head = f"{order.parent_id}: {order.side} {order.quantity} {order.symbol}"
    if not plan.is_feasible:
        return f"{head}: REFUSED, {'; '.join(plan.reasons)}"
    slices = sum(planned.quantity > 0 for planned in plan.slices)
    cost = f"{plan.expected_cost:.2f} $ = {plan.expected_cost_bps:.1f} bp, risk {plan.variance**0.5:.2f} $"
    return f"{head}: {plan.algorithm} ({plan.choice.rule}), {slices} slices, expected {cost}"


if __name__ == "__main__":
    sys.exit(main())
