"""What is shown on a terminal: status, tasks, why, runs, checks. Values in, rich renderables out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestration.ctl import words

PIPED_WIDTH = 140
"""Columns where the output is no terminal: nothing is cut short for `grep`."""
COLOURS = {"running": "cyan", "ready": "green", "waiting": "", "disabled": "dim"}
OUTCOMES = {"succeeded": "green", "checkpointed": "cyan", "failed": "red", "timed_out": "red"}
SEVERITIES = {"info": "", "warning": "yellow", "error": "red", "critical": "bold red"}
LEVELS = {"ok": "green", "warning": "yellow", "problem": "red"}


def console() -> Console:
    """Return the terminal; wide, and without colours, where it is none."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table with these columns, those in `right` aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column in right
        # A task's name is what the next command needs: the others give way. A run's is folded, not cut.
        made.add_column(
            column,
            justify="right" if is_number else "left",
            no_wrap=is_number or column in ("task", "running"),
            overflow="fold" if column == "run" else "ellipsis",
        )
    return made


def facts(*rows: tuple[str, RenderableType]) -> Table:
    """Return names with their values, below one another."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column()
    for name, value in rows:
        made.add_row(name, value)
    return made


def status(view: dict[str, Any], complaints: Sequence[str], zone: tzinfo) -> Group:
    """Return the whole box at one look."""
    now = datetime.fromisoformat(view["at"])
    parts: list[RenderableType] = [facts(*_status_rows(view, complaints, zone, now)), Text("")]
    parts.append(running(view["running"], zone, now) if view["running"] else Text("nothing is running"))
    return Group(*parts)


def _status_rows(
    view: dict[str, Any], complaints: Sequence[str], zone: tzinfo, now: datetime
) -> list[tuple[str, RenderableType]]:
    budget, resources = view["budget"], view["resources"]
    verdict = Text("everything is fine", "bold green")
    if complaints:
        verdict = Text("\n".join(complaints), "bold yellow")
    rows: list[tuple[str, RenderableType]] = [
        ("box", verdict),
        ("daemon", _daemon(view, now)),
        ("mode", f"{view['mode'].upper()} ({view['phase']}), policy {view['policy']}"),
        ("window", f"{view['window']}, cycle {view['cycle']}"),
        ("next change", _next(view, zone, now)),
        (
            "budget",
            f"{budget['research_hours']:.1f} h of research left in the {budget['budget_type']} window"
            f" ({budget['budget_pct_remaining']:.0%}), {_research(view, zone, now)}",
        ),
        ("memory", _memory(resources, view["rung"])),
        ("sensors", _sensors(resources)),
        ("paused", {"all": "everything", "research": "research and maintenance"}.get(view["paused"], "no")),
    ]
    if view.get("fault"):
        rows.insert(1, ("fault", Text(_fault(view["fault"]), "bold red")))
    return rows


def _fault(name: str) -> str:
    """Return what the LEDs complain of, in words."""
    from hardware.patterns import ERRORS

    fault = ERRORS.get(name)
    return name if fault is None else f"{name}: {fault.meaning}; {fault.remedy}"


def _daemon(view: dict[str, Any], now: datetime) -> str:
    who = view["daemon"]
    if who is None:
        return f"none ({view['source']})"
    up = words.duration((now - datetime.fromisoformat(who["since"])).total_seconds()) if who["since"] else "?"
    return f"process {who['pid']}, up {up}"


def _next(view: dict[str, Any], zone: tzinfo, now: datetime) -> str:
    at = view["next_change"]
    return f"{words.instant(at, zone, now)} ({words.away(at, now)})"


def _research(view: dict[str, Any], zone: tzinfo, now: datetime) -> str:
    start, prep = view["research_start"], view["prep_start"]
    if datetime.fromisoformat(start) > now:
        return f"from {words.instant(start, zone, now)} to PREP at {words.instant(prep, zone, now)}"
    return f"PREP from {words.instant(prep, zone, now)}"


def _memory(resources: dict[str, Any], rung: str) -> str:
    pressure = resources["memory_pressure_pct"]
    text = f"{words.megabytes(resources['available_mb'])} free of {words.megabytes(resources['total_mb'])}"
    return f"{text}, limited per run by: {rung}" + (
        f", pressure {pressure:.0f} %" if pressure is not None else ""
    )


def _sensors(resources: dict[str, Any]) -> str:
    clock = {True: "right", False: "NOT SYNCHRONISED", None: "unknown"}[resources["clock_synced"]]
    network = {True: "up", False: "DOWN", None: "unknown"}[resources["network_up"]]
    heat = words.known(resources["temperature_c"], " C")
    return f"clock {clock}, network {network}, temperature {heat}, {resources['slots']} slots"


def running(runs: Sequence[dict[str, Any]], zone: tzinfo, now: datetime) -> Table:
    """Return what runs: its memory against its reservation, and when it should be done."""
    made = table("running", "since", "for", "memory", "of MB", "done by", "run", right=("of MB",))
    for run in runs:
        used = run["used_mb"]
        memory = "-" if used is None else f"{words.bar(used, run['reserved_mb'])} {used:.0f}"
        until = "unknown" if run["running_s"] < 0 else words.instant(run["predicted_end"], zone, now)
        late = datetime.fromisoformat(run["predicted_end"]) < now
        stopping = f" (stopping: {run['stopping']})" if run["stopping"] else ""
        made.add_row(
            run["task"],
            words.instant(run["started_at"], zone, now),
            words.lasted(run["running_s"]),
            memory,
            f"{run['reserved_mb']:.0f}",
            Text(until + (", overdue" if late else "") + stopping, "yellow" if late else ""),
            Text(run["run_id"], "dim"),
        )
    return made


def tasks(view: dict[str, Any], zone: tzinfo, *, everything: bool) -> Group:
    """Return the tasks: those that run or could, then those that wait, by when they could run."""
    now = datetime.fromisoformat(view["at"])
    made = table("task", "status", "next", "why", "last", "takes", "MB", right=("takes", "MB"))
    enabled = [task for task in view["tasks"] if task["enabled"]]
    for task in sorted(enabled, key=words.by_urgency):
        made.add_row(*_task_row(task, zone, now))
    off = [task["name"] for task in view["tasks"] if not task["enabled"]]
    if everything:
        for task in view["tasks"]:
            if not task["enabled"]:
                made.add_row(Text(task["name"], "dim"), Text("disabled", "dim"), "", task["description"])
        return Group(made)
    return Group(made, Text(f"\n{len(off)} disabled: {', '.join(off)}", "dim")) if off else Group(made)


def _task_row(task: dict[str, Any], zone: tzinfo, now: datetime) -> list[RenderableType]:
    failures = task["failures"]
    more = f" (+{len(failures) - 1})" if len(failures) > 1 else ""
    outcome = task["last_outcome"]
    last = f"{outcome}, {words.since(task['last_started_at'], now)}" if outcome else "-"
    return [
        task["name"],
        Text(task["status"], COLOURS.get(task["status"], "")),
        _next_cell(task, zone, now),
        failures[0]["reason"] + more if failures else "",
        last,
        words.duration(60 * task["predicted_minutes"]),
        f"{task['reserve_mb']:.0f}",
    ]


def _next_cell(task: dict[str, Any], zone: tzinfo, now: datetime) -> str:
    at = task["next_at"]
    if task["status"] == "running" or (at is not None and datetime.fromisoformat(at) <= now):
        return "now"
    return words.instant(at, zone, now)


def why(task: dict[str, Any], view: dict[str, Any], zone: tzinfo) -> Group:
    """Return every condition that a task fails, and when it could run."""
    now = datetime.fromisoformat(view["at"])
    lines: list[RenderableType] = [Text(f"{task['name']} is {_state_words(task)}", "bold")]
    lines += [
        Text(f"  {number}. {words.reason(gate, zone, now)}")
        for number, gate in enumerate(task["failures"], 1)
    ]
    if task["status"] in ("waiting", "disabled"):
        lines.append(Text(f"next possible start: {words.next_start(task, zone, now)}"))
    lines.append(
        Text(
            f"it takes {words.duration(60 * task['predicted_minutes'])} (nine in ten within"
            f" {words.duration(60 * task['predicted_high_minutes'])}) and {task['reserve_mb']:.0f} MB,"
            f" learned from {task['runs_learned']} runs; {_last(task, now)}",
            "dim",
        )
    )
    if view["daemon"] is None:
        lines.append(Text(view["source"], "yellow"))
    return Group(*lines)


def _last(task: dict[str, Any], now: datetime) -> str:
    outcome, started = task["last_outcome"], task["last_started_at"]
    if started is None:
        return "it has never run"
    how = f", {outcome} at last" if outcome else ""
    return f"last started {words.since(started, now)}{how}"


def _state_words(task: dict[str, Any]) -> str:
    if task["status"] == "running":
        return "running"
    if task["status"] == "ready":
        return "ready: nothing stands in its way"
    count = len(task["failures"])
    return f"not running: {count} condition{'s' if count > 1 else ''} not met"


def then(found: dict[str, Any], zone: tzinfo, now: datetime) -> Group:
    """Return what was recorded of a task at an instant."""
    lines: list[RenderableType] = [Text(f"{found['task']} at {words.instant(found['at'], zone)}", "bold")]
    if found["running"] is not None:
        run = found["running"]
        lines.append(
            Text(f"  it was running: {run['run_id']}, ended {words.instant(run['ended_at'], zone, now)}")
        )
    lines += [Text("  " + line) for row in found["waits"] for line in _wait_lines(row, zone)]
    if not found["recorded"]:
        lines.append(Text("  nothing is recorded of it for that time (no daemon ran, or it is too long ago)"))
    following = found["next_run"]
    if following is not None:
        lines.append(
            Text(
                f"the next run after it: {words.instant(following['planned_at'], zone)}"
                f" ({following['outcome'] or following['status']})"
            )
        )
    return Group(*lines)


def since(found: dict[str, Any], zone: tzinfo) -> Group:
    """Return the reasons recorded of a task since an instant."""
    lines = [Text("  " + line) for row in found["waits"] for line in _wait_lines(row, zone)]
    head = Text(f"{found['task']} since {words.instant(found['since'], zone)}", "bold")
    return Group(head, *(lines or [Text("  nothing is recorded of it since then")]))


def _wait_lines(row: dict[str, Any], zone: tzinfo) -> list[str]:
    at = words.instant(row["at"], zone)
    if row["reason"] is None:
        return [f"{at}  no longer waited"]
    what = f"slot {row['slot']} skipped: " if row["slot"] else ""
    return [f"{at}  {what}{words.reason(gate, zone)}" for gate in row["failures"]] or [
        f"{at}  {row['reason']}"
    ]


def runs(rows: Sequence[dict[str, Any]], zone: tzinfo, now: datetime) -> Table:
    """Return the history, newest first."""
    right = ("took", "predicted", "peak MB", "exit")
    made = table("started", "task", "outcome", *right, "run", right=right)
    for row in rows:
        outcome = row["outcome"] or row["status"]
        predicted = row["predicted_minutes"]
        made.add_row(
            words.instant(row["started_at"] or row["planned_at"], zone, now),
            row["task"],
            Text(outcome, OUTCOMES.get(outcome, "cyan" if row["outcome"] is None else "yellow")),
            words.duration(row["duration_s"]),
            "-" if predicted is None else words.duration(60 * predicted),
            "-" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}",
            "-" if row["exit_code"] is None else str(row["exit_code"]),
            Text(row["run_id"], "dim"),
        )
    return made


def run(row: dict[str, Any], zone: tzinfo, now: datetime) -> Group:
    """Return one run with its report and the end of its output."""
    shown = [
        ("run", row["run_id"]),
        ("outcome", row["outcome"] or row["status"]),
        ("slot", f"{row['slot']} of cycle {row['cycle']}, attempt {row['attempt']}"),
        ("started", words.instant(row["started_at"], zone)),
        ("ended", words.instant(row["ended_at"], zone)),
        ("took", words.duration(row["duration_s"])),
        ("memory", f"peak {words.megabytes(row['peak_memory_mb'])}, reserved {row['reserved_mb']:.0f} MB"),
        ("exit code", str(words.known(row["exit_code"]))),
        ("stopped for", row["stop_cause"] or "-"),
        ("detail", row["detail"] or "-"),
        *((f"report.{key}", _brief(value)) for key, value in row["report"].items()),
        ("log", row["log"]),
    ]
    tail = row["log_tail"]
    end = [Text("\nend of its log", "bold"), *(Text("  " + line) for line in tail)] if tail else []
    return Group(facts(*((name, Text(str(value))) for name, value in shown)), *end)


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def alerts(rows: Sequence[dict[str, Any]], zone: tzinfo, now: datetime) -> Table:
    """Return alerts, each with what it says."""
    made = table("since", "severity", "state", "alert", "")
    for row in rows:
        state = "over" if row["cleared_at"] else "seen" if row["acknowledged_at"] else "open"
        severity = Text(row["severity"], SEVERITIES.get(row["severity"], "") if state == "open" else "dim")
        since = words.instant(row["raised_at"], zone, now)
        made.add_row(since, severity, state, Text(row["key"], overflow="fold"), row["text"])
    made.columns[-1].overflow = "fold"
    return made


def findings(rows: Sequence[dict[str, Any]]) -> Table:
    """Return what a check found."""
    made = table("looked at", "", "found")
    for row in rows:
        made.add_row(row["topic"], Text(row["level"], LEVELS[row["level"]]), row["text"])
    return made


def answer(found: dict[str, object]) -> Table:
    """Return a calendar answer, name by name."""
    return facts(*((name, Text("unknown" if value is None else str(value))) for name, value in found.items()))


def intervals(found: dict[str, Any], zone: tzinfo) -> Table:
    """Return the intervals of a when-expression, in the exchange's time and in UTC."""
    made = table("from", "to", "from (UTC)", "to (UTC)")
    for interval in found["intervals"]:
        start, end = interval["start"], interval["end"]
        made.add_row(words.instant(start, zone), words.instant(end, zone), start, end)
    return made
