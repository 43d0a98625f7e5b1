"""What a schedule may not do. Light: standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trading.execution.checking import finite, not_negative, positive, whole


@dataclass(frozen=True, slots=True)
class ScheduleConstraints:
    """Limits of a schedule. A slice is what is traded in one interval: nothing, or within these sizes.

    max_participation_rate: share of an interval's expected market volume, in (0, 1]. min_slice_size,
    max_slice_size [shares]. min_intervals, max_intervals: None: no limit. lot_size [shares]: every slice
    is a whole number of lots, None: fractions are allowed. max_children: slices that are not empty, None:
    any number. ticket_fee: cost of each slice that is not empty [$].

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    max_participation_rate: float = 0.10
    min_slice_size: float = 0.0
    max_slice_size: float = math.inf
    min_intervals: int = 1
    max_intervals: int | None = None
    lot_size: int | None = None
    max_children: int | None = None
    ticket_fee: float = 0.0

    def __post_init__(self) -> None:
        for name, value in self._checked().items():
            object.__setattr__(self, name, value)
        if self.min_slice_size > self.max_slice_size:
            raise ValueError(
                f"min_slice_size is {self.min_slice_size!r}: expected at most max_slice_size "
                f"{self.max_slice_size!r}"
            )
        if self.max_intervals is not None and self.max_intervals < self.min_intervals:
            raise ValueError(
                f"max_intervals is {self.max_intervals!r}: expected at least min_intervals "
                f"{self.min_intervals!r}"
            )

    @property
    def are_caps_alone(self) -> bool:
        """Whether a slice of any size up to its cap is legal, and costs no fee."""
        return (
            self.lot_size is None
            and self.min_slice_size == 0
            and self.max_children is None
            and self.ticket_fee == 0
        )

    def _checked(self) -> dict[str, float | int | None]:
        """Return the fields as plain floats and ints, whatever numbers they were given as."""
        if not 0 < finite("max_participation_rate", self.max_participation_rate) <= 1:
            raise ValueError(
                f"max_participation_rate is {self.max_participation_rate!r}: expected above 0, at most 1"
            )
        most = self.max_slice_size
        return {
            "max_participation_rate": float(self.max_participation_rate),
            "min_slice_size": not_negative("min_slice_size", self.min_slice_size),
            "max_slice_size": math.inf if most == math.inf else positive("max_slice_size", most),
            "min_intervals": whole("min_intervals", self.min_intervals, 1),
            "max_intervals": _whole_or_none("max_intervals", self.max_intervals),
            "lot_size": _whole_or_none("lot_size", self.lot_size),
            "max_children": _whole_or_none("max_children", self.max_children),
            "ticket_fee": not_negative("ticket_fee", self.ticket_fee),
        }


def _whole_or_none(name: str, value: int | None) -> int | None:
    return None if value is None else whole(name, value, 1)
