"""Random boxes for the property tests: specs, a start, a seed, and what befalls them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from orchestration.types import TaskCategory, TaskPriority, TaskSpec

NAMES = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")
PHASE_CHOICES = (
    frozenset[str](),
    frozenset({"OVERNIGHT", "WEEKEND", "HOLIDAY"}),
    frozenset({"POST_MARKET"}),
    frozenset({"PRE_MARKET", "MARKET_OPEN"}),
)
STARTS = (
    datetime(2026, 11, 20, 12, 30, tzinfo=UTC),  # Friday before the open
    datetime(2026, 11, 26, 3, 0, tzinfo=UTC),  # the night to Thanksgiving; an early close follows
    datetime(2026, 3, 6, 20, 0, tzinfo=UTC),  # the clocks go forward on Sunday
    datetime(2026, 10, 30, 19, 0, tzinfo=UTC),  # the clocks go back on Sunday
    datetime(2026, 7, 2, 18, 0, tzinfo=UTC),  # a holiday weekend ahead
)


@dataclass(frozen=True)
class Box:
    """One random box."""

    specs: dict[str, TaskSpec]
    start: datetime
    seed: int
    slots: int
    total_mb: float
    failure_rate: float


@st.composite
def spec(draw: st.DrawFn, name: str, earlier: tuple[str, ...]) -> TaskSpec:
    kind = draw(st.sampled_from(["duty", "research", "chore", "grid", "clock"]))
    minutes = draw(st.sampled_from([0.05, 0.5, 4.0, 40.0, 300.0]))
    common: dict[str, Any] = {
        "name": name,
        "memory_mb": draw(st.sampled_from([50.0, 400.0, 1200.0])),
        "estimated_minutes": minutes,
        "timeout_minutes": minutes * draw(st.sampled_from([2.0, 10.0])),
        "max_attempts": draw(st.integers(1, 3)),
        "conflicts": draw(st.sets(st.sampled_from(NAMES), max_size=2)) - {name},
        "dependencies": draw(st.sets(st.sampled_from(earlier), max_size=1)) if earlier else set(),
        "idempotent": True,
    }
    if kind == "duty":
        short = {"dependencies": set(), "estimated_minutes": 0.05, "timeout_minutes": 1.0}
        return TaskSpec(
            **{**common, **short},
            category=TaskCategory.RISK,
            priority=draw(st.sampled_from([TaskPriority.CRITICAL, TaskPriority.HIGH])),
            every=draw(st.sampled_from([timedelta(minutes=5), timedelta(minutes=30)])),
            window="open..close",
        )
    if kind == "research":
        return TaskSpec(
            **common,
            category=TaskCategory.RESEARCH,
            priority=draw(st.sampled_from([TaskPriority.NORMAL, TaskPriority.LOW, TaskPriority.BACKGROUND])),
            interruptible=draw(st.booleans()),
            extendable=draw(st.booleans()),
            opportunistic=draw(st.booleans()),
        )
    if kind == "grid":
        return TaskSpec(**common, every=timedelta(hours=draw(st.integers(1, 6))), phases=PHASE_CHOICES[1])
    if kind == "clock":
        return TaskSpec(**common, at=draw(st.sampled_from(["02:30", "open-1h", "close+10m", "01:30"])))
    return TaskSpec(
        **common,
        phases=draw(st.sampled_from(PHASE_CHOICES)),
        priority=draw(st.sampled_from(list(TaskPriority)[:3])),
    )


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    specs: dict[str, TaskSpec] = {}
    for name in NAMES[: draw(st.integers(2, len(NAMES)))]:
        specs[name] = draw(spec(name, tuple(specs)))
    for name, one in specs.items():
        specs[name] = one.but(conflicts=one.conflicts & specs.keys())
    return Box(
        specs=specs,
        start=draw(st.sampled_from(STARTS)),
        seed=draw(st.integers(0, 10_000)),
        slots=draw(st.integers(1, 4)),
        total_mb=draw(st.sampled_from([2400.0, 4000.0])),
        failure_rate=draw(st.sampled_from([0.0, 0.1, 0.5])),
    )
