"""A run's equity and drawdowns as a PNG. Light to import; drawing loads matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from textwrap import shorten
from typing import Any

from trading.backtest.reports import numbers
from trading.backtest.reports.axes import Amounts, amounts, dates
from trading.backtest.reports.document import TITLE, names_of
from trading.backtest.reports.facts import Curve, Reported
from trading.backtest.reports.pictures import drawdown_picture, equity_picture
from trading.backtest.reports.thinning import thinned
from trading.execution.comparison.marks import LIGHT, mark_of

Axes = Any  # matplotlib has no types of its own

COLUMNS = 900
MOST_LETTERS = 120
_DPI = 100
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": LIGHT["dim"],
    "axes.facecolor": LIGHT["paper"],
    "axes.grid": True,
    "axes.labelcolor": LIGHT["ink"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "figure.facecolor": LIGHT["paper"],
    "font.size": 9.5,
    "grid.color": LIGHT["line"],
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "text.color": LIGHT["ink"],
    "text.parse_math": False,  # a $ is money, and names are no formulas
    "xtick.color": LIGHT["dim"],
    "ytick.color": LIGHT["dim"],
}


def png(run: Reported, is_log: bool | None) -> bytes:
    """Return the picture, its content in words in the file's Description."""
    import matplotlib  # here: half a second and 30 MB that only a drawing needs
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    title = f"{TITLE}: {names_of(run)}"
    words = f"{equity_picture(run, is_log).words} {drawdown_picture(run).words}"
    # The defaults first, so that a person's own matplotlibrc changes no report.
    look: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_STYLE}
    with matplotlib.rc_context(look):
        figure = Figure(figsize=(10.0, 6.6), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        above, below = figure.subplots(2, 1, height_ratios=(1.6, 1.0), sharex=True)
        _draw_equity(above, run, is_log)
        _draw_drawdowns(below, run)
        _label_dates(below, run)
        figure.suptitle(f"{shorten(title, MOST_LETTERS)}\n{_headline(run)}", x=0.012, ha="left", fontsize=11)
        out = io.BytesIO()
        described = {"Title": title, "Description": words, "Software": None}
        figure.savefig(out, format="png", metadata=described)
    return out.getvalue()


def _headline(run: Reported) -> str:
    shown = ("total_return", "cagr", "volatility", "sharpe_ratio", "max_drawdown")
    return ", ".join(
        f"{numbers.label(name)} {numbers.metric(name, getattr(run.metrics, name))}" for name in shown
    )


def _draw_equity(ax: Axes, run: Reported, is_log: bool | None) -> None:
    curves = run.equities
    scale = amounts([curve.values for curve in curves], is_log)
    _draw(ax, curves, [numbers.short_money(float(curve.values[-1])) for curve in curves])
    if scale.is_log:
        ax.set_yscale("log")
        ax.minorticks_off()
    ax.set_ylim(scale.low, scale.high)
    _label_amounts(ax, scale)
    ax.set_title("Equity" + (", logarithmic" if scale.is_log else ""))


def _label_amounts(ax: Axes, scale: Amounts) -> None:
    marks = scale.marks
    ax.set_yticks([value for value, _ in marks], [label for _, label in marks])


def _draw_drawdowns(ax: Axes, run: Reported) -> None:
    curves = [Curve(curve.name, 100.0 * curve.values) for curve in run.drawdowns]
    at = thinned(curves[0].values, COLUMNS)
    ax.fill_between(at, curves[0].values[at], color=LIGHT["line"], linewidth=0)
    _draw(ax, curves, [f"{curve.values.min():,.2f} % at worst" for curve in curves])
    ax.set_title("Drawdowns [%]")


def _draw(ax: Axes, curves: Sequence[Curve], ends: Sequence[str]) -> None:
    for i, (curve, end) in enumerate(zip(curves, ends, strict=True)):
        at = thinned(curve.values, COLUMNS)
        look: dict[str, Any] = {"color": LIGHT["ink"], "linewidth": 1.6, "zorder": 3}
        if i:
            look = {"color": mark_of(i - 1).colour, "linestyle": mark_of(i - 1).dashes, "linewidth": 1.1}
        # Names that begin with an underscore would be left out of a legend.
        ax.plot(at, curve.values[at], label=f"\u200b{numbers.short_name(curve.name)} {end}", **look)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), handlelength=3.2)


def _label_dates(ax: Axes, run: Reported) -> None:
    marks = dates(run.stamps)
    ax.set_xticks([at for at, _ in marks], [label for _, label in marks])
    ax.set_xlim(0, max(len(run.stamps) - 1, 1))
