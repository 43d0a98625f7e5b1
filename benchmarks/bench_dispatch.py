"""Dispatch latency, due -> child running, of a trivial task: the real daemon beside a bare posix_spawn and
beside APScheduler with an SQLite job store, in the same run.

    python -m benchmarks.bench_dispatch [--seconds 205]

Each of the three starts the same child (`date +%s%N`, whose output is the instant at which it runs) once in
every second: the daemon at the full second, the others a third and two thirds of a second later, so that none
disturbs another. The child of the daemon has its supervisor, its committed row, its limits and its log.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.box import Box, box, load, percentile, task, verdict

TARGET_MEDIAN_MS, TARGET_P99_MS = 6.0, 20.0
CHILD = ("/bin/date", "+%s%N")
TASKS = 1
OFFSETS_MS = {"daemon": 0, "posix_spawn": 333, "APScheduler": 667}


def spawn_child(output: str) -> None:
    """Start the child, its output appended to a file."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.posix_spawn(
        CHILD[0], CHILD, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, output, append, 0o640)]
    )


def run_bare(output: str, offset_ms: int) -> None:
    """Start the children at every second's `offset_ms`, with nothing around it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    due = int(time.time()) + 1 + offset_ms / 1000
    while True:
        time.sleep(max(0.0, due - time.time()))
        for _ in range(TASKS):
            spawn_child(output)
        due += 1.0


def run_apscheduler(output: str, offset_ms: int, database: str) -> None:
    """Let APScheduler start the children at every second's `offset_ms`."""
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.schedulers.background import BackgroundScheduler

    from benchmarks.bench_dispatch import spawn_child as job  # a job is stored by its module's name

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    stores = {"default": SQLAlchemyJobStore(url=f"sqlite:///{database}")}
    scheduler = BackgroundScheduler(jobstores=stores, timezone=UTC)
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2, milliseconds=offset_ms)
    for number in range(TASKS):
        scheduler.add_job(
            job, "interval", seconds=1, start_date=first, args=[output], id=str(number), misfire_grace_time=5
        )
    scheduler.start()
    signal.pause()


def latencies_ms(path: Path, offset_ms: int) -> list[float]:
    """Return how long after its due instant each child ran. The first second warms up and is left out."""
    texts = path.read_text().split()
    return [((int(text) / 1e6) - offset_ms) % 1000 for text in texts if text.isdigit()][TASKS:]


def start_peer(made: Box, name: str) -> subprocess.Popen[bytes]:
    """Start one of the two to compare with, in a session of its own."""
    argv = [sys.executable, "-m", "benchmarks.bench_dispatch", "--peer", name, "--folder", str(made.folder)]
    return subprocess.Popen(argv, start_new_session=True)


def measure(made: Box, seconds: float) -> dict[str, list[float]]:
    """Let all three run for `seconds`; return the latencies of each."""
    tables = [task(f"trivial_{n}", CHILD, every="1s", priority="HIGH") for n in range(TASKS)]
    made.write_tasks(*tables)
    peers = [start_peer(made, name) for name in OFFSETS_MS if name != "daemon"]
    try:
        made.start()
        made.wait_until(lambda: made.ended() > 0, 30)
        made.wait_until(lambda: False, seconds, every_s=1.0)
    finally:
        for peer in peers:
            peer.kill()
            peer.wait()
    made.stop()
    logs = (made.folder / "logs" / "runs" / f"trivial_{n}.log" for n in range(TASKS))
    return {
        "daemon": [ms for log in logs for ms in latencies_ms(log, 0)],
        **{
            name: latencies_ms(made.folder / name, offset)
            for name, offset in OFFSETS_MS.items()
            if name != "daemon"
        },
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=205.0)
    parser.add_argument("--peer", choices=list(OFFSETS_MS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.peer is not None:
        output, offset = str(Path(options.folder) / options.peer), OFFSETS_MS[options.peer]
        if options.peer == "posix_spawn":
            run_bare(output, offset)
        run_apscheduler(output, offset, f"{options.folder}/jobs.db")
    with box() as made:
        found = measure(made, options.seconds)
    for name in ("posix_spawn", "APScheduler"):
        ms = found[name]
        print(
            f"dispatch, {name}: {statistics.median(ms):.1f} ms, p99 {percentile(ms, 0.99):.1f}, n {len(ms)}"
        )
    ours = found["daemon"]
    note = f"n {len(ours)}, at most {max(ours):.1f}; {load()}"
    good = verdict("dispatch, median", statistics.median(ours), "ms", TARGET_MEDIAN_MS, note)
    return 0 if verdict("dispatch, p99", percentile(ours, 0.99), "ms", TARGET_P99_MS) and good else 1


if __name__ == "__main__":
    sys.exit(main())
