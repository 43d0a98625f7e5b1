"""A daemon that starts runs and is killed at once: `crashing_daemon.py FOLDER NAME=SCRIPT...`.

The name `stopped` is also asked to stop, with a long grace, before the end comes.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestration.runs import StopCause
from tests.integration.running import make_runner, shell_job, wait_for


def main() -> None:
    folder = Path(sys.argv[1])
    runner = make_runner(folder)
    runner.recover([])
    for argument in sys.argv[2:]:
        name, _, script = argument.partition("=")
        runner.start(shell_job(name, script))
        wait_for((folder / "runs" / name / "log").stat, "the log")
        wait_for(lambda at=folder / "runs" / name / "started": at.exists(), "started")  # type: ignore[misc]
    runner.stop("stopped", StopCause.OPERATOR, timedelta(seconds=60))
    os.kill(os.getpid(), signal.SIGKILL)


main()
