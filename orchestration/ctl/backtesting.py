"""Backtests on the stored bars: run, compare, list the strategies, run again.

They need no daemon and tell it nothing: they run in this process.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.ctl import jobs_side
from orchestration.ctl.app import TRY, AsJson, app, command, desk_of, show
from orchestration.ctl.calendar_commands import parse_day
from orchestration.ctl.desk import Desk
from orchestration.ctl.exits import EPILOG, FAILED, USAGE, Failure

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestration.ctl.progress import Bars
    from trading.backtest.history import PriceHistory
    from trading.backtest.orchestrator import StrategyOrchestrator
    from trading.backtest.orchestrator_result import OrchestratorResult

backtest = typer.Typer(
    name="backtest",
    help="Run strategies on the stored bars, compare saved results, run one again.",
    epilog=EPILOG,
    no_args_is_help=True,
)
app.add_typer(backtest, rich_help_panel=TRY)

Saved = Annotated[Path, typer.Argument(metavar="FILE", help="A result that `backtest run --save` wrote.")]


@command("run", None, backtest)
def run(
    ctx: typer.Context,
    strategies: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="NAME[:PARAMETER=VALUE]...[=WEIGHT] and more after commas, e.g. "
            "moving_average:fast=20:slow=50=0.4,rsi=0.3; without weights each gets the same. "
            "`backtest strategies` lists them.",
        ),
    ],
    symbols: Annotated[
        str | None, typer.Option(metavar="LIST", help="With commas between, e.g. AAPL,MSFT; all if absent.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last day.")] = None,
    capital: Annotated[float, typer.Option(metavar="AMOUNT", help="What all have together.")] = 100_000.0,
    commission_bps: Annotated[
        float, typer.Option(metavar="BPS", help="Fee of a fill, in basis points of its value.")
    ] = 0.0,
    spread_bps: Annotated[
        float, typer.Option(metavar="BPS", help="Quoted spread, half of which a fill pays.")
    ] = 0.0,
    arrays: Annotated[
        bool, typer.Option("--arrays", help="Ask the strategies' array forms: the same result, faster.")
    ] = False,
    report: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Write a report: .html, .md, .png or .json; may be repeated."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Save the result for `compare` and `rerun`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run strategies side by side on the stored daily bars, each on its share of the capital.

    Prices are adjusted for splits and dividends; what is decided at a close is filled at the next open. A
    strategy that fails is stopped, the others go on, and the exit code is 1.
    """
    files = _files(report or [], save)
    desk = desk_of(ctx)
    with _refusals():
        with _usage():
            first, last = (parse_day(each) if each else None for each in (start, end))
            _check_capital(capital)
            orchestrator = _orchestrator(desk, strategies, commission_bps, spread_bps, arrays)
        history, result = _loaded_and_run(desk, orchestrator, _listed(symbols), first, last, capital)
        again = _command(strategies, history, first, last, capital, commission_bps, spread_bps, arrays)
        made = jobs_side.backtest.ReportGenerator(result, rerun=again)
        written = [str(made.write(path)) for path in files]
    value = {
        "total": result.aggregate_metrics.to_dict(),
        "strategies": {name: each.metrics.to_dict() for name, each in result.strategy_results.items()},
        "failures": result.failures,
        "rejections": {name: len(each.rejections) for name, each in result.strategy_results.items()},
        "history": result.specification["history"],
        "written": written,
    }

    def draw() -> RenderableType:
        from orchestration.ctl.backtest_tables import ran

        return ran(result, written)

    show(as_json, value, draw)
    if result.failures:
        raise typer.Exit(FAILED)


def _files(reports: Sequence[Path], save: Path | None) -> list[Path]:
    """Return the files to write, checked before the long work."""
    if save is not None and save.suffix.lower() != ".json":
        raise Failure(f"--save is {str(save)!r}: expected a file that ends in .json", USAGE)
    suffixes = jobs_side.report_generator.checked_suffix
    with _usage():
        for path in reports:
            suffixes(path)
    return [*reports, *([save] if save is not None else [])]


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the jobs' side's own errors into an end of the command."""
    try:
        yield
    except (ValueError, OSError, jobs_side.backtest.BacktestError) as error:
        raise Failure(str(error)) from error


@contextmanager
def _usage() -> Iterator[None]:
    """The same for what stands on the command line."""
    try:
        yield
    except ValueError as error:
        raise Failure(str(error), USAGE) from error


def _check_capital(capital: float) -> None:
    """Raise ValueError for what no run could start with, before bars are read for it."""
    if not 0 < capital < math.inf:
        raise ValueError(f"--capital is {capital:.15g}: expected a finite amount above 0")


def _listed(symbols: str | None) -> list[str] | None:
    found = [symbol.strip() for symbol in (symbols or "").split(",") if symbol.strip()]
    return list(dict.fromkeys(found)) or None


def _orchestrator(
    desk: Desk, strategies: str, commission_bps: float, spread_bps: float, arrays: bool
) -> StrategyOrchestrator:
    """Raises ValueError for what the command line says wrong."""
    from orchestration.ctl.strategy_words import strategies as read

    weighted, engine = read(strategies), jobs_side.backtest
    rules = engine.BacktestConfig(
        commission=engine.Commission(bps=commission_bps), slippage=engine.Slippage(spread_bps=spread_bps)
    )
    events = desk.settings.log_dir / "backtest"
    return engine.StrategyOrchestrator(
        weighted, engine.OrchestratorConfig(backtest=rules, arrays=arrays, log_dir=events)
    )


def _loaded_and_run(
    desk: Desk,
    orchestrator: StrategyOrchestrator,
    symbols: Sequence[str] | None,
    first: date | None,
    last: date | None,
    capital: float,
) -> tuple[PriceHistory, OrchestratorResult]:
    from orchestration.ctl.progress import bars

    with bars() as shown:
        history = _loaded(desk, symbols, first, last, shown)
        with shown.share("running on bars", len(history)) as reach:
            return history, orchestrator.run(history, capital, progress=reach)


def _loaded(
    desk: Desk, symbols: Sequence[str] | None, first: date | None, last: date | None, shown: Bars
) -> PriceHistory:
    """Return the stored bars of these symbols, None for all."""
    store = jobs_side.backtest.HistoricalDataManager(desk.settings.data_dir)
    wanted = store.symbols() if symbols is None else symbols
    if not wanted:
        return store.load()  # which says what is to be done
    frames = {}
    with shown.work("loading bars", len(wanted)) as advance:
        for symbol in wanted:
            frames.update(store.frames([symbol]))
            advance()
    return jobs_side.backtest.PriceHistory.from_frames(frames).between(first, last)


def _command(
    strategies: str,
    history: PriceHistory,
    first: date | None,
    last: date | None,
    capital: float,
    commission_bps: float,
    spread_bps: float,
    arrays: bool,
) -> str:
    """Return the command line that would do the same."""
    words = ["orchestratorctl", "backtest", "run", "--strategies", strategies]
    words += ["--symbols", ",".join(history.symbols)]
    options = (("--from", first), ("--to", last), ("--capital", f"{capital:.15g}"))
    costs = (("--commission-bps", commission_bps), ("--spread-bps", spread_bps))
    for name, value in (*options, *((name, f"{bps:.15g}" if bps else None) for name, bps in costs)):
        words += [name, str(value)] if value is not None else []
    return shlex.join([*words, *(["--arrays"] if arrays else [])])


@command("compare", None, backtest)
def compare(first: Saved, second: Saved, as_json: AsJson = False) -> None:
    """Put two saved results side by side, and name every setting in which they differ."""
    with _refusals():
        both = [jobs_side.saved.read_saved(path) for path in (first, second)]
        numbers = jobs_side.saved.side_by_side(both)
        unlike = jobs_side.saved.differences(*both)
    value = {"metrics": numbers, "differences": [asdict(each) for each in unlike]}

    def draw() -> RenderableType:
        from orchestration.ctl.backtest_tables import compared

        return compared([str(first), str(second)], numbers, unlike)

    show(as_json, value, draw)


@command("strategies", None, backtest)
def strategies(as_json: AsJson = False) -> None:
    """List the strategies there are, with their parameters and the defaults of these."""
    from orchestration.ctl.strategy_words import defaults

    listed = [
        {"name": name, "description": each.description, "parameters": defaults(each.parameters)}
        for name, each in jobs_side.registry.STRATEGIES.items()
    ]

    def draw() -> RenderableType:
        from orchestration.ctl.backtest_tables import registered

        return registered(listed)

    show(as_json, listed, draw)


@command("rerun", None, backtest)
def rerun(ctx: typer.Context, saved: Saved, as_json: AsJson = False) -> None:
    """Run a saved result's specification again on the stored bars, and say whether it comes out the same.

    Bars that are not those of the saved run are refused. The exit code is 1 if it comes out otherwise.
    """
    from orchestration.ctl.progress import bars

    desk = desk_of(ctx)
    with _refusals():
        found = jobs_side.saved.read_saved(saved)
        first, last = (date.fromisoformat(found.specification["history"][end][:10]) for end in ("from", "to"))
        with bars() as shown:
            history = _loaded(desk, found.symbols, first, last, shown)
            with shown.work(f"running {saved} again", None):
                again = jobs_side.backtest.rerun(found.specification, history)
        told = jobs_side.saved.held_against(found, again)
    value = {"ok": True, "repeat": told.repeat.name.lower(), "remarks": list(told.remarks)}

    def draw() -> RenderableType:
        from rich.text import Text

        return Text("\n".join([told.repeat.value, *(f"  {each}" for each in told.remarks)]))

    show(as_json, value, draw)
    if told.repeat is jobs_side.saved.Repeat.DIFFERENT:
        raise typer.Exit(FAILED)
