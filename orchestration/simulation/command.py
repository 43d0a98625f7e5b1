"""`--simulate`: run a stretch of time and print what came of it."""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, date, datetime, timedelta

from orchestration.clock import SystemClock
from orchestration.decisions import Policy
from orchestration.errors import CalendarError
from orchestration.registry import Registry
from orchestration.reports import SessionTables
from orchestration.simulation.box import Simulation, simulate
from orchestration.simulation.stand_ins import Ended


def simulate_command(
    registry: Registry, policy: Policy, tables: SessionTables, options: argparse.Namespace
) -> int:
    """Carry out `--simulate DAY --days N --seed S` and print what came of it."""
    day = options.simulate
    first = date(int(day), 1, 1) if len(day) == 4 else date.fromisoformat(day)
    days = options.days or ((date(first.year + 1, 1, 1) - first).days if len(day) == 4 else 7)
    home, last = tables.calendars(first).home, first + timedelta(days=days)
    if not (home.covers(first) and home.covers(last)):
        raise CalendarError(
            f"the session table of {home.exchange} does not cover {first} to {last}; it reaches from"
            f" {home.coverage[0]} to {home.coverage[1]}"
            if home.coverage
            else "there is no session table"
        )
    start = datetime.combine(first, datetime.min.time(), home.zone)
    wall = SystemClock()
    began = wall.monotonic()
    done = simulate(registry.specs, policy, tables, start.astimezone(UTC), days, options.seed)
    print(report(done, policy, days, wall.monotonic() - began))
    return 0


def report(done: Simulation, policy: Policy, days: float, wall_s: float) -> str:
    """Return a page about a simulated stretch of time."""
    outcomes: Counter[str] = Counter()
    for event in done.events:
        if isinstance(event, Ended):
            code = event.exit.exit_code
            outcomes["succeeded" if code == 0 else "checkpointed" if code == 75 else "failed"] += 1
    worst = {task: max(values) for task, values in done.late.items()}
    lines = [
        f"policy {policy.name}, {days:g} days in {wall_s:.2f} s, {done.decisions} decisions",
        "runs: " + (", ".join(f"{n} {what}" for what, n in outcomes.most_common()) or "none"),
        f"research hours {done.research_s / 3600:.1f}, in use {done.utilisation:.0%}",
    ]
    lines += [f"  latest start of {task}: {seconds:.1f} s" for task, seconds in sorted(worst.items())]
    return "\n".join(lines)
