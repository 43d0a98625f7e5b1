"""Measure the daemon's resident memory: of its imports, by module, and of itself after a day of work.

    python -m benchmarks.rss [--runs 200] [--json] [--budget MB]

First a fresh interpreter imports every module of the daemon's side in turn and reads its own resident size
after each, so the table shows what each import adds. Then the real daemon, with its built-in tasks and
everything installed, carries out `--runs` short jobs as fast as it can (1200 are as many as a trading day has
with three minute tasks), and its resident size is read. MB are 10^6 bytes. Exit 1 above the budget.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.box import ROOT, Box, box, load, task, verdict

BUDGET_MB = 50.0
"""The daemon stays under this after a day of work; its imports alone must leave room for that."""
AIM_MB = 45.0
SHORT_TASKS = 12
LIMIT_S = 140.0

FORBIDDEN = (
    "numpy", "pandas", "scipy", "sqlalchemy.orm", "pandas_market_calendars", "exchange_calendars", "rich",
    "typer", "trading", "adaptive", "scripts",
)  # fmt: skip
"""What the daemon's process never loads."""

PROBE = """
import importlib, json, sys

def resident_mb():
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Rss:")) * 1024 / 1e6

rows = [("(interpreter)", resident_mb())]
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
    rows.append((name, resident_mb()))
loaded = sorted(set(json.loads(sys.argv[2])) & set(sys.modules))
print(json.dumps({"rows": rows, "forbidden": loaded}))
"""


def daemon_modules(root: Path = ROOT) -> list[str]:
    """Return the names of all modules of the daemon's side that exist, in the order they are imported.

    That is orchestration without its control command, the migrations (a child's work) and the simulation;
    hardware; the logs; the settings; the daemon itself.
    """
    aside = {"ctl", "migrate", "migrations", "simulated", "simulation"}
    files = [
        path for folder in ("orchestration", "hardware") for path in sorted((root / folder).rglob("*.py"))
    ]
    files += [root / "observability" / "logs.py", root / "config.py", root / "daily_orchestrator.py"]
    names = []
    for path in files:
        parts = path.relative_to(root).with_suffix("").parts
        if path.exists() and parts[-1] != "__init__" and not aside & set(parts):
            names.append(".".join(parts))
    return names


def measure(names: list[str], root: Path = ROOT) -> tuple[list[tuple[str, float]], list[str]]:
    """Import `names` in a child, one by one; return (module, resident MB so far) and what must not be loaded.

    Raises:
        subprocess.CalledProcessError: if a module cannot be imported; its error has gone to stderr.
    """
    argv = [sys.executable, "-c", PROBE, json.dumps(names), json.dumps(FORBIDDEN)]
    child = subprocess.run(argv, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    answer = json.loads(child.stdout)
    return [(name, float(mb)) for name, mb in answer["rows"]], list(answer["forbidden"])


def short_tasks() -> list[str]:
    """Return the tables of short jobs due every second: most say a line, some leave a result as JSON."""
    result = """printf '{"summary": "valued 12 positions"}' >"$ORCHESTRATOR_RESULT"; echo done"""
    tables = []
    for number in range(SHORT_TASKS):
        argv = ["/bin/sh", "-c", result if number % 3 == 0 else "echo done"]
        tables.append(task(f"short_{number:02}", argv, every="1s", priority="HIGH"))
    return tables


def after_runs(made: Box, runs: int) -> tuple[int, float, float]:
    """Let a daemon carry out `runs` jobs; return how many it did, and its resident and proportional MB."""
    made.write_tasks(*short_tasks(), builtins=True)
    made.start()
    made.wait_until(lambda: made.ended() >= runs, LIMIT_S, every_s=1.0)
    resident, proportional = made.memory_mb()
    return made.ended(), resident, proportional


def report_imports(as_json: bool, budget: float) -> bool:
    """Print the table of imports; return whether all is well with them."""
    try:
        rows, forbidden = measure(daemon_modules())
    except subprocess.CalledProcessError:
        print("rss: a module of the daemon cannot be imported; its error is above", file=sys.stderr)
        return False
    total = rows[-1][1]
    if as_json:
        print(json.dumps({"total_mb": round(total, 1), "modules": dict(rows), "forbidden": forbidden}))
    else:
        before = 0.0
        for name, resident in rows:
            print(f"{resident:7.1f} MB  {resident - before:+6.1f}  {name}")
            before = resident
        print(f"{total:7.1f} MB  of {budget:g} MB allowed, {len(rows) - 1} modules")
    if forbidden:
        print(f"rss: the daemon must never load: {', '.join(forbidden)}", file=sys.stderr)
    if total > budget:
        print(f"rss: {total:.1f} MB is over the budget of {budget:g} MB", file=sys.stderr)
    return not forbidden and total <= budget


def main(arguments: list[str] | None = None) -> int:
    """Print both; return 1 if the budget is passed, or a module is forbidden or cannot be imported."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the imports as one JSON object")
    parser.add_argument("--budget", type=float, default=BUDGET_MB, metavar="MB", help="default %(default)s")
    parser.add_argument(
        "--runs", type=int, default=200, help="jobs before the daemon's size is read; 0: none"
    )
    options = parser.parse_args(arguments)
    good = report_imports(options.json, options.budget)
    if options.runs > 0:
        with box() as made:
            runs, resident, proportional = after_runs(made, options.runs)
        note = f"aim {AIM_MB:g}; Pss {proportional:.1f}; after {runs} runs; {load()}"
        good = verdict("daemon RSS", resident, "MB", options.budget, note) and good
        if runs < options.runs:
            print(f"rss: only {runs} of {options.runs} runs ended within {LIMIT_S:g} s", file=sys.stderr)
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
