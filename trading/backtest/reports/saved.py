"""Saved results (`ReportGenerator.to_json`): read, and held against each other and against a second run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from trading.backtest.errors import BacktestError
from trading.backtest.history import said
from trading.backtest.orchestrator_result import OrchestratorResult
from trading.backtest.performance.metrics import METRICS
from trading.backtest.reports.facts import TOTAL
from trading.backtest.reports.provenance import flat
from trading.backtest.result import BacktestResult

ROUNDING = 1e-9
"""Relative: another version of a library rounds otherwise, and no further off than this."""


class SavedResultError(BacktestError, ValueError):
    """A file is no saved result, or one of another version; the message names it and what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedResult:
    """A saved result. content: as `to_dict` of the result, with the report's facts under `report`."""

    path: Path
    content: Mapping[str, Any]

    @property
    def specification(self) -> Mapping[str, Any]:
        """What it was made from. Raises SavedResultError where that could not be saved, saying why."""
        specification: Mapping[str, Any] | None = self.content["specification"]
        if specification is None:
            raise SavedResultError(f"{self.path} cannot be run again: {self.content['unspecified']}")
        return specification

    @property
    def parts(self) -> dict[str, Mapping[str, Any]]:
        """The results by strategy; that of a strategy alone by its name."""
        if "strategy_results" in self.content:
            return dict(self.content["strategy_results"])
        return {self.content["strategy_id"]: self.content}

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The numbers of all together, None for what is no finite number."""
        metrics: Mapping[str, Any] = self.content.get("aggregate_metrics") or self.content["metrics"]
        return metrics

    @property
    def symbols(self) -> list[str]:
        return list(self.specification["history"]["symbols"])


def read_saved(path: Path | str) -> SavedResult:
    """Return the result saved in a file.

    Raises:
        SavedResultError: if it is none.
        OSError: if it cannot be read.
    """
    where = Path(path)
    try:
        content = json.loads(where.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SavedResultError(f"{where} is no JSON: {error}") from error
    missing = _missing(content)
    if missing:
        raise SavedResultError(
            f"{where} is no saved backtest: it has no {', '.join(missing)}; `backtest run --save` writes one"
        )
    return SavedResult(path=where, content=content)


def _missing(content: Any) -> list[str]:
    """Return what a saved result must have and this has not."""
    if not isinstance(content, dict):
        return ["specification"]
    several = ("aggregate_metrics", "strategy_results")
    needed = several if "strategy_results" in content else ("metrics", "strategy_id", "trades")
    missing = [key for key in (*needed, "equity", "stamps", "specification") if key not in content]
    if content.get("unspecified"):
        return missing
    specification = content.get("specification") or {}
    parts = ("history", "config", "initial_capital")
    return missing or [f"specification.{key}" for key in parts if key not in specification]


# Side by side


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A setting that two results do not share, with the value in each as text; None: it has none."""

    setting: str
    first: str | None
    second: str | None


def differences(first: SavedResult, second: SavedResult) -> list[Difference]:
    """Return in what the two were made otherwise: strategies, weights, bars, capital, rules, versions."""
    mine, theirs = (dict(_settings(each.content)) for each in (first, second))
    found = [
        Difference(setting=name, first=mine.get(name), second=theirs.get(name))
        for name in dict.fromkeys([*mine, *theirs])
        if mine.get(name) != theirs.get(name)
    ]
    # Of a strategy that one of them lacks, its name is enough.
    lacking = tuple(f"{each.setting}." for each in found if None in (each.first, each.second))
    return [each for each in found if not each.setting.startswith(lacking)]


def _settings(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    specification = content["specification"]
    if specification is None:
        yield "specification", f"none: {content['unspecified']}"
        return
    for each in specification.get("strategies") or [specification["strategy"]]:
        name = f"strategy {each['name']}"
        yield name, each["class"]
        if "weight" in each:
            yield f"{name}.weight", f"{each['weight']:.15g}"
        yield from flat(each["parameters"], f"{name}.")
    rest = {key: specification[key] for key in specification if key not in ("strategies", "strategy")}
    # Where the result is one of several strategies, the rules lie one level deeper.
    config = dict(rest.pop("config"))
    rest.setdefault("arrays", config.pop("arrays", False))
    yield from flat({**config.pop("backtest", {}), **config}, "rules.")
    yield from flat(rest)


def side_by_side(results: Sequence[SavedResult]) -> dict[str, dict[str, list[float | None]]]:
    """Return, for all together ("total") and each strategy, every metric in each of the results.

    None: it is no finite number, or there is no such strategy.
    """
    columns: list[dict[str, Mapping[str, Any]]] = []
    for each in results:
        parts = each.parts
        named = {name: part["metrics"] for name, part in parts.items()} if len(parts) > 1 else {}
        columns.append({TOTAL: each.metrics, **{k: v for k, v in named.items() if k != TOTAL}})
    names = dict.fromkeys(name for column in columns for name in column)
    return {
        name: {metric: [column.get(name, {}).get(metric) for column in columns] for metric in METRICS}
        for name in names
    }


# Again


class Repeat(Enum):
    """How a run came out the second time."""

    IDENTICAL = "identical: every equity and every trade is the same to the last bit"
    EQUAL = "equal, but for rounding"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """What running it again told. remarks: where it first differed and by how much, and other versions."""

    repeat: Repeat
    remarks: tuple[str, ...]


def held_against(saved: SavedResult, again: BacktestResult | OrchestratorResult) -> Repeated:
    """Return whether a run came out as the saved one."""
    content = json.loads(json.dumps(again.to_dict()))
    new = SavedResult(path=saved.path, content=content)
    pairs = [(TOTAL, saved.content, content)]
    pairs += [(name, part, new.parts[name]) for name, part in saved.parts.items() if name in new.parts]
    remarks = [remark for name, one, two in pairs for remark in _unlike(name, one, two)]
    worst = max(_largest(one["equity"], two["equity"]) for _, one, two in pairs)
    if remarks:
        versions = [each for each in differences(saved, new) if each.setting.startswith("versions.")]
        remarks += [f"{each.setting}: {each.first} then, {each.second} now" for each in versions]
    trades = all(len(one.get("trades", ())) == len(two.get("trades", ())) for _, one, two in pairs)
    repeat = Repeat.IDENTICAL if not remarks else Repeat.EQUAL if trades and worst <= ROUNDING else None
    return Repeated(repeat=repeat or Repeat.DIFFERENT, remarks=tuple(remarks))


def _unlike(name: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[str]:
    for at, (then, now) in enumerate(zip(one["equity"], two["equity"], strict=False)):
        if then != now:
            off = _largest(one["equity"], two["equity"])
            yield (
                f"{name}: the equity differs from {said(one['stamps'][at])} on: {then!r} then, {now!r} now; "
                f"by at most {off:.1e} of itself"
            )
            break
    if one.get("trades") != two.get("trades"):
        yield f"{name}: {len(one['trades'])} trades then, {len(two['trades'])} now, not all alike"


def _largest(then: Sequence[float], now: Sequence[float]) -> float:
    """The largest difference, as a share of the value then."""
    if len(then) != len(now):
        return math.inf
    return max((abs(b - a) / (abs(a) or 1.0) for a, b in zip(then, now, strict=True)), default=0.0)
