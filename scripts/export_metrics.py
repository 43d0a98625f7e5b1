"""Write the box's metrics for node_exporter's textfile collector, whole or not at all.

    export_metrics.py [--state-dir DIR] [--file FILE.prom]

The daemon runs it every five minutes where ORCHESTRATOR_METRICS_FILE is set; docs/metrics.md says how to let
node_exporter read the file. The dashboard's /metrics needs no such file.

Exit codes: 0 written; 1 the state or the file cannot be used; 2 wrong arguments or settings.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from observability.dashboard.source import Source
from observability.metrics import Exporter, write_textfile
from orchestration.clock import SystemClock
from orchestration.ctl.client import WaitingClock
from orchestration.ctl.desk import Desk
from orchestration.errors import OrchestratorError
from scripts._job import finish, parse, parser, settings

SUFFIX = ".prom"
"""node_exporter reads no other files."""


def main(argv: list[str] | None = None, clock: WaitingClock | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    made.add_argument("--file", type=Path, metavar="FILE", help="default: ORCHESTRATOR_METRICS_FILE")
    arguments = parse(made, argv)
    path: Path | None = arguments.file or settings(made).metrics_file
    if path is None or path.suffix != SUFFIX:
        made.error(f"--file, or ORCHESTRATOR_METRICS_FILE, must name a file that ends in {SUFFIX}: {path}")
    environ = {**os.environ, "ORCHESTRATOR_STATE_DIR": str(arguments.state_dir)}
    try:
        text = Exporter(Source(Desk(environ, clock=clock or SystemClock()))).text()
        write_textfile(text, path)
    except OrchestratorError as error:
        return finish(1, {"error": str(error)}, f"export_metrics: {error}")
    except OSError as error:
        why = f"{path} cannot be written: {error.strerror}. See docs/metrics.md for who must be able to"
        return finish(1, {"error": why}, f"export_metrics: {why}")
    lines = text.count("\n")
    return finish(0, {"file": str(path), "lines": lines}, f"{lines} lines written to {path}")


if __name__ == "__main__":
    sys.exit(main())
