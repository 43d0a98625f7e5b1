"""What can be wrong with market data. Each class also inherits the builtin a stranger would catch."""

from __future__ import annotations

from collections.abc import Sequence


class MarketDataError(Exception):
    """Base of every error of this package."""


class BarStoreError(MarketDataError, OSError):
    """Stored bars cannot be read, or bars cannot be stored; the message names the file and the remedy."""


class SourceError(MarketDataError, ValueError):
    """A source cannot deliver. `problems` holds every complaint (for a file: `file:line: what`)."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))
