"""Checks of arguments: every refusal is a ValueError that names argument, value and what was expected."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def series(name: str, values: npt.ArrayLike, least: int) -> FloatArray:
    """Return `values` as floats, shape (n,), n >= `least`, all finite; else raises ValueError."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < least:
        raise ValueError(f"{name} has shape {array.shape}: expected one dimension of at least {least} values")
    _all_finite(name, array, 0)
    return array


def matrix(name: str, values: npt.ArrayLike, least_rows: int, least_columns: int) -> FloatArray:
    """Return `values` as floats, shape (rows, columns), all finite; no copy of an array of floats.

    Raises ValueError if there are fewer rows or columns than the least, or for anything else."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] < least_rows or array.shape[1] < least_columns:
        raise ValueError(
            f"{name} has shape {array.shape}: expected (periods, trials), "
            f"at least {least_rows} periods and {least_columns} trials"
        )
    # Some rows at a time: a map of the whole would cost an eighth of a large matrix.
    rows_at_once = max(1, 1_000_000 // array.shape[1])
    for first in range(0, len(array), rows_at_once):
        _all_finite(name, array[first : first + rows_at_once], first)
    return array


def whole(name: str, value: int, least: int) -> int:
    """Return `value`. Raises ValueError if it is no whole number or below `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} is {value!r}: expected a whole number from {least} up")
    return int(value)


def at_least(name: str, value: float, least: float) -> float:
    """Return `value` as a float. Raises ValueError if it is no finite number or below `least`."""
    if not math.isfinite(value) or value < least:
        raise ValueError(f"{name} is {value!r}: expected a number from {least:g} up")
    return float(value)


def positive(name: str, value: float) -> float:
    """Return `value` as a float. Raises ValueError if it is no finite number above 0."""
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} is {value!r}: expected a number above 0")
    return float(value)


def share(name: str, value: float) -> float:
    """Return `value` as a float. Raises ValueError unless it lies between 0 and 1, both excluded."""
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value!r}: expected a number between 0 and 1, both excluded")
    return float(value)


def rows_within(memory_limit_mb: float, bytes_per_row: int) -> int:
    """Return how many rows of work fit into `memory_limit_mb`: at least one, so that a low limit slows, not
    stops. Raises ValueError if the limit is not above 0."""
    return max(1, int(positive("memory_limit_mb", memory_limit_mb) * 1e6) // bytes_per_row)


def _all_finite(name: str, array: FloatArray, first_row: int) -> None:
    if not np.isfinite(array).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
        value = float(array[tuple(where)])
        where[0] += first_row
        raise ValueError(f"{name}{where} is {value!r}: expected finite numbers")
