"""The bundled sample: real daily bars of five stocks, out of the optional package bokeh_sampledata."""

from __future__ import annotations

import re
from datetime import date
from importlib import import_module, metadata

from trading.marketdata.errors import SourceError
from trading.marketdata.sources.source import Fetched

PACKAGE = "bokeh_sampledata"
LEAST_VERSION = (2026, 1)
"""The first release whose prices carry a record of their source and licence."""
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
ENDS_ON = date(2013, 3, 1)
REMEDY = f'install it with: pip install "{PACKAGE}>=2026.1", or use your own bars with --source csv:FOLDER'


class Sample:
    """AAPL, IBM, MSFT (2000-03-01..2013-03-01), GOOG (from 2004-08-19), FB (from 2012-05-18): raw prices
    with an adjusted close, from Quandl WIKI, public domain. They end in 2013; nothing newer will come.

    Raises SourceError when something follows `sample:`; the package is looked for when it is needed.
    """

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise SourceError(
                f"source 'sample:{argument}': the sample takes no argument; write --source sample"
            )

    @property
    def name(self) -> str:
        return "sample"

    @property
    def remark(self) -> str:
        return (
            f"The sample ends on {ENDS_ON} (real prices of {', '.join(SYMBOLS)} from 2000 on): "
            f"good for research and trying things out, not for trading today."
        )

    def symbols(self) -> list[str]:
        self._version()
        return list(SYMBOLS)

    def fingerprint(self, symbol: str) -> str:
        self._require(symbol)
        return f"{PACKAGE} {self._version()}"

    def fetch(self, symbol: str) -> Fetched:
        fingerprint = self.fingerprint(symbol)
        import pandas as pd

        try:
            series = getattr(import_module(f"{PACKAGE}.stocks"), symbol)
        except (ImportError, OSError, AttributeError) as error:
            raise SourceError(f"{PACKAGE} is damaged ({error}); {REMEDY}") from error
        frame = pd.DataFrame({name: series[name] for name in ("open", "high", "low", "close", "adj_close")})
        frame["volume"] = [float(v) for v in series["volume"]]
        frame.index = pd.DatetimeIndex(series["date"], name="date").as_unit("s")
        return Fetched(frame=frame, fingerprint=fingerprint, ends_on=ENDS_ON)

    def _require(self, symbol: str) -> None:
        if symbol not in SYMBOLS:
            raise SourceError(f"the sample has no {symbol!r}; it has {', '.join(SYMBOLS)}")

    def _version(self) -> str:
        try:
            version = metadata.version(PACKAGE)
        except metadata.PackageNotFoundError as error:
            raise SourceError(f"the sample needs the optional package {PACKAGE}; {REMEDY}") from error
        if tuple(int(n) for n in re.findall(r"\d+", version)[:2]) < LEAST_VERSION:
            raise SourceError(f"{PACKAGE} {version} is too old (its prices name no source); {REMEDY}")
        return version
