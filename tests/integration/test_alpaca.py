"""The Alpaca adapter over real connections to a local server that speaks its REST interface."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestration.clock import VirtualClock
from tests.alpaca_server import KEY, SECRET, AlpacaServer, Fault, alpaca_server, minute_bars
from tests.brokers_contract import BrokerContract, Desk
from trading.execution.brokers.alpaca import connection
from trading.execution.brokers.alpaca.broker import AlpacaBroker
from trading.execution.brokers.broker import Broker, BrokerOrder, BrokerOrderState, Ticket
from trading.execution.errors import BrokerError, BrokerUnavailable, OrderRejected, SubmitUnclear
from trading.execution.markets.alpaca import AlpacaMarket
from trading.execution.orders import Fill, OrderKind, Side

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
NAME = "20261120-AAPL-0001-0001"


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach the vendor, whatever address it was given."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        assert ipaddress.ip_address(address[0]).is_loopback, f"a test tried to reach {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    with alpaca_server() as running:
        running.now = lambda: NOW
        yield running


class Waits:
    """Stands in for waiting: remembers how long, and lets a virtual clock pass."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))


@asynccontextmanager
async def connected(server: AlpacaServer, **changes: Any) -> AsyncIterator[AlpacaBroker]:
    broker = adapter(server, **changes)
    await broker.connect()
    try:
        yield broker
    finally:
        await broker.close()


def adapter(server: AlpacaServer, **changes: Any) -> AlpacaBroker:
    clock = VirtualClock(NOW)
    given: dict[str, Any] = {
        "key": KEY,
        "secret": SECRET,
        "url": server.url,
        "clock": clock,
        "pause": Waits(clock),
        "poll_every": timedelta(0),
    }
    return AlpacaBroker(**given | changes)


def run(made: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(made())


def ticket(name: str = NAME, **changes: Any) -> Ticket:
    given: dict[str, Any] = {
        "client_order_id": name,
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": 100,
        "kind": OrderKind.LIMIT,
        "limit_price": Decimal("10.50"),
    }
    return Ticket(**given | changes)


class LocalDesk:
    """The contract's desk: the market is the server's account, filled by hand."""

    symbol, price, clip = "AAPL", Decimal("10"), 20

    def __init__(self, server: AlpacaServer, broker: AlpacaBroker) -> None:
        self.server, self.opened_at = server, NOW - timedelta(minutes=1)
        self.broker: Broker = broker
        self.clock = VirtualClock(NOW)
        server.now = self.clock.now
        self._closing = [broker]

    async def trade(self) -> None:
        self.clock.advance(timedelta(seconds=1))
        for order in [o for o in self.server.orders if o["status"] in ("accepted", "partially_filled")]:
            limit, sign = Decimal(order["limit_price"] or self.price), 1 if order["side"] == "buy" else -1
            if sign * (limit - self.price) >= 0:
                left = int(order["qty"]) - int(order["filled_qty"])
                self.server.fill(order["client_order_id"], str(min(self.clip, left)), str(self.price))

    async def reopen(self) -> AlpacaBroker:
        self._closing.append(adapter(self.server))
        await self._closing[-1].connect()
        return self._closing[-1]

    async def close(self) -> None:
        for broker in self._closing:
            await broker.close()


class TestAlpacaKeepsTheContract(BrokerContract):
    @asynccontextmanager
    async def open_desk(self) -> AsyncIterator[Desk]:
        with alpaca_server() as server:
            broker = adapter(server)
            await broker.connect()
            desk = LocalDesk(server, broker)
            try:
                yield desk
            finally:
                await desk.close()


# --- sending ----------------------------------------------------------------------------------------------


def test_an_order_is_sent_for_the_day_with_its_exact_price(server: AlpacaServer) -> None:
    async def scene() -> None:
        async with connected(server) as broker:
            order = await broker.submit(ticket())

        assert (order.client_order_id, order.state, order.quantity, order.filled) == (
            NAME,
            BrokerOrderState.OPEN,
            100,
            0,
        )
        row = server.order(NAME)
        assert (row["qty"], row["limit_price"], row["time_in_force"]) == ("100", "10.50", "day")
        assert order.broker_order_id == row["id"]
        assert order.at == NOW

    run(scene)


def test_a_market_order_carries_no_price(server: AlpacaServer) -> None:
    async def scene() -> None:
        async with connected(server) as broker:
            await broker.submit(ticket(kind=OrderKind.MARKET, limit_price=None, side=Side.SELL))

        row = server.order(NAME)
        assert (row["type"], row["side"], row["limit_price"]) == ("market", "sell", None)

    run(scene)


def test_a_refusal_says_why_in_the_brokers_words(server: AlpacaServer) -> None:
    server.buying_power = 500.0

    async def scene() -> None:
        async with connected(server) as broker:
            with pytest.raises(OrderRejected, match=r"insufficient buying power \(403\)"):
                await broker.submit(ticket())
            assert await broker.find(NAME) is None

    run(scene)


def test_a_name_that_was_used_is_refused_and_the_order_stays_one(server: AlpacaServer) -> None:
    async def scene() -> None:
        async with connected(server) as broker:
            await broker.submit(ticket())
            with pytest.raises(OrderRejected, match="client_order_id must be unique"):
                await broker.submit(ticket())

        assert len(server.orders) == 1

    run(scene)


def test_an_order_of_which_only_a_part_may_be_seen_is_refused_before_it_is_sent(
    server: AlpacaServer,
) -> None:
    async def scene() -> None:
        async with connected(server) as broker:
            with pytest.raises(OrderRejected, match="shows an order whole"):
                await broker.submit(ticket(display=50))
            await broker.submit(ticket(display=100))

        assert server.count("POST") == 1

    run(scene)


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        (Fault(method="POST", path="/v2/orders", drops=True, does_work=True), 1),
        (Fault(method="POST", path="/v2/orders", drops=True), 0),
        (Fault(method="POST", path="/v2/orders", status=504, body="<html>", does_work=True), 1),
        (Fault(method="POST", path="/v2/orders", status=500, body={"code": 50010000, "message": "oops"}), 0),
        (
            Fault(
                method="POST",
                path="/v2/orders",
                status=429,
                body={"code": 42910000, "message": "rate limit exceeded"},
                headers={"Retry-After": "1"},
            ),
            0,
        ),
        (Fault(method="POST", path="/v2/orders", status=200, body='{"id": "cut o', does_work=True), 1),
        (Fault(method="POST", path="/v2/orders", status=200, does_work=True), 1),
        (Fault(method="POST", path="/v2/orders", status=200, body={"id": "x"}, does_work=True), 1),
        # Not in Alpaca's words: something on the way may have spoken.
        (Fault(method="POST", path="/v2/orders", status=403, body="<html>blocked</html>"), 0),
    ],
    ids=["lost-after", "lost-before", "504-after", "500", "429", "cut-off", "empty", "no-order", "no-alpaca"],
)
def test_an_unclear_answer_is_never_sent_again_and_cleared_up_by_its_name(
    server: AlpacaServer, fault: Fault, arrived: int
) -> None:
    server.faults.append(fault)

    async def scene() -> None:
        async with connected(server) as broker:
            with pytest.raises(SubmitUnclear, match=NAME):
                await broker.submit(ticket())
            found = await broker.find(NAME)

        assert server.count("POST") == 1
        assert len(server.orders) == arrived
        assert (found is not None) == bool(arrived)
        if found is not None:
            assert (found.client_order_id, found.broker_order_id) == (NAME, server.order(NAME)["id"])

    run(scene)


def test_an_answer_that_takes_too_long_is_unclear(
    server: AlpacaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    answer = server.answer

    def slow(method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        done = answer(method, path, query, body)
        if method == "POST":
            may_go_on.wait(60)
        return done

    monkeypatch.setattr(server, "answer", slow)

    async def scene() -> None:
        async with connected(server) as broker:
            with monkeypatch.context() as hurried:  # for the order alone: a busy box answers nothing in 0.1 s
                hurried.setattr(connection, "READ_S", 0.1)
                with pytest.raises(SubmitUnclear, match="ReadTimeout"):
                    await broker.submit(ticket())
            may_go_on.set()
            assert await broker.find(NAME) is not None

        assert server.count("POST") == 1

    run(scene)


def test_a_server_that_is_not_there_leaves_an_order_unclear_and_a_question_open() -> None:
    with alpaca_server() as server:
        broker = adapter(server)

        async def scene() -> None:
            await broker.connect()
            server.close()
            with pytest.raises(BrokerUnavailable):
                await broker.find(NAME)
            with pytest.raises(SubmitUnclear):
                await broker.submit(ticket())
            await broker.close()
            with pytest.raises(BrokerUnavailable, match="connect"):
                await broker.submit(ticket())

        run(scene)


# --- asking -----------------------------------------------------------------------------------------------


def test_a_question_waits_for_the_rate_limit_as_long_as_it_is_told(server: AlpacaServer) -> None:
    clock = VirtualClock(NOW)
    waits = Waits(clock)
    in_3_s = str(int(NOW.timestamp()) + 3 + 2)  # two seconds of waiting come before

    async def scene() -> None:
        async with connected(server, clock=clock, pause=waits) as broker:
            server.faults += [
                Fault(method="GET", path="/v2/positions", status=429, headers={"Retry-After": "2"}),
                Fault(method="GET", path="/v2/positions", status=429, headers={"X-RateLimit-Reset": in_3_s}),
                Fault(method="GET", path="/v2/positions", status=429),
            ]
            assert await broker.positions() == {}

        # Told, told, and not told: the third wait of 1, 2, 4 s.
        assert waits.seconds == [2.0, 3.0, 4.0]

    run(scene)


def test_a_question_gives_up_when_the_rate_limit_asks_for_too_much(server: AlpacaServer) -> None:
    clock = VirtualClock(NOW)
    waits = Waits(clock)

    async def scene() -> None:
        async with connected(server, clock=clock, pause=waits) as broker:
            server.faults.append(Fault(method="GET", path="/v2/positions", status=429, times=99))
            with pytest.raises(BrokerUnavailable, match="rate limit"):
                await broker.positions()

        # 1 + 2 + 4 + 8 = 15 s are the patience; a fifth wait is not begun.
        assert waits.seconds == [1.0, 2.0, 4.0, 8.0]
        assert server.count("GET", "/v2/positions") == 5

    run(scene)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(method="GET", path="/v2/orders:by", status=503, body="<html>"),
        Fault(method="GET", path="/v2/orders:by", drops=True),
        Fault(method="GET", path="/v2/orders:by", status=200),
        Fault(method="GET", path="/v2/orders:by", status=200, body="<html>log in first</html>"),
    ],
    ids=["503", "reset", "empty", "html"],
)
def test_no_answer_to_a_question_is_not_taken_for_no_order(server: AlpacaServer, fault: Fault) -> None:
    server.faults.append(fault)

    async def scene() -> None:
        async with connected(server) as broker:
            with pytest.raises(BrokerUnavailable):
                await broker.find(NAME)

    run(scene)


def test_a_404_of_something_on_the_way_is_not_taken_for_no_order(server: AlpacaServer) -> None:
    server.faults.append(Fault(method="GET", path="/v2/orders:by", status=404, body="<html>no route</html>"))

    async def scene() -> None:
        async with connected(server) as broker:
            with pytest.raises(BrokerError, match="404"):
                await broker.find(NAME)

    run(scene)


def test_bad_keys_are_refused_without_being_repeated(server: AlpacaServer) -> None:
    wrong = "PKWRONGKEY"
    broker = adapter(server, key=wrong)

    with pytest.raises(PermissionError, match="broker_key") as caught:
        asyncio.run(broker.connect())

    assert wrong not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert wrong not in repr(broker)
    assert caught.value.__cause__ is None


def test_an_order_with_bad_keys_is_refused_not_unclear(server: AlpacaServer) -> None:
    server.faults.append(
        Fault(method="POST", path="/v2/orders", status=401, body={"message": "unauthorized"})
    )

    async def scene() -> None:
        async with connected(server) as broker:
            with pytest.raises(OrderRejected, match="unauthorized"):
                await broker.submit(ticket())

    run(scene)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending_new", "open"),
        ("pending_cancel", "open"),
        ("done_for_day", "open"),
        ("something_new", "open"),
        ("filled", "filled"),
        ("canceled", "cancelled"),
        ("replaced", "cancelled"),
        ("expired", "expired"),
        ("rejected", "rejected"),
    ],
)
def test_only_the_states_that_end_an_order_end_it(server: AlpacaServer, status: str, state: str) -> None:
    server.place(NAME, status=status)

    async def scene() -> None:
        async with connected(server) as broker:
            found = await broker.find(NAME)

        assert found is not None
        assert found.state == state

    run(scene)


# --- cancelling -------------------------------------------------------------------------------------------


def test_a_cancel_is_told_by_the_next_report(server: AlpacaServer) -> None:
    async def scene() -> None:
        async with connected(server) as broker:
            await broker.submit(ticket())
            assert await broker.reports() == []
            await broker.cancel(NAME)
            [report] = await broker.reports()
            assert await broker.reports() == []

        assert isinstance(report, BrokerOrder)
        assert (report.client_order_id, report.state) == (NAME, BrokerOrderState.CANCELLED)

    run(scene)


def test_an_order_of_an_earlier_run_can_be_cancelled_by_its_name(server: AlpacaServer) -> None:
    server.place(NAME)

    async def scene() -> None:
        async with connected(server) as broker:
            await broker.cancel(NAME)
            [report] = await broker.reports()

        assert isinstance(report, BrokerOrder)
        assert report.state is BrokerOrderState.CANCELLED

    run(scene)


def test_looking_an_order_up_takes_no_news_away(server: AlpacaServer) -> None:
    async def scene() -> None:
        async with connected(server) as broker:
            await broker.submit(ticket())
            server.end(NAME, "expired")
            for _ in range(2):
                found = await broker.find(NAME)
                assert found is not None
                assert found.state is BrokerOrderState.EXPIRED
            [report] = await broker.reports()
            await broker.find(NAME)
            assert await broker.reports() == []

        assert report == found

    run(scene)


def test_what_a_cancel_finds_to_be_filled_is_told_all_the_same(server: AlpacaServer) -> None:
    server.place(NAME)
    server.fill(NAME, "100")

    async def scene() -> None:
        async with connected(server) as broker:
            await broker.cancel(NAME)
            orders = [r for r in await broker.reports() if isinstance(r, BrokerOrder)]

        assert [(o.state, o.filled) for o in orders] == [(BrokerOrderState.FILLED, 100)]

    run(scene)


def test_cancelling_what_is_closed_or_unknown_does_nothing(server: AlpacaServer) -> None:
    async def scene() -> None:
        async with connected(server) as broker:
            await broker.cancel("never-heard-of")
            await broker.submit(ticket())
            server.fill(NAME, "100")
            await broker.cancel(NAME)

        assert server.order(NAME)["status"] == "filled"

    run(scene)


# --- news -------------------------------------------------------------------------------------------------


def test_fills_come_with_exact_prices_and_the_name_of_their_order(server: AlpacaServer) -> None:
    async def scene() -> None:
        async with connected(server) as broker:
            await broker.submit(ticket())
            activity = server.fill(NAME, "40", "10.4975", at=NOW + timedelta(microseconds=123456))
            order, fill = await broker.reports()

        assert isinstance(order, BrokerOrder)
        assert (order.state, order.filled) == (BrokerOrderState.OPEN, 40)
        assert fill == Fill(
            execution_id=activity["id"],
            client_order_id=NAME,
            symbol="AAPL",
            side=Side.BUY,
            quantity=40,
            price=Decimal("10.4975"),
            at=NOW + timedelta(microseconds=123456),
            broker="alpaca",
        )

    run(scene)


def test_executions_that_are_listed_late_and_out_of_order_are_told_once_each(server: AlpacaServer) -> None:
    async def scene() -> None:
        told = []
        async with connected(server) as broker:
            await broker.submit(ticket())
            for seconds, quantity in ((50, "10"), (20, "20"), (60, "30"), (5, "40")):
                server.fill(NAME, quantity, at=NOW + timedelta(seconds=seconds))
                told += [r for r in await broker.reports() if isinstance(r, Fill)]
            server.activities += server.activities[:2]  # and listed again
            told += [r for r in await broker.reports() if isinstance(r, Fill)]

        assert [fill.quantity for fill in told] == [10, 20, 30, 40]

    run(scene)


def test_a_poll_that_fails_half_way_loses_no_news(server: AlpacaServer) -> None:
    async def scene() -> None:
        async with connected(server) as broker:
            await broker.submit(ticket())
            server.fill(NAME, "100")
            server.faults.append(Fault(method="GET", path="/v2/account/activities", status=503))
            with pytest.raises(BrokerUnavailable):
                await broker.reports()
            order, fill = await broker.reports()

        assert isinstance(order, BrokerOrder)
        assert order.state is BrokerOrderState.FILLED
        assert isinstance(fill, Fill)

    run(scene)


def test_what_happens_while_the_line_is_closed_is_told_afterwards(server: AlpacaServer) -> None:
    clock = VirtualClock(NOW)

    async def scene() -> None:
        async with connected(server, clock=clock) as broker:
            await broker.submit(ticket())
            await broker.close()
            server.fill(NAME, "100", at=NOW + timedelta(minutes=1))
            clock.advance(timedelta(hours=1))
            await broker.connect()
            order, fill = await broker.reports()

        assert isinstance(order, BrokerOrder)
        assert isinstance(fill, Fill)

    run(scene)


def test_after_a_restart_the_first_report_tells_of_the_days_open_orders(server: AlpacaServer) -> None:
    server.place("standing", time_in_force="gtc", submitted_at="2026-01-02T15:00:00Z")
    server.place(NAME)

    async def scene() -> None:
        async with connected(server) as broker:
            first = await broker.reports()
            server.end(NAME, "expired")
            second = await broker.reports()

        assert [(r.client_order_id, r.state) for r in first if isinstance(r, BrokerOrder)] == [(NAME, "open")]
        assert [r.state for r in second if isinstance(r, BrokerOrder)] == ["expired"]

    run(scene)


def test_reports_asked_for_too_soon_cost_no_request(server: AlpacaServer) -> None:
    clock = VirtualClock(NOW)

    async def scene() -> None:
        async with connected(server, clock=clock, poll_every=timedelta(seconds=2)) as broker:
            await broker.submit(ticket())
            await broker.reports()
            asked = len(server.requests)
            server.fill(NAME, "100")
            assert await broker.reports() == []
            assert len(server.requests) == asked
            clock.advance(timedelta(seconds=2))
            assert len(await broker.reports()) == 2

        # Two questions each: at 2 s apart 60 a minute, of the 200 that are allowed.
        assert len(server.requests) == asked + 2

    run(scene)


def test_fills_are_read_page_by_page_oldest_first(server: AlpacaServer) -> None:
    server.place(NAME, "1000")
    for n in range(250):
        server.fill(NAME, "1", at=NOW + timedelta(seconds=n))

    async def scene() -> None:
        async with connected(server) as broker:
            found = await broker.fills(NOW)
            later = await broker.fills(NOW + timedelta(seconds=200))

        assert [fill.at for fill in found] == [NOW + timedelta(seconds=n) for n in range(250)]
        # From a second before on, or more: the promise is every execution since then.
        assert {fill.at for fill in later} >= {NOW + timedelta(seconds=n) for n in range(200, 250)}
        assert len(later) < 60

    run(scene)


def test_the_names_of_many_orders_are_learnt_by_the_page(server: AlpacaServer) -> None:
    for n in range(60):
        name = f"20261120-AAPL-0001-{n:04d}"
        server.place(name, submitted_at=f"2026-11-20T14:{n:02d}:00Z")
        server.fill(name, "100")

    async def scene() -> None:
        async with connected(server) as broker:
            found = await broker.fills(NOW)

        assert sorted(fill.client_order_id for fill in found) == [
            f"20261120-AAPL-0001-{n:04d}" for n in range(60)
        ]
        assert server.count("GET", "/v2/orders/") == 0

    run(scene)


def test_the_fills_of_an_order_from_before_and_of_one_that_is_gone_are_kept(server: AlpacaServer) -> None:
    server.place("old", submitted_at="2026-11-02T15:00:00Z", time_in_force="gtc")
    server.place("gone")
    server.fill("old", "100")
    gone = server.fill("gone", "100")["order_id"]
    server.orders.pop()

    async def scene() -> None:
        async with connected(server) as broker:
            found = await broker.fills(NOW)

        assert {fill.client_order_id for fill in found} == {"old", gone}

    run(scene)


def test_open_orders_are_read_page_by_page_those_of_others_too(server: AlpacaServer) -> None:
    for n in range(1200):
        # Many in the same instant, as a basket is sent.
        server.place(f"basket-{n}", submitted_at=f"2026-11-20T14:00:0{n // 400}Z")
    server.place("fraction", "0.5", time_in_force="day")
    server.place("by-value", None, notional="50")  # type: ignore[arg-type]  # an order by value has no quantity
    server.place("done", status="filled")

    async def scene() -> None:
        async with connected(server) as broker:
            found = {order.client_order_id: order.quantity for order in await broker.open_orders()}

        assert len(found) == 1202
        assert (found["fraction"], found["by-value"]) == (1, 1)

    run(scene)


def test_fractional_executions_of_somebody_else_are_left_out(server: AlpacaServer) -> None:
    server.place("theirs", "1.5", side="sell")
    server.fill("theirs", "0.5")
    server.fill("theirs", "1")

    async def scene() -> None:
        async with connected(server) as broker:
            found = await broker.fills(NOW)

        assert [(fill.quantity, fill.side) for fill in found] == [(1, Side.SELL)]

    run(scene)


# --- what is held -----------------------------------------------------------------------------------------


def test_positions_are_whole_shares_short_ones_negative(server: AlpacaServer) -> None:
    server.positions = [
        {"symbol": "AAPL", "qty": "300", "side": "long", "asset_class": "us_equity"},
        {"symbol": "NVDA", "qty": "-20", "side": "short", "asset_class": "us_equity"},
        {"symbol": "BTCUSD", "qty": "0.25", "side": "long", "asset_class": "crypto"},
    ]

    async def scene() -> None:
        async with connected(server) as broker:
            assert await broker.positions() == {"AAPL": 300, "NVDA": -20}

    run(scene)


def test_a_part_of_a_share_is_an_error_that_says_what_to_do(server: AlpacaServer) -> None:
    server.positions = [{"symbol": "AAPL", "qty": "1.5", "side": "long", "asset_class": "us_equity"}]

    async def scene() -> None:
        async with connected(server) as broker:
            with pytest.raises(BrokerError, match=r"1\.5 AAPL: expected whole shares; sell the fraction"):
                await broker.positions()

    run(scene)


def test_the_calendar_is_in_utc_with_early_closes(server: AlpacaServer) -> None:
    server.calendar = [
        {"date": "2026-11-25", "open": "09:30", "close": "16:00", "session_open": "0400"},
        {"date": "2026-11-27", "open": "09:30", "close": "13:00", "session_open": "0400"},
        {"date": "2026-07-02", "open": "09:30", "close": "16:00", "session_open": "0400"},
    ]

    async def scene() -> None:
        async with connected(server) as broker:
            days = await broker.calendar(date(2026, 7, 1), date(2026, 11, 30))

        # New York is four hours behind in July, five in November.
        assert [(day.open.hour, day.close.hour) for day in days] == [(13, 20), (14, 21), (14, 18)]

    run(scene)


# --- the set-up -------------------------------------------------------------------------------------------


def test_a_real_account_needs_to_be_asked_for(server: AlpacaServer) -> None:
    practice = AlpacaBroker(key=KEY, secret=SECRET)
    real = AlpacaBroker(key=KEY, secret=SECRET, live=True)

    assert repr(practice) == "AlpacaBroker(url='https://paper-api.alpaca.markets')"
    assert repr(real) == "AlpacaBroker(url='https://api.alpaca.markets')"
    with pytest.raises(ValueError, match="expected live=True"):
        AlpacaBroker(key=KEY, secret=SECRET, url="https://API.alpaca.markets/")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "http://paper-api.alpaca.markets"}, "expected https"),
        ({"url": "paper-api.alpaca.markets"}, "expected https"),
        ({"key": ""}, "key is empty"),
        ({"secret": "with\nnewline"}, "secret is empty or no plain text"),
    ],
)
def test_keys_never_go_out_in_the_open(server: AlpacaServer, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        asyncio.run(adapter(server, **changes).connect())

    assert SECRET not in str(caught.value)
    assert server.requests == []


def test_connecting_twice_is_connecting_once(server: AlpacaServer) -> None:
    async def scene() -> None:
        async with connected(server) as broker:
            await broker.connect()

        assert server.count("GET", "/v2/account") == 1

    run(scene)


def test_without_its_package_the_adapter_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alpaca.common.rest", None)

    with pytest.raises(ImportError, match="make setup-brokers"):
        asyncio.run(AlpacaBroker(key=KEY, secret=SECRET).connect())


def test_the_adapter_loads_neither_pandas_nor_numpy(server: AlpacaServer) -> None:
    """A job that runs every minute imports it."""
    code = f"""
import asyncio, sys
from trading.execution.brokers.alpaca.broker import AlpacaBroker
assert "alpaca" not in sys.modules and "requests" not in sys.modules
broker = AlpacaBroker(key={KEY!r}, secret={SECRET!r}, url={server.url!r})
asyncio.run(broker.connect())
assert "alpaca" in sys.modules
print([name for name in ("numpy", "pandas", "websockets") if name in sys.modules])
"""

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "[]\n"


# --- quotes and volume ------------------------------------------------------------------------------------


@asynccontextmanager
async def market(server: AlpacaServer, **changes: Any) -> AsyncIterator[AlpacaMarket]:
    made = AlpacaMarket(key=KEY, secret=SECRET, url=server.url, clock=VirtualClock(NOW), **changes)
    await made.connect()
    try:
        yield made
    finally:
        await made.close()


def test_a_quote_keeps_its_digits(server: AlpacaServer) -> None:
    server.quotes["AAPL"] = {
        "t": "2026-11-20T14:59:58.123456789Z",
        "bp": 187.1,
        "ap": 187.12,
        "bs": 2,
        "as": 1,
    }

    async def scene() -> None:
        async with market(server) as feed:
            quote = await feed.quote("AAPL", NOW)

        assert quote is not None
        assert (quote.bid, quote.ask) == (Decimal("187.1"), Decimal("187.12"))
        assert quote.at == datetime(2026, 11, 20, 14, 59, 58, 123456, tzinfo=UTC)
        assert server.requests[-1][2] == {"symbols": "AAPL", "feed": "iex"}

    run(scene)


@pytest.mark.parametrize(("bid", "ask"), [(0, 187.12), (187.1, 0), (187.2, 187.1)])
def test_a_quote_with_an_empty_side_or_crossed_is_none(server: AlpacaServer, bid: float, ask: float) -> None:
    server.quotes["AAPL"] = {"t": "2026-11-20T14:59:58Z", "bp": bid, "ap": ask}

    async def scene() -> None:
        async with market(server) as feed:
            assert await feed.quote("AAPL", NOW) is None
            assert await feed.quote("NONE", NOW) is None

    run(scene)


def test_volume_adds_the_minutes_that_lie_within_page_by_page(server: AlpacaServer) -> None:
    server.bars["AAPL"] = minute_bars("AAPL", NOW - timedelta(minutes=5), [1, 10, 100, 1000, 10_000, 100_000])
    server.bars_a_page = 2

    async def scene() -> None:
        async with market(server) as feed:
            whole = await feed.volume("AAPL", NOW - timedelta(minutes=4), NOW - timedelta(minutes=1), NOW)
            known = await feed.volume(
                "AAPL", NOW - timedelta(minutes=4), NOW + timedelta(minutes=5), NOW - timedelta(seconds=30)
            )
            nothing = await feed.volume("NONE", NOW - timedelta(minutes=4), NOW, NOW)

        assert whole == 10 + 100 + 1000
        # At half past, the minute that is under way is not known as a whole.
        assert known == 10 + 100 + 1000
        assert nothing == 0

    run(scene)


def test_a_feed_that_is_not_subscribed_to_says_so(server: AlpacaServer) -> None:
    server.faults.append(
        Fault(
            method="GET",
            path="/v2/stocks/bars",
            status=403,
            body={"message": "subscription does not permit querying recent SIP data"},
        )
    )

    async def scene() -> None:
        async with market(server, feed="sip") as feed:
            with pytest.raises(PermissionError, match="subscription does not permit"):
                await feed.volume("AAPL", NOW - timedelta(minutes=4), NOW, NOW)

    run(scene)
