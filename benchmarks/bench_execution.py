"""How late children are sent (p99 < 50 ms after their slice begins), and what a turn costs.

python -m benchmarks.bench_execution [--slices 150]

The real executor on the box's clock, with a ledger on the disk and a broker that fills at once, works a plan
of 200 ms slices. Lateness is from the start of a slice to the call of the broker's submit: the wake, the
reports, ledger, quote and volume, algorithm, guards and the commit of the intent lie between. The target is
for one order; of five that are due at the same instants each waits for the commits of those before it. A turn
is measured with nothing due, while 1 or 50 orders wait for their slices.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestration.clock import SystemClock, VirtualClock
from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState, Report, Ticket
from trading.execution.facts import MarketFacts
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.ledger import Ledger
from trading.execution.markets.modelled import ModelledMarket
from trading.execution.orders import Fill, ParentOrder, ParentState, Side, Urgency
from trading.execution.smart.executor import Executor
from trading.execution.smart.pace import Clock
from trading.execution.smart.plan import Choice, ExecutionPlan, PlannedSlice, SessionHours
from trading.execution.transitions import parent_moved

TARGET_MS = 50.0
SLICE = timedelta(milliseconds=200)
LOT = 10
PRICE = Decimal(100)


class Instant:
    """A broker that fills each order when it comes; it notes when that was."""

    name = "instant"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.came: dict[str, datetime] = {}
        self._orders: dict[str, BrokerOrder] = {}
        self._news: list[Report] = []

    async def connect(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        now = self._clock.now()
        self.came[ticket.client_order_id] = now
        fill = Fill(
            execution_id=ticket.client_order_id,
            client_order_id=ticket.client_order_id,
            symbol=ticket.symbol,
            side=ticket.side,
            quantity=ticket.quantity,
            price=PRICE,
            at=now,
            broker=self.name,
        )
        order = BrokerOrder(
            client_order_id=ticket.client_order_id,
            broker_order_id=ticket.client_order_id,
            state=BrokerOrderState.FILLED,
            quantity=ticket.quantity,
            filled=ticket.quantity,
        )
        self._orders[ticket.client_order_id] = order
        self._news += [fill, order]
        return order

    async def cancel(self, client_order_id: str) -> None:
        """Everything is filled."""

    async def find(self, client_order_id: str) -> BrokerOrder | None:
        return self._orders.get(client_order_id)

    async def fills(self, since: datetime) -> Sequence[Fill]:
        return []

    async def reports(self) -> Sequence[Report]:
        news, self._news = self._news, []
        return news

    async def open_orders(self) -> Sequence[BrokerOrder]:
        return []

    async def positions(self) -> Mapping[str, int]:
        return {}

    def next_report_at(self) -> datetime | None:
        return None


class Desk:
    """An executor with orders whose plans have slices of SLICE from `start` on, one lot in each."""

    def __init__(self, folder: Path, clock: Clock, start: datetime, orders: int, slices: int) -> None:
        self.start, self.orders, self.slices = start, orders, slices
        self.hours = SessionHours(day=start.date(), open=start, close=start + slices * SLICE)
        self.ledger = Ledger(folder / "ledger.db")
        self.broker = Instant(clock)
        facts = facts_of(start)
        with self.ledger.writing(clock.now()) as book:
            book.put_facts(facts)
            for number in range(orders):
                order = book.add_parent(order_of(number, start, slices))
                book.add_plan(self._plan(order.parent_id, clock.now()))
                book.put_parent(parent_moved(order, ParentState.VALIDATED, clock.now()))
        self.executor = Executor(
            ledger=self.ledger,
            broker=self.broker,
            market=ModelledMarket([facts], [self.hours], length=timedelta(seconds=1)),
            clock=clock,
            kill=KillSwitch(folder / "trading.halt"),
            hours=lambda day: self.hours,
            session=self.hours.day,
        )

    def _plan(self, parent_id: str, now: datetime) -> ExecutionPlan:
        cuts = [self.start + number * SLICE for number in range(self.slices)]
        return ExecutionPlan(
            parent_id=parent_id,
            number=1,
            made_at=now,
            cause="first plan",
            algorithm="twap",
            inner="twap",
            choice=Choice(algorithm="twap", rule="benchmark"),
            quantity=LOT * self.slices,
            slices=tuple(
                PlannedSlice(start=cut, end=cut + SLICE, quantity=LOT, expected_volume=1e6) for cut in cuts
            ),
            expected_cost=0.0,
            variance=0.0,
            expected_cost_bps=0.0,
            price=float(PRICE),
            profile="flat",
        )

    def lateness_ms(self) -> list[float]:
        """Return how long after its slice's beginning each child came to the broker."""
        late = []
        for name, at in self.broker.came.items():
            child = self.ledger.child(name)
            assert child is not None
            due = self.start + child.slice_index * SLICE
            late.append((at - due) / timedelta(milliseconds=1))
        return sorted(late)


def facts_of(start: datetime) -> MarketFacts:
    return MarketFacts(
        symbol="ACME",
        as_of=start.date(),
        price=float(PRICE),
        daily_volume=1e9,
        daily_spread=0.02,
        daily_volatility=0.01,
        shape=(1.0,),
    )


def order_of(number: int, start: datetime, slices: int) -> ParentOrder:
    return ParentOrder(
        parent_id="",
        reference=str(number),
        session=start.date(),
        symbol="ACME",
        side=Side.BUY,
        quantity=LOT * slices,
        lot_size=LOT,
        created_at=start,
        algorithm="twap",
        urgency=Urgency.HIGH,
    )


def lateness(orders: int, slices: int) -> bool:
    """Work the orders in real time; print how late their children were."""
    clock = SystemClock()
    with TemporaryDirectory(dir=".") as folder:  # on a disk: the commits are part of it
        desk = Desk(Path(folder), clock, clock.now() + timedelta(seconds=1), orders, slices)
        ended = asyncio.run(desk.executor.run())
        late = desk.lateness_ms()
        desk.ledger.close()
    p99 = late[min(len(late) - 1, int(0.99 * len(late)))]
    target = f" (target p99 {TARGET_MS:.0f})" if orders == 1 else ""
    print(
        f"execution: {orders} order(s), {len(late)} children in slices of 200 ms ({ended}): lateness median "
        f"{statistics.median(late):.1f} ms, p99 {p99:.1f} ms, most {late[-1]:.1f} ms{target}"
    )
    return len(late) == orders * slices and (orders > 1 or p99 <= TARGET_MS)


def turns(orders: int) -> None:
    """Print what a turn costs in which nothing is due."""
    start = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    clock, watch = VirtualClock(start - timedelta(minutes=1)), SystemClock()
    took: list[float] = []

    async def measure(desk: Desk) -> None:
        for _ in range(300):
            began = watch.monotonic()
            await desk.executor.turn()
            took.append(watch.monotonic() - began)

    with TemporaryDirectory(dir=".") as folder:
        desk = Desk(Path(folder), clock, start, orders, 100)
        asyncio.run(measure(desk))
        desk.ledger.close()
    median_us = statistics.median(took) * 1e6
    print(f"execution: a turn with nothing due, {orders} order(s): median {median_us:.0f} µs")


def main() -> int:
    """Print every figure; exit 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=150, help="of each order, 200 ms each")
    slices = parser.parse_args().slices
    for orders in (1, 50):
        turns(orders)
    return 0 if all([lateness(1, slices), lateness(5, slices)]) else 1


if __name__ == "__main__":
    sys.exit(main())
