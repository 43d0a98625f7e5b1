"""The Broker over the API of a running gateway or TWS. Light: ib_async is imported by `connect`.

The gateway pushes news; what it says is gathered in a `Blotter`. What can have been missed (a new connection,
the gateway cut off from the broker) is asked for again: open orders, completed orders, executions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from orchestration.clock import SystemClock
from trading.execution.brokers.broker import BrokerOrder, Report, Ticket
from trading.execution.brokers.ibkr import codes
from trading.execution.brokers.ibkr.blotter import UNSURE, Blotter
from trading.execution.brokers.ibkr.line import Line
from trading.execution.brokers.ibkr.rows import ExecutionRow, OrderRow
from trading.execution.errors import BrokerError, BrokerUnavailable, OrderRejected, SubmitUnclear
from trading.execution.orders import Fill

PRACTICE, REAL_MONEY = "127.0.0.1:4002", "127.0.0.1:4001"
"""Where IB Gateway listens for the practice account and for the real one, unless it is told otherwise."""
PRACTICE_ACCOUNT = "D"
"""The first letter of every practice account's name (DU, DF)."""
CLIENT_ID = 17
"""Ours at the gateway, always the same: an order can only be cancelled, and is only told of, under the id it
was sent with. Any but 0, which also gets the orders typed into TWS."""
PATIENCE = timedelta(seconds=10)
GRACE = timedelta(seconds=1)
"""How long a refusal may follow after the gateway has taken an order in and the broker has not yet."""
FEE_WAIT = timedelta(seconds=3)
RETRY = timedelta(seconds=5)


class Clock(Protocol):
    """What the time is read from."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


class Placing:
    """An order on its way: the answer, and until when it is waited for."""

    def __init__(self, name: str, limit: asyncio.Timeout, grace: timedelta) -> None:
        self.name, self._limit, self._grace = name, limit, grace
        self.is_there = False
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def hear(self, status: str) -> None:
        """The gateway has told of the order: it is there. A status that is not sure yet may be followed."""
        if self.answer.done():
            return
        if status not in UNSURE:
            self.answer.set_result(None)
        elif not self.is_there and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + self._grace.total_seconds())
        self.is_there = True

    def fail(self, error: BrokerError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class IbkrBroker:
    """One account at Interactive Brokers. Orders are for the day and for regular hours, in whole shares.

    address: "host:port" of IB Gateway or TWS, None: this machine at the gateway's usual port for the account.
    live: the real account; without it no order can reach one, whatever listens at the address. client_id:
    ours there, from 1 up. patience: how long an answer is waited for. fee_wait: how long a fill waits for its
    fee; afterwards it is told with none, which is logged. retry: a lost connection is tried again this often.

    While the connection is lost, or the gateway is cut off from the broker, every question is answered with
    BrokerUnavailable; it is opened again in the background as long as anybody asks.

    Raises:
        ValueError: for an address that is none, or a client id below 1; `connect`: PermissionError for a real
            account without `live`, and for a user with several accounts.
    """

    name: Final = "ibkr"

    def __init__(
        self,
        *,
        address: str | None = None,
        live: bool = False,
        client_id: int = CLIENT_ID,
        clock: Clock | None = None,
        patience: timedelta = PATIENCE,
        fee_wait: timedelta = FEE_WAIT,
        retry: timedelta = RETRY,
    ) -> None:
        self._host, self._port = _host_and_port(address or (REAL_MONEY if live else PRACTICE))
        if client_id < 1:
            raise ValueError(f"client_id is {client_id!r}: expected a whole number from 1 up")
        self._live, self._client_id, self._clock = live, client_id, clock or SystemClock()
        self._patience, self._retry = patience, retry
        self._blotter = Blotter(fee_wait)
        self._line: Line | None = None
        self._line_number = 0
        self._placing: dict[int, Placing] = {}
        self._sent: set[str] = set()
        self._connecting = asyncio.Lock()
        self._is_wanted = self._has_begun = False
        self._retry_at = 0.0
        self._why_not = "connect() comes first"
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"IbkrBroker(address='{self._host}:{self._port}', client_id={self._client_id})"

    async def connect(self) -> None:
        async with self._connecting:
            if self._line is not None and self._line.is_up:
                return
            line = Line(self, self._client_id, self._patience.total_seconds(), self._clock.now)
            await line.open(self._host, self._port)
            try:
                self._check_account(line.account)
                self._line_number += 1
                await self._catch_up(line)
            except BaseException:
                await line.close()
                raise
            if not self._has_begun:
                self._blotter.tell_all()
            self._line, self._is_wanted, self._has_begun = line, True, True

    async def close(self) -> None:
        self._is_wanted, self._why_not = False, "it was closed"
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        line, name = self.line(), ticket.client_order_id
        if name in self._sent or self._blotter.knows(name):
            raise OrderRejected(f"ibkr: an order {name} has been sent before")
        self._sent.add(name)
        order_id = line.next_id()
        try:
            async with asyncio.timeout(self._patience.total_seconds()) as limit:
                self._placing[order_id] = placing = Placing(name, limit, GRACE)
                line.place(order_id, ticket)
                await placing.answer
        except TimeoutError:
            if not placing.is_there:
                raise SubmitUnclear(f"{name}: the gateway gave no answer to it") from None
        finally:
            self._placing.pop(order_id, None)
        entry = self._blotter.entry(name)
        if entry is None:
            raise SubmitUnclear(f"{name}: the gateway has it, and has not told its id")
        self._blotter.take_order(
            OrderRow(
                perm_id=entry.perm_id,
                name=name,
                quantity=ticket.quantity,
                status="",
                order_id=order_id,
                client_id=self._client_id,
            ),
            self._line_number,
        )
        return self._blotter.tell(entry)

    async def cancel(self, client_order_id: str) -> None:
        line, entry = self.line(), self._blotter.entry(client_order_id)
        if entry is None or entry.line != self._line_number or entry.order_id is None:
            await self._catch_up(line)
            entry = self._blotter.entry(client_order_id)
        if entry is None or not entry.is_open or entry.order_id is None:
            return
        if entry.client_id != self._client_id:
            raise BrokerUnavailable(
                f"{client_order_id} was sent by API client {entry.client_id}: no other one can cancel it"
            )
        line.cancel(entry.order_id)

    async def find(self, client_order_id: str) -> BrokerOrder | None:
        await self._catch_up(self.line())
        entry = self._blotter.entry(client_order_id)
        if entry is None or (entry.is_open and entry.line != self._line_number):
            return None
        return entry.told()

    async def fills(self, since: datetime) -> Sequence[Fill]:
        await self.line().executions()
        while self._blotter.awaits_fees(self._clock.monotonic()):
            await asyncio.sleep(0.02)
        # The gateway tells whole seconds.
        first = since.replace(microsecond=0)
        return [fill for fill in self._blotter.fills() if fill.at >= first]

    async def reports(self) -> Sequence[Report]:
        news = self._blotter.news(self._clock.monotonic())
        if not news:
            self.line()
        return news

    async def open_orders(self) -> Sequence[BrokerOrder]:
        listed = await self._catch_up(self.line())
        return [e.told() for e in self._blotter.entries() if e.is_open and e.perm_id in listed]

    async def positions(self) -> Mapping[str, int]:
        return await self.line().positions()

    def next_report_at(self) -> datetime | None:
        return None

    def line(self) -> Line:
        """Return the open connection. Raises BrokerUnavailable, and has a lost one opened again."""
        if self._line is None or not self._line.is_up:
            if self._is_wanted and not self._tasks and self._clock.monotonic() >= self._retry_at:
                self._retry_at = self._clock.monotonic() + self._retry.total_seconds()
                self._in_background(self._reconnect)
            raise BrokerUnavailable(f"not connected to ibkr: {self._why_not}")
        self._line.check()
        return self._line

    # --- what the gateway says (`Listener`) ---------------------------------------------------------------

    def order_told(self, row: OrderRow) -> None:
        self._blotter.take_order(row, self._line_number)
        placing = self._placing.get(row.order_id or 0)
        if placing is not None and row.client_id == self._client_id:
            placing.hear(row.status if row.perm_id else "")

    def execution_told(self, row: ExecutionRow) -> None:
        is_own = row.client_id == self._client_id
        self._blotter.take_execution(row, self._line_number, self._clock.monotonic(), is_own=is_own)
        for placing in self._placing.values():
            if placing.name == row.fill.client_order_id:
                placing.hear("Submitted")

    def fee_told(self, key: str, fee: Decimal | None) -> None:
        self._blotter.take_fee(key, fee)

    def order_error(self, order_id: int, code: int, text: str) -> None:
        if code in codes.CANNOT_CANCEL:
            self.line_restored()
            return
        placing = self._placing.get(order_id)
        name = placing.name if placing else self._blotter.name_of(order_id, self._client_id)
        is_cancel = code == codes.ORDER_CANCELLED
        is_refusal = code in codes.REFUSALS if placing else code == codes.REJECTED
        self._blotter.take_error(name, text, is_refusal=is_refusal, is_cancel=is_cancel)
        if placing is not None and is_refusal:
            placing.fail(OrderRejected(f"{text} ({code})"))
        elif placing is not None and is_cancel:
            placing.hear("Cancelled")

    def line_restored(self) -> None:
        line = self._line
        if line is not None:
            self._in_background(lambda: self._catch_up(line))

    def line_lost(self, why: str) -> None:
        self._why_not = why
        for placing in self._placing.values():
            placing.fail(SubmitUnclear(f"{placing.name}: the connection was lost after it was sent"))

    # --- keeping up ---------------------------------------------------------------------------------------

    def _check_account(self, account: str) -> None:
        if not account.startswith(PRACTICE_ACCOUNT) and not self._live:
            raise PermissionError(
                f"the gateway at {self._host}:{self._port} trades the real account {account}: set"
                " ORCHESTRATOR_BROKER_LIVE=true to mean it, or log the gateway in to paper trading"
            )

    async def _catch_up(self, line: Line) -> set[int]:
        """Ask for everything that can have been missed; return the broker's ids of the open orders.

        Open orders come first: one that ends meanwhile is then among the completed ones.
        """
        listed = await line.open_orders()
        await line.completed_orders()
        await line.executions()
        return listed

    async def _reconnect(self) -> None:
        try:
            await self.connect()
        except (BrokerError, PermissionError) as error:
            self._why_not = str(error)

    def _in_background(self, work: Callable[[], Awaitable[object]]) -> None:
        async def quietly() -> None:
            with suppress(BrokerUnavailable):  # whoever asks next learns of it
                await work()

        task = asyncio.get_running_loop().create_task(quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"address is {address!r}: expected HOST:PORT, as {PRACTICE}")
    return host, int(port)
