"""Fewer points of a curve that draw the same line. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trading.backtest.history import Floats


def thinned(values: Floats, columns: int) -> NDArray[np.intp]:
    """Return the indices, rising, of the points that a drawing of `columns` columns needs: each column's
    lowest and highest, so that no peak and no trough is lost, and the first and the last of all.

    values: shape (n,), finite, n >= 1. At most 2 * columns + 2 indices; all n if they are no more.
    """
    count = len(values)
    if count <= 2 * columns + 2:
        return np.arange(count)
    edges = np.linspace(0, count, columns + 1).astype(np.intp)
    spans = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    lowest = [start + int(np.argmin(values[start:end])) for start, end in spans]
    highest = [start + int(np.argmax(values[start:end])) for start, end in spans]
    return np.unique(np.array([0, count - 1, *lowest, *highest], dtype=np.intp))
