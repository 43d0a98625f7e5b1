"""A drawing as shapes in pixels: one layout, written as an <svg> that follows a page's light and dark, and as
a PNG. Light to import; a PNG loads matplotlib.

Colours are named by their role; y grows downwards.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from trading.execution.comparison import marks

LIGHT = {**marks.LIGHT, "trading": "#d3d9de", "prep": "#ebeef0", "pale": "#cfe9df"}
DARK = {**marks.DARK, "trading": "#3d4852", "prep": "#2a3239", "pale": "#1f4a3d"}
"""Roles beside those of other pictures: two shades behind a timeline, and a pale fill of `s2`."""

_PER_INCH = 100
"""Pixels of a drawing in an inch of the PNG, which has a quarter more dots."""
_DPI = 125
_POINTS = 72 / _PER_INCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled rectangle. edge: role of its rim, or none; title: said when pointed at."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    edge: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A straight line; dashes in pixels, drawn and left out in turn."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str = "line"
    width: float = 1.0
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A text on a base line at y. anchor: which end of it is at x: start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    colour: str = "ink"
    size: float = 12.0
    bold: bool = False


Shape = Box | Line | Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A picture. name: of its file, without an ending; words: what it shows, for those who do not see it."""

    name: str
    title: str
    words: str
    width: float
    height: float
    shapes: tuple[Shape, ...]


def width_of(text: str, size: float = 12.0) -> float:
    """Return about how wide a text is, rather too much than too little, as fonts differ."""
    return 0.62 * size * len(text)


def svg(drawing: Drawing) -> str:
    """Return it as an <svg>."""
    light, dark = (";".join(f"--y-{r}:{c}" for r, c in palette.items()) for palette in (LIGHT, DARK))
    css = f".drawn{{{light}}}@media(prefers-color-scheme:dark){{.drawn{{{dark}}}}}"
    parts = "\n".join(_svg_shape(shape) for shape in drawing.shapes)
    return (
        f'<svg class="drawn" viewBox="0 0 {drawing.width:g} {drawing.height:g}"><style>{css}</style>\n'
        f"{parts}\n</svg>"
    )


def _svg_shape(shape: Shape) -> str:
    match shape:
        case Box():
            told = f"<title>{escape(shape.title)}</title>" if shape.title else ""
            edge = f";stroke:var(--y-{shape.edge})" if shape.edge else ""
            return (
                f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" '
                f'height="{shape.height:.1f}" style="fill:var(--y-{shape.fill}){edge}">{told}</rect>'
            )
        case Line():
            dashes = f";stroke-dasharray:{','.join(f'{d:g}' for d in shape.dashes)}" if shape.dashes else ""
            return (
                f'<line x1="{shape.x1:.1f}" y1="{shape.y1:.1f}" x2="{shape.x2:.1f}" y2="{shape.y2:.1f}" '
                f'style="stroke:var(--y-{shape.colour});stroke-width:{shape.width:g}{dashes}"/>'
            )
        case Words():
            bold = ";font-weight:600" if shape.bold else ""
            return (
                f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}" '
                f'style="fill:var(--y-{shape.colour});font-size:{shape.size:g}px{bold}">'
                f"{escape(shape.text)}</text>"
            )


def png(drawing: Drawing) -> bytes:
    """Return it as a PNG on white paper, its words in the file's Description."""
    import matplotlib  # here: half a second and 30 MB that only a PNG needs
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # The defaults, so that a person's own matplotlibrc changes no picture.
    look: dict[Any, Any] = {**matplotlib.rcParamsDefault, "text.parse_math": False}
    with matplotlib.rc_context(look):
        size = (drawing.width / _PER_INCH, drawing.height / _PER_INCH)
        figure = Figure(figsize=size, dpi=_DPI, facecolor=LIGHT["paper"])
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(0, drawing.width)
        axes.set_ylim(drawing.height, 0)
        _draw(axes, drawing.shapes)
        out = io.BytesIO()
        described = {"Title": drawing.title, "Description": drawing.words, "Software": None}
        figure.savefig(out, format="png", metadata=described, pil_kwargs={"optimize": True})
    return out.getvalue()


def _draw(axes: Any, shapes: Iterable[Shape]) -> None:  # matplotlib has no types of its own
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    for order, shape in enumerate(shapes):
        match shape:
            case Box():
                axes.add_patch(
                    Rectangle(
                        (shape.x, shape.y), shape.width, shape.height, facecolor=LIGHT[shape.fill],
                        edgecolor=LIGHT[shape.edge] if shape.edge else "none",
                        linewidth=_POINTS if shape.edge else 0, zorder=order,
                    )
                )  # fmt: skip
            case Line():
                dashes: Any = (0, [d / shape.width for d in shape.dashes]) if shape.dashes else "-"
                axes.add_line(
                    Line2D(
                        [shape.x1, shape.x2], [shape.y1, shape.y2], color=LIGHT[shape.colour],
                        linewidth=shape.width * _POINTS, linestyle=dashes, zorder=order,
                        solid_capstyle="butt",
                    )
                )  # fmt: skip
            case Words():
                axes.text(
                    shape.x, shape.y, shape.text, color=LIGHT[shape.colour], zorder=order,
                    fontsize=shape.size * _POINTS, fontweight="bold" if shape.bold else "normal",
                    ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor], va="baseline",
                )  # fmt: skip
