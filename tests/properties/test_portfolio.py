"""Whatever is traded and however prices move: nothing is earned or lost but what the parts add up to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.valued import CAPITAL, MINUTE, NOON, fill, of
from trading.portfolio.decisions import Decision, due
from trading.portfolio.limits import Action, Kind, Standing
from trading.portfolio.pnl import pnl_of, position_pnls, total_by_strategy
from trading.portfolio.positions import Position, StrategyFill, after_fill
from trading.portfolio.valuation import ClosedBooks, Mark, close_books, value

SYMBOLS, STRATEGIES = ("ACME", "BETA"), ("", "trend", "pairs")
prices = st.decimals(min_value="0.01", max_value="2000", places=4)
fees = st.decimals(min_value="-1", max_value="5", places=4).map(str)
trades = st.tuples(
    st.sampled_from(STRATEGIES),
    st.sampled_from(SYMBOLS),
    st.integers(-5_000, 5_000).filter(bool),
    prices,
    fees,
)
Trade = tuple[str, str, int, Decimal, str]
sessions = st.lists(
    st.tuples(
        st.lists(trades, max_size=8),
        st.fixed_dictionaries({}, optional=dict.fromkeys(SYMBOLS, prices)),
        st.integers(1_000, 1_000_000).map(Decimal),
    ),
    min_size=1,
    max_size=4,
)


def fills_of(given_trades: Sequence[Trade], day: int) -> list[StrategyFill]:
    found: list[StrategyFill] = []
    for number, (strategy, symbol, shares, price, fee) in enumerate(given_trades):
        minute = day * 1_440 + number
        found += of(strategy, fill(shares, price, fee=fee, symbol=symbol, minute=minute))
    return found


@given(sessions)
def test_the_sum_over_the_strategies_is_the_change_in_equity_but_for_capital_put_in(
    days: list[tuple[list[Trade], dict[str, Decimal], Decimal]],
) -> None:
    books: ClosedBooks | None = None
    equity, capital = CAPITAL, CAPITAL
    for number, (wanted, quoted, new_capital) in enumerate(days):
        at = NOON + timedelta(days=number) + 60 * MINUTE
        marks = {symbol: Mark(price=price, at=at) for symbol, price in quoted.items()}

        worth = value(books, fills_of(wanted, number), marks, capital=new_capital, at=at)
        rows = position_pnls(date(2026, 11, 20), worth)

        change = worth.equity - equity - (new_capital - capital)
        assert sum(total_by_strategy(rows).values()) == change == pnl_of(date(2026, 11, 20), worth).total
        books = close_books(worth, date(2026, 11, 20) + timedelta(days=number), number)
        equity, capital = worth.equity, new_capital


@given(st.lists(trades, max_size=20), prices, prices)
def test_equity_is_the_money_that_came_and_went_and_what_is_held(
    wanted: list[Trade], acme: Decimal, beta: Decimal
) -> None:
    """A second method: cash by the fills, and shares at their price; no average cost in it."""
    fills, at = fills_of(wanted, 0), NOON + 60 * MINUTE
    price = {"ACME": acme, "BETA": beta}
    cash = CAPITAL - sum(f.side.sign * f.quantity * f.price + f.fee for f in (each.fill for each in fills))
    shares = sum(each.fill.side.sign * each.fill.quantity * price[each.fill.symbol] for each in fills)

    marks = {symbol: Mark(price=price[symbol], at=at) for symbol in SYMBOLS}

    assert value(None, fills, marks, capital=CAPITAL, at=at).equity == cash + shares


@given(st.lists(trades, max_size=30))
def test_closing_the_books_in_between_changes_no_profit(wanted: list[Trade]) -> None:
    fills, at = fills_of(wanted, 0), NOON + 60 * MINUTE
    middle = len(fills) // 2

    once = value(None, fills, {}, capital=CAPITAL, at=at)
    first = value(None, fills[:middle], {}, capital=CAPITAL, at=at)
    books = close_books(first, date(2026, 11, 20), 1)
    twice = value(books, fills[middle:], {}, capital=CAPITAL, at=at)

    # A symbol without a fill in the second half keeps the price of the books, which is the same fill's.
    assert twice.profit == once.profit
    assert twice.exposure == once.exposure


@given(st.lists(st.tuples(st.integers(-500, 500).filter(bool), prices), max_size=30))
def test_a_position_is_its_fills_and_costs_nothing_once_it_is_flat(
    wanted: list[tuple[int, Decimal]],
) -> None:
    position = Position()
    for number, (shares, price) in enumerate(wanted):
        position = after_fill(position, fill(shares, price, minute=number))

    assert position.quantity == sum(shares for shares, _ in wanted)
    assert (position.cost == 0) == (position.quantity == 0)


@given(
    st.lists(st.decimals(min_value="0", max_value="30", places=2), max_size=60),
    st.decimals(min_value="0.5", max_value="10", places=2),
)
def test_a_loss_that_wavers_halts_a_few_times_at_most(losses: list[Decimal], bound: Decimal) -> None:
    """Every new halt is a quarter of the limit worse than the last, however long it wavers."""
    earlier: list[Decision] = []
    for loss in losses:
        standing = Standing(
            kind=Kind.DAILY_LOSS,
            value_pct=loss,
            bound_pct=bound,
            action=Action.HALT,
            episode="2026-11-20",
        )
        new = due(standing, earlier, date(2026, 11, 20), NOON)
        earlier += [new] if new else []

    values = [each.value_pct for each in earlier]
    assert all(b >= a + bound / 4 for a, b in pairwise(values))
    assert (not values) == all(loss <= bound for loss in losses)
