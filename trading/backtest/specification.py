"""What a result was made from, whole: saved with it, it can be run again."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from trading.backtest.errors import HistoryError, StrategyError
from trading.backtest.history import PriceHistory, said
from trading.backtest.strategy import IStrategy


def described_strategy(strategy: IStrategy) -> dict[str, Any]:
    """Return where a strategy's class is, its name and its parameters, as values that JSON knows.

    Raises:
        StrategyError: naming a parameter that would not come back from JSON as it was.
    """
    parameters = strategy.parameters
    kind = type(strategy)
    told: Any = parameters
    if is_dataclass(parameters) and not isinstance(parameters, type):
        told = {each.name: getattr(parameters, each.name) for each in fields(parameters)}
    return {
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "name": strategy.name,
        "parameters_class": f"{type(parameters).__module__}:{type(parameters).__qualname__}",
        "parameters": _saved(f"parameters of {strategy.name}", told),
    }


def if_any(specified: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any] | None, str | None]:
    """Return a specification and None; or None and why there is none."""
    try:
        return specified(), None
    except StrategyError as error:
        return None, str(error)


def strategy_from(saved: Mapping[str, Any]) -> IStrategy:
    """Return the strategy that `described_strategy` described.

    Raises:
        StrategyError: if its class cannot be found or does not take those parameters.
    """
    try:
        told = {name: _made_again(value) for name, value in saved["parameters"].items()}
        parameters = _named(saved["parameters_class"])(**told)
        made: IStrategy = _named(saved["class"])(parameters, saved["name"])
    except (ImportError, AttributeError, TypeError, KeyError, ValueError, ArithmeticError) as error:
        raise StrategyError(f"strategy {saved.get('class')!r} cannot be made again: {error}") from error
    return made


def described_history(history: PriceHistory) -> dict[str, Any]:
    """Return what the bars were, and a fingerprint that only the same bars have."""
    return {
        "symbols": list(history.symbols),
        "from": said(history.stamps[0]),
        "to": said(history.stamps[-1]),
        "instants": len(history),
        "fingerprint": history.fingerprint,
    }


def check_same(saved: Mapping[str, Any], history: PriceHistory) -> None:
    """Refuse other bars than the saved ones.

    Raises:
        HistoryError: naming both.
    """
    if saved["fingerprint"] != history.fingerprint:
        raise HistoryError(
            f"these are not the bars of the saved run: it had {saved['instants']} instants of "
            f"{', '.join(saved['symbols'])} from {saved['from']} to {saved['to']} (fingerprint "
            f"{saved['fingerprint'][:12]}), here are {len(history)} from {said(history.stamps[0])} to "
            f"{said(history.stamps[-1])} ({history.fingerprint[:12]})"
        )


def versions() -> dict[str, str]:
    """Return the versions that a number may depend on."""
    try:
        own = version("daily-orchestrator")
    except PackageNotFoundError:
        own = "unknown"
    return {"daily-orchestrator": own, "python": platform.python_version(), "numpy": np.__version__}


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _saved(name: str, value: object) -> Any:
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":
        value = value.item()
    tagged = _tagged(value)
    if tagged is not None:
        return tagged
    if isinstance(value, frozenset):
        # In an order that does not change with the process.
        members = (_saved(f"{name}[{each!r}]", each) for each in value)
        return {"$frozenset": sorted(members, key=json.dumps)}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (tuple, list)):
        return [_saved(f"{name}[{at}]", each) for at, each in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) and key[:1] != "$" for key in value):
        return {key: _saved(f"{name}[{key!r}]", each) for key, each in value.items()}
    raise StrategyError(
        f"{name} is {value!r}: expected text, a truth value, a number, None, a date, a member of an Enum, or "
        f"tuples, frozen sets and dictionaries of them, as only those can be saved and made again"
    )


def _tagged(value: object) -> dict[str, str] | None:
    """Return what JSON has no word for as {"$kind": text}; None for what is no such value, or would come
    back as another one."""
    kind = type(value)
    if isinstance(value, Enum) and value.name in type(value).__members__:
        return {"$enum": f"{kind.__module__}:{kind.__qualname__}.{value.name}"}
    if isinstance(value, float) and math.isinf(value):
        return {"$float": str(value)}
    # What only inherits from these may be more than its text.
    if isinstance(value, Decimal) and kind is Decimal and not value.is_nan():
        return {"$decimal": str(value)}
    if isinstance(value, datetime) and kind is datetime:
        text = value.isoformat()
        # A zone by its name would come back as an offset.
        return {"$datetime": text} if datetime.fromisoformat(text).tzinfo == value.tzinfo else None
    if isinstance(value, date) and kind is date:
        return {"$date": value.isoformat()}
    return None


_MAKERS: Mapping[str, Callable[[Any], Any]] = {
    "$enum": _named,
    "$decimal": Decimal,
    "$float": float,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$frozenset": lambda members: frozenset(_made_again(each) for each in members),
}


def _made_again(value: Any) -> Any:
    """JSON knows no tuples, and frozen parameters hold no lists."""
    if isinstance(value, list):
        return tuple(_made_again(each) for each in value)
    if isinstance(value, dict):
        for tag, make in _MAKERS.items():
            if tag in value:
                return make(value[tag])
        return {key: _made_again(each) for key, each in value.items()}
    return value
