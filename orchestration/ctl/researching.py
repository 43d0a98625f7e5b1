"""The research on parameters, as its own files tell it: studies, and the candidates they have found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from orchestration.ctl import jobs_side, words
from orchestration.ctl.app import TRY, AsJson, app, command, desk_of, show
from orchestration.ctl.exits import EPILOG, FAILED

if TYPE_CHECKING:
    from rich.console import RenderableType

    from trading.research.status import ResearchStatus, StudyStatus

research = typer.Typer(
    name="research", help="See what the search for parameters does.", epilog=EPILOG, no_args_is_help=True
)
app.add_typer(research, rich_help_panel=TRY)


@command("status", None, research)
def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the studies with their trials and best parameters, and the candidates they have found.

    What could not be read is said, and the exit code is 1.
    """
    found = jobs_side.research_status.research_status(desk_of(ctx).settings.state_dir)

    def draw() -> RenderableType:
        return drawn(found)

    show(as_json, _plain(asdict(found)), draw)
    if found.remark:
        raise typer.Exit(FAILED)


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it: dates as text, enums as their values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def drawn(found: ResearchStatus) -> RenderableType:
    """Return the studies, the newest first, and the candidates."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    if found.remark:
        parts.append(Text(found.remark, "red"))
    parts += _studies(found.studies) if found.studies else [Text("no study has begun")]
    counts = ", ".join(f"{count} {name}" for name, count in found.by_status.items())
    parts += [Text(""), Text(f"candidates: {counts or 'none'}")]
    if found.candidates:
        parts.append(_candidates(found))
    return Group(*parts)


def _studies(studies: Sequence[StudyStatus]) -> list[RenderableType]:
    from rich.text import Text

    from orchestration.ctl.tables import table

    right = ("trials", "pruned", "failed", "took", "best")
    made = table("study", "strategy", "symbols", "bars", *right, "with", right=right)
    for each in studies:
        best = "-" if each.best_value is None else f"{each.best_value:.4g}"
        made.add_row(
            f"{each.name} ({each.kind})",
            each.family,
            _few(each.symbols),
            f"{each.data_from} to {each.data_to}",
            f"{each.trials} of {each.goal}",
            str(each.pruned),
            str(each.failed),
            words.duration(each.seconds),
            best,
            _parameters(each.best_parameters or {}) or "-",
        )
    ends = [(each.name, each.conclusion) for each in studies if each.conclusion is not None]
    return [made, *(Text(f"{name}: {_concluded(conclusion)}") for name, conclusion in ends)]


def _concluded(conclusion: Mapping[str, Any]) -> str:
    if conclusion["candidate"] is not None:
        return f"its best is candidate {conclusion['candidate']}"
    return f"no candidate: {conclusion['reason']}"


def _candidates(found: ResearchStatus) -> RenderableType:
    from orchestration.ctl.tables import table

    made = table("candidate", "strategy", "status", "objective", "with", right=("objective",))
    for each in found.candidates:
        made.add_row(
            str(each.candidate_id),
            each.family,
            each.status.value,
            f"{each.objective:.4g}",
            _parameters(each.parameters),
        )
    return made


def _few(symbols: Sequence[str]) -> str:
    return ", ".join(symbols[:3]) + (f" and {len(symbols) - 3} more" if len(symbols) > 3 else "")


def _parameters(parameters: Mapping[str, Any]) -> str:
    """Return parameters as `backtest run --strategies` takes them."""
    pairs = (
        (name, "+".join(value) if isinstance(value, (list, tuple)) else value)
        for name, value in parameters.items()
    )
    return ":".join(f"{name}={value}" for name, value in pairs if value != "")
