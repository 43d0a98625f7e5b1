"""Backtests on a terminal. Values in, rich renderables out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from orchestration.ctl import jobs_side
from orchestration.ctl.tables import table

if TYPE_CHECKING:
    from trading.backtest.orchestrator_result import OrchestratorResult
    from trading.backtest.performance.metrics import PerformanceMetrics
    from trading.backtest.reports.saved import Difference

HEADLINE = (
    *("final_equity", "total_return", "cagr", "volatility", "sharpe_ratio", "max_drawdown"),
    *("win_rate", "trades"),
)


def ran(result: OrchestratorResult, written: Sequence[str]) -> Group:
    """Return what a run came to: a row for all together and for each strategy."""
    labels = [jobs_side.numbers.label(name) for name in HEADLINE]
    made = table("strategy", *labels, "refused", right=[*labels, "refused"])
    results = result.strategy_results
    if len(results) > 1:
        made.add_row("total", *_headline(result.aggregate_metrics), "")
    for name, each in results.items():
        made.add_row(Text(name), *_headline(each.metrics), f"{len(each.rejections):,}")
    history = result.specification["history"]
    head = (
        f"{', '.join(history['symbols'])} from {history['from']} to {history['to']}, "
        f"{history['instants']:,} bars, from {jobs_side.numbers.money(result.initial_capital)}"
    )
    parts: list[RenderableType] = [Text(head), Text(""), made]
    parts += [Text(f"{name} was stopped: {why}", "red") for name, why in result.failures.items()]
    parts += [Text(f"written: {path}") for path in written]
    return Group(*parts)


def _headline(metrics: PerformanceMetrics) -> list[str]:
    return [jobs_side.numbers.metric(name, getattr(metrics, name)) for name in HEADLINE]


def compared(
    names: Sequence[str],
    metrics: Mapping[str, Mapping[str, Sequence[float | None]]],
    unlike: Sequence[Difference],
) -> Group:
    """Return two results side by side, and the settings in which they differ."""
    shown = [_label(name, place) for place, name in zip("AB", names, strict=True)]
    made = table("of", "metric", "A", "B", right=("A", "B"))
    for who, numbers in metrics.items():
        chosen = numbers if who == "total" else {name: numbers[name] for name in HEADLINE}
        for metric, values in chosen.items():
            cells = (_cell(metric, value) for value in values)
            made.add_row(Text(who), jobs_side.numbers.label(metric), *cells)
    parts: list[RenderableType] = [*shown, Text(""), made, Text("")]
    if not unlike:
        return Group(*parts, Text("made alike: every setting is the same"))
    settings = table("differs", "A", "B")
    for each in unlike:
        settings.add_row(
            *(Text("-" if cell is None else cell) for cell in (each.setting, each.first, each.second))
        )
    return Group(*parts, settings)


def _label(name: str, place: str) -> Text:
    return Text(f"{place}  {name}")


def _cell(metric: str, value: float | None) -> str:
    return jobs_side.numbers.metric(metric, math.nan if value is None else value)


def registered(listed: Sequence[Mapping[str, Any]]) -> Group:
    """Return each strategy with its parameters, as they are written on the command line."""
    parts: list[RenderableType] = []
    for each in listed:
        parts.append(Text.assemble((each["name"], "bold"), f"  {each['description']}"))
        pairs = ":".join(f"{name}={_written(value)}" for name, value in each["parameters"].items())
        parts.append(Text(f"    {pairs}", "dim"))
    return Group(*parts)


def _written(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "+".join(map(str, value)) or "(all)"
    return str(value).lower() if isinstance(value, bool) else str(value)
