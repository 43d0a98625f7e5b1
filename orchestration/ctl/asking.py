"""`calendar` and `when`: answered without a daemon and without any state."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.ctl.app import ASK, AsJson, command, desk_of, show
from orchestration.ctl.exits import USAGE, Failure
from orchestration.errors import WhenError

if TYPE_CHECKING:
    from datetime import date

    from rich.console import RenderableType

    from orchestration.ctl.desk import Desk
    from orchestration.market_calendar import Calendars


def _calendars(desk: Desk) -> Calendars:
    calendars = desk.box.calendars
    for complaint in desk.box.complaints:
        typer.echo(f"orchestratorctl: {complaint}", err=True)
    return calendars


@command("calendar", ASK)
def calendar(
    ctx: typer.Context,
    at: Annotated[
        str | None,
        typer.Option(metavar="ISO", help="The instant, as 2026-11-27T18:00:00Z; - reads one per line."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show mode, phase, window and research budget at an instant (now).

    With --at - each line is an instant and is answered by one JSON object on a line; a bad line by
    {"error": ...}, and the exit code is then 1.
    """
    from orchestration.ctl.calendar_commands import answer_instants, calendar_answer, calendars_for, parse_at

    desk = desk_of(ctx)
    calendars = _calendars(desk)
    home = calendars.home.exchange

    def widen(known: Calendars, day: date) -> Calendars:
        return calendars_for(home, day, day, known)

    if at == "-":
        raise typer.Exit(answer_instants(calendars, sys.stdin, sys.stdout, widen))
    try:
        instant = desk.clock.now() if at is None else parse_at(at)
    except ValueError as error:
        raise Failure(str(error), USAGE) from error
    if not calendars.stretch(instant).is_known:
        calendars = widen(calendars, calendars.home.local_date(instant))
    answer = calendar_answer(calendars, instant)

    def draw() -> RenderableType:
        from orchestration.ctl.tables import answer as drawn

        return drawn(answer)

    show(as_json, answer, draw)


@command("when", ASK)
def when(
    ctx: typer.Context,
    spec: Annotated[
        str | None, typer.Argument(metavar="[SPEC]", help='As "open+30m..close-15m" (docs/when.md).')
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--date", metavar="DATE", help="As 2026-11-27; today. - reads lines of DATE SPEC."),
    ] = None,
    exchange: Annotated[
        str | None, typer.Option("--calendar", metavar="MIC", help="Of this exchange (the box's own).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the hours that a when-expression means on a day.

    With --date - each line is DATE SPEC and is answered by one JSON object on a line; a bad line by
    {"error": ...}, and the exit code is then 1.
    """
    from orchestration.ctl.calendar_commands import answer_dates, calendars_for, parse_day, when_answer

    desk = desk_of(ctx)
    calendars = _calendars(desk)
    mic = exchange or desk.settings.exchange

    def widen(known: Calendars, day: date) -> Calendars:
        return calendars_for(mic, day, day, known)

    if on == "-":
        if spec is not None:
            raise Failure("with --date - each line brings its own SPEC; leave the argument out", USAGE)
        raise typer.Exit(answer_dates(calendars, sys.stdin, sys.stdout, mic, widen))
    if spec is None:
        raise Failure('give an expression, as orchestratorctl when "open..close"', USAGE)
    try:
        day = calendars.home.local_date(desk.clock.now()) if on is None else parse_day(on)
        answer = when_answer(widen(calendars, day), spec, day, mic)
    except (ValueError, WhenError) as error:
        raise Failure(str(error), USAGE) from error

    def draw() -> RenderableType:
        from rich.text import Text

        from orchestration.ctl.tables import intervals

        return intervals(answer, desk.zone) if answer["intervals"] else Text(f"never: {answer['reason']}")

    show(as_json, answer, draw)
