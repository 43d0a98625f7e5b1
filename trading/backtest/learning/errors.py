"""What can go wrong with learning."""

from __future__ import annotations

from trading.backtest.errors import BacktestError


class LearningError(BacktestError, ValueError):
    """There is nothing to learn from, or a stored model cannot be used; the message says why."""


class NotInstalledError(BacktestError, ImportError):
    """scikit-learn is not there; the message names the command that installs it."""
