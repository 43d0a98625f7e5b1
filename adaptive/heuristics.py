"""What a placement is judged by: each heuristic scores every task on every agent, from 0 to 1. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from statistics import median
from types import MappingProxyType
from typing import TypeAlias

from adaptive.beliefs import Beliefs, Posterior
from adaptive.types import LEAST_PRIORITY, MOST_PRIORITY, Strategy, WaveTask

Matrix: TypeAlias = tuple[tuple[float, ...], ...]
"""Rows are tasks, columns are agents."""

CAUTION = 0.05  # the quantile of the posterior that counts as a cautious success rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospects:
    """What is expected of every task (row) on every agent (column)."""

    tasks: tuple[WaveTask, ...]
    posterior: tuple[tuple[Posterior, ...], ...]
    duration_ms: Matrix


def prospects_of(tasks: tuple[WaveTask, ...], agents: tuple[str, ...], beliefs: Beliefs) -> Prospects:
    """Return what the beliefs say of these tasks on these agents."""
    return Prospects(
        tasks=tasks,
        posterior=tuple(tuple(beliefs.success(task.learns_as, agent) for agent in agents) for task in tasks),
        duration_ms=tuple(tuple(beliefs.duration_ms(task, agent) for agent in agents) for task in tasks),
    )


def success_scores(prospects: Prospects) -> Matrix:
    """Return the posterior means."""
    return tuple(tuple(posterior.mean for posterior in row) for row in prospects.posterior)


def throughput_scores(prospects: Prospects) -> Matrix:
    """Return r / (r + duration), r the median duration of all: short tasks and fast agents come near 1."""
    typical = median(ms for row in prospects.duration_ms for ms in row)
    return tuple(tuple(typical / (typical + ms) for ms in row) for row in prospects.duration_ms)


def confidence_scores(prospects: Prospects) -> Matrix:
    """Return the rate that each success rate exceeds with 95 % probability."""
    return tuple(tuple(posterior.lower(CAUTION) for posterior in row) for row in prospects.posterior)


def priority_scores(prospects: Prospects) -> Matrix:
    """Return 0 for priority 1 up to 1 for priority 5, on every agent alike: what to place if not all fits."""
    agents = len(prospects.duration_ms[0])
    span = MOST_PRIORITY - LEAST_PRIORITY
    return tuple(((task.priority - LEAST_PRIORITY) / span,) * agents for task in prospects.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heuristic:
    """name: what it weighs. weight: what it counts for until something is learned. score: the function."""

    name: str
    weight: float
    score: Callable[[Prospects], Matrix]


HEURISTICS: Mapping[str, Heuristic] = MappingProxyType(
    {
        "H16_001": Heuristic(name="success", weight=0.4, score=success_scores),
        "H16_002": Heuristic(name="throughput", weight=0.3, score=throughput_scores),
        "H16_003": Heuristic(name="confidence", weight=0.2, score=confidence_scores),
        "H16_004": Heuristic(name="priority", weight=0.1, score=priority_scores),
    }
)
WEIGHTS_FILE = "heuristic_weights.json"
"""Where the weights are kept between two runs, and what a person may edit."""

DEFAULT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {heuristic_id: heuristic.weight for heuristic_id, heuristic in HEURISTICS.items()}
)
SOLE_HEURISTIC: Mapping[Strategy, str] = MappingProxyType(
    {Strategy.SUCCESS: "H16_001", Strategy.CONFIDENCE: "H16_003"}
)
"""The strategies that weigh one thing alone."""


def scores(prospects: Prospects, weights: Mapping[str, float]) -> Matrix:
    """Return the sum over heuristics of weight x score, for every task on every agent."""
    if not prospects.tasks:
        return ()
    weighed = [(weight, HEURISTICS[key].score(prospects)) for key, weight in weights.items() if weight > 0.0]
    return tuple(
        tuple(sum(weight * matrix[i][j] for weight, matrix in weighed) for j in range(len(row)))
        for i, row in enumerate(prospects.duration_ms)
    )


def checked_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights with the default for each heuristic that is not named.

    Raises:
        ValueError: if a heuristic is unknown or a weight is not a finite number of at least 0.
    """
    for key, weight in weights.items():
        if key not in HEURISTICS:
            raise ValueError(f"weights has {key!r}: expected heuristics among {', '.join(HEURISTICS)}")
        if not (isfinite(weight) and weight >= 0.0):
            raise ValueError(f"weights[{key!r}] is {weight}: expected a finite number of at least 0")
    return {**DEFAULT_WEIGHTS, **weights}
