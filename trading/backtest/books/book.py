"""Snapshots of a limit order book: one, and a series of them as arrays. Both answer the same questions, so
that each feature is one formula for a snapshot and for a whole recording."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trading.backtest.errors import HistoryError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Number_co = TypeVar("Number_co", float, Floats, covariant=True)


class BookFault(HistoryError):
    """A book that cannot be. row: which snapshot of a series, counted from 0; None for a single one."""

    def __init__(self, field: str, value: float, expected: str, row: int | None = None) -> None:
        self.field, self.value, self.expected, self.row = field, value, expected, row
        where = "" if row is None else f"row {row}: "
        super().__init__(f"{where}{field} is {value:.12g}: expected {expected}")


class Book(Protocol[Number_co]):
    """What features ask of one snapshot (numbers) or of n of them (arrays of shape (n,)).

    Level 1 is the best. Levels that a book does not have are empty: they add nothing to depth and value.
    """

    @property
    def best_bid(self) -> Number_co: ...
    @property
    def best_ask(self) -> Number_co: ...
    @property
    def best_bid_size(self) -> Number_co: ...
    @property
    def best_ask_size(self) -> Number_co: ...

    def bid_depth(self, levels: int) -> Number_co:
        """Return the shares on the best `levels` levels of the bid side."""

    def ask_depth(self, levels: int) -> Number_co:
        """Return the shares on the best `levels` levels of the ask side."""

    def bid_value(self, levels: int) -> Number_co:
        """Return the sum of price times shares on the best `levels` levels of the bid side."""

    def ask_value(self, levels: int) -> Number_co:
        """Return the sum of price times shares on the best `levels` levels of the ask side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBook:
    """One snapshot of both sides, the best level first.

    stamp: nanoseconds since 1970-01-01 UTC from which it held. bid_price: falling; ask_price: rising; both
    above 0 and never crossed or locked. bid_size, ask_size: shares above 0, one for each price. Both sides
    have at least one level; they need not have equally many.

    Raises:
        BookFault: naming the field, its value and what was expected.
    """

    stamp: int
    bid_price: tuple[float, ...]
    bid_size: tuple[float, ...]
    ask_price: tuple[float, ...]
    ask_size: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_side("bid", self.bid_price, self.bid_size)
        _check_side("ask", self.ask_price, self.ask_size)
        if not self.bid_price[0] < self.ask_price[0]:
            raise BookFault(
                "ask_price_1", self.ask_price[0], f"a price above bid_price_1 = {self.bid_price[0]:.12g}"
            )

    @property
    def best_bid(self) -> float:
        return self.bid_price[0]

    @property
    def best_ask(self) -> float:
        return self.ask_price[0]

    @property
    def best_bid_size(self) -> float:
        return self.bid_size[0]

    @property
    def best_ask_size(self) -> float:
        return self.ask_size[0]

    def bid_depth(self, levels: int) -> float:
        return _depth(self.bid_size, levels)

    def ask_depth(self, levels: int) -> float:
        return _depth(self.ask_size, levels)

    def bid_value(self, levels: int) -> float:
        return _value(self.bid_price, self.bid_size, levels)

    def ask_value(self, levels: int) -> float:
        return _value(self.ask_price, self.ask_size, levels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookSeries:
    """n snapshots in time order, checked once, as arrays that cannot be written to.

    stamps: shape (n,), nanoseconds since 1970-01-01 UTC, never falling (events of one instant keep their
    order). bid_price, bid_size, ask_price, ask_size: shape (n, levels), the best level first; a level that
    is not there has price NaN and size 0, and none after it is there. bought, sold: shape (n,), shares that
    buyers (sellers) took by market order since the snapshot before; None: trades were not recorded.

    Raises:
        BookFault: for the first snapshot that cannot be, naming row, field, value and what was expected.
        HistoryError: if there are no snapshots, or shapes do not belong together.
    """

    stamps: Ints
    bid_price: Floats
    bid_size: Floats
    ask_price: Floats
    ask_size: Floats
    bought: Floats | None = None
    sold: Floats | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamps", _frozen(self.stamps, np.int64))
        for name in (*SIDES, *TRADES):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _frozen(getattr(self, name), np.float64))
        self._check_shapes()
        self._check_trades()
        faulty = np.flatnonzero(~_possible(self))
        if faulty.size:
            self._name_the_fault(int(faulty[0]))

    def _check_shapes(self) -> None:
        if self.stamps.ndim != 1 or not len(self.stamps):
            raise HistoryError(f"stamps have the shape {self.stamps.shape}: expected (n,) with n >= 1")
        wanted = (len(self.stamps), self.bid_price.shape[-1] if self.bid_price.ndim == 2 else 1)
        for name in SIDES:
            if getattr(self, name).shape != wanted or not wanted[1]:
                raise HistoryError(f"{name} has the shape {getattr(self, name).shape}: expected {wanted}")
        if (self.bought is None) != (self.sold is None):
            raise HistoryError("only one of bought and sold is given: expected both or neither")

    def _check_trades(self) -> None:
        for name in TRADES:
            shares = getattr(self, name)
            if shares is None:
                continue
            if shares.shape != self.stamps.shape:
                raise HistoryError(f"{name} has the shape {shares.shape}: expected {self.stamps.shape}")
            usable = np.isfinite(shares) & (shares >= 0)
            if not usable.all():
                row = int(np.argmin(usable))
                raise BookFault(name, float(shares[row]), "shares from 0 up", row)

    def _name_the_fault(self, row: int) -> None:
        """Raise what is wrong with a row that is not possible, in the words of a single snapshot."""
        if row and self.stamps[row] < self.stamps[row - 1]:
            before = int(self.stamps[row - 1])
            raise BookFault(
                "stamp_ns", int(self.stamps[row]), f"at least that of the row before, {before}", row
            )
        try:
            self[row]
        except BookFault as fault:
            raise BookFault(fault.field, fault.value, fault.expected, row) from None

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def levels(self) -> int:
        return int(self.bid_price.shape[1])

    def __getitem__(self, row: int) -> OrderBook:
        sides = {name: getattr(self, name)[row].tolist() for name in SIDES}
        for side in ("bid", "ask"):
            prices, sizes = sides[f"{side}_price"], sides[f"{side}_size"]
            while prices and math.isnan(prices[-1]) and sizes[-1] == 0.0:
                prices.pop(), sizes.pop()
        return OrderBook(stamp=int(self.stamps[row]), **{name: tuple(each) for name, each in sides.items()})

    def __iter__(self) -> Iterator[OrderBook]:
        return (self[row] for row in range(len(self)))

    def part(self, start: int, stop: int) -> BookSeries:
        """Return snapshots start to stop - 1 as views."""
        columns = {name: getattr(self, name) for name in self.__slots__}
        cut: dict[str, Any] = {k: None if v is None else v[start:stop] for k, v in columns.items()}
        return BookSeries(**cut)

    @property
    def best_bid(self) -> Floats:
        return self.bid_price[:, 0]

    @property
    def best_ask(self) -> Floats:
        return self.ask_price[:, 0]

    @property
    def best_bid_size(self) -> Floats:
        return self.bid_size[:, 0]

    @property
    def best_ask_size(self) -> Floats:
        return self.ask_size[:, 0]

    def bid_depth(self, levels: int) -> Floats:
        return _depths(self.bid_size, levels)

    def ask_depth(self, levels: int) -> Floats:
        return _depths(self.ask_size, levels)

    def bid_value(self, levels: int) -> Floats:
        return _depths(_worth(self.bid_price, self.bid_size), levels)

    def ask_value(self, levels: int) -> Floats:
        return _depths(_worth(self.ask_price, self.ask_size), levels)


SIDES = ("bid_price", "bid_size", "ask_price", "ask_size")
TRADES = ("bought", "sold")


def _check_side(side: str, prices: tuple[float, ...], sizes: tuple[float, ...]) -> None:
    if not prices or len(prices) != len(sizes):
        field = f"levels of the {side} side"
        raise BookFault(field, len(prices), f"at least 1, and as many as sizes ({len(sizes)})")
    better = None
    for level, (price, size) in enumerate(zip(prices, sizes, strict=True), start=1):
        if not (math.isfinite(price) and price > 0):
            raise BookFault(f"{side}_price_{level}", price, "a price above 0")
        if not (math.isfinite(size) and size > 0):
            raise BookFault(f"{side}_size_{level}", size, "shares above 0")
        if better is not None and not (price < better if side == "bid" else price > better):
            relation = "below" if side == "bid" else "above"
            expected = f"a price {relation} {side}_price_{level - 1} = {better:.12g}"
            raise BookFault(f"{side}_price_{level}", price, expected)
        better = price


def _possible(books: BookSeries) -> NDArray[np.bool_]:
    """Return for each row, shape (n,), whether `OrderBook` would take it in its turn."""
    good = np.ones(len(books), dtype=np.bool_)
    good[1:] = books.stamps[1:] >= books.stamps[:-1]
    for prices, sizes, is_worse in (
        (books.bid_price, books.bid_size, np.less),
        (books.ask_price, books.ask_size, np.greater),
    ):
        there = np.isfinite(prices) & (prices > 0) & np.isfinite(sizes) & (sizes > 0)
        empty = np.isnan(prices) & (sizes == 0)
        # Not there, yet not said to be empty; or there behind an empty level.
        good &= (there | empty).all(axis=1) & there[:, 0] & ~(there[:, 1:] & ~there[:, :-1]).any(axis=1)
        good &= (is_worse(prices[:, 1:], prices[:, :-1]) | ~there[:, 1:]).all(axis=1)
    crossed = ~(books.bid_price[:, 0] < books.ask_price[:, 0])
    return good & ~crossed


def _depth(sizes: tuple[float, ...], levels: int) -> float:
    # Not sum(): from Python 3.12 on it compensates rounding, and would differ from the arrays' sum.
    total = 0.0
    for size in sizes[:levels]:
        total += size
    return total


def _value(prices: tuple[float, ...], sizes: tuple[float, ...], levels: int) -> float:
    return _depth(tuple(p * s for p, s in zip(prices[:levels], sizes[:levels], strict=True)), levels)


def _depths(columns: Floats, levels: int) -> Floats:
    """Return the sum over the first columns, level by level as `_depth` adds them."""
    total = np.zeros(len(columns))
    for level in range(min(levels, columns.shape[1])):
        total += columns[:, level]
    return total


def _worth(prices: Floats, sizes: Floats) -> Floats:
    return np.where(sizes > 0, prices * sizes, 0.0)


def _frozen(values: ArrayLike, dtype: type[Any]) -> NDArray[Any]:
    view = np.asarray(values, dtype=dtype).view()
    view.setflags(write=False)
    return view
