"""What a strategy is. Its bars come one by one, or, in the array form, all at once; it sees only the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from trading.backtest.bars import Bar
from trading.backtest.signals import Signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trading.backtest.history import PriceHistory, SymbolBars

    Floats = NDArray[np.float64]

Signals = Sequence[Signal] | None
"""What `on_bar` answers: nothing (None or empty), or the orders it wants."""


class State(Protocol):
    """What a strategy may ask of its own account and of the past, at the close of the present bar."""

    @property
    def row(self) -> int:
        """How many instants came before this one."""

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The bars of this instant, one for each symbol that has one. A strategy over several symbols
        decides at the last of them: `if bar is not state.bars[-1]: return None`."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the history, in its order."""

    @property
    def cash(self) -> float: ...

    @property
    def equity(self) -> float:
        """Cash and positions at the present closes."""

    @property
    def available_capital(self) -> float:
        """What new positions may cost: allocated less used."""

    @property
    def positions(self) -> Mapping[str, float]:
        """Shares held by symbol, signed; symbols without a position are absent."""

    def closes(self, symbol: str, bars: int) -> Floats:
        """Return the symbol's last closes, oldest first, at most `bars` of them: a copy."""

    def history(self, symbol: str, bars: int) -> SymbolBars:
        """Return the symbol's last bars, at most `bars` of them: copies."""


@runtime_checkable
class IStrategy(Protocol):
    """A strategy: told of every bar once, in time order, it answers with what it wants to hold.

    `on_bar` is called after the bar's close; what it asks for is filled from the symbol's next bar on. The
    same object may run again: `on_start`, where there is one, makes it new.

    name: its id in results; an object without one is given that of its class in snake_case when it runs.
    parameters: a frozen dataclass, all there is to tell two of its kind apart. Others run too, but a result
    tells of them as they are when its specification is first asked for.
    warmup: bars of a symbol that it needs before its first signal.
    """

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> Any: ...

    @property
    def warmup(self) -> int: ...

    def on_bar(self, bar: Bar, state: State) -> Signals: ...


@runtime_checkable
class Starts(Protocol):
    """A strategy that is told before its first bar."""

    def on_start(self, state: State) -> None: ...


@runtime_checkable
class Ends(Protocol):
    """A strategy that is told after its last bar; it can order nothing any more."""

    def on_end(self, state: State) -> None: ...


class Indicator(Protocol):
    """A number per bar that depends on this bar and those before it.

    warmup: bars before the first that is not NaN.
    """

    @property
    def warmup(self) -> int: ...

    def __call__(self, bars: SymbolBars) -> Floats:
        """Return the indicator, shape (n,): entry i from bars 0..i alone."""


@runtime_checkable
class DeclaresIndicators(Protocol):
    """A strategy whose indicators the engine works out beforehand: they come as `bar.values`."""

    @property
    def indicators(self) -> Sequence[Indicator]: ...


@runtime_checkable
class ArrayStrategy(Protocol):
    """A strategy that can answer for a whole history at once."""

    def signals(self, history: PriceHistory) -> Floats:
        """Return the target weights, shape (instants, symbols) in the history's order.

        Entry [i, s]: the weight of symbol s decided after the close of instant i from instants 0..i; NaN
        where nothing new is decided. For one symbol the shape may be (instants,). It equals what `on_bar`
        asks for.
        """


class Strategy:
    """A base to build on: frozen parameters, and a name, None for that of the class in snake_case.

    What a strategy remembers it makes in `on_start`, so that the same object runs twice alike.
    """

    warmup: int = 0

    def __init__(self, parameters: Any, name: str | None = None) -> None:
        self.parameters = parameters
        self.name = name or snake_case(type(self).__name__)

    def on_start(self, state: State) -> None:
        """Forget everything of earlier runs."""

    def on_bar(self, bar: Bar, state: State) -> Signals:
        raise NotImplementedError(f"{type(self).__name__} answers no bars")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.parameters!r}, name={self.name!r})"


def snake_case(name: str) -> str:
    """Return the name of a class in small letters: MovingAverage as moving_average."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
