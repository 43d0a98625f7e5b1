"""What luck alone makes of a wave whose plan is right: differences that are no news. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import copysign, hypot, sqrt

from adaptive.beliefs import NORMAL_DEVIATION, UNKNOWN_ERROR
from adaptive.measures import Span, executed_spans
from adaptive.types import ScheduledTask

RUN_SPREAD = NORMAL_DEVIATION * UNKNOWN_ERROR
"""Standard deviation of one run's ln(ms), as far as nothing is known of it: a third of its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """What a wave's figures rest on. runs: executed tasks. success: the standard error of its success rate.
    throughput: that of its throughput, as a share of it."""

    runs: int
    success: float
    throughput: float


def luck_of(tasks: Iterable[ScheduledTask]) -> Luck:
    """Return how far a wave's figures may lie from its plan by luck alone.

    Each run succeeds by its confidence c, so the variance of the successes is sum c (1 - c), and of the rate
    that over n^2. The wave lasts as long as the agent that is planned to end last; the runs of it, of planned
    lengths d, add up to sum d with a relative error of RUN_SPREAD sqrt(sum d^2) / sum d.
    """
    spans = executed_spans(tasks)
    expected = sum(span.task.confidence for span in spans)
    deviation = sqrt(sum(span.task.confidence * (1 - span.task.confidence) for span in spans))
    return Luck(
        runs=len(spans),
        success=deviation / len(spans) if spans else 0.0,
        throughput=hypot(deviation / expected if expected else 0.0, _error_of_length(spans)),
    )


def luck_of_one(rate: float) -> Luck:
    """Return the same of a wave of which nothing but its planned success rate is known: it counts as one
    task."""
    deviation = sqrt(rate * (1 - rate))
    return Luck(runs=1, success=deviation, throughput=hypot(deviation / rate if rate else 0.0, RUN_SPREAD))


def beyond(difference: float, band: float) -> float:
    """Return the part of a difference that lies outside of the band around 0."""
    return copysign(max(0.0, abs(difference) - band), difference)


def _error_of_length(spans: tuple[Span, ...]) -> float:
    last = max(spans, key=lambda span: span.task.scheduled_end_time, default=None)
    if last is None:
        return 0.0
    lengths = [span.planned_ms for span in spans if span.task.agent_id == last.task.agent_id]
    return RUN_SPREAD * hypot(*lengths) / sum(lengths) if sum(lengths) > 0 else 0.0
