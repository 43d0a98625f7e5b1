"""How orchestratorctl ends: its exit codes, and the failure that carries one."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_RUNNING: Final = 3
NO_ANSWER: Final = 4
SETTINGS: Final = 78

EXIT_CODES: Final = {
    OK: "done, or shown",
    FAILED: "refused by the daemon, nothing found, or something is wrong (check)",
    USAGE: "the command line cannot be used",
    NOT_RUNNING: "no daemon is running, and this needs one",
    NO_ANSWER: "the daemon did not answer in time",
    SETTINGS: "the settings, the task file or the calendar corrections cannot be used",
}

EPILOG: Final = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."


class Failure(Exception):  # an end of the command, not an error of the program
    """The command ends with `code`; `str(self)` is for the person, on stderr."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code
