"""What `--once` shows: progress while it waits, then mode, window, budget, what ran, what waits and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TextIO

from orchestration.decisions import Blocked, Decision, Reason
from orchestration.explain import sentence
from orchestration.runs import ActiveRun, TaskResult
from orchestration.slots import iso

EVERYDAY = frozenset({Reason.DISABLED, Reason.WRONG_PHASE, Reason.WRONG_MODE, Reason.OUTSIDE_WINDOW})
CLEAR_LINE = "\r\x1b[K"


class Progress:
    """One line that rewrites itself on a terminal; silent elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._shown = out, False

    def show(self, running: Mapping[str, ActiveRun], ended: int, now: datetime) -> None:
        """Say what runs and since when."""
        if not self._out.isatty():
            return
        parts = [
            f"{run.task} {max(0, round((now - run.started_at).total_seconds()))} s"
            for run in running.values()
        ]
        self._out.write(f"{CLEAR_LINE}  {ended} done; running: {', '.join(parts) or 'nothing'}"[:160])
        self._out.flush()
        self._shown = True

    def done(self) -> None:
        """Leave the terminal's line empty."""
        if self._shown:
            self._out.write(CLEAR_LINE)
            self._out.flush()


def turn_report(
    decision: Decision,
    policy: str,
    results: Sequence[TaskResult],
    left_running: Mapping[str, ActiveRun],
    total_specs: int,
    notes: Sequence[str] = (),
    fillers: Collection[str] = (),
) -> str:
    """Return the closing page of one turn. fillers: tasks that it left to the daemon that stays, as they fill
    whole windows."""
    stretch, budget = decision.stretch, decision.budget
    lines = [
        f"mode     {decision.mode.upper()} ({stretch.phase}), policy {policy}",
        f"window   {stretch.window.id}, cycle {stretch.cycle}, until {_short(stretch.end)}",
        f"budget   {budget.research_hours:.1f} h of research left in the {budget.budget_type} window"
        f" ({budget.budget_pct_remaining:.0%}), PREP from {_short(stretch.prep_start)}",
        "",
        *_ran(results),
        *_left(left_running),
        *_waits(decision.blocked, {result.key.task for result in results}, total_specs, fillers),
        *notes,
    ]
    return "\n".join(lines)


def _short(instant: datetime) -> str:
    return f"{instant:%a %Y-%m-%d %H:%M}Z"


def _ran(results: Sequence[TaskResult]) -> list[str]:
    if not results:
        return ["ran      nothing was due", ""]
    lines = [f"ran      {'task':<26}{'outcome':<15}{'seconds':>8}{'peak MB':>9}"]
    for result in results:
        seconds = "-" if result.duration_s is None else f"{result.duration_s:.2f}"
        peak = "-" if result.peak_memory_mb is None else f"{result.peak_memory_mb:.0f}"
        lines.append(f"         {result.key.task:<26}{result.outcome:<15}{seconds:>8}{peak:>9}")
        # What a job has to say to the person at the box: where its data end, for one.
        said = result.report.get("remark")
        lines += [f"           {line}" for line in (result.detail, said) if line and isinstance(line, str)]
    return [*lines, ""]


def _left(left: Mapping[str, ActiveRun]) -> list[str]:
    if not left:
        return []
    lines = ["left     still running; the next start of the daemon takes them over:"]
    lines += [f"         {run.task:<26}since {iso(run.started_at)}  {run.run_id}" for run in left.values()]
    return [*lines, ""]


def _waits(
    blocked: Mapping[str, Blocked], ran: set[str], total_specs: int, fillers: Collection[str]
) -> list[str]:
    """Every task that waits: those that wait for more than the hour first, with every reason."""
    waiting = [entry for task, entry in blocked.items() if task not in ran]
    shown = sorted(waiting, key=lambda b: (b.reason in EVERYDAY, b.reason is Reason.DISABLED, b.task))
    disabled = [b.task for b in shown if b.reason is Reason.DISABLED]
    lines = [f"waits    {len(waiting)} of {total_specs} tasks"]
    for entry in shown:
        if entry.reason is not Reason.DISABLED:
            lines.append(f"         {entry.task:<26}{'; '.join(sentence(g) for g in entry.failures)}")
    filling = [task for task in disabled if task in fillers]
    disabled = [task for task in disabled if task not in fillers]
    if filling:
        lines.append(
            f"         left to the daemon that stays, as they fill whole windows: {', '.join(filling)}"
        )
    if disabled:
        lines.append(f"         disabled: {', '.join(disabled)}")
    return lines
