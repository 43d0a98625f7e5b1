"""What one test found. Light."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar


class Status(StrEnum):
    """UNDECIDED: what the test needs is missing, and the text says what."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


class Rule(StrEnum):
    """How a value is held to its threshold."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    ABOVE = "above"

    def holds(self, value: float, threshold: float) -> bool:
        """Whether the value is on the right side; NaN never is."""
        if self is Rule.AT_LEAST:
            return value >= threshold
        return value <= threshold if self is Rule.AT_MOST else value > threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class TestOutcome:
    """One test: its number, what was asked of it, and a sentence for people.

    value: None where there is none (undecided, or not finite: the text says it). figures: what else the test
    found, as values that JSON knows.
    """

    # Pytest takes every class of such a name for tests.
    __test__: ClassVar[bool] = False

    name: str
    status: Status
    value: float | None
    rule: Rule
    threshold: float
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.status is Status.PASSED

    def to_dict(self) -> dict[str, Any]:
        """Return every field as values that JSON knows."""
        return {
            "name": self.name,
            "status": self.status.value,
            "value": self.value,
            "rule": self.rule.value,
            "threshold": self.threshold,
            "text": self.text,
            "figures": dict(self.figures),
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> TestOutcome:
        """Return what `to_dict` was made from. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(**{**saved, "status": Status(saved["status"]), "rule": Rule(saved["rule"])})


@dataclass(frozen=True, slots=True)
class Question:
    """What a test asks: its value shall be `rule` `threshold`."""

    name: str
    rule: Rule
    threshold: float

    def answered(self, value: float, text: str, **figures: Any) -> TestOutcome:
        """Return whether `value` is on the right side."""
        status = Status.PASSED if self.rule.holds(value, self.threshold) else Status.FAILED
        return self._outcome(status, finite_or_none(value), text, figures)

    def undecided(self, text: str, **figures: Any) -> TestOutcome:
        """Return that nothing can be told, and why."""
        return self._outcome(Status.UNDECIDED, None, text, figures)

    def unless_enough(self, value: int, text: str) -> TestOutcome:
        """Return that a count reaches the threshold; below it, nothing can be told."""
        held = self.rule.holds(value, self.threshold)
        return self._outcome(Status.PASSED if held else Status.UNDECIDED, float(value), text, {})

    def _outcome(
        self, status: Status, value: float | None, text: str, figures: Mapping[str, Any]
    ) -> TestOutcome:
        return TestOutcome(
            name=self.name,
            status=status,
            value=value,
            rule=self.rule,
            threshold=float(self.threshold),
            text=text,
            figures={key: finite_or_none(each) for key, each in figures.items()},
        )


def finite_or_none(value: Any) -> Any:
    """Return it, or None for a float that is not finite, which JSON does not know."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
