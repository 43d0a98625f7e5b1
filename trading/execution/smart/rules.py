"""The numbers of the executor. Light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from trading.execution.smart.plan import SessionHours

Hours = Callable[[date], SessionHours | None]
"""The hours of a trading day as they are known now; None: the exchange is closed that day."""

StepHook = Callable[[str], None]
"""Called with the name of a step around its effect; tests end the process there."""


class StopPolicy(StrEnum):
    """What becomes of open children when the executor is asked to stop."""

    CANCEL = "cancel"
    KEEP = "keep"


class Ended(StrEnum):
    """Why a run of the executor ended."""

    DONE = "done"  # every order of the session is in a final state and nothing is open
    STOPPED = "stopped"  # asked to stop; orders are left
    UNRESOLVED = "unresolved"  # the session is over and the broker has not said what became of a child


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorRules:
    """Numbers of the executor.

    poll: how often a real broker is asked for reports while something is open; look: how often the
    ledger, the kill switch and the market are looked at when nothing else is due. settle: how long after
    a submit "the broker does not have it" is not yet believed. patience: how long a cancel is waited for
    before it is asked again. retry: wait after a market or broker did not answer. most_refusals: so many
    refused children in a row end the order. wind_down: longest wait for cancels when asked to stop.
    after_close: how long after the close the last reports are waited for.
    """

    poll: timedelta = timedelta(milliseconds=250)
    look: timedelta = timedelta(seconds=2)
    settle: timedelta = timedelta(seconds=10)
    patience: timedelta = timedelta(seconds=20)
    retry: timedelta = timedelta(seconds=5)
    most_refusals: int = 5
    on_stop: StopPolicy = StopPolicy.CANCEL
    wind_down: timedelta = timedelta(seconds=15)
    after_close: timedelta = timedelta(minutes=2)


def nothing(step: str) -> None:
    """The step hook of a run that nobody watches."""
