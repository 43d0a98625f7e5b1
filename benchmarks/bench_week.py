"""A simulated week with the built-in tasks: as shipped, and with every one of them enabled.

    python -m benchmarks.bench_week [--times 3]

The best of the times counts: what else the machine does only ever adds. The exit code is that of the week as
shipped; the other shows what is to come when every task has its job.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime

from benchmarks.box import load, verdict
from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.simulation.box import Simulation, simulate
from orchestration.task_specs import TASK_SPECS

TARGET_S = 1.5
START = datetime(2026, 11, 20, 5, tzinfo=UTC)  # midnight in New York before a Friday; Thanksgiving is in it


def week(all_enabled: bool) -> tuple[float, Simulation]:
    """Simulate the week; return the seconds it took, and what came of it."""
    specs = {spec.name: spec.but(enabled=True) if all_enabled else spec for spec in TASK_SPECS}
    policy, tables = policy_for("unified"), SessionTables()
    began = time.perf_counter()
    done = simulate(specs, policy, tables, START, 7, 1)
    return time.perf_counter() - began, done


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args(arguments)
    good = {}
    for name, all_enabled in (("as shipped", False), ("all enabled", True)):
        rounds = [week(all_enabled) for _ in range(options.times)]
        done = rounds[0][1]
        note = f"{done.decisions} decisions, {len(done.events)} starts and ends; {load()}"
        good[name] = verdict(f"simulated week, {name}", min(s for s, _ in rounds), "s", TARGET_S, note)
    return 0 if good["as shipped"] else 1


if __name__ == "__main__":
    sys.exit(main())
