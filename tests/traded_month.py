"""A ledger with weeks of trading, written by the project's own code: for tests of what shows it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.traded_ledger import trade
from tests.trading_floor import DAY, OPEN, PRICE, Floor, bars_of, hours_of, market_of, order_of
from trading.execution.kill_switch import KillSwitch
from trading.execution.orders import ParentOrder
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.guard import Checked, check_limits
from trading.portfolio.limits import RiskLimits
from trading.portfolio.valuation import Mark
from trading.research.candidates import Candidate, Candidates, CandidateStatus
from trading.research.validation.outcome import Rule, Status, TestOutcome
from trading.research.validation.thresholds import Thresholds
from trading.research.validation.verdict import document_of

CAPITAL = Decimal(100_000)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LIMITS = RiskLimits(
    max_gross_pct=Decimal(100),
    max_position_pct=Decimal(25),
    max_daily_loss_pct=Decimal(3),
    max_drawdown_pct=Decimal(15),
)


def weekdays_before(day: date, count: int) -> list[date]:
    """Return the last so many weekdays before `day`, the oldest first."""
    found: list[date] = []
    while len(found) < count:
        day -= timedelta(days=1)
        if day.weekday() < 5:
            found.append(day)
    return found[::-1]


def close_session(path: Path, day: date, price: str) -> None:
    """Record ACME's price at 15:59 in New York and close the books of `day`."""
    at = OPEN + (day - DAY) + 6 * HOUR + 30 * MINUTE
    with PortfolioBooks(path) as books, books.writing():
        books.put_marks(day, {"ACME": Mark(price=Decimal(price), at=at - MINUTE)})
        books.close(day, books.valuation(day, capital=CAPITAL, at=at), at + MINUTE)


def trade_weeks(path: Path, sessions: int) -> list[date]:
    """Hold 100 ACME from 100 $ on, whose price goes up 0.50 $ and down 0.25 $ in turn; return the sessions
    closed, the oldest first. The day after them is `DAY`."""
    days = weekdays_before(DAY, sessions)
    at = OPEN + (days[0] - DAY) + HOUR
    trade(path, "first", 100, "100", session=days[0], at=at, strategy="trend", fee="1")
    price = Decimal(100)
    for number, day in enumerate(days):
        price += Decimal("0.50") if number % 2 == 0 else Decimal("-0.25")
        close_session(path, day, str(price))
    return days


def check(path: Path, price: str, now: datetime, **changes: Any) -> Checked:
    """Record ACME's price and hold the account to its limits, as the jobs of every minute do."""
    plain: dict[str, Any] = {"session": DAY, "capital": CAPITAL, "now": now, "limits": LIMITS}
    wanted = {**plain, **changes}
    with PortfolioBooks(path) as books:
        with books.writing():
            books.put_marks(wanted["session"], {"ACME": Mark(price=Decimal(price), at=now)})
        return check_limits(books, KillSwitch(path.parent / "trading.halt"), wanted.pop("limits"), **wanted)


def work_order(folder: Path, minutes: int = 30, **changes: Any) -> ParentOrder:
    """Let the executor work an order of 600 ACME from the open of `DAY` on; return it as it ended."""
    hours = hours_of(minutes)
    market = market_of(bars_of([PRICE] * minutes, 1_000), hours)
    floor = Floor(folder=folder, market=market, hours=hours)
    floor.enter(order_of(**changes))
    floor.run()
    return floor.parents()[-1]


def found_candidate(at: datetime = OPEN - 12 * HOUR, **parameters: int) -> Candidate:
    """A moving average that a search has found."""
    return Candidate(
        family="moving_average",
        parameters={"fast": 20, "slow": 50, **parameters},
        symbols=("AAPL", "IBM"),
        settings={"capital": 100_000.0},
        data_fingerprint="f" * 64,
        data_from=date(2000, 3, 1),
        data_to=date(2011, 12, 31),
        code_version="0.1.0",
        code_hash="c" * 64,
        seed=7,
        study="nightly-moving_average-0123456789ab",
        trials=40,
        trial_sharpe_variance=0.0004,
        objective=0.83,
        created_at=at,
    )


def judge_candidate(path: Path, candidate: Candidate, *, passes: bool, at: datetime = OPEN) -> str:
    """Store a candidate and a verdict of two tests, one of them failed unless it `passes`; return its id."""
    outcomes = [
        TestOutcome(
            name="out_of_sample",
            status=Status.PASSED,
            value=0.61,
            rule=Rule.ABOVE,
            threshold=0.0,
            text="the Sharpe ratio of 291 days held back is 0.61",
        ),
        TestOutcome(
            name="deflated_sharpe",
            status=Status.PASSED if passes else Status.FAILED,
            value=0.97 if passes else 0.08,
            rule=Rule.AT_LEAST,
            threshold=0.95,
            text="the best of 40 trials without skill is expected to show 0.99",
        ),
    ]
    with Candidates(path) as candidates:
        added = candidates.add(candidate)
        document = document_of(added, outcomes, Thresholds(), {})
        status = CandidateStatus.VALIDATED if passes else CandidateStatus.REJECTED
        candidates.record_verdict(str(added.candidate_id), status, document, at)
    return str(added.candidate_id)
