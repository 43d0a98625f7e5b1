"""What an order book says at one instant, and what its changes say. Each feature is one formula: given an
`OrderBook` it returns a number, given a `BookSeries` an array of shape (n,) whose entry i comes from
snapshots 0..i alone.

Symbols: b, a best bid and ask price; q_b, q_a the shares on them; Q_b(L), Q_a(L) the shares on the best L
levels of each side (levels a book does not have are empty).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from trading.backtest.books.book import Book, BookSeries, Floats, OrderBook
from trading.execution.checking import whole

Number = TypeVar("Number", float, Floats)


def mid(book: Book[Number]) -> Number:
    """Return (b + a) / 2, a price."""
    return (book.best_bid + book.best_ask) / 2


def spread(book: Book[Number]) -> Number:
    """Return a - b, cash per share; above 0. Buying and selling one share at once costs it."""
    return book.best_ask - book.best_bid


def spread_bps(book: Book[Number]) -> Number:
    """Return 1e4 (a - b) / mid, basis points."""
    return 1e4 * spread(book) / mid(book)


def microprice(book: Book[Number]) -> Number:
    """Return (a q_b + b q_a) / (q_b + q_a), a price between bid and ask: the mid weighted by the queues.

    The more is bid, the nearer it is to the ask, where the next trade is then the likelier. Gatheral, Oomen
    (2010), Zero-intelligence realized variance estimation, section 2. Stoikov (2018), The micro-price, calls
    it the weighted mid and corrects it by transition counts of the market at hand: see `micro_price.py`.
    """
    bid, ask = book.best_bid_size, book.best_ask_size
    return (book.best_ask * bid + book.best_bid * ask) / (bid + ask)


def queue_imbalance(book: Book[Number], levels: int = 1) -> Number:
    """Return (Q_b(L) - Q_a(L)) / (Q_b(L) + Q_a(L)), from -1 (all is offered) to 1 (all is bid).

    levels: L. Gould, Bonart (2016), Queue imbalance as a one-tick-ahead price predictor in a limit order
    book, eq. 4 (L = 1); Cartea, Donnelly, Jaimungal (2018), Enhancing trading strategies with order book
    signals (L levels).

    Raises:
        ValueError: if `levels` is below 1.
    """
    bid, ask = book.bid_depth(whole("levels", levels, 1)), book.ask_depth(levels)
    return (bid - ask) / (bid + ask)


def depth(book: Book[Number], levels: int = 5) -> Number:
    """Return Q_b(L) + Q_a(L), shares. Raises ValueError if `levels` is below 1."""
    return book.bid_depth(whole("levels", levels, 1)) + book.ask_depth(levels)


def vwap_to_mid_bps(book: Book[Number], levels: int = 5) -> Number:
    """Return 1e4 (V / mid - 1), basis points: V the mean price of the best L levels of both sides by shares.

    Above 0: the offers weigh more, by their shares or their distance from the mid, than the bids do; queue
    imbalance knows of no distance.

    Raises:
        ValueError: if `levels` is below 1.
    """
    shares = depth(book, levels)
    value = book.bid_value(levels) + book.ask_value(levels)
    return 1e4 * (value / shares / mid(book) - 1)


def order_flow(books: BookSeries) -> Floats:
    """Return the signed shares that each snapshot's event added at the touch, shape (n,); the first is 0.

    e_i = q_b[i] 1{b[i] >= b[i-1]} - q_b[i-1] 1{b[i] <= b[i-1]}
        - q_a[i] 1{a[i] <= a[i-1]} + q_a[i-1] 1{a[i] >= a[i-1]}
    Cont, Kukanov, Stoikov (2014), The price impact of order book events, section 2.1. Its sum over an
    interval is the order-flow imbalance OFI of that interval; e is one event's, so a recording that skips
    events gives the net change between the snapshots it has.
    """
    bid, ask = books.best_bid, books.best_ask
    bids, asks = books.best_bid_size, books.best_ask_size
    flow = np.zeros(len(books))
    flow[1:] = (
        np.where(bid[1:] >= bid[:-1], bids[1:], 0.0)
        - np.where(bid[1:] <= bid[:-1], bids[:-1], 0.0)
        - np.where(ask[1:] <= ask[:-1], asks[1:], 0.0)
        + np.where(ask[1:] >= ask[:-1], asks[:-1], 0.0)
    )
    return flow


class OrderFlow:
    """`order_flow` one snapshot at a time: `update` returns that of the snapshot given."""

    def __init__(self) -> None:
        self._before: OrderBook | None = None

    def update(self, book: OrderBook) -> float:
        before, self._before = self._before, book
        if before is None:
            return 0.0
        return (
            (book.best_bid_size if book.best_bid >= before.best_bid else 0.0)
            - (before.best_bid_size if book.best_bid <= before.best_bid else 0.0)
            - (book.best_ask_size if book.best_ask <= before.best_ask else 0.0)
            + (before.best_ask_size if book.best_ask >= before.best_ask else 0.0)
        )


def micro_deviation_bps(book: Book[Number]) -> Number:
    """Return 1e4 (microprice / mid - 1), basis points: where within the spread the microprice stands."""
    return 1e4 * (microprice(book) / mid(book) - 1)


FEATURES: Mapping[str, Callable[[BookSeries], Floats]] = MappingProxyType(
    {
        "spread": spread,
        "spread_bps": spread_bps,
        "microprice": microprice,
        "micro_deviation_bps": micro_deviation_bps,
        "queue_imbalance": queue_imbalance,
        "queue_imbalance_5": lambda books: queue_imbalance(books, 5),
        "depth_5": depth,
        "vwap_to_mid_bps": vwap_to_mid_bps,
    }
)
"""The columns that bars made from books carry, each as it stood at the bar's end; add one here."""
