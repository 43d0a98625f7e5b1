"""Every benchmark, one after another, each against its target; then a table of what came out.

python -m benchmarks [NAME ...]
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ARGUMENTS = {"rss": ("--runs", "1200")}
"""Where a benchmark on its own does less than all of it."""


def names() -> list[str]:
    """Return the benchmarks there are: `bench_*`, and the resident size."""
    here = Path(__file__).parent
    return [*sorted(path.stem for path in here.glob("bench_*.py")), "rss"]


def run(name: str) -> tuple[int, list[str]]:
    """Run one in a process of its own; return its exit code and its last lines, those with a target."""
    argv = [sys.executable, "-m", f"benchmarks.{name}", *ARGUMENTS.get(name, ())]
    done = subprocess.run(argv, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    return done.returncode, [
        line for line in done.stdout.splitlines() if "(target" in line or "(budget" in line
    ]


def main(arguments: list[str]) -> int:
    unknown = sorted(set(arguments) - set(names()))
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(names())}", file=sys.stderr)
        return 2
    rows, failed = [], []
    for name in arguments or names():
        print(f"== {name}", flush=True)
        began = time.monotonic()
        code, lines = run(name)
        rows.append((name, code, time.monotonic() - began, lines))
        if code != 0:
            failed.append(name)
    print("\n== summary")
    for name, code, seconds, lines in rows:
        print(f"{name:20} {'ok' if code == 0 else 'ABOVE TARGET':14} {seconds:5.0f} s")
        for line in lines:
            print(f"    {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
