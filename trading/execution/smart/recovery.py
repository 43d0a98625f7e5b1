"""What became of children nobody is sure of: asked of the broker, by their own id, never by sending them
again."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from trading.execution import transitions
from trading.execution.brokers.broker import Broker
from trading.execution.errors import BrokerUnavailable
from trading.execution.orders import ChildOrder, ChildState
from trading.execution.smart.bookkeeping import Bookkeeper
from trading.execution.smart.desk import Desk

OURS = re.compile(r"\d{8}-[A-Z0-9][A-Z0-9._-]*-\d{4,}-\d{4,}")
"""The shape of our client_order_ids."""


class Reconciler:
    """Compares children with the broker. settle: how old a submit must be before "not there" is believed;
    retry: wait after the broker did not answer."""

    def __init__(self, books: Bookkeeper, broker: Broker, settle: timedelta, retry: timedelta) -> None:
        self._books, self._broker = books, broker
        self._settle, self._retry = settle, retry

    async def recover(self) -> None:
        """After a start: book what happened meanwhile, compare every open child, look for orders we have
        lost.

        Raises:
            BrokerUnavailable: if the broker does not answer; nothing may be sent before this is done.
        """
        waiting = [(d, c) for d in self._books.desks.values() for c in d.children.values() if is_waiting(c)]
        if waiting:
            self._books.take(await self._broker.fills(min(child.created_at for _, child in waiting)))
        for desk, child in waiting:
            await self._compare(desk, desk.children[child.client_order_id])
        await self._look_for_lost_orders()

    async def look_up_due(self, desk: Desk) -> None:
        """Look up the children whose time has come: unclear ones, and closed ones whose last fills are
        missing."""
        now = self._books.now()
        for child in [c for c in desk.children.values() if is_in_doubt(c)]:
            due = desk.look_up_at.get(child.client_order_id)
            if due is not None and due > now:
                continue
            try:
                await self._compare(desk, child)
            except BrokerUnavailable:
                desk.look_up_at[child.client_order_id] = now + self._retry

    async def _compare(self, desk: Desk, child: ChildOrder) -> None:
        found = await self._broker.find(child.client_order_id)
        if found is not None and found.filled > child.filled:
            self._books.take(await self._broker.fills(child.created_at))
            child = desk.children[child.client_order_id]
        is_unclear = child.state in (ChildState.UNKNOWN, ChildState.INTENT)
        if not is_unclear and found is not None:
            self._books.put_child(desk, child, transitions.reported(child, found, self._books.now()))
        elif not is_unclear and not child.state.is_final:
            self._books.put_child(
                desk, child, transitions.unclear(child, "the broker does not show it", self._books.now())
            )
            self._ask_again(desk, child)
        elif is_unclear and (found is not None or self._is_settled(child)):
            self._books.settle(desk, child, found)
            desk.look_up_at.pop(child.client_order_id, None)
        elif is_unclear:
            self._ask_again(desk, child)
        if desk.children[child.client_order_id].state.is_final:
            self._fetch_again(desk, desk.children[child.client_order_id])

    def _fetch_again(self, desk: Desk, child: ChildOrder) -> None:
        """A closed child whose fills have not all come is asked for again."""
        if child.leaves > 0:
            desk.look_up_at[child.client_order_id] = self._books.now() + self._retry
        else:
            desk.look_up_at.pop(child.client_order_id, None)

    def _is_settled(self, child: ChildOrder) -> bool:
        return self._books.now() >= _sent_at(child) + self._settle

    def _ask_again(self, desk: Desk, child: ChildOrder) -> None:
        now = self._books.now()
        believed = _sent_at(child) + self._settle
        desk.look_up_at[child.client_order_id] = max(now, min(believed, now + self._settle / 4))

    async def _look_for_lost_orders(self) -> None:
        """Open orders of ours that the ledger does not know, or takes for closed.

        The first: the ledger is older than the broker, so trading is halted. The second are cancelled there.
        """
        for order in await self._broker.open_orders():
            if not OURS.fullmatch(order.client_order_id):
                continue
            known = self._books.ledger.child(order.client_order_id)
            if known is None:
                self._books.halt(
                    f"the broker has our order {order.client_order_id} open and the ledger does not know it "
                    "(an older backup?); compare both, then clear the halt"
                )
            elif known.state.is_final:
                await self._broker.cancel(order.client_order_id)


def is_waiting(child: ChildOrder) -> bool:
    """Whether the broker may still have news of the child: it is open, or its last fills have not come."""
    return not child.state.is_final or child.leaves > 0


def is_in_doubt(child: ChildOrder) -> bool:
    """Whether the broker must be asked about the child: unclear, or closed with fills that have not come."""
    if child.state.is_final:
        return child.leaves > 0
    return child.state in (ChildState.UNKNOWN, ChildState.INTENT)


def _sent_at(child: ChildOrder) -> datetime:
    return child.submitted_at or child.created_at
