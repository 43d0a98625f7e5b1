"""What a person should know of a schedule before it is carried out, as learning signals. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from adaptive.beliefs import Beliefs
from adaptive.types import OptimizationResult

LOW_SUCCESS = 0.5  # a task more likely to fail than not is better looked at than run
SLOW_AGENT = 1.5  # times slower than the median agent: more than an agent's own noise
WIDE_GAP = 0.05  # the share of the bound that a schedule may miss before it is said
UNEVEN_LOAD = 1.25  # the busiest agent's time over the mean


def recommendations(
    result: OptimizationResult, beliefs: Beliefs, agents: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what stands out in a schedule: learning signals, numbered in the order of their kinds.

    confidence (0 to 1) is how sure the finding is: 1 for what can be read off the schedule itself.
    """
    found = [
        *_unplaced(result),
        *_unlikely(result),
        *_slow_agents(beliefs, agents),
        *_wide_gap(result),
        *_uneven_load(result),
    ]
    return [
        {"signal_id": f"OPT_{result.wave}_{number:03d}", **signal}
        for number, signal in enumerate(found, start=1)
    ]


def _signal(kind: str, confidence: float, description: str, recommendation: str) -> dict[str, Any]:
    return {
        "type": kind,
        "confidence": round(confidence, 4),
        "description": description,
        "recommendation": recommendation,
    }


def _unplaced(result: OptimizationResult) -> Iterator[dict[str, Any]]:
    for task_id, reason in result.skipped.items():
        yield _signal(
            "task_not_placed",
            1.0,
            f"{task_id} has no place in wave {result.wave}: {reason}",
            f"Give {task_id} a later wave, or change what stands in its way.",
        )


def _unlikely(result: OptimizationResult) -> Iterator[dict[str, Any]]:
    for each in result.schedule:
        if each.confidence < LOW_SUCCESS:
            yield _signal(
                "low_success",
                1.0 - each.confidence,
                f"{each.task_id} on {each.agent_id} succeeds with probability {each.confidence:.2f}",
                f"Look at the last failures of {each.task_id} before it takes up {each.agent_id} again.",
            )


def _slow_agents(beliefs: Beliefs, agents: Sequence[str]) -> Iterator[dict[str, Any]]:
    for agent in agents:
        typical = median(beliefs.speed(other) for other in agents)
        times = typical / beliefs.speed(agent)
        if times > SLOW_AGENT:
            yield _signal(
                "slow_agent",
                beliefs.speed_evidence(agent),
                f"{agent} takes {times:.1f} times as long as the median agent for the same tasks",
                f"See what else runs where {agent} runs, and keep long tasks away from it.",
            )


def _wide_gap(result: OptimizationResult) -> Iterator[dict[str, Any]]:
    if result.gap > WIDE_GAP:
        yield _signal(
            "wide_gap",
            1.0,
            f"wave {result.wave} may miss the best schedule by up to {result.gap:.0%} ({result.method})",
            "Allow the optimizer a longer deadline, or plan smaller waves.",
        )


def _uneven_load(result: OptimizationResult) -> Iterator[dict[str, Any]]:
    busy = dict.fromkeys(result.agent_assignments, 0.0)
    for each in result.schedule:
        busy[each.agent_id] += each.planned_ms
    if not any(busy.values()):
        return
    busiest = max(busy, key=lambda agent: busy[agent])
    ratio = busy[busiest] / (sum(busy.values()) / len(busy))
    # One task on an agent cannot be spread any further.
    if ratio > UNEVEN_LOAD and len(result.agent_assignments[busiest]) > 1:
        yield _signal(
            "load_imbalance",
            1.0,
            f"{busiest} is busy {ratio:.2f} times as long as the mean agent in wave {result.wave}",
            "Use maximize_throughput, or a larger weight of H16_002, where the wave's end matters.",
        )
