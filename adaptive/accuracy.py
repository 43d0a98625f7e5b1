"""How near the plans of whole waves came: what a person plans a window by. Pure.

A single run's duration is noise to a quarter of it or more, whoever foretells it; the metric
schedule_accuracy tells how well each one was foretold. What a window can hold is a matter of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from adaptive.measures import success_rate, timed_spans
from adaptive.types import Executed, OptimizationResult, ScheduledTask


def prediction_accuracy(results: Sequence[OptimizationResult], executed: Executed) -> float | None:
    """Return how well the executed waves were foretold, 0 to 1; None if none was executed.

    The mean over the waves of the mean of two parts. Successes: 1 - |expected - actual success rate|. Work:
    the smaller over the larger of the planned and the actual ms that the wave's `timed_spans` took together;
    left out if no run can be timed.
    """
    found = [_accuracy(result, executed.get(result.wave, ())) for result in results]
    known = [each for each in found if each is not None]
    return fmean(known) if known else None


def _accuracy(result: OptimizationResult, executed: Sequence[ScheduledTask]) -> float | None:
    actual = success_rate(executed)
    if actual is None:
        return None
    parts = [1.0 - abs(result.expected_success_rate - actual)]
    spans = timed_spans(executed)
    if spans:
        sums = sum(span.planned_ms for span in spans), sum(span.actual_ms for span in spans)
        parts.append(min(sums) / max(sums))
    return fmean(parts)
