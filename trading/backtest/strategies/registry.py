"""Every strategy by name: how it is made, and within which bounds research looks for its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from trading.backtest.strategies.bollinger import BollingerParameters, BollingerReversion
from trading.backtest.strategies.book_imbalance import BookImbalance, BookImbalanceParameters
from trading.backtest.strategies.buy_and_hold import BuyAndHold, BuyAndHoldParameters
from trading.backtest.strategies.learned import Learned, LearnedParameters
from trading.backtest.strategies.momentum import (
    CrossSectionalMomentum,
    CrossSectionalMomentumParameters,
    TimeSeriesMomentum,
    TimeSeriesMomentumParameters,
)
from trading.backtest.strategies.moving_average import (
    AVERAGES,
    DeclaredMovingAverageCross,
    MovingAverageCross,
    MovingAverageParameters,
)
from trading.backtest.strategies.order_imbalance import OrderImbalance, OrderImbalanceParameters
from trading.backtest.strategies.pairs import Pairs, PairsParameters
from trading.backtest.strategies.rsi import RsiParameters, RsiReversion
from trading.backtest.strategies.statistical_arbitrage import (
    StatisticalArbitrage,
    StatisticalArbitrageParameters,
)
from trading.backtest.strategy import IStrategy


@dataclass(frozen=True, slots=True)
class Between:
    """Numbers from `low` to `high`, both included: whole ones if both are ints. step: between neighbours,
    None for any number. log: whether small numbers are searched as finely as large ones (no step then).

    Raises:
        ValueError: for bounds that leave nothing to search.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"high is {self.high!r}: expected a number above low = {self.low!r}; with log, both above 0"
            )
        if self.step is not None and (self.log or self.step <= 0):
            raise ValueError(f"step is {self.step!r}: expected a number above 0, and None with log")

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Any of the choices."""

    choices: tuple[Any, ...]


SearchSpace = Mapping[str, Between | OneOf]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredStrategy:
    """A strategy to choose by name. strategy: its class, called with parameters and a name. search: where
    research looks for each parameter, every combination of them valid; those absent keep their default."""

    strategy: type[Any]
    parameters: type[Any]
    description: str
    search: SearchSpace = field(default_factory=dict)


_CROSSING: SearchSpace = {
    "fast": Between(5, 45, 5),
    "slow": Between(50, 250, 10),
    "average": OneOf(tuple(AVERAGES)),
    "shorting": OneOf((False, True)),
}
_FOLLOWING: SearchSpace = {"entry": Between(0.1, 0.8), "exit": Between(0.0, 0.1)}

STRATEGIES: dict[str, RegisteredStrategy] = {
    "buy_and_hold": RegisteredStrategy(
        strategy=BuyAndHold,
        parameters=BuyAndHoldParameters,
        description="buys at the first chance and holds",
    ),
    "moving_average": RegisteredStrategy(
        strategy=MovingAverageCross,
        parameters=MovingAverageParameters,
        description="long while a fast average of the close is above a slow one",
        search=_CROSSING,
    ),
    "declared_moving_average": RegisteredStrategy(
        strategy=DeclaredMovingAverageCross,
        parameters=MovingAverageParameters,
        description="moving_average, with averages that the engine works out beforehand",
        search=_CROSSING,
    ),
    "time_series_momentum": RegisteredStrategy(
        strategy=TimeSeriesMomentum,
        parameters=TimeSeriesMomentumParameters,
        description="long what rose over the last year",
        search={
            "lookback": Between(21, 252, 21),
            "rebalance": OneOf((1, 5, 21)),
            "shorting": OneOf((False, True)),
        },
    ),
    "cross_sectional_momentum": RegisteredStrategy(
        strategy=CrossSectionalMomentum,
        parameters=CrossSectionalMomentumParameters,
        description="holds the symbols that rose most over the last year, but for its last month",
        search={
            "lookback": Between(63, 252, 21),
            "skip": OneOf((0, 5, 21)),
            "hold": Between(1, 5),
            "rebalance": OneOf((5, 21, 63)),
        },
    ),
    "rsi": RegisteredStrategy(
        strategy=RsiReversion,
        parameters=RsiParameters,
        description="long from an oversold relative strength index until it has recovered",
        search={
            "bars": Between(2, 30),
            "low": Between(5.0, 40.0),
            "exit": Between(40.0, 80.0),
            "shorting": OneOf((False, True)),
        },
    ),
    "bollinger": RegisteredStrategy(
        strategy=BollingerReversion,
        parameters=BollingerParameters,
        description="long from below the lower Bollinger band until above the mean",
        search={
            "bars": Between(10, 60),
            "width": Between(1.0, 3.0),
            "shorting": OneOf((False, True)),
        },
    ),
    "pairs": RegisteredStrategy(
        strategy=Pairs,
        parameters=PairsParameters,
        description="sells the dear one of two cointegrated symbols and buys the other",
        search={
            "window": Between(63, 504, 21),
            "refit": OneOf((5, 21, 63)),
            "entry": Between(1.0, 3.0),
            "exit": Between(0.0, 0.9),
            "stop": Between(3.1, 6.0),
        },
    ),
    "statistical_arbitrage": RegisteredStrategy(
        strategy=StatisticalArbitrage,
        parameters=StatisticalArbitrageParameters,
        description="bets that what stocks did beyond their common factors comes back; wants many symbols",
        search={
            "components": OneOf((0, 1, 3)),
            "window": Between(30, 120, 10),
            "entry": Between(1.0, 2.5),
            "exit": Between(0.0, 0.9),
            "slowest": Between(5.0, 60.0),
        },
    ),
    "learned": RegisteredStrategy(
        strategy=Learned,
        parameters=LearnedParameters,
        description="long while a model of its past says that it rises; needs scikit-learn",
        search={
            "horizon": OneOf((1, 5, 10)),
            "window": Between(252, 1008, 126),
            "penalty": Between(1.0, 1000.0, log=True),
            "entry": Between(0.505, 0.58),
            "shorting": OneOf((False, True)),
        },
    ),
    "order_imbalance": RegisteredStrategy(
        strategy=OrderImbalance,
        parameters=OrderImbalanceParameters,
        description="long while buyers outweigh sellers on intraday bars, guessed from prices and volume",
        search={
            **_FOLLOWING,
            "volatility_bars": Between(20, 200, log=True),
            "imbalance_bars": Between(1, 30, log=True),
        },
    ),
    "book_imbalance": RegisteredStrategy(
        strategy=BookImbalance,
        parameters=BookImbalanceParameters,
        description="long while an order book has more bids than offers; wants bars made from books",
        search={**_FOLLOWING, "feature": OneOf(("queue_imbalance", "queue_imbalance_5"))},
    ),
}


def made(name: str, /, *, strategy_id: str | None = None, **parameters: Any) -> IStrategy:
    """Return the strategy of that name. strategy_id: its name in results; None: `name`.

    parameters: those that differ from the default; lists become tuples.

    Raises:
        ValueError: for a name or parameter that there is not, naming the nearest one there is, and for a
            value that cannot be used.
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy is {name!r}: {_nearest(name, STRATEGIES)}")
    chosen = STRATEGIES[name]
    known = [each.name for each in fields(chosen.parameters)]
    for given in parameters:
        if given not in known:
            raise ValueError(f"parameter of {name} is {given!r}: {_nearest(given, known)}")
    frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()}
    strategy: IStrategy = chosen.strategy(chosen.parameters(**frozen), strategy_id or name)
    return strategy


def _nearest(given: str, known: Iterable[str]) -> str:
    expected = f"expected one of {', '.join(known)}"
    near = get_close_matches(given, list(known), n=1)
    return f"{expected}. Did you mean {near[0]!r}?" if near else expected
