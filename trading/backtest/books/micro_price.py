"""The micro-price: the mid corrected by where it went from like books before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.backtest.books.book import BookSeries, Floats, Ints, OrderBook
from trading.backtest.books.features import mid, queue_imbalance, spread
from trading.execution.checking import positive, whole


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MicroPrice:
    """What `fit_micro_price` learned. adjustment: cash per share to add to the mid, shape (buckets, spreads):
    row 0 nothing but offers, the last nothing but bids; column 0 a spread of one tick, the last of at least
    as many ticks as there are columns."""

    tick: float
    adjustment: Floats

    def of(self, book: OrderBook) -> float:
        """Return the micro-price of one book."""
        buckets, spreads = self.adjustment.shape
        imbalance = queue_imbalance(book)
        away = math.floor(abs(imbalance) / 2 * buckets + 0.5)
        row = buckets // 2 + int(math.copysign(min(away, buckets // 2), imbalance))
        column = min(max(round(spread(book) / self.tick), 1), spreads) - 1
        return mid(book) + float(self.adjustment[row, column])

    def series(self, books: BookSeries) -> Floats:
        """Return the micro-price of each book, shape (n,); a feature for `bars_from_books`."""
        buckets, spreads = self.adjustment.shape
        return mid(books) + self.adjustment.ravel()[_states(books, self.tick, buckets, spreads)]


def fit_micro_price(books: BookSeries, *, tick: float, buckets: int = 11, spreads: int = 5) -> MicroPrice:
    """Return the micro-price that a recording teaches; use it on later books, or it knows their future.

    The state of a book is its bucket of queue imbalance and its spread in ticks. Between events the mid stays
    (Q) or moves (mean move r, next state R2). G1 = (I - Q)^-1 r is the mean next move of the mid, B = (I -
    Q)^-1 R2 the state after it, and the adjustment the sum over all moves to come, G1 + B G1 + B^2 G1 + ...
    Every event is counted once more with bids and asks exchanged, so that the sum converges: exchanged states
    have opposite adjustments, and the sum is the solution of equations on half of the states. Stoikov (2018),
    The micro-price: a high-frequency estimator of future prices, Quantitative Finance 18, 1959-1966. States
    never seen are not adjusted.

    tick: the step of prices. buckets: how many of imbalance, odd, so that balance is the middle of one.
    spreads: how many spreads are told apart.

    Raises:
        ValueError: naming the argument and what was expected, or if the mid moves too rarely to learn from.
    """
    positive("tick", tick)
    whole("spreads", spreads, 1)
    if whole("buckets", buckets, 3) % 2 == 0:
        raise ValueError(f"buckets is {buckets!r}: expected an odd number")
    states, moves = _states(books, tick, buckets, spreads), np.diff(mid(books))
    # Mids lie on half ticks: what is less is rounding.
    moves[np.abs(moves) < tick / 4] = 0.0
    moved = np.flatnonzero(moves)
    if not moved.size:
        raise ValueError(f"the mid of {len(books)} books never moves by {tick:g} or half of it")
    # What comes after the last move is no evidence: whether it leads to a move is not known.
    counted = slice(0, int(moved[-1]) + 1)
    before, after = states[:-1][counted], states[1:][counted]
    first, onwards = _moves_of(before, after, moves[counted], (buckets, spreads))
    try:
        adjustment = _sum_of_all(first, onwards, (buckets, spreads))
    except np.linalg.LinAlgError:
        raise ValueError(f"{moved.size} moves of the mid are too few to tell the states apart") from None
    adjustment.setflags(write=False)
    return MicroPrice(tick=tick, adjustment=adjustment)


def _states(books: BookSeries, tick: float, buckets: int, spreads: int) -> Ints:
    """Return bucket * spreads + spread of each book, shape (n,)."""
    imbalance = queue_imbalance(books)
    # Rounded away from balance on both sides alike, so that exchanged books have exchanged buckets.
    away = np.minimum(np.floor(np.abs(imbalance) / 2 * buckets + 0.5), buckets // 2)
    rows = buckets // 2 + np.copysign(away, imbalance).astype(np.int64)
    columns = np.clip(np.round(spread(books) / tick), 1, spreads).astype(np.int64) - 1
    states: Ints = rows * spreads + columns
    return states


def _moves_of(before: Ints, after: Ints, moves: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return G1, the mean next move from each state, and B, the chances of the states after it."""
    size = shape[0] * shape[1]
    mirror = _mirror(shape)
    stays, goes, pushed = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
    moved = moves != 0
    for x, y, sign in ((before, after, 1.0), (mirror[before], mirror[after], -1.0)):
        np.add.at(stays, (x[~moved], y[~moved]), 1.0)
        np.add.at(goes, (x[moved], y[moved]), 1.0)
        np.add.at(pushed, x[moved], sign * moves[moved])
    seen = np.maximum(stays.sum(axis=1) + goes.sum(axis=1), 1.0)
    rest = np.eye(size) - stays / seen[:, None]
    solved = np.linalg.solve(rest, np.column_stack([pushed / seen, goes / seen[:, None]]))
    return solved[:, 0], solved[:, 1:]


def _sum_of_all(first: Floats, onwards: Floats, shape: tuple[int, int]) -> Floats:
    """Return the sum of B^i G1 over i >= 0, in the shape of the states, from the half below balance."""
    half = np.arange(shape[0] // 2 * shape[1])
    folded = onwards[np.ix_(half, half)] - onwards[np.ix_(half, _mirror(shape)[half])]
    below = np.linalg.solve(np.eye(len(half)) - folded, first[half]).reshape(-1, shape[1])
    return np.vstack([below, np.zeros((1, shape[1])), -below[::-1]])


def _mirror(shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the state that each state is when bids and asks are exchanged."""
    return np.arange(shape[0] * shape[1]).reshape(shape)[::-1].ravel()
