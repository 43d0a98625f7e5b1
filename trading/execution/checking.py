"""Checks of arguments: every refusal is a ValueError that names the argument, the value and what was
expected."""

from __future__ import annotations

import math


def finite(name: str, value: float) -> float:
    """Return `value` as a float. Raises ValueError if it is no finite number; text and bool are none."""
    if type(value) is float and math.isfinite(value):
        return value
    try:
        number = math.nan if _is_other(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} is {value!r}: expected a finite number")
    return number


def positive(name: str, value: float) -> float:
    """Return `value` as a float. Raises ValueError if it is no finite number above 0."""
    if finite(name, value) <= 0:
        raise ValueError(f"{name} is {value!r}: expected a number above 0")
    return float(value)


def not_negative(name: str, value: float) -> float:
    """Return `value` as a float. Raises ValueError if it is no finite number from 0 up."""
    if finite(name, value) < 0:
        raise ValueError(f"{name} is {value!r}: expected a number from 0 up")
    return float(value)


def whole(name: str, value: int, least: int) -> int:
    """Return `value` as an int (2.0 counts as 2). Raises ValueError if it is not whole or below `least`."""
    if finite(name, value) != int(value) or value < least:
        raise ValueError(f"{name} is {value!r}: expected a whole number from {least} up")
    return int(value)


def _is_other(value: object) -> bool:
    """Return whether `value` is text or a truth value, numpy's included: float() would take them."""
    return isinstance(value, (bool, str, bytes, bytearray)) or str(getattr(value, "dtype", "")) == "bool"
