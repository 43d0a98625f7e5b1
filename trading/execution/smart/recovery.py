"""What became of children nobody is sure of: asked of the broker, by their own id, never by sending them
again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from trading.execution import transitions
from trading.execution.brokers.broker import Broker
from trading.execution.errors import BrokerUnavailable
from trading.execution.orders import ChildOrder, ChildState, Fill
from trading.execution.smart.bookkeeping import Bookkeeper
from trading.execution.smart.desk import Desk
from trading.execution.smart.rules import ExecutorRules

OURS = re.compile(r"\d{8}-[A-Z0-9][A-Z0-9._-]*-\d{4,}-\d{4,}")
"""The shape of our client_order_ids."""
BEHIND = timedelta(minutes=1)
"""How far the broker's clock may be behind ours: fills are asked for from so long before a submit."""


class Reconciler:
    """Compares children with the broker.

    Of the rules it takes settle, counted from this process's first doubt (a submit that was given up may
    arrive long after it began), retry and patience.
    """

    def __init__(self, books: Bookkeeper, broker: Broker, rules: ExecutorRules) -> None:
        self._books, self._broker, self._rules = books, broker, rules
        self._missed_since: dict[str, datetime] = {}

    async def recover(self, since: datetime | None = None) -> None:
        """After a start: book what happened meanwhile, compare every open child, look for orders we have
        lost.

        since: fills from then on are asked for, None: from the oldest open child on.

        Raises:
            BrokerUnavailable: if the broker does not answer; nothing may be sent before this is done.
        """
        waiting = [(d, c) for d in self._books.desks.values() for c in d.children.values() if is_waiting(c)]
        starts = [child.created_at for _, child in waiting] + ([since] if since else [])
        if starts:
            fills = await self._broker.fills(min(starts) - BEHIND)
            self._books.take(fills)
            self._note_lost_fills(fills)
        for desk, child in waiting:
            await self._compare(desk, desk.children[child.client_order_id])
        await self._look_for_lost_orders()

    async def look_up_due(self, desk: Desk) -> None:
        """Look up the children whose time has come: unclear ones, closed ones whose last fills are missing,
        and those whose cancel nobody has confirmed."""
        doubted = [name for name, child in desk.children.items() if self._is_in_doubt(child)]
        desk.look_up_at = {name: at for name, at in desk.look_up_at.items() if name in doubted}
        for name in doubted:
            now = self._books.now()
            if now < desk.look_up_at.get(name, now):
                continue
            try:
                # Read here: the look-up before it may have changed it.
                await self._compare(desk, desk.children[name])
            except BrokerUnavailable:
                desk.look_up_at[name] = now + self._rules.retry

    def _is_in_doubt(self, child: ChildOrder) -> bool:
        asked = child.cancel_asked_at
        is_late = asked is not None and self._books.now() >= asked + self._rules.patience
        return is_in_doubt(child) or (is_late and not child.state.is_final)

    async def _compare(self, desk: Desk, child: ChildOrder) -> None:
        name = child.client_order_id
        found = await self._broker.find(name)
        if found is not None:
            self._missed_since.pop(name, None)
            if found.filled > child.filled:
                self._books.take(await self._broker.fills(child.created_at - BEHIND))
            self._books.settle(desk, desk.children[name], found)
        elif not child.state.is_final:
            self._miss(desk, child)
        self._look_again(desk, desk.children[name])

    def _miss(self, desk: Desk, child: ChildOrder) -> None:
        """Note that the broker does not show an open child; believe it once that has lasted."""
        now = self._books.now()
        since = self._missed_since.setdefault(child.client_order_id, now)
        if now >= since + self._rules.settle:
            self._books.settle(desk, child, None)
        elif child.state is not ChildState.INTENT:
            self._books.put_child(desk, child, transitions.unclear(child, "the broker does not show it", now))

    def _look_again(self, desk: Desk, child: ChildOrder) -> None:
        """Note when to look the child up again, if it is still in doubt."""
        name, now = child.client_order_id, self._books.now()
        since = self._missed_since.get(name)
        if not self._is_in_doubt(child):
            desk.look_up_at.pop(name, None)
        elif since is None:
            desk.look_up_at[name] = now + self._rules.retry
        else:
            settle = self._rules.settle
            desk.look_up_at[name] = max(now, min(since + settle, now + settle / 4))

    async def _look_for_lost_orders(self) -> None:
        """Open orders of ours that the ledger does not know halt trading, as long as they are there; those
        that it takes for closed are cancelled."""
        found = [order.client_order_id for order in await self._broker.open_orders()]
        lost = self._lost(found)
        if lost:
            self._halt_for(lost, "open")
        for name in filter(OURS.fullmatch, found):
            known = self._books.ledger.child(name)
            if known is not None and known.state.is_final:
                await self._broker.cancel(name)

    def _note_lost_fills(self, fills: Sequence[Fill]) -> None:
        """Fills of ours that the ledger does not know halt trading once: they stay, and a person who has
        compared both must be able to go on."""
        ledger = self._books.ledger
        lost = self._lost(fill.client_order_id for fill in fills)
        lost = [name for name in lost if ledger.meta(f"lost.{name}") is None]
        if not lost:
            return
        self._halt_for(lost, "filled")
        with ledger.writing(self._books.now()) as book:
            for name in lost:
                book.put_meta(f"lost.{name}", "its fills are not booked")

    def _lost(self, names: Iterable[str]) -> list[str]:
        ours = dict.fromkeys(filter(OURS.fullmatch, names))
        return [name for name in ours if self._books.ledger.child(name) is None]

    def _halt_for(self, lost: Sequence[str], how: str) -> None:
        self._books.halt(
            f"the broker has {len(lost)} of our orders {how}, first {lost[0]}, and the ledger does not know "
            "them (an older backup?); compare both, then clear the halt"
        )


def is_waiting(child: ChildOrder) -> bool:
    """Whether the broker may still have news of the child: it is open, or its last fills have not come."""
    return not child.state.is_final or child.leaves > 0


def is_in_doubt(child: ChildOrder) -> bool:
    """Whether the broker must be asked about the child: unclear, or closed with fills that have not come."""
    if child.state.is_final:
        return child.leaves > 0
    return child.state in (ChildState.UNKNOWN, ChildState.INTENT)
