"""What `run_execution` is asked for, read and checked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from trading.execution.checking import whole
from trading.execution.facts import MarketFacts
from trading.execution.orders import ParentOrder, Side, Urgency
from trading.execution.replay import PLAIN
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.choice import AUTO

SHARE = 0.01
"""Part of a day's volume that is ordered where no quantity is given: enough to need slices, small enough for
any cap."""
ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is wanted. quantities: by symbol; None: SHARE of each one's day. algorithms: one, or several to
    compare; PLAIN: one market order."""

    symbols: tuple[str, ...]
    side: Side
    quantities: Mapping[str, int] | None
    algorithms: tuple[str, ...]
    urgency: Urgency

    def order(self, facts: MarketFacts, algorithm: str, session: date, at: datetime) -> ParentOrder:
        """Return the order in one symbol."""
        default = max(1, int(SHARE * facts.daily_volume))
        return ParentOrder(
            parent_id="",
            reference=f"run_execution {facts.symbol} {at.isoformat()}",
            session=session,
            symbol=facts.symbol,
            side=self.side,
            quantity=self.quantities[facts.symbol] if self.quantities else default,
            created_at=at,
            algorithm=algorithm,
            urgency=self.urgency,
        )


def wishes_of(arguments: argparse.Namespace, made: argparse.ArgumentParser) -> Wishes:
    """Return what the arguments ask for; ends the process with code 2 if they make no sense."""
    if arguments.use_ml_enhanced and not arguments.use_smart_execution:
        made.error("--use-ml-enhanced changes how plans are made: it needs --use-smart-execution")
    if not arguments.replay and (arguments.bars_from or arguments.model):
        made.error("--source and --model belong to --replay DAY")
    if arguments.bars_from and arguments.model:
        made.error("--source gives recorded bars and --model a model: choose one")
    symbols = tuple(dict.fromkeys(s.strip().upper() for s in arguments.symbols.split(",") if s.strip()))
    if not symbols:
        made.error("--symbols names none")
    algorithms = tuple(ALGORITHMS) if arguments.algorithm == ALL else tuple(arguments.algorithm.split(","))
    unknown = [name for name in algorithms if name not in (AUTO, *ALGORITHMS)]
    if unknown:
        made.error(f"--algorithm {', '.join(unknown)}: expected {ALL}, {AUTO}, {', '.join(ALGORITHMS)}")
    if len(algorithms) > 1 and not (arguments.replay or arguments.dry_run):
        made.error("several algorithms can be compared with --replay DAY or --dry-run only")
    if not arguments.use_smart_execution and arguments.algorithm != AUTO:
        made.error("--algorithm is part of --use-smart-execution; without that, an order is one market order")
    if not arguments.use_smart_execution:
        algorithms = (PLAIN,)
    elif len(algorithms) > 1 and not arguments.dry_run:
        algorithms = (PLAIN, *algorithms)
    try:
        quantities = quantities_of(arguments.quantity, symbols)
    except ValueError as error:
        made.error(f"--quantity: {error}")
    return Wishes(
        symbols=symbols,
        side=Side(arguments.side),
        quantities=quantities,
        algorithms=algorithms,
        urgency=Urgency(arguments.urgency),
    )


def quantities_of(text: str | None, symbols: Sequence[str]) -> dict[str, int] | None:
    """Return shares by symbol from "500" or "AAPL=500,NVDA=900"; None: nothing was given.

    Raises:
        ValueError: if it cannot be read, or a symbol has none.
    """
    if text is None:
        return None
    if "=" not in text:
        return dict.fromkeys(symbols, _shares(text))
    pairs = [pair.partition("=") for pair in text.split(",")]
    found = {symbol.strip().upper(): _shares(number) for symbol, _, number in pairs}
    wrong = set(found) ^ set(symbols)
    if wrong:
        raise ValueError(
            f"{', '.join(sorted(wrong))}: expected one quantity for each of {', '.join(symbols)}"
        )
    return found


def _shares(text: str) -> int:
    try:
        return whole("quantity", int(text), 1)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number from 1 up") from None
