"""The demo's trading: what the simulated jobs leave in the ledger, by the project's own books.

Prices are invented from a seed; plans, fills, profit, limits, candidates and verdicts are made by the code
that makes the real ones.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestration.sessions import Sessions
from scripts._portfolio import CLOSING, PRACTICE_CAPITAL, told_standings
from trading.execution.facts import MarketFacts
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.book import Book
from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import (
    ChildOrder,
    ChildState,
    Fill,
    OrderKind,
    ParentOrder,
    ParentState,
    Side,
    child_id,
)
from trading.execution.smart.plan import ExecutionPlan, PlannedSlice, SessionHours
from trading.execution.smart.planner import first_plan
from trading.execution.transitions import filled, parent_moved
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.guard import check_limits
from trading.portfolio.limits import Action, RiskLimits
from trading.portfolio.pnl import total_by_strategy
from trading.portfolio.valuation import Mark
from trading.research.candidates import Candidate, Candidates, CandidateStatus
from trading.research.validation.outcome import Question, Rule
from trading.research.validation.thresholds import Thresholds
from trading.research.validation.verdict import document_of

PRICES = {"SPY": 671.0, "JPM": 298.0, "XOM": 117.0, "KO": 70.6, "GLD": 385.0}
"""Where each symbol begins [$]."""
DAILY = {"SPY": 0.009, "JPM": 0.014, "XOM": 0.015, "KO": 0.009, "GLD": 0.012}
"""How far each moves in a day, as a standard deviation."""
STRATEGY_OF = {
    "SPY": "moving_average",
    "GLD": "moving_average",
    "JPM": "pairs_trading",
    "XOM": "pairs_trading",
    "KO": "mean_reversion",
}
FAMILIES = ("moving_average", "pairs_trading", "mean_reversion")
LIMITS = RiskLimits(
    max_gross_pct=Decimal(40),
    max_position_pct=Decimal(15),
    max_daily_loss_pct=Decimal(3),
    max_drawdown_pct=Decimal(15),
    on_exposure=Action.ALERT,
)
LOOK_EVERY = timedelta(minutes=4)
"""The books are not written every minute: it is the disk of whoever looks at the demo."""
MISSED_SHARE = 0.08
"""Of the planned slices, those that the market did not take; the next one has their shares."""
U_SHAPE = tuple(w / 39.0 for w in (8, 5, 4, 3.5, 3, 3, 3.5, 9))


class Prices:
    """Prices that follow from a seed alone: [symbol, instant] -> $."""

    def __init__(self, seed: int, home: Sessions) -> None:
        self._seed, self._home = seed, home
        self._opened: dict[tuple[str, date], float] = {}

    def at(self, symbol: str, now: datetime, hours: SessionHours) -> float:
        """Return the mid price in a session; before the open it is the open's, after the close the last."""
        share = (now - hours.open) / (hours.close - hours.open)
        return self._price(symbol, hours.day, min(max(share, 0.0), 1.0))

    def _price(self, symbol: str, day: date, share: float) -> float:
        dice = random.Random(f"{self._seed}/{symbol}/{day}")
        drift, wave, turns = dice.gauss(0.0004, DAILY[symbol]), dice.gauss(0, 0.003), dice.uniform(1, 4)
        swing = wave * math.sin(2 * math.pi * turns * share) * math.sqrt(1 - share)
        return self._open(symbol, day) * (1 + drift * share + swing)

    def _open(self, symbol: str, day: date) -> float:
        known = self._opened.get((symbol, day))
        if known is None:
            # The first day that is asked for begins the series.
            before = self._home.previous(day)
            has_past = before is not None and (symbol, before.day) in self._opened
            known = PRICES[symbol]
            if before is not None and has_past:
                gap = random.Random(f"{self._seed}/{symbol}/{day}/gap").gauss(0, 0.003)
                known = self._price(symbol, before.day, 1.0) * (1 + gap)
            self._opened[symbol, day] = known
        return known


def cents(price: float) -> Decimal:
    """Return a price [$] on the tick."""
    return Decimal(round(price * 100)) / 100


@dataclass
class Working:
    """A parent order that is being worked: its plan's slices that are still to come."""

    order: ParentOrder
    slices: list[tuple[int, PlannedSlice]]


@dataclass
class TradingWork:
    """A `Work`: the trading day's jobs and the night's research, as far as they leave something to see.

    state_dir: of ledger.db. home: the exchange's sessions. capital [$], limits: that the account is held to.
    """

    state_dir: Path
    home: Sessions
    seed: int = 1
    capital: Decimal = PRACTICE_CAPITAL
    limits: RiskLimits = LIMITS
    _working: list[Working] = field(default_factory=list)
    _looked: datetime | None = None
    _found: int = 0

    def __post_init__(self) -> None:
        self._prices = Prices(self.seed, self.home)
        self._dice = random.Random(self.seed)
        self._ledger_file = self.state_dir / "ledger.db"
        self._kill = KillSwitch(self.state_dir / "trading.halt")

    def started(self, task: str, at: datetime) -> None:
        """See `Work`."""
        if task == "execute_orders":
            self._enter_orders(at)

    def ended(self, task: str, at: datetime) -> Mapping[str, object]:
        """See `Work`."""
        act = {
            "monitor_positions": self._look,
            "check_risk_limits": self._judge,
            "execute_orders": self._finish_orders,
            "calculate_pnl": self._close_books,
            "run_nightly_research": self._found_something,
            "run_weekend_research": self._found_something,
            "validate_candidates": self._validate,
        }.get(task)
        return {} if act is None else act(at)

    def close(self) -> None:
        """See `Work`: every file is closed after each step."""

    # --- orders ---------------------------------------------------------------------------------------------

    def _hours(self, at: datetime) -> SessionHours | None:
        """Return the session of the day of `at`, None: there is none."""
        session = self.home.on(self.home.local_date(at))
        if session is None:
            return None
        return SessionHours(
            day=session.day, open=session.open, close=session.close, is_early_close=session.is_early_close
        )

    def _enter_orders(self, at: datetime) -> None:
        hours = self._hours(at)
        if hours is None or self._kill.is_set():
            return
        symbols = self._dice.sample(sorted(PRICES), 3)
        with Ledger(self._ledger_file) as ledger, ledger.writing(at) as book:
            held = ledger.positions()
            for number, symbol in enumerate(symbols):
                self._enter(book, hours, at, symbol, held.get(symbol, 0), number)

    def _enter(
        self, book: Book, hours: SessionHours, at: datetime, symbol: str, held: int, number: int
    ) -> None:
        mid = self._prices.at(symbol, at, hours)
        facts = MarketFacts(
            symbol=symbol,
            as_of=hours.day - timedelta(days=1),
            price=mid,
            daily_volume=4e6,
            daily_spread=0.02,
            daily_volatility=DAILY[symbol],
            shape=U_SHAPE,
        )
        book.put_facts(facts)
        # What is held is sold again, much of it for certain, so that profits are taken and limits neared.
        much = Decimal(held) * cents(mid) > self.capital / 6
        sells = held > 0 and (self._dice.random() < 0.4 or much)
        shares = held if sells else 10 * round(float(self.capital) * self._dice.uniform(0.01, 0.02) / mid)
        order = book.add_parent(
            ParentOrder(
                parent_id="",
                reference=f"demo-{hours.day}-{symbol}",
                session=hours.day,
                symbol=symbol,
                side=Side.SELL if sells else Side.BUY,
                quantity=max(shares, 10),
                created_at=at,
                algorithm=("twap", "vwap", "auto")[number % 3],
                strategy_id=STRATEGY_OF[symbol],
                decision_price=cents(mid),
                decided_at=at,
            )
        )
        plan = first_plan(order, facts, hours, at)
        book.add_plan(plan)
        order = self._begun(book, order, plan, mid, at)
        self._working.append(Working(order, list(enumerate(plan.slices))))

    def _begun(
        self, book: Book, order: ParentOrder, plan: ExecutionPlan, mid: float, at: datetime
    ) -> ParentOrder:
        for state in (ParentState.VALIDATED, ParentState.WORKING):
            order = parent_moved(order, state, at, f"by {plan.algorithm}")
            if state is ParentState.WORKING:
                order = replace(order, arrival_price=cents(mid), arrived_at=at)
            book.put_parent(order)
        return order

    def _trade_due(self, at: datetime, hours: SessionHours) -> int:
        """Book the fills of slices whose middle has come; return how many."""
        fills = 0
        with Ledger(self._ledger_file) as ledger, ledger.writing(at) as book:
            for work in self._working:
                while work.slices and _middle(work.slices[0][1]) <= at:
                    fills += self._trade_next(book, work, hours)
                if not work.slices:
                    self._complete(ledger, book, work.order, at)
        self._working = [work for work in self._working if work.slices]
        return fills

    def _trade_next(self, book: Book, work: Working, hours: SessionHours) -> int:
        """Trade the next slice, or leave it to the one after it; return the number of fills."""
        index, planned = work.slices.pop(0)
        if not planned.quantity:
            return 0
        if self._dice.random() < MISSED_SHARE:
            if work.slices:
                number, later = work.slices[0]
                more = replace(later, quantity=later.quantity + planned.quantity)
                work.slices[0] = number, more
            return 0
        self._fill(book, work.order, index, planned, hours)
        return 1

    def _fill(
        self, book: Book, order: ParentOrder, index: int, planned: PlannedSlice, hours: SessionHours
    ) -> None:
        at, symbol = _middle(planned), order.symbol
        number = book.next_sequence(order.parent_id)
        child = ChildOrder(
            client_order_id=child_id(order.parent_id, number),
            parent_id=order.parent_id,
            sequence=number,
            symbol=symbol,
            side=order.side,
            quantity=planned.quantity,
            kind=OrderKind.MARKET,
            created_at=at,
            slice_index=index,
        )
        book.put_child(child)
        paid = self._prices.at(symbol, at, hours) * (1 + order.side.sign * self._dice.gauss(1.2e-4, 8e-5))
        fill = Fill(
            execution_id=child.client_order_id,
            client_order_id=child.client_order_id,
            symbol=symbol,
            side=order.side,
            quantity=planned.quantity,
            price=cents(paid),
            at=at,
            fee=(Decimal("0.005") * planned.quantity).quantize(Decimal("0.01")),
        )
        book.add_fill(fill)
        book.put_child(filled(replace(child, state=ChildState.ACKED), fill, at))

    def _complete(self, ledger: Ledger, book: Book, order: ParentOrder, at: datetime) -> None:
        missing = order.quantity - ledger.filled(order.parent_id)
        if missing:
            reason = f"the session ended with {missing} shares left"
            book.put_parent(parent_moved(order, ParentState.EXPIRED, at, reason))
        else:
            book.put_parent(parent_moved(order, ParentState.COMPLETED, at, "all of it is filled"))

    def _finish_orders(self, at: datetime) -> Mapping[str, object]:
        hours = self._hours(at)
        if hours is None:
            return {}
        left = len(self._working)
        return {"orders": left, "fills": self._trade_due(hours.close, hours)}

    # --- watching -------------------------------------------------------------------------------------------

    def _look(self, at: datetime) -> Mapping[str, object]:
        hours = self._hours(at)
        if hours is None or not self._ledger_file.exists() or self._is_fresh(at):
            return {}
        self._looked = at
        fills = self._trade_due(at, hours) if not self._kill.is_set() else 0
        marks = {symbol: self._mark(symbol, at, hours) for symbol in PRICES}
        with PortfolioBooks(self._ledger_file) as books, books.writing():
            books.put_marks(hours.day, marks)
        return {"session": hours.day.isoformat(), "marked": len(marks), "fills": fills}

    def _is_fresh(self, at: datetime) -> bool:
        return self._looked is not None and at - self._looked < LOOK_EVERY

    def _mark(self, symbol: str, at: datetime, hours: SessionHours) -> Mark:
        return Mark(price=cents(self._prices.at(symbol, at, hours)), at=at)

    def _judge(self, at: datetime) -> Mapping[str, object]:
        hours = self._hours(at)
        if hours is None or self._looked is None or at - self._looked > timedelta(minutes=2):
            return {}
        with PortfolioBooks(self._ledger_file) as books:
            found = check_limits(
                books, self._kill, self.limits, session=hours.day, capital=self.capital, now=at
            )
        worth = found.valuation
        return {
            "session": hours.day.isoformat(),
            "equity": str(worth.equity),
            "day_profit": str(found.day_profit),
            "gross": str(worth.gross),
            "net": str(worth.net),
            "limits": told_standings(found.standings),
            "halted": None,
            "alerts": {},
        }

    def _close_books(self, at: datetime) -> Mapping[str, object]:
        hours = self._hours(at)
        if hours is None or not self._ledger_file.exists():
            return {}
        with PortfolioBooks(self._ledger_file) as books, books.writing():
            books.put_marks(hours.day, {s: self._mark(s, hours.close, hours) for s in PRICES})
            worth = books.valuation(hours.day, capital=self.capital, at=hours.close + CLOSING)
            found = books.close(hours.day, worth, at)
            by_strategy = total_by_strategy(books.position_pnl(hours.day))
        return {
            "session": hours.day.isoformat(),
            "total": str(found.total),
            "equity": str(found.equity),
            "by_strategy": {name: str(total) for name, total in by_strategy.items()},
        }

    # --- research -------------------------------------------------------------------------------------------

    def _found_something(self, at: datetime) -> Mapping[str, object]:
        self._found += 1
        family = FAMILIES[self._found % len(FAMILIES)]
        dice = random.Random(f"{self.seed}/{self._found}")
        candidate = Candidate(
            family=family,
            parameters={"fast": dice.randint(5, 20), "slow": dice.randint(40, 120)},
            symbols=tuple(sorted(PRICES)),
            settings={"capital": 100_000.0},
            data_fingerprint=f"demo-{self._found}",
            data_from=date(2011, 1, 3),
            data_to=self.home.local_date(at) - timedelta(days=1),
            code_version="demo",
            code_hash="0" * 64,
            seed=self.seed,
            study=f"nightly-{family}-demo",
            trials=dice.randint(40, 160),
            trial_sharpe_variance=0.0004,
            objective=round(dice.uniform(0.35, 1.1), 3),
            created_at=at,
        )
        with Candidates(self._ledger_file) as candidates:
            added = candidates.add(candidate)
        return {"trials": added.trials, "candidate": added.candidate_id, "objective": added.objective}

    def _validate(self, at: datetime) -> Mapping[str, object]:
        if not self._ledger_file.exists():
            return {"judged": []}
        judged = []
        with Candidates(self._ledger_file) as candidates:
            for candidate in candidates.of_status(CandidateStatus.CANDIDATE):
                document = verdict_on(candidate, random.Random(f"{self.seed}/{candidate.candidate_id}"))
                status = CandidateStatus(document["verdict"])
                candidates.record_verdict(str(candidate.candidate_id), status, document, at)
                judged.append({"candidate": candidate.candidate_id, "verdict": document["verdict"]})
        return {"judged": judged, "left": 0}


def _middle(planned: PlannedSlice) -> datetime:
    return planned.start + (planned.end - planned.start) / 2


def verdict_on(candidate: Candidate, dice: random.Random) -> dict[str, Any]:
    """Return a verdict's document with invented figures, judged by the real thresholds."""
    asked = Thresholds()
    good = dice.random() < 0.5
    outcomes = (
        Question("enough_trades", Rule.AT_LEAST, asked.least_trades).unless_enough(
            dice.randint(60, 300), "trades were closed"
        ),
        Question("walk_forward_sharpe", Rule.AT_LEAST, asked.walk_forward_sharpe).answered(
            dice.uniform(0.5, 1.1) if good else dice.uniform(0.1, 0.6), "over the walk-forward tests"
        ),
        Question("deflated_sharpe", Rule.AT_LEAST, asked.deflated_sharpe).answered(
            dice.uniform(0.955, 0.995) if good else dice.uniform(0.5, 0.94), "given the number of trials"
        ),
        Question("overfitting", Rule.AT_MOST, asked.overfitting).answered(
            dice.uniform(0.01, 0.12) if good else dice.uniform(0.1, 0.6), "of the choice among the trials"
        ),
        Question("drawdown", Rule.AT_LEAST, asked.drawdown).answered(
            -dice.uniform(0.12, 0.3), "in one run in twenty"
        ),
    )
    document = document_of(candidate, outcomes, asked, {"bars": "invented by the demo"})
    document["holding"] = {"sharpe": 0.55, "own_sharpe": round(candidate.objective, 2)}
    return document
