"""How several strategies are to be run side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from trading.backtest.config import BacktestConfig, check_kind
from trading.backtest.events import LEVELS
from trading.backtest.rebalancing import Rebalancing


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestratorConfig:
    """The rules of an orchestrated backtest.

    logging_level: the least of DEBUG, INFO, WARNING and ERROR that is written to log_dir/orchestrator.jsonl;
    log_dir: None for no file. validate_weights: whether weights that add up to more than 1 are refused.
    backtest: the rules of the simulated market, for every strategy. rebalancing: when and by what rule
    capital moves between the strategies; None: each keeps what it makes of its share. arrays: whether the
    strategies' array forms are asked, two at once: they must share nothing that changes; capital cannot move
    then.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    logging_level: str = "INFO"
    validate_weights: bool = True
    backtest: BacktestConfig = field(default_factory=BacktestConfig)
    rebalancing: Rebalancing | None = None
    arrays: bool = False
    log_dir: Path | str | None = Path("logs/backtest")

    def __post_init__(self) -> None:
        if self.logging_level not in LEVELS:
            raise ValueError(f"logging_level is {self.logging_level!r}: expected one of {', '.join(LEVELS)}")
        check_kind("validate_weights", self.validate_weights, bool, "True or False")
        check_kind("backtest", self.backtest, BacktestConfig, "a BacktestConfig")
        check_kind("rebalancing", self.rebalancing, Rebalancing | None, "a Rebalancing or None")
        check_kind("arrays", self.arrays, bool, "True or False")
        check_kind("log_dir", self.log_dir, Path | str | None, "a folder or None")
        if self.arrays and self.rebalancing is not None:
            raise ValueError(
                "arrays is True: expected False with a rebalancing, which looks at every strategy's equity "
                "on the way"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return every field as values that JSON knows."""
        return {
            "logging_level": self.logging_level,
            "validate_weights": self.validate_weights,
            "backtest": self.backtest.to_dict(),
            "rebalancing": None if self.rebalancing is None else self.rebalancing.to_dict(),
            "arrays": self.arrays,
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], *, log_dir: Path | None) -> OrchestratorConfig:
        """Return what `to_dict` was made from. log_dir: where events go now, None for nowhere.

        Raises:
            ValueError: naming a field that is unknown or has a value that cannot be used.
        """
        given = dict(saved)
        if "backtest" in given:
            given["backtest"] = BacktestConfig.from_dict(given["backtest"])
        if given.get("rebalancing") is not None:
            given["rebalancing"] = Rebalancing.from_dict(given["rebalancing"])
        unknown = sorted(set(given) - {each.name for each in fields(cls)})
        if unknown:
            raise ValueError(f"unknown settings of an orchestrator: {', '.join(unknown)}")
        return cls(**{**given, "log_dir": log_dir})
