"""One tree of errors; each class also inherits the builtin a stranger would catch.

A failure of the world (a task that fails) is a value, never one of these. These are failures of the
program or its set-up and are raised as early as possible. Messages name the thing, the value, what was
expected and the next step.
"""

from __future__ import annotations

from collections.abc import Sequence


class OrchestratorError(Exception):
    """Base of every error this project raises on purpose."""


class SettingsError(OrchestratorError, ValueError):
    """An environment variable has a value that cannot be used."""


class SpecError(OrchestratorError, ValueError):
    """A task's description cannot be used. `problems` holds every complaint, not only the first."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class WhenError(OrchestratorError, ValueError):
    """A when-expression (window, at, on, every, cron, deadline) does not parse or names what is not there."""


class CalendarError(OrchestratorError, LookupError):
    """The session table does not know what was asked, or a new table was refused."""


class StoreError(OrchestratorError, OSError):
    """The state could not be read or written."""


class StoreCorrupt(StoreError):
    """The database file is damaged; the message says what to do and the file is kept."""


class AlreadyRunning(OrchestratorError, RuntimeError):
    """Another daemon holds this state directory's lock; the message says who."""


class SpawnError(OrchestratorError, OSError):
    """A run's process could not be created."""


class ControlError(OrchestratorError, RuntimeError):
    """The daemon refused a command, or did not answer."""
