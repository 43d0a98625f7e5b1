"""Order books made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from trading.backtest.books.book import BookSeries, OrderBook

Side = Sequence[tuple[float, float]]
"""(price, size) of each level, the best first."""


def book(bids: Side, asks: Side, stamp: int = 0) -> OrderBook:
    return OrderBook(
        stamp=stamp,
        bid_price=tuple(price for price, _ in bids),
        bid_size=tuple(size for _, size in bids),
        ask_price=tuple(price for price, _ in asks),
        ask_size=tuple(size for _, size in asks),
    )


def series(books: Sequence[OrderBook], levels: int = 5) -> BookSeries:
    """Return the books as one series, with empty levels where a book has fewer."""
    sides = {}
    for name, empty in (("bid_price", np.nan), ("bid_size", 0.0), ("ask_price", np.nan), ("ask_size", 0.0)):
        sides[name] = np.full((len(books), levels), empty)
        for row, each in enumerate(books):
            values = getattr(each, name)[:levels]
            sides[name][row, : len(values)] = values
    return BookSeries(stamps=np.array([each.stamp for each in books], dtype=np.int64), **sides)


@st.composite
def random_books(draw: st.DrawFn, most: int = 8) -> list[OrderBook]:
    """Draw 1 to `most` books of 1 to 7 levels a side, in cents around 100 $, with gaps between the levels."""
    made, stamp = [], 0
    for _ in range(draw(st.integers(1, most))):
        stamp += draw(st.integers(0, 3_000_000_000))
        mid = draw(st.integers(9_990, 10_010))
        sides = []
        for away in (-1, 1):
            ticks, tick = [], mid
            for step in draw(st.lists(st.integers(1, 5), min_size=1, max_size=7)):
                tick += away * step
                ticks.append(tick)
            sides.append([(tick / 100, draw(st.floats(0.5, 5000.0))) for tick in ticks])
        made.append(book(sides[0], sides[1], stamp))
    return made
