"""What the control command uses of the jobs' side, loaded when a command first asks for it: numpy and pandas
must cost nothing where only the box is looked at. This process may load them, the daemon may not.

Imports made by name are not seen by the import contracts: this is the one place of the control command that
makes such, and no module of the daemon imports the control command.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trading import backtest
    from trading.backtest.reports import numbers, report_generator, saved
    from trading.backtest.strategies import registry
    from trading.research import status as research_status

__all__ = ["backtest", "numbers", "registry", "report_generator", "research_status", "saved"]

_HOME = {
    "backtest": "trading.backtest",
    "numbers": "trading.backtest.reports.numbers",
    "registry": "trading.backtest.strategies.registry",
    "report_generator": "trading.backtest.reports.report_generator",
    "research_status": "trading.research.status",
    "saved": "trading.backtest.reports.saved",
}

# Unseen by the checker of types, for which it would turn every misspelt name into an object.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(_HOME[name])
