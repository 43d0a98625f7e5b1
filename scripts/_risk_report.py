"""The risk report of one session, put together from its closed books. No pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from observability.report_document import (
    FAIL,
    INFO,
    OK,
    WARN,
    Block,
    Document,
    Heading,
    Notice,
    Picture,
    Table,
    Text,
    Tile,
    Tiles,
)
from scripts._portfolio import CLOSING, NO_STRATEGY, OLD, aged
from scripts._report_values import shown_short
from trading.portfolio.decisions import Decision
from trading.portfolio.equity_picture import equity_picture
from trading.portfolio.limits import Action, Kind, Standing, named, percent
from trading.portfolio.pnl import EquityDay, PositionPnl, SessionPnl, total_by_strategy
from trading.portfolio.valuation import Valuation

SESSIONS = 20
"""Over which profit and loss are told by strategy: about a month."""
LISTED = 50
"""Rows of a table; the rest is counted."""
NEAR = Decimal("0.8")
"""Of a limit, from which on it is marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskDay:
    """What the report is made of; all of it as of the close of `pnl`'s session.

    sessions: the newest ones, the oldest first, that of the report the last. rows: of the last SESSIONS of
    them. remarks: what a reader must be told. halted: why trading is halted now, empty: it is not.
    """

    now: datetime
    zone: ZoneInfo
    worth: Valuation
    standings: Sequence[Standing]
    sessions: Sequence[SessionPnl]
    rows: Sequence[PositionPnl]
    ranges: Mapping[date, EquityDay]
    decisions: Sequence[Decision]
    remarks: Sequence[str] = ()
    halted: str = ""

    @property
    def pnl(self) -> SessionPnl:
        return self.sessions[-1]


def compose(inputs: RiskDay) -> Document:
    """Return the report."""
    blocks: list[Block] = [_tiles(inputs), *_notices(inputs)]
    blocks += [Heading("Limits"), _limits(inputs), Text(LIMIT_TERMS)]
    blocks += [Heading("Exposure"), *_exposure(inputs)]
    blocks += [Heading("Profit and loss by strategy"), *_strategies(inputs)]
    blocks += [Heading("Profit and loss by session"), *_sessions(inputs)]
    blocks += [Heading("Limits that were passed"), *_passed(inputs)]
    subtitle = (
        f"as of the close; written {inputs.now.astimezone(inputs.zone):%Y-%m-%d %H:%M} ({inputs.zone.key})"
    )
    day = inputs.pnl.session
    return Document(title=f"Risk report, {day:%A} {day}", subtitle=subtitle, blocks=tuple(blocks))


def nothing_closed(day: date, now: datetime, zone: ZoneInfo) -> Document:
    """Return the report of a box whose books were never closed."""
    text = "No session's books are closed yet: calculate_pnl does that after the first session with orders."
    subtitle = f"written {now.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})"
    return Document(title=f"Risk report, {day:%A} {day}", subtitle=subtitle, blocks=(Notice(INFO, text),))


def _tiles(inputs: RiskDay) -> Tiles:
    worth, pnl = inputs.worth, inputs.pnl
    by_kind = {each.kind: each for each in inputs.standings if not each.subject}
    largest = next((each for each in inputs.standings if each.kind is Kind.POSITION), None)
    tiles = [
        Tile("Equity", f"{worth.equity:,.0f} $", INFO, f"capital {worth.capital:,.0f} $"),
        Tile("The day", f"{pnl.total:+,.0f} $", INFO, f"fees {pnl.fees:,.2f} $"),
        _standing_tile("Gross exposure", by_kind[Kind.GROSS_EXPOSURE], f"net {worth.net:,.0f} $"),
        Tile("Largest position", "none", OK)
        if largest is None
        else _standing_tile("Largest position", largest, largest.subject),
        _standing_tile("Drawdown", by_kind[Kind.DRAWDOWN], by_kind[Kind.DRAWDOWN].episode),
    ]
    return Tiles(tuple(tiles))


def _standing_tile(label: str, standing: Standing, note: str) -> Tile:
    return Tile(label, percent(standing.value_pct), _level(standing), note)


def _level(standing: Standing) -> str:
    if standing.bound_pct is None:
        return INFO
    if standing.is_breached:
        return FAIL
    return WARN if standing.value_pct >= NEAR * standing.bound_pct else OK


def _notices(inputs: RiskDay) -> list[Block]:
    found: list[Block] = [Notice(INFO, remark) for remark in inputs.remarks]
    if inputs.halted:
        found.insert(0, Notice(FAIL, f"Trading is halted: {inputs.halted}"))
    return found


LIMIT_TERMS = (
    "In percent of equity: the daily loss of that at the last close, the drawdown of the highest. Left: what "
    "the value may still grow by until the limit is passed, in $ at today's equity."
)


def _limits(inputs: RiskDay) -> Table:
    shown = [each for each in inputs.standings if each.kind is not Kind.POSITION]
    largest = [each for each in inputs.standings if each.kind is Kind.POSITION][:5]
    ordered = [*shown[:1], *largest, *shown[1:]]
    rows = tuple(_limit_row(each, inputs.worth.equity) for each in ordered)
    head = ("Limit", "#Value", "#Limit", "#Left", "#Left $", "When it is passed")
    return Table(head, rows, tuple(_level(each) for each in ordered))


def _limit_row(each: Standing, equity: Decimal) -> tuple[str, ...]:
    name = named(each.kind, each.subject)
    if each.bound_pct is None:
        return (name, percent(each.value_pct), "off", "–", "–", "nothing")
    left = each.bound_pct - each.value_pct
    known = left.is_finite()
    return (
        name,
        percent(each.value_pct),
        f"{each.bound_pct.normalize():f} %",
        f"{left:.2f} %" if known else "–",
        f"{left * equity / 100:,.0f}" if known else "–",
        "halts trading" if each.action is Action.HALT else "an alert",
    )


def _exposure(inputs: RiskDay) -> list[Block]:
    held = sorted(
        (each for each in inputs.worth.holdings if each.position.quantity), key=lambda h: -abs(h.value)
    )
    if not held:
        return [Text("Nothing is held.")]
    equity = inputs.worth.equity
    rows = []
    for each in held[:LISTED]:
        average = each.position.average_cost or Decimal(0)
        share = f"{100 * each.value / equity:.1f} %" if equity > 0 else "–"
        change = 100 * each.unrealised / abs(each.position.cost)
        rows.append(
            (
                each.key.symbol,
                each.key.strategy_id or NO_STRATEGY,
                f"{each.position.quantity:,}",
                f"{average:,.4f}",
                f"{each.mark.price:,.4f}",
                shown_short(each.mark.at, inputs.zone),
                f"{each.value:,.2f}",
                share,
                f"{each.unrealised:+,.2f}",
                f"{change:+.1f} %",
            )
        )
    head = ("Symbol", "Strategy", "#Shares", "#Average cost", "#Price", "Priced", "#Value $", "#Of equity")
    more = [Text(f"and {len(held) - LISTED} more.")] if len(held) > LISTED else []
    return [Table((*head, "#Unrealised $", "#Of cost"), tuple(rows)), *more]


def _strategies(inputs: RiskDay) -> list[Block]:
    if not inputs.rows:
        return [Text("Nothing was held or traded.")]
    days = [each.session for each in inputs.sessions[-SESSIONS:]]
    spans = [total_by_strategy(r for r in inputs.rows if r.session >= days[-n]) for n in _spans(len(days))]
    whole = spans[-1]
    rows = []
    for name in sorted(whole, key=lambda name: (-whole[name], name)):
        own = [row for row in inputs.rows if row.key.strategy_id == name]
        parts = (
            sum((row.realised for row in own), Decimal(0)),
            sum((row.unrealised for row in own), Decimal(0)),
            -sum((row.fees for row in own), Decimal(0)),
        )
        sums = [span.get(name, Decimal(0)) for span in spans]
        rows.append((name or NO_STRATEGY, *(f"{amount:+,.2f}" for amount in (*sums, *parts))))
    total = [f"{sum(span.values(), Decimal(0)):+,.2f}" for span in spans]
    rows.append(("All", *total, "", "", ""))
    labels = [f"#{'The day' if n == 1 else f'{n} sessions'} $" for n in _spans(len(days))]
    head = ("Strategy", *labels, "#Realised $", "#Unrealised $", "#Fees $")
    over = f"all {len(days)} sessions" if len(days) > 1 else "the day"
    terms = f"Realised, unrealised and fees are those of {over}; unrealised: its change."
    return [Table(head, tuple(rows)), Text(terms)]


def _spans(sessions: int) -> list[int]:
    """Return over how many of the last sessions profit is summed up: 1, 5 and all, each once."""
    return sorted({1, min(5, sessions), sessions})


def _sessions(inputs: RiskDay) -> list[Block]:
    rows = tuple(
        (
            each.session.isoformat(),
            *(f"{amount:+,.2f}" for amount in (each.realised, each.unrealised)),
            f"{each.fees:,.2f}",
            f"{each.total:+,.2f}",
            f"{each.equity:,.2f}",
        )
        for each in reversed(inputs.sessions[-SESSIONS:])
    )
    head = ("Session", "#Realised $", "#Unrealised $", "#Fees $", "#Total $", "#Equity $")
    drawn = equity_picture(inputs.sessions, inputs.ranges)
    picture = [Picture(title="Profit at the close", svg=drawn.svg, words=drawn.words)] if drawn else []
    return [*picture, Table(head, rows)]


def _passed(inputs: RiskDay) -> list[Block]:
    if not inputs.decisions:
        return [Text(f"None in the last {SESSIONS} sessions.")]
    newest = inputs.decisions[::-1][:LISTED]
    rows = tuple(
        (
            shown_short(each.at, inputs.zone),
            named(each.kind, each.subject),
            percent(each.value_pct),
            f"{each.bound_pct.normalize():f} %",
            "trading was halted" if each.action is Action.HALT else "told",
        )
        for each in newest
    )
    levels = tuple(FAIL if each.action is Action.HALT else WARN for each in newest)
    more = [Text(f"and {len(inputs.decisions) - LISTED} more.")] if len(inputs.decisions) > LISTED else []
    return [Table(("When", "Limit", "#Value", "#Limit", "What was done"), rows, levels), *more]


def remarks_of(worth: Valuation, broker: str, has_capital: bool) -> list[str]:
    """Return what a reader must be told of how the figures came about."""
    found = []
    if broker == "paper":
        found.append("Simulated: the paper broker's fills, at the prices of its own model.")
    if not has_capital:
        found.append(
            f"ORCHESTRATOR_RISK_CAPITAL is not set: shares of equity are those of {worth.capital:,.0f} $."
        )
    old = [(s, mark) for s, mark in worth.marks.items() if mark.at < worth.at - CLOSING - OLD]
    if old:
        found.append(f"Valued at old prices: {aged(old)}.")
    return found
