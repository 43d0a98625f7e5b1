"""Where bars come from. A new source lives in one file, is named in SOURCES and passes the contract tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from trading.marketdata.errors import SourceError
from trading.marketdata.sources.csv_folder import CsvFolder
from trading.marketdata.sources.csv_intraday import CsvIntraday
from trading.marketdata.sources.sample import Sample
from trading.marketdata.sources.source import Fetched, IntradaySource, Source

__all__ = [
    "INTRADAY_SOURCES",
    "SOURCES",
    "Fetched",
    "IntradaySource",
    "Source",
    "open_intraday_source",
    "open_source",
]

SOURCES: Mapping[str, Callable[[str], Source]] = MappingProxyType({"sample": Sample, "csv": CsvFolder})
"""By the word before the colon; the function is given what stands after it (empty: nothing)."""

INTRADAY_SOURCES: Mapping[str, Callable[[str], IntradaySource]] = MappingProxyType({"csv": CsvIntraday})
"""Those of them that have intraday bars too; the sample has none."""


def open_source(name: str) -> Source:
    """Return the source of `name`: `sample`, or `csv:FOLDER`. Raises SourceError for another name."""
    kind, _, argument = name.partition(":")
    if kind not in SOURCES:
        known = ", ".join(sorted(SOURCES))
        raise SourceError(
            f"source {name!r} is not known; expected one of {known} (for example csv:/data/bars)"
        )
    return SOURCES[kind](argument)


def open_intraday_source(name: str) -> IntradaySource | None:
    """Return where the source of `name` has its intraday bars; None: that source has none.

    Raises SourceError for a name that `open_source` refuses.
    """
    open_source(name)
    kind, _, argument = name.partition(":")
    return INTRADAY_SOURCES[kind](argument) if kind in INTRADAY_SOURCES else None
