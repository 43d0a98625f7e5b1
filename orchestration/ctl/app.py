"""The Typer application: what every command has in common, its output and its ends."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from orchestration.ctl.desk import Desk
from orchestration.ctl.exits import EPILOG, FAILED, SETTINGS, Failure
from orchestration.errors import CalendarError, OrchestratorError, SettingsError, SpecError

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN_ORDER = (
    *("status", "top", "tasks", "why", "plan", "runs", "logs", "alerts", "check", "calendar", "when"),
    *("backtest", "research"),
    *("halt", "pause", "resume", "run", "stop", "reconcile", "acknowledge", "handover", "reload"),
)


class InOrder(TyperGroup):
    """Lists the commands as a person needs them, not as their modules are loaded."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands' names in the order of the help."""
        return sorted(super().list_commands(ctx), key=SHOWN_ORDER.index)


app = typer.Typer(
    name="orchestratorctl",
    cls=InOrder,
    help="See what the box does and why, and tell it what to do.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; instants are UTC.")]
SEE, ASK, TRY, ORDER = "See", "Ask the calendar", "Try strategies on the past", "Tell the box"


@app.callback()
def begin(
    ctx: typer.Context,
    timeout: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for the daemon's answer."),
    ] = 10.0,
) -> None:
    """See what the box does and why, and tell it what to do.

    State, logs and tasks are found as the daemon finds them, in ORCHESTRATOR_STATE_DIR and its like; commands
    that only show something work without a daemon too, and say so. Times are the exchange's.
    """
    if not isinstance(ctx.obj, Desk):
        ctx.obj = Desk(timeout_s=timeout)


def command(
    name: str, panel: str | None = SEE, group: typer.Typer = app
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose failures end it with their exit code, as JSON where that is asked for."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            as_json = bool(kwargs.get("as_json"))
            try:
                function(*args, **kwargs)
            except Failure as failure:
                end(str(failure), failure.code, as_json)
            except (SettingsError, SpecError, CalendarError) as error:
                end(str(error), SETTINGS, as_json)
            except OrchestratorError as error:
                end(str(error), FAILED, as_json)

        group.command(name, epilog=EPILOG, rich_help_panel=panel)(guarded)
        return guarded

    return register


def end(text: str, code: int, as_json: bool) -> NoReturn:
    """Say why it ends (with --json also on stdout) and end."""
    if as_json:
        print_json({"ok": False, "text": text})
    typer.echo(f"orchestratorctl: {text}", err=True)
    raise typer.Exit(code)


def print_json(value: object) -> None:
    """Print one JSON value on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def show(as_json: bool, value: object, draw: Callable[[], RenderableType]) -> None:
    """Print `value` as JSON, or what `draw` makes for people."""
    if as_json:
        print_json(value)
        return
    from orchestration.ctl.tables import console

    console().print(draw())


def desk_of(ctx: typer.Context) -> Desk:
    """Return the desk that `begin` made."""
    desk: Desk = ctx.obj
    return desk


def complete_task(incomplete: str) -> list[str]:
    """Return the names of tasks that begin so, for the shell's completion; never fails."""
    from config import Settings
    from orchestration.spec_file import load_tasks_file
    from orchestration.task_specs import TASK_SPECS

    names = {spec.name for spec in TASK_SPECS}
    with suppress(OrchestratorError):
        names |= {task.name for task in load_tasks_file(Settings.from_env().tasks_file).tasks}
    return sorted(name for name in names if name.startswith(incomplete))


Task = Annotated[str, typer.Argument(metavar="TASK", autocompletion=complete_task, help="A task's name.")]
MaybeTask = Annotated[
    str | None, typer.Argument(metavar="[TASK]", autocompletion=complete_task, help="A task's name.")
]
TaskFilter = Annotated[
    str | None,
    typer.Option("--task", metavar="TASK", autocompletion=complete_task, help="Of this one only."),
]
