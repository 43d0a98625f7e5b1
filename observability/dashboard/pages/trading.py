"""Trading: what is held, how the limits stand, what is ordered and done, and what it earned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from observability.dashboard import books as ledger_books
from observability.dashboard.books import Books
from observability.dashboard.page import Page
from observability.dashboard.pages import reports
from observability.dashboard.pages.candidates import VERDICTS
from observability.dashboard.pages.orders import STATES
from observability.dashboard.source import Source
from orchestration.halt import FILE_NAME, reason_of
from orchestration.types import Session
from trading.execution.errors import LedgerError
from trading.portfolio.guard import Checked
from trading.portfolio.limits import (
    WITHOUT_BOUND,
    Action,
    Kind,
    RiskLimits,
    Standing,
    named,
    stop_losses,
)
from trading.portfolio.pnl import SessionPnl
from trading.portfolio.valuation import Holding
from trading.portfolio.valuation import Source as PriceSource

PRACTICE_CAPITAL: Final = Decimal(1_000_000)
"""$: what check_risk_limits takes where nobody says with how much a practice account trades."""
NEAR: Final = Decimal("0.8")
"""Of a limit, from which on it is marked, as in the risk report."""
OLD: Final = timedelta(minutes=5)
"""Of open market without a newer price: the jobs tell of it from here on."""
HELD_SHOWN, FILLS_SHOWN, CANDIDATES_SHOWN, LISTED = 100, 15, 10, 20
CHARTED: Final = 250
"""Sessions: a year."""
BY_SIZE: Final = 5
"""Positions, and losses of positions, whose limits are shown: the largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One position as it is shown. age: of its price in open market; None: it was not open since."""

    holding: Holding
    age: timedelta
    is_old: bool
    priced_by: str
    of_equity_pct: Decimal | None
    of_cost_pct: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A limit as it is shown: a bar and words. bar, most: what it shows, of its whole; None: no limit."""

    name: str
    standing: Standing
    level: str
    state: str
    words: str
    when_passed: str
    bar: float | None
    most: float | None


def make(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the page shows; without a ledger that can be read, the reason and what needs none."""
    found: dict[str, Any] = {
        "halted": reason_of(source.state_dir / FILE_NAME),
        "remark": None,
        "stored": reports.newest(source),
        "states": STATES,
    }
    try:
        with ledger_books.opened(source.ledger_file) as books:
            return {**found, **_of_ledger(source, books)}
    except LedgerError as error:
        return {**found, "remark": str(error)}


def _of_ledger(source: Source, books: Books) -> dict[str, Any]:
    now, settings = source.now(), source.desk.settings
    session = session_of(source, now)
    day = now.date() if session is None else session.day
    begun = now if session is None else session.open
    checked = books.checked(limits_of(source), session=day, capital=capital_of(source), now=now)
    worth = checked.valuation
    closed = books.sessions(CHARTED)
    month = [each.session for each in closed[-LISTED:]]
    return {
        "session": session,
        "day": day,
        "is_paper": settings.broker == "paper",
        "no_capital": settings.risk_capital is None,
        "worth": worth,
        "checked": checked,
        "realised": sum((each.position.realised for each in worth.holdings), Decimal(0)),
        "fees": sum((each.position.fees for each in worth.holdings), Decimal(0)),
        "unrealised": sum((each.unrealised for each in worth.holdings), Decimal(0)),
        "held": held(checked, session, now)[:HELD_SHOWN],
        "held_count": len(worth.holdings),
        "meters": meters(source, checked),
        "passed": books.passed(day - timedelta(days=30))[:LISTED],
        "halts": Action.HALT,
        "named": named,
        "orders": books.orders_of(day)[:HELD_SHOWN],
        "orders_count": books.count("parents"),
        "fills": books.fills(FILLS_SHOWN),
        "fills_count": books.count("fills"),
        "traded": books.traded(begun),
        "sessions": closed[::-1][:LISTED],
        "sessions_count": len(closed),
        "charts": charts(closed),
        "strategies": books.by_strategy(month[0]) if month else {},
        "month": len(month),
        "candidates": books.candidates(CANDIDATES_SHOWN),
        "candidates_count": books.count("candidates"),
        "verdicts": VERDICTS,
    }


# --- what the limits are ----------------------------------------------------------------------------------


def capital_of(source: Source) -> Decimal:
    """Return what the box trades with [$], as check_risk_limits has it; with real money and none set, which
    that job refuses, the practice account's."""
    return source.desk.settings.risk_capital or PRACTICE_CAPITAL


def limits_of(source: Source) -> RiskLimits:
    """Return the limits that are set."""
    settings = source.desk.settings
    return RiskLimits(
        max_gross_pct=settings.risk_max_gross_pct,
        max_position_pct=settings.risk_max_position_pct,
        max_daily_loss_pct=settings.risk_max_daily_loss_pct,
        max_drawdown_pct=settings.risk_max_drawdown_pct,
        on_exposure=Action(settings.risk_on_exposure),
    )


def session_of(source: Source, now: datetime) -> Session | None:
    """Return the session that is on, or else the last one; None: none is known."""
    home = source.desk.box.calendars.home
    today = home.local_date(now)
    session = home.on(today)
    return session if session is not None and session.open <= now else home.previous(today)


# --- positions and limits ---------------------------------------------------------------------------------


def held(checked: Checked, session: Session | None, now: datetime) -> list[Held]:
    """Return every position, the largest first; those closed since the last close come last."""
    equity = checked.valuation.equity
    return [
        _held(each, equity, session, now)
        for each in sorted(checked.valuation.holdings, key=lambda each: (-abs(each.value), each.key))
    ]


def _held(each: Holding, equity: Decimal, session: Session | None, now: datetime) -> Held:
    age = age_of(each.mark.at, session, now)
    is_open = session is not None and session.open <= now < session.close
    cost = abs(each.position.cost)
    return Held(
        holding=each,
        age=age,
        is_old=is_open and bool(each.position.quantity) and age > OLD,
        priced_by=PRICED_BY[each.mark.source],
        of_equity_pct=100 * each.value / equity if equity > 0 else None,
        of_cost_pct=100 * each.unrealised / cost if cost else None,
    )


PRICED_BY: Final = {
    PriceSource.QUOTE: "quote",
    PriceSource.FILL: "our own fill",
    PriceSource.BOOKS: "at the last close",
}


def age_of(at: datetime, session: Session | None, now: datetime) -> timedelta:
    """Return how long ago a price is from: until now, or after the close until then."""
    until = now if session is None else min(now, session.close)
    return max(timedelta(0), until - at)


def meters(source: Source, checked: Checked) -> list[Meter]:
    """Return the limits to be shown, the account's own first, then the largest positions and losses."""
    account = [each for each in checked.standings if not each.subject]
    largest = [each for each in checked.standings if each.kind is Kind.POSITION][:BY_SIZE]
    bound = source.desk.settings.risk_stop_loss_pct
    losses = [each for each, _ in stop_losses(checked.valuation.holdings, bound, "").values()]
    worst = sorted((each for each in losses if each.value_pct), key=lambda each: -each.value_pct)[:BY_SIZE]
    return [meter_of(each) for each in (*account, *largest, *worst)]


def meter_of(standing: Standing) -> Meter:
    """Return a limit with what the bar shows, and the same in words."""
    bound, value = standing.bound_pct, standing.value_pct
    of = "of its cost" if standing.kind is Kind.STOP_LOSS else "of equity"
    if bound is None:
        level, state, words = "info", "no limit", "none is set"
    elif standing.is_breached:
        over = "" if value == WITHOUT_BOUND else f"by {value - bound:.2f} %; "
        level, state, words = "fail", "passed", f"{over}the limit is {bound.normalize():f} % {of}"
    else:
        is_near = value >= NEAR * bound
        level, state = ("warn", "near") if is_near else ("ok", "within")
        words = f"{bound - value:.2f} % left of {bound.normalize():f} % {of}"
    return Meter(
        name=named(standing.kind, standing.subject),
        standing=standing,
        level=level,
        state=state,
        words=words,
        when_passed="halts trading" if standing.action is Action.HALT else "an alert",
        bar=None if bound is None else float(min(value, bound)),
        most=None if bound is None else float(bound),
    )


# --- profit over time -------------------------------------------------------------------------------------


def charts(sessions: Sequence[SessionPnl]) -> list[dict[str, Any]]:
    """Return the charts of profit, each with a title and its words; none of fewer than two sessions."""
    if len(sessions) < 2:
        return []
    x = [_midnight(each.session) for each in sessions]
    profit = [float(round(each.profit, 2)) for each in sessions]
    totals = [float(round(each.total, 2)) for each in sessions]
    first, last = sessions[0], sessions[-1]
    worst, best = min(sessions, key=lambda each: each.total), max(sessions, key=lambda each: each.total)
    span = f"{len(sessions)} sessions from {first.session} to {last.session}"
    return [
        {
            "title": "Profit since the beginning",
            "words": f"Over {span}: from {first.profit:+,.0f} $ to {last.profit:+,.0f} $, the highest "
            f"{max(each.profit for each in sessions):+,.0f} $.",
            "chart": _chart("line", x, "profit", profit, "info"),
        },
        {
            "title": "Profit by session",
            "words": f"Over {span}: the best {best.total:+,.0f} $ on {best.session}, the worst "
            f"{worst.total:+,.0f} $ on {worst.session}.",
            "chart": _chart("bars", x, "the session", totals, "info"),
        },
    ]


def _chart(kind: str, x: list[float], label: str, values: list[float], level: str) -> dict[str, Any]:
    series = [{"label": label, "values": values, "level": level}]
    return {"kind": kind, "time": True, "zone": "UTC", "unit": "$", "x": x, "series": series}


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


PAGES = (Page(path="/trading", template="trading.html", make=make, title="Trading"),)
