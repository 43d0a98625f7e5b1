"""A run's report as a document: what every form of it says, in the same order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from observability.report_document import (
    FAIL,
    INFO,
    WARN,
    Block,
    Document,
    Heading,
    Notice,
    Picture,
    Table,
    Text,
    Tile,
    Tiles,
)
from trading.backtest.history import said
from trading.backtest.performance.definitions import DEFINITIONS
from trading.backtest.performance.metrics import METRICS, PerformanceMetrics
from trading.backtest.rejections import Reason
from trading.backtest.reports import facts, numbers
from trading.backtest.reports.activity import capital, costs, refused, trades
from trading.backtest.reports.facts import TOTAL, Reported
from trading.backtest.reports.pictures import drawdown_picture, equity_picture
from trading.backtest.reports.provenance import made_from

TITLE = "Backtest"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def compose(run: Reported, *, is_log: bool | None, made_at: str | None, how_to_rerun: str | None) -> Document:
    """Return the report. made_at: when it was made; how_to_rerun: a command; None: nothing is said of it."""
    blocks = [
        *_head(run),
        *_curves(run, is_log),
        *_compared(run),
        *_months(run),
        *trades(run),
        *refused(run),
        *capital(run),
        *costs(run),
        *made_from(run, how_to_rerun),
        *_definitions(),
    ]
    subtitle = (
        f"{names_of(run)}; {', '.join(run.symbols)}; {said(run.stamps[0])} to "
        f"{said(run.stamps[-1])}; {len(run.stamps):,} bars"
    )
    made = f"; report made {made_at}" if made_at else ""
    return Document(title=TITLE, subtitle=subtitle + made, blocks=tuple(blocks))


def names_of(run: Reported) -> str:
    """Return the strategies' names, of many the first."""
    names = list(run.strategies)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


# The first look


def _head(run: Reported) -> Iterator[Block]:
    metrics, worst = run.metrics, facts.falls(run.equity, run.stamps, run.initial_capital)[:1]

    def tile(name: str, note: str = "") -> Tile:
        return Tile(numbers.label(name), numbers.metric(name, getattr(metrics, name)), INFO, note)

    yield Tiles(
        (
            Tile(
                numbers.label("final_equity"),
                numbers.short_money(metrics.final_equity),
                INFO,
                f"from {numbers.short_money(run.initial_capital)}",
            ),
            tile("total_return", f"CAGR {numbers.metric('cagr', metrics.cagr)}"),
            tile("sharpe_ratio", f"volatility {numbers.metric('volatility', metrics.volatility)}"),
            tile("max_drawdown", f"on {worst[0].trough}" if worst else "none"),
            tile("win_rate", f"of {metrics.trades:,} trades"),
            tile("exposure", "of the bars"),
        )
    )
    for name, (when, why) in facts.failures(run).items():
        yield Notice(FAIL, f"{name} was stopped on {when}: {why}. The others went on.")
    limited = sum(each.count for each in facts.refusals(run) if each.reason == Reason.CAPITAL.value)
    if limited:
        yield Notice(WARN, f"{limited:,} orders were refused for want of capital; see below.")


def _curves(run: Reported, is_log: bool | None) -> Iterator[Block]:
    equity, fall = equity_picture(run, is_log), drawdown_picture(run)
    yield Heading("Equity and drawdowns")
    yield Picture(title="Equity", svg=equity.svg, words=equity.words)
    yield Picture(title="Drawdowns, with the deepest of each", svg=fall.svg, words=fall.words)
    rows = tuple(
        (
            numbers.percent(each.depth),
            each.peak or "the start",
            each.trough,
            each.recovered or "not yet",
            f"{each.bars:,}",
        )
        for each in facts.falls(run.equity, run.stamps, run.initial_capital)
    )
    if rows:
        yield Table(("#Deepest", "Peak", "Lowest", "Back at the peak", "#Bars below it"), rows)
    else:
        yield Text("The equity was never below a former peak.")


def _compared(run: Reported) -> Iterator[Block]:
    """Every metric of all together and of each strategy, and what is to be said of those without a number."""
    columns = _columns(run)
    yield Heading("All numbers" if len(columns) == 1 else "The strategies compared")
    rows = tuple(
        (numbers.label(name), *(numbers.metric(name, getattr(each, name)) for each in columns.values()))
        for name in METRICS
    )
    yield Table(("Metric", *(f"#{name}" for name in columns)), rows)
    remarks = tuple(
        (numbers.label(metric), who, remark)
        for who, each in columns.items()
        for metric, remark in each.remarks.items()
    )
    if remarks:
        yield Table(("Remark on", "Of", "What is to be known"), remarks)


def _columns(run: Reported) -> Mapping[str, PerformanceMetrics]:
    """The metrics by the names of their columns; a strategy may be called as all together are."""
    if not run.is_portfolio:
        return {next(iter(run.strategies)): run.metrics}
    each = {name: result.metrics for name, result in run.strategies.items()}
    return {("all together" if TOTAL in each else TOTAL): run.metrics, **each}


def _months(run: Reported) -> Iterator[Block]:
    yield Heading("Returns by month [%]")
    rows = tuple(
        (
            str(row.year),
            *(_hundredths(each) for each in row.months),
            _hundredths(row.total),
        )
        for row in facts.months(run)
    )
    yield Table(("Year", *(f"#{month}" for month in MONTHS), "#Year"), rows)


def _hundredths(fraction: float | None) -> str:
    return "" if fraction is None else numbers.percent(fraction).removesuffix(" %")


def _definitions() -> Iterator[Block]:
    yield Heading("What the numbers mean")
    yield Text(
        "E[0..n-1] is the equity after each bar, E[-1] the initial capital, r the n returns per period, A "
        "the periods of a year; a period is a date with bars."
    )
    rows = tuple(
        (
            numbers.label(name),
            DEFINITIONS[name].formula,
            DEFINITIONS[name].degenerate,
            DEFINITIONS[name].source,
        )
        for name in METRICS
    )
    yield Table(("Metric", "Formula", "Where it has no answer", "Source"), rows)
