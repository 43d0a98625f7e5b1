"""arrival_price: the schedule with the least expected cost plus risk aversion times variance, under the caps
(Almgren and Chriss 2000). Pure and light."""

from __future__ import annotations

from collections.abc import Sequence

from trading.execution.optimum.shooting import solve_capped
from trading.execution.smart.algorithms.sliced import Division, SlicedAlgorithm

MOST_STATES = 10_000_000
"""Lots times the sum of the caps in lots: visiting so many states takes a few tenths of a second on a small
board. Above, a least slice is left to the rounding: such orders have many lots in each slice."""


def optimally(given: Division) -> Sequence[float]:
    """Return the exact optimum: in whole lots where lots are more than a share or have a least number, else
    in fractions, which are rounded to single shares later.

    On the lot grid all intervals count as long as a full slice; at the edges of a horizon one may not be.
    """
    risk = given.risk_aversion * given.params.sigma**2
    on_lots = _on_the_lot_grid(given, risk) if given.lot_size > 1 or given.least > 1 else None
    if on_lots is not None:
        return on_lots
    days = [interval.days for interval in given.intervals]
    return solve_capped(
        float(given.lots),
        [float(cap) for cap in given.caps],
        eta_tilde=[given.params.eta - given.params.gamma * tau / 2 for tau in days],
        risk=risk,
        tau=days,
    )


def _on_the_lot_grid(given: Division, risk: float) -> list[int] | None:
    """Return the optimum in lots; None: there is none, or looking for it would take too long."""
    states = given.lots * sum(min(cap, given.lots) for cap in given.caps)
    if given.least > 1 and states > MOST_STATES:
        return None
    # Here: numpy is loaded only by orders that need it.
    from trading.execution.optimum.lot_grid import solve_on_lots

    return solve_on_lots(
        given.lots,
        given.caps,
        eta_tilde=given.params.convex_eta(),
        risk=risk,
        tau=given.params.tau,
        lot_size=given.lot_size,
        min_lots=given.least,
    )


ARRIVAL_PRICE = SlicedAlgorithm(name="arrival_price", divide=optimally)
