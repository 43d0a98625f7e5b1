"""A gateway on this machine: the TWS socket messages of server version 178 that working orders needs.

It holds an account in memory and runs in the test's own event loop, over real loopback connections. Tests
fill orders by hand (`fill`), and make answers go wrong (`faults`). The order of the fields is the vendor's
protocol; a message is its length in four bytes, then fields that end with a zero byte each.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

VERSION = 178
PRACTICE, REAL = "DU1234567", "U7654321"
EASTERN = ZoneInfo("US/Eastern")
CONTRACT_IDS = {"AAPL": 265598, "NVDA": 4815747, "BRK B": 72063691}
ENDED = ("Filled", "Cancelled")


class Request(Enum):
    """Messages to the gateway, by the first field."""

    MARKET_DATA = 1
    CANCEL_MARKET_DATA = 2
    PLACE_ORDER = 3
    CANCEL_ORDER = 4
    EXECUTIONS = 7
    ALL_OPEN_ORDERS = 16
    HISTORY = 20
    POSITIONS = 61
    CANCEL_POSITIONS = 64
    START = 71
    COMPLETED_ORDERS = 99


class Happens(Enum):
    """What becomes of a request. DROPPED_...: the connection is reset before or after the work is done."""

    DROPPED_BEFORE = "dropped before"
    DROPPED_AFTER = "dropped after"
    LOST = "no work, no answer"
    SILENT = "work, but no answer"


@dataclass(kw_only=True)
class Fault:
    """happens, or else code and text: an error instead of the work. times: how often."""

    request: Request
    happens: Happens | None = None
    code: int = 0
    text: str = "made to fail"
    times: int = 1


@dataclass(kw_only=True)
class Order:
    perm_id: int
    order_id: int
    client_id: int
    ref: str
    symbol: str
    action: str
    quantity: int
    kind: str
    limit: float | None
    display: int = 0
    status: str = "PreSubmitted"
    filled: float = 0
    spent: float = 0

    @property
    def is_open(self) -> bool:
        return self.status not in ENDED


@dataclass(kw_only=True)
class Execution:
    order: Order
    exec_id: str
    shares: float
    price: float
    at: datetime
    fee: float | None = 1.0
    currency: str = "USD"
    fee_after_s: float = 0.0


@dataclass(kw_only=True)
class Bar:
    at: datetime
    volume: int


Field = str | int | float


class Peer:
    """One connection of a client."""

    def __init__(
        self, server: IbkrServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.client_id = -1
        self.is_muted = False

    def send(self, *fields: Field) -> None:
        if self.is_muted or self.writer.is_closing():
            return
        body = "".join(f"{value}\0" for value in fields).encode()
        self.writer.write(struct.pack(">I", len(body)) + body)

    def error(self, number: int, code: int, text: str) -> None:
        self.send(4, 2, number, code, text, "")

    def drop(self) -> None:
        self.writer.transport.abort()

    async def serve(self) -> None:
        assert await self.reader.readexactly(4) == b"API\0"
        assert (await self._message()).startswith(b"v157..178")
        self.send(VERSION, "20261120 10:00:00 US/Eastern")
        while True:
            fields = (await self._message()).decode().split("\0")[:-1]
            self.server.handle(self, fields)
            await self.writer.drain()

    async def _message(self) -> bytes:
        (length,) = struct.unpack(">I", await self.reader.readexactly(4))
        return await self.reader.readexactly(length)


class IbkrServer:
    """The gateway, the account behind it and everything a test may set."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.accounts = [PRACTICE]
        self.orders: list[Order] = []
        self.executions: list[Execution] = []
        self.positions: dict[str, float] = {}
        self.extra_positions: list[tuple[str, str, str, float]] = []
        self.quotes: dict[str, list[tuple[int, float, int]]] = {}
        self.halts: dict[str, int] = {}
        self.bars: dict[str, list[Bar]] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[Request, list[str]]] = []
        self.refusals: dict[str, tuple[int, str]] = {}
        self.first_statuses: Sequence[str] = ("PreSubmitted", "Submitted")
        self.tells_twice = False
        self.forgets_ended = False
        self.cancels_at_once = True
        self.peers: list[Peer] = []
        self.watching: dict[int, str] = {}
        self._number = 0
        self._tcp: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    # --- the connection -----------------------------------------------------------------------------------

    async def start(self, port: int = 0) -> None:
        self._tcp = await asyncio.start_server(self._accept, "127.0.0.1", port)

    async def stop(self) -> None:
        """Stop listening and drop everybody; the account stays."""
        assert self._tcp is not None
        self._tcp.close()
        for peer in list(self.peers):
            peer.drop()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._tcp.wait_closed()

    @property
    def port(self) -> int:
        assert self._tcp is not None
        return int(self._tcp.sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, task = Peer(self, reader, writer), asyncio.current_task()
        assert task is not None
        self.peers.append(peer)
        self._serving.add(task)
        try:
            await peer.serve()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.peers.remove(peer)
            self._serving.discard(task)
            writer.close()

    def notice(self, code: int, text: str) -> None:
        """Say something to everybody that is about no request."""
        for peer in self.peers:
            peer.error(-1, code, text)

    # --- what tests do at the broker's side ---------------------------------------------------------------

    def order(self, ref: str) -> Order:
        return next(order for order in self.orders if order.ref == ref)

    def count(self, request: Request) -> int:
        return sum(found is request for found, _ in self.requests)

    def place(self, ref: str, *, symbol: str = "AAPL", quantity: int = 100, client_id: int = 0) -> Order:
        """Put an order in as somebody else would."""
        order = Order(
            perm_id=self._next(),
            order_id=self._next() if client_id else 0,
            client_id=client_id,
            ref=ref,
            symbol=symbol,
            action="BUY",
            quantity=quantity,
            kind="LMT",
            limit=10.0,
            status="Submitted",
        )
        self.orders.append(order)
        return order

    def fill(
        self,
        ref: str,
        shares: float,
        price: float,
        *,
        fee: float | None = 1.0,
        currency: str = "USD",
        fee_after_s: float = 0.0,
        says: Sequence[str] = ("execution", "status", "fee"),
    ) -> Execution:
        """Execute shares of an order and tell in the order of `says`. fee: None: never told."""
        order = self.order(ref)
        order.filled += shares
        order.spent += shares * price
        if order.filled >= order.quantity:
            order.status = "Filled"
        sign = 1 if order.action == "BUY" else -1
        self.positions[order.symbol] = self.positions.get(order.symbol, 0) + sign * shares
        execution = Execution(
            order=order,
            exec_id=f"0000e0d5.6565a2b1.{self._next():02d}.01",
            shares=shares,
            price=price,
            at=self.now(),
            fee=fee,
            currency=currency,
            fee_after_s=fee_after_s,
        )
        self.executions.append(execution)
        for peer in self._owners(order):
            for _ in range(2 if self.tells_twice else 1):
                for what in says:
                    self._tell(peer, what, execution)
        return execution

    def correct(self, execution: Execution, price: float) -> None:
        """Send a correction: the same execution under the next number."""
        stem, _, number = execution.exec_id.rpartition(".")
        fixed = Execution(
            order=execution.order,
            exec_id=f"{stem}.{int(number) + 1:02d}",
            shares=execution.shares,
            price=price,
            at=execution.at,
            fee=execution.fee,
        )
        self.executions.append(fixed)
        for peer in self._owners(execution.order):
            self._tell(peer, "execution", fixed)
            self._tell(peer, "fee", fixed)

    def end(self, ref: str, status: str = "Cancelled", *, code: int = 202, text: str = "") -> None:
        """Let an order end from the broker's side."""
        order = self.order(ref)
        order.status = status
        for peer in self._owners(order):
            peer.error(order.order_id, code, text or "Order Canceled - reason:")
            self._status(peer, order)

    def tick(self, symbol: str, kind: int, price: float, size: int = 100) -> None:
        """Change a price: kind 1 is the bid, 2 the ask."""
        self.quotes.setdefault(symbol, []).append((kind, price, size))
        for number, watched in self.watching.items():
            if watched == symbol:
                for peer in self.peers:
                    peer.send(1, 6, number, kind, price, size, 0)

    def halt(self, symbol: str, kind: int) -> None:
        """Halt trading (1, or 2 by volatility) or resume it (0)."""
        self.halts[symbol] = kind
        for number, watched in self.watching.items():
            if watched == symbol:
                for peer in self.peers:
                    peer.send(45, 6, number, 49, kind)

    # --- requests -----------------------------------------------------------------------------------------

    def handle(self, peer: Peer, fields: list[str]) -> None:
        request = Request(int(fields[0]))
        self.requests.append((request, fields))
        fault = next((f for f in self.faults if f.request is request and f.times), None)
        if fault is not None:
            fault.times -= 1
            if fault.happens is None:
                peer.error(int(fields[1 if request in NUMBERED_EARLY else 2]), fault.code, fault.text)
                return
            if fault.happens is Happens.DROPPED_BEFORE:
                peer.drop()
            if fault.happens in (Happens.DROPPED_BEFORE, Happens.LOST):
                return
            peer.is_muted = True
        HANDLERS[request](self, peer, fields)
        peer.is_muted = False
        if fault is not None and fault.happens is Happens.DROPPED_AFTER:
            peer.drop()

    def start_api(self, peer: Peer, fields: list[str]) -> None:
        client_id = int(fields[2])
        if any(each.client_id == client_id for each in self.peers):
            peer.error(-1, 326, "Unable to connect as the client id is already in use.")
            peer.writer.close()
            return
        peer.client_id = client_id
        numbers = [order.order_id for order in self.orders if order.client_id == client_id]
        peer.send(15, 1, ",".join(self.accounts))
        peer.send(9, 1, max(numbers, default=0) + 1)
        peer.error(-1, 2104, "Market data farm connection is OK:usfarm")

    def place_order(self, peer: Peer, fields: list[str]) -> None:
        order_id, symbol = int(fields[1]), fields[3]
        if any((o.order_id, o.client_id) == (order_id, peer.client_id) for o in self.orders):
            peer.error(order_id, 103, "Duplicate order id")
            return
        if symbol not in CONTRACT_IDS:
            peer.error(order_id, 200, "No security definition has been found for the request")
            return
        if fields[26] in self.refusals:
            peer.error(order_id, *self.refusals[fields[26]])
            return
        order = Order(
            perm_id=self._next() + 1_500_000_000,
            order_id=order_id,
            client_id=peer.client_id,
            ref=fields[26],
            symbol=symbol,
            action=fields[16],
            quantity=int(float(fields[17])),
            kind=fields[18],
            limit=float(fields[19]) if fields[19] else None,
            display=int(fields[31]),
        )
        self.orders.append(order)
        for status in self.first_statuses:
            order.status = status
            self._open_order(peer, order)
            self._status(peer, order)

    def cancel_order(self, peer: Peer, fields: list[str]) -> None:
        order_id = int(fields[2])
        mine = [o for o in self.orders if (o.order_id, o.client_id) == (order_id, peer.client_id)]
        if not mine:
            peer.error(order_id, 10147, f"OrderId {order_id} that needs to be cancelled is not found.")
        elif not mine[0].is_open:
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: "
            peer.error(order_id, 10148, text + mine[0].status)
        elif self.cancels_at_once:
            self.end(mine[0].ref)
        else:
            mine[0].status = "PendingCancel"
            self._status(peer, mine[0])

    def all_open_orders(self, peer: Peer, _: list[str]) -> None:
        for order in self.orders:
            if order.is_open:
                self._open_order(peer, order)
                self._status(peer, order)
        peer.send(53, 1)

    def completed_orders(self, peer: Peer, _: list[str]) -> None:
        for order in self.orders:
            if not order.is_open and not self.forgets_ended:
                peer.send(101, *_completed(order))
        peer.send(102)

    def tell_executions(self, peer: Peer, fields: list[str]) -> None:
        mine = [each for each in self.executions if each.order.client_id == peer.client_id]
        for each in mine:
            self._execution(peer, int(fields[2]), each)
        peer.send(55, 1, fields[2])
        for each in mine:
            self._fee(peer, each)

    def tell_positions(self, peer: Peer, _: list[str]) -> None:
        held = [(symbol, "STK", "USD", shares) for symbol, shares in self.positions.items()]
        for symbol, kind, currency, shares in held + self.extra_positions:
            contract = (CONTRACT_IDS.get(symbol, 1), symbol, kind, "", 0, "", "", "", currency, symbol, "")
            peer.send(61, 3, self.accounts[0], *contract, shares, 10.0)
        peer.send(62, 1)

    def market_data(self, peer: Peer, fields: list[str]) -> None:
        number, symbol = int(fields[2]), fields[4]
        if symbol not in CONTRACT_IDS:
            peer.error(number, 200, "No security definition has been found for the request")
            return
        self.watching[number] = symbol
        peer.send(58, 1, number, 1)
        for kind, price, size in self.quotes.get(symbol, []):
            peer.send(1, 6, number, kind, price, size, 0)
        peer.send(45, 6, number, 49, self.halts.get(symbol, 0))

    def cancel_market_data(self, _: Peer, fields: list[str]) -> None:
        self.watching.pop(int(fields[2]), None)

    def history(self, peer: Peer, fields: list[str]) -> None:
        number, symbol, size, duration = fields[1], fields[3], fields[16], fields[17]
        assert (size, fields[19], fields[20]) == ("1 min", "TRADES", "2")
        count, unit = duration.split()
        first = self.now() - timedelta(seconds=int(count) * (86_400 if unit == "D" else 1))
        bars = [bar for bar in self.bars.get(symbol, []) if bar.at >= first]
        if not bars:
            text = "Historical Market Data Service error message:HMDS query returned no data: "
            peer.error(int(number), 162, text + symbol)
            return
        rows = [(int(b.at.timestamp()), 10.0, 10.1, 9.9, 10.0, b.volume, 10.0, 7) for b in bars]
        peer.send(17, number, "", "", len(bars), *(value for row in rows for value in row))

    def nothing(self, _: Peer, __: list[str]) -> None:
        pass

    # --- what is told -------------------------------------------------------------------------------------

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _owners(self, order: Order) -> Iterable[Peer]:
        """Live news goes to the client that sent the order."""
        return [peer for peer in self.peers if peer.client_id == order.client_id]

    def _tell(self, peer: Peer, what: str, execution: Execution) -> None:
        if what == "execution":
            self._execution(peer, -1, execution)
        elif what == "status":
            self._status(peer, execution.order)
        else:
            self._fee(peer, execution)

    def _open_order(self, peer: Peer, order: Order) -> None:
        peer.send(5, *_opened(order, self.accounts[0]))

    def _status(self, peer: Peer, order: Order) -> None:
        average = order.spent / order.filled if order.filled else 0.0
        left = order.quantity - order.filled
        head = (3, order.order_id, order.status, order.filled, left, average, order.perm_id)
        peer.send(*head, 0, 0.0, order.client_id, "", 0.0)

    def _execution(self, peer: Peer, number: int, each: Execution) -> None:
        order = each.order
        at = each.at.astimezone(EASTERN).strftime("%Y%m%d %H:%M:%S US/Eastern")
        side = "BOT" if order.action == "BUY" else "SLD"
        contract = (CONTRACT_IDS[order.symbol], order.symbol, "STK", "", 0.0, "", "", "ISLAND", "USD")
        peer.send(
            *(11, number, order.order_id, *contract, order.symbol, "NMS", each.exec_id, at),
            *(self.accounts[0], "ISLAND", side, each.shares, each.price, order.perm_id, order.client_id),
            *(0, order.filled, each.price, order.ref, "", "", "", 1, 0),
        )

    def _fee(self, peer: Peer, each: Execution) -> None:
        if each.fee is None:
            return
        send = (59, 1, each.exec_id, each.fee, each.currency, 0.0, 0.0, 0)
        if each.fee_after_s:
            asyncio.get_running_loop().call_later(each.fee_after_s, peer.send, *send)
        else:
            peer.send(*send)


NUMBERED_EARLY = frozenset({Request.PLACE_ORDER, Request.HISTORY})
"""Messages without a version of their own: their number is the second field, not the third."""
HANDLERS: dict[Request, Callable[[IbkrServer, Peer, list[str]], None]] = {
    Request.MARKET_DATA: IbkrServer.market_data,
    Request.CANCEL_MARKET_DATA: IbkrServer.cancel_market_data,
    Request.PLACE_ORDER: IbkrServer.place_order,
    Request.CANCEL_ORDER: IbkrServer.cancel_order,
    Request.EXECUTIONS: IbkrServer.tell_executions,
    Request.ALL_OPEN_ORDERS: IbkrServer.all_open_orders,
    Request.HISTORY: IbkrServer.history,
    Request.POSITIONS: IbkrServer.tell_positions,
    Request.CANCEL_POSITIONS: IbkrServer.nothing,
    Request.START: IbkrServer.start_api,
    Request.COMPLETED_ORDERS: IbkrServer.completed_orders,
}


def _contract(order: Order) -> list[Field]:
    """The contract, which both messages name in the same way."""
    contract: list[Field] = [CONTRACT_IDS[order.symbol], order.symbol, "STK", "", 0, "?", "", "SMART", "USD"]
    return [*contract, order.symbol, "NMS"]


def _opened(order: Order, account: str) -> list[Field]:
    """The fields of openOrder after its message number."""
    limit: Field = "" if order.limit is None else order.limit
    fields: list[Field] = [order.order_id, *_contract(order)]
    fields += [order.action, order.quantity, order.kind, limit, 0.0, "DAY", "", account, "", 0, order.ref]
    fields += [order.client_id, order.perm_id, 0, 0, 0, "", "", "", "", ""]  # outsideRth .. faPercentage
    fields += [
        "",
        "",
        "",
        "",
        "",
        0,
        "",
        -1,
        0,
        "",
        "",
        "",
        "",
        "",
        order.display,
    ]  # modelCode .. displaySize
    fields += [0, 0, 0, "", 3, 0, 0, "", 0, 0, "", 0, "None", ""]  # blockOrder .. deltaNeutralAuxPrice
    fields += [0, "", "", "", "?", 0, 0, ""]  # of the delta neutral order "None"
    fields += [0, 0, "", "", "", "", ""]  # continuousUpdate .. comboLegsDescrip
    fields += [0, 0, 0]  # legs, order legs, routing parameters
    fields += ["", "", "", ""]  # scale .., hedgeType
    fields += [0, "", "IB", 0, 0]  # optOutSmartRouting .. no delta neutral contract
    fields += [""]  # algoStrategy
    fields += [0, 0, order.status, *[""] * 9, "", "", "", "", ""]  # solicited .. warningText
    fields += [0, 0, 0]  # randomizeSize, randomizePrice, conditions
    fields += ["None", "", "", "", "", "", "", 0, "", "", "", "", 0, 0, 0, 0]  # adjusted .. usePriceMgmtAlgo
    fields += ["", "", 0]  # duration, postToAts, autoCancelParent
    fields += ["", "", "", "", ""]  # minTradeQty .. midOffsetAtHalf
    return fields


def _completed(order: Order) -> list[Field]:
    """The fields of completedOrder after its message number. As the gateway's, its quantity is left out."""
    limit: Field = "" if order.limit is None else order.limit
    fields: list[Field] = _contract(order)
    fields += [order.action, 0, order.kind, limit, 0.0, "DAY", "", PRACTICE, "", 0, order.ref, order.perm_id]
    fields += [0, 0, 0, "", "", "", ""]  # outsideRth .. faPercentage
    fields += ["", "", "", "", "", 0, "", -1, "", "", "", "", "", ""]  # modelCode .. displaySize
    fields += [0, 0, "", 3, 0, "", 0, "", ""]  # sweepToFill .. deltaNeutralAuxPrice
    fields += [0, 0, "", "", ""]  # continuousUpdate .. comboLegsDescrip
    fields += [0, 0, 0]  # legs, order legs, routing parameters
    fields += ["", "", "", ""]  # scale .., hedgeType
    fields += ["", "IB", 0, 0]  # clearingAccount .. no delta neutral contract
    fields += [""]  # algoStrategy
    fields += [0, order.status, 0, 0, 0]  # solicited, status, randomizeSize, randomizePrice, conditions
    said = f"Filled Size: {order.filled:g}" if order.status == "Filled" else "Cancelled by Trader"
    fields += ["", "", "", 0, 0, "", order.filled, 0, 0, "", 0, 0, 9223372036854775807]
    fields += ["20261120 10:00:00 America/New_York", said]
    fields += ["", "", "", "", ""]  # minTradeQty .. midOffsetAtHalf
    return fields


@asynccontextmanager
async def ibkr_server(now: Callable[[], datetime] | None = None) -> AsyncIterator[IbkrServer]:
    server = IbkrServer(now or (lambda: datetime.now(UTC)))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
