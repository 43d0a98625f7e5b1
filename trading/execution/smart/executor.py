"""The smart executor: works parent orders through a broker, one turn after the other, until they are done.

Everything that matters is in the ledger before it has an effect, so the process may be killed between any
two steps: the next one reconciles with the broker (`recovery`) and goes on. Decisions are the algorithms' and
the guards', which are pure; `working` and `sending` carry them out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from trading.execution.brokers.broker import Broker
from trading.execution.errors import BrokerUnavailable
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.ledger import Ledger
from trading.execution.markets.market import Market
from trading.execution.orders import ParentOrder, ParentState
from trading.execution.smart.bookkeeping import Bookkeeper
from trading.execution.smart.desk import Desk
from trading.execution.smart.pace import Clock, Pace, pace_of
from trading.execution.smart.planner import end_of
from trading.execution.smart.recovery import Reconciler
from trading.execution.smart.rules import Ended, ExecutorRules, Hours, StepHook, StopPolicy, nothing
from trading.execution.smart.sending import Sender
from trading.execution.smart.working import Worker

SKIP = timedelta(minutes=1)
"""How far virtual time goes on when the broker has no report to come."""


class Executor:
    """Works the orders of one session.

    stay: also wait for orders that are still to be entered, until the session ends. step: called with the
    name of each step around its effect.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        broker: Broker,
        market: Market,
        clock: Clock,
        kill: KillSwitch,
        hours: Hours,
        session: date,
        rules: ExecutorRules | None = None,
        pace: Pace | None = None,
        stay: bool = False,
        step: StepHook = nothing,
    ) -> None:
        self._ledger, self._broker, self._clock, self._kill = ledger, broker, clock, kill
        self._hours, self._session, self._stay = hours, session, stay
        self._rules = rules or ExecutorRules()
        self._pace = pace or pace_of(clock)
        self.books = Bookkeeper(ledger, kill, clock.now)
        self._reconciler = Reconciler(self.books, broker, self._rules)
        sender = Sender(self.books, broker, self._rules, self._why_not, step)
        self._worker = Worker(self.books, sender, market, hours, self._rules)
        self._stop: Callable[[], bool] = lambda: False
        self._mark: int | None = None
        self._over_since: datetime | None = None
        self._silent_until: datetime | None = None

    async def run(self, stop: Callable[[], bool] = lambda: False) -> Ended:
        """Recover, then take turns until everything is done, the session is over or `stop()` says so.

        Raises:
            LedgerError: if the ledger cannot be written; nothing is sent without it.
            BrokerUnavailable: if the broker cannot be reached at the start.
        """
        self._stop = stop
        await self._broker.connect()
        self.refresh()
        hours = self._hours(self._session)
        await self._reconciler.recover(since=hours.open if hours else None)
        while not stop():
            wake = await self.turn()
            ended = self._ended()
            if ended is not None:
                return ended
            await self._pace.until(wake)
        return await self._wind_down()

    async def turn(self) -> datetime:
        """Do everything that is due now; return when the next turn should be at the latest."""
        self._worker.wakes = []
        self.refresh()
        await self._collect()
        halted = self._kill.is_set()
        for desk in list(self.books.desks.values()):
            await self._reconciler.look_up_due(desk)
            await self._worker.work(desk, halted)
        return self._next_wake()

    def refresh(self) -> None:
        """Read the orders anew if another process has written to the ledger."""
        mark = self._ledger.change_mark()
        if mark == self._mark:
            return
        self._mark = mark
        for order in self._orders():
            desk = self.books.desks.get(order.parent_id)
            if desk is None or desk.order != order:
                self.books.load(order)
        for child in self._ledger.open_children():
            if child.parent_id not in self.books.desks:
                self.books.load(self._ledger.parent(child.parent_id))

    def _orders(self) -> list[ParentOrder]:
        """The session's orders, and those of earlier ones that nobody has brought to their end."""
        open_states = [state for state in ParentState if not state.is_final]
        left = [o for o in self._ledger.parents(states=open_states) if o.session < self._session]
        return [*left, *self._ledger.parents(session=self._session)]

    def _why_not(self, desk: Desk) -> str:
        """Return why nothing may be sent after all, read anew right before a submit; empty: it may."""
        hours, now = self._hours(desk.order.session), self._clock.now()
        if self._kill.is_set():
            return "the kill switch is set"
        if self._stop():
            return "the executor was asked to stop"
        if hours is None or not hours.is_open(now) or now >= end_of(desk.order, hours):
            return "the session or the order's horizon has ended"
        return ""

    async def _collect(self) -> None:
        now = self._clock.now()
        if self._silent_until is not None and now < self._silent_until:
            return
        self._silent_until = None
        try:
            self.books.take(await self._broker.reports())
        except BrokerUnavailable:
            self._silent_until = now + self._rules.retry

    def _ended(self) -> Ended | None:
        desks = self.books.desks.values()
        hours, now = self._hours(self._session), self._clock.now()
        is_over = hours is None or now >= hours.close
        if all(desk.order.state.is_final and desk.nothing_is_open() for desk in desks):
            return Ended.DONE if is_over or not self._stay else None
        # Counted from when it was seen: an early close may be entered long after it.
        self._over_since = (self._over_since or now) if is_over else None
        if self._over_since is not None and now >= self._over_since + self._rules.after_close:
            return Ended.UNRESOLVED
        return None

    def _next_wake(self) -> datetime:
        now = self._clock.now()
        desks = self.books.desks.values()
        waits = [*self._worker.wakes, *(at for desk in desks for at in desk.look_up_at.values())]
        waits += [desk.wake_at for desk in desks if desk.wake_at is not None]
        return max(now, min([*waits, *self._next_reports(now)]))

    def _next_reports(self, now: datetime) -> list[datetime]:
        """Return when to ask for reports again, at the latest."""
        if self._silent_until is not None:
            return [self._silent_until, now + self._rules.look]
        try:
            known = self._broker.next_report_at()
        except BrokerUnavailable:
            known = None
        if known is not None:
            return [known, now + SKIP]
        is_open = any(desk.open_children() for desk in self.books.desks.values())
        return [now + (self._rules.poll if is_open else self._rules.look)]

    async def _wind_down(self) -> Ended:
        """Send nothing more; cancel or keep what is open; commit what comes within the time for it."""
        until = self._clock.now() + self._rules.wind_down
        desks = list(self.books.desks.values())
        for desk in desks:
            desk.wake_at = None
        while self._rules.on_stop is StopPolicy.CANCEL and self._clock.now() < until:
            self._worker.wakes = []
            for desk in desks:
                await self._worker.cancel_open(desk)
            await self._collect()
            for desk in desks:
                await self._reconciler.look_up_due(desk)
            if all(desk.nothing_is_open() for desk in desks):
                break
            await self._pace.until(min(until, self._next_wake()))
        for desk in desks:
            if desk.order.state is not ParentState.WORKING:
                continue
            if desk.nothing_is_open() and desk.filled >= desk.order.quantity:
                self.books.move(desk, ParentState.COMPLETED)
            else:
                self.books.move(desk, ParentState.PAUSED, "the executor was asked to stop")
        return Ended.STOPPED
