"""How surprising a small sample is: exact tails of counts, and a spread that freaks do not widen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, exp, lgamma, log
from statistics import median


def at_most(successes: int, trials: int, alpha: float, beta: float) -> float:
    """Return the probability of at most `successes` in `trials` whose rate is Beta(alpha, beta).

    The lower tail of the beta-binomial law (Skellam 1948). alpha, beta: above 0.
    """
    whole = _log_beta(alpha, beta) + log(trials + 1)
    # C(n, k) = 1 / ((n + 1) B(k + 1, n - k + 1)); in logarithms nothing overflows.
    terms = (
        exp(_log_beta(k + alpha, trials - k + beta) - _log_beta(k + 1, trials - k + 1) - whole)
        for k in range(successes + 1)
    )
    return min(1.0, sum(terms))


def fisher_lower(successes: int, trials: int, others: int, other_trials: int) -> float:
    """Return the probability that so few of all successes fall among the `trials`, if they fall at random.

    Fisher's exact test, one-sided: the lower tail of the hypergeometric law of `successes` in `trials`, given
    successes + others in trials + other_trials.
    """
    total, hits = trials + other_trials, successes + others
    least = max(0, hits - other_trials)
    ways = sum(comb(trials, k) * comb(other_trials, hits - k) for k in range(least, successes + 1))
    return ways / comb(total, hits)


def sign_test(on_one_side: int, trials: int) -> float:
    """Return the probability that of `trials` fair coins so many or more show the same side, either one."""
    most = max(on_one_side, trials - on_one_side)
    ways = 2 * sum(comb(trials, k) for k in range(most, trials + 1))
    return min(1.0, ways / (1 << trials))


def logistic_scale(values: Sequence[float]) -> float:
    """Return the scale of a logistic law whose median absolute deviation, ln 3 scales, is these values'."""
    centre = median(values)
    return median(abs(value - centre) for value in values) / log(3.0)


def farthest_of(count: int, chance: float) -> float:
    """Return how many scales from the centre none of `count` logistic values lies, but for `chance`.

    P(|x| > t) = 2 / (1 + e^t) < 2 e^-t for each, so t = ln(2 count / chance) suffices for all (Bonferroni).
    """
    return log(2.0 * count / chance)


def _log_beta(alpha: float, beta: float) -> float:
    return lgamma(alpha) + lgamma(beta) - lgamma(alpha + beta)
