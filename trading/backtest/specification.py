"""What a result was made from, whole: saved with it, it can be run again."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from trading.backtest.errors import HistoryError, StrategyError
from trading.backtest.history import PriceHistory, said
from trading.backtest.strategy import IStrategy


def described_strategy(strategy: IStrategy) -> dict[str, Any]:
    """Return where a strategy's class is, its name and its parameters, as values that JSON knows."""
    parameters = strategy.parameters
    kind = type(strategy)
    return {
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "name": strategy.name,
        "parameters_class": f"{type(parameters).__module__}:{type(parameters).__qualname__}",
        "parameters": asdict(parameters)
        if is_dataclass(parameters) and not isinstance(parameters, type)
        else parameters,
    }


def strategy_from(saved: Mapping[str, Any]) -> IStrategy:
    """Return the strategy that `described_strategy` described.

    Raises:
        StrategyError: if its class cannot be found or does not take those parameters.
    """
    try:
        parameters = _named(saved["parameters_class"])(**_tuples(saved["parameters"]))
        made: IStrategy = _named(saved["class"])(parameters, saved["name"])
    except (ImportError, AttributeError, TypeError, KeyError) as error:
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


def _tuples(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples, and frozen parameters hold no lists."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()}
