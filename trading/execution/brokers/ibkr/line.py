"""One connection to the gateway: what is said on it, and questions that are bounded in time.

Light: `ib_async` is imported when a line is opened, and of it only the socket client with its decoder. Its
`IB` class keeps orders of its own and takes any error about an order for its end ("cannot be cancelled" too),
and a question asked again after a timeout can get the late answer to the first. Here what is known is kept in
`blotter`, and a line that has left such a question unanswered is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Protocol

from trading.execution.brokers.broker import Ticket
from trading.execution.brokers.ibkr import codes
from trading.execution.brokers.ibkr.prices import Answer, Prices, Ticker
from trading.execution.brokers.ibkr.rows import (
    CURRENCY,
    STOCK,
    ExecutionRow,
    OrderRow,
    completed_row,
    execution_row,
    fee_of,
    holding_of,
    ib_symbol,
    open_row,
)
from trading.execution.errors import BrokerUnavailable, ExtraMissing
from trading.execution.orders import OrderKind

CLOSING_S = 1.0
"""How long closing may take before the connection is cut."""
LARGEST_ID = 2**31 - 1
"""Where the gateway has no number for an order it sends this."""


class Listener(Protocol):
    """Hears what the gateway says unasked, and the rows of answers."""

    def order_told(self, row: OrderRow) -> None: ...

    def execution_told(self, row: ExecutionRow) -> None: ...

    def fee_told(self, key: str, fee: Decimal | None) -> None: ...

    def order_error(self, order_id: int, code: int, text: str) -> None: ...

    def line_restored(self) -> None:
        """The gateway is connected to the broker again; what happened meanwhile must be asked."""
        ...

    def line_lost(self, why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute: its begin, and the shares traded in it."""

    at: datetime
    volume: int


class Line:
    """An open connection. client_id: ours at this gateway. account: the one that is traded.

    patience_s: how long an answer is waited for.
    """

    def __init__(
        self, listener: Listener, client_id: int, patience_s: float, now: Callable[[], datetime]
    ) -> None:
        self.client_id, self.account = client_id, ""
        self._listener, self._patience_s = listener, patience_s
        self._why_down = "it was never opened"
        self._why_cut = ""
        self._entry: asyncio.Future[None] | None = None
        self._answers: dict[str | int, asyncio.Future[Any]] = {}
        self._rows: dict[str | int, list[Any]] = {}
        self._prices = Prices(now)
        self._asking = asyncio.Lock()
        self._client: Any = _client(self._callbacks())

    # --- the connection -----------------------------------------------------------------------------------

    async def open(self, host: str, port: int) -> None:
        """Connect. Raises BrokerUnavailable; also if the client id is in use."""
        self._entry = asyncio.get_running_loop().create_future()
        self._client.apiError += self._no_entry
        connecting = asyncio.ensure_future(
            self._client.connectAsync(host, port, self.client_id, self._patience_s)
        )
        try:
            await asyncio.wait({connecting, self._entry}, return_when=asyncio.FIRST_COMPLETED)
            (connecting if connecting.done() else self._entry).result()
        except (OSError, TimeoutError) as error:
            why = str(error) or f"no answer within {self._patience_s:g} s"
            raise BrokerUnavailable(f"the gateway at {host}:{port} cannot be reached: {why}") from error
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            self._entry.cancel()
        self._why_down = ""
        self._client.apiEnd += self._dropped
        accounts = self._client.getAccounts()
        if len(accounts) != 1:
            await self.close()
            raise PermissionError(
                f"the gateway's user has the accounts {', '.join(accounts)}: expected one; log it in with"
                " a user of one account"
            )
        self.account = accounts[0]

    async def close(self) -> None:
        """Close it. Never raises."""
        self._down("it was closed")
        connection = self._client.conn
        self._client.disconnect()
        for _ in range(int(CLOSING_S / 0.01)):
            if connection.transport is None:
                return
            await asyncio.sleep(0.01)
        if connection.transport is not None:
            connection.transport.abort()

    @property
    def is_up(self) -> bool:
        return not self._why_down

    def check(self) -> None:
        """Raises BrokerUnavailable if nothing can be asked or sent now."""
        if self._why_down:
            raise BrokerUnavailable(f"the connection to the gateway is down: {self._why_down}")
        if self._why_cut:
            raise BrokerUnavailable(f"the gateway is cut off from the broker: {self._why_cut}")

    def check_prices(self) -> None:
        """Raises BrokerUnavailable if prices of US shares do not come now."""
        self.check()
        if self._prices.broken_farms:
            raise BrokerUnavailable(f"the gateway has lost {', '.join(sorted(self._prices.broken_farms))}")

    def _no_entry(self, why: str) -> None:
        if self._entry is not None and not self._entry.done():
            self._entry.set_exception(ConnectionError(why))

    def _dropped(self, *_: object) -> None:
        self._down("the gateway closed it")

    def _down(self, why: str) -> None:
        if self._why_down:
            return
        self._why_down = why
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(BrokerUnavailable(f"the connection to the gateway is down: {why}"))
        self._prices.clear()
        self._listener.line_lost(why)

    # --- orders -------------------------------------------------------------------------------------------

    def next_id(self) -> int:
        """Return a number for a new order."""
        return int(self._client.getReqId())

    def place(self, order_id: int, ticket: Ticket) -> None:
        """Send an order once. Raises BrokerUnavailable if it certainly was not sent."""
        from ib_async.order import Order

        self.check()
        order = Order(
            action=ticket.side.value.upper(),
            totalQuantity=ticket.quantity,
            orderType="MKT" if ticket.kind is OrderKind.MARKET else "LMT",
            tif="DAY",
            orderRef=ticket.client_order_id,
            account=self.account,
            displaySize=ticket.display or 0,
        )
        if ticket.limit_price is not None:
            order.lmtPrice = float(ticket.limit_price)
        self._client.placeOrder(order_id, _contract(ticket.symbol), order)

    def cancel(self, order_id: int) -> None:
        """Ask for a cancel; nothing is waited for. Raises BrokerUnavailable."""
        self.check()
        self._client.cancelOrder(order_id)

    # --- questions: each raises BrokerUnavailable ---------------------------------------------------------

    async def open_orders(self) -> set[int]:
        """Return the broker's ids of all open orders, after the listener has been told of each."""
        return set(await self._ask_all("open orders", self._client.reqAllOpenOrders))

    async def completed_orders(self) -> None:
        """Let the listener be told of today's completed orders."""
        await self._ask_all("completed orders", lambda: self._client.reqCompletedOrders(False))

    async def executions(self) -> None:
        """Let the listener be told of today's executions."""
        from ib_async.objects import ExecutionFilter

        everything = ExecutionFilter()
        try:
            await self._ask("executions", lambda number: self._client.reqExecutions(number, everything))
        except Answer as error:
            raise BrokerUnavailable(f"the gateway cannot tell the executions: {error}") from None

    async def positions(self) -> Mapping[str, int]:
        """Return the shares held by symbol. Raises BrokerError too, for a part of a share."""
        rows = await self._ask_all("positions", self._client.reqPositions)
        self._client.cancelPositions()  # a change is not waited for: who wants to know asks again
        found = (holding_of(contract, quantity) for contract, quantity in rows)
        return {each[0]: each[1] for each in found if each is not None and each[1]}

    async def minute_bars(self, symbol: str, duration: str) -> list[Bar]:
        """Return the minutes of the `duration` before now in which regular trading was. Raises Answer."""
        return await self._ask(
            "bars",
            lambda number: self._client.reqHistoricalData(
                number, _contract(symbol), "", duration, "1 min", "TRADES", True, 2, False, []
            ),
        )

    def watch(self, symbol: str) -> Ticker:
        """Return prices that follow the market from now on, live ones only. Raises BrokerUnavailable."""
        self.check()
        number = self.next_id()
        ticker = self._prices.add(number)
        self._client.reqMktData(number, _contract(symbol), "", False, False, [])
        return ticker

    def is_watching(self, ticker: Ticker) -> bool:
        """Whether prices still come to `ticker`."""
        return self._prices.has(ticker)

    def unwatch(self, ticker: Ticker) -> None:
        """Let no more prices come to `ticker`. Raises BrokerUnavailable."""
        self.check()
        for number in self._prices.remove(ticker):
            self._client.cancelMktData(number)

    async def _ask_all(self, what: str, send: Callable[[], None]) -> list[Any]:
        """Ask what bears no number: one at a time, and a late answer must not pass for that of the next."""
        async with self._asking:
            try:
                return await self._answer(what, what, send)
            except TimeoutError:
                silence = self._silence(what)
                self._down(str(silence))
                await self.close()
                raise silence from None

    async def _ask(self, what: str, send: Callable[[int], None]) -> list[Any]:
        self.check()
        number = self.next_id()
        try:
            return await self._answer(number, what, lambda: send(number))
        except TimeoutError:
            raise self._silence(what) from None

    async def _answer(self, key: str | int, what: str, send: Callable[[], None]) -> list[Any]:
        self.check()
        self._answers[key] = asyncio.get_running_loop().create_future()
        rows: list[Any] = []
        self._rows[key] = rows
        try:
            send()
            await asyncio.wait_for(self._answers[key], self._patience_s)
        finally:
            del self._answers[key], self._rows[key]
        return rows

    def _silence(self, what: str) -> BrokerUnavailable:
        return BrokerUnavailable(f"the gateway gave no answer about {what} within {self._patience_s:g} s")

    # --- what the gateway says ----------------------------------------------------------------------------

    def _callbacks(self) -> SimpleNamespace:
        """Return what ib_async's client and decoder call, by the names of the vendor's EWrapper."""
        return SimpleNamespace(
            ib=SimpleNamespace(TimezoneTWS="UTC"),  # where a time names no zone, the gateway sends UTC
            defaultTimezone=UTC,
            connectAck=_nothing,
            setEventsDone=_nothing,
            connectionClosed=_nothing,
            error=self._error,
            openOrder=self._open_order,
            openOrderEnd=lambda: self._end("open orders"),
            orderStatus=self._order_status,
            completedOrder=lambda _, order, state: self._listener.order_told(completed_row(order, state)),
            completedOrdersEnd=lambda: self._end("completed orders"),
            execDetails=self._execution,
            execDetailsEnd=self._end,
            commissionReport=lambda report: self._listener.fee_told(report.execId, fee_of(report)),
            position=self._position,
            positionEnd=lambda: self._end("positions"),
            historicalData=self._bar,
            historicalDataEnd=lambda number, *_: self._end(number),
            priceSizeTick=self._prices.take_price,
            tickGeneric=self._prices.take_value,
        )

    def _end(self, key: str | int) -> None:
        answer = self._answers.get(key)
        if answer is not None and not answer.done():
            answer.set_result(None)

    def _row(self, key: str | int, row: object) -> None:
        if key in self._rows:
            self._rows[key].append(row)

    def _open_order(self, order_id: int, _: Any, order: Any, state: Any) -> None:
        # Numbers must be larger than any that is in use, by other clients too.
        if order_id < LARGEST_ID:
            self._client.updateReqId(order_id + 1)
        self._row("open orders", int(order.permId))
        self._listener.order_told(open_row(order, str(state.status)))

    def _order_status(
        self, order_id: int, status: str, filled: float, _left: float, _avg: float, perm_id: int, *more: Any
    ) -> None:
        _parent, _price, client_id = more[:3]
        self._listener.order_told(
            OrderRow(
                perm_id=perm_id,
                name="",
                order_id=order_id,
                client_id=client_id,
                quantity=0,
                status=status,
                filled=int(filled),
            )
        )

    def _execution(self, _: int, contract: Any, execution: Any) -> None:
        row = execution_row(contract, execution)
        if row is not None:
            self._listener.execution_told(row)

    def _position(self, account: str, contract: Any, quantity: float, _: float) -> None:
        if account == self.account:
            self._row("positions", (contract, quantity))

    def _bar(self, number: int, bar: Any) -> None:
        self._row(number, Bar(datetime.fromtimestamp(int(bar.date), UTC), max(0, int(bar.volume))))

    def _error(self, number: int, code: int, text: str, _: str) -> None:
        if codes.is_remark(code):
            return
        if number in self._answers:
            if not self._answers[number].done():
                self._answers[number].set_exception(Answer(code, text))
        elif not self._prices.take_error(number, code, text) and number > 0:
            self._listener.order_error(number, code, text)
        elif number <= 0:
            self._notice(code, text)

    def _notice(self, code: int, text: str) -> None:
        if code in codes.NO_ENTRY:
            self._no_entry(f"{text} ({code})")
        elif code == codes.CUT:
            self._why_cut = f"{text} ({code})"
        elif code in codes.RESTORED:
            self._why_cut = ""
            if code == codes.DATA_LOST:
                self._prices.clear()
            self._listener.line_restored()
        elif code in (codes.FARM_BROKEN, codes.FARM_OK):
            self._prices.take_farm(code, text)


def _nothing(*_: object) -> None:
    pass


def _contract(symbol: str) -> Any:
    from ib_async.contract import Contract

    return Contract(symbol=ib_symbol(symbol), secType=STOCK, exchange="SMART", currency=CURRENCY)


def _client(callbacks: SimpleNamespace) -> Any:
    try:
        from ib_async.client import Client
        from ib_async.util import getLoop
    except ImportError as error:
        raise ExtraMissing("ib_async is not installed: make setup-brokers") from error
    # ib_async 2.0.1 keeps the first event loop it meets: a second asyncio.run would get a closed one.
    forget = getattr(getLoop, "cache_clear", None)
    if forget is not None:
        forget()
    # What it says of connections is raised here, and a gateway that is down would fill the log.
    logging.getLogger("ib_async.client").setLevel(logging.CRITICAL)
    client: Any = Client
    return client(callbacks)
