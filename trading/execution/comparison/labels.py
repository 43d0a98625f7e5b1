"""Where a label finds room beside its point. Pure and light: standard library only."""

from __future__ import annotations

from collections.abc import Sequence

Box = tuple[float, float, float, float]
"""Left, bottom, right, top [points of type]."""

TYPE = 9.0
"""Size of the letters of labels [points]."""
REACH = 14.0
"""Distance of a label from its point [points]: clear of the largest marker."""
_HALF = 0.65 * TYPE
"""Half the height of a label with the air around it."""
_LETTER = 0.6 * TYPE
"""Width of a letter, on the wide side."""


def clear_rise(
    label: str, x: float, y: float, taken: Sequence[Box], bottom: float, top: float
) -> tuple[float, Box]:
    """Return how far above the point (x, y) its label hits none of the boxes taken, and the label's own box.

    All in points of type. The label begins REACH right of the point and stays between bottom and top. The
    least rise that will do is taken, rather up than down (better strategies lie below); 0.0 if none will.
    """
    left = x + REACH
    right = left + _LETTER * len(label)
    rises = sorted((step * _HALF / 2 for step in range(-40, 81)), key=lambda rise: max(rise, -3 * rise))
    for rise in rises:
        box = (left, y + rise - _HALF, right, y + rise + _HALF)
        is_inside = bottom < box[1] and box[3] < top
        if is_inside and not any(_overlap(box, other) for other in taken):
            return rise, box
    return 0.0, (left, y - _HALF, right, y + _HALF)


def box_around(x: float, y: float, reach: float) -> Box:
    """Return the square of half side `reach` around a point."""
    return (x - reach, y - reach, x + reach, y + reach)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
