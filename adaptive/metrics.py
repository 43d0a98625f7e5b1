"""The monitor's figures, what they should be, and what they make of the whole system's health. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from types import MappingProxyType
from typing import Any

from adaptive import measures
from adaptive.anomaly import Severity
from adaptive.types import Executed, OptimizationResult

UNIT = "share"
"""All of them are shares: 1 is all there can be, or as expected."""
ROUNDING = 1e-9


class MetricStatus(StrEnum):
    """Where a value lies. MISSING: there is none, as nothing was executed (of convergence: optimised; of
    adherence: no start was planned)."""

    OK = "ok"  # within its thresholds
    BELOW = "below"
    ABOVE = "above"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a metric should be, and between which limits it is in order."""

    target: float
    least: float
    most: float = 1.0


DEFAULT_TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "schedule_accuracy": Target(target=0.90, least=0.85),
        # Above 1 the plans are too timid, which wastes the window.
        "throughput_efficiency": Target(target=0.95, least=0.90),
        # A task in twenty of the wave's length off its place is usual with durations known to 10 %.
        "schedule_adherence": Target(target=0.95, least=0.85),
        # Dependencies and the last task's end leave agents idle; half idle is a plan gone wrong.
        "agent_utilization": Target(target=0.80, least=0.50),
        # Within 5 % of the proven bound is what the optimizer promises.
        "optimization_convergence": Target(target=0.99, least=0.95),
    }
)

EXCELLENT, GOOD, FAIR = 85.0, 70.0, 50.0
"""Scores from which a system is called so; below the last it is POOR."""
PENALTIES: Mapping[str, float] = MappingProxyType(
    {Severity.LOW: 5.0, Severity.MEDIUM: 15.0, Severity.HIGH: 30.0}
)
"""What an anomaly takes from a stability of 100."""


def values(results: Sequence[OptimizationResult], executed_by_wave: Executed) -> dict[str, float | None]:
    """Return each metric's value, None where there is nothing to tell it from.

    schedule_accuracy, schedule_adherence: `measures.accuracy_score` and `measures.adherence` over all tasks.
    throughput_efficiency: `measures.throughput_efficiency`. agent_utilization: the mean over the results'
    agents of `measures.utilization`. optimization_convergence: `convergence`.
    """
    tasks = [task for executed in executed_by_wave.values() for task in executed]
    agents = {agent for result in results for agent in result.agent_assignments}
    busy = measures.utilization(tasks, sorted(agents | {task.agent_id for task in tasks}))
    return {
        "schedule_accuracy": measures.accuracy_score(tasks),
        "throughput_efficiency": measures.throughput_efficiency(results, executed_by_wave),
        "schedule_adherence": measures.adherence(tasks),
        "agent_utilization": fmean(busy.values()) if busy else None,
        "optimization_convergence": convergence(results) if results else None,
    }


def convergence(results: Sequence[OptimizationResult]) -> float:
    """Return the mean over results of 1 - gap to the proven bound, at least 0 each: 1 is proven optimal.

    Raises:
        ValueError: if there are no results.
    """
    if not results:
        raise ValueError("results is empty: expected at least one")
    return fmean(max(0.0, 1.0 - result.gap) for result in results)


def status_of(value: float | None, target: Target) -> MetricStatus:
    """Return where a value lies."""
    if value is None:
        return MetricStatus.MISSING
    if value < target.least - ROUNDING:
        return MetricStatus.BELOW
    return MetricStatus.ABOVE if value > target.most + ROUNDING else MetricStatus.OK


def health(
    metrics: Sequence[Mapping[str, Any]], anomalies: Sequence[Mapping[str, Any]], timestamp: str
) -> dict[str, Any]:
    """Return the system_health record.

    A component scores 100 x value / target of its metric (optimization_accuracy is of schedule_accuracy), at
    most 100, and None where the metric is missing. system_stability is 100 less the PENALTIES, at least 0;
    None if nothing was executed, as then nothing can have gone wrong. The overall score is the mean of the
    components there are; without any it is 0: what shows nothing is not in health.
    """
    by_name = {metric["metric_name"]: metric for metric in metrics}
    scores = {
        "optimization_accuracy": _score(by_name.get("schedule_accuracy")),
        "schedule_adherence": _score(by_name.get("schedule_adherence")),
        "throughput_efficiency": _score(by_name.get("throughput_efficiency")),
    }
    was_executed = anomalies or any(score is not None for score in scores.values())
    scores["system_stability"] = _stability(anomalies) if was_executed else None
    known = [score for score in scores.values() if score is not None]
    overall = fmean(known) if known else 0.0
    return {
        "overall_health_score": overall,
        "health_status": health_word(overall),
        "component_scores": scores,
        "optimization_metrics": {name: metric["value"] for name, metric in by_name.items()},
        "detected_anomalies": len(anomalies),
        "timestamp": timestamp,
    }


def health_word(score: float) -> str:
    """Return EXCELLENT from 85, GOOD from 70, FAIR from 50, else POOR."""
    if score >= EXCELLENT:
        return "EXCELLENT"
    return "GOOD" if score >= GOOD else "FAIR" if score >= FAIR else "POOR"


def _score(metric: Mapping[str, Any] | None) -> float | None:
    if metric is None or metric["value"] is None:
        return None
    return 100.0 * max(0.0, min(1.0, float(metric["value"]) / float(metric["target_value"])))


def _stability(anomalies: Sequence[Mapping[str, Any]]) -> float:
    return max(0.0, 100.0 - sum(PENALTIES[anomaly["severity"]] for anomaly in anomalies))
