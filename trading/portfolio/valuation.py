"""What the positions are worth, and what they have earned since the books were closed. Pure and light.

Profit counts from the ledger's first fill. Equity is the capital the box trades with and all profit: money
put in or taken out changes the capital, never the profit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from trading.execution.orders import check_instant, check_price
from trading.portfolio.positions import Key, Position, StrategyFill, after_fills

QUOTE_COUNTS: Final = timedelta(minutes=5)
"""How much older than the newest own fill a quote may be and still be the price. A fill's price has half a
spread and our own impact in it."""


class Source(StrEnum):
    QUOTE = "quote"  # of the market, recorded by monitor_positions
    FILL = "fill"  # our own last fill: there was no quote, or an old one
    BOOKS = "books"  # the price at the last close: nothing newer is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A price [$/share] that a position is valued at, and since when it is known."""

    price: Decimal
    at: datetime
    source: Source = Source.QUOTE

    def __post_init__(self) -> None:
        check_price("price", self.price)
        check_instant("at", self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One strategy's position in one symbol, valued.

    position: its realised profit and fees are those since the books were closed. unrealised_before [$]: what
    was unrealised then.
    """

    key: Key
    position: Position
    mark: Mark
    unrealised_before: Decimal = Decimal(0)

    @property
    def value(self) -> Decimal:
        """What the shares are worth [$], negative for a short position."""
        return self.position.quantity * self.mark.price

    @property
    def unrealised(self) -> Decimal:
        """What selling everything at the mark would earn [$]."""
        return self.position.unrealised(self.mark.price)

    @property
    def unrealised_change(self) -> Decimal:
        """By how much that has changed since the books were closed [$]."""
        return self.unrealised - self.unrealised_before

    @property
    def profit(self) -> Decimal:
        """All that it has earned since the books were closed, after fees [$]."""
        return self.position.realised + self.unrealised_change - self.position.fees


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedBooks:
    """How things stood when a session's books were closed.

    event_number: of the ledger's newest event then; a fill booked later belongs to a later session's books.
    profit [$]: since the ledger began. holdings: open positions, their realised profit and fees at 0 again.
    """

    session: date
    closed_at: datetime
    event_number: int
    profit: Decimal
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Valuation:
    """Everything held, at `at`. capital [$]: what the box trades with. profit_before [$]: at the last close.

    holdings: open positions, and those that were closed since the last close. A position in one symbol that
    two strategies hold against each other is no exposure: the account holds the sum.
    """

    at: datetime
    capital: Decimal
    profit_before: Decimal
    holdings: tuple[Holding, ...]

    @property
    def day_profit(self) -> Decimal:
        """Earned since the books were closed, after fees [$]."""
        return sum((holding.profit for holding in self.holdings), Decimal(0))

    @property
    def profit(self) -> Decimal:
        """Earned since the ledger began, after fees [$]."""
        return self.profit_before + self.day_profit

    @property
    def equity(self) -> Decimal:
        """Capital and profit [$]."""
        return self.capital + self.profit

    @property
    def exposure(self) -> dict[str, Decimal]:
        """Value of the shares by symbol [$], over all strategies, short ones negative; no zeros."""
        values: dict[str, Decimal] = {}
        for holding in self.holdings:
            symbol = holding.key.symbol
            values[symbol] = values.get(symbol, Decimal(0)) + holding.value
        return {symbol: value for symbol, value in sorted(values.items()) if value}

    @property
    def gross(self) -> Decimal:
        """Sum of what each symbol is worth, short ones counted as positive [$]."""
        return sum((abs(value) for value in self.exposure.values()), Decimal(0))

    @property
    def net(self) -> Decimal:
        """Sum of what each symbol is worth, short ones negative [$]."""
        return sum(self.exposure.values(), Decimal(0))

    @property
    def marks(self) -> dict[str, Mark]:
        """The price of each symbol that is held."""
        return {each.key.symbol: each.mark for each in self.holdings if each.position.quantity}


def value(
    books: ClosedBooks | None,
    fills: Sequence[StrategyFill],
    quotes: Mapping[str, Mark],
    *,
    capital: Decimal,
    at: datetime,
) -> Valuation:
    """Return what is held after `fills`, at the prices known.

    books: None: none were ever closed. fills: those not in these books. quotes: the newest recorded one by
    symbol. Without a quote, or where our newest fill is more than 5 minutes newer, that fill's price counts,
    or the one of the books if that is newer. A price is always known, and its age with it.
    """
    before = {} if books is None else {holding.key: holding for holding in books.holdings}
    fills = sorted(fills, key=lambda each: each.fill.at)
    own = _last_fills(fills)
    closing = {key.symbol: holding.mark for key, holding in before.items()}
    positions = after_fills({key: holding.position for key, holding in before.items()}, fills)
    holdings = []
    for key, position in sorted(positions.items()):
        old = before.get(key)
        mark = _choose(quotes.get(key.symbol), own.get(key.symbol), closing.get(key.symbol))
        kept = old.unrealised if old else Decimal(0)
        holdings.append(Holding(key=key, position=position, mark=mark, unrealised_before=kept))
    profit = Decimal(0) if books is None else books.profit
    return Valuation(at=at, capital=capital, profit_before=profit, holdings=tuple(holdings))


def close_books(valuation: Valuation, session: date, event_number: int) -> ClosedBooks:
    """Return the books as the next session opens with them."""
    opened = tuple(
        Holding(
            key=each.key,
            position=Position(quantity=each.position.quantity, cost=each.position.cost),
            mark=each.mark,
        )
        for each in valuation.holdings
        if each.position.quantity
    )
    return ClosedBooks(
        session=session,
        closed_at=valuation.at,
        event_number=event_number,
        profit=valuation.profit,
        holdings=opened,
    )


def _last_fills(fills: Iterable[StrategyFill]) -> dict[str, Mark]:
    return {
        each.fill.symbol: Mark(price=each.fill.price, at=each.fill.at, source=Source.FILL) for each in fills
    }


def _choose(quote: Mark | None, fill: Mark | None, books: Mark | None) -> Mark:
    if quote is not None:
        is_behind_fill = fill is not None and quote.at < fill.at - QUOTE_COUNTS
        if not is_behind_fill and (books is None or quote.at >= books.at):
            return quote
    known = [mark for mark in (fill, books) if mark is not None]
    if not known:
        raise ValueError("a position has neither a quote nor a fill nor a price in the books: it cannot be")
    # A fill that was booked late may be older than the books.
    return max(known, key=lambda mark: mark.at)
