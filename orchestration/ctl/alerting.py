"""Alerts: those that stand, those that were, and the person's word that they have been seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.ctl.app import ORDER, AsJson, command, desk_of, print_json, show
from orchestration.ctl.client import ask_or_fail
from orchestration.ctl.desk import Desk
from orchestration.ctl.exits import USAGE, Failure

if TYPE_CHECKING:
    from rich.console import RenderableType

NEWEST = 50


@command("alerts")
def alerts(
    ctx: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help=f"The newest {NEWEST}, those that are over too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the alerts that stand: since when, how severe, and whether somebody has seen them."""
    desk = desk_of(ctx)
    rows = _rows(desk, everything=everything)

    def draw() -> RenderableType:
        from rich.text import Text

        from orchestration.ctl.tables import alerts as drawn

        return drawn(rows, desk.zone, desk.clock.now()) if rows else Text("no alert stands")

    show(as_json, rows, draw)


def _rows(desk: Desk, *, everything: bool) -> list[dict[str, Any]]:
    from orchestration.ctl.beside import alert_dict
    from orchestration.state.history import alerts_open, recent_alerts

    engine = desk.box.engine
    if engine is None:
        return []
    found = recent_alerts(engine, NEWEST) if everything else alerts_open(engine)
    return [alert_dict(row) for row in found]


@command("acknowledge", ORDER)
def acknowledge(
    ctx: typer.Context,
    key: Annotated[
        str | None, typer.Argument(metavar="[ALERT]", help="Its name, as `alerts` lists it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every alert that stands.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say that an alert has been seen: it stands until it is over, and nobody is reminded of it any more.

    What happened once (the daemon was down, the state is new) is over with it.
    """
    if (key is None) is not everything:
        raise Failure("give an ALERT (`orchestratorctl alerts` lists them), or --all", USAGE)
    args = {"all": "true"} if key is None else {"alert": key}
    text = ask_or_fail(desk_of(ctx).daemon, "acknowledge", args).text
    if as_json:
        print_json({"ok": True, "text": text})
    else:
        typer.echo(text)
