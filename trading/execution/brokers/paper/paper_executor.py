"""Single orders on the paper broker, for scripts and a first try: one call, one plain order, its result.

Orders that should cost little are worked in slices by the smart executor (`smart.executor`). Light.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from orchestration.clock import SystemClock, VirtualClock
from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState, Ticket
from trading.execution.brokers.paper.config import PaperConfig
from trading.execution.brokers.paper.paper_broker import PaperBroker
from trading.execution.brokers.paper.paper_store import PaperStore
from trading.execution.errors import OrderRejected, SubmitUnclear
from trading.execution.markets.traded import TradedMarket
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.orders import Fill, OrderKind, Side
from trading.execution.smart.pace import pace_of

LOOK = timedelta(seconds=1)
"""How long to wait for news whose time is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderResult:
    """How one order ended. reason: of a rejection, a cancel or an expiry, in words; fills: oldest first."""

    client_order_id: str
    state: BrokerOrderState
    quantity: int
    fills: tuple[Fill, ...] = ()
    reason: str = ""

    @property
    def filled(self) -> int:
        """Shares executed."""
        return sum(fill.quantity for fill in self.fills)

    @property
    def average_price(self) -> Decimal | None:
        """Mean price of the fills by shares [$/share]; None: nothing was filled."""
        if not self.fills:
            return None
        return sum((fill.quantity * fill.price for fill in self.fills), Decimal(0)) / self.filled

    @property
    def fees(self) -> Decimal:
        """All fees [$]."""
        return sum((fill.fee for fill in self.fills), Decimal(0))


class PaperExecutor:
    """Places one order at a time on a `PaperBroker` and waits until it has ended, at the close at the latest.

    skip_delays: True: time is virtual, begins at `start` (aware UTC) and jumps to the next event, so that a
    call takes no time. False: time is the box's, and a call lasts as long as its order; `start` must be
    None. The other arguments are the broker's.
    """

    def __init__(
        self,
        market: TradedMarket,
        *,
        skip_delays: bool,
        start: datetime | None = None,
        config: PaperConfig | None = None,
        store: PaperStore | None = None,
        params: Mapping[str, AlmgrenChrissParams] | None = None,
    ) -> None:
        if skip_delays != (start is not None):
            raise ValueError(f"start is {start}: expected an instant with skip_delays, None without")
        self.clock = SystemClock() if start is None else VirtualClock(start)
        self._config = config or PaperConfig()
        self._store = store or PaperStore()
        self._pace = pace_of(self.clock)
        self._number = 0
        self.broker = PaperBroker(market, self.clock, config=self._config, store=self._store, params=params)

    async def place_order_async(
        self,
        symbol: str,
        side: Side | str,
        quantity: int,
        *,
        kind: OrderKind | str = OrderKind.MARKET,
        limit_price: Decimal | None = None,
        client_order_id: str | None = None,
    ) -> OrderResult:
        """Send one day order and return how it ended. It is sent once, whatever happens.

        side: "buy" or "sell". kind: "market", or "limit" with a `limit_price` [$/share]. client_order_id:
        None: the next one of this account. A rejection is a result, not an error.

        Raises:
            ValueError: if side or kind is none of the words.
            BrokerUnavailable: if the broker's books do not answer.
        """
        ticket = Ticket(
            client_order_id=client_order_id or self._next_id(),
            symbol=symbol,
            side=Side(side),
            quantity=quantity,
            kind=OrderKind(kind),
            limit_price=limit_price,
        )
        sent_at = self.clock.now()
        try:
            order: BrokerOrder | None = await self.broker.submit(ticket)
        except OrderRejected as error:
            return _result(ticket, BrokerOrderState.REJECTED, error.reason)
        except SubmitUnclear as error:
            order = await self._look_up(ticket)
            if order is None:
                return _result(ticket, BrokerOrderState.REJECTED, f"it never arrived: {error}")
        return await self._follow(ticket, sent_at)

    def execute_order(
        self,
        symbol: str,
        side: Side | str,
        quantity: int,
        *,
        kind: OrderKind | str = OrderKind.MARKET,
        limit_price: Decimal | None = None,
        client_order_id: str | None = None,
    ) -> OrderResult:
        """Do as `place_order_async`, for callers that do not await, with or without a running event loop.

        Within a running loop the order gets a loop of its own in a thread of its own, and the caller's loop
        stands still until the order has ended: await `place_order_async` instead where that matters.
        """
        order = self.place_order_async(
            symbol, side, quantity, kind=kind, limit_price=limit_price, client_order_id=client_order_id
        )
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(order)
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, order).result()

    def _next_id(self) -> str:
        """Return an id that is not taken. Orders that were refused or lost are not counted in the books."""
        self._number = max(self._number, self._store.count()) + 1
        return f"single-{self._number:06d}"

    async def _look_up(self, ticket: Ticket) -> BrokerOrder | None:
        """Return an order whose answer was lost; None: it has not arrived in the longest time that takes."""
        await self._wait(self.clock.now() + self._config.most_latency)
        return await self.broker.find(ticket.client_order_id)

    async def _follow(self, ticket: Ticket, sent_at: datetime) -> OrderResult:
        while True:
            await self.broker.reports()
            order = await self.broker.find(ticket.client_order_id)
            if order is not None and order.state is not BrokerOrderState.OPEN:
                break
            await self._wait(self.broker.next_report_at() or self.clock.now() + LOOK)
        fills = [
            fill
            for fill in await self.broker.fills(sent_at)
            if fill.client_order_id == ticket.client_order_id
        ]
        return _result(ticket, order.state, order.reason, fills)

    async def _wait(self, until: datetime) -> None:
        while True:
            await self._pace.until(until)
            if self.clock.now() >= until:
                return


def _result(
    ticket: Ticket, state: BrokerOrderState, reason: str, fills: list[Fill] | None = None
) -> OrderResult:
    return OrderResult(
        client_order_id=ticket.client_order_id,
        state=state,
        quantity=ticket.quantity,
        fills=tuple(fills or ()),
        reason=reason,
    )
