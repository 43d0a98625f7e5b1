"""What the jobs of this folder share: their places, being asked to stop, and saying what they did.

Light: the standard library and the clock (and `config`, when a place is not given).
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from orchestration.clock import SystemClock
from scripts._result import run_deadline, write_result

if TYPE_CHECKING:
    from config import Settings

EX_TEMPFAIL = 75
"""Not finished: asked to stop, or out of time. What is done is kept; the next run goes on from there."""

PLACES = {
    "state_dir": "where databases and run files are (default: ORCHESTRATOR_STATE_DIR)",
    "data_dir": "where price bars are (default: ORCHESTRATOR_DATA_DIR)",
    "log_dir": "where log files are (default: ORCHESTRATOR_LOG_DIR)",
}


def parser(doc: str | None, *places: str) -> argparse.ArgumentParser:
    """Return a parser with `--state-dir` and its like; each defaults to the setting of that name."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for place in places:
        made.add_argument(f"--{place.replace('_', '-')}", type=Path, metavar="DIR", help=PLACES[place])
    return made


def parse(made: argparse.ArgumentParser, argv: list[str] | None = None) -> argparse.Namespace:
    """Parse, and take from the settings the places (and the source) that were not given.

    Ends the process with code 2 and one clear line when a setting cannot be used.
    """
    arguments = made.parse_args(argv)
    absent = [name for name in (*PLACES, "source") if name in arguments and getattr(arguments, name) is None]
    if absent:
        found = settings(made)
        for name in absent:
            setattr(arguments, name, found.data_source if name == "source" else getattr(found, name))
    return arguments


def settings(made: argparse.ArgumentParser) -> Settings:
    """Return the settings; ends the process with code 2 and one clear line when they cannot be used."""
    from config import Settings
    from orchestration.errors import SettingsError

    try:
        return Settings.from_env()
    except SettingsError as error:
        made.error(str(error))


def now() -> datetime:
    """Return the present instant (aware UTC)."""
    return SystemClock().now()


class StopRequest:
    """Whether the job should end soon: SIGTERM came, or the run's deadline has passed.

    Installs a handler for SIGTERM and SIGINT on construction; a second signal ends the process at once.
    """

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self.clock = clock
        self.deadline = run_deadline()
        self.signalled = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def __call__(self) -> bool:
        return self.signalled or (self.deadline is not None and self.clock() >= self.deadline)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signalled = True
        signal.signal(number, signal.SIG_DFL)


def finish(code: int, report: Mapping[str, object], text: str) -> int:
    """Say `text`, write the result file and return `code`."""
    write_result(report)
    print(text, file=sys.stderr if code not in (0, EX_TEMPFAIL) else sys.stdout, flush=True)
    return code
