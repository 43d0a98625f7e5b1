"""What a peer's script is asked on its standard input, and what it answers. Standard library only.

A question is one line of JSON: `bars` (path of a CSV file with the columns date, open, high, low, close,
volume), `strategy` (its name in rules.py and its parameters: {"name": "sma", "fast": 20, "slow": 50}),
`sizing` ("allin" or {"fixed": shares}), `commission_bps`, `capital`, and what a single peer knows (`form`,
`position_from`: run_raptorbt.py). Its answer is one line too: `equity` per bar, `fills` as [bar, signed
quantity, price], `seconds` of CPU for the run alone.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.backtest.peers.rules import Rule, rule_of

Fill = tuple[int, float, float]
"""Bar, signed quantity, price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question. shares: how many are held when long, None for all-in. commission: share of the value."""

    bars: Path
    strategy: dict[str, Any]
    shares: float | None
    commission: float
    capital: float
    form: str = "class"
    position_from: str = "own"

    def rule(self) -> Rule:
        """Return the strategy's rule, before its first bar."""
        return rule_of(self.strategy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question. seconds: of CPU, without reading the bars."""

    equity: list[float]
    fills: list[Fill]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """The columns of the file, in its order. dates: without a zone, read as UTC."""

    dates: list[datetime]
    opens: list[float]
    highs: list[float]
    lows: list[float]
    closes: list[float]
    volumes: list[float]

    def columns(self) -> dict[str, list[float]]:
        return {
            "open": self.opens,
            "high": self.highs,
            "low": self.lows,
            "close": self.closes,
            "volume": self.volumes,
        }


def serve(run: Callable[[Asked, Bars], Answer]) -> None:
    """Answer every question of standard input."""
    for line in sys.stdin:
        question = asked(json.loads(line))
        answer = run(question, read_bars(question.bars))
        print(json.dumps(asdict(answer)))


def asked(given: Mapping[str, Any]) -> Asked:
    """Return the question that was read."""
    sizing = given["sizing"]
    return Asked(
        bars=Path(given["bars"]),
        strategy=given["strategy"],
        shares=None if sizing == "allin" else float(sizing["fixed"]),
        commission=given["commission_bps"] / 10_000,
        capital=float(given["capital"]),
        form=given.get("form", "class"),
        position_from=given.get("position_from", "own"),
    )


def read_bars(path: Path) -> Bars:
    """Read the bars' file."""
    with path.open(newline="") as file:
        lines = csv.reader(file)
        next(lines)
        dates, *numbers = zip(*lines, strict=True)
    opens, highs, lows, closes, volumes = (list(map(float, column)) for column in numbers)
    return Bars(
        dates=list(map(datetime.fromisoformat, dates)),
        opens=opens,
        highs=highs,
        lows=lows,
        closes=closes,
        volumes=volumes,
    )
