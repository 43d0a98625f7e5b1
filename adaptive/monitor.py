"""Watches the optimiser: how good its plans were, what went wrong beyond chance, how healthy the whole is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adaptive import anomalies, measures, metrics
from adaptive.anomaly import Anomaly
from adaptive.metrics import DEFAULT_TARGETS, UNIT, Target
from adaptive.timing_anomalies import PredictionError, prediction_errors
from adaptive.types import Executed, OptimizationResult, ScheduledTask


class OptimizationMonitor:
    """Turns results and what came of them into metrics, anomalies and a health score.

    targets: by metric name; those not named have their default.

    Raises:
        ValueError: if a target's metric is unknown, or it lies outside its own limits or not above 0.
    """

    def __init__(self, targets: Mapping[str, Target] = DEFAULT_TARGETS) -> None:
        for name, target in targets.items():
            if name not in DEFAULT_TARGETS:
                raise ValueError(f"targets has {name!r}: expected metrics among {', '.join(DEFAULT_TARGETS)}")
            if not (target.least <= target.target <= target.most and target.target > 0.0):
                raise ValueError(f"targets[{name!r}] is {target}: expected least <= target <= most, above 0")
        self.targets = {**DEFAULT_TARGETS, **targets}

    def calculate_metrics(
        self,
        results: Sequence[OptimizationResult],
        executed_by_wave: Executed,
        timestamp: str,
    ) -> list[dict[str, Any]]:
        """Return an optimization_metric record for each metric; see `metrics.values` for what they are.

        status: ok, below or above the thresholds, or missing with the value None.
        """
        return [
            {
                "metric_name": name,
                "value": value,
                "unit": UNIT,
                "target_value": self.targets[name].target,
                "threshold_min": self.targets[name].least,
                "threshold_max": self.targets[name].most,
                "status": metrics.status_of(value, self.targets[name]).value,
                "timestamp": timestamp,
            }
            for name, value in metrics.values(results, executed_by_wave).items()
        ]

    def detect_anomalies(
        self,
        executed_by_wave: Executed,
        timestamp: str,
        agents: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """Return a scheduling_anomaly record for what chance hardly explains; see `adaptive.anomalies`.

        agents: the pool's, as one that ran nothing is not in the waves. severity: low, medium or high.
        """
        found = anomalies.anomalies(executed_by_wave, agents)
        return [_record(each, number, timestamp) for number, each in enumerate(found, start=1)]

    def generate_system_health(
        self, metrics_: Sequence[Mapping[str, Any]], anomalies_: Sequence[Mapping[str, Any]], timestamp: str
    ) -> dict[str, Any]:
        """Return the system_health record of these metrics and anomalies; see `metrics.health`."""
        return metrics.health(metrics_, anomalies_, timestamp)

    def monitor_agent_utilization(
        self, executed: Sequence[ScheduledTask], agents: Sequence[str]
    ) -> dict[str, float]:
        """Return by agent the share of the elapsed time in which it ran a task; empty if none was."""
        return measures.utilization(executed, agents) or {}

    def detect_prediction_errors(self, executed: Sequence[ScheduledTask]) -> list[PredictionError]:
        """Return the runs whose duration lies beyond what the others' spread explains."""
        return prediction_errors(executed)

    def monitor_optimization_convergence(self, results: Sequence[OptimizationResult]) -> float:
        """Return the mean of 1 - gap: 1 is proven optimal. ValueError without results."""
        return metrics.convergence(results)


def _record(found: Anomaly, number: int, timestamp: str) -> dict[str, Any]:
    waves = f"{found.waves[0]}" if len(found.waves) == 1 else f"{found.waves[0]}-{found.waves[-1]}"
    return {
        "anomaly_id": f"AN_{waves}_{number:03d}",
        "anomaly_type": found.kind.value,
        "severity": found.severity.value,
        "description": found.description,
        "affected_waves": list(found.waves),
        "affected_agents": list(found.agents),
        "recommendation": found.recommendation,
        "timestamp": timestamp,
    }
