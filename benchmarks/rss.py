"""Measure what the daemon's imports cost in resident memory, by module; fail above the budget.

A fresh interpreter imports every module of the daemon's side in turn and reads its own resident size after
each, so the table shows what each import adds. Usage: rss.py [--json] [--budget MB]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

BUDGET_MB = 50.0
"""DESIGN 3: the daemon stays under this after a day of work; its imports alone must leave room for that."""

FORBIDDEN = (
    "numpy", "pandas", "scipy", "sqlalchemy.orm", "pandas_market_calendars", "exchange_calendars", "rich",
    "typer", "trading", "adaptive", "scripts",
)  # fmt: skip
"""What the daemon's process never loads (DESIGN 3)."""

PROBE = """
import importlib, json, sys

def resident_mb():
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Rss:")) / 1024

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


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return 1 if the budget is passed, or a module is forbidden or cannot be imported."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--budget", type=float, default=BUDGET_MB, metavar="MB", help="default %(default)s")
    options = parser.parse_args(arguments)
    try:
        rows, forbidden = measure(daemon_modules())
    except subprocess.CalledProcessError:
        print("rss: a module of the daemon cannot be imported; its error is above", file=sys.stderr)
        return 1
    total = rows[-1][1]
    if options.json:
        print(json.dumps({"total_mb": round(total, 1), "modules": dict(rows), "forbidden": forbidden}))
    else:
        before = 0.0
        for name, resident in rows:
            print(f"{resident:7.1f} MB  {resident - before:+6.1f}  {name}")
            before = resident
        print(f"{total:7.1f} MB  of {options.budget:g} MB allowed, {len(rows) - 1} modules")
    if forbidden:
        print(f"rss: the daemon must never load: {', '.join(forbidden)}", file=sys.stderr)
    if total > options.budget:
        print(f"rss: {total:.1f} MB is over the budget of {options.budget:g} MB", file=sys.stderr)
    return 1 if forbidden or total > options.budget else 0


if __name__ == "__main__":
    sys.exit(main())
