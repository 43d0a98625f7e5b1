"""adaptive: the rest of the order is planned anew when the day is not as expected. Pure and light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from trading.execution.facts import MarketFacts
from trading.execution.smart.algorithm import Conditions, PlanRequest, Progress, Step
from trading.execution.smart.algorithms.arrival_price import optimally
from trading.execution.smart.algorithms.sliced import Divider, plan_slices
from trading.execution.smart.algorithms.steps import done, place_of, sliced_step, unsent
from trading.execution.smart.algorithms.twap import evenly
from trading.execution.smart.algorithms.vwap import by_volume
from trading.execution.smart.plan import Choice, ExecutionPlan
from trading.execution.smart.planning import SLICE

VOLATILE, CALM = 1.5, 1.2
"""Realised over expected volatility: from the first on risk leads (arrival_price), below the second no
more."""
WIDE, NARROW = 2.0, 1.5
"""Quoted over usual spread: from the first on the order goes evenly and passively (twap), below the second
no more."""
DRIFT = 1.25
"""The volume seen must have moved by this factor from what the plan counts on before it is planned anew."""
TRUSTED = (0.25, 4.0)
"""Ratios count within these bounds only: the first minutes of a day say little."""
DIVIDERS: dict[str, Divider] = {"vwap": by_volume, "arrival_price": optimally, "twap": evenly}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """Works as vwap while the day is as expected, as arrival_price when it is volatile, as twap with passive
    prices when the spread is wide; counts on the volume that really comes.

    It looks at the start of each slice, before anything of it is sent, so a plan lasts for one slice at
    least. The inner algorithm is in `plan.inner`, the cause in `plan.cause`, the ratios in `plan.choice`.
    """

    name: str = "adaptive"
    slice_length: timedelta = SLICE

    def plan(self, request: PlanRequest) -> ExecutionPlan:
        current = request.previous.inner if request.previous else "vwap"
        inner, _ = inner_for(request.conditions, current)
        facts = facts_today(request.facts, request.conditions)
        plan = plan_slices(replace(request, facts=facts), self.name, DIVIDERS[inner], self.slice_length)
        return replace(plan, inner=inner, choice=_with_ratios(request.choice, request.conditions))

    def step(self, progress: Progress) -> Step:
        step = sliced_step(progress)
        if step.cancel or step.replan is not None or not _is_before_a_slice(progress):
            return step
        cause = why_anew(progress.plan, progress.conditions)
        return replace(step, release=0, replan=cause) if cause else step


def inner_for(conditions: Conditions | None, current: str) -> tuple[str, str]:
    """Return (inner algorithm, why), with hysteresis: what works now is kept until the day is calm again. A
    ratio that cannot be told changes nothing."""
    now = conditions or Conditions()
    if _is_up(now.volatility_ratio, VOLATILE, CALM, current == "arrival_price"):
        return "arrival_price", f"volatility is {_times(now.volatility_ratio)} the expected one"
    if _is_up(now.spread_ratio, WIDE, NARROW, current == "twap"):
        return "twap", f"the spread is {_times(now.spread_ratio)} the usual one"
    return "vwap", "volatility and spread are as expected"


def why_anew(plan: ExecutionPlan, conditions: Conditions) -> str:
    """Return why the conditions ask for a new plan; empty: they do not."""
    current = plan.inner if plan.inner in DIVIDERS else "vwap"
    inner, why = inner_for(conditions, current)
    if inner != current:
        return f"{why}: from {current} to {inner}"
    planned = dict(plan.choice.numbers).get("volume_ratio", 1.0)
    seen = _trusted(conditions.volume_ratio)
    if conditions.volume_ratio is not None and not 1 / DRIFT < seen / planned < DRIFT:
        return f"volume is {_times(seen)} the expected one, planned for {_times(planned)}"
    return ""


def facts_today(facts: MarketFacts, conditions: Conditions | None) -> MarketFacts:
    """Return the facts as the day shows them: volume, spread and volatility times their ratios."""
    if conditions is None:
        return facts
    return replace(
        facts,
        daily_volume=facts.daily_volume * _trusted(conditions.volume_ratio),
        daily_spread=facts.daily_spread * _trusted(conditions.spread_ratio),
        daily_volatility=facts.daily_volatility * _trusted(conditions.volatility_ratio),
    )


def _is_before_a_slice(progress: Progress) -> bool:
    """Whether a slice other than the plan's first has begun and nothing of it has been sent."""
    place = place_of(progress.plan, progress.now)
    if place is None or place.index == 0 or progress.now < place.slice.start or not unsent(progress):
        return False
    return progress.leaves == 0 and done(progress) == place.before


def _is_up(ratio: float | None, on: float, off: float, was: bool) -> bool:
    return was if ratio is None else ratio >= (off if was else on)


def _trusted(ratio: float | None) -> float:
    low, high = TRUSTED
    return 1.0 if ratio is None else min(max(ratio, low), high)


def _times(ratio: float | None) -> str:
    return f"{ratio:.2f} times" if ratio is not None else "still"


def _with_ratios(choice: Choice, conditions: Conditions | None) -> Choice:
    """Return the choice with the ratios the plan counts on, so that `step` can tell when they have moved."""
    now = conditions or Conditions()
    ratios = {
        "volume_ratio": _trusted(now.volume_ratio),
        "spread_ratio": _trusted(now.spread_ratio),
        "volatility_ratio": _trusted(now.volatility_ratio),
    }
    return replace(choice, numbers=tuple((dict(choice.numbers) | ratios).items()))


ADAPTIVE = Adaptive()
