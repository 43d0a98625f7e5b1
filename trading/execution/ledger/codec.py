"""Plans, facts and the details of events as JSON. Light: standard library only.

Every text has a version; a newer one than ours is refused, an older one would be read here. Numbers come
back exactly as they were: JSON writes a float by its shortest exact digits, and what JSON has no number for
(infinity, NaN) is text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from trading.execution.facts import MarketFacts
from trading.execution.ledger.rows import instant_text
from trading.execution.smart.plan import Choice, ExecutionPlan, PlannedSlice

VERSION: Final = 1


def plan_text(plan: ExecutionPlan) -> str:
    """Return a plan as one line of JSON."""
    return _text(
        {
            "version": VERSION,
            "parent_id": plan.parent_id,
            "number": plan.number,
            "made_at": instant_text(plan.made_at),
            "cause": plan.cause,
            "algorithm": plan.algorithm,
            "inner": plan.inner,
            "choice": {
                "algorithm": plan.choice.algorithm,
                "rule": plan.choice.rule,
                "numbers": [[name, _number(value)] for name, value in plan.choice.numbers],
            },
            "quantity": int(plan.quantity),
            # [start, end, quantity, expected_volume]: a row each, as there may be hundreds.
            "slices": [
                [
                    instant_text(planned.start),
                    instant_text(planned.end),
                    int(planned.quantity),
                    _number(planned.expected_volume),
                ]
                for planned in plan.slices
            ],
            "expected_cost": _number(plan.expected_cost),
            "variance": _number(plan.variance),
            "expected_cost_bps": _number(plan.expected_cost_bps),
            "price": _number(plan.price),
            "profile": plan.profile,
            "display": None if plan.display is None else int(plan.display),
            "rate": None if plan.rate is None else _number(plan.rate),
            "is_feasible": bool(plan.is_feasible),
            "reasons": list(plan.reasons),
            "warnings": list(plan.warnings),
            "already_filled": int(plan.already_filled),
        }
    )


def plan_of(text: str) -> ExecutionPlan:
    """Return the plan of `plan_text`. Raises ValueError for text of another kind or a newer version."""
    found = _found(text, "plan")
    try:
        choice = found["choice"]
        return ExecutionPlan(
            parent_id=found["parent_id"],
            number=found["number"],
            made_at=datetime.fromisoformat(found["made_at"]),
            cause=found["cause"],
            algorithm=found["algorithm"],
            inner=found["inner"],
            choice=Choice(
                algorithm=choice["algorithm"],
                rule=choice["rule"],
                numbers=tuple((name, float(value)) for name, value in choice["numbers"]),
            ),
            quantity=found["quantity"],
            slices=tuple(
                PlannedSlice(
                    start=datetime.fromisoformat(start),
                    end=datetime.fromisoformat(end),
                    quantity=quantity,
                    expected_volume=float(volume),
                )
                for start, end, quantity, volume in found["slices"]
            ),
            expected_cost=float(found["expected_cost"]),
            variance=float(found["variance"]),
            expected_cost_bps=float(found["expected_cost_bps"]),
            price=float(found["price"]),
            profile=found["profile"],
            display=found["display"],
            rate=None if found["rate"] is None else float(found["rate"]),
            is_feasible=found["is_feasible"],
            reasons=tuple(found["reasons"]),
            warnings=tuple(found["warnings"]),
            already_filled=found["already_filled"],
        )
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"no plan can be read from {text[:200]!r}: {error!r}") from error


def facts_text(facts: MarketFacts) -> str:
    """Return facts as one line of JSON."""
    return _text(
        {
            "version": VERSION,
            "symbol": facts.symbol,
            "as_of": facts.as_of.isoformat(),
            "price": _number(facts.price),
            "daily_volume": _number(facts.daily_volume),
            "daily_spread": _number(facts.daily_spread),
            "daily_volatility": _number(facts.daily_volatility),
            "shape": [_number(share) for share in facts.shape],
            "early_shape": [_number(share) for share in facts.early_shape],
            "sources": [list(pair) for pair in facts.sources],
        }
    )


def facts_of(text: str) -> MarketFacts:
    """Return the facts of `facts_text`. Raises ValueError for text of another kind or a newer version."""
    found = _found(text, "facts")
    try:
        return MarketFacts(
            symbol=found["symbol"],
            as_of=date.fromisoformat(found["as_of"]),
            price=float(found["price"]),
            daily_volume=float(found["daily_volume"]),
            daily_spread=float(found["daily_spread"]),
            daily_volatility=float(found["daily_volatility"]),
            shape=tuple(map(float, found["shape"])),
            early_shape=tuple(map(float, found["early_shape"])),
            sources=tuple((name, source) for name, source in found["sources"]),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"no facts can be read from {text[:200]!r}: {error!r}") from error


def details_text(details: Mapping[str, object]) -> str:
    """Return the details of an event as JSON with sorted keys: Decimals, instants, dates and enums as text.

    Raises:
        TypeError: for a value that is none of these and no JSON.
    """
    return json.dumps(details, sort_keys=True, separators=(",", ":"), default=_plain, ensure_ascii=False)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"an event's detail is {value!r}: expected JSON, a Decimal, a date or an instant")


def _number(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))


def _text(content: Mapping[str, object]) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _found(text: str, what: str) -> dict[str, Any]:
    found = json.loads(text)
    version = found.get("version") if isinstance(found, dict) else None
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise ValueError(f"the {what} has version {version!r}: expected 1 to {VERSION}; update this program")
    return dict(found)
