"""What every `Broker` keeps, whatever is behind it: an adapter is done when this suite passes.

A test module inherits `BrokerContract` in a class of its own and says how a desk is opened:

    class TestMyBroker(BrokerContract):
        @asynccontextmanager
        async def open_desk(self) -> AsyncIterator[Desk]: ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import pytest

from trading.execution.brokers.broker import Broker, BrokerOrder, BrokerOrderState, Report, Ticket
from trading.execution.errors import OrderRejected
from trading.execution.orders import Fill, OrderKind, Side

TRIES = 200
PAUSE_S = 0.02  # what comes over a connection may take a moment: 4 s at most


class Desk(Protocol):
    """A connected broker with an empty account, and the market behind it in the test's hand.

    symbol: one that trades, at about `price` [$/share]. clip: shares that one `trade()` fills of an open
    market order, at least 2. opened_at: earlier than anything that happens.
    """

    broker: Broker
    symbol: str
    price: Decimal
    clip: int
    opened_at: datetime

    async def trade(self) -> None:
        """Let the market trade once: every open order whose limit allows `price` gets `clip` shares, or what
        it still wants. The tests have one such order open at a time."""
        ...

    async def reopen(self) -> Broker:
        """Return a new, connected object on the same account, as after a restart of this process."""
        ...


Story = Callable[[Desk], Awaitable[None]]


class BrokerContract:
    """The promises, one per test. Each plays a story on a desk of its own."""

    def open_desk(self) -> AbstractAsyncContextManager[Desk]:
        raise NotImplementedError

    def play(self, story: Story) -> None:
        async def whole() -> None:
            async with self.open_desk() as desk:
                await story(desk)

        asyncio.run(whole())

    def test_connecting_twice_and_closing_twice_is_harmless(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.connect()
            await desk.broker.close()
            await desk.broker.close()

        self.play(story)

    def test_a_submitted_order_is_open_and_can_be_found(self) -> None:
        async def story(desk: Desk) -> None:
            taken = await desk.broker.submit(ticket(desk, "c-1", desk.clip))

            found = await desk.broker.find("c-1")

            assert found is not None
            assert (taken.client_order_id, taken.quantity, taken.filled) == ("c-1", desk.clip, 0)
            assert taken.broker_order_id
            assert found.broker_order_id == taken.broker_order_id
            assert found.state is BrokerOrderState.OPEN
            assert [each.client_order_id for each in await desk.broker.open_orders()] == ["c-1"]

        self.play(story)

    def test_an_order_that_was_never_sent_is_not_found(self) -> None:
        async def story(desk: Desk) -> None:
            assert await desk.broker.find("c-none") is None
            assert list(await desk.broker.open_orders()) == []

        self.play(story)

    def test_a_known_client_order_id_is_refused_and_changes_nothing(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", desk.clip))

            with pytest.raises(OrderRejected):
                await desk.broker.submit(ticket(desk, "c-1", desk.clip + 1))

            found = await desk.broker.find("c-1")
            assert found is not None
            assert found.quantity == desk.clip
            assert len(await desk.broker.open_orders()) == 1

        self.play(story)

    def test_the_id_of_a_filled_order_stays_taken(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", desk.clip))
            await desk.trade()
            await until_closed(desk.broker, "c-1")

            with pytest.raises(OrderRejected):
                await desk.broker.submit(ticket(desk, "c-1", desk.clip))

            assert filled(await desk.broker.fills(desk.opened_at)) == desk.clip

        self.play(story)

    def test_a_refused_order_does_not_exist(self) -> None:
        async def story(desk: Desk) -> None:
            bad = Ticket(
                client_order_id="c-bad",
                symbol="NOSUCH",
                side=Side.BUY,
                quantity=1,
                kind=OrderKind.MARKET,
            )
            with pytest.raises(OrderRejected) as refusal:
                await desk.broker.submit(bad)

            assert refusal.value.reason
            assert await desk.broker.find("c-bad") is None

        self.play(story)

    def test_a_market_order_fills_in_parts_until_it_is_filled(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", 2 * desk.clip))
            await desk.trade()
            after_one = await until_filled(desk.broker, "c-1", desk.clip)
            await desk.trade()
            after_two = await until_closed(desk.broker, "c-1")

            assert after_one.state is BrokerOrderState.OPEN
            assert (after_two.state, after_two.filled) == (BrokerOrderState.FILLED, 2 * desk.clip)
            assert list(await desk.broker.open_orders()) == []

        self.play(story)

    def test_fills_carry_the_order_its_shares_and_an_id_of_their_own(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", 2 * desk.clip))
            await desk.trade()
            await desk.trade()
            await until_closed(desk.broker, "c-1")

            fills = await desk.broker.fills(desk.opened_at)

            assert filled(fills) == 2 * desk.clip
            assert len({fill.execution_id for fill in fills}) == len(fills) >= 2
            assert {(f.client_order_id, f.symbol, f.side) for f in fills} == {("c-1", desk.symbol, Side.BUY)}
            assert {fill.broker for fill in fills} == {desk.broker.name}
            assert all(abs(fill.price - desk.price) < desk.price / 10 for fill in fills)
            assert all(fill.at.tzinfo is not None for fill in fills)
            assert [fill.at for fill in fills] == sorted(fill.at for fill in fills)

        self.play(story)

    def test_asking_for_fills_again_gives_the_same_ones(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", desk.clip))
            await desk.trade()
            await until_closed(desk.broker, "c-1")

            first, second = await desk.broker.fills(desk.opened_at), await desk.broker.fills(desk.opened_at)

            assert list(first) == list(second) != []

        self.play(story)

    def test_reports_tell_every_fill_and_the_end(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", 2 * desk.clip))
            await desk.trade()
            await desk.trade()

            def is_all(reports: Sequence[Report]) -> bool:
                whole = filled(executions(reports)) >= 2 * desk.clip
                return whole and BrokerOrderState.FILLED in states(reports)

            told = await reports_until(desk, is_all)

            by_id = {fill.execution_id: fill for fill in executions(told)}
            assert by_id == {f.execution_id: f for f in await desk.broker.fills(desk.opened_at)}

        self.play(story)

    def test_reports_are_told_once_and_then_none(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", desk.clip))
            await desk.trade()
            await reports_until(desk, lambda reports: BrokerOrderState.FILLED in states(reports))
            await until_quiet(desk)

            assert list(await desk.broker.reports()) == []

        self.play(story)

    def test_a_limit_the_market_does_not_reach_is_not_filled(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", desk.clip, limit=desk.price / 2))
            await desk.trade()

            found = await desk.broker.find("c-1")

            assert found is not None
            assert (found.state, found.filled) == (BrokerOrderState.OPEN, 0)

        self.play(story)

    def test_a_limit_the_market_keeps_is_filled_no_worse_than_it(self) -> None:
        async def story(desk: Desk) -> None:
            limit = (desk.price * Decimal("1.05")).quantize(Decimal("0.01"))
            await desk.broker.submit(ticket(desk, "c-1", desk.clip, limit=limit))
            await desk.trade()
            await until_closed(desk.broker, "c-1")

            fills = await desk.broker.fills(desk.opened_at)

            assert filled(fills) == desk.clip
            assert all(fill.price <= limit for fill in fills)

        self.play(story)

    def test_a_cancelled_order_keeps_what_it_has_and_gets_no_more(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", 2 * desk.clip))
            await desk.trade()
            await until_filled(desk.broker, "c-1", desk.clip)

            await desk.broker.cancel("c-1")
            ended = await until_closed(desk.broker, "c-1")
            await desk.trade()

            assert (ended.state, ended.filled) == (BrokerOrderState.CANCELLED, desk.clip)
            assert filled(await desk.broker.fills(desk.opened_at)) == desk.clip
            assert list(await desk.broker.open_orders()) == []

        self.play(story)

    def test_a_cancel_is_reported(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", desk.clip))
            await desk.broker.cancel("c-1")

            told = await reports_until(desk, lambda reports: BrokerOrderState.CANCELLED in states(reports))

            assert filled(executions(told)) == 0

        self.play(story)

    def test_cancelling_what_is_unknown_or_closed_does_nothing(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", desk.clip))
            await desk.trade()
            await until_closed(desk.broker, "c-1")

            await desk.broker.cancel("c-none")
            await desk.broker.cancel("c-1")

            found = await desk.broker.find("c-1")
            assert found is not None
            assert (found.state, found.filled) == (BrokerOrderState.FILLED, desk.clip)

        self.play(story)

    def test_cancelling_twice_is_as_cancelling_once(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", desk.clip))
            await desk.broker.cancel("c-1")
            await desk.broker.cancel("c-1")

            assert (await until_closed(desk.broker, "c-1")).state is BrokerOrderState.CANCELLED

        self.play(story)

    def test_positions_follow_the_fills_and_name_no_zeros(self) -> None:
        async def story(desk: Desk) -> None:
            assert dict(await desk.broker.positions()) == {}

            await desk.broker.submit(ticket(desk, "c-1", desk.clip))
            await desk.trade()
            await until_closed(desk.broker, "c-1")
            assert dict(await desk.broker.positions()) == {desk.symbol: desk.clip}

            await desk.broker.submit(ticket(desk, "c-2", desk.clip, side=Side.SELL))
            await desk.trade()
            await until_closed(desk.broker, "c-2")
            assert dict(await desk.broker.positions()) == {}

        self.play(story)

    def test_after_a_restart_everything_can_be_asked_again(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", 2 * desk.clip))
            await desk.trade()
            before = await until_filled(desk.broker, "c-1", desk.clip)
            fills, positions = await desk.broker.fills(desk.opened_at), await desk.broker.positions()

            broker = await desk.reopen()

            assert await broker.find("c-1") == before
            assert list(await broker.fills(desk.opened_at)) == list(fills)
            assert dict(await broker.positions()) == dict(positions)
            assert [each.client_order_id for each in await broker.open_orders()] == ["c-1"]
            with pytest.raises(OrderRejected):
                await broker.submit(ticket(desk, "c-1", desk.clip))

        self.play(story)

    def test_the_next_report_is_never_promised_without_a_zone(self) -> None:
        async def story(desk: Desk) -> None:
            await desk.broker.submit(ticket(desk, "c-1", desk.clip))

            at = desk.broker.next_report_at()

            assert at is None or at.tzinfo is not None

        self.play(story)


def ticket(
    desk: Desk, client_order_id: str, quantity: int, *, side: Side = Side.BUY, limit: Decimal | None = None
) -> Ticket:
    return Ticket(
        client_order_id=client_order_id,
        symbol=desk.symbol,
        side=side,
        quantity=quantity,
        kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
        limit_price=limit,
    )


def executions(reports: Sequence[Report]) -> list[Fill]:
    return [report for report in reports if isinstance(report, Fill)]


def states(reports: Sequence[Report]) -> set[BrokerOrderState]:
    return {report.state for report in reports if isinstance(report, BrokerOrder)}


def filled(fills: Sequence[Fill]) -> int:
    """Return the shares of fills, each execution once."""
    return sum({fill.execution_id: fill.quantity for fill in fills}.values())


async def until_filled(broker: Broker, client_order_id: str, shares: int) -> BrokerOrder:
    for _ in range(TRIES):
        found = await broker.find(client_order_id)
        if found is not None and found.filled >= shares:
            return found
        await asyncio.sleep(PAUSE_S)
    raise AssertionError(f"{client_order_id} has not got {shares} shares")


async def until_closed(broker: Broker, client_order_id: str) -> BrokerOrder:
    for _ in range(TRIES):
        found = await broker.find(client_order_id)
        if found is not None and found.state is not BrokerOrderState.OPEN:
            return found
        await asyncio.sleep(PAUSE_S)
    raise AssertionError(f"{client_order_id} is still open")


async def reports_until(desk: Desk, is_enough: Callable[[Sequence[Report]], bool]) -> list[Report]:
    told: list[Report] = []
    for _ in range(TRIES):
        told += await desk.broker.reports()
        if is_enough(told):
            return told
        await asyncio.sleep(PAUSE_S)
    raise AssertionError(f"the reports were {told}")


async def until_quiet(desk: Desk) -> None:
    """Return when two looks in a row brought nothing."""
    quiet = 0
    for _ in range(TRIES):
        quiet = 0 if await desk.broker.reports() else quiet + 1
        if quiet == 2:
            return
        await asyncio.sleep(PAUSE_S)
    raise AssertionError("reports keep coming")
