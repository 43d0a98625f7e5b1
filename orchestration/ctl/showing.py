"""What is shown: status, tasks, why, plan, runs, logs, check. All of it works without a daemon too."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.ctl.app import (
    AsJson,
    Task,
    TaskFilter,
    command,
    desk_of,
    print_json,
    show,
)
from orchestration.ctl.desk import Desk, View, task_in
from orchestration.ctl.exits import FAILED, USAGE, Failure
from orchestration.errors import SettingsError, StoreError
from orchestration.halt import FILE_NAME, reason_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from sqlalchemy import Engine

    from orchestration.checks import Finding

TAIL_LINES = 20


@command("status")
def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the whole box at one look: is everything fine, what runs, what comes next."""
    from orchestration.ctl.health import complaints

    desk = desk_of(ctx)
    view = desk.view()
    view["halted"] = reason_of(desk.settings.state_dir / FILE_NAME)
    alerts = _open_alerts(desk)
    bad = complaints(view, alerts)
    value = {key: found for key, found in view.items() if key != "tasks"}
    value |= {"fine": not bad, "complaints": bad, "alerts": alerts}

    def draw() -> RenderableType:
        from orchestration.ctl.tables import status as drawn

        return drawn(view, bad, desk.zone)

    show(as_json, value, draw)


def _open_alerts(desk: Desk) -> list[dict[str, Any]]:
    """Return the open alerts; a database that cannot be read is one."""
    from orchestration.slots import iso
    from orchestration.state.history import alerts_open

    try:
        rows = [] if desk.box.engine is None else alerts_open(desk.box.engine)
    except StoreError as error:
        text = f"the recorded alerts cannot be read: {error}"
        return [{"key": "database", "severity": "error", "text": text, "task": None, "raised_at": None}]
    return [
        {
            "key": row.key,
            "severity": row.severity,
            "text": row.text,
            "task": row.task,
            "raised_at": iso(row.raised_at),
        }
        for row in rows
    ]


@command("tasks")
def tasks(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="The disabled ones with their duty too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the tasks: what runs, what could, what waits for what, and when it could run."""
    desk = desk_of(ctx)
    view = desk.view()

    def draw() -> RenderableType:
        from orchestration.ctl.tables import tasks as drawn

        return drawn(view, desk.zone, everything=everything)

    show(as_json, {"at": view["at"], "source": view["source"], "tasks": view["tasks"]}, draw)


@command("why")
def why(
    ctx: typer.Context,
    task: Task,
    at: Annotated[
        str | None, typer.Option(metavar="ISO", help="What was recorded of it at this instant.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="ISO", help="Every reason recorded since this instant.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say why TASK is not running: every condition that fails, with numbers, and when it could run.

    With --at or --since: why it did not run then (2026-11-20T07:00:00Z, or with an offset such as -05:00).
    """
    desk = desk_of(ctx)
    if at is not None and since is not None:
        raise Failure("give --at or --since, not both", USAGE)
    if at is not None or since is not None:
        _why_then(desk, task, at, since, as_json)
        return
    view = desk.view()
    found = task_in(view, task)

    def draw() -> RenderableType:
        from orchestration.ctl.tables import why as drawn

        return drawn(found, view, desk.zone)

    show(as_json, {"at": view["at"], "source": view["source"], **found}, draw)


def _why_then(desk: Desk, task: str, at: str | None, since: str | None, as_json: bool) -> None:
    from orchestration.ctl import past
    from orchestration.ctl.calendar_commands import parse_at
    from orchestration.state.history import why_rows

    try:
        instant = parse_at(at or since or "")
    except ValueError as error:
        raise Failure(str(error), USAGE) from error
    engine = _history(desk)
    if at is not None:
        found = past.then_dict(past.what_was(engine, task, instant))
    else:
        found = past.since_dict(task, instant, why_rows(engine, task, since=instant))
    if not found["waits"] and not found.get("running"):
        # Nothing is recorded of a task that is not there: then its name is what is wrong.
        task_in(desk.view(), task)

    def draw() -> RenderableType:
        from orchestration.ctl import tables

        if at is None:
            return tables.since(found, desk.zone)
        return tables.then(found, desk.zone, desk.clock.now())

    show(as_json, found, draw)


def _history(desk: Desk) -> Engine:
    """Return the database, for reading. Raises Failure if there is none yet."""
    engine = desk.box.engine
    if engine is None:
        raise Failure(f"nothing is recorded yet: there is no {desk.box.database}", FAILED)
    return engine


@command("plan")
def plan(
    ctx: typer.Context,
    days: Annotated[
        float | None, typer.Option(min=0.01, max=60, help="So many days; to the end of the coming window.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the coming window as a timeline: which task, when, how long, how much memory.

    The daemon's own loop is run ahead from what it knows now, every run taking its median and succeeding.
    """
    from orchestration.ctl.plan import make_plan

    desk = desk_of(ctx)
    view = desk.view()
    box = desk.box
    now = box.clock.now()
    policy = box.policy_called(view["policy"])
    until = _until(view, now, days)
    made = make_plan(box.registry.specs, policy, box.tables, box.state(), view, now, until)

    def draw() -> RenderableType:
        from orchestration.ctl.tables import console
        from orchestration.ctl.timeline import timeline

        return timeline(made, desk.zone, console().width)

    show(as_json, [run.to_dict() for run in made.runs], draw)


def _until(view: View, now: datetime, days: float | None) -> datetime:
    """Return the plan's end: the end of the coming window, or of today where the calendar is not known."""
    if days is not None:
        return now + timedelta(days=days)
    end = datetime.fromisoformat(view["research_end"])
    return end if view["calendar_known"] and end > now else now + timedelta(days=1)


@command("runs")
def runs(
    ctx: typer.Context,
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="One run, or the latest of a task, in detail.")
    ] = None,
    task: TaskFilter = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what ran: how it ended, how long it took, how much memory; or one RUN and the end of its log."""
    from orchestration.ctl.past import run_dict
    from orchestration.state.history import recent_runs

    desk = desk_of(ctx)
    engine = _history(desk)
    if run is not None:
        _one_run(desk, engine, run, as_json)
        return
    rows = [run_dict(row) for row in recent_runs(engine, task, limit)]
    if not rows and task is not None:
        task_in(desk.view(), task)

    def draw() -> RenderableType:
        from rich.text import Text

        from orchestration.ctl.tables import runs as drawn

        return drawn(rows, desk.zone, desk.clock.now()) if rows else Text("no run is recorded yet")

    show(as_json, rows, draw)


def _one_run(desk: Desk, engine: Engine, name: str, as_json: bool) -> None:
    from orchestration.ctl.logs import tail
    from orchestration.ctl.past import run_dict
    from orchestration.state.history import recent_runs, run_named

    row = run_named(engine, name) or next(iter(recent_runs(engine, name, limit=1)), None)
    if row is None:
        raise Failure(f"no run is called {name!r}; `orchestratorctl runs` lists them")
    found = {**run_dict(row), "report": dict(row.report), "log_tail": tail(Path(row.log), TAIL_LINES)}

    def draw() -> RenderableType:
        from orchestration.ctl.tables import run as drawn

        return drawn(found, desk.zone, desk.clock.now())

    show(as_json, found, draw)


@command("logs")
def logs(
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines are written.")] = False,
    task: TaskFilter = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Of this run only.")] = None,
    level: Annotated[
        str, typer.Option(metavar="LEVEL", help="The least severe: debug, info, warning, error, critical.")
    ] = "debug",
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last lines.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the daemon's log in readable lines, across rotation; --json gives it as written."""
    from observability.logs import FILE_NAME, readable
    from orchestration.ctl import logs as reading

    desk = desk_of(ctx)
    if level not in reading.LEVELS:
        raise Failure(f"--level {level}: expected one of {', '.join(reading.LEVELS)}", USAGE)
    wanted = reading.Wanted(task=task, run=run, level=level)
    path = desk.settings.log_dir / FILE_NAME
    if not path.exists() and not follow:
        raise Failure(f"there is no log at {path}: no daemon has run with this ORCHESTRATOR_LOG_DIR yet")
    found = reading.follow(path, wanted, desk.clock, lines) if follow else None
    try:
        for line in found or reading.last_lines(path, wanted, lines):
            if as_json:
                print_json(line)
            else:
                typer.echo(readable(line, colour=sys.stdout.isatty()))
            sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@command("check")
def check(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Check settings, tasks, calendar, memory, clock, database and backups; exit 1 if something is wrong."""
    from orchestration.checks import PROBLEM, Finding, check_thoroughly, has_problem

    desk = desk_of(ctx)
    try:
        findings = [_daemon_finding(desk), *check_thoroughly(desk.box)]
    except SettingsError as error:
        findings = [Finding("settings", PROBLEM, str(error))]
    bad = has_problem(findings)
    rows = [finding._asdict() for finding in findings]

    def draw() -> RenderableType:
        from orchestration.ctl.tables import findings as drawn

        return drawn(rows)

    show(as_json, {"ok": not bad, "findings": rows}, draw)
    if bad:
        raise typer.Exit(FAILED)


def _daemon_finding(desk: Desk) -> Finding:
    from orchestration.checks import OK, WARNING, Finding

    who = desk.daemon.holder()
    if who is None:
        return Finding("daemon", WARNING, f"none is running on {desk.settings.state_dir}")
    return Finding("daemon", OK, f"process {who.get('pid')} since {who.get('since')}")
