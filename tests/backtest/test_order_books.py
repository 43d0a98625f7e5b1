"""A book that cannot be is refused by name, alone and in a series; what is accepted cannot be changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.hand_made_books import book, random_books, series
from trading.backtest.books.book import BookFault, BookSeries, OrderBook
from trading.backtest.errors import HistoryError

GOOD_BIDS, GOOD_ASKS = [(100.0, 300.0), (99.5, 200.0)], [(100.5, 100.0), (101.0, 400.0)]


@pytest.mark.parametrize(
    ("bids", "asks", "said"),
    [
        ([(100.5, 1)], GOOD_ASKS, "ask_price_1 is 100.5: expected a price above bid_price_1 = 100.5"),
        ([(100.7, 1)], GOOD_ASKS, "ask_price_1 is 100.5: expected a price above bid_price_1 = 100.7"),
        ([(100, 1), (100, 1)], GOOD_ASKS, "bid_price_2 is 100: expected a price below bid_price_1 = 100"),
        (GOOD_BIDS, [(101, 1), (100.5, 1)], "ask_price_2 is 100.5: expected a price above ask_price_1 = 101"),
        ([(100, 0)], GOOD_ASKS, "bid_size_1 is 0: expected shares above 0"),
        ([(100, 1), (99, -5)], GOOD_ASKS, "bid_size_2 is -5: expected shares above 0"),
        ([(0, 1)], GOOD_ASKS, "bid_price_1 is 0: expected a price above 0"),
        (GOOD_BIDS, [(float("inf"), 1)], "ask_price_1 is inf: expected a price above 0"),
        ([], GOOD_ASKS, r"levels of the bid side is 0: expected at least 1"),
    ],
)
def test_a_book_that_cannot_be_is_refused_by_field_and_value(bids: Any, asks: Any, said: str) -> None:
    with pytest.raises(BookFault, match=said):
        book(bids, asks)


def columns(levels: int = 2, rows: int = 3) -> dict[str, Any]:
    """Columns of a good series that a test may spoil."""
    one = series([book(GOOD_BIDS, GOOD_ASKS, stamp) for stamp in range(rows)], levels)
    return {
        name: np.array(getattr(one, name))
        for name in ("stamps", "bid_price", "bid_size", "ask_price", "ask_size")
    }


@pytest.mark.parametrize(
    ("name", "at", "value", "said"),
    [
        ("bid_price", (1, 0), 100.5, "row 1: ask_price_1 is 100.5: expected a price above bid_price_1"),
        ("ask_size", (2, 1), 0.0, "row 2: ask_size_2 is 0: expected shares above 0"),
        ("ask_price", (2, 1), np.nan, "row 2: ask_price_2 is nan: expected a price above 0"),
        ("bid_price", (0, 1), 100.0, "row 0: bid_price_2 is 100: expected a price below bid_price_1 = 100"),
        ("bid_price", (1, 1), np.inf, "row 1: bid_price_2 is inf: expected a price above 0"),
        ("stamps", 1, -7, "row 1: stamp_ns is -7: expected at least that of the row before, 0"),
    ],
)
def test_the_first_faulty_row_of_a_series_is_named(name: str, at: Any, value: float, said: str) -> None:
    spoilt = columns()
    spoilt[name][at] = value

    with pytest.raises(BookFault, match=said):
        BookSeries(**spoilt)


def test_a_level_behind_an_empty_one_is_refused() -> None:
    spoilt = columns()
    spoilt["ask_price"][1, 0], spoilt["ask_size"][1, 0] = np.nan, 0.0

    with pytest.raises(BookFault, match="row 1: ask_price_1 is nan"):
        BookSeries(**spoilt)


@given(
    name=st.sampled_from(["bid_price", "bid_size", "ask_price", "ask_size"]),
    row=st.integers(0, 2),
    level=st.integers(0, 1),
    value=st.sampled_from([np.nan, 0.0, -1.0, np.inf, 99.5, 99.7, 100.0, 100.2, 100.5, 101.0, 300.0]),
)
def test_a_series_takes_just_what_single_books_take(name: str, row: int, level: int, value: float) -> None:
    """The array check and the check of single snapshots are two pieces of code: they must agree."""
    spoilt = columns()
    spoilt[name][row, level] = value
    sides = {key: spoilt[key][row].tolist() for key in spoilt if key != "stamps"}
    for side in ("bid", "ask"):
        if np.isnan(sides[f"{side}_price"][-1]) and sides[f"{side}_size"][-1] == 0.0:
            sides[f"{side}_price"].pop(), sides[f"{side}_size"].pop()

    def fault(make: Any) -> str:
        try:
            make()
        except BookFault as found:
            return found.field
        return ""

    single = fault(lambda: OrderBook(stamp=0, **{key: tuple(each) for key, each in sides.items()}))
    assert fault(lambda: BookSeries(**spoilt)) == single


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    spoilt = columns()
    spoilt["ask_size"] = spoilt["ask_size"][:, :1]

    with pytest.raises(HistoryError, match=r"ask_size has the shape \(3, 1\): expected \(3, 2\)"):
        BookSeries(**spoilt)


@pytest.mark.parametrize(
    ("trades", "said"),
    [
        ({"bought": [0, 1, 2]}, "only one of bought and sold"),
        ({"bought": [0, 1], "sold": [0, 1]}, r"bought has the shape \(2,\): expected \(3,\)"),
        ({"bought": [0, 1, 2], "sold": [0, -1, 2]}, "row 1: sold is -1: expected shares from 0 up"),
    ],
)
def test_trades_that_cannot_be_are_refused(trades: dict[str, list[float]], said: str) -> None:
    with pytest.raises(HistoryError, match=said):
        BookSeries(**columns(), **{name: np.array(each, dtype=float) for name, each in trades.items()})


def test_a_series_without_snapshots_is_refused() -> None:
    with pytest.raises(HistoryError, match=r"stamps have the shape \(0,\)"):
        BookSeries(**columns(rows=0))


@given(random_books())
def test_a_series_gives_back_its_books(books: list[OrderBook]) -> None:
    assert list(series(books, levels=7)) == books


def test_a_series_cannot_be_written_to() -> None:
    books = BookSeries(**columns())

    with pytest.raises(ValueError, match="read-only"):
        books.bid_price[0, 0] = 1.0


def test_a_part_of_a_series_is_its_rows_alone() -> None:
    books = BookSeries(**columns(), bought=np.array([1.0, 2.0, 3.0]), sold=np.zeros(3))

    part = books.part(1, 3)

    assert part.stamps.tolist() == [1, 2]
    assert part.bought is not None
    assert part.bought.tolist() == [2.0, 3.0]
