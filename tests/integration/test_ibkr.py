"""The Interactive Brokers adapter over real connections to a local server that speaks TWS's messages."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.clock import SystemClock
from tests.brokers_contract import BrokerContract, Desk, executions, reports_until, states, until_closed
from tests.ibkr_server import PRACTICE, REAL, Fault, Happens, IbkrServer, Request, ibkr_server
from trading.execution.brokers.broker import Broker, BrokerOrder, BrokerOrderState, Report, Ticket
from trading.execution.brokers.ibkr.blotter import Blotter
from trading.execution.brokers.ibkr.broker import IbkrBroker
from trading.execution.brokers.ibkr.rows import ExecutionRow, OrderRow
from trading.execution.errors import (
    BrokerError,
    BrokerUnavailable,
    ExtraMissing,
    OrderRejected,
    SubmitUnclear,
)
from trading.execution.facts import MarketFacts
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.ledger import Ledger
from trading.execution.markets.ibkr import IbkrMarket
from trading.execution.orders import Fill, OrderKind, ParentOrder, ParentState, Side
from trading.execution.smart.executor import Executor
from trading.execution.smart.plan import SessionHours
from trading.execution.smart.rules import Ended, ExecutorRules

ROOT = Path(__file__).resolve().parents[2]
NAME = "20261120-AAPL-0001-0001"
SOON = timedelta(seconds=0.4)


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach the vendor, whatever address it was given."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        assert ipaddress.ip_address(address[0]).is_loopback, f"a test tried to reach {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def adapter(server: IbkrServer, **changes: Any) -> IbkrBroker:
    given: dict[str, Any] = {"address": server.address, "fee_wait": SOON, "retry": timedelta(seconds=0.05)}
    return IbkrBroker(**given | changes)


@asynccontextmanager
async def desk(**changes: Any) -> AsyncIterator[tuple[IbkrServer, IbkrBroker]]:
    async with ibkr_server() as server:
        broker = adapter(server, **changes)
        await broker.connect()
        try:
            yield server, broker
        finally:
            await broker.close()


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def ticket(name: str = NAME, **changes: Any) -> Ticket:
    given: dict[str, Any] = {
        "client_order_id": name,
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": 100,
        "kind": OrderKind.LIMIT,
        "limit_price": Decimal("10.05"),
    }
    return Ticket(**given | changes)


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(3000):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it has not happened")


async def answered(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until there is an answer."""
    for _ in range(2000):
        try:
            return await ask()
        except BrokerUnavailable:
            await asyncio.sleep(0.02)
    raise AssertionError("there was no answer")


async def until_unavailable(broker: IbkrBroker) -> None:
    for _ in range(3000):
        try:
            broker.line()
        except BrokerUnavailable:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the connection is still there")


async def until_seen(broker: IbkrBroker, shares: int) -> None:
    """Wait until the adapter has heard of that many shares, told or not."""
    await until(lambda: sum(fill.quantity for fill in broker._blotter.fills()) == shares)


class LocalDesk:
    """The contract's desk: the market is the server's account, filled by hand."""

    symbol, price, clip = "AAPL", Decimal("10"), 20

    def __init__(self, server: IbkrServer, broker: IbkrBroker) -> None:
        self.server, self.opened_at = server, datetime.now(UTC) - timedelta(minutes=1)
        self.broker: Broker = broker
        self._closing = [broker]

    async def trade(self) -> None:
        for order in [o for o in self.server.orders if o.is_open]:
            sign, limit = 1 if order.action == "BUY" else -1, order.limit or float(self.price)
            if sign * (limit - float(self.price)) >= 0:
                self.server.fill(order.ref, min(self.clip, order.quantity - order.filled), float(self.price))

    async def reopen(self) -> IbkrBroker:
        await self._closing[-1].close()
        self._closing.append(adapter(self.server))
        await self._closing[-1].connect()
        return self._closing[-1]

    async def close(self) -> None:
        await self._closing[-1].close()


async def told_until(
    server: IbkrServer, broker: IbkrBroker, state: BrokerOrderState | None = None
) -> list[Report]:
    """Return the reports up to one of an order in this state; None: up to a fill."""
    return await reports_until(
        LocalDesk(server, broker),
        lambda reports: bool(executions(reports)) if state is None else state in states(reports),
    )


class TestIbkrKeepsTheContract(BrokerContract):
    @asynccontextmanager
    async def open_desk(self) -> AsyncIterator[Desk]:
        async with ibkr_server() as server:
            broker = adapter(server)
            await broker.connect()
            local = LocalDesk(server, broker)
            try:
                yield local
            finally:
                await local.close()


# --- sending ----------------------------------------------------------------------------------------------


def test_an_order_is_for_the_day_and_bears_its_name_account_and_display() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket(symbol="BRK.B", side=Side.SELL, display=40))

            (fields,) = [fields for request, fields in server.requests if request is Request.PLACE_ORDER]
            order = server.order(NAME)
            assert (order.symbol, order.action, order.kind, order.limit) == ("BRK B", "SELL", "LMT", 10.05)
            assert (order.quantity, order.display, order.client_id) == (100, 40, 17)
            # tif, account, orderRef, outsideRth: fields 22, 24, 27 and 34 of PLACE_ORDER
            assert (fields[21], fields[23], fields[26], fields[33]) == ("DAY", PRACTICE, NAME, "0")

    run(story)


@pytest.mark.parametrize("happens", [Happens.DROPPED_AFTER, Happens.SILENT])
def test_an_order_whose_answer_was_lost_is_unclear_and_found_later(happens: Happens) -> None:
    async def story() -> None:
        async with desk(patience=SOON) as (server, broker):
            server.faults.append(Fault(request=Request.PLACE_ORDER, happens=happens))

            with pytest.raises(SubmitUnclear):
                await broker.submit(ticket())
            await broker.connect()
            found = await broker.find(NAME)

            assert found is not None
            assert (found.state, found.quantity) == (BrokerOrderState.OPEN, 100)
            assert [order.ref for order in server.orders] == [NAME]
            with pytest.raises(OrderRejected):
                await broker.submit(ticket())
            assert server.count(Request.PLACE_ORDER) == 1

    run(story)


@pytest.mark.parametrize("happens", [Happens.DROPPED_BEFORE, Happens.LOST])
def test_an_order_that_never_arrived_is_unclear_not_found_and_not_sent_again(happens: Happens) -> None:
    async def story() -> None:
        async with desk(patience=SOON) as (server, broker):
            server.faults.append(Fault(request=Request.PLACE_ORDER, happens=happens))

            with pytest.raises(SubmitUnclear):
                await broker.submit(ticket())
            await broker.connect()

            assert await broker.find(NAME) is None
            with pytest.raises(OrderRejected):
                await broker.submit(ticket())
            assert server.count(Request.PLACE_ORDER) == 1

    run(story)


@pytest.mark.parametrize("code", [110, 200, 201, 203, 321])
def test_a_definite_error_is_a_refusal_in_the_brokers_words(code: int) -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            server.refusals[NAME] = (code, "Order rejected - reason:YOUR BUYING POWER IS TOO LOW")

            with pytest.raises(OrderRejected, match=f"BUYING POWER.*{code}"):
                await broker.submit(ticket())

            assert await broker.find(NAME) is None

    run(story)


def test_an_error_of_unknown_meaning_leaves_the_order_unclear() -> None:
    async def story() -> None:
        async with desk(patience=SOON) as (server, broker):
            server.refusals[NAME] = (10999, "something new")

            with pytest.raises(SubmitUnclear):
                await broker.submit(ticket())

    run(story)


def test_an_order_that_is_inactive_first_and_then_rejected_is_refused() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            server.first_statuses = ("PendingSubmit", "Inactive")
            sending = asyncio.create_task(broker.submit(ticket()))
            await until(lambda: bool(server.orders))
            server.end(NAME, "Inactive", code=201, text="Order rejected - reason: margin")

            with pytest.raises(OrderRejected, match="margin"):
                await sending

            found = await broker.find(NAME)
            assert found is not None
            assert (found.state, found.filled) == (BrokerOrderState.REJECTED, 0)

    run(story)


def test_an_order_the_gateway_holds_but_the_broker_has_not_confirmed_is_open() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            server.first_statuses = ("PendingSubmit",)

            taken = await broker.submit(ticket())

            assert taken.state is BrokerOrderState.OPEN

    run(story)


def test_an_order_that_is_rejected_after_it_was_taken_is_reported_so() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            server.end(NAME, "Inactive", code=201, text="Order rejected - reason: halted")

            told = await told_until(server, broker, BrokerOrderState.REJECTED)

            assert [(o.client_order_id, o.filled) for o in told if isinstance(o, BrokerOrder)] == [(NAME, 0)]

    run(story)


def test_a_number_that_is_taken_refuses_the_new_order_and_leaves_the_old_one_alone() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            # Another program has used our client id and its next number meanwhile.
            old = server.place("other", client_id=17)
            old.order_id = 1
            assert await broker.find("other") is not None
            broker.line()._client._reqIdSeq = 1

            with pytest.raises(OrderRejected, match="Duplicate"):
                await broker.submit(ticket())

            assert BrokerOrderState.REJECTED not in states(await broker.reports())
            found = await broker.find("other")
            assert found is not None
            assert found.state is BrokerOrderState.OPEN

    run(story)


def test_a_market_order_that_fills_at_once_needs_no_status() -> None:
    """TWS sends no status for an order that is executed at once; its execution is the answer."""

    async def story() -> None:
        async with desk() as (server, broker):
            server.first_statuses = ()
            sending = asyncio.create_task(broker.submit(ticket(kind=OrderKind.MARKET, limit_price=None)))
            await until(lambda: bool(server.orders))
            server.fill(NAME, 100, 10.0, says=("execution", "fee"))

            taken = await sending

            assert (taken.state, taken.filled) == (BrokerOrderState.FILLED, 100)

    run(story)


def test_nothing_is_sent_while_the_gateway_is_cut_off_from_the_broker() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            server.notice(1100, "Connectivity between IB and Trader Workstation has been lost.")
            await until_unavailable(broker)

            with pytest.raises(BrokerUnavailable, match="1100"):
                await broker.submit(ticket())
            assert server.count(Request.PLACE_ORDER) == 0

            server.notice(1102, "Connectivity restored - data maintained.")
            await answered(broker.reports)
            assert (await broker.submit(ticket())).state is BrokerOrderState.OPEN

    run(story)


# --- fills and reports ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "says",
    [
        ("execution", "status", "fee"),
        ("fee", "status", "execution"),
        ("status", "fee", "execution"),
        ("fee", "execution"),
    ],
)
def test_news_in_any_order_and_twice_counts_once(says: Sequence[str]) -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            server.tells_twice = True
            await broker.submit(ticket())
            server.fill(NAME, 30, 10.0, fee=0.35, says=says)
            server.fill(NAME, 70, 10.02, fee=0.36, says=says)

            told = await told_until(server, broker, BrokerOrderState.FILLED)
            told += await broker.reports()

            assert sorted((f.quantity, f.price, f.fee) for f in executions(told)) == [
                (30, Decimal("10.0"), Decimal("0.35")),
                (70, Decimal("10.02"), Decimal("0.36")),
            ]
            assert {f.execution_id: f for f in executions(told)} == {
                f.execution_id: f for f in await broker.fills(datetime.now(UTC) - timedelta(minutes=1))
            }

    run(story)


def test_a_fill_waits_for_its_fee() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            server.fill(NAME, 100, 10.0, fee=1.25, fee_after_s=0.15)
            await until_seen(broker, 100)

            assert list(await broker.reports()) == []
            told = await told_until(server, broker)

            assert [fill.fee for fill in executions(told)] == [Decimal("1.25")]

    run(story)


@pytest.mark.parametrize(("fee", "currency"), [(None, "USD"), (1.25, "EUR")])
def test_a_fee_that_is_not_told_counts_as_0_after_a_while_and_is_logged(
    fee: float | None, currency: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            execution = server.fill(NAME, 100, 10.0, fee=fee, currency=currency)

            told = await told_until(server, broker)

            assert [fill.fee for fill in executions(told)] == [Decimal(0)]
            assert [r.message for r in caplog.records if execution.exec_id in r.message] != []

    caplog.set_level(logging.WARNING, "trading.execution")
    run(story)


def test_a_correction_replaces_the_execution_under_the_same_id(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            first = server.fill(NAME, 100, 10.0)
            told = await told_until(server, broker)
            server.correct(first, 9.99)

            fills = await broker.fills(datetime.now(UTC) - timedelta(minutes=1))

            assert [fill.execution_id for fill in executions(told)] == [f.execution_id for f in fills]
            assert [fill.price for fill in fills] == [Decimal("9.99")]
            assert "corrects a fill" in caplog.text
            assert executions(await broker.reports()) == []

    run(story)


def test_times_are_utc_and_only_fills_since_then_are_given() -> None:
    async def story() -> None:
        # 10:00:00 in New York in November is 15:00:00 UTC.
        at = datetime(2026, 11, 20, 15, 0, 0, 250_000, tzinfo=UTC)
        async with ibkr_server(lambda: at) as server:
            broker = adapter(server)
            await broker.connect()
            await broker.submit(ticket())
            server.fill(NAME, 100, 10.0)

            (fill,) = await broker.fills(at)

            assert fill.at == datetime(2026, 11, 20, 15, 0, 0, tzinfo=UTC)
            assert fill.at.utcoffset() == timedelta(0)
            assert list(await broker.fills(at + timedelta(seconds=1))) == []
            await broker.close()

    run(story)


# --- cancels ----------------------------------------------------------------------------------------------


def test_a_cancel_that_comes_too_late_finds_out_what_was_missed() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            server.fill(NAME, 100, 10.0, says=())  # the gateway has not told

            await broker.cancel(NAME)

            told = await told_until(server, broker, BrokerOrderState.FILLED)
            assert sum(fill.quantity for fill in executions(told)) == 100

    run(story)


def test_an_order_that_is_being_cancelled_is_still_open() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            server.cancels_at_once = False
            await broker.submit(ticket())
            await broker.cancel(NAME)

            found = await broker.find(NAME)

            assert found is not None
            assert (server.order(NAME).status, found.state) == ("PendingCancel", BrokerOrderState.OPEN)

    run(story)


def test_another_api_clients_order_is_not_cancelled_in_silence() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            server.place("theirs", client_id=3)

            with pytest.raises(BrokerUnavailable, match="API client 3"):
                await broker.cancel("theirs")

    run(story)


# --- restarts and lost connections ------------------------------------------------------------------------


def test_a_new_adapter_finds_the_orders_and_fills_of_the_old_one() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            for number, name in enumerate(("open", "filled", "cancelled", "untouched")):
                await broker.submit(ticket(f"{NAME}{number}-{name}"))
            open_, filled, cancelled, untouched = [order.ref for order in server.orders]
            server.fill(open_, 10, 10.0)
            server.fill(filled, 100, 10.0)
            server.fill(cancelled, 30, 10.0)
            await broker.cancel(cancelled)
            await until_closed(broker, cancelled)
            await broker.close()

            again = adapter(server)
            await again.connect()

            found = [await again.find(name) for name in (open_, filled, cancelled, untouched)]
            assert [(order.state, order.filled) for order in found if order is not None] == [
                (BrokerOrderState.OPEN, 10),
                (BrokerOrderState.FILLED, 100),
                (BrokerOrderState.CANCELLED, 30),
                (BrokerOrderState.OPEN, 0),
            ]
            assert sum(fill.quantity for fill in await again.fills(datetime.now(UTC) - timedelta(1))) == 140
            server.fill(open_, 90, 10.0)
            await again.cancel(untouched)
            assert (await until_closed(again, open_)).state is BrokerOrderState.FILLED
            assert (await until_closed(again, untouched)).state is BrokerOrderState.CANCELLED
            await again.close()

    run(story)


def test_a_new_adapter_tells_no_old_news() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            server.fill(NAME, 100, 10.0)
            await until_closed(broker, NAME)
            await broker.close()

            again = adapter(server)
            await again.connect()

            assert list(await again.reports()) == []
            await again.close()

    run(story)


def test_an_open_order_that_a_later_connection_does_not_show_is_not_found() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            server.peers[0].drop()
            server.orders.clear()
            await until_unavailable(broker)

            await broker.connect()

            assert await broker.find(NAME) is None

    run(story)


def test_a_lost_connection_is_opened_again_and_tells_what_was_missed() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            port = server.port
            await server.stop()
            server.fill(NAME, 100, 10.0)
            with pytest.raises(BrokerUnavailable):
                await broker.find(NAME)
            with pytest.raises(BrokerUnavailable):
                await broker.reports()

            await server.start(port)
            told: list[Any] = []
            for _ in range(2000):
                told += await answered(broker.reports)
                if BrokerOrderState.FILLED in states(told):
                    break
                await asyncio.sleep(0.02)

            assert sum(fill.quantity for fill in executions(told)) == 100
            assert BrokerOrderState.FILLED in states(told)

    run(story)


def test_what_was_told_before_the_connection_was_lost_is_still_reported() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            server.fill(NAME, 100, 10.0)
            await until_seen(broker, 100)
            await until(lambda: not broker._blotter.awaits_fees(0.0))
            await server.stop()
            await until_unavailable(broker)

            told = await broker.reports()

            assert sum(fill.quantity for fill in executions(told)) == 100
            await server.start()

    run(story)


def test_connect_opens_a_lost_connection_again() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            server.peers[0].drop()
            await until_unavailable(broker)

            await broker.connect()

            assert await broker.find(NAME) is not None

    run(story)


def test_what_was_missed_while_the_gateway_was_cut_off_is_asked_for() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            server.notice(1100, "Connectivity between IB and Trader Workstation has been lost.")
            server.fill(NAME, 100, 10.0, says=())
            server.notice(1102, "Connectivity restored - data maintained.")

            told = await told_until(server, broker, BrokerOrderState.FILLED)

            assert sum(fill.quantity for fill in executions(told)) == 100

    run(story)


@pytest.mark.parametrize(
    "request_", [Request.ALL_OPEN_ORDERS, Request.COMPLETED_ORDERS, Request.EXECUTIONS, Request.POSITIONS]
)
def test_a_question_without_an_answer_is_unavailable_and_can_be_asked_again(request_: Request) -> None:
    async def story() -> None:
        async with desk(patience=SOON) as (server, broker):
            await broker.submit(ticket())
            server.faults.append(Fault(request=request_, happens=Happens.SILENT))
            ask = broker.positions if request_ is Request.POSITIONS else lambda: broker.find(NAME)

            with pytest.raises(BrokerUnavailable, match="no answer"):
                await ask()

            assert await answered(ask) is not None

    run(story)


def test_questions_asked_at_once_get_their_own_answers() -> None:
    async def story() -> None:
        async with desk() as (_, broker):
            names = [f"{NAME}-{number}" for number in range(5)]
            for name in names:
                await broker.submit(ticket(name))

            found = await asyncio.gather(*(broker.find(name) for name in names), broker.find("none"))

            assert [order and order.client_order_id for order in found] == [*names, None]

    run(story)


def test_an_order_whose_end_the_gateway_has_forgotten_is_not_taken_for_ended() -> None:
    """Its executions are all that is left of it, and they do not say whether more may come."""

    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            server.fill(NAME, 30, 10.0)
            server.end(NAME)
            server.forgets_ended = True
            await broker.close()

            again = adapter(server)
            await again.connect()
            found = await again.find(NAME)

            assert found is not None
            assert (found.state, found.filled) == (BrokerOrderState.OPEN, 30)
            await again.close()

    run(story)


@pytest.mark.parametrize("happens", [None, Happens.DROPPED_AFTER])
def test_the_executor_works_an_order_through_the_adapter(tmp_path: Path, happens: Happens | None) -> None:
    """Also when the connection breaks right after the order: it is found, completed, and never sent again."""

    async def story() -> None:
        now = datetime.now(UTC)
        hours = SessionHours(
            day=now.date(), open=now - timedelta(minutes=5), close=now + timedelta(minutes=30)
        )
        quick = ExecutorRules(retry=timedelta(seconds=0.1), poll=timedelta(seconds=0.05))
        async with ibkr_server() as server:
            server.quotes["AAPL"] = [(1, 10.00, 100), (2, 10.02, 100)]
            if happens is not None:
                server.faults.append(Fault(request=Request.PLACE_ORDER, happens=happens))
            broker = adapter(server)
            with Ledger(tmp_path / "ledger.db") as ledger:
                with ledger.writing(now) as book:
                    book.put_facts(facts(now.date()))
                    order = book.add_parent(parent(now))
                executor = Executor(
                    ledger=ledger,
                    broker=broker,
                    market=IbkrMarket(broker),
                    clock=SystemClock(),
                    kill=KillSwitch(tmp_path / "halt"),
                    hours=lambda day: hours if day == hours.day else None,
                    session=hours.day,
                    rules=quick,
                )
                working = asyncio.create_task(executor.run())
                await until(lambda: bool(server.orders))
                server.fill(server.orders[0].ref, 120, 10.02, fee=0.35)
                server.fill(server.orders[0].ref, 180, 10.02, fee=0.65)

                assert await asyncio.wait_for(working, 60) is Ended.DONE

                assert ledger.parent(order.parent_id).state is ParentState.COMPLETED
                booked = [(fill.quantity, fill.price, fill.fee) for fill in ledger.fills()]
                assert sorted(booked) == [
                    (120, Decimal("10.02"), Decimal("0.35")),
                    (180, Decimal("10.02"), Decimal("0.65")),
                ]
                assert server.count(Request.PLACE_ORDER) == 1
            await broker.close()

    run(story)


def facts(day: date) -> MarketFacts:
    return MarketFacts(
        symbol="AAPL",
        as_of=day - timedelta(days=1),
        price=10.0,
        daily_volume=1e7,
        daily_spread=0.02,
        daily_volatility=0.02,
        shape=(0.25,) * 4,
    )


def parent(now: datetime) -> ParentOrder:
    return ParentOrder(
        parent_id="",
        reference="r1",
        session=now.date(),
        symbol="AAPL",
        side=Side.BUY,
        quantity=300,
        created_at=now,
        algorithm="market",
    )


# --- connecting -------------------------------------------------------------------------------------------


def test_a_real_account_is_refused_unless_it_was_asked_for() -> None:
    async def story() -> None:
        async with ibkr_server() as server:
            server.accounts = [REAL]
            practice, real = adapter(server), adapter(server, live=True)

            with pytest.raises(PermissionError, match=REAL):
                await practice.connect()
            with pytest.raises(BrokerUnavailable):
                await practice.submit(ticket())
            await real.connect()

            assert (await real.submit(ticket())).state is BrokerOrderState.OPEN
            await real.close()

    run(story)


def test_a_user_with_several_accounts_is_refused() -> None:
    async def story() -> None:
        async with ibkr_server() as server:
            server.accounts = [PRACTICE, "DU7654321"]

            with pytest.raises(PermissionError, match="DU7654321"):
                await adapter(server).connect()

    run(story)


def test_a_client_id_that_is_in_use_is_said_at_once() -> None:
    async def story() -> None:
        async with desk() as (server, _):
            started = asyncio.get_running_loop().time()

            with pytest.raises(BrokerUnavailable, match="already in use"):
                await adapter(server, patience=timedelta(seconds=60)).connect()

            assert asyncio.get_running_loop().time() - started < 30

    run(story)


def test_no_gateway_is_unavailable() -> None:
    async def story() -> None:
        async with ibkr_server() as server:
            address = server.address
        with pytest.raises(BrokerUnavailable, match=address):
            await IbkrBroker(address=address).connect()

    run(story)


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1:0", "http://127.0.0.1:4002", ":4002", "h:port"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address is"):
        IbkrBroker(address=address)


def test_the_usual_port_is_the_practice_gateways_unless_live() -> None:
    assert "127.0.0.1:4002" in repr(IbkrBroker())
    assert "127.0.0.1:4001" in repr(IbkrBroker(live=True))


def test_client_id_0_is_refused_as_it_gets_orders_typed_by_hand() -> None:
    with pytest.raises(ValueError, match="client_id is 0"):
        IbkrBroker(client_id=0)


def test_a_missing_package_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ib_async.client", None)

    with pytest.raises(ExtraMissing, match="make setup-brokers"):
        asyncio.run(IbkrBroker().connect())


def test_the_adapter_loads_nothing_until_it_connects() -> None:
    code = (
        "import sys; import trading.execution.markets.ibkr;"
        "print([m for m in ('ib_async', 'eventkit', 'numpy', 'pandas') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


# --- the account ------------------------------------------------------------------------------------------


def test_open_orders_of_others_are_listed_too() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            await broker.submit(ticket())
            by_hand = server.place("")
            server.place("theirs", client_id=3)

            found = {order.client_order_id for order in await broker.open_orders()}

            assert found == {NAME, "theirs", str(by_hand.perm_id)}

    run(story)


def test_only_whole_shares_in_dollars_are_positions() -> None:
    async def story() -> None:
        async with desk() as (server, broker):
            server.positions = {"AAPL": 20, "BRK B": -3, "NVDA": 0}
            server.extra_positions = [("AAPL", "OPT", "USD", 5), ("SAP", "STK", "EUR", 7)]
            assert dict(await broker.positions()) == {"AAPL": 20, "BRK.B": -3}

            server.positions["NVDA"] = 0.5
            with pytest.raises(BrokerError, match=r"0\.5 NVDA"):
                await broker.positions()

    run(story)


# --- the blotter ------------------------------------------------------------------------------------------

EXECUTED = datetime(2026, 11, 20, 15, tzinfo=UTC)


def execution(number: int, shares: int) -> ExecutionRow:
    fill = Fill(
        execution_id=f"e.{number}",
        client_order_id=NAME,
        symbol="AAPL",
        side=Side.BUY,
        quantity=shares,
        price=Decimal(10),
        at=EXECUTED,
        broker="ibkr",
    )
    return ExecutionRow(
        key=f"e.{number}.01", execution_id=fill.execution_id, revision=1, perm_id=9, client_id=17, fill=fill
    )


def row(status: str, filled: int = 0, **changes: Any) -> OrderRow:
    given_: dict[str, Any] = {"name": NAME, "quantity": 100, "order_id": 1, "client_id": 17}
    return OrderRow(perm_id=9, status=status, filled=filled, **given_ | changes)


PIECES: list[Callable[[Blotter], None]] = [
    lambda b: b.take_order(row("PreSubmitted"), 1),
    lambda b: b.take_order(row("Submitted", name="", quantity=0), 1),
    lambda b: b.take_execution(execution(1, 30), 1, 0.0, is_own=True),
    lambda b: b.take_fee("e.1.01", Decimal("0.35")),
    lambda b: b.take_order(row("Submitted", 30, name="", quantity=0), 1),
    lambda b: b.take_execution(execution(2, 20), 1, 0.0, is_own=True),
    lambda b: b.take_fee("e.2.01", Decimal("0.36")),
    lambda b: b.take_order(row("Cancelled", 50, name="", quantity=0), 1),
    lambda b: b.take_order(row("Cancelled", 50, quantity=0, order_id=None, has_ended=True), 1),
]


@given(
    # With and without the listing among the completed orders.
    st.sampled_from([PIECES, PIECES[:-1]]).flatmap(st.permutations),
    st.lists(st.sampled_from(PIECES)),
    st.data(),
)
def test_the_same_pieces_in_any_order_and_number_give_the_same_order_and_fills(
    pieces: list[Callable[[Blotter], None]], again: list[Callable[[Blotter], None]], data: st.DataObject
) -> None:
    blotter, told = Blotter(timedelta(seconds=3)), []
    for piece in [*pieces, *again]:
        piece(blotter)
        if data.draw(st.booleans()):
            told += blotter.news(0.0)
    told += blotter.news(10.0)

    entry = blotter.entry(NAME)
    assert entry is not None
    assert (entry.state, entry.filled, entry.quantity) == (BrokerOrderState.CANCELLED, 50, 100)
    assert sorted((f.execution_id, f.quantity, f.fee) for f in executions(told)) == [
        ("e.1", 30, Decimal("0.35")),
        ("e.2", 20, Decimal("0.36")),
    ]
    assert [o for o in told if isinstance(o, BrokerOrder)][-1].state is BrokerOrderState.CANCELLED


def test_an_order_that_is_rejected_after_a_part_was_filled_is_cancelled() -> None:
    blotter = Blotter(timedelta(seconds=3))
    blotter.take_order(row("Submitted", 30), 1)

    blotter.take_error(NAME, "Order rejected", is_refusal=True, is_cancel=False)

    entry = blotter.entry(NAME)
    assert entry is not None
    assert (entry.state, entry.filled, entry.reason) == (BrokerOrderState.CANCELLED, 30, "Order rejected")
