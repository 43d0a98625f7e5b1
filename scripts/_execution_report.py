"""The execution report of one session, put together from the records of its orders. No pandas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from scripts._report_values import some_of
from trading.execution.execution_pictures import day_picture, order_picture
from trading.execution.measures import AlgorithmRecord, OrderMeasures, Shortfall
from trading.execution.order_records import OrderRecord
from trading.execution.orders import ChildState, ParentState

LISTED = 100
"""Rows of a table; the rest is counted."""
DRAWN = 12
"""Orders that are drawn, those of the most money: a page of all would be slow to open."""
FAR = 2.0
"""Standard deviations from the plan from which an order is marked: one in twenty is, by chance."""
LEVELS = {ParentState.COMPLETED: OK, ParentState.EXPIRED: WARN, ParentState.KILLED: FAIL}
UNKNOWN = "–"

FILLED_HEAD = (
    *("Order", "What", "Algorithm", "State", "#Filled", "#Time", "#Of market", "#Average $"),
    *("#Arrival", "#VWAP", "#TWAP"),
)
FILLED_TERMS = (
    "Arrival, VWAP, TWAP: average price against each, in basis points; + is worse, - is better. Of "
    "market: filled part of all shares that were traded while the order was worked."
)
COST_HEAD = (
    *("Order", "#Delay", "#Execution", "#Opportunity", "#Fees", "#Shortfall $", "#bp"),
    *("#Since arrival", "#Planned", "#Risk", "#z"),
)
COST_TERMS = (
    "Shortfall: what was paid more (for a sale: received less) than all shares at the decision price. Delay: "
    "the price's move before work began; execution: the fills against the arrival price; opportunity: the "
    "shares not filled, at the end against the arrival price. Since arrival: execution and opportunity. "
    "Planned, risk: what the first plan expected of these, and its standard deviation; z: how many of them "
    "it came out dearer. Shortfall and its parts in $; bp and after it in basis points of the order's value "
    "at the decision price."
)
RECORD_HEAD = (
    *("Algorithm", "#Orders", "#Done in full", "#Success", "#Shares filled", "#Shortfall bp"),
    *("#Since arrival bp", "#Planned bp", "#Mean z"),
)
RECORD_TERMS = (
    "Means over the orders that ended, without those refused before the start. A mean z far from 0 over many "
    "orders: the plans are off."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfOrders:
    """What the report is made of. records: of the session's orders, as entered. recent: each algorithm's
    record over the last `sessions` sessions with orders. unknown_bars: why a symbol's bars are missing."""

    day: date
    now: datetime
    zone: ZoneInfo
    records: Sequence[OrderRecord]
    recent: Sequence[AlgorithmRecord] = ()
    sessions: int = 0
    unknown_bars: Mapping[str, str] = field(default_factory=dict)


def compose(inputs: DayOfOrders) -> Document:
    """Return the report; a short one for a session without orders."""
    blocks: list[Block] = []
    if inputs.records:
        blocks += [_tiles(inputs.records), *_notices(inputs)]
        blocks += [Heading("How the orders were filled"), *_filled(inputs.records)]
        blocks += [Heading("What they cost"), *_costs(inputs.records), *_day_picture(inputs.records)]
        blocks += [Heading("Refused, or not done in full"), *_refusals(inputs.records)]
    else:
        blocks.append(Notice(INFO, f"No orders were entered for {inputs.day}."))
    blocks += _algorithms(inputs)
    blocks += _pictures(inputs)
    subtitle = f"as of {inputs.now.astimezone(inputs.zone):%Y-%m-%d %H:%M} ({inputs.zone.key})"
    title = f"Execution report, {inputs.day:%A} {inputs.day}"
    return Document(title=title, subtitle=subtitle, blocks=tuple(blocks))


def totals(records: Sequence[OrderRecord]) -> tuple[Decimal, Decimal] | None:
    """Return shortfall and notional [$] of the orders that have both; None: none has."""
    known = [
        (m.shortfall.total, m.notional) for m in (r.measures for r in records) if m.shortfall and m.notional
    ]
    if not known:
        return None
    return sum((cost for cost, _ in known), Decimal(0)), sum((value for _, value in known), Decimal(0))


def _tiles(records: Sequence[OrderRecord]) -> Tiles:
    states = Counter(record.order.state for record in records)
    done, refused = states[ParentState.COMPLETED], states[ParentState.REJECTED]
    begun = len(records) - refused
    asked = sum(r.order.quantity for r in records if r.order.state is not ParentState.REJECTED)
    filled = sum(r.measures.filled for r in records)
    sums = totals(records)
    far = sum(abs(r.measures.z_score or 0) > FAR for r in records)
    tiles = [
        Tile("Done in full", f"{done} of {begun}", OK if done == begun else WARN),
        Tile("Shares filled", f"{100 * filled / asked:.0f} %" if asked else UNKNOWN, INFO, f"{filled:,}"),
        Tile("Refused", str(refused), WARN if refused else OK, "before the start"),
        Tile("Far from plan", str(far), WARN if far else OK, f"beyond {FAR:g} standard deviations"),
    ]
    if sums:
        bps = f"{_number(1e4 * float(sums[0] / sums[1]))} bp of {sums[1]:,.0f} $"
        tiles.insert(2, Tile("Shortfall", f"{_number(sums[0], 0)} $", INFO, bps))
    return Tiles(tuple(tiles))


def _notices(inputs: DayOfOrders) -> list[Block]:
    records, found = inputs.records, list[Block]()
    if any("paper" in record.brokers for record in records):
        found.append(
            Notice(INFO, "Simulated: the paper broker's fills, at the prices of its own model or replay.")
        )
    going = [r.order.parent_id for r in records if not r.order.state.is_final]
    if going:
        found.append(Notice(WARN, f"Not at their end yet: {some_of(going)}. Their figures are of now."))
    other = sorted({r.order.symbol for r in records if r.has_other_market})
    if other:
        text = f"The stored intraday bars of {some_of(other)} are not of the market the orders were filled in"
        found.append(Notice(INFO, f"{text}; no VWAP and no TWAP of them."))
    for reason in sorted(set(inputs.unknown_bars.values())):
        symbols = [symbol for symbol, why in inputs.unknown_bars.items() if why == reason]
        found.append(Notice(INFO, f"{some_of(sorted(symbols))}: {reason}; VWAP and TWAP are not known."))
    return found


def _filled(records: Sequence[OrderRecord]) -> list[Block]:
    rows = tuple(_filled_row(record) for record in records[:LISTED])
    levels = tuple(LEVELS.get(record.order.state, WARN) for record in records[:LISTED])
    return [Table(FILLED_HEAD, rows, levels), Text(FILLED_TERMS), *_more(records)]


def _filled_row(record: OrderRecord) -> tuple[str, ...]:
    order, measures = record.order, record.measures
    share = measures.participation
    return (
        _short_id(record),
        _what(record),
        measures.algorithm,
        str(order.state),
        f"{_number(100 * measures.fill_frac)} %",
        UNKNOWN if measures.duration is None else str(measures.duration).partition(".")[0],
        UNKNOWN if share is None else f"{100 * share:.2f} %",
        _number(measures.average_price, 4 if (measures.average_price or 0) < 10 else 2),
        _number(measures.slippage_arrival_bps, 1, "+"),
        _number(measures.slippage_vwap_bps, 1, "+"),
        _number(measures.slippage_twap_bps, 1, "+"),
    )


def _costs(records: Sequence[OrderRecord]) -> list[Block]:
    known = [r for r in records if r.measures.shortfall]
    if not known:
        return [Text("Nothing can be told: no order has begun, or no price is known of those not done.")]
    rows = [_cost_row(_short_id(r), r.measures) for r in known[:LISTED]]
    levels = [WARN if abs(r.measures.z_score or 0) > FAR else OK for r in known[:LISTED]]
    if len(known) > 1:
        rows.append(_sum_row(known))
        levels.append("")
    return [Table(COST_HEAD, tuple(rows), tuple(levels)), Text(COST_TERMS), *_more(known)]


def _cost_row(name: str, measures: OrderMeasures) -> tuple[str, ...]:
    parts, risk = measures.shortfall, measures.expected_risk
    risk_bps = None if risk is None else measures.bps(Decimal(repr(risk)))
    return (
        name,
        *_parts(parts),
        _number(measures.shortfall_bps),
        _number(measures.realised_bps),
        _number(measures.expected_cost_bps),
        _number(risk_bps),
        _number(measures.z_score, 2, "+"),
    )


def _parts(parts: Shortfall | None) -> tuple[str, ...]:
    if parts is None:
        return (UNKNOWN,) * 5
    each = (parts.delay, parts.execution, parts.opportunity, parts.fees, parts.total)
    return tuple(_number(amount, 2) for amount in each)


def _sum_row(records: Sequence[OrderRecord]) -> tuple[str, ...]:
    parts = [r.measures.shortfall for r in records if r.measures.shortfall]
    value = sum((r.measures.notional or Decimal(0) for r in records), Decimal(0))
    whole = Shortfall(
        delay=sum((p.delay for p in parts), Decimal(0)),
        execution=sum((p.execution for p in parts), Decimal(0)),
        opportunity=sum((p.opportunity for p in parts), Decimal(0)),
        fees=sum((p.fees for p in parts), Decimal(0)),
    )
    since, total = (1e4 * float(amount / value) for amount in (whole.since_arrival, whole.total))
    return ("All", *_parts(whole), _number(total), _number(since), "", "", "")


def _day_picture(records: Sequence[OrderRecord]) -> list[Block]:
    drawn = day_picture(records[:LISTED])
    return [Picture(title="Cost against plan", svg=drawn.svg, words=drawn.words)] if drawn else []


def _refusals(records: Sequence[OrderRecord]) -> list[Block]:
    rows, levels = [], []
    for record in records:
        order = record.order
        if order.state.is_final and order.state is not ParentState.COMPLETED:
            why = order.reason or "no reason was recorded"
            rows.append((_short_id(record), _what(record), str(order.state), why))
            levels.append(LEVELS.get(order.state, WARN))
    refused = Counter(
        (_short_id(record), child.reason or "no reason was given")
        for record in records
        for child in record.children
        if child.state is ChildState.REJECTED
    )
    for (name, reason), times in refused.items():
        rows.append((name, f"{times} of its parts", "refused by the broker", reason))
        levels.append(WARN)
    if not rows:
        return [Text("None.")]
    more = [Text(f"and {len(rows) - LISTED} more.")] if len(rows) > LISTED else []
    head = ("Order", "What", "State", "Reason")
    return [Table(head, tuple(rows[:LISTED]), tuple(levels[:LISTED])), *more]


def _algorithms(inputs: DayOfOrders) -> list[Block]:
    if not inputs.recent:
        return []
    rows = tuple(
        (
            each.algorithm,
            str(each.orders),
            str(each.completed),
            f"{100 * each.success_frac:.0f} %",
            f"{100 * each.fill_frac:.1f} %",
            _number(each.shortfall_bps),
            _number(each.realised_bps),
            _number(each.expected_cost_bps),
            _number(each.mean_z_score, 2, "+"),
        )
        for each in inputs.recent
    )
    sessions = "session" if inputs.sessions == 1 else f"{inputs.sessions} sessions"
    title = f"The algorithms over the last {sessions} with orders"
    return [Heading(title), Table(RECORD_HEAD, rows), Text(RECORD_TERMS)]


def _pictures(inputs: DayOfOrders) -> list[Block]:
    worked = [r for r in inputs.records if r.order.arrival_price is not None]
    largest = sorted(worked, key=lambda r: -(r.measures.notional or 0))[:DRAWN]
    chosen = {record.order.parent_id for record in largest}
    found: list[Block] = []
    for record in worked:
        drawn = order_picture(record, inputs.zone) if record.order.parent_id in chosen else None
        if drawn:
            order = record.order
            title = f"{order.parent_id}: {order.side} {order.quantity:,} ({record.measures.algorithm})"
            found.append(Picture(title=title, svg=drawn.svg, words=drawn.words))
    if not found:
        return []
    left = len(worked) - len(found)
    note = [Text(f"The {len(found)} of the most money; {left} more are in the tables alone.")] if left else []
    return [Heading("Order by order"), *note, *found]


def _short_id(record: OrderRecord) -> str:
    """The order's id without the day, which all of them share."""
    return record.order.parent_id.partition("-")[2]


def _what(record: OrderRecord) -> str:
    """Not broken over lines in a narrow column."""
    return f"{record.order.side}\u00a0{record.order.quantity:,}"


def _more(records: Sequence[OrderRecord]) -> list[Block]:
    return [Text(f"and {len(records) - LISTED} more.")] if len(records) > LISTED else []


def _number(value: float | Decimal | None, digits: int = 1, sign: str = "") -> str:
    """Written with so many decimals; never as -0."""
    return UNKNOWN if value is None else f"{round(float(value), digits) + 0.0:{sign},.{digits}f}"
