"""Strategies as they are written on the command line: NAME:PARAMETER=VALUE:...=WEIGHT, with commas between.

    moving_average:fast=20:slow=50=0.4,rsi=0.3

The last part of each may end in its weight; lists are joined by +: symbols=AAPL+MSFT.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

from orchestration.ctl import jobs_side

if TYPE_CHECKING:
    from trading.backtest.strategy import IStrategy

FORM = "NAME[:PARAMETER=VALUE]...[=WEIGHT], e.g. moving_average:fast=20:slow=50=0.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One strategy as it was written. parameters: text by name. weight: None if none was."""

    name: str
    parameters: Mapping[str, str]
    weight: float | None
    written: str
    """Without its weight."""


def wishes(text: str) -> list[Wish]:
    """Return the strategies that are written, in their order.

    Raises:
        ValueError: for a piece that cannot be read, or if some have a weight and others none.
    """
    found = [_wish(piece.strip()) for piece in text.split(",") if piece.strip()]
    if not found:
        raise ValueError(f"strategies is {text!r}: expected {FORM}")
    without = [wish.name for wish in found if wish.weight is None]
    if without and len(without) < len(found):
        raise ValueError(
            f"strategies is {text!r}: {', '.join(without)} has no weight; give every one a weight, or none"
        )
    return found


def _wish(piece: str) -> Wish:
    name, *pairs = piece.split(":")
    weight = None
    if not pairs and "=" in name:
        name, _, said = name.partition("=")
        weight = _weight(piece, said)
    parameters: dict[str, str] = {}
    for at, pair in enumerate(pairs):
        key, *values = pair.split("=")
        if not key or not 1 <= len(values) <= (2 if at == len(pairs) - 1 else 1):
            raise ValueError(f"strategy {piece!r} has the part {pair!r}: expected {FORM}")
        if key in parameters:
            raise ValueError(f"strategy {piece!r} has {key!r} twice: expected each parameter once")
        parameters[key] = values[0]
        if len(values) == 2:
            weight = _weight(piece, values[1])
    written = ":".join([name, *(f"{key}={value}" for key, value in parameters.items())])
    return Wish(name=name, parameters=parameters, weight=weight, written=written)


def _weight(piece: str, said: str) -> float:
    try:
        weight = float(said)
    except ValueError:
        weight = -1.0
    if not 0.0 < weight <= 1.0:
        raise ValueError(f"weight of {piece!r} is {said!r}: expected a number above 0, at most 1")
    return weight


def strategies(text: str) -> list[tuple[IStrategy, float]]:
    """Return the strategies with their weights, equal ones where none is written.

    Two of a kind are called as they are written, their parameters with them.

    Raises:
        ValueError: for what cannot be read, and for a name, parameter or value that there is not, with the
            nearest there is.
    """
    wanted = wishes(text)
    kinds = Counter(wish.name for wish in wanted)
    return [
        (_made(wish, is_alone=kinds[wish.name] == 1), wish.weight or 1.0 / len(wanted)) for wish in wanted
    ]


def _made(wish: Wish, *, is_alone: bool) -> IStrategy:
    registered = jobs_side.registry.STRATEGIES.get(wish.name)
    usual = {} if registered is None else defaults(registered.parameters)
    parameters = {
        key: _value(wish.name, key, said, usual[key]) if key in usual else said
        for key, said in wish.parameters.items()
    }
    strategy_id = None if is_alone else wish.written
    return jobs_side.registry.made(wish.name, strategy_id=strategy_id, **parameters)


def defaults(parameters: type[Any]) -> dict[str, Any]:
    """Return the default of each parameter of a strategy, None for one that has none."""
    return {each.name: None if each.default is MISSING else each.default for each in fields(parameters)}


def _value(strategy: str, key: str, said: str, default: Any) -> Any:
    """Return the value that is written, of the default's kind."""
    if isinstance(default, (tuple, list)):
        return tuple(part for part in said.split("+") if part)
    if isinstance(default, bool):
        if said.lower() not in ("true", "false"):
            raise ValueError(f"parameter {key} of {strategy} is {said!r}: expected true or false")
        return said.lower() == "true"
    if isinstance(default, (int, float)):
        kind = int if isinstance(default, int) else float
        try:
            return kind(said)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise ValueError(f"parameter {key} of {strategy} is {said!r}: expected {what}") from None
    return said
