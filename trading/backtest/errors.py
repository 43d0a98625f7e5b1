"""What can go wrong with backtests. Each class also inherits the builtin a stranger would catch."""

from __future__ import annotations


class BacktestError(Exception):
    """Base of every error of this package."""


class HistoryError(BacktestError, ValueError):
    """Bars cannot be used; the message names the symbol, the date, the value and what was expected."""


class StrategyError(BacktestError, ValueError):
    """A strategy broke its protocol; the message names it, the bar and what was expected."""


class LookAheadError(StrategyError):
    """A strategy's decisions change with bars that had not happened yet; the message names the first one."""


class BooksError(BacktestError, RuntimeError):
    """Two ways of adding up the same money disagree: a fault of the engine, never of the strategy."""
