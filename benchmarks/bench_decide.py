"""decide() with 40 specs of which 3 are due: target <= 100 µs a call, agenda kept, nothing changed between.

python -m benchmarks.bench_decide
"""

from __future__ import annotations

import statistics
import sys
from datetime import UTC, datetime, timedelta

from orchestration.agenda import Agenda
from orchestration.clock import SystemClock
from orchestration.decide import decide
from orchestration.decisions import Resources
from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.runs import SchedulerState
from orchestration.types import TaskPriority, TaskSpec

TARGET_US = 100.0
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)  # a Friday, the market is open


def specs() -> dict[str, TaskSpec]:
    """Return 40 specs as a box has them: 3 due now, 37 that wait for their hour."""
    due = [
        TaskSpec(
            name=f"due_{n}", priority=TaskPriority.HIGH, every=timedelta(minutes=1), window="open..close"
        )
        for n in range(3)
    ]
    waiting = [
        TaskSpec(
            name=f"task_{n:02}",
            phases={("PRE_MARKET", "POST_MARKET", "OVERNIGHT", "WEEKEND")[n % 4]},
            dependencies={f"task_{n - 1:02}"} if n % 3 else set(),
            conflicts={f"task_{(n + 5) % 37:02}"},
        )
        for n in range(37)
    ]
    return {spec.name: spec for spec in [*due, *waiting]}


def main() -> int:
    """Print the median and the slowest percentile; exit 1 above the target."""
    tasks, policy = specs(), policy_for("unified")
    calendars = SessionTables().calendars(NOW.date())
    state, agenda, clock = SchedulerState(), Agenda(), SystemClock()
    resources = Resources(total_mb=4000, available_mb=3000, slots=4)
    assert len(decide(policy, state, NOW, resources, tasks, calendars, agenda).starts) == 3
    took = []
    for n in range(5000):
        now = NOW + timedelta(milliseconds=n)
        began = clock.monotonic()
        decide(policy, state, now, resources, tasks, calendars, agenda)
        took.append((clock.monotonic() - began) * 1e6)
    took.sort()
    median, p99 = statistics.median(took), took[int(0.99 * len(took))]
    print(f"decide: 40 specs, 3 due: median {median:.0f} µs, p99 {p99:.0f} µs (target {TARGET_US:.0f})")
    return 0 if median <= TARGET_US else 1


if __name__ == "__main__":
    sys.exit(main())
