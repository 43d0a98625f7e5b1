"""From the broker's reports to the ledger: every change of a child is committed before anybody acts on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from trading.execution import transitions
from trading.execution.brokers.broker import BrokerOrder, Report
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.book import Book
from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import ChildOrder, ChildState, Fill, ParentOrder, ParentState
from trading.execution.smart.desk import Desk
from trading.execution.smart.plan import ExecutionPlan

WHO = "executor"
ENDED = "order.ended"
"""What was seen of the market when a parent came to its end: its cost is measured with that."""


class Bookkeeper:
    """Writes what happened into the ledger and, once that is committed, into the desks. No other writer
    of both."""

    def __init__(self, ledger: Ledger, kill: KillSwitch, now: Callable[[], datetime]) -> None:
        self.ledger, self.kill, self.now = ledger, kill, now
        self.desks: dict[str, Desk] = {}

    def load(self, order: ParentOrder) -> Desk:
        """Read a parent's rows anew; keep what only this process knows of it."""
        before = self.desks.get(order.parent_id)
        desk = Desk(order=order)
        desk.plan = self.ledger.plan(order.parent_id)
        desk.facts = self.ledger.facts(order.symbol)
        desk.children = {child.client_order_id: child for child in self.ledger.children(order.parent_id)}
        if before is not None:
            desk.wake_at, desk.look_up_at = before.wake_at, before.look_up_at
            desk.refusals, desk.track = before.refusals, before.track
            desk.mid, desk.market_volume = before.mid, before.market_volume
        self.desks[order.parent_id] = desk
        return desk

    def desk_of(self, client_order_id: str) -> Desk | None:
        """Return the desk whose child this is; None for somebody else's order.

        Late news of an earlier session's order brings its desk back.
        """
        desk = self.desks.get(client_order_id.rpartition("-")[0])
        known = self.ledger.child(client_order_id) if desk is None else None
        return desk if known is None else self.load(self.ledger.parent(known.parent_id))

    def take(self, reports: Iterable[Report]) -> None:
        """Book reports, those of others left out."""
        for report in reports:
            desk = self.desk_of(report.client_order_id)
            child = desk.children.get(report.client_order_id) if desk else None
            if desk is None or child is None:
                continue
            if isinstance(report, Fill):
                self.book_fill(desk, child, report)
            else:
                after = transitions.reported(child, report, self.now())
                self._count_refusals(desk, child, after)
                self.put_child(desk, child, after)

    def _count_refusals(self, desk: Desk, before: ChildOrder, after: ChildOrder) -> None:
        """A child that was taken and refused by a report is one more; one that ends otherwise was not."""
        if after.state is not before.state and after.state.is_final:
            desk.refusals = desk.refusals + 1 if after.state is ChildState.REJECTED else 0

    def put_child(self, desk: Desk, before: ChildOrder | None, after: ChildOrder) -> None:
        """Commit a child's new state; nothing is written when nothing changed."""
        if before == after:
            return
        with self.ledger.writing(self.now()) as book:
            book.put_child(after)
        self._place(desk, after)

    def book_fill(self, desk: Desk, child: ChildOrder, fill: Fill) -> None:
        """Commit a fill and its child together; a known execution id changes nothing."""
        at = self.now()
        with self.ledger.writing(at) as book:
            if not book.add_fill(fill):
                return
            after = transitions.filled(child, fill, at)
            book.put_child(after)
            over = desk.filled + fill.quantity > desk.order.quantity or transitions.overfilled(after) > 0
            if over:
                book.event(
                    "order.overfilled",
                    parent_id=desk.order.parent_id,
                    client_order_id=fill.client_order_id,
                    filled=desk.filled + fill.quantity,
                    quantity=desk.order.quantity,
                )
                # Before the commit: a fill that is known already would not halt the next process.
                self.halt(
                    f"{desk.order.parent_id} has {desk.filled + fill.quantity} shares filled of "
                    f"{desk.order.quantity}"
                )
        desk.refusals = 0
        self._place(desk, after)

    def settle(self, desk: Desk, child: ChildOrder, found: BrokerOrder | None) -> None:
        """Commit what a look-up has found of an unclear child."""
        self.put_child(desk, child, transitions.reconciled(child, found, self.now()))

    def move(self, desk: Desk, state: ParentState, reason: str = "") -> None:
        """Commit a parent's new state. A final state another process has written meanwhile stays."""
        at = self.now()
        with self.ledger.writing(at) as book:
            desk.order = self._moved(book, desk.order, state, at, reason)
            if desk.order.state.is_final:
                book.event(
                    ENDED, parent_id=desk.order.parent_id, mid=desk.mid, market_volume=desk.market_volume
                )

    def _moved(
        self, book: Book, order: ParentOrder, state: ParentState, at: datetime, reason: str
    ) -> ParentOrder:
        stored = self.ledger.parent(order.parent_id)
        if stored.state.is_final:
            return stored
        after = transitions.parent_moved(order, state, at, reason)
        if after != stored:
            book.put_parent(after)
        return after

    def put_first_plan(self, desk: Desk, plan: ExecutionPlan) -> None:
        """Commit an order's first plan and what follows from it: VALIDATED, or REJECTED with the reasons.

        An order that another process has planned or cancelled meanwhile is left as that one made it.
        """
        at = self.now()
        state, reason = ParentState.VALIDATED, ""
        if not plan.is_feasible:
            state, reason = ParentState.REJECTED, "; ".join(plan.reasons)
        with self.ledger.writing(at) as book:
            is_new = self.ledger.parent(desk.order.parent_id).state is ParentState.NEW
            if is_new:
                book.add_plan(plan)
                desk.order = self._moved(book, desk.order, state, at, reason)
        if is_new:
            desk.plan = plan
        else:
            self.load(self.ledger.parent(desk.order.parent_id))

    def put_plan(self, desk: Desk, plan: ExecutionPlan) -> None:
        """Commit a new plan of an order that is being worked."""
        with self.ledger.writing(self.now()) as book:
            book.add_plan(plan)
        desk.plan = plan

    def halt(self, reason: str) -> None:
        """Set the kill switch: what has happened must be looked at by a person first."""
        self.kill.set(reason, WHO, self.now())

    def _place(self, desk: Desk, child: ChildOrder) -> None:
        desk.children[child.client_order_id] = child
        desk.wake_at = None
