"""Write down what the box will do in the research window that is under way or comes next.

The daemon's own loop is run ahead from what it knows now, as `orchestratorctl plan` does it: every run takes
its median and succeeds. The daemon keeps the plan with this run: what happened is held against it.

Exit codes: 0 done, or no window is known; 1 the state, the tasks or the calendar cannot be used; 2 wrong
arguments or settings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from statistics import median
from typing import Any

from orchestration.clock import SystemClock
from orchestration.ctl.beside import view_beside
from orchestration.ctl.client import WaitingClock
from orchestration.ctl.desk import Desk, View
from orchestration.ctl.plan import ModeSpan, Plan, PlannedRun, make_plan
from orchestration.errors import OrchestratorError, SettingsError
from orchestration.slots import iso
from scripts._job import finish, parse, parser

FEW = 3
"""A task with more runs than this is one row: a weekend's checks would be hundreds."""


def main(argv: list[str] | None = None, clock: WaitingClock | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    arguments = parse(made, argv)
    desk = Desk(
        {**os.environ, "ORCHESTRATOR_STATE_DIR": str(arguments.state_dir)}, clock=clock or SystemClock()
    )
    try:
        view = view_beside(desk)
        if not view["calendar_known"]:
            return finish(0, {"remark": "no window is known"}, "no window is known: nothing is planned")
        plan = plan_of(desk, view)
    except SettingsError as error:
        made.error(str(error))
    except OrchestratorError as error:
        return finish(1, {"error": str(error)}, f"plan_window: {error}")
    report = report_of(plan, view)
    text = f"{len(plan.runs)} runs planned until {view['research_end']} in the {view['window']} window"
    return finish(0, report, text)


def plan_of(desk: Desk, view: View) -> Plan:
    """Return what the box will do from now to the end of the view's research window."""
    box, until = desk.box, datetime.fromisoformat(view["research_end"])
    policy = box.policy_called(view["policy"])
    now = datetime.fromisoformat(view["at"])
    return make_plan(box.registry.specs, policy, box.tables, box.state(), view, now, until)


def report_of(plan: Plan, view: View) -> dict[str, Any]:
    """Return a plan as what the run's result file holds (docs/dashboard.md)."""
    return {
        "window": view["window"],
        "cycle": view["cycle"],
        "research_start": view["research_start"],
        "prep_start": view["prep_start"],
        "research_end": view["research_end"],
        "made_at": iso(plan.start),
        "runs": list(rows(plan.runs)),
        "spans": [span_dict(span) for span in plan.spans],
        "notes": list(plan.notes),
    }


def rows(runs: Sequence[PlannedRun]) -> Iterator[dict[str, object]]:
    """Yield the runs, task by task; many of one task as one row from its first start to its last end."""
    ordered = sorted(runs, key=lambda run: (run.task, run.start))
    for _, group in groupby(ordered, key=lambda run: run.task):
        same = list(group)
        if len(same) <= FEW:
            yield from ({**_row(run), "count": 1} for run in same)
            continue
        minutes = round(median(run.minutes for run in same), 2)
        last = max(run.end for run in same)
        yield {**_row(same[0]), "end": iso(last), "minutes": minutes, "count": len(same)}


def _row(run: PlannedRun) -> dict[str, object]:
    return {name: value for name, value in run.to_dict().items() if name not in ("run_id", "cpus")}


def span_dict(span: ModeSpan) -> dict[str, str]:
    """Return a stretch in one mode."""
    return {
        "start": iso(span.start),
        "end": iso(span.end),
        "mode": span.mode.value,
        "phase": span.phase,
    }


if __name__ == "__main__":
    sys.exit(main())
