"""What is done for one parent order in one turn: plan, begin, ask the algorithm, guard, send; in the end,
finish."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from trading.execution.errors import BrokerUnavailable, PlanError
from trading.execution.markets.market import Market, Quote
from trading.execution.orders import ChildState, ParentState
from trading.execution.smart.algorithm import Progress, Step
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.bookkeeping import Bookkeeper
from trading.execution.smart.conditions import conditions_of
from trading.execution.smart.desk import Desk
from trading.execution.smart.guards import allowed_release
from trading.execution.smart.plan import ExecutionPlan, PlannedSlice, SessionHours
from trading.execution.smart.planner import end_of, first_plan, new_plan
from trading.execution.smart.planning import expected_volume
from trading.execution.smart.pricing import limit_for
from trading.execution.smart.rules import ExecutorRules, Hours
from trading.execution.smart.sending import Sender

TICK = timedelta(milliseconds=1)


class Worker:
    """Works parents. wakes: instants at which the next turn is needed, for the executor to collect."""

    def __init__(
        self, books: Bookkeeper, sender: Sender, market: Market, hours: Hours, rules: ExecutorRules
    ) -> None:
        self._books, self._sender, self._market = books, sender, market
        self._hours, self._rules = hours, rules
        self.wakes: list[datetime] = []

    async def work(self, desk: Desk, halted: bool) -> None:
        """Do what is due for one parent."""
        if desk.order.state.is_final:
            desk.wake_at = None
            await self.cancel_open(desk)
        elif halted:
            await self._finish(desk, ParentState.KILLED, "the kill switch is set")
        elif desk.refusals >= self._rules.most_refusals:
            why = f"the broker refused {desk.refusals} children in a row"
            await self._finish(desk, ParentState.CANCELLED, why)
        else:
            if desk.order.state is ParentState.NEW:
                self._plan_first(desk)
            if desk.plan is not None and not desk.order.state.is_final:
                await self._work_planned(desk)

    async def cancel_open(self, desk: Desk) -> None:
        """Ask for the cancel of what is open and note when to look again."""
        again = await self._sender.cancel_open(desk)
        if again is not None:
            self.wakes.append(again)

    async def _work_planned(self, desk: Desk) -> None:
        hours, now = self._hours(desk.order.session), self._books.now()
        if hours is None or now >= end_of(desk.order, hours):
            await self._close(desk)
        elif not hours.is_open(now) or now < (desk.order.not_before or now):
            await self._rest(desk, hours)
        elif (rested := self._rested_at(desk, now)) > now:
            desk.wake_at = rested
        elif desk.wake_at is None or desk.wake_at <= now:
            await self._advance(desk, hours)

    def _rested_at(self, desk: Desk, now: datetime) -> datetime:
        """Return until when nothing is sent after a refusal: what was refused would be refused again."""
        last = max(desk.children.values(), key=lambda child: child.sequence, default=None)
        if last is None or last.state is not ChildState.REJECTED:
            return now
        return last.created_at + self._rules.retry

    def _plan_first(self, desk: Desk) -> None:
        """Plan an order that was entered after the morning's planning; refuse it if it cannot be done."""
        hours = self._hours(desk.order.session)
        try:
            if hours is None:
                raise PlanError(f"the exchange is closed on {desk.order.session}")
            if desk.facts is None:
                raise PlanError(
                    f"nothing is known of {desk.order.symbol}; run optimize_execution for it first"
                )
            plan = first_plan(desk.order, desk.facts, hours, self._books.now())
        except ValueError as error:
            self._books.move(desk, ParentState.REJECTED, str(error))
            return
        self._books.put_first_plan(desk, plan)

    # From the start to the end

    async def _close(self, desk: Desk) -> None:
        """The horizon has ended: what is left is reported, never sent."""
        left = desk.order.quantity - desk.filled
        await self._finish(desk, ParentState.EXPIRED, f"the horizon ended with {left} shares left")

    async def _finish(self, desk: Desk, state: ParentState, reason: str) -> None:
        """Bring a parent to its end, once nothing of it is open; all filled is COMPLETED, whatever asked
        for it."""
        desk.wake_at = None
        if not desk.nothing_is_open():
            await self.cancel_open(desk)
        elif desk.filled >= desk.order.quantity:
            self._books.move(desk, ParentState.COMPLETED)
        else:
            self._books.move(desk, state, reason)

    async def _rest(self, desk: Desk, hours: SessionHours) -> None:
        """Before the start, or in a break of the session: nothing is sent, and nothing stays open."""
        now = self._books.now()
        starts = [hours.open, desk.order.not_before or hours.open, *(end for _, end in hours.pauses)]
        self.wakes.append(min((at for at in starts if at > now), default=hours.close))
        desk.wake_at = None
        await self.cancel_open(desk)
        if desk.order.state is ParentState.WORKING:
            self._books.move(desk, ParentState.PAUSED, "the session has a break")

    async def _advance(self, desk: Desk, hours: SessionHours) -> None:
        """Ask the algorithm what to do now, and do it as far as the guards let."""
        end = end_of(desk.order, hours)
        if desk.filled >= desk.order.quantity:
            await self._finish(desk, ParentState.COMPLETED, "")
            return
        if desk.unsent < 0:
            # An order that had been given up for lost is there after all: what is too much is taken back.
            desk.wake_at = None
            await self.cancel_open(desk)
            return
        quote = await self._quote(desk)
        if quote is None:
            return
        self._begin(desk, quote)
        stale = staleness(desk, self._books.now(), end)
        if stale and desk.nothing_is_open():
            self._replan(desk, stale, hours, None)
        progress = await self._progress(desk, quote, hours)
        if progress is None:
            return
        if not progress.plan.slices:
            # What is left does not fit any more; the end of the horizon reports it.
            desk.wake_at = end
            return
        step = ALGORITHMS[progress.plan.algorithm].step(progress)
        desk.wake_at = max(step.wake_at, self._books.now() + TICK)
        await self._carry_out(desk, step, progress, hours)

    async def _carry_out(self, desk: Desk, step: Step, progress: Progress, hours: SessionHours) -> None:
        if step.cancel and desk.open_children():
            await self.cancel_open(desk)
        elif step.replan is not None and desk.nothing_is_open():
            # A plan made this instant is given a chance first.
            if progress.plan.made_at < progress.now:
                self._replan(desk, step.replan, hours, progress)
                # Its first slice has begun: ask for its shares at once.
                desk.wake_at = None
                self.wakes.append(progress.now)
        elif step.release > 0:
            await self._release(desk, step, progress)

    async def _release(self, desk: Desk, step: Step, progress: Progress) -> None:
        """Send one child, if the guards allow any share of it."""
        order, plan = desk.order, progress.plan
        release = allowed_release(
            step.release,
            unsent=desk.unsent,
            lot_size=order.lot_size,
            max_participation=order.max_participation,
            done=desk.filled + desk.leaves,
            market_volume=progress.market_volume,
            expected_volume=volume_to_come(desk.slice_at(progress.now), progress.now),
        )
        if release.quantity <= 0:
            return
        kind, price = limit_for(order, progress.quote, plan, at=progress.now)
        await self._sender.submit(desk, release.quantity, step.slice_index, kind, price)
        # What follows from it is asked at once: the next slice may be due before the next report.
        self.wakes.append(self._books.now())

    # What is known

    def _begin(self, desk: Desk, quote: Quote) -> None:
        """Note the arrival price when work begins; come back from a pause."""
        now, order = self._books.now(), desk.order
        if order.arrival_price is None:
            decided = order.decision_price or quote.mid
            desk.order = replace(
                order,
                arrival_price=quote.mid,
                arrived_at=now,
                decision_price=decided,
                decided_at=order.decided_at or now,
            )
        if desk.order.state is not ParentState.WORKING:
            self._books.move(desk, ParentState.WORKING)
        desk.track.note(quote, now)
        desk.mid = quote.mid

    async def _quote(self, desk: Desk) -> Quote | None:
        """Return a quote to work with; without one, or while the symbol is halted, the order pauses."""
        now = self._books.now()
        try:
            quote = await self._market.quote(desk.order.symbol, now)
            why = "there is no quote" if quote is None else "trading in the symbol is halted"
        except BrokerUnavailable as error:
            quote, why = None, f"the market feed does not answer: {error}"
        if quote is not None and not quote.is_halted:
            return quote
        desk.wake_at = now + self._rules.retry
        if desk.order.state is ParentState.WORKING:
            self._books.move(desk, ParentState.PAUSED, why)
        return None

    async def _progress(self, desk: Desk, quote: Quote, hours: SessionHours) -> Progress | None:
        now = self._books.now()
        assert desk.plan is not None
        assert desk.facts is not None
        began = desk.order.arrived_at or now
        try:
            traded = await self._market.volume(desk.order.symbol, began, now, now)
        except BrokerUnavailable:
            desk.wake_at = now + self._rules.retry
            return None
        desk.market_volume = traded
        expected = expected_volume(desk.facts, hours, began, now)
        return Progress(
            order=desk.order,
            plan=desk.plan,
            now=now,
            filled=desk.filled,
            leaves=desk.leaves,
            planned_from=desk.planned_from,
            market_volume=traded,
            quote=quote,
            conditions=conditions_of(desk.facts, hours, desk.track, quote, traded=traded, expected=expected),
        )

    def _replan(self, desk: Desk, cause: str, hours: SessionHours, progress: Progress | None) -> None:
        """Plan what is left over the rest of the horizon; what no longer fits is left out, and the plan
        says so."""
        assert desk.plan is not None
        assert desk.facts is not None
        now = self._books.now()
        if now >= end_of(desk.order, hours):
            # The quote took so long that the horizon has ended meanwhile: the next turn says so.
            return
        plan = new_plan(
            desk.order,
            desk.facts,
            hours,
            now,
            previous=desk.plan,
            filled=desk.filled,
            quantity=desk.unsent,
            cause=cause,
            conditions=progress.conditions if progress else None,
        )
        self._books.put_plan(desk, plan)


def staleness(desk: Desk, now: datetime, end: datetime) -> str:
    """Return why the plan no longer fits the day; empty: it does."""
    plan: ExecutionPlan | None = desk.plan
    if plan is None or not plan.slices:
        return ""
    if plan.end > end:
        return f"the horizon now ends at {end:%H:%M} UTC"
    if not desk.children and now >= plan.slices[0].end:
        return f"work began at {now:%H:%M} UTC, later than planned"
    return ""


def volume_to_come(planned: PlannedSlice | None, now: datetime) -> float:
    """Return the market volume expected from `now` to the end of the slice [shares]; 0 outside of all."""
    if planned is None:
        return 0.0
    return planned.expected_volume * ((planned.end - now) / (planned.end - planned.start))
