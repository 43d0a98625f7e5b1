"""A past day worked again: the executor itself, in virtual time, on the day's bars. Seconds for a session.

What is known before the day plans the orders; each bar is revealed when it has ended; fills are the paper
broker's. Light: standard library only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from orchestration.clock import VirtualClock
from trading.execution.brokers.broker import BrokerOrderState
from trading.execution.brokers.paper.config import PaperConfig
from trading.execution.brokers.paper.paper_broker import PaperBroker
from trading.execution.brokers.paper.paper_executor import OrderResult, PaperExecutor
from trading.execution.errors import PlanError
from trading.execution.facts import MarketFacts
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.ledger import Ledger
from trading.execution.market_windows import window_from_bars
from trading.execution.markets.bars import BarMarket
from trading.execution.markets.modelled import ModelledMarket
from trading.execution.markets.traded import Bar
from trading.execution.measures import measure
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.order_records import OrderRecord, read_record
from trading.execution.orders import ParentOrder, ParentState
from trading.execution.smart.desk import Desk
from trading.execution.smart.executor import Executor
from trading.execution.smart.plan import SessionHours
from trading.execution.smart.planning import params_of
from trading.execution.smart.rules import Ended

LONGEST_BAR = timedelta(minutes=2)
"""A child stays for half a slice, 2.5 minutes, and is filled by whole bars within that time only."""
BEFORE_OPEN = timedelta(minutes=1)
"""The orders are entered and planned so long before the open."""
PLAIN = "plain"
"""How an order is called that is sent as one market order, without a plan."""

Watch = Callable[[datetime, Sequence[Desk]], None]
"""Told the virtual time and the orders as they stand, once a turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDay:
    """What a replay happens in. facts: what was known before the day, by symbol. remark: what a reader of
    the results must be told of the market, empty: nothing."""

    hours: SessionHours
    facts: Mapping[str, MarketFacts]
    market: BarMarket | ModelledMarket
    remark: str = ""

    def bars(self, symbol: str) -> Sequence[Bar]:
        """Return the day's bars of a symbol, oldest first."""
        return self.market.day(symbol, self.hours)

    def impact(self, symbol: str) -> AlmgrenChrissParams | None:
        """Return how own trades move a symbol's price; None: nothing is known of it."""
        known = self.facts.get(symbol)
        return None if known is None else params_of(known)


def recorded_day(
    hours: SessionHours, bars: Mapping[str, Sequence[Bar]], facts: Mapping[str, MarketFacts]
) -> ReplayDay:
    """Return a day of recorded bars, quoted with the spread of the facts.

    Raises:
        PlanError: if a symbol's bars are too long to fill a child in them.
        ValueError: if a bar is impossible.
    """
    for symbol, series in bars.items():
        longest = max((bar.length for bar in series), default=timedelta())
        if longest > LONGEST_BAR:
            minutes, most = (length // timedelta(minutes=1) for length in (longest, LONGEST_BAR))
            raise PlanError(
                f"the bars of {symbol} on {hours.day} are {minutes} minutes long; a replay needs bars of at "
                f"most {most}: an order stays for half a slice of 5 minutes, and whole bars alone fill it"
            )
    spreads = {symbol: Decimal(repr(facts[symbol].daily_spread)) for symbol in bars if symbol in facts}
    return ReplayDay(hours=hours, facts=facts, market=BarMarket(bars, [hours], spreads=spreads))


def modelled_day(hours: SessionHours, facts: Mapping[str, MarketFacts], seed: int) -> ReplayDay:
    """Return a day that never was, for want of bars: a model from the facts. Another seed, another day."""
    market = ModelledMarket(facts.values(), [hours], seed=seed)
    return ReplayDay(hours=hours, facts=facts, market=market, remark=market.remark)


def replay(
    orders: Sequence[ParentOrder],
    day: ReplayDay,
    ledger: Ledger,
    kill: KillSwitch,
    *,
    config: PaperConfig | None = None,
    stop: Callable[[], bool] = lambda: False,
    watch: Watch = lambda now, desks: None,
) -> tuple[Ended, list[OrderRecord]]:
    """Enter the orders and work them through the day as the executor does; return how it ended, and them.

    They are decided at the open, at the first bar's first price. ledger: a fresh one of the replay's own.
    stop: asked at every turn and before every submit.
    """
    clock = VirtualClock(day.hours.open - BEFORE_OPEN)
    entered = _enter(orders, day, ledger, clock.now())
    broker = PaperBroker(day.market, clock, config=config, params=day.impact)
    executor = Executor(
        ledger=ledger,
        broker=broker,
        market=broker.market,
        clock=clock,
        kill=kill,
        hours=lambda session: day.hours if session == day.hours.day else None,
        session=day.hours.day,
    )

    def look() -> bool:
        watch(clock.now(), list(executor.books.desks.values()))
        return stop()

    ended = asyncio.run(executor.run(look))
    worked = [ledger.parent(order.parent_id) for order in entered]
    return ended, [read_record(ledger, o, day.bars(o.symbol), is_their_market=True) for o in worked]


def _enter(orders: Sequence[ParentOrder], day: ReplayDay, ledger: Ledger, at: datetime) -> list[ParentOrder]:
    with ledger.writing(at) as book:
        for symbol in {order.symbol for order in orders} & set(day.facts):
            book.put_facts(day.facts[symbol])
        return [book.add_parent(decided_at_the_open(order, day)) for order in orders]


def decided_at_the_open(order: ParentOrder, day: ReplayDay) -> ParentOrder:
    """Return the order with the day's first price as its decision price; unchanged without bars."""
    bars = day.bars(order.symbol)
    if not bars:
        return order
    return replace(order, decision_price=bars[0].open, decided_at=day.hours.open)


async def send_plainly(
    order: ParentOrder, day: ReplayDay, *, config: PaperConfig | None = None
) -> OrderRecord:
    """Send an order as one market order, as soon as there is a quote, and return what became of it.

    The comparison for everything smarter: no plan, no slices, nothing but the broker's share of each bar.
    """
    bars = day.bars(order.symbol)
    start = bars[0].end if bars else day.hours.open
    executor = PaperExecutor(day.market, skip_delays=True, start=start, config=config, params=_impacts(day))
    return await _sent(decided_at_the_open(order, day), day, executor)


async def send_now(
    orders: Sequence[ParentOrder], day: ReplayDay, stop: Callable[[], bool], look: float = 0.2
) -> list[OrderRecord]:
    """Send each order as one market order now, in real time, and return those that have ended when all have,
    or when `stop()` says so. look: seconds between two such questions. Nothing of it is kept."""
    executor = PaperExecutor(day.market, skip_delays=False, params=_impacts(day))
    tasks = [asyncio.create_task(_sent(order, day, executor)) for order in orders]
    while not stop() and not all(task.done() for task in tasks):
        await asyncio.wait(tasks, timeout=look)
    ended = [task.result() for task in tasks if task.done()]
    now = executor.clock.now()
    ended = [replace(each, bars=tuple(bar for bar in each.bars if bar.end <= now)) for each in ended]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return ended


def _impacts(day: ReplayDay) -> dict[str, AlmgrenChrissParams]:
    return {symbol: params_of(facts) for symbol, facts in day.facts.items()}


async def _sent(order: ParentOrder, day: ReplayDay, executor: PaperExecutor) -> OrderRecord:
    """Send one market order and wait for its end."""
    began = executor.clock.now()
    quote = await executor.broker.market.quote(order.symbol, began)
    result = await executor.place_order_async(order.symbol, order.side, order.quantity)
    ended = executor.clock.now()
    order = replace(
        order,
        parent_id=f"{day.hours.day:%Y%m%d}-{order.symbol}-{PLAIN}",
        algorithm=PLAIN,
        arrival_price=quote.mid if quote else None,
        arrived_at=began,
        state=_state(result),
        reason=result.reason,
        completed_at=ended,
    )
    bars = day.bars(order.symbol)
    window = window_from_bars(bars, began, ended)
    return OrderRecord(
        order=order,
        plans=(),
        children=(),
        fills=result.fills,
        window=window,
        measures=measure(order, (), result.fills, window),
        bars=tuple(bars),
    )


def _state(result: OrderResult) -> ParentState:
    if result.state is BrokerOrderState.FILLED:
        return ParentState.COMPLETED
    return ParentState.REJECTED if result.state is BrokerOrderState.REJECTED else ParentState.EXPIRED
