"""Intraday bars of a recorded book: what happened to the mid within each interval, and the book's features as
they stood at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import numpy as np

from trading.backtest.books.book import BookSeries, Floats, Ints
from trading.backtest.books.features import FEATURES, mid, order_flow, spread_bps
from trading.backtest.history import SymbolBars


def bars_from_books(
    books: BookSeries,
    *,
    symbol: str,
    interval: timedelta,
    features: Mapping[str, Callable[[BookSeries], Floats]] = FEATURES,
) -> SymbolBars:
    """Return bars of the mid with the features as extras, as a backtest takes them.

    A bar is labelled by its start, a multiple of `interval` since 1970-01-01 UTC; it holds the snapshots from
    then to just before the next one's start. An interval without a snapshot has no bar, as one without a
    trade has none elsewhere. open, close: the mid after the first and last of its snapshots; volume: shares
    traded, 0 if trades were not recorded. Extras: each of `features` after the last snapshot; `order_flow`,
    the sum over the interval (Cont, Kukanov, Stoikov 2014: OFI); `trade_imbalance`, (bought - sold) / volume
    and 0 without trades, if trades were recorded; `open_spread_bps`, the spread that an order filled at the
    bar's open crosses. All of them are known at the bar's end; none looks beyond it.

    Raises:
        ValueError: if `interval` is not positive.
    """
    step = round(interval / timedelta(microseconds=1)) * 1000
    if step <= 0:
        raise ValueError(f"interval is {interval!r}: expected a positive duration")
    labels, firsts = np.unique(books.stamps // step, return_index=True)
    lasts = np.append(firsts[1:], len(books)) - 1
    mids = mid(books)
    extras = {name: feature(books)[lasts] for name, feature in features.items()}
    extras["order_flow"] = np.add.reduceat(order_flow(books), firsts)
    extras["open_spread_bps"] = spread_bps(books)[firsts]
    volume, imbalance = _traded(books, firsts)
    if imbalance is not None:
        extras["trade_imbalance"] = imbalance
    return SymbolBars(
        symbol=symbol,
        stamps=labels * step,
        open=mids[firsts],
        high=np.maximum.reduceat(mids, firsts),
        low=np.minimum.reduceat(mids, firsts),
        close=mids[lasts],
        volume=volume,
        extras=extras,
    )


def _traded(books: BookSeries, firsts: Ints) -> tuple[Floats, Floats | None]:
    """Return the bars' volumes, and the share by which buyers outweighed sellers; None: not recorded."""
    if books.bought is None or books.sold is None:
        return np.zeros(len(firsts)), None
    bought, sold = np.add.reduceat(books.bought, firsts), np.add.reduceat(books.sold, firsts)
    volume = bought + sold
    return volume, np.divide(bought - sold, volume, out=np.zeros(len(firsts)), where=volume > 0)
