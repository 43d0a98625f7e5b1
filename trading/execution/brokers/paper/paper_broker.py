"""A broker whose orders are filled from a market's bars. Light: standard library only."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState, Report, Ticket
from trading.execution.brokers.paper.config import PaperConfig
from trading.execution.brokers.paper.matching import (
    Match,
    Terms,
    Waiting,
    capacity,
    match,
    permanent_shift,
    temporary_slope,
)
from trading.execution.brokers.paper.paper_store import PaperOrder, PaperStore, broker_order
from trading.execution.checking import whole
from trading.execution.errors import BrokerUnavailable, OrderRejected, SubmitUnclear
from trading.execution.markets.market import Market, Quote
from trading.execution.markets.traded import Bar, TradedMarket, quote_around
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.orders import MAX_QUANTITY, Fill, OrderKind


class Clock(Protocol):
    """What the broker reads the time from; it never waits."""

    def now(self) -> datetime: ...


Impact = Callable[[str], AlmgrenChrissParams | None]
"""Tells a symbol's impact; None: own trades move its price in nothing."""


class PaperBroker:
    """Fills orders from data after their submit, and at most a share of each bar's volume
    (`PaperConfig`).

    An order takes part in the bars that start when it has arrived or later, and that end before it is
    cancelled, rejected or expired; what it gets of a bar, and at what price, says `matching`. It is a day
    order: it expires at the close of the session that is on when it is sent, or of the next one. Nothing
    happens between questions: each first works the bars that have ended since the last, so after a
    restart on the same store all is as if the broker had been there. A bar is worked once, when
    everything that may take part in it has arrived.

    It knows nothing of buying power, short sales, auctions and queues; `Ticket.display` changes nothing.

    market: the bars; give `self.market` to the executor, whose quotes include what own trades have moved
    the price. params: impact by symbol; without, a symbol's price is moved by nothing. Permanent impact
    lasts for the session: the next one's prices are the market's own again. store: the books, closed by
    whoever opened them; None: in memory.
    """

    def __init__(
        self,
        market: TradedMarket,
        clock: Clock,
        *,
        config: PaperConfig | None = None,
        store: PaperStore | None = None,
        params: Impact | Mapping[str, AlmgrenChrissParams] | None = None,
    ) -> None:
        self._bars, self._clock = market, clock
        self._config = config or PaperConfig()
        self._store = store or PaperStore()
        self._params = params if callable(params) else dict(params or {}).get
        self._mail: list[tuple[datetime, int, Report]] = []
        self._read_to = 0
        self._worked_at: datetime | None = None
        self._find_mail_under_way()

    @property
    def name(self) -> str:
        return "paper"

    @property
    def market(self) -> Market:
        """The market as this account sees it: quotes moved by the permanent impact of its own trades."""
        return _MovedMarket(self._bars, self._store)

    async def connect(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close: the store belongs to whoever opened it."""

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        """Take an order. Raises OrderRejected, SubmitUnclear (see `Broker`)."""
        now = await self._work()
        with _as_broker_errors(SubmitUnclear):
            arrived = not self._is("unclear_lost", ticket)
            order = self._take(ticket, now) if arrived else None
        if order is None or self._is("unclear_arrived", ticket):
            raise SubmitUnclear(f"simulated: the answer to {ticket.client_order_id} was lost")
        return _told(order)

    def _take(self, ticket: Ticket, now: datetime) -> PaperOrder:
        """Enter an order in the books. Raises OrderRejected."""
        self._check(ticket)
        session = self._bars.session_at(now)
        if session is None:
            raise OrderRejected(f"the market is closed at {now}, and no later session is known")
        if self._is("reject", ticket):
            raise OrderRejected("simulated rejection")
        arrives_at = now + self._config.latency(ticket.client_order_id, "order")
        is_refused_late = self._is("late_reject", ticket)
        try:
            with self._store.writing():
                return self._store.add(
                    ticket,
                    arrives_at=arrives_at,
                    visible_at=arrives_at if self._is("unclear_arrived", ticket) else now,
                    ends_at=arrives_at if is_refused_late else session.close,
                    ends_as=BrokerOrderState.REJECTED if is_refused_late else BrokerOrderState.EXPIRED,
                    reason="simulated late rejection" if is_refused_late else "the session is over",
                )
        except sqlite3.IntegrityError:
            raise OrderRejected(f"client_order_id {ticket.client_order_id} is already known") from None

    def _check(self, ticket: Ticket) -> None:
        """Raises OrderRejected for what no broker would take."""
        try:
            quantity = whole("quantity", ticket.quantity, 1)
        except ValueError as error:
            raise OrderRejected(str(error)) from error
        if quantity > MAX_QUANTITY:
            raise OrderRejected(f"quantity is {quantity}: expected at most {MAX_QUANTITY} shares")
        if not self._bars.knows(ticket.symbol):
            raise OrderRejected(f"symbol {ticket.symbol} is not traded here")
        limit = ticket.limit_price
        if (ticket.kind is OrderKind.LIMIT) != (limit is not None) or (limit is not None and limit <= 0):
            raise OrderRejected(f"limit_price is {limit}: expected one above 0 for a limit order, else none")

    def _is(self, fault: str, ticket: Ticket) -> bool:
        """Whether a fault is drawn for an order; for ever the same answer."""
        rate: float = getattr(self._config, f"{fault}_rate")
        return rate > 0 and self._config.draw(ticket.client_order_id, fault) < rate

    async def cancel(self, client_order_id: str) -> None:
        """Let an open order end as soon as the cancel arrives; unknown or closed: nothing."""
        now = await self._work()
        at = now + self._config.latency(client_order_id, "cancel")
        with _as_broker_errors(BrokerUnavailable), self._store.writing():
            order = self._store.order(client_order_id)
            is_open = order is not None and order.state is BrokerOrderState.OPEN
            if order is not None and is_open and order.visible_at <= at < order.ends_at:
                self._store.end_by(order, at, BrokerOrderState.CANCELLED, "cancelled")
        await self._work()

    async def find(self, client_order_id: str) -> BrokerOrder | None:
        """Return how an order stands; None: it is not here (now)."""
        now = await self._work()
        with _as_broker_errors(BrokerUnavailable):
            order = self._store.order(client_order_id)
        return None if order is None or now < order.visible_at else _told(order)

    async def fills(self, since: datetime) -> Sequence[Fill]:
        """Return the executions from `since` on, oldest first; reports of them may still be on the way."""
        await self._work()
        with _as_broker_errors(BrokerUnavailable):
            return self._store.fills(since)

    async def reports(self) -> Sequence[Report]:
        """Return what has come since the last call. What was told before this object was made is not told
        again, as on a vendor's stream."""
        now = await self._work()
        with _as_broker_errors(BrokerUnavailable):
            self._take_news()
        found = []
        while self._mail and self._mail[0][0] <= now:
            found.append(heapq.heappop(self._mail)[2])
        return found

    async def open_orders(self) -> Sequence[BrokerOrder]:
        """Return all orders that may still be filled."""
        now = await self._work()
        with _as_broker_errors(BrokerUnavailable):
            return [_told(order) for order in self._store.open_orders() if order.visible_at <= now]

    async def positions(self) -> Mapping[str, int]:
        """Return shares held: what the account began with and all fills."""
        await self._work()
        with _as_broker_errors(BrokerUnavailable):
            held = dict(self._config.opening_positions)
            for symbol, shares in self._store.positions().items():
                held[symbol] = held.get(symbol, 0) + shares
        return {symbol: shares for symbol, shares in sorted(held.items()) if shares}

    async def cash(self) -> Decimal:
        """Return the account's cash [$]: what it began with, less purchases and fees, with sales."""
        await self._work()
        with _as_broker_errors(BrokerUnavailable):
            paid = (fill.side.sign * fill.quantity * fill.price + fill.fee for fill in self._store.fills())
            return self._config.opening_cash - sum(paid)

    def next_report_at(self) -> datetime | None:
        """Return when the next report can be there: one on its way, or the next end of a bar or of an order.
        None: no order is open, nothing is on its way."""
        with _as_broker_errors(BrokerUnavailable):
            self._take_news()
            instants = [at for at, _, _ in self._mail[:1]]
            for order in self._store.open_orders():
                known_to = max(order.arrives_at, self._worked_at or order.arrives_at)
                bar_end = self._bars.next_bar_end(known_to)
                soonest = order.ends_at if bar_end is None else min(order.ends_at, bar_end)
                instants.append(soonest + self._config.least_latency)
        return min(instants, default=None)

    # What happens to the orders while nobody asks.

    async def _work(self) -> datetime:
        """Do what has happened by now; return now."""
        now = self._clock.now()
        with _as_broker_errors(BrokerUnavailable):
            waiting = self._waiting()
            since = {symbol: self._unworked_from(symbol, orders) for symbol, orders in waiting.items()}
        bars = {symbol: await self._bars.bars(symbol, at, now, now) for symbol, at in since.items()}
        is_due = any(order.ends_at <= now for orders in waiting.values() for order in orders)
        if is_due or any(bars.values()):
            with _as_broker_errors(BrokerUnavailable), self._store.writing():
                # Read anew: another process may have worked some of these bars meanwhile.
                for symbol, orders in self._waiting().items():
                    self._work_symbol(orders, bars.get(symbol, ()), now)
        self._worked_at = now
        return now

    def _waiting(self) -> dict[str, list[PaperOrder]]:
        orders: dict[str, list[PaperOrder]] = {}
        for order in self._store.open_orders():
            orders.setdefault(order.ticket.symbol, []).append(order)
        return orders

    def _unworked_from(self, symbol: str, orders: Sequence[PaperOrder]) -> datetime:
        worked_to, _ = self._store.symbol(symbol)
        first = min(order.arrives_at for order in orders)
        return first if worked_to is None else max(first, worked_to)

    def _work_symbol(self, orders: Sequence[PaperOrder], bars: Sequence[Bar], now: datetime) -> None:
        alive = {order.ticket.client_order_id: order for order in orders}
        worked_to, _ = self._store.symbol(orders[0].ticket.symbol)
        for bar in bars:
            if worked_to is None or bar.start >= worked_to:
                self._work_bar(bar, alive)
        for order in alive.values():
            if order.ends_at <= now:
                self._store.end(order, order.ends_at, order.ends_as)

    def _work_bar(self, bar: Bar, alive: dict[str, PaperOrder]) -> None:
        """Fill what waits for a bar, and take the filled orders out of `alive`."""
        present = [o for o in alive.values() if o.arrives_at <= bar.start and bar.end <= o.ends_at]
        if not present:
            return
        symbol = present[0].ticket.symbol
        shift = _shift_at(bar.start, symbol, self._bars, self._store)
        params = self._params(symbol)
        terms = Terms(
            capacity=capacity(bar, self._config.max_share_of_bar),
            half_spread=self._bars.half_spread(symbol, bar.mid),
            slope=temporary_slope(params, bar.length),
            shift=shift,
        )
        present.sort(key=lambda order: (order.arrives_at, order.number))
        matches = match(bar, [Waiting(ticket=o.ticket, leaves=o.leaves) for o in present], terms)
        for each in matches:
            self._book(each, bar, alive)
        self._store.put_symbol(symbol, bar.end, shift + permanent_shift(params, matches))

    def _book(self, found: Match, bar: Bar, alive: dict[str, PaperOrder]) -> None:
        order = alive[found.client_order_id]
        filled = order.filled + found.quantity
        fill = Fill(
            execution_id=f"{found.client_order_id}@{bar.start:%Y%m%dT%H%M%S%f}",
            client_order_id=found.client_order_id,
            symbol=order.ticket.symbol,
            side=found.side,
            quantity=found.quantity,
            price=found.price,
            at=bar.end,
            fee=self._config.fee(filled) - self._config.fee(order.filled),
            broker=self.name,
        )
        self._store.book(order, fill)
        if filled == order.ticket.quantity:
            del alive[found.client_order_id]
        else:
            alive[found.client_order_id] = replace(order, filled=filled)

    # Reports on their way.

    def _find_mail_under_way(self) -> None:
        """Take up reports that were under way when this object was made: older ones have been told."""
        now = self._clock.now()
        with _as_broker_errors(BrokerUnavailable):
            for news in self._store.news_after(0, now - self._config.longest_delay):
                self._post(news.number, news.key, news.at, news.report, after=now)
            self._read_to = self._store.last_news()

    def _take_news(self) -> None:
        for news in self._store.news_after(self._read_to):
            self._post(news.number, news.key, news.at, news.report)
            self._read_to = news.number

    def _post(
        self, number: int, key: str, at: datetime, report: Report, after: datetime | None = None
    ) -> None:
        for copy, delay in enumerate(self._config.deliveries(key)):
            if after is None or at + delay > after:
                heapq.heappush(self._mail, (at + delay, 2 * number + copy, report))


class _MovedMarket:
    """A market whose quotes include the permanent impact of own trades."""

    def __init__(self, market: TradedMarket, store: PaperStore) -> None:
        self._market, self._store = market, store

    async def quote(self, symbol: str, now: datetime) -> Quote | None:
        quote = await self._market.quote(symbol, now)
        with _as_broker_errors(BrokerUnavailable):
            shift = _shift_at(now, symbol, self._market, self._store)
        if quote is None or not shift:
            return quote
        moved = quote_around(symbol, quote.mid + shift, quote.spread / 2, quote.at)
        return replace(moved, is_halted=quote.is_halted)

    async def volume(self, symbol: str, start: datetime, end: datetime, now: datetime) -> int:
        return await self._market.volume(symbol, start, end, now)


def _shift_at(at: datetime, symbol: str, market: TradedMarket, store: PaperStore) -> Decimal:
    """Return how far own trades of the session that is on at `at` have moved the symbol's price [$/share]."""
    session = market.session_at(at)
    worked_to, shift = store.symbol(symbol)
    is_of_now = session is not None and worked_to is not None and worked_to > session.open
    return shift if is_of_now else Decimal(0)


@contextmanager
def _as_broker_errors(kind: type[BrokerUnavailable] | type[SubmitUnclear]) -> Iterator[None]:
    """Tell trouble with the books' file as a remote broker's: not answered, or answered by silence."""
    try:
        yield
    except sqlite3.Error as error:
        raise kind(f"the paper broker's books do not answer ({error})") from error


def _told(order: PaperOrder) -> BrokerOrder:
    reason = "" if order.state is BrokerOrderState.OPEN else order.reason
    return broker_order(order.ticket, order.state, order.filled, reason, order.changed_at)
