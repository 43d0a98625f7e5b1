"""What can go wrong with orders. Each class also inherits the builtin a stranger would catch. Light.

Invalid arguments are plain ValueErrors that name the argument and the value (`checking`)."""

from __future__ import annotations


class ExecutionError(Exception):
    """Base of every error of this package."""


class LedgerError(ExecutionError, OSError):
    """The ledger cannot be read or written; the message names the file and the remedy."""


class UnknownOrder(ExecutionError, KeyError):
    """The ledger has no order of this id; the message names it."""

    # KeyError's own would print the message in quotes.
    __str__ = Exception.__str__


class AnotherWorker(ExecutionError, RuntimeError):
    """Another process works orders on this ledger; the message says who and since when."""


class IllegalTransition(ExecutionError, ValueError):
    """An order cannot go from its state to that one; the message names both and the order."""


class PlanError(ExecutionError, ValueError):
    """A plan cannot be made; the message says which fact is missing or wrong."""


class BrokerError(ExecutionError):
    """Base of what a broker's adapter raises."""


class OrderRejected(BrokerError, ValueError):
    """The broker has definitely refused the order: it does not exist there. `reason` in its words."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class SubmitUnclear(BrokerError, ConnectionError):
    """The order may or may not have arrived (timeout, broken connection, 5xx): look it up, never resend."""


class BrokerUnavailable(BrokerError, ConnectionError):
    """A question or a cancel could not be answered now; asking again later is safe."""


class ExtraMissing(BrokerError, ImportError):
    """An adapter's package is not installed; the message holds the command that installs it."""
