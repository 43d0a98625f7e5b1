"""How one bar fills the orders that were waiting for it. Pure and light.

An order buys at mid + half spread + temporary impact and sells at mid - half spread - temporary impact, where
mid is the bar's typical price plus what own trades have moved the price for good (`shift`). Temporary
impact is eta * n / tau (Almgren and Chriss 2000, their eq. 7): n the own shares of the same side in this
bar up to and including the order's, tau the bar's length in days. What a bar's fills add to the shift
counts from the next bar on (their eq. 1 and 2). Prices are rounded against the order to PRICE_STEP.

A limit order that the typical price does not reach still has what the bar's best price (low for a purchase,
high for a sale), with spread and impact, leaves within its limit; it pays the limit itself for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from trading.execution.brokers.broker import Ticket
from trading.execution.markets.traded import PRICE_STEP, Bar
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.orders import Side

TRADING_DAY = timedelta(hours=6.5)
"""One day of the impact parameters: a full session."""
NO_IMPACT = Decimal(0)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms a bar fills. capacity: shares for all own orders. half_spread [$/share]. slope: temporary
    impact per share of this bar [$/share^2]. shift: permanent impact so far [$/share]."""

    capacity: int
    half_spread: Decimal
    slope: Decimal = NO_IMPACT
    shift: Decimal = NO_IMPACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An order that waits for a bar, with the shares it still wants."""

    ticket: Ticket
    leaves: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Shares that an order got of a bar, and their price."""

    client_order_id: str
    side: Side
    quantity: int
    price: Decimal


def capacity(bar: Bar, max_share: float) -> int:
    """Return the whole shares of a bar that own orders may have: 0.29 of 100 are 29, not 28."""
    return int(Decimal(repr(float(max_share))) * bar.volume)


def temporary_slope(params: AlmgrenChrissParams | None, length: timedelta) -> Decimal:
    """Return eta / tau [$/share^2] for a bar of `length`; 0 without parameters."""
    if params is None:
        return NO_IMPACT
    return Decimal(repr(params.eta)) * Decimal(TRADING_DAY // _TICK) / Decimal(length // _TICK)


def permanent_shift(params: AlmgrenChrissParams | None, matches: Sequence[Match]) -> Decimal:
    """Return by how much a bar's fills move the price for good [$/share]: gamma times the net shares."""
    if params is None:
        return NO_IMPACT
    return Decimal(repr(params.gamma)) * sum(each.side.sign * each.quantity for each in matches)


def match(bar: Bar, waiting: Sequence[Waiting], terms: Terms) -> list[Match]:
    """Return what the orders get of a bar, first come first served in the order given."""
    left, found = terms.capacity, []
    taken = {Side.BUY: 0, Side.SELL: 0}
    for order in waiting:
        ticket = order.ticket
        quantity = min(order.leaves, left, _within_limit(bar.mid, ticket, taken[ticket.side], terms))
        price = None
        if quantity < min(order.leaves, left) and ticket.limit_price is not None:
            # The average price is beyond the limit, but the bar traded within it: filled at the limit.
            best = bar.low if ticket.side is Side.BUY else bar.high
            touched = min(order.leaves, left, _within_limit(best, ticket, taken[ticket.side], terms))
            if touched > quantity:
                quantity, price = touched, _limit_on_grid(ticket, ticket.limit_price)
        if quantity <= 0:
            continue
        left -= quantity
        taken[ticket.side] += quantity
        found.append(
            Match(
                client_order_id=ticket.client_order_id,
                side=ticket.side,
                quantity=quantity,
                price=price or _price(bar.mid, ticket.side, taken[ticket.side], terms),
            )
        )
    return found


def _exact_price(middle: Decimal, side: Side, taken: int, terms: Terms) -> Decimal:
    return middle + terms.shift + side.sign * (terms.half_spread + terms.slope * taken)


def _price(middle: Decimal, side: Side, taken: int, terms: Terms) -> Decimal:
    exact = _exact_price(middle, side, taken, terms)
    return max(PRICE_STEP, _rounded(exact, ROUND_CEILING if side is Side.BUY else ROUND_FLOOR))


def _rounded(price: Decimal, rounding: str) -> Decimal:
    return price.quantize(PRICE_STEP, rounding)


def _within_limit(middle: Decimal, ticket: Ticket, taken: int, terms: Terms) -> int:
    """Return the most shares whose price keeps the order's limit, after `taken` of the same side."""
    if ticket.limit_price is None:
        return ticket.quantity
    sign = ticket.side.sign
    # On the grid of prices the limit is rounded as the price is not: what keeps this one keeps both.
    limit = _limit_on_grid(ticket, ticket.limit_price)
    room = sign * (limit - _exact_price(middle, ticket.side, taken, terms))
    if room < 0:
        return 0
    if not terms.slope:
        return ticket.quantity
    most = int(min(Decimal(ticket.quantity), room / terms.slope))
    # The quotient has 28 digits: its last one may say one share too many.
    while most and sign * (limit - _exact_price(middle, ticket.side, taken + most, terms)) < 0:
        most -= 1
    return most


def _limit_on_grid(ticket: Ticket, limit: Decimal) -> Decimal:
    """The limit on the grid of prices, rounded as the price is not."""
    return _rounded(limit, ROUND_FLOOR if ticket.side is Side.BUY else ROUND_CEILING)
