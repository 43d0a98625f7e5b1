"""Sending children and cancelling them: the only module that calls a broker's `submit` and `cancel`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from trading.execution import transitions
from trading.execution.brokers.broker import Broker, Ticket
from trading.execution.errors import BrokerUnavailable, OrderRejected
from trading.execution.orders import ChildOrder, ChildState, OrderKind, child_id
from trading.execution.smart.bookkeeping import Bookkeeper
from trading.execution.smart.desk import Desk
from trading.execution.smart.rules import ExecutorRules, StepHook

LastLook = Callable[[Desk], str]
"""Says why nothing may be sent after all, read anew right before a submit; empty: it may."""


class Sender:
    """Commits the intent before a child is sent, and what the broker said after it. Never sends a child
    twice."""

    def __init__(
        self, books: Bookkeeper, broker: Broker, rules: ExecutorRules, last_look: LastLook, step: StepHook
    ) -> None:
        self._books, self._broker, self._rules = books, broker, rules
        self._last_look, self._step = last_look, step
        self._cancel_again: dict[str, datetime] = {}

    async def submit(
        self, desk: Desk, quantity: int, slice_index: int, kind: OrderKind, price: Decimal | None
    ) -> None:
        """Send one new child. What may or may not have arrived becomes UNKNOWN and is looked up later."""
        child = self._intend(desk, quantity, slice_index, kind, price)
        if child is None:
            return
        self._step("intent")
        why_not = self._last_look(desk)
        if why_not:
            after = transitions.refused(child, f"never sent: {why_not}", self._books.now())
        else:
            after = await self._send(desk, child)
        self._books.put_child(desk, child, after)
        if after.state is ChildState.UNKNOWN:
            desk.look_up_at[after.client_order_id] = self._books.now()
        self._step("answer")

    def _intend(
        self, desk: Desk, quantity: int, slice_index: int, kind: OrderKind, price: Decimal | None
    ) -> ChildOrder | None:
        """Commit that a child will be sent; None: the parent was ended by another process meanwhile."""
        order, now = desk.order, self._books.now()
        with self._books.ledger.writing(now) as book:
            desk.order = self._books.ledger.parent(order.parent_id)
            if desk.order.state.is_final:
                return None
            sequence = book.next_sequence(order.parent_id)
            child = ChildOrder(
                client_order_id=child_id(order.parent_id, sequence),
                parent_id=order.parent_id,
                sequence=sequence,
                symbol=order.symbol,
                side=order.side,
                quantity=quantity,
                kind=kind,
                created_at=now,
                limit_price=price,
                slice_index=slice_index,
            )
            book.put_child(child)
        desk.children[child.client_order_id] = child
        return child

    async def _send(self, desk: Desk, child: ChildOrder) -> ChildOrder:
        self._step("before_submit")
        try:
            found = await self._broker.submit(ticket_of(child, desk.plan.display if desk.plan else None))
        except OrderRejected as error:
            desk.refusals += 1
            return transitions.refused(child, error.reason, self._books.now())
        except Exception as error:
            # Whatever went wrong, the order may have arrived.
            return transitions.unclear(child, f"{type(error).__name__}: {error}", self._books.now())
        finally:
            self._step("after_submit")
        return transitions.submitted(child, found, self._books.now())

    async def cancel_open(self, desk: Desk) -> datetime | None:
        """Ask for the cancel of every open child, again after `patience`; unclear ones are being looked up.

        Return when to come back; None: nothing was open.
        """
        unclear = {child.client_order_id for child in desk.unclear()}
        due = [await self._cancel(desk, c) for c in desk.open_children() if c.client_order_id not in unclear]
        return min(due, default=None)

    async def _cancel(self, desk: Desk, child: ChildOrder) -> datetime:
        """Ask for one cancel, if it is time to; return when it is again. What this process has not asked for
        it asks at once: the one before may have been killed on the way."""
        now, name = self._books.now(), child.client_order_id
        if now < self._cancel_again.get(name, now):
            return self._cancel_again[name]
        self._books.put_child(desk, child, transitions.cancel_asked(child, now))
        self._step("before_cancel")
        try:
            await self._broker.cancel(name)
            self._cancel_again[name] = now + self._rules.patience
        except BrokerUnavailable:
            self._cancel_again[name] = now + self._rules.retry
        self._step("after_cancel")
        return self._cancel_again[name]


def ticket_of(child: ChildOrder, display: int | None) -> Ticket:
    """Return what is sent for a child. display: shares to be shown at most, None: all."""
    return Ticket(
        client_order_id=child.client_order_id,
        symbol=child.symbol,
        side=child.side,
        quantity=child.quantity,
        kind=child.kind,
        limit_price=child.limit_price,
        display=display if display is not None and display < child.quantity else None,
    )
