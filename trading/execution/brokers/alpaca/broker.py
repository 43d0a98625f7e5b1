"""The Broker over Alpaca's REST interface. Light: alpaca-py is imported by `connect`.

News is polled: a question more is cheap, and after a break of the line nothing is missed, which a stream does
not promise. A poll is two questions, at most one poll every two seconds: 60 of the 200 requests a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from orchestration.clock import SystemClock
from trading.execution.brokers.alpaca.connection import Answer, Clock, Connection, Pause, Silence
from trading.execution.brokers.alpaca.rows import (
    Row,
    TradingDay,
    fill_of,
    holding_of,
    order_body,
    order_of,
    rfc3339,
    submitted_at,
    trading_day_of,
)
from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState, Report, Ticket
from trading.execution.errors import BrokerError, BrokerUnavailable, OrderRejected, SubmitUnclear
from trading.execution.orders import Fill

PRACTICE = "https://paper-api.alpaca.markets"
REAL_MONEY = "https://api.alpaca.markets"
REFUSALS = frozenset({400, 401, 403, 404, 422})
"""Answers to an order that say for certain that it was not taken: bad values and used names (422), funds or
shares that are not there, a blocked account (403), bad keys (401). Anything else is looked up, 429 too: the
documents do not say whether the limit is counted before or after the order."""
ORDERS_A_PAGE, FILLS_A_PAGE = 500, 100
OVERLAP = timedelta(minutes=2)
"""How far back each poll looks for executions again, since they may be listed late and out of order."""
POLL_EVERY = timedelta(seconds=2)
A_DAY = timedelta(days=1)


class AlpacaBroker:
    """One account at Alpaca. Orders are for the day and for regular hours, in whole shares.

    key, secret: an API pair; the practice account and the real one have different pairs. live: the real
    account; without it no order can reach one. url: where to connect instead, None: Alpaca. clock, pause: the
    time and how to wait for the rate limit. poll_every: `reports` is empty if asked again sooner.

    `reports` tells of orders that were sent or looked up here and of those for the day that were open at its
    first call, and of every execution. Somebody else's fractional and notional orders in the account appear
    in whole shares, fractional executions not at all. An answer that no method expects is a BrokerError.

    Raises:
        ValueError: for the real account without `live`; `connect`: for an empty key or secret, or a url that
            is not encrypted.
    """

    name: Final = "alpaca"

    def __init__(
        self,
        *,
        key: str,
        secret: str,
        live: bool = False,
        url: str | None = None,
        clock: Clock | None = None,
        pause: Pause = asyncio.sleep,
        poll_every: timedelta = POLL_EVERY,
    ) -> None:
        self._url = (url or (REAL_MONEY if live else PRACTICE)).rstrip("/")
        if urlsplit(self._url).hostname == urlsplit(REAL_MONEY).hostname and not live:
            raise ValueError(f"url is {url!r}, the real account: expected live=True with it")
        self._keys = (key, secret)
        self._clock, self._pause = clock or SystemClock(), pause
        self._poll_every = poll_every
        self._open: Connection | None = None
        self._names: dict[str, str] = {}
        """client_order_id by Alpaca's id of the order: executions carry the latter alone."""
        self._ids: dict[str, str] = {}
        """The same the other way round, for the orders that were sent or looked up here."""
        self._watched: dict[str, datetime] = {}
        """When each order came to Alpaca, by Alpaca's id, whose end `reports` has not told yet."""
        self._told: dict[str, tuple[BrokerOrderState, int, str]] = {}
        """What `submit` or `reports` told of an order last; `find` takes no news away."""
        self._fills_told: dict[str, datetime] = {}
        self._fills_from: datetime | None = None
        self._has_listed = False
        self._polled_at: float | None = None

    def __repr__(self) -> str:
        return f"AlpacaBroker(url={self._url!r})"

    async def connect(self) -> None:
        if self._open is not None:
            return
        connection = Connection(self._url, *self._keys, self._clock, self._pause)
        try:
            await connection.get("/account")
        except BaseException:
            await connection.close()
            raise
        self._open = connection
        if self._fills_from is None:  # after a break, news goes on from where it stopped
            self._fills_from = self._clock.now()

    async def close(self) -> None:
        connection, self._open = self._open, None
        if connection is not None:
            await connection.close()

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        if ticket.display is not None and ticket.display < ticket.quantity:
            raise OrderRejected("alpaca shows an order whole: send no more at once than may be seen")
        try:
            order = self._watch(await self._connection.post_once("/orders", order_body(ticket)))
            self._told[order.broker_order_id] = _mark(order)
            return order
        except Answer as answer:
            if answer.status in REFUSALS and answer.is_alpacas:
                raise OrderRejected(str(answer)) from None
            raise SubmitUnclear(f"{ticket.client_order_id}: {answer}") from None
        except BrokerUnavailable:  # not connected: nothing was sent
            raise
        except (Silence, BrokerError) as error:
            raise SubmitUnclear(f"{ticket.client_order_id}: {error}") from error

    async def cancel(self, client_order_id: str) -> None:
        order_id = self._ids.get(client_order_id)
        if order_id is None:
            row = await self._row(client_order_id)
            if row is None:
                return
            order_id = self._watch(row).broker_order_id
        try:
            await self._connection.delete(f"/orders/{order_id}")
        except Answer as answer:
            if answer.status not in (404, 422):  # gone, or closed meanwhile
                raise

    async def find(self, client_order_id: str) -> BrokerOrder | None:
        row = await self._row(client_order_id)
        return None if row is None else self._watch(row)

    async def fills(self, since: datetime) -> Sequence[Fill]:
        rows = {str(row["id"]): row async for row in self._activities(since)}
        await self._learn_names(rows.values(), since)
        found = [fill for row in rows.values() if (fill := self._fill(row)) is not None]
        return sorted(found, key=lambda fill: (fill.at, fill.execution_id))

    async def reports(self) -> Sequence[Report]:
        now = self._clock.monotonic()
        if self._polled_at is not None and now - self._polled_at < self._poll_every.total_seconds():
            return []
        self._polled_at = now
        orders = [row async for row in self._poll_orders()]
        fills = await self.fills((self._fills_from or self._clock.now()) - OVERLAP)
        # Nothing above has changed what counts as told: a poll that fails half-way loses no news.
        self._has_listed = True
        news: list[Report] = [order for row in orders if (order := self._news(row)) is not None]
        return news + self._new_fills(fills)

    async def open_orders(self) -> Sequence[BrokerOrder]:
        return [order_of(row) async for row in self._orders(status="open")]

    async def positions(self) -> Mapping[str, int]:
        rows = await self._connection.get("/positions")
        held = dict(holding_of(row) for row in rows if row.get("asset_class", "us_equity") == "us_equity")
        return {symbol: shares for symbol, shares in held.items() if shares}

    async def calendar(self, first: date, last: date) -> Sequence[TradingDay]:
        """Return the days from `first` to `last` on which US equities trade, in order."""
        rows = await self._connection.get("/calendar", start=first.isoformat(), end=last.isoformat())
        days = sorted((trading_day_of(row) for row in rows), key=lambda day: day.day)
        return [day for day in days if first <= day.day <= last]

    def next_report_at(self) -> datetime | None:
        return None

    # --- rows ---------------------------------------------------------------------------------------------

    @property
    def _connection(self) -> Connection:
        if self._open is None:
            raise BrokerUnavailable("not connected to alpaca: connect() comes first")
        return self._open

    async def _row(self, client_order_id: str) -> Row | None:
        try:
            row: Row = await self._connection.get(
                "/orders:by_client_order_id", client_order_id=client_order_id
            )
        except Answer as answer:
            if answer.status == 404 and answer.is_alpacas:
                return None
            raise
        return row

    def _watch(self, row: Row) -> BrokerOrder:
        """Know an order from now on; what becomes of it is reported, if that has not been told."""
        order, came_at = order_of(row), submitted_at(row)
        self._names[order.broker_order_id] = order.client_order_id
        self._ids[order.client_order_id] = order.broker_order_id
        if order.state is BrokerOrderState.OPEN or self._told.get(order.broker_order_id) != _mark(order):
            self._watched[order.broker_order_id] = came_at
        return order

    def _news(self, row: Row) -> BrokerOrder | None:
        if str(row["id"]) not in self._watched:
            return None
        order = self._watch(row)
        is_news = self._told.get(order.broker_order_id) != _mark(order)
        self._told[order.broker_order_id] = _mark(order)
        if order.state is not BrokerOrderState.OPEN:
            del self._watched[order.broker_order_id]
        return order if is_news else None

    async def _poll_orders(self) -> AsyncIterator[Row]:
        """Yield the rows among which the news is: all orders since the oldest that is watched."""
        if not self._has_listed:
            async for row in self._orders(status="open"):
                if row.get("time_in_force") == "day":
                    self._watched.setdefault(str(row["id"]), submitted_at(row))
        if self._watched:
            oldest = min(self._watched.values())
            async for row in self._orders(status="all", after=oldest - timedelta(seconds=1)):
                yield row

    async def _orders(self, *, status: str, after: datetime | None = None) -> AsyncIterator[Row]:
        seen: set[str] = set()
        while True:
            page = await self._connection.get(
                "/orders",
                status=status,
                limit=ORDERS_A_PAGE,
                direction="asc",
                after=rfc3339(after) if after else "",
            )
            fresh = [row for row in page if str(row["id"]) not in seen]
            for row in fresh:
                seen.add(str(row["id"]))
                yield row
            if len(page) < ORDERS_A_PAGE or not fresh:
                return
            # Several orders may bear the last one's instant; those are asked for again and passed over.
            after = submitted_at(page[-1]) - timedelta(milliseconds=1)

    async def _activities(self, since: datetime) -> AsyncIterator[Row]:
        token = ""
        while True:
            page = await self._connection.get(
                "/account/activities/FILL",
                after=rfc3339(since - timedelta(seconds=1)),
                direction="asc",
                page_size=FILLS_A_PAGE,
                page_token=token,
            )
            for row in page:
                yield row
            if len(page) < FILLS_A_PAGE or str(page[-1]["id"]) == token:
                return
            token = str(page[-1]["id"])

    async def _learn_names(self, activities: Iterable[Row], since: datetime) -> None:
        """Find out the client_order_id of each order in `activities`: a day's by the page, others singly."""
        unknown = {str(row["order_id"]) for row in activities} - self._names.keys()
        if len(unknown) > 1:
            async for row in self._orders(status="all", after=since - A_DAY):
                self._names.setdefault(str(row["id"]), str(row["client_order_id"]))
        for order_id in sorted(unknown - self._names.keys()):
            try:
                row = await self._connection.get(f"/orders/{order_id}")
            except Answer as answer:
                if answer.status != 404:
                    raise
                row = {"client_order_id": order_id}  # of no order that can be looked up: certainly not ours
            self._names[order_id] = str(row["client_order_id"])

    def _fill(self, row: Row) -> Fill | None:
        return fill_of(row, self._names[str(row["order_id"])])

    def _new_fills(self, fills: Sequence[Fill]) -> list[Report]:
        news = [fill for fill in fills if fill.execution_id not in self._fills_told]
        self._fills_told |= {fill.execution_id: fill.at for fill in news}
        newest = max((fill.at for fill in fills), default=None)
        if newest is not None and self._fills_from is not None:
            self._fills_from = max(self._fills_from, newest)
            keep_from = self._fills_from - OVERLAP - timedelta(seconds=2)
            self._fills_told = {key: at for key, at in self._fills_told.items() if at >= keep_from}
        return list(news)


def _mark(order: BrokerOrder) -> tuple[BrokerOrderState, int, str]:
    """Return what makes a report of an order differ from the one before."""
    return order.state, order.filled, order.reason
