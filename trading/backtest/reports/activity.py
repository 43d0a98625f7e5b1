"""What a run did with its capital, as blocks of its report: trades, refused orders, capital and costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from observability.report_document import Block, Heading, Table, Text
from trading.backtest.reports import facts, numbers
from trading.backtest.reports.facts import TOTAL, Reported
from trading.backtest.trades import Trade

TRADE_COLUMNS = (
    "Strategy",
    "Symbol",
    "#Shares",
    "From",
    "To",
    "#Bars",
    "#At",
    "#Out at",
    "#Profit",
    "#Return",
)
CAPITAL = (
    "Bound: what positions cost as they were opened, all in all; released: what of that came back as they "
    "were reduced or closed; used: the difference, what the open ones cost. Moved: given by a rebalancing, "
    "or taken (below 0)."
)
SLIPPAGE = (
    "Slippage is in the prices of the fills and so in profits and equity; it has no sum of its own. Fees, "
    "borrowing (paid, below 0), interest and dividends (received, above 0) are cash that moved."
)


def trades(run: Reported) -> Iterator[Block]:
    """Trades in numbers, the best and the worst, and what is open at the end."""
    yield Heading("Trades")
    groups = {name: result.trades for name, result in run.strategies.items()}
    rows = [_summary_row(name, trades) for name, trades in groups.items()]
    if run.is_portfolio:
        rows.insert(0, _summary_row(TOTAL, run.trades))
    columns = ("#Closed", "#Won", "#Lost", "#Profit", "#On average", "#Best", "#Worst")
    yield Table(("Strategy", *columns, "#Bars held", "#Median", "#Longest"), tuple(rows))
    for name, trades in zip(("Best", "Worst"), facts.best_and_worst(run), strict=True):
        if trades:
            yield Text(f"{name} trades, by profit after fees:")
            yield Table(TRADE_COLUMNS, tuple(_trade_row(who, trade) for who, trade in trades))
    held = tuple(
        (name, symbol, numbers.shares(quantity))
        for name, result in run.strategies.items()
        for symbol, quantity in result.positions.items()
    )
    if held:
        yield Text("Open at the end, marked at the last close and in no trade above:")
        yield Table(("Strategy", "Symbol", "#Shares"), held)


def _summary_row(name: str, trades: Sequence[Trade]) -> tuple[str, ...]:
    these = facts.summed_up(trades)
    amounts = (these.average, these.best, these.worst)
    return (
        name,
        f"{these.count:,}",
        f"{these.won:,}",
        f"{these.lost:,}",
        numbers.money(these.profit),
        *(numbers.NONE if amount is None else numbers.money(amount) for amount in amounts),
        numbers.NONE if these.mean_bars is None else f"{these.mean_bars:,.1f}",
        numbers.NONE if these.median_bars is None else f"{these.median_bars:,.1f}",
        numbers.NONE if these.longest_bars is None else f"{these.longest_bars:,}",
    )


def _trade_row(name: str, trade: Trade) -> tuple[str, ...]:
    return (
        name,
        trade.symbol,
        numbers.shares(trade.quantity),
        _day(trade.entry_at.isoformat()),
        _day(trade.exit_at.isoformat()),
        f"{trade.bars:,}",
        f"{trade.entry_price:,.4f}",
        f"{trade.exit_price:,.4f}",
        numbers.money(trade.pnl),
        numbers.percent(trade.return_fraction),
    )


def _day(instant: str) -> str:
    return instant.removesuffix("T00:00:00+00:00").replace("+00:00", "Z").replace("T", " ")


def refused(run: Reported) -> Iterator[Block]:
    """Orders that were not filled, by strategy and reason."""
    found = facts.refusals(run)
    yield Heading("Orders that were not filled")
    if not found:
        yield Text("None: every order was filled.")
        return
    rows = tuple(
        (
            each.strategy,
            f"{each.count:,}",
            each.reason,
            each.first,
            each.last,
            numbers.money(each.requested) if each.requested else numbers.NONE,
        )
        for each in found
    )
    yield Table(("Strategy", "#Orders", "Why", "First", "Last", "#Largest cost"), rows)


def capital(run: Reported) -> Iterator[Block]:
    """Where each strategy's capital went."""
    yield Heading("Capital")
    rows = []
    for name in run.strategies:
        each = facts.capital(run, name)
        amounts = (each.given, each.moved, each.bound, each.released, each.used)
        available = numbers.NONE if each.available is None else numbers.money(each.available)
        rows.append((name, *(numbers.money(amount) for amount in amounts), available))
    columns = ("#Given", "#Moved", "#Bound by positions", "#Released", "#Used at the end", "#Available")
    yield Table(("Strategy", *columns), tuple(rows))
    yield Text(CAPITAL)
    if run.reserve is not None and (run.reserve[0] or run.reserve[-1]):
        began, ended = (numbers.money(run.reserve.item(at)) for at in (0, -1))
        yield Text(
            f"Cash that no strategy had, in the total: {began} after the first bar, {ended} at the end."
        )


def costs(run: Reported) -> Iterator[Block]:
    """What trading and holding cost."""
    yield Heading("Costs")
    groups = {name: [result] for name, result in run.strategies.items()}
    rows = [_costs_row(name, facts.costs(results)) for name, results in groups.items()]
    if run.is_portfolio:
        rows.insert(0, _costs_row(TOTAL, facts.costs(run.strategies.values())))
    columns = ("#Fills", "#Traded", "#Fees", "#Borrowing", "#Interest", "#Dividends", "#Sum")
    yield Table(("Strategy", *columns), tuple(rows))
    yield Text(SLIPPAGE)


def _costs_row(name: str, costs: facts.Costs) -> tuple[str, ...]:
    amounts = (costs.traded, costs.fees, costs.borrow, costs.interest, costs.dividends, costs.sum)
    return (name, f"{costs.fills:,}", *(numbers.money(amount) for amount in amounts))
