"""The checked terms of the objective: caps, and the weights a_k of n_k^2 and r_k of x_k^2. Light.

E + lambda V, without its constant parts, is sum a_k n_k^2 + sum r_k x_k^2 with n_k traded in interval k, x_k
left after it, a_k = eta~_k / tau_k and r_k = lambda sigma_k^2 tau_k (Almgren and Chriss 2000, eqs. 5 and 8).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from trading.execution.checking import finite, not_negative, positive

PlainOrEach = float | Sequence[float]
"""One number for all intervals, or one for each."""


def checked_caps(caps: Sequence[float]) -> list[float]:
    """Return the caps [shares] as floats; infinite: no cap, 0: halted.

    Raises:
        ValueError: if there is none, or naming the first that is negative or not a number.
    """
    limits = list(caps)
    if not limits:
        raise ValueError(f"caps is {caps!r}: expected at least one interval")
    # The usual case costs no Python per cap: only NaN makes a sum of non-negative floats unequal to itself.
    if set(map(type, limits)) == {float} and min(limits) >= 0 and (total := sum(limits)) == total:
        return limits
    return [_checked_cap(f"caps[{k}]", cap) for k, cap in enumerate(limits)]


def slice_weights(
    count: int, eta_tilde: PlainOrEach, risk: PlainOrEach, tau: PlainOrEach
) -> tuple[list[float], list[float]]:
    """Return a_k = eta_tilde_k / tau_k and r_k = risk_k tau_k, `count` of each.

    Raises:
        ValueError: naming the argument whose value or length is wrong, or whose weights overflow.
    """
    etas = _each("eta_tilde", eta_tilde, count, positive)
    risks = _each("risk", risk, count, not_negative)
    taus = _each("tau", tau, count, positive)
    if _is_even(etas) and _is_even(risks) and _is_even(taus):
        a, r = [etas[0] / taus[0]] * count, [risks[0] * taus[0]] * count
    else:
        a = [eta / length for eta, length in zip(etas, taus, strict=True)]
        r = [weight * length for weight, length in zip(risks, taus, strict=True)]
    finite("risk * tau", max(r))
    for weight in (min(a), max(a)):  # sums divide by them
        if not 0 < weight < math.inf or 1 / weight == math.inf:
            raise ValueError(f"eta_tilde / tau is {weight!r}: expected a number whose inverse is finite")
    finite("risk * tau / (eta_tilde / tau)", max(r) / min(a))  # the solvers multiply by it
    return a, r


def _checked_cap(name: str, cap: float) -> float:
    return math.inf if cap == math.inf else not_negative(name, cap)


def _each(name: str, value: Any, count: int, check: Callable[[str, float], float]) -> list[float]:
    """Return `count` checked numbers from one or from a sequence of them."""
    if not hasattr(value, "__len__"):
        return [check(name, value)] * count
    if isinstance(value, str) or len(value) != count:
        raise ValueError(f"{name} is {value!r}: expected a number, or one for each of {count} intervals")
    numbers = list(value)
    if set(map(type, numbers)) == {float} and min(numbers) > 0 and math.isfinite(sum(numbers)):
        return numbers
    return [check(f"{name}[{k}]", number) for k, number in enumerate(numbers)]


def _is_even(numbers: list[float]) -> bool:
    return numbers.count(numbers[0]) == len(numbers)
