"""What the real daemon costs while nothing is due: CPU and wake-ups over a minute.

python -m benchmarks.bench_idle [--seconds 60]
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.box import Box, box, load, task, verdict

TARGET_PCT = 0.1


def measure(made: Box, seconds: float) -> tuple[float, int]:
    """Return the percent of one core, and the voluntary switches, over `seconds` without a run."""
    made.write_tasks(task("never", ["/bin/true"], cron="0 0 1 1 *"))
    made.start()
    if not made.wait_until(lambda: bool(made.rows("SELECT 1 FROM events")), 30):
        raise RuntimeError("the daemon did not come up")
    time.sleep(3.0)
    before = made.usage()
    time.sleep(seconds)
    after = made.usage()
    return 100 * (after.cpu_s - before.cpu_s) / seconds, after.switches - before.switches


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    with box() as made:
        share, switches = measure(made, options.seconds)
    note = f"over {options.seconds:.0f} s: {switches} wake-ups; a clock tick is 0.01 s"
    return 0 if verdict("idle CPU", share, "% of a core", TARGET_PCT, note + f"; {load()}") else 1


if __name__ == "__main__":
    sys.exit(main())
