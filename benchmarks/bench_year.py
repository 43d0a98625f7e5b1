"""A simulated year with the built-in tasks as shipped: seconds and peak memory, by policy.

    python -m benchmarks.bench_year [--policy unified] [--seed 1]

Each policy runs in a process of its own, so that its peak is its own. Starts and ends are counted, not kept,
as a year's report counts them. The CPU time is told beside the wall time: what else the machine does adds to
the one and hardly to the other.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.box import MB, ROOT, load, verdict
from orchestration.policies import POLICIES, policy_for
from orchestration.reports import SessionTables
from orchestration.simulation.box import simulate
from orchestration.task_specs import TASK_SPECS

TARGET_S = 60.0
TARGET_MB = 150.0
START = datetime(2026, 1, 1, 5, tzinfo=UTC)  # midnight in New York
DAYS = 365


def year(policy: str, seed: int, days: float) -> dict[str, float]:
    """Simulate the year in this process; return its seconds, its CPU seconds, its decisions and the peak of
    resident memory in MB."""
    specs = {spec.name: spec for spec in TASK_SPECS}
    began, cpu_began = time.perf_counter(), time.process_time()
    done = simulate(specs, policy_for(policy), SessionTables(), START, days, seed, keep_events=False)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu_began,
        "decisions": done.decisions,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Return the most resident memory this process has had, in MB."""
    # Not ru_maxrss: that begins with the parent's own size.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / MB


def in_child(policy: str, seed: int, days: float) -> dict[str, float]:
    """Simulate the year in a process of its own; return the same figures."""
    argv = [sys.executable, "-m", "benchmarks.bench_year", "--here", "--policy", policy]
    argv += ["--seed", str(seed), "--days", str(days)]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def shown(policy: str, seed: int, days: float) -> bool:
    """Run one policy and print its two lines; return whether both targets are met."""
    figures = in_child(policy, seed, days)
    note = f"{figures['cpu_seconds']:.1f} s of CPU, {figures['decisions']:.0f} decisions; {load()}"
    in_time = verdict(f"simulated year, {policy}", figures["seconds"], "s", TARGET_S, note)
    return verdict(f"simulated year, {policy}: peak memory", figures["peak_mb"], "MB", TARGET_MB) and in_time


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--policy", choices=tuple(POLICIES), help="one of them alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=DAYS, help="of the year, from its first")
    parser.add_argument("--here", action="store_true", help="in this process, figures as JSON")
    options = parser.parse_args(arguments)
    if options.here:
        print(json.dumps(year(options.policy or "unified", options.seed, options.days)))
        return 0
    policies = [options.policy] if options.policy else list(POLICIES)
    good = [shown(policy, options.seed, options.days) for policy in policies]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
