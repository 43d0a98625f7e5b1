"""A trading floor for tests of the executor: ledger, paper broker and market in one folder, a virtual clock,
and a witness of all that reaches the broker. It can be left at any step, as by a kill, and entered again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from orchestration.clock import VirtualClock
from trading.execution.brokers.broker import Broker, BrokerOrder, Report, Ticket
from trading.execution.brokers.paper.config import PaperConfig
from trading.execution.brokers.paper.paper_broker import PaperBroker
from trading.execution.brokers.paper.paper_store import PaperStore
from trading.execution.errors import BrokerUnavailable
from trading.execution.facts import MarketFacts
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.ledger import Ledger
from trading.execution.markets.bars import BarMarket
from trading.execution.markets.market import Market, Quote
from trading.execution.markets.traded import Bar, TradedMarket
from trading.execution.orders import ChildOrder, Fill, ParentOrder, ParentState, Side
from trading.execution.smart.executor import Executor
from trading.execution.smart.plan import ExecutionPlan, SessionHours
from trading.execution.smart.rules import Ended, ExecutorRules
from trading.execution.transitions import parent_moved

DAY = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
SYMBOL = "ACME"
PRICE = Decimal(100)
SPREAD = Decimal("0.02")
QUICK = ExecutorRules(look=timedelta(seconds=20))
"""Rules as usual, but for looking less often when nothing is due: tests of whole sessions stay short."""


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder in memory, where there is such a place: thousands of commits need not wait for a disk."""
    place = Path("/dev/shm")
    with TemporaryDirectory(dir=place if os.access(place, os.W_OK) else None) as name:
        yield Path(name)


class Killed(BaseException):
    """The end of a process, in the middle of whatever it did: nothing in it may catch this."""


class Steps:
    """Counts the steps of a process and kills it at number `kill_at` (from 1); None: never."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at = kill_at
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) == self.kill_at:
            raise Killed(name)


def hours_of(minutes: int, **changes: Any) -> SessionHours:
    """A session of so many minutes from OPEN."""
    return SessionHours(day=DAY, open=OPEN, close=OPEN + minutes * MINUTE, **changes)


def bars_of(prices: Iterable[Decimal | str], volumes: Iterable[int] | int) -> list[Bar]:
    """One bar a minute from OPEN: opened, traded and closed at its price, a cent out to both sides."""
    found = []
    many = [Decimal(price) for price in prices]
    shares = [volumes] * len(many) if isinstance(volumes, int) else list(volumes)
    for minute, (price, volume) in enumerate(zip(many, shares, strict=True)):
        cent = Decimal("0.01")
        found.append(Bar(OPEN + minute * MINUTE, price, price + cent, price - cent, price, volume, MINUTE))
    return found


def market_of(bars: Sequence[Bar], hours: SessionHours) -> BarMarket:
    return BarMarket({SYMBOL: bars}, [hours], spreads={SYMBOL: SPREAD})


def facts_of(hours: SessionHours, **changes: Any) -> MarketFacts:
    """1,000 shares a minute, at all times; 2 % volatility."""
    plain: dict[str, Any] = {
        "symbol": SYMBOL,
        "as_of": date(2026, 11, 19),
        "price": float(PRICE),
        "daily_volume": 1_000.0 * ((hours.close - hours.open) / MINUTE),
        "daily_spread": float(SPREAD),
        "daily_volatility": 0.02,
        "shape": (0.25,) * 4,
    }
    return MarketFacts(**{**plain, **changes})


def order_of(
    quantity: int = 600, algorithm: str = "twap", side: Side = Side.BUY, **changes: Any
) -> ParentOrder:
    plain: dict[str, Any] = {
        "parent_id": "",
        "reference": "r1",
        "session": DAY,
        "symbol": SYMBOL,
        "side": side,
        "quantity": quantity,
        "created_at": OPEN - MINUTE,
        "algorithm": algorithm,
    }
    return ParentOrder(**{**plain, **changes})


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One submit as it reached the broker, and what the ledger on the disk and the kill switch said then."""

    at: datetime
    ticket: Ticket
    child: ChildOrder | None
    parent: ParentOrder | None
    is_halted: bool
    plan: ExecutionPlan | None
    hours: SessionHours
    exposed: int
    """Shares of the parent filled or still out, this child's included."""


@dataclass
class Floor:
    """The world outside the process: it stays when the process is killed.

    hours: may be changed while a run is on, as an operator does. happens: what is to be done at an instant,
    by somebody else. broken: calls of the broker by name that raise BrokerUnavailable within [start, end);
    "quote" and "volume" are the market's. silent, halted: when there is no quote, or one of a halted
    symbol. wrap: puts another line between the executor and the broker. on_quote: done while the executor
    waits for a quote.
    """

    folder: Path
    market: TradedMarket
    hours: SessionHours
    config: PaperConfig = field(default_factory=PaperConfig)
    rules: ExecutorRules = QUICK
    stay: bool = False
    bars: Sequence[Bar] = ()
    happens: list[tuple[datetime, Callable[[], None]]] = field(default_factory=list)
    broken: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)
    silent: Sequence[tuple[datetime, datetime]] = ()
    halted: Sequence[tuple[datetime, datetime]] = ()
    session: date = DAY
    start: datetime = OPEN - MINUTE
    wrap: Callable[[Broker], Broker] = lambda broker: broker
    clock: VirtualClock = field(init=False)
    kill: KillSwitch = field(init=False)
    sent: list[Sent] = field(default_factory=list)
    cancels: list[tuple[datetime, str]] = field(default_factory=list)
    on_quote: Callable[[], None] = lambda: None
    is_stopped: bool = False
    turns: int = 0
    on_turn: Callable[[Executor], None] = lambda executor: None

    def __post_init__(self) -> None:
        self.clock = VirtualClock(self.start)
        self.kill = KillSwitch(self.folder / "trading.halt")

    @property
    def path(self) -> Path:
        return self.folder / "ledger.db"

    def enter(self, *orders: ParentOrder, facts: MarketFacts | None = None) -> list[ParentOrder]:
        """Put facts and orders into the ledger, as another process does."""
        with Ledger(self.path) as ledger, ledger.writing(self.clock.now()) as book:
            book.put_facts(facts or facts_of(self.hours))
            return [book.add_parent(order) for order in orders]

    def run(self, steps: Callable[[str], None] | None = None) -> Ended:
        """One process, from its start to its end. Raises what ends it, `Killed` for one."""
        step = steps or (lambda name: None)
        with Ledger(self.path, step=step) as ledger, closing(PaperStore(self.folder / "paper.db")) as store:
            paper = PaperBroker(self.market, self.clock, config=self.config, store=store)
            executor = Executor(
                ledger=ledger,
                broker=Witness(self, self.wrap(paper), step),
                market=Feed(self, paper.market),
                clock=self.clock,
                kill=self.kill,
                hours=lambda day: self.hours if day == self.hours.day else None,
                session=self.session,
                rules=self.rules,
                pace=TurnPace(self, lambda: executor),
                stay=self.stay,
                step=step,
            )
            ended = asyncio.run(executor.run(lambda: self.is_stopped))
            self.on_turn(executor)
            return ended

    def run_killed(self, *kills: int) -> Ended:
        """Run, killed at the n-th step of each process in turn; the last one runs to its end. One that finds
        no broker when it starts is started again later."""
        left = list(kills)
        while True:
            try:
                return self.run(Steps(left.pop(0) if left else None))
            except Killed:
                continue
            except BrokerUnavailable:
                self.clock.advance(10 * SECOND)

    def cancel(self, parent_id: str) -> None:
        """Cancel an order by hand, as another process does."""
        with Ledger(self.path) as ledger, ledger.writing(self.clock.now()) as book:
            order = ledger.parent(parent_id)
            if not order.state.is_final:
                book.put_parent(parent_moved(order, ParentState.CANCELLED, self.clock.now(), "by hand"))

    def check_call(self, name: str) -> None:
        start, end = self.broken.get(name, (self.clock.now(), self.clock.now()))
        if start <= self.clock.now() < end:
            raise BrokerUnavailable(f"{name} does not answer")

    def read(self) -> Ledger:
        """The ledger as another process sees it; to be closed."""
        return Ledger(self.path, read_only=True)

    def fills(self) -> list[Fill]:
        with self.read() as ledger:
            return ledger.fills()

    def parents(self) -> list[ParentOrder]:
        with self.read() as ledger:
            return ledger.parents()

    def children(self) -> list[ChildOrder]:
        with self.read() as ledger:
            return [child for order in ledger.parents() for child in ledger.children(order.parent_id)]

    def events(self) -> list[str]:
        with self.read() as ledger:
            return [repr(event) for event in ledger.events()]

    def wrongs(self) -> list[str]:
        """What is wrong with the ledger, and where it differs from the broker's own books."""
        with self.read() as ledger, closing(PaperStore(self.folder / "paper.db")) as store:
            known, told = set(map(_key, ledger.fills())), set(map(_key, store.fills()))
            found = ledger.verify()
            found += [f"the broker has not heard of {fill}" for fill in sorted(known - told)]
            found += [f"the ledger has not heard of {fill}" for fill in sorted(told - known)]
            return found


def _key(fill: Fill) -> tuple[str, str, int, Decimal, datetime]:
    return fill.client_order_id, fill.execution_id, fill.quantity, fill.price, fill.at


STUCK = 300
"""So many turns at one instant are no progress."""


class TurnPace:
    """Moves the clock on, lets happen what happens on the way, and looks at the executor after each turn."""

    def __init__(self, floor: Floor, executor: Callable[[], Executor]) -> None:
        self._floor, self._executor = floor, executor
        self._last, self._times = floor.start, 0

    async def until(self, at: datetime) -> None:
        floor, now = self._floor, self._floor.clock.now()
        floor.turns += 1
        self._times = self._times + 1 if now == self._last else 0
        self._last = now
        assert self._times < STUCK, f"{STUCK} turns at {now}, and no progress"
        floor.on_turn(self._executor())
        due = sorted((when for when, _ in floor.happens if when <= at))
        floor.clock.advance(max(timedelta(), (due[0] if due else at) - now))
        for entry in [entry for entry in floor.happens if entry[0] <= floor.clock.now()]:
            floor.happens.remove(entry)
            entry[1]()


class Feed:
    """The market through a line that may be broken, silent or say that the symbol is halted."""

    def __init__(self, floor: Floor, market: Market) -> None:
        self._floor, self._market = floor, market

    async def quote(self, symbol: str, now: datetime) -> Quote | None:
        self._floor.on_quote()
        self._floor.check_call("quote")
        if any(start <= now < end for start, end in self._floor.silent):
            return None
        quote = await self._market.quote(symbol, now)
        if quote is not None and any(start <= now < end for start, end in self._floor.halted):
            return replace(quote, is_halted=True)
        return quote

    async def volume(self, symbol: str, start: datetime, end: datetime, now: datetime) -> int:
        self._floor.check_call("volume")
        return await self._market.volume(symbol, start, end, now)


class Through:
    """A broker behind a line that changes nothing; tests override what theirs does."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    @property
    def name(self) -> str:
        return self.broker.name

    async def connect(self) -> None:
        await self.broker.connect()

    async def close(self) -> None:
        await self.broker.close()

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        return await self.broker.submit(ticket)

    async def cancel(self, client_order_id: str) -> None:
        await self.broker.cancel(client_order_id)

    async def find(self, client_order_id: str) -> BrokerOrder | None:
        return await self.broker.find(client_order_id)

    async def fills(self, since: datetime) -> Sequence[Fill]:
        return await self.broker.fills(since)

    async def reports(self) -> Sequence[Report]:
        return await self.broker.reports()

    async def open_orders(self) -> Sequence[BrokerOrder]:
        return await self.broker.open_orders()

    async def positions(self) -> Mapping[str, int]:
        return await self.broker.positions()

    def next_report_at(self) -> datetime | None:
        return self.broker.next_report_at()


class Witness(Through):
    """The broker, with a note of each submit, steps around what has an effect, and a line that may break."""

    def __init__(self, floor: Floor, broker: Broker, step: Callable[[str], None]) -> None:
        super().__init__(broker)
        self._floor, self._step = floor, step

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        self._note(ticket)
        self._step("submit_leaves")
        try:
            return await self.broker.submit(ticket)
        finally:
            self._step("submit_arrived")

    def _note(self, ticket: Ticket) -> None:
        with self._floor.read() as ledger:
            child = ledger.child(ticket.client_order_id)
            family = ledger.children(child.parent_id) if child else []
            self._floor.sent.append(
                Sent(
                    at=self._floor.clock.now(),
                    ticket=ticket,
                    child=child,
                    parent=ledger.parent(child.parent_id) if child else None,
                    plan=ledger.plan(child.parent_id) if child else None,
                    is_halted=self._floor.kill.is_set(),
                    hours=self._floor.hours,
                    exposed=sum(each.filled + each.leaves for each in family),
                )
            )

    async def cancel(self, client_order_id: str) -> None:
        self._floor.cancels.append((self._floor.clock.now(), client_order_id))
        self._floor.check_call("cancel")
        self._step("cancel_leaves")
        await self.broker.cancel(client_order_id)
        self._step("cancel_arrived")

    async def find(self, client_order_id: str) -> BrokerOrder | None:
        self._floor.check_call("find")
        self._step("find")
        return await self.broker.find(client_order_id)

    async def fills(self, since: datetime) -> Sequence[Fill]:
        self._floor.check_call("fills")
        return await self.broker.fills(since)

    async def reports(self) -> Sequence[Report]:
        self._floor.check_call("reports")
        found = await self.broker.reports()
        if found:
            self._step("reports")
        return found

    async def open_orders(self) -> Sequence[BrokerOrder]:
        self._floor.check_call("open_orders")
        return await self.broker.open_orders()
