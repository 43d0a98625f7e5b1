"""Which task does how well on which agent, kept from wave to wave as coordination patterns. Pure.

A pattern of ours holds one task on one agent. Its confidence c = n / (n + 2) tells the n runs that it rests
on, so that the next wave's runs can be added to it, and the beliefs can count them as runs. A run is an
attempt, as in a database: a task that was retried counts as a failure and a success.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adaptive.measures import executed_spans
from adaptive.types import ScheduledTask, Status

TASK_ON_AGENT = "task_on_agent"
PRIOR_RUNS = 2.0
MOST_RUNS = 50.0
"""Older runs count for at most this many: what has changed since shows within as many new ones."""


def merged_patterns(
    known: Sequence[Mapping[str, Any]], executed: Sequence[ScheduledTask], kinds: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the patterns with what was executed added; patterns of other types stay as they are.

    kinds: what a task id is a run of; one that is not named learns as itself. Sorted by task and agent.
    """
    others = [dict(pattern) for pattern in known if pattern["pattern_type"] != TASK_ON_AGENT]
    records: dict[tuple[str, str], tuple[float, float]] = {}
    for pattern in known:
        if pattern["pattern_type"] == TASK_ON_AGENT:
            records.update(_records(pattern))
    for span in executed_spans(executed):
        pair = kinds.get(span.task.task_id, span.task.task_id), span.task.agent_id
        successes, runs = records.get(pair, (0.0, 0.0))
        attempts = 2 if span.task.status is Status.RETRIED else 1
        records[pair] = successes + span.succeeded, runs + attempts
    return others + [_pattern(*pair, *records[pair]) for pair in sorted(records)]


def recorded_runs(pattern: Mapping[str, Any]) -> float:
    """Return the runs that a pattern of ours rests on: n = 2 c / (1 - c), at most MOST_RUNS."""
    confidence = min(float(pattern["confidence"]), MOST_RUNS / (MOST_RUNS + PRIOR_RUNS))
    return PRIOR_RUNS * confidence / (1 - confidence)


def _records(pattern: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float, float]]:
    """Return successes and runs, by task and agent."""
    runs = recorded_runs(pattern)
    return {
        (task, agent): (pattern["success_rate"] * runs, runs)
        for agent, tasks in pattern["agent_assignments"].items()
        for task in tasks
    }


def _pattern(task: str, agent: str, successes: float, runs: float) -> dict[str, Any]:
    return {
        "pattern_type": TASK_ON_AGENT,
        "agent_assignments": {agent: [task]},
        "success_rate": min(1.0, successes / runs) if runs else 0.0,
        "confidence": runs / (runs + PRIOR_RUNS),
    }
