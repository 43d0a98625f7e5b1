"""What an anomaly is, and when anything is one at all. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adaptive.measures import executed_spans
from adaptive.types import Executed

CHANCE = 0.002
"""How likely chance alone may raise one, per test."""
LEAST_RUNS = 5
LEAST_BIAS = 1.35
"""A wave's or an agent's durations off by less than this factor in the median are no anomaly."""


class AnomalyType(StrEnum):
    """What is out of the ordinary."""

    PREDICTION_ERROR = "prediction_error"
    SCHEDULE_DRIFT = "schedule_drift"
    AGENT_OVERLOAD = "agent_overload"
    SUCCESS_DROP = "success_drop"


class Severity(StrEnum):
    """How much it matters."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One thing found. waves, agents: where."""

    kind: AnomalyType
    severity: Severity
    description: str
    recommendation: str
    waves: tuple[int, ...]
    agents: tuple[str, ...]


def severity_of(size: float, medium: float, high: float) -> Severity:
    """Return the severity of something of this size, medium and high from these sizes on."""
    return Severity.HIGH if size >= high else Severity.MEDIUM if size >= medium else Severity.LOW


def waves_of(agent: str, waves: Executed) -> tuple[int, ...]:
    """Return the waves in which an agent executed anything."""
    return tuple(
        wave
        for wave, tasks in waves.items()
        if any(span.task.agent_id == agent for span in executed_spans(tasks))
    )
