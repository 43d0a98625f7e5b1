"""The base rule in plain Python, to be read at one go: what every engine here has to reproduce."""

from __future__ import annotations

from collections.abc import Sequence


def account(
    decisions: Sequence[bool],
    opens: Sequence[float],
    marks: Sequence[float],
    *,
    capital: float,
    commission: float,
    shares: float | None = None,
) -> tuple[list[float], list[tuple[int, float, float]]]:
    """Return the equity after every bar, and the fills as (bar, signed quantity, price).

    decisions[i]: whether to be long, decided after the close of bar i; where that differs from what is held,
    one order is filled whole at opens[i + 1], the last decision never. marks: the price that values what is
    held at each bar (the close). commission: share of the traded value. shares: how many to hold when long;
    None for all that the cash pays: cash / (open * (1 + commission)). What is open at the end is valued, not
    closed.
    """
    cash, held = capital, 0.0
    equity: list[float] = []
    fills: list[tuple[int, float, float]] = []
    for bar, price in enumerate(opens):
        wanted = bar > 0 and decisions[bar - 1]
        if wanted and not held:
            held = cash / (price * (1 + commission)) if shares is None else shares
            cash -= held * price * (1 + commission)
            fills.append((bar, held, price))
        elif held and not wanted:
            cash += held * price * (1 - commission)
            fills.append((bar, -held, price))
            held = 0.0
        equity.append(cash + held * marks[bar])
    return equity, fills
