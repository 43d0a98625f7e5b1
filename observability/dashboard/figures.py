"""Numbers in words, the same on every page: money, prices, shares, percentages, sizes. Values in, text out.

None is "-". Decimals are never made floats: what is shown of an amount is rounded from all of its digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from trading.portfolio.limits import WITHOUT_BOUND

NOTHING: Final = "-"
BYTES: Final = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))


def money(amount: Decimal | None) -> str:
    """Return an amount in dollars: `1,234.50 $`."""
    return NOTHING if amount is None else f"{_without_minus_zero(amount):,.2f} $"


def gain(amount: Decimal | None) -> str:
    """Return an amount with its sign: `+1,234.50 $`; exactly nothing has none."""
    if amount is None:
        return NOTHING
    return f"{amount:+,.2f} $" if round(amount, 2) else "0.00 $"


def price(amount: Decimal | None) -> str:
    """Return a price per share with its own digits, at least two and at most six: `100.00`, `0.1234`."""
    if amount is None:
        return NOTHING
    whole, _, rest = f"{amount:,.6f}".partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}"


def shares(count: int | None) -> str:
    """Return a number of shares, negative ones short: `12,000`."""
    return NOTHING if count is None else f"{count:,}"


def percent(value: Decimal | float | None, digits: int = 2) -> str:
    """Return a percentage (0-100): `2.10 %`; without a bound `more than all`."""
    if value is None:
        return NOTHING
    return "more than all" if value == WITHOUT_BOUND else f"{value:,.{digits}f} %"


def size(count: int | None) -> str:
    """Return a number of bytes: `12.5 MB`."""
    if count is None:
        return NOTHING
    factor, unit = next((each for each in BYTES if count >= each[0]), (1, "bytes"))
    return f"{count / factor:,.1f} {unit}" if factor > 1 else f"{count} {unit}"


def _without_minus_zero(amount: Decimal) -> Decimal:
    return amount if round(amount, 2) else abs(amount)


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "money": money,
    "gain": gain,
    "price": price,
    "shares": shares,
    "percent": percent,
    "size": size,
}
"""What the templates call them."""
