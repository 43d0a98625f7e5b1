"""What tasks, pools, waves and outcomes refuse to be made of."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest

from adaptive.types import OptimizationResult, Outcome, Pool, Strategy, Wave, WaveTask


def a_task(**fields: Any) -> WaveTask:
    return WaveTask(**{"task_id": "fit", **fields})


def a_wave(**fields: Any) -> Wave:
    return Wave(**{"number": 3, "tasks": (), **fields})


def an_outcome(**fields: Any) -> Outcome:
    times = {"started_ms": 10.0, "ended_ms": 20.0, **fields}
    return Outcome(task_id="fit", kind="fit", agent_id="a", wave=1, success=True, **times)


@pytest.mark.parametrize(
    ("make", "field", "value", "complaint"),
    [
        (a_task, "task_id", "", "task_id is '': expected a text"),
        (a_task, "expected_ms", -1.0, "expected_ms of 'fit' is -1.0: expected a finite number of at least 0"),
        (a_task, "expected_ms", nan, "expected_ms of 'fit' is nan: expected"),
        (a_task, "expected_ms", inf, "expected_ms of 'fit' is inf: expected"),
        (a_task, "memory_mb", -0.5, "memory_mb of 'fit' is -0.5: expected"),
        (a_task, "memory_mb", nan, "memory_mb of 'fit' is nan: expected"),
        (a_task, "priority", 0, "priority of 'fit' is 0: expected a whole number from 1 to 5"),
        (a_task, "priority", 6, "priority of 'fit' is 6: expected"),
        (a_task, "priority", 2.5, "priority of 'fit' is 2.5: expected"),
        (Pool, "agents", (), r"agents of the pool is \(\): expected one id or more"),
        (Pool, "agents", ("a", "b", "a"), "agents of the pool is .*: expected .* each once"),
        (Pool, "agents", ("a", ""), "agents of the pool is .*: expected .* none empty"),
        (a_wave, "number", 0, "number of a wave is 0: expected a whole number from 1"),
        (a_wave, "window_ms", -1.0, "window_ms of wave 3 is -1.0: expected None or at least 0"),
        (a_wave, "window_ms", nan, "window_ms of wave 3 is nan: expected"),
        (a_wave, "tasks", (a_task(), a_task(kind="x")), "tasks of wave 3 have task_id 'fit' more than once"),
        (an_outcome, "ended_ms", 9.9, "ended_ms of 'fit' is 9.9: expected .* not before its start, 10.0"),
        (an_outcome, "ended_ms", inf, "ended_ms of 'fit' is inf: expected a finite time"),
        (an_outcome, "started_ms", nan, "ended_ms of 'fit' is 20.0: expected .* its start, nan"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field_value_and_expectation(
    make: Callable[..., object], field: str, value: object, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        make(**{field: value})


@pytest.mark.parametrize("memory_mb", [-1.0, nan])
def test_a_pools_memory_is_a_number_of_at_least_0(memory_mb: float) -> None:
    with pytest.raises(ValueError, match=f"memory_mb of the pool is {memory_mb}: expected a number"):
        Pool(agents=("a",), memory_mb=memory_mb)


def test_the_least_that_makes_sense_is_taken() -> None:
    task = a_task(expected_ms=0.0, memory_mb=0.0, priority=1)

    wave = a_wave(number=1, tasks=(task,), window_ms=0.0)

    assert wave.tasks == (task,)
    assert Pool(agents=("a",), memory_mb=0.0).agents == ("a",)
    assert an_outcome(ended_ms=10.0).duration_ms == 0.0


@pytest.mark.parametrize(
    ("objective", "bound", "gap"),
    [(95.0, 100.0, 0.05), (110.0, 100.0, 0.1), (0.0, 0.0, 0.0), (5.0, 0.0, inf)],
)
def test_the_gap_is_the_distance_as_a_share_of_the_bound(objective: float, bound: float, gap: float) -> None:
    result = OptimizationResult(
        wave=1,
        strategy=Strategy.WEIGHTED,
        agent_assignments={},
        schedule=(),
        expected_success_rate=0.0,
        expected_throughput=0.0,
        makespan_ms=0.0,
        objective=objective,
        bound=bound,
        method="heuristic",
    )

    assert result.gap == pytest.approx(gap)
