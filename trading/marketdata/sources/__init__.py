"""Where bars come from. A new source lives in one file, is named in SOURCES and passes the contract tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from trading.marketdata.errors import SourceError
from trading.marketdata.sources.csv_folder import CsvFolder
from trading.marketdata.sources.sample import Sample
from trading.marketdata.sources.source import Fetched, Source

__all__ = ["SOURCES", "Fetched", "Source", "open_source"]

SOURCES: Mapping[str, Callable[[str], Source]] = MappingProxyType({"sample": Sample, "csv": CsvFolder})
"""By the word before the colon; the function is given what stands after it (empty: nothing)."""


def open_source(name: str) -> Source:
    """Return the source of `name`: `sample`, or `csv:FOLDER`. Raises SourceError for another name."""
    kind, _, argument = name.partition(":")
    if kind not in SOURCES:
        known = ", ".join(sorted(SOURCES))
        raise SourceError(
            f"source {name!r} is not known; expected one of {known} (for example csv:/data/bars)"
        )
    return SOURCES[kind](argument)
