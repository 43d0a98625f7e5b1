"""What a source of bars promises. Light: pandas is loaded by `fetch` and `fetch_batch` alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A symbol's bars as the source has them, unchecked: see `BarStore` for the frame's columns.

    Rows stay as delivered (duplicates and disorder included: the quality checks judge them), but a series
    that is newest first throughout is turned round. fingerprint: what `Source.fingerprint` said of it.
    ends_on: the date at which the source itself ends, None if it goes on. notes: what a person should know
    about these bars (no adjusted close, a column that was filled).
    """

    frame: pd.DataFrame
    fingerprint: str = ""
    ends_on: date | None = None
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Delivers daily bars. Never invents one: what it does not have is a SourceError with the remedy."""

    @property
    def name(self) -> str:
        """What stored bars are marked with, e.g. `sample` or `csv:/data/bars`."""
        ...

    @property
    def remark(self) -> str:
        """One sentence that a person must see with this source's bars; empty if there is none."""
        ...

    def symbols(self) -> list[str]:
        """Return what can be fetched, sorted. Raises SourceError when the source is not there."""
        ...

    def fingerprint(self, symbol: str) -> str:
        """Return a mark that changes when the symbol's bars may have changed; quick, without reading them.

        Raises SourceError for a symbol that the source does not have.
        """
        ...

    def fetch(self, symbol: str) -> Fetched:
        """Return all bars of `symbol`. Raises SourceError, with every problem, when they cannot be read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What an intraday source delivers at one go (a file, a day). fingerprint changes when it may have."""

    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntradaySeries:
    """One symbol's intraday bars of one batch, unchecked.

    minutes: length of a bar. frame: a DatetimeIndex named `ts` of bar STARTS in UTC and the float columns
    open, high, low, close, volume; rows as delivered, but turned round if newest first throughout.
    """

    symbol: str
    minutes: int
    frame: pd.DataFrame


class IntradaySource(Protocol):
    """Delivers intraday bars, batch by batch. Never invents one."""

    @property
    def name(self) -> str:
        """What stored bars are marked with: the name of the source itself."""
        ...

    def batches(self) -> list[Batch]:
        """Return what can be fetched, in the order to take it in (a later batch replaces an earlier one's
        days); quick, without reading bars. Raises SourceError when the source is not there."""
        ...

    def fetch_batch(self, name: str) -> list[IntradaySeries]:
        """Return the series of one batch. Raises SourceError, with every problem, if it cannot be read."""
        ...
