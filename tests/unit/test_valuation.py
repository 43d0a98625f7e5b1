"""What positions are worth: which price counts, exposure, and profit since the last close."""

from __future__ import annotations

from decimal import Decimal

from tests.valued import DAY, fill, mark, of, valued
from trading.portfolio.pnl import pnl_of, position_pnls, total_by_strategy
from trading.portfolio.valuation import Source, close_books


def test_profit_is_realised_and_unrealised_less_fees() -> None:
    # Bought 100 at 10, sold 40 at 12 (+80), 60 left at 11 (+60), fees 3.
    found = valued(of("", fill(100, "10", fee="2"), fill(-40, "12", fee="1", minute=1)), {"ACME": mark("11")})

    assert (found.day_profit, found.profit, found.equity) == (Decimal(137), Decimal(137), Decimal(100_137))


def test_exposure_is_what_the_account_holds_over_all_strategies() -> None:
    # ACME: 100 - 30 at 10 = 700; BETA: -20 at 50 = -1000.
    fills = [*of("a", fill(100, "10")), *of("b", fill(-30, "10", minute=1))]
    fills += of("b", fill(-20, "50", symbol="BETA", minute=2))

    found = valued(fills)

    assert found.exposure == {"ACME": Decimal(700), "BETA": Decimal(-1000)}
    assert (found.gross, found.net) == (Decimal(1700), Decimal(-300))


def test_two_strategies_that_hold_the_same_against_each_other_are_no_exposure() -> None:
    found = valued([*of("a", fill(100, "10")), *of("b", fill(-100, "10", minute=1))])

    assert (found.exposure, found.gross) == ({}, Decimal(0))


def test_the_quote_counts_and_not_our_own_fill_of_the_same_minutes() -> None:
    """The fill has our own impact in it."""
    found = valued(of("", fill(100, "10.20", minute=5)), {"ACME": mark("10", 1)})

    assert found.marks == {"ACME": mark("10", 1)}


def test_a_fill_counts_where_the_quote_is_old() -> None:
    found = valued(of("", fill(100, "10.20", minute=5.1)), {"ACME": mark("10", 0)})

    assert found.marks == {"ACME": mark("10.20", 5.1, Source.FILL)}


def test_without_a_quote_the_newest_fill_counts_whosever_it_is() -> None:
    found = valued([*of("b", fill(100, "11", minute=2)), *of("a", fill(100, "10", minute=1))])

    assert {each.mark.price for each in found.holdings} == {11}


def test_without_anything_newer_the_price_of_the_books_counts_and_its_age_is_told() -> None:
    books = close_books(valued(of("", fill(100, "10"))), DAY, 1)

    found = valued((), books=books)

    assert found.marks == {"ACME": mark("10", 0, Source.FILL)}


def test_a_fill_that_was_booked_late_does_not_bring_its_old_price_back() -> None:
    """Executed at noon, booked after the books were closed at a price of half an hour later."""
    books = close_books(valued(of("", fill(100, "10", minute=30))), DAY, 1)

    found = valued([*of("", fill(10, "8")), *of("another", fill(10, "8"))], books=books)

    assert {each.mark for each in found.holdings} == {mark("10", 30, Source.FILL)}


def test_closed_books_begin_the_next_day_at_nothing_earned() -> None:
    # 50 earned and closed; then the price rises from 10.50 to 11: 50 more of the next day.
    books = close_books(valued(of("a", fill(100, "10")), {"ACME": mark("10.50")}), DAY, 1)

    found = valued((), {"ACME": mark("11", 9)}, books=books)

    assert (books.profit, found.day_profit, found.profit) == (Decimal(50), Decimal(50), Decimal(100))


def test_what_a_session_earned_is_the_sum_of_its_strategies() -> None:
    # a: 100 at 10, marked 11: +100, fee 1. b: 50 sold at 12, marked 11: +50.
    fills = [*of("a", fill(100, "10", fee="1")), *of("b", fill(-50, "12", minute=1))]
    valuation = valued(fills, {"ACME": mark("11")})

    total = pnl_of(DAY, valuation)

    assert total_by_strategy(position_pnls(DAY, valuation)) == {"a": Decimal(99), "b": Decimal(50)}
    assert (total.realised, total.unrealised, total.fees, total.total) == (
        Decimal(0),
        Decimal(150),
        Decimal(1),
        Decimal(149),
    )
    assert total.equity == Decimal(100_149)


def test_capital_put_in_is_no_profit() -> None:
    books = close_books(valued(of("", fill(100, "10"))), DAY, 1)

    found = valued((), books=books, capital=Decimal(150_000))

    assert (found.profit, found.equity) == (Decimal(0), Decimal(150_000))
