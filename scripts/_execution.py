"""What the jobs that work orders share: where ledger, kill switch and lock are, and the broker that is
configured."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from orchestration.clock import SystemClock
from orchestration.errors import CalendarError
from scripts._job import EX_TEMPFAIL, finish
from trading.execution.brokers.broker import Broker
from trading.execution.errors import BrokerUnavailable, ExecutionError
from trading.execution.facts import MarketFacts
from trading.execution.kill_switch import FILE_NAME as HALT
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.ledger import Ledger
from trading.execution.markets.market import Market
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.smart.plan import SessionHours
from trading.execution.turn_lock import FILE_NAME as LOCK
from trading.execution.turn_lock import AnotherWorker, held

if TYPE_CHECKING:
    from config import Settings

LEDGER = "ledger.db"
NO_DAY = "no trading day is known; run scripts.refresh_sessions"
LOCK_WAIT = timedelta(seconds=30)
"""How long a job waits for another one that works the ledger: reconciling takes seconds."""


def ledger_of(state_dir: Path, *, read_only: bool = False) -> Ledger:
    """Open the ledger of this box. Raises LedgerError."""
    return Ledger(state_dir / LEDGER, read_only=read_only)


def kill_switch(state_dir: Path) -> KillSwitch:
    """Return the kill switch of this box: a file that halts trading as long as it exists."""
    return KillSwitch(state_dir / HALT)


@contextmanager
def the_only_worker(state_dir: Path, clock: SystemClock, wait: timedelta = timedelta()) -> Iterator[None]:
    """Hold the lock of those who send and reconcile orders.

    Raises:
        AnotherWorker: if another process still holds it after `wait`.
    """
    give_up = clock.monotonic() + wait.total_seconds()
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(held(state_dir / LOCK, clock.now()))
                break
            except AnotherWorker:
                if clock.monotonic() >= give_up:
                    raise
                clock.sleep(0.5)
        yield


CANNOT = (ExecutionError, CalendarError, PermissionError, ValueError)
"""What ends a job with a line that says why, by `cannot`."""
KEY, SECRET = "broker_key", "broker_secret"
"""The variables in which the daemon hands over the credentials of these names."""
PAPER_MARKET_SEED = 1


def cannot(job: str, error: Exception) -> int:
    """Say why a job ends before its work is done; return its exit code: 75 where the next run may do it."""
    code = EX_TEMPFAIL if isinstance(error, (AnotherWorker, BrokerUnavailable)) else 1
    return finish(code, {"error": str(error)}, f"{job}: {error}")


@runtime_checkable
class Feed(Protocol):
    """A market that is connected to."""

    async def connect(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """Where orders are worked. remark: what a reader of plans and results must be told of it, empty:
    nothing."""

    broker: Broker
    market: Market
    remark: str = ""

    async def connect(self) -> None:
        """Open the connections of broker and market feed. Raises as `Broker.connect`."""
        await self.broker.connect()
        if isinstance(self.market, Feed):
            await self.market.connect()

    async def close(self) -> None:
        """Close them; orders stay as they are."""
        await self.broker.close()
        if isinstance(self.market, Feed):
            await self.market.close()


Facts = Callable[[str], MarketFacts | None]
"""Tells what is known of a symbol; None: nothing."""


@contextmanager
def venue_of(
    settings: Settings, facts: Facts, hours: Sequence[SessionHours], clock: SystemClock
) -> Iterator[Venue]:
    """Open what the setting ORCHESTRATOR_BROKER names; nothing is connected yet.

    facts: tells what is known of a symbol, for a simulated market. hours: the sessions it trades in, the
    last one too: what was open then is worked to its end.

    Raises:
        ValueError: if a real broker's keys are missing.
    """
    with ExitStack() as stack:
        if settings.broker == "paper":
            yield _paper(settings, facts, hours, clock, stack)
        elif settings.broker == "alpaca":
            yield _alpaca(settings)
        else:
            yield _ibkr(settings)


def _paper(
    settings: Settings,
    facts: Facts,
    hours: Sequence[SessionHours],
    clock: SystemClock,
    stack: ExitStack,
) -> Venue:
    from trading.execution.brokers.paper.paper_broker import PaperBroker
    from trading.execution.brokers.paper.paper_store import PaperStore
    from trading.execution.markets.modelled import ModelledMarket
    from trading.execution.smart.planning import params_of

    market = ModelledMarket((), hours, seed=PAPER_MARKET_SEED, learn=facts)
    store = stack.enter_context(closing(PaperStore(settings.state_dir / "paper.db")))

    def impact(symbol: str) -> AlmgrenChrissParams | None:
        known = facts(symbol)
        return None if known is None else params_of(known)

    broker = PaperBroker(market, clock, store=store, params=impact)
    return Venue(broker=broker, market=broker.market, remark=market.remark)


def _alpaca(settings: Settings) -> Venue:
    from trading.execution.brokers.alpaca.broker import AlpacaBroker
    from trading.execution.markets.alpaca import AlpacaMarket

    key, secret = os.environ.get(KEY, ""), os.environ.get(SECRET, "")
    url = settings.broker_url
    broker = AlpacaBroker(key=key, secret=secret, live=settings.broker_live, url=url)
    return Venue(broker=broker, market=AlpacaMarket(key=key, secret=secret, url=url))


def _ibkr(settings: Settings) -> Venue:
    from trading.execution.brokers.ibkr.broker import IbkrBroker
    from trading.execution.markets.ibkr import IbkrMarket

    broker = IbkrBroker(address=settings.broker_url, live=settings.broker_live)
    return Venue(broker=broker, market=IbkrMarket(broker))


MOST_TOLD = 15
"""Orders that get an alert each; more of them share one."""


def told(problems: Mapping[str, str], day: date) -> dict[str, str]:
    """Return the alerts of a job's result for orders that a person must look at: texts by name.

    problems: what is wrong, by parent_id. day: the session, part of the name of what does not fit.
    """
    alerts = dict(list(problems.items())[:MOST_TOLD])
    left = len(problems) - len(alerts)
    if left:
        alerts[f"more of {day}"] = f"{left} more orders of {day}: python -m scripts.orders list --day {day}"
    return alerts


def held_before(ledger: Ledger, symbol: str) -> int:
    """Return the shares that the account held before our first order in the symbol; 0 if that was not
    noted."""
    return int(ledger.meta(f"held_before.{symbol}") or 0)


def note_held_before(ledger: Ledger, held: Mapping[str, int], at: datetime) -> None:
    """Note what the account holds of symbols that we have never sent an order in."""
    with ledger.writing(at) as book:
        for symbol in sorted(set(held) - ledger.symbols_sent()):
            book.put_meta(f"held_before.{symbol}", str(held[symbol]))
