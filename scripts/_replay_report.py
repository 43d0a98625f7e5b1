"""The report of orders that `run_execution` has worked: the execution report, with the ways to work an order
compared, each symbol's day in a picture, and what was planned anew and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from observability.report_document import (
    OK,
    WARN,
    Block,
    Document,
    Heading,
    Notice,
    Picture,
    Table,
    Text,
    as_html,
    as_markdown,
)
from scripts._execution_report import DayOfOrders, compose
from trading.execution.execution_pictures import order_picture
from trading.execution.order_records import OrderRecord
from trading.execution.orders import ParentOrder, ParentState
from trading.execution.replay_pictures import png, svg, words
from trading.execution.smart.plan import SessionHours
from trading.marketdata.files import replace_file

COMPARED = (
    *(
        "Algorithm",
        "State",
        "#Filled",
        "#Average $",
        "#Shortfall",
        "#Since arrival",
        "#Planned",
        "#Risk",
        "#z",
    ),
    "#To VWAP",
)
TERMS = (
    "In basis points of the order's value, + is a cost. Shortfall: against the price at which the order was "
    "decided (in a replay the day's first), shares not filled included; since arrival: against the price "
    "when work began. Planned and risk: what the first plan foretold for the latter, and its standard "
    "deviation; z: how many of these it came out dearer. To VWAP: average price against the market's while "
    "the order was worked."
)
PARTS = (
    *("Algorithm", "#Delay", "#Execution", "#Opportunity", "#Fees", "#Shortfall", "#Of market", "#Plans"),
    *("#Children", "#Last fill"),
)
PARTS_TERMS = (
    "The shortfall's parts, in basis points. Delay: the price's move before work began; execution: the fills "
    "against the arrival price; opportunity: the shares that were not filled, at the end against the arrival "
    "price. Of market: filled part of all shares traded while the order was worked."
)
LISTED = 12
"""New plans of an order that are listed one by one; changes of the inner algorithm are listed anyway."""


def write(
    folder: Path,
    title: str,
    records: Sequence[OrderRecord],
    hours: SessionHours,
    now: datetime,
    zone: ZoneInfo,
    remarks: Sequence[str],
) -> list[Path]:
    """Write report.html, report.md and a PNG for each symbol into `folder`; return their paths.

    records: one or several of each symbol, one for each algorithm. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {f"{symbol}.png": group for symbol, group in by_symbol(records).items()}
    for name, group in pictures.items():
        replace_file(folder / name, png(group, hours, zone, f"{heading_of(group[0].order)}, {hours.day}"))
    document = report(title, records, hours, now, zone, remarks)
    text = as_markdown(document)
    for name, group in pictures.items():
        picture = f"![{words(group, zone)}]({name})"
        text = text.replace(
            f"### {heading_of(group[0].order)}\n", f"### {heading_of(group[0].order)}\n\n{picture}\n", 1
        )
    replace_file(folder / "report.html", as_html(document).encode())
    replace_file(folder / "report.md", text.encode())
    return [folder / name for name in ("report.html", "report.md", *pictures)]


def report(
    title: str,
    records: Sequence[OrderRecord],
    hours: SessionHours,
    now: datetime,
    zone: ZoneInfo,
    remarks: Sequence[str],
) -> Document:
    """Return the report as a document."""
    groups = by_symbol(records)
    notices: list[Block] = [Notice(WARN, remark) for remark in remarks]
    days = [block for group in groups.values() for block in _day(group, hours, zone)]
    anew = [Heading("What was planned anew, and why"), *_plans(records, zone)]
    base = compose(DayOfOrders(day=hours.day, now=now, zone=zone, records=records))
    if len(records) == len(groups):
        # The figures at the top first, then these, then the tables of all orders.
        return replace(base, title=title, blocks=(*base.blocks[:1], *notices, *days, *anew, *base.blocks[1:]))
    # Ways to work the same order: they have no common sum.
    return replace(base, title=title, blocks=(*notices, *days, *anew, *_each(records, zone)))


def _day(group: Sequence[OrderRecord], hours: SessionHours, zone: ZoneInfo) -> list[Block]:
    """One symbol's day: the ways to work the order compared, if there are several, and the picture."""
    name, found = heading_of(group[0].order), list[Block]()
    if len(group) > 1:
        levels = tuple(OK if r.order.state is ParentState.COMPLETED else WARN for r in group)
        found += [Heading(f"{name}: the ways to work it")]
        found += [Table(COMPARED, tuple(compared_row(r) for r in group), levels), Text(TERMS)]
        found += [Table(PARTS, tuple(_parts_row(r, zone) for r in group)), Text(PARTS_TERMS)]
    else:
        found += [Heading(f"{name}: the day")]
    return [*found, Picture(title=name, svg=svg(group, hours, zone), words=words(group, zone))]


def _each(records: Sequence[OrderRecord], zone: ZoneInfo) -> list[Block]:
    """Each order slice by slice."""
    found: list[Block] = [Heading("Slice by slice")]
    for record in records:
        drawn = order_picture(record, zone) if record.fills else None
        if drawn:
            title = f"{heading_of(record.order)} by {record.measures.algorithm}"
            found.append(Picture(title=title, svg=drawn.svg, words=drawn.words))
    return found


def _parts_row(record: OrderRecord, zone: ZoneInfo) -> tuple[str, ...]:
    measures, parts = record.measures, record.measures.shortfall
    amounts = (parts.delay, parts.execution, parts.opportunity, parts.fees, parts.total) if parts else ()
    share = measures.participation
    return (
        measures.algorithm,
        *((_bps(measures.bps(amount), "+") for amount in amounts) if amounts else ("–",) * 5),
        "–" if share is None else f"{100 * share:.2f} %",
        str(measures.plans),
        str(len(record.children) or len(record.fills[:1])),
        f"{record.fills[-1].at.astimezone(zone):%H:%M}" if record.fills else "–",
    )


def by_symbol(records: Sequence[OrderRecord]) -> Mapping[str, list[OrderRecord]]:
    """Return the records by symbol, in the order given."""
    groups: dict[str, list[OrderRecord]] = {}
    for record in records:
        groups.setdefault(record.order.symbol, []).append(record)
    return groups


def heading_of(order: ParentOrder) -> str:
    """Return what was wanted: "Buy 5,000 AAPL"."""
    return f"{order.side.capitalize()} {order.quantity:,} {order.symbol}"


def compared_row(record: OrderRecord) -> tuple[str, ...]:
    """Return one row of the comparison, by COMPARED."""
    measures = record.measures
    risk = measures.expected_risk
    risk_bps = None if risk is None or not measures.notional else 1e4 * risk / float(measures.notional)
    price = measures.average_price
    return (
        measures.algorithm,
        str(measures.state),
        f"{100 * measures.fill_frac:.1f} %",
        "–" if price is None else f"{price:,.{4 if price < 10 else 2}f}",
        _bps(measures.shortfall_bps, "+"),
        _bps(measures.realised_bps, "+"),
        _bps(measures.expected_cost_bps),
        _bps(risk_bps),
        "–" if measures.z_score is None else f"{measures.z_score:+.2f}",
        _bps(measures.slippage_vwap_bps, "+"),
    )


def _bps(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{round(value, 1) + 0.0:{sign}.1f}"


def _plans(records: Sequence[OrderRecord], zone: ZoneInfo) -> list[Block]:
    rows: list[tuple[str, ...]] = []
    for record in records:
        rows += _plan_rows(record, zone)
    if not rows:
        return [Text("Nothing: every order kept to its first plan.")]
    head = ("Order", "#At", "#Shares left", "Worked as", "Why")
    return [
        Table(head, tuple(rows)),
        Text("A shortfall is planned over the time that is left, never sent at once."),
    ]


def _plan_rows(record: OrderRecord, zone: ZoneInfo) -> list[tuple[str, ...]]:
    """The new plans of one order: all, or the first of each kind of cause with the number of the others."""
    anew = list(zip(record.plans, record.plans[1:], strict=False))
    kinds: dict[str, list[int]] = {}
    for index, (before, after) in enumerate(anew):
        is_switch = before.inner != after.inner
        kind = f"switch {index}" if is_switch or len(anew) <= LISTED else re.sub(r"[\d.,]+", "#", after.cause)
        kinds.setdefault(kind, []).append(index)
    rows: list[tuple[str, ...]] = []
    for indices in kinds.values():
        after = anew[indices[0]][1]
        more = f" (and {len(indices) - 1} more of the kind)" if len(indices) > 1 else ""
        name = f"{record.order.symbol} {record.measures.algorithm}"
        at = f"{after.made_at.astimezone(zone):%H:%M}"
        rows.append((name, at, f"{after.quantity:,}", after.inner, after.cause + more))
    return rows
