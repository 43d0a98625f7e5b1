"""A comparison as a picture (PNG) or as a page of its own (HTML)."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trading.execution.comparison.comparison import StrategyComparison
from trading.execution.comparison.marks import LIGHT
from trading.execution.comparison.page import Picture, page
from trading.execution.comparison.panels import (
    Drawn,
    draw_cost_and_risk,
    draw_holdings,
    draw_slices,
    drawn,
    frontier_of,
    with_costs,
)
from trading.execution.comparison.words import cost_words, holdings_words, slices_words, undrawn_words
from trading.execution.model.trajectory import ExecutionTrajectory

_STYLE = {
    "axes.edgecolor": LIGHT["dim"],
    "axes.facecolor": LIGHT["paper"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "figure.facecolor": LIGHT["paper"],
    "font.size": 9.5,
    "svg.fonttype": "none",  # letters stay letters: they can be found, copied and read aloud
    "text.color": LIGHT["ink"],
    "text.parse_math": False,  # a $ is money
    "xtick.color": LIGHT["dim"],
    "ytick.color": LIGHT["dim"],
}
_HEADING: dict[str, Any] = {"fontsize": 11, "fontweight": "bold"}
_DPI = 130


def draw_execution_profile(
    comparison: StrategyComparison,
    path: str | Path,
    *,
    frontier: Sequence[ExecutionTrajectory] | None = None,
    title: str | None = None,
) -> Path:
    """Draw holdings over time, slices as bars and cost against risk into `path`, and return it.

    The suffix decides: .png is one picture, its words in the file's Description; .html is a page with the
    same pictures and the summary table, for light and dark screens, that fetches nothing from anywhere.
    The same comparison gives the same bytes. frontier: line of least cost for each risk; None: that of the
    order over the longest horizon, if all strategies are costed alike; (): no line. title: None: the names
    compared. A strategy with NaN is named as not drawn; without costs there is no picture of cost.

    Raises:
        ValueError: if the suffix is another, or no strategy can be drawn.
        OSError: if the file cannot be written.
    """
    target = Path(path)
    write = {".png": _png, ".html": _html}.get(target.suffix.lower())
    if write is None:
        raise ValueError(f"path is {str(path)!r}: expected a name that ends in .png or .html")
    strategies = drawn(comparison)
    if not strategies:
        raise ValueError(f"no strategy can be drawn: {undrawn_words(comparison)}")
    line = frontier_of(with_costs(strategies)) if frontier is None else frontier
    heading = title or "Execution: " + ", ".join(each.strategy_name for each in comparison.strategies)
    target.write_bytes(write(comparison, strategies, line, heading))
    return target


def _png(
    comparison: StrategyComparison,
    strategies: Sequence[Drawn],
    frontier: Sequence[ExecutionTrajectory],
    heading: str,
) -> bytes:
    costs = with_costs(strategies)

    def draw(figure: Any) -> None:
        left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
        above = left.subplots(2 if costs else 1, 1, squeeze=False)[:, 0]
        draw_holdings(above[0], strategies)
        above[0].set_title("What is still held", loc="left", **_HEADING)
        draw_slices(right.subplots(len(strategies), 1, squeeze=False)[:, 0], strategies)
        right.suptitle("What is traded when", x=0.07, ha="left", **_HEADING)
        figure.suptitle(heading, x=0.012, ha="left", fontsize=14, fontweight="bold")
        if costs:
            above[1].set_title("Cost against risk", loc="left", **_HEADING)
            draw_cost_and_risk(above[1], costs, frontier, comparison.baseline_name)

    words = [holdings_words(strategies), slices_words(strategies)]
    words += [cost_words(costs, frontier)] if costs else []
    words += [undrawn_words(comparison)]
    described = {"Title": heading, "Description": " ".join(filter(None, words)), "Software": None}
    height = max(8.0 if costs else 4.6, 1.3 * len(strategies) + 1.4)
    return _rendered((13, height), draw, "png", described)


def _html(
    comparison: StrategyComparison,
    strategies: Sequence[Drawn],
    frontier: Sequence[ExecutionTrajectory],
    heading: str,
) -> bytes:
    costs = with_costs(strategies)

    def slices(figure: Any) -> None:
        draw_slices(figure.subplots(len(strategies), 1, squeeze=False)[:, 0], strategies)

    def cost_and_risk(figure: Any) -> None:
        draw_cost_and_risk(figure.subplots(), costs, frontier, comparison.baseline_name)

    pictures = [
        Picture(
            "What is still held",
            _svg((7.2, 4.2), lambda figure: draw_holdings(figure.subplots(), strategies), "held"),
            holdings_words(strategies),
        ),
        Picture(
            "What is traded when",
            _svg((7.2, 0.9 + 1.5 * len(strategies)), slices, "slices"),
            slices_words(strategies),
        ),
    ]
    if costs:
        pictures.append(
            Picture("Cost against risk", _svg((7.2, 4.6), cost_and_risk, "cost"), cost_words(costs, frontier))
        )
    return page(heading, comparison, pictures, undrawn_words(comparison)).encode()


def _svg(size: tuple[float, float], draw: Callable[[Any], None], salt: str) -> str:
    """Return a picture as an <svg> for the inside of a page, its colours as the page's variables.

    What names an address (document type, name spaces) or a font is left out: inside a page none is needed.
    """
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    text = _rendered(size, draw, "svg", nothing, salt).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r"<svg \1>", text, count=1)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r"<g id=\"[^\"]*\"", "<g", text).replace("xlink:href", "href")
    for role, colour in LIGHT.items():
        text = text.replace(colour, f"var(--{role})")
    return text


def _rendered(
    size: tuple[float, float],
    draw: Callable[[Any], None],
    kind: str,
    described: dict[str, str | None],
    salt: str = "",
) -> bytes:
    """Return the file that `draw` makes of an empty figure of that size [inches]."""
    import matplotlib  # here: half a second and 30 MB that only a drawing needs
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # The defaults first, so that a person's own matplotlibrc changes no report.
    style: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_STYLE, "svg.hashsalt": salt}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        out = io.BytesIO()
        figure.savefig(out, format=kind, metadata=described)
    return out.getvalue()
