"""From exec to the first task started, of the real daemon: on a warm state directory and on an empty one.

    python -m benchmarks.bench_start [--times 5]

The task is due at once; its child writes its own clock before anything else. The median of all starts counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from benchmarks.box import Box, box, load, task, verdict

TARGET_S = 0.7


def start_once(made: Box, name: str) -> float:
    """Start the daemon, wait for its first task, stop it; return the seconds between the two.

    name: of the task, new in every start, so that it is due at once.
    """
    witness = made.folder / name
    made.write_tasks(task(name, ["/bin/sh", "-c", f'date +%s%N >"{witness}"']))
    began = time.time()
    made.start()
    if not made.wait_until(lambda: _has_line(witness), 30, every_s=0.02):
        raise RuntimeError("no task was started within 30 s")
    first = int(witness.read_text().splitlines()[0]) / 1e9
    made.stop()
    return first - began


def _has_line(path: Path) -> bool:
    return path.is_file() and path.read_text().endswith("\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args(arguments)
    warm, empty = [], []
    for _ in range(options.times):
        with box() as made:
            empty.append(start_once(made, "first"))
            warm.append(start_once(made, "second"))
    note = f"median of {options.times}, {min(warm):.2f} to {max(warm):.2f}; {load()}"
    good = verdict("start, warm state", statistics.median(warm), "s", TARGET_S, note)
    note = f"median of {options.times}, {min(empty):.2f} to {max(empty):.2f}"
    return 0 if verdict("start, empty state", statistics.median(empty), "s", TARGET_S, note) and good else 1


if __name__ == "__main__":
    sys.exit(main())
