"""Placing a wave: 4 agents x 100 tasks in <= 300 ms and < 100 MB; 200 random waves within 5 % of the bound.

The waves are those of the property tests: 5 to 100 tasks, log-normal durations, four agents of unequal speed,
memory, some dependencies and conflicts, half of them in a window that may be too short. The gap is the
distance from the proven bound as a share of it. A wave's time is the whole of solve(), scipy loaded already.

python -m benchmarks.bench_adaptive
"""

from __future__ import annotations

import resource
import statistics
import sys
import time

from adaptive.problem import Goal, Problem
from adaptive.solving import solve
from tests.properties.waves import faults, random_wave

TARGET_MS, TARGET_MB, TARGET_GAP = 300.0, 100.0, 0.05
FULL, FULL_WAVES, WAVES = 100, 20, 200


def solved(problem: Problem) -> tuple[float, float]:
    """Return the gap of one wave's solution, and how long it took [ms]."""
    began = time.perf_counter()
    solution = solve(problem)
    took = (time.perf_counter() - began) * 1e3
    assert not faults(problem, solution), faults(problem, solution)
    gap = abs(solution.objective - solution.bound) / abs(solution.bound) if solution.bound else 0.0
    return gap, took


def full_waves(goal: Goal) -> bool:
    """Print how long waves of 100 tasks take."""
    took = sorted(solved(random_wave(seed, goal, FULL))[1] for seed in range(FULL_WAVES))
    print(
        f"adaptive: {goal.value:8}: 4 agents x {FULL} tasks: median {statistics.median(took):.0f} ms, "
        f"longest {took[-1]:.0f} ms (target {TARGET_MS:.0f})"
    )
    return took[-1] <= TARGET_MS


def random_waves(goal: Goal) -> bool:
    """Print how near to their bounds waves of all sizes come."""
    gaps, took = zip(*(solved(random_wave(seed, goal)) for seed in range(WAVES)), strict=True)
    print(
        f"adaptive: {goal.value:8}: {WAVES} random waves: gap {statistics.mean(gaps):.2%} on average, "
        f"{max(gaps):.2%} at most (target {TARGET_GAP:.0%}), {gaps.count(0.0)} proven optimal; "
        f"median {statistics.median(took):.0f} ms, longest {max(took):.0f} ms"
    )
    return bool(max(gaps) <= TARGET_GAP)


def main() -> int:
    """Print every figure with its target; exit 1 if one is missed."""
    solve(random_wave(0, Goal.VALUE, 5))  # loads scipy
    good = [check(goal) for goal in Goal for check in (full_waves, random_waves)]
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"adaptive: largest resident size {size:.0f} MB (target {TARGET_MB:.0f})")
    return 0 if all([*good, size <= TARGET_MB]) else 1


if __name__ == "__main__":
    sys.exit(main())
