"""How strategies are told apart in pictures: colour, marker and dashes, so that no one needs the colour.
Light: standard library only."""

from __future__ import annotations

from dataclasses import dataclass

LIGHT = {
    "paper": "#fffffe",
    "ink": "#1d2329",
    "dim": "#5b6670",
    "line": "#dfe3e6",
    "s0": "#0a6cae",
    "s1": "#c44e00",
    "s2": "#0b7f5c",
    "s3": "#9c3f88",
    "s4": "#7a5c00",
    "s5": "#b3261e",
    "s6": "#4b5563",
}
"""Role: colour on white paper. Every value occurs once, so that a drawing's colours name their roles."""

DARK = {
    "paper": "#1c2227",
    "ink": "#e4e8eb",
    "dim": "#a3aeb8",
    "line": "#39434b",
    "s0": "#6db7f2",
    "s1": "#ff9d5c",
    "s2": "#4fd0a5",
    "s3": "#e79bd5",
    "s4": "#dfbf52",
    "s5": "#f58d85",
    "s6": "#b6c0ca",
}

_COLOURS = [role for role in LIGHT if role.startswith("s")]
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))


@dataclass(frozen=True, slots=True)
class Mark:
    """How one strategy is drawn, in matplotlib's words."""

    colour: str
    marker: str
    dashes: str | tuple[float, tuple[float, ...]]


def mark_of(index: int) -> Mark:
    """Return the mark of the index-th strategy; the first 315 differ in at least one of the three."""
    return Mark(
        colour=LIGHT[_COLOURS[index % len(_COLOURS)]],
        marker=_MARKERS[index % len(_MARKERS)],
        dashes=_DASHES[index % len(_DASHES)],
    )


def short(value: float) -> str:
    """Return a number as a label wants it: three digits that count, no more decimals than that."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
