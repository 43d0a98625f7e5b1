"""A market that is a model, for paper trading where there is no live feed. Light: standard library only."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from trading.execution.facts import MarketFacts
from trading.execution.markets.traded import PRICE_STEP, Bar, SessionMarket
from trading.execution.smart.plan import SessionHours
from trading.execution.volume_shapes import shape_between

TRADING_DAY = timedelta(hours=6.5)
"""A full session: the time over which the facts' daily volatility is spread."""


class ModelledMarket(SessionMarket):
    """NOT the market: a model of it from yesterday's facts. Plans and reports made with it must say so
    (`remark`).

    A session's volume is `daily_volume` spread by `shape` (an early close: by `early_shape` where there is
    one), on a half day too. seed None: every price is the facts'. seed a number: each session's prices begin
    there and walk at random, normal log-returns of `daily_volatility` over 6.5 hours. The same facts, seed
    and hours give the same market, so a restarted process finds the one it left. The facts' price is quoted
    from the open on. learn: asked for a symbol that is not among `facts` (an order entered later).
    """

    def __init__(
        self,
        facts: Iterable[MarketFacts],
        hours: Sequence[SessionHours],
        *,
        seed: int | None = None,
        learn: Callable[[str], MarketFacts | None] | None = None,
        length: timedelta = timedelta(minutes=1),
    ) -> None:
        super().__init__(hours, length)
        self._stock = {each.symbol: each for each in facts}
        self._learn = learn or _nothing
        self._seed = seed
        self._days: dict[tuple[str, date], tuple[Bar, ...]] = {}

    @property
    def remark(self) -> str:
        """What a reader of a result must be told."""
        what = "stay at" if self._seed is None else "walk at random from"
        return f"no market feed: prices {what} the last known close, volume follows the usual day (a model)"

    def knows(self, symbol: str) -> bool:
        """Whether there are facts of the symbol."""
        return self._facts(symbol) is not None

    def first_price(self, symbol: str) -> Decimal | None:
        """Return the facts' price; None: symbol unknown."""
        facts = self._facts(symbol)
        return None if facts is None else _price(facts.price)

    def half_spread(self, symbol: str, price: Decimal) -> Decimal:
        """Return half the facts' spread [$/share]."""
        facts = self._facts(symbol)
        if facts is None:
            raise KeyError(f"nothing is known of {symbol}")
        return Decimal(repr(facts.daily_spread)) / 2

    def day(self, symbol: str, session: SessionHours) -> Sequence[Bar]:
        """Return all bars of one session, oldest first; empty: symbol unknown."""
        facts = self._facts(symbol)
        if facts is None:
            return ()
        key = (symbol, session.day)
        if key not in self._days:
            self._days[key] = tuple(self._make(facts, session))
        return self._days[key]

    def _facts(self, symbol: str) -> MarketFacts | None:
        if symbol not in self._stock:
            learned = self._learn(symbol)
            if learned is None:
                return None
            self._stock[symbol] = learned
        return self._stock[symbol]

    def _make(self, facts: MarketFacts, session: SessionHours) -> Iterator[Bar]:
        shape = facts.early_shape if session.is_early_close and facts.early_shape else facts.shape
        source = random.Random(f"{self._seed}|{facts.symbol}|{session.day}")
        price = facts.price
        start = session.open
        while start < session.close:
            end = min(start + self._length, session.close)
            first, price = price, self._step(price, facts, end - start, source)
            if session.is_open(start):
                volume = _traded(facts, shape, session, end) - _traded(facts, shape, session, start)
                yield _bar(start, end - start, first, price, volume)
            start = end

    def _step(self, price: float, facts: MarketFacts, length: timedelta, source: random.Random) -> float:
        if self._seed is None:
            return price
        return price * math.exp(source.gauss(0.0, facts.daily_volatility * math.sqrt(length / TRADING_DAY)))


def _nothing(symbol: str) -> MarketFacts | None:
    """Nothing more can be learned."""
    return None


def _bar(start: datetime, length: timedelta, first: float, last: float, volume: int) -> Bar:
    opened, closed = _price(first), _price(last)
    return Bar(start, opened, max(opened, closed), min(opened, closed), closed, volume, length)


def _price(value: float) -> Decimal:
    return max(PRICE_STEP, Decimal(repr(value)).quantize(PRICE_STEP, ROUND_HALF_EVEN))


def _traded(facts: MarketFacts, shape: Sequence[float], session: SessionHours, at: datetime) -> int:
    """Return the whole shares traded from the open to `at`: rounded as a running total, so that bars of any
    length add up to the day's volume."""
    if at == session.open:
        return 0
    (share,) = shape_between(shape, session, session.open, at, 1)
    # The shares of a shape sum to 1 but for the last digits.
    return int(facts.daily_volume * share + 1e-6)
