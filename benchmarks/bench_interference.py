"""A duty's lateness and duration while CPU-bound research fills every other slot, and on an idle box.

    python -m benchmarks.bench_interference [--seconds 60] [--hogs N]

A duty is due every two seconds and computes for about 0.2 s. The box has a slot for each core; research of
low priority that never stops computing fills all but the duty's. More of it: --hogs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

from benchmarks.box import Box, box, load, percentile, task, verdict

LATENESS_S, FACTOR = 1.0, 1.5
WORK_S = 0.2
EVERY_S = 2
DUTY = """
import json, sys, time
began = time.time()
def work(rounds):
    total = 0
    for number in range(rounds):
        total += number * number
work(int(sys.argv[2]))
with open(sys.argv[1], "a") as out:
    out.write(json.dumps([began, time.time() - began]) + "\\n")
"""
HOG = "while True: sum(n * n for n in range(10_000))"


def rounds_of_work() -> int:
    """Return how many turns of the duty's loop take about `WORK_S` on this machine."""
    began, total = time.perf_counter(), 0
    for number in range(1_000_000):
        total += number * number
    return int(1_000_000 * WORK_S / (time.perf_counter() - began))


def observe(hogs: int, seconds: float, work: int) -> list[tuple[float, float]]:
    """Return (lateness, duration) in seconds of each run of the duty beside `hogs` research runs."""
    # The phases policy, under which research may run at any hour: what is measured does not depend on it.
    flags = {"USE_UNIFIED_SCHEDULER": "false", "USE_TASK_SCHEDULER": "true"}
    with box(**flags, ORCHESTRATOR_SLOTS=str(hogs + 1)) as made:
        seen = made.folder / "seen"
        argv = [sys.executable, "-c", DUTY, str(seen), str(work)]
        tables = [task("duty", argv, every=f"{EVERY_S}s", priority="CRITICAL", category="risk")]
        for number in range(hogs):
            argv = [sys.executable, "-c", HOG]
            tables.append(task(f"hog_{number}", argv, priority="LOW", category="research"))
        made.write_tasks(*tables)
        made.start()
        made.wait_until(lambda: seen.is_file() and _running(made) >= hogs, 30)
        skip = len(_read(seen))
        made.wait_until(lambda: False, seconds, every_s=1.0)
        assert _running(made) >= hogs, "the research did not run all the time"
        return _read(seen)[skip:]


def _running(made: Box) -> int:
    return len(made.rows("SELECT 1 FROM task_runs WHERE status != 'ended' AND task LIKE 'hog%'"))


def _read(seen: Path) -> list[tuple[float, float]]:
    rows = [json.loads(line) for line in seen.read_text().splitlines()]
    return [(began % EVERY_S, took) for began, took in rows]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two")
    cores = os.cpu_count() or 1
    parser.add_argument("--hogs", type=int, default=max(1, cores - 1), help="one slot is the duty's")
    options = parser.parse_args(arguments)
    work, hogs = rounds_of_work(), options.hogs
    idle = observe(0, options.seconds, work)
    full = observe(hogs, options.seconds, work)
    late, took = [late for late, _ in full], [took for _, took in full]
    idle_took = [took for _, took in idle]
    note = f"{len(full)} runs beside {hogs} of research; {load()}"
    good = verdict("duty lateness, p99", percentile(late, 0.99), "s", LATENESS_S, note)
    factor = statistics.median(took) / statistics.median(idle_took)
    note = f"medians {statistics.median(took):.3f} s and {statistics.median(idle_took):.3f} s idle"
    note += f"; p99 {percentile(took, 0.99):.3f} s and {percentile(idle_took, 0.99):.3f} s"
    return 0 if verdict("duty duration over idle", factor, "x", FACTOR, note) and good else 1


if __name__ == "__main__":
    sys.exit(main())
