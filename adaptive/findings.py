"""What several waves' comparisons have in common, each as sure as the number of waves makes it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean
from typing import Any, TypeAlias

SUCCESS_TOLERANCE = 0.05  # of the success rate, below the plan
THROUGHPUT_TOLERANCE = 0.1  # share of the expected throughput; the monitor's least is 0.90
CONFIDENCE_TOLERANCE = 0.1  # mean confidence against success rate, either way
LEAST_ACCURACY = 0.85  # the monitor's least
GOOD_ACCURACY = 0.9  # the monitor's target

Comparison: TypeAlias = Mapping[str, Any]
"""A schedule_comparison record. Its actual figures are None if nothing of the wave was executed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What most of the waves show.

    confidence: the probability that most waves to come show it. evidence: a line for each wave that does.
    """

    kind: str
    confidence: float
    description: str
    recommendation: str
    evidence: tuple[str, ...]

    @property
    def waves(self) -> int:
        return len(self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What to look for in a wave. size: by how much, in `unit`. shows: whether a wave shows it. fields: the
    figures to cite."""

    kind: str
    shows: Callable[[Comparison], bool]
    size: Callable[[Comparison], float]
    says: str
    recommendation: str
    fields: tuple[str, ...]


SIGNS = (
    Sign(
        kind="success_shortfall",
        shows=lambda c: c["planned_success_rate"] - c["actual_success_rate"] > SUCCESS_TOLERANCE,
        size=lambda c: c["planned_success_rate"] - c["actual_success_rate"],
        says="fewer tasks succeed than planned, by {:.0%} of the tasks",
        recommendation="Weigh success more; look for a task or an agent that fails more than before.",
        fields=("planned_success_rate", "actual_success_rate"),
    ),
    Sign(
        kind="throughput_shortfall",
        shows=lambda c: c["actual_throughput"] < (1 - THROUGHPUT_TOLERANCE) * c["planned_throughput"],
        size=lambda c: 1 - c["actual_throughput"] / c["planned_throughput"],
        says="less gets done per second than planned, by {:.0%}",
        recommendation="Weigh throughput more; see whether runs take longer or wait for one another.",
        fields=("planned_throughput", "actual_throughput"),
    ),
    Sign(
        kind="overconfidence",
        shows=lambda c: c["confidence_delta"] < -CONFIDENCE_TOLERANCE,
        size=lambda c: -c["confidence_delta"],
        says="confidences promise more than is kept, by {:.0%}",
        recommendation="Trust the confidences less until more runs are learned.",
        fields=("confidence_delta",),
    ),
    Sign(
        kind="underconfidence",
        shows=lambda c: c["confidence_delta"] > CONFIDENCE_TOLERANCE,
        size=lambda c: c["confidence_delta"],
        says="more succeeds than the confidences promise, by {:.0%}",
        recommendation="Let the beliefs learn these runs; placements may be bolder.",
        fields=("confidence_delta",),
    ),
    Sign(
        kind="inaccurate_predictions",
        shows=lambda c: c["accuracy_score"] < LEAST_ACCURACY,
        size=lambda c: 1 - c["accuracy_score"],
        says="durations and successes are predicted badly, {:.0%} short of certain",
        recommendation="Estimate the durations again from the recorded runs.",
        fields=("accuracy_score",),
    ),
    Sign(
        kind="plan_confirmed",
        shows=lambda c: (
            c["accuracy_score"] >= GOOD_ACCURACY and abs(c["confidence_delta"]) <= CONFIDENCE_TOLERANCE
        ),
        size=lambda c: c["accuracy_score"],
        says="waves go as predicted, with an accuracy of {:.0%}",
        recommendation="Go on with the present weights.",
        fields=("accuracy_score", "confidence_delta"),
    ),
)


def findings(comparisons: Sequence[Comparison]) -> list[Finding]:
    """Return what more than half of the executed waves show; none if nothing was executed."""
    executed = [each for each in comparisons if is_told(each)]
    return [found for sign in SIGNS for found in _found(sign, executed)]


def certainty(shown: int, waves: int) -> float:
    """Return the probability that most waves show what `shown` of `waves` did: P(rate > 1/2).

    The rate has a uniform prior, so its posterior is Beta(shown + 1, waves - shown + 1), whose tail above 1/2
    is a sum of binomial terms (DLMF 8.17.5): 0.75 for 1 of 1, 0.875 for 2 of 2, 0.9375 for 3 of 3.
    """
    return sum(comb(waves + 1, k) for k in range(shown + 1)) / float(2 ** (waves + 1))


def is_told(comparison: Comparison) -> bool:
    """Say whether a wave was executed and planned to get anything done, so that the two can be compared."""
    is_whole = all(value is not None for value in comparison.values())
    return is_whole and float(comparison["planned_throughput"]) > 0


def _found(sign: Sign, executed: Sequence[Comparison]) -> list[Finding]:
    shown = [each for each in executed if sign.shows(each)]
    if 2 * len(shown) <= len(executed):
        return []
    size = fmean(sign.size(each) for each in shown)
    return [
        Finding(
            kind=sign.kind,
            confidence=certainty(len(shown), len(executed)),
            description=f"In {len(shown)} of {len(executed)} waves {sign.says.format(size)}.",
            recommendation=sign.recommendation,
            evidence=tuple(_cited(each, sign.fields) for each in shown),
        )
    ]


def _cited(comparison: Comparison, fields: Sequence[str]) -> str:
    return f"wave {comparison['wave']}: " + ", ".join(f"{name} {comparison[name]:.4g}" for name in fields)
