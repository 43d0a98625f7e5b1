"""`orchestratorctl`: the control command, a process of its own."""

from __future__ import annotations

import sys

from orchestration.ctl import alerting, asking, backtesting, ordering, researching, showing, top
from orchestration.ctl.app import app

__all__ = ["alerting", "app", "asking", "backtesting", "main", "ordering", "researching", "showing", "top"]


def main() -> int:
    """Run the command line; the exit codes are those of `exits.EXIT_CODES`."""
    app(prog_name="orchestratorctl")
    return 0


if __name__ == "__main__":
    sys.exit(main())
