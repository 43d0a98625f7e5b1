"""The plan on a terminal: a table of what runs when, and the same as bars over the hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import groupby, pairwise
from statistics import median

from rich.console import Group, RenderableType
from rich.text import Text

from orchestration.ctl import words
from orchestration.ctl.plan import Plan, PlannedRun
from orchestration.ctl.tables import table

FEW = 3
"""A task with more runs than this is one line of the table."""
NAME_WIDTH = 26
MODE_LETTERS = {"trading": "T", "research": "R", "prep": "P"}
KIND_STYLES = {"running": "cyan", "duty": "red", "research": "blue", "filler": "magenta", "manual": "green"}


def timeline(plan: Plan, zone: tzinfo, width: int) -> Group:
    """Return the whole plan. width: columns of the terminal."""
    head = Text(f"from {words.instant(plan.start, zone)} to {words.instant(plan.end, zone)}", "bold")
    parts: list[RenderableType] = [head, *(Text(note, "yellow") for note in plan.notes), Text("")]
    if not plan.runs:
        return Group(*parts, Text("nothing will run"))
    return Group(*parts, _table(plan, zone), Text(""), *bars(plan, zone, width))


def _by_task(plan: Plan) -> list[list[PlannedRun]]:
    """Return the runs of each task, the tasks by their first start."""
    ordered = sorted(plan.runs, key=lambda run: (run.task, run.start))
    grouped = [list(runs) for _, runs in groupby(ordered, key=lambda run: run.task)]
    return sorted(grouped, key=lambda runs: (runs[0].start, runs[0].task))


def _table(plan: Plan, zone: tzinfo) -> RenderableType:
    made = table("task", "start", "end", "takes", "MB", "cpus", "kind", "", right=("takes", "MB", "cpus"))
    rows: list[tuple[datetime, list[RenderableType]]] = []
    for runs in _by_task(plan):
        many = len(runs) > FEW
        shown = [_many_row(runs, zone, plan.start)] if many else [_row(r, zone, plan.start) for r in runs]
        starts = [runs[0].start] if many else [run.start for run in runs]
        rows += zip(starts, shown, strict=True)
    for _, row in sorted(rows, key=lambda entry: entry[0]):
        made.add_row(*row)
    return made


def _row(run: PlannedRun, zone: tzinfo, now: datetime) -> list[RenderableType]:
    return [
        run.task,
        words.instant(run.start, zone, now),
        words.instant(run.end, zone, now),
        words.duration(60 * run.minutes),
        f"{run.memory_mb:.0f}",
        str(run.cpus),
        Text(run.kind, KIND_STYLES.get(run.kind, "")),
        {"done": "", "checkpoint": "checkpoints", "stopped": "is stopped", "beyond": "goes on"}[run.ends],
    ]


def _many_row(runs: Sequence[PlannedRun], zone: tzinfo, now: datetime) -> list[RenderableType]:
    now_too = "runs now, in all " if runs[0].kind == "running" else ""
    every = median((later.start - earlier.start).total_seconds() for earlier, later in pairwise(runs))
    return [
        runs[0].task,
        words.instant(runs[0].start, zone, now),
        words.instant(runs[-1].end, zone, now),
        words.duration(60 * median(run.minutes for run in runs)),
        f"{max(run.memory_mb for run in runs):.0f}",
        str(runs[0].cpus),
        Text(runs[-1].kind, KIND_STYLES.get(runs[-1].kind, "")),
        f"{now_too}{len(runs)} times, mostly every {words.duration(every)}",
    ]


def bars(plan: Plan, zone: tzinfo, width: int) -> list[Text]:
    """Return one line per task over the plan's hours: # runs, and above them the mode and the clock."""
    cells = max(20, width - NAME_WIDTH - 1)
    step = (plan.end - plan.start) / cells
    lines = [_clock_line(plan, zone, cells, step), _mode_line(plan, cells, step)]
    for runs in _by_task(plan):
        row = ["·"] * cells
        for run in runs:
            first = max(0, int((run.start - plan.start) / step))
            last = max(first, min(cells - 1, int((run.end - plan.start) / step)))
            row[first : last + 1] = "█" * (last - first + 1)
        style = KIND_STYLES.get(runs[-1].kind, "")
        lines.append(_line(runs[0].task, "".join(row[:cells]), style))
    return lines


def _line(name: str, cells: str, style: str = "") -> Text:
    line = Text(f"{name[: NAME_WIDTH - 1]:<{NAME_WIDTH}}", no_wrap=True, overflow="crop")
    return line.append(cells, style)


def _mode_line(plan: Plan, cells: int, step: timedelta) -> Text:
    """Return the mode of each cell: T, R or P."""
    letters = []
    for cell in range(cells):
        at = plan.start + (cell + 0.5) * step
        mode = next((span.mode.value for span in plan.spans if span.start <= at < span.end), "")
        letters.append(MODE_LETTERS.get(mode, " "))
    return _line("mode", "".join(letters), "dim")


def _clock_line(plan: Plan, zone: tzinfo, cells: int, step: timedelta) -> Text:
    """Return hours of the day above their cells, as far apart as their words need."""
    hours = (plan.end - plan.start) / timedelta(hours=1)
    every = next((h for h in (1, 2, 3, 6, 12, 24) if h / hours * cells >= 8), 24)
    row = [" "] * (cells + 10)
    at = plan.start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    while at < plan.end:
        local, cell = at.astimezone(zone), int((at - plan.start) / step)
        if local.hour % every == 0:
            label = f"|{local:%a}" if local.hour == 0 else f"|{local:%H}"
            row[cell : cell + len(label)] = label
        at += timedelta(hours=1)
    return _line(f"hours ({plan.start.astimezone(zone):%Z})", "".join(row[:cells]), "dim")
