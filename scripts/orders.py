"""The day's orders: enter them, look at them, cancel them, halt and resume trading.

    python -m scripts.orders add AAPL buy 5000 [--urgency high] [--limit-price 190.50] [--for 2026-11-23]
    python -m scripts.orders import orders.csv
    python -m scripts.orders list [--day 2026-11-23]
    python -m scripts.orders show 20261123-AAPL-0001
    python -m scripts.orders cancel 20261123-AAPL-0001
    python -m scripts.orders halt "the broker's screen looks wrong"
    python -m scripts.orders resume

A file for `import` has a header line with symbol, side, quantity and, where wanted, what else `add` takes
(limit_price for --limit-price). All its orders are entered or none. Importing it twice enters nothing twice:
an order without a reference is known by the file's name, the day and its line. Exit codes: 0 done; 1 refused,
or not found; 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

from orchestration.errors import OrchestratorError
from orchestration.spec_fields import did_you_mean
from scripts._execution import LEDGER, kill_switch, ledger_of
from scripts._job import now, parse, parser, settings
from scripts._session_hours import SessionBook
from trading.execution.errors import ExecutionError, PlanError
from trading.execution.facts import MarketFacts
from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import ChildOrder, DeadlinePolicy, ParentOrder, ParentState, Side, Urgency
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.plan import ExecutionPlan
from trading.execution.transitions import parent_moved

T = TypeVar("T")
WHO = "scripts.orders"


def _algorithm(text: str) -> str:
    if text not in ALLOWED:
        raise ValueError(text)
    return text


ALLOWED = ("auto", *ALGORITHMS)
REQUIRED = ("symbol", "side", "quantity")
OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "reference": str,
    "algorithm": _algorithm,
    "urgency": Urgency,
    "limit_price": Decimal,
    "strategy_id": str,
    "risk_aversion": float,
    "max_participation": float,
    "deadline_policy": DeadlinePolicy,
    "lot_size": int,
    "min_slice": int,
    "display_size": int,
    "decision_price": Decimal,
}
"""Optional fields of an order by name, with what reads them."""
EXPECTED: Mapping[Callable[[str], Any], str] = {
    _algorithm: "one of " + ", ".join(ALLOWED),
    Side: "one of " + ", ".join(Side),
    Urgency: "one of " + ", ".join(Urgency),
    DeadlinePolicy: "one of " + ", ".join(DeadlinePolicy),
    Decimal: "a price as 190.50",
    int: "a whole number",
    float: "a number",
}
"""What such a reader takes, in words."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    made = command_line()
    arguments = parse(made, argv)
    try:
        return int(COMMANDS[arguments.command](arguments, made))
    except (ExecutionError, OrchestratorError, ValueError, OSError) as error:
        print(f"orders: {error}", file=sys.stderr)
        return 1


def command_line() -> argparse.ArgumentParser:
    """Return the parser."""
    made = parser(__doc__, "state_dir", "data_dir")
    commands = made.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="enter one order")
    add.add_argument("symbol")
    add.add_argument("side", choices=[str(side) for side in Side])
    add.add_argument("quantity", type=int)
    for name in OPTIONS:
        add.add_argument(f"--{name.replace('_', '-')}")
    add.add_argument("--for", dest="day", type=_date, help="trading day (default: the next one)")
    take = commands.add_parser("import", help="enter the orders of a CSV file")
    take.add_argument("file", type=Path)
    take.add_argument("--for", dest="day", type=_date, help="trading day (default: the next one)")
    listed = commands.add_parser("list", help="the orders of a day")
    listed.add_argument("--day", type=_date, help="default: all that are not finished, and today's")
    for name, text in (
        ("show", "one order with its plan, children and fills"),
        ("cancel", "cancel one order"),
    ):
        commands.add_parser(name, help=text).add_argument("parent_id")
    commands.add_parser("halt", help="nothing more is sent, open orders are cancelled").add_argument("reason")
    commands.add_parser("resume", help="take the halt away")
    return made


def add(arguments: argparse.Namespace, made: argparse.ArgumentParser) -> int:
    """Enter one order."""
    values = {name: getattr(arguments, name) for name in OPTIONS if getattr(arguments, name) is not None}
    row = {"symbol": arguments.symbol, "side": arguments.side, "quantity": str(arguments.quantity), **values}
    at = now()
    day = _session_day(arguments.day, made, at)
    row.setdefault("reference", f"by hand {at.isoformat()}")
    return _enter(arguments, [order_of(row, day, at)], at)


def take_file(arguments: argparse.Namespace, made: argparse.ArgumentParser) -> int:
    """Enter every order of a file, or none of them."""
    at = now()
    day = _session_day(arguments.day, made, at)
    with open(arguments.file, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        _check_header(arguments.file, reader.fieldnames or ())
        orders, problems = [], []
        for row in reader:
            given = {name: text.strip() for name, text in row.items() if name and text and text.strip()}
            given.setdefault("reference", f"{arguments.file.name} {day} line {reader.line_num}")
            try:
                if None in row:
                    # A thousands' comma would make 1 of 1,000.
                    raise ValueError(f"more cells than columns: {', '.join(row[None])!r} is left over")
                orders.append(order_of(given, day, at))
            except ValueError as error:
                problems.append(f"{arguments.file}:{reader.line_num}: {error}")
    if problems:
        raise ValueError("\n".join(problems))
    return _enter(arguments, orders, at)


def _check_header(file: Path, columns: Sequence[str]) -> None:
    unknown = [name for name in columns if name not in (*REQUIRED, *OPTIONS)]
    missing = [name for name in REQUIRED if name not in columns]
    if unknown:
        raise ValueError(f"{file}:1: unknown column {', '.join(unknown)}{did_you_mean(unknown[0], OPTIONS)}")
    if missing:
        raise ValueError(f"{file}:1: no column {', '.join(missing)}; the first line names the columns")


def order_of(row: Mapping[str, str], day: date, at: datetime) -> ParentOrder:
    """Return the order of one row of texts. Raises ValueError naming the field and the value."""
    missing = [name for name in REQUIRED if not row.get(name)]
    if missing:
        raise ValueError(f"no {', '.join(missing)}; an order needs {', '.join(REQUIRED)}")
    values: dict[str, Any] = {
        name: _read(name, row[name], read) for name, read in OPTIONS.items() if name in row
    }
    return ParentOrder(
        parent_id="",
        session=day,
        symbol=row["symbol"].upper(),
        side=_read("side", row["side"].lower(), Side),
        quantity=_read("quantity", row["quantity"], int),
        created_at=at,
        decided_at=at if "decision_price" in row else None,
        **values,
    )


def _read(name: str, text: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except (ValueError, InvalidOperation):
        raise ValueError(f"{name} is {text!r}: expected {EXPECTED[read]}") from None


def _enter(arguments: argparse.Namespace, orders: list[ParentOrder], at: datetime) -> int:
    """Commit orders together with what is known of their symbols, so that they can be planned at any time."""
    facts, unknown = _facts(arguments.data_dir, orders)
    with ledger_of(arguments.state_dir) as ledger, ledger.writing(at) as book:
        for each in facts:
            book.put_facts(each)
        known = {order.reference for order in orders if ledger.by_reference(order.reference)}
        entered = [book.add_parent(order) for order in orders]
    for order in entered:
        what = f"{order.side} {order.quantity} {order.symbol}"
        before = ", entered before" if order.reference in known else ""
        print(f"{order.parent_id}  {what} for {order.session}: {order.state}{before}")
    for problem in unknown:
        print(f"  note: {problem}")
    if not entered:
        print("no orders in it")
    return 0


def _facts(data_dir: Path, orders: list[ParentOrder]) -> tuple[list[MarketFacts], list[str]]:
    """Return what the stored bars tell of the orders' symbols, and what they do not."""
    from trading.execution.facts_from_bars import market_facts
    from trading.execution.volume_profiles import ProfileStore
    from trading.marketdata.bars import BarStore

    found, problems = [], []
    for symbol, day in sorted({(order.symbol, order.session) for order in orders}):
        try:
            found.append(market_facts(symbol, BarStore(data_dir), ProfileStore(data_dir), before=day))
        except PlanError as error:
            problems.append(f"{symbol} cannot be planned yet: {error}")
    return found, problems


def show_list(arguments: argparse.Namespace, made: argparse.ArgumentParser) -> int:
    """List orders."""
    standing = kill_switch(arguments.state_dir).read()
    if standing is not None:
        print(f"TRADING IS HALTED: {standing.reason}")
    orders = _listed(arguments.state_dir, arguments.day)
    print("\n".join(orders) or "no orders")
    return 0


def _listed(state_dir: Path, day: date | None) -> list[str]:
    """Return the lines of a day's orders; None: of all that are not finished, and today's."""
    if not (state_dir / LEDGER).exists():
        return []
    with ledger_of(state_dir, read_only=True) as ledger:
        orders, today = ledger.parents(session=day), now().date()
        shown = [o for o in orders if day or not o.state.is_final or o.session >= today]
        return [line_of(ledger, order) for order in shown]


def line_of(ledger: Ledger, order: ParentOrder) -> str:
    """Return an order in one line."""
    done, plan = ledger.filled(order.parent_id), ledger.plan(order.parent_id)
    how = plan.algorithm if plan else order.algorithm
    reason = f"  ({order.reason})" if order.reason else ""
    return (
        f"{order.parent_id:<24} {order.side:<4} {done:>9}/{order.quantity:<9} {how:<14} {order.state}{reason}"
    )


def show(arguments: argparse.Namespace, made: argparse.ArgumentParser) -> int:
    """Show one order with everything that belongs to it."""
    with ledger_of(arguments.state_dir, read_only=True) as ledger:
        print(line_of(ledger, ledger.parent(arguments.parent_id)))
        for plan in ledger.plans(arguments.parent_id):
            print(plan_line(plan))
            for text in dict.fromkeys((*plan.reasons, *plan.warnings)):
                print(f"  {text}")
        for child in ledger.children(arguments.parent_id):
            print(child_line(child))
        for fill in ledger.fills(arguments.parent_id):
            print(f"  fill {fill.at:%H:%M:%S}Z {fill.quantity} @ {fill.price} ({fill.execution_id})")
    return 0


def plan_line(plan: ExecutionPlan) -> str:
    """Return a plan in one line."""
    count = sum(planned.quantity > 0 for planned in plan.slices)
    return (
        f"plan {plan.number} at {plan.made_at:%H:%M:%S}Z ({plan.cause}): {plan.algorithm}, "
        f"{plan.choice.rule}; slices: {count}, cost {plan.expected_cost:.2f} $ "
        f"({plan.expected_cost_bps:.1f} bp), risk {plan.variance**0.5:.2f} $"
    )


def child_line(child: ChildOrder) -> str:
    """Return a child in one line."""
    price = f" @ {child.limit_price}" if child.limit_price else ""
    why = f"  {child.reason}" if child.reason else ""
    done = f"{child.filled:>7}/{child.quantity:<7}"
    return f"{child.client_order_id}  {done} {child.kind}{price}  {child.state}{why}"


def cancel(arguments: argparse.Namespace, made: argparse.ArgumentParser) -> int:
    """Cancel one order: the executor cancels what of it is open at its next look."""
    at = now()
    with ledger_of(arguments.state_dir) as ledger, ledger.writing(at) as book:
        order = ledger.parent(arguments.parent_id)
        if order.state.is_final:
            print(f"{order.parent_id} is {order.state} already; nothing to cancel")
            return 0
        book.put_parent(parent_moved(order, ParentState.CANCELLED, at, "cancelled by hand"))
    print(
        f"{order.parent_id} is cancelled; what of it is open is cancelled by the executor, if one is at work"
    )
    return 0


def halt(arguments: argparse.Namespace, made: argparse.ArgumentParser) -> int:
    """Set the kill switch."""
    switch = kill_switch(arguments.state_dir)
    before = switch.read()
    switch.set(arguments.reason, WHO, now())
    if before is not None:
        print(f"trading was halted already: {before.reason}; your reason is added")
        return 0
    print("trading is halted: nothing more is sent, open orders are cancelled. Back: scripts.orders resume")
    return 0


def resume(arguments: argparse.Namespace, made: argparse.ArgumentParser) -> int:
    """Take the kill switch away."""
    was_set = kill_switch(arguments.state_dir).clear(WHO, now())
    print("trading may go on; orders that were killed stay so" if was_set else "trading was not halted")
    return 0


def _session_day(wanted: date | None, made: argparse.ArgumentParser, at: datetime) -> date:
    """Return the trading day that an order is for: the one wanted, or the one that is on or comes next.

    Raises:
        ValueError: if no session of that day is still to be traded.
    """
    book = SessionBook(settings(made), at.date())
    hours = book.next_session(at) if wanted is None else book(wanted)
    if hours is None:
        day = "from now on" if wanted is None else f"on {wanted}"
        raise ValueError(f"no session is known {day}; `orchestratorctl calendar` and docs/calendar.md")
    if hours.close <= at:
        raise ValueError(f"the session of {hours.day} ended at {hours.close:%Y-%m-%d %H:%M} UTC")
    return hours.day


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write YYYY-MM-DD") from None


COMMANDS: Mapping[str, Callable[[argparse.Namespace, argparse.ArgumentParser], int]] = {
    "add": add,
    "import": take_file,
    "list": show_list,
    "show": show,
    "cancel": cancel,
    "halt": halt,
    "resume": resume,
}


if __name__ == "__main__":
    sys.exit(main())
